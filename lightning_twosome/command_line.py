"""LightningCLI with a run folder and checkpoints of the last run.

Importing it takes seconds, mostly Lightning's, torch's and transformers'; :mod:`lightning_twosome.main` does so when a
command line has passed what can be said without them.
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
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, ProgressBar
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from transformers.utils import logging as transformers_logging

from lightning_twosome.callbacks import (
    BeforeAndAfter,
    CostTable,
    EnvironmentBudget,
    EvaluationReport,
    RolloutProgressBar,
    TranscriptWriter,
)
from lightning_twosome.checkpoint_settings import merge_settings
from lightning_twosome.cli_errors import COMMANDS
from lightning_twosome.data import RolloutDataModule
from lightning_twosome.errors import UserError
from lightning_twosome.model_folder import first_sentence
from lightning_twosome.modules import OnPolicyModule
from lightning_twosome.run_folder import (
    data_state,
    default_checkpoints,
    default_loggers,
    discard_unused,
    find_checkpoint,
    is_first_process,
    last_run_dir,
    load_checkpoint,
    new_run_dir,
    run_dir_of,
    with_metrics_file,
)
from lightning_twosome.stopping import Stopped
from lightning_twosome.trainer import TwosomeTrainer
from lightning_twosome.trainer_settings import check_seed, check_trainer

CONSOLE = "lightning_twosome.console"  # name of the handler that tells decisions
logger = logging.getLogger(__name__)


class RunConfig(SaveConfigCallback):
    """Save ``config.yaml`` in the run folder, without what belongs to one subcommand, so that every one reads it."""

    def __init__(self, parser: LightningArgumentParser, config: Any, **kwargs: Any) -> None:
        config = config.clone()
        for key in ("config", "ckpt_path", "weights_only"):
            config.pop(key, None)
        super().__init__(parser, config, save_to_log_dir=False, **kwargs)  # which is the first logger's folder

    def save_config(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Write the file, whatever loggers the config has."""
        path = Path(trainer.default_root_dir) / self.config_filename
        path.parent.mkdir(parents=True, exist_ok=True)
        self.parser.save(self.config, str(path), skip_unset=False, overwrite=self.overwrite, multifile=self.multifile)


