"""Macro-actions: what a cook can set out to do, when it makes sense, and where it can be done.

==========  =====================  ==================================================================
``fetch``   empty hands            take an onion, a tomato or a dish from its supply
``take``    empty hands            take an onion, a tomato, a dish or a soup from a counter
``fill``    an ingredient          put it into a pot that is not full and not cooking
``cook``    empty hands            start a pot that holds something
``scoop``   a dish                 take the soup out of a pot, waiting there until it is cooked
``serve``   a soup                 hand it to the guests
``put``     something              put it on the nearest free counter
``pass``    something              put it on a counter that a cook in another part of the kitchen reaches
``wait``    anything               do nothing for a few ticks, or until something else can be done
==========  =====================  ==================================================================

Only what can be done now, in a place the cook can reach, is offered; waiting always is.
"""

from __future__ import annotations

from typing import NamedTuple

from lightning_twosome.envs.overcooked.layout import INGREDIENTS, Layout
from lightning_twosome.envs.overcooked.library import Cell, OvercookedState

ITEMS = (*INGREDIENTS, "dish")


class Macro(NamedTuple):
    """A macro-action: its kind, the item it is about, the pot it is about."""

    kind: str
    item: str = ""
    pot: int = -1


WAIT = Macro("wait")


def all_macros(n_pots: int) -> tuple[Macro, ...]:
    """Every macro-action of a kitchen with this many pots; the first 11 are the same in every kitchen."""
    supplies = [Macro("fetch", item) for item in ITEMS] + [Macro("take", item) for item in (*ITEMS, "soup")]
    pots = [Macro(kind, pot=pot) for pot in range(n_pots) for kind in ("fill", "cook", "scoop")]
    return (WAIT, *supplies, Macro("serve"), Macro("put"), Macro("pass"), *pots)


def suits(macro: Macro, hand: str) -> bool:
    """Whether a macro-action can be thought of with this in hand: a quick test before looking around."""
    if macro.kind in ("fetch", "take", "cook"):
        return not hand
    if macro.kind == "fill":
        return hand in INGREDIENTS
    return macro == WAIT or hand == {"serve": "soup", "scoop": "dish"}.get(macro.kind, hand or None)


def held(state: OvercookedState, cook: int) -> str:
    """The name of what a cook carries, "" for empty hands."""
    thing = state.players[cook].held_object
    return "" if thing is None else thing.name


def places(layout: Layout, state: OvercookedState, cook: int, macro: Macro) -> list[Cell]:
    """Where a macro-action can be carried out as things stand, reachable or not; empty if it makes no sense now."""
    hand = held(state, cook)
    if macro.kind == "fetch":
        return [] if hand else list(layout.dispensers[macro.item])
    if macro.kind == "take":
        counters = (*layout.own[cook], *layout.shared[cook])
        return [] if hand else [cell for cell in counters if _lies(state, cell) == macro.item]
    if macro.kind == "serve":
        return list(layout.serving) if hand == "soup" else []
    if macro.kind in ("put", "pass"):
        counters = layout.own[cook] if macro.kind == "put" else layout.shared[cook]
        return [cell for cell in counters if cell not in state.objects] if hand else []
    return [layout.pots[macro.pot]] if _pot_allows(layout, state, hand, macro) else []


def _lies(state: OvercookedState, cell: Cell) -> str:
    thing = state.objects.get(cell)
    return "" if thing is None else thing.name


def _pot_allows(layout: Layout, state: OvercookedState, hand: str, macro: Macro) -> bool:
    soup = state.objects.get(layout.pots[macro.pot])
    if macro.kind == "fill":
        return hand in INGREDIENTS and (soup is None or not soup.is_full)
    if macro.kind == "cook":
        return not hand and soup is not None and soup.is_idle
    return hand == "dish" and soup is not None and not soup.is_idle
