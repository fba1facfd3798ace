"""A house, each state computed once: what follows, what is offered, what it says. All its environments share it."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_twosome.envs.household.simulator import House, State
from lightning_twosome.envs.household.task import HouseholdTask
from lightning_twosome.envs.household.text import PROMPT_STYLES, Narrator
from lightning_twosome.errors import UserError

MOST_SCENES = 10_000  # a second or two
MEMORY = 50_000  # scenes kept


class Texts(NamedTuple):
    """A state in the words of one style."""

    prompt: str
    actions: tuple[str, ...]


class Scene:
    """One state, with what follows from it."""

    def __init__(self, house: House, state: State) -> None:
        self.state = state
        self.action_ids = house.offered(state)
        self.n_actions = np.int64(len(self.action_ids))
        self.succeeded = house.succeeded(state)
        self.vector: NDArray[np.float32] = np.array(
            [house.seen(state, fact) for fact in house.task.vector], dtype=np.float32
        )
        self.texts: dict[str, Texts] = {}
        self.following: list[Scene | None] = [None] * len(self.action_ids)
        self.best: int | None = None


class World:
    """The scenes of one house; each is computed when it is first needed, and kept."""

    def __init__(self, task: HouseholdTask, faithful: bool) -> None:
        self.house = House(task, faithful)
        self._narrators = {style: Narrator(self.house, style) for style in PROMPT_STYLES}
        self._scenes: dict[State, Scene] = {}
        self.initial = self._scene(self.house.initial)
        if self.initial.succeeded:
            raise UserError(f"the household task {task.name!r} begins with its goal reached: change its goal")

    def begin(self) -> Scene:
        """The scene at the start of an episode; where too many are kept, all others are forgotten."""
        if len(self._scenes) > MEMORY:
            self._scenes.clear()
            self.initial = self._scene(self.house.initial)
        return self.initial

    def _scene(self, state: State) -> Scene:
        scene = self._scenes.get(state)
        if scene is None:
            scene = self._scenes[state] = Scene(self.house, state)
        return scene

    def follow(self, scene: Scene, index: int) -> Scene:
        """The scene after the action at an index of the offered ones; a refused action changes nothing."""
        following = scene.following[index]
        if following is None:
            action = self.house.task.actions[scene.action_ids[index]]
            following = self._scene(self.house.act(scene.state, action) or scene.state)
            scene.following[index] = following
        return following

    def texts(self, scene: Scene, style: str) -> Texts:
        """The words of a scene."""
        texts = scene.texts.get(style)
        if texts is None:
            narrator = self._narrators[style]
            prompt, actions = narrator.prompt(scene.state), narrator.actions(scene.state, scene.action_ids)
            texts = scene.texts[style] = Texts(prompt, actions)
        return texts

    def best_action(self, scene: Scene) -> int:
        """The index of the first action of a shortest way to the goal."""
        if scene.best is None:
            self._search(scene)
        assert scene.best is not None
        return scene.best

    def shortest(self) -> int:
        """How many actions the shortest way to the goal has."""
        scene, length = self.initial, 0
        while not scene.succeeded:
            scene, length = self.follow(scene, self.best_action(scene)), length + 1
        return length

    def check_solvable(self) -> None:
        """Refuse a task whose goal cannot be reached, or not within its horizon; a very large one is not searched.

        Raises:
            UserError: There is no way to the goal, or none that is short enough.
        """
        self._search(self.initial, MOST_SCENES)
        if self.initial.best is None:
            return
        task, length = self.house.task, self.shortest()
        if length > task.horizon:
            raise UserError(
                f"the household task {task.name!r} needs {length} decisions at least, and its horizon is "
                f"{task.horizon}: raise the horizon"
            )

    def _search(self, start: Scene, most: int | None = None) -> None:
        """Breadth first to the goal, in at most so many scenes; every scene on the way found learns its best action."""
        reached: dict[Scene, tuple[Scene, int] | None] = {start: None}
        queue = [start]
        for scene in queue:  # grows while it is walked through
            if most is not None and len(queue) > most:
                return
            if scene.succeeded and scene is not start:
                step = reached[scene]
                while step is not None:
                    before, index = step
                    before.best = index
                    step = reached[before]
                return
            for index in range(len(scene.action_ids)):
                following = self.follow(scene, index)
                if following not in reached:
                    reached[following] = scene, index
                    queue.append(following)
        raise UserError(
            f"the household task {self.house.task.name!r} has no way to its goal from here: check its goal, the places "
            "of its objects and its list of actions"
        )


@lru_cache(maxsize=64)
def shared_world(task: HouseholdTask, faithful: bool) -> World:
    """The one world of a task and a physics."""
    return World(task, faithful)
