"""What the normalisation does: how an action's probability depends on its length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lightning_twosome.report.content import Figure, Level, Missing, Panel, Section, Series
from lightning_twosome.report.estimates import Estimate, over_runs
from lightning_twosome.report.groups import Group
from lightning_twosome.report.sections.common import counted, intervals, labelled, seeds

FILE = "action_lengths"
FEWEST = 3  # decisions that offer actions of a length; the mean over fewer says little
FAIR = (Level(1.0, "1: the share of a fair die"),)
COUNTS = (("words", "words of the action"), ("tokens", "tokens of the action"))


def action_lengths(groups: Sequence[Group]) -> Section:
    """The policy by length before and after training, and each normalisation of the untrained scores."""
    section = Section("action-lengths", "Normalisation and action length")
    measured = [group for group in groups if group.known(FILE, "after")]
    if not measured:
        text = "Probabilities by action length are written by the callback `ActionLengths`."
        section.blocks.append(Missing(text))
        return section
    policy = [
        Panel("share of the actions", title, _policy(measured, count), FAIR, points=True, from_zero=True)
        for count, title in COUNTS
    ]
    section.blocks.append(Figure("action-lengths", _caption(measured), policy, data=True))
    first = measured[0]
    prior = [
        Panel("share of the actions", title, _normalizations(first, count), FAIR, points=True, from_zero=True)
        for count, title in COUNTS
    ]
    caption = (
        "What each normalisation makes of the untrained language model's scores of the same decisions, at inverse "
        f"temperature 1. {seeds([first])}; bars as before. A falling line prefers short actions, a rising one "
        "long ones."
    )
    section.blocks.append(Figure("normalizations", caption, prior, data=True))
    return section


def _caption(groups: Sequence[Group]) -> str:
    decisions = max(group.known(FILE, "decisions")[0] for group in groups)
    policies = [
        f"{group.known(FILE, 'normalization')[0]} with beta {over_runs(group.known(FILE, 'after', 'beta')).mean:.3g}"
        for group in groups
    ]
    used = ", ".join(dict.fromkeys(policies))
    return (
        "Probability by action length, before and after training: probability times the number of actions offered, "
        f"averaged over the {counted(decisions, 'decision')} that a uniform random policy meets; lengths that "
        f"fewer than {FEWEST} of them offer are left out. "
        f"Normalisation: {used}. {seeds(groups)}; bars: "
        f"{intervals(groups, '95 % percentile bootstrap interval over decisions')}."
    )


def _policy(groups: Sequence[Group], count: str) -> list[Series]:
    made = []
    for index, group in enumerate(groups):
        for part, look in (("before", "dashed"), ("after", "solid")):
            rows = group.known(FILE, part, "policy", count)
            made.append(_series(rows, labelled(group, part), index, look))
    return made


def _normalizations(group: Group, count: str) -> list[Series]:
    names = list(group.known(FILE, "before", "normalizations")[0])
    parts = [(name, group.known(FILE, "before", "normalizations", name, count)) for name in names]
    return [_series(rows, name, index, "solid") for index, (name, rows) in enumerate(parts)]


def _series(runs: Sequence[Sequence[dict[str, Any]]], label: str, colour: int, look: Any) -> Series:
    """Shares by length: of one run with its own intervals, of several as their mean."""
    columns = [{row["length"]: row for row in rows if row["decisions"] >= FEWEST} for rows in runs]
    lengths = sorted(set.intersection(*(set(column) for column in columns)))
    estimates = [_estimate([column[length] for column in columns]) for length in lengths]
    low = [max(0.0, estimate.low or 0.0) for estimate in estimates]
    high = [estimate.mean if estimate.high is None else estimate.high for estimate in estimates]
    return Series(label, lengths, [estimate.mean for estimate in estimates], low, high, colour, look)


def _estimate(rows: Sequence[dict[str, Any]]) -> Estimate:
    if len(rows) > 1:
        return over_runs([row["share"] for row in rows])
    return Estimate(rows[0]["share"], rows[0]["low"], rows[0]["high"])
