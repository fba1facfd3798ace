"""Words for actions and states: verb phrases, names of things and how far things have got."""

import random
from dataclasses import dataclass, field

from . import vocabulary as words
from .language import Voice
from .world import HANDS, Action, World

PHRASES = {
    "go": (
        "walk to the {place}", "go to the {place}", "head to the {place}", "step into the {place}",
        "go into the {place}", "move to the {place}", "walk over to the {place}", "enter the {place}",
    ),
    "approach": (
        "walk to the {place}", "go to the {place}", "walk over to the {place}", "go over to the {place}",
        "head for the {place}", "step up to the {place}", "move to the {place}", "approach the {place}",
        "turn to the {place}",
    ),
    "open": ("open the {place}", "open the {place}", "pull the {place} open", "open the door of the {place}"),
    "close": ("close the {place}", "shut the {place}", "close the {place} again", "push the {place} shut"),
    "take": (
        "take {thing}", "pick up {thing}", "grab {thing}", "get {thing}", "fetch {thing}", "take {thing} {source}",
        "get {thing} {source}", "pick {thing} up", "take hold of {thing}", "grab {thing} {source}",
    ),
    "put": (
        "put {thing} {target}", "place {thing} {target}", "set {thing} down {target}", "put {thing} down {target}",
        "lay {thing} {target}", "leave {thing} {target}",
    ),
    "add": ("put {thing} {into}", "add {thing} to the {place}", "place {thing} {into}", "put {thing} {into}"),
    "scoop": (
        "put {thing} {into}", "place {thing} {into}", "slide {thing} {into}", "scoop {thing} {into}",
        "get {thing} {into}",
    ),
    "switch_on": (
        "turn on the {place}", "switch on the {place}", "switch the {place} on", "turn the {place} on",
        "start the {place}",
    ),
    "switch_off": ("turn off the {place}", "switch off the {place}", "switch the {place} off", "turn the {place} off"),
    "wait": (
        "wait until {thing} {is} {state}", "wait for {thing} to be {state}", "wait a few minutes",
        "let the {place} do its work", "wait patiently until {thing} {is} {state}",
    ),
    "serve": (
        "serve {thing}", "bring {thing} to the people at the {place}", "serve {thing} at the {place}",
        "put {thing} on the {place} and serve it", "hand over {thing}", "present {thing} to the guests",
    ),
    "rest": ("sit down", "sit down on the {place}", "take a seat on the {place}", "sit on the {place}", "have a seat"),
}  # fmt: skip
WORK_PHRASES = {
    "washed": (
        "wash {thing}", "rinse {thing}", "wash {thing} in the sink", "rinse {thing} under the tap",
        "clean {thing} with water",
    ),
    "with water": ("fill {thing} with water", "fill {thing} at the tap", "run some water into {thing}"),
    "emptied into the kettle": (
        "pour the water into the kettle", "fill the kettle from {thing}", "empty {thing} into the kettle",
    ),
    "with hot water": (
        "pour hot water into {thing}", "fill {thing} with hot water", "pour the boiling water into {thing}",
    ),
    "with soup": ("ladle the soup into {thing}", "fill {thing} with soup", "pour the soup into {thing}"),
    "zipped up": ("close {thing}", "zip up {thing}", "shut {thing}"),
    "watered": ("water {thing}", "give {thing} some water", "pour some water on {thing}"),
    "wiped": ("wipe the {place}", "wipe the {place} clean", "clean the {place} with the {tool}"),
    "swept": ("sweep the {place}", "sweep the {place} with the {tool}"),
    "mopped": ("mop the {place}", "clean the {place} with the {tool}"),
    "dusted": ("dust the {place}", "wipe the dust off the {place}"),
    "vacuumed": ("vacuum the {place}", "clean the {place} with the {tool}"),
}  # fmt: skip
WAIT_PHRASES = {
    "boiled": ("wait until the water boils", "wait for the water to boil", "wait for the kettle"),
    "cooked": (
        "wait until the soup {is} cooked", "let the soup boil for a while", "let the soup simmer",
        "wait until everything {is} soft",
    ),
    "baked": (
        "wait until it {is} baked", "let it bake for half an hour", "wait until it {is} golden brown",
        "wait beside the oven",
    ),
    "fried": (
        "wait until it {is} fried", "fry it on both sides", "let it sizzle for a few minutes",
        "wait until it {is} brown",
    ),
}  # fmt: skip
POUR_PHRASES = (
    "pour {thing} into the {place}", "pour some of {thing} into the {place}", "fill the {place} with {thing}",
    "put {thing} into the {place}",
)  # fmt: skip
SPREAD_PHRASES = (
    "spread {thing} on the {place}", "put {thing} on the {place}", "spread some of {thing} on the {place}",
)  # fmt: skip
EAT_PHRASES = ("eat {thing}", "eat {thing} slowly", "enjoy {thing}", "have {thing}")
WATCH_PHRASES = {
    "television": ("watch television", "watch a film", "enjoy the programme", "watch the news"),
    "radio": ("listen to the radio", "listen to some music", "enjoy the music"),
}
STATE_WORDS = {
    "with water": ("full of water", "filled with water"), "with soup": ("full of soup",),
    "with hot water": ("full of hot water",), "emptied into the kettle": ("empty again",),
    "washed": ("washed", "clean", "clean now"), "zipped up": ("closed",),
}  # fmt: skip


