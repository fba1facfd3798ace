"""Episodes with pictures: every decision, and what the environment drew before and after it.

::

    environment --Drawing wrapper--> frames          play_episodes --> transcript
                          `------ RecordedEpisode (N decisions, N + 1 frames) ------'
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from lightning_twosome.evaluation import PlayedEpisode, play_episodes
from lightning_twosome.rollout import Policy
from lightning_twosome.vector_env import TextVectorEnv

Picture = NDArray[np.uint8]


@dataclass
class RecordedEpisode:
    """An episode that can be shown.

    Attributes:
        played: The episode with its transcript.
        frames: What the environment drew before each decision, or before the first ones of a long episode, and at the
            end, uint8 [height, width, 3]; empty where it cannot draw.
        greedy: Whether the most probable actions were taken.
        environment: Name of the environment.
    """

    played: PlayedEpisode
    frames: list[Picture] = field(default_factory=list)
    greedy: bool = False
    environment: str = ""


class Drawing(gym.Wrapper):
    """Keeps what the environment draws after each reset and step, an episode each.

    Args:
        env: The environment.
        most: Pictures of an episode that are drawn before its last one, which always is.
    """

    def __init__(self, env: gym.Env, most: int) -> None:
        super().__init__(env)
        self.most = most
        self.episodes: list[list[Picture]] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin another episode."""
        result = self.env.reset(seed=seed, options=options)
        self.episodes.append([])
        self._draw()
        return result

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take a step and keep its picture."""
        result = self.env.step(action)
        _, _, terminated, truncated, _ = result
        if len(self.episodes[-1]) < self.most or terminated or truncated:
            self._draw()
        return result

    def _draw(self) -> None:
        if self.env.render_mode != "rgb_array":
            return
        picture: Any = self.env.render()
        if isinstance(picture, np.ndarray):
            self.episodes[-1].append(np.ascontiguousarray(picture[..., :3], dtype=np.uint8))


def record_episodes(
    policy: Policy,
    make_env: Callable[[], gym.Env],
    seeds: Sequence[int],
    gamma: float,
    greedy: bool = False,
    most_pictures: int = 100,
) -> list[RecordedEpisode]:
    """Play an episode a seed and keep what is to be seen.

    Args:
        policy: Chooses the actions.
        make_env: Makes the environment, with or without pictures.
        seeds: Seed of each episode, as for :func:`~lightning_twosome.evaluation.play_episodes`.
        gamma: Discount per primitive step.
        greedy: Take the most probable action instead of sampling.
        most_pictures: Decisions of an episode for which the environment is asked to draw.
    """
    env = Drawing(with_pictures(make_env), most_pictures)
    vector = TextVectorEnv([lambda: env])
    try:
        played = play_episodes(policy, vector, seeds, gamma, greedy, transcripts=True)
    finally:
        vector.close()
    name = env.spec.id if env.spec is not None else type(env.unwrapped).__name__
    return [RecordedEpisode(one, env.episodes[i], greedy, name) for i, one in enumerate(played)]


def with_pictures(make_env: Callable[..., gym.Env]) -> gym.Env:
    """The environment, made again with ``render_mode="rgb_array"`` where it offers that and was made without.

    One made by gymnasium is made again from its spec; a class or factory is called again with ``render_mode``, and
    shown without pictures where it does not take it.
    """
    env = make_env()
    if env.render_mode is not None or "rgb_array" not in env.metadata.get("render_modes", ()):
        return env
    try:
        drawn = make_env(render_mode="rgb_array") if env.spec is None else gym.make(env.spec, render_mode="rgb_array")
    except TypeError:
        return env
    env.close()
    return drawn
