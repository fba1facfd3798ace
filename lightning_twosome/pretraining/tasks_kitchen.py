"""Cooking tasks: each builder sets up a household and plans until the dish is served."""

import random
from collections.abc import Sequence

from . import vocabulary as words
from .language import ORDINALS, indefinite, listing, singular
from .planner import Planner, Task, add_distractors, add_place, add_thing, new_planner, vessel
from .vocabulary import Noun

FOODS = words.VEGETABLES + words.FRUIT + words.SNACKS + words.COLD_DRINKS + words.PROTEINS
KNIFE = Noun("knife", "count", ("drawer", "counter", "table"))


def _cutting_place(planner: Planner) -> tuple[str, str]:
    """Returns the place for cutting and the knife's key; no key means that a knife lies ready beside the board."""
    tool = add_thing(planner, KNIFE) if planner.rng.random() < 0.3 else ""
    return "cutting board", tool


def _prepare(planner: Planner, key: str, board: str, tool: str, washing: bool) -> None:
    """Washes if wanted, and cuts on the board, unless done already."""
    world = planner.world
    if "cut" in world.things[key].states:
        return
    if washing and "washed" not in world.things[key].states:
        planner.fetch(key)
        planner.reach("sink")
        planner.do("work", key, "sink", key, "washed")
    planner.bring(key, board)
    planner.work(key, board, "cut", tool)
    if tool:
        planner.free_hands()


def _serve(planner: Planner, dish: str, place: str) -> None:
    planner.fetch(dish)
    planner.reach(place)
    planner.do("serve", dish, place)


def _ingredients(planner: Planner, nouns: Sequence[Noun], count: int) -> list[str]:
    """Adds ingredients; now and then two of the same kind told apart by ordinals."""
    rng = planner.rng
    chosen = rng.sample(list(nouns), count)
    keys = []
    for noun in chosen:
        if noun.number == "count" and count < 3 and rng.random() < 0.12:
            keys += [add_thing(planner, noun, f"{ordinal} {noun.name}") for ordinal in ORDINALS[:2]]
        else:
            keys.append(add_thing(planner, noun, states=("cut",) if rng.random() < 0.1 else ()))
    return keys


def salad(rng: random.Random) -> Task:
    """Cuts one to four vegetables or fruits, gathers them in a bowl or on a plate and serves them."""
    place = rng.choice(("table", "counter", "dining table", "table"))
    planner = new_planner(rng, ["cutting board", "counter", place])
    fruity = rng.random() < 0.25
    keys = _ingredients(planner, words.FRUIT if fruity else words.VEGETABLES, rng.choice((1, 1, 2, 2, 2, 3, 3, 4)))
    board, tool = _cutting_place(planner)
    washing = rng.random() < 0.2
    if washing:
        add_place(planner.world, "sink")
    name = rng.choice(words.SALAD_VESSELS)
    dish = vessel(planner, name)
    dressing = add_thing(planner, rng.choice(words.DRESSINGS)) if rng.random() < 0.15 and not fruity else ""
    add_distractors(planner, FOODS)
    planner.begin()
    carried = rng.random() < 0.5
    together = len(keys) < 3 and rng.random() < 0.5
    if not carried and rng.random() < 0.6:
        planner.bring(dish, "counter")
    for key in keys:
        _prepare(planner, key, board, tool, washing)
        if not together:
            if carried and planner.world.place_of(key) == board:
                planner.fetch(dish)
            planner.add(key, dish)
            planner.free_hands()
    for key in keys:
        if together and carried:
            planner.fetch(dish)
        planner.add(key, dish)
    if dressing:
        planner.free_hands()
        planner.fetch(dressing)
        planner.reach(planner.world.place_of(dish))
        planner.do("pour", dressing, dish, result=f"with {dressing}")
    _serve(planner, dish, place)
    nouns = list(dict.fromkeys(key.split(" ", 1)[1] if key.startswith(ORDINALS) else key for key in keys))
    return planner.finish(*_salad_names(rng, nouns, fruity, name, place))


