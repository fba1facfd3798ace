"""Decisions as tokens: the prompt and every action's text, tokenised jointly, as a trunk and a trie.

An action's text is ``prompt + " " + action``, encoded once. Its tokens are those whose end offset exceeds
``len(prompt)``; what comes before is context. The context that all actions share is the trunk; the rest is a trie, laid
out in preorder, so that one row holds the whole decision::

    prompt "... Next,"  actions "pick up the tomato", "pick up the bowl", "walk away"

    trunk  [BOS ... Next ,]                    columns  0 .. P-1
                       |-- pick -- up -- the   nodes    0, 1, 2     (tomato and bowl are leaves: scored, never inputs)
                       `-- walk                node     3              (away is a leaf)

A leaf's last token is predicted but never read, so it is no node; an action of one token adds no node at all. In
preorder a node's descendants are the columns up to its ``node_end``: column k is visible from q exactly if
``k <= q < end[k]``.

Letters: K actions, P trunk tokens, N nodes, A the longest action's tokens.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lightning_twosome.errors import UserError
from lightning_twosome.recent import ARRAY, ENTRY, Recent

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerBase

Ids = Sequence[int]
ID_BYTES = 36  # of an int in a tuple


@dataclass(frozen=True, slots=True)
class Decision:
    """A prompt and the texts of the actions that are valid now.

    Attributes:
        prompt: What the language model reads.
        actions: The valid actions' texts, without the joining space, each once.
    """

    prompt: str
    actions: tuple[str, ...]

    def __post_init__(self) -> None:
        if isinstance(self.actions, list):
            object.__setattr__(self, "actions", tuple(self.actions))

    @property
    def bytes(self) -> int:
        """About what it takes as a key of a memory."""
        return ENTRY + sys.getsizeof(self.prompt) + sum(map(sys.getsizeof, (self, self.actions, *self.actions)))


@dataclass(frozen=True, eq=False, slots=True)
class EncodedDecision:
    """A decision as token ids: one trunk and a trie over the actions (see the module's drawing).

    Attributes:
        trunk: int32 [P], the context tokens that all actions share.
        suffixes: Per action, int32: its joint ids after the trunk, the last token included.
        skipped: Per action, how many leading tokens of its suffix still belong to the prompt: 0 unless the tokenizer
            merges over the boundary.
        node_token: int32 [N], the trie's input tokens in preorder.
        node_depth: int32 [N], a node's distance below the trunk; its position is P + depth.
        node_end: int32 [N], one past the node's last descendant.
        parent: int32 [K, A], for each scored token the column that predicts it: 0 is the trunk's last token, n + 1 is
            node n, -1 is padding.
        target: int32 [K, A], the scored tokens, 0 in padding.
        words: ``len(action.split())`` of each action.
        characters: ``len(action)`` of each action.
    """

    trunk: NDArray[np.int32]
    suffixes: tuple[NDArray[np.int32], ...]
    skipped: tuple[int, ...]
    node_token: NDArray[np.int32]
    node_depth: NDArray[np.int32]
    node_end: NDArray[np.int32]
    parent: NDArray[np.int32]
    target: NDArray[np.int32]
    words: tuple[int, ...]
    characters: tuple[int, ...]

    @property
    def tokens(self) -> tuple[int, ...]:
        """The number of scored tokens of each action."""
        return tuple(len(suffix) - skip for suffix, skip in zip(self.suffixes, self.skipped, strict=True))

    @property
    def bytes(self) -> int:
        """About what it takes in memory."""
        arrays = (
            self.trunk, self.node_token, self.node_depth, self.node_end, self.parent, self.target, *self.suffixes
        )  # fmt: skip
        tuples = (self.suffixes, self.skipped, self.words, self.characters)
        return sum(array.nbytes + ARRAY for array in arrays) + sum(map(sys.getsizeof, (self, *tuples)))

    def select(self, start: int, stop: int) -> EncodedDecision:
        """The same decision with only the actions ``start`` to ``stop``: what a row of bounded length holds."""
        trunk = self.trunk.tolist()
        sequences = [trunk + suffix.tolist() for suffix in self.suffixes[start:stop]]
        starts = [len(trunk) + skip for skip in self.skipped[start:stop]]
        return build_trie(sequences, starts, self.words[start:stop], self.characters[start:stop])


def build_trie(sequences: Sequence[Ids], starts: Ids, words: Ids = (), characters: Ids = ()) -> EncodedDecision:
    """Lays joint token ids out as a trunk and a trie.

    Args:
        sequences: Per action, the ids of prompt and action together.
        starts: Per action, the index of its first scored token, at least 1.
        words: Per action, its words.
        characters: Per action, its characters.
    """
    trunk_length = min(_common_prefix(sequences), min(starts))
    paths = [tuple(sequence[trunk_length:-1]) for sequence in sequences]
    token, depth, end, node_of_prefix = _preorder(paths)
    skipped = tuple(start - trunk_length for start in starts)
    counts = [len(sequence) - start for sequence, start in zip(sequences, starts, strict=True)]
    parent = np.full((len(sequences), max(counts)), -1, dtype=np.int32)
    target = np.zeros_like(parent)
    for action, (path, skip, count) in enumerate(zip(paths, skipped, counts, strict=True)):
        parent[action, :count] = [node_of_prefix[path[:length]] + 1 for length in range(skip, skip + count)]
        target[action, :count] = sequences[action][starts[action] :]
    return EncodedDecision(
        trunk=np.asarray(sequences[0][:trunk_length], dtype=np.int32),
        suffixes=tuple(np.asarray(sequence[trunk_length:], dtype=np.int32) for sequence in sequences),
        skipped=skipped,
        node_token=np.asarray(token, dtype=np.int32),
        node_depth=np.asarray(depth, dtype=np.int32),
        node_end=np.asarray(end, dtype=np.int32),
        parent=parent,
        target=target,
        words=tuple(words),
        characters=tuple(characters),
    )


def _common_prefix(sequences: Sequence[Ids]) -> int:
    """The number of leading ids that all sequences share."""
    length = 0
    for ids in zip(*sequences, strict=False):
        if len(set(ids)) > 1:
            break
        length += 1
    return length


def _preorder(
    paths: Sequence[tuple[int, ...]],
) -> tuple[list[int], list[int], list[int], dict[tuple[int, ...], int]]:
    """Nodes of the trie over ``paths`` in preorder.

    Sorted paths meet a prefix before its extensions and each subtree in one piece.

    Returns:
        Token, depth and subtree end of each node, and each prefix's node (the empty prefix, the trunk, is -1).
    """
    token: list[int] = []
    depth: list[int] = []
    end: list[int] = []
    node_of_prefix: dict[tuple[int, ...], int] = {(): -1}
    for path in sorted(set(paths)):
        for length in range(1, len(path) + 1):
            prefix = path[:length]
            if prefix not in node_of_prefix:
                node_of_prefix[prefix] = len(token)
                token.append(prefix[-1])
                depth.append(length - 1)
                end.append(0)
        for length in range(1, len(path) + 1):
            end[node_of_prefix[path[:length]]] = len(token)
    return token, depth, end, node_of_prefix


class DecisionEncoder:
    """Tokenises decisions, remembering the latest ones.

    Args:
        tokenizer: A fast tokenizer (one that reports offsets).
        max_length: The model's context length in tokens; ``None`` if it has none.
        cache_megabytes: How much is remembered of decisions, and of prompts.

    Attributes:
        decisions: Those that are remembered, with their tokens.
        prompts: Likewise.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, max_length: int | None = None, cache_megabytes: float = 512
    ) -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise UserError(
                f"The tokenizer {type(tokenizer).__name__} reports no character offsets, which finding an action's "
                "tokens needs: use a model with a fast tokenizer (a tokenizer.json)."
            )
        self.tokenizer = tokenizer
        self.max_length = max_length
        self._prefix = 0
        [(_, ends)] = self._tokenise(["a"])
        # How many tokens, such as a BOS, the tokenizer puts first.
        self._prefix = next((index for index, end in enumerate(ends) if end > 0), 0)
        self.decisions: Recent[Decision, EncodedDecision] = Recent(cache_megabytes, _decision_bytes)
        self.prompts: Recent[str, tuple[int, ...]] = Recent(cache_megabytes, _prompt_bytes)

    def encode(self, decision: Decision) -> EncodedDecision:
        """The decision's tokens.

        Raises:
            UserError: If the actions are not distinct, stripped, non-empty strings, or do not fit the model's context.
        """
        try:
            known = self.decisions.get(decision)
        except TypeError:  # not hashable, which the check names
            known = None
        if known is not None:
            return known
        check_decision(decision)
        encoded = self._encode(decision)
        self.decisions.keep(decision, encoded)
        return encoded

    def encode_prompt(self, prompt: str) -> tuple[int, ...]:
        """The ids of the prompt alone, with the tokenizer's own defaults and without a trailing EOS."""
        known = self.prompts.get(prompt)
        if known is not None:
            return known
        _check_characters(prompt, "prompt")
        [(ids, _)] = self._tokenise([prompt])
        if not ids:
            raise UserError(_NO_CONTEXT.format(prompt=first_words(prompt)))
        self._check_length(prompt, len(ids))
        self.prompts.keep(prompt, tuple(ids))
        return tuple(ids)

    def _encode(self, decision: Decision) -> EncodedDecision:
        prompt, actions = decision.prompt, decision.actions
        sequences, starts = [], []
        texts = [f"{prompt} {action}" for action in actions]
        for action, (ids, ends) in zip(actions, self._tokenise(texts), strict=True):
            start = next((index for index, end in enumerate(ends) if end > len(prompt)), len(ids))
            if start == len(ids):
                raise UserError(f"The action {action!r} has no token of its own in this tokenizer: change its text.")
            if start == 0:
                raise UserError(_NO_CONTEXT.format(prompt=first_words(prompt)))
            self._check_length(prompt, len(ids), action)
            sequences.append(ids)
            starts.append(start)
        words = [len(action.split()) for action in actions]
        return build_trie(sequences, starts, words, [len(action) for action in actions])

    def _tokenise(self, texts: list[str]) -> list[tuple[list[int], list[int]]]:
        """Per text, its ids and their end offsets, without the special tokens that the tokenizer appends."""
        batch = self.tokenizer(
            texts,
            padding=False,
            truncation=False,
            return_attention_mask=False,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
            verbose=False,
        )
        rows = []
        columns = (batch["input_ids"], batch["offset_mapping"], batch["special_tokens_mask"])
        for ids, offsets, special in zip(*columns, strict=True):
            # The mask marks what the tokenizer adds itself; the same words in a text are not marked.
            length = max((index + 1 for index, added in enumerate(special) if not added), default=self._prefix)
            rows.append((list(ids[:length]), [end for _, end in offsets[:length]]))
        return rows

    def _check_length(self, prompt: str, length: int, action: str | None = None) -> None:
        if self.max_length is not None and length > self.max_length:
            what = "" if action is None else f" with the action {first_words(action)!r}"
            raise UserError(
                f"The prompt {first_words(prompt)!r}{what} takes {length} tokens, more than the model's "
                f"context of {self.max_length}: shorten the text or choose a model with a longer context."
            )


