"""A picture of the run while it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L


class LearningCurve(L.Callback):
    """Draw return and success against environment steps to ``learning_curve.png`` in the run folder.

    Args:
        every_n_epochs: Iterations between two drawings; the last iteration is always drawn.
    """

    def __init__(self, every_n_epochs: int = 20) -> None:
        self.every_n_epochs = every_n_epochs
        self.training: list[dict[str, float]] = []
        self.evaluations: list[dict[str, float]] = []

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note an evaluation."""
        if not trainer.sanity_checking and trainer.state.fn == "fit":
            metrics = trainer.callback_metrics.items()
            self._note(trainer, self.evaluations, {k[4:]: float(v) for k, v in metrics if k.startswith("val/")})

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note an iteration, and draw now and then."""
        metrics: Any = pl_module.episode_metrics  # those of callback_metrics are still the last iteration's
        self._note(trainer, self.training, {name: float(value) for name, value in metrics.compute().items()})
        if (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            self.draw(trainer)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw the whole run."""
        self.draw(trainer)

    def _note(self, trainer: L.Trainer, rows: list[dict[str, float]], values: dict[str, float]) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        steps = float(data.env_steps)
        if "return" in values and not (rows and rows[-1]["env_steps"] == steps):  # a resumed epoch may end twice
            rows.append({"env_steps": steps, **values})

    def draw(self, trainer: L.Trainer) -> None:
        """Write the picture."""
        if not trainer.is_global_zero or not (self.training or self.evaluations):
            return
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4.2), layout="constrained")
        axes = figure.subplots()
        for rows, label, style in ((self.training, "training", "-"), (self.evaluations, "evaluation", "o-")):
            for quantity, color in (("return", "tab:blue"), ("success", "tab:orange")):
                points = [(row["env_steps"], row[quantity]) for row in rows if quantity in row]
                if points:
                    axes.plot(*zip(*points, strict=True), style, color=color, alpha=0.5 if style == "-" else 1,
                              markersize=3, label=f"{quantity}, {label}")  # fmt: skip
        self._draw_interval(axes)
        axes.set_xlabel("environment steps")
        axes.set_ylabel("discounted return, share of successes")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize="small")
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(folder / "learning_curve.png", dpi=150)

    def _draw_interval(self, axes: Any) -> None:
        rows = [row for row in self.evaluations if "return_low" in row]
        if rows:
            axes.fill_between(
                [row["env_steps"] for row in rows],
                [row["return_low"] for row in rows],
                [row["return_high"] for row in rows],
                color="tab:blue",
                alpha=0.15,
                linewidth=0,
            )

    def state_dict(self) -> dict[str, Any]:
        """What has been drawn so far."""
        return {"training": self.training, "evaluations": self.evaluations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on drawing."""
        self.training, self.evaluations = state_dict["training"], state_dict["evaluations"]