def _salad_names(
    rng: random.Random, nouns: list[str], fruity: bool, name: str, place: str
) -> tuple[list[str], str, list[str]]:
    kind = "fruit salad" if fruity else f"{singular(nouns[0])} salad" if len(nouns) == 1 else "salad"
    guest = rng.choice(words.GUESTS)
    parts = listing(nouns)
    goals = [
        f"make a {kind} of {parts}",
        f"make {indefinite(kind)} and serve it",
        f"prepare a {kind} with {parts} for {guest}",
        f"serve a {name} of chopped {parts}",
        f"have a fresh {kind} with {parts}",
        f"serve {guest} a {kind} made of {parts}",
        f"bring {guest} a {name} with cut {parts}",
        f"put a {kind} of {parts} on the {place}",
    ]
    if len(nouns) > 1:
        goals[1] = f"make a mixed {kind} from {parts}"
    endings = [
        f"The {kind} is served",
        f"{guest} can eat now",
        f"The {kind} is ready",
        "Everyone enjoys it",
        "The meal can begin",
    ]
    return goals, f"the {kind}", endings


def soup(rng: random.Random) -> Task:
    """Cuts vegetables into a pot, boils them on the stove and ladles the soup into a bowl."""
    planner = new_planner(rng, ["cutting board", "stove", "table"])
    keys = _ingredients(planner, words.VEGETABLES, rng.choice((1, 2, 2, 3)))
    board, tool = _cutting_place(planner)
    pot = vessel(
        planner, rng.choice(("pot", "saucepan", "soup pot", "pan")), "cupboard", "counter", "stove", "drying rack"
    )
    bowl = vessel(planner, rng.choice(("bowl", "soup bowl", "deep plate")), "cupboard", "counter", "table")
    add_place(planner.world, "sink")
    add_distractors(planner, FOODS)
    planner.begin()
    planner.fetch(pot)
    planner.reach("sink")
    planner.do("work", pot, "sink", pot, "with water")
    planner.bring(pot, "stove")
    for key in keys:
        _prepare(planner, key, board, tool, False)
        planner.add(key, pot)
    planner.reach("stove")
    planner.do("switch_on", place="stove")
    planner.do("wait", pot, "stove", result="cooked")
    planner.do("switch_off", place="stove")
    planner.fetch(bowl)
    planner.reach("stove")
    planner.do("work", bowl, "stove", bowl, "with soup")
    _serve(planner, bowl, "table")
    name = f"{singular(keys[0].split()[-1])} soup"
    guest = rng.choice(words.GUESTS)
    goals = [
        f"cook a {name}",
        f"make a soup of {listing(keys)}",
        f"cook soup for {guest}",
        f"serve {guest} a hot {name}",
        f"have a bowl of {name}",
    ]
    return planner.finish(
        goals,
        "the soup",
        ["The soup is served hot", "The soup tastes good", f"{guest} can eat the soup", "Dinner can begin"],
    )


def sandwich(rng: random.Random) -> Task:
    """Puts bread, a spread and a filling on a plate."""
    planner = new_planner(rng, ["counter", "table", "cutting board"])
    bread = add_thing(planner, rng.choice(words.BREADS))
    plate = vessel(planner, rng.choice(("plate", "small plate", "tray")))
    filling = rng.choice(
        [noun for noun in words.PROTEINS[:7] + words.VEGETABLES[:2] if noun.name not in planner.world.things]
    )
    fill = add_thing(planner, filling)
    spread = add_thing(planner, rng.choice(words.SPREADS)) if rng.random() < 0.4 else ""
    add_distractors(planner, FOODS)
    planner.begin()
    planner.bring(plate, "counter")
    planner.add(bread, plate)
    if spread:
        planner.fetch(spread)
        planner.reach("counter")
        planner.do("pour", spread, bread, result=f"with {spread}")
        planner.free_hands()
    if filling in words.VEGETABLES:
        _prepare(planner, fill, "cutting board", "", False)
    planner.add(fill, plate)
    _serve(planner, plate, "table")
    guest = rng.choice(words.GUESTS)
    goals = [
        f"make a {fill} sandwich",
        f"have a sandwich with {fill}",
        f"prepare a {bread} with {fill} for {guest}",
        f"eat a {bread} with {fill}",
    ]
    return planner.finish(
        goals, "the sandwich", ["The sandwich is ready", f"{guest} bites into it at once", "Lunch is on the table"]
    )


