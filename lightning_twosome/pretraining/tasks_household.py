"""Household tasks: laundry, washing up, tidying, packing, pets, plants and quiet evenings."""

import random

from . import vocabulary as words
from .language import ORDINALS, indefinite, listing
from .planner import Planner, Task, add_distractors, add_place, add_thing, new_planner, vessel
from .vocabulary import Noun


def evening(rng: random.Random) -> Task:
    """Brings snacks or drinks to the living room, switches something on and sits down."""
    seat = rng.choice(("sofa", "armchair", "sofa"))
    planner = new_planner(rng, [seat, "coffee table"], 2)
    nouns = rng.sample(words.SNACKS + words.COLD_DRINKS + words.READY_MEALS[:4], rng.choice((0, 1, 1, 2, 2)))
    snacks = [add_thing(planner, noun) for noun in dict.fromkeys(nouns) if noun.name not in planner.world.things]
    device = rng.choice(("television", "television", "radio"))
    add_place(planner.world, device)
    planner.world.places[device].room = "living room"
    planner.world.places[device].running = rng.random() < 0.15
    add_distractors(planner, words.ODDMENTS)
    planner.begin()
    for snack in snacks:
        planner.bring(snack, "coffee table")
    planner.free_hands()
    if not planner.world.places[device].running:
        planner.reach(device)
        planner.do("switch_on", place=device)
    planner.reach(seat)
    planner.do("rest", place=seat)
    planner.do("enjoy", place=device)
    act = "watch television" if device == "television" else "listen to the radio"
    with_snacks = f" with {listing(snacks)}" if snacks else ""
    goals = [
        f"{act}{with_snacks}",
        f"spend the evening in front of the {device}{with_snacks}" if device == "television" else f"{act}{with_snacks}",
    ]
    if snacks:
        goals += [f"enjoy the {listing(snacks)} while the {device} is on", f"eat and {act} on the {seat}"]
    else:
        goals += [f"relax and {act}", f"{act} on the {seat}"]
    return planner.finish(
        goals, f"the {device}", ["It is a pleasant evening", "That feels good", "The programme begins"]
    )


def laundry(rng: random.Random) -> Task:
    """Loads the washing machine, runs it and hangs up or empties it."""
    planner = new_planner(rng, ["washing machine", "clothes line", "laundry basket"], 1)
    clothes = [add_thing(planner, noun) for noun in rng.sample(words.CLOTHES, rng.randint(1, 3))]
    planner.world.places["washing machine"].open = rng.random() < 0.3
    add_distractors(planner, words.ODDMENTS, 2)
    planner.begin()
    for item in clothes:
        planner.bring(item, "washing machine")
    planner.free_hands()
    planner.close("washing machine")
    planner.reach("washing machine")
    planner.do("switch_on", place="washing machine")
    for item in clothes[:1]:
        planner.do("wait", item, "washing machine", result="clean")
    planner.do("switch_off", place="washing machine")
    planner.do("open", place="washing machine")
    for item in clothes:
        planner.bring(item, "clothes line")
    things = listing(["the " + item for item in clothes])
    goals = [
        f"wash {things}",
        "do the laundry",
        f"get {things} clean and hang everything up",
        "wash the clothes",
        f"have {things} clean again",
    ]
    return planner.finish(
        goals, "the laundry", ["The laundry dries in the sun", "All the washing is done", "Everything is clean"]
    )


def washing_up(rng: random.Random) -> Task:
    """Washes dirty dishes in the sink or puts them into the dishwasher."""
    machine = rng.random() < 0.5
    planner = new_planner(rng, ["dishwasher", "table"] if machine else ["sink", "drying rack", "table"])
    names = rng.sample(
        ("plate", "cup", "pan", "fork", "glass", "bowl", "pot", "spoon", "mug", "dish", "tray"), rng.randint(1, 3)
    )
    homes = ("table", "counter", "sink", "coffee table", "desk")
    dishes = [add_thing(planner, Noun(name, "count", homes), states=("dirty",)) for name in names]
    add_distractors(planner, words.ODDMENTS, 2)
    planner.begin()
    for item in dishes:
        if machine:
            planner.bring(item, "dishwasher")
        else:
            planner.fetch(item)
            planner.reach("sink")
            planner.do("work", item, "sink", item, "washed")
            planner.bring(item, "drying rack")
    if machine:
        planner.close("dishwasher")
        planner.do("switch_on", place="dishwasher")
    things = listing(["the " + item for item in dishes])
    goals = [f"wash {things}", "do the dishes", f"get {things} clean", "wash up", "have clean dishes"]
    return planner.finish(
        goals, "the washing up", ["The kitchen looks clean", "The dishes are done", "Nothing dirty is left"]
    )


