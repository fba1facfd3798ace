"""``lightning-twosome study STUDY``."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_twosome.command_parser import CommandParser
from lightning_twosome.errors import UserError
from lightning_twosome.ledger.axis import STEPS, check_axis
from lightning_twosome.study.definition import Study, load_study
from lightning_twosome.study.names import matching
from lightning_twosome.trainer_settings import check_processes

if TYPE_CHECKING:
    from lightning_twosome.study.cells import Cell


def study_command(arguments: list[str], debug: bool = False) -> int:
    """Run a study's unfinished cells, or say what there is to run, or write its report.

    Args:
        arguments: The command line without the subcommand.
        debug: Let the libraries say everything.

    Returns:
        The exit code: 1 where a cell has failed, 130 after Ctrl-C.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    check_axis(options.x, "--x")
    if options.report:
        _refuse_selection(options, parser)
    elif options.x != STEPS:
        raise UserError(f"--x {options.x} is for the curves of the report: give --report with it, or leave it out.")
    from lightning_twosome.study.cells import make_cells

    study = load_study(options.study)
    study.output = options.output or study.output
    if options.processes is not None:
        study.processes = options.processes
    if study.processes < 1:
        raise UserError(f"--processes is {study.processes}; it must be at least 1.")
    cells = make_cells(study, options.study.parent)
    chosen = _chosen(study, cells, options)
    if options.dry_run:
        _list(chosen, options.reuse)
        return 0
    if options.report:
        return _report(study, cells, options)
    try:
        return _run(study, cells, chosen, options, debug)
    except KeyboardInterrupt:
        print(f"Stopped; `lightning-twosome study {options.study}` goes on.")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="lightning-twosome study",
        description="Run a grid of tasks, methods and seeds; what is finished already is not run again.",
    )
    parser.add_argument("study", type=Path, help="the study's file")
    parser.add_argument("--only", nargs="+", metavar="METHOD", help="these methods alone; * stands for anything")
    parser.add_argument("--tasks", nargs="+", metavar="TASK", help="these tasks alone; * stands for anything")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="SEED", help="these seeds alone")
    parser.add_argument("--processes", type=int, help="cells at the same time, in place of the file's number")
    parser.add_argument("--output", help="the study's folder, in place of the file's")
    parser.add_argument("--dry-run", action="store_true", help="list the cells with what is done, and run nothing")
    parser.add_argument("--rerun", action="store_true", help="run cells again whose settings have changed since")
    parser.add_argument(
        "--reuse",
        nargs="+",
        type=Path,
        default=[],
        metavar="FOLDER",
        help="other studies' output folders, or published tables: what is finished with the same settings is not run",
    )
    parser.add_argument("--report", action="store_true", help="write report.md and figures from what is finished")
    parser.add_argument(
        "--x",
        default=STEPS,
        metavar="METRIC",
        help="what the report's curves are drawn over, such as ledger/flops",
    )
    return parser


def _refuse_selection(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """A report of some cells would take the place of the whole one, in the same file."""
    for name in ("only", "tasks", "seeds", "processes", "dry_run", "rerun", "reuse"):
        if getattr(options, name) != parser.get_default(name):
            flag = f"--{name.replace('_', '-')}"
            raise UserError(f"--report is written of all cells that are done: leave {flag} out.")


def _report(study: Study, cells: list[Cell], options: argparse.Namespace) -> int:
    from lightning_twosome.study.report import write_report
    from lightning_twosome.study.tables import write_tables

    write_tables(study, cells)
    _say_without_steps(study, cells)
    command = ["lightning-twosome", "study", str(options.study), "--report"]
    command += ["--output", options.output] if options.output else []
    command += ["--x", options.x] if options.x != STEPS else []
    for path in write_report(study, cells, shlex.join(command), options.x):
        print(f"Wrote {path}")
    return 0


def _run(study: Study, cells: list[Cell], chosen: list[Cell], options: argparse.Namespace, debug: bool) -> int:
    from lightning_twosome.command_line import speak
    from lightning_twosome.study.display import Display
    from lightning_twosome.study.preparation import prepare
    from lightning_twosome.study.runner import Runner
    from lightning_twosome.study.tables import write_tables

    check_processes("processes" if options.processes is None else "--processes", study.processes)
    speak(debug)
    prepare(chosen, options.reuse, options.rerun)
    with Display(chosen, study.processes) as display:
        failed = Runner(chosen, study.processes, display, lambda: write_tables(study, cells)).run()
    write_tables(study, cells)
    for cell, sentence in failed.items():
        print(f"failed: {cell.label}: {sentence} ({cell.folder / 'log.txt'})")
    _say_without_steps(study, cells)
    done = sum(cell.done for cell in chosen)
    print(f"{done} of {len(chosen)} cells are done; tables in {study.output}/results.csv and curves.csv.")
    return 1 if failed else 0


def _say_without_steps(study: Study, cells: list[Cell]) -> None:
    from lightning_twosome.study.tables import without_steps

    if found := without_steps(study, cells):
        threshold = f"{study.threshold.metric} {study.threshold.value:g}"
        print(
            f"{len(found)} cells, such as {found[0].label}, have no steps to {threshold}: they were taken from tables "
            "with another threshold, and without curves to find it in."
        )


def _chosen(study: Study, cells: list[Cell], options: argparse.Namespace) -> list[Cell]:
    """The cells that the flags name, with those that they start from."""
    methods = _matching("--only", options.only, list(study.methods))
    tasks = _matching("--tasks", options.tasks, list(study.tasks))
    for seed in options.seeds or ():
        if not any(cell.seed == seed for cell in cells):
            known = ", ".join(map(str, dict.fromkeys(cell.seed for cell in cells)))
            raise UserError(f"--seeds names {seed}, which is not in the study; it has {known}.")
    chosen = [
        cell
        for cell in cells
        if cell.method in methods and cell.task in tasks and (options.seeds is None or cell.seed in options.seeds)
    ]
    if not chosen:
        raise UserError("The flags leave no cell of the study; --dry-run without them lists all.")
    needed = {cell.after for cell in chosen}
    return [cell for cell in cells if cell in chosen or cell.folder in needed]


def _matching(flag: str, patterns: list[str] | None, names: list[str]) -> list[str]:
    for pattern in patterns or ():
        if not matching([pattern], names):
            raise UserError(f"{flag} names {pattern!r}, which is not in the study; it has {', '.join(names)}.")
    return names if patterns is None else matching(patterns, names)


def _list(cells: list[Cell], folders: list[Path]) -> None:
    from lightning_twosome.study.preparation import check
    from lightning_twosome.study.reuse import plan
    from lightning_twosome.study.settings import CellSettings

    for number, cell in enumerate(cells, start=1):
        status = "settings have changed" if cell.changed else cell.state().get("status", "to do")
        print(f"{number:4} {cell.label}: {status}")
    print(f"{sum(cell.done for cell in cells)} of {len(cells)} cells are done.")
    check(cells, plan(cells, folders), CellSettings())
