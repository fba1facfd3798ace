"""Short statements about what things are, where they are kept and what they are for, also as questions."""

import random

from . import vocabulary as words
from .language import indefinite, listing, sentence

USES = {
    "microwave": "heat food", "oven": "bake bread", "fridge": "keep food cold", "freezer": "keep food frozen",
    "stove": "cook soup", "kettle": "boil water", "toaster": "toast bread", "washing machine": "wash clothes",
    "dishwasher": "wash dishes", "sink": "wash hands", "cutting board": "cut vegetables", "knife": "cut food",
    "spoon": "eat soup", "fork": "eat salad", "plate": "serve food", "bowl": "hold soup", "cup": "drink tea",
    "glass": "drink water", "pan": "fry eggs", "pot": "boil pasta", "broom": "sweep the floor", "mop": "wipe the floor",
    "sponge": "scrub dishes", "vacuum cleaner": "clean the carpet", "television": "watch films", "radio": "hear music",
    "lamp": "light the room", "bed": "sleep", "sofa": "sit", "chair": "sit", "table": "eat meals",
    "wardrobe": "keep clothes", "iron": "smooth shirts", "blender": "mix drinks", "watering can": "water plants",
    "towel": "dry hands", "soap": "get clean", "remote control": "change the channel", "key": "open the door",
    "bin": "throw away rubbish", "shelf": "keep books", "peeler": "peel potatoes", "whisk": "beat eggs",
    "ladle": "pour soup", "grater": "grate cheese", "sieve": "drain pasta", "tin opener": "open tins",
    "corkscrew": "open wine bottles", "umbrella": "stay dry", "heater": "warm the room", "fan": "cool the room",
    "coffee machine": "make coffee", "duster": "remove dust", "clothes line": "dry washing", "suitcase": "pack clothes",
    "candle": "give light", "clock": "tell the time", "mirror": "see yourself",
}  # fmt: skip
KEPT = {
    "milk": "fridge", "butter": "fridge", "cheese": "fridge", "ham": "fridge", "yoghurt": "fridge", "lettuce": "fridge",
    "ice cream": "freezer", "frozen peas": "freezer", "flour": "cupboard", "rice": "cupboard", "pasta": "cupboard",
    "sugar": "cupboard", "bread": "bread bin", "books": "shelf", "shirts": "wardrobe", "coats": "wardrobe",
    "forks": "drawer", "spoons": "drawer", "knives": "drawer", "plates": "cupboard", "cups": "cupboard",
    "dirty clothes": "laundry basket", "rubbish": "bin", "toys": "toy box", "dirty dishes": "sink", "cars": "garage",
    "medicine": "medicine cabinet", "salt": "cupboard", "tea": "cupboard", "meat": "fridge", "fish": "fridge",
    "eggs": "fridge",
}  # fmt: skip
ROOM_OF = {
    "bed": "bedroom", "wardrobe": "bedroom", "sofa": "living room", "television": "living room",
    "armchair": "living room", "coffee table": "living room", "fridge": "kitchen", "stove": "kitchen",
    "oven": "kitchen", "microwave": "kitchen", "dishwasher": "kitchen", "kettle": "kitchen", "toaster": "kitchen",
    "bath": "bathroom", "shower": "bathroom", "toilet": "bathroom", "washing machine": "bathroom",
    "dining table": "dining room", "coat rack": "hall", "apple tree": "garden", "lawn": "garden", "desk": "bedroom",
    "cutting board": "kitchen", "doormat": "hall", "wine rack": "cellar",
}  # fmt: skip
COLOURS = {
    "tomato": "red", "cucumber": "green", "carrot": "orange", "banana": "yellow", "lemon": "yellow", "lettuce": "green",
    "spinach": "green", "milk": "white", "onion": "white or red", "aubergine": "purple", "strawberry": "red",
    "orange": "orange", "pea": "green", "blueberry": "blue", "rice": "white", "honey": "golden",
}  # fmt: skip
PROPERTIES = {
    "a whole tomato": "must be cut before it goes into a salad", "an empty plate": "has nothing on it",
    "an empty bowl": "has nothing in it", "a closed fridge": "must be opened first",
    "a full cup": "should be carried carefully", "a hot pan": "should not be touched",
    "a sharp knife": "is dangerous for children", "a dirty plate": "has to be washed",
    "a wet towel": "should be hung up", "a raw potato": "must be cooked before it is eaten",
    "a closed door": "must be opened before you can go through",
    "a person with full hands": "cannot pick up anything else", "a finished dish": "can be served",
    "a salad without vegetables": "is not a salad", "cut vegetables": "go into the bowl",
    "a switched off television": "shows nothing", "a hungry guest": "wants to eat",
    "a tired person": "likes to sit down", "a cold meal": "can be heated", "washed clothes": "are hung up to dry",
    "a thirsty plant": "needs water", "an unwashed apple": "should be washed before eating",
}  # fmt: skip
RULES = (
    "Before you cut something, you put it on a board.",
    "Before you take something out of the fridge, you open the fridge.", "After cooking, you switch off the stove.",
    "You can only pick up something when your hands are free.", "To serve food, you need a plate or a bowl.",
    "First you cook, then you serve.", "You wash vegetables before you cut them.",
    "You open the microwave before you put food into it, and you close it before you switch it on.",
    "People sit down to watch television.", "Food is served when it is ready.",
    "An empty plate is not served to a guest.", "If a thing is far away, you walk to it first.",
    "If you do not know where a thing is, you look for it.", "What is done need not be done again.",
    "You cannot cut an onion which is still in the fridge.",
    "Somebody who holds a pot in both hands has to set it down before taking a spoon.",
    "Dishes are washed after the meal.", "The table is set before the meal.", "You go to a thing before you take it.",
    "You bring the plate to the table when the food is on it.", "Ingredients are cut first and mixed later.",
    "You take one thing at a time.", "A task is finished when its goal is reached.",
    "You put a thing down where it is needed.", "When the television is on, you can sit down and watch it.",
    "Clothes are washed first and ironed later.", "You fill the kettle before you switch it on.",
    "Hot food comes out of the oven, cold food comes out of the fridge.",
)  # fmt: skip


