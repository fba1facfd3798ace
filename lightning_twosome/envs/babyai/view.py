"""What the agent knows: the cells of its view by direction and distance, what it carries, and what its mission needs.

minigrid's view is a square of 7 x 7 cells with the agent at the bottom, looking up; walls and closed doors hide what is
behind them::

    . . . . . . .
    . . . o . . .     o  (ahead 5, right 0)
    . . . . . . .
    . . . . . . .
    . o . . . . .     o  (ahead 2, right -2)
    . . . . . . .
    . . . ^ . o .     ^  the agent, o (ahead 0, right 2)

Nothing else is remembered but where things of the mission's words "on your left" stood at the start, since those words
are about the start, and which parts of a mission of several parts are done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEFT, RIGHT, FORWARD, PICK_UP, DROP, TOGGLE = range(6)
"""minigrid's numbers of the actions that are offered; ``info["action_ids"]`` speaks of these."""


@dataclass(frozen=True, slots=True)
class Thing:
    """An object in view.

    Attributes:
        kind: "ball", "box", "key" or "door".
        color: Its colour.
        state: "open", "closed" or "locked" for a door, else empty.
        ahead: Steps ahead of the agent.
        right: Steps to the right of it, negative to the left.
        places: Where it was, seen from the agent's start, in the words that the mission uses ("left", "front", ...).
    """

    kind: str
    color: str
    state: str = ""
    ahead: int = 0
    right: int = 0
    places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """What is known in a state.

    Attributes:
        mission: The mission in minigrid's words.
        done: The parts of the mission that are done.
        things: What is in view, the nearest first.
        carried: What is in hand.
        wall: Steps to the wall or the edge of the view ahead, 0 where something hides it or none is in view.
        facing: What stands right in front of the agent.
        left: What the agent would look at after turning left: the first thing in that line.
        front: The first thing ahead.
        right: What it would look at after turning right.
        beside: A thing next to the cell in front, where that cell is free: what a thing put down there is next to.
        actions: The valid actions, as minigrid's numbers.
    """

    mission: str
    done: tuple[str, ...]
    things: tuple[Thing, ...]
    carried: Thing | None
    wall: int
    facing: Thing | None
    left: Thing | None
    front: Thing | None
    right: Thing | None
    beside: tuple[Thing, ...]
    actions: tuple[int, ...]


