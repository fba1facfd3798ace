"""``report.md`` of a study: a table for each task, one across tasks, and the figures, each with its command."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_twosome.errors import UserError
from lightning_twosome.ledger.axis import axis_label, check_axis
from lightning_twosome.report.content import Level
from lightning_twosome.statistics import TimeToEvent
from lightning_twosome.study.cells import Cell
from lightning_twosome.study.definition import Study
from lightning_twosome.study.estimates import Estimate, MethodEstimates, estimate_costs, estimate_task, normalised
from lightning_twosome.study.figures import draw_curves, draw_forest
from lightning_twosome.study.tables import curves, results, without_curves

if TYPE_CHECKING:
    from pandas import DataFrame


def write_report(study: Study, cells: list[Cell], command: str, x: str) -> list[Path]:
    """Write the report of what is finished.

    Args:
        study: The study.
        cells: All of its cells.
        command: The command line that writes it.
        x: What the curves are drawn over.

    Returns:
        The files, report.md first.

    Raises:
        UserError: Nothing is finished, or ``x`` is nothing that rises through a run.
    """
    check_axis(x, "--x")
    table = results(study, cells)
    if table.empty:
        raise UserError(f"No cell of the study {study.name!r} is finished: run it without --report first.")
    folder = Path(str(study.output))
    column = study.threshold.metric.removeprefix("val/")
    estimates = {
        task: estimate_task(table, task, str(study.reference), (column, study.threshold.value))
        for task in study.tasks
        if (table.task == task).any()
    }
    points = curves(study, cells)
    left_out = without_curves(table, points)
    points = points.loc[[place not in left_out for place in zip(points.task, points.method, strict=True)]]
    drawn = draw_curves(study, points, x, folder)
    forests = _forests(study, estimates, folder)
    lines = [f"# {study.name}", "", *_introduction(study, cells, column), *_left_out(left_out)]
    for task, methods in estimates.items():
        lines += [f"## {task}", "", *_task_table(methods, study), "", *_command(command)]
        lines += _forgotten(table[table.task == task], command)
    lines += _across(study, table, command)
    lines += _costs(study, table, command)
    for name, file in drawn.items():
        title = f"Evaluations over {axis_label(x)}" + (f": {name}" if name else "")
        lines += [f"## {title}", "", f"![{title}]({file.name})", "", *_command(command)]
    for title, file in forests.items():
        lines += [f"## {title}", "", f"![{title}]({file.name})", "", *_command(command)]
    text = folder / "report.md"
    text.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return [text, *drawn.values(), *forests.values()]


def _introduction(study: Study, cells: list[Cell], column: str) -> list[str]:
    done = [cell for cell in cells if cell.done]
    lines = [
        f"{len(done)} of {len(cells)} cells are finished. Returns are discounted, of the sampled policy, from "
        f"{study.evaluation.episodes} episodes a seed after training. IQM: interquartile mean over seeds. Regret: what "
        "the mean lacks to the best possible return. Intervals "
        f"are 95 % percentile bootstrap intervals over seeds, stratified over tasks. Solved: seeds whose final "
        f"{column} is at least {study.threshold.value:g}. Steps: environment steps until an evaluation during training "
        "reached it, median by Kaplan and Meier's estimate and mean up to the longest run; seeds that never did are "
        "censored, and + stands before the steps of what a method starts from. "
        f"Better: probability that a seed has a higher return than one of {study.reference}.",
        "",
    ]
    missing = [cell.label for cell in cells if not cell.done]
    if missing:
        shown = "; ".join(missing[:10]) + (f"; and {len(missing) - 10} more" if len(missing) > 10 else "")
        lines += [f"Not finished: {shown}.", ""]
    return lines


def _left_out(without: list[tuple[str, str]]) -> list[str]:
    tasks = dict.fromkeys(task for task, _ in without)
    names = "; ".join(f"{task} / {', '.join(method for one, method in without if one == task)}" for task in tasks)
    return [f"Taken from tables without curves, and so without a line in their figures: {names}.", ""] if names else []


def _task_table(methods: dict[str, MethodEstimates], study: Study) -> list[str]:
    columns = ["method", "seeds", "return, mean", "return, IQM", "success", "greedy return", "greedy success", "solved"]
    regret = any("optimum" in one.figures for one in methods.values())
    columns[4:4] = ["regret"] if regret else []
    columns += ["steps, median", "steps, mean", "perplexity before, after"]
    forgetting = any("forgetting/mean_loss" in one.figures for one in methods.values())
    columns += ["forgotten", "better"] if forgetting else ["better"]
    rows = []
    for name, one in methods.items():
        get = one.figures.get
        row = [name, str(one.seeds), *(_estimate(part, one.seeds) for part in (one.mean, one.iqm))]
        row += [_number(None if (best := get("optimum")) is None else best - one.mean.value)] if regret else []
        row += [_percent(get("success")), _number(get("greedy_return")), _percent(get("greedy_success"))]
        row += ["" if one.solved is None else f"{one.solved}/{one.seeds}", *_steps(one.steps, one.steps_before)]
        before = get("before/perplexity")
        known = before is not None and one.perplexity is not None
        row.append(f"{before:.2f}, {_estimate(one.perplexity, one.seeds, 2)}" if known else "")
        row += [_number(get("forgetting/mean_loss"))] if forgetting else []
        row.append("reference" if name == study.reference else _estimate(one.better, one.seeds, 2))
        rows.append(row)
    return markdown_table(columns, rows)


def _forgotten(rows: DataFrame, command: str) -> list[str]:
    """What each method lacks at the end, by task of the forgetting suite, where it was run."""
    names = [match[1] for column in rows if (match := re.fullmatch(r"forgetting/(.+)/loss", column))]
    losses = {name: f"forgetting/{name}/loss" for name in names} | {"mean": "forgetting/mean_loss"}
    measured = rows.dropna(axis=0, subset=list(losses.values())) if names else rows.iloc[:0]
    if measured.empty:
        return []
    before = ["without adapter", "", *(_number(measured[f"forgetting/{name}/off"].mean()) for name in names), ""]
    table = [
        [
            str(method),
            str(len(group)),
            *(_estimate(Estimate.mean(group[one].tolist()), len(group)) for one in losses.values()),
        ]
        for method, group in measured.groupby("method", sort=False)
    ]
    text = "Loss on the tasks of the forgetting suite after training, means over seeds; above 0 is forgotten."
    return [text, "", *markdown_table(["method", "seeds", *losses], [before, *table]), "", *_command(command)]


def _across(study: Study, table: DataFrame, command: str) -> list[str]:
    """Normalised scores of the methods that all tasks with known bounds have."""
    scores = {name: task.scores for name, task in study.tasks.items() if task.scores and (table.task == name).any()}
    if len(scores) < 2:
        return []
    methods = normalised(table, {name: bounds for name, bounds in scores.items() if bounds is not None})
    other = methods.get(str(study.reference))
    rows = []
    for name, values in methods.items():
        better = None if other is None or name == study.reference else Estimate.improvement(values, other)
        cell = "reference" if name == study.reference else _interval(better, 2)
        rows.append([name, str(sum(map(len, values))), _interval(Estimate.interquartile(values)), cell])
    text = "Scores are (return - random) / (optimum - random); runs weigh alike in the IQM, tasks in the probability."
    missing = [name for name in study.methods if name not in methods and (table.method == name).any()]
    text += f" Not run on all of these tasks: {'; '.join(missing)}." if missing else ""
    return ["## Across tasks", "", text, "", *markdown_table(["method", "runs", "score, IQM", "better"], rows), "", *_command(command)]  # fmt: skip # noqa: E501


def _costs(study: Study, table: DataFrame, command: str) -> list[str]:
    """What training takes, where the ledger has it."""
    rows = [
        [
            task,
            name,
            f"{cost.steps:.0f}",
            _scaled(cost.flops, 1e12),
            f"{cost.saved:.1%}" if cost.saved else "",
            _scaled(cost.seconds, 1),
        ]
        for task in study.tasks
        for name, cost in estimate_costs(table, task).items()
    ]
    if not rows:
        return []
    text = (
        "Of the training, means over seeds. Saved: share of the plain loop's operations that were not spent "
        "(docs/ledger.md). Seconds are of the machines as they were, and say little where others used them too."
    )
    columns = ["task", "method", "environment steps", "TFLOP", "saved", "seconds"]
    return ["## Cost", "", text, "", *markdown_table(columns, rows), "", *_command(command)]


def _scaled(estimate: Estimate, unit: float) -> str:
    """Three digits that count."""
    parts = (part / unit for part in (estimate.value, estimate.low, estimate.high))
    value, low, high = (f"{part:.0f}" if part >= 1000 else f"{part:.3g}" for part in parts)
    return f"{value} [{low}, {high}]"


def _forests(study: Study, estimates: dict[str, dict[str, MethodEstimates]], folder: Path) -> dict[str, Path]:
    optima = {
        task: Level(best, f"optimum {best:.3f}")
        for task, methods in estimates.items()
        if (best := max(one.figures.get("optimum", -math.inf) for one in methods.values())) > -math.inf
    }
    returns = {task: {name: one.iqm for name, one in methods.items()} for task, methods in estimates.items()}
    made = {"Final returns": draw_forest(returns, "return, IQM and 95 % interval", optima, folder / "returns.png")}
    better = {
        task: {name: one.better for name, one in methods.items() if one.better is not None}
        for task, methods in estimates.items()
    }
    better = {task: methods for task, methods in better.items() if methods}
    if better:
        label = f"P(higher return than {study.reference})"
        even = {task: Level(0.5, "as good") for task in better}
        made["Probability of improvement"] = draw_forest(better, label, even, folder / "improvement.png")
    return made


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table, without the columns that no row fills."""
    kept = [place for place in range(len(columns)) if any(row[place] for row in rows)]
    table = [columns, ["---"] * len(columns), *rows]
    return [f"| {' | '.join(row[place].replace('|', chr(92) + '|') for place in kept)} |" for row in table]


def _command(command: str) -> list[str]:
    return ["```bash", command, "```", ""]


def _estimate(estimate: Estimate | None, seeds: int, digits: int = 3) -> str:
    """With its interval over seeds, where there are several."""
    text = _interval(estimate, digits)
    return text if seeds > 1 else text.partition(" ")[0]


def _interval(estimate: Estimate | None, digits: int = 3) -> str:
    if estimate is None:
        return ""
    value, low, high = (f"{part:z.{digits}f}" for part in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]"


def _steps(steps: TimeToEvent | None, before: float) -> list[str]:
    """Median, and mean with its interval over seeds, where there are several."""
    if steps is None:
        return ["", ""]
    censored = f" ({steps.censored} censored)" if steps.censored else ""
    bound = "≥ " if steps.lower_bound else ""
    low, high = steps.interval
    interval = f" [{low:.0f}, {high:.0f}]" if steps.reached + steps.censored > 1 else ""
    median = f"> {steps.horizon:.0f}" if steps.median is None else f"{steps.median:.0f}"
    own = [median + censored, f"{bound}{steps.restricted_mean:.0f}{interval}"]
    return [f"{text} + {before:.0f}" if before else text for text in own]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:z.3f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"
