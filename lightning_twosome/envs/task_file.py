"""Reading a task from a YAML file, with complaints that name the file and the key."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

import yaml

from lightning_twosome.errors import UserError

YAML_ENDINGS = (".yaml", ".yml")


def find_task(task: str, bundled: Path, family: str) -> Path:
    """The file of a bundled task, or of any task given by the path of its YAML file (ending in .yaml or .yml)."""
    name = str(task)
    path = Path(name).resolve() if name.endswith(YAML_ENDINGS) else bundled / f"{name}.yaml"
    if not path.is_file():
        known = sorted(entry.stem for entry in bundled.glob("*.yaml"))
        way_out = nearest(name, known) or f": give the path of a YAML file that exists or one of {', '.join(known)}"
        raise UserError(f"there is no {family} task {name!r}{way_out}")
    return path


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is nearest, whatever its case, as the end of a sentence; empty where none is near."""
    by_lower = {other.lower(): other for other in known}
    found = difflib.get_close_matches(str(name).lower(), by_lower, n=1, cutoff=0.75)
    return f"; did you mean {by_lower[found[0]]!r}?" if found else ""


class TaskFile:
    """One YAML file whose keys are known.

    Args:
        path: The file.
        family: Whose task it is, for the complaints: "kitchen", "household".
        keys: Keys that must be there.
        optional: Keys that may be there.
    """

    def __init__(self, path: Path, family: str, keys: frozenset[str], optional: frozenset[str]) -> None:
        self.path, self.family = path, family
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
            raise UserError(f"{family} task {path} cannot be read as YAML: {' '.join(str(error).split())}") from error
        if not isinstance(data, dict):
            raise UserError(f"{family} task {path} must be a mapping of keys to values, not {type(data).__name__}")
        if missing := sorted(keys - data.keys()):
            self.complain(f"lacks the key {missing[0]!r}")
        if unknown := sorted(str(key) for key in data.keys() - keys - optional):
            meant = nearest(unknown[0], keys | optional) or f"; the keys are {', '.join(sorted(keys | optional))}"
            self.complain(f"has the unknown key {unknown[0]!r}{meant}")
        self.data = data

    def complain(self, message: str) -> NoReturn:
        """Refuse the file."""
        raise UserError(f"{self.family} task {self.path} {message}")

    def get(self, key: str, kind: type) -> Any:
        """The value of a key, which must be of a kind."""
        value = self.data[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            self.complain(f"has {key} = {value!r}, which must be of type {kind.__name__}")
        return value

    def number(self, key: str, least: int, most: int | None = None) -> int:
        """A whole number within limits."""
        value = self.get(key, int)
        if value < least or (most is not None and value > most):
            limits = f"at least {least}" if most is None else f"between {least} and {most}"
            self.complain(f"has {key} = {value}, which must be {limits}")
        return int(value)
