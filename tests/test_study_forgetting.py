"""What a study's report says of the forgetting suite: a table by task of the suite, and a curve during training."""

from tests.cli_runs import run
from tests.study_runs import STUDY, read, small_study

LOSSES = {1: (0.1, 0.02), 2: (0.3, 0.0)}  # by seed: cloze, perplexity


def measured(cell):
    cloze, perplexity = LOSSES[cell.seed]
    return {
        "forgetting/cloze/off": 0.75, "forgetting/cloze/on": 0.75 - cloze, "forgetting/cloze/loss": cloze,
        "forgetting/perplexity/off": 1.5, "forgetting/perplexity/on": 1.5 * (1 + perplexity),
        "forgetting/perplexity/loss": perplexity, "forgetting/mean_loss": (cloze + perplexity) / 2,
    }  # fmt: skip


def test_losses_are_means_over_seeds_beside_the_scores_without_adapter(tmp_path):
    path = small_study(tmp_path, "made", STUDY)
    _, cells = read(path)
    for cell in cells:
        trained = cell.method == "word"
        cell.write_state("done", row={"env_steps": 24, "return": 0.5} | (measured(cell) if trained else {}))
        if trained:
            lines = [f"{steps},{steps / 100},0.5" for steps in (8, 16, 24)]
            (cell.folder / "metrics.csv").write_text("\n".join(["step,forgetting/mean_loss,val/return", *lines]))
    assert run("study", path, "--report") == 0
    text = (tmp_path / "made/report.md").read_text()
    assert "| method | seeds | cloze | perplexity | mean |" in text
    assert "| without adapter |  | 0.750 | 1.500 |  |" in text
    assert "| word | 2 | 0.200 [0.100, 0.300] | 0.010 [0.000, 0.020] | 0.105 [0.060, 0.150] |" in text
    assert text.count("| zero-shot |") == 1, "it was not measured, and is in the table of returns alone"


def test_a_study_without_the_suite_says_nothing_of_it(tmp_path):
    path = small_study(tmp_path, "made", STUDY)
    _, cells = read(path)
    for cell in cells:
        cell.write_state("done", row={"env_steps": 24, "return": 0.5})
    assert run("study", path, "--report") == 0
    assert "forg" not in (tmp_path / "made/report.md").read_text()
