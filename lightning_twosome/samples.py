"""What a Lightning batch is here: decisions to learn from, or episodes to play."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_twosome.agent import unique_items
from lightning_twosome.decisions import Decision
from lightning_twosome.vector_env import State, TextVectorEnv

# Plain classes: Lightning copies a dataclass and, with precision bf16-true, rounds the tensors in it.


class Samples:
    """B decisions of a rollout, flattened, with what the update needs.

    Args:
        states: B states.
        actions: int64 [B], index of the taken action.
        log_probs: float32 [B, K], log-probability of every offered action when it was taken.
        values: float32 [B], value when it was taken; or [B, M], of each choice in it, 0 in padding, as the next two.
        advantages: float32 [B] or [B, M].
        returns: float32 [B] or [B, M].
    """

    def __init__(
        self,
        states: list[State],
        actions: Tensor,
        log_probs: Tensor,
        values: Tensor,
        advantages: Tensor,
        returns: Tensor,
    ) -> None:
        self.states = states
        self.actions = actions
        self.log_probs = log_probs
        self.values = values
        self.advantages = advantages
        self.returns = returns

    def __len__(self) -> int:
        return len(self.states)

    @property
    def decisions(self) -> list[Decision]:
        """The B decisions."""
        return [state.decision for state in self.states]

    def _tensors(self) -> dict[str, Tensor]:
        return {name: value for name, value in vars(self).items() if name != "states"}

    def select(self, index: np.ndarray) -> Samples:
        """The samples at ``index``, in its order."""
        rows = torch.from_numpy(index)
        return type(self)([self.states[i] for i in index], **{name: t[rows] for name, t in self._tensors().items()})

    def to(self, device: torch.device, non_blocking: bool = False) -> Samples:
        """The same with its tensors on ``device``."""
        return type(self)(
            self.states, **{name: t.to(device, non_blocking=non_blocking) for name, t in self._tensors().items()}
        )

    @classmethod
    def joined(cls, parts: Sequence[Samples], num_steps: int) -> Samples:
        """Rollouts of several processes in the order in which one process with all environments would have it.

        Args:
            parts: Each [S * N], all of the same size.
            num_steps: S.
        """
        size = len(parts[0]) // num_steps
        rows = [slice(step * size, (step + 1) * size) for step in range(num_steps)]
        states = [state for row in rows for part in parts for state in part.states[row]]
        return cls(states, **{name: _joined([vars(part)[name] for part in parts], name, rows) for name in _TENSORS})

    def state_dict(self) -> dict[str, Any]:
        """Primitives and tensors only, each different decision once."""
        different, index = unique_items(self.decisions)
        restatements, restatement_index = unique_items([state.restatement for state in self.states])
        return {
            "decisions": [_plain(decision) for decision in different],
            "index": index,
            "restatements": [None if restatement is None else _plain(restatement) for restatement in restatements],
            "restatement_index": restatement_index,
            "players": [state.player for state in self.states],
            "tasks": [state.task for state in self.states],
            **_stacked([state.vector for state in self.states]),
            "action_ids": [None if s.action_ids is None else list(s.action_ids) for s in self.states],
            **self._tensors(),
        }

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> Samples:
        """Undo :meth:`state_dict`."""
        tensors = dict(state)
        decisions = [_decision(plain) for plain in tensors.pop("decisions")]
        restatements = [None if plain is None else _decision(plain) for plain in tensors.pop("restatements")]
        vectors = _unstacked(tensors.pop("vectors"), tensors.pop("vector_index"))
        action_ids = tensors.pop("action_ids")
        names = ("index", "restatement_index", "players", "tasks")
        states = [
            State(
                decision=decisions[decision],
                vector=vectors[row],
                action_ids=None if action_ids[row] is None else tuple(action_ids[row]),
                player=player,
                task=task,
                restatement=restatements[restatement],
            )
            for row, (decision, restatement, player, task) in enumerate(zip(*map(tensors.pop, names), strict=True))
        ]
        return cls(states, **tensors)


_TENSORS = ("actions", "log_probs", "values", "advantages", "returns")


def _joined(parts: list[Tensor], name: str, rows: list[slice]) -> Tensor:
    if parts[0].dim() > 1:  # tables of different widths
        width, padding = max(part.shape[1] for part in parts), -torch.inf if name == "log_probs" else 0.0
        parts = [torch.nn.functional.pad(part, (0, width - part.shape[1]), value=padding) for part in parts]
    return torch.cat([part[row] for row in rows for part in parts])


def _plain(decision: Decision) -> list[Any]:
    return [decision.prompt, list(decision.actions)]


def _decision(plain: list[Any]) -> Decision:
    return Decision(plain[0], tuple(plain[1]))


def _stacked(vectors: list[np.ndarray | None]) -> dict[str, Any]:
    """Vectors as few tensors: one of those of each shape and type, which tasks of a mixture differ in."""
    kinds = [None if vector is None else (vector.shape, vector.dtype) for vector in vectors]
    different, index = unique_items(kinds)
    groups = [[v for v, k in zip(vectors, kinds, strict=True) if v is not None and k == kind] for kind in different]
    return {
        "vectors": [torch.from_numpy(np.stack(group)) if group else None for group in groups],
        "vector_index": index,
    }


def _unstacked(stacks: list[Tensor | None], index: list[int]) -> list[np.ndarray | None]:
    rows = [iter(()) if stack is None else iter(stack.numpy()) for stack in stacks]
    return [next(rows[number], None) for number in index]


class EpisodeBatch:
    """Episodes for an evaluation step to play.

    Args:
        env: Where to play them.
        seeds: Seed of each.
        greedy: Take the most probable action instead of sampling.
        task: Name of their task; ``None`` where the environment says it of each.
    """

    def __init__(self, env: TextVectorEnv, seeds: tuple[int, ...], greedy: bool, task: str | None = None) -> None:
        self.env = env
        self.seeds = seeds
        self.greedy = greedy
        self.task = task

    def to(self, device: torch.device) -> EpisodeBatch:
        """Nothing to move: what is here lives on the host."""
        return self