def set_table(rng: random.Random) -> Task:
    """Carries plates, cutlery and glasses to the table."""
    target = rng.choice(("table", "dining table"))
    planner = new_planner(rng, [target, "counter", "cupboard", "drawer"])
    pieces = rng.sample(
        ("plate", "fork", "knife", "spoon", "glass", "napkin", "bowl", "jug", "candle"), rng.randint(2, 4)
    )
    keys = []
    for piece in pieces:
        noun = Noun(
            piece,
            "count",
            ("drawer", "counter") if piece in ("fork", "knife", "spoon") else ("cupboard", "shelf", "counter"),
        )
        if len(pieces) == 2 and rng.random() < 0.4:
            keys += [add_thing(planner, noun, f"{ordinal} {piece}") for ordinal in ORDINALS[:2]]
        else:
            keys.append(add_thing(planner, noun))
    add_distractors(planner, words.ODDMENTS[:4] + words.FRUIT, 2)
    planner.begin()
    for key in keys:
        planner.bring(key, target)
    goals = [
        f"set the {target}",
        f"lay the {target} for {rng.choice(words.GUESTS)}",
        f"put {listing(['the ' + key for key in keys])} on the {target}",
    ]
    return planner.finish(
        goals, f"the {target}", [f"The {target} is set", "The guests can come", "Everything is in its place"]
    )


def tidy_up(rng: random.Random) -> Task:
    """Puts things which lie about where they belong."""
    box = rng.choice(("toy box", "shelf", "wardrobe", "cupboard"))
    planner = new_planner(rng, [box], 2)
    nouns = {"toy box": words.TOYS, "shelf": words.BELONGINGS[:2], "wardrobe": words.CLOTHES}.get(
        box, words.SPREADS[1:4]
    )
    homes = ("floor", "sofa", "bed", "chair", "table", "counter")
    keys = [
        add_thing(planner, Noun(noun.name, noun.number, homes))
        for noun in rng.sample(nouns, rng.randint(1, min(3, len(nouns))))
    ]
    add_distractors(planner, words.ODDMENTS, 2)
    planner.begin()
    for key in keys:
        planner.bring(key, box)
    planner.free_hands()
    planner.close(box)
    relation = "on" if box == "shelf" else "in"
    things = listing(["the " + key for key in keys])
    goals = ["tidy up", f"put {things} back {relation} the {box}", f"clear away {things}", "have a tidy room"]
    return planner.finish(
        goals, f"the {box}", ["The room is tidy", "Now it looks much better", "Everything is where it belongs"]
    )


def pack(rng: random.Random) -> Task:
    """Packs things into a bag and closes it."""
    planner = new_planner(rng, ["bed", "desk", "shelf"], 1)
    bag = vessel(planner, rng.choice(("suitcase", "backpack", "bag", "school bag")), "bed", "floor", "chair")
    keys = [add_thing(planner, noun) for noun in rng.sample(words.BELONGINGS, rng.randint(1, 3))]
    add_distractors(planner, words.TOYS + words.FRUIT, 2)
    planner.begin()
    planner.free_hands()
    for key in keys:
        planner.add(key, bag)
    planner.do("work", bag, planner.world.at, "", "zipped up")
    things = listing(["the " + key for key in keys])
    goals = [f"pack the {bag}", f"pack {things}", f"get the {bag} ready for the trip", f"put {things} into the {bag}"]
    return planner.finish(goals, f"the {bag}", ["The journey can begin", f"The {bag} is packed", "It is time to leave"])


def feed_pet(rng: random.Random) -> Task:
    """Fills a pet's bowl and sets it on the floor."""
    pet = rng.choice(words.PETS)
    planner = new_planner(rng, ["floor", "counter"], 2)
    planner.world.places["floor"].room = "kitchen"
    bowl = vessel(planner, rng.choice((f"{pet}'s bowl", "food bowl", "small bowl")), "counter", "cupboard", "table")
    food = add_thing(
        planner, Noun(rng.choice((f"{pet} food", "dry food", "tin of food")), "mass", ("cupboard", "shelf"))
    )
    add_distractors(planner, words.ODDMENTS, 2)
    planner.begin()
    planner.bring(bowl, "counter")
    planner.fetch(food)
    planner.reach("counter")
    planner.do("pour", food, bowl, result=f"with {food}")
    planner.free_hands()
    planner.bring(bowl, "floor")
    goals = [f"feed the {pet}", f"give the {pet} something to eat", f"get a meal ready for the hungry {pet}"]
    return planner.finish(
        goals,
        f"the {pet}",
        [f"The {pet} eats happily", f"The {pet} is not hungry any more", f"The {pet} comes running"],
    )