class TwosomeCLI(LightningCLI):
    """LightningCLI whose runs have a fixed folder of their own, with logs and checkpoints in it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.arguments: list[str] = list(kwargs.get("args") or [])
        self.run_dir: Path | None = None
        self.resume_step: int | None = None
        self._made: Path | None = None
        try:
            super().__init__(*args, **kwargs)
        except BaseException:
            if self._made is not None:
                discard_unused(self._made)
            raise

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Lightning's subcommands, ``export`` and ``check``."""
        skipped = {"model", "datamodule"}
        return {**LightningCLI.subcommands(), "export": skipped, "check": skipped}

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

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        if self.arguments[:1] != [subcommand] and self.arguments[:1] in ([command] for command in COMMANDS):
            return LightningArgumentParser(**kwargs)  # another one was chosen: half of a start's time
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        if subcommand in ("validate", "test"):
            parser.set_defaults({"verbose": False})  # EvaluationReport prints a table of its own
        return parser

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse, and refuse what libraries would take without a word."""
        self.config = parser.parse_args(self.arguments)
        settings = self.config[str(self.config["subcommand"])]
        for key in ("run_dir", "ckpt_path"):
            if settings.get(key) == "":
                raise UserError(f"{key} is empty: give it a value, or leave it out.")
        check_seed("seed_everything", settings["seed_everything"])
        check_trainer(settings["trainer"])

    def _parse_ckpt_path(self) -> None:
        """Find the checkpoint and take its model settings, but for what the command line chose by hand."""
        subcommand = str(self.config["subcommand"])
        settings = self.config[subcommand]
        wanted, base = settings.get("ckpt_path"), Path(settings["run_dir"])
        if not wanted:
            if subcommand in ("validate", "test", "predict"):
                say("No --ckpt_path is given: this is the policy before any training.")
            return
        path = find_checkpoint(wanted, base)
        if path is None and (subcommand != "fit" or (wanted != "last" and find_checkpoint("last", base))):
            raise no_checkpoint(wanted, base)
        settings["ckpt_path"] = None if path is None else str(path)
        if path is None:
            say(f"No checkpoint in {last_run_dir(base)} yet: training starts from the beginning.")
            self.run_dir = last_run_dir(base)
            return
        checkpoint = load_checkpoint(path)
        self.run_dir = run_dir_of(path)
        if subcommand == "fit":
            self.resume_step = data_state(checkpoint).get("env_steps", 0)
            if settings["seed_everything"] is True:
                settings["seed_everything"] = data_state(checkpoint).get("seed", True)
            say(f"Going on from {path}, {self.resume_step} environment steps.")
        else:
            say(f"Checkpoint {path}, {data_state(checkpoint).get('env_steps', 0)} environment steps.")
        model, differing = merge_settings(checkpoint, settings["model"], self.arguments, resuming=subcommand == "fit")
        self.config = self.parser.parse_object({subcommand: {"model": model}}, self.config)
        if differing:
            say(f"The checkpoint's settings are used: {', '.join(differing)}; --model.NAME overrides them.")

    def _set_seed(self) -> None:
        """Draw a seed where none is chosen; processes started by the first one take its seed from the environment."""
        if self._get(self.config, "seed_everything") is True and "LOCAL_RANK" not in os.environ:
            self.config[str(self.subcommand)]["seed_everything"] = random.SystemRandom().randrange(2**31)
        super()._set_seed()

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        """Add logs, checkpoints and reports in the run folder, where the config has none of its own."""
        training = self.subcommand == "fit"
        base = Path(self._get(self.config, "run_dir"))
        if self.run_dir is None:
            self.run_dir = self._made = new_run_dir(base) if training else None
        run_dir = self.run_dir or last_run_dir(base)
        if training:
            say(f"Seed {self._get(self.config, 'seed_everything')}, run folder {run_dir}.")
        config = self._get(self.config_init, "trainer", default={})
        kwargs = {**kwargs, "default_root_dir": str(run_dir)}
        if config.get("logger") in (None, True):
            kwargs["logger"] = default_loggers(run_dir, self.resume_step) if training else False
        elif training:
            kwargs["logger"] = with_metrics_file(config["logger"], run_dir, self.resume_step)
        if not training and config.get("enable_checkpointing") is None:
            kwargs["enable_checkpointing"] = False
        if config.get("enable_progress_bar") is None and not Console().is_terminal:
            kwargs["enable_progress_bar"] = False  # in a file, EvaluationReport's lines say more
        if config.get("max_epochs") is None and _has(config.get("callbacks") or [], EnvironmentBudget):
            kwargs["max_epochs"] = -1  # the budget sets it
        self.save_config_callback = RunConfig if training else None
        self.trainer_defaults["callbacks"] = self._default_callbacks({**config, **kwargs}, run_dir)
        try:
            return super().instantiate_trainer(**kwargs)
        except (TypeError, ValueError) as error:  # Lightning's and torch's words for a value that they refuse
            raise UserError(f"trainer: {first_sentence(error)}") from error

    def _default_callbacks(self, config: dict[str, Any], run_dir: Path) -> list[Callback]:
        """What the config has not chosen itself."""
        own = list(config.get("callbacks") or [])
        added: list[Callback] = []
        if self.subcommand == "fit" and config.get("enable_checkpointing") in (None, True):
            evaluated = config.get("limit_val_batches") != 0
            added += [] if _has(own, ModelCheckpoint) else default_checkpoints(run_dir, evaluated)
        if config.get("enable_progress_bar") in (None, True) and not _has(own, ProgressBar):
            added.append(RolloutProgressBar())
        if self.subcommand in ("fit", "validate", "test") and not _has(own, EvaluationReport):
            added.append(EvaluationReport())
        if self.subcommand == "fit" and not _has(own, CostTable):
            added.append(CostTable(printed=_has(own, BeforeAndAfter)))
        if self.subcommand == "predict" and not _has(own, TranscriptWriter):
            added.append(TranscriptWriter())
        return added


def no_checkpoint(wanted: str, base: Path) -> UserError:
    """The mistake of asking for a checkpoint that the last run has not."""
    folder = last_run_dir(base)
    start = f"ckpt_path={wanted!r} finds no checkpoint in {str(folder)!r}"
    other = {"best": "last", "last": "best"}.get(wanted, "last")
    if find_checkpoint(other, base) is not None:
        return UserError(f"{start}, but there is one of the name {other!r}: use --ckpt_path {other}.")
    return UserError(f"{start}: train first, or name the run with --run_dir or the file itself.")


def _has(callbacks: list[Any], kind: type) -> bool:
    return any(isinstance(callback, kind) for callback in callbacks)


@rank_zero_only
def say(sentence: str) -> None:
    """Tell the user what was decided."""
    logger.info(sentence)


def quieten() -> None:
    """Silence what libraries say about things that do not apply here or that a user cannot change."""
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.pytorch.accelerators", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    messages = (
        ".*does not have many workers.*",
        ".*LeafSpec.*",
        ".*exists and is not empty.*",
        ".*The dirpath has changed from.*",  # a checkpoint of another run's folder
        ".*method of metric WindowedMean was called before.*",  # no episode has ended yet
        ".*is_gradient_checkpointing.*",  # peft's, with transformers 5
        ".*callbacks used to create the checkpoint need to be provided.*",
        ".*Couldn't infer the batch indices.*",
        ".*It is recommended to use .self.log.*sync_dist=True.*",  # the module reduces over processes itself
    )
    for message in messages:
        warnings.filterwarnings("ignore", message=message)
    if not sys.stderr.isatty():
        transformers_logging.disable_progress_bar()


def announce() -> None:
    """Let the package say in a line each what it decides (the scoring method, the seed)."""
    logger = logging.getLogger("lightning_twosome")
    logger.setLevel(logging.INFO if is_first_process() else logging.WARNING)
    handler = logging.StreamHandler()  # a new one each time: standard error may be another than at the last command
    handler.name = CONSOLE
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.handlers = [*(other for other in logger.handlers if other.name != CONSOLE), handler]


def speak(debug: bool) -> None:
    """Say what the package decides, and of what the libraries say only what concerns a user; all of it to debug."""
    if not debug:
        quieten()
    announce()


def run_command(arguments: list[str], debug: bool) -> int:
    """Carry out a subcommand of LightningCLI.

    Args:
        arguments: The command line, which begins with it.
        debug: Let the libraries say everything.

    Returns:
        The exit code: 0, or 75 or 130 where a signal or Ctrl-C ended it.
    """
    speak(debug)
    try:
        run_cli(arguments)
    except Stopped as stopped:
        # Lightning kills all processes when one that it has started ends with another code than 0.
        return stopped.exit_code if is_first_process() else 0
    except SystemExit as ending:
        if isinstance(ending.__context__, KeyboardInterrupt):  # Lightning makes the one of the other, with code 1
            raise KeyboardInterrupt from ending
        raise
    return 0


def run_cli(arguments: list[str], kind: type[TwosomeCLI] = TwosomeCLI) -> TwosomeCLI:
    """Parse the arguments and run the subcommand.

    Args:
        arguments: The command line.
        kind: The class that does it.
    """
    return kind(
        OnPolicyModule,
        RolloutDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        trainer_class=TwosomeTrainer,
        save_config_kwargs={"overwrite": True},
        auto_configure_optimizers=False,
        parser_kwargs={"exit_on_error": False},
        args=arguments,
    )
