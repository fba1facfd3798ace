"""What can be true of a state, by name: the words of goals and of the symbolic observation in a task file.

in <room>             the agent is there            <thing> open, <thing> closed
see <thing>           in view                       <thing> switched on, <thing> switched off
near <thing>          within reach                  sit on <thing>
hold <thing>          in a hand                     face <thing>
<thing> in <container>, <thing> on <surface>
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from lightning_twosome.envs.household.things import CONTAINER, GRABBABLE, SITTABLE, SURFACE, SWITCHABLE, Thing


class Fact(NamedTuple):
    """A statement about ``subject``, a thing (or a room, where the kind is "in"); ``place`` is where it is put."""

    kind: str
    subject: str
    place: str = ""


def known_facts(rooms: tuple[str, ...], things: Mapping[str, Thing]) -> dict[str, Fact]:
    """Every fact of a house by its name: the rooms, then thing by thing."""
    facts = {f"in {room}": Fact("in", room) for room in rooms}
    for name, thing in things.items():
        facts |= _facts_of(thing, things)
        if any(seat.faces == name for seat in things.values()):
            facts[f"face {name}"] = Fact("face", name)
    return facts


def _facts_of(thing: Thing, things: Mapping[str, Thing]) -> dict[str, Fact]:
    name = thing.name
    facts = {f"see {name}": Fact("see", name), f"near {name}": Fact("near", name)}
    if thing.has(GRABBABLE):
        facts[f"hold {name}"] = Fact("hold", name)
        for place in things.values():
            if place.has(CONTAINER) or place.has(SURFACE):
                facts[f"{name} {place.preposition} {place.name}"] = Fact("put", name, place.name)
    if thing.has(CONTAINER):
        facts |= {f"{name} {kind}": Fact(kind, name) for kind in ("open", "closed")}
    if thing.has(SWITCHABLE):
        facts |= {f"{name} {kind}": Fact(kind, name) for kind in ("switched on", "switched off")}
    if thing.has(SITTABLE):
        facts[f"sit on {name}"] = Fact("sit", name)
    return facts
