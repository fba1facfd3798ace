"""The generalisation table: statistics by hand, files of one run, the table over several, on the command line too."""

import csv
import re

import numpy as np
import pytest
import torch

from lightning_twosome.errors import UserError
from lightning_twosome.generalization import (
    ALL_TASKS,
    Record,
    combine,
    markdown,
    read_records,
    records_of,
    summary_lines,
    write_records,
)
from lightning_twosome.rollout import Episode
from lightning_twosome.run_folder import new_run_dir
from lightning_twosome.statistics import (
    bootstrap_interval,
    interquartile_interval,
    interquartile_mean,
    stratified_interval,
)
from tests.cli_runs import quick_config, run, save_tiny

# Statistics


def test_interquartile_mean_leaves_out_a_quarter_at_either_end():
    assert interquartile_mean([100.0, 2.0, 1.0, -50.0]) == 1.5
    assert interquartile_mean([9.0, 1.0, 2.0, 3.0, 0.0]) == 2.0  # of five, one at either end
    assert interquartile_mean([4.0, 8.0, 0.0]) == 4.0 and interquartile_mean([7.0]) == 7.0
    assert interquartile_mean(np.array([[0.0, 1.0], [2.0, 30.0]]).ravel()) == 1.5


def test_strata_are_resampled_within_themselves():
    assert stratified_interval([[0.0, 0.0, 0.0], [1.0, 1.0]]) == (0.5, 0.5), "strata differ, their episodes do not"
    low, high = bootstrap_interval([0.0, 0.0, 0.0, 1.0, 1.0])
    assert low < 0.4 < high
    generator = np.random.default_rng(0)
    strata = [generator.normal(size=100), generator.normal(loc=50.0, size=100)]
    low, high = stratified_interval(strata)
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(200), rel=0.15), "not widened by the distance between them"
    assert stratified_interval([strata[0]]) == bootstrap_interval(strata[0])


def test_strata_weigh_alike_whatever_their_size():
    low, high = stratified_interval([[0.0] * 1000, [1.0]])
    assert (low, high) == (0.5, 0.5)


def test_the_interval_of_the_interquartile_mean_covers_it():
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(40):
        scores = generator.normal(size=(2, 12))
        low, high = interquartile_interval(scores.tolist(), resamples=200)
        covered += low < 0 < high
    assert 32 <= covered
    assert interquartile_interval([[1.0, 1.0], [1.0, 1.0]]) == (1.0, 1.0)


# Table


def records(task, returns, actions="sampled", success=True):
    made = []
    for seed, value in enumerate(returns):
        figures = {"return": value, "undiscounted_return": 2 * value, "length": 10.0 * value}
        made.append(Record(task, actions, seed, figures | ({"success": float(value > 0.5)} if success else {})))
    return made


def test_lines_of_one_run():
    run_records = records("soup", [0.25, 0.75]) + records("soup", [1.0], "greedy") + records("salad", [0.5] * 3)
    run_records += records("salad", [0.0], "greedy")
    lines = {(line.task, line.actions): line for line in summary_lines([run_records])}
    assert list(lines) == [
        ("soup", "sampled"), ("soup", "greedy"), ("salad", "sampled"), ("salad", "greedy"), (ALL_TASKS, "sampled"),
        (ALL_TASKS, "greedy"),
    ]  # fmt: skip
    soup = lines["soup", "sampled"]
    assert (soup.episodes, soup.runs) == (2, 1)
    assert {name: figure.mean for name, figure in soup.figures.items()} == {
        "success": 0.5, "return": 0.5, "undiscounted_return": 1.0, "length": 5.0,
    }  # fmt: skip
    assert (soup.figures["return"].low, soup.figures["return"].high) == (0.25, 0.75)
    assert soup.figures["return"].iqm is None
    both = lines[ALL_TASKS, "sampled"]
    assert both.episodes == 5 and both.figures["success"].mean == 0.25, "each task weighs alike"


