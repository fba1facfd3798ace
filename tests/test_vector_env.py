"""The vector of text environments: checks with clear messages, replays, and the true last state of an episode."""

from functools import partial

import gymnasium as gym
import numpy as np
import pytest

from lightning_twosome.decisions import Decision
from lightning_twosome.errors import UserError
from lightning_twosome.vector_env import TextVectorEnv
from tests.toys import Buttons, Corridor, TextEnv


class Faulty(TextEnv):
    """Shows what it is given."""

    def __init__(self, prompt="A prompt.", reset_info=None, step_info=None, reward=1.0):
        self.prompt, self.reward = prompt, reward
        self.reset_info = {"actions": ("go",)} if reset_info is None else reset_info
        self.step_info = {"actions": ("go",)} if step_info is None else step_info

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.prompt, self.reset_info

    def step(self, action):
        return self.prompt, self.reward, False, False, self.step_info


def refuse_reset(**changes):
    with pytest.raises(UserError) as error:
        TextVectorEnv([partial(Faulty, **changes)]).reset({0: 0})
    return str(error.value)


def refuse_step(**changes):
    env = TextVectorEnv([partial(Faulty, **changes)])
    env.reset({0: 0})
    with pytest.raises(UserError) as error:
        env.step([0])
    return str(error.value)


def test_mistakes_of_an_environment_are_named():
    assert "observation of type int" in refuse_reset(prompt=3) and "Faulty" in refuse_reset(prompt=3)
    assert "info['actions'] = None" in refuse_reset(reset_info={})
    assert "info['actions'] = ()" in refuse_reset(reset_info={"actions": ()})
    assert "info['actions'] = 'go'" in refuse_reset(reset_info={"actions": "go"})
    assert "info['actions'] = None" in refuse_step(step_info={})
    assert "info['duration'] = -1" in refuse_step(step_info={"actions": ("go",), "duration": -1})
    assert "info['duration'] = 1.5" in refuse_step(step_info={"actions": ("go",), "duration": 1.5})


def test_mistakes_in_optional_reports_are_named():
    for wrong in (-1, 0.5, "cook", True):
        assert f"info['player'] = {wrong!r}" in refuse_reset(reset_info={"actions": ("go",), "player": wrong})
    for wrong in (3, "", " "):
        assert f"info['task'] = {wrong!r}" in refuse_reset(reset_info={"actions": ("go",), "task": wrong})
    for wrong in ("Text.", ("Text.",), ("Text.", "go"), ("Text.", ("go", "stay")), (1, ("go",))):
        message = refuse_step(step_info={"actions": ("go",), "restatement": wrong})
        assert f"info['restatement'] = {wrong!r}" in message and "the same 1 actions" in message


def test_step_rewards_must_agree_with_reward_and_duration():
    info = {"actions": ("go",), "step_rewards": (0.25, 0.25)}
    assert "the reward 1.0 with info['step_rewards'] that sum to 0.5" in refuse_step(step_info=info | {"duration": 2})
    assert "2 info['step_rewards'] for info['duration'] = 1" in refuse_step(step_info=info, reward=0.5)


def test_an_unknown_vectorization_is_named():
    with pytest.raises(UserError, match="vectorization='threads' is unknown"):
        TextVectorEnv([Buttons], "threads")  # type: ignore[arg-type]


def test_optional_reports_have_defaults():
    env = TextVectorEnv([partial(Faulty, reward=0.5)])
    state = env.reset({0: 0})[0]
    assert state.decision.actions == ("go",) and state.vector is None and state.action_ids is None
    assert state.player == 0 and state.task is None and state.restatement is None
    (transition,) = env.step([0])
    assert transition.step_rewards == (0.5,) and transition.duration == 1 and transition.success is None


@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_player_task_and_restatement_are_reported(vectorization):
    info = {"actions": ("go",), "player": np.int64(1), "task": "soup", "restatement": ["Other words.", ["walk"]]}
    env = TextVectorEnv([partial(Faulty, reset_info=info, step_info=info)], vectorization)
    for state in (env.reset({0: 0})[0], env.step([0])[0].state):
        assert (state.player, state.task) == (1, "soup") and type(state.player) is int
        assert state.restatement == Decision("Other words.", ("walk",))
    env.close()


