"""Keeps a module's ledger while Lightning runs: the phases, what is logged of it, and what a checkpoint keeps."""

from __future__ import annotations

from typing import Any

import lightning as L
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from lightning_twosome.samples import Samples

KEY = "ledger"


class LedgerCallback(L.Callback):
    """Comes with every module of the package (``configure_callbacks``).

    The rollout's phase is told by the data module. Lightning's sanity check counts for nothing.
    """

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Watch the memory of the device in use."""
        pl_module.ledger.use(trainer.strategy.root_device)

    def on_sanity_check_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Count nothing."""
        pl_module.ledger.paused = True

    def on_sanity_check_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Count again."""
        pl_module.ledger.paused = False

    # Phases

    def on_rollout_end(self, trainer: L.Trainer, pl_module: Any, rollout: Any) -> None:
        """Count the decisions of a rollout."""
        with pl_module.ledger.phase("rollout"):
            pl_module.ledger.count_samples(rollout.actions.numel())

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Samples, batch_idx: int) -> None:
        """Begin the update with an iteration's first batch."""
        ledger = pl_module.ledger
        if ledger.current != "update":
            ledger.refresh()
            ledger.begin("update")
        ledger.model_was_trained = False

    def on_before_backward(self, trainer: L.Trainer, pl_module: Any, loss: Tensor) -> None:
        """What is computed from here on is computed again."""
        pl_module.ledger.in_backward = True

    def on_after_backward(self, trainer: L.Trainer, pl_module: Any) -> None:
        """The backward pass is over."""
        pl_module.ledger.in_backward = False

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Samples, batch_idx: int
    ) -> None:
        """Note what the plain loop would have read, unless the update had been stopped; end it after the last batch."""
        ledger = pl_module.ledger
        if ledger.model_was_trained:
            ledger.asked_for_scores(batch.decisions)
            ledger.asked_for_values([decision.prompt for decision in batch.decisions])

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """End the update and log where the accounts stand."""
        self._end_update(pl_module)
        self._log(trainer, pl_module)

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Begin an evaluation, within the update or outside of it."""
        pl_module.ledger.begin("evaluation")

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Count the decisions of the evaluation, end it and log where the accounts stand."""
        ledger = pl_module.ledger
        ledger.count_samples(sum(episode.length for episodes in pl_module.evaluated.values() for episode in episodes))
        ledger.end()
        if not trainer.sanity_checking:
            self._log(trainer, pl_module)

    on_test_epoch_start = on_validation_epoch_start
    on_test_epoch_end = on_validation_epoch_end

    def on_predict_epoch_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Begin to play."""
        pl_module.ledger.begin("evaluation")

    def on_predict_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """End playing."""
        pl_module.ledger.end()

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """End an update that was broken off."""
        self._end_update(pl_module)

    @staticmethod
    def _end_update(module: Any) -> None:
        if module.ledger.current == "update":
            module.ledger.end()

    @staticmethod
    def _log(trainer: L.Trainer, module: Any) -> None:
        for name, value in module.ledger.metrics(trainer.world_size).items():
            module.log(name, value)

    # Checkpoints

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Keep the accounts."""
        checkpoint[KEY] = pl_module.ledger.state_dict(trainer.world_size)

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Go on with a training's accounts; an evaluation begins with empty ones."""
        if trainer.state.fn == TrainerFn.FITTING and KEY in checkpoint:
            pl_module.ledger.load_state_dict(checkpoint[KEY])
