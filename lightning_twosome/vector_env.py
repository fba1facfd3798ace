"""Text environments as one vector: what they show, checked, and how an unfinished episode is replayed.

::

    env (Text observation, info["actions"]) --Reporter--> State / Transition --gymnasium vector env--> TextVectorEnv

A gymnasium vector environment batches observations and infos into arrays, which text of varying length does not
survive. So each environment is
wrapped in a :class:`Reporter` that checks what the environment says and hands it on as one object.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv

from lightning_twosome.decisions import Decision
from lightning_twosome.environment_failure import (
    EnvironmentFailure,
    Raised,
    end_processes,
    find_dead,
    obey_signals,
    say_raised,
)
from lightning_twosome.errors import UserError
from lightning_twosome.experts import expert_action

Vectorization = Literal["sync", "async"]


@dataclass(frozen=True, slots=True)
class State:
    """What an environment shows before a decision.

    Attributes:
        decision: Prompt and offered actions.
        vector: Symbolic observation, for policies that read no text; ``None`` where the environment gives none.
        action_ids: Index of each offered action in the environment's fixed list; ``None`` where the environment gives
            none.
        player: Who decides, where several players take turns in one environment.
        task: Name of the episode's task; ``None`` where the environment has one task only.
        restatement: The same state and actions, in the same order, in other words; ``None`` where the environment gives
            none.
    """

    decision: Decision
    vector: np.ndarray | None = None
    action_ids: tuple[int, ...] | None = None
    player: int = 0
    task: str | None = None
    restatement: Decision | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """What one action did.

    Attributes:
        state: The state it led to, before any reset.
        step_rewards: Reward of each primitive step.
        duration: Primitive steps taken.
        terminated: The episode reached its end.
        truncated: The episode was cut off (a time limit).
        success: Reported at the end of an episode; ``None`` where it is not reported.
    """

    state: State
    step_rewards: tuple[float, ...]
    duration: int
    terminated: bool
    truncated: bool
    success: bool | None


class Reporter(gym.Wrapper):
    """Turn what a text environment shows into a :class:`State` or :class:`Transition` under ``info["report"]``.

    Args:
        env: A text environment: the observation is the prompt, ``info["actions"]`` the tuple of valid actions.
        index: Position of this environment in its vector.
    """

    def __init__(self, env: gym.Env, index: int) -> None:
        super().__init__(env)
        self.index = index
        self.observation_space = gym.spaces.Discrete(1)
        self.action_space = gym.spaces.Discrete(np.iinfo(np.int32).max)

    @property
    def name(self) -> str:
        """The environment's id, or its class's name where it has none."""
        spec = self.env.spec
        return spec.id if spec is not None else type(self.env.unwrapped).__name__

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start the episode of ``seed`` and take the actions of ``options["histories"][index]``, if any."""
        try:
            return 0, {"report": self._start(seed, (options or {}).get("histories", {}).get(self.index, ()))}
        except (Exception, SystemExit) as error:
            return 0, {"report": Raised(error, self.name)}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take the action of this index in the offered list."""
        try:
            transition = self._take(int(action))
        except (Exception, SystemExit) as error:
            return 0, 0.0, False, False, {"report": Raised(error, self.name)}
        reward = sum(transition.step_rewards)
        return 0, reward, transition.terminated, transition.truncated, {"report": transition}

    def expert_action(self, gamma: float) -> int | Raised:
        """What the environment's own scripted agent does in its state."""
        try:
            return expert_action(self.env, gamma)
        except (Exception, SystemExit) as error:
            return Raised(error, self.name)

    def _start(self, seed: int | None, history: Sequence[int]) -> State:
        prompt, info = self._parts(self.env.reset(seed=seed), "reset", ("prompt", "info"))
        ended = False
        for number, action in enumerate(history):
            if ended or action >= len(info["actions"]):
                raise UserError(
                    f"Environment {self.name!r} does not come back to where the checkpoint left it: after reset(seed="
                    f"{seed}) and {number} of its actions the next one is not possible; exact resume needs the same "
                    "environment (data.env, data.env_kwargs) and one that honours its seed."
                )
            prompt, _, terminated, truncated, info = self._step(action)
            ended = terminated or truncated
        return self._state(prompt, info)

    def _take(self, action: int) -> Transition:
        prompt, reward, terminated, truncated, info = self._step(action)
        if not isinstance(reward, int | float | np.number | np.ndarray) or not np.isfinite(reward).all():
            raise UserError(f"Environment {self.name!r} gave the reward {reward!r}; it must be a finite number.")
        duration, step_rewards = self._time_and_rewards(float(reward), info)
        ended = terminated or truncated
        return Transition(
            state=self._state(prompt, info, ended),
            step_rewards=step_rewards,
            duration=duration,
            terminated=bool(terminated),
            truncated=bool(truncated),
            success=bool(info["success"]) if ended and "success" in info else None,
        )

    def _step(self, action: int) -> Any:
        return self._parts(self.env.step(action), "step", ("prompt", "reward", "terminated", "truncated", "info"))

    def _parts(self, result: Any, method: str, names: Sequence[str]) -> Any:
        """What a method gave, which must have these parts, the last of them a dict."""
        count = len(result) if isinstance(result, tuple) else 1
        if count != len(names):
            raise UserError(
                f"Environment {self.name!r} gave {count} value{'s' * (count != 1)} in {method}; it must be the "
                f"{len(names)} of gymnasium: {', '.join(names)}."
            )
        if not isinstance(result[-1], dict):
            raise UserError(
                f"Environment {self.name!r} gave a {type(result[-1]).__name__} as info in {method}; it must be a dict."
            )
        return result

    def _time_and_rewards(self, reward: float, info: dict[str, Any]) -> tuple[int, tuple[float, ...]]:
        """Duration and reward of each primitive step, which must agree with each other and with the reward."""
        duration = info.get("duration", 1)
        if not isinstance(duration, int | np.integer) or duration < 0:
            raise UserError(
                f"Environment {self.name!r} reported info['duration'] = {duration!r}; it must be an int of at least "
                "0, in primitive steps."
            )
        if "step_rewards" not in info:
            return int(duration), (reward,)
        step_rewards = tuple(float(r) for r in info["step_rewards"])
        if len(step_rewards) != duration:
            raise UserError(
                f"Environment {self.name!r} reported {len(step_rewards)} info['step_rewards'] for "
                f"info['duration'] = {duration}; it must be one for each primitive step."
            )
        if not math.isclose(sum(step_rewards), reward, rel_tol=1e-4, abs_tol=1e-4):
            raise UserError(
                f"Environment {self.name!r} gave the reward {reward} with info['step_rewards'] that sum to "
                f"{sum(step_rewards)}; the reward must be their undiscounted sum."
            )
        return int(duration), step_rewards

    def _state(self, prompt: Any, info: dict[str, Any], ended: bool = False) -> State:
        actions = info.get("actions", () if ended else None)
        if not isinstance(prompt, str):
            raise UserError(
                f"Environment {self.name!r} gave an observation of type {type(prompt).__name__}; it must be the "
                "prompt, a str."
            )
        if not isinstance(actions, tuple | list) or not (actions or ended):
            raise UserError(
                f"Environment {self.name!r} gave info['actions'] = {actions!r}; it must be a non-empty tuple of str, "
                "the valid actions of this state."
            )
        return State(
            decision=Decision(prompt, tuple(actions)),
            vector=info.get("vector"),
            action_ids=info.get("action_ids"),
            player=self._player(info),
            task=self._task(info),
            restatement=self._restatement(info, len(actions)),
        )

    def _player(self, info: dict[str, Any]) -> int:
        player = info.get("player", 0)
        if not isinstance(player, int | np.integer) or isinstance(player, bool) or player < 0:
            raise UserError(
                f"Environment {self.name!r} reported info['player'] = {player!r}; it must be an int of at least 0, the "
                "player who decides next."
            )
        return int(player)

    def _task(self, info: dict[str, Any]) -> str | None:
        task = info.get("task")
        if task is not None and (not isinstance(task, str) or not task.strip()):
            raise UserError(
                f"Environment {self.name!r} reported info['task'] = {task!r}; it must be a non-empty str, the name of "
                "the episode's task."
            )
        return task

    def _restatement(self, info: dict[str, Any], num_actions: int) -> Decision | None:
        """The same state in other words, which must offer as many actions as the state itself."""
        restatement = info.get("restatement")
        if restatement is None:
            return None
        match restatement:
            case (str() as prompt, (tuple() | list()) as actions) if len(actions) == num_actions:
                return Decision(prompt, tuple(actions))
        raise UserError(
            f"Environment {self.name!r} reported info['restatement'] = {restatement!r}; it must be a pair of a prompt "
            f"(str) and the same {num_actions} actions in the same order (tuple of str)."
        )


