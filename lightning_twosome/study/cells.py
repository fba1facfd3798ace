"""The cells of a study: one training run each, with its whole config checked before the first one starts.

::

    Study --make_cells--> Cell (task, method, seed), seed after seed
                            cell.folder/cell.yaml    its config, as `fit --config` reads it
                            cell.folder/cell.json    its state and, once finished, its row of the table
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

import lightning_twosome.configs
from lightning_twosome.config_files import check_config_file
from lightning_twosome.errors import UserError
from lightning_twosome.study.definition import Layer, Study

PACKAGED = Path(next(iter(lightning_twosome.configs.__path__)))
STATE_FILE, CONFIG_FILE, LOG_FILE, LOCK_FILE = "cell.json", "cell.yaml", "log.txt", "cell.lock"
EXPORTED = "exported"
LANGUAGE_MODEL = "model.init_args.language_model"


@dataclass(frozen=True)
class Cell:
    """One run.

    Attributes:
        task: Its name.
        method: Its name.
        seed: Of everything.
        folder: Where it lies; also its run folder.
        command: "fit" or "test".
        configs: Config files, from weak to strong.
        set: Settings by dotted key.
        episodes: Of the final test.
        after: Folder of the cell whose language model it starts from, if any.
        export: Whether another cell starts from this one.
        hash: Of everything above that changes what comes out.
    """

    task: str
    method: str
    seed: int
    folder: Path
    command: str
    configs: tuple[Path, ...]
    set: Mapping[str, Any] = field(hash=False)
    episodes: int
    after: Path | None
    export: bool
    hash: str

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.task} / {self.method} / seed {self.seed}"

    def state(self) -> dict[str, Any]:
        """What is known of it from its file; empty before it is begun."""
        return read_state(self.folder)

    def write_state(self, status: str, **more: Any) -> None:
        """Write its file in one step, so that a kill leaves the old one or the new one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"status": status, "hash": self.hash, **more}, indent=1)
        write_atomically(self.folder / STATE_FILE, text.encode())

    @property
    def done(self) -> bool:
        """Whether it is finished, with these settings."""
        state = self.state()
        return state.get("status") == "done" and state["hash"] == self.hash

    @property
    def changed(self) -> bool:
        """Whether it was begun with other settings."""
        return self.state().get("hash", self.hash) != self.hash


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside the file, then put it in its place."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    beside.write_bytes(content)
    beside.replace(path)


def read_state(folder: Path) -> dict[str, Any]:
    """What the file of the cell in a folder says; nothing where there is none.

    Raises:
        UserError: It is broken.
    """
    path = folder / STATE_FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:  # no JSON, or no text
        found = None
    whole = isinstance(found, dict) and isinstance(found.get("hash"), str) and "status" in found
    if not whole or (found["status"] == "done" and not isinstance(found.get("row"), dict)):
        raise UserError(f"{str(path)!r} is broken: delete the folder {str(folder)!r}, and its cell is run anew.")
    return dict(found)


