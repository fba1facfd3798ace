"""Mistakes in a study's file: each is one sentence that names the file, the key and the way out."""

import pytest

from lightning_twosome.errors import UserError
from lightning_twosome.evaluation import summarize
from lightning_twosome.rollout import Episode
from lightning_twosome.study.cells import make_cells
from lightning_twosome.study.checks import EVALUATED
from lightning_twosome.study.definition import load_study
from lightning_twosome.study.names import matching
from lightning_twosome.study.settings import CellSettings
from tests.cli_runs import run
from tests.study_runs import write_study


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seeds": ...}, "seeds is missing"),
        ({"process": 2}, "process is not known; did you mean 'processes'?"),
        ({"methods": {"x": {"comand": "test"}}}, "methods.x.comand is not known; did you mean 'command'?"),
        ({"methods": {"x": {"command": "train"}}}, "methods.x.command: expected one of 'fit', 'test', not 'train'"),
        ({"methods": {"x": {"after": "z"}}}, "methods.x.after names 'z', which is not in the study; it has x."),
        ({"methods": {"x": 3}}, "methods.x is 3; it must be a mapping"),
        ({"methods": {"{alpha}": {"grid": {"model.beta": [1]}}}}, "methods.{alpha} names 'alpha'"),
        ({"tasks": ["A"]}, "tasks is no mapping of names"),
        ({"tasks": {"A": {"scores": {"random": 0}}}}, "tasks.A"),
        ({"seeds": [1, 1]}, "seeds has a seed twice"),
        ({"processes": 0}, "processes is 0; it must be at least 1."),
        ({"threshold": {"metric": "success"}}, "threshold.metric is 'success'; it must be one of val/return, "),
        ({"reference": "z"}, "reference names 'z'"),
        # parts of parts
        ({"methods": {"x": False}}, "methods.x is False; it must be a mapping"),
        ({"methods": {"x": {"per_task": {"A": {"sett": {}}}}}}, "methods.x.per_task.A.sett is not known; did you mean"),
        ({"methods": {"x": {"per_task": {"A": {"set": 3}}}}}, "methods.x.per_task.A.set: expected dict, not '3'."),
        ({"threshold": {"valu": 1}}, "threshold.valu is not known; did you mean 'value'?"),
        # seeds
        ({"seeds": 0}, "seeds is 0; it must be a list such as [0, 1, 2]."),
        ({"seeds": [-1]}, "seeds is -1; it must be between 0 and 4294967295."),
        ({"tasks": {"A": {"seeds": [2**32]}}}, "tasks.A.seeds is 4294967296; it must be between"),
        ({"tasks": {"A": {"seeds": []}}}, "tasks.A.seeds is empty: leave it out for those of the study."),
        # grids
        ({"methods": {"x": {"grid": {"model.beta": []}}}}, "methods.x.grid.model.beta is empty: give it a value"),
        (
            {"methods": {"x": {"grid": {"model.seed": [1], "data.seed": [2]}}}},
            "has model.seed and data.seed, which have",
        ),
        (
            {"methods": {"{beta:.0f}": {"grid": {"model.beta": [1.1, 1.2]}}}},
            "the method '1' is made twice, of methods.",
        ),
        (
            {"methods": {"x, beta 1": {}, "x": {"grid": {"model.beta": [1]}}}},
            "of methods.x, beta 1 and methods.x: give",
        ),
        ({"methods": {"{beta.foo}": {"grid": {"model.beta": [1]}}}}, "name a key of the grid as {beta}."),
        ({"methods": {"{beta:.1f}": {"grid": {"model.beta": [[1]]}}}}, "methods.{beta:.1f} cannot be filled in with"),
        # what is run where, and after what
        ({"methods": {"x": {"only": []}}}, "methods.x is run on no task, as only and exclude leave none"),
        ({"methods": {"x": {"exclude": ["A", "B"]}}}, "methods.x is run on no task"),
        ({"methods": {"x": {"command": "test"}, "y": {"after": "x"}}}, "methods.y.after is 'x', which trains nothing"),
        # what the report needs
        ({"threshold": {"metric": "val/succes"}}, "threshold.metric is 'val/succes'; it must be one of val/return"),
        ({"threshold": {"value": float("nan")}}, "threshold.value is nan; it must be a finite number."),
        ({"panels": {"a": ["x", "wrod"]}}, "panels.a names 'wrod', which is no method; there are x, y."),
        (
            {"tasks": {"A": {"scores": {"random": 1, "optimum": 1}}}},
            "tasks.A.scores has the optimum 1.0, which must be",
        ),
        # settings without effect
        ({"tasks": {"A": {"set": {"seed_everything": 3}}}}, "tasks.A.set.seed_everything would have no effect"),
        (
            {"methods": {"x": {"grid": {"run_dir": ["a"]}}}},
            "run_dir would have no effect, since the study sets it itself",
        ),
        (
            {"methods": {"x": {"command": "test", "set": {"trainer.callbacks.A.b": 1}}}},
            "since command: test has no callb",
        ),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_key(changes, sentence, tmp_path):
    with pytest.raises(UserError) as error:
        write_study(tmp_path, **changes)
    assert sentence in str(error.value) and "some.yaml" in str(error.value) and "\n" not in str(error.value)


