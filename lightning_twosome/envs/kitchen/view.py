"""What the cook sees: items within the view's radius and what is in hand. Nothing is remembered.

state -> View    facts that the prompt may state and the action texts may rely on
state -> vector  the same view as numbers, for baselines that read no text
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lightning_twosome.envs.kitchen.simulator import BOWL, HAND, HOME, Kitchen, State
from lightning_twosome.envs.kitchen.task import N_TASK_INDICES

CHOPS_WHEN_CHOPPED = 3
"""What the vector reads for a chopped food; a raw one reads 0."""


@dataclass(frozen=True, slots=True)
class Item:
    """A food, raw or chopped, or the bowl with the foods in it."""

    name: str
    chopped: bool = False
    contents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """What is known in a state.

    ``at_home`` names the visible items that still stand at home, ``boards`` what visible boards hold (an empty board is
    not listed, like one that is out of view), ``at_board`` is the board that the cook stands at, or empty, and ``hand``
    is what the cook carries.
    """

    at_home: tuple[str, ...]
    boards: tuple[tuple[str, Item], ...]
    at_board: str
    hand: Item | None


def look(kitchen: Kitchen, state: State) -> View:
    """The view of the cook in a state."""
    task = kitchen.task
    places = dict(zip(task.foods, state.foods, strict=True)) | {"bowl": state.bowl}
    at_home = (name for name, place in places.items() if place == HOME and kitchen.sees(state.agent, task.homes[name]))
    visible = (board for board, cell in task.boards.items() if kitchen.sees(state.agent, cell))
    boards = tuple((board, item) for board in visible if (item := item_at(kitchen, state, board)) is not None)
    return View(tuple(at_home), boards, kitchen.board_beside(state.agent), item_at(kitchen, state, HAND))


def item_at(kitchen: Kitchen, state: State, place: str) -> Item | None:
    """What a hand or a board holds in a state, if anything."""
    if state.bowl == place:
        inside = (food for food, where in zip(kitchen.task.foods, state.foods, strict=True) if where == BOWL)
        return Item("bowl", contents=tuple(inside))
    food = kitchen.food_at(state, place)
    return None if food is None else Item(kitchen.task.foods[food], state.chopped[food])


def vector(kitchen: Kitchen, state: State) -> NDArray[np.float32]:
    """The symbolic observation.

    In this order: (row, column, chops) of each food, (row, column) of the bowl, of each board, of the delivery counter
    and of the agent, and a 7-way one-hot of the task. What is out of view reads 0.
    """
    task, numbers = kitchen.task, list[int]()
    for food, chopped in zip(task.foods, state.chopped, strict=True):
        cell = kitchen.position(state, food)
        numbers += [*cell, CHOPS_WHEN_CHOPPED * chopped] if kitchen.sees(state.agent, cell) else [0, 0, 0]
    for cell in (kitchen.position(state, "bowl"), *task.boards.values(), task.delivery):
        numbers += cell if kitchen.sees(state.agent, cell) else (0, 0)
    numbers += state.agent
    numbers += [int(index == task.task_index) for index in range(N_TASK_INDICES)]
    return np.array(numbers, dtype=np.float32)
