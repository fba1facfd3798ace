"""What a study checks before it deletes, writes or runs anything, and the broken files that it names."""

import pytest
from filelock import FileLock

from lightning_twosome.study.runner import Runner
from tests.cli_runs import run
from tests.study_runs import STUDY, finish, read, small_study

CHANGED = STUDY.replace("max_epochs: 3", "max_epochs: 2")
AFTER = STUDY.replace("seeds: [1, 2]", "seeds: [1]") + "  RL: {{after: word, set: {{{settings}}}}}\n"


@pytest.fixture
def finished(tmp_path):
    """A folder with a study that is done."""
    _, cells = read(small_study(tmp_path, "study"))
    finish(cells)
    return tmp_path


def sentence(capsys, *arguments):
    """What a command line that is refused says."""
    capsys.readouterr()
    assert run(*arguments) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "flags", "said"),
    [
        ("trainer.max_epochs: 2", "model.betta: 2", [], "model.betta is not known; did you mean 'beta'?"),
        ("trainer.max_epochs: 2", "model.language_model.name: ./gone", [], "model folder './gone' does not exist"),
        ("", "", ["--reuse", "nowhere"], "--reuse names 'nowhere', which has no cells"),
    ],
)
def test_nothing_finished_is_lost_to_a_mistake(old, new, flags, said, finished, capsys):
    path = small_study(finished, "study", CHANGED.replace(old, new))
    before = {file: file.read_bytes() for file in finished.glob("study/*/*/*/*") if file.is_file()}
    assert said in sentence(capsys, "study", path, "--rerun", *flags)
    assert {file: file.read_bytes() for file in finished.glob("study/*/*/*/*") if file.is_file()} == before


def test_rerun_makes_room_for_changed_cells_alone(finished, capsys, monkeypatch):
    monkeypatch.setattr(Runner, "run", lambda self: {})
    path = small_study(finished, "study", CHANGED)
    assert run("study", path, "--rerun") == 0
    assert "2 of 4 cells are done" in capsys.readouterr().out
    _, cells = read(path)
    for cell in cells:
        assert cell.done == (cell.method == "zero-shot") and (cell.folder / "checkpoints").exists() == cell.done
        assert cell.done or "max_epochs: 2" in (cell.folder / "cell.yaml").read_text()


def test_rerun_leaves_all_as_it_is_while_another_start_is_at_a_cell(finished, capsys):
    path = small_study(finished, "study", CHANGED)
    _, cells = read(path)
    with FileLock(cells[2].folder / "cell.lock"):
        said = sentence(capsys, "study", path, "--rerun")
    assert "Corridor / word / seed 2 would be run again, but another start of this study is at it" in said
    assert all((cell.folder / "checkpoints/last.ckpt").exists() for cell in cells)


def test_a_dry_run_checks_what_is_to_do(finished, capsys):
    path = small_study(finished, "study", STUDY.replace("trainer.max_epochs: 3", "model.betta: 2"))
    assert "model.betta is not known" in sentence(capsys, "study", path, "--dry-run")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("model.normalization: token", "model.normalization is 'token', and 'word', which it starts after, has 'word'"),
        ("model.beta: 3.0", "model.beta is 3.0, and 'word', which it starts after, has 1.0: set both to the same"),
    ],
)
def test_what_starts_after_another_has_its_policy(settings, said, tmp_path, capsys):
    path = small_study(tmp_path, "study", AFTER.replace("{settings}", settings))
    assert said in sentence(capsys, "study", path) and not (tmp_path / "study").exists()


@pytest.mark.parametrize("content", ['{"status": "do', "[]", '{"status": "done"}', '{"status": "done", "hash": "a"}'])
@pytest.mark.parametrize("flags", [[], ["--dry-run"], ["--reuse", "study"]])
def test_a_broken_state_is_named(content, flags, finished, capsys, monkeypatch):
    monkeypatch.chdir(finished)
    broken = finished / "study/corridor/word/seed_1"
    (broken / "cell.json").write_text(content)
    path = small_study(finished, "ours" if "--reuse" in flags else "study")
    said = sentence(capsys, "study", path, *flags)
    assert "study/corridor/word/seed_1/cell.json' is broken: delete the folder '" in said
