"""Evaluations as a person reads them: a line each while training, tables for ``validate`` and ``test``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import lightning as L
from rich.console import Console
from rich.table import Table

from lightning_twosome.evaluation import describe
from lightning_twosome.generalization import (
    NAME,
    records_of,
    screen_table,
    summary_lines,
    write_records,
    write_table,
)


class EvaluationReport(L.Callback):
    """Print a line for every evaluation during training, and a table after ``validate`` and ``test``.

    That of ``test`` has all its tasks. It is written to the run folder as well: ``generalization.csv`` and ``.md``, and
    its episodes for ``lightning-twosome generalization``; of a policy before training as ``generalization_untrained``.

    Where the output is no terminal, and so has no progress bar, a training line appears when nothing else has been
    printed for a while.

    Args:
        quiet_seconds: Longest silence of a run whose output goes to a file.
    """

    def __init__(self, quiet_seconds: float = 30.0) -> None:
        self.quiet_seconds = quiet_seconds
        self._start = self._printed = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._start = self._printed = time.perf_counter()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show that the run is alive, where no progress bar does, by the iteration that has just ended."""
        values = _values(trainer, "rollout/")
        silent = time.perf_counter() - self._printed >= self.quiet_seconds
        if values and trainer.is_global_zero and silent and not Console().is_terminal:
            steps = int(trainer.callback_metrics["env_steps"])
            self._line(steps, ["training", *_figures(values)] if "return" in values else ["no episode has ended yet"])

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print what the evaluation found."""
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        if trainer.state.fn == "validate":
            self._table(trainer)
            return
        values = _values(trainer, "val/")
        if "return" in values:
            parts = _figures(values)
            parts += [f"greedy {values['greedy_return']:.3f}"] if "greedy_return" in values else []
            self._line(_env_steps(trainer), parts)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print the table of all tasks and write it, with its episodes, to the run folder."""
        module: Any = pl_module
        records = records_of(module.evaluated)
        if not trainer.is_global_zero or not records:
            return
        steps = _env_steps(trainer)
        title = f"{steps} environment steps, discount {module.gamma}: mean [95 % interval]"
        name = NAME if steps else f"{NAME}_untrained"
        folder, lines = Path(trainer.default_root_dir), summary_lines([records])
        Console().print(screen_table(title, lines))
        write_table(folder, name, title, lines)
        write_records(folder / f"{name}_episodes.csv", records)
        print(f"Table in {folder / name}.md and .csv")

    def _line(self, env_steps: int, parts: list[str]) -> None:
        self._printed = time.perf_counter()
        print(f"{env_steps} env steps, {self._printed - self._start:.0f} s: " + ", ".join(parts), flush=True)

    def _table(self, trainer: L.Trainer) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        values = _values(trainer, "val/")
        greedy = {k.removeprefix("greedy_"): value for k, value in values.items() if k.startswith("greedy_")}
        table = Table(title="mean [95 % interval]")
        for column in ("actions", "episodes", "discounted return", "success", "length"):
            table.add_column(column, no_wrap=True)
        rows = (("sampled", data.eval_episodes, values), ("greedy", data.eval_greedy_episodes, greedy))
        for name, episodes, summary in rows:
            if "return" in summary:
                table.add_row(name, str(episodes), *describe(summary), f"{summary['length']:.1f}")
        Console().print(table)


def _env_steps(trainer: L.Trainer) -> int:
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    return data.env_steps


def _values(trainer: L.Trainer, prefix: str) -> dict[str, float]:
    return {k.removeprefix(prefix): float(v) for k, v in trainer.callback_metrics.items() if k.startswith(prefix)}


def _figures(values: dict[str, float]) -> list[str]:
    """Return, with its interval where there is one, and success."""
    figures = [f"return {values['return']:.3f}"] if "return" in values else []
    if "return_low" in values:
        figures[0] += f" [{values['return_low']:.3f}, {values['return_high']:.3f}]"
    return figures + ([f"success {values['success']:.0%}"] if "success" in values else [])
