"""What every on-policy algorithm shares: acting, episode metrics, evaluation and the names that are logged.

docs/metrics.md defines each logged name.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar

import lightning as L
import torch
from torch import Tensor

from lightning_twosome.durable_checkpoint import DurableCheckpoints
from lightning_twosome.environment_failure import EnvironmentFailure
from lightning_twosome.errors import UserError
from lightning_twosome.evaluation import PlayedEpisode, play_episodes, summarize
from lightning_twosome.hooks import call_hook
from lightning_twosome.last_checkpoint import Failure, end_run, end_run_together
from lightning_twosome.ledger.accounts import Ledger
from lightning_twosome.ledger.callback import LedgerCallback
from lightning_twosome.metrics import EpisodeMetrics, UpdateMetrics
from lightning_twosome.players import Transitions, player_advantages
from lightning_twosome.ppo import explained_variance
from lightning_twosome.process_watch import ProcessWatch
from lightning_twosome.processes import alternately, gather
from lightning_twosome.rollout import Episode, Policy, Rollout
from lightning_twosome.samples import EpisodeBatch, Samples
from lightning_twosome.stopping import StopOnSignal, Stopped, wanted
from lightning_twosome.vector_env import State, TextVectorEnv

Bounds = tuple[float, float | None]

PROGRESS_BAR = ("rollout/return", "rollout/success", "policy/kl", "time/env_steps_per_second")


class OnPolicyModule(L.LightningModule):
    """Base of the algorithms: a policy with values that acts in a :class:`~lightning_twosome.RolloutDataModule`.

    A subclass gives :meth:`action_log_probs`, :meth:`state_values`, a training step and its optimizer.

    Args:
        gamma: Discount per primitive environment step.
        gae_lambda: Trace decay of generalised advantage estimation, per decision.
        return_window: Episodes over which the training return and success are averaged.

    Attributes:
        evaluated: Episodes of the last evaluation, of all processes, by whether they were greedy.
        ledger: What its runs have cost.
    """

    RANGES: ClassVar[Mapping[str, Bounds]] = {"gamma": (0, 1)}
    """Lowest and highest value of each numeric hyper-parameter."""

    def __init__(self, gamma: float, gae_lambda: float, return_window: int) -> None:
        super().__init__()
        self.gamma = gamma
        self.gae_lambda = gae_lambda
        self.episode_metrics = EpisodeMetrics(return_window)
        self.rollout_metrics = UpdateMetrics(("rollout/unique_decisions", "value/explained_variance"))
        self._update_seconds = 0.0
        self._batch_start = self._evaluation_start = time.perf_counter()
        self.evaluated: dict[bool, list[Episode]] = {}
        self._played: list[tuple[bool, list[Episode]]] = []
        self.ledger = Ledger()
        self._failure: Failure | None = None
        self._ending: UserError | Stopped | None = None

    def check_ranges(self) -> None:
        """Compare the hyper-parameters with :attr:`RANGES`.

        Raises:
            UserError: One is out of range.
        """
        for name, (low, high) in self.RANGES.items():
            value = self.hparams[name]
            if value is not None and not (low <= value <= (sys.float_info.max if high is None else high)):
                bounds = f"at least {low}" if high is None else f"between {low} and {high}"
                raise UserError(f"model.{name} is {value}; it must be {bounds}.")

    def check_widths(self, name: str) -> None:
        """Look at the widths of hidden layers, where the module has such a hyper-parameter.

        Raises:
            UserError: One is below 1.
        """
        widths = self.hparams.get(name, ())
        if any(width < 1 for width in widths):
            raise UserError(f"model.{name} is {list(widths)}; each layer must have a width of at least 1.")

    def configure_callbacks(self) -> list[L.Callback]:
        """What keeps :attr:`ledger`, and what guards a run; a subclass adds its own to these.

        A run is guarded against the death of a process, signals that ask it to end, and checkpoints cut off.
        """
        return [LedgerCallback(), ProcessWatch(), StopOnSignal(), DurableCheckpoints()]

    # Acting

    @property
    def packing_matters(self) -> bool:
        """Whether the same decision scores differently in other company, so that the update must keep the batches."""
        return False

    def rollout_policy(self, env: TextVectorEnv) -> Policy:
        """Who acts in training's environments: this module itself, unless an algorithm learns from another.

        Args:
            env: The environments that it will act in.
        """
        return self

    def action_log_probs(self, states: Sequence[State]) -> Tensor:
        """Log-probability of every offered action [B, K], ``-inf`` in padding, without gradient."""
        raise TypeError(f"{type(self).__name__} must define action_log_probs(states).")

    def state_values(self, states: Sequence[State]) -> Tensor:
        """Value of every state [B], without gradient."""
        raise TypeError(f"{type(self).__name__} must define state_values(states).")

    @contextmanager
    def acting(self) -> Iterator[None]:
        """No gradient, every submodule in evaluation mode and afterwards as it was."""
        modes = [(module, module.training) for module in self.modules()]
        self.eval()
        try:
            # What is cached while acting is used in training too, where tensors of Lightning's inference mode are
            # refused.
            with torch.inference_mode(False), torch.no_grad():
                yield
        finally:
            for module, training in modes:
                module.training = training

    def samples(self, rollout: Rollout) -> Samples:
        """What the update learns from: the rollout's decisions with their advantages and returns."""
        transitions = Transitions(
            rewards=rollout.rewards,
            next_values=rollout.next_values,
            durations=rollout.durations,
            terminated=rollout.terminated,
            truncated=rollout.truncated,
        )
        values, advantages, returns = self.estimate(rollout, transitions)
        states = rollout.flat_states()
        return Samples(
            states=states,
            actions=rollout.actions.flatten(),
            log_probs=rollout.log_probs.flatten(0, 1),
            values=values,
            advantages=advantages,
            returns=returns,
        )

    def estimate(self, rollout: Rollout, transitions: Transitions) -> tuple[Tensor, Tensor, Tensor]:
        """Value, advantage and return [B] of each of the rollout's decisions, or [B, M] of each choice in them.

        Args:
            rollout: S decisions in N environments, B = S * N.
            transitions: What followed them.
        """
        advantages, returns = player_advantages(
            transitions, rollout.values, rollout.players, self.gamma, self.gae_lambda
        )
        return rollout.values.flatten(), advantages.flatten(), returns.flatten()

    def count_rollout(self, rollout: Rollout, samples: Samples) -> None:
        """Count in what all processes met, in the order in which one process would have met it.

        Args:
            rollout: This process's own.
            samples: Those of all processes.
        """
        ends = (rollout.terminated | rollout.truncated).nonzero().tolist()
        parts = gather((ends, rollout.episodes, rollout.values), self._world_size)
        ended = [
            (step, process, place, episode)
            for process, (ends, episodes, _) in enumerate(parts)
            for (step, place), episode in zip(ends, episodes, strict=True)
        ]
        episodes = [episode for *_, episode in sorted(ended, key=lambda entry: entry[:3])]
        self.episode_metrics.add_tasks({episode.task for episode in episodes if episode.task is not None})
        self.episode_metrics.update(episodes)
        self.rollout_metrics.reset()
        values = torch.cat([values for *_, values in parts], dim=1)
        self.rollout_metrics.update(self.rollout_figures(values.flatten(), samples))

    def rollout_figures(self, values: Tensor, samples: Samples) -> dict[str, Tensor]:
        """What is logged of a rollout besides its episodes.

        Args:
            values: Value of each decision [B], of all processes.
            samples: Those of all processes.
        """
        # Of decisions, also where their returns are those of each choice in them.
        returns = samples.returns.view(len(samples), -1)[:, 0]
        return {
            "rollout/unique_decisions": torch.tensor(len(set(samples.decisions)) / len(samples)),
            "value/explained_variance": explained_variance(values, returns),
        }

    @property
    def _world_size(self) -> int:
        return self._trainer.world_size if self._trainer is not None else 1

    # Logging

    @property
    def data(self) -> Any:
        """The data module in use."""
        return self.trainer.datamodule  # type: ignore[attr-defined]

    def on_rollout_start(self) -> None:
        """Called before each rollout."""

    def before_minibatch(self) -> None:
        """End the run where it was asked to or has to: before a minibatch, for the first one before its rollout."""
        ending, self._ending = self._ending, None
        if ending is None and self._world_size == 1:  # several processes agree with an optimizer step
            ending = wanted()
        if ending is not None:
            end_run(ending, self.trainer)

    def on_iteration_start(self) -> None:
        """Called before an iteration's first optimizer step.

        Not ``on_train_epoch_start``: Lightning leaves that out in the first epoch after resuming from a checkpoint that
        was written at the last batch of an epoch.
        """
        self._update_seconds = 0.0

    def on_train_batch_start(self, batch: Samples, batch_idx: int) -> None:
        """Begin an iteration at its first batch, and time each."""
        if batch_idx == 0:
            self.on_iteration_start()
        self._batch_start = time.perf_counter()

    def on_train_batch_end(self, outputs: Any, batch: Samples, batch_idx: int) -> None:
        """Add up the time of the batches, without the validation between them."""
        self._update_seconds += time.perf_counter() - self._batch_start

    def log_iteration(self, metrics: dict[str, Tensor | float]) -> None:
        """Log an iteration's metrics with those of its episodes, against environment steps."""
        seconds = self.data.rollout_seconds + self._update_seconds
        values = {
            **{f"rollout/{name}": value for name, value in self.episode_metrics.compute().items()},
            **self.rollout_metrics.compute(),
            **metrics,
        }
        if seconds > 0:  # else the iteration was finished before its checkpoint
            values |= {
                "time/env_steps_per_second": self.data.steps_per_iteration / seconds,
                "time/rollout_seconds": self.data.rollout_seconds,
                "time/update_seconds": self._update_seconds,
            }
        for name, value in values.items():
            self.log(name, value, prog_bar=name in PROGRESS_BAR)
        self.log("env_steps", float(self.data.env_steps))
        self.log_step()
        call_hook(self.trainer, "on_policy_update", {name: float(value) for name, value in values.items()})

    def log_step(self) -> None:
        """Put environment steps on the loggers' x axis."""
        self.log("step", float(self.data.env_steps))

    # Evaluation

    def play(self, batch: EpisodeBatch, transcripts: bool = False) -> list[PlayedEpisode]:
        """Play a batch of episodes with the current policy."""
        with self.acting():
            return play_episodes(self, batch.env, batch.seeds, self.gamma, batch.greedy, transcripts)

    def validation_step(self, batch: EpisodeBatch, batch_idx: int) -> None:
        """Play a batch of episodes, unless a failure or a signal has come, of which all hear in the end."""
        if self._failure is not None:  # nothing more is played, but others may need this process's share of weights
            batch = EpisodeBatch(batch.env, (), batch.greedy, batch.task)
        try:
            episodes = [played.episode for played in self.play(batch)]
            if batch.task is not None:
                episodes = [replace(episode, task=batch.task) for episode in episodes]
        except (EnvironmentFailure, Stopped) as failure:
            self._failure = failure
            episodes = []
        self._played.append((batch.greedy, episodes))

    def test_step(self, batch: EpisodeBatch, batch_idx: int) -> None:
        """Play a batch of episodes."""
        self.validation_step(batch, batch_idx)

    def predict_step(self, batch: EpisodeBatch, batch_idx: int) -> list[PlayedEpisode]:
        """Play a batch of episodes and keep every decision."""
        return self.play(batch, transcripts=True)

    def on_validation_epoch_start(self) -> None:
        """Forget the episodes of the last evaluation."""
        self.evaluated, self._played, self._failure = {}, [], None
        self._evaluation_start = time.perf_counter()

    def on_validation_epoch_end(self) -> None:
        """Log return and success over the episodes of all processes."""
        self._log_evaluation("val")

    def on_test_epoch_start(self) -> None:
        """Forget the episodes of the last evaluation."""
        self.evaluated, self._played, self._failure = {}, [], None
        self._evaluation_start = time.perf_counter()

    def on_test_epoch_end(self) -> None:
        """Log return and success over the episodes of all processes."""
        self._log_evaluation("test")

    def _log_evaluation(self, stage: str) -> None:
        end_run_together(self._failure, self.trainer)
        for batches in zip(*gather(self._played, self.trainer.world_size), strict=True):
            self.evaluated.setdefault(batches[0][0], []).extend(alternately([episodes for _, episodes in batches]))
        for greedy, episodes in sorted(self.evaluated.items()):
            self._log_summary(stage, greedy, episodes)
            for task in dict.fromkeys(episode.task for episode in episodes if episode.task is not None):
                self._log_summary(f"{stage}/{task}", greedy, [e for e in episodes if e.task == task])
        if not self.trainer.sanity_checking:
            self.log("time/evaluation_seconds", time.perf_counter() - self._evaluation_start)
            self.log_step()

    def _log_summary(self, place: str, greedy: bool, episodes: list[Episode]) -> None:
        for name, value in summarize(episodes).items():
            self.log(f"{place}/greedy_{name}" if greedy else f"{place}/{name}", value)