@dataclass
class Style:
    """Choices which stay the same within one document.

    Attributes:
        cut_verb: The usual verb for cutting.
        aliases: Other names of places, such as ``refrigerator`` for ``fridge``.
        last: Key of the thing named last, which a pronoun may replace.
    """

    cut_verb: str
    aliases: dict[str, str] = field(default_factory=dict)
    last: str = ""


def choose_style(rng: random.Random) -> Style:
    """Chooses the wording of one document."""
    aliases = {"cutting board": rng.choice(words.BOARD_NAMES)}
    for name, others in {
        "fridge": ("refrigerator",),
        "sofa": ("couch", "settee"),
        "television": ("TV", "TV set"),
        "counter": ("worktop", "kitchen counter"),
        "stove": ("cooker", "hob"),
        "table": ("kitchen table",),
        "coffee table": ("low table",),
        "bin": ("rubbish bin",),
    }.items():
        if rng.random() < 0.25:
            aliases[name] = rng.choice(others)
    return Style(rng.choices(list(words.CUT_VERBS), (5, 3, 4, 1))[0], aliases)


def place_name(style: Style, name: str) -> str:
    """Returns the name which this document uses for a place."""
    return style.aliases.get(name, name)


def thing_name(world: World, key: str, style: Style, rng: random.Random) -> str:
    """Returns ``the tomato`` or, once it is cut or washed, sometimes ``the chopped tomato``."""
    states = world.things[key].states
    if key.startswith(("first ", "second ", "third ")) or key not in world.things:
        return f"the {key}"
    if "cut" in states and rng.random() < 0.6:
        return f"the {words.CUT_VERBS[style.cut_verb]} {key}"
    if "washed" in states and "cut" not in states and rng.random() < 0.3:
        return f"the clean {key}"
    return f"the {key}"


def _object(world: World, key: str, style: Style, rng: random.Random) -> str:
    if style.last == key and rng.random() < 0.3:
        return "them" if world.things[key].number == "plural" else "it"
    style.last = key
    return thing_name(world, key, style, rng)


def into(place: str, inside: bool) -> str:
    """Returns ``into the bowl`` or ``on the plate``."""
    return f"{'into' if inside else 'on'} the {place}"


def is_flat(name: str) -> bool:
    """Tells whether things lie on rather than in a vessel of this name."""
    return (
        any(word in name for word in ("plate", "tray", "bread", "roll", "bagel", "bun", "toast")) and "deep" not in name
    )


def state_word(state: str, style: Style, rng: random.Random) -> str:
    """Returns an adjective for a state, such as ``chopped`` for ``cut``."""
    if state == "cut":
        return words.CUT_VERBS[style.cut_verb]
    if state in STATE_WORDS:
        return rng.choice(STATE_WORDS[state])
    return "full" if state.startswith("with ") else state


