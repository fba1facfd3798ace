"""Studies: the file and its mistakes, cells, what is run again and what is not, tables and report."""

import io
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import fields

import pandas as pd
import pytest
import yaml
from rich.console import Console

from lightning_twosome.errors import UserError
from lightning_twosome.study.cells import make_cells
from lightning_twosome.study.definition import Method, Study, StudyTask, Threshold, load_study
from lightning_twosome.study.display import Display
from lightning_twosome.study.estimates import curve, estimate_task
from lightning_twosome.study.report import markdown_table
from lightning_twosome.study.runner import Runner
from lightning_twosome.study.settings import CellSettings
from lightning_twosome.study.tables import results, write_tables
from lightning_twosome.study.worker import run_cell
from tests.cli_runs import ROOT, run
from tests.study_env import VARIABLE
from tests.study_runs import STUDY, read, small_study, tables, write_study

STUDIES = sorted((ROOT / "configs/studies").glob("*.yaml"))

# The file


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_names_only_what_its_runs_take(path):
    study, settings = load_study(path), CellSettings()
    cells = make_cells(study, path.parent)
    # Values of a grid alone make no difference.
    different = {(cell.task, cell.command, cell.configs, *sorted(cell.set)): cell for cell in cells}
    assert different
    for cell in different.values():
        config = settings.of(cell)
        assert config["seed_everything"] == cell.seed and config["run_dir"] == str(cell.folder)


def test_a_grid_becomes_methods_whose_names_have_its_values(tmp_path):
    grid = {"model.normalization": ["sum", "word"], "model.beta": [1, 2]}
    study = write_study(
        tmp_path, methods={"{normalization} at {beta}": {"grid": grid}, "x": {"grid": {"data.seed": [7]}}}
    )
    assert list(study.methods) == ["sum at 1", "sum at 2", "word at 1", "word at 2", "x, seed 7"]
    assert study.methods["word at 1"].set == {"model.normalization": "word", "model.beta": 1}
    assert study.reference == "sum at 1"


def test_cells_go_seed_by_seed_and_leave_out_what_makes_no_sense(tmp_path):
    study = write_study(
        tmp_path,
        seeds=[3, 4],
        tasks={"A": {}, "B": {"seeds": [5]}},
        methods={"x": {}, "y": {"only": ["A"]}, "z": {"exclude": ["A"]}},
    )
    cells = make_cells(study, tmp_path)
    assert [(cell.task, cell.method, cell.seed) for cell in cells] == [
        ("A", "x", 3), ("A", "y", 3), ("B", "x", 5), ("B", "z", 5), ("A", "x", 4), ("A", "y", 4),
    ]  # fmt: skip
    assert cells[0].folder.as_posix() == "studies/some/a/x/seed_3"


def test_layers_go_from_the_task_over_the_method_to_both(tmp_path):
    (tmp_path / "own.yaml").write_text("trainer: {max_epochs: 7}\nmodel: {init_args: {beta: 2.0, entropy_coef: 0.5}}\n")
    task = {"configs": ["tomato_salad.yaml"], "set": {"model.actor_lr": 0.5, "data.env": "twosome/TomatoSalad-v0"}}
    method = {
        "configs": ["own.yaml"],
        "set": {"model.beta": 3.0, "trainer.callbacks.EnvironmentBudget.total_env_steps": 9},
        "per_task": {"A": {"set": {"model.actor_lr": 0.25}}},
    }
    study = write_study(tmp_path, tasks={"A": task, "B": task}, methods={"x": method}, forgetting=True)
    first, second = (CellSettings().of(cell) for cell in make_cells(study, tmp_path))
    model = first["model"]["init_args"]
    assert (model["beta"], model["entropy_coef"], model["actor_lr"], model["critic_lr"]) == (3.0, 0.5, 0.25, 0.005)
    assert second["model"]["init_args"]["actor_lr"] == 0.5 and first["trainer"]["max_epochs"] == 7
    callbacks = {one["class_path"].rpartition(".")[2]: one["init_args"] for one in first["trainer"]["callbacks"]}
    assert callbacks["EnvironmentBudget"] == {"total_env_steps": 9} and "ForgettingCheck" in callbacks


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("model.betta", 1.0, "A / x: model.betta is not known; did you mean 'beta'?"),
        ("data.num_steps", "many", "A / x: data.num_steps: expected int, not 'many'"),
        ("data.minibatch_size", 3, "A / x: data.minibatch_size=3 does not divide the rollout"),
        ("data.env", "twosome/No-v0", "A / x: The environment 'twosome/No-v0' is not"),
        ("trainer.callbacks.Budget.steps", 3, "names no argument of a callback of the configs, which have Environment"),
    ],
)
def test_a_cells_mistake_is_known_before_anything_runs(key, value, sentence, tmp_path):
    study = write_study(tmp_path, tasks={"A": {"configs": ["tomato_salad.yaml"]}}, methods={"x": {"set": {key: value}}})
    with pytest.raises(UserError) as error:
        CellSettings().of(make_cells(study, tmp_path)[0])
    assert sentence in str(error.value) and "\n" not in str(error.value)