def test_the_thresholds_metrics_are_those_of_the_evaluations():
    found = summarize([Episode(0, success=True)])
    assert {name for name in found if not name.endswith(("_low", "_high"))} == set(EVALUATED)


def test_values_of_a_grid_that_the_name_leaves_out_are_added_to_it(tmp_path):
    grid = {"model.normalization": ["sum", "word"], "model.beta": [1, 2]}
    study = write_study(tmp_path, methods={"beta {beta}": {"grid": grid}})
    assert list(study.methods) == [f"beta {beta}, normalization {name}" for name in ("sum", "word") for beta in (1, 2)]


def test_a_name_with_brackets_is_itself_before_it_is_a_pattern():
    names = ["critic [64]", "critic 6", "critic 64"]
    assert matching(["critic [64]"], names) == ["critic [64]"] and matching(["critic [67]"], names) == ["critic 6"]
    assert matching(["*64", "*]"], names) == ["critic [64]", "critic 64"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"seeds: [0]\nseeds: [1]\n", "The study '.*' has the key 'seeds' twice, again in line 2: keep one of them"),
        (b"- seeds\n", "The study '.*' is a list; it must hold keys such as tasks, methods and seeds"),
        (b"seeds: caf\xe9\n", "The study '.*' is no UTF-8 text"),
        (b"seeds: [0\n", "The study '.*' is no YAML in line 2"),
    ],
)
def test_a_file_that_is_no_study_is_named(content, sentence, tmp_path):
    (tmp_path / "some.yaml").write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        load_study(tmp_path / "some.yaml")


@pytest.mark.parametrize(
    ("content", "said"), [(b"a: [", "is no YAML"), (b"\xe9", "is no UTF-8"), (b"- a", "is a list")]
)
def test_a_config_that_is_none_is_named(content, said, tmp_path):
    (tmp_path / "own.yaml").write_bytes(content)
    study = write_study(tmp_path, methods={"x": {"configs": ["own.yaml"]}})
    with pytest.raises(UserError, match=f"The config '.*own.yaml' {said}"):
        make_cells(study, tmp_path)


def test_a_report_needs_no_processes(tmp_path, capsys):
    """So that it can be written on a smaller machine than the study was run on."""
    write_study(tmp_path, processes=999, output=str(tmp_path / "out"))
    assert run("study", tmp_path / "some.yaml", "--report") == 2
    assert "No cell of the study 'some' is finished" in capsys.readouterr().err


def test_two_panels_in_one_file_are_named(tmp_path):
    with pytest.raises(UserError, match="panels 'a b' and 'A_b' have the same name 'a_b' as files; rename one"):
        make_cells(write_study(tmp_path, panels={"a b": ["x"], "A_b": ["y"]}), tmp_path)


@pytest.mark.parametrize(
    ("methods", "sentence"),
    [
        (
            {"x": {"configs": ["baselines/zero_shot.yaml"]}},
            "A / x: ZeroShot has nothing to train: give the method comm",
        ),
        (
            {"x": {"configs": ["baselines/saycan.yaml"], "set": {"model.affordance": "offered"}}},
            "SayCan has nothing to",
        ),
        (
            {"x": {"configs": ["baselines/symbolic_ppo.yaml"]}, "y": {"after": "x"}},
            "SymbolicPPO trains no language mod",
        ),
    ],
)
def test_a_module_that_cannot_do_what_is_asked_is_known_before_anything_runs(methods, sentence, tmp_path):
    alone = {name: {**method, "alone": True} for name, method in methods.items()}
    study = write_study(tmp_path, tasks={"A": {"configs": ["tomato_salad.yaml"]}}, methods=alone)
    with pytest.raises(UserError) as error:
        CellSettings().of(make_cells(study, tmp_path)[0])
    assert sentence in str(error.value) and "\n" not in str(error.value)
