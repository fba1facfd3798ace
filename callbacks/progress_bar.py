"""The progress bar of a run: environment steps of the whole training, and what the policy has reached."""

from __future__ import annotations

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as Remaining

_FIGURES = {"rollout/return": "return {:.3f}", "rollout/success": "success {:.0%}"}


class RolloutProgressBar(ProgressBar):
    """A rich bar over the environment steps of the whole run, since an iteration is too short for one of its own.

    Beside it stand the time that has passed and that remains, and the return and success of the last training
    episodes. ``validate``, ``test`` and ``predict`` show batches of episodes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.console = Console()
        self._enabled = True
        self._progress: Progress | None = None
        self._task = TaskID(0)

    def disable(self) -> None:
        """Show nothing; Lightning calls it in every process but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Show the bar."""
        self._enabled = True

    def print(self, *args: Any, sep: str = " ", **kwargs: Any) -> None:
        """Print above the bar."""
        self.console.print(sep.join(map(str, args)))

    # Training

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open the bar, as far along as a resumed run is."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        iterations = trainer.max_epochs or -1
        self._open("env steps", data.steps_per_iteration * iterations if iterations > 0 else None)

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        """Go on by an optimizer step's share of its iteration."""
        self._update_training(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the figures of the iteration."""
        self._update_training(trainer)

    def _update_training(self, trainer: L.Trainer) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        values = trainer.callback_metrics
        figures = [text.format(float(values[name])) for name, text in _FIGURES.items() if name in values]
        taken = data.batches_done / max(1, data.num_minibatches)
        steps = data.env_steps - round((1 - taken) * data.steps_per_iteration)
        self._update(completed=steps, figures=", ".join(figures))

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the bar, so that what is printed after training stands below it."""
        self._close()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Close the bar, so that the message stands below it."""
        self._close()

    # Evaluation by itself

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open a bar, unless that of the training is there."""
        if trainer.state.fn == "validate":
            self._open("batches of episodes", sum(trainer.num_val_batches))

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open a bar."""
        self._open("batches of episodes", sum(trainer.num_test_batches))

    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open a bar."""
        self._open("batches of episodes", sum(trainer.num_predict_batches))

    def on_validation_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        """Count a batch."""
        if trainer.state.fn == "validate":
            self._update(advance=1)

    def on_test_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        """Count a batch."""
        self._update(advance=1)

    def on_predict_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        """Count a batch."""
        self._update(advance=1)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close an evaluation's own bar."""
        if trainer.state.fn == "validate":
            self._close()

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_predict_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the bar."""
        self._close()

    # The bar

    def _open(self, label: str, total: float | None) -> None:
        self._close()
        if not self._enabled:
            return
        columns = (MofNCompleteColumn(), TextColumn(label), BarColumn(bar_width=None), TimeElapsedColumn(), Remaining())
        self._progress = Progress(*columns, TextColumn("{task.fields[figures]}"), console=self.console, expand=True)
        self._task = self._progress.add_task("", total=total, figures="")
        self._progress.start()

    def _update(self, **changes: Any) -> None:
        if self._progress is not None:
            self._progress.update(self._task, **changes)

    def _close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def __getstate__(self) -> dict[str, Any]:
        """Without what holds locks, for strategies that start processes by pickling."""
        return {**self.__dict__, "console": None, "_progress": None}
