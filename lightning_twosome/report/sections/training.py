"""Curves against environment steps, and where the time went."""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

from lightning_twosome.ledger import axis
from lightning_twosome.report.content import Figure, Level, Missing, Panel, Section, Series, Table, Text
from lightning_twosome.report.estimates import curve, number, thinned
from lightning_twosome.report.groups import Group
from lightning_twosome.report.sections.common import STEPS, counted, intervals, labelled, seeds

# Part of the time and the metric that has it.
_PARTS = (
    ("rollout", "time/rollout_seconds"), ("update", "time/update_seconds"), ("evaluation", "time/evaluation_seconds"),
    ("forgetting check", "forgetting/seconds"),
)  # fmt: skip
_ALWAYS = ("rollout", "update", "evaluation")
_NO_RANGE = (float("-inf"), float("inf"))


def learning_curves(groups: Sequence[Group], x: str = axis.STEPS) -> Section:
    """Return and success, of evaluations and, thin behind them, of training episodes, against ``x``."""
    section = Section("learning-curves", "Learning curves")
    panels = []
    for quantity, title, limits in (("return", "discounted return", _NO_RANGE), ("success", "success", (0.0, 1.0))):
        series = [s for i, group in enumerate(groups) for s in _curves(group, quantity, i, limits, x)]
        if series:
            panels.append(Panel(title, axis.axis_label(x), series, _optimum(groups) if quantity == "return" else ()))
    if not panels:
        section.blocks.append(Missing("No episode has ended yet, so that there is no return to draw."))
        return section
    section.blocks.append(Figure("learning-curve", _caption(groups), panels, data=True))
    by_task = _by_task(groups, x)
    section.blocks += [] if by_task is None else [by_task]
    if not any(group.have("val/return") for group in groups):
        section.blocks.append(
            Missing(
                "Evaluations during training are set by `trainer.check_val_every_n_epoch` and `data.eval_episodes`."
            )
        )
    return section


def _by_task(groups: Sequence[Group], x: str) -> Figure | None:
    """Evaluations of the tasks of a mixture, each in a panel."""
    names = [name for group in groups for run in group.runs for name in run.columns]
    tasks = dict.fromkeys(match[1] for name in names if (match := re.fullmatch(r"val/(.+)/return", name)))
    panels = []
    for task in tasks:
        series = [s for i, group in enumerate(groups) for s in _curves(group, "return", i, _NO_RANGE, x, f"{task}/")]
        panels.append(Panel(f"discounted return, {task}", axis.axis_label(x), series))
    return (
        Figure("learning-curves-by-task", f"The same by task. {seeds(groups)}.", panels, data=True) if panels else None
    )


def _curves(
    group: Group, quantity: str, colour: int, limits: tuple[float, float], x: str, task: str = ""
) -> list[Series]:
    """Evaluations with their intervals, from the measurement before training on, and training as it is logged."""
    made = []
    evaluated, trained = f"val/{task}{quantity}", f"rollout/{task}{quantity}"
    if group.have(evaluated):
        drawn = curve(group.runs, evaluated, None if task else quantity, x)
        low, high = drawn.ends(*limits)
        made.append(Series(labelled(group, "evaluation"), drawn.steps, drawn.y, low, high, colour))
    if group.have(trained):
        drawn = thinned(curve(group.runs, trained, x=x))
        made.append(Series(labelled(group, "training"), drawn.steps, drawn.y, (), (), colour, "faint"))
    return made


def _optimum(groups: Sequence[Group]) -> list[Level]:
    optima = {round(optimum, 6) for group in groups for optimum in group.known("before_and_after", "optimum")}
    return [Level(optimum, "best possible") for optimum in optima]


def _caption(groups: Sequence[Group]) -> str:
    text = f"Learning curves. {seeds(groups)}. "
    if any(group.have("val/return") for group in groups):
        episodes = _settings(groups, "data", "eval_episodes")
        of_one = "95 % percentile bootstrap interval over the episodes"
        if len(episodes) == 1:
            text += f"Evaluations play the same {counted(episodes.pop(), 'episode')} each time with sampled actions. "
        text += f"Bands: {intervals(groups, of_one)}. "
    windows = _settings(groups, "model", "return_window")
    last = f"the last {windows.pop()}" if len(windows) == 1 else "the last"
    text += f"Pale lines: {last} training episodes, of which the first to end are the short ones."
    if any(len({run.env_steps for run in group.runs}) > 1 for group in groups):
        text += " Curves over seeds end where the shortest run ends."
    return text


