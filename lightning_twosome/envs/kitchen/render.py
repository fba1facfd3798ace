"""The kitchen as a picture for people: where everything is, raw or chopped, who carries what, and what was done last.

+-------------------------------+
| tomato salad                  |   the goal
+-------------------------------+
|  counters, floor, cook        |   what the cook cannot see is veiled
+-------------------------------+
| last action                   |
| reward              steps     |
+-------------------------------+
"""

from __future__ import annotations

import textwrap

import numpy as np
from numpy.typing import NDArray

from lightning_twosome.envs.canvas import INK, PALE_INK, Picture
from lightning_twosome.envs.kitchen.simulator import HAND, HOME, SERVED, Kitchen, State
from lightning_twosome.envs.kitchen.task import Cell
from lightning_twosome.envs.kitchen.view import Item, item_at

CELL, HEADER, FOOTER = 88, 46, 84

FLOOR, FLOOR_LINE = "#efe7da", "#e2d7c5"
COUNTER, COUNTER_EDGE = "#b9a48a", "#9c876d"
WOOD, WOOD_EDGE = "#e6bd83", "#b98a4e"
VEIL = (48, 44, 58, 56)
GOOD, BAD = "#2f8f4e", "#b4473c"

FOOD_COLORS = {"tomato": ("#d8402f", "#a92a1d"), "lettuce": ("#7cb342", "#4f7f22"), "onion": ("#b87bb0", "#84507d")}
OTHER_COLORS = (("#e08a2c", "#a8611a"), ("#4f8fc0", "#2f648c"), ("#d8b13a", "#a07f1f"), ("#8a6fc0", "#5f4a8c"))


def draw(kitchen: Kitchen, state: State, steps: int, last: tuple[str, float] | None) -> NDArray[np.uint8]:
    """Draw a state.

    Args:
        kitchen: Where the state belongs.
        state: What to draw.
        steps: Primitive steps of the episode so far.
        last: The text and the reward of the last action, if there was one.

    Returns:
        uint8 [height, width, 3].
    """
    picture = Picture(kitchen.task.width * CELL, HEADER + kitchen.task.height * CELL + FOOTER)
    _KitchenPainter(picture, kitchen, state).paint()
    _captions(picture, kitchen, steps, last)
    return picture.pixels()


