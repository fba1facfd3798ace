"""A method with a grid becomes one method for every combination of its values, each with a name of its own.

::

    "{normalization}, beta {beta}":                                         "sum, beta 1"
      grid: {model.normalization: [sum, word], model.beta: [1]}     -->     "word, beta 1"
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any

from lightning_twosome.errors import UserError

if TYPE_CHECKING:
    from lightning_twosome.study.definition import Method


def expanded(path: Path, methods: Mapping[str, Method]) -> dict[str, Method]:
    """All methods by name, without grids.

    Args:
        path: The study's file.
        methods: As they are written there.

    Raises:
        UserError: A grid is empty, its keys cannot be told apart, or two methods would have one name.
    """
    made: dict[str, Method] = {}
    templates: dict[str, str] = {}
    for template, method in methods.items():
        for name, one in _combinations(path, template, method):
            if name in made:
                both = " and ".join(f"methods.{one}" for one in dict.fromkeys([templates[name], template]))
                raise UserError(f"{path}: the method {name!r} is made twice, of {both}: give each its own name.")
            made[name], templates[name] = one, template
    return made


def _combinations(path: Path, template: str, method: Method) -> Iterator[tuple[str, Method]]:
    if not method.grid:
        yield template, method
        return
    short = _short_names(path, template, method.grid)
    for values in itertools.product(*method.grid.values()):
        name = _filled(path, template, dict(zip(short, values, strict=True)))
        chosen = dict(zip(method.grid, values, strict=True))
        yield name, replace(deepcopy(method), set=method.set | chosen, grid={})


def _short_names(path: Path, template: str, grid: Mapping[str, list[Any]]) -> list[str]:
    """The keys' last parts, which stand for them in the method's name."""
    keys: dict[str, str] = {}
    for key, values in grid.items():
        if not values:
            raise UserError(f"{path}: methods.{template}.grid.{key} is empty: give it a value, or leave it out.")
        other = keys.setdefault(key.rpartition(".")[2], key)
        if other != key:
            raise UserError(
                f"{path}: methods.{template}.grid has {other} and {key}, which have the same name in the method's: "
                "write one of them out, as a method for each of its values."
            )
    return list(keys)


def _filled(path: Path, template: str, values: Mapping[str, Any]) -> str:
    """The method's name; values that the template does not name are added to it."""
    try:
        filled = template.format(**values)
    except KeyError as error:
        raise UserError(f"{path}: methods.{template} names {error}, which its grid has not.") from error
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: methods.{template} cannot be filled in with {dict(values)} ({error}): name a key of the grid as "
            f"{{{next(iter(values))}}}."
        ) from error
    named = {re.split(r"[.\[]", part)[0] for _, part, _, _ in Formatter().parse(template) if part}
    return ", ".join([filled, *(f"{key} {value}" for key, value in values.items() if key not in named)])
