"""A picture of the run while it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L

from lightning_twosome.callbacks.before_and_after import BeforeAndAfter
from lightning_twosome.ledger.axis import STEPS, axis_label, check_axis
from lightning_twosome.tasks import best_possible_return

MOST_ROWS = 4096  # of training, and of evaluations: more than a picture has pixels


class LearningCurve(L.Callback):
    """Draw return and success, against environment steps or a cost, to ``learning_curve.png`` in the run folder.

    Args:
        every_n_epochs: Iterations between two drawings; the last iteration is always drawn.
        x: What is on the x axis: "env_steps", or a column of the ledger, such as "ledger/flops".

    Raises:
        UserError: ``x`` is none of these.
    """

    def __init__(self, every_n_epochs: int = 20, x: str = STEPS) -> None:
        check_axis(x, "LearningCurve.x")
        self.every_n_epochs = every_n_epochs
        self.x = x
        self.training: list[dict[str, float]] = []
        self.evaluations: list[dict[str, float]] = []
        self.optimum: float | None = None

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Ask the environment for its best possible return."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        module: Any = pl_module
        self.optimum = best_possible_return(data.make_env(), module.gamma)

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
        module: Any = trainer.lightning_module
        costs = {} if self.x == STEPS else {self.x: module.ledger.metrics(trainer.world_size)[self.x]}
        steps = float(data.env_steps)
        if "return" in values and not (rows and rows[-1]["env_steps"] == steps):  # a resumed epoch may end twice
            rows.append({"env_steps": steps, **costs, **values})
        if len(rows) > MOST_ROWS:
            del rows[1:-1:2]

    def draw(self, trainer: L.Trainer) -> None:
        """Write the picture."""
        if not trainer.is_global_zero or not (self.training or self.evaluations):
            return
        from matplotlib.figure import Figure

        evaluations = self._before(trainer) + self.evaluations
        figure = Figure(figsize=(7, 4.2), layout="constrained")
        axes = figure.subplots()
        for quantity, color in (("return", "tab:blue"), ("success", "tab:orange")):
            self._draw_quantity(axes, quantity, color, evaluations)
        if self.optimum is not None:
            axes.axhline(self.optimum, color="tab:blue", linestyle=":", linewidth=1, label="best possible return")
        axes.set_xlabel(axis_label(self.x))
        axes.set_ylabel("discounted return, share of successes")
        axes.set_xlim(left=0)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize="small")
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(folder / "learning_curve.png", dpi=150)

    def _before(self, trainer: L.Trainer) -> list[dict[str, float]]:
        """The evaluation before training, where :class:`BeforeAndAfter` has made one."""
        callbacks = [callback for callback in trainer.callbacks if isinstance(callback, BeforeAndAfter)]  # type: ignore[attr-defined]
        return [{self.x: 0.0, **callback.before} for callback in callbacks if callback.before]

    def _draw_quantity(self, axes: Any, quantity: str, color: str, evaluations: list[dict[str, float]]) -> None:
        """Evaluations with intervals; training, whose first episodes to end are the short ones, thin beside them."""
        training = [(row[self.x], row[quantity]) for row in self.training if row.keys() >= {quantity, self.x}]
        if training:
            axes.plot(*zip(*training, strict=True), color=color, alpha=0.35, linewidth=1, label=f"{quantity}, training")
        rows = [row for row in evaluations if row.keys() >= {quantity, self.x}]
        if rows:
            places, middle = [row[self.x] for row in rows], [row[quantity] for row in rows]
            # Not below 0, which rounding makes of equal values and matplotlib refuses.
            below = [max(0.0, row[quantity] - row[f"{quantity}_low"]) for row in rows]
            above = [max(0.0, row[f"{quantity}_high"] - row[quantity]) for row in rows]
            style = {"fmt": "o-", "markersize": 4, "capsize": 3, "linewidth": 1.5, "color": color}
            axes.errorbar(places, middle, (below, above), label=f"{quantity}, evaluation, 95 % interval", **style)

    def state_dict(self) -> dict[str, Any]:
        """What has been drawn so far."""
        return {"training": self.training, "evaluations": self.evaluations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on drawing."""
        self.training, self.evaluations = state_dict["training"], state_dict["evaluations"]