def action_phrase(action: Action, world: World, style: Style, voice: Voice, rng: random.Random) -> str:
    """Returns a base-form verb phrase for an action about to be done in a world."""
    values = {"place": place_name(style, action.place), "tool": action.tool}
    templates = _templates(action, style)
    template = rng.choice(templates)
    if "{thing}" in template:
        values["thing"] = _object(world, action.thing, style, rng)
        plural = world.things[action.thing].number == "plural"
        values["is"] = ("were" if plural else "was") if voice.past else ("are" if plural else "is")
    else:
        values["is"] = "was" if voice.past else "is"
    values["state"] = state_word(action.result, style, rng) if action.result else ""
    if "{source}" in template:
        values["source"] = _source(world, action.thing, style, rng)
    if action.place in world.places:
        values["target"] = f"{world.places[action.place].relation} the {values['place']}"
    values["into"] = into(values["place"], not is_flat(action.place))
    return template.format_map(values)


def _source(world: World, key: str, style: Style, rng: random.Random) -> str:
    location = world.things[key].location
    name = place_name(style, location)
    if location in world.places and world.places[location].relation == "in":
        return f"{rng.choice(('out of', 'from'))} the {name}"
    return f"from the {name}" if location != HANDS else ""


def _templates(action: Action, style: Style) -> tuple[str, ...]:
    if action.kind == "work":
        if action.result == "cut":
            others = [verb for verb in words.CUT_VERBS if verb != style.cut_verb]
            verb = style.cut_verb
            return (
                f"{verb} {{thing}}",
                f"{verb} {{thing}}",
                f"{verb} {{thing}} into pieces",
                f"{verb} {{thing}} on the {{place}}",
                f"{verb} {{thing}} into small pieces",
                f"{verb} up {{thing}}" if verb in ("chop", "cut") else f"{others[0]} {{thing}}",
            )
        return WORK_PHRASES[action.result]
    if action.kind == "pour":
        if is_flat(action.place) or action.place == "slice of bread":
            return SPREAD_PHRASES
        return POUR_PHRASES
    if action.kind == "wait" and action.result in WAIT_PHRASES:
        return WAIT_PHRASES[action.result]
    if action.kind == "enjoy":
        return EAT_PHRASES if action.thing else WATCH_PHRASES[action.place]
    return PHRASES[action.kind]


def update_sentence(action: Action, world: World, style: Style, rng: random.Random) -> str:
    """Returns a template which tells what an action has changed; empty where there is nothing to tell."""
    thing, place = action.thing, place_name(style, action.place)
    number = world.things[thing].number if thing in world.things else "count"
    be = "{are}" if number == "plural" else "{is}"
    if action.kind == "take":
        return rng.choice(
            (
                f"Now {{S}} {{v:have}} the {thing} in {{poss}} hands",
                f"{{S}} {{v:be}} holding the {thing} now",
                f"The {thing} {be} in {{poss}} hand",
                "Now {poss} hands {are} full",
            )
        )
    if action.kind in ("put", "add"):
        relation = (
            world.places[action.place].relation
            if action.place in world.places
            else "on"
            if is_flat(action.place)
            else "in"
        )
        return rng.choice(
            (
                f"Now the {thing} {be} {relation} the {place}",
                "{poss} hands {are} free again",
                "{S} {v:have} nothing in {poss} hands now",
                f"The {thing} {be} {relation} the {place} now",
            )
        )
    if action.kind == "scoop":
        return rng.choice(
            (
                f"Now the {place} {{has}} the {thing} {'on' if is_flat(place) else 'in'} it",
                f"The {place} {{is}} not empty any more",
            )
        )
    if action.kind in ("approach", "go"):
        preposition = "in" if action.kind == "go" else rng.choice(("at", "in front of", "next to", "by", "near"))
        return rng.choice(
            (f"Now {{S}} {{v:be}} {preposition} the {place}", f"{{S}} {{v:stand}} {preposition} the {place} now")
        )
    if action.kind == "open":
        return rng.choice((f"The {place} {{is}} open now", f"Now {{S}} {{can}} reach into the {place}"))
    if action.kind == "work" and action.result == "cut":
        return rng.choice(
            (
                f"The {thing} {be} {words.CUT_VERBS[style.cut_verb]} now",
                f"Now the {thing} {be} in pieces",
                "That {is} done",
            )
        )
    if action.kind == "wait":
        if action.result in WAIT_PHRASES:
            return rng.choice((f"Now everything {{is}} {action.result}", "Now it {is} ready"))
        return rng.choice((f"The {thing} {be} {action.result} now", f"The {thing} {be} ready"))
    return ""
