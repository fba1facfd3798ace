"""Rollouts: who decides what, bootstraps at every kind of end, independence of processes, replay."""

from functools import partial

import numpy as np
import pytest
import torch

from lightning_twosome.errors import UserError
from lightning_twosome.ppo import discounted_step_rewards
from lightning_twosome.rollout import RolloutCollector, episode_seed, random_generator, sample_actions
from lightning_twosome.vector_env import TextVectorEnv
from tests.toys import Corridor, TextPolicy

GAMMA = 0.9


def collector(envs=4, steps=8, seed=5, first_index=0, **settings):
    env = TextVectorEnv([partial(Corridor, **settings)] * envs)
    return RolloutCollector(env, steps, seed, first_index)


def contents(rollout):
    """Everything a rollout says, one value per step and environment."""
    return {
        "prompts": [[state.decision for state in row] for row in rollout.states],
        "tensors": [rollout.actions, rollout.values, rollout.next_values, rollout.rewards, rollout.durations,
                    rollout.terminated, rollout.truncated, rollout.log_probs.exp()],
        "episodes": sorted((e.seed, e.discounted_return, e.length, e.duration, e.success) for e in rollout.episodes),
    }  # fmt: skip


def assert_same(first, second):
    first, second = contents(first), contents(second)
    assert first["prompts"] == second["prompts"] and first["episodes"] == second["episodes"]
    for a, b in zip(first["tensors"], second["tensors"], strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_the_same_seed_gives_the_same_rollouts():
    first, second, other = collector(), collector(), collector(seed=6)
    for iteration in range(3):
        one = first.collect(TextPolicy(), GAMMA, iteration)
        assert_same(one, second.collect(TextPolicy(), GAMMA, iteration))
        assert contents(one)["prompts"] != contents(other.collect(TextPolicy(), GAMMA, iteration))["prompts"]


def test_it_does_not_matter_how_environments_are_spread_over_processes():
    whole = collector(envs=4)
    parts = [collector(envs=2, first_index=0), collector(envs=2, first_index=2)]
    for iteration in range(3):
        one = contents(whole.collect(TextPolicy(), GAMMA, iteration))
        two = [contents(part.collect(TextPolicy(), GAMMA, iteration)) for part in parts]
        assert one["prompts"] == [a + b for a, b in zip(two[0]["prompts"], two[1]["prompts"], strict=True)]
        assert one["episodes"] == sorted(two[0]["episodes"] + two[1]["episodes"])
        for tensor, a, b in zip(one["tensors"][:-1], two[0]["tensors"][:-1], two[1]["tensors"][:-1], strict=True):
            torch.testing.assert_close(tensor, torch.cat([a, b], dim=1), rtol=0, atol=0)


def test_environments_differ_from_one_another_and_iterations_too():
    rollout = collector(envs=3, limit=3).collect(TextPolicy(), GAMMA, 0)
    assert len({episode.seed for episode in rollout.episodes}) == len(rollout.episodes)
    draws = {tuple(random_generator(0, 1, index, iteration).random(2)) for index in range(3) for iteration in range(3)}
    assert len(draws) == 9
    assert episode_seed(0, 0, 1, 2) == episode_seed(0, 0, 1, 2) != episode_seed(0, 0, 2, 1)


def test_next_values_are_those_of_the_true_followers():
    """After a termination 0; after a truncation the last state's, not the reset's; at the edge the state's to come."""
    gatherer = collector(envs=6, steps=12, limit=3)
    policy = TextPolicy()
    rollout = gatherer.collect(policy, GAMMA, 0)
    assert rollout.terminated.any() and rollout.truncated.any()
    assert (rollout.next_values[rollout.terminated] == 0).all()
    goes_on = ~(rollout.terminated | rollout.truncated)
    torch.testing.assert_close(rollout.next_values[:-1][goes_on[:-1]], rollout.values[1:][goes_on[:-1]])
    for n in range(6):
        if goes_on[-1, n]:
            assert rollout.next_values[-1, n] == policy.state_values([gatherer.states[n]])[0]


def test_a_truncated_episode_is_bootstrapped_from_its_last_state():
    gatherer = collector(envs=1, steps=6, length=1000, limit=2, slip=0.0)
    rollout = gatherer.collect(TextPolicy(), GAMMA, 0)
    assert rollout.truncated[:, 0].tolist() == [False, True] * 3
    for step in (1, 3, 5):
        state = rollout.states[step][0]
        action = state.decision.actions[rollout.actions[step, 0]]
        move = {"walk left": -1, "walk right": 1, "stride right": 2, "wait": 0}[action]
        last_place = int(state.decision.prompt.split()[4]) + move
        assert rollout.next_values[step, 0].item() == pytest.approx(0.1 * last_place)


def test_rewards_and_durations_are_those_of_the_environment():
    rollout = collector(envs=2, steps=10, slip=0.0).collect(TextPolicy(), GAMMA, 0)
    stride = discounted_step_rewards((-0.1, -0.1), GAMMA)
    for step in range(10):
        for n in range(2):
            action = rollout.states[step][n].decision.actions[rollout.actions[step, n]]
            if action == "stride right" and not rollout.terminated[step, n]:
                assert rollout.durations[step, n] == 2
                assert rollout.rewards[step, n].item() == pytest.approx(stride)
            elif action == "walk left":
                assert rollout.durations[step, n] == 1 and rollout.rewards[step, n].item() == pytest.approx(-0.1)


def test_episodes_add_up():
    """Returns of finished episodes, recomputed from the rollout's own rewards."""
    rollout = collector(envs=1, steps=40).collect(TextPolicy(), GAMMA, 0)
    ended = (rollout.terminated | rollout.truncated)[:, 0]
    starts = [0, *(ended.nonzero().squeeze(1) + 1).tolist()]
    assert len(rollout.episodes) == int(ended.sum()) > 3
    for episode, start, stop in zip(rollout.episodes, starts, starts[1:], strict=False):
        total, time = 0.0, 0
        for step in range(start, stop):
            total += GAMMA**time * rollout.rewards[step, 0].item()
            time += int(rollout.durations[step, 0])
        assert episode.discounted_return == pytest.approx(total, abs=1e-5)
        assert (episode.length, episode.duration) == (stop - start, time)
        assert episode.terminated == bool(rollout.terminated[stop - 1, 0]) == episode.success


def test_log_probs_are_padded_over_steps_and_environments():
    rollout = collector().collect(TextPolicy(), GAMMA, 0)
    counts = torch.tensor([[len(state.decision.actions) for state in row] for row in rollout.states])
    assert rollout.log_probs.shape == (8, 4, int(counts.max()))
    assert ((rollout.log_probs > -torch.inf).sum(-1) == counts).all()
    torch.testing.assert_close(rollout.log_probs.exp().sum(-1), torch.ones(8, 4))
    assert (rollout.actions < counts).all()


def test_state_goes_on_where_it_was():
    first = collector()
    for iteration in range(2):
        first.collect(TextPolicy(), GAMMA, iteration)
    second = collector()
    second.load_state_dict(first.state_dict())
    for iteration in range(2, 4):
        assert_same(first.collect(TextPolicy(), GAMMA, iteration), second.collect(TextPolicy(), GAMMA, iteration))


def test_a_fresh_state_is_a_fresh_start():
    second = collector()
    second.load_state_dict(collector().state_dict())
    assert_same(collector().collect(TextPolicy(), GAMMA, 0), second.collect(TextPolicy(), GAMMA, 0))


def test_an_environment_that_does_not_replay_is_named():
    first = collector(length=30, limit=50)
    first.collect(TextPolicy(), GAMMA, 0)
    with pytest.raises(UserError, match=r"does not come back .*data.env"):
        collector(length=31, limit=50).load_state_dict(first.state_dict())
    with pytest.raises(UserError, match=r"Environment 'Corridor' does not come back .*the next one is not possible"):
        collector(length=30, limit=2).load_state_dict(first.state_dict())
    state = first.state_dict()
    state["prompts"][1] = "You stand elsewhere."
    with pytest.raises(UserError, match=r"Environment 1 does not come back .* instead of 'You stand elsewhere.'"):
        collector(length=30, limit=50).load_state_dict(state)


def test_another_number_of_environments_is_named():
    first = collector(envs=4)
    first.collect(TextPolicy(), GAMMA, 0)
    with pytest.raises(UserError, match="4 environments.*num_envs"):
        collector(envs=2).load_state_dict(first.state_dict())


def test_sampled_actions_follow_the_distribution():
    probabilities = torch.tensor([0.1, 0.0, 0.6, 0.3])
    log_probs = torch.cat([probabilities.log(), torch.full((2,), -torch.inf)]).expand(20000, -1)
    uniforms = np.random.default_rng(0).random(20000)
    counts = np.bincount(sample_actions(log_probs, uniforms), minlength=6)
    assert counts[1] == counts[4] == counts[5] == 0
    np.testing.assert_allclose(counts[:4] / 20000, probabilities.numpy(), atol=0.01)


@pytest.mark.parametrize(
    ("row", "uniform", "chosen"),
    [
        ([0.5, 0.5], 0.0, 0),
        ([0.5, 0.5], 0.5, 1),
        ([0.5, 0.5], 1 - 2**-53, 1),
        ([0.0, 1.0], 0.0, 1),  # nothing of probability 0, at either end
        ([1.0, 0.0], 1 - 2**-53, 0),
        ([0.7, 0.3, 0.0, 0.0], 1 - 2**-53, 1),
        ([1 / 3] * 3, 1 - 2**-53, 2),
        ([1.0], 0.0, 0),
        ([1.0], 1 - 2**-53, 0),
    ],
)
def test_edges_of_the_inverse_distribution(row, uniform, chosen):
    log_probs = torch.tensor([row]).log()
    padded = torch.cat([log_probs, torch.full((1, 3), -torch.inf)], dim=1)
    assert sample_actions(log_probs, np.array([uniform])) == [chosen]
    assert sample_actions(padded, np.array([uniform])) == [chosen]


def test_nothing_impossible_is_chosen_whatever_the_rounding():
    generator = np.random.default_rng(1)
    logits = torch.from_numpy(generator.normal(size=(3000, 9)) * 30).float()
    logits[:, 6:] = -torch.inf
    log_probs = logits.log_softmax(-1)
    for uniform in (0.0, 0.5, 1 - 2**-53):
        actions = torch.tensor(sample_actions(log_probs, np.full(3000, uniform)))
        assert (log_probs.double().exp().gather(1, actions[:, None]) > 0).all()


def test_a_policy_of_nan_is_not_sampled_from():
    with pytest.raises(UserError, match="not a number"):
        sample_actions(torch.tensor([[torch.nan, 0.0]]), np.array([0.5]))