def test_a_hash_changes_with_what_comes_out_and_with_nothing_else(tmp_path):
    def hashes(text="model: {init_args: {beta: 2.0}}", **changes):
        (tmp_path / "own.yaml").write_text(text)
        settings = {"tasks": {"A": {"configs": ["own.yaml"]}}, "methods": {"x": {}, "y": {"after": "x"}}} | changes
        return {cell.method: cell.hash for cell in make_cells(write_study(tmp_path, **settings), tmp_path)}

    first = hashes()
    assert hashes("# Another comment.\nmodel: {init_args: {beta: 2.0}}", processes=3, output="elsewhere") == first
    for changed in (hashes("model: {init_args: {beta: 3.0}}"), hashes(seeds=[1]), hashes(evaluation={"episodes": 9})):
        assert changed["x"] != first["x"] and changed["y"] != first["y"], "what starts from it changes with it"


def test_the_file_of_the_documentation_is_a_study(tmp_path):
    (block,) = re.findall(r"```yaml\n(name: methods.*?)```", (ROOT / "docs/studies.md").read_text(), re.DOTALL)
    (tmp_path / "methods.yaml").write_text(block)
    study = load_study(tmp_path / "methods.yaml")
    cells, settings = make_cells(study, tmp_path), CellSettings()
    content = yaml.safe_load(block)
    places = {Study: [content], StudyTask: content["tasks"].values(), Method: content["methods"].values()}
    for kind, parts in places.items():
        assert {key for part in parts for key in part or {}} == {one.name for one in fields(kind)}
    assert len({cell.method for cell in cells}) == 9 and len([c for c in cells if c.task == "Tomato Salad"]) == 40
    first = {cell.method: cell for cell in cells[::-1] if cell.task == "Tomato-Lettuce Salad"}
    assert set(first) == {"word", "short", "BC", "RL after BC", "SayCan"}
    for cell in first.values():
        assert settings.of(cell)["data"]["init_args"]["env"] == "twosome/TomatoLettuceSalad-v0"


