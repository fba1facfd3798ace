"""The probability of an action where every token is chosen among those that keep the text valid.

::

    prompt "... Next,"   valid: "pick up the tomato", "pick up the bowl", "walk away", "walk"

    (root) --pick--> (pick up the) --tomato-->        log p of the children of a node, from one pass of the scorer,
        |                        `--bowl--->          renormalised among them: log_softmax
        `---walk--> (walk) --away---------->
                         `--(end)---------->          the mass of all tokens that no longer valid action begins with

A node with one child leaves no choice and contributes nothing; an action's log-probability is the sum over the
branching nodes on its path. The probabilities of all actions sum to 1.

Letters: Q actions of all decisions, W tokens of the longest, G branching nodes, C children of the one with most, L
branching nodes of the longest path.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lightning_twosome.decisions import EncodedDecision, build_trie

END, PADDING = -1, -2
LEAST_REST = 1e-6  # of probability that is left for the end of an action: float32 knows no less beside 1


def whole_suffixes(encoded: EncodedDecision) -> EncodedDecision:
    """The decision with every token after the trunk scored, those too that still belong to the prompt.

    They are none unless the tokenizer merges over the boundary, where which of them it makes is part of the choice.
    """
    if not any(encoded.skipped):
        return encoded
    trunk = encoded.trunk.tolist()
    sequences = [trunk + suffix.tolist() for suffix in encoded.suffixes]
    return build_trie(sequences, [len(trunk)] * len(sequences), encoded.words, encoded.characters)


def trie_log_prob(encoded: Sequence[EncodedDecision], tokens: Tensor) -> Tensor:
    """Log-probability of each action as a path of choices: float32 [Q].

    Args:
        encoded: The decisions.
        tokens: float32 [Q, W], the language model's log-probability of each token after the trunk, of every action of
            every decision in order.
    """
    children, paths = _tables(encoded, tokens.shape[1])
    if children.size == 0:
        return 0.0 * tokens.sum(dim=-1)
    index = torch.from_numpy(children).to(tokens.device)
    log_prob = tokens.flatten()[index.clamp(min=0)].masked_fill(index < 0, -torch.inf)
    longer = log_prob.logsumexp(dim=-1, keepdim=True).clamp(max=np.log1p(-LEAST_REST))
    log_prob = torch.where(index == END, torch.log1p(-longer.exp()), log_prob)
    chosen = torch.cat([log_prob.log_softmax(dim=-1).flatten(), tokens.new_zeros(1)])
    return chosen[torch.from_numpy(paths).to(tokens.device)].sum(dim=-1)


def _tables(encoded: Sequence[EncodedDecision], width: int) -> tuple[np.ndarray, np.ndarray]:
    """Where in the flattened tokens each child of a branching node stands [G, C], and each action's children [Q, L].

    A child is ``END``, ``PADDING`` or an index; a path's padding is the index after the last child.
    """
    groups: list[list[int]] = []
    paths: list[list[tuple[int, int]]] = []
    for decision in encoded:
        _add(decision, width, groups, paths)
    most = max((len(group) for group in groups), default=0)
    longest = max((len(path) for path in paths), default=0)
    children = np.full((len(groups), most), PADDING, dtype=np.int64)
    for row, group in enumerate(groups):
        children[row, : len(group)] = group
    table = np.full((len(paths), longest), len(groups) * most, dtype=np.int64)
    for row, path in enumerate(paths):
        table[row, : len(path)] = [group * most + child for group, child in path]
    return children, table


def _add(decision: EncodedDecision, width: int, groups: list[list[int]], paths: list[list[tuple[int, int]]]) -> None:
    """Append the decision's branching nodes to ``groups``, and each action's (group, child) pairs to ``paths``."""
    first = len(paths)
    nodes: list[dict[int, tuple[int, int, int]]] = [{}]  # by token: place among the siblings, node below, index
    walks = []
    for action, suffix in enumerate(decision.suffixes):
        node, walk = 0, []
        for depth, token in enumerate((*suffix.tolist(), END)):
            siblings = nodes[node]
            if token not in siblings:
                index = END if token == END else (first + action) * width + depth
                siblings[token] = (len(siblings), len(nodes), index)
                nodes.append({})
            place, below, _ = siblings[token]
            walk.append((node, place))
            node = below
        walks.append(walk)
    group_of = {}
    for node, siblings in enumerate(nodes):
        if len(siblings) > 1:
            group_of[node] = len(groups)
            groups.append([index for _, _, index in siblings.values()])
    paths.extend([(group_of[node], place) for node, place in walk if node in group_of] for walk in walks)
