"""The kitchen as a picture for people: where everything is, raw or chopped, who carries what, and what was done last.

    +-------------------------------+
    | tomato salad                  |   the goal
    +-------------------------------+
    |  counters, floor, cook        |   what the cook cannot see is veiled
    +-------------------------------+
    | last action                   |
    | reward              steps     |
    +-------------------------------+

Everything is drawn SCALE times too large and shrunk at the end, which smooths the edges. Coordinates in this file are
those of the finished picture.
"""

from __future__ import annotations

import textwrap
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lightning_twosome.envs.kitchen.simulator import HAND, HOME, SERVED, Kitchen, State
from lightning_twosome.envs.kitchen.task import Cell
from lightning_twosome.envs.kitchen.view import Item, item_at
from lightning_twosome.errors import UserError

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

SCALE = 3
CELL, HEADER, FOOTER = 88, 46, 84

INK, PALE_INK, PAPER = "#2b2d33", "#6d717b", "#fbfaf7"
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
    picture = _Picture(kitchen.task.width * CELL, HEADER + kitchen.task.height * CELL + FOOTER)
    _KitchenPainter(picture, kitchen, state).paint()
    _captions(picture, kitchen, steps, last)
    return picture.pixels()


def _captions(picture: _Picture, kitchen: Kitchen, steps: int, last: tuple[str, float] | None) -> None:
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

    def __init__(self, picture: _Picture, kitchen: Kitchen, state: State) -> None:
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
                    self.picture.veil(_center((row, column)))
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


class _Picture:
    """A canvas with a few shapes; draws SCALE times too large."""

    def __init__(self, width: int, height: int) -> None:
        self._pil = _pillow()
        self.width, self.height = width, height
        self.image = self._pil.Image.new("RGB", (width * SCALE, height * SCALE), PAPER)
        self.canvas = self._pil.ImageDraw.Draw(self.image, "RGBA")

    def pixels(self) -> NDArray[np.uint8]:
        small = self.image.resize((self.width, self.height), self._pil.Image.Resampling.LANCZOS)
        return np.asarray(small, dtype=np.uint8)

    def box(
        self, center: tuple[float, float], width: float, height: float, fill: str, edge: str, radius: float
    ) -> None:
        self.canvas.rounded_rectangle(
            _around(center, width / 2, height / 2), radius * SCALE, fill=fill, outline=edge, width=int(1.5 * SCALE)
        )

    def disc(
        self,
        center: tuple[float, float],
        radius: float,
        fill: str,
        edge: str | None = None,
        squash: float = 1.0,
        opacity: int = 255,
    ) -> None:
        color = (*self._pil.ImageColor.getrgb(fill), opacity)
        self.canvas.ellipse(_around(center, radius, radius * squash), fill=color, outline=edge, width=int(1.5 * SCALE))

    def ring(self, center: tuple[float, float], radius: float, edge: str) -> None:
        for start in range(0, 360, 30):
            self.canvas.arc(_around(center, radius, radius), start, start + 17, fill=edge, width=int(1.5 * SCALE))

    def wedge(self, center: tuple[float, float], radius: float, fill: str, edge: str) -> None:
        """A slice: half of a disc, with its rind."""
        self.canvas.pieslice(_around(center, radius, radius), 190, 350, fill=fill, outline=edge, width=SCALE)

    def half_disc(self, center: tuple[float, float], width: float, depth: float, fill: str, edge: str) -> None:
        self.canvas.chord(_around(center, width, depth), 0, 180, fill=fill, outline=edge, width=int(1.5 * SCALE))

    def line(self, points: list[tuple[float, float]], color: str, width: float) -> None:
        self.canvas.line(
            [(x * SCALE, y * SCALE) for x, y in points], fill=color, width=int(width * SCALE), joint="curve"
        )

    def check(self, center: tuple[float, float], color: str) -> None:
        x, y = center
        self.disc(center, 11, color)
        self.line([(x - 5, y), (x - 1, y + 4), (x + 6, y - 4)], "#ffffff", 2.6)

    def veil(self, center: tuple[float, float]) -> None:
        self.canvas.rectangle(_around(center, CELL / 2, CELL / 2), fill=VEIL)

    def outline(self, left: float, top: float, right: float, bottom: float) -> None:
        edge = tuple(value * SCALE for value in (left + 1, top + 1, right - 2, bottom - 2))
        self.canvas.rectangle(edge, outline=(255, 255, 255, 190), width=2 * SCALE)

    def text(self, position: tuple[float, float], text: str, size: float, color: str, anchor: str) -> None:
        x, y = position
        self.canvas.text((x * SCALE, y * SCALE), text, fill=color, font=_font(size), anchor=anchor)

    def tag(self, bottom: tuple[float, float], lines: list[str], faint: bool) -> None:
        """A label on a pale ground that ends at the bottom given."""
        width = max(self.canvas.textlength(line, font=_font(12)) / SCALE for line in lines) + 10
        x, y = bottom[0], bottom[1] - 7.5 * len(lines)
        ground = (*self._pil.ImageColor.getrgb(PAPER), 90 if faint else 225)
        self.canvas.rounded_rectangle(_around((x, y), width / 2, 7.5 * len(lines)), 7 * SCALE, fill=ground)
        for index, line in enumerate(lines):
            self.text((x, y + 14 * (index - (len(lines) - 1) / 2)), line, 12, PALE_INK if faint else INK, "mm")


def _describe(item: Item) -> str:
    if item.name != "bowl":
        return f"{'chopped' if item.chopped else 'raw'} {item.name}"
    return f"bowl: {', '.join(item.contents)}" if item.contents else "empty bowl"


def _colors(food: str) -> tuple[str, str]:
    return FOOD_COLORS.get(food) or OTHER_COLORS[sum(food.encode()) % len(OTHER_COLORS)]


def _center(cell: Cell) -> tuple[float, float]:
    return (cell[1] + 0.5) * CELL, HEADER + (cell[0] + 0.5) * CELL


def _around(center: tuple[float, float], x_radius: float, y_radius: float) -> tuple[float, float, float, float]:
    x, y = center
    return (x - x_radius) * SCALE, (y - y_radius) * SCALE, (x + x_radius) * SCALE, (y + y_radius) * SCALE


@lru_cache(maxsize=16)
def _font(size: float) -> FreeTypeFont | ImageFont:
    return _pillow().ImageFont.load_default(size * SCALE)  # type: ignore[no-any-return]


def _pillow() -> Any:
    try:
        import PIL.ImageColor
        import PIL.ImageDraw
        import PIL.ImageFont
    except ImportError as error:
        raise UserError("drawing the kitchen needs Pillow, which is not installed: run `pip install pillow`") from error
    return PIL
