"""The two tidy tables of a study: one line a cell, and one line a point of a curve."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_twosome.study.cells import Cell, write_atomically
from lightning_twosome.study.definition import Study, Threshold
from lightning_twosome.study.rows import curve_rows

if TYPE_CHECKING:
    from pandas import DataFrame

RESULTS, CURVES = "results", "curves"
KEYS = ["task", "method", "seed"]
STEPS_TO_THRESHOLD = ["steps_to_threshold", "censored_at"]
THRESHOLD = ["threshold_metric", "threshold_value"]
ADDED = ["config_hash", *STEPS_TO_THRESHOLD, *THRESHOLD]  # to a cell's own row
FIRST = [*KEYS, "config_hash", "env_steps", *STEPS_TO_THRESHOLD, *THRESHOLD]


def write_tables(study: Study, cells: list[Cell]) -> None:
    """Write ``results`` and ``curves`` as CSV and Parquet, each in one step; equal cells give equal files.

    Args:
        study: Says what is kept.
        cells: All of the study; those that are done are in the tables.
    """
    folder = Path(str(study.output))
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in ((RESULTS, results(study, cells)), (CURVES, curves(study, cells))):
        write_atomically(folder / f"{name}.csv", table.to_csv(index=False).encode())
        write_atomically(folder / f"{name}.parquet", table.to_parquet(index=False))


def results(study: Study, cells: list[Cell]) -> DataFrame:
    """One line a finished cell."""
    import pandas as pd

    wanted = dict(zip(THRESHOLD, astuple(study.threshold), strict=True))
    rows = [
        {"task": cell.task, "method": cell.method, "seed": cell.seed, "config_hash": cell.hash,
         **_threshold(cell, row, study.threshold), **wanted,
         **{name: value for name, value in row.items() if name not in ADDED}}
        for cell, row in _finished(cells)
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=FIRST if not rows else None)
    rest = sorted(set(table.columns) - set(FIRST), key=lambda name: ("/" in name, name))
    steps = {
        name: "Int64" for name in ("env_steps", *STEPS_TO_THRESHOLD)
    }  # which, unlike a plain integer, can be missing
    return _ordered(study, table[FIRST + rest].astype(steps), [])


def curves(study: Study, cells: list[Cell]) -> DataFrame:
    """One line a metric and number of environment steps of a finished cell.

    The threshold's metric is always among them: the steps to it can be found again from this table.
    """
    import pandas as pd

    kept = [*study.curves, study.threshold.metric]
    rows = [line for cell, row in _finished(cells) for line in curve_rows(cell, row, kept)]
    table = pd.DataFrame(rows, columns=[*KEYS, "metric", "env_steps", "value"])
    return _ordered(study, table, ["metric", "env_steps"])


def without_curves(results: DataFrame, curves: DataFrame) -> list[tuple[str, str]]:
    """Tasks and methods of which a trained cell has no curve: it was taken from tables that had none."""
    begun = set(zip(*(curves[curves.env_steps > 0][name] for name in KEYS), strict=True))
    trained = results[results.env_steps > 0]
    cells = zip(*(trained[name] for name in KEYS), strict=True)
    return list(dict.fromkeys((task, method) for task, method, seed in cells if (task, method, seed) not in begun))


def without_steps(study: Study, cells: list[Cell]) -> list[Cell]:
    """Cells that were taken from tables, with steps to another threshold and no curve to find this study's from."""
    return [
        cell
        for cell, row in _finished(cells)
        if _taken_threshold(row) not in (None, study.threshold)
        and not _evaluated(_evaluations(cell, row, study.threshold))
    ]


def _finished(cells: list[Cell]) -> list[tuple[Cell, dict[str, Any]]]:
    states = [(cell, cell.state()) for cell in cells]
    return [
        (cell, state["row"]) for cell, state in states if state.get("status") == "done" and state["hash"] == cell.hash
    ]


def _ordered(study: Study, table: DataFrame, further: list[str]) -> DataFrame:
    """In the study's order of tasks and methods, whatever the order in which cells were finished."""
    places = {"task": list(study.tasks), "method": list(study.methods)}
    return table.sort_values(
        [*KEYS, *further],
        key=lambda column: column.map(places[column.name].index) if column.name in places else column,
        ignore_index=True,
    )


def _threshold(cell: Cell, row: dict[str, Any], threshold: Threshold) -> dict[str, int | None]:
    """Environment steps to the threshold, or those after which it had not been reached."""
    points = _evaluations(cell, row, threshold)
    if not _evaluated(points) and (taken := _taken_threshold(row)) is not None:
        return {name: row.get(name) if taken == threshold else None for name in STEPS_TO_THRESHOLD}
    reached = next((steps for steps, value in points if value >= threshold.value), None)
    return {
        "steps_to_threshold": reached,
        "censored_at": points[-1][0] if points and reached is None else None,
    }


def _evaluations(cell: Cell, row: dict[str, Any], threshold: Threshold) -> list[tuple[int, float]]:
    """Environment steps and value of each evaluation."""
    return [(line["env_steps"], line["value"]) for line in curve_rows(cell, row, [threshold.metric])]


def _evaluated(points: list[tuple[int, float]]) -> bool:
    """Whether there is more than the untrained policy's."""
    return any(steps > 0 for steps, _ in points)


def _taken_threshold(row: dict[str, Any]) -> Threshold | None:
    """The threshold of the steps that a row was taken with from tables; those that name none have the default one."""
    if not any(name in row for name in STEPS_TO_THRESHOLD):
        return None
    default = Threshold()
    return Threshold(row.get("threshold_metric", default.metric), row.get("threshold_value", default.value))
