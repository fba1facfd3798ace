"""The view in words, in three styles that say the same in other words and another order.

==========  ==============  ===============================================  =====================================
style       perspective     order                                            actions
==========  ==============  ===============================================  =====================================
``plain``   you             hands, things by distance, wall, mission         ``turn left``, ``go forward``
``story``   Ken             mission, wall, things by distance, hands         ``turns to the left``, ``walks on``
``notes``   I               question, things by direction, hands, mission    ``look left``, ``make a step``
==========  ==============  ===============================================  =====================================

An action says what it leads to as far as the view tells: the thing that the agent will look at after a turn, the thing
that it walks towards, the thing next to which something is put down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

from lightning_twosome.envs.babyai.view import DROP, FORWARD, LEFT, PICK_UP, RIGHT, TOGGLE, Thing, View

Words = tuple[str, tuple[str, ...]]

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
PLACES = {"left": "on {} left", "right": "on {} right", "front": "in front of {}", "behind": "behind {}"}


@lru_cache(maxsize=16384)
def narrate(view: View, style: str) -> Words:
    """Prompt and action texts of a view."""
    return STYLES[style](view)


def _plain(view: View) -> Words:
    sentences = [f"You are in a room and have {_hand(view, 'nothing')} in your hands."]
    seen = [f"{_a(thing, 'your', 'you')} {_where(thing, 'to your')}" for thing in view.things]
    sentences.append(f"You see {_join(seen)}." if seen else "You see nothing but the room.")
    if view.wall:
        sentences.append(f"The wall ahead of you is {_steps(view.wall)} away.")
    sentences += _done(view, "You have already done this:", "your", "you")
    prompt = f"{' '.join(sentences)} You want to {_mission(view.mission, 'your', 'you')}. To do that, you should now"
    towards = " towards {}"
    verbs = {
        LEFT: "turn left" + _toward(view.left, towards),
        RIGHT: "turn right" + _toward(view.right, towards),
        FORWARD: _forward(view, "go forward", towards, "go through {}"),
        PICK_UP: f"pick up {_the(view.facing)}",
        DROP: f"put down {_the(view.carried)}{_next_to(view, ' next to {}')}",
        TOGGLE: _toggle(view, "open", "close", "unlock {} with {}"),
    }
    return prompt, tuple(verbs[action] for action in view.actions)


def _story(view: View) -> Words:
    sentences = [
        f"Ken wants to {_mission(view.mission, 'his', 'him')}.",
        *_done(view, "This part is finished:", "his", "him"),
    ]
    if view.wall:
        sentences.append(f"In front of him is a wall in {_steps(view.wall)}.")
    for thing in view.things:
        place = _where(thing, "to the")
        sentences.append(f"{place[0].upper()}{place[1:]} is {_a(thing, 'his', 'him')}.")
    if not view.things:
        sentences.append("The part of the room that he sees is empty.")
    sentences.append(f"Ken holds {_hand(view, 'nothing')}.")
    facing = " and looks at {}"
    verbs = {
        LEFT: "turns to the left" + _toward(view.left, facing),
        RIGHT: "turns to the right" + _toward(view.right, facing),
        FORWARD: _forward(view, "walks on", " to get closer to {}", "walks through {}"),
        PICK_UP: f"takes {_the(view.facing)}",
        DROP: f"sets {_the(view.carried)} on the floor{_next_to(view, ' beside {}')}",
        TOGGLE: _toggle(view, "opens", "closes", "opens {} with {}"),
    }
    return f"{' '.join(sentences)} Next Ken", tuple(verbs[action] for action in view.actions)


def _notes(view: View) -> Words:
    lines = ["What do I do next?"]
    sides: tuple[tuple[str, Callable[[Thing], bool]], ...] = (
        ("On the left", lambda thing: thing.right < 0),
        ("On the right", lambda thing: thing.right > 0),
        ("In front", lambda thing: thing.right == 0),
    )
    for side, belongs in sides:
        seen = [f"{_noun(thing, 'my', 'me')}, {_across(thing)}" for thing in view.things if belongs(thing)]
        if side == "In front" and view.wall:
            seen.append(f"a wall, {NUMBERS[view.wall]} ahead")
        lines.append(f"{side}: {'; '.join(seen) if seen else 'nothing'}.")
    lines.append(f"In my hands: {_hand(view, 'nothing')}.")
    lines += _done(view, "Done:", "my", "me")
    prompt = f"{' '.join(lines)} My task: {_mission(view.mission, 'my', 'me')}. I"
    verbs = {
        LEFT: "look left" + _toward(view.left, " at {}"),
        RIGHT: "look right" + _toward(view.right, " at {}"),
        FORWARD: _forward(view, "make a step", " to {}", "pass {}"),
        PICK_UP: f"grab {_the(view.facing)}",
        DROP: f"leave {_the(view.carried)} here{_next_to(view, ' by {}')}",
        TOGGLE: _toggle(view, "pull open", "shut", "unlock {} with {}"),
    }
    return prompt, tuple(verbs[action] for action in view.actions)


STYLES: dict[str, Callable[[View], Words]] = {"plain": _plain, "story": _story, "notes": _notes}


def _hand(view: View, nothing: str) -> str:
    return nothing if view.carried is None else _article(_colored(view.carried))


def _done(view: View, words: str, whose: str, whom: str) -> list[str]:
    return [f"{words} {_join(_mission(part, whose, whom) for part in view.done)}."] if view.done else []


def _toward(thing: Thing | None, words: str) -> str:
    return "" if thing is None else words.format(_the(thing))


def _forward(view: View, verb: str, towards: str, through: str) -> str:
    if view.facing is not None:  # an open door, or forward would not be offered
        return through.format(_the(view.facing))
    return verb + _toward(view.front, towards)


def _next_to(view: View, words: str) -> str:
    return words.format(_join(_the(thing) for thing in view.beside)) if view.beside else ""


def _toggle(view: View, open_: str, close: str, unlock: str) -> str:
    if view.facing is None:
        return ""
    if view.facing.state == "locked":
        return unlock.format(_the(view.facing), _the(view.carried))
    return f"{close if view.facing.state == 'open' else open_} {_the(view.facing)}"


def _mission(mission: str, whose: str, whom: str) -> str:
    """The mission with its words for places put into the past, which is what they are about."""
    for place, words in PLACES.items():
        said, meant = words.format("your" if place in ("left", "right") else "you"), _place(place, whose, whom)
        mission = mission.replace(f" {said}", f" that was {meant}")
    return mission.replace("after you", {"you": "after you", "him": "after he gets to", "me": "after I"}[whom])


def _place(place: str, whose: str, whom: str) -> str:
    return PLACES[place].format(whose if place in ("left", "right") else whom) + " at first"


def _colored(thing: Thing) -> str:
    return " ".join(word for word in (thing.state, thing.color, thing.kind) if word)


def _noun(thing: Thing, whose: str, whom: str) -> str:
    places = " and ".join(_place(place, whose, whom) for place in thing.places)
    return f"{_colored(thing)} that was {places}" if places else _colored(thing)


def _a(thing: Thing, whose: str, whom: str) -> str:
    return _article(_noun(thing, whose, whom))


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _the(thing: Thing | None) -> str:
    return "" if thing is None else f"the {thing.color} {thing.kind}"


def _steps(count: int) -> str:
    return "one step" if count == 1 else f"{NUMBERS[count]} steps"


def _where(thing: Thing, side_of: str) -> str:
    ahead = f"{_steps(thing.ahead)} ahead" if thing.ahead else ""
    side = "left" if thing.right < 0 else "right"
    across = f"{_steps(abs(thing.right))} {side_of} {side}" if thing.right else ""
    return " and ".join(part for part in (ahead, across) if part)


def _across(thing: Thing) -> str:
    parts = [f"{NUMBERS[abs(thing.right)]} across"] if thing.right else []
    return " and ".join(parts + ([f"{NUMBERS[thing.ahead]} ahead"] if thing.ahead else []))


def _join(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
