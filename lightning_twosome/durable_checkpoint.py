"""Checkpoints that are whole or not there, with all that a run has to go on from.

Lightning's own writer puts the new file into the system's folder for temporary files, from which a move to another
disk is a copy, and asks the disk for nothing.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import lightning as L
import torch
from fsspec.utils import get_protocol  # type: ignore[import-untyped]
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch.trainer.states import TrainerFn

from lightning_twosome.errors import UserError
from lightning_twosome.files import replace_file
from lightning_twosome.loggers import RunLogger


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


class DurableCheckpoints(L.Callback):
    """Takes the place of Lightning's own writer, unless another one was chosen with the Trainer's ``plugins``.

    Lightning logs an iteration's row after its checkpoint. The checkpoint therefore has the row too, for a run that is
    killed between the two. Every algorithm of this package brings this along.
    """

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Replace the writer."""
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = DurableCheckpointIO()

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep the row of an iteration that has ended and is not logged yet."""
        progress: Any = trainer.fit_loop.epoch_progress.current
        if progress.processed > progress.completed and trainer._results is not None:
            row = trainer._results.metrics(on_step=False)["log"]
            checkpoint["unwritten_row"] = {name: float(value) for name, value in row.items()}

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Log the row where the run was killed before it did; here, since a finished run comes no further."""
        row = dict(checkpoint.get("unwritten_row", {}))
        own = [logger for logger in trainer.loggers if isinstance(logger, RunLogger)]
        training = trainer.state.fn == TrainerFn.FITTING and trainer.is_global_zero
        if row and training and own and _is_of_its_run(trainer, own[0]) and own[0].lacks(row):
            step = int(row.pop("step"))
            for logger in trainer.loggers:
                logger.log_metrics(row, step)


def _is_of_its_run(trainer: L.Trainer, log: RunLogger) -> bool:
    """Whether the checkpoint is of the run whose log this is: another run's row does not belong there."""
    folder, path = Path(log.save_dir).resolve(), trainer.ckpt_path
    return (folder / "metrics.csv").exists() or (path is not None and folder in Path(path).resolve().parents)
