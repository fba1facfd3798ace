"""What several training processes tell one another, and how work and state are divided among them.

Environments have one number over all processes: process r of W has those from ``r * N`` to ``(r + 1) * N``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

Item = TypeVar("Item")


def gather(own: Item, world_size: int) -> list[Item]:
    """Each process's item, in the order of their ranks; every process must call it."""
    if world_size == 1:
        return [own]
    items: list[Any] = [None] * world_size
    torch.distributed.all_gather_object(items, own)
    return items


def alternately(parts: Sequence[Sequence[Item]]) -> list[Item]:
    """Undo the dealing out of items one by one: the first of each part, the second of each, and so on."""
    missing = object()
    rows = zip_longest(*parts, fillvalue=missing)
    return [item for row in rows for item in row if item is not missing]  # type: ignore[misc]


def deal(rows: np.ndarray, owner: np.ndarray, processes: int) -> list[np.ndarray]:
    """Equally many rows for each process: its own first, and of what others have over as many as it lacks.

    Args:
        rows: Index of rows, a multiple of ``processes``.
        owner: The process of every row there is.
        processes: How many there are.
    """
    share = len(rows) // processes
    own = [rows[owner[rows] == process] for process in range(processes)]
    over = np.concatenate([part[share:] for part in own])
    dealt = []
    for part in own:
        lacking = max(0, share - len(part))
        dealt.append(np.concatenate([part[:share], over[:lacking]]))
        over = over[lacking:]
    return dealt


def joined_state(parts: Sequence[dict[str, list[Any]]]) -> dict[str, list[Any]]:
    """The state of all environments from those of each process, lists with an entry an environment."""
    return {name: [entry for part in parts for entry in part[name]] for name in parts[0]}


def part_of_state(state: dict[str, list[Any]], rank: int, processes: int) -> dict[str, list[Any]]:
    """One process's part of the state of all environments."""
    size = len(state["indices"]) // processes
    return {name: entries[rank * size : (rank + 1) * size] for name, entries in state.items()}


def own_part_of_sums(parts: Sequence[dict[str, Tensor]], rank: int, processes: int) -> dict[str, Tensor]:
    """What a process goes on with of sums that are added up over processes in the end.

    Args:
        parts: The sums of each process that there was, by name.
        rank: Of this process.
        processes: How many there are now: as many take up their own, bit by bit; others take equal shares, so that none
            is without a sum that the others have and would leave out the exchange in the end.
    """
    if len(parts) == processes:
        return parts[rank]
    return {name: torch.stack([part[name] for part in parts]).sum(dim=0) / processes for name in parts[0]}
