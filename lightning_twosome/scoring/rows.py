"""From decisions to batches: rows of similar length together, no batch above what one forward may hold.

::

    decisions --split--> rows --sort by length, fill up--> batches --method--> log p, put back in order
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from lightning_twosome.decisions import EncodedDecision


@dataclass(frozen=True, eq=False)
class Row:
    """Some or all of a decision's actions, scored together.

    Attributes:
        encoded: The decision, reduced to these actions.
        first: The index of its first action among all actions of all decisions.
    """

    encoded: EncodedDecision
    first: int


@dataclass(frozen=True)
class Method:
    """A way of scoring rows.

    Attributes:
        name: "tree", "cache" or "duplicate".
        summary: What it does, in a few words.
        score: From the model and rows to the log-probability of all their actions in order, float32 [Q]; a third
            argument reads something else from the logits.
        positions: How many positions rows take when they are scored as one batch.
        columns: How many of them get logits.
        joins: Whether two rows may share a batch.
        single: Whether each action is a row of its own.
    """

    name: str
    summary: str
    score: Callable[..., Tensor]
    positions: Callable[[Sequence[EncodedDecision]], int]
    columns: Callable[[Sequence[EncodedDecision]], int]
    joins: Callable[[EncodedDecision, EncodedDecision], bool] = lambda left, right: True
    single: bool = False


SLACK = 1.25  # a row may be so much larger than its prompt with one action, where that alone is above the limits


@dataclass(frozen=True)
class Limits:
    """What one forward may hold.

    Attributes:
        positions: The token budget.
        columns: Positions with logits, which take memory of their own: vocabulary times two, with their gradient.
    """

    positions: float
    columns: float

    @classmethod
    def of(cls, token_budget: int, layers: int, hidden: int, vocabulary: int) -> Limits:
        """Logits and their gradient take no more than a hidden state of each position and layer."""
        return cls(token_budget, max(1.0, token_budget * layers * hidden / (2 * vocabulary)))

    def for_actions_of(self, method: Method, longest: EncodedDecision) -> Limits:
        """The same for rows of a decision whose prompt with its longest action alone may be above the limits.

        Cutting off actions leaves the prompt as long as it is: much below that it would only cost time.
        """
        positions, columns = SLACK * method.positions([longest]), SLACK * method.columns([longest])
        return Limits(max(self.positions, positions), max(self.columns, columns))

    def share(self, method: Method, rows: Sequence[EncodedDecision]) -> float:
        """How much of a forward's limits rows take as one batch: above 1 it is too much."""
        return max(method.positions(rows) / self.positions, method.columns(rows) / self.columns)

    def held(self, method: Method, batches: Sequence[Sequence[Row]]) -> float:
        """The share that batches take whose graphs are kept until the backward pass: only one has its gradient."""
        rows = [[row.encoded for row in batch] for batch in batches]
        positions, columns = sum(map(method.positions, rows)), sum(map(method.columns, rows))
        return max(positions / self.positions, columns / (2 * self.columns))


UNLIMITED = Limits(math.inf, math.inf)


def split(decisions: Sequence[EncodedDecision], method: Method, limits: Limits) -> list[Row]:
    """One row per decision; a decision above the limits is cut into rows of fewer actions."""
    rows: list[Row] = []
    first = 0
    for decision in decisions:
        actions = len(decision.suffixes)
        rows.extend(Row(part, first + start) for start, part in _parts(decision, method, limits))
        first += actions
    return rows


def _parts(decision: EncodedDecision, method: Method, limits: Limits) -> list[tuple[int, EncodedDecision]]:
    """Parts of a decision with the index of their first action."""
    actions = len(decision.suffixes)
    if actions == 1:
        return [(0, decision)]
    if method.single:
        return [(action, decision.select(action, action + 1)) for action in range(actions)]
    if limits.share(method, [decision]) <= 1:
        return [(0, decision)]
    longest = max(range(actions), key=lambda action: len(decision.suffixes[action]))
    limits = limits.for_actions_of(method, decision.select(longest, longest + 1))
    return _halves(decision, 0, actions, lambda part: limits.share(method, [part]) <= 1)


def _halves(
    decision: EncodedDecision, start: int, stop: int, fits: Callable[[EncodedDecision], bool]
) -> list[tuple[int, EncodedDecision]]:
    part = decision.select(start, stop)
    if stop - start == 1 or fits(part):
        return [(start, part)]
    middle = (start + stop) // 2
    return _halves(decision, start, middle, fits) + _halves(decision, middle, stop, fits)


def plan(rows: Sequence[Row], method: Method, limits: Limits, enough: float) -> list[list[Row]]:
    """Batches within the limits, from short rows to long ones.

    Args:
        rows: The rows, in any order.
        method: The method, which says what a batch takes.
        limits: The most that a batch may hold; a row above them is a batch of its own.
        enough: Positions from which a batch is large enough to be fast, so that a longer row opens the next one instead
            of padding this one.
    """
    batches: list[list[Row]] = []
    positions, longest = 0, 0
    for row in sorted(rows, key=lambda row: (len(row.encoded.trunk) + len(row.encoded.node_token), row.first)):
        alone = method.positions([row.encoded])
        if batches and method.joins(batches[-1][0].encoded, row.encoded):
            together = [member.encoded for member in (*batches[-1], row)]
            if (alone == longest or positions < enough) and limits.share(method, together) <= 1:
                batches[-1].append(row)
                positions, longest = method.positions(together), alone
                continue
        batches.append([row])
        positions, longest = alone, alone
    return batches
