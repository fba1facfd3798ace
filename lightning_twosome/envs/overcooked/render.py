"""The kitchen as a picture for people: the library's drawing, and below it what was done last and the score."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_twosome.envs.canvas import INK, PALE_INK, Picture
from lightning_twosome.envs.overcooked.game import Game

WIDEST = 900  # pixels
LARGEST_TILE = 75
NARROWEST = 420  # pixels, so that the caption has room
CAPTION = 62
HATS = ("blue", "green", "orange", "purple", "red", "blue", "green", "orange", "purple")
LINE_LETTERS = 7.0  # pixels of a letter of the caption


def draw(game: Game, horizon: int, soups: int, last: str | None) -> NDArray[np.uint8]:
    """Draw the kitchen.

    Args:
        game: What to draw.
        horizon: Ticks of an episode.
        soups: Soups served so far.
        last: What was done last, in words; ``None`` at the start.

    Returns:
        uint8 [height, width, 3].
    """
    game.layout.configure()
    tile = min(LARGEST_TILE, WIDEST // game.layout.mdp.width)
    surface = _visualizer(tile).render_state(game.state, game.layout.mdp.terrain_mtx)
    kitchen = _pygame().surfarray.array3d(surface).swapaxes(0, 1)
    width = max(kitchen.shape[1], NARROWEST)
    margin = width - kitchen.shape[1]
    kitchen = np.pad(kitchen, ((0, 0), (margin // 2, margin - margin // 2), (0, 0)), constant_values=250)
    caption = Picture(width, CAPTION)
    caption.text((10, 18), _shorten(last or "The shift begins.", width), 14, INK, "lm")
    score = f"{game.layout.name}, tick {game.ticks} of {horizon}, soups served: {soups}"
    caption.text((10, 43), _shorten(score, width), 13, PALE_INK, "lm")
    return np.concatenate([kitchen, caption.pixels()]).astype(np.uint8)


def _shorten(text: str, width: int) -> str:
    longest = int(width / LINE_LETTERS)
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


@cache
def _visualizer(tile: int) -> Any:
    _pygame()
    from overcooked_ai_py.visualization.state_visualizer import StateVisualizer

    return StateVisualizer(tile_size=tile, is_rendering_hud=False, player_colors=list(HATS))


@cache
def _pygame() -> Any:
    """Import pygame without a window, a sound card or a greeting."""
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    import pygame

    return pygame
