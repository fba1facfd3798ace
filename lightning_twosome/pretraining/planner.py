"""Builds households and plans: every helper adds the actions which are still missing, in a possible order."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from . import vocabulary as words
from .vocabulary import Noun
from .world import Action, Place, Thing, World

SURFACES = ("counter", "table", "coffee table", "desk", "dining table", "shelf", "bed", "chair", "floor")


@dataclass
class Task:
    """A solved task.

    Attributes:
        start: World before the first action.
        actions: The plan.
        goals: Ways of naming the goal as base-form verb phrases.
        product: What the task is about, such as ``the soup``.
        endings: Closing remarks.
        relevant: Keys of the things which the plan uses.
        distractors: Keys of the things which the plan does not need.
    """

    start: World
    actions: list[Action]
    goals: Sequence[str]
    product: str
    endings: Sequence[str]
    relevant: Sequence[str]
    distractors: Sequence[str]


@dataclass
class Planner:
    """Carries out actions in a world while recording them."""

    world: World
    rng: random.Random
    tidy: bool = False
    actions: list[Action] = field(default_factory=list)
    start: World = field(default_factory=World)
    distractors: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """Remembers the present world as the start of the plan."""
        self.start = self.world.clone()

    def do(
        self, kind: str, thing: str = "", place: str = "", tool: str = "", result: str = "", needs: Iterable[str] = ()
    ) -> None:
        """Applies one action and records it; arguments as in :class:`Action`."""
        action = Action(kind, thing, place, tool, result, tuple(needs))
        self.world.apply(action)
        self.actions.append(action)

    def reach(self, place: str) -> None:
        """Goes to the room of a place and up to the place."""
        room = self.world.places[place].room
        if self.world.room != room:
            self.do("go", place=room)
        if self.world.at != place:
            self.do("approach", place=place)

    def ensure_open(self, place: str) -> None:
        """Opens the place in front of the person if it is shut."""
        if not self.world.places[place].open:
            self.do("open", place=place)

    def close(self, place: str) -> None:
        """Shuts a place if it has a door which is open."""
        if self.world.places[place].closable and self.world.places[place].open:
            self.reach(place)
            self.do("close", place=place)

    def free_hands(self) -> None:
        """Puts down whatever is held on a surface nearby."""
        if not self.world.holding:
            return
        here = self.world.at
        known = [name for name in SURFACES if name in self.world.places]
        near = [name for name in known if self.world.places[name].room == self.world.room]
        target = here if here in SURFACES else (near or known)[0]
        self.reach(target)
        self.do("put", self.world.holding, target)

    def fetch(self, key: str) -> None:
        """Gets a thing into the hands."""
        if self.world.holding == key:
            return
        self.free_hands()
        place = self.world.place_of(key)
        self.reach(place)
        self.ensure_open(place)
        self.do("take", key)
        if self.tidy:
            self.close(place)

    def bring(self, key: str, place: str) -> None:
        """Carries a thing to a place and puts it there, unless it is there already."""
        if self.world.place_of(key) == place:
            return
        self.fetch(key)
        self.reach(place)
        self.ensure_open(place)
        self.do("put", key, place)

    def add(self, key: str, vessel: str) -> None:
        """Carries a thing to a vessel and puts it in, or moves it into the vessel which is held already."""
        if self.world.things[key].location == vessel:
            return
        if self.world.places.get(self.world.place_of(vessel), self.world.places["counter"]).closable:
            self.bring(vessel, "counter")
        if self.world.holding == vessel:
            self.reach(self.world.place_of(key))
            self.ensure_open(self.world.place_of(key))
            self.do("scoop", key, vessel)
            return
        self.fetch(key)
        self.reach(self.world.place_of(vessel))
        self.do("add", key, vessel)

    def work(self, key: str, place: str, result: str, tool: str = "") -> None:
        """Works on a thing at a place, with a tool or bare hands, unless the thing has the result already."""
        if key in self.world.things and result in self.world.things[key].states:
            return
        if tool:
            self.fetch(tool)
        else:
            self.free_hands()
        self.reach(place)
        self.do("work", key, place, tool, result)

    def finish(self, goals: Sequence[str], product: str, endings: Sequence[str]) -> Task:
        """Returns the recorded plan as a task; arguments as in :class:`Task`."""
        used = {name for action in self.actions for name in (action.thing, action.place, action.tool)}
        relevant = [key for key in self.start.things if key in used]
        distractors = [key for key in self.start.things if key not in used]
        return Task(self.start, self.actions, goals, product, endings, relevant, distractors)


def new_planner(rng: random.Random, places: Sequence[str], extra: int = 3) -> Planner:
    """Returns a planner in a household with the given places and up to ``extra`` more; the person stands somewhere."""
    world = World()
    others = [
        name for name in ("counter", "fridge", "table", "sink", "shelf", "sofa", "cupboard") if name not in places
    ]
    for name in [*places, "counter", *rng.sample(others, min(extra, len(others)))]:
        add_place(world, name)
    planner = Planner(world, rng, tidy=rng.random() < 0.3)
    first_room = world.places[places[0]].room
    world.room = first_room if rng.random() < 0.75 else rng.choice(words.ROOMS)
    here = [name for name, place in world.places.items() if place.room == world.room]
    if here and rng.random() < 0.7:
        world.at = rng.choice(here)
    return planner


def add_place(world: World, name: str) -> None:
    """Adds a place from the vocabulary to a world; things with doors start shut."""
    if name in world.places:
        return
    if name in words.CLOSABLE_ROOMS:
        world.places[name] = Place(name, words.CLOSABLE_ROOMS[name], "in", closable=True, open=False)
    elif name in words.SWITCHABLE_ROOMS:
        world.places[name] = Place(name, words.SWITCHABLE_ROOMS[name])
    else:
        room = words.SURFACE_ROOMS.get(name, "kitchen")
        world.places[name] = Place(name, room, "in" if name in words.INSIDE else "on")


def add_thing(
    planner: Planner, noun: Noun, key: str = "", vessel: bool = False, states: Iterable[str] = (), location: str = ""
) -> str:
    """Adds a thing at one of its usual places, which is created if missing, and returns its key."""
    world, rng = planner.world, planner.rng
    known = [home for home in noun.homes if home in world.places]
    location = location or (rng.choice(known) if known and rng.random() < 0.8 else rng.choice(noun.homes))
    add_place(world, location)
    key = key or noun.name
    world.things[key] = Thing(key, noun.number, location, vessel, frozenset(states))
    return key


def add_distractors(planner: Planner, nouns: Sequence[Noun], most: int = 3) -> None:
    """Adds a few things which the task does not need; rarely the person holds one of them at the start."""
    rng, world = planner.rng, planner.world
    for noun in rng.sample(list(nouns), rng.randint(0, most)):
        if noun.name not in world.things:
            add_thing(planner, noun)
    if world.things and not world.holding and rng.random() < 0.12:
        oddment = rng.choice(words.ODDMENTS)
        if oddment.name not in world.things:
            world.things[oddment.name] = Thing(oddment.name, oddment.number, "hands")
            world.holding = oddment.name


def vessel(planner: Planner, name: str, *homes: str, key: str = "") -> str:
    """Adds a dish such as a bowl or a pan and returns its key."""
    return add_thing(planner, Noun(name, "count", homes or ("counter", "cupboard", "shelf", "table")), key, vessel=True)
