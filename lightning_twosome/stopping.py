"""A run that is asked to end writes a checkpoint from which it goes on exactly, and says how.

::

    SIGTERM, SIGUSR1, Ctrl-C --noted--> the next decision of a rollout or an evaluation, or the next minibatch
                             --all processes--> checkpoints/last.ckpt --> Stopped: one sentence, exit code 75 or 130

Lightning's own handlers are replaced while a fit runs: they communicate, or write a checkpoint, at whatever line the
signal arrives, in the middle of an optimizer step or of another exchange between the processes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from types import FrameType
from typing import Any

import lightning as L
from lightning.fabric.plugins.environments import SLURMEnvironment

from lightning_twosome.errors import CTRL_C

ASKED_TO_STOP = 75  # EX_TEMPFAIL of sysexits.h: the same command may succeed later

_noted: int | None = None


class Stopped(SystemExit):
    """The run was asked to end and has done so.

    Args:
        number: The signal, ``None`` where another process received it.
    """

    def __init__(self, number: int | None) -> None:
        self.number = number
        self.exit_code = CTRL_C if number == signal.SIGINT else ASKED_TO_STOP
        super().__init__(self.exit_code)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.number,)

    def __str__(self) -> str:
        if self.number is None:
            return "Stopped by a signal to another process"
        return f"Stopped by {'Ctrl-C' if self.number == signal.SIGINT else signal.Signals(self.number).name}"


def wanted() -> Stopped | None:
    """What to raise, where this process has been asked to end."""
    return None if _noted is None else Stopped(_noted)


def raise_if_wanted() -> None:
    """End what this process is at, where it has been asked to.

    Raises:
        Stopped: It has.
    """
    if _noted is not None:
        raise Stopped(_noted)


class StopOnSignal(L.Callback):
    """Notes signals while a fit runs; every algorithm of this package brings it along."""

    def on_sanity_check_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Listen from here on."""
        _listen(trainer)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Listen from here on, where there was no sanity check."""
        _listen(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The work is done: a signal that came too late changes nothing."""
        _forget()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """The run ends; Lightning gives the signals back to who had them before."""
        _forget()


def _listen(trainer: L.Trainer) -> None:
    if threading.current_thread() is not threading.main_thread():
        return  # where Python lets nobody listen
    _forget()
    first = os.getpid()

    def note(number: int, frame: FrameType | None) -> None:
        global _noted
        if os.getpid() != first:
            return  # a process of an environment, which ends with this one
        if number == signal.SIGINT and _noted == number:
            raise KeyboardInterrupt  # the second time somebody means it
        _noted = number
        launcher = trainer.strategy.launcher
        if number != signal.SIGINT and launcher is not None:  # a terminal sends Ctrl-C to all processes by itself
            launcher.kill(number)

    for number in _signals(trainer):
        signal.signal(number, note)


def _signals(trainer: L.Trainer) -> set[signal.Signals]:
    known = {signal.SIGTERM, signal.SIGINT}
    if hasattr(signal, "SIGUSR1"):  # Windows has none
        known.add(signal.SIGUSR1)
    requeue = _requeue_signal(trainer)
    return known if requeue is None else known | {requeue}


def _forget() -> None:
    global _noted
    _noted = None


def _requeue_signal(trainer: Any) -> signal.Signals | None:
    """The signal on which SLURM is to start the job again, as Lightning has it; ``None`` elsewhere."""
    if not SLURMEnvironment.detect():
        return None
    environment = getattr(trainer.strategy, "cluster_environment", None)
    if not isinstance(environment, SLURMEnvironment):
        environment = SLURMEnvironment()
    return environment.requeue_signal if environment.auto_requeue else None


def tell(stopped: Stopped, checkpoint: Any, trainer: Any) -> None:
    """Say how to go on, once for all processes, and have SLURM start the job again where it was to.

    Args:
        stopped: What ends the run.
        checkpoint: What was written, if anything.
        trainer: The Lightning trainer.
    """
    if not trainer.is_global_zero:
        return
    if checkpoint is None:
        print(f"{stopped}; no checkpoint was written.", file=sys.stderr)
        return
    sentence = f"{stopped}; checkpoint written to {checkpoint}: the same command with --ckpt_path last goes on"
    requeue = _requeue_signal(trainer)
    if requeue is not None and stopped.number == requeue:
        sentence += ", which SLURM does in the same job" if _requeue() else "; SLURM did not put the job back"
    print(f"{sentence}.", file=sys.stderr)


def _requeue() -> bool:
    variables = os.environ
    job = variables.get("SLURM_JOB_ID", "")
    if "SLURM_ARRAY_JOB_ID" in variables:
        job = f"{variables['SLURM_ARRAY_JOB_ID']}_{variables['SLURM_ARRAY_TASK_ID']}"
    try:
        return subprocess.run(["scontrol", "requeue", job], capture_output=True).returncode == 0
    except OSError:
        return False
