"""The checkpoint of a run that an environment ends, from which it goes on exactly.

A rollout that fails leaves the run where the last iteration ended, an evaluation where it began. Every process has to
know of the failure, since a checkpoint is written by all of them together.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_only

from lightning_twosome.environment_failure import EnvironmentFailure
from lightning_twosome.processes import gather
from lightning_twosome.run_folder import CHECKPOINTS

logger = logging.getLogger(__name__)


def end_run_together(failure: EnvironmentFailure | None, trainer: Any) -> None:
    """End the run in all processes where an environment has failed in one of them.

    Args:
        failure: This process's own, if any.
        trainer: The Lightning trainer.

    Raises:
        EnvironmentFailure: This process's own failure, or the first one of another process.
    """
    failures = [other for other in gather(failure, trainer.world_size) if other is not None]
    if failures:
        save_last(trainer)
        raise failure or failures[0]


def save_last(trainer: Any) -> None:
    """Write ``checkpoints/last.ckpt`` of the run folder, if checkpoints are wanted and training has begun."""
    if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking or trainer.fast_dev_run:
        return
    if not trainer.checkpoint_callbacks:
        return
    if trainer.validating:  # as if at its first batch: a resumed run then evaluates again from the start
        progress = trainer.fit_loop.epoch_loop.val_loop.batch_progress
        progress.reset()
        progress.increment_ready()
        progress.increment_started()
    path = Path(trainer.default_root_dir) / CHECKPOINTS / "last.ckpt"
    trainer.save_checkpoint(path)
    rank_zero_only(logger.info)(f"Checkpoint written to {path}: --ckpt_path last goes on from there.")
