"""A canvas for the pictures of the environments.

Everything is drawn SCALE times too large and shrunk at the end, which smooths the edges. Coordinates are those of the
finished picture.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lightning_twosome.errors import UserError

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

SCALE = 3

INK, PALE_INK, PAPER = "#2b2d33", "#6d717b", "#fbfaf7"


class Picture:
    """A canvas with a few shapes; sizes and positions are those of the finished picture."""

    def __init__(self, width: int, height: int) -> None:
        self._pil = _pillow()
        self.width, self.height = width, height
        self.image = self._pil.Image.new("RGB", (width * SCALE, height * SCALE), PAPER)
        self.canvas = self._pil.ImageDraw.Draw(self.image, "RGBA")

    def pixels(self) -> NDArray[np.uint8]:
        """The finished picture, uint8 [height, width, 3]."""
        small = self.image.resize((self.width, self.height), self._pil.Image.Resampling.LANCZOS)
        return np.asarray(small, dtype=np.uint8)

    def box(
        self, center: tuple[float, float], width: float, height: float, fill: str, edge: str, radius: float
    ) -> None:
        """A rounded rectangle."""
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
        """A disc, or an ellipse where it is squashed."""
        color = (*self._pil.ImageColor.getrgb(fill), opacity)
        self.canvas.ellipse(_around(center, radius, radius * squash), fill=color, outline=edge, width=int(1.5 * SCALE))

    def ring(self, center: tuple[float, float], radius: float, edge: str) -> None:
        """A dashed circle."""
        for start in range(0, 360, 30):
            self.canvas.arc(_around(center, radius, radius), start, start + 17, fill=edge, width=int(1.5 * SCALE))

    def wedge(self, center: tuple[float, float], radius: float, fill: str, edge: str) -> None:
        """A slice: half of a disc, with its rind."""
        self.canvas.pieslice(_around(center, radius, radius), 190, 350, fill=fill, outline=edge, width=SCALE)

    def half_disc(self, center: tuple[float, float], width: float, depth: float, fill: str, edge: str) -> None:
        """The lower half of an ellipse."""
        self.canvas.chord(_around(center, width, depth), 0, 180, fill=fill, outline=edge, width=int(1.5 * SCALE))

    def line(self, points: list[tuple[float, float]], color: str, width: float) -> None:
        """A line through points."""
        self.canvas.line(
            [(x * SCALE, y * SCALE) for x, y in points], fill=color, width=int(width * SCALE), joint="curve"
        )

    def check(self, center: tuple[float, float], color: str) -> None:
        """A check mark on a disc."""
        x, y = center
        self.disc(center, 11, color)
        self.line([(x - 5, y), (x - 1, y + 4), (x + 6, y - 4)], "#ffffff", 2.6)

    def veil(self, center: tuple[float, float], width: float, height: float, color: tuple[int, int, int, int]) -> None:
        """A rectangle that lets through what is below."""
        self.canvas.rectangle(_around(center, width / 2, height / 2), fill=color)

    def outline(self, left: float, top: float, right: float, bottom: float) -> None:
        """A bright frame just inside a rectangle."""
        edge = tuple(value * SCALE for value in (left + 1, top + 1, right - 2, bottom - 2))
        self.canvas.rectangle(edge, outline=(255, 255, 255, 190), width=2 * SCALE)

    def text(self, position: tuple[float, float], text: str, size: float, color: str, anchor: str) -> None:
        """A line of text; the anchor is Pillow's."""
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
        raise UserError(
            "a picture of an environment needs Pillow, which is not installed: run `pip install pillow`"
        ) from error
    return PIL
