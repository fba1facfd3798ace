"""What a study shows while it runs: one live table in a terminal, plain lines in a file."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from rich.columns import Columns
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lightning_twosome.study.cells import Cell


class Display:
    """Cells done, running and left, what each running one has reached, and the time that is left.

    Args:
        cells: All of the study that were chosen.
        processes: Cells at the same time.
        console: To print on.
    """

    def __init__(self, cells: list[Cell], processes: int, console: Console | None = None) -> None:
        self.total = len(cells)
        self.finished = sum(cell.done for cell in cells)
        self.processes = processes
        self.console = console or Console()
        self.running: dict[Cell, dict[str, Any]] = {}
        self.failures = 0
        self._start = time.monotonic()
        self._at_start = self.finished
        self._live: Live | None = None

    def __enter__(self) -> Display:
        if self.console.is_terminal:
            self._live = Live(console=self.console, get_renderable=self._picture, refresh_per_second=2)
            self._live.start()
        else:
            self.line(f"{self.finished} of {self.total} cells are done, {self.processes} at the same time.")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def line(self, text: str) -> None:
        """Print a line above the table."""
        self.console.print(Text(text), soft_wrap=True)

    def begun(self, cell: Cell) -> None:
        """A cell runs."""
        self.running[cell] = {}

    def progress(self, cell: Cell, kind: str, figures: dict[str, Any] | None) -> None:
        """A cell has ended an iteration, or is tested."""
        self.running[cell] = figures or {**self.running[cell], "testing": True}

    def left(self, cell: Cell) -> None:
        """A cell no longer runs."""
        self.running.pop(cell, None)

    def done(self, cell: Cell) -> None:
        """A cell is finished."""
        self.left(cell)
        self.finished += 1
        row = cell.state().get("row", {})
        figures = _figures({name: row.get(name) for name in ("env_steps", "return", "success")})
        self.line(f"{self._count()} {cell.label}: {figures}{self._remaining(', ')}")

    def failed(self, cell: Cell, sentence: str) -> None:
        """A cell has failed for good."""
        self.left(cell)
        self.failures += 1
        self.line(f"{self._count()} {cell.label} has failed: {sentence}")

    def _count(self) -> str:
        return f"[{self.finished + self.failures}/{self.total}]"

    def _remaining(self, before: str) -> str:
        """Estimated from the cells of this start and how far the running ones are."""
        started = self.finished - self._at_start
        shares = [f["env_steps"] / f["total"] for f in self.running.values() if f.get("total")]
        made = started + sum(shares)
        left = self.total - self.finished - self.failures - sum(shares)
        if made < 0.05 or left <= 0:
            return ""
        seconds = (time.monotonic() - self._start) / made * left
        minutes = int(seconds // 60)
        return f"{before}{minutes // 60}:{minutes % 60:02}:{int(seconds % 60):02} left"

    def _picture(self) -> Group:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("running")  # wraps before the figures do
        for column in ("", "env steps", "return", "success"):
            table.add_column(column, no_wrap=True)
        for cell, figures in self.running.items():
            steps, total = figures.get("env_steps", 0), figures.get("total") or 1
            shown = "testing" if "testing" in figures else f"{steps:,}" if figures else "starting"
            cells = [f"{figures['return']:.3f}" if "return" in figures else ""]
            cells.append(f"{figures['success']:.0%}" if "success" in figures else "")
            table.add_row(Text(cell.label), ProgressBar(total=total, completed=steps, width=12), shown, *cells)
        left = self.total - self.finished - self.failures - len(self.running)
        failed = f", {self.failures} failed" if self.failures else ""
        title = f"{self.finished} done, {len(self.running)} running, {left} left{failed}{self._remaining(', about ')}"
        bar = ProgressBar(total=self.total, completed=self.finished + self.failures, width=60)
        return Group(Text(title), Columns([bar]), *([table] if self.running else []))


def _figures(row: dict[str, Any]) -> str:
    parts = [f"{row['env_steps']:,} env steps"] if row["env_steps"] else []
    parts += [f"return {row['return']:.3f}"] if row["return"] is not None else []
    parts += [f"success {row['success']:.0%}"] if row["success"] is not None else []
    return ", ".join(parts)
