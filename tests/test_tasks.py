"""Mixtures of tasks: who is drawn, that it can be repeated, what is logged of each."""

import math
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_twosome import RolloutDataModule
from lightning_twosome.errors import UserError
from lightning_twosome.metrics import EpisodeMetrics
from lightning_twosome.rollout import Episode
from lightning_twosome.tasks import MixtureEnv, Task, best_possible_return, named
from lightning_twosome.vector_env import TextVectorEnv
from tests.cli_runs import quick_config, rows, save_tiny
from tests.cli_runs import run as run_cli
from tests.test_resume import assert_equal_runs, run
from tests.toys import Buttons, Corridor

TASKS = [Task(partial(Corridor, limit=4), weight=3.0, name="corridor"), Task(Buttons, weight=1)]


def mixture():
    return MixtureEnv(named(TASKS, "data.env"))


def test_tasks_are_drawn_by_weight_and_seed():
    env = mixture()
    names = [env.reset(seed=seed)[1]["task"] for seed in range(800)]
    share = names.count("corridor") / 800
    assert abs(share - 0.75) < 4 * math.sqrt(0.75 * 0.25 / 800) and set(names) == {"corridor", "Buttons"}
    assert names[:50] == [mixture().reset(seed=seed)[1]["task"] for seed in range(50)]


def test_an_episode_is_the_tasks_own():
    env = mixture()
    for seed in range(10):
        prompt, info = env.reset(seed=seed)
        alone = next(task for task in env.tasks if task.name == info["task"]).make()
        expected_prompt, expected = alone.reset(seed=seed)
        assert prompt == expected_prompt and info["actions"] == expected["actions"]
        step, expected_step = env.step(1), alone.step(1)
        assert step[:4] == expected_step[:4]
        assert step[4]["task"] == info["task"] and step[4]["actions"] == expected_step[4]["actions"]


def test_the_task_is_in_every_state_and_episode():
    env = TextVectorEnv([mixture] * 2)
    states = env.reset({0: 1, 1: 2})
    for index, transition in enumerate(env.step([0, 0])):
        assert transition.state.task == states[index].task in ("corridor", "Buttons")
        episode = Episode(0)
        episode.record(transition, 0.9)
        assert episode.task == states[index].task


def test_without_a_seed_the_environments_own_generator_draws():
    env = mixture()
    env.reset(seed=5)
    names = [env.reset()[1]["task"] for _ in range(40)]
    assert set(names) == {"corridor", "Buttons"}
    env.reset(seed=5)
    assert names == [env.reset()[1]["task"] for _ in range(40)]


class Knowing(Buttons):
    """Knows its optimum, and what to do."""

    def __init__(self, optimum: float = 1.0) -> None:
        super().__init__()
        self.optimal_discounted_return = optimum

    def expert_action(self) -> int:
        return self.shown.index(self.colour)


def test_optimum_and_expert_are_the_tasks():
    both = MixtureEnv(named([Task(Knowing, name="a"), Task(partial(Knowing, 0.4), weight=2, name="b")], "data.env"))
    assert both.optimal_discounted_return(0.9) == pytest.approx((1.0 + 2 * 0.4) / 3)
    assert mixture().optimal_discounted_return(0.9) is None
    kitchen = Task("twosome/TomatoSalad-v0")
    alone = best_possible_return(kitchen.make(), 0.99)
    assert MixtureEnv(named([kitchen, Task(Knowing)], "data.env")).optimal_discounted_return(0.99) == (alone + 1) / 2
    both.reset(seed=0)
    assert both.step(both.expert_action())[1] == 1.0
    both.close()


def test_names():
    salad = Task("twosome/TomatoSalad-v0")
    assert [task.name for task in named([salad, Task(Buttons), Task(partial(Corridor, limit=2))], "data.env")] == [
        "TomatoSalad-v0", "Buttons", "Corridor",
    ]  # fmt: skip
    assert named([Task(salad.env, name="easy")], "data.env")[0].name == "easy"


