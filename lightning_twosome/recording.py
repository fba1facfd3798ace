"""Episodes with pictures: every decision, and what the environment drew before and after it.

::

    environment --Drawing wrapper--> frames          play_episodes --> transcript
                          `------ RecordedEpisode (N decisions, N + 1 frames) ------'
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from lightning_twosome.evaluation import PlayedEpisode, play_episodes
from lightning_twosome.rollout import Policy
from lightning_twosome.tasks import MixtureEnv, Task
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
    """Keeps what the environment draws after each reset and step, and its name, an episode each.

    Args:
        env: The environment.
        most: Pictures of an episode that are drawn before its last one, which always is.
    """

    def __init__(self, env: gym.Env, most: int) -> None:
        super().__init__(env)
        self.most = most
        self.episodes: list[list[Picture]] = []
        self.names: list[str] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin another episode."""
        result = self.env.reset(seed=seed, options=options)
        self.episodes.append([])
        spec = self.env.spec
        named = spec.id if spec is not None else type(self.env.unwrapped).__name__
        self.names.append(result[1].get("task") or named)
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
        current: Any = self.env.current if isinstance(self.env, MixtureEnv) else self.env
        if current.render_mode != "rgb_array":
            return
        picture: Any = current.render()
        if isinstance(picture, np.ndarray):
            self.episodes[-1].append(np.ascontiguousarray(picture[..., :3], dtype=np.uint8))


def record_episodes(
    policy: Policy,
    tasks: Sequence[Task],
    seeds: Sequence[int],
    gamma: float,
    greedy: bool = False,
    most_pictures: int = 100,
) -> list[RecordedEpisode]:
    """Play an episode a seed and keep what is to be seen.

    Args:
        policy: Chooses the actions.
        tasks: What is played; of several, each seed draws one as in training.
        seeds: Seed of each episode, as for :func:`~lightning_twosome.evaluation.play_episodes`.
        gamma: Discount per primitive step.
        greedy: Take the most probable action instead of sampling.
        most_pictures: Decisions of an episode for which the environment is asked to draw.
    """
    drawn = [replace(task, env=partial(with_pictures, task), name=task.label) for task in tasks]
    env = Drawing(drawn[0].make() if len(drawn) == 1 else MixtureEnv(drawn), most_pictures)
    vector = TextVectorEnv([lambda: env])
    try:
        played = play_episodes(policy, vector, seeds, gamma, greedy, transcripts=True)
    finally:
        vector.close()
    return [
        RecordedEpisode(one, frames, greedy, name)
        for one, frames, name in zip(played, env.episodes, env.names, strict=False)
    ]


def with_pictures(task: Task) -> gym.Env:
    """The task's environment, made again with ``render_mode="rgb_array"`` where it offers that and was made without.

    One made by gymnasium is made again from its spec; a class or factory is called again with ``render_mode``, and
    shown without pictures where it does not take it.
    """
    env = task.make()
    if env.render_mode is not None or "rgb_array" not in env.metadata.get("render_modes", ()):
        return env
    made: Any = task.env
    try:
        drawn = made(render_mode="rgb_array") if callable(made) else gym.make(env.spec, render_mode="rgb_array")  # type: ignore[arg-type]
    except TypeError:
        return env
    env.close()
    return drawn
