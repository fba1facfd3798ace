"""What a finished cell says: its row of the table of results, and its part of the curves."""

from __future__ import annotations

import csv
import json
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lightning_twosome.evaluation import summarize
from lightning_twosome.rollout import Episode
from lightning_twosome.study.cells import Cell, read_state
from lightning_twosome.study.names import matching
from lightning_twosome.tasks import best_possible_return

METRICS_FILE = "metrics.csv"  # of Lightning's CSV logger
LAST = ("ledger/*", "forgetting/*", "policy/beta", "policy/entropy")
PARTS = ("_low", "_high", "_stderr")  # of one run; what counts over runs is the spread of the runs
VERSIONS = ("lightning-twosome", "torch", "lightning", "transformers", "peft")


def cell_row(cell: Cell, module: Any, data: Any, trainer: Any) -> dict[str, Any]:
    """The figures of a cell whose test has just ended, by column.

    Args:
        cell: Which it is.
        module: The trained module, with the test's episodes.
        data: Its data module.
        trainer: Lightning's Trainer.
    """
    row: dict[str, Any] = {"env_steps": data.env_steps, **_test_figures(module.evaluated, data)}
    row |= _before_and_after(cell.folder / "before_and_after.json")
    row.setdefault("optimum", best_possible_return(data.make_env(), module.gamma))
    if cell.after is not None:
        row["env_steps_before"] = read_state(cell.after)["row"]["env_steps"]
    logged = read_metrics(cell.folder)
    for name in matching(LAST, sorted({name for line in logged for name in line})):
        last = [line[name] for line in logged if name in line][-1]
        row[f"final/{name}" if name.startswith("policy/") else name] = last
    versions = {f"version/{name}": version(name) for name in VERSIONS}
    row |= {**versions, "version/python": platform.python_version()}
    return {name: value for name, value in row.items() if not name.endswith(PARTS)}


def _test_figures(evaluated: dict[bool, Sequence[Episode]], data: Any) -> dict[str, float]:
    """Figures of the tasks that were trained on, and of each task where there are several."""
    own = {task.label for task in data.tasks}
    figures: dict[str, float] = {}
    for greedy, episodes in sorted(evaluated.items()):
        start = "greedy_" if greedy else ""
        labels = list(dict.fromkeys(episode.task for episode in episodes))
        chosen = [episode for episode in episodes if episode.task in own] or episodes
        figures |= {f"{start}{name}": value for name, value in summarize(chosen).items()}
        for label in labels if len(labels) > 1 else ():
            part = summarize([episode for episode in episodes if episode.task == label])
            figures |= {f"test/{label}/{start}{name}": value for name, value in part.items()}
    return figures


def _before_and_after(path: Path) -> dict[str, Any]:
    """From the callback ``BeforeAndAfter``, where the config has it."""
    if not path.is_file():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    row = {"optimum": found["optimum"], "random": found["uniform_random"]["return"], "seconds": found["seconds"]}
    for when in ("before", "after"):
        row |= {
            f"{when}/{name}": found[when][name] for name in ("return", "success", "perplexity") if name in found[when]
        }
    return row


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """The lines of a run's ``metrics.csv`` without empty places; none where nothing was trained."""
    path = folder / METRICS_FILE
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in line.items() if value} for line in csv.DictReader(file)]


def curve_rows(cell: Cell, row: dict[str, Any], patterns: Sequence[str]) -> list[dict[str, Any]]:
    """The cell's curves: a line for each metric and number of environment steps.

    The untrained policy stands at 0 steps, as ``BeforeAndAfter`` has measured it.
    """
    before = {f"val/{name}": row[f"before/{name}"] for name in ("return", "success") if f"before/{name}" in row}
    logged = [{"step": 0, **before}, *read_metrics(cell.folder)]
    kept = matching(patterns, {name for line in logged for name in line})
    points = {(name, int(line["step"])): line[name] for line in logged for name in kept if name in line}
    key = {"task": cell.task, "method": cell.method, "seed": cell.seed}
    return [
        {**key, "metric": name, "env_steps": steps, "value": value} for (name, steps), value in sorted(points.items())
    ]
