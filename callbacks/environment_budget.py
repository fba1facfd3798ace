"""Train for a number of environment steps."""

from __future__ import annotations

import math
from typing import Any

import lightning as L

from lightning_twosome.errors import UserError


class EnvironmentBudget(L.Callback):
    """End training once the environments of all processes have made ``total_env_steps`` steps.

    It sets the Trainer's ``max_epochs``, so that learning-rate schedules know their length and a resumed run ends where
    it would have ended. An environment step is one decision in one environment.

    Args:
        total_env_steps: The budget; the last iteration is finished, so at most one iteration more is made.

    Raises:
        UserError: The budget is not positive.
    """

    def __init__(self, total_env_steps: int) -> None:
        if total_env_steps < 1:
            raise UserError(f"EnvironmentBudget.total_env_steps is {total_env_steps}; it must be at least 1.")
        self.total_env_steps = total_env_steps

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Turn the budget into a number of iterations."""
        if stage == "fit":
            data: Any = trainer.datamodule  # type: ignore[attr-defined]
            trainer.fit_loop.max_epochs = math.ceil(self.total_env_steps / data.steps_per_iteration)
