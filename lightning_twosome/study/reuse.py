"""Cells that another study has finished already, taken over instead of run again.

The other study is an output folder with its cells, or nothing but its two tables, as they are published: then the
report can be made with these cells, and no cell can start from them, as their models are not there. So a cell that
others start from is taken without its model where all of these are finished too.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from filelock import FileLock, Timeout

from lightning_twosome.errors import UserError
from lightning_twosome.study.cells import EXPORTED, LOCK_FILE, STATE_FILE, Cell
from lightning_twosome.study.rows import METRICS_FILE
from lightning_twosome.study.tables import ADDED, CURVES, KEYS, RESULTS, STEPS_TO_THRESHOLD

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


def starts(cells: Iterable[Cell]) -> set[Path]:
    """Folders of the cells whose models are still needed: an unfinished cell starts from each of them."""
    return {cell.after for cell in cells if cell.after is not None and not cell.done}


def reuse(cells: Sequence[Cell], folder: Path) -> list[Cell]:
    """Copy finished cells of another study into the places of equal ones that are not done here.

    Equal are cells with the same hash, whatever their task and method are called there.

    Args:
        cells: Of this study.
        folder: The other study's, or one with its two Parquet tables.

    Returns:
        The cells that are done now.

    Raises:
        UserError: There are neither cells nor tables in the folder.
    """
    theirs = _cells_in(folder) or _tables_in(folder)
    taken = []
    for cell in sorted(cells, key=lambda cell: cell.export):  # those that others start from last
        source = theirs.get(cell.hash)
        if cell.done or source is None:
            continue
        if cell.export and not source.has_model and cell.folder in starts(cells):
            continue
        cell.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(cell.folder / LOCK_FILE, timeout=0):
                _clear(cell.folder)
                source.copy_to(cell)
        except Timeout:  # another start of this study is at it
            continue
        taken.append(cell)
    return taken


def _cells_in(folder: Path) -> dict[str, Source]:
    states = {path.parent: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob(f"*/*/*/{STATE_FILE}")}
    return {state["hash"]: CellFolder(place) for place, state in states.items() if state["status"] == "done"}


def _tables_in(folder: Path) -> dict[str, Source]:
    import pandas as pd

    paths = [folder / f"{name}.parquet" for name in (RESULTS, CURVES)]
    if not all(path.is_file() for path in paths):
        raise UserError(
            f"--reuse names {str(folder)!r}, which has no cells of a study that are done: give a study's output "
            f"folder, or one with its {paths[0].name} and {paths[1].name}."
        )
    results, curves = (pd.read_parquet(path) for path in paths)
    points = {key: part.drop(columns=KEYS) for key, part in curves.groupby(KEYS)}
    nothing = curves.iloc[:0]
    found: dict[str, Source] = {}
    for line in results.to_dict("records"):
        own = points.get(tuple(line[name] for name in KEYS), nothing)
        row = {name: value for name, value in line.items() if name not in (*KEYS, *ADDED) and not pd.isna(value)}
        if not (own.env_steps > 0).any():  # the steps to the threshold are known from the row alone
            row |= {name: None if pd.isna(line[name]) else line[name] for name in STEPS_TO_THRESHOLD}
        found[line["config_hash"]] = TableRows(row, own)
    return found


def _clear(folder: Path) -> None:
    """Make room where a cell was interrupted."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK_FILE:
            path.unlink()
