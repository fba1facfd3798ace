"""Which of a study's settings is the stronger one, and what a method that starts after another takes from it."""

import pytest

from lightning_twosome.errors import UserError
from lightning_twosome.study.cells import make_cells
from lightning_twosome.study.settings import CellSettings
from tests.study_runs import write_study

MODEL = {"model.language_model": {"name": "bundled", "lora": {"r": 8, "lora_alpha": 16}}}
LORA = "model.language_model.lora"


def models_of(folder, methods, task_set=None, **changes):
    """The language model of each cell, by method."""
    task = {"configs": ["tomato_salad.yaml"], "set": MODEL if task_set is None else task_set}
    cells = make_cells(write_study(folder, tasks={"A": task}, methods=methods, **changes), folder)
    settings = CellSettings()
    return [(cell.method, settings.of(cell)["model"]["init_args"]["language_model"]) for cell in cells]


def test_a_methods_settings_stay_its_own(tmp_path):
    """All cells share the mapping that the task sets whole."""
    methods = {"one": {"set": {f"{LORA}.r": 1}}, "whole": {"set": {LORA: None, "model.critic": "adapted"}}, "plain": {}}
    made = models_of(tmp_path, methods, seeds=[0, 1])
    ranks = [(name, model["lora"] and model["lora"]["r"]) for name, model in made]
    assert ranks == [("one", 1), ("whole", None), ("plain", 8)] * 2


def test_the_strongest_layer_wins_where_keys_overlap(tmp_path):
    whole = {"r": 4, "lora_alpha": 4}
    methods = {"inside": {"set": {f"{LORA}.r": 1}, "per_task": {"A": {"set": {LORA: whole}}}}, "both": {
        "set": {f"{LORA}.r": 2, LORA: whole}}}  # fmt: skip
    made = dict(models_of(tmp_path, methods, task_set={LORA: {"r": 3}}))
    assert made["inside"]["lora"]["r"] == 4, "the part of a weaker layer is gone"
    assert made["both"]["lora"]["r"] == 2 and made["both"]["lora"]["lora_alpha"] == 4, "in one layer the part is meant"


def test_cells_that_differ_in_which_layer_is_the_stronger_one_have_different_hashes(tmp_path):
    """Else one would be taken for the other by --reuse."""
    part, whole = {f"{LORA}.r": 1}, {LORA: {"r": 4}}
    hashes = set()
    for weak, strong in ((part, whole), (whole, part)):
        study = write_study(tmp_path, tasks={"A": {"set": weak}}, methods={"x": {"set": strong}})
        hashes |= {cell.hash for cell in make_cells(study, tmp_path)}
    assert len(hashes) == 2


def test_what_starts_after_another_keeps_the_rest_of_its_language_model(tmp_path):
    after = {"after": "x", "set": {"model.language_model.dtype": "bfloat16"}}
    for task_set in (MODEL, {"model.language_model": "bundled"}, {f"{LORA}.r": 3}):
        made = dict(models_of(tmp_path, {"x": {}, "y": after}, task_set))
        assert made["y"]["dtype"] == "bfloat16" and made["y"]["lora"] is None
        assert made["y"]["name"].endswith("a/x/seed_0/exported")


@pytest.mark.parametrize("key", ["model.language_model", "model.init_args.language_model.name", LORA, f"{LORA}.r"])
def test_what_starts_after_another_sets_no_model_of_its_own(key, tmp_path):
    with pytest.raises(UserError, match=rf"methods.y sets {key}, and it starts after 'x'.*leave the key out"):
        models_of(tmp_path, {"x": {}, "y": {"after": "x", "set": {key: 3}}})
