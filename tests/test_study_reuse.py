"""What another study has finished with the same settings is copied instead of run."""

import functools
import shutil

import pandas as pd
import pytest
from filelock import FileLock

from lightning_twosome.errors import UserError
from lightning_twosome.study.reuse import plan, take
from lightning_twosome.study.runner import Runner
from lightning_twosome.study.tables import curves, results, write_tables
from tests.cli_runs import run
from tests.study_runs import STUDY, finish, read, small_study

OTHER = STUDY.replace("Corridor", "Hall").replace("  word", "  counted by words")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Folder with a study ``theirs`` that has run, and its report; its tasks and methods have other names."""
    folder = tmp_path_factory.mktemp("ran")
    path = small_study(folder, "theirs", OTHER)
    assert run("study", path) == 0 and run("study", path, "--report") == 0
    return folder


def ours_from_tables(ran, folder, curves):
    """The tables and the report of the same study that runs nothing, from the other's results and these curves."""
    published = folder / "published"
    published.mkdir()
    shutil.copy(ran / "theirs/results.parquet", published)
    curves.to_parquet(published / "curves.parquet")
    shutil.copytree(ran / "model", folder / "model")
    for name in ("quick.yaml", "zero.yaml"):
        shutil.copy(ran / name, folder)
    path = small_study(folder, "ours")
    assert run("study", path, "--reuse", published) == 0 and run("study", path, "--report") == 0
    assert not list(folder.glob("ours/*/*/*/checkpoints")), "nothing was run"
    return [(folder / "ours" / name).read_text() for name in ("results.csv", "curves.csv", "report.md")]


def theirs_renamed(ran, folder):
    texts = ((ran / "theirs" / name).read_text() for name in ("results.csv", "curves.csv", "report.md"))
    names = (("Hall", "Corridor"), ("counted by words", "word"), ("theirs", "ours"), (str(ran), str(folder)))
    return [functools.reduce(lambda text, pair: text.replace(*pair), names, text) for text in texts]


def reuse(cells, folder):
    """Those that are taken from one folder."""
    return take(plan(cells, [folder])[folder])


def test_equal_cells_are_taken_over_under_their_own_names(tmp_path, capsys):
    _, theirs = read(small_study(tmp_path, "theirs", OTHER))
    finish(theirs)
    path = small_study(tmp_path, "ours")
    assert run("study", path, "--reuse", tmp_path / "theirs") == 0
    out = capsys.readouterr().out
    assert f"4 cells are taken from {tmp_path / 'theirs'}." in out and "4 of 4 cells are done" in out
    _, ours = read(path)
    for cell, source in zip(ours, theirs, strict=True):
        assert cell.done and cell.state() == source.state() and cell.method != "counted by words"
        assert str(cell.folder) in (cell.folder / "cell.yaml").read_text(), "its config names its own folder"
        assert (cell.folder / "checkpoints/last.ckpt").read_text() == source.label
    table = (tmp_path / "ours/results.csv").read_text()
    assert "Corridor,word,1" in table and "Hall" not in table


def test_only_what_is_finished_and_equal_is_taken(tmp_path):
    _, theirs = read(small_study(tmp_path, "theirs"))
    finish(theirs[:2])
    theirs[2].write_state("begun")
    _, ours = read(small_study(tmp_path, "ours", STUDY.replace("max_epochs: 3", "max_epochs: 2")))
    taken = reuse(ours, tmp_path / "theirs")
    assert [cell.label for cell in taken] == ["Corridor / zero-shot / seed 1"], "word differs, seed 2 is not done"
    assert reuse(ours, tmp_path / "theirs") == [], "what is done stays as it is"


def test_a_cell_that_was_interrupted_makes_room_and_one_at_work_does_not(tmp_path):
    _, theirs = read(small_study(tmp_path, "theirs"))
    finish(theirs)
    _, ours = read(small_study(tmp_path, "ours"))
    ours[0].write_state("begun")
    (ours[0].folder / "checkpoints").mkdir()
    (ours[0].folder / "checkpoints/half.ckpt").write_text("half")
    ours[1].folder.mkdir(parents=True)
    with FileLock(ours[1].folder / "cell.lock"):
        assert ours[1] not in reuse(ours, tmp_path / "theirs")
    assert ours[0].done and not (ours[0].folder / "checkpoints/half.ckpt").exists() and not ours[1].done


def test_a_cell_that_another_starts_from_needs_its_model(tmp_path):
    after = STUDY + "  RL: {{after: word, set: {{trainer.max_epochs: 1}}}}\n"
    _, theirs = read(small_study(tmp_path, "theirs"))
    finish(theirs)
    _, ours = read(small_study(tmp_path, "ours", after))
    assert all(cell.method == "zero-shot" for cell in reuse(ours, tmp_path / "theirs"))
    (theirs[0].folder / "exported").mkdir()
    (taken,) = reuse(ours, tmp_path / "theirs")
    assert taken.label == theirs[0].label and (taken.folder / "exported").is_dir()


def test_a_folder_without_cells_is_named(tmp_path):
    with pytest.raises(UserError, match="--reuse names '.*nothing', which has no cells of a study that are done"):
        reuse([], tmp_path / "nothing")
    _, begun = read(small_study(tmp_path, "begun"))
    begun[0].write_state("begun")
    with pytest.raises(UserError, match="results.parquet and curves.parquet"):
        reuse([], tmp_path / "begun")


