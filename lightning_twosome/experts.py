"""The scripted agents that environments bring along, ``env.unwrapped.expert_action()``."""

from __future__ import annotations

from inspect import signature
from typing import Any

import gymnasium as gym


def expert_action(environment: gym.Env, gamma: float) -> int:
    """The index of what an environment's own scripted agent does in its state.

    Args:
        environment: One that has an expert.
        gamma: Discount per primitive step, handed to an expert whose choice depends on it: one that takes it.
    """
    expert: Any = environment.unwrapped
    takes_gamma = "gamma" in signature(expert.expert_action).parameters
    return int(expert.expert_action(gamma=gamma) if takes_gamma else expert.expert_action())
