"""What an action does in a house: pure functions of a state, without rewards, words or numbers.

    state --act(action)--> state after it, or None where the action is refused

Both physics are here. ``faithful`` is the reference implementation's, which differs in two lines: a walk books what is
carried in the room just left, and standing up leaves one on the seat.
"""

from __future__ import annotations

from typing import NamedTuple

from lightning_twosome.envs.household.facts import Fact
from lightning_twosome.envs.household.task import HouseholdTask
from lightning_twosome.envs.household.things import CONTAINER, Action

HANDS = ("right hand", "left hand")


class State(NamedTuple):
    """Where everything is.

    Attributes:
        room: The room that the agent is in.
        near: Things within reach.
        seat: The seat that the agent sits on, or empty.
        on_seat: The same, except that in the faithful physics it outlasts standing up.
        faces: What the agent looks at from the seat, or empty.
        places: Where each of the task's items is: a room, a container, a surface or a hand.
        booked: The room that each item is booked in, where a walk to it leads while it is carried.
        open: Containers that are open.
        switched_on: What is switched on.
    """

    room: str
    near: frozenset[str]
    seat: str
    on_seat: str
    faces: str
    places: tuple[str, ...]
    booked: tuple[str, ...]
    open: frozenset[str]
    switched_on: frozenset[str]


