"""Descriptions of a situation: where the person is, what is held, what lies where, what is done, what is wanted."""

import random

from .language import Voice, indefinite, listing
from .narration import STATE_WORDS, Style, is_flat, place_name, state_word
from .planner import Task
from .vocabulary import CUT_VERBS
from .world import Thing, World

ROOM_TEMPLATES = (
    "{S} {v:be} in the {room}", "{S} {v:stand} in the {room}", "It {is} quiet in the {room}, where {S} {v:be}",
    "{S} {v:be} standing in the {room}", "{S} {v:find} {reflexive} in the {room}", "This {is} the {room}",
    "At the moment {S} {v:be} in the {room}", "{S} {v:have} come into the {room}",
)  # fmt: skip
AT_TEMPLATES = (
    "{S} {v:stand} in front of the {place}", "{S} {v:be} at the {place}", "{S} {v:be} next to the {place}",
    "In front of {obj} {is} the {place}", "The {place} {is} right in front of {obj}", "{S} {v:be} near the {place}",
    "{S} {v:be} by the {place} now", "Right now {S} {v:be} close to the {place}",
    "{S} {v:have} stopped beside the {place}",
)  # fmt: skip
HOLD_TEMPLATES = (
    "{S} {v:hold} {a_thing}", "{S} {v:be} holding {a_thing}", "{S} {v:have} {a_thing} in {poss} hand",
    "In {poss} hands {S} {v:have} {a_thing}", "{S} {v:carry} {a_thing}",
    "{poss} hands {are} full: {S} {v:hold} {a_thing}", "{the_thing} {be} in {poss} hands",
    "{S} already {v:have} {a_thing} in {poss} hands",
)  # fmt: skip
EMPTY_TEMPLATES = (
    "{poss} hands {are} empty", "{S} {v:be} empty-handed", "{S} {v:hold} nothing",
    "{S} {v:have} nothing in {poss} hands", "There {is} nothing in {poss} hands", "{poss} hands {are} free",
    "{S} {v:be} not holding anything", "{S} {v:carry} nothing yet",
)  # fmt: skip
FAR_TEMPLATES = (
    "The {place} {is} on the other side of the room", "The {place} {is} not far away",
    "The {place} {is} a few steps away", "The {place} {is} too far away to reach", "{S} {v:be} not near the {place}",
    "The {place} {is} in the {room}",
)  # fmt: skip
SHUT_TEMPLATES = (
    "The {place} {is} closed", "The {place} {is} shut", "The door of the {place} {is} shut",
    "The {place} {is} not open yet",
)  # fmt: skip
OPEN_TEMPLATES = (
    "The {place} {is} open", "The {place} {is} already open", "The door of the {place} {is} open",
    "The {place} {stand} open",
)  # fmt: skip
RUNNING_TEMPLATES = ("The {place} {is} on", "The {place} {is} already running", "The {place} {is} switched on")
IDLE_TEMPLATES = (
    "The {place} {is} off", "The {place} {is} not on yet", "The {place} {is} still switched off",
    "Nobody {has} turned on the {place} yet",
)  # fmt: skip
GOAL_TEMPLATES = (
    "{S} {v:want} to {goal}", "{S} {v:want} to {goal}", "{S} {v:plan} to {goal}", "The task {is} to {goal}",
    "The plan {is} to {goal}", "The goal {is} to {goal}", "{S} would like to {goal}", "{poss} job {is} to {goal}",
    "{S} {v:be} going to {goal}", "{S} {v:have} decided to {goal}", "{S} {v:be} about to {goal}",
    "The aim {is} to {goal}", "{S} {v:intend} to {goal}", "{S} {v:need} to {goal}", "It {is} {poss} turn to {goal}",
    "{S} {v:hope} to {goal} soon", "{S} {v:be} trying to {goal}",
)  # fmt: skip
NOTHING_DONE = (
    "Nothing {is} ready yet", "Nothing {has} been done so far", "{S} {v:have} not started yet",
    "Everything still {has} to be done", "No step {is} done yet",
)  # fmt: skip


def goal_sentence(task: Task, voice: Voice, rng: random.Random) -> str:
    """Returns a sentence which names the goal."""
    return voice.fill(rng.choice(GOAL_TEMPLATES), rng, {"goal": rng.choice(task.goals)})


