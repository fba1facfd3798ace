"""What a cook is told: everything in the kitchen that matters to the cook, and the same as numbers.

The kitchen is seen as a whole. Left out are distances, which the macro-actions take care of, and what lies on counters
that the cook cannot reach. The vector has, in this order:

* in hand: onion, tomato, dish, soup (one-hot), the soup's onions and tomatoes (thirds)
* for each pot: onions and tomatoes (thirds), not cooking, cooking, ready, remaining ticks (twentieths), way (tenths;
  -1 where there is none)
* way to the nearest supply of onions, tomatoes, dishes and to the guests (tenths of ticks; -1 where there is none)
* onions, tomatoes, dishes and soups on counters within reach (thirds), and whether there is a free counter of the
  cook's own and one shared with another part of the kitchen
* column and row (tenths), facing north, south, east, west (one-hot), whether the way was blocked
* for each other cook: what is in hand (one-hot of four), columns and rows away (tenths)
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_twosome.envs.overcooked.game import Game
from lightning_twosome.envs.overcooked.layout import Contents
from lightning_twosome.envs.overcooked.library import Cell, Direction, SoupState
from lightning_twosome.envs.overcooked.macros import ITEMS, held

SOON = 5  # a soup that needs no more ticks than this is almost ready
THINGS = (*ITEMS, "soup")
NO_CONTENTS: Contents = (0, 0)


class Thing(NamedTuple):
    """Something that can be carried; "" for nothing."""

    name: str
    contents: Contents = NO_CONTENTS


class Pot(NamedTuple):
    """A pot: what is in it, and "empty", "idle", "cooking", "soon" or "ready"."""

    status: str
    contents: Contents = NO_CONTENTS


class View(NamedTuple):
    """What a cook is told.

    Attributes:
        hand: What the cook holds.
        pots: The pots, in the layout's order.
        lying: Things on counters within reach, with their number.
        others: What the other cooks hold, those who never move left out.
        beyond: What only other cooks can get to: supplies by item, "pot", "guests".
        blocked: The cook's last macro-action was given up because the way was blocked.
    """

    hand: Thing
    pots: tuple[Pot, ...]
    lying: tuple[tuple[Thing, int], ...]
    others: tuple[Thing, ...]
    beyond: tuple[str, ...]
    blocked: bool


def look(game: Game, cook: int) -> View:
    """The view of a cook."""
    layout, state = game.layout, game.state
    reachable = (*layout.own[cook], *layout.shared[cook])
    lying = Counter(_thing(state.objects[cell]) for cell in reachable if cell in state.objects)
    return View(
        hand=_thing(state.players[cook].held_object),
        pots=tuple(_pot(state.objects.get(cell)) for cell in layout.pots),
        lying=tuple(sorted(lying.items())),
        others=tuple(_thing(state.players[o].held_object) for o in range(layout.movers) if o != cook),
        beyond=layout.beyond[cook],
        blocked=game.blocked[cook],
    )


def features(game: Game, cook: int) -> NDArray[np.float32]:
    """The view of a cook as numbers; their order is at the top of this file."""
    layout, state = game.layout, game.state
    player = state.players[cook]
    values = [*_hand(held(state, cook)), *(n / 3 for n in _thing(player.held_object).contents)]
    for cell in layout.pots:
        values += [*_pot_numbers(state.objects.get(cell)), _way(game, cook, [cell])]
    supplies = [layout.dispensers[item] for item in ITEMS]
    values += [_way(game, cook, cells) for cells in (*supplies, layout.serving)]
    own, shared = layout.own[cook], layout.shared[cook]
    lying = Counter(state.objects[cell].name for cell in (*own, *shared) if cell in state.objects)
    values += [lying[name] / 3 for name in THINGS]
    values += [float(any(cell not in state.objects for cell in cells)) for cells in (own, shared)]
    (x, y), facing = player.pos_and_or
    values += [x / 10, y / 10, *(float(facing == way) for way in Direction.ALL_DIRECTIONS), float(game.blocked[cook])]
    for other, mate in enumerate(state.players):
        if other != cook:
            values += [*_hand(held(state, other)), (mate.position[0] - x) / 10, (mate.position[1] - y) / 10]
    return np.array(values, dtype=np.float32)


def _thing(thing: object) -> Thing:
    if thing is None:
        return Thing("")
    return Thing("soup", _contents(thing)) if isinstance(thing, SoupState) else Thing(thing.name)  # type: ignore[attr-defined]


def _pot(soup: SoupState | None) -> Pot:
    if soup is None:
        return Pot("empty")
    if soup.is_idle:
        return Pot("idle", _contents(soup))
    left = soup.cook_time_remaining
    return Pot("ready" if left == 0 else "soon" if left <= SOON else "cooking", _contents(soup))


def _contents(soup: SoupState) -> Contents:
    return soup.ingredients.count("onion"), soup.ingredients.count("tomato")


def _hand(name: str) -> list[float]:
    return [float(name == thing) for thing in THINGS]


def _pot_numbers(soup: SoupState | None) -> list[float]:
    pot = _pot(soup)
    remaining = soup.cook_time_remaining / 20 if soup is not None and pot.status in ("cooking", "soon") else 0.0
    status = [float(pot.status in names) for names in (("idle",), ("cooking", "soon"), ("ready",))]
    return [*(n / 3 for n in pot.contents), *status, remaining]


def _way(game: Game, cook: int, cells: list[Cell] | tuple[Cell, ...]) -> float:
    route = game.layout.routes.nearest(game.state.players[cook].pos_and_or, cells)
    return -1.0 if route is None else route.cost / 10