class House:
    """The rules of one task's house. Holds no state of an episode, so that one instance serves any number of them."""

    def __init__(self, task: HouseholdTask, faithful: bool = False) -> None:
        self.task, self.faithful = task, faithful
        self.items = {name: index for index, name in enumerate(task.items)}
        things = task.things
        places = tuple(things[item].place for item in self.items)
        self.initial = State(
            room=task.start,
            near=frozenset(),
            seat="",
            on_seat="",
            faces="",
            places=places,
            booked=tuple(self._room_of(place) for place in places),
            open=frozenset(name for name, thing in things.items() if thing.open),
            switched_on=frozenset(name for name, thing in things.items() if thing.switched_on),
        )
        self._rules = {
            "walk": self._walk, "grab": self._grab, "put": self._put, "open": self._open, "close": self._close,
            "switch on": self._switch_on, "switch off": self._switch_off, "sit": self._sit, "stand": self._stand,
        }  # fmt: skip

    def act(self, state: State, action: Action) -> State | None:
        """The state after an action, ``None`` where it is refused."""
        return self._rules[action.kind](state, action)

    def offered(self, state: State) -> tuple[int, ...]:
        """Indices of the actions on offer: all if faithful, else those that are executable and not idle walks."""
        actions = self.task.actions
        if self.faithful:
            return tuple(range(len(actions)))
        return tuple(
            index
            for index, action in enumerate(actions)
            if not (action.kind == "walk" and (action.target == state.room or self.holds(state, action.target)))
            and self.act(state, action) is not None
        )

    def holds(self, state: State, name: str) -> bool:
        """Whether a thing is in a hand."""
        return name in self.items and state.places[self.items[name]] in HANDS

    def held(self, state: State) -> tuple[str, ...]:
        """The items in the hands."""
        return tuple(item for item, place in zip(self.items, state.places, strict=True) if place in HANDS)

    def support(self, state: State, name: str) -> str:
        """The container or surface that a thing is in or on, or empty."""
        place = state.places[self.items[name]] if name in self.items else ""
        return place if place in self.task.things else ""

    def visible(self, state: State, name: str) -> bool:
        """Whether a thing is held, or in the agent's room and not in a closed container."""
        if self.holds(state, name):
            return True
        support = self.support(state, name)
        if support and self.task.things[support].has(CONTAINER) and support not in state.open:
            return False
        return self._room_of(state.places[self.items[name]] if name in self.items else name) == state.room

    def true(self, state: State, fact: Fact) -> bool:
        """Whether a fact holds."""
        kind, subject, place = fact
        if kind == "in":
            return state.room == subject
        if kind == "see":
            return self.visible(state, subject)
        if kind == "near":
            return subject in state.near
        if kind == "hold":
            return self.holds(state, subject)
        if kind == "put":
            return self.support(state, subject) == place
        if kind in ("open", "closed"):
            return (subject in state.open) == (kind == "open")
        if kind in ("switched on", "switched off"):
            return (subject in state.switched_on) == (kind == "switched on")
        return subject == (state.on_seat if kind == "sit" else state.faces)

    def seen(self, state: State, fact: Fact) -> bool:
        """Whether a fact holds and shows: nothing shows of a thing that is not visible."""
        return self.true(state, fact) and (fact.kind == "in" or self.visible(state, fact.subject))

    def succeeded(self, state: State) -> bool:
        """Whether the goal is reached."""
        return all(any(self.true(state, fact) for fact in condition) for condition in self.task.goal)

    def _room_of(self, place: str) -> str:
        return self.task.things[place].place if place in self.task.things else place

    def _has_free_hand(self, state: State) -> bool:
        return not all(hand in state.places for hand in HANDS)

    def _walk(self, state: State, action: Action) -> State | None:
        target, held = action.target, self.held(state)
        if state.seat or (target not in self.task.rooms and not self.visible(state, target)):
            return None
        room, near = state.room, set(held)
        if target in self.task.rooms:
            room = target
        else:
            near |= {target, self.support(state, target)} - {""}
            if target in held:
                room = state.booked[self.items[target]]
            if self.task.things[target].has(CONTAINER):
                near |= {item for item in self.items if self.support(state, item) == target}
        carried_to = state.room if self.faithful else room
        booked = tuple(
            carried_to if item in held else where for item, where in zip(self.items, state.booked, strict=True)
        )
        return state._replace(room=room, near=frozenset(near), faces="", booked=booked)

    def _grab(self, state: State, action: Action) -> State | None:
        item = action.target
        reachable = item in state.near or self.support(state, item) in state.near
        if self.holds(state, item) or not reachable or not self.visible(state, item):
            return None
        if not self._has_free_hand(state):
            return None
        hand = next(hand for hand in HANDS if hand not in state.places)
        return self._move(state, item, hand)._replace(near=state.near | {item})

    def _put(self, state: State, action: Action) -> State | None:
        item, place = action.target, action.place
        if not self.holds(state, item) or place not in state.near:
            return None
        if self.task.things[place].has(CONTAINER) and place not in state.open:
            return None
        return self._move(state, item, place)

    def _move(self, state: State, item: str, place: str) -> State:
        index = self.items[item]
        return state._replace(places=(*state.places[:index], place, *state.places[index + 1 :]))

    def _open(self, state: State, action: Action) -> State | None:
        name = action.target
        if name not in state.near or name in state.open | state.switched_on or not self._has_free_hand(state):
            return None
        return state._replace(open=state.open | {name})

    def _close(self, state: State, action: Action) -> State | None:
        if action.target not in state.near & state.open:
            return None
        return state._replace(open=state.open - {action.target})

    def _switch_on(self, state: State, action: Action) -> State | None:
        name = action.target
        if name not in state.near or name in state.open | state.switched_on or not self._has_free_hand(state):
            return None
        return state._replace(switched_on=state.switched_on | {name})

    def _switch_off(self, state: State, action: Action) -> State | None:
        if action.target not in state.near & state.switched_on or not self._has_free_hand(state):
            return None
        return state._replace(switched_on=state.switched_on - {action.target})

    def _sit(self, state: State, action: Action) -> State | None:
        seat = action.target
        if seat not in state.near or state.seat:
            return None
        return state._replace(seat=seat, on_seat=seat, faces=self.task.things[seat].faces)

    def _stand(self, state: State, _action: Action) -> State | None:
        if not state.seat:
            return None
        if self.faithful:
            return state._replace(seat="")
        return state._replace(seat="", on_seat="", faces="")