def _use(rng: random.Random) -> tuple[str, str, str]:
    name = rng.choice(list(USES))
    use = USES[name]
    thing = indefinite(name) if name != "soap" else "soap"
    place = (
        "in"
        if name
        in (
            "bed",
            "sink",
            "dishwasher",
            "washing machine",
            "oven",
            "fridge",
            "freezer",
            "wardrobe",
            "bowl",
            "microwave",
        )
        else "with"
    )
    plain = rng.choice(
        (
            f"{thing} is used to {use}",
            f"{thing} is there to {use}",
            f"people use {thing} to {use}",
            f"with {thing} you can {use}" if place == "with" else f"{thing} helps to {use}",
            f"in order to {use}, you use {thing}",
            f"to {use}, you need {thing}",
        )
    )
    return plain, f"What is {thing} for?", f"It is used to {use}"


def _which(rng: random.Random) -> tuple[str, str, str]:
    name = rng.choice(list(USES))
    return (
        f"if you want to {USES[name]}, take the {name}"
        if name not in words.CLOSABLE_ROOMS
        else f"if you want to {USES[name]}, use the {name}",
        f"What do you need to {USES[name]}?",
        indefinite(name),
    )


def _kept(rng: random.Random) -> tuple[str, str, str]:
    name = rng.choice(list(KEPT))
    be = "are" if name.endswith(("s", "es")) and name != "dishes" else "is"
    where = f"{'on' if KEPT[name] == 'shelf' else 'in'} the {KEPT[name]}"
    plain = rng.choice(
        (
            f"{name} {be} kept {where}",
            f"you find {name} {where}",
            f"{name} {'belong' if be == 'are' else 'belongs'} {where}",
            f"{where} there {be} often {name}",
            f"put {name} {where}",
        )
    )
    return plain, f"Where {be} {name} kept?", where


def _room(rng: random.Random) -> tuple[str, str, str]:
    name = rng.choice(list(ROOM_OF))
    plain = rng.choice(
        (
            f"the {name} is in the {ROOM_OF[name]}",
            f"there is {indefinite(name)} in the {ROOM_OF[name]}",
            f"you find the {name} in the {ROOM_OF[name]}",
            f"{indefinite(name)} stands in the {ROOM_OF[name]}",
        )
    )
    return plain, f"Where is the {name}?", f"in the {ROOM_OF[name]}"


def _kind(rng: random.Random) -> tuple[str, str, str]:
    group, label = rng.choice(
        (
            (words.VEGETABLES, "vegetable"),
            (words.FRUIT, "fruit"),
            (words.SNACKS, "snack"),
            (words.COLD_DRINKS, "drink"),
            (words.GRAINS, "food from a packet"),
        )
    )
    noun = rng.choice(group)
    plain = (
        f"{indefinite(noun.name)} is a {label}"
        if noun.number == "count"
        else f"{noun.name} {'are' if noun.number == 'plural' else 'is'} a {label}"
    )
    if noun.number == "plural":
        plain = f"{noun.name} are a kind of {label}"
    others = listing([other.name for other in rng.sample(list(group), 3)])
    return (
        rng.choice((plain, plain, f"{others} are {label}s" if label != "food from a packet" else plain)),
        f"What is {indefinite(noun.name, noun.number)}?",
        f"a {label}" if noun.number != "plural" else f"a kind of {label}",
    )


def _colour(rng: random.Random) -> tuple[str, str, str]:
    name = rng.choice(list(COLOURS))
    subject = name if name in ("milk", "rice", "honey", "lettuce", "spinach") else indefinite(name)
    return f"{subject} is {COLOURS[name]}", f"What colour is {subject}?", COLOURS[name]


def _property(rng: random.Random) -> tuple[str, str, str]:
    name = rng.choice(list(PROPERTIES))
    return f"{name} {PROPERTIES[name]}", f"What is true of {name}?", f"{name} {PROPERTIES[name]}"


def _rule(rng: random.Random) -> tuple[str, str, str]:
    text = rng.choice(RULES)
    return (
        text,
        rng.choice(("What is a good rule?", "What should everybody know?", "What do people learn at home?")),
        text,
    )


MAKERS = ((_use, 4), (_which, 2), (_kept, 3), (_room, 2), (_kind, 3), (_colour, 1), (_property, 2), (_rule, 2.5))


def facts(rng: random.Random) -> str:
    """Writes a handful of facts, as statements or as questions with answers."""
    told: list[str] = []
    for _ in range(rng.randint(3, 9)):
        maker = rng.choices([entry[0] for entry in MAKERS], [entry[1] for entry in MAKERS])[0]
        plain, question, answer = maker(rng)
        if plain in told:
            continue
        told.append(f"{question} {sentence(answer)}" if rng.random() < 0.3 else sentence(plain))
    return " ".join(told)
