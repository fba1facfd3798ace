"""Levels by name: ``"GoToRedBall"`` is minigrid's ``BabyAI-GoToRedBall-v0``."""

from __future__ import annotations

import contextlib
import difflib
import io
from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium

from lightning_twosome.errors import UserError


def make_level(level: str, settings: Mapping[str, Any]) -> Any:
    """Minigrid's simulator of a level, without gymnasium's wrappers.

    Args:
        level: Name of the level, without ``BabyAI-`` and version.
        settings: Arguments of the level's class, such as ``room_size``, ``num_dists`` and ``max_steps``.

    Raises:
        UserError: minigrid is missing, or knows neither this level nor these settings.
    """
    ids = _ids()
    if level not in ids:
        near = difflib.get_close_matches(str(level), ids, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(ids)}"
        raise UserError(f"minigrid has no BabyAI level {level!r}; {hint}")
    if not isinstance(settings, Mapping):
        raise UserError(f"BabyAI's level_settings is {settings!r}; it must be a mapping, such as {{room_size: 6}}")
    try:
        return gymnasium.make(ids[level], disable_env_checker=True, **settings).unwrapped
    except (TypeError, AssertionError, ValueError) as error:
        given, said = dict(settings), str(error).partition(" was raised from the environment creator")[0]
        said = said or "minigrid refuses a value without saying why"
        raise UserError(f"the BabyAI level {level!r} does not take level_settings={given!r}: {said}") from error


def _ids() -> dict[str, str]:
    """The environment id of each level."""
    try:
        import minigrid  # noqa: F401  registers the levels
    except ImportError as error:
        raise UserError(
            "BabyAI needs minigrid, which is not installed: run `pip install 'lightning-twosome[babyai]'`"
        ) from error
    ids = sorted(name for name in gymnasium.registry if name.startswith("BabyAI-"))
    return {name.removeprefix("BabyAI-").rpartition("-v")[0]: name for name in ids}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep to itself what minigrid prints while it draws a mission anew."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
