"""Runs that are killed anywhere end as the run that nobody killed does: a short version of tests/kill_run.py."""

import os
import re
import subprocess
import sys

import pytest

from tests.processes import ROOT


def kill(folder, *options):
    """What the harness prints."""
    command = [sys.executable, "-m", "tests.kill_run", str(folder / "runs"), *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # a process whose threads compute cannot be forked
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr[-3000:]
    return run.stdout


def test_killed_while_a_file_is_half_written_and_at_another_moment(tmp_path):
    told = kill(tmp_path, "--kills", "2", "--first", "half of a file written")
    # A run that ends before its moment comes is followed by another; one may also be killed twice.
    assert re.search(r"\b2 kills in (\d) runs, \1 of which ended as the run that was not killed\.", told)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("options", [["--kills", "50"], ["--kills", "10", "--processes", "2"]], ids=["one", "two"])
def test_killed(tmp_path, options):
    assert f"{options[1]} kills in" in kill(tmp_path, *options)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("processes", ["1", "2"])
@pytest.mark.parametrize("signal", ["SIGTERM", "SIGUSR1", "SIGINT"])
def test_asked_to_end(tmp_path, signal, processes):
    kill(tmp_path, "--kills", "4", "--signal", signal, "--processes", processes)
