"""What the language model has lost of what it knew."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from lightning_twosome.report.content import Figure, Level, Missing, Panel, Section, Series, Table
from lightning_twosome.report.estimates import Estimate, number, over_runs
from lightning_twosome.report.groups import Group
from lightning_twosome.report.sections.common import STEPS, intervals, labelled, seeds

FILE = "forgetting"
CALLBACK = "The forgetting table is written by the callback `ForgettingCheck`."


def forgetting(groups: Sequence[Group]) -> Section:
    """The paired table of lm-eval's tasks, adapter off against on, and the loss over the run."""
    section = Section("forgetting", "Forgetting")
    checked = [group for group in groups if group.known(FILE, "tasks")]
    if not checked:
        section.blocks.append(Missing(CALLBACK))
        return section
    rows: list[list[str]] = []
    strong: list[int] = []
    for group in checked:
        rows += _rows(group)
        strong.append(len(rows) - 1)
    columns = ["task", "documents", "adapter off", "adapter on", "loss [95 %]", "verdict"]
    section.blocks.append(Table("table-forgetting", _caption(checked), columns, rows, strong=strong))
    series = [s for i, group in enumerate(checked) if (s := _history(group, i)) is not None]
    if series:
        panel = Panel("mean loss over the tasks", STEPS, series, [Level(0.0, "nothing forgotten")])
        caption = (
            f"What is forgotten during training. {seeds(checked)}; bands: "
            f"{intervals(checked, '95 % percentile bootstrap interval over documents')}."
        )
        section.blocks.append(Figure("forgetting", caption, [panel], data=True))
    return section


def _caption(groups: Sequence[Group]) -> str:
    return (
        "Zero-shot scores of the language model with its adapter off and on, after training. The loss is the paired "
        "difference on the same documents: accuracy lost, or for a perplexity the logarithm of the quotient; above 0 "
        f"something was forgotten. {seeds(groups)}. Scores with their standard errors; the loss with the "
        f"{intervals(groups, '95 % percentile bootstrap interval over documents')}."
    )


def _rows(group: Group) -> list[list[str]]:
    results = group.known(FILE)
    rows = []
    for first in results[0]["tasks"]:
        tasks = [task for result in results for task in result["tasks"] if task["task"] == first["task"]]
        name = first["task"] if first["metric"].startswith("acc") else f"{first['task']} ({first['metric']})"
        loss = _loss([task["loss"] for task in tasks], first["loss_low"], first["loss_high"])
        scores = [_score(tasks, part) for part in ("off", "on")]
        rows.append([labelled(group, name), str(first["documents"]), *scores, loss.text(), _verdict(loss)])
    losses = [result["mean_loss"] for result in results]
    loss = _loss(losses, results[0]["mean_loss_low"], results[0]["mean_loss_high"])
    return [*rows, [labelled(group, "mean over tasks"), "", "", "", loss.text(), _verdict(loss)]]


def _loss(values: Sequence[float], low: float, high: float) -> Estimate:
    return over_runs(values) if len(values) > 1 else Estimate(values[0], low, high)


def _score(tasks: Sequence[dict[str, Any]], part: str) -> str:
    error = tasks[0][f"{part}_stderr"]
    known = len(tasks) == 1 and error is not None and math.isfinite(error)
    return number(fmean(task[part] for task in tasks)) + (f" ± {number(error)}" if known else "")


def _verdict(loss: Estimate) -> str:
    if loss.low is None or loss.high is None:
        return ""
    return "worse" if loss.low > 0 else "better" if loss.high < 0 else "\N{EN DASH}"


def _history(group: Group, colour: int) -> Series | None:
    """The mean loss by environment step, where all runs were checked."""
    checks = [{float(check["env_steps"]): check for check in result.get("checks", [])} for result in group.known(FILE)]
    steps = sorted(set.intersection(*(set(run) for run in checks)))
    if len(steps) < 2:
        return None
    parts = [[run[step] for run in checks] for step in steps]
    losses = [
        _loss([c["mean_loss"] for c in part], part[0]["mean_loss_low"], part[0]["mean_loss_high"]) for part in parts
    ]
    low = [loss.mean if loss.low is None else loss.low for loss in losses]
    high = [loss.mean if loss.high is None else loss.high for loss in losses]
    return Series(labelled(group), steps, [loss.mean for loss in losses], low, high, colour)
