"""Several processes of one program, as Lightning's launcher starts them."""

import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def start(folder: Path, processes: int, module: str, *arguments: str) -> list[subprocess.Popen]:
    """``python -m MODULE FOLDER ARGUMENTS``, each with a log in the folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for rank in range(processes):
        environment = os.environ | {
            "LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        command = [sys.executable, "-m", module, str(folder), *arguments]
        with open(folder / f"rank{rank}.log", "w") as log:
            started.append(subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log))
    return started


def log_of(folder: Path, rank: int) -> str:
    return (folder / f"rank{rank}.log").read_text()


def finish(folder: Path, started: list[subprocess.Popen], timeout: float = 500) -> None:
    """Wait for all of them; a failure shows the end of what they wrote."""
    try:
        codes = [process.wait(timeout=timeout) for process in started]
    finally:
        for process in started:
            process.kill()
    assert codes == [0] * len(started), "".join(log_of(folder, rank)[-3000:] for rank in range(len(started)))
