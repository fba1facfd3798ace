"""What a run remembers is bounded and changes nothing; a short version of tests/soak.py, and the long one.

The long one is ``python -m tests.soak``.
"""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lightning_twosome.callbacks import LearningCurve, learning_curve
from lightning_twosome.decisions import Decision, DecisionEncoder
from lightning_twosome.envs.household import world as household
from lightning_twosome.envs.household.task import load_task
from lightning_twosome.errors import UserError
from lightning_twosome.metrics import MOST_TASKS, EpisodeMetrics
from lightning_twosome.recent import TENSOR, Recent
from tests import soak, toys
from tests.model_files import byte_level_tokenizer
from tests.soak import Diary, Sample, judge, memories_of

TINY = 0.01  # megabytes: about five decisions of the diary


def recent(limit):
    kept = Recent(0, lambda key, value: value)
    kept.limit = limit
    return kept


def test_the_least_recently_used_goes_first():
    kept = recent(10)
    for key, size in (("a", 4), ("b", 3), ("c", 2)):
        kept.keep(key, size)
    assert kept.get("a") == 4  # used again
    kept.keep("d", 5)
    assert [kept.get(key) for key in "abcd"] == [4, None, None, 5] and kept.bytes == 9
    kept.keep("a", 1)  # another value in its place
    assert kept.bytes == 6 and len(kept) == 2
    kept.keep("e", 11)  # does not fit at all
    assert kept.bytes == 0 and len(kept) == 0


def test_values_are_made_once_and_given_whether_or_not_they_are_kept():
    for limit in (0, 8, 100):
        kept, made = recent(limit), []

        def make(keys, made=made):
            made.extend(keys)
            return [len(key) for key in keys]

        assert kept.get_all(["aaa", "b", "aaa", "cccc"], make) == [3, 1, 3, 4]
        assert made == ["aaa", "b", "cccc"]
        assert kept.get_all(["aaa"], make) == [3]
        assert kept.bytes <= limit


def test_the_size_of_tokens_is_about_what_python_says():
    encoder = DecisionEncoder(byte_level_tokenizer())
    decision = Decision("The iron is missing. You", ("take the iron", "take the lid", "wait"))
    encoder.encode(decision)
    encoded = encoder.encode(decision)
    arrays = [encoded.trunk, encoded.node_token, encoded.node_depth, encoded.node_end, encoded.parent, encoded.target]
    texts = [decision.prompt, *decision.actions]
    real = sum(map(sys.getsizeof, [*arrays, *encoded.suffixes, *texts, encoded, decision, decision.actions]))
    assert real < encoder.decisions.bytes < 2 * real


def fitted(folder, env=Diary, **changes):
    """A module after two iterations."""
    module = toys.module(**changes)
    toys.trainer(folder, limit_val_batches=1).fit(module, datamodule=toys.data(env, num_steps=8, minibatch_size=16))
    return module


def test_a_run_whose_texts_are_always_new_is_the_same_with_little_memory(tmp_path):
    roomy, tight = fitted(tmp_path), fitted(tmp_path, cache_megabytes=TINY)
    toys.assert_equal_weights(toys.trainable(roomy), toys.trainable(tight))
    for memory in memories_of(tight.agent):
        assert memory.bytes <= TINY * 2**20
    assert len(roomy.agent.features) >= 2 * 4 * 8 > 5 * len(tight.agent.features) > 0


@pytest.mark.parametrize("changes", [{"objective": "poad"}, {"critic": "adapted"}, {"learn_beta": True}], ids=str)
def test_a_run_whose_texts_come_again_is_the_same_but_for_rounding(tmp_path, changes):
    roomy, none = (fitted(tmp_path, toys.Corridor, cache_megabytes=size, **changes) for size in (512, 0))
    for name, weight in toys.trainable(roomy).items():
        torch.testing.assert_close(dict(none.named_parameters())[name], weight, rtol=1e-3, atol=1e-5)
    assert all(len(memory) == 0 for memory in memories_of(none.agent))


def test_frozen_layers_are_bounded_too(tmp_path):
    lora = {"r": 4, "layers_to_transform": [1]}
    made = fitted(tmp_path, language_model=toys.language_model(lora=lora), frozen_layers=1, cache_megabytes=TINY)
    frozen = made.agent.scorer.frozen.memory
    assert 0 < frozen.bytes <= TINY * 2**20 and frozen.bytes > len(frozen) * TENSOR


@pytest.mark.parametrize("size", [-1, float("nan"), float("inf")])
def test_sizes_that_are_none(size):
    with pytest.raises(UserError, match="cache_megabytes=.* is no size"):
        toys.module(cache_megabytes=size)


