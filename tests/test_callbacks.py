"""Callbacks: budget, summary, picture, transcript, reports; on toy environments and a tiny random model."""

from __future__ import annotations

import io
import json
import re
from functools import partial

import lightning as L
import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from lightning_twosome.callbacks import (
    BeforeAndAfter,
    EnvironmentBudget,
    EvaluationReport,
    LearningCurve,
    RolloutProgressBar,
    TranscriptWriter,
)
from lightning_twosome.callbacks.transcript import transcript
from lightning_twosome.decisions import Decision
from lightning_twosome.errors import UserError
from lightning_twosome.evaluation import PlayedEpisode, TranscriptStep
from lightning_twosome.rollout import Episode
from lightning_twosome.vector_env import State, Transition
from tests import toys


class Plain(toys.Corridor):
    """Reports no success."""

    def step(self, action: int):
        *result, info = super().step(action)
        info.pop("success", None)
        return (*result, info)


class Optimal(toys.Buttons):
    """Knows its optimum."""

    def optimal_discounted_return(self, gamma: float) -> float:
        assert gamma == 0.99
        return 1.0


def fit(folder, *callbacks, data=None, ckpt_path=None, **settings) -> L.Trainer:
    trainer = toys.trainer(folder, callbacks=list(callbacks), **settings)
    data = data or toys.data(eval_episodes=2, num_envs=2)
    trainer.fit(toys.module(), datamodule=data, ckpt_path=ckpt_path, weights_only=True)
    return trainer


# EnvironmentBudget


@pytest.mark.parametrize(("budget", "iterations"), [(1, 1), (8, 1), (9, 2), (16, 2)])
def test_budget_is_met_exactly_or_in_the_iteration_that_passes_it(tmp_path, budget, iterations):
    trainer = fit(tmp_path, EnvironmentBudget(budget), max_epochs=-1)
    assert (trainer.current_epoch, trainer.datamodule.env_steps) == (iterations, 8 * iterations)


def test_budget_is_the_length_of_the_learning_rates_decay(tmp_path):
    trainer = fit(tmp_path, EnvironmentBudget(16), max_epochs=-1)
    assert trainer.optimizers[0].param_groups[0]["lr"] == 0


def test_resumed_run_ends_where_it_would_have(tmp_path):
    checkpoint = tmp_path / "after-one.ckpt"
    fit(tmp_path, EnvironmentBudget(8), max_epochs=-1).save_checkpoint(checkpoint)
    trainer = fit(tmp_path, EnvironmentBudget(24), max_epochs=-1, ckpt_path=checkpoint)
    assert (trainer.current_epoch, trainer.datamodule.env_steps) == (3, 24)


def test_budget_must_be_positive():
    with pytest.raises(UserError, match="total_env_steps is 0"):
        EnvironmentBudget(0)


# BeforeAndAfter


@pytest.fixture
def held_out(monkeypatch):
    monkeypatch.setattr(
        "lightning_twosome.callbacks.before_and_after.held_out_texts", lambda n: ["the tomato is red"] * n
    )


def summary(folder) -> dict:
    return json.loads((folder / "before_and_after.json").read_text())


def test_summary_measures_policy_and_language_before_and_after(tmp_path, held_out, capsys):
    fit(tmp_path, BeforeAndAfter(episodes=6, texts=2), data=toys.data(Optimal, eval_episodes=2, num_envs=2))
    result = summary(tmp_path)
    for part in ("before", "after"):
        assert result[part]["return_low"] <= result[part]["return"] <= result[part]["return_high"]
        assert {"success", "perplexity", "beta"} <= result[part].keys()
    assert result["optimum"] == 1.0 and result["env_steps"] == 16 and result["seconds"] > 0
    assert 0 <= result["uniform_random"]["success"] <= 1
    table = capsys.readouterr().out
    for row in ("uniform random", "before", "after", "optimum"):
        assert row in table


