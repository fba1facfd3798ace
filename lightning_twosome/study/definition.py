"""A study's file: named tasks times named methods times seeds.

::

    configs/studies/X.yaml --load_study--> Study --cells.py--> cells, one a (task, method, seed)

A task and a method are layers on the configs of ``lightning-twosome fit``; docs/studies.md has the whole format.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from lightning_twosome.cli_errors import one_sentence
from lightning_twosome.errors import UserError

LINES = 6  # of a figure of curves


@dataclass
class Layer:
    """Configs and settings on top of them.

    Attributes:
        configs: Config files, from weak to strong.
        set: Settings by dotted key; they are stronger than all configs.
    """

    configs: list[str] = field(default_factory=list)
    set: dict[str, Any] = field(default_factory=dict)


@dataclass
class Scores:
    """What returns are normalised by across tasks: ``(return - random) / (optimum - random)``.

    Attributes:
        random: Return of uniformly random play.
        optimum: Best possible return.
    """

    random: float
    optimum: float


@dataclass
class StudyTask(Layer):
    """A world.

    Attributes:
        seeds: Its seeds, where they are not the study's.
        scores: For figures across tasks.
    """

    seeds: list[int] | None = None
    scores: Scores | None = None


@dataclass
class Method(Layer):
    """Settings that are compared.

    Attributes:
        command: "fit", or "test" for what is not trained.
        alone: Leave the task's configs out; its ``set`` holds still.
        after: Another method, whose trained language model this one starts from.
        forgetting: Whether forgetting is measured, where it is not as in the study.
        only: The tasks that it is run on; all of them where nothing is said.
        exclude: Tasks that it is not run on.
        per_task: More layers for some tasks.
        grid: Values by dotted key; the method becomes one for every combination.
    """

    command: Literal["fit", "test"] = "fit"
    alone: bool = False
    after: str | None = None
    forgetting: bool | None = None
    only: list[str] | None = None
    exclude: list[str] = field(default_factory=list)
    per_task: dict[str, Layer] = field(default_factory=dict)
    grid: dict[str, list[Any]] = field(default_factory=dict)


@dataclass
class Evaluation:
    """The final test.

    Attributes:
        episodes: Episodes of each task, sampled, and as many greedy.
    """

    episodes: int = 200


@dataclass
class Threshold:
    """What counts as solved.

    Attributes:
        metric: A metric of the evaluations during training.
        value: Reached by the first evaluation that is not below it.
    """

    metric: str = "val/success"
    value: float = 0.9


@dataclass
class Study:
    """A study.

    Attributes:
        tasks: By name.
        methods: By name, in the order of tables and figures.
        seeds: Of every cell, where the task has none of its own.
        name: What it is called; by default the file's name.
        output: Its folder; by default ``studies/NAME``.
        processes: Cells that run at the same time.
        evaluation: The final test.
        threshold: What counts as solved.
        forgetting: Whether the offline forgetting suite is run (docs/forgetting.md).
        reference: The method that others are compared with; by default the first.
        curves: Patterns of the metrics that are kept over time.
        panels: Figures of curves by name, with patterns of their methods; by default six methods each.
    """

    tasks: dict[str, StudyTask]
    methods: dict[str, Method]
    seeds: list[int]
    name: str | None = None
    output: str | None = None
    processes: int = 1
    evaluation: Evaluation = field(default_factory=Evaluation)
    threshold: Threshold = field(default_factory=Threshold)
    forgetting: bool = False
    reference: str | None = None
    curves: list[str] = field(
        default_factory=lambda: [
            "val/return", "val/success", "val/greedy_return", "rollout/return", "rollout/success", "policy/entropy",
            "policy/beta", "forgetting/mean_loss", "ledger/*",
        ]
    )  # fmt: skip
    panels: dict[str, list[str]] = field(default_factory=dict)

    def panels_of(self, methods: list[str]) -> dict[str, list[str]]:
        """The methods of each figure of curves; the reference stands in every one, since it is what is compared with.

        Args:
            methods: Those that there are curves of, in order.
        """
        reference = [name for name in methods if name == self.reference]
        if self.panels:
            chosen = {
                panel: [name for name in methods if any(fnmatch(name, pattern) for pattern in patterns)]
                for panel, patterns in self.panels.items()
            }
        elif len(methods) <= LINES:
            return {"": methods} if methods else {}
        else:
            rest = [name for name in methods if name != self.reference]
            size = LINES - len(reference)
            parts = [rest[start : start + size] for start in range(0, len(rest), size)]
            chosen = {str(number): part for number, part in enumerate(parts, start=1)}
        return {panel: list(dict.fromkeys([*reference, *names])) for panel, names in chosen.items() if names}


def load_study(path: Path) -> Study:
    """Read a study's file.

    Raises:
        UserError: It is missing, is no YAML, or a key of it is unknown or wrong.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"The study {str(path)!r} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"The study {str(path)!r} is no YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(content, Mapping):
        raise UserError(f"The study {str(path)!r} is no mapping; it needs tasks, methods and seeds.")
    for axis in ("tasks", "methods"):
        if isinstance(content.get(axis), Mapping):
            content = {**content, axis: {str(name): value or {} for name, value in content[axis].items()}}
    study = _typed(path, content)
    study.name = study.name or path.stem
    study.output = study.output or f"studies/{study.name}"
    study.methods = {new: one for name, method in study.methods.items() for new, one in _expanded(path, name, method)}
    study.reference = study.reference or next(iter(study.methods), None)
    _check(path, study)
    return study


