"""The progress bar of a run: what matters, by short names."""

from __future__ import annotations

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar

_SHORT_NAMES = {
    "rollout/return": "return",
    "rollout/success": "success",
    "policy/kl": "kl",
    "time/env_steps_per_second": "env steps/s",
}


class RolloutProgressBar(RichProgressBar):
    """Lightning's rich progress bar with return, success, KL divergence and environment steps per second."""

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """The metrics on the bar, without the logger's version number."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return {_SHORT_NAMES.get(name, name): value for name, value in metrics.items()}

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the bar, so that what is printed after training stands below it."""
        super().on_train_end(trainer, pl_module)
        self._stop_progress()
