"""Files that are replaced in one step.

::

    last.ckpt.new --fsync--> on the disk --rename--> last.ckpt --fsync of the folder--> also after a power failure
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any


def replace_file(path: Path, content: Any) -> None:
    """Put a new content in a file's place, which holds the old one or the new one at every moment.

    Args:
        path: The file; its folder is made where there is none.
        content: Bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError:
        with suppress(OSError):
            beside.unlink()  # half a file takes room and is of no use
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Bring a rename to the disk, where folders can be opened (not on Windows)."""
    with suppress(PermissionError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