def _typed(path: Path, content: Mapping[str, Any]) -> Study:
    missing = [key for key in ("tasks", "methods", "seeds") if not content.get(key)]
    if missing:
        raise UserError(f"{path}: {missing[0]} is missing; a study needs tasks, methods and seeds.")
    for axis, kind in (("tasks", StudyTask), ("methods", Method)):
        if not isinstance(content[axis], Mapping):
            raise UserError(f"{path}: {axis} is no mapping of names; give each of the {axis} a name.")
        for name, entry in content[axis].items():  # alone, so that a message can name it
            _parsed(path, kind, entry, f"{axis}.{name}.")
    study: Study = _parsed(path, Study, dict(content), "")
    return study


def _parsed(path: Path, kind: type, content: Any, place: str) -> Any:
    if not isinstance(content, Mapping):
        raise UserError(f"{path}: {place.rstrip('.')} is {content!r}; it must be a mapping, empty for no settings.")
    names = [one.name for one in fields(kind)]
    unknown = next((str(key) for key in content if key not in names), None)
    if unknown is not None:
        nearest = difflib.get_close_matches(unknown, names, n=1)
        meant = f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(names)}."
        raise UserError(f"{path}: {place}{unknown} is not known; {meant}")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, "content")
    try:
        return parser.instantiate(parser.parse_object({"content": dict(content)})).content
    except ArgumentError as error:
        raise UserError(f"{path}: {one_sentence(error).replace('content.', place, 1)}.") from error


def _expanded(path: Path, name: str, method: Method) -> list[tuple[str, Method]]:
    """The method, or one for each combination of its grid, whose names are filled in or added to."""
    if not method.grid:
        return [(name, method)]
    made = []
    for values in itertools.product(*method.grid.values()):
        chosen = dict(zip(method.grid, values, strict=True))
        short = {key.rpartition(".")[2]: value for key, value in chosen.items()}
        try:
            filled = name.format(**short)
        except (KeyError, IndexError, ValueError) as error:
            raise UserError(f"{path}: methods.{name} names {error}, which its grid has not.") from error
        if filled == name:
            filled = f"{name}, " + ", ".join(f"{key} {value}" for key, value in short.items())
        made.append((filled, replace(deepcopy(method), set=method.set | chosen, grid={})))
    return made


def _check(path: Path, study: Study) -> None:
    counts = {"processes": study.processes, "evaluation.episodes": study.evaluation.episodes}
    for key, value in counts.items():
        if value < 1:
            raise UserError(f"{path}: {key} is {value}; it must be at least 1.")
    if not study.threshold.metric.startswith("val/"):
        raise UserError(f"{path}: threshold.metric is {study.threshold.metric!r}; it must be one of val/...")
    lists = {"seeds": study.seeds, **{f"tasks.{name}.seeds": task.seeds or [] for name, task in study.tasks.items()}}
    for key, seeds in lists.items():
        if len(set(seeds)) < len(seeds):
            raise UserError(f"{path}: {key} has a seed twice: {seeds}.")
    named = {"reference": [study.reference or ""]}
    named |= {f"methods.{name}.after": [method.after] for name, method in study.methods.items() if method.after}
    for key, names in named.items():
        _check_known(path, key, names, study.methods)
    for name, method in study.methods.items():
        tasks = {"only": method.only or [], "exclude": method.exclude, "per_task": list(method.per_task)}
        for key, names in tasks.items():
            _check_known(path, f"methods.{name}.{key}", names, study.tasks)
        if method.after and (method.after == name or study.methods[method.after].after):
            raise UserError(f"{path}: methods.{name}.after is {method.after!r}, which must itself start from nothing.")


def _check_known(path: Path, key: str, names: list[str], known: Mapping[str, Any]) -> None:
    for name in names:
        if name not in known:
            raise UserError(f"{path}: {key} names {name!r}, which is not in the study; it has {', '.join(known)}.")