def test_a_list_of_actions_and_numpy_numbers_are_understood():
    info = {"actions": ["go", "stay"], "duration": np.int64(2), "step_rewards": np.array([0.5, 0.5])}
    env = TextVectorEnv([partial(Faulty, reset_info=info, step_info=info)])
    assert env.reset({0: 0})[0].decision.actions == ("go", "stay")
    (transition,) = env.step([1])
    assert transition.duration == 2 and transition.step_rewards == (0.5, 0.5)


def test_the_last_state_of_an_episode_is_its_own():
    """No reset of its own accord: what a truncated episode is bootstrapped from stays."""
    env = TextVectorEnv([partial(Corridor, limit=1, slip=0.0)])
    place = int(env.reset({0: 3})[0].decision.prompt.split()[4])
    (transition,) = env.step([env.reset({0: 3})[0].decision.actions.index("walk right")])
    assert transition.truncated and not transition.terminated and transition.success is False
    assert transition.state.decision.prompt == f"You stand at door {place + 1} of 6. You"


def play(vectorization):
    """Every state and transition of some steps with resets between, as plain values."""
    env = TextVectorEnv([partial(Corridor, limit=4)] * 3, vectorization)
    log = []
    try:
        states = env.reset({i: 10 + i for i in range(3)})
        log += [states[i].decision for i in range(3)]
        for step in range(9):
            transitions = env.step([step % 2] * 3)
            log += [(t.state.decision, t.step_rewards, t.duration, t.terminated, t.truncated) for t in transitions]
            log += [(t.state.action_ids, t.success) for t in transitions]
            log += [float(t.state.vector[0]) for t in transitions if t.state.vector is not None]
            ended = {i: 100 * step + i for i, t in enumerate(transitions) if t.terminated or t.truncated}
            if ended:
                log += sorted((i, state.decision.prompt) for i, state in env.reset(ended).items())
    finally:
        env.close()
    return log


def test_async_equals_sync():
    assert play("async") == play("sync")


def test_only_the_named_environments_are_reset():
    env = TextVectorEnv([partial(Corridor, slip=0.0)] * 2)
    env.reset({0: 1, 1: 2})
    before = env.step([1, 1])[0].state.decision.prompt
    assert set(env.reset({1: 5})) == {1}
    after = env.step([0, 0])[0].state.decision.prompt
    assert int(before.split()[4]) - int(after.split()[4]) in (-1, 1)


@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_a_replayed_episode_goes_on_as_the_first_one(vectorization):
    first = TextVectorEnv([partial(Corridor, length=30)] * 2)
    first.reset({0: 7, 1: 8})
    histories: dict[int, list[int]] = {0: [], 1: []}
    for action in (0, 1, 1):
        last = first.step([action, action])
        for history in histories.values():
            history.append(action)
    second = TextVectorEnv([partial(Corridor, length=30)] * 2, vectorization)
    states = second.reset({0: 7, 1: 8}, histories)
    assert [states[i].decision for i in range(2)] == [t.state.decision for t in last]
    following = [t.state.decision for t in first.step([1, 1])]
    assert [t.state.decision for t in second.step([1, 1])] == following
    second.close()


@pytest.mark.filterwarnings("ignore:.*(ERROR|Traceback)")  # gymnasium repeats the worker's error as warnings
def test_an_error_in_a_process_of_its_own_keeps_its_sentence():
    env = TextVectorEnv([partial(Faulty, reset_info={})], "async")
    with pytest.raises(UserError, match="info\\['actions'\\] = None"):
        env.reset({0: 0})
    env.close()


def test_the_registered_name_is_the_one_in_messages():
    gym.register("twosome-test/Faulty-v0", entry_point="tests.test_vector_env:Faulty", disable_env_checker=True)
    try:
        env = TextVectorEnv([partial(gym.make, "twosome-test/Faulty-v0", reset_info={})])
        with pytest.raises(UserError, match="twosome-test/Faulty-v0"):
            env.reset({0: 0})
    finally:
        del gym.registry["twosome-test/Faulty-v0"]
