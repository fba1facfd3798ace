"""A kitchen task as data: the map, the foods, the recipe, the actions and the rewards, read from YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

from lightning_twosome.envs.task_file import TaskFile, find_task

Cell = tuple[int, int]
"""(row, column), counted from the top left."""

BUNDLED_TASKS = Path(__file__).parent / "tasks"
N_TASK_INDICES = 7

KEYS = frozenset("name map foods recipe actions view_radius chop_steps horizon rewards task_index".split())


@dataclass(frozen=True, slots=True)
class Rewards:
    """What each event pays; ``step`` is paid per primitive step, the others on top of it."""

    step: float
    chop: float
    delivery: float
    wrong_delivery: float


@dataclass(frozen=True, slots=True)
class Action:
    """A macro-action: ``kind`` is get, go, deliver or chop; ``target`` a food, "bowl", a board, or empty."""

    kind: str
    target: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class KitchenTask:
    """Everything that tells one kitchen task from another.

    Tasks are compared by identity, so that environments can share what they derive from one.
    ``homes`` maps each food and the bowl to its counter cell, ``boards`` each board's name to its cell. The floor is
    everything inside the border, so that a walk along the rows and then along the columns is never blocked.
    """

    name: str
    height: int
    width: int
    start: Cell
    homes: dict[str, Cell]
    boards: dict[str, Cell]
    delivery: Cell
    foods: tuple[str, ...]
    recipe: frozenset[str]
    actions: tuple[Action, ...]
    view_radius: int
    chop_steps: int
    horizon: int
    rewards: Rewards
    task_index: int

    def floor_beside(self, cell: Cell) -> Cell:
        """The only floor cell next to a border cell that is not a corner."""
        row, column = cell
        return min(max(row, 1), self.height - 2), min(max(column, 1), self.width - 2)


def load_task(task: str) -> KitchenTask:
    """Read a bundled task by its name, or any task by the path of its YAML file (ending in .yaml or .yml)."""
    path = find_task(task, BUNDLED_TASKS, "kitchen")
    return _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _read(path: Path, _modified: int) -> KitchenTask:
    return _Reader(path).task()


class _Reader(TaskFile):
    """Turns one YAML file into a task."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "kitchen", KEYS, optional=frozenset())

    def task(self) -> KitchenTask:
        rows = self.get("map", str).split()
        letters = self.letters()
        places = self.places(rows, letters)
        foods = tuple(letters.values())
        homes = {name: self.one(places, name) for name in (*foods, "bowl")}
        boards = {name: self.one(places, name) for name in sorted(places) if name.startswith("board ")}
        recipe = self.names("recipe", foods)
        if not recipe or not boards:
            self.complain("needs at least one food in 'recipe' and one board, a digit, on 'map'")
        return KitchenTask(
            name=self.get("name", str),
            height=len(rows),
            width=len(rows[0]),
            start=self.one(places, "start"),
            homes=homes,
            boards=boards,
            delivery=self.one(places, "delivery"),
            foods=foods,
            recipe=frozenset(recipe),
            actions=self.actions(foods, tuple(boards)),
            view_radius=self.number("view_radius", 0),
            chop_steps=self.number("chop_steps", 1),
            horizon=self.number("horizon", 1),
            rewards=self.rewards(),
            task_index=self.number("task_index", 0, N_TASK_INDICES - 1),
        )

    def letters(self) -> dict[str, str]:
        letters = self.get("foods", dict)
        for letter, food in letters.items():
            if not (isinstance(letter, str) and len(letter) == 1 and letter.isalpha()) or letter in "BD":
                self.complain(f"has the food letter {letter!r}, which must be one letter other than B and D")
            if not isinstance(food, str) or not food.strip() or food == "bowl":
                self.complain(f"has the food {food!r}, which must be a name other than bowl")
        if len(set(letters.values())) < len(letters):
            self.complain("names a food twice in 'foods'")
        return dict(letters)

    def places(self, rows: list[str], letters: Mapping[str, str]) -> dict[str, list[Cell]]:
        """Where the map has what, by name; complains unless counters surround an open floor."""
        height, width = len(rows), len(rows[0]) if rows else 0
        if height < 3 or width < 3 or any(len(row) != width for row in rows):
            self.complain("has a map that is not a rectangle of at least 3 x 3 letters")
        names = {**letters, "B": "bowl", "D": "delivery", "@": "start"}
        names |= {digit: f"board {digit}" for digit in "123456789"}
        found: dict[str, list[Cell]] = {}
        for row, line in enumerate(rows):
            for column, letter in enumerate(line):
                edges = (row in (0, height - 1)) + (column in (0, width - 1))
                allowed = ({*names, "#"} - {"@"}, {"#"})[edges - 1] if edges else {".", "@"}
                if letter not in allowed:
                    place = ("on the floor inside", "on the border", "in a corner")[edges]
                    self.complain(
                        f"has {letter!r} {place} of the map at row {row}, column {column}, where it cannot stand"
                    )
                if letter in names:
                    found.setdefault(names[letter], []).append((row, column))
        return found

    def one(self, places: Mapping[str, list[Cell]], name: str) -> Cell:
        cells = places.get(name, [])
        if len(cells) != 1:
            self.complain(f"has the {name} {len(cells)} times on its map instead of once")
        return cells[0]

    def names(self, key: str, known: tuple[str, ...]) -> tuple[str, ...]:
        names = tuple(self.get(key, list))
        if unknown := [name for name in names if name not in known]:
            self.complain(f"has {unknown[0]!r} in {key}, which is none of {', '.join(known)}")
        return names

    def actions(self, foods: tuple[str, ...], boards: tuple[str, ...]) -> tuple[Action, ...]:
        known = {f"get {item}": Action("get", item) for item in (*foods, "bowl")}
        known |= {f"go to {board}": Action("go", board) for board in boards}
        known |= {"deliver": Action("deliver"), "chop": Action("chop")}
        names = self.names("actions", tuple(known))
        if not names or len(set(names)) < len(names):
            self.complain("needs a list 'actions' with at least one action and none twice")
        return tuple(known[name] for name in names)

    def rewards(self) -> Rewards:
        rewards, names = self.get("rewards", dict), {field.name for field in fields(Rewards)}
        if rewards.keys() != names or not all(isinstance(value, (int, float)) for value in rewards.values()):
            self.complain(f"needs a number for each of {', '.join(sorted(names))} in 'rewards'")
        return Rewards(**{name: float(value) for name, value in rewards.items()})
