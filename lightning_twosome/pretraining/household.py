"""Everyday life at home: something happens or is noticed, and somebody does what makes sense."""

import random

from . import vocabulary as words
from .language import Voice, choose_voice, gerund, sentence

# What is the case, a sensible reaction and its result; {room} is filled with a room.
EVENTS = (
    ("it {is} dark in the {room}", "switch on the lamp", "now it {is} bright"),
    ("it {is} getting late and the children {are} tired", "put the children to bed", "soon they {are} asleep"),
    ("the doorbell rings", "open the front door", "a friend comes in"),
    ("the telephone rings", "answer the telephone", "it {is} only the neighbour"),
    ("the floor in the {room} {is} full of crumbs", "sweep the floor", "the floor {is} clean"),
    ("somebody has spilled milk on the table", "wipe the table with a cloth", "the table {is} dry"),
    ("the bin {is} full", "take out the rubbish", "the bin {is} empty again"),
    ("the cat sits in front of its empty bowl", "feed the cat", "the cat purrs"),
    ("the dog waits at the door with its lead", "go for a walk with the dog", "the dog wags its tail"),
    ("it {is} cold in the {room}", "turn on the heater", "it slowly gets warm"),
    ("the air in the {room} {is} stuffy", "open a window", "fresh air comes in"),
    ("it begins to rain", "close the windows", "nothing gets wet"),
    ("the washing machine has finished", "hang up the wet clothes", "they dry in the wind"),
    (
        "the clothes on the line {are} dry", "take the clothes down and fold them",
        "the basket {is} full of clean clothes",
    ),
    ("the shirts {are} creased", "iron the shirts", "the shirts {are} smooth"),
    ("the shelves {are} covered with dust", "dust the shelves", "the shelves shine"),
    ("the plants let their leaves hang", "water the plants", "they look better at once"),
    ("the bed {is} not made", "make the bed", "the bed looks neat"),
    ("the sheets {are} old", "put fresh sheets on the bed", "the bed smells clean"),
    ("the sink {is} full of dirty dishes", "wash the dishes", "the dishes {are} clean"),
    ("the dishwasher {is} full of clean plates", "put the plates into the cupboard", "the dishwasher {is} empty"),
    ("guests will come in an hour", "set the table", "the guests can come"),
    (
        "the guests {are} sitting at the table and {are} hungry", "bring the food to the table",
        "the guests begin to eat",
    ),
    ("the meal {is} finished", "clear the table", "the table {is} empty"),
    ("the soup {is} too hot", "wait a few minutes", "then the soup can be eaten"),
    ("the soup has no taste", "add some salt", "now it tastes good"),
    ("the water in the kettle boils", "pour the water into the teapot", "the tea {is} nearly ready"),
    ("the oven beeps because the cake {is} done", "take the cake out of the oven", "the cake cools on the table"),
    ("the microwave has stopped", "open the microwave and take out the food", "the food {is} hot"),
    ("dinner {is} ready", "call everybody to the table", "they all sit down"),
    ("the tea {is} cold", "make fresh tea", "the fresh tea {is} hot"),
    ("the fridge {is} empty", "go shopping", "in the evening the fridge {is} full"),
    ("the bags with the shopping stand in the hall", "put the food into the fridge", "the bags {are} empty"),
    (
        "the favourite programme begins in a minute", "turn on the television and sit down on the sofa",
        "the programme {is} funny",
    ),
    ("the programme {is} over", "switch off the television", "it {is} quiet now"),
    ("the radio {is} much too loud", "turn down the radio", "everybody can talk again"),
    ("there {are} toys all over the carpet", "put the toys into the box", "the carpet can be seen again"),
    ("the carpet {is} full of hair", "vacuum the carpet", "the carpet {is} clean"),
    ("the mirror in the bathroom {is} spotted", "clean the mirror", "the mirror shines"),
    ("the hands {are} dirty from the garden", "wash the hands with soap", "the hands {are} clean"),
    ("the towel {is} wet", "hang up the towel", "it will soon be dry"),
    ("there {is} no toilet paper left", "fetch a new roll", "everything {is} in order"),
    ("the lamp in the {room} does not work", "change the bulb", "the lamp shines again"),
    ("the door of the fridge stands open", "close the fridge", "the milk stays cold"),
    ("nobody {is} in the {room} and the light {is} on", "turn off the light", "that saves electricity"),
    ("the baby cries", "pick up the baby", "the baby smiles"),
    ("the window {is} dirty", "clean the window", "now the garden can be seen"),
    ("a glass has fallen down and {is} broken", "sweep up the pieces carefully", "nobody gets hurt"),
    ("a visitor {is} thirsty", "bring the visitor a glass of water", "the visitor says thank you"),
    ("grandmother wants to read", "bring her the glasses and the book", "she begins to read"),
    ("the day was long and the legs {are} tired", "sit down in the armchair", "that feels good"),
    ("it {is} time to leave the house", "put on the coat and take the keys", "the door closes"),
    ("the keys {are} nowhere to be seen", "look for the keys", "they {are} in a pocket"),
    ("the remote control {is} missing", "look for it under the cushions", "it {is} there"),
    ("the bread {is} old and hard", "toast the bread", "the toast {is} crisp"),
    ("the pan {is} still hot", "wait until the pan {is} cool", "then it can be washed"),
    ("there {is} steam coming out of the pot", "lift the lid and stir", "nothing boils over"),
    ("smoke comes out of the toaster", "switch off the toaster at once", "nothing happens"),
    ("a letter has arrived", "open the letter", "it {is} an invitation"),
    ("the suitcase {is} still empty and the train leaves soon", "pack the suitcase", "the journey can begin"),
    ("the tap drips", "turn off the tap", "it {is} silent"),
    ("the flowers on the table {are} dry", "throw away the flowers", "the vase {is} empty"),
    ("the vase {is} empty", "put fresh flowers into the vase", "the room looks pretty"),
    ("the potatoes {are} peeled", "put the potatoes into the pot", "they boil for twenty minutes"),
    ("the vegetables {are} cut", "put the vegetables into the bowl", "the salad looks good"),
    ("the salad {is} in the bowl", "carry the bowl to the table", "everybody takes some"),
    ("the vegetables {are} still whole", "cut the vegetables", "the pieces {are} small"),
    ("the plate {is} empty", "put some food on the plate", "then it can be served"),
    ("the coffee {is} ready", "pour the coffee into the cups", "it smells good"),
    ("the blanket has slipped off the bed", "pick up the blanket", "it {is} on the bed again"),
)  # fmt: skip
MISTAKES = (
    ("serve the salad before it is made", "make the salad first"),
    ("sit down while the food burns", "turn off the stove first"),
    ("watch television with dirty hands full of dough", "wash the hands first"),
    ("put wet clothes into the wardrobe", "dry them first"),
    ("switch on an empty washing machine", "put the clothes in first"),
    ("heat the oven with the door open", "close the door first"),
    ("carry an empty plate to the guests", "put the food on it first"),
    ("pour tea into a cup which is full", "take another cup"),
    ("look for a thing which is already in the hand", "use it"),
    ("cut bread which is still in the cupboard", "take it out first"),
    ("wash a plate which is clean already", "put it into the cupboard"),
    ("walk back to a place for nothing", "do the next step right here"),
    ("open a door which is open", "walk through it"),
    ("turn on the television and leave the room", "sit down in front of it"),
    ("put the phone into the fridge", "put it on the table"),
    ("take a second pot with full hands", "put the first one down"), ("eat soup with a fork", "take a spoon"),
    ("cut tomatoes on the sofa", "use a board in the kitchen"), ("forget the food in the microwave", "take it out"),
    ("go to the living room before the snack is taken", "take the snack first"),
    ("chop an onion a second time", "put it into the bowl"),
)  # fmt: skip
LEADS = (
    "so {S} {done}", "{S} {done}", "therefore {S} {done}", "{S} should {step}", "it {is} time to {step}",
    "{S} {v:decide} to {step}", "{S} {v:go} and {done}", "now {S} {v:have} to {step}", "the best thing {is} to {step}",
    "{S} at once {done}", "without a word {S} {done}", "then {S} {v:need} to {step}", "{S} {v:begin} to {step}",
)  # fmt: skip


