"""Everyday multiple choice and agreement: own wordings over the word tables of the corpus.

The facts are those of the corpus; the sentences are not. The right answer comes first.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lightning_twosome.pretraining import facts, vocabulary
from lightning_twosome.pretraining.language import indefinite
from lightning_twosome.pretraining.vocabulary import Noun

Item = dict[str, Any]

_THINGS = [*vocabulary.BELONGINGS, *vocabulary.ODDMENTS, *vocabulary.TOYS, *vocabulary.FRUIT, *vocabulary.VEGETABLES]
_COUNT = [noun for noun in _THINGS if noun.number == "count"]
_PLURAL = [noun for noun in _THINGS if noun.number == "plural"]
_MASS = [
    noun for noun in (*vocabulary.VEGETABLES, *vocabulary.COLD_DRINKS, *vocabulary.SNACKS) if noun.number == "mass"
]
_SPOTS = ("on the table", "on the shelf", "on the sofa", "on the desk", "on the bed", "on the chair", "on the counter",
          "in the basket", "in the drawer", "in the fridge", "in the cupboard", "in the box", "in the bag")  # fmt: skip
_NAMES = [(name, pronoun) for name, pronoun in vocabulary.PEOPLE if name[0].isupper()]
_OBJECT = {"she": "her", "he": "him"}
_HANDS = {"she": "her", "he": "his"}


def choices(rng: random.Random) -> Iterator[Item]:
    """Everyday questions with four answers, without end: where things go, what they are for, where they are now."""
    makers = (_where_kept, _what_for, _which_room, _where_now, _where_now, _what_in_hand)
    while True:
        yield rng.choice(makers)(rng)


def _where_kept(rng: random.Random) -> Item:
    name = rng.choice(list(facts.KEPT))
    places = _wrong(facts.KEPT, name, rng)
    be = "are" if name.endswith("s") and name != "dishes" else "is"
    person, _ = rng.choice(_NAMES)
    text = rng.choice((
        f"{person} comes home from the shop with {name}. As everybody knows, {name} {be} kept",
        f"There {be} still {name} on the floor, and {person} tidies up. {name.capitalize()} {be} kept",
        f"{person} does not know what to do with {name}. {name.capitalize()} {'belong' if be == 'are' else 'belongs'}",
    ))  # fmt: skip
    return _item(text, [f"{'on' if place == 'shelf' else 'in'} the {place}." for place in places])


def _what_for(rng: random.Random) -> Item:
    name = rng.choice(list(facts.USES))
    uses = _wrong(facts.USES, name, rng)
    thing = "soap" if name == "soap" else indefinite(name)
    person, pronoun = rng.choice(_NAMES)
    text = rng.choice((
        f"{person} has {thing} at home, because it is used to",
        f"{person} sees {thing} and asks {_HANDS[pronoun]} mother what it is for. She says that it is used to",
        f"In the house there is {thing}, and {person} knows that it is there to",
    ))  # fmt: skip
    return _item(text, [f"{use}." for use in uses])


def _which_room(rng: random.Random) -> Item:
    name = rng.choice(list(facts.ROOM_OF))
    rooms = _wrong(facts.ROOM_OF, name, rng)
    person, pronoun = rng.choice(_NAMES)
    text = rng.choice((
        f"{person} walks through the house and looks for the {name}. The {name} is",
        f"A friend wants to know where the {name} is. {person} tells {_HANDS[pronoun]} friend: the {name} is",
    ))  # fmt: skip
    return _item(text, [f"in the {room}." for room in rooms])


def _where_now(rng: random.Random) -> Item:
    thing, other = (noun.name for noun in rng.sample(_COUNT, 2))
    first, second, third, fourth = rng.sample(_SPOTS, 4)
    person, pronoun = rng.choice(_NAMES)
    origin = first.split(" ", 1)[1]
    text = (
        f"The {thing} is {first} and the {other} is {third}. {person} takes the {thing} from {origin}. "
        + rng.choice((
            f"After that {pronoun} puts the {thing} {second}. Now the {thing} is",
            f"Then {pronoun} places it {second}. Where is the {thing} now? It is",
            f"Next {pronoun} lays the {thing} {second}. So the {thing} is",
        ))
    )  # fmt: skip
    return _item(text, [f"{spot}." for spot in (second, first, third, fourth)])


def _what_in_hand(rng: random.Random) -> Item:
    held, second, third, fourth = (noun.name for noun in rng.sample(_COUNT, 4))
    spots = rng.sample(_SPOTS, 3)
    person, pronoun = rng.choice(_NAMES)
    told = [f"The {name} is {spot}." for name, spot in zip((held, second, third), spots, strict=True)]
    text = f"{' '.join(told)} {person} takes the {held} from {spots[0].split(' ', 1)[1]}. In {_HANDS[pronoun]} hands is"
    return _item(text, [f"the {name}." for name in (held, second, third, fourth)])


def _item(text: str, choices: Sequence[str]) -> Item:
    return {"context": text, "choices": list(choices)}


def _wrong(table: Mapping[str, str], name: str, rng: random.Random) -> list[str]:
    """The right value and three others of the table."""
    return [table[name], *rng.sample(sorted(set(table.values()) - {table[name]}), 3)]


def agreements(rng: random.Random) -> Iterator[Item]:
    """Minimal pairs, without end: number, person, pronoun and article."""
    makers = (_number, _number, _person, _pronoun, _article)
    while True:
        yield rng.choice(makers)(rng)


def _scene(rng: random.Random) -> str:
    """Something to read before the pair."""
    one, many = rng.choice(_COUNT), rng.choice(_PLURAL)
    spots = rng.sample(_SPOTS, 2)
    room = rng.choice(vocabulary.ROOMS[:6])
    told = [f"There is {indefinite(one.name)} {spots[0]}.", f"You see some {many.name} {spots[1]}."]
    rng.shuffle(told)
    return f"{rng.choice(('We are', 'Everybody is', 'The guests are'))} in the {room}. {' '.join(told)}"


def _number(rng: random.Random) -> Item:
    noun = rng.choice([rng.choice(_COUNT), rng.choice(_PLURAL)])
    attractor = rng.choice(_PLURAL if noun.number == "count" else _COUNT).name
    spot = rng.choice(_SPOTS)
    start = rng.choice((f"The {noun.name}", f"The {noun.name} next to the {attractor}"))
    right, wrong = ("is", "are") if noun.number == "count" else ("are", "is")
    end = rng.choice((f"{spot}", "not needed any more", f"still {spot}"))
    return _item(f"{_scene(rng)} {start}", [f"{be} {end}." for be in (right, wrong)])


def _person(rng: random.Random) -> Item:
    verb = rng.choice(("take", "put", "hold", "carry", "bring", "see", "open", "wash"))
    third = "carries" if verb == "carry" else f"{verb}es" if verb == "wash" else f"{verb}s"
    second_person = rng.random() < 0.5
    subject = "you" if second_person else rng.choice(_NAMES)[0]
    thing = rng.choice(_COUNT).name
    forms = (verb, third) if second_person else (third, verb)
    adverb = rng.choice(("Now", "Then", "After that", "Next"))
    end = {"put": f"the {thing} {rng.choice(_SPOTS)}", "bring": f"the {thing} to the guests"}.get(verb, f"the {thing}")
    return _item(f"{_scene(rng)} {adverb} {subject}", [f"{form} {end}." for form in forms])


def _pronoun(rng: random.Random) -> Item:
    person, pronoun = rng.choice(_NAMES)
    thing = rng.choice(_COUNT)
    other = {"she": "he", "he": "she"}
    end = f"puts the {thing.name} {rng.choice(_SPOTS)}"
    told = f"{person} has {indefinite(thing.name)} in {_HANDS[pronoun]} hands. Now"
    return _item(f"{_scene(rng)} {told}", [f"{subject} {end}." for subject in (pronoun, other[pronoun])])


def _article(rng: random.Random) -> Item:
    noun: Noun = rng.choice([rng.choice(_COUNT), rng.choice(_MASS)])
    right = indefinite(noun.name, noun.number)
    article, _, name = right.partition(" ")
    wrong = {"a": "an", "an": "a", "some": "a" if name[0] not in "aeiou" else "an"}[article]
    person, _ = rng.choice(_NAMES)
    end = f"{name} {rng.choice(_SPOTS)}"
    return _item(f"{_scene(rng)} {person} sees", [f"{word} {end}." for word in (article, wrong)])
