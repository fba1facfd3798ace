"""The house as a picture for people: rooms as a floor plan, what is in them, the agent, its hands, its last action.

+-----------------------------------+
| food preparation     step 3 of 50 |
+-----------------+-----------------+
| living room     | kitchen         |   rooms that the agent cannot see are veiled; a line leads
|                 |  o  [microwave] |   rooms that the agent cannot see are veiled, what is
|                 |                 |   within reach has a green ground
+-----------------+-----------------+
| last action              its reward|
+-----------------------------------+
"""

from __future__ import annotations

import textwrap

import numpy as np
from numpy.typing import NDArray

from lightning_twosome.envs.canvas import INK, PALE_INK, Picture
from lightning_twosome.envs.household.simulator import HANDS, House, State
from lightning_twosome.envs.household.things import CONTAINER, SITTABLE, SURFACE, SWITCHABLE, Thing

ROOM_WIDTH, ROOM_HEIGHT, COLUMNS = 380, 250, 2
HEADER, FOOTER, MARGIN = 46, 64, 14

FLOORS = ("#efe3d0", "#e9eddc", "#dfe9ee", "#ece2ea", "#f0e9d2", "#e4e6ea")
WALL, FURNITURE, EDGE = "#6b6257", "#d9c3a0", "#8d7552"
METAL, DARK, GLOW, INSIDE = "#dfe3e8", "#3a3f47", "#ffe27a", "#5d6570"
CLOTH, CLOTH_EDGE = "#9db4d3", "#5f7ba3"
NEAR, NEAR_EDGE = "#cfe8c9", "#7fb877"
VEIL = (48, 44, 58, 70)
GOOD = "#2f8f4e"
ITEM_COLORS = ("#d98b3a", "#5b9bd5", "#c65b5b", "#6aa84f", "#8e6bbf", "#c9a227")

Point = tuple[float, float]