def test_summary_without_success_optimum_or_texts(tmp_path, capsys):
    fit(tmp_path, BeforeAndAfter(episodes=3, texts=0), data=toys.data(Plain, eval_episodes=2, num_envs=2))
    result = summary(tmp_path)
    assert result["optimum"] is None
    assert not {"success", "perplexity"} & result["after"].keys()
    assert "optimum" not in capsys.readouterr().out


def test_summary_of_a_resumed_run_keeps_the_measurement_and_the_time_before(tmp_path):
    checkpoint = tmp_path / "half.ckpt"
    fit(tmp_path, BeforeAndAfter(episodes=3, texts=0), max_epochs=1).save_checkpoint(checkpoint)
    first = summary(tmp_path)
    resumed = BeforeAndAfter(episodes=3, texts=0)
    measured = []
    resumed._measure = lambda *arguments: measured.append(1) or BeforeAndAfter._measure(resumed, *arguments)
    fit(tmp_path, resumed, ckpt_path=checkpoint)
    assert len(measured) == 1, "only after training"
    assert summary(tmp_path)["before"] == first["before"]
    assert summary(tmp_path)["seconds"] > first["seconds"]


def test_summary_does_not_touch_training(tmp_path, held_out):
    weights = []
    for callbacks in ([], [BeforeAndAfter(episodes=3, texts=1)]):
        trainer = fit(tmp_path, *callbacks)
        weights.append(toys.trainable(trainer.lightning_module))
    toys.assert_equal_weights(*weights)


# LearningCurve


def test_curve_is_a_picture_with_lines_in_it(tmp_path):
    fit(tmp_path, LearningCurve(), limit_val_batches=1.0)
    image = Image.open(tmp_path / "learning_curve.png")
    image.verify()
    pixels = np.asarray(Image.open(tmp_path / "learning_curve.png").convert("RGB")).reshape(-1, 3)
    blue = (pixels[:, 2].astype(int) - pixels[:, 0] > 60).mean()
    orange = (pixels[:, 0].astype(int) - pixels[:, 2] > 60).mean()
    assert blue > 2e-4 and orange > 2e-4


def test_curve_has_each_iteration_at_its_own_environment_steps(tmp_path):
    curve = LearningCurve()
    data = toys.data(toys.Buttons, eval_episodes=2, num_envs=2)
    trainer = fit(tmp_path, curve, data=data, max_epochs=3, limit_val_batches=1.0)
    assert [row["env_steps"] for row in curve.training] == [8, 16, 24]
    assert [row["env_steps"] for row in curve.evaluations] == [8, 16, 24]
    last = trainer.lightning_module.episode_metrics.compute()["return"]
    assert curve.training[-1]["return"] == pytest.approx(float(last))


def test_curve_of_a_resumed_run_is_whole(tmp_path):
    checkpoint = tmp_path / "half.ckpt"
    data = partial(toys.data, toys.Buttons, eval_episodes=2, num_envs=2)
    fit(tmp_path, LearningCurve(), data=data(), max_epochs=2, limit_val_batches=1.0).save_checkpoint(checkpoint)
    curve = LearningCurve()
    fit(tmp_path, curve, data=data(), max_epochs=3, limit_val_batches=1.0, ckpt_path=checkpoint)
    assert [row["env_steps"] for row in curve.training] == [8, 16, 24]


def test_curve_before_any_episode_has_ended_draws_nothing(tmp_path):
    data = toys.data(num_envs=2, num_steps=1, minibatch_size=2, env_settings={"limit": 50, "slip": 1.0})
    fit(tmp_path, LearningCurve(every_n_epochs=1), data=data)
    assert not (tmp_path / "learning_curve.png").exists()


# TranscriptWriter


def played(choice: int, probabilities: list[float]) -> PlayedEpisode:
    state = State(Decision("You see a tomato. You", ("wait", "pick up the tomato", "leave")))
    transition = Transition(state, (-0.5, 1.0), 2, True, False, True)
    episode = Episode(0)
    episode.record(transition, 0.5)
    return PlayedEpisode(episode, [TranscriptStep(state, probabilities, choice, 0.25, transition)])


