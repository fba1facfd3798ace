"""A run that a signal ends goes on exactly, and says so with an exit code of its own."""

import os
import signal
import subprocess
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from lightning_twosome import stopping
from lightning_twosome.stopping import Stopped
from tests import toys
from tests.cli_runs import quick_config, rows, save_tiny
from tests.cli_runs import run as run_cli
from tests.signalling import FromHere, Signalling
from tests.test_resume import assert_equal_runs, run

USUAL = signal.getsignal(signal.SIGTERM)


class InUpdate(Callback):
    """Sends the process a signal in the optimizer step with this number."""

    def __init__(self, at):
        self.at = at

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        if trainer.global_step == self.at:
            os.kill(os.getpid(), signal.SIGUSR1)


@pytest.fixture
def steps(monkeypatch):
    """Lets a test choose which step sends a signal."""
    monkeypatch.setattr(Signalling, "steps", None)

    def choose(at, number=signal.SIGTERM):
        monkeypatch.setattr(Signalling, "at", at)
        monkeypatch.setattr(Signalling, "number", number)

    return choose


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run(tmp_path_factory.mktemp("whole"))


# An iteration has 16 steps in the rollout, 4 in each environment; an evaluation of 8 to 20 steps follows.
@pytest.mark.parametrize("at", [7, 21, 50])
def test_a_signal_in_a_rollout_or_an_evaluation(tmp_path, capsys, steps, whole, at):
    steps(at)
    checkpoint = ModelCheckpoint(tmp_path / "rare", every_n_epochs=100)
    with pytest.raises(Stopped) as stopped:
        run(tmp_path, data_settings={"env": Signalling}, checkpoint=checkpoint, callbacks=[FromHere(), checkpoint])
    assert stopped.value.code == 75
    assert capsys.readouterr().err.endswith(
        f"Stopped by SIGTERM; checkpoint written to {tmp_path}/checkpoints/last.ckpt: the same command with "
        "--ckpt_path last goes on.\n"
    )
    assert Signalling.steps <= at + 3, "it ends with the decision, not with the rollout or the evaluation"
    assert_equal_runs(whole, run(tmp_path, ckpt_path=str(tmp_path / "checkpoints/last.ckpt")))
    assert signal.getsignal(signal.SIGTERM) == USUAL and stopping.wanted() is None


@pytest.mark.parametrize("at", [5, 7])  # in the middle of an iteration, at its last minibatch
def test_a_signal_in_an_update_loses_nothing(tmp_path, whole, at):
    checkpoint = ModelCheckpoint(tmp_path / "rare", every_n_epochs=100)
    with pytest.raises(Stopped, match="Stopped by SIGUSR1"):
        run(tmp_path, checkpoint=checkpoint, callbacks=[InUpdate(at), checkpoint])
    kept = tmp_path / "checkpoints/last.ckpt"
    assert torch.load(kept, weights_only=True)["global_step"] == at + 1
    assert_equal_runs(whole, run(tmp_path, ckpt_path=str(kept)))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_the_command_line_ends_with_one_sentence_and_goes_on(tmp_path, capsys, steps, number, code):
    config = quick_config(tmp_path, save_tiny(tmp_path / "model"), "{class_path: tests.signalling.Signalling}")
    steps(10, number)
    assert run_cli("fit", "--config", config, "--trainer.callbacks+=tests.signalling.FromHere") == code
    told = capsys.readouterr().err
    assert told.count("Stopped by") == 1 and "\nerror" not in told
    steps(-1)
    assert run_cli("fit", "--config", config, "--ckpt_path", "last") == 0
    assert [row["step"] for row in rows(tmp_path / "run", "loss/total")] == ["8", "16"]


def test_without_checkpoints_it_says_so(tmp_path, capsys, steps):
    steps(20)
    with pytest.raises(Stopped):
        run(tmp_path, data_settings={"env": Signalling}, callbacks=[FromHere()])
    assert "Stopped by SIGTERM; no checkpoint was written." in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_signal_ends_the_run_though_it_ended_an_environment_too(tmp_path, steps):
    """A scheduler's SIGTERM to a whole job reaches the processes of environments, which end at once."""
    steps(20)
    with pytest.raises(Stopped):
        run(tmp_path, data_settings={"env": Killed, "vectorization": "async"}, callbacks=[FromHere()])


class Killed(toys.Corridor):
    """Asks its parent to end and dies."""

    def step(self, action):
        if Signalling.steps == 0:  # it is one of those that were made in training
            os.kill(os.getppid(), signal.SIGTERM)
            os._exit(1)
        return super().step(action)


def test_ctrl_c_twice_ends_at_once(monkeypatch):
    handlers = {}
    monkeypatch.setattr(signal, "signal", lambda number, handler: handlers.update({number: handler}))
    stopping._listen(SimpleNamespace(strategy=SimpleNamespace(launcher=None)))
    handlers[signal.SIGINT](signal.SIGINT, None)
    assert stopping.wanted().code == 130
    with pytest.raises(KeyboardInterrupt):
        handlers[signal.SIGINT](signal.SIGINT, None)
    stopping._forget()


def test_slurm_starts_the_job_again(monkeypatch, capsys):
    for name, value in {"SLURM_NTASKS": "1", "SLURM_JOB_NAME": "train", "SLURM_ARRAY_JOB_ID": "7",
                        "SLURM_ARRAY_TASK_ID": "3", "SLURM_JOB_ID": "9"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    called = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: called.append(command) or SimpleNamespace(returncode=0))
    trainer = SimpleNamespace(is_global_zero=True, strategy=None)
    stopping.tell(Stopped(signal.SIGTERM), "last.ckpt", trainer)
    assert not called
    stopping.tell(Stopped(signal.SIGUSR1), "last.ckpt", trainer)
    assert called == [["scontrol", "requeue", "7_3"]]
    assert capsys.readouterr().err.endswith("with --ckpt_path last goes on, which SLURM does in the same job.\n")
