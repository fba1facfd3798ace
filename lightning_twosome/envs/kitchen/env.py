"""The kitchen as a gymnasium environment: episodes, rewards and information around the simulator."""

from __future__ import annotations

import operator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import yaml
from gymnasium import spaces
from numpy.typing import NDArray

from lightning_twosome.envs.keywords import check_keywords, prompt_space
from lightning_twosome.envs.kitchen.simulator import CHOPPED, DELIVERED, REJECTED, Kitchen, Outcome, State
from lightning_twosome.envs.kitchen.solver import Solution
from lightning_twosome.envs.kitchen.task import KitchenTask, load_task
from lightning_twosome.envs.kitchen.text import PROMPT_STYLES, Narrator
from lightning_twosome.envs.kitchen.view import look, vector
from lightning_twosome.errors import UserError


class Scene(NamedTuple):
    """What a state looks like to the agent."""

    prompt: str
    actions: tuple[str, ...]
    vector: NDArray[np.float32]


IRRELEVANT_STEPS = 1
"""Duration of an irrelevant action."""


def irrelevant_texts(count: int) -> tuple[str, ...]:
    """The first ``count`` irrelevant actions.

    Raises:
        UserError: There are not as many.
    """
    texts = load_irrelevant()
    if not (isinstance(count, int) and 0 <= count <= len(texts)):
        raise UserError(f"the kitchen has no irrelevant_actions={count!r}: give an integer from 0 to {len(texts)}")
    return texts[:count]


@lru_cache(maxsize=1)
def load_irrelevant() -> tuple[str, ...]:
    """The chores of ``irrelevant_actions.yaml``."""
    return tuple(yaml.safe_load((Path(__file__).parent / "irrelevant_actions.yaml").read_text(encoding="utf-8")))


MEMORY = 50_000  # transitions, and scenes, kept for each task


class World:
    """A kitchen that remembers transitions and scenes. Shared by all environments of a task."""

    def __init__(self, task: KitchenTask) -> None:
        self.kitchen = Kitchen(task)
        self._narrators = {style: Narrator(task, style) for style in PROMPT_STYLES}
        self.act = lru_cache(MEMORY)(self._act)
        self.scene = lru_cache(MEMORY)(self._scene)
        self._solutions: dict[float, Solution] = {}
        self._payments: dict[tuple[int, float], tuple[tuple[float, ...], float]] = {}

    def _act(self, state: State, action: int) -> Outcome:
        """The outcome of the action at an index of the task's list, behind which the irrelevant ones stand."""
        if action >= len(self.kitchen.task.actions):
            return Outcome(state, IRRELEVANT_STEPS)
        return self.kitchen.act(state, self.kitchen.task.actions[action])

    def _scene(self, state: State, style: str = PROMPT_STYLES[0]) -> Scene:
        """The words and numbers of a state."""
        view, narrator = look(self.kitchen, state), self._narrators[style]
        return Scene(narrator.prompt(view), narrator.actions(view), vector(self.kitchen, state))

    def solution(self, gamma: float) -> Solution:
        """The best plan for a discount."""
        solution = self._solutions.get(gamma)
        if solution is None:
            solution = self._solutions[gamma] = Solution(self.kitchen, gamma)
        return solution

    def payment(self, duration: int, bonus: float) -> tuple[tuple[float, ...], float]:
        """The rewards of a macro-action's primitive steps, ``bonus`` falling due at the last, and their sum."""
        payment = self._payments.get((duration, bonus))
        if payment is None:
            step = self.kitchen.task.rewards.step
            step_rewards = (*(step,) * (duration - 1), step + bonus)
            payment = self._payments[duration, bonus] = step_rewards, sum(step_rewards)
        return payment


@lru_cache(maxsize=64)
def shared_world(task: KitchenTask) -> World:
    """The one world of a task."""
    return World(task)


