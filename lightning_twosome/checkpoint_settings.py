"""Which model settings hold when a checkpoint is given: its own, but for what the command line chose by hand.

::

    config files  <  checkpoint  <  --model.x on the command line (refused where the checkpoint's weights or optimizer
                                    would silently win)
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from lightning_twosome.errors import UserError

# Kept by the checkpoint's weights or, when training goes on, by its optimizer: another value would have no effect.
_IN_WEIGHTS = ("beta",)
_IN_OPTIMIZER = ("actor_lr", "critic_lr", "beta_lr")


def merge_settings(
    checkpoint: Mapping[str, Any], model: Any, arguments: Sequence[str], resuming: bool
) -> tuple[dict[str, Any], list[str]]:
    """The model's settings for a checkpoint.

    Args:
        checkpoint: Its content.
        model: ``class_path`` and ``init_args`` of the config, command line included.
        arguments: The command line.
        resuming: Whether training goes on.

    Returns:
        ``class_path`` and ``init_args`` to use, and what of the config gave way, as "name=value (config: value)".

    Raises:
        UserError: The checkpoint is another class's, or the command line chose what cannot be changed any more.
    """
    configured = {**_plain(model)["init_args"]}
    class_path = _plain(model)["class_path"]
    saved = {name: _plain(value) for name, value in checkpoint.get("hyper_parameters", {}).items()}
    saved.pop("_instantiator", None)
    saved_class = saved.pop("_class_path", class_path)
    if _load(saved_class) is not _load(class_path):
        raise UserError(
            f"The checkpoint was written by {saved_class}, but model.class_path is {class_path}: use the config it was "
            "trained with."
        )
    if strange := sorted(saved.keys() - configured.keys()):
        raise UserError(
            f"The checkpoint has the setting {strange[0]}={saved[strange[0]]!r}, which {class_path} of this version "
            "does not know: use the version of lightning-twosome that wrote it."
        )
    merged = {**configured, **{name: value for name, value in saved.items() if name in configured}}
    by_hand = chosen_by_hand(arguments)
    for path in by_hand:
        _check_changeable(path, configured, saved, resuming)
        _set(merged, path, _get(configured, path))
    roots = {path[0] for path in by_hand}
    differing = [
        f"{name}={merged[name]!r} (config: {configured[name]!r})"
        for name in configured
        if name not in roots and merged[name] != configured[name]
    ]
    return {"class_path": class_path, "init_args": merged}, differing


def chosen_by_hand(arguments: Sequence[str]) -> list[tuple[str, ...]]:
    """Keys of the model that a command line sets, such as ``("language_model", "name")``."""
    keys = (re.match(r"--model\.(?:init_args\.)?([^=+]+)", argument) for argument in arguments)
    return [tuple(key[1].split(".")) for key in keys if key and key[1] not in ("class_path", "help")]


def _check_changeable(path: tuple[str, ...], configured: Any, saved: Any, resuming: bool) -> None:
    name = path[0]
    if name not in (_IN_WEIGHTS + (_IN_OPTIMIZER if resuming else ())) or name not in saved:
        return
    if configured[name] != saved[name]:
        place = "weights" if name in _IN_WEIGHTS else "optimizer states"
        raise UserError(
            f"--model.{name} {configured[name]} would have no effect, since the checkpoint's {place} keep "
            f"{name}={saved[name]}: leave it out, or start anew from the exported adapter "
            "(--model.language_model.name FOLDER)."
        )


def _plain(value: Any) -> Any:
    """Namespaces as dictionaries and tuples as lists, so that equal settings compare equal."""
    if hasattr(value, "as_dict"):
        value = value.as_dict()
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _get(settings: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        settings = settings[name]
    return settings


def _set(settings: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        settings[name] = dict(settings[name]) if isinstance(settings.get(name), Mapping) else {}
        settings = settings[name]
    settings[path[-1]] = value


def _load(class_path: str) -> Any:
    module, _, name = class_path.rpartition(".")
    return getattr(import_module(module), name)
