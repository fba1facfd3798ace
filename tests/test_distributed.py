"""Two processes on a CPU: the same weights on both, and the same run as one process with all the environments."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests import distributed_run, toys

pytestmark = pytest.mark.timeout(600)  # seconds on a free machine, minutes on one that others use as well
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """What both processes report."""
    folder = tmp_path_factory.mktemp("ddp")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []
    for rank in range(2):
        environment = os.environ | {
            "LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        log = open(folder / f"rank{rank}.log", "w")  # noqa: SIM115 - it outlives this block
        command = [sys.executable, "-m", "tests.distributed_run", str(folder)]
        processes.append(subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log))
    try:
        codes = [process.wait(timeout=500) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert codes == [0, 0], "".join((folder / f"rank{rank}.log").read_text()[-3000:] for rank in range(2))
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The plain run in one process with all four environments."""
    return distributed_run.fit(tmp_path_factory.mktemp("alone"), processes=1, num_envs=4)


@pytest.mark.parametrize("name", ["plain", "stopping", "resumed", "mixture"])
def test_both_processes_have_the_same_weights_and_metrics(runs, name):
    first, second = (run[name] for run in runs)
    toys.assert_equal_weights(first["weights"], second["weights"])
    assert first["results"].keys() == second["results"].keys()
    assert (first["steps"], first["env_steps"]) == (second["steps"], second["env_steps"])
    assert first["logged"] == second["logged"]


def test_processes_collect_different_halves_of_the_same_rollouts(runs, alone):
    halves = [run["plain"] for run in runs]
    for iteration in range(3):
        both = torch.cat([half["actions"][iteration] for half in halves], dim=1)
        assert torch.equal(both, alone["actions"][iteration])
        rows = [iter(half["prompts"][iteration]) for half in halves]
        merged = [next(rows[half]) for _ in range(4) for half in (0, 0, 1, 1)]
        assert merged == alone["prompts"][iteration]
    assert halves[0]["prompts"] != halves[1]["prompts"]


def test_two_processes_train_as_one(runs, alone):
    for name, weight in alone["weights"].items():
        torch.testing.assert_close(runs[0]["plain"]["weights"][name], weight, rtol=1e-5, atol=1e-5)
    for name, value in alone["results"].items():
        ours = runs[0]["plain"]["results"][name]
        if name not in ("rollout/unique_decisions", "value/explained_variance"):  # means of each process's own
            assert ours == pytest.approx(value, rel=1e-3, abs=1e-5), name


def test_advantages_are_normalised_over_both_processes(runs):
    for first, second in zip(runs[0]["plain"]["normal"], runs[1]["plain"]["normal"], strict=True):
        both = torch.cat([first, second])
        assert both.mean().abs() < 1e-5 and (both.std(unbiased=False) - 1).abs() < 1e-4
        assert first.mean().abs() > 1e-4, "a process's own mean is not 0"


def test_the_stop_by_kl_is_decided_alike(runs):
    stops = [[logged["policy/update_stopped"] for logged in run["stopping"]["logged"]] for run in runs]
    assert stops[0] == stops[1] and 1.0 in stops[0]


def test_two_processes_resume_exactly(runs):
    """From the middle of an iteration, each with its own episodes and windows."""
    for run in runs:
        toys.assert_equal_weights(run["stopping"]["weights"], run["resumed"]["weights"])
        assert run["stopping"]["env_steps"] == run["resumed"]["env_steps"]
        assert run["stopping"]["actions"][-1].tolist() == run["resumed"]["actions"][-1].tolist()
        assert len(run["stopping"]["logged"]) == 3 and len(run["resumed"]["logged"]) == 2
        assert run["stopping"]["logged"][-1] == run["resumed"]["logged"][-1]
        # The resumed iteration's own means over its batches are, of those before the checkpoint, the first process's.
        whole, resumed = run["stopping"]["logged"][-2], run["resumed"]["logged"][-2]
        assert {k: v for k, v in whole.items() if k.startswith(("rollout/", "lr/", "value/"))} == {
            k: v for k, v in resumed.items() if k.startswith(("rollout/", "lr/", "value/"))
        }


def test_tasks_of_a_mixture_are_logged_over_both_processes(runs):
    results = runs[0]["mixture"]["results"]
    assert {
        f"{stage}/{task}/return" for stage in ("rollout", "val") for task in ("corridor", "Buttons")
    } <= results.keys()


def test_both_processes_hear_of_an_environment_that_fails_in_one(runs):
    assert runs[0]["failure"] == runs[1]["failure"]
    assert "Environment 'Fragile' raised KeyError" in runs[0]["failure"]
    assert "it was environment 2 after reset(seed=" in runs[0]["failure"]


def test_they_go_on_exactly_from_the_checkpoint_it_left(runs):
    """The environment that would fail is else the same."""
    for run in runs:
        toys.assert_equal_weights(run["mended"]["weights"], run["plain"]["weights"])
        assert 1 <= len(run["mended"]["actions"]) < 3 == len(run["plain"]["actions"])
        assert torch.equal(run["mended"]["actions"][-1], run["plain"]["actions"][-1])