class KitchenEnv(gymnasium.Env[str, int]):
    """A cook prepares a salad and delivers it, seeing only what is near.

    Two tasks come with the package, ``twosome/TomatoSalad-v0`` (left) and ``twosome/TomatoLettuceSalad-v0`` (right);
    ``task`` may also be the path of a YAML file of your own::

        #####T#    #####T#      @  the cook at the start        T  tomato
        1...@.#    1...@.L      .  floor                        L  lettuce
        #.....#    2.....O      #  counter                      O  onion
        D.....#    D.....#      1  cutting board 1              B  bowl
        #.....#    #.....#      2  cutting board 2
        #.....#    #.....#      D  delivery counter
        #####B#    #####B#

    **Actions.** The index of a macro-action: get tomato, get bowl, go to board 1, deliver, chop (left); get tomato, get
    lettuce, get onion, get bowl, go to board 1, go to board 2, deliver, chop (right). All are offered in every state.
    The cook walks along the rows, then along the columns, and acts at the end of the walk: takes a food that is free,
    or chopped and on a board; puts down what is carried on an empty board; chops a raw food on the board in front with
    empty hands (3 steps); puts a chopped food into the bowl where the two meet. A raw food cannot be picked up from a
    board. What makes no sense uses up its steps and changes nothing.

    **Observation.** The prompt, a sentence or a few, about what lies within 2 cells of the cook, what is carried and
    the goal; ``info["actions"]`` words the actions for that view. ``info["vector"]`` gives the view as numbers (see
    :mod:`.view`), ``info["action_ids"]`` the index of each action in the list above. Nothing is remembered, so that
    different states can look the same.

    **Prompt styles.** ``prompt_style`` chooses among four that say the same in other words and another order:
    "second_person" (the default), "first_person", "third_person" and "notes". ``restate`` names a second one, in which
    ``info["restatement"]`` has prompt and actions of the same state.

    **Irrelevant actions.** ``irrelevant_actions`` (0 to 16) puts as many household chores behind the list above ("water
    the plants"), the same texts in every state and style: each takes one step and changes nothing.

    **Rewards.** -0.001 for each primitive step; +0.2 when a food of the recipe has been chopped, once per food and
    episode; +1 for a bowl that holds exactly the recipe on the delivery counter; -0.1 for anything else delivered,
    which then goes back home, foods raw again. ``info["duration"]`` counts a macro-action's primitive steps,
    ``info["step_rewards"]`` has the reward of each, ``reward`` is their sum.

    **End.** The correct delivery terminates the episode. The horizon of 200 primitive steps truncates it; a
    macro-action that is running finishes first, and a delivery at its end still counts. ``info["success"]`` tells at
    the end whether the salad was delivered.

    **Optimum** at gamma = 0.99: discounted return 0.920518 with 6 macro-actions of 28 primitive steps (left), 0.947656
    with 10 of 45 (right). ``expert_action()`` gives the index of the best action in any state,
    ``optimal_discounted_return(gamma)`` the optimum for other discounts; both are solved exactly when first asked for.

    ``faithful=True`` has the reference implementation's dynamics: a food that is raw again pays for chopping again, so
    that wrong deliveries can be farmed for more than the honest optimum, and the horizon counts as ``terminated``.

    The kitchen has no randomness: the seed of ``reset`` reaches only gymnasium's generator.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 2}
    PROMPT_STYLES = PROMPT_STYLES

    def __init__(
        self,
        task: str = "TomatoSalad",
        faithful: bool = False,
        prompt_style: str = PROMPT_STYLES[0],
        restate: str | None = None,
        irrelevant_actions: int = 0,
        render_mode: str | None = None,
    ) -> None:
        check_keywords("the kitchen", PROMPT_STYLES, prompt_style, restate, render_mode)
        self.task = load_task(task)
        self.faithful = faithful
        self.prompt_style = prompt_style
        self.restate = restate
        self.render_mode = render_mode
        self.observation_space = prompt_space()
        self._world = shared_world(self.task)
        self._irrelevant = irrelevant_texts(irrelevant_actions)
        self._n_actions = len(self.task.actions) + irrelevant_actions
        self._action_ids = tuple(range(self._n_actions))
        self.action_space = spaces.Discrete(self._n_actions)  # type: ignore[assignment]
        self._running = False
        self._begin()

    def _begin(self) -> None:
        self.state = self._world.kitchen.initial
        self.steps = 0
        self._paid: set[str] = set()
        self._last: tuple[str, float] | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Put everything back in its place and return the first prompt with its information."""
        super().reset(seed=seed, options=options)
        self._begin()
        self._running = True
        scene = self._world.scene(self.state, self.prompt_style)
        return scene.prompt, self._information(scene)

    def step(self, action: int) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Carry out a macro-action; returns prompt, reward, terminated, truncated and information."""
        index = self._checked(action)
        outcome = self._world.act(self.state, index)
        step_rewards, reward = self._world.payment(outcome.duration, self._bonus(outcome))
        if self.render_mode is not None:
            self._last = self._offered(self._world.scene(self.state, self.prompt_style))[index], reward
        self.state = outcome.state
        self.steps += outcome.duration
        delivered, late = outcome.event == DELIVERED, self.steps >= self.task.horizon
        terminated = delivered or (late and self.faithful)
        truncated = late and not terminated
        scene = self._world.scene(outcome.state, self.prompt_style)
        info = self._information(scene)
        info["duration"] = outcome.duration
        info["step_rewards"] = step_rewards
        if terminated or truncated:
            info["success"] = delivered
            self._running = False
        return scene.prompt, reward, terminated, truncated, info

    def expert_action(self, gamma: float = 0.99) -> int:
        """The index of the best action here, as far as the horizon does not interfere: see :class:`.Solution`."""
        self._check_running()
        return self._world.solution(gamma).action(self.state, frozenset(self._paid))

    def optimal_discounted_return(self, gamma: float = 0.99) -> float:
        """The largest discounted return of an episode that pays each chop once."""
        return self._world.solution(gamma).value(self._world.kitchen.initial, frozenset())

    def render(self) -> NDArray[np.uint8] | None:  # type: ignore[override]
        """Draw the kitchen, uint8 [height, width, 3]; nothing without ``render_mode="rgb_array"``."""
        if self.render_mode is None:
            return None
        from lightning_twosome.envs.kitchen.render import draw

        return draw(self._world.kitchen, self.state, self.steps, self._last)

    def _check_running(self) -> None:
        if not self._running:
            raise UserError(
                "the kitchen was stepped before a reset or after the end of its episode: call reset() first"
            )

    def _checked(self, action: int) -> int:
        self._check_running()
        try:
            index = operator.index(action)
        except TypeError:
            index = -1
        if not 0 <= index < self._n_actions:
            raise UserError(f"the kitchen has no action {action!r}: give an integer from 0 to {self._n_actions - 1}")
        return index

    def _bonus(self, outcome: Outcome) -> float:
        rewards = self.task.rewards
        if (
            outcome.event == CHOPPED
            and outcome.food in self.task.recipe
            and (self.faithful or outcome.food not in self._paid)
        ):
            self._paid.add(outcome.food)
            return rewards.chop
        return {DELIVERED: rewards.delivery, REJECTED: rewards.wrong_delivery}.get(outcome.event, 0.0)

    def _information(self, scene: Scene) -> dict[str, Any]:
        info = {"actions": self._offered(scene), "vector": scene.vector.copy(), "action_ids": self._action_ids}
        if self.restate is not None:
            restatement = self._world.scene(self.state, self.restate)
            info["restatement"] = restatement.prompt, self._offered(restatement)
        return info

    def _offered(self, scene: Scene) -> tuple[str, ...]:
        return scene.actions + self._irrelevant