class Looker:
    """Makes the views of one episode.

    Args:
        level: minigrid's simulator, just reset.
    """

    def __init__(self, level: Any) -> None:
        from minigrid.core.constants import IDX_TO_COLOR, IDX_TO_OBJECT

        self.level = level
        self._kinds, self._colors = IDX_TO_OBJECT, IDX_TO_COLOR
        self._parts = tuple(_parts(level.instrs, level))
        self._places = _places(level)
        boxes = (cell for cell in level.grid.grid if cell is not None and cell.type == "box")
        # Opening a box destroys it: only where one holds something is that an action.
        self._boxes_open = any(box.contains is not None for box in boxes)

    def look(self, image: NDArray[np.uint8]) -> View:
        """The view that minigrid's observation ``image`` [across, down, 3] shows."""
        cells = {position: thing for position, thing in self._cells(image)}
        things = sorted(
            (thing for thing in cells.values() if thing.kind != "wall"),
            key=lambda thing: (abs(thing.ahead) + abs(thing.right), -thing.ahead, thing.right),
        )
        carried = self.level.carrying
        hand = None if carried is None else Thing(carried.type, carried.color, places=self._places.get(id(carried), ()))
        facing = cells.get((1, 0))
        radius = image.shape[0] // 2
        ahead = _first(cells, [(steps, 0) for steps in range(1, image.shape[1])])
        return View(
            mission=self.level.mission,
            done=tuple(words for words, is_done in self._parts if is_done()),
            things=tuple(things),
            carried=hand,
            wall=ahead.ahead if ahead is not None and ahead.kind == "wall" else 0,
            facing=None if facing is None or facing.kind == "wall" else facing,
            left=_thing(_first(cells, [(0, -steps) for steps in range(1, radius + 1)])),
            front=_thing(ahead),
            right=_thing(_first(cells, [(0, steps) for steps in range(1, radius + 1)])),
            beside=() if facing is not None else tuple(_beside(cells)),
            actions=tuple(self._valid(facing, hand)),
        )

    def _cells(self, image: NDArray[np.uint8]) -> Iterator[tuple[tuple[int, int], Thing]]:
        """Every wall and thing in view, by (ahead, right)."""
        middle, bottom = image.shape[0] // 2, image.shape[1] - 1
        for across, down in np.argwhere(image[:, :, 0] > 1):  # 0 is unseen, 1 is empty
            ahead, right = int(bottom - down), int(across - middle)
            kind, color, state = (int(number) for number in image[across, down])
            name = self._kinds[kind]
            if (ahead, right) == (0, 0):
                continue  # what is carried, or the doorway that the agent stands in
            door = ("open", "closed", "locked")[state] if name == "door" else ""
            thing = Thing(name, self._colors[color], door, ahead, right)
            if self._places and name != "wall":
                thing = replace(thing, places=self._places.get(id(self._object(ahead, right)), ()))
            yield (ahead, right), thing

    def _object(self, ahead: int, right: int) -> Any:
        position = self.level.agent_pos + ahead * self.level.dir_vec + right * self.level.right_vec
        return self.level.grid.get(*position)

    def _valid(self, facing: Thing | None, hand: Thing | None) -> Iterator[int]:
        yield from (LEFT, RIGHT)
        if facing is None or facing.state == "open":
            yield FORWARD
        if facing is None:
            if hand is not None:
                yield DROP
            return
        if facing.kind in ("ball", "box", "key") and hand is None:
            yield PICK_UP
        has_key = hand is not None and hand.kind == "key" and hand.color == facing.color
        if facing.kind == "door" and (facing.state != "locked" or has_key):
            yield TOGGLE
        if facing.kind == "box" and self._boxes_open:
            yield TOGGLE


def _first(cells: dict[tuple[int, int], Thing], line: list[tuple[int, int]]) -> Thing | None:
    return next((cells[position] for position in line if position in cells), None)


def _thing(cell: Thing | None) -> Thing | None:
    return None if cell is None or cell.kind == "wall" else cell


def _beside(cells: dict[tuple[int, int], Thing]) -> Iterator[Thing]:
    """What stands next to the cell in front."""
    for position in ((1, -1), (1, 1), (2, 0)):
        thing = _thing(cells.get(position))
        if thing is not None:
            yield thing


def _parts(instruction: Any, level: Any) -> Iterator[tuple[str, Any]]:
    """The parts of a mission of several parts, each with a function that tells whether it is done."""
    for name in ("a", "b"):
        part = getattr(instruction, f"instr_{name}", None)
        if part is None:
            continue
        if hasattr(part, "instr_a"):
            yield from _parts(part, level)
        else:
            yield part.surface(level), lambda flag=f"{name}_done": getattr(instruction, flag) == "success"


def _places(level: Any) -> dict[int, tuple[str, ...]]:
    """The words of the mission, such as "left", that say where an object stood at the start, by the object's id."""
    from minigrid.envs.babyai.core.verifier import ObjDesc

    places: dict[int, tuple[str, ...]] = {}
    for place in dict.fromkeys(_mission_places(level.instrs)):
        objects, _ = ObjDesc(None, None, place).find_matching_objs(level)
        for thing in objects:
            places[id(thing)] = (*places.get(id(thing), ()), place)
    return places


def _mission_places(instruction: Any) -> Iterator[str]:
    for name in ("instr_a", "instr_b"):
        if hasattr(instruction, name):
            yield from _mission_places(getattr(instruction, name))
    for name in ("desc", "desc_move", "desc_fixed"):
        place = getattr(getattr(instruction, name, None), "loc", None)
        if place is not None:
            yield place
