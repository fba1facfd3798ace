"""BabyAI as a text environment: episodes, information and the expert around minigrid's simulator."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from lightning_twosome.envs.babyai.expert import Expert
from lightning_twosome.envs.babyai.level import make_level, quiet
from lightning_twosome.envs.babyai.text import STYLES, narrate
from lightning_twosome.envs.babyai.view import Looker, View
from lightning_twosome.envs.keywords import check_keywords, prompt_space
from lightning_twosome.errors import UserError

MOST_ACTIONS = 4


class BabyAIEnv(gymnasium.Env[str, int]):
    """An agent in rooms with balls, boxes, keys and doors carries out a mission: the levels of BabyAI, told in words.

    ``level`` is the name of any of minigrid's BabyAI levels, new rooms and a new mission for every seed::

        # # # # # #       #  wall                 mission: go to the red ball
        # . . . . #       ^  the agent, looking up
        # o . . . #       o  the red ball: "two steps ahead and one step to your left"
        # . . k . #       k  a grey key: "one step ahead and one step to your right"
        # . ^ . . #
        # # # # # #

    **Actions.** Those of minigrid that do something here: turn left, turn right, go forward (not into a wall or a
    thing), pick up the thing in front (with empty hands), put down what is carried (where the cell in front is free),
    open, close or unlock the door in front. A box is opened only in levels where some box holds a thing, since opening
    destroys it. The texts name what the agent will look at, walk to or put something next to.

    **Observation.** The prompt: what is in hand, what is in view by direction and distance, the wall ahead and the
    mission. The view is minigrid's: 7 x 7 cells ahead and to both sides, hidden behind walls and closed doors. Nothing
    is remembered, with two exceptions that a mission needs: "on your left" in a mission is about the start, so that
    things carry where they stood then; of a mission of several parts the prompt tells which are done.
    ``info["vector"]`` has minigrid's symbols of the view, what is carried and the compass direction, but not the
    mission; ``info["action_ids"]`` minigrid's numbers of the offered actions.

    **Reward.** minigrid's: 1 - 0.9 * steps / limit when the mission is done, else 0. Every action is one step.

    **End.** The mission done, or failed, terminates. The level's limit of steps truncates. ``info["success"]`` tells at
    the end whether the mission was done.

    **Prompt styles.** ``plain`` (you), ``story`` (about Ken), ``notes`` (I), see :mod:`.text`.

    Args:
        level: Name of a level, such as "GoToRedBall".
        level_settings: Arguments of the level's class: ``room_size``, ``num_dists``, ``max_steps`` and others.
        prompt_style: The wording of prompts and actions.
        restate: A second style, shown as ``info["restatement"]``.
        render_mode: "rgb_array" for pictures.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 4}
    PROMPT_STYLES = tuple(STYLES)

    def __init__(
        self,
        level: str = "GoToRedBall",
        level_settings: Mapping[str, Any] | None = None,
        prompt_style: str = PROMPT_STYLES[0],
        restate: str | None = None,
        render_mode: str | None = None,
    ) -> None:
        check_keywords("BabyAI", self.PROMPT_STYLES, prompt_style, restate, render_mode)
        self.prompt_style = prompt_style
        self.restate = restate
        self.level_name = level
        self.level = make_level(level, level_settings or {})
        self.render_mode = render_mode
        self.observation_space = prompt_space()
        # As many as are offered in the current state, so that action_space.sample() is one of them.
        self.action_space = spaces.Discrete(MOST_ACTIONS)  # type: ignore[assignment]
        self._running = False
        self._last: tuple[str, float] | None = None
        self._view: View
        self._looker: Looker
        self._expert: Expert | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Draw rooms and a mission and return the first prompt with its information."""
        super().reset(seed=seed, options=options)
        # Without a seed, minigrid's own generator goes on from the last one.
        self.level.gen_mission.tries = 0
        with quiet():
            observation, _ = self.level.reset(seed=seed)
        self._looker = Looker(self.level)
        self._expert = None
        self._running, self._last = True, None
        return self._shown(observation)

    def step(self, action: int) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take an action; returns prompt, reward, terminated, truncated and information."""
        index = self._checked(action)
        number = self._view.actions[index]
        text = narrate(self._view, self.prompt_style)[1][index]
        observation, reward, terminated, late, _ = self.level.step(number)
        if self._expert is not None:
            self._expert.follow(number)
        self._last = text, float(reward)
        truncated = bool(late and not terminated)
        prompt, info = self._shown(observation)
        info["duration"] = 1
        info["step_rewards"] = (float(reward),)
        if terminated or truncated:
            info["success"] = bool(terminated and reward > 0)
            self._running = False
        return prompt, float(reward), bool(terminated), truncated, info

    def expert_action(self) -> int:
        """The offered action that minigrid's BabyAI bot takes here.

        The bot sees what the agent has seen since it was first asked in this episode, and remembers it.
        """
        if self._expert is None:
            self._expert = Expert(self.level)
        number = self._expert.action()
        return self._view.actions.index(number) if number in self._view.actions else 0

    def render(self) -> NDArray[np.uint8] | None:  # type: ignore[override]
        """Draw the rooms, uint8 [height, width, 3]; nothing without ``render_mode="rgb_array"``."""
        if self.render_mode is None:
            return None
        from lightning_twosome.envs.babyai.render import draw

        return draw(self.level, self._last)

    def close(self) -> None:
        """End the simulator."""
        self.level.close()

    def _shown(self, observation: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Prompt and information of the state that minigrid observes."""
        image = observation["image"]
        self._view = view = self._looker.look(image)
        prompt, actions = narrate(view, self.prompt_style)
        self.action_space.n = np.int64(len(actions))  # type: ignore[attr-defined]
        vector = np.append(image.ravel(), observation["direction"]).astype(np.float32)
        info: dict[str, Any] = {"actions": actions, "action_ids": view.actions, "vector": vector}
        if self.restate is not None:
            info["restatement"] = narrate(view, self.restate)
        return prompt, info

    def _checked(self, action: int) -> int:
        if not self._running:
            raise UserError("BabyAI was stepped before a reset or after the end of its episode: call reset() first")
        try:
            index = operator.index(action)
        except TypeError:
            index = -1
        if not 0 <= index < len(self._view.actions):
            last = len(self._view.actions) - 1
            raise UserError(f"BabyAI offers no action {action!r} here: give an integer from 0 to {last}")
        return index
