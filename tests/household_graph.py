"""A household task as a graph, solved without the environment: an independent check of its figures."""

import numpy as np

from lightning_twosome.envs.household.simulator import House
from lightning_twosome.envs.household.task import load_task

GAMMA = 0.95


class Graph:
    """Every state that can be reached before the goal, and where its offered actions lead; -1 is the goal."""

    def __init__(self, task, faithful=False):
        self.task = load_task(task)
        self.house = House(self.task, faithful)
        self.states = [self.house.initial]
        self.index = {self.house.initial: 0}
        self.next = []
        for state in self.states:  # grows while it is walked through
            self.next.append([self.number(self.after(state, i)) for i in self.house.offered(state)])

    def after(self, state, action):
        """The state after the action at an index of the task's list; refused actions change nothing."""
        return self.house.act(state, self.task.actions[action]) or state

    def number(self, state):
        """The index of a state, a new one if it was not met."""
        if self.house.succeeded(state):
            return -1
        if state not in self.index:
            self.index[state] = len(self.states)
            self.states.append(state)
        return self.index[state]

    def distances(self):
        """How many actions are left to the goal, by state; from the goal backwards."""
        left = np.full(len(self.states) + 1, np.inf)
        left[-1] = 0
        while True:
            updated = np.array([1 + min(left[row]) for row in self.next] + [0.0])
            if (updated == left).all():
                return left[:-1]
            left = updated

    def random_policy(self):
        """Success and mean discounted return of the policy that is uniform over the offered actions; exact."""
        success, value = (np.append(np.zeros(len(self.states)), 1.0) for _ in range(2))
        for _ in range(self.task.horizon):
            success, value = (
                np.array([discount * np.mean(old[row]) for row in self.next] + [1.0])
                for old, discount in ((success, 1.0), (value, GAMMA))
            )
        return success[0], value[0] / GAMMA
