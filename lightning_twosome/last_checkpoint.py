"""The checkpoint of a run that ends before its time, from which it goes on exactly.

A rollout that fails leaves the run where the last iteration ended, an evaluation where it began, and between two
minibatches a run stands where it stands. Every process has to know of it, since a checkpoint is written by all of them
together.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_only

from lightning_twosome.environment_failure import EnvironmentFailure
from lightning_twosome.errors import UserError
from lightning_twosome.processes import gather
from lightning_twosome.run_folder import CHECKPOINTS
from lightning_twosome.stopping import Stopped, tell, wanted

logger = logging.getLogger(__name__)

Failure = EnvironmentFailure | Stopped


def end_run_together(failure: Failure | None, trainer: Any) -> None:
    """End the run in all processes where an environment has failed or a signal has come in one of them.

    Args:
        failure: This process's own, if any.
        trainer: The Lightning trainer.

    Raises:
        EnvironmentFailure: This process's own failure, or the first one of another process.
        Stopped: This process or another one was asked to end.
    """
    if failure is not None:
        failure = wanted() or failure  # a signal to all processes ends those of environments first
    failures = [other for other in gather(failure, trainer.world_size) if other is not None]
    if failures:
        end_run(failure or failures[0], trainer)


def end_run(ending: UserError | Stopped, trainer: Any) -> None:
    """Write ``checkpoints/last.ckpt`` and end; all processes must do so together.

    Raises:
        UserError: What ends the run.
        Stopped: The same.
    """
    path = save_last(trainer)
    if isinstance(ending, Stopped):
        tell(ending, path, trainer)
    elif path is not None:
        rank_zero_only(logger.info)(f"Checkpoint written to {path}: --ckpt_path last goes on from there.")
    raise ending


def save_last(trainer: Any) -> Path | None:
    """Write ``checkpoints/last.ckpt`` of the run folder, if checkpoints are wanted and training has begun.

    Returns:
        The file, if it was written.
    """
    if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking or trainer.fast_dev_run:
        return None
    if not trainer.checkpoint_callbacks:
        return None
    if trainer.validating:  # as if at its first batch: a resumed run then evaluates again from the start
        progress = trainer.fit_loop.epoch_loop.val_loop.batch_progress
        progress.reset()
        progress.increment_ready()
        progress.increment_started()
    path = Path(trainer.default_root_dir) / CHECKPOINTS / "last.ckpt"
    trainer.save_checkpoint(path)
    return path
