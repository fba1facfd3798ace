"""A household task as data: the rooms, the things with their properties, the goal and the actions, read from YAML."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from lightning_twosome.envs.household.facts import Fact, known_facts
from lightning_twosome.envs.household.things import (
    CONTAINER,
    GRABBABLE,
    NUMBERS,
    PROPERTIES,
    SITTABLE,
    SURFACE,
    SWITCHABLE,
    Action,
    Thing,
)
from lightning_twosome.envs.task_file import TaskFile, find_task, nearest

BUNDLED_TASKS = Path(__file__).parent / "tasks"

KEYS = frozenset("name aim rooms start objects goal horizon".split())
OPTIONAL_KEYS = frozenset("actions vector".split())
THING_KEYS = frozenset("properties place number faces open switched_on".split())

Goal = tuple[tuple[Fact, ...], ...]
"""All of these must hold, each in at least one of its alternatives."""


@dataclass(frozen=True, slots=True, eq=False)
class HouseholdTask:
    """Everything that tells one household task from another.

    Tasks are compared by identity, so that environments can share what they derive from one. ``aim`` completes "to ..."
    and ``vector`` lists what the symbolic observation says, in order.
    """

    name: str
    aim: str
    rooms: tuple[str, ...]
    start: str
    things: dict[str, Thing]
    goal: Goal
    actions: tuple[Action, ...]
    vector: tuple[Fact, ...]
    horizon: int

    @property
    def items(self) -> tuple[str, ...]:
        """The names of the things that can be carried, in the order of the file."""
        return tuple(name for name, thing in self.things.items() if thing.has(GRABBABLE))


def load_task(task: str) -> HouseholdTask:
    """Read a bundled task by its name, or any task by the path of its YAML file (ending in .yaml or .yml)."""
    path = find_task(task, BUNDLED_TASKS, "household")
    return _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _read(path: Path, _modified: int) -> HouseholdTask:
    return _Reader(path).task()


def possible_actions(rooms: tuple[str, ...], things: Mapping[str, Thing]) -> dict[str, Action]:
    """Every action that the things allow, by its name in a task file, in the order that a file without a list has."""
    actions = {f"walk to {target}": Action("walk", target) for target in (*rooms, *things)}
    actions |= {f"grab {name}": Action("grab", name) for name, thing in things.items() if thing.has(GRABBABLE)}
    for name, thing in things.items():
        if not thing.has(GRABBABLE):
            continue
        for place, furniture in things.items():
            if furniture.has(CONTAINER) or furniture.has(SURFACE):
                actions[f"put {name} {furniture.preposition} {place}"] = Action("put", name, place)
    for kind, needed in (
        ("open", CONTAINER), ("close", CONTAINER), ("switch on", SWITCHABLE), ("switch off", SWITCHABLE),
    ):  # fmt: skip
        actions |= {f"{kind} {name}": Action(kind, name) for name, thing in things.items() if thing.has(needed)}
    seats = [name for name, thing in things.items() if thing.has(SITTABLE)]
    actions |= {f"sit on {name}": Action("sit", name) for name in seats}
    return actions | ({"stand up": Action("stand")} if seats else {})


def contradict(first: Fact, second: Fact) -> bool:
    """Whether two facts cannot hold at once, as far as that shows without playing."""
    if {first.kind, second.kind} in ({"open", "closed"}, {"switched on", "switched off"}, {"open", "switched on"}):
        return first.subject == second.subject
    if first.kind == second.kind == "put":
        return first.subject == second.subject and first.place != second.place
    return first.kind == second.kind in ("in", "sit") and first.subject != second.subject


class _Reader(TaskFile):
    """Turns one YAML file into a task."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "household", KEYS, OPTIONAL_KEYS)

    def task(self) -> HouseholdTask:
        rooms = self.rooms()
        start = self.get("start", str)
        if start not in rooms:
            meant = nearest(start, rooms) or f", but {', '.join(rooms)}"
            self.complain(f"starts in {start!r}, which is no room{meant}")
        things = self.things(rooms)
        facts = known_facts(rooms, things)
        return HouseholdTask(
            name=self.get("name", str),
            aim=self.words("aim"),
            rooms=rooms,
            start=start,
            things=things,
            goal=self.goal(facts),
            actions=self.actions(possible_actions(rooms, things)),
            vector=self.vector(facts),
            horizon=self.number("horizon", 1),
        )

    def words(self, key: str) -> str:
        text = self.get(key, str)
        if not text.strip() or text != " ".join(text.split()) or not text.isascii():
            self.complain(f"has {key} = {text!r}, which must be plain words with single spaces")
        return str(text)

    def rooms(self) -> tuple[str, ...]:
        rooms = self.get("rooms", list)
        if not rooms or not all(isinstance(room, str) and room.strip() for room in rooms):
            self.complain(f"has rooms = {rooms!r}, which must be a list of names")
        if len(set(rooms)) < len(rooms):
            self.complain("names a room twice in 'rooms'")
        return tuple(rooms)

    def things(self, rooms: tuple[str, ...]) -> dict[str, Thing]:
        objects = self.get("objects", dict)
        if not objects:
            self.complain("needs at least one thing in 'objects'")
        for name in objects:
            if not isinstance(name, str) or not name.strip() or name in rooms:
                self.complain(f"has the object {name!r}, which must be a name that no room has")
        properties = {name: self.properties(name, data) for name, data in objects.items()}
        return {name: self.thing(name, data, properties, rooms) for name, data in objects.items()}

    def properties(self, name: str, data: Any) -> frozenset[str]:
        if not isinstance(data, dict) or not {"properties", "place"} <= data.keys() <= THING_KEYS:
            self.complain(
                f"needs for the object {name!r} the keys properties and place, and of "
                f"{', '.join(sorted(THING_KEYS - {'properties', 'place'}))} those that apply"
            )
        properties = data["properties"]
        if not isinstance(properties, list) or not set(properties) <= PROPERTIES:
            self.complain(f"gives {name!r} the properties {properties!r}; a list of {', '.join(sorted(PROPERTIES))}")
        found = frozenset(properties)
        if (GRABBABLE in found and len(found) > 1) or {CONTAINER, SURFACE} <= found:
            self.complain(f"gives {name!r} properties that exclude each other: {', '.join(sorted(found))}")
        return found

    def thing(
        self, name: str, data: dict[str, Any], properties: Mapping[str, frozenset[str]], rooms: tuple[str, ...]
    ) -> Thing:
        preposition, _, place = str(data["place"]).partition(" ")
        furniture = properties.get(place, frozenset())
        known = place in rooms or (GRABBABLE in properties[name] and furniture & {CONTAINER, SURFACE})
        if not known or preposition != ("on" if SURFACE in furniture else "in"):
            self.complain(
                f"has the place {data['place']!r} of {name!r}, which must be 'in' a room or, for a grabbable thing, "
                "'in' a container or 'on' a surface"
            )
        number, faces = data.get("number", "count"), data.get("faces", "")
        if number not in NUMBERS:
            self.complain(f"has number = {number!r} for {name!r}, which must be {', '.join(NUMBERS)}")
        if faces and (faces not in properties or SITTABLE not in properties[name]):
            self.complain(f"has faces = {faces!r} for {name!r}: only a sittable thing faces, and only another thing")
        flags = {}
        for flag, needed in (("open", CONTAINER), ("switched_on", SWITCHABLE)):
            flags[flag] = data.get(flag, False)
            if not isinstance(flags[flag], bool) or (flags[flag] and needed not in properties[name]):
                self.complain(f"has {flag} = {flags[flag]!r} for {name!r}: true or false, and only for a {needed}")
        if flags["open"] and flags["switched_on"]:
            self.complain(f"has {name!r} open and switched on at once")
        return Thing(name, properties[name], place, number, faces, flags["open"], flags["switched_on"])

    def goal(self, facts: Mapping[str, Fact]) -> Goal:
        goal = tuple(tuple(self.look_up("goal", part, facts) for part in self.parts(one)) for one in self.goals())
        settled = [alternatives[0] for alternatives in goal if len(alternatives) == 1]
        for first, second in itertools.combinations(settled, 2):
            if contradict(first, second):
                names = {fact: name for name, fact in facts.items()}
                self.complain(f"has {names[first]!r} and {names[second]!r} in goal, which cannot both hold")
        return goal

    def goals(self) -> list[Any]:
        goals: list[Any] = self.get("goal", list)
        if not goals:
            self.complain("needs at least one condition in 'goal'")
        return goals

    def parts(self, condition: Any) -> list[str]:
        return str(condition).split(" or ")

    def look_up(self, key: str, name: str, known: Mapping[str, Fact]) -> Fact:
        if name not in known:
            meant = nearest(name, known) or f"; it is none of: {', '.join(known)}"
            self.complain(f"has the unknown {name!r} in {key}{meant}")
        return known[name]

    def vector(self, facts: Mapping[str, Fact]) -> tuple[Fact, ...]:
        if "vector" not in self.data:
            return tuple(fact for fact in facts.values() if fact.kind not in ("closed", "switched off"))
        return tuple(self.look_up("vector", str(name), facts) for name in self.get("vector", list))

    def actions(self, possible: Mapping[str, Action]) -> tuple[Action, ...]:
        names = list(possible) if "actions" not in self.data else self.get("actions", list)
        if unknown := [name for name in names if name not in possible]:
            meant = nearest(unknown[0], possible) or f"; it is none of: {', '.join(possible)}"
            self.complain(f"has the unknown {unknown[0]!r} in actions{meant}")
        if not names or len(set(names)) < len(names):
            self.complain("needs in 'actions' at least one action and none twice")
        return tuple(possible[name] for name in names)