def test_lines_of_several_runs():
    runs = [records("soup", [value] * 3) for value in (0.0, 0.4, 0.6, 1.0)]
    (line,) = summary_lines(runs)
    figure = line.figures["return"]
    assert (line.runs, line.episodes, figure.mean, figure.iqm) == (4, 12, 0.5, 0.5)
    assert figure.low == figure.high == 0.5, "no episode differs within its run"
    assert figure.iqm_low == 0.0 and figure.iqm_high == pytest.approx(0.9, abs=0.11), "but runs do"


def test_a_task_without_success_has_an_empty_cell():
    lines = summary_lines([records("a", [1.0, 1.0], success=False) + records("b", [-0.0001])])
    assert "success" not in lines[0].figures and lines[1].figures["success"].mean == 0.0
    assert "success" not in lines[2].figures, "all tasks together: not all of them say it"
    rows = markdown("Title", lines).splitlines()
    assert rows[0] == "# Title" and rows[2].startswith("| task | actions | episodes | success | discounted return |")
    assert rows[4] == "| a | sampled | 2 |  | 1.000 [1.000, 1.000] | 2.00 [2.00, 2.00] | 10.0 [10.0, 10.0] |"
    assert rows[5] == "| b | sampled | 1 | 0% | 0.000 | 0.00 | 0.0 |", "one episode has no interval, and 0 no sign"


def test_episodes_come_back_from_their_file(tmp_path):
    evaluated = {
        True: [Episode(3, 1.0, 0.9, 4, 9, True, True, "soup")],
        False: [
            Episode(5, 0.1, 1 / 3, 2, 2, False, None, "salad, green"),
            Episode(6, 0.0, -0.5, 1, 1, False, False, "x"),
        ],
    }
    made = records_of(evaluated)
    assert [record.actions for record in made] == ["sampled", "sampled", "greedy"]
    write_records(tmp_path / "generalization_episodes.csv", made)
    assert read_records(tmp_path) == made == read_records(tmp_path / "generalization_episodes.csv")


def test_runs_that_cannot_be_combined_are_named(tmp_path):
    with pytest.raises(UserError, match="has no test episodes .*: run lightning-twosome test"):
        combine([tmp_path])
    for name, made in {"a": records("soup", [1.0]), "b": records("salad", [1.0]), "c": []}.items():
        write_records(tmp_path / f"{name}.csv", made)
    with pytest.raises(UserError, match="a.csv' and .*b.csv' differ in their sampled episodes of 'salad'"):
        combine([tmp_path / "a.csv", tmp_path / "b.csv"])
    with pytest.raises(UserError, match="a.csv' is named twice"):
        combine([tmp_path / "a.csv", tmp_path / "a.csv"])
    with pytest.raises(UserError, match="holds no episode"):
        combine([tmp_path / "c.csv"])
    (tmp_path / "other.csv").write_text("step,loss\n1,2\n")
    with pytest.raises(UserError, match="is no file of test episodes"):
        combine([tmp_path / "other.csv"])


# Command line

TASKS = (
    "[{env: {class_path: tests.toys.Corridor, init_args: {limit: 3}}, name: corridor}, "
    "{env: {class_path: tests.toys.Buttons, init_args: {offered: 3}}}, "
    "{env: twosome/FoodPreparation-v0, name: household}]"
)


@pytest.fixture(scope="module")
def tested(tmp_path_factory):
    """Two runs on the corridor, each tested on three worlds, and the test before training."""
    folder = tmp_path_factory.mktemp("tested")
    config = quick_config(folder, save_tiny(folder / "model"))
    arguments = ("--config", config, "--data.test_tasks", TASKS)
    assert run("test", *arguments) == 0
    for seed in (1, 2):
        assert run("fit", "--config", config, "--seed_everything", seed, "--trainer.limit_val_batches", 0) == 0
        assert run("test", *arguments, "--ckpt_path", "last") == 0
    return folder


def table(path):
    with path.open() as file:
        return {(row["task"], row["actions"]): row for row in csv.DictReader(file)}


