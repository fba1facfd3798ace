"""Trajectories of players who take turns, against sums written out for each player alone."""

from typing import Any

import pytest
import torch

from lightning_twosome.modules import OnPolicyModule
from lightning_twosome.players import Transitions, player_advantages, player_transitions
from lightning_twosome.ppo import smdp_advantages
from lightning_twosome.rollout import RolloutCollector
from lightning_twosome.vector_env import TextVectorEnv
from tests.toys import TextEnv, TextPolicy

GAMMA = 0.9


def experience(steps=14, envs=6, players=3, seed=0):
    """Random decisions of several players, durations of 0 among them, with both kinds of end."""
    generator = torch.Generator().manual_seed(seed)
    rewards = torch.randn(steps, envs, generator=generator, dtype=torch.float64)
    values = torch.randn(steps, envs, generator=generator, dtype=torch.float64)
    last_values = torch.randn(steps, envs, generator=generator, dtype=torch.float64)
    durations = torch.randint(0, 4, (steps, envs), generator=generator)
    end = torch.rand(steps, envs, generator=generator)
    terminated, truncated = end < 0.12, end > 0.9
    next_values = torch.cat([values[1:], last_values[-1:]])
    next_values = torch.where(truncated, last_values, next_values).masked_fill(terminated, 0.0)
    deciding = torch.randint(0, players, (steps, envs), generator=generator)
    return Transitions(rewards, next_values, durations, terminated, truncated), values, deciding


def naive_transition(single, values, players, step, env):
    """What follows one decision until the same player's next one, added up step by step."""
    reward, duration = 0.0, 0
    for t in range(step, len(players)):
        reward += GAMMA**duration * single.rewards[t, env].item()
        duration += single.durations[t, env].item()
        if single.terminated[t, env] or single.truncated[t, env] or t == len(players) - 1:
            ends = (single.terminated[t, env].item(), single.truncated[t, env].item())
            return reward, single.next_values[t, env].item(), duration, *ends, None
        if players[t + 1, env] == players[step, env]:
            return reward, values[t + 1, env].item(), duration, False, False, t + 1
    raise AssertionError("the last step ends every transition")


def naive_return(single, values, players, step, env, gae_lambda):
    """The lambda-return of one decision, by its recursion along the player's own decisions."""
    reward, next_value, duration, _, _, following = naive_transition(single, values, players, step, env)
    after = next_value
    if following is not None:
        later = naive_return(single, values, players, following, env, gae_lambda)
        after = (1 - gae_lambda) * next_value + gae_lambda * later
    return reward + GAMMA**duration * after


@pytest.mark.parametrize("seed", range(5))
def test_transitions_reach_to_the_players_own_next_decision(seed):
    single, values, players = experience(seed=seed)
    merged = player_transitions(single, values, players, GAMMA)
    for step in range(len(players)):
        for env in range(players.shape[1]):
            expected = naive_transition(single, values, players, step, env)[:5]
            assert [table[step, env].item() for table in merged] == pytest.approx(list(expected))


@pytest.mark.parametrize("gae_lambda", [0.0, 0.8, 1.0])
@pytest.mark.parametrize("players", [2, 3])
def test_returns_are_those_of_each_player_alone(gae_lambda, players):
    single, values, deciding = experience(players=players, seed=players)
    advantages, returns = player_advantages(single, values, deciding, GAMMA, gae_lambda)
    for step in range(len(deciding)):
        for env in range(deciding.shape[1]):
            expected = naive_return(single, values, deciding, step, env, gae_lambda)
            assert returns[step, env].item() == pytest.approx(expected)
    torch.testing.assert_close(advantages, returns - values)


def test_with_a_full_trace_every_players_return_is_the_teams():
    """The reward is shared: from a decision on, all that follows counts, whoever brought it about."""
    single, values, players = experience()
    _, team = smdp_advantages(
        single.rewards, values, single.next_values, single.durations, single.terminated, single.truncated, GAMMA, 1.0
    )
    _, returns = player_advantages(single, values, players, GAMMA, 1.0)
    torch.testing.assert_close(returns, team)


def test_one_player_changes_no_bit():
    single, values, players = experience()
    single = Transitions(*(t.float() if t.is_floating_point() else t for t in single))
    expected = smdp_advantages(
        single.rewards, values.float(), single.next_values, single.durations, single.terminated, single.truncated,
        GAMMA, 0.95,
    )  # fmt: skip
    for player in (0, 2):  # the second by the way of several players
        result = player_advantages(single, values.float(), torch.full_like(players, player), GAMMA, 0.95)
        assert all(torch.equal(a, b) for a, b in zip(result, expected, strict=True))


def test_by_hand():
    """The drawing of the module, and that the rollout's arrays stay as they were."""
    single = Transitions(
        rewards=torch.tensor([[1.0], [2.0], [3.0], [4.0], [5.0]]),
        next_values=torch.tensor([[20.0], [30.0], [40.0], [50.0], [60.0]]),
        durations=torch.tensor([[0], [3], [0], [2], [1]]),
        terminated=torch.zeros(5, 1, dtype=torch.bool),
        truncated=torch.zeros(5, 1, dtype=torch.bool),
    )
    before = [table.clone() for table in single]
    values, players = torch.tensor([[10.0], [20.0], [30.0], [40.0], [50.0]]), torch.tensor([[0], [1], [0], [1], [1]])
    merged = player_transitions(single, values, players, 0.5)
    assert merged.rewards.flatten().tolist() == [1 + 2, 2 + 3 / 8, 3 + 4 + 5 / 4, 4, 5]
    assert merged.durations.flatten().tolist() == [3, 3, 3, 2, 1]
    assert merged.next_values.flatten().tolist() == [30, 40, 60, 50, 60]
    assert all(torch.equal(table, old) for table, old in zip(single, before, strict=True))


class TwoCooks(TextEnv):
    """Both cooks decide at once, the first without time passing; the second's action may serve and pay 1."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.turn = 0
        return self._show()

    def step(self, action: int):
        player = self.turn % 2
        self.turn += 1
        reward = float(player == 1 and action == 1)
        prompt, info = self._show()
        return prompt, reward, False, self.turn == 10, info | {"duration": player, "step_rewards": (reward,) * player}

    def _show(self):
        return f"Cook {self.turn % 2} decides. You", {"actions": ("wait", "serve"), "player": self.turn % 2}


def test_a_rollout_of_two_cooks_learns_from_each_ones_own_trajectory():
    collector = RolloutCollector(TextVectorEnv([TwoCooks] * 3), num_steps=7, seed=0)
    module = OnPolicyModule(GAMMA, 0.0, 10)
    for iteration in range(2):  # the second begins with the other cook
        rollout = collector.collect(TextPolicy(), GAMMA, iteration)
        samples = module.samples(rollout)
        players = torch.tensor([state.player for state in samples.states]).view(7, 3)
        assert torch.equal(players, rollout.players) and set(players.flatten().tolist()) == {0, 1}
        for step in range(5):  # without a trace: the reward until the same cook decides again, one step later
            for env in range(3):
                if rollout.truncated[step : step + 2, env].any():
                    continue
                reward = rollout.rewards[step : step + 2, env].sum()
                expected = reward + GAMMA * rollout.values[step + 2, env]
                assert samples.returns.view(7, 3)[step, env].item() == pytest.approx(expected.item())
