"""Recipes: an ingredient list and steps, as running text or numbered, with the dishes and words of many kitchens."""

import random
from collections.abc import Callable

from . import vocabulary as words
from .language import gerund, indefinite, listing, sentence, singular
from .vocabulary import Noun

Steps = tuple[str, list[Noun], list[str], str]


def _mixed_salad(rng: random.Random) -> Steps:
    nouns = rng.sample(words.VEGETABLES, rng.randint(1, 4))
    verb = rng.choice(list(words.CUT_VERBS))
    vessel = rng.choice(words.SALAD_VESSELS)
    steps = [f"Wash the {listing([noun.name for noun in nouns])}"] if rng.random() < 0.7 else []
    for noun in nouns:
        steps.append(
            rng.choice(
                (
                    f"Put the {noun.name} on a board and {verb} it",
                    f"{verb} the {noun.name}",
                    f"Take the {noun.name} and {verb} it into pieces",
                )
            )
        )
        if noun.number == "plural":
            steps[-1] = f"{verb} the {noun.name}"
    relation = "on" if vessel == "plate" else "in"
    steps.append(
        rng.choice(
            (
                f"Put everything {relation} a {vessel}",
                f"Take a {vessel} and put the {words.CUT_VERBS[verb]} {nouns[0].name} {relation} it",
            )
        )
    )
    steps += rng.sample(
        ["Add salt and pepper", "Pour some olive oil over it", "Stir well", "Sprinkle it with herbs"], rng.randint(1, 3)
    )
    steps.append(rng.choice(("Serve it at once", f"Bring the {vessel} to the table", "Serve the salad cold")))
    title = (
        f"{singular(nouns[0].name)} salad"
        if len(nouns) == 1 or rng.random() < 0.3
        else f"salad with {listing([noun.name for noun in nouns])}"
    )
    return title, nouns, steps, "salad"


def _vegetable_soup(rng: random.Random) -> Steps:
    nouns = rng.sample(words.VEGETABLES, rng.randint(2, 3))
    steps = [f"Peel and chop the {noun.name}" if noun.number == "count" else f"Wash the {noun.name}" for noun in nouns]
    steps += [
        rng.choice(("Fill a pot with water", "Put a pot of water on the stove")),
        "Turn on the stove",
        f"Add the {listing([noun.name for noun in nouns])} to the pot",
    ]
    steps += [
        f"Let it boil for {rng.randint(10, 40)} minutes",
        "Season with salt",
        rng.choice(("Ladle the soup into bowls", "Pour the soup into a bowl")),
        "Serve it hot",
    ]
    return f"{singular(nouns[0].name)} soup", nouns, steps, "soup"


def _grain_dish(rng: random.Random) -> Steps:
    grain, sauce = rng.choice(words.GRAINS), rng.sample(words.VEGETABLES[:12] + words.PROTEINS[:6], 2)
    steps = [
        "Bring a pot of water to the boil",
        f"Put the {grain.name} into the boiling water",
        f"Cook the {grain.name} for {rng.randint(6, 20)} minutes",
    ]
    steps += [f"Chop the {noun.name}" for noun in sauce]
    steps += [
        f"Fry the {listing([noun.name for noun in sauce])} in a pan",
        f"Drain the {grain.name}",
        "Mix everything",
        "Put it on plates and serve it",
    ]
    return f"{grain.name} with {listing([noun.name for noun in sauce])}", [grain, *sauce], steps, "dish"


def _sandwich(rng: random.Random) -> Steps:
    bread, fill, spread = (
        rng.choice(words.BREADS),
        rng.choice(words.PROTEINS[:8] + words.VEGETABLES[:2]),
        rng.choice(words.SPREADS),
    )
    steps = [
        f"Take {indefinite(bread.name)}",
        "Put it on a plate",
        f"Spread some {spread.name} on it",
        f"Lay the {fill.name} on top",
    ]
    steps += rng.sample(
        ["Add a leaf of lettuce", "Cover it with a second slice", "Cut it in half", "Add a little pepper"], 2
    ) + ["Serve it with a napkin"]
    return f"{fill.name} sandwich", [bread, fill, spread], steps, "sandwich"


def _oven_dish(rng: random.Random) -> Steps:
    nouns = rng.sample(words.VEGETABLES + words.FRUIT + words.PROTEINS, 2)
    kind = rng.choice(("pie", "tart", "gratin", "pizza", "cake", "casserole"))
    steps = [
        "Heat the oven",
        f"Cut the {nouns[0].name}",
        f"Prepare the {nouns[1].name}",
        "Roll out the dough",
        "Lay the dough in a baking dish",
        f"Put the {listing([noun.name for noun in nouns])} on top",
    ]
    steps += [
        "Put the dish into the oven and close the door",
        f"Bake it for {rng.randint(20, 60)} minutes",
        "Take it out with a cloth, because it is hot",
        f"Cut the {kind} and serve it on plates",
    ]
    return f"{singular(nouns[0].name)} {kind}", nouns, steps, kind


