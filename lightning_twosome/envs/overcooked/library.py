"""The parts of ``overcooked-ai`` in use, imported without its notices.

The library imports the unmaintained ``gym``, which prints a notice to stderr. Those of its modules that fail under
numpy 2, build planners on first use or write into their own folder (``overcooked_env``, ``agent``, pickled planners)
are not used.
"""

from __future__ import annotations

import contextlib
import io
import warnings

with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from overcooked_ai_py.mdp.actions import Action, Direction
    from overcooked_ai_py.mdp.overcooked_mdp import (
        EVENT_TYPES,
        OvercookedGridworld,
        OvercookedState,
        Recipe,
        SoupState,
    )
    from overcooked_ai_py.planning.planners import MotionPlanner
    from overcooked_ai_py.static import FONTS_DIR, LAYOUTS_DIR
    from overcooked_ai_py.utils import load_dict_from_file

Cell = tuple[int, int]
Pose = tuple[Cell, Cell]  # where a cook stands and which way the cook faces
Primitive = Cell | str  # a direction, Action.STAY or Action.INTERACT

__all__ = [
    "EVENT_TYPES",
    "FONTS_DIR",
    "LAYOUTS_DIR",
    "Action",
    "Cell",
    "Direction",
    "MotionPlanner",
    "OvercookedGridworld",
    "OvercookedState",
    "Pose",
    "Primitive",
    "Recipe",
    "SoupState",
    "load_dict_from_file",
]