def test_transcript_reads_from_the_most_to_the_least_probable_action():
    assert transcript("Episode 1", played(1, [0.3, 0.6, 0.1])) == (
        "## Episode 1: return 0.000, success\n\n"
        "1 decision, 2 primitive steps, undiscounted return 0.500.\n\n"
        "**1.** You see a tomato. You\n\n"
        "```text\n"
        "->  60.0%  pick up the tomato\n"
        "    30.0%  wait\n"
        "    10.0%  leave\n"
        "```\n\n"
        "reward +0.500 in 2 steps, value 0.250\n"
    )


def test_transcript_marks_an_improbable_choice():
    assert "->  10.0%  leave" in transcript("Episode 1", played(2, [0.3, 0.6, 0.1]))


def test_predict_writes_sampled_and_greedy_episodes(tmp_path, capsys):
    trainer = toys.trainer(tmp_path, callbacks=[TranscriptWriter("notes/played.md", episodes=2)])
    predictions = trainer.predict(toys.module(), datamodule=toys.data(eval_episodes=3, eval_greedy_episodes=1))
    text = (tmp_path / "notes/played.md").read_text()
    assert sum(len(batch) for batch in predictions) == 4
    assert text.count("\n## Episode") == 2 and text.count("\n## Greedy episode") == 1
    assert "- 3 episodes with sampled actions: discounted return" in text
    assert "notes/played.md" in capsys.readouterr().out


# What is shown while training


def shown(tmp_path, act) -> list[str]:
    """Lines of a terminal of 80 columns on which the bar was shown, each as it stood last or before it changed."""
    bar = RolloutProgressBar()
    bar.console = Console(file=io.StringIO(), force_terminal=True, width=80)
    trainer = toys.trainer(tmp_path, callbacks=[bar], enable_progress_bar=True, limit_val_batches=1.0)
    act(trainer, toys.data(toys.Buttons, eval_episodes=8, num_envs=2))
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", bar.console.file.getvalue())
    return [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]


def test_progress_bar_counts_the_environment_steps_of_the_run(tmp_path):
    last = shown(tmp_path, lambda trainer, data: trainer.fit(toys.module(), datamodule=data))[-1]
    assert re.match(r"16/16 env steps .* \d:\d\d:\d\d .*return \d\.\d{3}, success \d+%$", last)
    assert len(last) <= 80


@pytest.mark.parametrize("subcommand", ["validate", "test", "predict"])
def test_progress_bar_counts_the_batches_of_an_evaluation(tmp_path, subcommand):
    lines = shown(tmp_path, lambda trainer, data: getattr(trainer, subcommand)(toys.module(), datamodule=data))
    assert lines[-1].startswith("3/3 batches of episodes")


def test_progress_bar_without_a_known_end(tmp_path):
    def act(trainer, data):
        trainer.fit_loop.max_epochs = -1
        trainer.fit_loop.epoch_loop.max_steps = 4
        trainer.fit(toys.module(), datamodule=data)

    assert "/? env steps" in shown(tmp_path, act)[-1]


def test_report_without_success_or_greedy_episodes(tmp_path, capsys):
    data = toys.data(Plain, eval_episodes=2, eval_greedy_episodes=0, num_envs=2)
    fit(tmp_path, EvaluationReport(), data=data, max_epochs=1, limit_val_batches=1.0)
    line = capsys.readouterr().out
    assert line.startswith("8 env steps") and "success" not in line and "greedy" not in line


def test_report_is_not_printed_in_the_sanity_check(tmp_path, capsys):
    fit(tmp_path, EvaluationReport(), max_epochs=1, limit_val_batches=1.0, num_sanity_val_steps=1)
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_callbacks_do_not_move_the_global_generator(tmp_path):
    callbacks = (LearningCurve(), EvaluationReport(), EnvironmentBudget(16))
    states = []
    for used in ((), callbacks):
        fit(tmp_path, *used, limit_val_batches=1.0)
        states.append(torch.get_rng_state())
    assert torch.equal(*states)
