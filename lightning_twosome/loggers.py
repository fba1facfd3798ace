"""A ``metrics.csv`` that a resumed run goes on with, and recorded episodes in the loggers that can hold them."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from lightning_twosome.errors import UserError
from lightning_twosome.files import replace_file

# In rows of evaluations as in those of iterations.
_EVERYWHERE = ("step", "time/", "ledger/")


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
                _Writer(self.log_dir) if self.resume_step is None else _ContinuingWriter(self.log_dir, self.resume_step)
            )
        return self._experiment

    def lacks(self, metrics: Mapping[str, Any]) -> bool:
        """Whether a resumed run's file has no row of these metrics from before, at the step where it goes on."""
        return isinstance(self.experiment, _ContinuingWriter) and not self.experiment.has(metrics)


class _Writer(ExperimentWriter):
    """Writer whose file is whole at every moment, but for a last row that is being written."""

    def save(self) -> None:
        """Write the rows that are not in the file yet.

        Raises:
            UserError: They cannot be written.
        """
        try:
            super().save()
        except OSError as error:
            raise UserError(
                f"{self.metrics_file_path!r} cannot be written ({error.strerror}): make room or choose a folder that "
                "can be written, then --ckpt_path last goes on from the last checkpoint."
            ) from error

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        with open(self.metrics_file_path, newline="") as file:
            rows = list(csv.DictReader(file))
        self._replace(fieldnames, rows)

    def _replace(self, fieldnames: list[str], rows: list[dict[str, Any]]) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, fieldnames=fieldnames)
        writer.writeheader()
        writer.writerows(rows)
        replace_file(Path(self.metrics_file_path), text.getvalue().encode())


class _ContinuingWriter(_Writer):
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
            whole = [line for line in file if line.endswith("\n")]  # the run may have been killed within its last row
        reader = csv.DictReader(whole)
        rows = [row for row in reader if _step(row) <= self.resume_step]
        self.metrics_keys = list(reader.fieldnames or [])
        last = [row for row in rows if _step(row) == self.resume_step]
        self._written = {name for row in last for name, value in row.items() if value}
        self._replace(self.metrics_keys, rows)

    def log_metrics(self, metrics_dict: dict[str, Any], step: int | None = None) -> None:
        """Record a row, unless it was written before the run was interrupted.

        A checkpoint in the middle of an iteration is older than the iteration's last row, which is then made again.
        """
        if step != self.resume_step or not self.has(metrics_dict):
            super().log_metrics(metrics_dict, step)

    def has(self, metrics: Mapping[str, Any]) -> bool:
        """Whether a row of these metrics was there at the step where the run goes on."""
        return any(name in self._written and not name.startswith(_EVERYWHERE) for name in metrics)


def _step(row: dict[str, Any]) -> float:
    """Environment steps of a row, infinite for one that was cut off when the run was killed."""
    try:
        return float(row["step"])
    except (KeyError, TypeError, ValueError):
        return float("inf")


def log_episode(
    loggers: Sequence[Logger],
    name: str,
    animation: Path,
    gif: bytes,
    text: str,
    rows: Sequence[dict[str, Any]],
    step: int,
) -> None:
    """Give a recorded episode to the loggers that can hold it: TensorBoard and W&B; others are left alone.

    Args:
        loggers: Of the trainer.
        name: Such as "episodes/greedy_1".
        animation: The file that was written.
        gif: The same as a GIF.
        text: The transcript as Markdown.
        rows: The transcript as rows of primitives.
        step: Environment steps, for the x axis.
    """
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            _log_image(logger, name, gif, step)
            logger.experiment.add_text(f"{name}_transcript", text, step)
        elif isinstance(logger, WandbLogger):
            logger.log_video(name, [str(animation)], step, format=[animation.suffix[1:]])
            columns = list(rows[0]) if rows else []
            cells = [[str(v) if isinstance(v, list) else v for v in row.values()] for row in rows]
            logger.log_table(f"{name}_transcript", columns, cells, step=step)


def _log_image(logger: TensorBoardLogger, name: str, gif: bytes, step: int) -> None:
    """TensorBoard shows a GIF among its images as it is; torch's ``add_video`` would need moviepy to encode it anew."""
    from PIL import Image
    from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]

    width, height = Image.open(io.BytesIO(gif)).size
    image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=gif)
    writer: Any = logger.experiment
    writer._get_file_writer().add_summary(Summary(value=[Summary.Value(tag=name, image=image)]), step)
