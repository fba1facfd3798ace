"""The kitchen in words: a prompt that states the view, and for each offered action a text that says what it will do.

The prompt ends in an open sentence, and every action text completes it. A style is a YAML file in ``styles/``, and
every style says the same in other words and another order:

========  ============================================================================================================
nouns     how things are called, without article: onion, tomato, dish (empty), soup in a dish, soup on the order list,
          with their {contents}; pot and guests
layout    the order of the prompt's parts, which are the next keys, with the open sentence at the end
orders    which soups are paid for: any, one, several ({soups}), and where they are not paid alike the {best} one
beyond    what only another cook can get to: {places}
pots      a sentence for each {pot} by its status, with its {contents}
counter   the {things} on counters within reach
others    what another cook holds: {thing}; ``one`` other cook or ``several``
blocked   the last macro-action was given up
hand      what the cook holds: {thing}
actions   a phrase for each kind of macro-action: {thing} without article, {a thing} and {the thing} with it
========  ============================================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from lightning_twosome.envs.keywords import load_style
from lightning_twosome.envs.overcooked.layout import INGREDIENTS, Contents, Layout
from lightning_twosome.envs.overcooked.macros import Macro
from lightning_twosome.envs.overcooked.view import Pot, Thing, View

PROMPT_STYLES = ("second_person", "third_person", "notes")
"""The styles, the default first."""

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
MEMORY = 50_000  # texts kept for each layout and style


class Narrator:
    """Words the views of one layout in one style. Its texts are functions of the view and of what is offered.

    Args:
        layout: The kitchen.
        style: One of :data:`PROMPT_STYLES`.
    """

    def __init__(self, layout: Layout, style: str) -> None:
        self._style = load_style(Path(__file__).parent, style)
        self._nouns: dict[str, str] = self._style["nouns"]
        n_pots = len(layout.pots)
        ordinals = [""] if n_pots == 1 else [f"{ordinal} " for ordinal in ORDINALS[:n_pots]]
        self._pots = [f"the {ordinal}{self._nouns['pot']}" for ordinal in ordinals]
        self._orders = self._wanted(layout)
        self.prompt = lru_cache(MEMORY)(self._prompt)
        self.actions = lru_cache(MEMORY)(self._actions)

    def _prompt(self, view: View) -> str:
        """What is going on, what is held, the goal; an action text continues it after one space."""
        style = self._style
        parts = {
            "orders": self._orders,
            "beyond": self._beyond(view.beyond),
            "pots": " ".join(map(self._pot, self._pots, view.pots)),
            "counter": self._counter(view),
            "others": self._others(view.others),
            "blocked": style["blocked"] if view.blocked else "",
            "hand": self._holding(style["hand"], view.hand),
        }
        return " ".join(style["layout"].format(**parts).split())

    def _actions(self, view: View, macros: tuple[Macro, ...]) -> tuple[str, ...]:
        """The text of each offered macro-action."""
        return tuple(self._action(macro, view) for macro in macros)

    def _wanted(self, layout: Layout) -> str:
        """The order list, the best paid first."""
        style = self._style["orders"]
        orders = sorted((order for order, value in layout.values.items() if value > 0), key=lambda o: -layout.values[o])
        names = [self._nouns["order"].format(contents=self._contents(order)) for order in orders]
        if not orders:
            return ""
        if len(orders) == 1:
            wanted = style["one"].format(soup=names[0])
        elif len(orders) == len(layout.cook_times):
            wanted = style["any"]
        else:
            wanted = style["several"].format(soups=_join(names, "or"))
        if len({layout.values[order] for order in orders}) > 1:
            wanted += " " + style["best"].format(soup=names[0])
        return wanted

    def _beyond(self, names: Sequence[str]) -> str:
        places = [f"the {self._plural(name)}" for name in names]
        return self._style["beyond"].format(places=_join(places)) if places else ""

    def _plural(self, name: str) -> str:
        if name == "guests" or (name == "pot" and len(self._pots) == 1):
            return self._nouns[name]
        return _plural(self._nouns[name])

    def _pot(self, name: str, pot: Pot) -> str:
        text = self._style["pots"][pot.status].format(pot=name, contents=self._contents(pot.contents))
        return text[:1].upper() + text[1:]

    def _counter(self, view: View) -> str:
        if not view.lying:
            return ""
        things = [self._a(thing) if n == 1 else self._several(thing, n) for thing, n in view.lying]
        plural = "several" if len(things) > 1 or view.lying[0][1] > 1 else "one"
        return self._style["counter"][plural].format(things=_join(things))

    def _several(self, thing: Thing, n: int) -> str:
        """A number and a plural; of "bowl of soup" the first noun has it."""
        number = NUMBERS[n] if n < len(NUMBERS) else "many"
        noun = self._nouns["soups"].format(contents=self._contents(thing.contents)) if thing.name == "soup" else ""
        return f"{number} {noun or _plural(self._noun(thing))}"

    def _others(self, hands: Sequence[Thing]) -> str:
        style = self._style["others"]["one" if len(hands) == 1 else "several"]
        return " ".join(self._holding(style, hand) for hand in hands)

    def _holding(self, style: dict[str, str], thing: Thing) -> str:
        return style["something"].format(thing=self._a(thing)) if thing.name else style["nothing"]

    def _action(self, macro: Macro, view: View) -> str:
        texts = self._style["actions"]
        thing = Thing(macro.item) if macro.item else view.hand
        words = {"thing": self._noun(thing), "a_thing": self._a(thing), "the_thing": f"the {self._noun(thing)}"}
        text = texts[macro.kind]
        if macro.pot >= 0:
            pot = view.pots[macro.pot]
            words |= {"pot": self._pots[macro.pot], "contents": self._contents(pot.contents)}
            if macro.kind == "scoop":
                text = text["ready" if pot.status == "ready" else "waiting"]
        if macro.kind == "take" and macro.item == "soup":
            text = texts["take soup"]
        filled: str = text.format(**words)
        return filled

    def _noun(self, thing: Thing) -> str:
        if not thing.name:
            return ""
        return self._nouns[thing.name].format(contents=self._contents(thing.contents))

    def _a(self, thing: Thing) -> str:
        noun = self._noun(thing)
        return f"{'an' if noun[:1] in tuple('aeiou') else 'a'} {noun}"

    def _contents(self, contents: Contents) -> str:
        """What is in a pot, such as two onions and one tomato."""
        parts = [
            f"{NUMBERS[n]} {item if n == 1 else _plural(item)}"
            for n, item in zip(contents, INGREDIENTS, strict=True)
            if n
        ]
        return _join(parts)


def _plural(noun: str) -> str:
    return f"{noun}es" if noun.endswith("o") or noun.endswith("sh") else f"{noun}s"


def _join(names: Iterable[str], word: str = "and") -> str:
    *most, last = [*names] or [""]
    return f"{', '.join(most)} {word} {last}" if most else last
