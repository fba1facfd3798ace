"""A text environment out of any Gymnasium environment with discrete actions.

::

    observation, info --prompt-->  "You stand on the ice. ... You should"        the observation
                      --actions--> ("go left", "go down", ...)                   one name for each action
                      --mask-->    ("go down", ...) = info["actions"]            the valid ones
    index into info["actions"] --> the action of the wrapped environment
"""

from __future__ import annotations

import operator
import string
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from lightning_twosome.errors import UserError

CHARACTERS = string.ascii_letters + string.digits + string.punctuation + " \n"
LONGEST_PROMPT = 65536

Words = Callable[[Any, dict[str, Any]], str]
Names = Callable[[Any, dict[str, Any]], Sequence[str]]
Mask = Callable[[Any, dict[str, Any]], Sequence[bool]]


class TextWrapper(gymnasium.Wrapper):
    """Let an environment with discrete actions show its state as a prompt and its valid actions as texts.

    Rewards, ends and the rest of ``info`` stay as they are. ``info["action_ids"]`` has the
    position of each offered action among the names; an observation that is an array is kept as ``info["vector"]``.

    Example::

        env = TextWrapper(
            gymnasium.make("FrozenLake-v1", is_slippery=False),
            prompt=lambda square, info: f"You stand on square {square} of the frozen lake. You should",
            actions=("go left", "go down", "go right", "go up"),
        )

    Args:
        env: An environment with a ``Discrete`` action space.
        prompt: The text of a state, from observation and info; prompt, blank and action read as one sentence.
        actions: The name of each action in the order of the action space, or a function that gives the names in a
            state.
        mask: Which actions are valid in a state, from observation and info; without it ``info["action_mask"]`` where
            the environment gives one, and all actions otherwise.
    """

    def __init__(
        self, env: gymnasium.Env, prompt: Words, actions: Sequence[str] | Names, mask: Mask | None = None
    ) -> None:
        super().__init__(env)
        if not isinstance(env.action_space, spaces.Discrete):
            raise UserError(
                f"TextWrapper needs an environment with a Discrete action space, not {env.action_space}: wrap one that "
                "chooses among a few actions"
            )
        self._first, self._count = int(env.action_space.start), int(env.action_space.n)
        self._prompt, self._mask = prompt, mask
        self._names: Names = actions if callable(actions) else lambda observation, info: actions
        self.observation_space = spaces.Text(min_length=1, max_length=LONGEST_PROMPT, charset=CHARACTERS)
        # As many as are offered in the current state, so that action_space.sample() is one of them.
        self.action_space = spaces.Discrete(self._count)
        self._ids: tuple[int, ...] = ()

    @property
    def spec(self) -> None:  # type: ignore[override]
        """None: gymnasium could not make an environment again that is put together of functions."""
        return None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Start an episode; returns its prompt and information."""
        return self._shown(*self.env.reset(seed=seed, options=options))

    def step(self, action: int) -> tuple[str, Any, bool, bool, dict[str, Any]]:
        """Take the action of this index in ``info["actions"]``."""
        index = operator.index(action)
        if not 0 <= index < len(self._ids):
            raise UserError(f"action {index} is not offered here: give an index from 0 to {len(self._ids) - 1}")
        observation, reward, terminated, truncated, info = self.env.step(self._first + self._ids[index])
        prompt, info = self._shown(observation, info, bool(terminated or truncated))
        return prompt, reward, bool(terminated), bool(truncated), info

    def _shown(self, observation: Any, info: dict[str, Any], ended: bool = False) -> tuple[str, dict[str, Any]]:
        names = tuple(self._names(observation, info))
        if len(names) != self._count:
            raise UserError(f"TextWrapper got {len(names)} action names for {self._count} actions: name each of them")
        valid = self._valid(observation, info)
        if not valid and not ended:
            raise UserError("TextWrapper's mask leaves no action valid: offer at least one in every state")
        self._ids = valid
        self.action_space.n = np.int64(max(1, len(valid)))  # type: ignore[attr-defined]
        shown: dict[str, Any] = {**info, "actions": tuple(names[i] for i in valid), "action_ids": valid}
        if isinstance(observation, np.ndarray) and np.issubdtype(observation.dtype, np.number):
            shown["vector"] = observation.astype(np.float32).ravel()
        return self._prompt(observation, info), shown

    def _valid(self, observation: Any, info: dict[str, Any]) -> tuple[int, ...]:
        mask = info.get("action_mask") if self._mask is None else self._mask(observation, info)
        if mask is None:
            return tuple(range(self._count))
        if len(mask) != self._count:
            raise UserError(f"TextWrapper got a mask of {len(mask)} for {self._count} actions: give one for each")
        return tuple(index for index, valid in enumerate(mask) if valid)
