"""A worker process: takes cells one after the other and runs each as the command line would.

Importing the libraries costs several seconds of a processor, so that a worker stays for the whole study. What comes out
of a cell does not depend on the cells that its worker ran before.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import lightning as L
import torch
from filelock import FileLock, Timeout
from lightning.pytorch.callbacks import Callback

from lightning_twosome.callbacks import EvaluationReport
from lightning_twosome.cli_errors import one_sentence
from lightning_twosome.command_line import TwosomeCLI, announce, quieten, run_cli
from lightning_twosome.errors import UserError
from lightning_twosome.export import export_checkpoint
from lightning_twosome.run_folder import CHECKPOINTS, load_checkpoint
from lightning_twosome.study.cells import CONFIG_FILE, EXPORTED, LOCK_FILE, LOG_FILE, Cell
from lightning_twosome.study.rows import cell_row

Report = Callable[[str, Any], None]


class CellProgress(Callback):
    """Tells the study how far a cell is, after every iteration.

    Args:
        report: Is told ("progress", figures).
    """

    def __init__(self, report: Report) -> None:
        self.report = report

    def on_policy_update(self, trainer: L.Trainer, pl_module: L.LightningModule, stats: Mapping[str, float]) -> None:
        """Say steps, return and success of the last training episodes."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        figures = {name: stats[f"rollout/{name}"] for name in ("return", "success") if f"rollout/{name}" in stats}
        total = data.steps_per_iteration * max(trainer.max_epochs or 0, 0)
        self.report("progress", {"env_steps": data.env_steps, "total": total, **figures})


def work(connection: Connection, folder: str) -> None:
    """Run the cells that come through the connection until there is none; a process's main function.

    Args:
        connection: Gives cells, ``None`` at the end; takes what there is to report.
        folder: The working directory.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the study ends its workers itself
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.path.append(folder)  # class_path: my_module.MyEnv, as for the command line
    torch.set_num_threads(1)
    quieten()
    announce()
    while (cell := connection.recv()) is not None:
        connection.send(_attempt(cell, lambda kind, content: connection.send((kind, content))))
        gc.collect()


def _end_with_parent() -> None:
    """Leave with the study, however it ends, so that its next start finds no cell in use."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _attempt(cell: Cell, report: Report) -> tuple[str, Any]:
    cell.folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(cell.folder / LOCK_FILE, timeout=0), _output_in(cell.folder / LOG_FILE):
            if not cell.done:
                run_cell(cell, report)
        return "done", None
    except Timeout:
        return "busy", None
    except Exception as error:
        known = isinstance(error, UserError | OSError)
        with (cell.folder / LOG_FILE).open("a", encoding="utf-8") as log:
            traceback.print_exc(file=log)
        return "failed", one_sentence(error) if known else f"{type(error).__name__}: {one_sentence(error)}"


def run_cell(cell: Cell, report: Report) -> None:
    """Train, test, export where another cell needs it, and write the row; an interrupted training goes on."""
    cell.write_state("begun")
    _discard_broken_checkpoint(cell.folder / CHECKPOINTS)
    cli = _run(cell, report)
    row = cell_row(cell, cli.model, cli.datamodule, cli.trainer)
    if cell.export:
        shutil.rmtree(cell.folder / EXPORTED, ignore_errors=True)
        last = cell.folder / CHECKPOINTS / "last.ckpt"
        export_checkpoint(cli.model, cli.datamodule, last, cell.folder / EXPORTED)
    cell.write_state("done", row=row)


def _run(cell: Cell, report: Report) -> TwosomeCLI:
    class CellCLI(TwosomeCLI):
        """The command line, which reports its progress."""

        def _default_callbacks(self, config: dict[str, Any], run_dir: Path) -> list[Callback]:
            return [*super()._default_callbacks(config, run_dir), CellProgress(report)]

    arguments = [cell.command, "--config", str(cell.folder / CONFIG_FILE)]
    if cell.command == "test":
        test = ["eval_episodes", "eval_greedy_episodes"]
        return run_cli([*arguments, *(f"--data.{name}={cell.episodes}" for name in test)], CellCLI)
    cli = run_cli([*arguments, "--ckpt_path", "last"], CellCLI)
    report("testing", None)
    cli.datamodule.eval_episodes = cli.datamodule.eval_greedy_episodes = cell.episodes
    trainer: Any = cli.trainer
    trainer.callbacks, trainer.loggers = [EvaluationReport()], []  # others' work is done
    trainer.test(cli.model, datamodule=cli.datamodule, verbose=False)
    return cli


def _discard_broken_checkpoint(folder: Path) -> None:
    """Begin anew where a kill has left half a file."""
    for path in folder.glob("last*.ckpt"):
        try:
            load_checkpoint(path)
        except UserError:
            print(f"{path} is incomplete: training starts from the beginning.")
            path.unlink()


@contextmanager
def _output_in(path: Path) -> Iterator[None]:
    """Everything that is printed goes to a file, by libraries in C and by log handlers too."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with path.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, old in enumerate(kept, start=1):
                os.dup2(old, number)
                os.close(old)
