"""What is credited with a return: whole actions, or the choices in them.

The latter is policy optimisation with action decomposition (POAD, arXiv 2405.15821). An action is a path through the
trie of valid texts, and only where the trie branches is anything chosen. The choices are steps of the same trajectory
that take no time and bring no reward, so that the Bellman backup has discount 1 within an action and
``gamma ** duration`` after it::

    prompt "... Next,"   valid: 0 "pick up the tomato", 1 "pick up the bowl", 2 "walk away";  action 1 is taken

    choice        0 (pick or walk)      1 (tomato or bowl)              next decision
    the critic    "... Next,"           "... Next, pick up the"         "... Now,"
    reads
    reward                 0                            R
    duration               0                            k
    shared        [1, 2, 0]             how many choices each valid action has in common with the one taken

The policy of a choice follows from that of the actions, whatever gives it: with ``p_l`` the probability of all actions
that share the first l choices, the probability of choice l is ``p_{l+1} / p_l``. They multiply to that of the action.

Letters: B decisions, K actions, M choices of the longest, T choices of all, S rollout steps, N environments.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_twosome.agent import Place
from lightning_twosome.decisions import Decision, DecisionEncoder, EncodedDecision
from lightning_twosome.players import Transitions, player_advantages


def path_choices(encoded: EncodedDecision, action: int) -> tuple[list[int], list[tuple[int, ...]]]:
    """What is chosen on the path of an action.

    Args:
        encoded: The decision.
        action: The index of the action.

    Returns:
        For each action, how many choices it shares with this one, and for each choice after the first the token ids
        before it: the trunk and what the actions that are left have in common.
    """
    taken = encoded.suffixes[action].tolist()
    agreed = [_agreement(taken, suffix.tolist()) for suffix in encoded.suffixes]
    depths = sorted({depth for other, depth in enumerate(agreed) if other != action})
    shared = [depths.index(depth) if other != action else len(depths) for other, depth in enumerate(agreed)]
    trunk = encoded.trunk.tolist()
    return shared, [(*trunk, *taken[:depth]) for depth in depths[1:]]


def _agreement(first: list[int], second: list[int]) -> int:
    """The number of leading ids that are equal."""
    length = 0
    for left, right in zip(first, second, strict=False):
        if left != right:
            break
        length += 1
    return length


class WholeActions:
    """What has a ratio, an advantage and a value of its own: each of B decisions.

    Args:
        actions: int64 [B], the index of each action.

    Attributes:
        share: T over its mean over processes, which makes the mean over processes of means over T one mean over all.
    """

    def __init__(self, actions: Tensor) -> None:
        self.actions = actions
        self.share: Tensor | float = 1.0

    def log_probs(self, log_probs: Tensor) -> Tensor:
        """Log-probability [T] of what was chosen, here [B].

        Args:
            log_probs: [B, K], log-probability of each action, ``-inf`` in padding.
        """
        return log_probs.gather(1, self.actions[:, None]).squeeze(1)

    def flat(self, table: Tensor) -> Tensor:
        """Values, advantages or returns of the decisions as :meth:`log_probs` orders them: [T]."""
        return table


class Choices(WholeActions):
    """The same for each choice in B decisions.

    A decision without any choice, of one action, has one place all the same: that of its prompt.

    Args:
        encoder: Turns decisions into tokens.
        decisions: B decisions.
        actions: int64 [B], the index of each action.

    Attributes:
        shared: int64 [B, K], how many choices each action shares with the one taken, -1 in padding.
        real: bool [B, M], False in padding.
        places: The T prompts and prefixes before the choices, row by row.
    """

    def __init__(self, encoder: DecisionEncoder, decisions: Sequence[Decision], actions: Tensor) -> None:
        super().__init__(actions)
        width = max(len(decision.actions) for decision in decisions)
        rows, counts = [], []
        self.places: list[Place] = []
        for decision, action in zip(decisions, actions.tolist(), strict=True):
            shared, prefixes = path_choices(encoder.encode(decision), action)
            rows.append(shared + [-1] * (width - len(shared)))
            counts.append(1 + len(prefixes))
            self.places += [decision.prompt, *prefixes]
        self.shared = torch.tensor(rows, device=actions.device)
        self.real = (
            torch.arange(max(counts), device=actions.device) < torch.tensor(counts, device=actions.device)[:, None]
        )

    def log_probs(self, log_probs: Tensor) -> Tensor:
        """Log-probability of each choice [T]: of all actions that agree with it, among those that agree up to it."""
        levels = torch.arange(self.real.shape[1] + 1, device=log_probs.device)
        # Below its last choice an action is alone for good.
        levels = levels.minimum(self.shared.amax(dim=1, keepdim=True))
        shared = torch.nn.functional.pad(self.shared, (0, log_probs.shape[1] - self.shared.shape[1]), value=-1)
        among = shared[:, None, :] >= levels[:, :, None]
        mass = log_probs[:, None, :].masked_fill(~among, -torch.inf).logsumexp(dim=-1)
        return (mass[:, 1:] - mass[:, :-1])[self.real]

    def flat(self, table: Tensor) -> Tensor:
        """What a table [B, M'] of at least M columns says of each choice [T]."""
        return table[:, : self.real.shape[1]][self.real]

    def table(self, values: Tensor) -> Tensor:
        """Values of the T choices as a table [B, M], 0 in padding."""
        made = values.new_zeros(self.real.shape)
        made[self.real] = values
        return made


def choice_advantages(
    single: Transitions, values: Tensor, real: Tensor, players: Tensor, gamma: float, gae_lambda: float
) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation over choices: :func:`~lightning_twosome.players.player_advantages` of them all.

    Args:
        single: What followed each decision until the next one, each [S, N].
        values: [S, N, M], value before each choice.
        real: bool [S, N, M], False in padding.
        players: int64 [S, N], who decides.
        gamma: Discount per primitive step, between decisions.
        gae_lambda: Trace decay per choice.

    Returns:
        Advantages and returns (advantages + values), both [S, N, M], 0 in padding.
    """
    counts = real.sum(-1, keepdim=True)
    index = torch.arange(real.shape[2])
    last = index == counts - 1
    terminated = last & single.terminated[..., None]
    ends = single.truncated.clone()
    ends[-1] |= ~single.terminated[-1]  # below the rollout's last decision are rows that count for nothing
    detailed = Transitions(
        rewards=torch.where(last, single.rewards[..., None], 0.0),
        next_values=torch.where(last, single.next_values[..., None], values.roll(-1, dims=2)),
        durations=torch.where(last, single.durations[..., None], 0),
        terminated=terminated,
        truncated=last & ends[..., None],
    )
    # One column for each environment, its choices closed up.
    row = (counts.cumsum(0) - counts + index)[real]
    place = (row, torch.arange(real.shape[1])[:, None].expand_as(real)[real])
    shape = (int(row.max()) + 1, real.shape[1])

    def column(table: Tensor) -> Tensor:
        made = table.new_zeros(shape)
        made[place] = table[real]
        return made

    deciders = players[..., None].expand_as(real)
    found = player_advantages(Transitions(*map(column, detailed)), column(values), column(deciders), gamma, gae_lambda)
    advantages, returns = (torch.zeros_like(values).masked_scatter(real, table[place]) for table in found)
    return advantages, returns