class TextVectorEnv:
    """N text environments stepped together; resets are explicit, so that the last state of an episode is never lost.

    Args:
        env_fns: One factory per environment.
        vectorization: "sync" steps them in this process; "async" in a process each, which pays off for slow simulators
            only.
        first_index: Index of the first environment among those of all processes, for messages.
        before_step: Called before every step; what it raises ends whatever plays here.
    """

    def __init__(
        self,
        env_fns: Sequence[Callable[[], gym.Env]],
        vectorization: Vectorization = "sync",
        first_index: int = 0,
        before_step: Callable[[], None] | None = None,
    ) -> None:
        factories = [partial(_make_reporter, make, index, os.getpid()) for index, make in enumerate(env_fns)]
        self.num_envs = len(factories)
        self.first_index = first_index
        self.before_step = before_step
        self._seeds: list[int | None] = [None] * self.num_envs
        self._actions: list[list[int]] = [[] for _ in factories]
        self._closed = False
        self._env: VectorEnv
        if vectorization == "sync":
            self._env = SyncVectorEnv(factories, autoreset_mode=AutoresetMode.DISABLED)
        elif vectorization == "async":
            try:
                self._env = AsyncVectorEnv(factories, shared_memory=False, autoreset_mode=AutoresetMode.DISABLED)
            except (EOFError, OSError) as error:
                raise UserError(
                    "The process of an environment ended while it made the environment, as its message above says; "
                    "vectorization='sync' shows where."
                ) from error
        else:
            raise UserError(f"vectorization={vectorization!r} is unknown; use 'sync' or 'async'.")
        self._names: Sequence[str] = self._env.get_attr("name")

    def reset(self, seeds: dict[int, int], histories: dict[int, list[int]] | None = None) -> dict[int, State]:
        """Start an episode in some environments.

        Args:
            seeds: Seed of the new episode, by environment index.
            histories: Actions to take at once after the reset, by environment index; used to come back to an unfinished
                episode.

        Returns:
            State of each environment that was reset.

        Raises:
            EnvironmentFailure: An environment raised or its process died.
        """
        mask = np.zeros(self.num_envs, dtype=np.bool_)
        mask[list(seeds)] = True
        seed_list: Any = [seeds.get(index) for index in range(self.num_envs)]
        for index, seed in seeds.items():
            self._seeds[index], self._actions[index] = seed, list((histories or {}).get(index, ()))
        options = {"reset_mask": mask, "histories": histories or {}}
        reports = self._reports(lambda: self._env.reset(seed=seed_list, options=options)[-1])
        return {index: reports[index] for index in seeds}

    def step(self, actions: Sequence[int]) -> list[Transition]:
        """Take one action in every environment.

        Raises:
            EnvironmentFailure: An environment raised or its process died.
        """
        if self.before_step is not None:
            self.before_step()
        for taken, action in zip(self._actions, actions, strict=True):
            taken.append(int(action))
        return self._reports(lambda: self._env.step(np.asarray(actions))[-1])

    def expert_actions(self, gamma: float) -> list[int]:
        """What each environment's own scripted agent, ``env.unwrapped.expert_action()``, does in its state.

        Args:
            gamma: Discount per primitive step, for those whose choice depends on it.

        Raises:
            EnvironmentFailure: An expert raised or its process died.
        """
        environments: Any = self._env
        return self._reports(lambda: {"report": environments.call("expert_action", gamma)})

    def _reports(self, call: Callable[[], dict[str, Any]]) -> list[Any]:
        """What the environments report, or the failure of the first one that raised or died, which ends them all."""
        try:
            reports = self._call(call)
            for index, report in enumerate(reports):
                if isinstance(report, Raised):
                    raise self._failure(say_raised(report), index) from report.error
        except BaseException:
            self._end()
            raise
        return reports

    def _call(self, call: Callable[[], dict[str, Any]]) -> list[Any]:
        try:
            return list(call()["report"])
        except (EOFError, OSError) as error:
            dead = find_dead(getattr(self._env, "processes", ()))
            if dead is None:
                raise
            index, how = dead
            raise self._failure(f"The process of environment {self._names[index]!r} {how}", index) from error

    def _failure(self, what: str, index: int) -> EnvironmentFailure:
        return EnvironmentFailure(what, self.first_index + index, self._seeds[index], self._actions[index])

    def _end(self) -> None:
        """Close after an error, which a second one must not hide."""
        self._closed = True
        if isinstance(self._env, AsyncVectorEnv):
            end_processes(self._env)
        else:
            with suppress(Exception):
                self._env.close()

    def close(self) -> None:
        """End the environments and their processes."""
        if not self._closed:
            self._closed = True
            self._env.close()


def _make_reporter(make: Callable[[], gym.Env], index: int, parent: int) -> Reporter:
    obey_signals(parent)
    return Reporter(make(), index)
