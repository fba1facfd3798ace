"""ForgettingCheck on two processes, copies (DDP) and shards (FSDP2): the numbers of one process, and no trace."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests import forgetting_run, toys
from tests.forgetting_tasks import write_tasks

pytestmark = pytest.mark.timeout(600)  # seconds on a free machine, minutes on one that others use as well
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("two")
    write_tasks(made / "tasks")
    return made


@pytest.fixture(scope="module")
def runs(folder):
    """What both processes report."""
    toys.model_folder()
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
        command = [sys.executable, "-m", "tests.forgetting_run", str(folder)]
        processes.append(subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log))
    try:
        codes = [process.wait(timeout=280) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert codes == [0, 0], "".join((folder / f"rank{rank}.log").read_text()[-3000:] for rank in range(2))
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(2)]


def figures(checks: list[dict]) -> list[float]:
    names = ("on", "off", "loss", "loss_low", "loss_high", "on_stderr")
    return [task[name] for check in checks for task in check["tasks"] for name in names]


def test_both_processes_know_every_answer(runs):
    for name in ("checks", "validated", "sharded"):
        assert runs[0][name] == runs[1][name]
    assert [check["when"] for check in runs[0]["checks"]] == ["start", "iteration 1", "iteration 2"]
    assert runs[0]["checks"][-1]["mean_loss"] != 0


def test_the_numbers_are_those_of_one_process(runs, folder):
    alone = forgetting_run.evaluate(folder, forgetting_run.moved(toys.module()))
    assert alone[0]["mean_loss"] != 0
    assert figures(runs[0]["validated"]) == pytest.approx(figures(alone), rel=1e-4, abs=1e-5)


def test_spread_weights_give_the_same_numbers(runs):
    assert runs[0]["is sharded"]
    assert figures(runs[0]["sharded"]) == pytest.approx(figures(runs[0]["validated"]), rel=1e-4, abs=1e-5)


def test_training_does_not_notice(runs):
    for run in runs:
        toys.assert_equal_weights(run["weights"], run["weights without"])
    toys.assert_equal_weights(runs[0]["weights"], runs[1]["weights"])


def test_one_process_writes_the_table(runs, folder):
    logs = [(folder / f"rank{rank}.log").read_text() for rank in range(2)]
    assert [log.count("Forgetting: score") for log in logs] == [3, 0]
    assert (folder / "forgetting.json").is_file() and (folder / "forgetting-validate.md").is_file()
