"""Cells that another study has finished already, taken over instead of run again.

The other study is an output folder with its cells, or nothing but its two tables, as they are published: then the
report can be made with these cells, and no cell can start from them, as their models are not there. So a cell that
others start from is taken without its model where all of these are finished too.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from filelock import FileLock, Timeout

from lightning_twosome.errors import UserError
from lightning_twosome.study.cells import EXPORTED, LOCK_FILE, STATE_FILE, Cell, empty, read_state
from lightning_twosome.study.rows import METRICS_FILE
from lightning_twosome.study.tables import CURVES, KEYS, RESULTS, STEPS_TO_THRESHOLD, THRESHOLD

if TYPE_CHECKING:
    from pandas import DataFrame


class Source(Protocol):
    """A finished cell of the other study."""

    @property
    def has_model(self) -> bool:
        """Whether another cell can start from it."""
        ...

    def copy_to(self, cell: Cell) -> None:
        """Fill the cell's folder. The state comes last: a copy that a kill has cut short is not done."""
        ...


@dataclass(frozen=True)
class CellFolder:
    """A cell that is there as a whole."""

    path: Path

    @property
    def has_model(self) -> bool:
        """Whether it was exported."""
        return (self.path / EXPORTED).is_dir()

    def copy_to(self, cell: Cell) -> None:
        """Copy its folder."""
        left_out = shutil.ignore_patterns(LOCK_FILE, STATE_FILE)
        shutil.copytree(self.path, cell.folder, dirs_exist_ok=True, ignore=left_out)
        shutil.copyfile(self.path / STATE_FILE, cell.folder / STATE_FILE)


@dataclass(frozen=True)
class TableRows:
    """A cell of which only the rows of the tables are there."""

    row: Mapping[str, Any]
    curves: DataFrame
    has_model: bool = False

    def copy_to(self, cell: Cell) -> None:
        """Write the metrics of its curves as its run has logged them, and its row."""
        if not self.curves.empty:
            logged = self.curves.pivot(index="env_steps", columns="metric", values="value")
            logged.rename_axis(index="step").to_csv(cell.folder / METRICS_FILE)
        cell.write_state("done", row=dict(self.row))


def plan(cells: Sequence[Cell], folders: Iterable[Path]) -> dict[Path, dict[Cell, Source]]:
    """What can be taken from other studies into the places of equal cells that are not done here; nothing is written.

    Equal are cells with the same hash, whatever their task and method are called there.

    Args:
        cells: Of this study.
        folders: The other studies', or with two Parquet tables each; the first that has a cell gives it.

    Returns:
        By folder, where each cell comes from.

    Raises:
        UserError: There are neither cells nor tables in a folder, or a file in it is broken.
    """
    planned: dict[Path, dict[Cell, Source]] = {}
    left = [cell for cell in cells if not cell.done]
    for folder in folders:
        theirs = _cells_in(folder) or _tables_in(folder)
        part = planned.setdefault(folder, {})
        for cell in sorted(left, key=lambda cell: cell.export):  # those that others start from last
            source = theirs.get(cell.hash)
            if source is None or (not source.has_model and cell.folder in starts(left)):
                continue
            part[cell] = source
            left.remove(cell)
    return planned


def starts(left: Iterable[Cell]) -> set[Path]:
    """Folders of the cells whose models are needed.

    Args:
        left: The cells that are still to be run.
    """
    return {cell.after for cell in left if cell.after is not None}


def take(part: Mapping[Cell, Source]) -> list[Cell]:
    """Copy cells into their places, but those that another start of this study is at; returns those that are done."""
    taken = []
    for cell, source in part.items():
        cell.folder.mkdir(parents=True, exist_ok=True)
        with suppress(Timeout), FileLock(cell.folder / LOCK_FILE, timeout=0):
            empty(cell.folder)
            source.copy_to(cell)
            taken.append(cell)
    return taken


def _cells_in(folder: Path) -> dict[str, Source]:
    states = {path.parent: read_state(path.parent) for path in folder.glob(f"*/*/*/{STATE_FILE}")}
    return {state["hash"]: CellFolder(place) for place, state in states.items() if state["status"] == "done"}


def _tables_in(folder: Path) -> dict[str, Source]:
    paths = [folder / f"{name}.parquet" for name in (RESULTS, CURVES)]
    if not all(path.is_file() for path in paths):
        raise UserError(
            f"--reuse names {str(folder)!r}, which has no cells of a study that are done: give a study's output "
            f"folder, or one with its {paths[0].name} and {paths[1].name}."
        )
    results = _read_table(paths[0], [*KEYS, "config_hash", *STEPS_TO_THRESHOLD])
    curves = _read_table(paths[1], [*KEYS, "metric", "env_steps", "value"])
    points = {key: part.drop(columns=KEYS) for key, part in curves.groupby(KEYS)}
    nothing = curves.iloc[:0]
    return {
        line["config_hash"]: TableRows(_row(line), points.get(tuple(line[name] for name in KEYS), nothing))
        for line in results.to_dict("records")
    }


def _read_table(path: Path, columns: list[str]) -> DataFrame:
    import pandas as pd

    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # of which pyarrow's are
        raise UserError(f"The table {str(path)!r} is no Parquet file: give --reuse another folder.") from error
    missing = [name for name in columns if name not in table]
    if missing:
        raise UserError(
            f"The table {str(path)!r} has no column {missing[0]!r}, and so is no study's: give --reuse another folder."
        )
    return table


def _row(line: Mapping[Any, Any]) -> dict[str, Any]:
    """A cell's own row, with the steps to the threshold in case that its curve is not there to find them."""
    import pandas as pd

    known = {name: value for name, value in line.items() if name not in (*KEYS, "config_hash") and not pd.isna(value)}
    steps = any(name in known for name in STEPS_TO_THRESHOLD)
    return known if steps else {name: value for name, value in known.items() if name not in THRESHOLD}
