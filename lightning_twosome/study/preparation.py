"""What comes before the first cell runs: all is read and checked before anything is deleted or written.

::

    --reuse folders, cells' configs, language models    nothing is touched; a mistake ends the start here
    cells whose settings have changed                   deleted, where --rerun says so
    cells that others have finished                     copied
    the configs of the rest                             written
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from filelock import FileLock, Timeout

from lightning_twosome.errors import UserError
from lightning_twosome.study.cells import EXPORTED, LOCK_FILE, Cell, empty
from lightning_twosome.study.reuse import Source, plan, starts, take
from lightning_twosome.study.settings import CellSettings


def prepare(cells: Sequence[Cell], folders: Sequence[Path], rerun: bool) -> None:
    """Make the cells ready to run: those that are not done then have their configs.

    Args:
        cells: Those that were chosen.
        folders: Where finished cells are taken from.
        rerun: Run cells again whose settings have changed.

    Raises:
        UserError: A cell cannot be run as it is described, or is at work in another start; all is as it was.
    """
    changed = [cell for cell in cells if cell.changed]
    if changed and not rerun:
        raise UserError(
            f"{len(changed)} of {len(cells)} cells have been run with other settings, such as {changed[0].label}: "
            "--rerun runs them again, --output FOLDER leaves them as they are."
        )
    settings = CellSettings()
    planned = plan(cells, folders)
    reopened = check(cells, planned, settings)
    _clear([*changed, *reopened])
    for cell in reopened:
        print(f"{cell.label} is run again: its model is needed, and it was taken from tables.")
    for folder, part in planned.items():
        taken = take(part)
        for cell in taken:
            settings.write(cell)
        print(f"{len(taken)} cells are taken from {folder}.")
    for cell in cells:
        if not cell.done:
            settings.write(cell)


def check(cells: Sequence[Cell], planned: dict[Path, dict[Cell, Source]], settings: CellSettings) -> list[Cell]:
    """Check the cells that are not done.

    Returns:
        Those among the others that are run again: they were taken from tables, without the model that is needed.

    Raises:
        UserError: One of them cannot be run.
    """
    taken = {cell for part in planned.values() for cell in part}
    left = [cell for cell in cells if not cell.done and cell not in taken]
    needed = starts(left)
    again = [cell for cell in cells if cell.done and cell.folder in needed and not (cell.folder / EXPORTED).is_dir()]
    for cell in taken:
        settings.of(cell)
    settings.check([*left, *again], cells)
    return again


def _clear(cells: Sequence[Cell]) -> None:
    """Delete what the cells have written, unless another start of the study is at one of them."""
    with ExitStack() as held:
        for cell in cells:
            try:
                held.enter_context(FileLock(cell.folder / LOCK_FILE, timeout=0))
            except Timeout as error:
                raise UserError(
                    f"{cell.label} would be run again, but another start of this study is at it: wait until that has "
                    "ended, or give another --output."
                ) from error
        for cell in cells:
            empty(cell.folder)
