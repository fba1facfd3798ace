"""Playing whole episodes with a fixed policy, and what they say with its uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from lightning_twosome.errors import UserError
from lightning_twosome.rollout import EVALUATION_STREAM, Episode, Policy, random_generator, sample_actions
from lightning_twosome.statistics import bootstrap_interval
from lightning_twosome.vector_env import State, TextVectorEnv, Transition


@dataclass(slots=True)
class TranscriptStep:
    """One decision of a played episode.

    Attributes:
        state: What the environment showed.
        probabilities: Probability of each offered action.
        action: Index of the chosen one.
        value: The critic's estimate of the state.
        transition: What followed.
    """

    state: State
    probabilities: list[float]
    action: int
    value: float
    transition: Transition


@dataclass(slots=True)
class PlayedEpisode:
    """An episode with its transcript (empty unless asked for)."""

    episode: Episode
    transcript: list[TranscriptStep] = field(default_factory=list)

    def to(self, device: torch.device) -> PlayedEpisode:
        """Nothing to move; without it Lightning would take predictions apart, which frozen dataclasses refuse."""
        return self


def play_episodes(
    policy: Policy,
    env: TextVectorEnv,
    episode_seeds: Sequence[int],
    gamma: float,
    greedy: bool = False,
    transcripts: bool = False,
) -> list[PlayedEpisode]:
    """Play one episode a seed, each to its end, so that short episodes are not over-counted.

    The episodes are dealt out evenly over the environments; an environment without one left idles.

    Args:
        policy: Chooses the actions.
        env: The vector of environments.
        episode_seeds: Seed of each episode, for the environment and for the sampling of actions.
        gamma: Discount per primitive step, for the discounted return.
        greedy: Take the most probable action instead of sampling.
        transcripts: Keep every decision.

    Returns:
        The episodes in the order of their seeds.
    """
    if not episode_seeds:
        return []
    shares = [list(range(i, len(episode_seeds), env.num_envs)) for i in range(env.num_envs)]
    current: list[int | None] = [share.pop(0) if share else None for share in shares]
    played = [PlayedEpisode(Episode(seed)) for seed in episode_seeds]
    generators = [random_generator(seed, EVALUATION_STREAM) for seed in episode_seeds]
    starts = env.reset({i: episode_seeds[number or 0] for i, number in enumerate(current)})
    states = [starts[i] for i in range(env.num_envs)]
    while any(number is not None for number in current):
        playing = [(i, number) for i, number in enumerate(current) if number is not None]
        shown = [states[i] for i, _ in playing]
        log_probs = policy.action_log_probs(shown).float().cpu()
        chosen = _choose(log_probs, [generators[number] for _, number in playing], greedy)
        values = policy.state_values(shown).float().cpu().tolist() if transcripts else [0.0] * len(playing)
        actions = [0] * env.num_envs
        for (i, _), action in zip(playing, chosen, strict=True):
            actions[i] = action
        transitions = env.step(actions)
        for row, (i, number) in enumerate(playing):
            played[number].episode.record(transitions[i], gamma)
            if transcripts:
                probabilities = log_probs[row, : len(shown[row].decision.actions)].exp().tolist()
                step = TranscriptStep(shown[row], probabilities, chosen[row], values[row], transitions[i])
                played[number].transcript.append(step)
            if transitions[i].terminated or transitions[i].truncated:
                current[i] = shares[i].pop(0) if shares[i] else None
        ended = {i: episode_seeds[current[i] or 0] for i, t in enumerate(transitions) if t.terminated or t.truncated}
        states = [transition.state for transition in transitions]
        if ended:
            for i, state in env.reset(ended).items():
                states[i] = state
    return played


def _choose(log_probs: Tensor, generators: list[np.random.Generator], greedy: bool) -> list[int]:
    if greedy:
        return log_probs.argmax(-1).tolist()
    return sample_actions(log_probs, np.array([generator.random() for generator in generators]))


def play_expert(environment: gym.Env, episode_seeds: Sequence[int], gamma: float) -> list[Episode]:
    """Play one episode a seed with the environment's own scripted agent, ``environment.unwrapped.expert_action()``.

    Args:
        environment: A text environment that has one.
        episode_seeds: Seed of each episode.
        gamma: Discount per primitive step.

    Raises:
        UserError: The environment has no scripted agent.
        EnvironmentFailure: It raised.
    """
    if not hasattr(environment.unwrapped, "expert_action"):
        raise UserError(
            f"{type(environment.unwrapped).__name__} has no expert_action(), the choice of a scripted agent."
        )
    env = TextVectorEnv([lambda: environment])
    episodes = []
    for seed in episode_seeds:
        episode, ended = Episode(seed), False
        env.reset({0: seed})
        while not ended:
            (transition,) = env.step(env.expert_actions(gamma))
            episode.record(transition, gamma)
            ended = transition.terminated or transition.truncated
        episodes.append(episode)
    return episodes


def summarize(episodes: Sequence[Episode]) -> dict[str, float]:
    """Means over episodes with 95 % bootstrap intervals of what is compared between policies.

    Returns:
        ``return`` (discounted), ``undiscounted_return``, ``length``, ``duration``, and ``success`` where it is
        reported; ``return`` and
        ``success`` with ``_low`` and ``_high``, the ends of their interval.
    """
    discounted = [episode.discounted_return for episode in episodes]
    summary = {
        "return": float(np.mean(discounted)),
        "undiscounted_return": float(np.mean([episode.undiscounted_return for episode in episodes])),
        "length": float(np.mean([episode.length for episode in episodes])),
        "duration": float(np.mean([episode.duration for episode in episodes])),
    }
    compared: dict[str, list[float]] = {"return": discounted}
    reported = [float(episode.success) for episode in episodes if episode.success is not None]
    if reported:
        summary["success"] = float(np.mean(reported))
        compared["success"] = reported
    for name, values in compared.items():
        summary[f"{name}_low"], summary[f"{name}_high"] = bootstrap_interval(values)
    return summary


def uniform_policy() -> Policy:
    """The policy that takes every offered action equally often: the floor of any comparison."""
    return _UniformPolicy()


class _UniformPolicy:
    def action_log_probs(self, states: Sequence[State]) -> Tensor:
        counts = [len(state.decision.actions) for state in states]
        table = torch.full((len(states), max(counts)), -torch.inf, dtype=torch.float32)
        for row, count in enumerate(counts):
            table[row, :count] = -float(np.log(count))
        return table

    def state_values(self, states: Sequence[State]) -> Tensor:
        return torch.zeros(len(states))


def describe(summary: dict[str, Any]) -> tuple[str, str]:
    """Return and success with their intervals, for people; success is empty where it is not reported."""
    discounted = f"{summary['return']:.3f} [{summary['return_low']:.3f}, {summary['return_high']:.3f}]"
    if "success" not in summary:
        return discounted, ""
    return discounted, f"{summary['success']:.0%} [{summary['success_low']:.0%}, {summary['success_high']:.0%}]"
