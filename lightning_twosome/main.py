"""The command line: LightningCLI with a run folder, an export, and mistakes told in one sentence.

::

    lightning-twosome fit      --config quickstart.yaml     train; a resumed run goes on with --ckpt_path last
    lightning-twosome validate --config ... --ckpt_path ... evaluation episodes with intervals
    lightning-twosome predict  --config ... --ckpt_path ... transcripts of played episodes
    lightning-twosome export   --config ... --ckpt_path ... --output folder

``python cli.py`` in a checkout is the same program.
"""

from __future__ import annotations

import logging
import os
import random
import sys
import warnings
from pathlib import Path
from typing import Any

import lightning as L
from jsonargparse import ArgumentError
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from lightning_utilities.core.imports import RequirementCache

from lightning_twosome.callbacks import RolloutProgressBar
from lightning_twosome.cli_errors import one_sentence
from lightning_twosome.data import RolloutDataModule
from lightning_twosome.errors import UserError
from lightning_twosome.export import export_checkpoint
from lightning_twosome.modules import OnPolicyModule, TwosomePPO

RUN_DIR_VARIABLE = "TWOSOME_RUN_DIR"


class TwosomeTrainer(L.Trainer):
    """Lightning's Trainer with an ``export`` subcommand."""

    def export(
        self, model: OnPolicyModule, datamodule: RolloutDataModule, ckpt_path: str, output: str = "exported"
    ) -> None:
        """Write a checkpoint as a PEFT folder with tokenizer, critic and model card.

        Args:
            model: The module to load the checkpoint into.
            datamodule: Names the environment in the model card.
            ckpt_path: The checkpoint.
            output: The folder to write.
        """
        folder = export_checkpoint(model, datamodule, Path(ckpt_path), Path(output))
        print(f"Exported to {folder}; load it with peft's PeftModel.from_pretrained.")


class TwosomeCLI(LightningCLI):
    """LightningCLI whose runs have a fixed folder of their own, with logs and checkpoints in it."""

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Lightning's subcommands and ``export``."""
        skipped = {"model", "datamodule"}
        return {**LightningCLI.subcommands(), "export": skipped}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the run folder."""
        parser.add_argument(
            "--run_dir",
            type=str,
            default="runs/run",
            help="Folder of the run. A new run takes the first free one of NAME, NAME-2, ...; resuming takes the last.",
        )
        parser.set_defaults(
            {
                "model": {"class_path": "lightning_twosome.TwosomePPO"},
                "data": {"class_path": "lightning_twosome.RolloutDataModule"},
                "trainer.log_every_n_steps": 1,
                "trainer.enable_model_summary": False,
            }
        )

    def _set_seed(self) -> None:
        """Draw a seed where none is chosen; processes started by the first one take its seed from the environment."""
        if self._get(self.config, "seed_everything") is True and "LOCAL_RANK" not in os.environ:
            self.config[str(self.subcommand)]["seed_everything"] = random.SystemRandom().randrange(2**31)
        super()._set_seed()

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        """Add logs, checkpoints and a progress bar in the run folder, where the config has none of its own."""
        resuming = self.subcommand == "fit" and bool(self._get(self.config, "ckpt_path"))
        run_dir = find_run_dir(Path(self._get(self.config, "run_dir")), new=self.subcommand == "fit" and not resuming)
        config = self._get(self.config_init, "trainer", default={})
        callbacks = list(config.get("callbacks") or [])
        added: list[Callback] = []
        kwargs = {**kwargs, "default_root_dir": str(run_dir)}
        if config.get("logger") in (None, True):
            kwargs["logger"] = default_loggers(run_dir) if self.subcommand == "fit" else False
        if self.subcommand == "fit" and config.get("enable_checkpointing") in (None, True):
            if not _has(callbacks, ModelCheckpoint):
                added += default_checkpoints(run_dir)
        if config.get("enable_progress_bar") in (None, True) and not _has(callbacks, ProgressBar):
            added.append(RolloutProgressBar())
        self.trainer_defaults["callbacks"] = added
        return super().instantiate_trainer(**kwargs)


def _has(callbacks: list[Any], kind: type) -> bool:
    return any(isinstance(callback, kind) for callback in callbacks)


def find_run_dir(base: Path, new: bool) -> Path:
    """The folder of this run: the first free one of ``base``, ``base-2``, ... for a new run, else the last that exists.

    Processes started by the first one take its choice from the environment.
    """
    chosen = os.environ.get(RUN_DIR_VARIABLE)
    if chosen and "LOCAL_RANK" in os.environ:
        return Path(chosen)
    number, folder, last = 1, base, base
    while folder.exists():
        number, folder, last = number + 1, base.with_name(f"{base.name}-{number + 1}"), folder
    chosen_dir = folder if new else last
    os.environ[RUN_DIR_VARIABLE] = str(chosen_dir)
    return chosen_dir


def default_loggers(run_dir: Path) -> list[Logger]:
    """``metrics.csv`` in the run folder and, where TensorBoard is installed, its event files."""
    loggers: list[Logger] = [CSVLogger(run_dir, name="", version="", flush_logs_every_n_steps=1)]
    if RequirementCache("tensorboard"):
        loggers.append(TensorBoardLogger(run_dir, name="", version="tensorboard"))
    return loggers


def default_checkpoints(run_dir: Path) -> list[ModelCheckpoint]:
    """The best checkpoint by evaluated return, and the last one."""
    folder = run_dir / "checkpoints"
    best = ModelCheckpoint(folder, filename="best", monitor="val/return", mode="max", enable_version_counter=False)
    last = ModelCheckpoint(folder, filename="last", every_n_epochs=1, enable_version_counter=False)
    return [best, last]


def quieten() -> None:
    """Silence what Lightning says about things that do not apply to rollouts."""
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.pytorch.accelerators", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (".*does not have many workers.*", ".*LeafSpec.*", ".*exists and is not empty.*"):
        warnings.filterwarnings("ignore", message=message)


def announce() -> None:
    """Let the package say in a line each what it decides (the scoring method, the seed)."""
    logger = logging.getLogger("lightning_twosome")
    logger.setLevel(logging.INFO)
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments without the program's name; ``None`` takes them from the command line.

    Returns:
        The exit code: 0, or 2 after a mistake in the arguments, the environment, the model or a checkpoint.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # class_path: my_module.MyEnv, beside the config
    if not debug:
        quieten()
    announce()
    try:
        run_cli(arguments)
    except (UserError, MisconfigurationException, ArgumentError, FileNotFoundError, ValueError) as error:
        ours = not isinstance(error, ValueError) or isinstance(error, UserError) or "Does not validate" in str(error)
        if debug or not ours:
            raise
        print(f"error: {one_sentence(error)}", file=sys.stderr)
        return 2
    return 0


def run_cli(arguments: list[str]) -> TwosomeCLI:
    """Parse the arguments and run the subcommand."""
    return TwosomeCLI(
        OnPolicyModule,
        RolloutDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        trainer_class=TwosomeTrainer,
        save_config_kwargs={"overwrite": True},
        auto_configure_optimizers=False,
        parser_kwargs={"exit_on_error": False},
        args=None if arguments == sys.argv[1:] else arguments,
    )


__all__ = ["TwosomeCLI", "TwosomePPO", "TwosomeTrainer", "main"]


if __name__ == "__main__":
    sys.exit(main())
