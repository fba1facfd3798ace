"""The whole config of a cell, checked: what ``fit --config`` would read, with the study's settings on top."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError

from lightning_twosome.cli_errors import one_sentence
from lightning_twosome.command_line import TwosomeCLI, run_cli
from lightning_twosome.data import RolloutDataModule
from lightning_twosome.errors import UserError
from lightning_twosome.export import Trained
from lightning_twosome.language_model import load_tokenizer
from lightning_twosome.modules import OnPolicyModule
from lightning_twosome.modules.zero_shot import FrozenPolicy
from lightning_twosome.study.cells import CONFIG_FILE, Cell, write_atomically
from lightning_twosome.study.names import CALLBACKS


class _Parser(TwosomeCLI):
    """The command line's parser alone: nothing is parsed, made or run."""

    def parse_arguments(self, parser: Any, args: Any) -> None:
        self.config: Any = {"subcommand": None}

    def _parse_ckpt_path(self) -> None:
        pass

    def _set_seed(self) -> None:
        pass

    def _add_instantiators(self) -> None:
        pass

    def instantiate_classes(self) -> None:
        pass


class CellSettings:
    """Makes the configs of a study's cells with one parser; cells that differ in their seed alone are checked once."""

    def __init__(self) -> None:
        self._parsers = run_cli([], _Parser)._subcommand_parsers
        self._checked: dict[str, dict[str, Any]] = {}
        self._models: set[tuple[str, str | None]] = set()

    def of(self, cell: Cell) -> dict[str, Any]:
        """The cell's config.

        Raises:
            UserError: A key is unknown or a value is wrong, or an environment cannot be made.
        """
        identity = repr((cell.command, cell.configs, cell.set, cell.export))
        if identity not in self._checked:
            try:
                self._checked[identity] = self._parse(cell)
            except (ArgumentError, ValueError, OSError) as error:
                raise UserError(f"{cell.task} / {cell.method}: {one_sentence(error)}") from error
        return self._checked[identity] | {"seed_everything": cell.seed, "run_dir": str(cell.folder)}

    def _parse(self, cell: Cell) -> dict[str, Any]:
        parser = self._parsers[cell.command]
        named, settings = _of_callbacks(cell.set)
        with tempfile.TemporaryDirectory() as folder:
            files = [*cell.configs, _written(Path(folder) / "set.yaml", _nested(settings))]
            parsed = parser.parse_args([part for file in files for part in ("--config", str(file))])
            config: dict[str, Any] = yaml.safe_load(parser.dump(parsed, skip_unset=False))
            for key in ("config", "ckpt_path", "weights_only"):
                config.pop(key, None)
            _set_callbacks(config, named if cell.command == "fit" else {})  # a test has none of the training's
            whole = parser.parse_args(["--config", str(_written(Path(folder) / "whole.yaml", config))])
        made = parser.instantiate(whole)
        _check_module(cell, made.model)
        data: RolloutDataModule = made.data
        for task in [*data.tasks, *data.test_tasks]:
            task.make().close()
        return config

    def check(self, cells: Sequence[Cell], others: Iterable[Cell]) -> None:
        """Check all that can be known before any cell runs.

        Args:
            cells: Those that are to be run.
            others: Those that they start from are among them.

        Raises:
            UserError: A config is wrong, a language model is missing, or a cell cannot start from another.
        """
        places = {cell.folder: cell for cell in others}
        for cell in cells:
            if cell.after is None:
                self._check_language_model(cell)
            else:
                self._check_start(cell, places[cell.after])

    def _check_language_model(self, cell: Cell) -> None:
        """Read the tokenizer of the cell's language model, so that a missing one is told before any cell runs."""
        described = self.of(cell)["model"]["init_args"].get("language_model")
        if described is None:
            return
        name, revision = (described, None) if isinstance(described, str) else (described["name"], described["revision"])
        if (name, revision) in self._models:
            return
        try:
            load_tokenizer(name, revision)
        except UserError as error:
            raise UserError(f"{cell.task} / {cell.method}: {one_sentence(error)}") from error
        self._models.add((name, revision))

    def _check_start(self, cell: Cell, before: Cell) -> None:
        """What turns scores into probabilities stays, or another policy would be trained on than was learned."""
        own, learned = (self.of(one)["model"]["init_args"] for one in (cell, before))
        for name in ("normalization", "beta"):
            if name in own and name in learned and own[name] != learned[name]:
                raise UserError(
                    f"{cell.task} / {cell.method}: model.{name} is {own[name]!r}, and {before.method!r}, which it "
                    f"starts after, has {learned[name]!r}: set both to the same value."
                )

    def write(self, cell: Cell) -> None:
        """Write the cell's config into its folder."""
        cell.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(cell.folder / CONFIG_FILE, yaml.safe_dump(self.of(cell), sort_keys=False).encode())


def _check_module(cell: Cell, module: OnPolicyModule) -> None:
    """What the module would say only once its cell runs, or when that is done."""
    name = type(module).__name__
    if cell.command == "fit" and isinstance(module, FrozenPolicy) and module.hparams.get("affordance") != "learned":
        raise UserError(f"{name} has nothing to train: give the method command: test.")
    if cell.export and not isinstance(module, Trained):
        raise UserError(f"another method starts after it, and {name} trains no language model: leave that after out.")


def _written(path: Path, content: Mapping[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(dict(content)), encoding="utf-8")
    return path


def _nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """``{"a.b": 1}`` as ``{"a": {"b": 1}}``; values stay as they are, since all cells share those of the study."""
    nested: dict[str, Any] = {}
    for key, value in settings.items():
        *folders, name = key.split(".")
        place = nested
        for folder in folders:
            place = place.setdefault(folder, {})
            if not isinstance(place, dict):
                raise UserError(f"set.{key} is inside of what another key of set sets whole.")
        place[name] = deepcopy(value)
    return nested


def _of_callbacks(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """``trainer.callbacks.NAME.argument``, which no config file can say, and the rest."""
    named = {key: value for key, value in settings.items() if key.startswith(CALLBACKS)}
    return named, {key: value for key, value in settings.items() if key not in named}


def _set_callbacks(config: dict[str, Any], named: Mapping[str, Any]) -> None:
    listed = config["trainer"]["callbacks"] or []
    for key, value in named.items():
        name, _, argument = key.removeprefix(CALLBACKS).partition(".")
        found = [one for one in listed if one["class_path"].rpartition(".")[2] == name]
        if not found or not argument:
            have = ", ".join(one["class_path"].rpartition(".")[2] for one in listed) or "none"
            raise UserError(f"set.{key} names no argument of a callback of the configs, which have {have}.")
        found[0].setdefault("init_args", {})[argument] = value
