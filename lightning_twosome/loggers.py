"""A ``metrics.csv`` that a resumed run goes on with, where Lightning's logger deletes it."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter


class RunLogger(CSVLogger):
    """Lightning's CSVLogger with one fixed folder, whose file a resumed run continues.

    Args:
        run_dir: The folder of ``metrics.csv``.
        resume_step: Environment steps of the checkpoint from which the run goes on: later rows are dropped, since they
            are made again. ``None`` for a new file.
    """

    def __init__(self, run_dir: str | Path, resume_step: int | None = None) -> None:
        super().__init__(run_dir, name="", version="", flush_logs_every_n_steps=1)
        self.resume_step = resume_step

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer, made on first use."""
        if self._experiment is None:
            os.makedirs(self.log_dir, exist_ok=True)
            self._experiment = (
                ExperimentWriter(self.log_dir)
                if self.resume_step is None
                else _ContinuingWriter(self.log_dir, self.resume_step)
            )
        return self._experiment


class _ContinuingWriter(ExperimentWriter):
    """Writer that keeps the rows up to a checkpoint and adds to them."""

    def __init__(self, log_dir: str, resume_step: int) -> None:
        super().__init__(log_dir)
        self.resume_step = resume_step
        self._written: set[str] = set()
        if os.path.isfile(self.metrics_file_path):
            self._drop_later_rows()

    def _check_log_dir_exists(self) -> None:
        """Keep what is there; Lightning calls this to delete it."""

    def _drop_later_rows(self) -> None:
        with open(self.metrics_file_path, newline="") as file:
            reader = csv.DictReader(file)
            rows = [row for row in reader if _step(row) <= self.resume_step]
            self.metrics_keys = list(reader.fieldnames or [])
        last = [row for row in rows if _step(row) == self.resume_step]
        self._written = {name for row in last for name, value in row.items() if value and name != "step"}
        beside = self.metrics_file_path + ".new"
        with open(beside, "w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=self.metrics_keys)
            writer.writeheader()
            writer.writerows(rows)
        os.replace(beside, self.metrics_file_path)

    def log_metrics(self, metrics_dict: dict[str, Any], step: int | None = None) -> None:
        """Record a row, unless it was written before the run was interrupted.

        A checkpoint in the middle of an iteration is older than the iteration's last row, which is then made again.
        """
        if step != self.resume_step or not self._written.intersection(metrics_dict):
            super().log_metrics(metrics_dict, step)


def _step(row: dict[str, Any]) -> float:
    """Environment steps of a row, infinite for one that was cut off when the run was killed."""
    try:
        return float(row["step"])
    except (KeyError, TypeError, ValueError):
        return float("inf")
