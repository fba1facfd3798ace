"""Cells that another study has finished already, taken over instead of run again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock, Timeout

from lightning_twosome.errors import UserError
from lightning_twosome.study.cells import EXPORTED, LOCK_FILE, STATE_FILE, Cell


def reuse(cells: Iterable[Cell], folder: Path) -> list[Cell]:
    """Copy finished cells of another study into the places of equal ones that are not done here.

    Equal are cells with the same hash, whatever their task and method are called there.

    Args:
        cells: Of this study.
        folder: The other study's.

    Returns:
        The cells that are done now.

    Raises:
        UserError: There are no cells in the folder.
    """
    theirs = _finished(folder)
    taken = []
    for cell in cells:
        source = theirs.get(cell.hash)
        if cell.done or source is None or (cell.export and not (source / EXPORTED).is_dir()):
            continue
        cell.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(cell.folder / LOCK_FILE, timeout=0):
                _copy(source, cell.folder)
        except Timeout:  # another start of this study is at it
            continue
        taken.append(cell)
    return taken


def _finished(folder: Path) -> dict[str, Path]:
    files = sorted(folder.glob(f"*/*/*/{STATE_FILE}"))
    if not files:
        raise UserError(f"--reuse names {str(folder)!r}, which has no cells of a study; give a study's output folder.")
    states = {file.parent: json.loads(file.read_text(encoding="utf-8")) for file in files}
    return {state["hash"]: place for place, state in states.items() if state["status"] == "done"}


def _copy(source: Path, target: Path) -> None:
    """The state comes last: a copy that a kill has cut short is not done."""
    for path in target.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK_FILE:
            path.unlink()
    shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns(LOCK_FILE, STATE_FILE))
    shutil.copyfile(source / STATE_FILE, target / STATE_FILE)
