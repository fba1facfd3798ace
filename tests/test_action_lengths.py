"""Probability by action length: the figures on literals, the callback on a tiny run."""

from __future__ import annotations

import json

import pytest
import torch
import yaml

from lightning_twosome.callbacks import ActionLengths
from lightning_twosome.callbacks.action_lengths import shares_by_length
from lightning_twosome.errors import UserError
from lightning_twosome.scoring import ActionScores
from tests import toys
from tests.cli_runs import ROOT, run

# Two decisions: actions of 1, 2 and 2 words with probabilities 1/2, 1/4, 1/4; of 2 words with 3/4 and 1/4.
LOGITS = torch.tensor([[0.5, 0.25, 0.25], [0.75, 0.25, 0.0]]).log()
WORDS = torch.tensor([[1, 2, 2], [2, 2, 0]])
SCORES = ActionScores(LOGITS, tokens=2 * WORDS, words=WORDS, characters=5 * WORDS)


def test_share_is_probability_times_offered_actions_averaged_by_decision():
    shares = shares_by_length(LOGITS, SCORES)
    assert [(row["length"], row["decisions"]) for row in shares["words"]] == [(1, 1), (2, 2)]
    # One word: 3 * 1/2. Two words: 3 * 1/4 in the first decision, 2 * (3/4 + 1/4) / 2 in the second.
    assert [row["share"] for row in shares["words"]] == pytest.approx([1.5, (0.75 + 1.0) / 2])
    assert [(row["low"], row["high"]) for row in shares["words"]] == [
        pytest.approx((1.5, 1.5)), pytest.approx((0.75, 1.0))
    ]  # fmt: skip
    assert [row["length"] for row in shares["tokens"]] == [2, 4]


def test_uniform_policy_has_the_share_of_a_fair_die_at_every_length():
    shares = shares_by_length(LOGITS.where(LOGITS == -torch.inf, 0.0), SCORES)
    assert [row["share"] for rows in shares.values() for row in rows] == pytest.approx([1.0] * 4)


def fit(folder, *callbacks, ckpt_path=None, **settings):
    trainer = toys.trainer(folder, callbacks=list(callbacks), **settings)
    data = toys.data(eval_episodes=2, num_envs=2)
    trainer.fit(toys.module(), datamodule=data, ckpt_path=ckpt_path, weights_only=True)
    return trainer


def test_callback_writes_the_policy_and_every_normalisation_and_leaves_training_alone(tmp_path):
    weights = [toys.trainable(fit(tmp_path, *listed).lightning_module) for listed in ([], [ActionLengths(12)])]
    toys.assert_equal_weights(*weights)
    found = json.loads((tmp_path / "action_lengths.json").read_text())
    assert found["normalization"] in found["before"]["normalizations"]
    assert set(found["before"]["normalizations"]) == {"sum", "token", "word", "character", "trie"}
    assert found["before"]["policy"] == found["before"]["normalizations"][found["normalization"]], "beta is 1"
    assert found["after"]["policy"] != found["before"]["policy"]
    assert 0 < found["decisions"] <= 12


def test_resumed_run_keeps_the_measurement_before(tmp_path):
    fit(tmp_path, ActionLengths(12), max_epochs=1).save_checkpoint(tmp_path / "half.ckpt")
    first = json.loads((tmp_path / "action_lengths.json").read_text())
    fit(tmp_path, ActionLengths(12), ckpt_path=tmp_path / "half.ckpt", max_epochs=3)
    again = json.loads((tmp_path / "action_lengths.json").read_text())
    assert again["before"] == first["before"] and again["after"] != first["after"]


def test_decisions_must_be_positive():
    with pytest.raises(UserError, match=r"ActionLengths\.decisions is 0"):
        ActionLengths(0)


def test_overlay_adds_it_to_a_config(capsys):
    configs = [ROOT / "configs" / name for name in ("quickstart.yaml", "callbacks/action_lengths.yaml")]
    with pytest.raises(SystemExit) as stop:
        run("fit", "--config", configs[0], "--config", configs[1], "--print_config")
    assert stop.value.code == 0
    printed = yaml.safe_load(capsys.readouterr().out)["trainer"]["callbacks"]
    names = [callback["class_path"].rpartition(".")[2] for callback in printed]
    assert names == ["EnvironmentBudget", "BeforeAndAfter", "LearningCurve", "ActionLengths"]
    assert printed[-1]["init_args"] == {"decisions": 256}
