"""``lightning-twosome generalization RUN...``: one table over the tests of several runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from lightning_twosome.command_parser import CommandParser
from lightning_twosome.generalization import NAME, combine, screen_table, write_table


def generalization_command(arguments: Sequence[str]) -> int:
    """Print the table over several runs and write it.

    Args:
        arguments: The command line without the subcommand.

    Returns:
        The exit code, 0.
    """
    parser = CommandParser(
        prog="lightning-twosome generalization",
        description="The generalisation table over several runs, which lightning-twosome test was run on: means over "
        "runs with 95 % bootstrap intervals stratified over the runs, and the interquartile mean over runs.",
    )
    parser.add_argument("runs", nargs="+", type=Path, help="run folders, or files of test episodes")
    parser.add_argument("--output", type=Path, help=f"folder for {NAME}.csv and {NAME}.md; nothing is written without")
    chosen = parser.parse_args(arguments)
    lines = combine(chosen.runs)
    title = f"{len(chosen.runs)} run{'s' * (len(chosen.runs) > 1)}: mean [95 % interval]"
    Console().print(screen_table(title, lines))
    if chosen.output is not None:
        write_table(chosen.output, NAME, title, lines)
        print(f"Table in {chosen.output / NAME}.md and .csv")
    return 0
