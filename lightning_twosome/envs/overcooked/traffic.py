"""Who gives way: the cooks' next steps, changed until nobody bumps into anybody.

The library lets nobody move in a tick in which two cooks want the same cell or each other's. Two cooks who both insist,
or who both step aside to the same side, would stand there for ever. So one of the two has the right of way, and the two
are treated as a pair: the other one goes round, or the first one does, or one steps off the other's path, or waits. Who
has the right of way is drawn at random when a macro-action starts; who waits has it least.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lightning_twosome.envs.overcooked.library import Action, Cell, Pose, Primitive
from lightning_twosome.envs.overcooked.routes import Route, Routes

LONGEST_DETOUR = 6  # ticks beyond the direct way; whoever would have to walk further waits instead


@dataclass(slots=True)
class Mover:
    """A cook in this tick.

    Attributes:
        pose: Where the cook stands and faces.
        action: What the cook is about to do.
        rank: The higher one has the right of way.
        features: What the cook wants to get to; empty if nothing.
        route: The direct way there.
        movable: Whether the cook can be made to step aside.
    """

    pose: Pose
    action: Primitive = Action.STAY
    rank: float = -1.0
    features: Sequence[Cell] = ()
    route: Route | None = None
    movable: bool = True

    def next_cell(self, routes: Routes) -> Cell:
        """Where the cook will stand if nobody is in the way."""
        cell = self.pose[0]
        if self.action == Action.INTERACT:
            return cell
        ahead: Cell = Action.move_in_direction(cell, self.action)
        return ahead if ahead in routes.cells else cell


def give_way(movers: Sequence[Mover], routes: Routes) -> list[Primitive]:
    """The primitive action of each cook, such that no two meet. Changes the movers' actions."""
    order = sorted(movers, key=lambda mover: -mover.rank)
    pairs = [(first, second) for i, first in enumerate(order) for second in order[i + 1 :]]
    for _ in movers[1:]:  # who steps aside for one cook can be in the way of a third one
        for first, second in pairs:
            if _meet(first, second, routes):
                _settle(first, second, routes)
    for first, second in pairs:
        if _meet(first, second, routes):
            first.action = second.action = Action.STAY
    return [mover.action for mover in movers]


def _meet(first: Mover, second: Mover, routes: Routes) -> bool:
    here, there = first.pose[0], second.pose[0]
    to, too = first.next_cell(routes), second.next_cell(routes)
    return to == too or (to == there and too == here)


def _settle(first: Mover, second: Mover, routes: Routes) -> None:
    """Change one of two actions, or both, so that the cooks do not meet; the second one yields where both could."""
    if Action.INTERACT in (first.action, second.action):  # done in a tick
        (second if first.action == Action.INTERACT else first).action = Action.STAY
        return
    for yielding, other in ((second, first), (first, second)):
        if _go_round(yielding, other, routes):
            return
    for yielding, other in ((second, first), (first, second)):
        if _step_aside(yielding, other, routes):
            return
    second.action = Action.STAY
    if _meet(first, second, routes):
        first.action = Action.STAY


def _go_round(mover: Mover, other: Mover, routes: Routes) -> bool:
    if mover.route is None or not mover.movable:
        return False
    way = routes.detour(mover.pose, mover.features, {other.pose[0], other.next_cell(routes)})
    if way is None or way[0] > mover.route.cost + LONGEST_DETOUR:
        return False
    return _try(mover, way[1], other, routes)


def _step_aside(mover: Mover, other: Mover, routes: Routes) -> bool:
    if other.route is None or not mover.movable:
        return False
    path = routes.cells_on(other.pose, other.route.goal)
    way = routes.step_aside(mover.pose[0], path, {other.pose[0]})
    return way is not None and _try(mover, way[1], other, routes)


def _try(mover: Mover, action: Primitive, other: Mover, routes: Routes) -> bool:
    before, mover.action = mover.action, action
    if _meet(mover, other, routes):
        mover.action = before
        return False
    return True
