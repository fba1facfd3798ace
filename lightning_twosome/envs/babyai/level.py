"""Levels by name: ``"GoToRedBall"`` is minigrid's ``BabyAI-GoToRedBall-v0``."""

from __future__ import annotations

import contextlib
import difflib
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gymnasium

from lightning_twosome.errors import UserError

MOST_DRAWS = 200


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
        made: Any = gymnasium.make(ids[level], disable_env_checker=True, **settings).unwrapped
        made.gen_mission = Draws(made.gen_mission, f"level {level!r} with level_settings={dict(settings)!r}")
        return made
    except (TypeError, AssertionError, ValueError) as error:
        given, said = dict(settings), str(error).partition(" was raised from the environment creator")[0]
        said = said or "minigrid refuses a value without saying why"
        raise UserError(f"the BabyAI level {level!r} does not take level_settings={given!r}: {said}") from error


class Draws:
    """Draws missions until one fits, as minigrid does, but not for ever: things may need more room than there is.

    Args:
        draw: Minigrid's draw of things and mission.
        level: What is said where it cannot be drawn.

    Attributes:
        tries: Since the last reset.
    """

    def __init__(self, draw: Callable[[], None], level: str) -> None:
        self.draw, self.level, self.tries = draw, level, 0

    def __call__(self) -> None:
        """Draw once more.

        Raises:
            UserError: After too many tries.
        """
        self.tries += 1
        if self.tries > MOST_DRAWS:
            raise UserError(
                f"the BabyAI {self.level} could not be drawn in {MOST_DRAWS} tries: its rooms are too small for its "
                "things; give a larger room_size or a smaller num_dists"
            )
        self.draw()


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