def _event(voice: Voice, rng: random.Random, form: float) -> str:
    condition, step, result = (
        voice.fill(text, rng, {"room": rng.choice(words.ROOMS[:6])}) for text in rng.choice(EVENTS)
    )
    if form < 0.3 and not voice.past:
        opening = rng.choice(
            (
                f"If {condition}, {{S}} should {step}",
                f"When {condition}, it is best to {step}",
                f"Because {condition}, {{S}} {{v:have}} to {step}",
                f"As {condition}, the next thing to do is to {step}",
            )
        )
        told = [voice.fill(opening, rng)]
    else:
        lead = voice.fill(rng.choice(LEADS), rng, {"step": step, "done": voice.conjugate(step)})
        told = (
            [condition, lead]
            if rng.random() < 0.6
            else [f"{condition}, {lead}" if lead.startswith(("so", "therefore")) else f"{condition}, and {lead}"]
        )
    if rng.random() < 0.6:
        told.append(result)
    return " ".join(sentence(text) for text in told)


def _mistake(rng: random.Random) -> str:
    wrong, right = rng.choice(MISTAKES)
    name = rng.choice(words.PEOPLE)[0]
    return rng.choice(
        (
            f"It makes no sense to {wrong}. It is better to {right}.",
            f"Nobody should {wrong}. Better {right}.",
            f"Why not {wrong}? Because one should {right}.",
            f"{sentence(name)[:-1]} wants to {wrong}. That is not a good idea. {sentence(name)[:-1]} should {right}.",
            f"Do not {wrong}, but {right}.",
            f"{sentence(gerund(wrong))[:-1]} is silly. Please {right}.",
            f"Would you {wrong}? No, you would {right}.",
        )
    )


def household(rng: random.Random) -> str:
    """Writes a few events in a home and the reactions to them, told in one voice."""
    voice = choose_voice(rng, words.PEOPLE)
    voice.past = False
    opening = rng.choice(
        (
            "",
            "",
            "It is a normal day at home.",
            "It is Sunday morning.",
            "In the evening there is a lot to do.",
            "There is always something to do in a house.",
            "It is almost noon.",
            "This is a busy household.",
        )
    )
    told = [opening] if opening else []
    for _ in range(rng.randint(2, 7)):
        told.append(_mistake(rng) if rng.random() < 0.12 else _event(voice, rng, rng.random()))
    return " ".join(told)
