"""The settings of the runs: which ones differ, which are shared, and the files themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lightning_twosome.report.content import Listing, Missing, Section, Table
from lightning_twosome.report.estimates import number
from lightning_twosome.report.groups import Group, value_text


def configuration(groups: Sequence[Group]) -> Section:
    """Tables of the runs, of what distinguishes them and of what they share, and each group's ``config.yaml``."""
    section = Section("configuration", "Configuration")
    section.blocks.append(_runs(groups))
    known = [group for group in groups if group.settings]
    if len(known) < len(groups):
        section.blocks.append(
            Missing("`config.yaml`, with every setting and the seed, is written by `lightning-twosome fit`.")
        )
    if not known:
        return section
    if len(known) > 1:
        section.blocks.append(_differences(known))
    shared = {name: value for name, value in known[0].settings.items() if name not in known[0].differing}
    for part, title in (("model", "module"), ("data", "data module"), ("trainer", "Trainer")):
        rows = [
            [name.removeprefix(f"{part}."), value_text(value)]
            for name, value in shared.items()
            if name.startswith(part) and value is not None
        ]
        if rows:
            caption = f"Settings of the {title}" + (" that all runs share." if len(groups) > 1 else ".")
            section.blocks.append(Table(f"table-{part}", caption, ["setting", "value"], rows, numeric=False))
    for group in known:
        file = group.runs[0].folder / "config.yaml"
        title = "config.yaml" + (f" of {group.runs[0].name}" if len(groups) > 1 or len(group.runs) > 1 else "")
        section.blocks.append(Listing(title, Path(file).read_text(encoding="utf-8")))
    return section


def _runs(groups: Sequence[Group]) -> Table:
    rows = []
    for group in groups:
        rows += [[group.label]] if group.label else []
        for run in group.runs:
            iterations = len(
                next((run.columns[name] for name in ("loss/total", "env_steps") if name in run.columns), {})
            )
            cells = [run.name, "–" if run.seed is None else str(run.seed)]
            rows.append([*cells, number(run.env_steps, 0), str(iterations) if iterations else "–"])
    columns = ["run", "seed", "environment steps", "iterations"]
    caption = f"The runs of this report, of {groups[0].runs[0].task or 'an environment that no config names'}."
    return Table("table-runs", caption, columns, rows)


def _differences(groups: Sequence[Group]) -> Table:
    names = list(groups[0].differing)
    rows = [[name, *(_value(group, name) for group in groups)] for name in names]
    caption = "Settings in which the runs differ, apart from the seed."
    return Table("table-differences", caption, ["setting", *(group.label for group in groups)], rows, numeric=False)


def _value(group: Group, name: str) -> str:
    value = group.differing.get(name)
    return "–" if value is None else value_text(value)
