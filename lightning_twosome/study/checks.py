"""What a study's file says that cannot be meant: numbers out of range, names of nothing, settings without effect."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_twosome.errors import UserError
from lightning_twosome.study.names import CALLBACKS, matching
from lightning_twosome.trainer_settings import check_seed

if TYPE_CHECKING:
    from lightning_twosome.study.definition import Study

EVALUATED = ("return", "undiscounted_return", "length", "duration", "success")  # by evaluation.summarize
OWN = {
    "seed_everything": "give seeds",
    "run_dir": "give output",
    "ckpt_path": "give after",
    "config": "give configs",
    "weights_only": "leave it out",
}  # what the study itself says to each of its runs


def check_study(path: Path, study: Study) -> None:
    """Check what can be known without its configs.

    Args:
        path: Its file.
        study: With grids expanded.

    Raises:
        UserError: Something is wrong.
    """
    try:
        for part in (_check_numbers, _check_seeds, _check_names, _check_methods, _check_settings):
            part(study)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _check_numbers(study: Study) -> None:
    for key, value in {"processes": study.processes, "evaluation.episodes": study.evaluation.episodes}.items():
        if value < 1:
            raise UserError(f"{key} is {value}; it must be at least 1.")
    metric = study.threshold.metric
    if not re.fullmatch(rf"val/(.+/)?(greedy_)?({'|'.join(EVALUATED)})(_low|_high)?", metric):
        known = ", ".join(f"val/{name}" for name in EVALUATED)
        raise UserError(f"threshold.metric is {metric!r}; it must be one of {known}, or val/greedy_... of them.")
    if not math.isfinite(study.threshold.value):
        raise UserError(f"threshold.value is {study.threshold.value}; it must be a finite number.")
    for name, task in study.tasks.items():
        if task.scores is not None and not task.scores.random < task.scores.optimum:
            raise UserError(
                f"tasks.{name}.scores has the optimum {task.scores.optimum}, which must be more than random, "
                f"{task.scores.random}."
            )


def _check_seeds(study: Study) -> None:
    lists = {f"tasks.{name}.seeds": task.seeds for name, task in study.tasks.items() if task.seeds is not None}
    for key, seeds in {"seeds": study.seeds, **lists}.items():
        if not seeds:
            raise UserError(f"{key} is empty: leave it out for those of the study.")
        if len(set(seeds)) < len(seeds):
            raise UserError(f"{key} has a seed twice: {seeds}.")
        for seed in seeds:
            check_seed(key, seed)


def _check_names(study: Study) -> None:
    _check_known("reference", [study.reference or ""], study.methods)
    for name, method in study.methods.items():
        _check_known(f"methods.{name}.after", [method.after] if method.after else [], study.methods)
        tasks = {"only": method.only or [], "exclude": method.exclude, "per_task": list(method.per_task)}
        for key, names in tasks.items():
            _check_known(f"methods.{name}.{key}", names, study.tasks)
    for panel, patterns in study.panels.items():
        for pattern in patterns:
            if not matching([pattern], study.methods):
                raise UserError(
                    f"panels.{panel} names {pattern!r}, which is no method; there are {_all(study.methods)}."
                )


def _check_known(key: str, names: list[str], known: Mapping[str, Any]) -> None:
    for name in names:
        if name not in known:
            raise UserError(f"{key} names {name!r}, which is not in the study; it has {_all(known)}.")


def _all(names: Mapping[str, Any]) -> str:
    return ", ".join(names)


def _check_methods(study: Study) -> None:
    for name, method in study.methods.items():
        if not any(method.runs_on(task) for task in study.tasks):
            raise UserError(f"methods.{name} is run on no task, as only and exclude leave none: leave the method out.")
        if method.after is None:
            continue
        before = study.methods[method.after]
        if method.after == name or before.after:
            raise UserError(f"methods.{name}.after is {method.after!r}, which must itself start from nothing.")
        if before.command == "test":
            raise UserError(f"methods.{name}.after is {method.after!r}, which trains nothing, as its command is test.")


def _check_settings(study: Study) -> None:
    for name, task in study.tasks.items():
        _check_set(f"tasks.{name}.set", task.set)
    for name, method in study.methods.items():
        layers = {"set": method.set, **{f"per_task.{task}.set": layer.set for task, layer in method.per_task.items()}}
        for place, settings in layers.items():
            _check_set(f"methods.{name}.{place}", settings, callbacks=method.command == "fit")


def _check_set(place: str, settings: Mapping[str, Any], callbacks: bool = True) -> None:
    for key in settings:
        first = key.split(".")[0]
        if first in OWN:
            raise UserError(f"{place}.{key} would have no effect, since the study sets it itself: {OWN[first]}.")
        if key.startswith(CALLBACKS) and not callbacks:
            raise UserError(f"{place}.{key} would have no effect, since command: test has no callbacks: leave it out.")
