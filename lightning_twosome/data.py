"""On-policy data for Lightning: one epoch is one PPO iteration.

::

    train loader, each epoch:  a Rollout of the module's policy --module.samples--> Samples [B] --> minibatches
    val / test / predict:      batches of episode seeds, which the module plays

The train loader is a plain sized iterable. It has a length, so that Lightning fetches nothing ahead with stale weights,
and no worker, so that the policy that acts is the one that was just trained.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities.types import EVAL_DATALOADERS, TRAIN_DATALOADERS

from lightning_twosome.environment_failure import EnvironmentFailure
from lightning_twosome.errors import UserError
from lightning_twosome.hooks import call_hook
from lightning_twosome.last_checkpoint import Failure, end_run_together
from lightning_twosome.loaders import EpisodeLoader, RolloutLoader
from lightning_twosome.processes import deal, gather, joined_state, part_of_state
from lightning_twosome.rollout import (
    EVALUATION_STREAM,
    MINIBATCH_STREAM,
    Rollout,
    RolloutCollector,
    episode_seed,
    random_generator,
)
from lightning_twosome.samples import EpisodeBatch, Samples
from lightning_twosome.stopping import Stopped, raise_if_wanted
from lightning_twosome.tasks import MixtureEnv, Task, named
from lightning_twosome.trainer_settings import check_seed
from lightning_twosome.vector_env import State, TextVectorEnv, Vectorization


class RolloutDataModule(L.LightningDataModule):
    """Collects on-policy experience and deals out evaluation episodes.

    An environment step is one decision in one environment; an iteration has ``num_envs * num_steps`` of them in each
    process.

    Args:
        env: A gymnasium id, anything that makes an environment when called without arguments, or a list of tasks that
            are mixed: each episode is one of them.
        env_kwargs: Keyword arguments for ``gymnasium.make`` where ``env`` is an id.
        num_envs: N, environments in each process.
        num_steps: S, decisions of each environment an iteration.
        update_epochs: Passes over the rollout an iteration.
        minibatch_size: Decisions of one optimizer step; ``None`` for the whole rollout.
        eval_episodes: Episodes with sampled actions in validation, predict and, of each task, test.
        eval_greedy_episodes: Episodes with the most probable action beside them; 0 for none.
        eval_num_envs: Environments that play them in each process.
        vectorization: "sync" or, for slow simulators, "async" (a process for each environment).
        seed: Seed of episodes, action sampling and minibatches; ``None`` takes the one of ``seed_everything``.
        test_tasks: What ``test`` plays, one after the other; ``None`` for what is trained on.

    Raises:
        UserError: The environment id is unknown, an argument is out of range, ``minibatch_size`` does not divide the
        rollout.
    """

    def __init__(
        self,
        env: list[Task] | str | Callable[[], gym.Env],
        env_kwargs: dict[str, Any] | None = None,
        num_envs: int = 8,
        num_steps: int = 32,
        update_epochs: int = 4,
        minibatch_size: int | None = None,
        eval_episodes: int = 100,
        eval_greedy_episodes: int = 1,
        eval_num_envs: int = 8,
        vectorization: Vectorization = "sync",
        seed: int | None = None,
        test_tasks: list[Task] | None = None,
    ) -> None:
        super().__init__()
        self.env = env
        self.env_kwargs = env_kwargs or {}
        self.tasks = self._training_tasks()
        self.test_tasks = self.tasks if test_tasks is None else named(test_tasks, "data.test_tasks")
        self.num_envs = num_envs
        self.num_steps = num_steps
        self.update_epochs = update_epochs
        self.minibatch_size = num_envs * num_steps if minibatch_size is None else minibatch_size
        self.eval_episodes = eval_episodes
        self.eval_greedy_episodes = eval_greedy_episodes
        self.eval_num_envs = eval_num_envs
        self.vectorization: Vectorization = vectorization
        self.seed = seed
        self.iteration = 0
        self.env_steps = 0
        self.rollout_seconds = 0.0
        self.samples: Samples | None = None
        self.batches_done = 0
        self._collector: RolloutCollector | None = None
        self._eval_env: TextVectorEnv | None = None
        self._test_envs: dict[str, TextVectorEnv] = {}
        self._restored: dict[str, Any] | None = None
        self._kept: dict[str, Any] = {}
        self._examples: list[State] = []
        self._check_arguments()

    def _training_tasks(self) -> list[Task]:
        if not isinstance(self.env, list):
            return named([Task(self.env, self.env_kwargs)], "data.env")
        if self.env_kwargs:
            raise UserError(
                f"data.env_kwargs={self.env_kwargs!r} is for one environment, and data.env is a list of tasks; give "
                "each task env_kwargs of its own."
            )
        return named(self.env, "data.env")

    def _check_arguments(self) -> None:
        for name in ("num_envs", "num_steps", "update_epochs", "minibatch_size", "eval_episodes", "eval_num_envs"):
            if getattr(self, name) < 1:
                raise UserError(f"data.{name} is {getattr(self, name)}; it must be at least 1.")
        if self.eval_greedy_episodes < 0:
            raise UserError(f"data.eval_greedy_episodes is {self.eval_greedy_episodes}; it must be at least 0.")
        check_seed("data.seed", self.seed)
        if (self.num_envs * self.num_steps) % self.minibatch_size:
            raise UserError(
                f"data.minibatch_size={self.minibatch_size} does not divide the rollout of num_envs * num_steps = "
                f"{self.num_envs} * {self.num_steps} = "
                f"{self.num_envs * self.num_steps} decisions; choose a divisor, or null for the whole rollout."
            )

    def make_env(self) -> gym.Env:
        """One environment, as configured."""
        return MixtureEnv(self.tasks) if isinstance(self.env, list) else self.tasks[0].make()

    @property
    def steps_per_iteration(self) -> int:
        """Environment steps of all processes an iteration."""
        return self.num_envs * self.num_steps * self._world_size

    @property
    def num_minibatches(self) -> int:
        """Optimizer steps an iteration, with ``accumulate_grad_batches`` 1."""
        return self.update_epochs * (self.num_envs * self.num_steps // self.minibatch_size)

    @property
    def _world_size(self) -> int:
        return self.trainer.world_size if self.trainer is not None else 1

    @property
    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer is not None else 0

    def setup(self, stage: str) -> None:
        """Fix the seed, the same in all processes; try the environments, so that mistakes show before long work."""
        if stage == "fit":  # nothing of an earlier fit goes on, unless a checkpoint is loaded after this
            self.samples, self.batches_done = None, 0
            self._restored, self._kept = None, {}
        if self.seed is None:
            seed = torch.initial_seed() % 2**31
            self.seed = seed if self.trainer is None else self.trainer.strategy.broadcast(seed)
        self.example_states()
        for task in [*self.tasks, *(self.test_tasks if stage == "test" else ())]:
            task.make().close()

    def example_states(self, count: int = 64) -> list[State]:
        """States met by a uniform random policy, always the same ones."""
        if len(self._examples) == count:
            return self._examples
        env = TextVectorEnv([self.make_env], self.vectorization)  # an environment may end its process
        generator = np.random.default_rng(0)
        states = [env.reset({0: 0})[0]]
        while len(states) < count:
            (transition,) = env.step([int(generator.integers(len(states[-1].decision.actions)))])
            ended = transition.terminated or transition.truncated
            states.append(env.reset({0: len(states)})[0] if ended else transition.state)
        env.close()
        self._examples = states
        return states

    # Training

    @property
    def collector(self) -> RolloutCollector:
        """The collector of this process, made on first use."""
        if self._collector is None:
            assert self.seed is not None
            first_index = self._rank * self.num_envs
            env = TextVectorEnv([self.make_env] * self.num_envs, self.vectorization, first_index, raise_if_wanted)
            self._collector = RolloutCollector(env, self.num_steps, self.seed, first_index)
        return self._collector

    def train_dataloader(self) -> TRAIN_DATALOADERS:
        """The loader whose every epoch is a fresh rollout."""
        return RolloutLoader(self)

    def collect(self) -> Samples:
        """A fresh rollout of all processes, as samples: every process has all of them."""
        trainer: Any = self.trainer
        module = trainer.lightning_module
        start = time.perf_counter()
        module.ledger.begin("rollout")
        module.on_rollout_start()
        with trainer.precision_plugin.forward_context():
            rollout = self._rollout(module)
            with module.acting():
                own = module.samples(rollout)
            samples = self._of_all_processes(own)
            module.count_rollout(rollout, samples)
            if module.packing_matters:
                self._refresh_log_probs(module, samples)
        self.iteration += 1
        self.env_steps += self.steps_per_iteration
        self.rollout_seconds = time.perf_counter() - start
        module.ledger.end()
        call_hook(trainer, "on_rollout_end", rollout)
        for episode in rollout.episodes:
            call_hook(trainer, "on_episode_end", episode)
        return samples

    def _rollout(self, module: Any) -> Rollout:
        failure: Failure | None = None
        rollout = None
        try:
            policy = module.rollout_policy(self.collector.env)
            with module.acting():
                rollout = self.collector.collect(policy, module.gamma, self.iteration)
        except (EnvironmentFailure, Stopped) as error:
            failure = error
        end_run_together(failure, self.trainer)
        assert rollout is not None
        return rollout

    def _of_all_processes(self, own: Samples) -> Samples:
        if self._world_size == 1:
            return own
        parts = [Samples.from_state_dict(part) for part in gather(own.state_dict(), self._world_size)]
        return Samples.joined(parts, self.num_steps)

    def _refresh_log_probs(self, module: Any, samples: Samples) -> None:
        """Let each process score again what it will learn from, and all processes have the result."""
        batches = self.minibatches(self.iteration, fixed=True)[: self.num_minibatches // self.update_epochs]
        with module.acting():
            module.refresh_log_probs(samples, batches)
        rows = torch.from_numpy(np.concatenate(batches))
        for index, log_probs in gather((rows, samples.log_probs[rows]), self._world_size):
            samples.log_probs[index] = log_probs

    def minibatches(self, iteration: int, fixed: bool) -> list[np.ndarray]:
        """Index of this process's decisions in each optimizer step of an iteration, among those of all processes.

        Whatever the number of processes, the same decisions are in a step. Each process takes equally many, its own
        first, whose critic features it has.

        Args:
            iteration: Number of the iteration.
            fixed: Keep together in every epoch what is together in the first, for models whose scores depend on the
                company.
        """
        assert self.seed is not None
        size = self.steps_per_iteration
        generator = random_generator(self.seed, MINIBATCH_STREAM, 0, iteration)
        first = np.split(generator.permutation(size), self.num_minibatches // self.update_epochs)
        epochs = [first]
        for _ in range(self.update_epochs - 1):
            if fixed:
                epochs.append([first[i] for i in generator.permutation(len(first))])
            else:
                epochs.append(np.split(generator.permutation(size), len(first)))
        owner = np.arange(size) // self.num_envs % self._world_size
        return [deal(batch, owner, self._world_size)[self._rank] for epoch in epochs for batch in epoch]

    # Evaluation

    def val_dataloader(self) -> EVAL_DATALOADERS:
        """Batches of episodes, the same ones each time."""
        return EpisodeLoader(self.episode_batches())

    predict_dataloader = val_dataloader

    def test_dataloader(self) -> EVAL_DATALOADERS:
        """Batches of episodes of every test task, the same ones each time."""
        for task in self.test_tasks:
            if task.label not in self._test_envs:
                self._test_envs[task.label] = TextVectorEnv([task.make] * self.eval_num_envs, self.vectorization)
        batches = [self._batches_in(self._test_envs[task.label], task.label) for task in self.test_tasks]
        return EpisodeLoader([batch for task_batches in batches for batch in task_batches])

    def episode_batches(self) -> list[EpisodeBatch]:
        """This process's share of the evaluation episodes; every process gets equally many batches."""
        if self._eval_env is None:
            makers = [self.make_env] * self.eval_num_envs
            self._eval_env = TextVectorEnv(makers, self.vectorization, before_step=raise_if_wanted)
        return self._batches_in(self._eval_env)

    def _batches_in(self, env: TextVectorEnv, task: str | None = None) -> list[EpisodeBatch]:
        assert self.seed is not None
        size = self.eval_num_envs * self._world_size
        batches = []
        for greedy, count in ((False, self.eval_episodes), (True, self.eval_greedy_episodes)):
            seeds = [episode_seed(self.seed, EVALUATION_STREAM, int(greedy), number) for number in range(count)]
            for start in range(0, count, size):
                own = tuple(seeds[start : start + size][self._rank :: self._world_size])
                batches.append(EpisodeBatch(env, own, greedy, task))
        return batches

    @contextmanager
    def evaluation_env(self) -> Iterator[TextVectorEnv]:
        """Environments of its own for a callback that plays episodes, closed afterwards."""
        env = TextVectorEnv([self.make_env] * self.eval_num_envs, self.vectorization)
        try:
            yield env
        finally:
            env.close()

    def on_exception(self, exception: BaseException) -> None:
        """End the environments, whose processes would outlive the run; Lightning tears down after a success only."""
        self.teardown("exception")

    def teardown(self, stage: str) -> None:
        """End the environments."""
        if self._collector is not None:
            self._collector.env.close()
        if self._eval_env is not None:
            self._eval_env.close()
        for env in self._test_envs.values():
            env.close()
        self._collector = self._eval_env = None
        self._test_envs = {}

    # Checkpoints

    def gather_state(self) -> None:
        """Gather every process's episodes, where all of them are: :meth:`state_dict` then needs no communication."""
        assert self.samples is not None and self.trainer is not None
        module: Any = self.trainer.lightning_module
        self._kept = {
            "collector": joined_state(gather(self.collector.state_dict(), self._world_size)),
            "episode_metrics": {name: tensor.cpu() for name, tensor in module.episode_metrics.state_dict().items()},
            "rollout_metrics": {name: tensor.cpu() for name, tensor in module.rollout_metrics.state_dict().items()},
            "samples": self.samples.state_dict(),
        }

    def state_dict(self) -> dict[str, Any]:
        """Where the data stands: counters, unfinished episodes, the rollout in use and the batches taken from it."""
        in_use = 0 < self.batches_done < self._batches_an_epoch()
        return {
            "seed": self.seed,
            "iteration": self.iteration,
            "env_steps": self.env_steps,
            "rollout": self._rollout_settings(),
            "batches_done": self.batches_done if in_use else 0,
            "world_size": self._world_size,
            **{name: value for name, value in self._kept.items() if in_use or name != "samples"},
        }

    def _rollout_settings(self) -> dict[str, int]:
        """Sizes over all processes."""
        return {
            "num_envs": self.num_envs * self._world_size,
            "num_steps": self.num_steps,
            "update_epochs": self.update_epochs,
            "minibatch_size": self.minibatch_size * self._world_size,
        }

    def _batches_an_epoch(self) -> int:
        """Batches after which Lightning ends the epoch, ``limit_train_batches`` included."""
        return (
            int(min(self.num_minibatches, self.trainer.num_training_batches))
            if self.trainer is not None
            else self.num_minibatches
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where a checkpoint left off.

        Another number of processes goes on exactly with the same number of environments in all; with another one, the
        counters go on and the episodes begin afresh.
        """
        self.seed = state_dict["seed"]
        self.iteration = state_dict["iteration"]
        self.env_steps = state_dict["env_steps"]
        self._restored = state_dict

    def restore(self) -> int:
        """Bring environments and rollout back; called when training goes on, with the environments at hand.

        Returns:
            Batches of this epoch that were taken before the checkpoint, 0 where an epoch begins.

        Raises:
            UserError: The checkpoint was written within an iteration of other settings.
        """
        state, self._restored = self._restored, None
        if state is None:
            return 0
        done: int = state["batches_done"]
        if done and state["rollout"] != self._rollout_settings():
            raise UserError(
                f"The checkpoint was written in the middle of an iteration with data settings {state['rollout']} over "
                f"all processes, this run has {self._rollout_settings()}: resume with the same ones, or from a "
                "checkpoint at the end of an epoch."
            )
        names = ("collector", "episode_metrics", "rollout_metrics", "samples")
        self._kept = {name: state[name] for name in names if name in state}
        if not self._kept:
            return done
        trainer: Any = self.trainer
        module = trainer.lightning_module
        for name in ("episode_metrics", "rollout_metrics"):
            getattr(module, name).load_state_dict(state[name])
            getattr(module, name).to(module.device)
        total = self.num_envs * self._world_size
        if state["world_size"] == self._world_size or len(state["collector"]["indices"]) == total:
            self.collector.load_state_dict(part_of_state(state["collector"], self._rank, self._world_size))
        self.samples = Samples.from_state_dict(state["samples"]) if done else None
        return done