# Runs


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The small study, its cells run one after the other in this process."""
    path = small_study(tmp_path_factory.mktemp("study"), "reference")
    study, cells = read(path)
    settings, reports = CellSettings(), []
    for cell in cells:
        settings.write(cell)
        run_cell(cell, lambda kind, content: reports.append((kind, content)))
    write_tables(study, cells)
    return path, reports


def equal(first, second):
    for name, table in tables(first).items():
        pd.testing.assert_frame_equal(table, tables(second)[name])


def test_results_have_a_line_a_cell_with_figures_and_versions(reference):
    path, reports = reference
    table = pd.read_parquet(path.with_suffix("") / "results.parquet")
    assert table[["method", "seed", "env_steps"]].values.tolist() == [
        ["word", 1, 24], ["word", 2, 24], ["zero-shot", 1, 0], ["zero-shot", 2, 0],
    ]  # fmt: skip
    episodes = pd.read_csv(path.with_suffix("") / "corridor/word/seed_1/generalization_episodes.csv")
    assert len(episodes) == 12
    own = episodes[episodes.actions == "sampled"]["return"].mean()
    assert table["return"][0] == pytest.approx(own)
    assert table["version/torch"].notna().all() and table.config_hash.str.len().eq(12).all()
    assert not (path.with_suffix("") / "corridor/zero-shot/seed_1/checkpoints").exists()
    assert [content["env_steps"] for kind, content in reports if kind == "progress"] == [8, 16, 24] * 2


def test_tables_are_tidy_and_in_the_studys_order(tmp_path):
    """Of cells made by hand: one reaches the threshold, one does not, one is not trained, one is not finished."""
    study = write_study(tmp_path, seeds=[0, 1], tasks={"A": {}}, methods={"x": {}, "b": {"command": "test"}})
    study.output, study.threshold = str(tmp_path / "made"), Threshold("val/success", 0.5)
    cells = make_cells(study, tmp_path)
    successes = {0: (0.25, 0.5, 1.0), 1: (0.0, 0.25, 0.25)}
    for cell in reversed(cells[:3]):
        trained = cell.command == "fit"
        cell.write_state("done", row={"env_steps": 30, "return": 1.0} | ({"before/success": 0.0} if trained else {}))
        if trained:
            lines = [f"{10 * number},{value}" for number, value in enumerate(successes[cell.seed], start=1)]
            (cell.folder / "metrics.csv").write_text("\n".join(["step,val/success", *lines]))
    cells[3].write_state("begun")
    write_tables(study, cells)
    table = pd.read_parquet(tmp_path / "made/results.parquet")
    keys = ["method", "seed", "steps_to_threshold", "censored_at"]
    assert table[keys].fillna(-1).values.tolist() == [["x", 0, 20, -1], ["x", 1, -1, 30], ["b", 0, -1, -1]]
    curves = pd.read_csv(tmp_path / "made/curves.csv")
    assert list(curves.columns) == ["task", "method", "seed", "metric", "env_steps", "value"]
    assert curves[curves.method == "x"][["seed", "env_steps", "value"]].values.tolist() == [
        [0, 0, 0.0], [0, 10, 0.25], [0, 20, 0.5], [0, 30, 1.0], [1, 0, 0.0], [1, 10, 0.0], [1, 20, 0.25], [1, 30, 0.25],
    ]  # fmt: skip
    written = [(tmp_path / f"made/{name}.csv").read_bytes() for name in ("results", "curves")]
    write_tables(study, cells[::-1])
    assert [(tmp_path / f"made/{name}.csv").read_bytes() for name in ("results", "curves")] == written


def test_a_cell_that_is_stopped_goes_on_as_if_it_had_not_been(reference):
    """Stopped after its second iteration, in the middle of a study; the worker's end is below."""
    study, cells = read(small_study(reference[0].parent, "resumed"))
    settings = CellSettings()

    def stop(kind, content):
        if kind == "progress" and content["env_steps"] == 16:
            raise MemoryError

    for cell in cells:
        settings.write(cell)
        if cell.method == "word" and cell.seed == 1:
            with pytest.raises(MemoryError):
                run_cell(cell, stop)
            assert cell.state()["status"] == "begun" and results(study, cells).empty
        run_cell(cell, lambda kind, content: None)
    write_tables(study, cells)
    equal(reference[0].parent / "resumed", reference[0].with_suffix(""))


def fake_work(connection, folder):
    """A worker whose cells do what their method is called."""
    while (cell := connection.recv()) is not None:
        first = not cell.folder.exists()
        cell.folder.mkdir(parents=True, exist_ok=True)
        if cell.method == "dies" or (cell.method == "dies once" and first):
            os._exit(3)
        if cell.method == "fails":
            connection.send(("failed", "It is broken."))
        elif cell.method == "busy":
            connection.send(("busy", None))
        else:
            cell.write_state("done", row={"env_steps": 1, "return": 0.5})
            connection.send(("done", None))


@pytest.mark.parametrize("processes", [1, 3])
def test_runner_survives_its_workers_and_tells_what_failed(processes, tmp_path, monkeypatch):
    methods = ("dies", "works", "dies once", "fails", "busy", "after dies", "after busy", "after works")
    described = {name: {"after": name.removeprefix("after ")} if name.startswith("after") else {} for name in methods}
    study = write_study(tmp_path, seeds=[0], tasks={"A": {}}, methods=described, output=str(tmp_path / "out"))
    monkeypatch.setattr("lightning_twosome.study.worker.work", fake_work)
    fork = multiprocessing.get_context("fork")  # spares importing everything anew
    monkeypatch.setattr("lightning_twosome.study.runner.multiprocessing.get_context", lambda kind: fork)
    cells, finished = make_cells(study, tmp_path), []
    with Display(cells, processes, Console(file=io.StringIO(), width=200)) as display:
        runner = Runner(cells, processes, display, lambda: finished.append(len(finished)))
        failed = runner.run()
        printed = display.console.file.getvalue()
    assert {cell.method: sentence for cell, sentence in failed.items()} == {
        "dies": "its process has ended with code 3, perhaps for want of memory.",
        "fails": "It is broken.",
        "after dies": "the cell that it starts from has failed.",
    }
    assert {cell.method for cell in cells if cell.done} == {"works", "dies once", "after works"} and len(finished) == 3
    assert {cell.method for cell in runner.skipped} == {"busy", "after busy"}
    assert "A / dies once / seed 0 is tried again" in printed and "A / works / seed 0: 1 env steps" in printed
    assert not any(worker.process.is_alive() for worker in runner.workers)


