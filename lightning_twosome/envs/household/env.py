"""The household as a gymnasium environment: episodes, rewards and information around the simulator."""

from __future__ import annotations

import operator
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from lightning_twosome.envs.household.task import load_task
from lightning_twosome.envs.household.text import PROMPT_STYLES
from lightning_twosome.envs.household.world import Scene, shared_world
from lightning_twosome.envs.keywords import check_keywords, prompt_space
from lightning_twosome.envs.task_file import YAML_ENDINGS
from lightning_twosome.errors import UserError


class HouseholdEnv(gymnasium.Env[str, int]):
    """Somebody walks through a home, carries things, opens, switches and sits down, seeing only the room around.

    The paper's two tasks are ``twosome/FoodPreparation-v0`` (left) and ``twosome/Entertainment-v0`` (right); ``task``
    may also be the name of another bundled task or the path of a YAML file of your own::

        +-------------+----------+    +-------------+----------+
        | living room | kitchen  |    | living room | kitchen  |      @  the start, with two empty hands
        |             | @        |    | television  | @        |
        |             | pancake  |    | sofa        | chips    |
        |             | microwave|    | coffee table| milk     |
        +-------------+----------+    +-------------+----------+
        | bathroom    | bedroom  |    | bathroom    | bedroom  |
        +-------------+----------+    +-------------+----------+

    **Goal.** The pancake is shut in the microwave (left). In the living room, the television is on, one sits on the
    sofa facing it, and each of chips and milk is on the coffee table or within reach, a hand included (right).

    **Actions.** The index of an offered action. Offered is what can be done: walk to another room, or to a thing in
    sight (not while sitting); grab what is near or on something near (with a free hand); put what is held in an open
    container or on a surface that is near; open (with a free hand) and close; switch on and off (with a free hand; not
    with an open door); sit down and stand up. A walk ends the nearness of all that is not carried. Two full hands
    switch nothing on and open nothing, which is the trap of Entertainment.

    **Observation.** The prompt: the room, what is seen in it with doors and switches, what is within reach, what is
    held and the goal. A thing is seen in the agent's room unless it is in a closed container, and when it is held.
    ``info["actions"]`` words the offered actions, ``info["action_ids"]`` has their indices in the task's fixed list and
    ``info["vector"]`` the facts of the task's ``vector``, 0 where a thing is not seen.

    **Reward.** 1 when the goal is reached, else 0. Every action is one step.

    **End.** The goal terminates the episode. The horizon of 50 steps truncates it. ``info["success"]`` tells at the end
    whether the goal was reached.

    **Optimum** at gamma = 0.95: 6 steps, discounted return 0.77378 (left); 11 steps, 0.59874 (right). Uniformly random
    over the offered actions: success 1.74 % and 0.23 %.

    ``faithful=True`` has the reference implementation's physics and interface: the whole list is offered in every
    state, a refused action uses up a step, what is carried is booked in the room just left, so that walking to it leads
    back there, standing up leaves one on the sofa, and the horizon counts as ``terminated``.

    **Prompt styles.** ``second_person``, ``first_person``, ``third_person`` and ``notes`` say the same in other words
    and order, see :mod:`.text`.

    Args:
        task: Name of a bundled task or path of a YAML file.
        faithful: The reference's physics and interface.
        prompt_style: The wording of prompts and actions.
        restate: A second style, in which ``info["restatement"]`` says the same state again.
        render_mode: "rgb_array" for pictures.

    The household has no randomness: the seed of ``reset`` reaches only gymnasium's generator.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 2}
    PROMPT_STYLES = PROMPT_STYLES

    def __init__(
        self,
        task: str = "FoodPreparation",
        faithful: bool = False,
        prompt_style: str = PROMPT_STYLES[0],
        restate: str | None = None,
        render_mode: str | None = None,
    ) -> None:
        check_keywords("the household", PROMPT_STYLES, prompt_style, restate, render_mode)
        self.task = load_task(task)
        self.faithful = faithful
        self.prompt_style = prompt_style
        self.restate = restate
        self.render_mode = render_mode
        self.observation_space = prompt_space()
        # As many as are offered in the current state, so that action_space.sample() is one of them.
        self.action_space = spaces.Discrete(len(self.task.actions))  # type: ignore[assignment]
        self._world = shared_world(self.task, faithful)
        if task.endswith(YAML_ENDINGS):
            self._world.check_solvable()
        self._running = False
        self._begin()

    def _begin(self) -> None:
        self.scene = self._world.begin()
        self.steps = 0
        self._last: tuple[str, float] | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Put everything back in its place and return the first prompt with its information."""
        super().reset(seed=seed, options=options)
        self._begin()
        self._running = True
        return self._shown(self.scene)

    def step(self, action: int) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Carry out an offered action; returns prompt, reward, terminated, truncated and information."""
        index, before = self._checked(action), self.scene
        scene = before.following[index] or self._world.follow(before, index)
        self.scene = scene
        self.steps += 1
        reward, late = float(scene.succeeded), self.steps >= self.task.horizon
        if self.render_mode is not None:
            self._last = self._world.texts(before, self.prompt_style).actions[index], reward
        terminated = scene.succeeded or (late and self.faithful)
        truncated = late and not terminated
        prompt, info = self._shown(scene)
        if terminated or truncated:
            info["success"] = scene.succeeded
            self._running = False
        return prompt, reward, terminated, truncated, info

    def expert_action(self) -> int:
        """The index of the first action of a shortest way to the goal, whatever the horizon leaves."""
        self._check_running()
        return self._world.best_action(self.scene)

    def optimal_discounted_return(self, gamma: float = 0.95) -> float:
        """The discounted return of a shortest way to the goal."""
        length = self._world.shortest()
        return gamma ** (length - 1) if length <= self.task.horizon else 0.0

    def render(self) -> NDArray[np.uint8] | None:  # type: ignore[override]
        """Draw the house, uint8 [height, width, 3]; nothing without ``render_mode="rgb_array"``."""
        if self.render_mode is None:
            return None
        from lightning_twosome.envs.household.render import draw

        return draw(self._world.house, self.scene.state, self.steps, self._last)

    def _check_running(self) -> None:
        if not self._running:
            raise UserError(
                "the household was stepped before a reset or after the end of its episode: call reset() first"
            )

    def _checked(self, action: int) -> int:
        self._check_running()
        try:
            index = operator.index(action)
        except TypeError:
            index = -1
        n_actions = len(self.scene.action_ids)
        if not 0 <= index < n_actions:
            raise UserError(
                f"the household offers no action {action!r} here: give an integer from 0 to {n_actions - 1}, an index "
                "into info['actions']"
            )
        return index

    def _shown(self, scene: Scene) -> tuple[str, dict[str, Any]]:
        prompt, actions = scene.texts.get(self.prompt_style) or self._world.texts(scene, self.prompt_style)
        self.action_space.n = scene.n_actions  # type: ignore[attr-defined]
        info = {"actions": actions, "vector": scene.vector.copy(), "action_ids": scene.action_ids}
        if self.restate is not None:
            info["restatement"] = tuple(self._world.texts(scene, self.restate))
        return prompt, info