# Environments and callbacks


def test_a_house_forgets_its_scenes_between_episodes_only(monkeypatch):
    monkeypatch.setattr(household, "MEMORY", 3)
    world = household.World(load_task("FoodPreparation"), faithful=False)
    scene = world.begin()
    while not scene.succeeded:
        scene = world.follow(scene, world.best_action(scene))
    assert len(world._scenes) > 3
    again = world.begin()
    assert len(world._scenes) == 1 and again.state == world.house.initial
    assert world.shortest() == household.World(load_task("FoodPreparation"), faithful=False).shortest()


def test_textworld_closes_games_that_it_has_not_played_for_long(monkeypatch):
    textworld = pytest.importorskip("lightning_twosome.envs.textworld")
    closed = []

    class Game:
        def __init__(self, path):
            self.path = path

        def reset(self):
            return {"admissible_commands": ["wait"], "description": "", "inventory": "", "objective": self.path}

        def close(self):
            closed.append(self.path)

    monkeypatch.setattr(textworld, "make_game", lambda *sizes: f"game {sizes[-1]}")
    monkeypatch.setattr(textworld, "_start", Game)
    monkeypatch.setattr(textworld, "_textworld", lambda: None)
    env = textworld.TextWorldEnv(games=40)
    for seed in range(100):
        prompt, _ = env.reset(seed=seed)
        assert env._game.path in prompt and env._game.path not in closed[-1:]
    assert len(env._games) == textworld.MOST_STARTED and len(closed) > 20


def test_a_learning_curve_thins_out_but_keeps_both_ends(monkeypatch):
    monkeypatch.setattr(learning_curve, "MOST_ROWS", 100)
    curve = LearningCurve()

    class Trainer:
        class datamodule:
            env_steps = 0

        lightning_module = None

    for step in range(5000):
        Trainer.datamodule.env_steps = step
        curve._note(Trainer, curve.training, {"return": 0.5})
        assert len(curve.training) <= 100
    steps = [row["env_steps"] for row in curve.training]
    assert steps == sorted(set(steps)) and (steps[0], steps[-1]) == (0, 4999) and len(steps) >= 50


def test_a_task_of_its_own_for_each_episode_is_refused():
    metrics = EpisodeMetrics(2)
    metrics.add_tasks(f"kind {number}" for number in range(3))
    with pytest.raises(UserError, match=f"name more than {MOST_TASKS} tasks, such as 'episode 999'"):
        metrics.add_tasks(f"episode {number}" for number in range(MOST_TASKS))
    assert len(metrics.tasks) == 3


# The soak


def test_pages_are_all_different():
    env = Diary()
    seen = [env.reset(seed=seed)[0] for seed in range(50)] + [env.step(0)[0] for _ in range(50)]
    assert len(set(seen)) == 100


def samples(count=100, **growth):
    """A run that needs more with each iteration."""
    flat = Sample(0, 500.0, 100.0, 1.0, 2.0, 10)
    return [replace(flat, **{name: getattr(flat, name) + i * by for name, by in growth.items()}) for i in range(count)]


@pytest.mark.parametrize(
    ("run", "wrong"),
    [
        (samples(), ""),
        (samples(megabytes=0.1), ""),  # 6 MB between the middles of the thirds
        (samples(megabytes=0.2), "memory grew by 12.0 MB, which is more than 8"),
        (samples(allocated=0.05), "3.0 MB more are allocated, which is more than 2"),
        (samples(allocated=float("nan")), ""),  # not glibc
        (samples(seconds=0.004), "an iteration takes 1.22 times as long, which is more than 1.15"),
        (samples(seconds=-0.004), ""),
        (samples(10, megabytes=-50.0) + samples(90), ""),  # the warm-up does not count
    ],
)
def test_the_verdict(run, wrong):
    assert judge(run).wrong == wrong


def test_a_short_soak(tmp_path, capsys):
    run = soak.soak(tmp_path, "new_text", 640, cache_megabytes=0.05)
    assert [sample.env_steps for sample in run] == [64 * number for number in range(1, 11)]
    assert max(sample.remembered for sample in run) <= 4 * 0.05
    assert all(sample.megabytes > sample.allocated > 10 and sample.seconds > 0 for sample in run)
    soak.report(run, judge(run))
    assert "| 640 |" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("case", ["new_text", "salad"])
def test_a_soak(tmp_path, case):
    assert judge(soak.soak(Path(tmp_path), case, 100_000, cache_megabytes=2)).wrong == ""
