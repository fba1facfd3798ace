"""Models of other sizes and from early in their pretraining: the command, its mistakes, the study that needs them."""

import json

import pytest
import torch
from safetensors.torch import load_file

from lightning_twosome import ActionScorer, Decision, load_language_model
from lightning_twosome.errors import UserError
from lightning_twosome.pretraining.__main__ import main
from lightning_twosome.pretraining.options import SIZES, parse_arguments, recipe_of
from lightning_twosome.pretraining.train import build_model
from lightning_twosome.study.command import study_command
from tests.cli_runs import ROOT
from tests.study_runs import STUDY, small_study

TINY = "--hidden-size 32 --heads 2 --layers 1 --intermediate-size 64 --documents 60 --threads 1 --tokenizer bundled"
STEPS, EARLY = 4, (0, 2)
BUNDLED = ROOT / "lightning_twosome/bundled"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The folders of the steps that a run of four steps keeps, by step."""
    output = tmp_path_factory.mktemp("models") / "tiny"
    assert main([*TINY.split(), "--output", str(output), "--steps", str(STEPS), "--save_at", "0,2"]) == 0
    return {0: output.with_name("tiny-step0"), 2: output.with_name("tiny-step2"), STEPS: output}


def test_every_kept_step_is_a_whole_model_that_scores_actions(folders):
    decision = Decision("The tomato is on the table. You", ("take the tomato", "walk to the garden", "wait"))
    found = []
    for folder in folders.values():
        language_model = load_language_model(str(folder))
        scores = ActionScorer(language_model.model, language_model.tokenizer).score([decision])
        assert torch.isfinite(scores.log_prob).all() and (scores.log_prob < 0).all()
        found.append(scores.log_prob)
    assert not torch.allclose(found[0], found[1]) and not torch.allclose(found[1], found[2])


def test_figures_are_of_the_step(folders):
    reports = {step: json.loads((folder / "evaluation.json").read_text()) for step, folder in folders.items()}
    assert [report["training"]["steps_done"] for report in reports.values()] == [0, 2, STEPS]
    assert [report["training"]["tokens_seen"] for report in reports.values()] == [0, 2 * 8 * 256, STEPS * 8 * 256]
    assert reports[0]["training"]["final_loss"] is None and reports[2]["training"]["final_loss"] > 6
    # Random weights know nothing: every one of 1280 tokens is about as likely.
    assert reports[0]["figures"]["held_out_perplexity"] == pytest.approx(1280, rel=0.05)
    assert len({report["figures"]["held_out_perplexity"] for report in reports.values()}) == 3
    assert all(report["training"]["recipe"]["hidden_size"] == 32 for report in reports.values())


def test_the_tokenizer_is_the_bundled_one(folders):
    for folder in folders.values():
        ours, theirs = ((place / "tokenizer.json").read_text() for place in (folder, BUNDLED))
        assert json.loads(ours)["model"] == json.loads(theirs)["model"]


def test_keeping_early_models_changes_nothing_in_the_last_one(folders, tmp_path):
    assert main([*TINY.split(), "--output", str(tmp_path / "alone"), "--steps", str(STEPS)]) == 0
    kept, alone = (load_file(folder / "model.safetensors") for folder in (folders[STEPS], tmp_path / "alone"))
    assert kept.keys() == alone.keys() and all(torch.equal(kept[name], alone[name]) for name in kept)
    assert [path.name for path in tmp_path.iterdir()] == ["alone"]


def test_bf16_mixed_trains_float32_weights_to_nearly_the_same(folders, tmp_path):
    mixed = tmp_path / "mixed"
    arguments = [*TINY.split(), "--output", str(mixed), "--steps", str(STEPS), "--precision", "bf16-mixed"]
    assert main(arguments) == 0
    figures = [json.loads((folder / "evaluation.json").read_text())["figures"] for folder in (folders[STEPS], mixed)]
    exact, rough = (figure["held_out_perplexity"] for figure in figures)
    assert rough == pytest.approx(exact, rel=0.01) and rough != exact


@pytest.mark.parametrize(("size", "parameters"), [("0.5M", 566_112), ("2M", 2_016_960), ("5M", 5_000_000)])
def test_a_named_size_has_its_parameters(size, parameters):
    tokenizer = load_language_model("bundled").tokenizer
    options = parse_arguments(["--output", "x", "--size", size])
    assert recipe_of(options) == SIZES[size]
    with torch.device("meta"):
        model = build_model(recipe_of(options), tokenizer)
    assert sum(weight.numel() for weight in model.parameters()) == parameters


def test_the_default_is_the_recipe_of_the_bundled_model():
    recipe = json.loads((BUNDLED / "evaluation.json").read_text())["training"]["recipe"]
    options = parse_arguments(["--output", "x"])
    assert {name: getattr(recipe_of(options), name) for name in recipe} == recipe
    assert options.documents == 27000 and options.seed == 0 and options.save_at == ()


def test_a_part_of_the_shape_changes_a_named_size():
    arguments = "--output x --size 0.5M --layers 2 --steps 7 --learning-rate 1e-3"
    recipe = recipe_of(parse_arguments(arguments.split()))
    assert (recipe.hidden_size, recipe.layers, recipe.steps, recipe.learning_rate) == (96, 2, 7, 1e-3)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--size 3M", "argument --size: invalid choice: '3M' (choose from '0.5M', '2M', '5M')"),
        ("--hidden-size 100 --heads 6", "gives 6 heads (--heads) no even width: choose a multiple of 12"),
        ("--hidden-size 30 --heads 2", "choose a multiple of 4"),
        ("--heads 0", "--heads is 0; it must be at least 1"),
        ("--learning-rate nan", "--learning-rate is nan; it must be a positive number such as 0.003"),
        ("--steps 0", "--steps is 0; it must be at least 1"),
        ("--steps 100 --save-at 0,100", "--save-at has step 100 of 100: give steps from 0 to 99; the last model is in"),
        ("--save-at=-1", "--save-at has step -1 of 2600"),
        ("--save-at 1;2", "'1;2' is no list of steps such as 0,100,400"),
        ("--tokenizer bundled --vocabulary-size 900", "--vocabulary-size is of a tokenizer that is trained"),
        ("--vocabulary-size 100", "--vocabulary-size is 100; bytes and special tokens alone are 258"),
        ("--precision 16", "--precision: invalid choice: '16'"),
        ("--tokenizer ./nowhere", "model folder './nowhere' does not exist"),
        ("--documents 1", "The corpus has"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(arguments, sentence, tmp_path, capsys):
    assert main(["--output", str(tmp_path / "model"), *arguments.split()]) == 2
    told = capsys.readouterr().err.splitlines()
    assert sentence in told[-1] and told[-1].startswith("error: ")
    assert not list(tmp_path.iterdir())


def test_an_early_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "model-step3").touch()
    with pytest.raises(UserError, match="model-step3' is a file; name another folder with --output"):
        parse_arguments(["--output", str(tmp_path / "model"), "--save-at", "3"])


def test_a_study_names_a_missing_model_before_it_begins(tmp_path):
    text = STUDY + "  other: {{set: {{model.language_model: {{name: ./models/2M-step100}}}}}}\n"
    path = small_study(tmp_path, text=text)
    with pytest.raises(UserError, match=r"^Corridor / other: model folder './models/2M-step100' does not exist"):
        study_command([str(path)])
    assert not (tmp_path / "study").exists()
