"""Word tables of the corpus grammar: foods, tools, rooms, furniture, people."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Noun:
    """A noun with its number (``count``, ``mass`` or ``plural``) and the usual places of the thing."""

    name: str
    number: str
    homes: tuple[str, ...]


def _nouns(text: str, number: str, *homes: str) -> tuple[Noun, ...]:
    return tuple(Noun(name.strip(), number, homes) for name in text.split(","))


VEGETABLES = (
    _nouns("tomato, cucumber, carrot, pepper, radish, leek", "count", "fridge", "counter")
    + _nouns("courgette, cabbage, cauliflower", "count", "fridge", "counter")
    + _nouns("onion, potato, aubergine, avocado, pumpkin, turnip, beetroot", "count", "counter", "basket", "cupboard")
    + _nouns("lettuce, spinach, broccoli, celery, kale, fennel, rocket", "mass", "fridge", "counter")
    + _nouns("mushrooms, peas, green beans, olives, spring onions", "plural", "fridge", "counter")
)
FRUIT = (
    _nouns("apple, pear, banana, orange, peach, mango", "count", "counter", "table", "basket")
    + _nouns("melon, plum, lemon, kiwi, pineapple", "count", "counter", "table", "basket")
    + _nouns("grapes, strawberries, blueberries, cherries, raspberries", "plural", "fridge", "table")
)
PROTEINS = (
    _nouns("cheese, ham, tofu, salmon, tuna, chicken, bacon, beef", "mass", "fridge")
    + _nouns("egg, sausage, steak, fish fillet, chicken leg, burger", "count", "fridge")
    + _nouns("prawns, meatballs, fish fingers", "plural", "fridge", "freezer")
)
READY_MEALS = (
    _nouns("pie, pizza, pancake, lasagne, burrito, pasty", "count", "fridge", "counter", "freezer", "table")
    + _nouns("quiche, casserole, croissant, muffin, waffle", "count", "fridge", "counter", "freezer", "table")
    + _nouns("soup, stew, porridge, leftover rice, curry, popcorn, pasta", "mass", "fridge", "counter")
    + _nouns("dumplings, noodles, chips, baked beans", "plural", "fridge", "freezer", "cupboard")
)
SPREADS = _nouns("butter, jam, honey, peanut butter, cream cheese, mustard", "mass", "fridge", "cupboard")
COLD_DRINKS = _nouns("milk, orange juice, lemonade, apple juice, iced tea", "mass", "fridge")
SNACKS = (
    _nouns("biscuits, crisps, nuts, crackers, raisins", "plural", "cupboard", "counter")
    + _nouns("cake, sandwich, cookie, bun, doughnut, chocolate bar", "count", "counter", "cupboard", "table")
    + _nouns("yoghurt, ice cream, chocolate, popcorn", "mass", "fridge", "counter")
)
BREADS = _nouns("slice of bread, roll, bagel, bun, slice of toast", "count", "counter", "bread bin")
DRESSINGS = _nouns("olive oil, vinegar, lemon juice, yoghurt dressing", "mass", "cupboard", "counter")
GRAINS = _nouns("rice, pasta, couscous, quinoa, spaghetti", "mass", "cupboard", "counter") + _nouns(
    "noodles, lentils, chickpeas", "plural", "cupboard"
)

CLOTHES = (
    _nouns("shirt, towel, jumper, dress", "count", "bed", "chair", "laundry basket")
    + _nouns("tablecloth, blanket, pair of jeans", "count", "bed", "chair", "laundry basket")
    + _nouns("socks, trousers, sheets, T-shirts, pyjamas", "plural", "laundry basket", "bed", "floor")
)
BELONGINGS = (
    _nouns("book, notebook, water bottle, wallet, camera", "count", "desk", "shelf", "coffee table", "bed")
    + _nouns("umbrella, phone, lunch box, torch, hat", "count", "desk", "shelf", "coffee table", "bed")
    + _nouns("keys, gloves, headphones, sunglasses, slippers", "plural", "shelf", "coffee table", "desk")
)
TOYS = _nouns("ball, doll, toy car, puzzle, teddy bear", "count", "floor", "sofa", "bed") + _nouns(
    "crayons, blocks, marbles", "plural", "floor", "coffee table"
)
ODDMENTS = _nouns(
    "newspaper, magazine, letter, candle, sponge, mug, vase, remote control, cushion, parcel",
    "count",
    "table",
    "counter",
    "coffee table",
)

ROOMS = ("kitchen", "living room", "bedroom", "bathroom", "dining room", "hall", "garden", "cellar")
SURFACE_ROOMS = {
    "counter": "kitchen", "table": "kitchen", "cutting board": "kitchen", "stove": "kitchen", "basket": "kitchen",
    "coffee table": "living room", "shelf": "living room", "sofa": "living room", "armchair": "living room",
    "bed": "bedroom", "desk": "bedroom", "chair": "bedroom", "dining table": "dining room", "sink": "kitchen",
    "floor": "living room", "windowsill": "living room", "laundry basket": "bathroom", "clothes line": "garden",
    "toy box": "living room", "drying rack": "kitchen", "bin": "kitchen",
}  # fmt: skip
INSIDE = {"basket", "sink", "laundry basket", "toy box", "bin"}
CLOSABLE_ROOMS = {
    "fridge": "kitchen", "freezer": "kitchen", "cupboard": "kitchen", "drawer": "kitchen", "oven": "kitchen",
    "microwave": "kitchen", "dishwasher": "kitchen", "washing machine": "bathroom", "wardrobe": "bedroom",
    "bread bin": "kitchen", "cabinet": "dining room", "medicine cabinet": "bathroom",
}  # fmt: skip
SWITCHABLE_ROOMS = {
    "television": "living room", "radio": "kitchen", "kettle": "kitchen", "toaster": "kitchen", "lamp": "living room",
    "computer": "bedroom", "blender": "kitchen", "coffee machine": "kitchen", "iron": "bedroom", "heater": "bathroom",
}  # fmt: skip

PEOPLE = tuple(
    [(name, "she") for name in "Anna Maria Lena Ruth Priya Mei Sofia Clara Joan Ines Emma Nora".split()]
    + [(name, "he") for name in "Tom Peter Omar Hugo Ken Paul Felix Ravi Ben Luis Max David".split()]
    + [("the boy", "he"), ("the girl", "she"), ("the cook", "she"), ("the waiter", "he"), ("the robot", "he")]
    + [("my grandmother", "she"), ("my uncle", "he"), ("the neighbour", "she"), ("the student", "he")]
)
GUESTS = (
    "the guests", "the children", "a friend", "the customer", "her mother", "the family", "an old neighbour",
    "grandfather", "the visitors", "a hungry child", "the guest at the table",
)  # fmt: skip
PETS = ("cat", "dog", "rabbit", "hamster", "parrot", "kitten", "puppy")
PLANTS = ("fern", "cactus", "orchid", "rose", "basil", "palm", "ivy")
CUT_VERBS = {"chop": "chopped", "slice": "sliced", "cut": "cut", "dice": "diced"}
SALAD_VESSELS = ("bowl", "plate", "salad bowl", "dish", "glass bowl")
BOARD_NAMES = ("cutting board", "chopping board", "wooden board", "board")
