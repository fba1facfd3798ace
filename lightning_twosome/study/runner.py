"""Cells over worker processes: who runs what, and what happens when a worker dies."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from lightning_twosome.study.cells import Cell
from lightning_twosome.study.display import Display

ATTEMPTS = 2
PATIENCE = 10.0  # seconds for a process to end


class _Worker:
    """A process and the cell that it is at."""

    def __init__(self) -> None:
        from lightning_twosome.study.worker import work

        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        # Not a daemon, since an environment may have processes of its own.
        self.process: BaseProcess = context.Process(target=work, args=(theirs, os.getcwd()))
        self.process.start()
        theirs.close()
        self.cell: Cell | None = None

    def begin(self, cell: Cell) -> None:
        """Hand a cell over."""
        self.cell = cell
        self.connection.send(cell)

    def leave(self) -> None:
        """Let it end by itself, as it has nothing to do: a killed one leaves semaphores that Python warns of."""
        with suppress(OSError):
            self.connection.send(None)
        self.process.join(PATIENCE)

    def end(self) -> None:
        """Kill it: what it was at goes on from its last checkpoint."""
        self.process.kill()
        self.process.join()
        self.connection.close()


class Runner:
    """Runs cells until all are done or have failed twice.

    Args:
        cells: In order; a cell that starts from another waits for it.
        processes: Workers.
        display: Is told what happens.
        finished: Called after every cell.
    """

    def __init__(self, cells: list[Cell], processes: int, display: Display, finished: Callable[[], None]) -> None:
        self.display = display
        self.finished = finished
        self.processes = processes
        self.waiting = [cell for cell in cells if not cell.done]
        self.attempts = dict.fromkeys(self.waiting, 0)
        self.failed: dict[Cell, str] = {}
        self.skipped: list[Cell] = []
        self.workers: list[_Worker] = []

    def run(self) -> dict[Cell, str]:
        """Run them.

        Returns:
            What has failed, with the reason.
        """
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ[name] = "1"
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        try:
            self._hand_out()
            while any(worker.cell for worker in self.workers):
                self._listen()
                self._hand_out()
            for worker in self.workers:
                worker.leave()
        finally:
            for worker in self.workers:
                worker.end()
        return self.failed

    def _hand_out(self) -> None:
        """Give every idle worker a cell that can begin; start workers where there are too few."""
        while (cell := self._next()) is not None:
            idle = next((worker for worker in self.workers if worker.cell is None), None)
            if idle is None:
                if len(self.workers) >= self.processes:
                    return
                idle = _Worker()
                self.workers.append(idle)
            self.waiting.remove(cell)
            self.attempts[cell] += 1
            idle.begin(cell)
            self.display.begun(cell)

    def _next(self) -> Cell | None:
        """The first cell that waits for no other; with a cell go those that start from it."""
        failed, skipped = ({cell.folder for cell in gone} for gone in (self.failed, self.skipped))
        for cell in [cell for cell in self.waiting if cell.after in failed | skipped]:
            self.waiting.remove(cell)
            if cell.after in failed:
                self._fail(cell, "the cell that it starts from has failed.")
            else:
                self._skip(cell)
        unfinished = {cell.folder for cell in self.waiting} | {w.cell.folder for w in self.workers if w.cell}
        return next((cell for cell in self.waiting if cell.after not in unfinished), None)

    def _listen(self) -> None:
        """Wait for the next report or the next death."""
        ends: dict[Any, _Worker] = {worker.connection: worker for worker in self.workers}
        for ready in wait(list(ends)):
            assert isinstance(ready, Connection)
            worker = ends[ready]
            try:
                kind, content = worker.connection.recv()
            except (EOFError, OSError):
                self._bury(worker)
                continue
            if worker.cell is not None:
                self._take(worker, worker.cell, kind, content)

    def _take(self, worker: _Worker, cell: Cell, kind: str, content: Any) -> None:
        if kind in ("progress", "testing"):
            self.display.progress(cell, kind, content)
            return
        worker.cell = None
        if kind == "failed":
            self._again_or_fail(cell, content)
        elif kind == "busy":
            self._skip(cell)
        else:
            self.display.done(cell)
            self.finished()

    def _bury(self, worker: _Worker) -> None:
        """A worker has died; its cell is tried again by another."""
        worker.end()
        self.workers.remove(worker)
        if worker.cell is not None:
            code = worker.process.exitcode
            self._again_or_fail(worker.cell, f"its process has ended with code {code}, perhaps for want of memory.")

    def _again_or_fail(self, cell: Cell, sentence: str) -> None:
        if self.attempts[cell] < ATTEMPTS:
            self.display.line(f"{cell.label} is tried again: {sentence}")
            self.display.left(cell)
            self.waiting.insert(0, cell)
        else:
            self._fail(cell, sentence)

    def _skip(self, cell: Cell) -> None:
        self.skipped.append(cell)
        self.display.left(cell)
        self.display.line(f"{cell.label} is left to another start of this study, which is at it.")

    def _fail(self, cell: Cell, sentence: str) -> None:
        self.failed[cell] = sentence
        self.display.failed(cell, sentence)
