"""What the package's text worlds share: the space of prompts, prompt styles as YAML, and their keywords' checks."""

from __future__ import annotations

import string
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from gymnasium import spaces

from lightning_twosome.errors import UserError

CHARACTERS = string.ascii_letters + string.digits + string.punctuation + " "
LONGEST_PROMPT = 4096


def prompt_space() -> spaces.Text:
    """Prompts of one line."""
    return spaces.Text(min_length=1, max_length=LONGEST_PROMPT, charset=CHARACTERS)


@lru_cache
def load_style(folder: Path, name: str) -> dict[str, Any]:
    """The texts of a prompt style, kept as one YAML file in the environment's ``styles/``."""
    style: dict[str, Any] = yaml.safe_load((folder / "styles" / f"{name}.yaml").read_text(encoding="utf-8"))
    return style


def check_keywords(
    world: str, styles: Sequence[str], prompt_style: str, restate: str | None, render_mode: str | None
) -> None:
    """Refuse what ``gymnasium.make`` was given, if the environment does not have it.

    Args:
        world: What the complaint is about, as the subject of a sentence.
        styles: The styles there are.
        prompt_style: The style of prompts and actions.
        restate: A second style for ``info["restatement"]``.
        render_mode: "rgb_array" or ``None``.

    Raises:
        UserError: A style or the render mode is unknown, or the second style is the first.
    """
    if render_mode not in (None, "rgb_array"):
        raise UserError(f"{world} has no render_mode {render_mode!r}: use 'rgb_array' or leave it out")
    for keyword, style in (("prompt_style", prompt_style), ("restate", restate)):
        if style not in (*styles, None) or (style is None and keyword == "prompt_style"):
            raise UserError(f"{world} has no {keyword} {style!r}: use one of {', '.join(styles)}")
    if restate == prompt_style:
        others = ", ".join(style for style in styles if style != restate)
        raise UserError(f"{world} shows {restate!r} already, so that restate must be another style: {others}")
