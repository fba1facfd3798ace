"""minigrid's BabyAI bot as the expert: it is asked when somebody wants to know, and told what was done instead."""

from __future__ import annotations

from typing import Any


class Expert:
    """The bot on one episode, from the state in which it is made.

    Args:
        level: minigrid's simulator.
    """

    def __init__(self, level: Any) -> None:
        self._level = level
        self._plan()

    def _plan(self) -> None:
        from minigrid.utils.baby_ai_bot import BabyAIBot

        self._bot = BabyAIBot(self._level)
        self._suggestion = int(self._bot.replan())

    def action(self) -> int:
        """Minigrid's number of the action that the bot wants to take."""
        return self._suggestion

    def follow(self, taken: int) -> None:
        """Tell the bot which action was taken."""
        from minigrid.utils.baby_ai_bot import DisappearedBoxError

        try:
            self._suggestion = int(self._bot.replan(taken))
        except (AssertionError, AttributeError, IndexError, DisappearedBoxError):
            # Somebody else's actions can leave the bot without a plan; a new bot makes one from here.
            self._plan()
