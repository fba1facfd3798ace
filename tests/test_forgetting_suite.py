"""The offline suite: made by its script, new to the model, within its reach, and able to see damage."""

from __future__ import annotations

import json
from pathlib import Path

import lightning as L
import lm_eval
import pytest
import torch
import yaml
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from benchmarks.overlap import HOUSEHOLD_TASKS, KITCHEN_TASKS, household_texts, kitchen_texts
from lightning_twosome import ActionScorer, RolloutDataModule, TwosomePPO, load_language_model
from lightning_twosome.callbacks import ForgettingCheck
from lightning_twosome.export import export_checkpoint
from lightning_twosome.forgetting import generate
from lightning_twosome.forgetting.generate import asked_sentence
from lightning_twosome.forgetting.passages import sentences
from lightning_twosome.forgetting.policy_lm import PolicyLM
from lightning_twosome.forgetting.suite.documents import held_out
from lightning_twosome.forgetting.tasks import SUITE, Suite, load_tasks
from lightning_twosome.model_folder import bundled_path
from lightning_twosome.pretraining.__main__ import split_corpus
from tests import toys

FILES = {path.stem: [json.loads(line) for line in path.read_text().splitlines()] for path in SUITE.glob("*.jsonl")}
LIMIT = 40


def text(item: dict) -> str:
    """An item read with its right answer."""
    return f"{item['context']} {item['choices'][item['label']] if 'choices' in item else item['target'] + '.'}"


@pytest.fixture(scope="module")
def training() -> list[str]:
    return split_corpus(generate.TRAINING_SEED, generate.TRAINING_DOCUMENTS)[0]


def test_files_are_what_the_script_writes(training, monkeypatch, tmp_path):
    monkeypatch.setattr(generate, "split_corpus", lambda *arguments: (training, []))
    generate.main(["--output", str(tmp_path)])
    for path in SUITE.glob("*.jsonl"):
        assert (tmp_path / path.name).read_text() == path.read_text()
    assert len(list(tmp_path.iterdir())) == len(FILES) == 4


def test_no_asked_sentence_and_no_held_out_document_stands_in_the_training_text(training):
    """A passage in the training text would bring the sentence that it asks for with it."""
    known = {sentence for document in training for sentence in sentences(document)}
    assert len(known) > 150_000 and known.isdisjoint(asked_sentence(item) for items in FILES.values() for item in items)
    assert set(held_out(1000)["test"]["text"]).isdisjoint(training)


def test_no_prompt_of_an_environment_stands_in_the_suite():
    shown = [prompt for task in KITCHEN_TASKS for prompt, _ in kitchen_texts(task)]
    shown += [prompt for task in HOUSEHOLD_TASKS for prompt, _ in household_texts(task)]
    joined = "\n".join(text(item) for items in FILES.values() for item in items)
    assert len(shown) > 500 and not [prompt for prompt in shown if prompt in joined]


@pytest.mark.parametrize("name", FILES)
def test_documents_differ_and_right_answers_are_anywhere(name):
    items = FILES[name]
    assert len({text(item) for item in items}) == len(items) == generate.DOCUMENTS
    if "choices" in items[0]:
        number = len(items[0]["choices"])
        assert all(len(set(item["choices"])) == number for item in items)
        places = [sum(item["label"] == place for item in items) for place in range(number)]
        assert min(places) > 0.7 * len(items) / number


def test_the_seed_of_the_training_text_is_refused():
    with pytest.raises(ValueError, match="seed=0"):
        generate.generate(0)


@pytest.fixture(scope="module")
def suite() -> Suite:
    return Suite(load_tasks(["home"]), LIMIT)


# Chance is 1 in 4, 1 in 4, 1 in 2, and for a word close to 0; an untrained model's byte perplexity is about 5.
REACHED = {"home_choice": 0.5, "home_word_order": 0.9, "home_agreement": 0.7, "home_cloze": 0.5}


@torch.no_grad()
def test_the_bundled_model_is_clearly_above_chance(suite):
    language_model = load_language_model("bundled")
    scores = suite.scores(PolicyLM(ActionScorer(language_model.model, language_model.tokenizer)))
    assert all(scores[name].score > reached for name, reached in REACHED.items())
    assert scores["home_perplexity"].score < 1.25
    assert {len(one.values) for one in scores.values()} == {LIMIT}


def train(folder: Path, learning_rate: float) -> tuple[TwosomePPO, L.Trainer, ForgettingCheck]:
    """One iteration of Tomato Salad."""
    L.seed_everything(0, verbose=False)
    module = TwosomePPO({"lora": {"r": 4, "target_modules": "all-linear"}}, actor_lr=learning_rate, target_kl=None)
    data = RolloutDataModule("twosome/TomatoSalad-v0", num_envs=2, num_steps=8, seed=0)
    check = ForgettingCheck(["home_choice", "home_agreement", "home_perplexity"], every_n_epochs=0, limit=LIMIT)
    trainer = toys.trainer(folder, callbacks=[check], max_epochs=1)
    trainer.fit(module, datamodule=data)
    return module, trainer, check


def test_a_mild_adapter_has_lost_nothing_that_shows(tmp_path):
    _, _, check = train(tmp_path, 1e-4)
    assert [task.verdict for task in check.last.tasks[:2]] == ["", ""]
    assert check.last.mean_loss_high < 0.02


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    module, trainer, check = train(folder, 0.3)
    trainer.save_checkpoint(folder / "last.ckpt")
    exported = export_checkpoint(module, trainer.datamodule, folder / "last.ckpt", folder / "out")
    return check, exported


def test_an_over_trained_adapter_is_seen(damaged):
    check, _ = damaged
    assert [task.verdict for task in check.last.tasks] == ["worse"] * 3
    assert check.last.mean_loss_low > 0.1


def test_lm_evals_command_line_gives_the_same_numbers_of_the_export(damaged):
    """What ``lm_eval --model hf --model_args pretrained=...,peft=... --include_path SUITE`` runs."""
    check, exported = damaged
    model = HFLM(pretrained=str(bundled_path()), peft=str(exported), dtype="float32", device="cpu", batch_size=16)
    results = lm_eval.simple_evaluate(
        model,
        tasks=[task.task for task in check.last.tasks],
        task_manager=TaskManager(include_path=SUITE, include_defaults=False),
        limit=LIMIT,
        bootstrap_iters=0,
    )["results"]
    for task in check.last.tasks:
        assert results[task.task][f"{task.metric},none"] == pytest.approx(task.on, rel=1e-5)


def test_every_task_file_says_what_it_is():
    for path in SUITE.glob("home_*.yaml"):
        assert path.read_text().startswith("# ")
        loader = yaml.SafeLoader(path.read_text())
        loader.add_constructor("!function", lambda loader, node: node.value)
        assert loader.get_single_data()["task"] == path.stem
