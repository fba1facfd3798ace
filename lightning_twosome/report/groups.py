"""Runs that differ in nothing but the seed, and what distinguishes one such group from another."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lightning_twosome.report.runs import Run

# Settings of the Trainer that decide what is shown or kept, not what is learned.
_COSMETIC = {
    "barebones", "callbacks", "default_root_dir", "detect_anomaly", "enable_autolog_hparams", "enable_checkpointing",
    "enable_model_summary", "enable_progress_bar", "fast_dev_run", "log_every_n_steps", "logger", "model_registry",
    "num_sanity_val_steps", "plugins", "profiler",
}  # fmt: skip
LONGEST_LABEL = 40


@dataclass(frozen=True)
class Group:
    """Runs of one config.

    Attributes:
        label: How it is told from other groups, empty where there is one only.
        runs: The runs, one a seed.
        settings: The config as ``{"model.gamma": 0.99}``.
        differing: Those of the settings that not all groups share.
    """

    label: str
    runs: tuple[Run, ...]
    settings: dict[str, Any]
    differing: dict[str, Any]

    def known(self, *keys: str) -> list[Any]:
        """An entry of the JSON files of every run that has it."""
        return [found for run in self.runs if (found := run.result(*keys)) is not None]

    def have(self, metric: str) -> bool:
        """Whether every run logs the metric."""
        return all(metric in run.columns for run in self.runs)


def group_runs(runs: Sequence[Run]) -> list[Group]:
    """Put runs of the same settings together; without a ``config.yaml`` a run is alone."""
    together: dict[str, list[Run]] = {}
    for run in runs:
        key = json.dumps(settings(run), sort_keys=True, default=str) if run.config else str(run.folder)
        together.setdefault(key, []).append(run)
    members = list(together.values())
    all_settings = [settings(group[0]) for group in members]
    names = list(dict.fromkeys(name for each in all_settings for name in each))
    differing = [name for name in names if len({str(each.get(name)) for each in all_settings}) > 1]
    groups = []
    for index, (group, each) in enumerate(zip(members, all_settings, strict=True)):
        own = {name: each.get(name) for name in differing}
        label = "" if len(members) == 1 else _label(own, group[0], index)
        groups.append(Group(label, tuple(group), each, own))
    return groups


def _label(differing: dict[str, Any], run: Run, index: int) -> str:
    if not differing:
        return run.name
    text = ", ".join(f"{name.rpartition('.')[2]} {value_text(value)}" for name, value in differing.items())
    return text if len(text) <= LONGEST_LABEL else f"variant {chr(ord('A') + index % 26)}"


def settings(run: Run) -> dict[str, Any]:
    """What decides the result, apart from the seed, flat and with dots in the names."""
    model, data = run.config.get("model") or {}, run.config.get("data") or {}
    trainer = {k: v for k, v in (run.config.get("trainer") or {}).items() if k not in _COSMETIC}
    flat = {f"model.{k}": v for k, v in _flat(run.model)}
    flat |= {f"data.{k}": v for k, v in _flat(run.data) if k != "seed"}
    flat |= {f"trainer.{k}": v for k, v in _flat(trainer)}
    classes = {"model": model.get("class_path"), "data": data.get("class_path")}
    flat = {name: value for name, value in classes.items() if value} | flat
    budget = _budget(run)
    return flat | ({"trainer.total_env_steps": budget} if budget is not None else {})


def _budget(run: Run) -> Any:
    for callback in (run.config.get("trainer") or {}).get("callbacks") or []:
        if isinstance(callback, dict) and str(callback.get("class_path")).endswith("EnvironmentBudget"):
            return (callback.get("init_args") or {}).get("total_env_steps")
    return None


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def value_text(value: Any) -> str:
    """A setting as YAML writes it."""
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value, default=str)
