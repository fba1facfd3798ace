"""The best plan of a kitchen task: value iteration over every state that can be reached.

    V(paid, s) = max_a  r(paid, s, a) + gamma^duration(s, a) * V(paid', s')        r: discounted within the macro-action

``paid`` are the recipe's foods whose chopping was rewarded already; it only grows, so that the largest set is solved
first and each set once. Arrays are [states, actions].
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_twosome.envs.kitchen.simulator import CHOPPED, DELIVERED, REJECTED, Kitchen, Outcome, State
from lightning_twosome.errors import UserError

TOLERANCE = 1e-12


class Solution:
    """The value and the best action of every reachable state, each recipe food's chop being paid once an episode.

    The horizon is left out of account: what is best may take longer than an episode has left.

    Args:
        kitchen: The rules.
        gamma: Discount per primitive step, above 0 and at most 1.

    Raises:
        UserError: ``gamma`` is out of range.
    """

    def __init__(self, kitchen: Kitchen, gamma: float) -> None:
        if not 0 < gamma <= 1:
            raise UserError(f"the kitchen's optimum was asked for gamma = {gamma}: give one above 0 and at most 1")
        self._states, outcomes = _explore(kitchen)
        task, rewards = kitchen.task, kitchen.task.rewards
        duration = _table(outcomes, lambda outcome: outcome.duration)
        due = {DELIVERED: rewards.delivery, REJECTED: rewards.wrong_delivery}
        steps = np.array([sum(gamma**step for step in range(length)) for length in range(duration.max() + 1)])
        last = gamma ** (duration - 1)
        self._rewards = rewards.step * steps[duration] + last * _table(outcomes, lambda o: due.get(o.event, 0.0))
        self._chop_rewards = last * rewards.chop
        self._chopped = _table(outcomes, lambda outcome: outcome.food if outcome.event == CHOPPED else "")
        self._discounts = gamma**duration * _table(outcomes, lambda outcome: outcome.event != DELIVERED)
        self._next = _table(outcomes, lambda outcome: self._states.get(outcome.state, 0))
        self._values: dict[frozenset[str], NDArray[np.float64]] = {}
        for size in reversed(range(len(task.recipe) + 1)):
            for foods in combinations(sorted(task.recipe), size):
                self._values[frozenset(foods)] = self._solve(frozenset(foods), task.recipe, task.horizon)

    def action(self, state: State, paid: frozenset[str]) -> int:
        """The index of the best action."""
        return int(self._values[paid][self._states[state]].argmax())

    def value(self, state: State, paid: frozenset[str]) -> float:
        """The discounted return of the best plan."""
        return float(self._values[paid][self._states[state]].max())

    def _solve(self, paid: frozenset[str], recipe: frozenset[str], horizon: int) -> NDArray[np.float64]:
        """Action values of a paid set; those of larger sets are known."""
        chops = {food: self._chopped == food for food in recipe - paid}
        rewards = self._rewards + self._chop_rewards * sum(chops.values(), np.zeros(self._next.shape))
        values = np.zeros(self._next.shape)
        # No plan has more actions than primitive steps; without discount, a state with no way to deliver never settles.
        for _ in range(horizon):
            best = values.max(axis=1)[self._next]
            for food, chopped in chops.items():
                best = np.where(chopped, self._values[paid | {food}].max(axis=1)[self._next], best)
            previous, values = values, rewards + self._discounts * best
            if np.abs(values - previous).max() < TOLERANCE:
                break
        return values


def _explore(kitchen: Kitchen) -> tuple[dict[State, int], list[list[Outcome]]]:
    """The index of every state that can be reached before a delivery ends the episode, and the outcomes of each."""
    index, states, outcomes = {kitchen.initial: 0}, [kitchen.initial], []
    for state in states:  # grows while it is walked through
        outcomes.append([kitchen.act(state, action) for action in kitchen.task.actions])
        for outcome in outcomes[-1]:
            if outcome.event != DELIVERED and outcome.state not in index:
                index[outcome.state] = len(states)
                states.append(outcome.state)
    return index, outcomes


def _table(outcomes: list[list[Outcome]], read: Callable[[Outcome], Any]) -> NDArray[Any]:
    return np.array([[read(outcome) for outcome in row] for row in outcomes])
