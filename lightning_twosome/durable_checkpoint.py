"""Checkpoints that are whole or not there: written aside, brought to the disk, renamed.

::

    last.ckpt.new --fsync--> on the disk --rename--> last.ckpt --fsync of the folder--> also after a power failure

Lightning's own writer puts the new file into the system's folder for temporary files, from which a move to another
disk is a copy, and asks the disk for nothing.
"""

from __future__ import annotations

import io
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning as L
import torch
from fsspec.utils import get_protocol  # type: ignore[import-untyped]
from lightning.fabric.plugins.io import TorchCheckpointIO

from lightning_twosome.errors import UserError


class DurableCheckpointIO(TorchCheckpointIO):
    """Lightning's reading and writing of checkpoints, whose files on a disk are replaced in one step."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint; addresses of object stores are left to Lightning.

        Raises:
            UserError: It cannot be written; what was there before still is.
        """
        if storage_options is not None or get_protocol(str(path)) != "file":
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        # In memory first: torch's own writer to a file tells of a full disk in words of its own.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        try:
            replace_file(Path(path), content.getbuffer())
        except OSError as error:
            raise UserError(
                f"The checkpoint {str(path)!r} cannot be written ({error.strerror}): the one before it is kept; make "
                "room or choose a folder that can be written, then --ckpt_path last goes on from there."
            ) from error


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


class DurableCheckpoints(L.Callback):
    """Takes the place of Lightning's own writer, unless another one was chosen with the Trainer's ``plugins``.

    Every algorithm of this package brings it along.
    """

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Replace the writer."""
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = DurableCheckpointIO()