def exploration(groups: Sequence[Group]) -> Section:
    """Entropy and KL divergence: how much the policy still explores, and how far an iteration moves it."""
    section = Section("exploration", "Entropy and KL divergence")
    quantities = (
        ("policy/entropy", "entropy, nats", True),
        ("policy/effective_actions", "effective actions, exp(entropy)", False),
        ("policy/kl", "KL(old || new), nats", True),
        ("value/explained_variance", "explained variance of the value", False),
    )
    panels = []
    for name, title, from_zero in quantities:
        series = [_band(group, name, i) for i, group in enumerate(groups) if group.have(name)]
        if series:
            levels = _target_kl(groups) if name == "policy/kl" else ()
            panels.append(Panel(title, STEPS, series, levels, from_zero=from_zero))
    if not panels:
        section.blocks.append(Missing("The module of these runs logs neither `policy/entropy` nor `policy/kl`."))
        return section
    caption = (
        f"Policy and critic during training. {seeds(groups)}; means over the optimizer steps of an iteration. "
        "The KL divergence is exact, the sum over all offered actions, from the policy that collected the rollout."
    )
    if any(len(group.runs) > 1 for group in groups):
        caption += f" Bands: {intervals([g for g in groups if len(g.runs) > 1], '')}."
    section.blocks.append(Figure("exploration", caption, panels))
    section.blocks += [Text(_stops(group)) for group in groups if group.have("policy/update_stopped")]
    return section


def _band(group: Group, name: str, colour: int) -> Series:
    drawn = thinned(curve(group.runs, name))
    low, high = drawn.ends()
    return Series(labelled(group), drawn.steps, drawn.y, low, high, colour)


def _target_kl(groups: Sequence[Group]) -> list[Level]:
    return [Level(float(target), "target_kl") for target in sorted(_settings(groups, "model", "target_kl"))]


def _settings(groups: Sequence[Group], part: str, name: str) -> set[Any]:
    """The different values of a setting, without null."""
    return {getattr(run, part).get(name) for group in groups for run in group.runs} - {None}


def _stops(group: Group) -> str:
    iterations = [value for run in group.runs for value in run.columns["policy/update_stopped"].values()]
    start = f"With {group.label}, the" if group.label else "The"
    return (
        f"{start} update stopped early, since its KL divergence passed `target_kl`, in {int(sum(iterations))} of "
        f"{counted(len(iterations), 'iteration')}."
    )


def time(groups: Sequence[Group]) -> Section:
    """Steps a second and the parts of the time."""
    section = Section("time", "Time")
    timed = [group for group in groups if group.have("time/env_steps_per_second")]
    if not timed:
        section.blocks.append(Missing("The module of these runs logs no `time/` metrics."))
        return section
    section.blocks.append(_parts(timed))
    panel = Panel(
        "environment steps a second",
        STEPS,
        [_band(group, "time/env_steps_per_second", i) for i, group in enumerate(timed)],
        from_zero=True,
    )
    caption = f"Speed of rollout and update together, without evaluation. {seeds(timed)}"
    several = [group for group in timed if len(group.runs) > 1]
    section.blocks.append(
        Figure("speed", caption + (f"; bands: {intervals(several, '')}." if several else "."), [panel])
    )
    return section


def _parts(groups: Sequence[Group]) -> Table:
    parts = [part for part in _PARTS if part[0] in _ALWAYS or any(group.have(part[1]) for group in groups)]
    rows = []
    for group in groups:
        seconds = [_mean_total(group, metric) for _, metric in parts]
        wall = [float(value) for value in group.known("before_and_after", "seconds")]
        whole = fmean(wall) if len(wall) == len(group.runs) else None
        rest = None if whole is None else max(0.0, whole - sum(value or 0.0 for value in seconds))
        speeds = [value for run in group.runs for value in run.columns["time/env_steps_per_second"].values()]
        cells = [_seconds(value, whole) for value in (*seconds, rest)]
        rows.append([labelled(group), number(median(speeds), 0), *cells, _seconds(whole, None)])
    several = "; means over runs" if any(len(group.runs) > 1 for group in groups) else ""
    untimed = not any(group.have("time/evaluation_seconds") for group in groups)
    others = "logging, checkpoints and callbacks" + (
        ", and evaluation, which these runs did not time" if untimed else ""
    )
    caption = (
        f"Where the time went, in seconds a run. {seeds(groups)}{several}. Steps a second: median over iterations, "
        f"rollout and update only. The rest is {others}."
    )
    columns = ["run", "steps a second", *(name for name, _ in parts), "rest", "training"]
    return Table("table-time", caption, columns, rows)


def _mean_total(group: Group, metric: str) -> float | None:
    """Mean over runs of a metric's sum, if all of them log it."""
    totals = [run.total(metric) for run in group.runs]
    known = [total for total in totals if total is not None]
    return fmean(known) if len(known) == len(totals) else None


def _seconds(value: float | None, whole: float | None) -> str:
    if value is None:
        return "–"
    return number(value, 1) + (f" ({number(value / whole, 2, percent=True)})" if whole else "")