def test_what_is_done_is_not_run_again(reference, monkeypatch, capsys):
    path = reference[0]
    monkeypatch.setattr("lightning_twosome.study.runner._Worker", None)  # which would be called
    before = (path.with_suffix("") / "results.csv").read_bytes()
    assert run("study", path) == 0 and "4 of 4 cells are done" in capsys.readouterr().out
    assert (path.with_suffix("") / "results.csv").read_bytes() == before
    assert run("study", path, "--dry-run", "--only", "zero*", "--seeds", 2) == 0
    assert "Corridor / zero-shot / seed 2: done" in capsys.readouterr().out


def test_changed_settings_are_told_and_not_mixed_with_the_old_ones(reference, capsys):
    path = reference[0]
    changed = path.with_name("changed.yaml")
    changed.write_text(path.read_text().replace("trainer.max_epochs: 3", "trainer.max_epochs: 2"))
    assert run("study", changed) == 2
    assert "2 of 4 cells have been run with other settings, such as Corridor / word / seed 1: --rerun" in (
        capsys.readouterr().err
    )
    study, cells = read(changed)
    assert results(study, cells).method.tolist() == ["zero-shot"] * 2, "the old ones are in no table"
    assert run("study", changed, "--dry-run") == 0
    assert capsys.readouterr().out.count("settings have changed") == 2


def test_flags_that_name_nothing_are_refused(reference, capsys):
    assert run("study", reference[0], "--only", "words") == 2
    assert "--only names 'words', which is not in the study; it has word, zero-shot" in capsys.readouterr().err
    assert run("study", reference[0], "--processes", 0) == 2
    assert "--processes is 0" in capsys.readouterr().err
    assert run("study", reference[0], "--seeds", 1, 9) == 2
    assert "--seeds names 9, which is not in the study; it has 1, 2." in capsys.readouterr().err
    assert run("study", reference[0], "--processes", 999) == 2
    assert "--processes is 999, which on CPU starts as many processes" in capsys.readouterr().err
    assert run("study", reference[0], "--x", "ledger/flops") == 2
    assert "--x ledger/flops is for the curves of the report: give --report" in capsys.readouterr().err
    assert run("study", reference[0], "--report", "--processes", 1) == 2
    assert "--report is written of all cells that are done: leave --processes out" in capsys.readouterr().err


def test_a_cell_that_fails_says_why_and_the_others_go_on(tmp_path, reference):
    """Its attempt alone; the runner's part is the dead worker's."""
    from lightning_twosome.study import worker

    text = STUDY.replace("trainer.max_epochs: 3", "model.language_model.name: nowhere")
    study, cells = read(small_study(reference[0].parent, "failing", text))
    CellSettings().write(cells[0])
    kind, sentence = worker._attempt(cells[0], lambda *_: None)
    assert kind == "failed" and "nowhere" in sentence and "\n" not in sentence
    assert "Traceback" in (cells[0].folder / "log.txt").read_text() and cells[0].state()["status"] == "begun"


def test_half_a_checkpoint_is_begun_anew(reference, tmp_path):
    from lightning_twosome.study.worker import _discard_broken_checkpoint

    (tmp_path / "last.ckpt").write_bytes(b"half")
    _discard_broken_checkpoint(tmp_path)
    assert not (tmp_path / "last.ckpt").exists()


