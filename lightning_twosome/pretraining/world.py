"""A small household simulation: places, things, one pair of hands, and actions with preconditions."""

from dataclasses import dataclass, field, replace

HANDS = "hands"


class ImpossibleAction(Exception):
    """Raised when an action's preconditions do not hold."""


@dataclass
class Place:
    """A piece of furniture or an appliance which stands in a room."""

    name: str
    room: str
    relation: str = "on"
    closable: bool = False
    open: bool = True
    running: bool = False


@dataclass
class Thing:
    """A movable thing; ``location`` is a place, another thing which contains it, or the hands."""

    key: str
    number: str
    location: str
    vessel: bool = False
    states: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Action:
    """One step.

    Attributes:
        kind: Name of the step, such as ``take``; see :meth:`World.apply`.
        thing: The thing acted on.
        place: The room, place or vessel involved.
        tool: For work: the thing which must be in the hand.
        result: For work and waiting: the state which the thing takes on.
        needs: For work: states the thing must have before.
    """

    kind: str
    thing: str = ""
    place: str = ""
    tool: str = ""
    result: str = ""
    needs: tuple[str, ...] = ()


@dataclass
class World:
    """State of a household: where everything and the acting person is."""

    places: dict[str, Place] = field(default_factory=dict)
    things: dict[str, Thing] = field(default_factory=dict)
    room: str = "kitchen"
    at: str = ""
    holding: str = ""

    def clone(self) -> "World":
        """Returns an independent copy."""
        places = {name: replace(place) for name, place in self.places.items()}
        things = {key: replace(thing) for key, thing in self.things.items()}
        return World(places, things, self.room, self.at, self.holding)

    def place_of(self, key: str) -> str:
        """Returns the place on or in which a thing is, through any vessel; the hands if it is held."""
        location = self.things[key].location
        while location in self.things:
            location = self.things[location].location
        return location

    def contents(self, location: str) -> list[str]:
        """Returns the keys of the things directly on or in a place or vessel."""
        return [key for key, thing in self.things.items() if thing.location == location]

    def apply(self, action: Action) -> None:
        """Carries out an action.

        Raises:
            ImpossibleAction: If its preconditions do not hold.
        """
        getattr(self, f"_{action.kind}")(action)

    def _require(self, condition: bool, action: Action) -> None:
        if not condition:
            raise ImpossibleAction(f"{action} with {self.holding or 'nothing'} in hand at {self.at or self.room}")

    def _within_reach(self, key: str) -> bool:
        place = self.place_of(key)
        return place == HANDS or (place == self.at and self.places[place].open)

    def _go(self, action: Action) -> None:
        self._require(action.place != self.room, action)
        self.room, self.at = action.place, ""

    def _approach(self, action: Action) -> None:
        self._require(self.places[action.place].room == self.room and self.at != action.place, action)
        self.at = action.place

    def _open(self, action: Action) -> None:
        place = self.places[action.place]
        self._require(self.at == place.name and place.closable and not place.open and not place.running, action)
        place.open = True

    def _close(self, action: Action) -> None:
        place = self.places[action.place]
        self._require(self.at == place.name and place.closable and place.open, action)
        place.open = False

    def _take(self, action: Action) -> None:
        self._require(not self.holding and self._within_reach(action.thing), action)
        self.things[action.thing].location = HANDS
        self.holding = action.thing

    def _put(self, action: Action) -> None:
        place = self.places[action.place]
        self._require(self.holding == action.thing and self.at == place.name and place.open, action)
        self.things[action.thing].location = place.name
        self.holding = ""

    def _add(self, action: Action) -> None:
        self._require(self.holding == action.thing and self._within_reach(action.place), action)
        self._require(self.things[action.place].vessel, action)
        self.things[action.thing].location = action.place
        self.holding = ""

    def _scoop(self, action: Action) -> None:
        self._require(self.holding == action.place and self._within_reach(action.thing), action)
        self._require(self.things[action.place].vessel, action)
        self.things[action.thing].location = action.place

    def _pour(self, action: Action) -> None:
        self._require(self.holding == action.thing and self._within_reach(action.place), action)
        self._mark(action.place, action.result)

    def _work(self, action: Action) -> None:
        self._require(self.holding == action.tool, action)
        self._require(not action.place or self.at == action.place, action)
        thing = self.things.get(action.thing)
        if thing is not None:
            self._require(self._within_reach(thing.key) and action.result not in thing.states, action)
            self._require(set(action.needs) <= thing.states, action)
            self._mark(thing.key, action.result)

    def _switch_on(self, action: Action) -> None:
        place = self.places[action.place]
        self._require(self.at == place.name and not place.running, action)
        self._require(not place.closable or not place.open, action)
        place.running = True

    def _switch_off(self, action: Action) -> None:
        place = self.places[action.place]
        self._require(self.at == place.name and place.running, action)
        place.running = False

    def _wait(self, action: Action) -> None:
        self._require(self.places[action.place].running, action)
        self._mark(action.thing, action.result)
        for key in self.contents(action.thing):
            self._mark(key, action.result)

    def _serve(self, action: Action) -> None:
        self._require(self.holding == action.thing and bool(self._filling(action.thing)), action)
        self._require(not action.place or self.at == action.place, action)
        self._mark(action.thing, "served")
        self.things[action.thing].location = action.place or "guest"
        self.holding = ""

    def _filling(self, key: str) -> list[str]:
        return self.contents(key) or [state for state in self.things[key].states if state.startswith("with ")]

    def _rest(self, action: Action) -> None:
        self._require(self.at == action.place, action)

    def _enjoy(self, action: Action) -> None:
        self._require(not action.place or self.places[action.place].running, action)
        self._require(not action.thing or self._within_reach(action.thing), action)

    def _mark(self, key: str, state: str) -> None:
        self.things[key].states |= {state}
