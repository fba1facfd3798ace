"""From decisions to batches: rows of similar length together, no batch above the budget of positions.

::

    decisions --split--> rows --sort by length, fill up--> batches --method--> log p, put back in order
"""

from __future__ import annotations

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
        joins: Whether two rows may share a batch.
        single: Whether each action is a row of its own.
    """

    name: str
    summary: str
    score: Callable[..., Tensor]
    positions: Callable[[Sequence[EncodedDecision]], int]
    joins: Callable[[EncodedDecision, EncodedDecision], bool] = lambda left, right: True
    single: bool = False


def split(decisions: Sequence[EncodedDecision], method: Method, budget: int) -> list[Row]:
    """One row per decision; a decision above the budget is cut into rows of fewer actions."""
    rows: list[Row] = []
    first = 0
    for decision in decisions:
        actions = len(decision.suffixes)
        rows.extend(Row(part, first + start) for start, part in _parts(decision, 0, actions, method, budget))
        first += actions
    return rows


def _parts(
    decision: EncodedDecision, start: int, stop: int, method: Method, budget: int
) -> list[tuple[int, EncodedDecision]]:
    whole = start == 0 and stop == len(decision.suffixes)
    part = decision if whole else decision.select(start, stop)
    if stop - start == 1 or not (method.single or method.positions([part]) > budget):
        return [(start, part)]
    if method.single:
        return [(action, decision.select(action, action + 1)) for action in range(start, stop)]
    middle = (start + stop) // 2
    return _parts(decision, start, middle, method, budget) + _parts(decision, middle, stop, method, budget)


def plan(rows: Sequence[Row], method: Method, budget: int, enough: int) -> list[list[Row]]:
    """Batches of at most ``budget`` positions, from short rows to long ones.

    Args:
        rows: The rows, in any order.
        method: The method, which says what a batch takes.
        budget: The most positions of a batch; a row above it is a batch of its own.
        enough: Positions from which a batch is large enough to be fast, so that a longer row opens the next one instead
            of padding this one.
    """
    batches: list[list[Row]] = []
    positions, longest = 0, 0
    for row in sorted(rows, key=lambda row: (len(row.encoded.trunk) + len(row.encoded.node_token), row.first)):
        alone = method.positions([row.encoded])
        if batches and method.joins(batches[-1][0].encoded, row.encoded):
            together = method.positions([member.encoded for member in (*batches[-1], row)])
            if together <= budget and (alone == longest or positions < enough):
                batches[-1].append(row)
                positions, longest = together, alone
                continue
        batches.append([row])
        positions, longest = alone, alone
    return batches