_NO_CONTEXT = (
    "The prompt {prompt!r} leaves no token before the action, and this tokenizer adds no BOS: "
    "give the environment a prompt that is not empty."
)


def check_decision(decision: Decision) -> None:
    """Refuses what cannot be scored.

    Raises:
        UserError: Naming the prompt and the action at fault.
    """
    where = f"of the prompt {first_words(str(decision.prompt))!r}"
    if not isinstance(decision.prompt, str):
        kind = type(decision.prompt).__name__
        raise UserError(f"A decision's prompt must be a str, not {kind}: let the environment observe text.")
    _check_characters(decision.prompt, "prompt")
    if not isinstance(decision.actions, tuple):
        kind = type(decision.actions).__name__
        raise UserError(f'The actions {where} must be a tuple of str, not {kind}: set info["actions"] to a tuple.')
    if not decision.actions:
        raise UserError(f'The list of actions {where} is empty: offer at least one action in info["actions"].')
    for action in decision.actions:
        if not isinstance(action, str):
            raise UserError(f"The action {action!r} {where} is a {type(action).__name__}: actions are texts (str).")
        if not action or action != action.strip():
            raise UserError(
                f"The action {action!r} {where} must be text without blanks around it: strip it, "
                "the joining space is added."
            )
        _check_characters(action, "action")
    if len(set(decision.actions)) < len(decision.actions):
        twice = next(action for action in decision.actions if decision.actions.count(action) > 1)
        raise UserError(f"The action {twice!r} {where} is offered twice: offer each text once.")


def _check_characters(text: str, what: str) -> None:
    """Refuse half of a surrogate pair, which no encoding has and which tokenizers take for no text at all."""
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise UserError(
            f"The {what} {first_words(text)!r} holds half of a surrogate pair, which is no character: decode what it "
            "comes from as UTF-8."
        )


def first_words(text: str, limit: int = 8) -> str:
    """The first few words of a text, to name it in a message."""
    words = text.split()
    return " ".join(words[:limit]) + (" ..." if len(words) > limit else "")


def _decision_bytes(decision: Decision, encoded: EncodedDecision) -> int:
    return decision.bytes + encoded.bytes


def _prompt_bytes(prompt: str, ids: tuple[int, ...]) -> int:
    return ENTRY + sys.getsizeof(prompt) + ID_BYTES * len(ids)
