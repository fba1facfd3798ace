"""TextWorld's games as a text environment: their descriptions are the prompt, their admissible commands the actions.

textworld is an extra (``pip install 'lightning-twosome[textworld]'``, which compiles and needs a C compiler) and is
imported when an environment is made.
"""

from __future__ import annotations

import operator
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from lightning_twosome.errors import UserError

CHARACTERS = "".join(map(chr, range(32, 127)))
LONGEST_PROMPT = 16384
MOST_ACTIONS = 256
MOST_STARTED = 16  # games of one environment that are open at a time
LOOKING = ("examine ", "inventory", "look")


class TextWorldEnv(gymnasium.Env[str, int]):
    """A TextWorld game: rooms, things and a quest, all of them in text.

    Either one game from a file, or small games that are made here: every ``reset`` draws one of ``games`` games.

    **Actions.** The game's admissible commands as TextWorld words them ("take old key", "go east"), but for those that
    only look: what they would tell stands in the prompt. **Observation.** The room's description, what is carried and
    the objective. **Reward.** The points that a command scores. **End.** The quest won, or lost, terminates; ``limit``
    commands truncate. ``info["success"]`` tells at the end whether the quest was won.

    Args:
        game: Path of a game (``.z8`` with its ``.json`` beside it, as TextWorld's ``tw-make`` writes them).
        rooms: Rooms of a game that is made here.
        objects: Things in it.
        quest_length: Commands that its quest takes.
        games: How many games are made here; 1 plays the same one in every episode.
        game_seed: Seed of the first of them.
        limit: Commands after which an episode is truncated.
    """

    metadata = {"render_modes": []}

    def __init__(
        self,
        game: str | None = None,
        rooms: int = 2,
        objects: int = 4,
        quest_length: int = 3,
        games: int = 1,
        game_seed: int = 0,
        limit: int = 50,
    ) -> None:
        _textworld()
        if game is not None and not Path(game).is_file():
            raise UserError(f"the TextWorld game {game!r} does not exist: make one with tw-make, or leave game out")
        if games < 1 or limit < 1:
            raise UserError(f"games={games} and limit={limit} must be at least 1")
        self._paths = [game] if game else [make_game(rooms, objects, quest_length, game_seed + i) for i in range(games)]
        self._games: dict[str, Any] = {}
        self.limit = limit
        self.observation_space = spaces.Text(min_length=1, max_length=LONGEST_PROMPT, charset=CHARACTERS)
        # As many as are offered in the current state, so that action_space.sample() is one of them.
        self.action_space = spaces.Discrete(MOST_ACTIONS)  # type: ignore[assignment]
        self._running = False
        self._state: Any = None
        self._commands: tuple[str, ...] = ()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Draw a game and return its first prompt with its information."""
        super().reset(seed=seed, options=options)
        path = self._paths[int(self.np_random.integers(len(self._paths)))]
        self._game = self._games.pop(path) if path in self._games else _start(path)
        self._games[path] = self._game  # the last one used is last
        if len(self._games) > MOST_STARTED:
            self._games.pop(next(iter(self._games))).close()
        self._state = self._game.reset()
        self._steps, self._running = 0, True
        return self._shown()

    def step(self, action: int) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Give a command; returns prompt, reward, terminated, truncated and information."""
        command = self._commands[self._checked(action)]
        before = self._state["score"]
        self._state, _, _ = self._game.step(command)
        self._steps += 1
        terminated = bool(self._state["won"] or self._state["lost"])
        truncated = not terminated and self._steps >= self.limit
        prompt, info = self._shown()
        if terminated or truncated:
            info["success"] = bool(self._state["won"])
            self._running = False
        return prompt, float(self._state["score"] - before), terminated, truncated, info

    def expert_action(self) -> int:
        """The offered command that TextWorld's own walkthrough gives here."""
        plan = self._state["policy_commands"]
        return self._commands.index(plan[0]) if plan and plan[0] in self._commands else 0

    def close(self) -> None:
        """End the games."""
        for game in self._games.values():
            game.close()
        self._games = {}

    def _shown(self) -> tuple[str, dict[str, Any]]:
        state = self._state
        commands = state["admissible_commands"]
        self._commands = tuple(command for command in commands if not command.startswith(LOOKING)) or tuple(commands)
        self.action_space.n = np.int64(len(self._commands))  # type: ignore[attr-defined]
        parts = (state["description"], state["inventory"], state["objective"], "You should now")
        return " ".join(_plain(part) for part in parts), {"actions": self._commands}

    def _checked(self, action: int) -> int:
        if not self._running:
            raise UserError("the game was stepped before a reset or after its end: call reset() first")
        index = operator.index(action)
        if not 0 <= index < len(self._commands):
            raise UserError(f"the game offers no action {index} here: give one from 0 to {len(self._commands) - 1}")
        return index


@lru_cache(maxsize=256)
def make_game(rooms: int, objects: int, quest_length: int, seed: int) -> str:
    """Make a game and compile it, once in a process; returns its path.

    Raises:
        UserError: TextWorld cannot make a game of these sizes.
    """
    textworld = _textworld()
    options = textworld.GameOptions()
    options.nb_rooms, options.nb_objects, options.quest_length, options.seeds = rooms, objects, quest_length, seed
    options.path = str(Path(_folder().name) / f"{rooms}-{objects}-{quest_length}-{seed}.z8")
    try:
        path, _ = textworld.make(options)
    except Exception as error:  # of many kinds, from the generator and from the compiler that it runs
        raise UserError(
            f"TextWorld cannot make a game with rooms={rooms}, objects={objects}, quest_length={quest_length}: "
            f"{str(error).strip() or type(error).__name__}"
        ) from error
    return str(path)


@lru_cache(maxsize=1)
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Where made games lie until the process ends."""
    return tempfile.TemporaryDirectory(prefix="textworld-")


def _start(path: str) -> Any:
    textworld = _textworld()
    wanted = ("description", "inventory", "admissible_commands", "objective", "won", "lost", "score", "policy_commands")
    return textworld.start(path, textworld.EnvInfos(**dict.fromkeys(wanted, True)))


def _textworld() -> Any:
    try:
        import textworld
    except ImportError as error:
        raise UserError(
            "TextWorld's games need textworld, which is not installed: run `pip install 'lightning-twosome[textworld]'`"
        ) from error
    return textworld


def _plain(text: str) -> str:
    """A text in one line, a room's headline as a sentence."""
    return " ".join(text.replace("-=", "").replace(" =-", ".").split())
