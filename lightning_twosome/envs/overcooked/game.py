"""What happens: the state of the kitchen, the macro-actions that are running, one tick after the other.

A macro-action ends when its interaction is done, when it makes no sense any more (somebody was faster), or when it has
taken much longer than the way there: somebody is in the way. So each one lasts at least one tick and at most
``route + cooking time + PATIENCE``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lightning_twosome.envs.overcooked.layout import Layout
from lightning_twosome.envs.overcooked.library import EVENT_TYPES, Action, Cell, OvercookedState, Primitive
from lightning_twosome.envs.overcooked.macros import ITEMS, WAIT, Macro, all_macros, held, places, suits
from lightning_twosome.envs.overcooked.routes import Route
from lightning_twosome.envs.overcooked.traffic import Mover, give_way

PATIENCE = 8  # ticks a cook spends on detours and on waiting for others before giving up
WAIT_TICKS = 5


@dataclass(slots=True)
class Running:
    """A macro-action that has begun.

    Attributes:
        macro: Which one.
        rank: Right of way, drawn at its start.
        ticks_left: Ticks until it is given up.
        offered: What could be done at its start; kept while waiting only.
    """

    macro: Macro
    rank: float
    ticks_left: int
    offered: tuple[int, ...] = ()


@dataclass(slots=True)
class Tick:
    """What one tick brought.

    Attributes:
        points: The team's reward.
        shaped: The library's shaped rewards of all cooks together.
        soups: Soups served that were paid for.
    """

    points: float
    shaped: float
    soups: int


class Game:
    """One kitchen in play.

    Args:
        layout: The kitchen.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.macros = all_macros(len(layout.pots))
        self._suiting = {
            hand: [(i, macro) for i, macro in enumerate(self.macros) if suits(macro, hand)]
            for hand in ("", *ITEMS, "soup")
        }
        self.reset(np.random.default_rng(0))

    def reset(self, random: np.random.Generator) -> None:
        """Start anew; ``random`` draws the right of way."""
        self.random = random
        self.state: OvercookedState = self.layout.start.deepcopy()
        self.ticks = 0
        self.running: list[Running | None] = [None] * self.layout.movers
        self.blocked = [False] * self.layout.movers
        self._forget()

    def offered(self, cook: int) -> tuple[int, ...]:
        """The macro-actions that ``cook`` can carry out, as indices into ``macros``; waiting is always among them."""
        offer = self._offers[cook]
        if offer is None:
            suiting = self._suiting[held(self.state, cook)]
            offer = tuple(i for i, macro in suiting if macro == WAIT or self.route(cook, macro))
            self._offers[cook] = offer
        return offer

    def route(self, cook: int, macro: Macro) -> Route | None:
        """The way of ``cook`` to where ``macro`` can be carried out now; ``None`` where there is none."""
        return self._way(cook, macro)[1]

    def _way(self, cook: int, macro: Macro) -> tuple[list[Cell], Route | None]:
        """Where a macro-action can be carried out now, and the way there; computed once a tick."""
        key = cook, macro
        if key not in self._ways:
            features = places(self.layout, self.state, cook, macro)
            pose = self.state.players[cook].pos_and_or
            self._ways[key] = features, self.layout.routes.nearest(pose, features) if features else None
        return self._ways[key]

    def begin(self, cook: int, index: int) -> None:
        """Let ``cook`` set out on the macro-action at ``index``, which must be on offer."""
        macro = self.macros[index]
        if macro == WAIT:
            self.running[cook] = Running(macro, -1.0, WAIT_TICKS, self.offered(cook))
            return
        route = self.route(cook, macro)
        assert route is not None, "the macro-action is not on offer"
        ticks = route.cost + PATIENCE
        if macro.kind == "scoop":
            ticks += self.state.objects[self.layout.pots[macro.pot]].cook_time_remaining
        self.running[cook] = Running(macro, float(self.random.random()), ticks)

    def tick(self) -> Tick:
        """Let everybody take one primitive action."""
        layout = self.layout
        movers = [self._mover(cook) for cook in range(layout.movers)]
        actions = give_way(movers, layout.routes) if layout.movers > 1 else [movers[0].action]
        still = [Action.STAY] * (layout.n_cooks - layout.movers)
        paid, shaped = self._transition((*actions, *still))
        self.ticks += 1
        self._forget()
        for cook, action in enumerate(actions):
            self._end_if_done(cook, interacted=action == Action.INTERACT)
        return Tick(float(sum(paid)), float(sum(shaped)), sum(points > 0 for points in paid))

    def _transition(self, actions: tuple[Primitive, ...]) -> tuple[list[float], list[float]]:
        """The library's transition, in place: its own copies and checks the state each time, which takes most of it.

        Returns:
            Points and shaped rewards of each cook.
        """
        mdp, state = self.layout.mdp, self.state
        paid: list[float] = []
        shaped: list[float] = []
        if Action.INTERACT in actions:
            events = {event: [False] * len(actions) for event in EVENT_TYPES}
            paid, shaped = mdp.resolve_interacts(state, actions, events)
        mdp.resolve_movement(state, actions)
        mdp.step_environment_effects(state)
        return paid, shaped

    def _forget(self) -> None:
        """The state has changed."""
        self._offers: list[tuple[int, ...] | None] = [None] * self.layout.movers
        self._ways: dict[tuple[int, Macro], tuple[list[Cell], Route | None]] = {}

    def _mover(self, cook: int) -> Mover:
        """What a cook would do next with nobody else around."""
        pose, running = self.state.players[cook].pos_and_or, self.running[cook]
        if running is None or running.macro == WAIT:
            return Mover(pose)
        features, route = self._way(cook, running.macro)
        if route is None:
            return Mover(pose)
        action, rank = route.action, running.rank
        if action == Action.INTERACT and running.macro.kind == "scoop" and not self._cooked(running.macro.pot):
            action, rank = Action.STAY, -0.5
        return Mover(pose, action, rank, features, route)

    def _cooked(self, pot: int) -> bool:
        soup = self.state.objects.get(self.layout.pots[pot])
        return soup is not None and soup.is_ready

    def _end_if_done(self, cook: int, interacted: bool) -> None:
        running = self.running[cook]
        if running is None:
            return
        running.ticks_left -= 1
        if running.macro == WAIT:
            done = running.ticks_left == 0 or self.offered(cook) != running.offered
            gave_up = False
        else:
            done = interacted or self.route(cook, running.macro) is None
            gave_up = not done and running.ticks_left == 0
        if done or gave_up:
            self.running[cook], self.blocked[cook] = None, gave_up
