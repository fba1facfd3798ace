"""The scripted cook: what a competent cook does here, on any layout and for any order list.

The cook works towards the order that pays best for its time, one pot after the other, and counts what the others carry
or have set out for, so that two such cooks share the work. A cook who cannot walk to the pots (or to the guests) brings
what is missing to a counter that both sides reach.
"""

from __future__ import annotations

from collections import Counter

from lightning_twosome.envs.overcooked.game import Game
from lightning_twosome.envs.overcooked.layout import INGREDIENTS, Contents, Layout
from lightning_twosome.envs.overcooked.library import Cell, SoupState
from lightning_twosome.envs.overcooked.macros import WAIT, Macro, held

HANDLING_TICKS = 10  # what fetching an ingredient, or serving a soup, takes about


def choose(game: Game, cook: int) -> int:
    """The index of the macro-action that the scripted cook takes; always one on offer."""
    offered = {game.macros[index]: index for index in game.offered(cook)}
    return next(offered[macro] for macro in Chef(game, cook).wishes() if macro in offered)


class Chef:
    """What one cook makes of the state.

    Args:
        game: The kitchen, not changed.
        cook: Which cook.
    """

    def __init__(self, game: Game, cook: int) -> None:
        self.game, self.layout, self.state, self.cook = game, game.layout, game.state, cook
        others = [other for other in range(game.layout.movers) if other != cook]
        self.intents = [running.macro for other in others if (running := game.running[other]) is not None]
        self.carried = Counter(held(self.state, other) for other in others)
        self.carried.update(macro.item for macro in self.intents if macro.kind in ("fetch", "take"))
        self.pots = [pot for pot, cell in enumerate(self.layout.pots) if self._somebody_reaches(cell)]
        self.at_pots = any(self._reaches(self.layout.pots[pot]) for pot in self.pots)

    def wishes(self) -> list[Macro]:
        """Macro-actions, the best first; the first one on offer is taken."""
        hand = held(self.state, self.cook)
        if self.game.blocked[self.cook]:  # leave it to the one who is in the way
            return [Macro("put"), WAIT]
        if not hand:
            wishes = [*self._cook(), *self._take_soup(), *self._get("dish"), *self._get_ingredient()]
        elif hand == "soup":
            wishes = [Macro("serve"), Macro("pass"), Macro("put")]
        elif hand == "dish":
            wishes = self._use_dish()
        else:
            wishes = self._use_ingredient(hand)
        return [*wishes, WAIT]

    def _cook(self) -> list[Macro]:
        """Pots that hold all they need, or what nobody ordered and must go."""
        begun = [pot for pot in self.pots if (soup := self._soup(pot)) is not None and soup.is_idle]
        ready = [Macro("cook", pot=pot) for pot in begun if not self.missing(pot)]
        return [macro for macro in ready if macro not in self.intents]

    def _take_soup(self) -> list[Macro]:
        """A soup that somebody left on a counter, if this cook reaches the guests."""
        return [Macro("take", "soup")] if any(map(self._reaches, self.layout.serving)) else []

    def _get(self, item: str) -> list[Macro]:
        """Bring a dish or an ingredient if more are needed than others bring or, away from the pots, lie ready."""
        wanted = self._dishes_wanted() if item == "dish" else sum(self.missing(pot)[item] for pot in self.pots)
        supply = self.carried[item]
        if self.at_pots:
            return [Macro("take", item), Macro("fetch", item)] if wanted > supply else []
        supply += sum(1 for cell in self.layout.shared[self.cook] if self._lies(cell) == item)
        return [Macro("fetch", item)] if wanted > supply else []

    def _get_ingredient(self) -> list[Macro]:
        """Ingredients for the fullest pots first; what lies on a counter before what must be fetched."""
        wishes = [wish for item in INGREDIENTS for wish in self._get(item)]
        return sorted(wishes, key=lambda macro: macro.kind == "fetch")

    def _use_dish(self) -> list[Macro]:
        taken = {macro.pot for macro in self.intents if macro.kind == "scoop"}
        soups = [
            (soup.cook_time_remaining, pot) for pot in self.pots if (soup := self._cooking(pot)) and pot not in taken
        ]
        scoops = [Macro("scoop", pot=pot) for _, pot in sorted(soups)]
        return [*scoops, Macro("put")] if self.at_pots else [Macro("pass")]

    def _use_ingredient(self, item: str) -> list[Macro]:
        if not self.at_pots:
            return [Macro("pass")]
        return [*(Macro("fill", pot=pot) for pot in self.pots if self.missing(pot)[item]), Macro("put")]

    def missing(self, pot: int) -> Counter[str]:
        """What must still go into a pot. One pot is filled at a time: an empty one waits for the others to be full."""
        soup = self._soup(pot)
        if soup is not None and not soup.is_idle:
            return Counter()
        if soup is None and pot != self._next_empty():
            return Counter()
        inside = (0, 0) if soup is None else _contents(soup)
        plan = self._plan(inside)
        return +Counter({item: plan[i] - inside[i] for i, item in enumerate(INGREDIENTS)})

    def _next_empty(self) -> int | None:
        """The empty pot to fill next: none while a pot that is begun needs more than is on its way."""
        for pot in self.pots:
            if self._soup(pot) is not None and any(n > self.carried[item] for item, n in self.missing(pot).items()):
                return None
        empty = [pot for pot in self.pots if self._soup(pot) is None]
        return min(empty, key=lambda pot: not self._reaches(self.layout.pots[pot]), default=None)

    def _plan(self, inside: Contents) -> Contents:
        """The order that pays best for its time and can be made of what is in the pot; as it is, if there is none."""
        layout = self.layout
        orders = [
            order
            for order, value in layout.values.items()
            if value > 0
            and all(n >= there for n, there in zip(order, inside, strict=True))
            and all(
                n == there or self._supplied(item) for n, there, item in zip(order, inside, INGREDIENTS, strict=True)
            )
        ]
        return max(orders, key=lambda order: _rate(layout, order), default=inside)

    def _dishes_wanted(self) -> int:
        """A dish for each pot that cooks, or will cook as soon as somebody starts it."""
        soups = [soup for pot in self.pots if (soup := self._soup(pot)) is not None]
        if self.at_pots:
            return sum(1 for soup in soups if not soup.is_idle)
        return sum(1 for soup in soups if not soup.is_idle or soup.is_full)

    def _soup(self, pot: int) -> SoupState | None:
        soup: SoupState | None = self.state.objects.get(self.layout.pots[pot])
        return soup

    def _cooking(self, pot: int) -> SoupState | None:
        soup = self._soup(pot)
        return None if soup is None or soup.is_idle else soup

    def _lies(self, cell: Cell) -> str:
        thing = self.state.objects.get(cell)
        return "" if thing is None else thing.name

    def _reaches(self, cell: Cell) -> bool:
        return self.layout.routes.reaches(self.state.players[self.cook].position, cell)

    def _somebody_reaches(self, cell: Cell) -> bool:
        cooks = self.state.players[: self.layout.movers]
        return any(self.layout.routes.reaches(player.position, cell) for player in cooks)

    def _supplied(self, item: str) -> bool:
        return any(self._somebody_reaches(cell) for cell in self.layout.dispensers[item])


def _contents(soup: SoupState) -> Contents:
    return soup.ingredients.count("onion"), soup.ingredients.count("tomato")


def _rate(layout: Layout, order: Contents) -> float:
    return layout.values[order] / (layout.cook_times[order] + HANDLING_TICKS * (sum(order) + 1))
