"""Irrelevant actions of the kitchen: offered in every state, use up a step, change nothing."""

import gymnasium
import pytest

import lightning_twosome.envs  # noqa: F401, registers the environments
from lightning_twosome.errors import UserError

LETTUCE = "twosome/TomatoLettuceSalad-v0"


def test_they_stand_behind_the_tasks_own_actions():
    plain, more = gymnasium.make(LETTUCE), gymnasium.make(LETTUCE, irrelevant_actions=16)
    (prompt, info), (other_prompt, other) = plain.reset(), more.reset()
    assert other_prompt == prompt
    assert other["actions"][:8] == info["actions"]
    assert len(set(other["actions"])) == 24
    assert other["action_ids"] == tuple(range(24)) and more.action_space.n == 24


def test_one_takes_a_step_and_changes_nothing():
    env = gymnasium.make(LETTUCE, irrelevant_actions=2, restate="notes")
    prompt, info = env.reset()
    after, reward, terminated, truncated, later = env.step(9)
    assert (after, reward, terminated, truncated) == (prompt, -0.001, False, False)
    assert later["duration"] == 1 and later["actions"] == info["actions"]
    assert later["restatement"][1][8:] == later["actions"][8:]


def test_the_optimum_and_the_expert_are_those_of_the_task():
    env = gymnasium.make(LETTUCE, irrelevant_actions=16).unwrapped
    env.reset()
    assert env.optimal_discounted_return(0.99) == pytest.approx(0.947656, abs=1e-6)
    total, ended = 0.0, False
    while not ended:
        _, reward, ended, _, _ = env.step(env.expert_action())
        total += reward
    assert total == pytest.approx(1.355)


@pytest.mark.parametrize("count", [17, -1, 2.0, "all"])
def test_more_than_there_are_is_refused(count):
    with pytest.raises(UserError, match="irrelevant_actions=.* from 0 to 16"):
        gymnasium.make(LETTUCE, irrelevant_actions=count)
