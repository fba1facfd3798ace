"""Environments by gymnasium id, and what to say where there is none of that id or it takes other arguments."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import load_env_creator

from lightning_twosome.errors import UserError


def make_by_id(env: str, settings: Mapping[str, Any]) -> gym.Env:
    """``gymnasium.make``, with its mistakes in one sentence each.

    Args:
        env: The id, with ``module:`` before it where a module registers it.
        settings: Keyword arguments of the environment.

    Raises:
        UserError: The id is unknown, its module cannot be imported, or the environment does not take the settings.
    """
    try:
        return gym.make(env, **settings)
    except ModuleNotFoundError as error:
        module = error.name or env.partition(":")[0]
        raise UserError(
            f"The environment {env!r} needs the module {module!r}, which cannot be imported: install it, or start "
            "where the module lies."
        ) from error
    except gym.error.Error as error:
        raise UserError(f"The environment {env!r} is not registered{_way_out(env)}") from error
    except TypeError as error:
        said = str(error).partition(" was raised from the environment creator")[0].rpartition("__init__() ")[2]
        if not settings:
            raise UserError(f"The environment {env!r} cannot be made without env_kwargs: {said}.") from error
        raise UserError(
            f"The environment {env!r} does not take env_kwargs={dict(settings)!r}: {said}{_arguments(env, said)}."
        ) from error


def _way_out(env: str) -> str:
    known = {}
    for name in gym.registry:
        without = name.rpartition("/")[2]
        for short in (without.rpartition("-v")[0], without, name):
            if name.startswith("twosome/") or short.lower() not in known:
                known[short.lower()] = name
    nearest = difflib.get_close_matches(env.lower(), known, n=1, cutoff=0.75)
    if nearest:
        return f"; did you mean {known[nearest[0]]!r}?"
    if "." in env and "/" not in env:
        return f": a class is given as {{class_path: {env}}}."
    return ": give a registered id, such as twosome/TomatoSalad-v0, MODULE:ID, or a class as {class_path: ...}."


def _arguments(env: str, said: str) -> str:
    """The nearest of the environment's own arguments, or all of them."""
    unknown = re.search(r"unexpected keyword argument '(\w+)'", said)
    entry = gym.spec(env).entry_point
    if unknown is None or entry is None:
        return ""
    creator = load_env_creator(entry) if isinstance(entry, str) else entry
    names = [name for name in inspect.signature(creator).parameters if name not in ("args", "kwargs")]
    nearest = difflib.get_close_matches(unknown[1], names, n=1)
    return f"; did you mean {nearest[0]!r}" if nearest else f"; it takes {', '.join(names) or 'none'}"
