"""What an action comes to in a view, before any words: the same for every prompt style.

What is out of view is looked for; a board that is not seen, or that is seen to be empty, is taken to be free. Nothing
outside the view changes an intent.
"""

from __future__ import annotations

from typing import NamedTuple

from lightning_twosome.envs.kitchen.task import Action
from lightning_twosome.envs.kitchen.view import Item, View


class Intent(NamedTuple):
    """A phrase of every style, by its key, and what it speaks of besides what is held: a food, an item, a board."""

    phrase: str
    food: str = ""
    thing: Item | None = None
    board: str = ""


def intent(action: Action, view: View) -> Intent:
    """What an action will really do, as far as the view can tell."""
    if action.kind == "get" and action.target == "bowl":
        return _get_bowl(view)
    if action.kind == "get":
        return _get_food(action.target, view)
    if action.kind == "go":
        return _go(action.target, view)
    return (
        Intent("deliver" if view.hand is not None else "deliver nothing") if action.kind == "deliver" else _chop(view)
    )


def _get_food(food: str, view: View) -> Intent:
    hand = view.hand
    if hand is not None and hand.name == food:
        return Intent("keep the food")
    if hand is not None and food in hand.contents:
        return Intent("leave it in the bowl", thing=Item(food, chopped=True))
    for board, item in view.boards:
        if food in item.contents:
            return Intent("leave it in the bowl on a board", thing=Item(food, chopped=True), board=board)
        if item.name == food:
            return _get_from_board(item, board, view)
    if food in view.at_home:
        return Intent("take the food" if hand is None else "carry to the food", thing=Item(food))
    if hand is None:
        return Intent("look for the food", food)
    return Intent(
        "look for the food with the bowl" if hand.name == "bowl" else "look for the food while carrying", food
    )


def _get_from_board(food: Item, board: str, view: View) -> Intent:
    if not food.chopped:
        phrase = "stay with the raw food" if view.at_board == board else "go to the raw food"
        return Intent(phrase, thing=food, board=board)
    if view.hand is None:
        return Intent("take from a board", thing=food, board=board)
    return Intent("put the food into the bowl" if view.hand.name == "bowl" else "carry to the food", thing=food)


def _get_bowl(view: View) -> Intent:
    hand = view.hand
    if hand is not None and hand.name == "bowl":
        return Intent("keep the bowl")
    place, bowl = next(((board, item) for board, item in view.boards if item.name == "bowl"), ("", Item("bowl")))
    seen = bool(place) or "bowl" in view.at_home
    if hand is not None and hand.chopped:
        return Intent("fill the bowl" if seen else "look for the bowl to fill it")
    if hand is not None:
        return Intent("carry to the bowl" if seen else "look for the bowl while carrying")
    if not seen:
        return Intent("look for the bowl")
    return Intent("take the bowl from a board" if place else "take the bowl", thing=bowl, board=place)


def _go(board: str, view: View) -> Intent:
    hand, lying, stays = view.hand, dict(view.boards).get(board), view.at_board == board
    if hand is None:
        return Intent("stay at the board" if stays else "go to the board", board=board)
    if lying is None:
        return Intent("put on the board", board=board)
    if hand.name == "bowl" and lying.chopped:
        return Intent("scoop from the board", thing=lying, board=board)
    if lying.name == "bowl" and hand.chopped:
        return Intent("fill the bowl on the board", board=board)
    return Intent("stay at the board while carrying" if stays else "carry to the board", board=board)


def _chop(view: View) -> Intent:
    item = dict(view.boards).get(view.at_board)
    if item is None or item.name == "bowl" or item.chopped:
        return Intent("chop nothing")
    return Intent("chop" if view.hand is None else "chop with full hands", item.name, board=view.at_board)
