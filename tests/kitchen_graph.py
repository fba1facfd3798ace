"""A kitchen task as arrays, solved without the environment: an independent check of its figures."""

import itertools

import numpy as np

from lightning_twosome.envs.kitchen.simulator import CHOPPED, DELIVERED, REJECTED, Kitchen
from lightning_twosome.envs.kitchen.task import load_task

GAMMA, STEP, CHOP, DELIVERY, WRONG = 0.99, -0.001, 0.2, 1.0, -0.1


class Graph:
    """Every reachable state and transition; arrays [states, actions]. ``next`` is -1 after a correct delivery."""

    def __init__(self, task):
        self.name = task
        self.task = load_task(task)
        self.kitchen = Kitchen(self.task)
        self.states = [self.kitchen.initial]
        self.index = {self.kitchen.initial: 0}
        self.outcomes = []
        for state in self.states:  # grows while it is walked through
            self.outcomes.append([self.kitchen.act(state, action) for action in self.task.actions])
            for outcome in self.outcomes[-1]:
                if outcome.event != DELIVERED and outcome.state not in self.index:
                    self.index[outcome.state] = len(self.states)
                    self.states.append(outcome.state)
        self.next = self.table(lambda outcome: self.index.get(outcome.state, -1))
        self.duration = self.table(lambda outcome: outcome.duration)
        self.delivers = self.table(lambda outcome: outcome.event == DELIVERED)
        self.bonus = self.table(lambda o: {CHOPPED: 0.0, DELIVERED: DELIVERY, REJECTED: WRONG}.get(o.event, 0.0))

    def table(self, number):
        return np.array([[number(outcome) for outcome in row] for row in self.outcomes])

    def chops(self, food):
        """Where a food of that name is chopped."""
        return self.table(lambda outcome: outcome.event == CHOPPED and outcome.food == food)

    def rewards(self, bonus):
        """Discounted reward of each macro-action, its bonus falling due at its last primitive step."""
        return STEP * (1 - GAMMA**self.duration) / (1 - GAMMA) + GAMMA ** (self.duration - 1) * bonus

    def optimal_values(self):
        """Action values [paid sets, states, actions] when each recipe food's chop is paid once per episode."""
        recipe = sorted(self.task.recipe)
        paid_sets = [frozenset(s) for n in range(len(recipe) + 1) for s in itertools.combinations(recipe, n)]
        values = np.zeros((len(paid_sets), len(self.states), len(self.task.actions)))
        for row in reversed(range(len(paid_sets))):  # a paid set only leads to itself and larger ones
            paid, follow, bonus = paid_sets[row], np.full(self.next.shape, row), self.bonus.copy()
            for food in set(recipe) - paid:
                bonus += CHOP * self.chops(food)
                follow[self.chops(food)] = paid_sets.index(paid | {food})
            rewards, discount = self.rewards(bonus), GAMMA**self.duration * ~self.delivers
            change = 1.0
            while change > 1e-12:
                updated = rewards + discount * values.max(axis=2)[follow, self.next]
                change, values[row] = np.abs(updated - values[row]).max(), updated
        return paid_sets, values

    def farmed(self):
        """The largest undiscounted return within the horizon when every recipe chop pays."""
        rewards = STEP * self.duration + self.bonus_of_every_chop()
        horizon, value = self.task.horizon, np.zeros((self.task.horizon + self.duration.max(), len(self.states)))
        for time in reversed(range(horizon)):
            value[time] = (rewards + ~self.delivers * value[time + self.duration, self.next]).max(axis=1)
        return value[0, 0]

    def random_policy(self):
        """Success and mean discounted return of the uniform policy when every recipe chop pays; exact."""
        rewards, discount = self.rewards(self.bonus_of_every_chop()), GAMMA**self.duration * ~self.delivers
        horizon, longest = self.task.horizon, self.duration.max()
        value, success = np.zeros((2, horizon + longest, len(self.states)))
        for time in reversed(range(horizon)):
            later = time + self.duration
            value[time] = (rewards + discount * value[later, self.next]).mean(axis=1)
            success[time] = np.where(self.delivers, 1.0, success[later, self.next]).mean(axis=1)
        return success[0, 0], value[0, 0]

    def bonus_of_every_chop(self):
        """What each transition pays besides its steps when a food pays for every chopping."""
        return self.bonus + CHOP * sum(self.chops(food) for food in self.task.recipe)
