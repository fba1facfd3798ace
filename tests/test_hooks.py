"""The package's own hooks: when they are called, with what, and the example of docs/callbacks.md."""

from __future__ import annotations

import lightning as L
import pytest
import torch

from lightning_twosome.rollout import Episode, Rollout
from tests import toys
from tests.cli_runs import ROOT


class Told(L.Callback):
    """What it was told, in order."""

    def __init__(self):
        self.calls = []

    def on_rollout_end(self, trainer, pl_module, rollout):
        self.calls.append(("rollout", trainer.datamodule.iteration, rollout))

    def on_episode_end(self, trainer, pl_module, episode):
        self.calls.append(("episode", trainer.datamodule.iteration, episode))

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.calls.append(("batch", trainer.datamodule.iteration, batch_idx))

    def on_policy_update(self, trainer, pl_module, stats):
        self.calls.append(("update", trainer.datamodule.iteration, stats))


class Farm(toys.TextEnv):
    """Three decisions; farming pays more than finishing, which alone is a success."""

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = 3
        return "You are on a farm. You", {"actions": ("farm on", "finish the work")}

    def step(self, action):
        self.left -= 1
        ended = action == 1 or self.left == 0
        info = {"actions": ("farm on", "finish the work")} | ({"success": action == 1} if ended else {})
        return "You are on a farm. You", 1.0 if action == 0 else 0.5, ended, False, info


def fit(folder, *callbacks, data=None, **settings):
    trainer = toys.trainer(folder, callbacks=list(callbacks), **settings)
    module = toys.module(beta=0.02)  # nearly uniform, so that everything happens
    trainer.fit(module, datamodule=data or toys.data(num_envs=2, num_steps=8))
    return trainer


def test_hooks_come_in_order_once_an_iteration(tmp_path):
    told = Told()
    trainer = fit(tmp_path, told)
    kinds = [(kind, iteration) for kind, iteration, _ in told.calls if kind != "episode"]
    once = ["rollout", *["batch"] * 4, "update"]
    assert kinds == [(kind, iteration) for iteration in (1, 2) for kind in once]
    rollouts = [happened for kind, _, happened in told.calls if kind == "rollout"]
    assert all(isinstance(rollout, Rollout) and rollout.num_decisions == 16 for rollout in rollouts)
    episodes = [happened for kind, _, happened in told.calls if kind == "episode"]
    assert episodes == [episode for rollout in rollouts for episode in rollout.episodes] and episodes
    assert all(isinstance(episode, Episode) and episode.length > 0 for episode in episodes)
    place = [kind for kind, iteration, _ in told.calls if iteration == 1]
    assert place.index("episode") == 1 and place.index("batch") > place.index("episode")
    stats = told.calls[-1][2]
    logged = {name: float(value) for name, value in trainer.logged_metrics.items()}
    assert {name: value for name, value in stats.items() if name in logged} == pytest.approx(
        {name: value for name, value in logged.items() if name in stats}
    )
    assert {"policy/kl", "loss/total", "rollout/return"} <= stats.keys()


def test_evaluation_episodes_are_not_training_episodes(tmp_path):
    told = Told()
    fit(tmp_path, told, limit_val_batches=1.0, max_epochs=1)
    rollouts = [happened for kind, _, happened in told.calls if kind == "rollout"]
    assert len([kind for kind, _, _ in told.calls if kind == "episode"]) == len(rollouts[0].episodes)


def test_listening_changes_nothing(tmp_path):
    weights = [toys.trainable(fit(tmp_path, *callbacks).lightning_module) for callbacks in ([], [Told()])]
    toys.assert_equal_weights(*weights)


# The example of the documentation


@pytest.fixture(scope="module")
def alarm():
    code = (ROOT / "docs/callbacks.md").read_text().split("```python\n")[1].split("```")[0]
    assert len(code.split("class RewardHackingAlarm")[1].strip().splitlines()) <= 20
    names: dict = {}
    exec(code, names)
    return names["RewardHackingAlarm"]


def test_alarm_stops_where_failing_pays(alarm, tmp_path, capsys):
    data = toys.data(Farm, num_steps=8, minibatch_size=16)
    trainer = fit(tmp_path, alarm(least=2), data=data, max_epochs=9)
    assert "environment steps: failing pays more than success." in capsys.readouterr().out
    assert trainer.datamodule.iteration < 9
    assert trainer.datamodule.batches_done == trainer.datamodule.num_minibatches, "the iteration was finished"


def test_alarm_is_silent_where_success_pays(alarm, tmp_path, capsys):
    watching = alarm(least=2)
    trainer = fit(tmp_path, watching, max_epochs=4, data=toys.data(num_steps=8, minibatch_size=16))
    assert min(map(len, watching.returns.values())) >= 2, "it had something to compare"
    assert "failing pays" not in capsys.readouterr().out and trainer.datamodule.iteration == 4
    assert torch.isfinite(torch.tensor([value for values in watching.returns.values() for value in values])).all()
