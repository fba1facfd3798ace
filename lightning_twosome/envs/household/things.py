"""What a house has in it and what can be done with it."""

from __future__ import annotations

from dataclasses import dataclass

GRABBABLE, CONTAINER, SURFACE, SWITCHABLE, SITTABLE = "grabbable", "container", "surface", "switchable", "sittable"
PROPERTIES = frozenset({GRABBABLE, CONTAINER, SURFACE, SWITCHABLE, SITTABLE})
NUMBERS = ("count", "plural", "mass")


@dataclass(frozen=True, slots=True)
class Thing:
    """A thing as the task begins.

    ``place`` is a room or, for a grabbable thing, a container or a surface; ``number`` is the grammatical one: count
    (a pancake), plural (chips), mass (milk); ``faces`` is what one looks at on a seat, if anything.
    """

    name: str
    properties: frozenset[str]
    place: str
    number: str = "count"
    faces: str = ""
    open: bool = False
    switched_on: bool = False

    def has(self, name: str) -> bool:
        """Whether the thing has a property."""
        return name in self.properties

    @property
    def preposition(self) -> str:
        """Where things are that are put there: in a container, on a surface."""
        return "on" if SURFACE in self.properties else "in"


@dataclass(frozen=True, slots=True)
class Action:
    """``kind`` is walk, grab, put, open, close, switch on, switch off, sit or stand; ``place`` is where things are put.

    ``target`` is a room or a thing, empty for stand.
    """

    kind: str
    target: str = ""
    place: str = ""
