"""Descriptions of rooms and of things which are moved about, with questions on where they are."""

import random

from . import vocabulary as words
from .language import ORDINALS, choose_voice, indefinite, sentence
from .vocabulary import Noun

NUMBERS = ("two", "three", "four", "five", "six")
THINGS: tuple[Noun, ...] = (
    words.VEGETABLES + words.FRUIT + words.BELONGINGS + words.ODDMENTS + words.TOYS + words.SNACKS
)
PLACES = (
    "table", "counter", "shelf", "sofa", "desk", "bed", "windowsill", "chair", "coffee table", "floor", "dining table",
)  # fmt: skip
CONTAINERS = ("basket", "drawer", "fridge", "cupboard", "box", "bag", "sink", "wardrobe", "bowl")


def _spot(rng: random.Random) -> str:
    return f"on the {rng.choice(PLACES)}" if rng.random() < 0.6 else f"in the {rng.choice(CONTAINERS)}"


def _picture(rng: random.Random) -> list[str]:
    room = rng.choice(words.ROOMS[:6])
    told = [
        rng.choice(
            (
                f"This is a picture of a {room}",
                f"The {room} is {rng.choice(('small', 'large', 'bright', 'warm', 'tidy', 'untidy'))}",
                f"Let us look around in the {room}",
            )
        )
    ]
    for noun in rng.sample(THINGS, rng.randint(2, 4)):
        spot = _spot(rng)
        thing = f"{rng.choice(NUMBERS)} {noun.name}" if noun.number == "plural" else indefinite(noun.name, noun.number)
        be = "are" if noun.number == "plural" else "is"
        told.append(
            rng.choice(
                (
                    f"{spot} there {be} {thing}",
                    f"there {be} {thing} {spot}",
                    f"{thing} {be} {spot}",
                    f"you see {thing} {spot}",
                )
            )
        )
    first, second = rng.sample(PLACES, 2)
    told.append(
        rng.choice(
            (
                f"the {first} is next to the {second}",
                f"the {first} is near the {second}",
                f"the {first} is far from the {second}",
                f"the {second} stands in front of the {first}",
                f"there is nothing on the {first}",
                f"the {first} is empty",
                f"behind the {first} is the {second}",
            )
        )
    )
    return told


def _moves(rng: random.Random) -> list[str]:
    """Follows things which are carried from place to place."""
    voice = choose_voice(rng, words.PEOPLE)
    voice.past = False
    nouns = [noun for noun in rng.sample(THINGS, 4) if noun.number == "count"][:2] or [Noun("cup", "count", ())]
    spots = {noun.name: _spot(rng) for noun in nouns}
    told = [f"the {name} is {spot}" for name, spot in spots.items()]
    for _ in range(rng.randint(1, 3)):
        name = rng.choice(list(spots))
        spot = _spot(rng)
        if spot == spots[name]:
            continue
        origin = spots[name].split(" ", 1)[1]
        told.append(voice.fill(f"{{S}} {{v:take}} the {name} from {origin}", rng))
        if rng.random() < 0.4:
            told.append(
                voice.fill(
                    rng.choice(
                        (
                            f"now {{S}} {{v:hold}} the {name}",
                            f"the {name} is in {{poss}} hands",
                            f"the {name} is not {spots[name]} any more",
                        )
                    ),
                    rng,
                )
            )
        verb = rng.choice(("put", "place", "lay"))
        moved = "it" if rng.random() < 0.5 else f"the {name}"
        told.append(voice.fill(f"{{S}} {{v:{verb}}} {moved} {spot}", rng))
        spots[name] = spot
    name = rng.choice(list(spots))
    told.append(
        rng.choice(
            (
                f"Where is the {name} now? {sentence(spots[name])}",
                f"so the {name} is {spots[name]}",
                f"now the {name} is {spots[name]}",
            )
        )
    )
    return told


def _pairs(rng: random.Random) -> list[str]:
    """Tells apart two or three things of one kind."""
    noun = rng.choice([noun for noun in THINGS if noun.number == "count"])
    count = rng.choice((2, 3))
    spots = [_spot(rng) for _ in range(count)]
    told = (
        [f"there are {NUMBERS[count - 2]} things of the same kind: each is {indefinite(noun.name)}"]
        if rng.random() < 0.3
        else []
    )
    told += [f"the {ordinal} {noun.name} is {spot}" for ordinal, spot in zip(ORDINALS, spots, strict=False)]
    index = rng.randrange(count)
    told.append(f"Where is the {ORDINALS[index]} {noun.name}? {sentence(spots[index])}")
    return told


def _hands(rng: random.Random) -> list[str]:
    """Tells what can and cannot be done with full or empty hands."""
    voice = choose_voice(rng, words.PEOPLE)
    voice.past = False
    held, other = (indefinite(noun.name, noun.number) for noun in rng.sample(THINGS, 2))
    the_other = other.split(" ", 1)[1]
    the_held = held.split(" ", 1)[1]
    if rng.random() < 0.5:
        told = [
            f"{{S}} {{v:hold}} {held} and {{v:see}} {other}",
            rng.choice(
                (
                    f"{{S}} cannot take the {the_other}, because {{poss}} hands are full",
                    f"in order to take the {the_other}, {{S}} should first put down the {the_held}",
                    f"first {{S}} {{v:put}} down the {the_held}, then {{S}} {{v:pick}} up the {the_other}",
                )
            ),
        ]
    else:
        told = [
            f"{{poss}} hands are empty and there is {other} {_spot(rng)}"
            if not other.startswith("some")
            else f"{{S}} {{v:have}} empty hands and {{v:see}} {other}",
            rng.choice(
                (
                    f"{{S}} can take the {the_other}",
                    f"so {{S}} {{v:pick}} up the {the_other}",
                    f"nothing keeps {{obj}} from taking the {the_other}",
                )
            ),
        ]
    return [voice.fill(text, rng) for text in told]


def scene(rng: random.Random) -> str:
    """Writes one or two small scenes."""
    makers = (_picture, _moves, _pairs, _hands, _moves)
    parts: list[str] = []
    for _ in range(rng.randint(1, 3)):
        parts += rng.choice(makers)(rng)
    return " ".join(sentence(text) for text in dict.fromkeys(parts))
