"""ForgettingCheck in fit, validate and test: what it finds, where it goes, and that training does not notice."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_twosome import TwosomePPO
from lightning_twosome.callbacks import ForgettingCheck
from lightning_twosome.errors import UserError
from lightning_twosome.forgetting.policy_lm import PolicyLM
from lightning_twosome.forgetting.tasks import Suite, load_tasks
from lightning_twosome.loggers import RunLogger
from tests import toys
from tests.forgetting_tasks import NAMES, write_tasks

FAST = {"actor_lr": 0.05}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    return write_tasks(tmp_path_factory.mktemp("tasks"))


@pytest.fixture
def check(folder):
    def make(**settings) -> ForgettingCheck:
        return ForgettingCheck(**({"tasks": NAMES, "task_folder": folder, "every_n_epochs": 2} | settings))

    return make


def fit(path, *callbacks, module=None, ckpt_path=None, **settings) -> L.Trainer:
    trainer = toys.trainer(path, callbacks=list(callbacks), **settings)
    trainer.fit(module or toys.module(**FAST), datamodule=toys.data(num_envs=2), ckpt_path=ckpt_path, weights_only=True)
    return trainer


class Noisy(TwosomePPO):
    """Samples from the global generators while it trains, and has dropout."""

    def training_step(self, batch, batch_idx):
        noise = torch.rand(()) + random.random() + float(np.random.rand())
        return super().training_step(batch, batch_idx) * (1 + noise)


def noisy() -> Noisy:
    L.seed_everything(3, verbose=False)
    language_model = toys.language_model(lora={"r": 4, "lora_alpha": 8, "lora_dropout": 0.3})
    return Noisy(language_model, critic_hidden=(16,), target_kl=None, share_work=False, **FAST)


def test_weights_are_those_of_a_run_without_it(tmp_path, check):
    states = []
    for callbacks in ([], [check(every_n_epochs=1)]):
        module = noisy()
        fit(tmp_path, *callbacks, module=module, max_epochs=2, limit_val_batches=1.0)
        generators = (torch.rand(3).tolist(), random.random(), np.random.rand(3).tolist())
        states.append((toys.trainable(module), generators, [part.training for part in module.modules()]))
    toys.assert_equal_weights(states[0][0], states[1][0])
    assert states[0][1:] == states[1][1:]


def test_memories_of_the_scorer_are_left_alone(tmp_path, check):
    """With cached activations of frozen layers, and log-probabilities remembered between rollouts."""
    lora = {"r": 4, "lora_alpha": 8, "layers_to_transform": [1]}
    weights = []
    for callbacks in ([], [check(every_n_epochs=1)]):
        module = toys.module(language_model=toys.language_model(lora=lora), frozen_layers=1, **FAST)
        fit(tmp_path, *callbacks, module=module, max_epochs=2)
        weights.append(toys.trainable(module))
        assert len(module.agent.scorer.frozen.memory), "there is something to leave alone"
    toys.assert_equal_weights(*weights)


def count_scores(monkeypatch) -> list[int]:
    """Grows by an entry whenever a model is scored."""
    calls, plain = [], Suite.scores
    monkeypatch.setattr(Suite, "scores", lambda self, lm: calls.append(1) or plain(self, lm))
    return calls


def assert_rows(path: Path) -> None:
    """Every check is logged against environment steps."""
    with path.open() as file:
        rows = [row for row in csv.DictReader(file) if row.get("forgetting/mean_loss")]
    assert [int(row["step"]) for row in rows] == [0, 16, 24]
    for name in NAMES:
        for part in ("on", "on_stderr", "off", "loss", "loss_low", "loss_high"):
            assert all(row[f"forgetting/{name}/{part}"] for row in rows)


def test_fit_checks_start_every_second_iteration_and_end(tmp_path, check, capsys, monkeypatch):
    calls = count_scores(monkeypatch)
    callback, module = check(), toys.module(**FAST)
    fit(tmp_path, callback, module=module, max_epochs=3, logger=RunLogger(tmp_path))
    assert [(one["when"], one["env_steps"]) for one in callback.checks] == [
        ("start", 0),
        ("iteration 2", 16),
        ("end", 24),
    ]
    assert callback.checks[0]["mean_loss"] == 0, "an untrained adapter changes nothing"
    assert callback.checks[-1]["mean_loss"] != 0
    result = json.loads((tmp_path / "forgetting.json").read_text())
    assert [task["task"] for task in result["tasks"]] == list(NAMES)
    assert [task["documents"] for task in result["tasks"]] == [23, 9, 23]
    assert result["checks"] == callback.checks
    printed = capsys.readouterr().out
    text = (tmp_path / "forgetting.md").read_text()
    for task in result["tasks"]:
        interval = f"{task['loss']:.3f} [{task['loss_low']:.3f}, {task['loss_high']:.3f}]"
        assert interval in printed and interval in text
        assert f"{task['on']:.3f} ± {task['on_stderr']:.3f}" in text
    assert "| iteration 2 | 16 |" in text
    assert_rows(tmp_path / "metrics.csv")
    assert len(calls) == 1 + len(callback.checks), "without adapter once only"
    with module.acting(), module.agent.model.disable_adapter():
        assert callback._suite.scores(callback._language_model(module)) == callback._off


@pytest.mark.parametrize(("every", "checks"), [(0, ["start", "end"]), (1, ["start", "iteration 1"])])
def test_an_end_that_was_checked_is_not_checked_again(tmp_path, check, every, checks):
    callback = check(every_n_epochs=every, tasks=["toy_word"], limit=2)
    fit(tmp_path, callback, max_epochs=1)
    assert [one["when"] for one in callback.checks] == checks


def test_a_checkpoint_can_keep_the_model_that_has_forgotten_least(tmp_path, check):
    keeper = ModelCheckpoint(tmp_path, monitor="forgetting/mean_loss", save_top_k=-1, filename="{epoch}")
    callback = check(every_n_epochs=2)
    trainer = fit(tmp_path, callback, keeper, max_epochs=4, enable_checkpointing=True, limit_val_batches=1.0)
    assert trainer.callback_metrics["forgetting/mean_loss"] == pytest.approx(callback.checks[-1]["mean_loss"], abs=1e-6)
    losses = [check["mean_loss"] for check in callback.checks]
    kept = sorted(float(score) for score in keeper.best_k_models.values())
    assert kept == pytest.approx(sorted([losses[0], losses[1], losses[1], losses[2]]), abs=1e-6)


def test_a_resumed_run_takes_its_checks_up(tmp_path, check, monkeypatch):
    keeper = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1, every_n_epochs=1)
    whole = check(every_n_epochs=1)
    fit(tmp_path, whole, keeper, max_epochs=3, enable_checkpointing=True)
    resumed = check(every_n_epochs=1)
    calls = count_scores(monkeypatch)
    fit(tmp_path, resumed, max_epochs=3, ckpt_path=str(tmp_path / "epoch=1.ckpt"))
    assert resumed.checks == whole.checks
    assert len(calls) == 1


def test_a_run_that_was_killed_after_its_last_iteration_is_still_checked_at_its_end(tmp_path, check):
    keeper = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1, every_n_epochs=1)
    whole = check(every_n_epochs=2)
    fit(tmp_path, whole, keeper, max_epochs=3, enable_checkpointing=True)
    resumed = check(every_n_epochs=2)
    fit(tmp_path, resumed, max_epochs=3, ckpt_path=str(tmp_path / "epoch=2.ckpt"))
    assert [one["when"] for one in resumed.checks] == ["start", "iteration 2", "end"]
    assert resumed.checks == whole.checks


def test_training_ends_in_a_sentence_where_too_much_is_forgotten(tmp_path, check, capsys):
    callback = check(every_n_epochs=1, stop_when_forgetting=0.05)
    trainer = fit(tmp_path, callback, module=toys.module(actor_lr=0.3), max_epochs=9)
    assert trainer.current_epoch < 9
    assert "ForgettingCheck ends training: the loss on toy_" in capsys.readouterr().out
    patient = check(every_n_epochs=1, stop_when_forgetting=1e6)
    assert fit(tmp_path, patient, module=toys.module(actor_lr=0.3), max_epochs=3).current_epoch == 3


@pytest.mark.parametrize("stage", ["validate", "test"])
def test_an_evaluation_compares_too(tmp_path, check, stage, capsys):
    module = toys.module(**FAST)
    fit(tmp_path, module=module)
    callback = check()
    trainer = toys.trainer(tmp_path, callbacks=[callback], limit_val_batches=1.0)
    getattr(trainer, stage)(module, datamodule=toys.data(num_envs=2), verbose=False)
    result = json.loads((tmp_path / f"forgetting-{stage}.json").read_text())
    assert [one["when"] for one in result["checks"]] == [stage]
    assert result["mean_loss"] != 0 and "toy_doors" in capsys.readouterr().out
    assert float(trainer.callback_metrics["forgetting/mean_loss"]) == pytest.approx(result["mean_loss"])


def test_a_limit_takes_the_first_documents(folder):
    module, rows = toys.module(), load_tasks(NAMES, folder)
    lm = PolicyLM(module.agent.scorer)
    with module.acting():
        whole, first = Suite(rows).scores(lm), Suite(rows, 6).scores(lm)
        third = Suite(rows, 0.3).scores(lm)
    for name in NAMES:
        assert first[name].values == pytest.approx(whole[name].values[:6], abs=1e-4)
    assert [len(scores.values) for scores in third.values()] == [7, 3, 7]


def test_one_document_is_too_few(tmp_path, check):
    with pytest.raises(UserError, match="limit=1 leaves task 'toy_doors' one document"):
        fit(tmp_path, check(limit=1))


def test_a_model_without_adapter_is_refused(tmp_path, check):
    module = toys.module(language_model=toys.language_model(lora=None), critic="adapted")
    with pytest.raises(UserError, match="there is no adapter"):
        fit(tmp_path, check(), module=module)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"every_n_epochs": -1}, "every_n_epochs is -1"),
        ({"limit": 0}, "limit is 0"),
        ({"limit": 1.5}, "limit is 1.5"),
    ],
)
def test_wrong_arguments_are_named(settings, message):
    with pytest.raises(UserError, match=message):
        ForgettingCheck(**settings)


def test_wrong_tasks_are_named_before_anything_is_done(folder, tmp_path):
    for tasks, where, message in (
        ([], None, "tasks is empty"),
        (["toy_doors", "toy_doors"], folder, "'toy_doors' is named twice"),
        (["toy_doors"], str(tmp_path / "none"), "none' is no folder"),
    ):
        with pytest.raises(UserError, match=message):
            load_tasks(tasks, where)


def test_a_task_whose_documents_are_missing_is_told_in_a_sentence(monkeypatch):
    def unreachable(*args, **settings):
        raise ConnectionError("no network")

    monkeypatch.setattr("datasets.load_dataset", unreachable)
    with pytest.raises(UserError, match="forgetting.download arc_easy' once"):
        load_tasks(["arc_easy"])


def test_a_misspelt_task_gets_the_nearest_name(folder, monkeypatch):
    monkeypatch.setattr("lightning_twosome.forgetting.tasks._FOLDERS", {"toy_door": "arc"})  # not the index of 14 000
    with pytest.raises(UserError, match="did you mean 'toy_doors'"):
        load_tasks(["toy_door"], folder)


def test_a_task_that_writes_is_refused(folder, tmp_path):
    write_tasks(tmp_path)
    text = (tmp_path / "toy_word.yaml").read_text()
    (tmp_path / "toy_word.yaml").write_text(text.replace("loglikelihood", "generate_until"))
    with pytest.raises(UserError, match="lets the model write"):
        load_tasks(["toy_word"], tmp_path)


def test_a_group_with_a_score_of_its_own_is_one_row(folder, tmp_path):
    write_tasks(tmp_path)
    group = "group: toys\ntask: [toy_doors, toy_word]\naggregate_metric_list:\n  - metric: acc\n"
    (tmp_path / "toys.yaml").write_text(group)
    rows = load_tasks(["toys", "toy_text"], tmp_path)
    assert {name: len(tasks) for name, tasks in rows.items()} == {"toys": 2, "toy_text": 1}
    (tmp_path / "toys.yaml").write_text(group.split("aggregate")[0])
    assert list(load_tasks(["toys"], tmp_path)) == ["toy_doors", "toy_word"]
