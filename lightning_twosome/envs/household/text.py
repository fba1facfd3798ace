"""The household in words: a prompt that states what is seen, and for each action a text that says what it will do.

The prompt ends in an open sentence, and every action text completes it::

    ... Your hands are empty. To warm up the pancake in the microwave, you should now
                                                         walk to the pancake
                                                         walk to the living room

A style is a YAML file in ``styles/``, and every style says the same in other words and another order:

==========  ==========================================================================================================
layout      the order of the prompt's parts, which are the next keys, with the open sentence at the end
room        the {room} that the agent is in
states      how a {thing} is called that is closed, open, switched on or off, without article
sights      the {things} in the room: furniture and what lies about
contents    the {things} in an open container or on a surface, its {place}; one sentence each
reach       the {seat}, or the {things} next to the agent
hands       what is {held}
goal        the task's {aim}
actions     a phrase for each kind: {target} is a thing or a room with its article, {held} what is in hand; walk becomes
            carry with something in hand; stay, look and keep are what faithful offers beside the executable actions
==========  ==========================================================================================================

``{are}`` is "is" or "are", ``{Preposition}`` and ``{preposition}`` are in or on. Nothing out of view changes a word.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lightning_twosome.envs.household.simulator import House, State
from lightning_twosome.envs.household.things import CONTAINER, SWITCHABLE, Action
from lightning_twosome.envs.keywords import load_style

PROMPT_STYLES = ("second_person", "first_person", "third_person", "notes")
"""The styles, the default first."""


class Narrator:
    """Words the states of one house in one style."""

    def __init__(self, house: House, style: str = PROMPT_STYLES[0]) -> None:
        self.house, self.things = house, house.task.things
        self._style = load_style(Path(__file__).parent, style)

    def prompt(self, state: State) -> str:
        """What is seen, what is held, the goal; an action text continues it after one space."""
        visible = [name for name in self.things if self.house.visible(state, name)]
        around = [name for name in visible if not self.house.holds(state, name)]
        parts = {
            "room": self._style["room"].format(room=state.room),
            "goal": self._style["goal"].format(aim=self.house.task.aim),
            "sights": self._sights(state, [name for name in around if not self.house.support(state, name)]),
            "contents": self._contents(state, around),
            "reach": self._reach(state, around),
            "hands": self._hands(state),
        }
        return " ".join(self._style["layout"].format(**parts).split())

    def actions(self, state: State, offered: Iterable[int]) -> tuple[str, ...]:
        """The texts of the actions at these indices of the task's list."""
        return tuple(self._action(self.house.task.actions[index], state) for index in offered)

    def _sights(self, state: State, names: list[str]) -> str:
        if not names:
            return str(self._style["sights"]["nothing"])
        things = _join(self._seen(state, name) for name in names)
        return str(self._style["sights"]["some"].format(things=things, are=self._are(names)))

    def _contents(self, state: State, around: list[str]) -> str:
        sentences = []
        for place in self.things:
            inside = [name for name in around if self.house.support(state, name) == place]
            if inside:
                words = {"things": _join(map(self._a, inside)), "place": _the(place), "are": self._are(inside)}
                sentences.append(self._style["contents"].format(**words, **self._prepositions(place)))
        return " ".join(sentences)

    def _reach(self, state: State, around: list[str]) -> str:
        sentences, near = [], [name for name in around if name in state.near and name != state.seat]
        if state.seat:
            sentences.append(self._style["reach"]["sitting"].format(seat=_the(state.seat)))
        if near:
            words = {"things": _join(map(_the, near)), "are": self._are(near)}
            sentences.append(self._style["reach"]["standing"].format(**words))
        return " ".join(sentences)

    def _hands(self, state: State) -> str:
        held = self.house.held(state)
        kind = ("empty", "holding", "full")[len(held)]
        return str(self._style["hands"][kind].format(held=_join(map(_the, held))))

    def _action(self, action: Action, state: State) -> str:
        held, place = self.house.held(state), action.place
        kind = self._phrase(action, state)
        if kind.startswith("grab "):
            place = self.house.support(state, action.target)
        return str(
            self._style["actions"][kind].format(
                target=_the(action.target), place=_the(place), held=_join(map(_the, held)), **self._prepositions(place)
            )
        )

    def _phrase(self, action: Action, state: State) -> str:
        """The key of an action's phrase, from what is in view."""
        kind, target, house = action.kind, action.target, self.house
        if kind == "walk" and (target == state.room or house.holds(state, target)):
            return "stay" if target == state.room else "look"
        if kind == "walk":
            return "carry" if house.held(state) else "walk"
        if kind == "grab" and house.holds(state, target):
            return "keep"
        if kind == "grab" and house.support(state, target) and house.visible(state, target):
            return f"grab {self.things[house.support(state, target)].preposition}"
        return kind

    def _seen(self, state: State, name: str) -> str:
        """A thing with its article and what can be seen of its door and its switch."""
        thing, states, words = self.things[name], self._style["states"], name
        if thing.has(SWITCHABLE):
            words = states["switched on" if name in state.switched_on else "switched off"].format(thing=words)
        if thing.has(CONTAINER) and name not in state.switched_on:
            words = states["open" if name in state.open else "closed"].format(thing=name)
        return self._a(name, words)

    def _a(self, name: str, words: str = "") -> str:
        words = words or name
        if self.things[name].number != "count":
            return f"some {words}"
        return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"

    def _are(self, names: list[str]) -> str:
        return "are" if len(names) > 1 or self.things[names[0]].number == "plural" else "is"

    def _prepositions(self, place: str) -> dict[str, str]:
        preposition = self.things[place].preposition if place else ""
        return {"preposition": preposition, "Preposition": preposition.capitalize()}


def _the(name: str) -> str:
    return f"the {name}"


def _join(names: Iterable[str]) -> str:
    *most, last = list(names) or [""]
    return f"{', '.join(most)} and {last}" if most else last
