"""``lightning-twosome report RUN...``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser

from lightning_twosome.errors import UserError
from lightning_twosome.ledger.axis import STEPS, check_axis
from lightning_twosome.report.drawing import write_png
from lightning_twosome.report.groups import group_runs
from lightning_twosome.report.page import render, write_page
from lightning_twosome.report.runs import Run, load_runs
from lightning_twosome.report.sections import all_sections
from lightning_twosome.report.sections.common import counted


def report_command(arguments: list[str]) -> int:
    """Run ``lightning-twosome report``; returns the exit code."""
    parser = ArgumentParser(
        prog="lightning-twosome report", description="Make a report of one or several runs.", exit_on_error=False
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="Folder of a run.")
    parser.add_function_arguments(report, skip={"runs"})
    options = parser.parse_args(arguments)
    options.pop("config", None)
    report(**options.as_dict())
    return 0


def report(
    runs: list[str],
    output: str | None = None,
    format: Literal["html", "png"] = "html",
    title: str | None = None,
    x: str = STEPS,
) -> list[Path]:
    """Write a report of runs of one task: a page, or its figures alone.

    Args:
        runs: The runs' folders. Those that differ in the seed alone are averaged, others drawn beside each other.
        output: The page, or for figures their folder; by default report.html or figures/ in the run's folder, or in the
            one that all runs lie in.
        format: "html": one page that needs no network; "png": the figures alone, 300 dpi, on white.
        title: Heading of the page; by default the task.
        x: What learning curves are drawn against: env_steps, or a total of the ledger, such as ledger/flops.

    Returns:
        What was written.

    Raises:
        UserError: A run is missing or has no metrics, the runs are of different tasks, ``output`` is a folder where
            it must be a file, or the other way round, or ``x`` is no such column or one that a run has not logged.
    """
    check_axis(x, "x")
    loaded = load_runs(runs)
    without = next((run for run in loaded if x != STEPS and x not in run.columns), None)
    if without is not None:
        raise UserError(f"{str(without.folder)!r} has not logged {x}: draw its curves against {STEPS}.")
    target = (
        Path(output) if output is not None else _common(loaded) / ("report.html" if format == "html" else "figures")
    )
    if target.exists() and target.is_dir() == (format == "html"):
        wanted, found = ("a file", "a folder") if format == "html" else ("a folder", "a file")
        raise UserError(f"output={str(target)!r} is {found}; with format={format!r} name {wanted}.")
    groups = group_runs(loaded)
    sections = all_sections(groups, x)
    if format == "png":
        written = [target / f"{figure.name}.png" for section in sections for figure in section.figures()]
        target.mkdir(parents=True, exist_ok=True)
        for path, figure in zip(written, (figure for section in sections for figure in section.figures()), strict=True):
            write_png(figure, path)
    else:
        written = [target]
        write_page(target, render(title or loaded[0].task or loaded[0].name, _subtitle(loaded, len(groups)), sections))
    for path in written:
        print(f"Wrote {path}")
    return written


def _common(runs: list[Run]) -> Path:
    """The run's folder, or the deepest one that all runs lie in."""
    if len(runs) == 1:
        return runs[0].folder
    common = Path(os.path.commonpath([run.folder.resolve() for run in runs]))
    return common.relative_to(Path.cwd()) if common.is_relative_to(Path.cwd()) else common


def _subtitle(runs: list[Run], groups: int) -> str:
    model = runs[0].model.get("language_model")
    name = model.get("name") if isinstance(model, dict) else model
    parts = [counted(len(runs), "run"), *([counted(groups, "setting")] if groups > 1 else [])]
    steps = max(run.env_steps for run in runs)
    parts.append(
        counted(steps, "environment step") + (" each" if len({run.env_steps for run in runs}) == 1 < len(runs) else "")
    )
    return ", ".join(parts) + (f"; language model: {name}" if name else "") + "."
