"""A study's file: named tasks times named methods times seeds.

::

    configs/studies/X.yaml --load_study--> Study --cells.py--> cells, one a (task, method, seed)

A task and a method are layers on the configs of ``lightning-twosome fit``; docs/studies.md has the whole format.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from lightning_twosome.cli_errors import one_sentence
from lightning_twosome.config_files import check_config_file
from lightning_twosome.errors import UserError
from lightning_twosome.study.checks import check_study
from lightning_twosome.study.grid import expanded
from lightning_twosome.study.names import matching

LINES = 6  # of a figure of curves
KEYS = "tasks, methods and seeds"  # that every study has


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

    def runs_on(self, task: str) -> bool:
        """Whether there are cells of it on a task."""
        return (self.only is None or task in self.only) and task not in self.exclude


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
            chosen = {panel: matching(patterns, methods) for panel, patterns in self.panels.items()}
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
    check_config_file(str(path), "study", KEYS)
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    for axis in ("tasks", "methods"):
        if isinstance(content.get(axis), Mapping):
            content |= {axis: {str(name): {} if value is None else value for name, value in content[axis].items()}}
    study = _typed(path, content)
    study.name = study.name or path.stem
    study.output = study.output or f"studies/{study.name}"
    study.methods = expanded(path, study.methods)
    study.reference = study.reference or next(iter(study.methods), None)
    check_study(path, study)
    return study


def _typed(path: Path, content: Mapping[str, Any]) -> Study:
    """The study; its parts are read alone at first, so that a message can name them."""
    missing = [key for key in ("tasks", "methods", "seeds") if content.get(key) in (None, [], {})]
    if missing:
        raise UserError(f"{path}: {missing[0]} is missing; a study needs {KEYS}.")
    if not isinstance(content["seeds"], list):
        raise UserError(f"{path}: seeds is {content['seeds']!r}; it must be a list such as [0, 1, 2].")
    for axis, kind in (("tasks", StudyTask), ("methods", Method)):
        if not isinstance(content[axis], Mapping):
            raise UserError(f"{path}: {axis} is no mapping of names; give each of the {axis} a name.")
        for name, entry in content[axis].items():
            _read_entry(path, kind, entry, f"{axis}.{name}.")
    for key, part in (("evaluation", Evaluation), ("threshold", Threshold)):
        if key in content:
            _parsed(path, part, content[key], f"{key}.")
    study: Study = _parsed(path, Study, content, "")
    return study


def _read_entry(path: Path, kind: type, entry: Any, place: str) -> None:
    """A task or a method, from the inside out: else an unknown key of a layer would be left out without a word."""
    inner = entry if isinstance(entry, Mapping) else {}
    layers = inner.get("per_task")
    for task, layer in layers.items() if isinstance(layers, Mapping) else ():
        _parsed(path, Layer, layer, f"{place}per_task.{task}.")
    _parsed(path, kind, entry, place)


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
        return parser.instantiate(parser.parse_object({"content": deepcopy(content)})).content
    except ArgumentError as error:
        sentence = one_sentence(error).replace("content.", place, 1).rstrip(".")
        raise UserError(f"{path}: {sentence}{'' if sentence.endswith('?') else '.'}") from error
