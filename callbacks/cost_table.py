"""What a training has cost, in one table at its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lightning as L
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from lightning_twosome.ledger.phases import metrics_of
from lightning_twosome.ledger.table import COLUMNS, cost_rows, to_json


class CostTable(L.Callback):
    """Write tokens, FLOPs, seconds and memory by phase to ``ledger.json`` after ``fit``, and print them.

    The command line adds it to every training, and lets it print where ``BeforeAndAfter`` prints as well.
    docs/ledger.md says what is counted.

    Args:
        printed: Print the table too.
    """

    def __init__(self, printed: bool = True) -> None:
        self.printed = printed

    def on_fit_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Print and write the module's ledger."""
        accounts = pl_module.ledger.totals(trainer.world_size)
        if not trainer.is_global_zero:
            return
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        content = {"phases": to_json(accounts), "metrics": metrics_of(accounts)}
        (folder / "ledger.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        if self.printed:
            Console().print(_table(cost_rows(accounts)))


def _table(rows: list[list[str]]) -> Table:
    """Fits a terminal of 80 columns."""
    table = Table(
        title="What it cost; saved: share of the plain loop's FLOPs",
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=0,
    )
    for number, column in enumerate(COLUMNS):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row, end_section=row is rows[-2])
    return table