def draw(house: House, state: State, steps: int, last: tuple[str, float] | None) -> NDArray[np.uint8]:
    """Draw a state.

    Args:
        house: Where the state belongs.
        state: What to draw.
        steps: Steps of the episode so far.
        last: The text and the reward of the last action, if there was one.

    Returns:
        uint8 [height, width, 3].
    """
    rows = -(-len(house.task.rooms) // COLUMNS)
    picture = Picture(COLUMNS * ROOM_WIDTH, HEADER + rows * ROOM_HEIGHT + FOOTER)
    _HousePainter(picture, house, state).paint()
    _captions(picture, house, steps, last)
    return picture.pixels()


def _captions(picture: Picture, house: House, steps: int, last: tuple[str, float] | None) -> None:
    task, right = house.task, picture.width - MARGIN
    middle = picture.height - FOOTER / 2
    title = textwrap.shorten(f"{task.name.capitalize()}: {task.aim}", 88, placeholder=" ...")
    picture.text((MARGIN, HEADER / 2), title, 16, INK, "lm")
    picture.text((right, HEADER / 2), f"step {steps} of {task.horizon}", 14, PALE_INK, "rm")
    if last is None:
        picture.text((MARGIN, middle), "A new episode begins.", 16, PALE_INK, "lm")
        return
    action, reward = last
    picture.text((MARGIN, middle), textwrap.shorten(action, 72, placeholder=" ..."), 17, INK, "lm")
    picture.text((right, middle), f"{reward:+.0f}" if reward else "0", 19, GOOD if reward else PALE_INK, "rm")


class _HousePainter:
    """Paints the rooms with what is in them."""

    def __init__(self, picture: Picture, house: House, state: State) -> None:
        self.picture, self.house, self.state = picture, house, state
        self.things = house.task.things
        self.spots = self._spots()

    def paint(self) -> None:
        for index, room in enumerate(self.house.task.rooms):
            self.room(index, room)
        for name in self.within_reach():
            x, y = self.spots[name]
            size = (46, 50) if name in self.house.items else (124, 104)
            self.picture.box((x, y if name in self.house.items else y + 4), *size, NEAR, NEAR_EDGE, radius=16)
        for name, spot in self.spots.items():
            if name not in self.house.items:
                self.furniture(self.things[name], spot)
        for name, spot in self.spots.items():
            if name in self.house.items:
                self.item(name, spot)
        for index, room in enumerate(self.house.task.rooms):
            if room != self.state.room:
                self.picture.veil(self.room_center(index), ROOM_WIDTH, ROOM_HEIGHT, VEIL)
        self.agent()

    def _spots(self) -> dict[str, Point]:
        """Where everything that is not held is drawn: furniture in a row, items on it or in a row of their own."""
        spots: dict[str, Point] = {}
        for index, room in enumerate(self.house.task.rooms):
            x, y = self.room_center(index)
            standing = [
                name for name in self.things if name not in self.house.items and self.things[name].place == room
            ]
            lying = [item for item, place in zip(self.house.items, self.state.places, strict=True) if place == room]
            spots |= _row(standing, x, y - 30)
            spots |= _row(lying, x - ROOM_WIDTH / 4, y + 70, ROOM_WIDTH / 2 - 20)
        for name in list(spots):
            on = [item for item in self.house.items if self.house.support(self.state, item) == name]
            x, y = spots[name]
            lift = 0 if self.things[name].has(CONTAINER) else 28
            spots |= _row(on, x, y - lift, 96)
        return spots

    def room_center(self, index: int) -> Point:
        row, column = divmod(index, COLUMNS)
        return (column + 0.5) * ROOM_WIDTH, HEADER + (row + 0.5) * ROOM_HEIGHT

    def room(self, index: int, room: str) -> None:
        x, y = self.room_center(index)
        self.picture.box((x, y), ROOM_WIDTH - 6, ROOM_HEIGHT - 6, FLOORS[index % len(FLOORS)], WALL, radius=4)
        self.picture.text((x - ROOM_WIDTH / 2 + MARGIN, y - ROOM_HEIGHT / 2 + 20), room, 15, INK, "lm")

    def furniture(self, thing: Thing, spot: Point) -> None:
        x, y = spot
        running, label = thing.name in self.state.switched_on, [thing.name]
        if thing.has(CONTAINER):
            self.cupboard(spot, thing.name in self.state.open, running)
            label.append("open" if thing.name in self.state.open else "closed")
        elif thing.has(SITTABLE):
            self.picture.box((x, y - 16), 92, 34, CLOTH, CLOTH_EDGE, radius=9)
            self.picture.box((x, y + 8), 92, 26, CLOTH, CLOTH_EDGE, radius=7)
            for side in (-44, 44):
                self.picture.box((x + side, y), 14, 46, CLOTH, CLOTH_EDGE, radius=6)
        elif thing.has(SURFACE):
            for side in (-36, 36):
                self.picture.box((x + side, y + 14), 7, 34, FURNITURE, EDGE, radius=2)
            self.picture.box((x, y - 8), 96, 14, FURNITURE, EDGE, radius=3)
        else:
            self.picture.box((x, y - 4), 84, 52, DARK, EDGE, radius=6)
            self.picture.box((x, y - 4), 72, 40, GLOW if running else INSIDE, DARK, radius=3)
        if thing.has(SWITCHABLE):
            label[1:] = [*label[1:], "on" if running else "off"]
        self.picture.tag((x, y + 62), [label[0], ", ".join(label[1:])] if label[1:] else label, faint=False)

    def cupboard(self, spot: Point, is_open: bool, running: bool) -> None:
        x, y = spot
        self.picture.box((x, y - 4), 92, 68, METAL, EDGE, radius=5)
        if is_open:
            self.picture.box((x, y - 2), 76, 54, INSIDE, EDGE, radius=3)
            self.picture.box((x - 54, y - 4), 14, 72, METAL, EDGE, radius=3)
        else:
            self.picture.box((x - 6, y - 2), 66, 50, GLOW if running else "#c9cfd6", EDGE, radius=3)
            self.picture.line([(x + 37, y - 18), (x + 37, y + 14)], EDGE, 3)

    def item(self, name: str, spot: Point) -> None:
        support = self.house.support(self.state, name)
        if support and self.things[support].has(CONTAINER) and support not in self.state.open:
            return
        self.shape(name, spot)
        self.picture.tag((spot[0], spot[1] + 31), [name], faint=False)

    def shape(self, name: str, spot: Point) -> None:
        x, y = spot
        color = ITEM_COLORS[list(self.house.items).index(name) % len(ITEM_COLORS)]
        self.picture.disc((x, y), 14, color, INK)
        self.picture.disc((x - 4, y - 5), 4, "#ffffff", opacity=120)

    def agent(self) -> None:
        state = self.state
        if state.seat:
            x, y = self.spots[state.seat]
            y -= 34
        else:
            near = self.within_reach()
            x, y = self.room_center(self.house.task.rooms.index(state.room))
            x = max(self.spots[name][0] for name in near) if near else x + 80
            x, y = x + (76 if near and near[0] in self.house.items else 0), y + 70
        self.picture.box((x, y + 22), 38, 34, "#4f7f9f", "#2f566f", radius=12)
        self.picture.disc((x, y - 6), 15, "#f0c8a0", "#b98e66")
        self.picture.half_disc((x, y - 8), 15, 1, "#5b4636", "#5b4636")
        for dx in (-5, 5):
            self.picture.disc((x + dx, y - 3), 1.8, INK)
        for hand, side in zip(HANDS, (1, -1), strict=True):
            self.hand(hand, (x + side * 34, y + 24))

    def within_reach(self) -> list[str]:
        """What is near and in sight, without what is held and what lies in or on something near."""
        return [
            name
            for name in self.spots
            if name in self.state.near
            and name != self.state.seat
            and self.house.visible(self.state, name)
            and self.house.support(self.state, name) not in self.state.near
        ]

    def hand(self, hand: str, spot: Point) -> None:
        if hand in self.state.places:
            name = list(self.house.items)[self.state.places.index(hand)]
            self.shape(name, spot)
            self.picture.tag((spot[0] + (18 if hand == HANDS[0] else -18), spot[1] + 31), [name], faint=False)
        self.picture.disc(spot, 5, "#f0c8a0", "#b98e66")


def _row(names: list[str], x: float, y: float, width: float = ROOM_WIDTH) -> dict[str, Point]:
    """Spread names evenly along a row around x."""
    gap = width / (len(names) + 1)
    return {name: (x - width / 2 + gap * (index + 1), y) for index, name in enumerate(names)}