def _warmed(rng: random.Random) -> Steps:
    meal = rng.choice(words.READY_MEALS)
    appliance = rng.choice(("microwave", "oven"))
    steps = [
        f"Take the {meal.name} out of the {rng.choice(('fridge', 'freezer', 'packet'))}",
        f"Open the {appliance}",
        f"Put the {meal.name} into the {appliance}",
        f"Close the {appliance}",
    ]
    steps += [
        f"Switch on the {appliance}",
        f"Wait {rng.randint(2, 30)} minutes",
        f"Open the {appliance} and take it out",
        rng.choice(("Eat it while it is hot", "Put it on a plate and serve it", "Enjoy it at the table")),
    ]
    return f"hot {meal.name}", [meal], steps, "meal"


def _drink(rng: random.Random) -> Steps:
    fruit = rng.sample(words.FRUIT, 2)
    steps = [
        f"Cut the {fruit[0].name} and the {fruit[1].name}",
        "Put the pieces into the blender",
        "Pour in some milk",
        "Close the lid",
        "Switch on the blender",
        "Wait until everything is smooth",
        "Pour the drink into a glass",
        "Drink it cold",
    ]
    return f"{fruit[0].name} shake", fruit, steps, "drink"


def _eggs(rng: random.Random) -> Steps:
    extra = rng.choice(words.VEGETABLES[:9] + words.PROTEINS[:4])
    steps = [
        "Break two eggs into a bowl",
        "Beat them with a fork",
        f"Cut the {extra.name}",
        "Heat some butter in a pan",
        f"Fry the {extra.name}",
        "Pour the eggs into the pan",
        "Wait until they are firm",
        "Slide everything onto a plate",
        "Serve it with bread",
    ]
    return f"omelette with {extra.name}", [extra], steps, "omelette"


BUILDERS: tuple[Callable[[random.Random], Steps], ...] = (
    _mixed_salad, _mixed_salad, _vegetable_soup, _grain_dish, _sandwich, _oven_dish, _warmed, _drink, _eggs,
)  # fmt: skip
CONNECTIVES = ("", "", "Then ", "Next, ", "After that, ", "Now ", "When this is done, ")


def _body(steps: list[str], rng: random.Random) -> list[str]:
    """Tells the steps as a numbered list, as orders, about a person or to the reader."""
    form = rng.random()
    if form < 0.25:
        return [f"{number}. {sentence(step)}" for number, step in enumerate(steps, 1)]
    if form < 0.4:
        return [sentence(f"Begin by {gerund(steps[0])}")] + [
            sentence(f"{rng.choice(CONNECTIVES)}{step}") for step in steps[1:]
        ]
    if form < 0.6:
        name, pronoun = rng.choice(words.PEOPLE[:24])
        return [
            sentence(f"{name if index == 0 else pronoun} {rng.choice(('should', 'has to', 'can now', 'will'))} {step}")
            for index, step in enumerate(steps)
        ]
    if form < 0.75:
        return [sentence(f"{rng.choice(('First', 'To begin with'))} you {steps[0]}")] + [
            sentence(f"{rng.choice(('then', 'next', 'now', 'after that', ''))} you {step}") for step in steps[1:]
        ]
    return [sentence(f"First {steps[0]}")] + [sentence(f"{rng.choice(CONNECTIVES)}{step}") for step in steps[1:]]


def recipe(rng: random.Random) -> str:
    """Writes one recipe."""
    title, nouns, steps, kind = rng.choice(BUILDERS)(rng)
    steps = [step[0].lower() + step[1:] for step in steps]
    amounts = [
        rng.choice(
            (
                indefinite(noun.name, noun.number),
                f"{rng.choice(('two', 'three', 'a few'))} pieces of {noun.name}"
                if noun.number == "mass"
                else indefinite(noun.name, noun.number),
                f"the {noun.name}",
            )
        )
        for noun in nouns
    ]
    needed = rng.choice(
        (
            "For {t} you need {n}",
            "You need {n}",
            "Ingredients: {n}",
            "{t} is made from {n}",
            "All you need for {t} is {n}",
            "To make {t}, get {n} ready",
        )
    ).format(t=_titled(title), n=listing(amounts))
    heading = rng.choice(
        (
            f"Recipe for {title}:",
            f"How to make {title}.",
            f"{title}.",
            f"Here is how {title} is made.",
            f"Let us cook {title} today.",
        )
    )
    body = _body(steps, rng)
    closing = rng.choice(
        (
            "",
            f"Enjoy the {kind}!",
            f"The {kind} is enough for {rng.choice(('two', 'three', 'four', 'six'))} people.",
            f"Children like this {kind}.",
            f"The {kind} keeps until the next day.",
        )
    )
    return " ".join(part for part in (sentence(heading), sentence(needed), *body, closing) if part)


def _titled(title: str) -> str:
    return (
        title
        if title.startswith(("omelette", "hot"))
        else indefinite(title)
        if not title.startswith("salad with")
        else f"a {title}"
    )
