"""The generalisation table: what a policy reaches in each of several tasks, from the episodes of one run or more.

::

    test --> RUN/generalization_episodes.csv     one line an episode
             RUN/generalization.csv, .md         one line a task, sampled and greedy
    lightning-twosome generalization RUN...      the same table over several runs (seeds)

Intervals are 95 % percentile bootstrap intervals. With several runs the mean is that of the runs' means, and episodes
are resampled within each run: the interval says how well these runs are known. The interquartile mean over runs has an
interval that resamples the runs: it says what another seed would do.
"""

from __future__ import annotations

import csv
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from lightning_twosome.errors import UserError
from lightning_twosome.statistics import interquartile_interval, interquartile_mean, stratified_interval

if TYPE_CHECKING:
    from lightning_twosome.rollout import Episode

NAME = "generalization"
ALL_TASKS = "all tasks"
PERCENT, THREE, TWO, ONE = "{:z.0%}".format, "{:z.3f}".format, "{:z.2f}".format, "{:z.1f}".format
# In the table's order: column of the files, heading, how a figure is written.
QUANTITIES: dict[str, tuple[str, Callable[[float], str]]] = {
    "success": ("success", PERCENT),
    "return": ("discounted return", THREE),
    "undiscounted_return": ("undiscounted return", TWO),
    "length": ("length", ONE),
}


@dataclass(frozen=True)
class Record:
    """One test episode.

    Attributes:
        task: Name of its task.
        actions: "sampled" or "greedy".
        seed: Seed of its reset.
        figures: By name, those of ``QUANTITIES`` that are known.
    """

    task: str
    actions: str
    seed: int
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Figure:
    """A mean with its interval, and over several runs the interquartile mean with its own.

    Attributes:
        mean: Mean over runs of the mean over episodes.
        low: Lower end of its 95 % interval; ``None`` where there is but one episode of each task and run.
        high: Upper end.
        iqm: Interquartile mean over runs; ``None`` for one run, like its interval.
        iqm_low: Lower end of its 95 % interval.
        iqm_high: Upper end.
    """

    mean: float
    low: float | None = None
    high: float | None = None
    iqm: float | None = None
    iqm_low: float | None = None
    iqm_high: float | None = None


@dataclass(frozen=True)
class Line:
    """A line of the table.

    Attributes:
        task: Name of the task, or ``ALL_TASKS``.
        actions: "sampled" or "greedy".
        runs: Number of runs.
        episodes: Episodes of all runs together.
        figures: By name, those that the task's episodes report.
    """

    task: str
    actions: str
    runs: int
    episodes: int
    figures: Mapping[str, Figure]


def records_of(evaluated: Mapping[bool, Sequence[Episode]]) -> list[Record]:
    """The episodes of a test, by whether they were greedy, as they are kept."""
    records = []
    for greedy, episodes in sorted(evaluated.items()):
        for episode in episodes:
            figures = {
                "return": episode.discounted_return,
                "undiscounted_return": episode.undiscounted_return,
                "length": float(episode.length),
            }
            if episode.success is not None:
                figures["success"] = float(episode.success)
            records.append(Record(episode.task or "", "greedy" if greedy else "sampled", episode.seed, figures))
    return records


def summary_lines(runs: Sequence[Sequence[Record]]) -> list[Line]:
    """The lines of the table: each task sampled and greedy, in the order of the records, then all tasks together.

    Args:
        runs: The episodes of each run, which have the same tasks.
    """
    keys = list(dict.fromkeys((record.task, record.actions) for record in runs[0]))
    tasks, kinds = dict.fromkeys(task for task, _ in keys), dict.fromkeys(actions for _, actions in keys)
    lines = [_line(task, actions, {task}, runs) for task in tasks for actions in kinds if (task, actions) in keys]
    if len(tasks) > 1:
        lines += [_line(ALL_TASKS, actions, set(tasks), runs) for actions in kinds]
    return lines


def _line(name: str, actions: str, tasks: set[str], runs: Sequence[Sequence[Record]]) -> Line:
    chosen = [[record for record in run if record.actions == actions and record.task in tasks] for run in runs]
    figures = {}
    for quantity in QUANTITIES:
        values = [[_values(run, task, quantity) for run in chosen] for task in sorted(tasks)]
        if all(stratum for strata in values for stratum in strata):
            figures[quantity] = _figure(values)
    return Line(name, actions, len(runs), sum(map(len, chosen)), figures)


def _values(records: Iterable[Record], task: str, quantity: str) -> list[float]:
    return [record.figures[quantity] for record in records if record.task == task and quantity in record.figures]


def _figure(values: list[list[list[float]]]) -> Figure:
    """Of ``values[task][run][episode]``."""
    scores = [[float(np.mean(episodes)) for episodes in runs] for runs in values]
    strata = [episodes for runs in values for episodes in runs]
    several = any(len(stratum) > 1 for stratum in strata)
    low, high = stratified_interval(strata) if several else (None, None)
    mean = float(np.mean(scores))
    if len(scores[0]) == 1:
        return Figure(mean, low, high)
    return Figure(mean, low, high, interquartile_mean(np.concatenate(scores)), *interquartile_interval(scores))


