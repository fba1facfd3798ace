"""Experience: a policy acting in a vector of environments for S steps.

::

    State [N] --policy--> log_probs [N, K] --inverse CDF--> action [N] --environments--> Transition [N]
    ... S times, then the values of all states at once ...                          --> Rollout [S, N]

Everything random is a function of (seed, index of the environment over all processes, episode or iteration): a run does
not depend on how its environments are spread over processes, and a resumed one goes on as if it had never stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from lightning_twosome.errors import UserError
from lightning_twosome.ppo import discounted_step_rewards
from lightning_twosome.vector_env import State, TextVectorEnv, Transition

EPISODE_STREAM, ACTION_STREAM, MINIBATCH_STREAM, EVALUATION_STREAM = range(4)


def random_generator(seed: int, stream: int, *keys: int) -> np.random.Generator:
    """A generator of its own for each (seed, purpose, keys)."""
    return np.random.default_rng([seed, stream, *keys])


def episode_seed(seed: int, stream: int, *keys: int) -> int:
    """A seed for ``env.reset``, a 31-bit int."""
    return int(random_generator(seed, stream, *keys).integers(2**31))


class Policy(Protocol):
    """What acts: a LightningModule of this package, or anything with these methods."""

    def action_log_probs(self, states: Sequence[State]) -> Tensor:
        """Log-probability of every offered action [B, K], ``-inf`` in padding, without gradient."""
        ...

    def state_values(self, states: Sequence[State]) -> Tensor:
        """Value of every state [B], without gradient."""
        ...


@dataclass(slots=True)
class Episode:
    """One finished episode.

    Attributes:
        seed: Seed of its reset.
        undiscounted_return: Sum of rewards.
        discounted_return: Sum of rewards discounted per primitive step.
        length: Decisions taken.
        duration: Primitive steps taken.
        terminated: It reached its end, rather than a time limit.
        success: As the environment reports it; ``None`` if it does not.
        task: Name of its task; ``None`` where the environment has one only.
    """

    seed: int
    undiscounted_return: float = 0.0
    discounted_return: float = 0.0
    length: int = 0
    duration: int = 0
    terminated: bool = False
    success: bool | None = None
    task: str | None = None

    def record(self, transition: Transition, gamma: float) -> None:
        """Count one transition in."""
        self.undiscounted_return += sum(transition.step_rewards)
        self.discounted_return += gamma**self.duration * discounted_step_rewards(transition.step_rewards, gamma)
        self.length += 1
        self.duration += transition.duration
        self.terminated = transition.terminated
        self.success = transition.success
        self.task = transition.state.task


@dataclass(slots=True)
class Rollout:
    """S decisions in each of N environments, in order.

    Attributes:
        states: S lists of N states in which the actions were taken.
        actions: int64 [S, N], index of the taken action in its state's offered list.
        log_probs: float32 [S, N, K], log-probability of every offered action when it was taken.
        values: float32 [S, N], value of each state.
        next_values: float32 [S, N], value of the state that followed, before any reset; 0 after a termination.
        rewards: float32 [S, N], reward discounted inside the macro-action.
        durations: int64 [S, N], primitive steps.
        terminated: bool [S, N].
        truncated: bool [S, N].
        episodes: Episodes that ended, in order.
    """

    states: list[list[State]]
    actions: Tensor
    log_probs: Tensor
    values: Tensor
    next_values: Tensor
    rewards: Tensor
    durations: Tensor
    terminated: Tensor
    truncated: Tensor
    episodes: list[Episode] = field(default_factory=list)

    @property
    def num_decisions(self) -> int:
        """Decisions in this rollout, S * N."""
        return self.actions.numel()

    @property
    def players(self) -> Tensor:
        """int64 [S, N], who decided."""
        return torch.tensor([[state.player for state in row] for row in self.states])

    def flat_states(self) -> list[State]:
        """The S * N states, step by step."""
        return [state for row in self.states for state in row]


def sample_actions(log_probs: Tensor, uniforms: np.ndarray) -> list[int]:
    """One action a row by inverting the cumulative distribution.

    Args:
        log_probs: [B, K], ``-inf`` in padding.
        uniforms: [B] uniform numbers in [0, 1).

    Raises:
        UserError: A log-probability is not a number.
    """
    if log_probs.isnan().any():
        raise UserError(
            "The policy's log-probabilities are not a number: training has diverged; lower model.actor_lr, set "
            "trainer.gradient_clip_val, or load the language model in another dtype than float16."
        )
    cumulative = log_probs.detach().cpu().double().exp().cumsum(-1).numpy()
    valid = (log_probs > -torch.inf).cpu().numpy()
    actions = []
    for row, uniform, offered in zip(cumulative, uniforms, valid, strict=True):
        position = int(np.searchsorted(row, uniform * row[-1], side="right"))
        actions.append(min(position, int(np.flatnonzero(offered)[-1])))
    return actions


class RolloutCollector:
    """Collects rollouts from a vector of environments that live on from one rollout to the next.

    Args:
        env: The environments.
        num_steps: S, decisions of each environment a rollout.
        seed: Seed of episodes and action sampling.
        first_index: Index of the first environment among those of all processes.
    """

    def __init__(self, env: TextVectorEnv, num_steps: int, seed: int, first_index: int = 0) -> None:
        self.env = env
        self.num_steps = num_steps
        self.seed = seed
        self.indices = [first_index + i for i in range(env.num_envs)]
        self.episode_numbers = [0] * env.num_envs
        self.histories: list[list[int]] = [[] for _ in range(env.num_envs)]
        self.episodes: list[Episode] = []
        self.states: list[State] = []

    def collect(self, policy: Policy, gamma: float, iteration: int) -> Rollout:
        """Let ``policy`` act for S steps.

        Args:
            policy: Chooses the actions and values the states.
            gamma: Discount per primitive step.
            iteration: Number of this rollout, which seeds its action sampling.
        """
        if not self.states:
            self._start_episodes(range(self.env.num_envs))
        uniforms = np.stack(
            [random_generator(self.seed, ACTION_STREAM, i, iteration).random(self.num_steps) for i in self.indices],
            axis=1,
        )
        states, log_probs, actions, transitions, finished = [], [], [], [], []
        for step in range(self.num_steps):
            step_log_probs = policy.action_log_probs(self.states).float().cpu()
            step_actions = sample_actions(step_log_probs, uniforms[step])
            step_transitions = self.env.step(step_actions)
            states.append(self.states)
            log_probs.append(step_log_probs)
            actions.append(step_actions)
            transitions.append(step_transitions)
            finished += self._advance(step_actions, step_transitions, gamma)
        values, next_values = self._values(policy, states, transitions)
        return Rollout(
            states=states,
            actions=torch.tensor(actions),
            log_probs=pad_actions(log_probs),
            values=values,
            next_values=next_values,
            rewards=_table(transitions, lambda t: discounted_step_rewards(t.step_rewards, gamma), torch.float32),
            durations=_table(transitions, lambda t: t.duration, torch.int64),
            terminated=_table(transitions, lambda t: t.terminated, torch.bool),
            truncated=_table(transitions, lambda t: t.truncated, torch.bool),
            episodes=finished,
        )

    def _start_episodes(self, positions: Sequence[int]) -> None:
        seeds = {
            i: episode_seed(self.seed, EPISODE_STREAM, self.indices[i], self.episode_numbers[i]) for i in positions
        }
        states = self.env.reset(seeds)
        if not self.states:
            self.states = [states[i] for i in range(self.env.num_envs)]
            self.episodes = [Episode(seeds[i]) for i in range(self.env.num_envs)]
        else:
            self.states = [states.get(i, state) for i, state in enumerate(self.states)]
        for i in positions:
            self.episodes[i] = Episode(seeds[i])
            self.histories[i] = []
            self.episode_numbers[i] += 1

    def _advance(self, actions: list[int], transitions: list[Transition], gamma: float) -> list[Episode]:
        """Move on to the next states; returns the episodes that ended."""
        self.states = [transition.state for transition in transitions]
        ended = []
        for i, (action, transition) in enumerate(zip(actions, transitions, strict=True)):
            self.episodes[i].record(transition, gamma)
            self.histories[i].append(action)
            if transition.terminated or transition.truncated:
                ended.append(i)
        finished = [self.episodes[i] for i in ended]
        if ended:
            self._start_episodes(ended)
        return finished

    def _values(
        self, policy: Policy, states: list[list[State]], transitions: list[list[Transition]]
    ) -> tuple[Tensor, Tensor]:
        """Values of the states and of those that followed them, from one call: [S, N] twice."""
        followers = [
            t.state
            for s, row in enumerate(transitions)
            for t in row
            if t.truncated or s == self.num_steps - 1 and not t.terminated
        ]
        all_values = policy.state_values([state for row in states for state in row] + followers).float().cpu()
        count = len(states) * self.env.num_envs
        values = all_values[:count].view(len(states), -1)
        next_values = torch.cat([values[1:], torch.zeros_like(values[:1])])
        follower_values = iter(all_values[count:])
        for s, row in enumerate(transitions):
            for n, transition in enumerate(row):
                if transition.terminated:
                    next_values[s, n] = 0.0
                elif transition.truncated or s == self.num_steps - 1:
                    next_values[s, n] = next(follower_values)
        return values, next_values

    def state_dict(self) -> dict[str, Any]:
        """Enough to come back to the unfinished episodes: seeds, actions taken and what they show now."""
        return {
            "indices": list(self.indices),
            "episode_numbers": list(self.episode_numbers),
            "seeds": [episode.seed for episode in self.episodes],
            "returns": [
                [e.undiscounted_return, e.discounted_return, float(e.length), float(e.duration)] for e in self.episodes
            ],
            "histories": [list(history) for history in self.histories],
            "prompts": [state.decision.prompt for state in self.states],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Replay the unfinished episodes.

        Raises:
            UserError: An environment shows another prompt than it did when the state was saved, or there are more or
                fewer of them.
        """
        if state["indices"] != self.indices:
            raise UserError(
                f"The checkpoint holds the episodes of {len(state['indices'])} environments a process, this run has "
                f"{len(self.indices)}: set data.num_envs={len(state['indices'])} to go on with them."
            )
        self.episode_numbers = list(state["episode_numbers"])
        self.histories = [list(history) for history in state["histories"]]
        if not state["prompts"]:
            return
        states = self.env.reset(dict(enumerate(state["seeds"])), dict(enumerate(self.histories)))
        self.states = [states[i] for i in range(self.env.num_envs)]
        for i, prompt in enumerate(state["prompts"]):
            if self.states[i].decision.prompt != prompt:
                raise UserError(
                    f"Environment {self.indices[i]} does not come back to where the checkpoint left it: after "
                    f"reset(seed={state['seeds'][i]}) and "
                    f"{len(self.histories[i])} actions it shows {self.states[i].decision.prompt!r} instead of "
                    f"{prompt!r}; exact resume needs the "
                    "same environment (data.env, data.env_kwargs) and one that honours its seed."
                )
        self.episodes = [
            Episode(seed, undiscounted, discounted, int(length), int(duration))
            for seed, (undiscounted, discounted, length, duration) in zip(state["seeds"], state["returns"], strict=True)
        ]


def pad_actions(log_probs: Sequence[Tensor]) -> Tensor:
    """Stack tables [N, K_s] of different widths into [S, N, K], ``-inf`` where a row has fewer actions."""
    width = max(table.shape[-1] for table in log_probs)
    return torch.stack(
        [torch.nn.functional.pad(table, (0, width - table.shape[-1]), value=-torch.inf) for table in log_probs]
    )


def _table(transitions: list[list[Transition]], read: Any, dtype: torch.dtype) -> Tensor:
    return torch.tensor([[read(transition) for transition in row] for row in transitions], dtype=dtype)
