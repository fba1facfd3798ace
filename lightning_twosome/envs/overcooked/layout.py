"""Which kitchen: a layout of the library by name, or a file of one's own in the same format."""

from __future__ import annotations

import ast
import difflib
import math
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from lightning_twosome.envs.overcooked.library import (
    LAYOUTS_DIR,
    Cell,
    OvercookedGridworld,
    OvercookedState,
    Recipe,
    load_dict_from_file,
)
from lightning_twosome.envs.overcooked.routes import Routes
from lightning_twosome.errors import UserError

INGREDIENTS = ("onion", "tomato")
Contents = tuple[int, int]  # onions, tomatoes
ORDER_BONUS = 2  # the library's default, also in place of an infinite bonus
KEYS = (
    "grid start_all_orders start_bonus_orders rew_shaping_params start_state order_bonus num_items_for_soup cook_time "
    "delivery_reward recipe_values recipe_times onion_value tomato_value onion_time tomato_time"
).split()


class Layout:
    """The rules and the floor of one layout.

    Args:
        name: Its name, for messages and pictures.
        settings: The keys of a layout file.
        still: Cooks after the first one never move, so that where they stand is a wall.
    """

    def __init__(self, name: str, settings: dict[str, Any], still: bool = False) -> None:
        settings = dict(settings)
        grid, start_state = settings.pop("grid"), settings.pop("start_state", None)
        if not math.isfinite(settings.get("order_bonus", ORDER_BONUS)):
            settings["order_bonus"] = ORDER_BONUS
        rows = [row.strip() for row in grid.strip().split("\n")]
        self.name = name
        self.mdp = OvercookedGridworld.from_grid(rows, {**settings, "layout_name": name})
        if start_state is not None:  # read now that the recipes are this layout's
            self.mdp.start_state = OvercookedState.from_dict(start_state)
        self.start: OvercookedState = self.mdp.get_standard_start_state()
        self.n_cooks: int = self.mdp.num_players
        starts: tuple[Cell, ...] = self.start.player_positions
        self.routes = Routes(self.mdp, starts[1:] if still else ())
        self.movers = 1 if still else self.n_cooks
        self.pots: tuple[Cell, ...] = tuple(self.mdp.get_pot_locations())
        self.serving: tuple[Cell, ...] = tuple(self.mdp.get_serving_locations())
        self.dispensers: dict[str, tuple[Cell, ...]] = {
            "onion": tuple(self.mdp.get_onion_dispenser_locations()),
            "tomato": tuple(self.mdp.get_tomato_dispenser_locations()),
            "dish": tuple(self.mdp.get_dish_dispenser_locations()),
        }
        self.counters: tuple[Cell, ...] = tuple(self.mdp.get_counter_locations())
        self.own, self.shared = self._split_counters(starts[: self.movers])
        self.beyond = [self._beyond(start, starts[: self.movers]) for start in starts[: self.movers]]
        self.configure()  # the floor plan's rules are not this layout's
        self.values = self._values()
        self.bonuses = frozenset(_contents(order.ingredients) for order in self.start.bonus_orders)
        self.cook_times = {_contents(order.ingredients): order.time for order in Recipe.ALL_RECIPES}

    def configure(self) -> None:
        """Make the library's class-wide recipe settings this layout's; another layout may have changed them."""
        Recipe.configure(self.mdp.recipe_config)

    def _split_counters(self, starts: tuple[Cell, ...]) -> tuple[list[tuple[Cell, ...]], list[tuple[Cell, ...]]]:
        """For each cook the counters within reach: those of the cook's own part of the floor, those of two parts."""
        own, shared = [], []
        for start in starts:
            mine = [cell for cell in self.counters if self.routes.reaches(start, cell)]
            others = [other for other in starts if self.routes.region[other] != self.routes.region[start]]
            both = {cell for cell in mine if any(self.routes.reaches(other, cell) for other in others)}
            own.append(tuple(cell for cell in mine if cell not in both))
            shared.append(tuple(cell for cell in mine if cell in both))
        return own, shared

    def _beyond(self, start: Cell, starts: tuple[Cell, ...]) -> tuple[str, ...]:
        """What a cook cannot get to at all, though another one can: supplies by item, "pot", "guests"."""
        places = {**self.dispensers, "pot": self.pots, "guests": self.serving}
        reaches = self.routes.reaches
        return tuple(
            name
            for name, cells in places.items()
            if not any(reaches(start, cell) for cell in cells)
            and any(reaches(other, cell) for other in starts for cell in cells)
        )

    def _values(self) -> dict[Contents, float]:
        """What is paid for each soup that is on the order list."""
        return {
            _contents(order.ingredients): float(self.mdp.get_recipe_value(self.start, order))
            for order in self.start.all_orders
        }


def _contents(ingredients: tuple[str, ...]) -> Contents:
    return ingredients.count("onion"), ingredients.count("tomato")


@cache
def layout_names() -> tuple[str, ...]:
    """The names of the library's layouts."""
    return tuple(sorted(path.stem for path in Path(LAYOUTS_DIR).glob("*.layout")))


def load_layout(layout: str, still: bool = False) -> Layout:
    """The layout of a name, or of the path of a layout file.

    Args:
        layout: One of :func:`layout_names`, or a path.
        still: Cooks after the first one never move.

    Raises:
        UserError: There is no such layout, or the file is not a layout.
    """
    path = Path(str(layout))
    if layout in layout_names() or not path.is_file():
        return _load(layout, still, version=None)
    stat = path.stat()
    return _load(str(path.resolve()), still, version=(stat.st_mtime_ns, stat.st_size))


@lru_cache(maxsize=64)
def _load(layout: str, still: bool, version: tuple[int, int] | None) -> Layout:
    """The layout, read once; of a file once for each version of it, since it may be edited between two environments."""
    if layout in layout_names():
        return Layout(layout, load_dict_from_file(str(Path(LAYOUTS_DIR) / f"{layout}.layout")), still)
    path = Path(str(layout))
    if not path.is_file():
        near = difflib.get_close_matches(str(layout), layout_names(), n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"the names are {', '.join(layout_names())}."
        raise UserError(f"There is no Overcooked layout {layout!r}, neither by that name nor as a file; {hint}")
    try:
        return Layout(path.stem, _read(path), still)
    except (AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"The layout file {str(path)!r} is not a layout of overcooked-ai: {reason}.") from error


def _read(path: Path) -> dict[str, Any]:
    """The dictionary in a file of one's own. Read as a literal: the library would run it as a program."""
    try:
        settings = ast.literal_eval(path.read_text(encoding="utf-8").strip())
    except (SyntaxError, ValueError, UnicodeDecodeError) as error:
        raise UserError(f"The layout file {str(path)!r} must hold one Python dictionary of plain values.") from error
    if not isinstance(settings, dict) or not isinstance(settings.get("grid"), str):
        raise UserError(f"The layout file {str(path)!r} must hold a dictionary with the map under the key 'grid'.")
    if unknown := sorted(str(key) for key in settings if key not in KEYS):
        raise UserError(
            f"The layout file {str(path)!r} has the unknown key {unknown[0]!r}; the keys are {', '.join(KEYS)}."
        )
    for key in ("cook_time", "recipe_times", "onion_time", "tomato_time"):
        times = settings.get(key, 0)
        if any(isinstance(time, int | float) and time < 0 for time in (times if isinstance(times, list) else [times])):
            raise UserError(f"The layout file {str(path)!r} has {key} = {times!r}; soups cook for 0 ticks or more.")
    return settings
