"""The folder of a run: which one it is, which checkpoint is meant, and what is written there by default.

::

    runs/name, runs/name-2, ...      a new run takes the first that is free
        config.yaml  metrics.csv  learning_curve.png  before_and_after.json  transcript.md  tensorboard/
        checkpoints/best.ckpt  checkpoints/last.ckpt
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning_utilities.core.imports import RequirementCache

from lightning_twosome.errors import UserError
from lightning_twosome.loggers import RunLogger

RUN_DIR_VARIABLE = "TWOSOME_RUN_DIR"
CHECKPOINTS = "checkpoints"
# What a run that failed before its first iteration has left.
_EMPTY_RUN = {"config.yaml", "hparams.yaml", "tensorboard"}


def is_first_process() -> bool:
    """Whether this process is the one that writes; torchrun, SLURM and Lightning's launcher say it by variables."""
    ranks = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "NODE_RANK", "GROUP_RANK")
    return all(os.environ.get(rank, "0") == "0" for rank in ranks)


def new_run_dir(base: Path) -> Path:
    """Make the first free one of ``base``, ``base-2``, ... and return it.

    Processes that Lightning starts take the choice of the one that started them from the environment.

    Raises:
        UserError: ``base`` is a file.
    """
    chosen = os.environ.get(RUN_DIR_VARIABLE)
    if chosen and "LOCAL_RANK" in os.environ:
        return Path(chosen)
    if base.is_file():
        raise UserError(f"run_dir={str(base)!r} is a file; name a folder, which need not exist.")
    number, folder = 1, base
    while is_first_process():
        try:
            folder.mkdir(parents=True)  # fails where it exists, so that of two runs started at once each gets its own
            break
        except (NotADirectoryError, PermissionError, FileNotFoundError) as error:
            raise UserError(
                f"run_dir={str(folder)!r} cannot be made ({error.strerror}): name a folder that can be written."
            ) from error
        except FileExistsError:
            if _take_untrained(folder):
                break
            number += 1
            folder = base.with_name(f"{base.name}-{number}")
    os.environ[RUN_DIR_VARIABLE] = str(folder)
    return folder


def _take_untrained(folder: Path) -> bool:
    """Whether the folder holds nothing but tests of the policy before any training, and is now this run's."""
    if any(not path.name.startswith("generalization_untrained") for path in folder.iterdir()):
        return False
    try:
        (folder / CHECKPOINTS).mkdir()  # which of two runs started at once can do only one
    except FileExistsError:
        return False
    return True


def last_run_dir(base: Path) -> Path:
    """The last one that exists of ``base``, ``base-2``, ...; ``base`` where there is none."""
    number, folder, last = 1, base, base
    while folder.exists():
        number, folder, last = number + 1, base.with_name(f"{base.name}-{number + 1}"), folder
    return last


def discard_unused(run_dir: Path) -> None:
    """Remove the folder of a run that failed before its first iteration, so that it does not take a number."""
    if run_dir.is_dir() and {path.name for path in run_dir.iterdir()} <= _EMPTY_RUN:
        shutil.rmtree(run_dir)


def find_checkpoint(wanted: str, base: Path) -> Path | None:
    """The checkpoint that a command line means.

    Args:
        wanted: A file, or "last" or "best" for that of the last run.
        base: ``run_dir`` of the config.

    Returns:
        The file; ``None`` where the last run has none yet.

    Raises:
        UserError: The file does not exist.
    """
    if wanted in ("last", "best"):
        found = list((last_run_dir(base) / CHECKPOINTS).glob(f"{wanted}*.ckpt"))
        return max(found, key=lambda path: path.stat().st_mtime, default=None)
    if not Path(wanted).is_file():
        what = "is a folder" if Path(wanted).is_dir() else "does not exist"
        raise UserError(
            f"ckpt_path={wanted!r} {what}: name a .ckpt file, which a run keeps in RUN_DIR/{CHECKPOINTS}, or 'last' or "
            "'best', which mean those of the last run of run_dir."
        )
    return Path(wanted)


def run_dir_of(checkpoint: Path) -> Path | None:
    """The run's folder that a checkpoint lies in, ``None`` if it lies elsewhere."""
    folder = checkpoint.resolve().parent
    return checkpoint.parent.parent if folder.name == CHECKPOINTS else None


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content, primitives and tensors only.

    Raises:
        UserError: The file is missing, unreadable or no checkpoint.
    """
    if not path.is_file():
        raise UserError(f"The checkpoint {str(path)!r} does not exist; a run keeps its own in RUN_DIR/{CHECKPOINTS}.")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(
            f"The checkpoint {str(path)!r} cannot be read safely ({type(error).__name__}); it is truncated, or was not "
            "written by this package."
        ) from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise UserError(f"The file {str(path)!r} holds no state_dict; it is no checkpoint of a run.")
    return checkpoint


def data_state(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint keeps of its data module, whatever its class; empty where it keeps nothing."""
    states = (value for value in checkpoint.values() if isinstance(value, dict) and "env_steps" in value)
    return next(states, {})


def default_loggers(run_dir: Path, resume_step: int | None = None) -> list[Logger]:
    """``metrics.csv`` in the run folder and, where TensorBoard is installed, its event files.

    Args:
        run_dir: The run's folder.
        resume_step: Environment steps of the checkpoint from which it goes on, ``None`` for a new run.
    """
    loggers: list[Logger] = [RunLogger(run_dir, resume_step)]
    if RequirementCache("tensorboard"):
        # In the folder of a run that was killed before its first checkpoint, all that it logged is made again.
        first = 0 if resume_step is None else resume_step + 1
        loggers.append(TensorBoardLogger(run_dir, name="", version="tensorboard", purge_step=first))
    return loggers


def with_metrics_file(chosen: Any, run_dir: Path, resume_step: int | None = None) -> Any:
    """The loggers a config has chosen, and ``metrics.csv``, which reports and model cards are made of.

    Args:
        chosen: The Trainer's ``logger``: one or several; ``False`` stays.
        run_dir: The run's folder.
        resume_step: As for :func:`default_loggers`.
    """
    if not chosen:
        return chosen
    own = list(chosen) if isinstance(chosen, list | tuple) else [chosen]
    return own if any(isinstance(one, CSVLogger) for one in own) else [*own, RunLogger(run_dir, resume_step)]


def default_checkpoints(run_dir: Path, evaluated: bool = True) -> list[ModelCheckpoint]:
    """The best checkpoint by evaluated return, where there are evaluations, and the last one."""
    folder = run_dir / CHECKPOINTS
    best = ModelCheckpoint(folder, filename="best", monitor="val/return", mode="max", enable_version_counter=False)
    # Otherwise Lightning saves it after evaluations only, and a run between two of them loses what it learned.
    last = ModelCheckpoint(folder, filename="last", save_on_train_epoch_end=True, enable_version_counter=False)
    return [best, last] if evaluated else [last]
