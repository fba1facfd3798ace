"""Several tasks: what each is made of, an environment that mixes them, and their names.

::

    data:
      env:                                     one environment, or a mixture of tasks to train on
        - {env: twosome/TomatoSalad-v0, weight: 2}
        - {env: twosome/TomatoLettuceSalad-v0, name: two-tomatoes}
      test_tasks: [{env: twosome/FoodPreparation-v0}]     what ``test`` plays; the training's own tasks by default
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec

from lightning_twosome.environment_ids import make_by_id
from lightning_twosome.errors import UserError
from lightning_twosome.experts import expert_action

TASK_STREAM = 1


@dataclass
class Task:
    """An environment under a name.

    Attributes:
        env: A gymnasium id, or anything that makes an environment when called without arguments.
        env_kwargs: Keyword arguments for ``gymnasium.make`` where ``env`` is an id.
        weight: Share of the episodes in a mixture, relative to the other tasks' weights.
        name: Name in tables and logs; ``None`` takes the environment's.
    """

    env: str | Callable[[], gym.Env]
    env_kwargs: dict[str, Any] | None = None
    weight: float = 1.0
    name: str | None = None

    def make(self) -> gym.Env:
        """A new environment.

        Raises:
            UserError: The id is unknown, the environment does not take the keyword arguments, or making it raised.
        """
        try:
            return self.env() if callable(self.env) else make_by_id(self.env, self.env_kwargs or {})
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            said = " ".join(str(error).split())
            raise UserError(
                f"The environment {self.label!r} cannot be made, it raised {type(error).__name__}: {said}; --debug "
                "shows where."
            ) from error

    @property
    def label(self) -> str:
        """Its name: the one that was given, or the id without namespace, or the class's."""
        if self.name is not None:
            return self.name
        if isinstance(self.env, str):
            return self.env.rpartition("/")[2]
        made: Any = self.env
        while isinstance(made, partial):  # of a config's class_path too, where the class is an argument
            made = next((argument for argument in made.args if isinstance(argument, type)), made.func)
        return getattr(made, "__name__", type(made).__name__)


def named(tasks: Sequence[Task], place: str) -> list[Task]:
    """The same tasks, each with a name.

    Args:
        tasks: At least one.
        place: Config key, for messages.

    Raises:
        UserError: There is none, two have the same name, or a weight is not positive.
    """
    for task in tasks:
        if task.env == "":
            raise UserError(f"{place} is empty: give a gymnasium id, such as twosome/TomatoSalad-v0, or a class.")
    if not tasks:
        raise UserError(
            f"{place} is an empty list; give it at least one task, such as {{env: twosome/TomatoSalad-v0}}."
        )
    for task in tasks:
        if not (math.isfinite(task.weight) and task.weight > 0):
            raise UserError(
                f"{place}: the task {task.label!r} has the weight {task.weight}; it must be a positive number."
            )
        if callable(task.env) and task.env_kwargs:
            raise UserError(
                f"{place} is the class {task.label}, and env_kwargs={task.env_kwargs!r} are for an id: give them as "
                "init_args of the class, or set env_kwargs to null."
            )
        if not task.label.strip():
            raise UserError(f"{place}: the task of {task.env!r} has an empty name; give it a name or leave it out.")
    labels = [task.label for task in tasks]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise UserError(f"{place} has two tasks named {twice!r}; give each a name of its own.")
    return [replace(task, name=task.label) for task in tasks]


def best_possible_return(environment: gym.Env, gamma: float) -> float | None:
    """The best discounted return that an environment knows of, ``None`` where it knows none; the environment is closed.

    Args:
        environment: Its ``optimal_discounted_return`` is a number or a function of the discount.
        gamma: Discount per primitive step.
    """
    optimum: Any = getattr(environment.unwrapped, "optimal_discounted_return", None)
    best = optimum(gamma) if callable(optimum) else optimum
    environment.close()
    return best


class MixtureEnv(gym.Env[Any, Any]):
    """An environment whose every episode is one of several tasks, drawn by weight from the seed of its reset.

    The same seed gives the same task and the same episode, so that a run can be repeated and resumed. Observation and
    action spaces are those of the first task: in a text environment they say no more than that there is text.

    Args:
        tasks: Tasks with names, as :func:`named` gives them.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.tasks = list(tasks)
        weights = np.array([task.weight for task in tasks], dtype=np.float64)
        self.shares = weights / weights.sum()
        self._environments: dict[int, gym.Env] = {}
        self._current = 0
        self.observation_space = self.current.observation_space
        self.action_space = self.current.action_space

    @property
    def current(self) -> gym.Env:
        """The environment of the episode's task, made when it is first needed."""
        if self._current not in self._environments:
            self._environments[self._current] = self.tasks[self._current].make()
        return self._environments[self._current]

    @property
    def spec(self) -> EnvSpec | None:  # type: ignore[override]
        """What the episode's task was made of, which is what messages name."""
        return self.current.spec

    def optimal_discounted_return(self, gamma: float) -> float | None:
        """Mean of the tasks' best possible returns, by weight; ``None`` where one of them knows none."""
        optima = [best_possible_return(task.make(), gamma) for task in self.tasks]
        return None if None in optima else float(np.dot(self.shares, np.array(optima, dtype=np.float64)))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode of the task that the seed draws."""
        super().reset(seed=seed)
        if seed is None:
            seed = int(self.np_random.integers(2**31))
        self._current = int(np.random.default_rng([seed, TASK_STREAM]).choice(len(self.tasks), p=self.shares))
        observation, info = self.current.reset(seed=seed, options=options)
        return observation, info | {"task": self.tasks[self._current].label}

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Take a step of the episode's task."""
        observation, reward, terminated, truncated, info = self.current.step(action)
        return observation, reward, terminated, truncated, info | {"task": self.tasks[self._current].label}

    def expert_action(self, gamma: float = 0.99) -> int:
        """What the scripted agent of the episode's task does."""
        return expert_action(self.current, gamma)

    def render(self) -> Any:
        """The picture of the episode's task."""
        return self.current.render()

    def close(self) -> None:
        """Close the environments of all tasks."""
        for environment in self._environments.values():
            environment.close()
