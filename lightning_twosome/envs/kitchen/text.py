"""The kitchen in words: a prompt that states the view, and for each action a text that says what it will do.

The last sentence of the prompt names the goal and is left open; every action text completes it::

    ... Your hands are empty. To serve a salad of chopped tomato in a bowl, you should now
                                                         pick up the whole tomato
                                                         look for the bowl and pick it up

A text says what the action will really do as far as the view can tell. What is out of view is looked for; a board that
is not seen, or that is seen to be empty, is taken to be free. Nothing outside the view changes a word.
"""

from __future__ import annotations

from collections.abc import Iterable

from lightning_twosome.envs.kitchen.task import Action, KitchenTask
from lightning_twosome.envs.kitchen.view import Item, View

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class Narrator:
    """Words the views of one task. Its texts are functions of the view alone."""

    def __init__(self, task: KitchenTask) -> None:
        self.task = task
        n_boards = len(task.boards)
        boards = "one cutting board" if n_boards == 1 else f"{NUMBERS[n_boards - 1]} cutting boards"
        self._opening = f"This kitchen has {boards}."
        recipe = _join(food for food in task.foods if food in task.recipe)
        self._goal = f"To serve a salad of chopped {recipe} in a bowl, you should now"
        ordinals = [""] if n_boards == 1 else [f"{ordinal} " for ordinal in ORDINALS]
        self._boards = {board: f"the {ordinals[row]}cutting board" for row, board in enumerate(task.boards)}

    def prompt(self, view: View) -> str:
        """What is seen, what is held, the goal; an action text continues it after one space."""
        boards = (f"On {self._boards[board]} is {_a(item)}." for board, item in view.boards)
        return " ".join((self._opening, _counter(view), *boards, self._cook(view), self._goal))

    def actions(self, view: View) -> tuple[str, ...]:
        """The text of every action of the task, in its order."""
        return tuple(self._action(action, view) for action in self.task.actions)

    def _cook(self, view: View) -> str:
        if not view.at_board:
            return "Your hands are empty." if view.hand is None else f"You are holding {_a(view.hand)}."
        hands = "with empty hands" if view.hand is None else f"and holding {_a(view.hand)}"
        return f"You are standing at {self._boards[view.at_board]} {hands}."

    def _action(self, action: Action, view: View) -> str:
        if action.kind == "get" and action.target == "bowl":
            return self._get_bowl(view)
        if action.kind == "get":
            return self._get_food(action.target, view)
        if action.kind == "go":
            return self._go(action.target, view)
        return _deliver(view) if action.kind == "deliver" else self._chop(view)

    def _get_food(self, food: str, view: View) -> str:
        hand = view.hand
        if hand is not None and hand.name == food:
            return f"keep holding {_the(hand)}"
        if hand is not None and food in hand.contents:
            return f"leave the chopped {food} in the bowl"
        for board, item in view.boards:
            if food in item.contents:
                return f"leave the chopped {food} in the bowl on {self._boards[board]}"
            if item.name == food:
                return self._get_from_board(item, board, view)
        if food in view.at_home:
            return f"pick up the whole {food}" if hand is None else f"walk to the whole {food} {_carrying(hand)}"
        if hand is None:
            return f"look for the {food} and pick it up"
        if hand.name == "bowl":
            return f"look for the {food} to put it into the bowl"
        return f"look for the {food} {_carrying(hand)}"

    def _get_from_board(self, food: Item, board: str, view: View) -> str:
        if not food.chopped:
            verb = "look at" if view.at_board == board else "walk over to"
            return f"{verb} {_the(food)} on {self._boards[board]}"
        if view.hand is None:
            return f"pick up {_the(food)} from {self._boards[board]}"
        if view.hand.name == "bowl":
            return f"put {_the(food)} into the bowl"
        return f"walk to {_the(food)} {_carrying(view.hand)}"

    def _get_bowl(self, view: View) -> str:
        hand = view.hand
        if hand is not None and hand.name == "bowl":
            return "keep holding the bowl"
        place, bowl = next(((board, item) for board, item in view.boards if item.name == "bowl"), ("", Item("bowl")))
        seen = bool(place) or "bowl" in view.at_home
        if hand is None and not seen:
            return "look for the bowl and pick it up"
        if hand is None:
            return f"pick up {_the(bowl)}" + (f" from {self._boards[place]}" if place else "")
        if not hand.chopped:
            return f"{'walk to' if seen else 'look for'} the bowl {_carrying(hand)}"
        return (
            f"put {_the(hand)} into the bowl and lift it" if seen else f"look for the bowl to put {_the(hand)} into it"
        )

    def _go(self, board: str, view: View) -> str:
        hand, lying, name = view.hand, dict(view.boards).get(board), self._boards[board]
        verb = "stay at" if view.at_board == board else "walk to"
        if hand is None:
            return f"{verb} {name}"
        if lying is None:
            return f"put {_the(hand)} on {name}"
        if hand.name == "bowl" and lying.chopped:
            return f"scoop {_the(lying)} from {name} into the bowl"
        if lying.name == "bowl" and hand.chopped:
            return f"tip {_the(hand)} into the bowl on {name} and lift it"
        return f"{verb} {name} {_carrying(hand)}"

    def _chop(self, view: View) -> str:
        item = dict(view.boards).get(view.at_board)
        if item is None or item.name == "bowl" or item.chopped:
            return "chop nothing"
        if view.hand is not None:
            return f"try to chop the {item.name} with full hands"
        return f"chop the {item.name} on {self._boards[view.at_board]}"


def _deliver(view: View) -> str:
    return "walk to the serving counter with empty hands" if view.hand is None else f"serve {_the(view.hand)}"


def _counter(view: View) -> str:
    if not view.at_home:
        return "Near you, nothing is waiting on the counter."
    items = _join(_a(Item(name)) for name in view.at_home)
    return f"Near you, {items} {'is' if len(view.at_home) == 1 else 'are'} waiting on the counter."


def _carrying(hand: Item) -> str:
    return f"with {'the bowl' if hand.name == 'bowl' else _the(hand)} in hand"


def _the(item: Item) -> str:
    return f"the {_noun(item)}"


def _a(item: Item) -> str:
    noun = _noun(item)
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _noun(item: Item) -> str:
    if item.name != "bowl":
        return f"{'chopped' if item.chopped else 'whole'} {item.name}"
    return f"bowl of chopped {_join(item.contents)}" if item.contents else "empty bowl"


def _join(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
