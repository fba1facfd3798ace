"""What the policy does in tasks that it was not trained on, too."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from lightning_twosome.report.content import Missing, Section, Table
from lightning_twosome.report.estimates import Estimate, over_runs
from lightning_twosome.report.groups import Group
from lightning_twosome.report.sections.common import intervals, labelled, seeds

# The file of `test`, and of which policy it is.
FILES = (("generalization_untrained", "before"), ("generalization", "after"))
# Column of the files, its head here, decimals, in per cent; lengths have no interval here, which would say little.
_COLUMNS = (
    ("success", "success", 2, True), ("return", "discounted return", 3, False),
    ("undiscounted_return", "undiscounted return", 2, False), ("length", "decisions", 1, False),
)  # fmt: skip


def generalisation(groups: Sequence[Group]) -> Section:
    """The table of ``test``: task by task, sampled and greedy, before training where that was tested too."""
    section = Section("generalisation", "Generalisation")
    tested = [group for group in groups if _tables(group, FILES[1][0])]
    if not tested:
        command = "`lightning-twosome test --config RUN/config.yaml --ckpt_path RUN/checkpoints/best.ckpt`"
        section.blocks.append(Missing(f"This table is written by {command}, with `data.test_tasks` for other tasks."))
        return section
    rows: list[list[str]] = []
    for group in tested:
        rows += [[group.label]] if group.label else []
        rows += _rows(group)
    caption = (
        f"Figures of `lightning-twosome test`, by task and choice of action. {seeds(tested)}; means with the "
        f"{intervals(tested, '95 % percentile bootstrap interval over episodes')}."
    )
    columns = ["task", "policy", "episodes", *(head for _, head, _, _ in _COLUMNS)]
    section.blocks.append(Table("table-generalisation", caption, columns, rows))
    if any(len(_tables(group, FILES[1][0])) < len(group.runs) for group in groups):
        section.blocks.append(Missing(f"Not all runs were tested; those that were: {_names(tested)}."))
    return section


def _tables(group: Group, name: str) -> list[dict[tuple[str, str], dict[str, str]]]:
    """For each run that has it, the file's lines by task and choice of action."""
    tables = [run.tables[name] for run in group.runs if name in run.tables]
    return [{(row["task"], row["actions"]): row for row in table} for table in tables]


def _names(groups: Sequence[Group]) -> str:
    return ", ".join(run.name for group in groups for run in group.runs if FILES[1][0] in run.tables)


def _rows(group: Group) -> list[list[str]]:
    """Task by task, the policies of both files below each other, where all tested runs have the line."""
    found = {when: _tables(group, name) for name, when in FILES}
    lines = dict.fromkeys(line for tables in found.values() for table in tables for line in table)
    rows = []
    for task, actions in lines:
        for when, tables in found.items():
            same = [table[task, actions] for table in tables if (task, actions) in table]
            if same:
                cells = [_cell(same, column, decimals, percent) for column, _, decimals, percent in _COLUMNS]
                episodes = str(sum(int(row["episodes"]) for row in same))
                rows.append([task or labelled(group), f"{when}, {actions}", episodes, *cells])
    return rows


def _cell(rows: Sequence[dict[str, str]], column: str, decimals: int, percent: bool) -> str:
    if not all(row.get(column) for row in rows):
        return "–"
    means = [float(row[column]) for row in rows]
    if column == "length":
        return Estimate(fmean(means)).text(decimals)
    if len(rows) > 1:
        estimate = over_runs(means)
        assert estimate.low is not None and estimate.high is not None
        limits = (max(0.0, estimate.low), min(1.0, estimate.high)) if percent else (estimate.low, estimate.high)
        return Estimate(fmean(means), *limits).text(decimals, percent)
    low, high = (rows[0].get(f"{column}_{end}") for end in ("low", "high"))
    known = (float(low), float(high)) if low and high else (None, None)
    return Estimate(means[0], *known).text(decimals, percent)