def warm_up(rng: random.Random) -> Task:
    """Heats a ready meal in an oven or microwave and eats it."""
    appliance = rng.choice(("oven", "microwave", "microwave"))
    place = rng.choice(("table", "table", "dining table"))
    planner = new_planner(rng, [appliance, place, "counter"])
    meal = add_thing(planner, rng.choice(words.READY_MEALS))
    planner.world.places[appliance].open = rng.random() < 0.2
    plate = vessel(planner, rng.choice(("plate", "dish", "bowl"))) if rng.random() < 0.4 else ""
    add_distractors(planner, FOODS)
    planner.begin()
    planner.bring(meal, appliance)
    planner.close(appliance)
    planner.do("switch_on", place=appliance)
    planner.do("wait", meal, appliance, result="hot")
    planner.do("switch_off", place=appliance)
    planner.do("open", place=appliance)
    if plate:
        planner.fetch(plate)
        planner.reach(appliance)
        planner.do("scoop", meal, plate)
        planner.tidy = False
    carried = plate or meal
    _to_table(planner, carried, place)
    planner.do("rest", place=place)
    planner.do("enjoy", meal)
    goals = [
        f"heat the {meal}",
        f"warm up the {meal}",
        f"eat the {meal} hot",
        f"have hot {meal} for supper",
        f"heat up the {meal} and eat it",
        f"warm the {meal} in the {appliance}",
        "eat something warm",
    ]
    return planner.finish(
        goals, f"the {meal}", [f"The {meal} tastes good", "It is pleasantly hot", "That is a good supper"]
    )


def _to_table(planner: Planner, key: str, place: str) -> None:
    planner.fetch(key)
    planner.close(planner.world.at)
    planner.reach(place)
    planner.do("put", key, place)


def hot_drink(rng: random.Random) -> Task:
    """Boils water and makes a cup of tea or coffee."""
    planner = new_planner(rng, ["kettle", "counter", "table", "sink"])
    drink = rng.choice(("tea", "coffee", "mint tea", "cocoa"))
    cup = vessel(planner, rng.choice(("cup", "mug", "teapot")), "cupboard", "counter", "drying rack")
    powder = add_thing(planner, Noun(f"{drink} tin", "count", ("cupboard", "counter")))
    kettle = add_thing(planner, Noun("water jug", "count", ("counter", "table", "cupboard")))
    milk = add_thing(planner, words.COLD_DRINKS[0]) if rng.random() < 0.4 and "mint" not in drink else ""
    add_distractors(planner, FOODS)
    planner.begin()
    planner.fetch(kettle)
    planner.reach("sink")
    planner.do("work", kettle, "sink", kettle, "with water")
    planner.reach("kettle")
    planner.do("work", kettle, "kettle", kettle, "emptied into the kettle", ("with water",))
    planner.free_hands()
    planner.reach("kettle")
    planner.do("switch_on", place="kettle")
    planner.bring(cup, "counter")
    planner.fetch(powder)
    planner.reach("counter")
    planner.do("pour", powder, cup, result=f"with {drink}")
    planner.free_hands()
    planner.reach("kettle")
    planner.do("wait", kettle, "kettle", result="boiled")
    planner.do("switch_off", place="kettle")
    planner.fetch(cup)
    planner.reach("kettle")
    planner.do("work", cup, "kettle", cup, "with hot water")
    if milk:
        planner.bring(cup, "counter")
        planner.fetch(milk)
        planner.reach("counter")
        planner.do("pour", milk, cup, result="with milk")
    _serve(planner, cup, "table")
    goals = [
        f"make {drink}",
        f"make a cup of {drink}",
        f"drink some {drink}",
        f"serve {rng.choice(words.GUESTS)} a hot {drink}",
    ]
    return planner.finish(
        goals, f"the {drink}", [f"The {drink} is ready", "It smells wonderful", f"Now the {drink} can be enjoyed"]
    )