def test_every_task_is_tested_sampled_and_greedy(tested):
    assert {path.name for path in tested.iterdir()} >= {"run", "run-2"} and not (tested / "run-3").exists()
    made = table(tested / "run/generalization.csv")
    tasks = ["corridor", "Buttons", "household", ALL_TASKS]
    assert list(made) == [(task, actions) for task in tasks for actions in ("sampled", "greedy")]
    for row in made.values():
        if row["actions"] == "greedy":
            assert row["episodes"] in "13" and row["return_low"] == "", "one episode has no interval"
            continue
        for quantity in ("success", "return", "undiscounted_return", "length"):
            low, mean, high = (float(row[f"{quantity}{end}"]) for end in ("_low", "", "_high"))
            assert low - 1e-9 <= mean <= high + 1e-9
    assert made["Buttons", "sampled"]["length"] == "1.0" and made["household", "sampled"]["episodes"] == "4"
    assert float(made["household", "sampled"]["length"]) > 3 >= float(made["corridor", "sampled"]["length"])
    untrained = table(tested / "run/generalization_untrained.csv")
    assert untrained.keys() == made.keys()
    text = (tested / "run/generalization.md").read_text()
    assert text.startswith("# 16 environment steps, discount 0.99") and text.count("\n|") == 10


def test_the_command_combines_runs(tested, capsys):
    capsys.readouterr()
    runs = [tested / "run", tested / "run-2"]
    assert run("generalization", *runs, "--output", tested / "both") == 0
    out = capsys.readouterr().out
    assert "2 runs" in out and "IQM" in out
    both, single = table(tested / "both/generalization.csv"), [table(path / "generalization.csv") for path in runs]
    for key, row in both.items():
        mean = np.mean([float(one[key]["return"]) for one in single])
        assert float(row["return"]) == pytest.approx(mean) and row["runs"] == "2"
        assert float(row["return_iqm_low"]) <= float(row["return_iqm"]) <= float(row["return_iqm_high"])
    assert "IQM of discounted return over runs" in (tested / "both/generalization.md").read_text()
    assert run("generalization", tested / "nowhere") == 2
    assert "has no test episodes" in capsys.readouterr().err


def test_the_table_fits_a_terminal_and_the_loggers_get_it(tested, capsys):
    capsys.readouterr()
    config = tested / "run/config.yaml"
    logger = f"{{class_path: lightning.pytorch.loggers.CSVLogger, init_args: {{save_dir: {tested}}}}}"
    arguments = ("--config", config, "--ckpt_path", "last", "--data.test_tasks", TASKS, "--trainer.logger", logger)
    assert run("test", *arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    table_lines = lines[: next(i for i, line in enumerate(lines) if line.startswith("Table in"))]
    assert max(map(len, table_lines)) <= 80
    first, second = next(pair for pair in zip(table_lines, table_lines[1:], strict=False) if "corridor" in pair[0])
    assert re.match(r" *corridor +\d+% +-?\d\.\d{3} +-?\d\.\d\d +\d\.\d *$", first)
    assert re.match(r" *4 sampled +\[\d+%, \d+%\] +\[-?\d\.\d{3}, -?\d\.\d{3}\] .*\[\d\.\d, \d\.\d\] *$", second)
    (metrics,) = tested.glob("lightning_logs/version_*/metrics.csv")
    with metrics.open() as file:
        (row,) = csv.DictReader(file)
    made = table(tested / "run-2/generalization.csv")
    for task in ("corridor", "Buttons", "household"):
        for prefix, actions in (("", "sampled"), ("greedy_", "greedy")):
            assert float(row[f"test/{task}/{prefix}return"]) == pytest.approx(
                float(made[task, actions]["return"]), abs=1e-5
            )


def test_a_test_before_training_leaves_the_folder_to_the_first_run(tmp_path, monkeypatch):
    monkeypatch.delenv("TWOSOME_RUN_DIR", raising=False)
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "generalization_untrained.csv").touch()
    assert [new_run_dir(folder).name for _ in range(2)] == ["run", "run-2"]
    monkeypatch.delenv("TWOSOME_RUN_DIR", raising=False)


def test_no_global_random_number_is_used():
    state = torch.get_rng_state(), np.random.get_state()[1].copy()
    summary_lines([records("a", [0.1, 0.2]), records("a", [0.3, 0.4])])
    assert torch.equal(state[0], torch.get_rng_state()) and (state[1] == np.random.get_state()[1]).all()
