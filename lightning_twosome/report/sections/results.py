"""What training did: return, success and language before and after."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lightning_twosome.report.content import Missing, Section, Table, Text
from lightning_twosome.report.estimates import Estimate, number, over_runs
from lightning_twosome.report.groups import Group
from lightning_twosome.report.runs import Run
from lightning_twosome.report.sections.common import counted, intervals, labelled, seeds

FILE = "before_and_after"
# Column, part of the file, quantity, decimals, in per cent.
_COLUMNS: tuple[tuple[str, str, str, int, bool], ...] = (
    ("return before", "before", "return", 3, False),
    ("return after", "after", "return", 3, False),
    ("success before", "before", "success", 2, True),
    ("success after", "after", "success", 2, True),
)


def results(groups: Sequence[Group]) -> Section:
    """The headline figures and a row for each run."""
    section = Section("results", "Results")
    measured = [group for group in groups if group.known(FILE, "after")]
    if not measured:
        section.blocks.append(
            Missing("Figures before and after training are written by the callback `BeforeAndAfter`.")
        )
        return section
    section.blocks += [Text(_headline(group)) for group in measured]
    section.blocks.append(_table(measured))
    if any(len(group.runs) > len(group.known(FILE, "after")) for group in groups):
        section.blocks.append(
            Missing("Runs without `before_and_after.json` have not ended, or lack the callback `BeforeAndAfter`.")
        )
    return section


def _headline(group: Group) -> str:
    """The result in one sentence."""
    before, after = (_estimate(group, part, "return") for part in ("before", "after"))
    assert before is not None and after is not None
    start = f"With {group.label}, the" if group.label else "The"
    count = len(group.known(FILE, "after"))
    steps = max(group.known(FILE, "env_steps"), default=0)
    text = f"{start} discounted return of the sampled policy went from {before.text()} to {after.text()} in "
    text += f"{counted(int(steps), 'environment step')}" + (f", over {counted(count, 'seed')}." if count > 1 else ".")
    optimum, uniform = group.known(FILE, "optimum"), group.known(FILE, "uniform_random", "return")
    beside = [f"the optimum is {number(optimum[0])} (regret {number(optimum[0] - after.mean)})"] if optimum else []
    beside += [f"uniform random play gets {over_runs(uniform).text()}"] if uniform else []
    return text + (f" For comparison, {' and '.join(beside)}." if beside else "")


def _table(groups: Sequence[Group]) -> Table:
    columns = [column for column in _COLUMNS if any(group.known(FILE, column[1], column[2]) for group in groups)]
    language = any(group.known(FILE, "after", "perplexity") for group in groups)
    rows: list[list[str]] = []
    strong: list[int] = []
    for group in groups:
        runs = [run for run in group.runs if run.result(FILE, "after") is not None]
        several = len(runs) > 1
        if several and group.label:
            rows.append([group.label])
        names = [f"seed {run.seed}" if several and run.seed is not None else labelled(group, "") for run in runs]
        names = [run.name if name == "this run" else name for name, run in zip(names, runs, strict=True)]
        rows += [_row(name, columns, language, _of_run(run)) for name, run in zip(names, runs, strict=True)]
        if several:
            strong.append(len(rows))
            rows.append(_row(f"mean of {len(runs)}", columns, language, _of_group(group)))
    return Table(
        "table-results",
        _caption(groups),
        ["run", *(column[0] for column in columns), *["perplexity"] * language],
        rows,
        strong=strong,
    )


def _caption(groups: Sequence[Group]) -> str:
    text = (
        f"Before and after training. {seeds(groups)}. Returns are discounted, actions sampled; each figure of a run is "
        "a mean over the same episodes, unseen in training, with the 95 % percentile bootstrap interval over them"
    )
    if any(len(group.runs) == 1 for group in groups):
        text += ", which says nothing about other seeds"
    if any(len(group.runs) > 1 for group in groups):
        text += f"; each mean over runs with the {intervals([g for g in groups if len(g.runs) > 1], '')}"
    if any(group.known(FILE, "after", "perplexity") for group in groups):
        text += ". Perplexity, before and after, is that of held-out text of the bundled model's corpus"
    return text + "."


def _row(
    label: str,
    columns: Sequence[tuple[str, str, str, int, bool]],
    language: bool,
    find: Callable[[str, str], Estimate | None],
) -> list[str]:
    cells = [find(part, quantity) for _, part, quantity, _, _ in columns]
    texts = [
        "" if cell is None else cell.text(decimals, percent)
        for cell, (_, _, _, decimals, percent) in zip(cells, columns, strict=True)
    ]
    if not language:
        return [label, *texts]
    before, after = find("before", "perplexity"), find("after", "perplexity")
    change = "" if before is None or after is None else f"{number(before.mean, 2)} \N{RIGHTWARDS ARROW} {after.text(2)}"
    return [label, *texts, change]


def _of_run(run: Run) -> Callable[[str, str], Estimate | None]:
    def find(part: str, quantity: str) -> Estimate | None:
        values = run.result(FILE, part) or {}
        if quantity not in values:
            return None
        return Estimate(values[quantity], values.get(f"{quantity}_low"), values.get(f"{quantity}_high"))

    return find


def _of_group(group: Group) -> Callable[[str, str], Estimate | None]:
    def find(part: str, quantity: str) -> Estimate | None:
        values = group.known(FILE, part, quantity)
        if not values:
            return None
        estimate = over_runs(values)
        if quantity != "success" or estimate.low is None or estimate.high is None:
            return estimate
        return Estimate(estimate.mean, max(0.0, estimate.low), min(1.0, estimate.high))

    return find


def _estimate(group: Group, part: str, quantity: str) -> Estimate | None:
    runs = [run for run in group.runs if run.result(FILE, part) is not None]
    return _of_group(group)(part, quantity) if len(runs) > 1 else _of_run(runs[0])(part, quantity)
