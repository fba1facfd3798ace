"""Evaluation: every seed is one whole episode, whatever the number of environments; intervals; the uniform floor."""

from functools import partial

import numpy as np
import pytest
import torch

from lightning_twosome.errors import UserError
from lightning_twosome.evaluation import describe, play_episodes, play_expert, summarize, uniform_policy
from lightning_twosome.rollout import Episode
from lightning_twosome.statistics import bootstrap_interval
from lightning_twosome.tasks import Task
from lightning_twosome.vector_env import TextVectorEnv
from tests.toys import Buttons, Corridor, TextPolicy

SEEDS = [11, 12, 13, 14, 15, 16, 17]


def play(envs, seeds=SEEDS, policy=None, env=Corridor, **settings):
    return play_episodes(policy or TextPolicy(), TextVectorEnv([env] * envs), seeds, 0.9, **settings)


@pytest.mark.parametrize("envs", [1, 3, 10])
def test_episodes_do_not_depend_on_the_number_of_environments(envs):
    assert [p.episode for p in play(envs)] == [p.episode for p in play(2)]
    assert [p.episode.seed for p in play(envs)] == SEEDS


def test_a_share_of_the_seeds_plays_the_same_episodes():
    """What processes rely on: rank r of 2 plays every second seed."""
    whole = [p.episode for p in play(4)]
    assert [p.episode for p in play(4, SEEDS[0::2])] == whole[0::2]
    assert [p.episode for p in play(4, SEEDS[1::2])] == whole[1::2]
    assert play(4, []) == []


def test_every_episode_is_played_to_its_end():
    for played in play(3):
        assert 0 < played.episode.length <= 5
        assert played.episode.terminated == played.episode.success
        assert played.transcript == []


def test_transcripts_tell_the_whole_episode():
    for played in play(3, transcripts=True):
        assert len(played.transcript) == played.episode.length
        for step, following in zip(played.transcript, played.transcript[1:], strict=False):
            assert step.transition.state.decision == following.state.decision
        for step in played.transcript:
            assert len(step.probabilities) == len(step.state.decision.actions)
            assert sum(step.probabilities) == pytest.approx(1.0) and 0 <= step.action < len(step.probabilities)
            assert step.value == pytest.approx(TextPolicy().state_values([step.state]).item())
        total = sum(sum(step.transition.step_rewards) for step in played.transcript)
        assert played.episode.undiscounted_return == pytest.approx(total)


def test_greedy_takes_the_most_probable_action():
    for played in play(2, greedy=True, transcripts=True):
        assert all(step.action == int(np.argmax(step.probabilities)) for step in played.transcript)


def test_the_uniform_policy_presses_every_button_equally_often():
    played = play(5, list(range(400)), uniform_policy(), env=partial(Buttons, offered=5))
    assert np.mean([p.episode.success for p in played]) == pytest.approx(1 / 5, abs=0.06)
    states = [TextVectorEnv([partial(Buttons, offered=n)]).reset({0: 0})[0] for n in (2, 4)]
    log_probs = uniform_policy().action_log_probs(states)
    torch.testing.assert_close(log_probs.exp(), torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.25] * 4]))


class Guided(Corridor):
    """Knows the way."""

    def expert_action(self) -> int:
        return self._info()["actions"].index("stride right")


def test_the_scripted_agent_plays_every_seed_to_its_end():
    episodes = play_expert(Guided(limit=50, slip=0.0), SEEDS, 0.9)
    assert [episode.seed for episode in episodes] == SEEDS and all(episode.success for episode in episodes)
    for episode in episodes:
        start = int(Corridor().reset(seed=episode.seed)[0].split()[4])
        assert episode.duration == 6 - start and episode.length == (7 - start) // 2
        assert episode.undiscounted_return == pytest.approx(1 - 0.1 * (6 - start))
    with pytest.raises(UserError, match="Corridor has no expert_action"):
        play_expert(Corridor(), SEEDS, 0.9)
    kitchen = Task("twosome/TomatoSalad-v0").make()
    assert [play_expert(kitchen, [0], gamma)[0].success for gamma in (0.99, 0.1)] == [True, False]


def test_the_interval_covers_the_mean_and_narrows():
    generator = np.random.default_rng(0)
    narrow, wide = generator.normal(2.0, 1.0, 400), generator.normal(2.0, 1.0, 25)
    (low, high), (wide_low, wide_high) = bootstrap_interval(narrow), bootstrap_interval(wide)
    assert low < narrow.mean() < high and high - low == pytest.approx(2 * 1.96 / 20, rel=0.1)
    assert wide_high - wide_low > 2 * (high - low)
    assert bootstrap_interval(narrow) == (low, high), "the same values, the same interval"
    assert bootstrap_interval([3.0, 3.0]) == (3.0, 3.0)
    covered = 0
    for _ in range(100):
        low, high = bootstrap_interval(generator.normal(0.0, 1.0, 50), resamples=300)
        covered += low < 0 < high
    assert covered >= 87  # of 95 expected


def test_summary_by_hand():
    episodes = [
        Episode(0, 1.0, 0.5, length=2, duration=3, success=True),
        Episode(1, 3.0, 1.5, length=4, duration=9, success=False),
    ]
    summary = summarize(episodes)
    means = {"return": 1.0, "undiscounted_return": 2.0, "length": 3.0, "duration": 6.0, "success": 0.5}
    assert {name: summary[name] for name in means} == means
    assert (summary["return_low"], summary["return_high"]) == (0.5, 1.5)
    assert describe(summary) == ("1.000 [0.500, 1.500]", "50% [0%, 100%]")


def test_success_is_left_out_where_it_is_not_reported():
    summary = summarize([Episode(0, 1.0, 0.5, 2, 3)])
    assert not any(name.startswith("success") for name in summary)
    assert describe(summary)[1] == ""
