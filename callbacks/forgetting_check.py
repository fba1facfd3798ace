"""Does the language model forget? Zero-shot lm-eval of the live model, its adapter on against off."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
from lightning.pytorch.utilities.seed import isolate_rng
from peft import PeftModel
from rich.console import Console

from lightning_twosome.errors import UserError
from lightning_twosome.forgetting.comparison import Comparison, Scores, compare
from lightning_twosome.forgetting.tables import markdown, printed

if TYPE_CHECKING:
    from lightning_twosome.forgetting.tasks import Suite


class ForgettingCheck(L.Callback):
    """Evaluate the language model on lm-eval's tasks at the start, every few iterations and at the end.

    The model with its adapter is compared with the same model without it, on the same documents, so that small losses
    show: docs/forgetting.md has the equations. In ``fit``, ``validate`` and ``test`` a table is printed at the end and
    written to ``forgetting.md`` and ``forgetting.json`` in the run folder (``forgetting-validate`` and so on for the
    others). Training is not disturbed: the weights are bit by bit those of a run without this callback.

    Logged for every task, as ``forgetting/TASK/...``: ``on`` and ``off`` (scores), ``on_stderr``, ``loss``,
    ``loss_low``, ``loss_high``; and ``forgetting/mean_loss``, which a ``ModelCheckpoint`` can monitor.

    Args:
        tasks: Names of lm-eval (arc_easy, arc_challenge, hellaswag, piqa, boolq, winogrande, openbookqa, mmlu, ...), or
            "home", the suite that comes with the package.
        every_n_epochs: Iterations between two checks; 0 for the start and the end alone.
        limit: First documents of each task, or below 1 a share of them; ``None`` for all.
        stop_when_forgetting: End training once the whole interval of a task's loss is above this (0.05 is five points
            of accuracy, or a perplexity that has grown by five per cent); ``None`` for never.
        task_folder: A folder of the user's own tasks in lm-eval's YAML format.

    Raises:
        UserError: An argument is out of range, or the model has no adapter to switch off.
    """

    def __init__(
        self,
        tasks: Sequence[str] = ("home",),
        every_n_epochs: int = 10,
        limit: float | None = None,
        stop_when_forgetting: float | None = None,
        task_folder: str | None = None,
    ) -> None:
        if every_n_epochs < 0:
            raise UserError(f"ForgettingCheck.every_n_epochs is {every_n_epochs}; it must be 0 or more.")
        if limit is not None and (limit <= 0 or (limit > 1 and limit != int(limit))):
            raise UserError(f"ForgettingCheck.limit is {limit}; it must be a number of documents or a share below 1.")
        self.tasks = [tasks] if isinstance(tasks, str) else list(tasks)
        self.every_n_epochs = every_n_epochs
        self.limit = limit
        self.stop_when_forgetting = stop_when_forgetting
        self.task_folder = task_folder
        self.checks: list[dict[str, Any]] = []
        self.seconds = 0.0
        self._off: dict[str, Scores] = {}
        self._suite: Suite | None = None
        self._lm: Any = None

    @property
    def state_key(self) -> str:
        """Other documents are another state."""
        return self._generate_state_key(tasks=self.tasks, limit=self.limit, task_folder=self.task_folder)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Load the documents, so that a missing one is known before any work is done."""
        if stage != "predict" and self._suite is None:
            from lightning_twosome.forgetting.tasks import Suite, load_tasks

            with isolate_rng():
                self._suite = Suite(load_tasks(self.tasks, self.task_folder), self.limit)

    # When

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Check the model before training, unless the run goes on from a checkpoint that has it."""
        if not self.checks:
            self._check(trainer, pl_module, "start")
        self._show_checkpoints(pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Check every few iterations, and end training where too much is forgotten."""
        due = self.every_n_epochs and (trainer.current_epoch + 1) % self.every_n_epochs == 0
        if due and not self._is_checked(trainer):
            self._check(trainer, pl_module, f"iteration {trainer.current_epoch + 1}")
            self._stop(trainer)
        self._show_checkpoints(pl_module)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Check the trained model, print and write what was forgotten.

        Not in ``on_train_end``, which a run that was killed after its last iteration does not have when it goes on.
        """
        if not self._is_checked(trainer):
            self._check(trainer, pl_module, "end")
        self._report(trainer, "forgetting")

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Check, where this is no evaluation of a training."""
        if trainer.state.fn == "validate":
            self._evaluate(trainer, pl_module, "validate")

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Check."""
        self._evaluate(trainer, pl_module, "test")

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print and write what was forgotten."""
        if trainer.state.fn == "validate":
            self._report(trainer, "forgetting-validate")

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print and write what was forgotten."""
        self._report(trainer, "forgetting-test")

    def _evaluate(self, trainer: L.Trainer, module: L.LightningModule, when: str) -> None:
        self.checks = []  # those of the training that the checkpoint is from
        self._check(trainer, module, when)
        self._show_checkpoints(module)

    def _is_checked(self, trainer: L.Trainer) -> bool:
        """Whether the weights are those of the last check."""
        return bool(self.checks) and self.checks[-1]["optimizer_steps"] == trainer.global_step

    # What

    def _check(self, trainer: L.Trainer, module: Any, when: str) -> None:
        start = time.perf_counter()
        model = _adapted_model(module)
        assert self._suite is not None
        with _contained(trainer, module):
            lm = self._language_model(module)
            if not self._off:
                with model.disable_adapter():
                    self._off = self._suite.scores(lm)
            on = self._suite.scores(lm)
        self.seconds = time.perf_counter() - start
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        note = {"when": when, "env_steps": data.env_steps, "optimizer_steps": trainer.global_step}
        self.checks.append(note | compare(self._off, on).to_dict())
        values = self.metrics() | {"forgetting/seconds": self.seconds}
        for logger in trainer.loggers:
            logger.log_metrics(values, step=data.env_steps)

    def _language_model(self, module: Any) -> Any:
        """lm-eval's view of the module's scorer, made once."""
        from lightning_twosome.forgetting.policy_lm import PolicyLM

        if self._lm is None or self._lm.scorer is not module.agent.scorer:
            self._lm = PolicyLM(module.agent.scorer)
        return self._lm

    def _stop(self, trainer: L.Trainer) -> None:
        if self.stop_when_forgetting is None:
            return
        lost = self.last.beyond(self.stop_when_forgetting)
        if lost:
            trainer.should_stop = True
            if trainer.is_global_zero:
                worst = max(lost, key=lambda task: task.loss_low)
                print(
                    f"ForgettingCheck ends training: the loss on {worst.task} is {worst}, beyond "
                    f"stop_when_forgetting={self.stop_when_forgetting}."
                )

    @property
    def last(self) -> Comparison:
        """What the latest check found."""
        return Comparison.from_dict(self.checks[-1])

    # Where it goes

    def metrics(self) -> dict[str, float]:
        """The latest check as numbers to log."""
        last, values = self.last, {}
        for task in last.tasks:
            for name in ("on", "on_stderr", "off", "loss", "loss_low", "loss_high"):
                values[f"forgetting/{task.task}/{name}"] = getattr(task, name)
        for name in ("mean_loss", "mean_loss_low", "mean_loss_high"):
            values[f"forgetting/{name}"] = getattr(last, name)
        return values

    def _show_checkpoints(self, module: L.LightningModule) -> None:
        """Give Lightning the latest values, in every iteration; the loggers have had them at the check itself."""
        for name, value in self.metrics().items():
            module.log(name, value, logger=False)

    def _report(self, trainer: L.Trainer, name: str) -> None:
        if not trainer.is_global_zero or not self.checks:
            return
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        result = self.last.to_dict() | {"checks": self.checks}
        (folder / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        (folder / f"{name}.md").write_text(markdown(self.checks), encoding="utf-8")
        Console().print(printed(self.last))

    def state_dict(self) -> dict[str, Any]:
        """The scores of the frozen model, which a resumed run need not measure again, and the checks so far."""
        return {"off": {name: scores.to_dict() for name, scores in self._off.items()}, "checks": self.checks}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take both up."""
        self._off = {name: Scores.from_dict(kept) for name, kept in state_dict["off"].items()}
        self.checks = list(state_dict["checks"])


def _adapted_model(module: Any) -> PeftModel:
    """The module's language model, whose adapter can be switched off.

    Raises:
        UserError: It has none.
    """
    model = getattr(getattr(module, "agent", None), "model", None)
    if not isinstance(model, PeftModel):
        raise UserError(
            "ForgettingCheck compares the language model with itself without its adapter, and there is no adapter: set "
            "model.language_model.lora, or leave the callback out."
        )
    return model


@contextmanager
def _contained(trainer: L.Trainer, module: Any) -> Iterator[None]:
    """Nothing that training uses is changed: random states, modes of modules, gradients."""
    with isolate_rng(), module.acting(), trainer.precision_plugin.forward_context(), module.ledger.phase("forgetting"):
        yield