def _whereabouts(world: World, style: Style, voice: Voice, rng: random.Random) -> list[str]:
    told = []
    reflexive = {1: "myself", 2: "yourself"}.get(voice.person, "himself" if voice.pronoun == "he" else "herself")
    if not world.at or rng.random() < 0.45:
        told.append(voice.fill(rng.choice(ROOM_TEMPLATES), rng, {"room": world.room, "reflexive": reflexive}))
    if world.at and world.at != "floor" and rng.random() < 0.9:
        told.append(voice.fill(rng.choice(AT_TEMPLATES), rng, {"place": place_name(style, world.at)}))
    return told


def _hands(world: World, style: Style, voice: Voice, rng: random.Random) -> list[str]:
    if not world.holding:
        return [voice.fill(rng.choice(EMPTY_TEMPLATES), rng)] if rng.random() < 0.55 else []
    thing = world.things[world.holding]
    singular = thing.number != "plural"
    values = {
        "a_thing": _indefinite_thing(world, thing.key, style, rng),
        "the_thing": f"the {thing.key}",
        "be": ("was" if singular else "were") if voice.past else ("is" if singular else "are"),
    }
    return [voice.fill(rng.choice(HOLD_TEMPLATES), rng, values)]


def _indefinite_thing(world: World, key: str, style: Style, rng: random.Random) -> str:
    thing = world.things[key]
    inside = world.contents(key)
    if key.startswith(("first ", "second ", "third ")):
        return f"the {key}"
    name = key
    if "cut" in thing.states:
        name = f"{CUT_VERBS[style.cut_verb]} {key}"
    elif "dirty" in thing.states and "washed" not in thing.states:
        name = f"dirty {key}"
    elif thing.vessel and not inside and not thing.states and rng.random() < 0.3:
        name = f"empty {key}"
    elif rng.random() < 0.06 and thing.number == "count" and not thing.vessel:
        name = f"{rng.choice(('whole', 'fresh', 'nice', 'large', 'small'))} {key}"
    text = indefinite(name, thing.number) if rng.random() < 0.85 else f"the {name}"
    if inside and rng.random() < 0.8:
        text += f" with {listing(['the ' + other for other in inside])} {'on' if is_flat(key) else 'in'} it"
    return text


def _layout(world: World, seen: list[str], style: Style, voice: Voice, rng: random.Random) -> list[str]:
    """Tells what lies where, grouped by place."""
    groups: dict[str, list[str]] = {}
    for key in seen:
        groups.setdefault(world.things[key].location, []).append(key)
    told = []
    for location, keys in groups.items():
        if location not in world.places:
            continue
        place = world.places[location]
        where = f"{place.relation} the {place_name(style, location)}"
        if place.room != world.room and rng.random() < 0.5:
            where += f" in the {place.room}"
        names = [_indefinite_thing(world, key, style, rng) for key in keys]
        plural = len(keys) > 1 or world.things[keys[0]].number == "plural"
        be = "{are}" if plural else "{is}"
        told.append(voice.fill(_layout_template(names, where, be, plural, rng), rng))
    return told


def _layout_template(names: list[str], where: str, be: str, plural: bool, rng: random.Random) -> str:
    things = listing(names)
    lies = f"{be} lying" if plural else "{is} lying"
    return rng.choice(
        (
            f"There {be} {things} {where}",
            f"{where} there {be} {things}",
            f"{{S}} {{v:see}} {things} {where}",
            f"{things} {be} {where}",
            f"{where} {{S}} {{v:notice}} {things}",
            f"{things} {lies} {where}",
            f"{{S}} {{v:know}} that {things} {be} {where}",
            f"{where} {be} {things}",
            f"{things} {{can}} be found {where}",
        )
    )


