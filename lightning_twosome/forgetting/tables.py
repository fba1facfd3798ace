"""A comparison for people: a table for the terminal, and one in Markdown with the losses over the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table

from lightning_twosome.forgetting.comparison import Comparison, Difference

_MARKDOWN = """\
# Forgetting

Scores ± standard errors with the adapter off and on; the loss is the paired difference with its 95 % interval, above 0
where something was forgotten.

{last}

## Losses over the run

{history}
"""


def printed(result: Comparison) -> Table:
    """The comparison in 80 columns."""
    table = Table(title="Forgetting: score±standard error; a loss above 0 is forgotten", box=box.SIMPLE_HEAD)
    for column in ("task", "adapter off", "adapter on", "loss [95 %]", ""):
        table.add_column(column, no_wrap=True)
    for task in result.tasks:
        table.add_row(task.task, *_scores(task, "±"), str(task), task.verdict)
    table.add_section()
    table.add_row("mean", "", "", str(result.mean), result.mean.verdict)
    return table


def markdown(checks: Sequence[Mapping[str, Any]]) -> str:
    """The last check as a table, and the losses of all of them."""
    results = [Comparison.from_dict(check) for check in checks]
    last = [["task", "metric", "documents", "adapter off", "adapter on", "loss [95 %]", "verdict"]]
    for task in results[-1].tasks:
        last.append([task.task, task.metric, str(task.documents), *_scores(task, " ± "), str(task), task.verdict])
    last.append(["mean", "", "", "", "", str(results[-1].mean), results[-1].mean.verdict])
    history = [["check", "env steps", *(task.task for task in results[-1].tasks), "mean"]]
    for check, result in zip(checks, results, strict=True):
        losses = [f"{loss:.3f}" for loss in (*(task.loss for task in result.tasks), result.mean_loss)]
        history.append([check["when"], str(check["env_steps"]), *losses])
    return _MARKDOWN.format(last=_table(last), history=_table(history))


def _scores(task: Difference, sign: str) -> tuple[str, str]:
    return f"{task.off:.3f}{sign}{task.off_stderr:.3f}", f"{task.on:.3f}{sign}{task.on_stderr:.3f}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)
