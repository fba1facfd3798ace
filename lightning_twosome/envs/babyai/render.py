"""minigrid's picture of the rooms with the mission above and the last action below; what is in view is bright."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

TILE, MARGIN, LINE = 40, 12, 24
INK, PALE_INK, PAPER, GOOD = "#2b2d33", "#6d717b", "#fbfaf7", "#2f8f4e"
WIDEST = 720


def draw(level: Any, last: tuple[str, float] | None) -> NDArray[np.uint8]:
    """Draw a state.

    Args:
        level: minigrid's simulator.
        last: The text and the reward of the last action, if there was one.

    Returns:
        uint8 [height, width, 3].
    """
    tile = min(TILE, WIDEST // level.grid.width)
    rooms = Image.fromarray(level.get_frame(highlight=True, tile_size=tile))
    width = max(rooms.width, 420)
    letters = max(20, (width - 2 * MARGIN) // 9)
    header = textwrap.wrap(f"Mission: {level.mission}", letters)
    footer = textwrap.wrap("A new episode begins." if last is None else last[0], letters - 6)
    top, bottom = MARGIN + LINE * len(header), MARGIN + LINE * max(2, len(footer))
    picture = Image.new("RGB", (width, top + rooms.height + bottom), PAPER)
    picture.paste(rooms, ((width - rooms.width) // 2, top))
    canvas, font = ImageDraw.Draw(picture), ImageFont.load_default(17)
    for row, line in enumerate(header):
        canvas.text((MARGIN, MARGIN / 2 + LINE * row), line, fill=INK, font=font)
    low = top + rooms.height + MARGIN / 2
    for row, line in enumerate(footer):
        canvas.text((MARGIN, low + LINE * row), line, fill=INK, font=font)
    right = width - MARGIN
    counter = f"step {level.step_count} of {level.max_steps}"
    canvas.text((right, low + LINE), counter, fill=PALE_INK, font=ImageFont.load_default(14), anchor="ra")
    if last is not None and last[1] > 0:
        canvas.text((right, low), f"{last[1]:+.3f}", fill=GOOD, font=font, anchor="ra")
    return np.asarray(picture, dtype=np.uint8)
