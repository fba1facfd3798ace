"""The figures of a study's report: curves against experience, final returns, probabilities of improvement."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib import rc_context
from matplotlib.figure import Figure as Canvas

from lightning_twosome.ledger.axis import STEPS, axis_label
from lightning_twosome.report.content import Figure, Level, Panel, Series
from lightning_twosome.report.drawing import DPI, GRID, INK, MUTED, PALETTE, SETTINGS, write_png
from lightning_twosome.study.cells import slug
from lightning_twosome.study.definition import Study
from lightning_twosome.study.estimates import Estimate, curve

if TYPE_CHECKING:
    from pandas import DataFrame

METRICS = {"val/return": "return", "val/success": "success", "forgetting/mean_loss": "forgotten, mean loss"}
ROW, EDGE, WIDTH = 0.2, 0.9, 3.1  # inches of a method's line, of title and axis together, of a panel


def draw_curves(study: Study, curves: DataFrame, x: str, folder: Path) -> dict[str, Path]:
    """One figure a panel of the study, with a line a method and the reference dashed; returns them by panel.

    Args:
        study: Names the panels.
        curves: Its table of curves.
        x: What they are drawn over.
        folder: Where to write.
    """
    written = {}
    for name, methods in study.panels_of(list(dict.fromkeys(curves.method))).items():
        by_task = [
            [
                Panel(f"{task}: {title}", axis_label(x), series)
                for metric, title in METRICS.items()
                if (series := _series(study, curves[curves.task == task], methods, metric, x))
            ]
            for task in study.tasks
        ]
        panels = [panel for row in by_task for panel in row]
        if panels:
            stem = "curves" if x == STEPS else f"curves-{slug(x)}"
            written[name] = folder / (f"{stem}-{slug(name)}.png" if name else f"{stem}.png")
            write_png(Figure(written[name].stem, "", panels, columns=max(map(len, by_task))), written[name])
    return written


def _series(study: Study, curves: DataFrame, methods: list[str], metric: str, x: str) -> list[Series]:
    made = []
    for colour, method in enumerate(methods):
        found = curve(curves[curves.method == method], metric, x)
        if found is not None:
            look: Any = "dashed" if method == study.reference and len(methods) > 1 else "solid"
            made.append(Series(method, found.x, found.y, found.low, found.high, colour, look))
    return made


def draw_forest(
    estimates: Mapping[str, Mapping[str, Estimate]], label: str, level: Mapping[str, Level], path: Path
) -> Path:
    """One panel a task, one line a method: a point and its interval.

    Args:
        estimates: By task and method.
        label: Of the x axis.
        level: A vertical line of each task, such as its optimum.
        path: File to write.
    """
    names = list(dict.fromkeys(name for of_task in estimates.values() for name in of_task))
    columns = min(2, len(estimates))
    rows = -(-len(estimates) // columns)
    longest = 0.062 * max(map(len, names))
    with rc_context(SETTINGS):
        size = (WIDTH * columns + longest, (ROW * len(names) + EDGE) * rows)
        canvas = Canvas(figsize=size, layout="constrained", facecolor="white")
        places = canvas.subplots(rows, columns, squeeze=False, sharey=True).flat
        for number, axes in enumerate(places):
            if number >= len(estimates):
                axes.set_visible(False)
                continue
            task = list(estimates)[number]
            _forest(axes, estimates[task], names, PALETTE[number % len(PALETTE)])
            title = task
            if task in level:
                axes.axvline(level[task].value, color=MUTED, linestyle=(0, (1, 1.5)), linewidth=1.1)
                title += f"\ndotted: {level[task].label}"
            axes.set_title(title, color=INK)
            axes.set_xlabel(label, color=INK)
        canvas.savefig(path, dpi=DPI)
    return path


def _forest(axes: Any, estimates: Mapping[str, Estimate], names: list[str], colour: str) -> None:
    for place, name in enumerate(names):
        if name in estimates:
            one = estimates[name]
            ends = [[one.value - one.low], [one.high - one.value]]
            style = {"fmt": "o", "capsize": 2, "elinewidth": 1, "markersize": 3.5}
            axes.errorbar([one.value], [place], xerr=ends, color=colour, **style)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_color(MUTED)
    axes.tick_params(colors=MUTED, labelcolor=INK, length=2.5)
