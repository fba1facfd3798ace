"""What a study's report says of steps, costs and tasks, on rows made by hand."""

import pytest

from tests.cli_runs import run
from tests.study_runs import STUDY, read, small_study

SECOND_TASK = STUDY.replace(
    "methods:", "  Hall: {{configs: [quick.yaml], scores: {{random: 0, optimum: 1}}}}\nmethods:"
)


def report_of(tmp_path, text, row_of, evaluations_of=lambda cell: []) -> str:
    """The report of the study whose cells have finished with these rows, and evaluations (steps, return)."""
    path = small_study(tmp_path, "made", text)
    _, cells = read(path)
    for cell in cells:
        cell.write_state("done", row={"env_steps": 24, "return": 0.5} | row_of(cell))
        lines = [f"{steps},{value}\n" for steps, value in evaluations_of(cell)]
        (cell.folder / "metrics.csv").write_text("".join(["step,val/return\n", *lines]))
    assert run("study", path, "--report") == 0
    return (tmp_path / "made/report.md").read_text()


def rows_with(text: str, method: str) -> list[list[str]]:
    return [line.split(" | ") for line in text.splitlines() if f"| {method} |" in line]


def test_what_training_takes_is_in_a_table_of_the_trained_methods(tmp_path):
    spent = {1: (1e12, 80.0), 2: (3e12, 2400.0)}

    def row(cell):
        if cell.method != "word":
            return {}
        flops, seconds = spent[cell.seed]
        return {"ledger/flops": flops, "ledger/saved": 0.98, "ledger/seconds": seconds}

    text = report_of(tmp_path, STUDY, row)
    assert "| Corridor | word | 24 | 2 [1, 3] | 98.0% | 1240 [80, 2400] |" in text
    assert len(rows_with(text, "zero-shot")) == 1, "it was not trained, and is in the table of returns alone"


def test_a_run_without_a_ledger_leaves_its_method_out_of_the_costs(tmp_path):
    text = report_of(tmp_path, STUDY, lambda cell: {"ledger/flops": 1e12} if cell.seed == 1 else {})
    assert "## Cost" not in text


def test_perplexity_has_an_interval_over_seeds(tmp_path):
    after = {1: 2.25, 2: 4.0}
    text = report_of(tmp_path, STUDY, lambda c: {"before/perplexity": 2.0, "after/perplexity": after[c.seed]})
    assert "2.00, 3.12 [2.25, 4.00]" in text


def test_steps_name_those_of_the_method_that_another_starts_from(tmp_path):
    text = report_of(
        tmp_path,
        STUDY,
        lambda cell: {"env_steps_before": 512} if cell.method == "word" else {},
        lambda cell: [(8 * cell.seed, 0.0)] if cell.method == "word" else [],
    )
    assert "8 + 512" in rows_with(text, "word")[0] and "12 [8, 16] + 512" in rows_with(text, "word")[0]
    assert "512" not in " ".join(rows_with(text, "zero-shot")[0])


@pytest.mark.parametrize(
    ("reached", "watched", "mean"),
    [(8, 24, "≥ 16 [8, 24]"), pytest.param(24, 8, "24 [24, 24]", id="the one without is lost sight of early")],
)
def test_a_mean_is_a_lower_bound_where_a_seed_is_watched_to_the_end_in_vain(tmp_path, reached, watched, mean):
    evaluations = {1: [(reached, 0.0)], 2: [(watched, -0.5)]}
    text = report_of(tmp_path, STUDY, lambda cell: {}, lambda cell: evaluations[cell.seed])
    assert mean in rows_with(text, "word")[0]


def test_methods_that_some_tasks_lack_are_named_below_the_others(tmp_path):
    text = report_of(tmp_path, SECOND_TASK.replace("  zero-shot: {{", "  zero-shot: {{only: [Hall], "), lambda cell: {})
    assert "Not run on all of these tasks: zero-shot." in text.partition("## Across tasks")[2]
    assert "Not run on all" not in report_of(tmp_path / "both", SECOND_TASK, lambda cell: {})
