"""Overcooked as a gymnasium environment: partners, episodes, rewards and information around the game."""

from __future__ import annotations

import math
import operator
from functools import lru_cache
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from lightning_twosome.envs.keywords import check_keywords, prompt_space
from lightning_twosome.envs.overcooked.chef import choose
from lightning_twosome.envs.overcooked.game import Game
from lightning_twosome.envs.overcooked.layout import Layout, load_layout
from lightning_twosome.envs.overcooked.text import PROMPT_STYLES, Narrator
from lightning_twosome.envs.overcooked.view import features, look
from lightning_twosome.errors import UserError

PARTNERS = ("none", "stay", "random", "greedy", "self")


class OvercookedEnv(gymnasium.Env[str, int]):
    """Cooks fill pots with onions and tomatoes, cook soups and serve them, as many as they can before time is up.

    The rules are those of the library overcooked-ai. ``layout`` is the name of one of its 45 kitchens or the path of a
    layout file; this is ``cramped_room_single``, the default::

        XXPXX      1  the cook           X  counter      D  supply of dishes
        O   O      P  pot                O  supply of onions (T: of tomatoes)
        X1  X      S  serving counter
        XDXSX

    **Actions.** The index of a macro-action in ``info["actions"]``, which lists those that can be carried out now:
    fetch an onion, a tomato or a dish from its supply, take one or a soup from a counter, put an ingredient into a pot,
    cook what is in a pot, fill a dish with the soup of a pot (waiting there until it is cooked), serve a soup, put
    something on a counter, put it on a counter that a cook in another part of the kitchen reaches, and wait (5 ticks,
    less if something else becomes possible). The cook walks the shortest way, goes round others or lets them pass, and
    gives up after 8 ticks lost to that. A macro-action ends early where somebody else was faster.

    **Partners.** With ``partner="self"`` the policy decides for all cooks: ``info["player"]`` is the cook whose turn it
    is, whenever a cook has nothing to do, and the time until the next cook's turn can be 0. Otherwise the policy is the
    first cook, and the others never move ("stay"), take random macro-actions ("random") or are scripted cooks
    ("greedy", the default where there are others). A kitchen with one cook has the partner "none".

    **Observation.** The prompt names the soups that are wanted, the pots, what lies on counters within reach, what the
    others hold and what is in hand. ``info["vector"]`` has the same as numbers, and distances (see :mod:`.view`);
    ``info["action_ids"]`` the index of each offered macro-action in the kitchen's fixed list (see :mod:`.macros`).

    **Rewards.** The library's: 20 for a soup on the order list unless the layout says otherwise, times 2 for one on the
    bonus list (also where the layout has an infinite bonus), 0 for any other soup; for all cooks together.
    ``shaped_rewards=c`` adds c times the library's shaped rewards: 3 for each ingredient put into a pot, 3 for a dish
    taken while a pot needs one (kitchens of two cooks only), 5 for a soup taken out of a pot. ``info["step_rewards"]``
    has the reward of each tick, ``info["duration"]`` the number of ticks.

    **End.** Nothing terminates; the horizon of 400 ticks (``horizon``) truncates, cutting off what is going on.
    ``info["soups"]`` counts the soups served that were paid for; ``info["success"]`` tells at the end whether there was
    one.

    **Prompt styles.** ``prompt_style`` chooses among "second_person" (the default), "third_person" and "notes";
    ``restate`` names a second one, in which ``info["restatement"]`` has prompt and actions of the same state.

    Randomness (who has the right of way, the random partner) comes from the seed of ``reset`` alone.

    Args:
        layout: Name of a layout, or path of a layout file.
        partner: Who the other cooks are; by default "none" for one cook and "greedy" for more.
        horizon: Ticks of an episode.
        shaped_rewards: Coefficient of the shaped rewards; ``True`` is 1.
        prompt_style: The wording of prompts and actions.
        restate: A second style, shown as ``info["restatement"]``.
        render_mode: "rgb_array" for pictures.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 2}
    PROMPT_STYLES = PROMPT_STYLES

    def __init__(
        self,
        layout: str = "cramped_room_single",
        partner: str | None = None,
        horizon: int = 400,
        shaped_rewards: bool | float = False,
        prompt_style: str = PROMPT_STYLES[0],
        restate: str | None = None,
        render_mode: str | None = None,
    ) -> None:
        check_keywords("Overcooked", PROMPT_STYLES, prompt_style, restate, render_mode)
        self.partner = _partner(partner, load_layout(layout))
        self.layout = load_layout(layout, self.partner == "stay")
        self.horizon, self.shaping = _horizon(horizon), _coefficient(shaped_rewards)
        self.prompt_style, self.restate, self.render_mode = prompt_style, restate, render_mode
        self.game = Game(self.layout)
        self.players = self.layout.movers if self.partner == "self" else 1
        self.observation_space = prompt_space()
        # As many as are offered: set anew in each state, so that a sampled action is always one of them.
        self.action_space = spaces.Discrete(len(self.game.macros))  # type: ignore[assignment]
        self._running = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Put everything back in its place and return the first prompt with its information."""
        super().reset(seed=seed, options=options)
        self.layout.configure()
        self.game.reset(self.np_random)
        self.player, self.soups = 0, 0
        self._last: str | None = None
        self._running = True
        return self._show()

    def step(self, action: int) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Carry out a macro-action; returns prompt, reward, terminated (never), truncated and information."""
        index = self._checked(action)
        self.layout.configure()
        offered = self.game.offered(self.player)
        if self.render_mode is not None:
            words = self._words(self.prompt_style)[1][index]
            self._last = f"Cook {self.player + 1}: {words}" if self.players > 1 else words
        self.game.begin(self.player, offered[index])
        step_rewards = self._play_on()
        truncated = self.game.ticks >= self.horizon
        prompt, info = self._show()
        info["duration"], info["step_rewards"] = len(step_rewards), tuple(step_rewards)
        if truncated:
            info["success"] = self.soups > 0
            self._running = False
        return prompt, sum(step_rewards, 0.0), False, truncated, info

    def expert_action(self) -> int:
        """The index of what the scripted cook would do here, as the cook whose turn it is."""
        self._check_running()
        self.layout.configure()
        return self.game.offered(self.player).index(choose(self.game, self.player))

    def render(self) -> NDArray[np.uint8] | None:  # type: ignore[override]
        """Draw the kitchen, uint8 [height, width, 3]; nothing without ``render_mode="rgb_array"``."""
        if self.render_mode is None:
            return None
        from lightning_twosome.envs.overcooked.render import draw

        return draw(self.game, self.horizon, self.soups, self._last)

    def _play_on(self) -> list[float]:
        """Let time pass until a cook of the policy has nothing to do, or the horizon; the reward of each tick."""
        rewards: list[float] = []
        while self.game.ticks < self.horizon:
            idle = [cook for cook in range(self.players) if self.game.running[cook] is None]
            if idle:
                self.player = idle[0]
                break
            self._decide_for_others()
            tick = self.game.tick()
            self.soups += tick.soups
            rewards.append(tick.points + self.shaping * tick.shaped)
        return rewards

    def _decide_for_others(self) -> None:
        for cook in range(self.players, self.layout.movers):
            if self.game.running[cook] is None:
                offered = self.game.offered(cook)
                random = self.partner == "random"
                macro = int(self.np_random.choice(offered)) if random else choose(self.game, cook)
                self.game.begin(cook, macro)

    def _show(self) -> tuple[str, dict[str, Any]]:
        """Prompt and information for the cook whose turn it is."""
        offered = self.game.offered(self.player)
        prompt, actions = self._words(self.prompt_style)
        self.action_space.n = np.int64(len(offered))  # type: ignore[attr-defined]
        info: dict[str, Any] = {
            "actions": actions,
            "action_ids": offered,
            "vector": features(self.game, self.player),
            "player": self.player,
            "soups": self.soups,
        }
        if self.restate is not None:
            info["restatement"] = self._words(self.restate)
        return prompt, info

    def _words(self, style: str) -> tuple[str, tuple[str, ...]]:
        narrator, view = _narrator(self.layout, style), look(self.game, self.player)
        macros = tuple(self.game.macros[index] for index in self.game.offered(self.player))
        return narrator.prompt(view), narrator.actions(view, macros)

    def _check_running(self) -> None:
        if not self._running:
            raise UserError("Overcooked was stepped before a reset or after the end of its episode: call reset() first")

    def _checked(self, action: int) -> int:
        self._check_running()
        n_actions = len(self.game.offered(self.player))
        try:
            index = operator.index(action)
        except TypeError:
            index = -1
        if not 0 <= index < n_actions:
            raise UserError(
                f"Overcooked offers {n_actions} actions here, not {action!r}: give an integer from 0 to {n_actions - 1}"
            )
        return index


@lru_cache(maxsize=64)
def _narrator(layout: Layout, style: str) -> Narrator:
    return Narrator(layout, style)


def _partner(partner: str | None, layout: Layout) -> str:
    """The partner, which must fit the number of cooks."""
    alone = layout.n_cooks == 1
    if partner is None:
        return "none" if alone else "greedy"
    if partner not in PARTNERS:
        raise UserError(f"Overcooked has no partner {partner!r}: use one of {', '.join(PARTNERS)}")
    if alone != (partner == "none"):
        fits = "'none'" if alone else ", ".join(repr(name) for name in PARTNERS[1:])
        cooks = "one cook" if alone else f"{layout.n_cooks} cooks"
        raise UserError(f"the layout {layout.name!r} has {cooks}, so that partner cannot be {partner!r}: use {fits}")
    return partner


def _horizon(horizon: int) -> int:
    if not isinstance(horizon, int | np.integer) or isinstance(horizon, bool) or horizon < 1:
        raise UserError(f"Overcooked's horizon is {horizon!r}; it must be an integer of at least 1, in ticks")
    return int(horizon)


def _coefficient(shaped_rewards: bool | float) -> float:
    if not isinstance(shaped_rewards, bool | int | float) or not 0 <= shaped_rewards < math.inf:
        raise UserError(
            f"Overcooked's shaped_rewards is {shaped_rewards!r}; it must be true, false or a coefficient of at least 0"
        )
    return float(shaped_rewards)
