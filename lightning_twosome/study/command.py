"""``lightning-twosome study STUDY``."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser
from lightning_utilities.core.imports import RequirementCache

from lightning_twosome.errors import UserError
from lightning_twosome.study.definition import Study, load_study

if TYPE_CHECKING:
    from lightning_twosome.study.cells import Cell


def study_command(arguments: list[str]) -> int:
    """Run ``lightning-twosome study``; returns the exit code: 1 where a cell has failed, 130 after Ctrl-C."""
    parser = ArgumentParser(
        prog="lightning-twosome study",
        description="Run a grid of tasks, methods and seeds; what is finished already is not run again.",
        exit_on_error=False,
    )
    parser.add_argument("study", metavar="STUDY", type=str, help="The study's file.")
    parser.add_function_arguments(run, skip={"study"})
    options = parser.parse_args(arguments).as_dict()
    options.pop("config", None)
    return run(**options)


def run(
    study: str,
    only: list[str] | None = None,
    tasks: list[str] | None = None,
    seeds: list[int] | None = None,
    processes: int | None = None,
    output: str | None = None,
    dry_run: bool = False,
    rerun: bool = False,
    report: bool = False,
    x: str = "env_steps",
) -> int:
    """Run a study's unfinished cells, or say what there is to run, or write its report.

    Args:
        study: The study's file.
        only: Methods, as a list: [word, sum].
        tasks: Tasks, as a list.
        seeds: Seeds, as a list.
        processes: Cells at the same time, in place of the study's number.
        output: The study's folder, in place of the one in its file.
        dry_run: List the cells with what is done, and run nothing.
        rerun: Run cells again whose settings have changed since.
        report: Write report.md and its figures from what is finished, and run nothing.
        x: What the report's curves are drawn over: env_steps, or a metric such as ledger/flops.

    Returns:
        The exit code.
    """
    if not RequirementCache("pandas") or not RequirementCache("pyarrow"):
        raise UserError("study needs pandas and pyarrow: pip install 'lightning-twosome[study]'.")
    from lightning_twosome.study.cells import make_cells
    from lightning_twosome.study.tables import write_tables

    described = load_study(Path(study))
    described.output, described.processes = output or described.output, processes or described.processes
    cells = make_cells(described, Path(study).parent)
    chosen = _chosen(described, cells, only, tasks, seeds)
    if dry_run:
        _list(chosen)
        return 0
    if report:
        from lightning_twosome.study.report import write_report

        write_tables(described, cells)
        print(f"Wrote {write_report(described, cells, study, x)}")
        return 0
    return _run(described, study, cells, chosen, rerun)


def _run(study: Study, path: str, cells: list[Cell], chosen: list[Cell], rerun: bool) -> int:
    from lightning_twosome.study.display import Display
    from lightning_twosome.study.runner import Runner
    from lightning_twosome.study.settings import CellSettings
    from lightning_twosome.study.tables import write_tables

    _clear_changed(chosen, rerun)
    settings = CellSettings()
    left = [cell for cell in chosen if not cell.done]
    for cell in left:
        settings.of(cell)
    for cell in left:
        settings.write(cell)
    with Display(chosen, study.processes) as display:
        runner = Runner(chosen, study.processes, display, lambda: write_tables(study, cells))
        try:
            failed = runner.run()
        except KeyboardInterrupt:
            display.line(f"Stopped; `lightning-twosome study {path}` goes on.")
            return 130
    write_tables(study, cells)
    for cell, sentence in failed.items():
        print(f"failed: {cell.label}: {sentence} ({cell.folder / 'log.txt'})")
    done = sum(cell.done for cell in chosen)
    print(f"{done} of {len(chosen)} cells are done; tables in {study.output}/results.csv and curves.csv.")
    return 1 if failed else 0


def _chosen(
    study: Study, cells: list[Cell], only: list[str] | None, tasks: list[str] | None, seeds: list[int] | None
) -> list[Cell]:
    """The cells that the flags name, with those that they start from."""
    axes: list[tuple[str, list[str] | None, list[str]]] = [
        ("only", only, list(study.methods)),
        ("tasks", tasks, list(study.tasks)),
    ]
    for flag, names, known in axes:
        for name in names or ():
            if name not in known:
                raise UserError(f"--{flag} names {name!r}, which is not in the study; it has {', '.join(known)}.")
    chosen = [
        cell
        for cell in cells
        if (only is None or cell.method in only)
        and (tasks is None or cell.task in tasks)
        and (seeds is None or cell.seed in seeds)
    ]
    needed = {cell.after for cell in chosen}
    found = [cell for cell in cells if cell in chosen or cell.folder in needed]
    if not found:
        raise UserError("The flags leave no cell of the study.")
    return found


def _list(cells: list[Cell]) -> None:
    for number, cell in enumerate(cells, start=1):
        state = cell.state()
        status = state.get("status", "to do") if state.get("hash", cell.hash) == cell.hash else "settings have changed"
        print(f"{number:4} {cell.label}: {status}")
    print(f"{sum(cell.done for cell in cells)} of {len(cells)} cells are done.")


def _clear_changed(cells: list[Cell], rerun: bool) -> None:
    """Make room for cells whose settings have changed, if that is wanted."""
    changed = [cell for cell in cells if cell.state().get("hash", cell.hash) != cell.hash]
    if changed and not rerun:
        raise UserError(
            f"{len(changed)} of {len(cells)} cells have been run with other settings, such as {changed[0].label}: "
            "--rerun=true runs them again, --output FOLDER leaves them as they are."
        )
    for cell in changed:
        shutil.rmtree(cell.folder)
