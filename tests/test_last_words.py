"""A run whose process ends at once leaves one sentence; one that ends by itself leaves none."""

import os
import subprocess
import sys

import pytest

from lightning_twosome import last_words
from tests import toys
from tests.processes import ROOT

SENTENCE = "error: the process of this run was ended at once"
PROGRAM = "import os, signal, sys; from lightning_twosome.last_words import LastWords; words = LastWords('gone'); "


def told(program):
    """Exit code and stderr of a program."""
    run = subprocess.run([sys.executable, "-c", PROGRAM + program], cwd=ROOT, capture_output=True, text=True)
    return run.returncode, run.stderr


@pytest.mark.parametrize(
    ("end", "code"), [("os._exit(3)", 3), ("os.kill(os.getpid(), signal.SIGKILL)", -9), ("os.abort()", -6)]
)
def test_an_end_at_once_is_told(end, code):
    assert told(end) == (code, "gone\n")


@pytest.mark.parametrize(("end", "code"), [("", 0), ("sys.exit(2)", 2), ("words.unneeded(); os._exit(4)", 4)])
def test_an_ordinary_end_is_not(end, code):
    assert told(end) == (code, "")


def test_a_run_goes_on_without_a_shell(monkeypatch):
    monkeypatch.setattr(last_words, "_SHELL", "/no/such/shell")
    last_words.LastWords("gone").unneeded()


def test_an_environment_that_ends_the_only_process_of_a_run(tmp_path):
    environment = os.environ | {
        "DEATH": "0 rollout exit", "TOY_MODEL": toys.model_folder(), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    command = [sys.executable, "-m", "tests.death_run", str(tmp_path), "--trainer.devices=1"]
    run = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 7 and run.stderr.count(SENTENCE) == 1
    assert "--data.vectorization async tells whether it was an environment" in run.stderr
    assert "Traceback" not in run.stderr
