"""TextWrapper around environments of Gymnasium, and the examples of the documentation, trained by the command line."""

import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

from lightning_twosome import TextWrapper, check_text_env
from lightning_twosome.errors import UserError
from lightning_twosome.language_model import load_tokenizer
from tests.cli_runs import ROOT, rows, run

EXAMPLES = ROOT / "docs" / "examples"
TOKENIZER = load_tokenizer()[0]
PLACES = ("the red corner", "the green corner", "the yellow corner", "the blue corner", "the taxi")


class Counter(gymnasium.Env):
    """Counts to ten with actions 5 to 7, of which the first is valid on even numbers only."""

    observation_space = spaces.Box(0, 10, (2, 1), dtype=np.int64)
    action_space = spaces.Discrete(3, start=5)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count, self.taken = 0, []
        return self.observation(), {"colour": "red"}

    def observation(self):
        return np.array([[self.count], [7]])

    def step(self, action):
        self.taken.append(action)
        self.count += action - 4
        return self.observation(), action / 2, self.count >= 10, False, {"colour": "blue", "success": True}


def counter(**settings):
    words = {
        "prompt": lambda seen, info: f"The {info['colour']} number is {seen[0, 0]}. You should",
        "actions": ("add one", "add two", "add three"),
        "mask": lambda seen, info: [seen[0, 0] % 2 == 0, True, True],
    }
    return TextWrapper(Counter(), **(words | settings))


def taxi():
    def prompt(state, info):
        row, column, passenger, goal = env.unwrapped.decode(state)
        return f"Your taxi is in street {row}, block {column}. From {PLACES[passenger]} to {PLACES[goal]}, you should"

    env = gymnasium.make("Taxi-v4" if "Taxi-v4" in gymnasium.registry else "Taxi-v3")
    actions = ("go south", "go north", "go east", "go west", "let the guest get in", "let the guest get out")
    return TextWrapper(env, prompt, actions)


def test_prompt_actions_and_mask_come_from_the_state():
    env = counter()
    prompt, info = env.reset(seed=0)
    assert prompt == "The red number is 0. You should" and info["actions"] == ("add one", "add two", "add three")
    prompt, reward, terminated, truncated, info = env.step(0)
    assert prompt == "The blue number is 1. You should" and info["actions"] == ("add two", "add three")
    assert (reward, terminated, truncated, info["success"], info["colour"]) == (2.5, False, False, True, "blue")
    assert info["action_ids"] == (1, 2) and info["vector"].tolist() == [1.0, 7.0]
    env.step(0)  # the first that is offered: add two
    assert env.unwrapped.taken == [5, 6] and env.unwrapped.count == 3


def test_action_names_may_depend_on_the_state():
    env = counter(actions=lambda seen, info: [f"get from {seen[0, 0]} to {seen[0, 0] + more}" for more in (1, 2, 3)])
    env.reset(seed=0)
    assert env.step(2)[4]["actions"] == ("get from 3 to 5", "get from 3 to 6")


def test_the_mask_of_the_environment_is_taken():
    env = taxi()
    _, info = env.reset(seed=0)
    assert 0 < len(info["actions"]) < 6
    assert [bool(info["action_mask"][i]) for i in range(6)] == [i in info["action_ids"] for i in range(6)]
    assert check_text_env(env, TOKENIZER, episodes=3).most_actions < 6


@pytest.mark.parametrize("make", [counter, taxi])
def test_the_checkers_accept_it(make):
    env = make()
    check_env(env, skip_render_check=True)
    assert check_text_env(env, TOKENIZER, episodes=3).findings == []


def test_mistakes_are_told():
    with pytest.raises(UserError, match="needs an environment with a Discrete action space, not Box"):
        TextWrapper(gymnasium.make("Pendulum-v1"), prompt=str, actions=())
    with pytest.raises(UserError, match="got 2 action names for 3 actions"):
        counter(actions=("go", "stay")).reset(seed=0)
    with pytest.raises(UserError, match="a mask of 1 for 3 actions"):
        counter(mask=lambda seen, info: [True]).reset(seed=0)
    with pytest.raises(UserError, match="leaves no action valid"):
        counter(mask=lambda seen, info: [False] * 3).reset(seed=0)
    env = counter()
    env.reset(seed=0)
    with pytest.raises(UserError, match="action 3 is not offered here: give an index from 0 to 2"):
        env.step(3)


# The examples of docs/environments/your_own.md


@pytest.fixture
def in_examples(monkeypatch):
    """The folder of the examples as the working directory, as in the documentation's commands."""
    monkeypatch.chdir(EXAMPLES)
    monkeypatch.setattr(sys, "path", [*sys.path])  # main adds the working directory


@pytest.mark.parametrize("name", ["tea_time", "frozen_lake"])
def test_example_is_checked_and_trained_by_the_command_line(name, in_examples, tmp_path, capsys):
    assert run("check", "--config", f"{name}.yaml") == 0
    assert "No findings." in capsys.readouterr().out
    sizes = ["--data.num_envs", 2, "--data.num_steps", 4, "--data.eval_episodes", 2, "--data.eval_num_envs", 2]
    budget = "[{class_path: lightning_twosome.callbacks.EnvironmentBudget, init_args: {total_env_steps: 16}}]"
    arguments = ["--config", f"{name}.yaml", *sizes, "--trainer.callbacks", budget, "--run_dir", tmp_path / "run"]
    assert run("fit", *arguments) == 0
    assert [int(row["step"]) for row in rows(tmp_path / "run", "loss/total")] == [8, 16]


def test_an_environment_of_ones_own_takes_at_most_thirty_lines():
    assert len((EXAMPLES / "tea_time.py").read_text().splitlines()) <= 30


def test_tea_is_made_in_the_right_order(in_examples, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from tea_time import TeaTime

    env, drinks = TeaTime(), set()
    for seed in range(6):
        _, info = env.reset(seed=seed)
        drinks.add(env.drink)
        assert info["actions"] == ("fill the kettle", "put tea into the cup", "put coffee into the cup")
        for words in ("fill the kettle", f"put {env.drink} into the cup", "boil the water", "pour it in"):
            _, reward, terminated, truncated, info = env.step(info["actions"].index(words))
        assert (reward, terminated, truncated, info["success"]) == (1.0, True, False, True)
    assert drinks == {"tea", "coffee"}


def test_the_page_shows_the_files():
    page = (ROOT / "docs/environments/your_own.md").read_text()
    for name in ("tea_time.py", "frozen_lake.py"):
        assert Path(EXAMPLES / name).read_text().strip() in page
