"""What a macro-action does in the kitchen: pure functions of a state, without rewards, views or words.

    state --act(action)--> Outcome(state after it, its duration in primitive steps, what happened at the last of them)

Durations are computed, not walked: d is the number of floor cells to the target's only neighbour on the floor.
"""

from __future__ import annotations

from typing import NamedTuple

from lightning_twosome.envs.kitchen.task import Action, Cell, KitchenTask

HOME, HAND, BOWL, SERVED = "home", "hand", "bowl", "served"
"""The places an item can be in, besides the boards, which are named "board 1", "board 2", ..."""

CHOPPED, DELIVERED, REJECTED = "chopped", "delivered", "rejected"
"""What can happen at the end of a macro-action."""


class State(NamedTuple):
    """Where everything is. ``foods`` and ``chopped`` follow the order of the task's foods."""

    agent: Cell
    foods: tuple[str, ...]
    chopped: tuple[bool, ...]
    bowl: str


class Outcome(NamedTuple):
    """The end of one macro-action; ``event`` is CHOPPED, DELIVERED, REJECTED or empty, ``food`` what was chopped."""

    state: State
    duration: int
    event: str = ""
    food: str = ""


class Kitchen:
    """The rules of one task's kitchen. Holds no state of an episode, so that one instance serves any number of them."""

    def __init__(self, task: KitchenTask) -> None:
        self.task = task
        n_foods = len(task.foods)
        self.initial = State(task.start, (HOME,) * n_foods, (False,) * n_foods, HOME)
        self._foods = {food: index for index, food in enumerate(task.foods)}
        self._beside = {name: task.floor_beside(cell) for name, cell in (task.homes | task.boards).items()}
        self._beside_delivery = task.floor_beside(task.delivery)

    def act(self, state: State, action: Action) -> Outcome:
        """Carry out a macro-action to its end."""
        if action.kind == "get" and action.target == "bowl":
            return self._get_bowl(state)
        if action.kind == "get":
            return self._get_food(state, self._foods[action.target])
        if action.kind == "go":
            return self._go(state, action.target)
        return self._deliver(state) if action.kind == "deliver" else self._chop(state)

    def position(self, state: State, item: str) -> Cell:
        """The cell of a food or the bowl: the agent's for what is carried, the bowl's for what is in it."""
        place = state.bowl if item == "bowl" else state.foods[self._foods[item]]
        if place == BOWL:
            place, item = state.bowl, "bowl"
        if place == HAND:
            return state.agent
        if place == HOME:
            return self.task.homes[item]
        return self.task.delivery if place == SERVED else self.task.boards[place]

    def sees(self, agent: Cell, cell: Cell) -> bool:
        """Whether a cell lies within the view of an agent."""
        return max(abs(agent[0] - cell[0]), abs(agent[1] - cell[1])) <= self.task.view_radius

    def board_beside(self, agent: Cell) -> str:
        """The board that the agent stands at, or nothing."""
        return next((board for board in self.task.boards if self._beside[board] == agent), "")

    def food_at(self, state: State, place: str) -> int | None:
        """The index of the food that lies in a hand or on a board by itself, if one does."""
        return state.foods.index(place) if place in state.foods else None

    def _get_food(self, state: State, food: int) -> Outcome:
        name, place = self.task.foods[food], state.foods[food]
        if place == HAND:
            return Outcome(state, 1)
        if place == BOWL:
            return self._look_for(state, self.position(state, name))
        beside = self._beside[name if place == HOME else place]
        distance, there = _distance(state.agent, beside), state._replace(agent=beside)
        if place != HOME and not state.chopped[food]:
            return Outcome(there, max(distance, 1))
        if state.bowl == HAND and state.chopped[food]:
            there = _move(there, food, BOWL)
        elif state.bowl != HAND and self.food_at(state, HAND) is None:
            there = _move(there, food, HAND)
        return Outcome(there, distance + 1)

    def _look_for(self, state: State, cell: Cell) -> Outcome:
        """Walk until a cell is in view, then stand there for one step."""
        goal, (row, column) = self.task.floor_beside(cell), state.agent
        walked = 0
        while not self.sees((row, column), cell):
            if row != goal[0]:
                row += 1 if row < goal[0] else -1
            else:
                column += 1 if column < goal[1] else -1
            walked += 1
        return Outcome(state._replace(agent=(row, column)), walked + 1)

    def _get_bowl(self, state: State) -> Outcome:
        if state.bowl == HAND:
            return Outcome(state, 1)
        beside, held = self._beside[state.bowl if state.bowl != HOME else "bowl"], self.food_at(state, HAND)
        distance, there = _distance(state.agent, beside), state._replace(agent=beside)
        if held is None:
            return Outcome(there._replace(bowl=HAND), distance + 1)
        if not state.chopped[held]:
            return Outcome(there, distance + 1)
        return Outcome(_move(there, held, BOWL)._replace(bowl=HAND), distance + 2)

    def _go(self, state: State, board: str) -> Outcome:
        distance, there = _distance(state.agent, self._beside[board]), state._replace(agent=self._beside[board])
        held, lying = self.food_at(state, HAND), self.food_at(state, board)
        if held is None and state.bowl != HAND:
            return Outcome(there, max(distance, 1))
        if lying is None and state.bowl != board:
            there = there._replace(bowl=board) if held is None else _move(there, held, board)
        elif lying is not None and state.bowl == HAND and state.chopped[lying]:
            there = _move(there, lying, BOWL)
        elif held is not None and state.bowl == board and state.chopped[held]:
            there = _move(there, held, BOWL)._replace(bowl=HAND)
        return Outcome(there, distance + 1)

    def _deliver(self, state: State) -> Outcome:
        distance, there = _distance(state.agent, self._beside_delivery), state._replace(agent=self._beside_delivery)
        if state.bowl != HAND and self.food_at(state, HAND) is None:
            return Outcome(there, max(distance, 1))
        inside = {food for food, place in zip(self.task.foods, state.foods, strict=True) if place == BOWL}
        if state.bowl == HAND and inside == self.task.recipe:
            return Outcome(there._replace(bowl=SERVED), distance + 1, DELIVERED)
        return Outcome(self._send_back(there), distance + 1, REJECTED)

    def _send_back(self, state: State) -> State:
        """What was handed over goes home, its foods raw again; what lies on the boards stays."""
        handed_over = {HAND, BOWL} if state.bowl == HAND else {HAND}
        kept = [place not in handed_over for place in state.foods]
        return state._replace(
            foods=tuple(place if keep else HOME for place, keep in zip(state.foods, kept, strict=True)),
            chopped=tuple(chopped and keep for chopped, keep in zip(state.chopped, kept, strict=True)),
            bowl=HOME if state.bowl == HAND else state.bowl,
        )

    def _chop(self, state: State) -> Outcome:
        board = self.board_beside(state.agent)
        food = self.food_at(state, board) if board else None
        if food is None or state.chopped[food]:
            return Outcome(state, 1)
        if state.bowl == HAND or self.food_at(state, HAND) is not None:
            return Outcome(state, self.task.chop_steps)
        chopped = (*state.chopped[:food], True, *state.chopped[food + 1 :])
        return Outcome(state._replace(chopped=chopped), self.task.chop_steps, CHOPPED, self.task.foods[food])


def _distance(start: Cell, end: Cell) -> int:
    return abs(start[0] - end[0]) + abs(start[1] - end[1])


def _move(state: State, food: int, place: str) -> State:
    return state._replace(foods=(*state.foods[:food], place, *state.foods[food + 1 :]))