def _progress(world: World, task: Task, style: Style, voice: Voice, rng: random.Random) -> list[str]:
    """Tells what has been done with the things of the task."""
    told = []
    for key in task.relevant:
        thing = world.things[key]
        be = "{are}" if thing.number == "plural" else "{is}"
        inside = world.contents(key) if thing.vessel else []
        if inside and rng.random() < 0.9:
            names = listing(
                [
                    f"the {CUT_VERBS[style.cut_verb]} {other}"
                    if "cut" in world.things[other].states and rng.random() < 0.5
                    else f"the {other}"
                    for other in inside
                ]
            )
            relation = "on" if is_flat(key) else "in"
            told.append(
                rng.choice(
                    (
                        f"the {key} already {{has}} {names} {relation} it",
                        f"{names} {{are}} already {relation} the {key}"
                        if len(inside) > 1
                        else f"{names} {{is}} already {relation} the {key}",
                    )
                )
            )
        elif thing.vessel and not thing.states and rng.random() < 0.45:
            told.append(
                rng.choice(
                    (
                        f"the {key} {be} still empty",
                        f"the {key} {be} empty",
                        f"there {{is}} nothing {'on' if is_flat(key) else 'in'} the {key} yet",
                    )
                )
            )
        for state in _told_states(thing):
            if state.startswith("with ") and state not in STATE_WORDS:
                told.append(f"there {{is}} already some {state[5:]} {'on' if is_flat(key) else 'in'} the {key}")
            elif rng.random() < 0.6:
                told.append(_state_sentence(key, be, state_word(state, style, rng), rng))
        if not thing.states and not thing.vessel and thing.location not in world.things and rng.random() < 0.2:
            whole = any(action.thing == key and action.result == "cut" for action in task.actions)
            adjectives = (
                ("still whole", "not cut yet", "still in one piece") if whole else ("still needed", "needed for this")
            )
            told.append(f"the {key} {be} {rng.choice(adjectives)}")
    return [voice.fill(text, rng) for text in told]


def _told_states(thing: Thing) -> list[str]:
    """Returns the states worth telling: not those which a later one has overtaken."""
    states = set(thing.states) - {"dirty", "served", "boiled"}
    if "emptied into the kettle" in states:
        return ["emptied into the kettle"]
    if thing.vessel:
        states -= {"cooked", "baked", "fried"}
    return sorted(states)


def _state_sentence(key: str, be: str, adjective: str, rng: random.Random) -> str:
    return rng.choice(
        (
            f"the {key} {be} already {adjective}",
            f"the {key} {be} {adjective}",
            f"the {key} {be} {adjective} by now",
            f"by now the {key} {be} {adjective}",
        )
    )


def _fixtures(world: World, upcoming: list[str], style: Style, voice: Voice, rng: random.Random) -> list[str]:
    """Tells of the doors and switches which matter next, and of places which are not at hand."""
    told = []
    for name in dict.fromkeys(upcoming):
        place = world.places.get(name)
        if place is None:
            continue
        choices: tuple[str, ...] = ()
        if place.running:
            choices = RUNNING_TEMPLATES
        elif place.closable:
            choices = OPEN_TEMPLATES if place.open else SHUT_TEMPLATES
        elif name in ("television", "radio", "kettle", "stove"):
            choices = IDLE_TEMPLATES
        if choices and rng.random() < 0.6:
            told.append(rng.choice(choices))
        elif name != world.at and rng.random() < 0.25:
            told.append(rng.choice(FAR_TEMPLATES))
        else:
            continue
        stand = "stood" if voice.past else "stands"
        told[-1] = voice.fill(told[-1], rng, {"place": place_name(style, name), "room": place.room, "stand": stand})
    return told


def describe(
    world: World, task: Task, done: int, style: Style, voice: Voice, rng: random.Random
) -> tuple[list[str], set[str]]:
    """Describes the situation after ``done`` actions of a task.

    Returns:
        The sentences without final stops, and the keys of the things whose place was told.
    """
    ahead = task.actions[done:]
    needed = {name for action in ahead for name in (action.thing, action.tool, action.place)}
    seen = [key for key in task.relevant if key in needed and key != world.holding and rng.random() < 0.85]
    seen += [key for key in task.distractors if key != world.holding and rng.random() < 0.6]
    rng.shuffle(seen)
    goal_first = rng.random() < 0.35
    goal = goal_sentence(task, voice, rng) if goal_first else ""
    parts = [
        _whereabouts(world, style, voice, rng),
        _layout(world, seen, style, voice, rng),
        _hands(world, style, voice, rng),
    ]
    if rng.random() < 0.4:
        rng.shuffle(parts)
    told = [text for part in parts for text in part]
    progress = _progress(world, task, style, voice, rng)
    if done == 0 and rng.random() < 0.3:
        progress.append(voice.fill(rng.choice(NOTHING_DONE), rng))
    upcoming = [action.place or world.things[action.thing].location for action in ahead[:4]]
    told += progress + _fixtures(world, upcoming, style, voice, rng)
    told = [goal, *told] if goal_first else [*told, goal_sentence(task, voice, rng)]
    return told, set(seen)
