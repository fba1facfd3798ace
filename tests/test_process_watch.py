"""A process that dies ends all of them within a minute, with one sentence, however they were started."""

import os
import subprocess
import sys
import time

import pytest

from tests import toys
from tests.processes import ROOT

pytestmark = pytest.mark.timeout(300)
SENTENCE = "counted from 0) has died (killed, out of memory or crashed), and the others cannot go on without it"
FSDP = (
    "--trainer.strategy={class_path: lightning.pytorch.strategies.ModelParallelStrategy, init_args: "
    "{data_parallel_size: 2, tensor_parallel_size: 1, save_distributed_checkpoint: false}}"
)
TORCHRUN = ("-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=0", "--rdzv-backend=c10d",
            "--rdzv-endpoint=localhost:0")  # fmt: skip


def ending(folder, death, *options, launcher=()):
    """What is told, the exit code, and the seconds from a process's death to the end of all."""
    environment = os.environ | {
        "DEATH": death, "TOY_MODEL": toys.model_folder(), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    command = [sys.executable, *launcher, "-m", "tests.death_run", str(folder), *options]
    # Its own session, so that whoever is left over can be found.
    run = subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
                           text=True, start_new_session=True)  # fmt: skip
    _, told = run.communicate(timeout=200)  # returns when the last process has closed its end
    seconds = time.monotonic() - float((folder / "death").read_text())  # one clock for all processes
    assert_nobody_is_left(run.pid)
    return told, run.returncode, seconds


def assert_nobody_is_left(session):
    """No process of the session runs; a moment is allowed for its last instructions."""
    for _ in range(20):
        # Not those that have ended and are only remembered, which nobody collects in some containers.
        command = ["pgrep", "--session", str(session), "--runstates", "D,R,S"]
        left = subprocess.run(command, capture_output=True, text=True).stdout.split()
        if not left:
            return
        time.sleep(0.5)
    raise AssertionError(f"processes {left} of session {session} are left over")


def assert_one_sentence(told, rank):
    assert told.count(f"error: process {rank} of 2 ({SENTENCE}") == 1
    assert "Traceback" not in told


def test_a_process_that_exits_in_a_rollout_ends_the_other(tmp_path):
    told, code, _ = ending(tmp_path, "1 rollout exit", "--trainer.strategy=ddp")
    assert_one_sentence(told, 1)
    assert code != 0


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["--trainer.strategy=ddp", FSDP], ids=["ddp", "fsdp"])
@pytest.mark.parametrize("death", ["0 rollout kill", "1 rollout kill", "0 update kill", "1 update exit"])
def test_whichever_process_dies_and_wherever(tmp_path, death, strategy):
    told, code, seconds = ending(tmp_path, death, strategy)
    assert_one_sentence(told, death[0])
    assert code != 0 and seconds < 60


@pytest.mark.slow
def test_under_torchrun(tmp_path):
    told, code, _ = ending(tmp_path, "1 update kill", "--trainer.strategy=ddp", launcher=TORCHRUN)
    assert told.count(SENTENCE) == 1 and code != 0


@pytest.mark.slow
def test_a_process_that_fails_of_itself_says_so_and_the_other_that_it_did(tmp_path):
    told, code, seconds = ending(tmp_path, "1 update error", "--trainer.strategy=ddp")
    assert told.count("RuntimeError: a mistake of its own") == 1
    assert "Connection" not in told and code != 0 and seconds < 60