def bake(rng: random.Random) -> Task:
    """Fills a baking dish, bakes it in the oven and serves it."""
    planner = new_planner(rng, ["oven", "cutting board", "counter", "table"])
    kind = rng.choice(("pie", "gratin", "cake", "tart", "pizza"))
    base = "dough" if kind != "gratin" else "cream"
    tin = vessel(planner, rng.choice(("baking dish", "baking tray", "cake tin", "pie dish")), "cupboard", "counter")
    dough = add_thing(planner, Noun(base, "mass", ("fridge", "counter")))
    keys = _ingredients(planner, words.FRUIT if kind in ("cake", "tart") else words.VEGETABLES, rng.choice((1, 1, 2)))
    board, tool = _cutting_place(planner)
    add_distractors(planner, FOODS, 2)
    planner.begin()
    planner.bring(tin, "counter")
    planner.add(dough, tin)
    for key in keys:
        _prepare(planner, key, board, tool, False)
        planner.add(key, tin)
    planner.bring(tin, "oven")
    planner.close("oven")
    planner.do("switch_on", place="oven")
    planner.do("wait", tin, "oven", result="baked")
    planner.do("switch_off", place="oven")
    _serve(planner, tin, "table")
    goals = [
        f"bake a {kind}",
        f"bake a {kind} with {listing(keys)}",
        f"make a {kind} for {rng.choice(words.GUESTS)}",
        f"have a {kind} out of the oven",
    ]
    return planner.finish(
        goals,
        f"the {kind}",
        [f"The {kind} is golden brown", f"The {kind} smells of {keys[0]}", f"The {kind} is served"],
    )


def fry(rng: random.Random) -> Task:
    """Fries something in a pan and serves it on a plate."""
    planner = new_planner(rng, ["stove", "counter", "table"])
    food = add_thing(planner, rng.choice(words.PROTEINS))
    pan = vessel(planner, rng.choice(("pan", "frying pan", "small pan")), "cupboard", "counter", "stove")
    plate = vessel(planner, rng.choice(("plate", "dish")))
    oil = add_thing(planner, Noun("oil", "mass", ("cupboard", "counter")))
    add_distractors(planner, FOODS)
    planner.begin()
    planner.bring(pan, "stove")
    planner.fetch(oil)
    planner.reach("stove")
    planner.do("pour", oil, pan, result="with oil")
    planner.free_hands()
    planner.add(food, pan)
    planner.do("switch_on", place="stove")
    planner.do("wait", pan, "stove", result="fried")
    planner.do("switch_off", place="stove")
    planner.fetch(plate)
    planner.reach("stove")
    planner.do("scoop", food, plate)
    _serve(planner, plate, "table")
    guest = rng.choice(words.GUESTS)
    goals = [
        f"fry the {food}",
        f"fry the {food} and serve it on a plate",
        f"cook the {food} for {guest}",
        f"serve {guest} fried {food}",
    ]
    return planner.finish(
        goals, f"the {food}", ["It is served", f"The {food} smells good", f"{guest} can start to eat"]
    )


def cold_drink(rng: random.Random) -> Task:
    """Pours a cold drink into a glass."""
    planner = new_planner(rng, ["counter", "table"])
    drink = add_thing(planner, rng.choice(words.COLD_DRINKS))
    glass = vessel(planner, rng.choice(("glass", "cup", "mug", "tall glass")))
    add_distractors(planner, FOODS)
    planner.begin()
    planner.bring(glass, "counter")
    planner.fetch(drink)
    planner.reach("counter")
    planner.do("pour", drink, glass, result=f"with {drink}")
    if rng.random() < 0.5 and "fridge" in planner.world.places:
        planner.bring(drink, "fridge")
        planner.close("fridge")
    _serve(planner, glass, "table")
    goals = [f"drink some {drink}", f"have a glass of {drink}", f"pour {rng.choice(words.GUESTS)} a glass of {drink}"]
    return planner.finish(goals, f"the {drink}", [f"The {drink} is cold and fresh", "The glass is soon empty"])


KITCHEN_TASKS = (
    (salad, 8), (soup, 2), (sandwich, 2), (warm_up, 5), (hot_drink, 2), (bake, 1.5), (fry, 2), (cold_drink, 1.5),
)  # fmt: skip