def water_plants(rng: random.Random) -> Task:
    """Fills a watering can and waters plants."""
    planner = new_planner(rng, ["sink", "windowsill", "shelf"], 1)
    can = vessel(planner, rng.choice(("watering can", "jug", "small can")), "cupboard", "floor", "counter")
    plants = [
        add_thing(planner, Noun(name, "count", ("windowsill", "shelf", "desk", "coffee table")))
        for name in rng.sample(words.PLANTS, rng.randint(1, 3))
    ]
    add_distractors(planner, words.ODDMENTS, 2)
    planner.begin()
    planner.fetch(can)
    planner.reach("sink")
    planner.do("work", can, "sink", can, "with water")
    for plant in plants:
        planner.reach(planner.world.place_of(plant))
        planner.do("work", plant, planner.world.at, can, "watered")
    things = listing(["the " + plant for plant in plants])
    goals = ["water the plants", f"water {things}", f"give {things} some water"]
    return planner.finish(
        goals, "the plants", ["The plants look fresh again", "The plants have enough water for a week"]
    )


def clean(rng: random.Random) -> Task:
    """Cleans a piece of furniture or a floor with the right tool."""
    target, tool_name, result = rng.choice(
        (
            ("table", "cloth", "wiped"),
            ("counter", "sponge", "wiped"),
            ("floor", "broom", "swept"),
            ("floor", "mop", "mopped"),
            ("shelf", "duster", "dusted"),
            ("desk", "cloth", "wiped"),
            ("dining table", "damp cloth", "wiped"),
            ("sofa", "vacuum cleaner", "vacuumed"),
        )
    )
    planner = new_planner(rng, [target], 2)
    tool = add_thing(planner, Noun(tool_name, "count", ("cupboard", "sink", "drying rack", "chair")))
    litter = [
        add_thing(planner, rng.choice(words.ODDMENTS[:4] + words.TOYS[:3]), location=target)
        for _ in range(rng.choice((0, 1, 1)))
    ]
    add_distractors(planner, words.FRUIT, 2)
    away = rng.choice(("bin", "chair", "basket"))
    add_place(planner.world, away)
    planner.begin()
    for item in litter:
        planner.bring(item, away)
    planner.fetch(tool)
    planner.reach(target)
    planner.do("work", target, target, tool, result)
    goals = [f"clean the {target}", f"have a clean {target}", f"get the {target} clean with the {tool}"]
    return planner.finish(goals, f"the {target}", [f"The {target} is clean", f"The {target} shines"])


def put_away(rng: random.Random) -> Task:
    """Stores shopping in the fridge or a cupboard."""
    target = rng.choice(("fridge", "fridge", "cupboard", "freezer"))
    planner = new_planner(rng, [target, "table", "counter"])
    pool = {"fridge": words.PROTEINS + words.COLD_DRINKS, "freezer": words.PROTEINS[-3:] + words.VEGETABLES[-5:]}.get(
        target, words.GRAINS
    )
    nouns = rng.sample(pool, rng.randint(1, 3))
    keys = [add_thing(planner, Noun(noun.name, noun.number, ("table", "counter", "basket"))) for noun in nouns]
    add_distractors(planner, words.ODDMENTS, 2)
    planner.begin()
    for key in keys:
        planner.bring(key, target)
    planner.close(target)
    things = listing(["the " + key for key in keys])
    goals = [f"put {things} into the {target}", "put the shopping away", f"store {things} in the {target}"]
    return planner.finish(
        goals, "the shopping", ["The shopping is put away", f"Everything stays fresh in the {target}", "That is done"]
    )


def fetch_something(rng: random.Random) -> Task:
    """Brings somebody a thing from another place."""
    noun = rng.choice(words.BELONGINGS + words.ODDMENTS + words.SNACKS + words.CLOTHES)
    target = rng.choice(("table", "sofa", "desk", "bed", "coffee table", "dining table"))
    planner: Planner = new_planner(rng, [target])
    key = add_thing(planner, noun, location=rng.choice([home for home in noun.homes if home != target] or ["shelf"]))
    add_distractors(planner, words.ODDMENTS + words.FRUIT, 3)
    if planner.world.holding == key:
        planner.world.holding, planner.world.things[key].location = "", "shelf"
        add_place(planner.world, "shelf")
    planner.begin()
    planner.bring(key, target)
    who = rng.choice(words.GUESTS)
    goals = [
        f"bring {who} the {key}",
        f"put the {key} on the {target}",
        f"take the {key} to the {target}",
        f"find {indefinite(key, noun.number)} for {who}",
    ]
    return planner.finish(
        goals, f"the {key}", [f"The {key} is where it should be", "That was quick", f"{who} says thank you"]
    )


HOUSEHOLD_TASKS = (
    (evening, 4), (laundry, 1.5), (washing_up, 1.5), (set_table, 1), (tidy_up, 1), (pack, 1), (feed_pet, 1),
    (water_plants, 1), (clean, 1), (put_away, 1.5), (fetch_something, 2),
)  # fmt: skip