def empty(folder: Path) -> None:
    """Delete what a cell has written but its lock; the state goes last, so that no kill leaves a part without it."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name == STATE_FILE):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK_FILE:
            path.unlink()


def make_cells(study: Study, place: Path) -> list[Cell]:
    """All cells, seed after seed, so that an interrupted study has as many of each method.

    Args:
        study: The study.
        place: Folder of its file, from which configs are looked up, before the package's own.

    Raises:
        UserError: A config is missing, two names give one folder, or a method has nothing to start from.
    """
    _check_folders([*study.tasks], "tasks")
    _check_folders([*study.methods], "methods")
    _check_folders([*study.panels], "panels")
    seeds = {name: study.seeds if task.seeds is None else task.seeds for name, task in study.tasks.items()}
    longest = max(map(len, seeds.values()))
    wanted = [
        (task, method, seeds[task][turn])
        for turn in range(longest)
        for task in study.tasks
        for method in study.methods
        if turn < len(seeds[task]) and study.methods[method].runs_on(task)
    ]
    made: dict[tuple[str, str, int], Cell] = {}
    read = cache(_read_config)
    for key in sorted(wanted, key=lambda key: study.methods[key[1]].after is not None):
        made[key] = _make(study, place, *key, made, read)
    return [made[key] for key in wanted]


def _make(
    study: Study,
    place: Path,
    task: str,
    method: str,
    seed: int,
    made: Mapping[tuple[str, str, int], Cell],
    read: Callable[[Path], Any],
) -> Cell:
    chosen, world = study.methods[method], study.tasks[task]
    layers: list[Layer] = [world, chosen, *([chosen.per_task[task]] if task in chosen.per_task else [])]
    files = [
        find_config(name, place) for layer in layers for name in layer.configs if not (chosen.alone and layer is world)
    ]
    measured = study.forgetting if chosen.forgetting is None else chosen.forgetting
    files += [PACKAGED / "callbacks/forgetting.yaml"] if measured and chosen.command == "fit" else []
    settings = _layered([layer.set for layer in layers])
    before = made.get((task, chosen.after, seed)) if chosen.after else None
    if chosen.after and before is None:
        raise UserError(f"methods.{method}.after is {chosen.after!r}, which is not run on {task!r} with seed {seed}.")
    identity = {
        "configs": [read(file) for file in files],
        "set": settings,
        "seed": seed, "command": chosen.command, "episodes": study.evaluation.episodes,
        "after": before.hash if before else None,
    }  # fmt: skip
    if before is not None:  # where it lies is not what it is
        for layer in layers[1:]:
            _check_start(method, chosen.after, layer.set)
        settings = _starting(settings, before.folder / EXPORTED)
    return Cell(
        task=task, method=method, seed=seed, folder=_folder(study, task, method, seed), command=chosen.command,
        configs=tuple(files), set=settings, episodes=study.evaluation.episodes,
        after=before.folder if before else None,
        export=any(other.after == method for other in study.methods.values()),
        hash=hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:12],
    )  # fmt: skip


def _folder(study: Study, task: str, method: str, seed: int) -> Path:
    return Path(str(study.output)) / slug(task) / slug(method) / f"seed_{seed}"


def slug(name: str) -> str:
    """A name as a folder's name."""
    return re.sub(r"[^a-z0-9.+-]+", "_", name.lower()).strip("_.") or "_"


def _check_folders(names: Sequence[str], axis: str) -> None:
    taken: dict[str, str] = {}
    for name in names:
        other = taken.setdefault(slug(name), name)
        if other != name:
            raise UserError(
                f"{axis} {other!r} and {name!r} have the same name {slug(name)!r} as files; rename one of them."
            )


def _read_config(file: Path) -> Any:
    check_config_file(str(file))
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def find_config(name: str, place: Path) -> Path:
    """A config file: beside the study's file, or of the package's own.

    Raises:
        UserError: There is none.
    """
    for folder in (place, PACKAGED):
        if (folder / name).is_file():
            return folder / name
    raise UserError(f"The config {name!r} is neither in {str(place)!r} nor among the package's configs.")


def _layered(layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Settings of which a stronger layer's take the place of weaker ones: of the same key, and of those inside it.

    So what stands further down is inside of what stands above it, or has nothing to do with it.

    Args:
        layers: From weak to strong; in each of them a key inside of another is the stronger one.
    """
    settings: dict[str, Any] = {}
    for layer in layers:
        for key, value in sorted(layer.items(), key=lambda setting: _full(setting[0]).count(".")):
            name = _full(key)
            settings = {other: kept for other, kept in settings.items() if not f"{other}.".startswith(f"{name}.")}
            settings[name] = value
    return settings


def _check_start(method: str, after: str | None, settings: Mapping[str, Any]) -> None:
    taken = (LANGUAGE_MODEL, f"{LANGUAGE_MODEL}.name", f"{LANGUAGE_MODEL}.lora")
    for key in settings:
        if _full(key) in taken or _full(key).startswith(f"{taken[-1]}."):
            raise UserError(
                f"methods.{method} sets {key}, and it starts after {after!r}, whose name and lora it takes: leave the "
                "key out, or set others alone, such as model.language_model.dtype."
            )


def _starting(settings: Mapping[str, Any], exported: Path) -> dict[str, Any]:
    """The settings with the language model that another cell has exported."""
    kept = {key: value for key, value in settings.items() if key != LANGUAGE_MODEL or isinstance(value, Mapping)}
    return _layered([kept, {f"{LANGUAGE_MODEL}.name": str(exported), f"{LANGUAGE_MODEL}.lora": None}])


def _full(key: str) -> str:
    """``model.beta`` as ``model.init_args.beta``, as in a config file."""
    first, *rest = key.split(".")
    if first in ("model", "data") and rest and rest[0] not in ("class_path", "init_args"):
        return ".".join([first, "init_args", *rest])
    return key
