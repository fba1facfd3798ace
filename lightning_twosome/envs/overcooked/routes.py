"""How to get there: the library's motion planner, asked once per question, and ways round another cook."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from typing import NamedTuple

from lightning_twosome.envs.overcooked.library import (
    Action,
    Cell,
    Direction,
    MotionPlanner,
    OvercookedGridworld,
    Pose,
    Primitive,
)


class Route(NamedTuple):
    """The shortest way to a place where something can be done.

    Attributes:
        cost: Ticks, the interaction at the end included.
        action: The first primitive action.
        goal: Where the cook will stand, and the way the cook will face.
    """

    cost: int
    action: Primitive
    goal: Pose


class _Planner(MotionPlanner):
    """The library's planner without its table of all plans, which takes seconds to build on a large layout."""

    def _populate_all_plans(self) -> dict[tuple[Pose, Pose], tuple[list[Primitive], list[Pose], int]]:
        return {}


class Routes:
    """Shortest ways over the floor of one layout, each computed once.

    Args:
        mdp: The layout's rules.
        walls: Cells that somebody never leaves.
    """

    def __init__(self, mdp: OvercookedGridworld, walls: Collection[Cell] = ()) -> None:
        terrain = [list(row) for row in mdp.terrain_mtx]
        for x, y in walls:
            terrain[y][x] = "X"
        floor = OvercookedGridworld(terrain, [])
        self._planner = _Planner(floor, floor.get_counter_locations())
        self.cells: frozenset[Cell] = frozenset(floor.get_valid_player_positions())
        self.neighbours = {
            cell: tuple((step, way) for way in Direction.ALL_DIRECTIONS if (step := _beside(cell, way)) in self.cells)
            for cell in self.cells
        }
        self.region = self._regions()
        self._routes: dict[tuple[Pose, Cell], Route | None] = {}
        self._turns = {
            (cell, facing): tuple((way, self._turn((cell, facing), way)) for way in Direction.ALL_DIRECTIONS)
            for cell in self.cells
            for facing in Direction.ALL_DIRECTIONS
        }

    def reaches(self, start: Cell, feature: Cell) -> bool:
        """Whether somebody at ``start`` can walk up to ``feature``."""
        region = self.region[start]
        return any(self.region[cell] == region for cell, _ in self.goals(feature))

    def goals(self, feature: Cell) -> list[Pose]:
        """The poses from which ``feature`` can be used."""
        return self._planner.motion_goals_for_pos.get(feature, [])

    def route(self, start: Pose, feature: Cell) -> Route | None:
        """The shortest way to use ``feature``; ``None`` where there is none."""
        key = start, feature
        if key not in self._routes:
            self._routes[key] = self._route(start, feature)
        return self._routes[key]

    def nearest(self, start: Pose, features: Iterable[Cell]) -> Route | None:
        """The shortest of the ways to several features; the first one of equals."""
        routes = (self.route(start, feature) for feature in features)
        return min((route for route in routes if route is not None), key=lambda route: route.cost, default=None)

    def cells_on(self, start: Pose, goal: Pose) -> set[Cell]:
        """The cells of the shortest way, both ends included."""
        cells, pose = {start[0]}, start
        while pose != goal:
            pose = self._step(pose, goal)[1]
            cells.add(pose[0])
        return cells

    def detour(
        self, start: Pose, features: Collection[Cell], blocked: Collection[Cell]
    ) -> tuple[int, Primitive] | None:
        """Length and first action of the shortest walk to any of ``features`` that enters no blocked cell.

        The turn at the end is not counted. ``None`` where every way is blocked, or where nothing needs to move.
        """
        ends = {cell for feature in features for cell, _ in self.goals(feature)} - set(blocked)
        return self._walk(start[0], ends, blocked)

    def step_aside(self, cell: Cell, path: Collection[Cell], blocked: Collection[Cell]) -> tuple[int, Primitive] | None:
        """Length and first action of the shortest walk off ``path``; ``None`` where there is none."""
        return self._walk(cell, self.cells.difference(path, blocked), blocked)

    def _walk(self, start: Cell, ends: Collection[Cell], blocked: Collection[Cell]) -> tuple[int, Primitive] | None:
        """Breadth-first from ``start``, which does not count as an end."""
        seen, queue = {start, *blocked}, deque[tuple[Cell, int, Primitive]]()
        queue.extend((cell, 1, way) for cell, way in self.neighbours[start] if cell not in seen)
        while queue:
            cell, length, first = queue.popleft()
            if cell in ends:
                return length, first
            if cell in seen:
                continue
            seen.add(cell)
            queue.extend((after, length + 1, first) for after, _ in self.neighbours[cell] if after not in seen)
        return None

    def _route(self, start: Pose, feature: Cell) -> Route | None:
        region = self.region[start[0]]
        goals = [goal for goal in self.goals(feature) if self.region[goal[0]] == region]
        if not goals:
            return None
        goal = min(goals, key=lambda goal: self._distance(start, goal))
        action = Action.INTERACT if start == goal else self._step(start, goal)[0]
        return Route(int(self._distance(start, goal)) + 1, action, goal)

    def _distance(self, start: Pose, goal: Pose) -> float:
        distance: float = self._planner.graph_problem.dist(start, goal)
        return distance

    def _step(self, start: Pose, goal: Pose) -> tuple[Cell, Pose]:
        """The first step of a shortest way, and the pose it leads to."""
        return min(self._turns[start], key=lambda turn: self._distance(turn[1], goal))

    def _turn(self, pose: Pose, way: Cell) -> Pose:
        """The pose after a step: one cell ahead, or facing what is there."""
        ahead = _beside(pose[0], way)
        return (ahead if ahead in self.cells else pose[0]), way

    def _regions(self) -> dict[Cell, int]:
        """A number for each part of the floor, the same for cells with a way between them."""
        labels: dict[Cell, int] = {}
        for number, cell in enumerate(sorted(self.cells)):
            waiting = [] if cell in labels else [cell]
            while waiting:
                here = waiting.pop()
                if here not in labels:
                    labels[here] = number
                    waiting.extend(beside for beside, _ in self.neighbours[here])
        return labels


def _beside(cell: Cell, way: Cell) -> Cell:
    beside: Cell = Action.move_in_direction(cell, way)
    return beside
