"""What a run has written to its folder, read without the packages that wrote it."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from lightning_twosome.errors import UserError

# Settings that change what a task looks like to the agent, not what it is.
WORDING = ("prompt_style", "restate")


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        folder: Where it lies.
        config: ``config.yaml``, empty where the run was not started from the command line.
        columns: For each metric, its values by environment step.
        results: Contents of the JSON files that callbacks and commands have written, by the file's stem.
        tables: Lines of the tables that ``test`` has written, by the file's stem.
    """

    folder: Path
    config: dict[str, Any]
    columns: dict[str, dict[float, float]]
    results: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, list[dict[str, str]]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The folder's last two parts, which tell seeds of several configs apart."""
        return "/".join(self.folder.resolve().parts[-2:])

    @cached_property
    def model(self) -> dict[str, Any]:
        """Settings of the module."""
        return _arguments(self.config.get("model"))

    @cached_property
    def data(self) -> dict[str, Any]:
        """Settings of the data module."""
        return _arguments(self.config.get("data"))

    @property
    def seed(self) -> int | None:
        """The seed, where the config knows it."""
        seed = self.data.get("seed")
        seed = self.config.get("seed_everything") if seed is None else seed
        return seed if isinstance(seed, int) and not isinstance(seed, bool) else None

    @property
    def task(self) -> str:
        """The environment with the arguments that make it another task, empty where the config is missing."""
        return _task(self.data.get("env"), self.data.get("env_kwargs"))

    @property
    def env_steps(self) -> int:
        """Decisions in all environments."""
        return int(max(step for column in self.columns.values() for step in column))

    def result(self, *keys: str) -> Any:
        """An entry of the JSON files, ``None`` where it is missing."""
        found: Any = self.results
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        return found

    def total(self, name: str) -> float | None:
        """Sum of a metric over the run."""
        return math.fsum(self.columns[name].values()) if name in self.columns else None


def _task(env: Any, arguments: dict[str, Any] | None) -> str:
    """An environment's name: of an id, of a class, or of a mixture of both."""
    if isinstance(env, list):
        return " + ".join(_task(part.get("env"), part.get("env_kwargs")) for part in env if isinstance(part, dict))
    if isinstance(env, dict):
        arguments, env = env.get("init_args"), env.get("class_path")
    arguments = {name: value for name, value in (arguments or {}).items() if name not in WORDING}
    return f"{env} {json.dumps(arguments)}" if arguments else str(env or "")


def _arguments(component: Any) -> dict[str, Any]:
    component = component if isinstance(component, dict) else {}
    return component.get("init_args") or {}


def load_runs(folders: Iterable[str | Path]) -> list[Run]:
    """The runs in these folders, each once.

    Raises:
        UserError: A folder is missing or holds no metrics; the runs are of different tasks.
    """
    unique = {Path(folder).resolve(): Path(folder) for folder in folders}
    if not unique:
        raise UserError("report needs at least one run: name its folder, as in `lightning-twosome report runs/run`.")
    runs = [load_run(folder) for folder in unique.values()]
    first = runs[0]
    for run in runs[1:]:
        if run.task != first.task:
            raise UserError(
                f"{str(first.folder)!r} is a run of {first.task or 'an unknown task'} and {str(run.folder)!r} one of "
                f"{run.task or 'an unknown task'}: their returns cannot be compared, so make a report of each."
            )
    return runs


def load_run(folder: Path) -> Run:
    """The run in a folder.

    Raises:
        UserError: The folder is missing, holds no metrics, or a file in it cannot be read.
    """
    if folder.is_file():
        raise UserError(
            f"{str(folder)!r} is a file, no run's folder; a pattern that ends in a slash names folders alone."
        )
    if not folder.is_dir():
        raise UserError(f"There is no run {str(folder)!r}: name the folder that `fit` printed as its run folder.")
    metrics = folder / "metrics.csv"
    if not metrics.is_file():
        raise UserError(f"{str(folder)!r} holds no metrics.csv{_runs_inside(folder)}.")
    columns = _columns(metrics)
    if not columns:
        raise UserError(f"{str(metrics)!r} has no metrics yet: no iteration of the run has ended.")
    config = folder / "config.yaml"
    results = {path.stem: _json(path) for path in sorted(folder.glob("*.json"))}
    tables = {path.stem: _lines(path) for path in sorted(folder.glob("generalization*.csv"))}
    return Run(folder, _yaml(config) if config.is_file() else {}, columns, results, tables)


def _runs_inside(folder: Path) -> str:
    inside = sorted(path.parent for path in folder.glob("*/metrics.csv"))
    if not inside:
        return ": no iteration of the run has ended, or it is no run's folder"
    return f", but folders in it do: name those, as in {' '.join(map(str, inside[:3]))}"


def _columns(path: Path) -> dict[str, dict[float, float]]:
    """Values by environment step; a row that was cut off when the run was killed is left out."""
    columns: dict[str, dict[float, float]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            step = _number(row.pop("step", None))
            values = {name: value for name, text in row.items() if (value := _number(text)) is not None}
            if step is not None:
                for name, value in values.items():
                    columns.setdefault(name, {})[step] = value
    return {name: dict(sorted(column.items())) for name, column in columns.items()}


def _lines(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _number(text: Any) -> float | None:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{str(path)!r} is no JSON ({error}): delete it, or write it again.") from error


def _yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UserError(f"{str(path)!r} is no YAML ({' '.join(str(error).split())}).") from error
    return content if isinstance(content, dict) else {}