def test_published_tables_give_the_same_tables_and_report_as_the_cells_they_are_from(ran, tmp_path):
    """A published folder has no cells, and the study there may name its tasks and methods otherwise."""
    ours = ours_from_tables(ran, tmp_path, pd.read_parquet(ran / "theirs/curves.parquet"))
    assert ours == theirs_renamed(ran, tmp_path) and min(map(len, ours)) > 500


def test_no_cell_starts_from_published_tables(tmp_path):
    after = STUDY + "  RL: {{after: word, set: {{trainer.max_epochs: 1}}}}\n"
    study, theirs = read(small_study(tmp_path, "theirs"))
    finish(theirs)
    write_tables(study, theirs)
    for cell in theirs:
        shutil.rmtree(cell.folder)
    _, ours = read(small_study(tmp_path, "ours", after))
    assert {cell.method for cell in reuse(ours, tmp_path / "theirs")} == {"zero-shot"}


def test_a_published_study_is_taken_whole_and_a_model_that_is_needed_later_is_made(tmp_path, capsys):
    """Where all that starts from a cell is published too, its model is needed once one of them is run again."""
    text = STUDY.replace("seeds: [1, 2]", "seeds: [1]") + "  RL: {{after: word, set: {{trainer.max_epochs: 1}}}}\n"
    study, theirs = read(small_study(tmp_path, "theirs", text))
    finish(theirs)
    write_tables(study, theirs)
    for cell in theirs:
        shutil.rmtree(cell.folder)
    path = small_study(tmp_path, "ours", text)
    assert run("study", path, "--reuse", tmp_path / "theirs") == 0
    assert "3 cells are taken" in capsys.readouterr().out and not list(tmp_path.glob("ours/*/*/*/checkpoints"))
    shutil.rmtree(tmp_path / "ours/corridor/rl")
    assert run("study", path) == 0
    out = capsys.readouterr().out
    assert "Corridor / word / seed 1 is run again: its model is needed" in out and "3 of 3 cells are done" in out
    assert (tmp_path / "ours/corridor/word/seed_1/exported").is_dir()


def test_published_results_without_curves_give_the_same_tables_and_the_report_says_what_it_cannot_draw(ran, tmp_path):
    """As where the curves are lost: steps to the threshold are taken as they were found."""
    curves = pd.read_parquet(ran / "theirs/curves.parquet")
    results, _, report = ours_from_tables(ran, tmp_path, curves[curves.env_steps == 0])
    expected, _, whole = theirs_renamed(ran, tmp_path)
    assert results == expected and pd.read_csv(tmp_path / "ours/results.csv").censored_at.tolist()[:2] == [24, 24]
    assert "without a line in their figures: Corridor / word.\n" in report
    assert "Evaluations over" not in report and "Evaluations over" in whole


@pytest.mark.parametrize(("threshold", "known"), [("val/success, value: 0.9", 1), ("val/success, value: 0.5", 0)])
def test_steps_to_another_threshold_are_not_taken_for_this_ones(threshold, known, tmp_path, monkeypatch, capsys):
    """From tables without curves, which say nothing of their threshold: those of earlier releases had the default."""
    monkeypatch.setattr(Runner, "run", lambda self: {})
    text = STUDY.replace("val/return, value: -0.35", threshold)
    study, cells = read(small_study(tmp_path, "theirs"))
    finish(cells)
    published = tmp_path / "published"
    published.mkdir()
    table = results(study, cells).assign(steps_to_threshold=[16, 24, None, None], censored_at=None)
    table.drop(columns=["threshold_metric", "threshold_value"]).to_parquet(published / "results.parquet")
    curves(study, cells).iloc[:0].to_parquet(published / "curves.parquet")
    path = small_study(tmp_path, "ours", text)
    assert run("study", path, "--reuse", published) == 0
    said = "2 cells, such as Corridor / word / seed 1, have no steps to val/success 0.5: they were taken from tables"
    assert (said in capsys.readouterr().out) == (not known)
    table = pd.read_parquet(tmp_path / "ours/results.parquet")
    assert table.steps_to_threshold.dropna().tolist() == [16, 24] * known
    assert set(zip(table.threshold_metric, table.threshold_value, strict=True)) == {
        ("val/success", 0.9 if known else 0.5)
    }


@pytest.mark.parametrize("name", ["results", "curves"])
def test_tables_that_are_no_studys_are_named(name, tmp_path):
    study, cells = read(small_study(tmp_path, "theirs"))
    finish(cells)
    write_tables(study, cells)
    for cell in cells:
        shutil.rmtree(cell.folder)
    path = tmp_path / f"theirs/{name}.parquet"
    pd.DataFrame({"a": [1]}).to_parquet(path)
    with pytest.raises(UserError, match=rf"{name}.parquet' has no column 'task', and so is no study's: give --reuse"):
        plan(cells, [tmp_path / "theirs"])
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(UserError, match=rf"{name}.parquet' is no Parquet file: give --reuse another folder"):
        plan(cells, [tmp_path / "theirs"])


def test_the_thresholds_metric_is_kept_whatever_the_study_keeps(tmp_path):
    """Else the steps to it would be lost with the cells."""
    text = STUDY.replace("val/return, value: -0.35", "val/success, value: 0.9") + "curves: [val/return]\n"
    study, cells = read(small_study(tmp_path, "theirs", text))
    finish(cells)
    for cell in cells:
        (cell.folder / "metrics.csv").write_text("step,val/return,val/success\n24,0.5,1.0\n")
    write_tables(study, cells)
    _, ours = read(small_study(tmp_path, "ours"))
    for cell in cells:
        shutil.rmtree(cell.folder)
    assert reuse(ours, tmp_path / "theirs") == ours
    assert results(study, ours).steps_to_threshold.tolist() == [24] * 4
