"""What several sections say in the same words."""

from __future__ import annotations

from collections.abc import Sequence

from lightning_twosome.report.groups import Group

STEPS = "environment steps"


def counted(count: int, noun: str) -> str:
    """1 run, 2 runs."""
    return f"{count:,} {noun}".replace(",", "\N{NARROW NO-BREAK SPACE}") + "s" * (count != 1)


def labelled(group: Group, quantity: str = "") -> str:
    """What a line or row of a group is called; the quantity alone where there is one group."""
    alone = f"mean of {len(group.runs)} seeds" if len(group.runs) > 1 else "this run"
    return ", ".join(part for part in (group.label, quantity) if part) or alone


def seeds(groups: Sequence[Group]) -> str:
    """How many runs are shown, for captions."""
    counts = {len(group.runs) for group in groups}
    if counts == {1}:
        return "One run" + (" of each setting" if len(groups) > 1 else "")
    if len(counts) == 1:
        return f"{counted(counts.pop(), 'seed')}" + (" of each setting" if len(groups) > 1 else "")
    return "; ".join(f"{group.label}: {counted(len(group.runs), 'seed')}" for group in groups)


def intervals(groups: Sequence[Group], of_one: str) -> str:
    """What the intervals are, for captions.

    Args:
        groups: The groups that are shown.
        of_one: What they are for a single run.
    """
    several = "95 % Student's t interval of the mean over seeds"
    kinds = {len(group.runs) > 1 for group in groups}
    if kinds == {True}:
        return several
    if kinds == {False}:
        return of_one
    return f"{several}; for a single run, {of_one}"