def _captions(picture: Picture, kitchen: Kitchen, steps: int, last: tuple[str, float] | None) -> None:
    top, right = picture.height - FOOTER, picture.width - 16
    picture.text((16, HEADER / 2), kitchen.task.name[:1].upper() + kitchen.task.name[1:], 20, INK, "lm")
    picture.text((right, HEADER / 2), f"step {steps} of {kitchen.task.horizon}", 15, PALE_INK, "rm")
    if last is None:
        picture.text((16, top + FOOTER / 2), "A new episode begins.", 16, PALE_INK, "lm")
        return
    action, reward = last
    lines = textwrap.wrap(action, max(20, picture.width // 10))[:2]
    for row, line in enumerate(lines):
        picture.text((16, top + FOOTER / 2 + 24 * (row - (len(lines) - 1) / 2)), line, 17, INK, "lm")
    picture.text((right, top + FOOTER / 2), f"{reward:+.3f}", 19, GOOD if reward > 0 else BAD, "rm")


class _KitchenPainter:
    """Paints the grid with what is on it."""

    def __init__(self, picture: Picture, kitchen: Kitchen, state: State) -> None:
        self.picture, self.kitchen, self.task, self.state = picture, kitchen, kitchen.task, state

    def paint(self) -> None:
        for row in range(self.task.height):
            for column in range(self.task.width):
                self.surface((row, column))
        for name, cell in self.task.homes.items():
            self.home(name, cell)
        for board, cell in self.task.boards.items():
            self.board(board, cell)
        self.delivery()
        self.veil()
        self.cook()

    def surface(self, cell: Cell) -> None:
        x, y = _center(cell)
        is_floor = 0 < cell[0] < self.task.height - 1 and 0 < cell[1] < self.task.width - 1
        if is_floor:
            self.picture.box((x, y), CELL, CELL, FLOOR, FLOOR_LINE, radius=0)
        else:
            self.picture.box((x, y), CELL, CELL, COUNTER, COUNTER_EDGE, radius=0)

    def home(self, name: str, cell: Cell) -> None:
        x, y = _center(cell)
        place = self.state.bowl if name == "bowl" else self.state.foods[self.task.foods.index(name)]
        if place == HOME:
            self.item(Item(name), (x, y - 9))
            self.label(cell, name)
        else:
            self.picture.ring((x, y - 8), 17, COUNTER_EDGE)
            self.label(cell, name, faint=True)

    def board(self, board: str, cell: Cell) -> None:
        x, y = _center(cell)
        self.picture.box((x, y - 9), 66, 48, WOOD, WOOD_EDGE, radius=9)
        self.picture.disc((x + 25, y - 25), 3, COUNTER)
        item = item_at(self.kitchen, self.state, board)
        if item is not None:
            self.item(item, (x, y - 9))
        self.label(cell, _describe(item) if item else board)

    def delivery(self) -> None:
        x, y = _center(self.task.delivery)
        self.picture.box((x, y - 9), 62, 46, "#dfe7ee", "#8fa3b5", radius=23)
        self.label(self.task.delivery, "delivery")
        if self.state.bowl == SERVED:
            self.item(item_at(self.kitchen, self.state, SERVED) or Item("bowl"), (x, y - 9))
            self.picture.check((x + 27, y - 28), GOOD)
        else:
            self.picture.text((x, y - 9), "serve", 14, "#5c7286", "mm")

    def veil(self) -> None:
        """Shade what is out of the cook's view and outline what is within."""
        for row in range(self.task.height):
            for column in range(self.task.width):
                if not self.kitchen.sees(self.state.agent, (row, column)):
                    self.picture.veil(_center((row, column)), CELL, CELL, VEIL)
        radius, (row, column) = self.task.view_radius, self.state.agent
        top, bottom = max(row - radius, 0), min(row + radius, self.task.height - 1)
        left, right = max(column - radius, 0), min(column + radius, self.task.width - 1)
        self.picture.outline(left * CELL, HEADER + top * CELL, (right + 1) * CELL, HEADER + (bottom + 1) * CELL)

    def cook(self) -> None:
        x, y = _center(self.state.agent)
        carried = item_at(self.kitchen, self.state, HAND)
        body = y + (8 if carried is None else -16)
        self.picture.box((x, body + 14), 40, 24, "#f7f7f5", "#8c909a", radius=11)
        self.picture.disc((x, body - 6), 14, "#f0c8a0", "#b98e66")
        self.picture.disc((x - 5, body - 5), 1.8, INK)
        self.picture.disc((x + 5, body - 5), 1.8, INK)
        for dx, radius in ((-9, 8), (9, 8), (0, 10)):
            self.picture.disc((x + dx, body - 25), radius, "#ffffff", "#a5a9b2")
        self.picture.box((x, body - 19), 25, 9, "#ffffff", "#a5a9b2", radius=2)
        if carried is not None:
            self.item(carried, (x, y + 10))
            lines = textwrap.wrap(_describe(carried), 13)
            self.picture.tag((x, y + 26 + 15 * len(lines)), lines, faint=False)

    def item(self, item: Item, center: tuple[float, float]) -> None:
        if item.name == "bowl":
            self.bowl(item, center)
        elif item.chopped:
            self.chopped(item.name, center, 1.0)
        else:
            self.whole(item.name, center)

    def whole(self, food: str, center: tuple[float, float]) -> None:
        x, y = center
        fill, edge = _colors(food)
        if food == "lettuce":
            for dx, dy in ((-9, 3), (9, 3), (-5, -7), (6, -7), (0, 6)):
                self.picture.disc((x + dx, y + dy), 10, fill, edge)
            self.picture.disc((x, y), 8, "#a5d06b")
            return
        self.picture.disc((x, y + 1), 16, fill, edge)
        self.picture.disc((x - 5, y - 5), 4, "#ffffff", opacity=110)
        if food == "onion":
            self.picture.line([(x - 4, y - 20), (x, y - 13), (x + 4, y - 20)], edge, 2.5)
            return
        for dx, dy in ((-8, -13), (0, -19), (8, -13)):
            self.picture.line([(x, y - 13), (x + dx, y + dy)], "#3f7d33", 3)

    def chopped(self, food: str, center: tuple[float, float], size: float) -> None:
        x, y = center
        fill, edge = _colors(food)
        for dx, dy in ((-15, 5), (0, 9), (15, 5), (-8, -7), (8, -7)):
            self.picture.wedge((x + dx * size, y + dy * size), 10 * size, fill, edge)

    def bowl(self, item: Item, center: tuple[float, float]) -> None:
        x, y = center
        self.picture.disc((x, y - 4), 25, "#d9dee6", "#77808f", squash=0.36)
        for index, food in enumerate(item.contents):
            shift = 17 * (index - (len(item.contents) - 1) / 2)
            self.chopped(food, (x + shift, y - 9), 0.62)
        self.picture.half_disc((x, y - 4), 25, 21, "#eef1f5", "#77808f")

    def label(self, cell: Cell, text: str, faint: bool = False) -> None:
        x, y = _center(cell)
        self.picture.tag((x, y + CELL / 2 - 3), textwrap.wrap(text, 13), faint)


def _describe(item: Item) -> str:
    if item.name != "bowl":
        return f"{'chopped' if item.chopped else 'raw'} {item.name}"
    return f"bowl: {', '.join(item.contents)}" if item.contents else "empty bowl"


def _colors(food: str) -> tuple[str, str]:
    return FOOD_COLORS.get(food) or OTHER_COLORS[sum(food.encode()) % len(OTHER_COLORS)]


def _center(cell: Cell) -> tuple[float, float]:
    return (cell[1] + 0.5) * CELL, HEADER + (cell[0] + 0.5) * CELL