def test_mistakes_are_named():
    with pytest.raises(UserError, match=r"data.env is an empty list"):
        RolloutDataModule([])
    for weight in (0, -1.0, math.nan, math.inf):
        with pytest.raises(UserError, match=f"'Buttons' has the weight {weight}; it must be a positive number"):
            RolloutDataModule([Task(Buttons, weight=weight)])
    with pytest.raises(UserError, match="data.env has two tasks named 'Buttons'"):
        RolloutDataModule([Task(Buttons), Task(partial(Buttons, 3))])
    with pytest.raises(UserError, match="data.test_tasks has two tasks named 'x'"):
        RolloutDataModule(Buttons, test_tasks=[Task(Buttons, name="x"), Task(Corridor, name="x")])
    with pytest.raises(UserError, match="empty name"):
        RolloutDataModule([Task(Buttons, name=" ")])
    with pytest.raises(UserError, match="data.env_kwargs={'slip': 0} is for one environment"):
        RolloutDataModule([Task(Buttons)], env_kwargs={"slip": 0})
    unknown = RolloutDataModule([Task(Buttons), Task("twosome/Nowhere-v0", weight=1e-9)])
    with pytest.raises(UserError, match="'twosome/Nowhere-v0' is not registered"):
        unknown.setup("fit")


# Training


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run on the mixture with a checkpoint in its middle."""
    folder = tmp_path_factory.mktemp("mixture")
    checkpoint = ModelCheckpoint(folder, filename="kept-{epoch}", save_top_k=-1, monitor=None, every_n_train_steps=6)
    return folder / "kept-epoch=1.ckpt", run(folder, data_settings={"env": mixture}, checkpoint=checkpoint)


def test_a_mixture_resumes_exactly(whole, tmp_path):
    path, uninterrupted = whole
    assert_equal_runs(uninterrupted, run(tmp_path, str(path), data_settings={"env": mixture}))


def test_each_task_is_logged_apart(whole):
    last = whole[1]["logged"][64]
    for stage in ("rollout", "val"):
        for quantity in ("return", "success", "length"):
            assert {f"{stage}/{quantity}", f"{stage}/corridor/{quantity}", f"{stage}/Buttons/{quantity}"} <= last.keys()
    assert last["rollout/Buttons/length"] == 1.0 and last["rollout/corridor/length"] > 1.0


def test_metrics_of_tasks_are_windows_of_their_own():
    metrics = EpisodeMetrics(window=2)
    metrics.add_tasks({"soup.v1", "values"})
    for number in range(4):
        task = "soup.v1" if number % 2 else "values"
        metrics.update([Episode(0, 0.0, float(number), length=number, success=bool(number % 2), task=task)])
    values = {name: value.item() for name, value in metrics.compute().items()}
    assert values["return"] == 2.5 and values["soup.v1/return"] == 2.0 and values["values/return"] == 1.0
    assert values["soup.v1/success"] == 1.0 and values["values/success"] == 0.0 and values["values/length"] == 1.0
    restored = EpisodeMetrics(window=2)
    restored.load_state_dict(metrics.state_dict())
    assert {name: value.item() for name, value in restored.compute().items()} == values


def test_a_task_that_has_not_ended_yet_is_not_logged():
    metrics = EpisodeMetrics(window=2)
    metrics.add_tasks(["later"])
    metrics.update([Episode(0, 1.0, 1.0, 1, 1)])
    assert not any(name.startswith("later/") for name in metrics.compute())


def test_a_list_in_the_config_is_a_mixture(tmp_path, capsys):
    model = save_tiny(tmp_path / "model")
    env = (
        "[{env: {class_path: tests.toys.Corridor, init_args: {limit: 2}}, name: short, weight: 2}, "
        "{env: twosome/TomatoSalad-v0}]"
    )
    config = quick_config(tmp_path, model, env)
    assert run_cli("fit", "--config", config) == 0
    columns = rows(tmp_path / "run")[0].keys()
    assert {"rollout/short/return", "val/short/return", "val/TomatoSalad-v0/length"} <= columns
    assert run_cli("validate", "--config", tmp_path / "run" / "config.yaml", "--ckpt_path", "last") == 0
    capsys.readouterr()
    config.write_text(config.read_text().replace("weight: 2", "wight: 2"))
    assert run_cli("fit", "--config", config) == 2
    assert "data.env.wight is not known; did you mean 'weight'?" in capsys.readouterr().err


def test_the_seed_of_the_draw_is_not_that_of_the_episode():
    """Else the first number an environment draws would tell its task."""
    seeds = range(200)
    env = mixture()
    names = np.array([env.reset(seed=seed)[1]["task"] == "corridor" for seed in seeds])
    first = np.array([gym.utils.seeding.np_random(seed)[0].random() < 0.5 for seed in seeds])
    assert 0.3 < (names == first).mean() < 0.7