# Files


def write_records(path: Path, records: Sequence[Record]) -> None:
    """One line an episode."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["task", "actions", "seed", *QUANTITIES])
        writer.writeheader()
        for record in records:
            writer.writerow({"task": record.task, "actions": record.actions, "seed": record.seed, **record.figures})


def read_records(run: Path) -> list[Record]:
    """The test episodes of a run.

    Args:
        run: Its folder, or the file itself.

    Raises:
        UserError: There are none, or the file is another one.
    """
    path = run / f"{NAME}_episodes.csv" if run.is_dir() else run
    if not path.is_file():
        raise UserError(f"{str(run)!r} has no test episodes ({path.name}): run lightning-twosome test on it first.")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    try:
        records = [
            Record(
                row["task"],
                row["actions"],
                int(row["seed"]),
                {name: float(row[name]) for name in QUANTITIES if row[name]},
            )
            for row in rows
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{str(path)!r} is no file of test episodes: name the run's folder, or its generalization_episodes.csv."
        ) from error
    if not records:
        raise UserError(f"{str(path)!r} holds no episode: run lightning-twosome test again.")
    return records


def combine(runs: Sequence[Path]) -> list[Line]:
    """The table over several runs.

    Raises:
        UserError: Two runs have different tasks, or one is named twice, which would make its interval too narrow.
    """
    folders = [run.resolve() for run in runs]
    twice = next((run for number, run in enumerate(runs) if folders[number] in folders[:number]), None)
    if twice is not None:
        raise UserError(f"{str(twice)!r} is named twice; name every run once.")
    records = [read_records(run) for run in runs]
    played = [{(record.task, record.actions) for record in run} for run in records]
    for run, own in zip(runs, played, strict=True):
        if own != played[0]:
            task, actions = sorted(own ^ played[0])[0]
            raise UserError(
                f"{str(runs[0])!r} and {str(run)!r} differ in their {actions} episodes of {task!r}: test both with the "
                "same data.test_tasks and data.eval_greedy_episodes."
            )
    return summary_lines(records)


def write_csv(path: Path, lines: Sequence[Line]) -> None:
    """One line a task, sampled and greedy; each quantity with its interval in columns of its own."""
    parts = [field.name for field in fields(Figure)]
    columns = [f"{quantity}{_suffix(part)}" for quantity in QUANTITIES for part in parts]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["task", "actions", "runs", "episodes", *columns])
        writer.writeheader()
        for line in lines:
            figures = {
                f"{quantity}{_suffix(part)}": value
                for quantity, figure in line.figures.items()
                for part, value in asdict(figure).items()
            }
            head = {"task": line.task, "actions": line.actions, "runs": line.runs, "episodes": line.episodes}
            writer.writerow(head | figures)


def _suffix(part: str) -> str:
    return "" if part == "mean" else f"_{part}"


def markdown(title: str, lines: Sequence[Line]) -> str:
    """The table as Markdown."""
    headings, rows = _headings(lines), [_cells(line, " ") for line in lines]
    table = [headings, ["---"] * len(headings), *rows]
    return "\n".join([f"# {title}", "", *(f"| {' | '.join(row)} |" for row in table)]) + "\n"


def screen_table(title: str, lines: Sequence[Line]) -> Table:
    """The table for a terminal of 80 columns, each interval under its mean."""
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("task, episodes", overflow="fold")
    for heading, _ in QUANTITIES.values():
        table.add_column(textwrap.fill(heading, 12), no_wrap=True)
    for line in lines:
        task, actions, episodes, *figures = _cells(line, "\n")
        if line.runs > 1:
            figures[list(QUANTITIES).index("return")] += f"\nIQM over runs\n{figures.pop()}"
        table.add_row(f"{task}\n{episodes} {actions}", *figures)
    return table


def _headings(lines: Sequence[Line]) -> list[str]:
    headings = ["task", "actions", "episodes", *(heading for heading, _ in QUANTITIES.values())]
    return headings + (["IQM of discounted return over runs"] if lines[0].runs > 1 else [])


def _cells(line: Line, separator: str) -> list[str]:
    cells = [line.task, line.actions, str(line.episodes)]
    for quantity, (_, text) in QUANTITIES.items():
        figure = line.figures.get(quantity)
        cells.append("" if figure is None else _cell(text, separator, figure.mean, figure.low, figure.high))
    if line.runs > 1:
        figure = line.figures["return"]
        cells.append(_cell(THREE, separator, figure.iqm, figure.iqm_low, figure.iqm_high))
    return cells


def _cell(text: Callable[[Any], str], separator: str, middle: Any, low: Any, high: Any) -> str:
    return text(middle) if low is None else f"{text(middle)}{separator}[{text(low)}, {text(high)}]"


def write_table(folder: Path, name: str, title: str, lines: Sequence[Line]) -> None:
    """Write the table as ``name.csv`` and ``name.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / f"{name}.csv", lines)
    (folder / f"{name}.md").write_text(markdown(title, lines), encoding="utf-8")