def test_report_has_tables_with_their_command_and_figures(reference, capsys):
    path = reference[0]
    assert run("study", path, "--report") == 0
    folder = path.with_suffix("")
    text = (folder / "report.md").read_text()
    columns, row = (re.search(pattern, text)[0].split(" | ") for pattern in (r"\| method \|.*", r"\| word \| 2.*"))
    regret, mean = float(row[columns.index("regret")]), float(row[columns.index("return, mean")].split()[0])
    assert regret == pytest.approx(2.0 - mean, abs=0.0011)
    assert "4 of 4 cells are finished" in text and "Not finished" not in text
    assert f"```bash\nlightning-twosome study {path} --report\n```" in text
    assert "| word | 2 |" in text and "| zero-shot | 2 |" in text and "| reference |" in text
    for name in ("curves", "returns", "improvement"):
        assert f"({name}.png)" in text and (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert run("study", path, "--report", "--x", "ledger/nothing") == 2
    assert "--x is 'ledger/nothing'; it must be one of env_steps, " in capsys.readouterr().err
    assert run("study", path, "--report", "--x", "ledger/flops") == 0
    assert "## Evaluations over FLOPs" in (folder / "report.md").read_text()


# Estimates


def finished(**columns) -> pd.DataFrame:
    size = len(columns["return"])
    given = {"task": "A", "method": ["x"] * 4 + ["y"] * (size - 4), "steps_to_threshold": pd.NA, "censored_at": pd.NA}
    return pd.DataFrame({**given, **columns}, index=range(size))


def test_estimates_of_a_task():
    table = finished(
        **{"return": [0.0, 0.4, 0.6, 1.0, 2.0, 2.0], "success": [0, 1, 1, 1, 1, 0.9]},
        steps_to_threshold=[10, 20, 20, pd.NA, pd.NA, pd.NA],
        censored_at=[pd.NA, pd.NA, pd.NA, 30, 30, 30],
    )
    made = estimate_task(table, "A", "x", ("success", 0.9))
    one, other = made["x"], made["y"]
    assert (one.seeds, one.mean.value, one.iqm.value, one.solved) == (4, 0.5, 0.5, 3)
    assert one.steps.median == 20 and one.steps.censored == 1 and one.steps.restricted_mean == 20.0
    assert other.steps.median is None and other.solved == 2
    assert one.better is None and other.better.value == 1.0


def test_a_curve_over_another_quantity_is_read_between_its_points():
    lines = [("val/return", 10, 1.0), ("val/return", 20, 3.0), ("ledger/flops", 5, 50.0), ("ledger/flops", 20, 200.0)]
    points = pd.DataFrame(
        [{"seed": seed, "metric": m, "env_steps": s, "value": v} for seed in (0, 1) for m, s, v in lines]
    )
    over_steps, over_flops = curve(points, "val/return", "env_steps"), curve(points, "val/return", "ledger/flops")
    assert (over_steps.x, over_steps.y) == ([10, 20], [1.0, 3.0])
    assert (over_flops.x, over_flops.y) == ([100, 200], [1.0, 3.0])
    assert curve(points, "val/success", "env_steps") is None
    with pytest.raises(UserError, match="--x ledger/seconds: not every run has logged it"):
        curve(points, "val/return", "ledger/seconds")


def test_a_table_leaves_out_columns_that_nobody_fills():
    rows = [["x", "", "1|2"], ["y", "", ""]]
    assert markdown_table(["name", "empty", "c"], rows) == [
        "| name | c |",
        "| --- | --- |",
        "| x | 1\\|2 |",
        "| y |  |",
    ]


# The whole program


@pytest.mark.slow
def test_a_dead_worker_loses_nothing(reference, tmp_path, monkeypatch, capsys):
    """The first cell's process is killed after its first checkpoint; another goes on, and the tables are the same."""
    path = small_study(reference[0].parent, "killed")
    folder = path.with_suffix("")
    monkeypatch.setenv(VARIABLE, str(folder / "corridor/word/seed_1"))
    assert run("study", path) == 0
    printed = capsys.readouterr().out
    assert (folder / "corridor/word/seed_1/killed").exists()
    assert "Corridor / word / seed 1 is tried again: its process has ended with code -9" in printed
    assert "4 of 4 cells are done" in printed
    assert "Going on from" in (folder / "corridor/word/seed_1/log.txt").read_text()
    equal(folder, reference[0].with_suffix(""))


@pytest.mark.slow
def test_two_processes_killed_and_interrupted_give_the_same_tables(reference):
    """The study is killed with SIGKILL, then interrupted as by Ctrl-C, then left alone."""
    path = small_study(reference[0].parent, "stopped")
    folder = path.with_suffix("")
    command = [sys.executable, "-m", "lightning_twosome.main", "study", str(path), "--processes", "2"]

    def started(lines: int) -> subprocess.Popen:
        """The study, once it has printed so many lines: the first when it begins, then one a cell."""
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
        for _ in range(lines):
            process.stdout.readline()
        return process

    process = started(1)
    until = time.monotonic() + 120
    while not list(folder.glob("*/word/*/checkpoints/last.ckpt")) and time.monotonic() < until:
        time.sleep(0.02)
    process.kill()
    process.communicate()  # which ends once the workers, who hold the pipe too, have ended
    process = started(2)
    os.kill(process.pid, signal.SIGINT)
    printed = process.communicate(timeout=60)[0]
    assert process.returncode == 130 and f"`lightning-twosome study {path}` goes on" in printed
    states = [json.loads(path.read_text())["status"] for path in folder.glob("*/*/*/cell.json")]
    assert set(states) <= {"begun", "done"}
    assert subprocess.run(command, cwd=ROOT).returncode == 0
    equal(folder, reference[0].with_suffix(""))
