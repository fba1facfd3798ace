"""The kitchen in words: a prompt that states the view, and for each action a text that says what it will do.

The prompt ends in an open sentence, and every action text completes it::

    ... Your hands are empty. To serve a salad of chopped tomato in a bowl, you should now
                                                         pick up the whole tomato
                                                         look for the bowl and pick it up

A style is a YAML file in ``styles/``, and every style says the same in other words and another order:

==========  ==========================================================================================================
nouns       how items are called, without article: raw and chopped {food}, empty bowl, filled bowl with its {foods}
layout      the order of the prompt's parts, which are the next five keys, with the open sentence at the end
kitchen     how many boards there are: {number}
counter     which visible {items} still stand where they began
boards      what a visible {board} holds: {item}; one sentence each, none if nothing is seen on any
cook        whether the cook stands at a {board}, and the {item} in hand
goal        the {recipe}
actions     a phrase for each :class:`.Intent`: {food} is a name, {thing} an item with its article, {board} a board,
            {held} what is in hand and {carried} the same where the contents of a bowl do not matter
==========  ==========================================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lightning_twosome.envs.keywords import load_style
from lightning_twosome.envs.kitchen.intent import Intent, intent
from lightning_twosome.envs.kitchen.task import KitchenTask
from lightning_twosome.envs.kitchen.view import Item, View

PROMPT_STYLES = ("second_person", "first_person", "third_person", "notes")
"""The styles, the default first."""

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class Narrator:
    """Words the views of one task in one style. Its texts are functions of the view alone."""

    def __init__(self, task: KitchenTask, style: str = PROMPT_STYLES[0]) -> None:
        self.task = task
        self._style = load_style(Path(__file__).parent, style)
        n_boards = len(task.boards)
        ordinals = [""] if n_boards == 1 else [f"{ordinal} " for ordinal in ORDINALS]
        self._boards = {board: f"the {ordinals[row]}cutting board" for row, board in enumerate(task.boards)}
        kitchen = self._style["kitchen"]["one board" if n_boards == 1 else "several boards"]
        recipe = _join(food for food in task.foods if food in task.recipe)
        self._kitchen = kitchen.format(number=NUMBERS[n_boards - 1])
        self.goal: str = self._style["goal"].format(recipe=recipe)

    def prompt(self, view: View) -> str:
        """What is seen, what is held, the goal; an action text continues it after one space."""
        boards = (
            self._style["boards"].format(board=self._boards[board], item=self._a(item)) for board, item in view.boards
        )
        prompt: str = self._style["layout"].format(
            kitchen=self._kitchen,
            counter=self._counter(view),
            boards=" ".join(boards),
            cook=self._cook(view),
            goal=self.goal,
        )
        return " ".join(prompt.split())

    def actions(self, view: View) -> tuple[str, ...]:
        """The text of every action of the task, in its order."""
        return tuple(self._words(intent(action, view), view.hand) for action in self.task.actions)

    def _words(self, intent: Intent, hand: Item | None) -> str:
        phrase: str = self._style["actions"][intent.phrase]
        held = "" if hand is None else self._the(hand)
        return phrase.format(
            food=intent.food,
            thing="" if intent.thing is None else self._the(intent.thing),
            board=self._boards.get(intent.board, ""),
            held=held,
            carried="the bowl" if hand is not None and hand.name == "bowl" else held,
        )

    def _counter(self, view: View) -> str:
        texts = self._style["counter"]
        if not view.at_home:
            return texts["nothing"]
        items = _join(self._a(Item(name)) for name in view.at_home)
        return texts["one" if len(view.at_home) == 1 else "several"].format(items=items)

    def _cook(self, view: View) -> str:
        hands = "empty hands" if view.hand is None else "holding"
        if view.at_board:
            hands = "at a board with empty hands" if view.hand is None else "at a board and holding"
        item = "" if view.hand is None else self._a(view.hand)
        return self._style["cook"][hands].format(board=self._boards.get(view.at_board, ""), item=item)

    def _the(self, item: Item) -> str:
        return f"the {self._noun(item)}"

    def _a(self, item: Item) -> str:
        noun = self._noun(item)
        return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"

    def _noun(self, item: Item) -> str:
        if item.name != "bowl":
            return self._style["nouns"]["chopped" if item.chopped else "raw"].format(food=item.name)
        if not item.contents:
            return self._style["nouns"]["empty bowl"]
        return self._style["nouns"]["filled bowl"].format(foods=_join(item.contents))


def _join(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
