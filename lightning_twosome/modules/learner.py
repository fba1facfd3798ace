"""What every algorithm shares that trains an actor and a critic: one AdamW, its schedule, clipping and bookkeeping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import torch
from lightning.pytorch.strategies import DeepSpeedStrategy, ModelParallelStrategy
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from lightning_twosome.errors import UserError
from lightning_twosome.metrics import UpdateMetrics
from lightning_twosome.modules.on_policy import Bounds, OnPolicyModule
from lightning_twosome.modules.skipped_updates import SkippedUpdates, gradient_norm, say_why
from lightning_twosome.processes import gather, own_part_of_sums
from lightning_twosome.scoring.sharding import average_gradients, clip_gradient_norm
from lightning_twosome.stopping import Stopped, wanted


class LearningModule(OnPolicyModule):
    """Base of the algorithms that train an actor and a critic together, each at a learning rate of its own.

    A subclass gives :meth:`actor_parameters`, :meth:`critic_parameters` and a training step, and has the
    hyper-parameters ``actor_lr``, ``critic_lr``, ``anneal_lr`` and ``max_skipped_updates``.

    Args:
        gamma: Discount per primitive environment step.
        gae_lambda: Trace decay of generalised advantage estimation, per decision.
        return_window: Episodes over which the training return and success are averaged.
        metrics: Names of what :attr:`update_metrics` averages over an iteration.

    Attributes:
        update_metrics: Means over the optimizer steps of the iteration.
        batch_kls: KL divergences of the batches since the last optimizer step, where the algorithm measures them.
        kl: Their mean over batches and processes at the last optimizer step, ``None`` where there were none.
    """

    RANGES: ClassVar[Mapping[str, Bounds]] = {
        **OnPolicyModule.RANGES,
        "gae_lambda": (0, 1), "actor_lr": (0, None), "critic_lr": (0, None), "return_window": (1, None),
        "max_skipped_updates": (1, None),
    }  # fmt: skip

    def __init__(self, gamma: float, gae_lambda: float, return_window: int, metrics: Sequence[str]) -> None:
        super().__init__(gamma, gae_lambda, return_window)
        self.update_metrics = UpdateMetrics(metrics)
        self.batch_kls: list[Tensor] = []
        self.kl: float | None = None
        self._losses: list[Tensor] = []
        self._skipped = SkippedUpdates()

    # Optimizer

    def actor_parameters(self) -> list[nn.Parameter]:
        """Trainable weights of the policy."""
        raise TypeError(f"{type(self).__name__} must define actor_parameters().")

    def critic_parameters(self) -> list[nn.Parameter]:
        """Weights of the value."""
        raise TypeError(f"{type(self).__name__} must define critic_parameters().")

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The optimizer's groups, each with a name."""
        return [
            {"name": "actor", "params": self.actor_parameters(), "lr": self.hparams["actor_lr"]},
            {"name": "critic", "params": self.critic_parameters(), "lr": self.hparams["critic_lr"]},
        ]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """One AdamW over :meth:`parameter_groups`."""
        optimizer = AdamW(self.parameter_groups(), eps=1e-5, weight_decay=0.0)
        if not self.hparams["anneal_lr"]:
            return optimizer
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda iteration: self._remaining(iteration))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "epoch", "name": "schedule"},
        }

    def _remaining(self, iteration: int) -> float:
        """Share of the training that is left, 1 where its length is unknown."""
        total = self.trainer.max_epochs
        return 1.0 if total is None or total < 1 else max(0.0, 1 - iteration / total)

    def _follow_schedule(self) -> None:
        """Bring the schedule to this epoch and this training's length.

        A checkpoint at an epoch's last batch is written before the schedule's last move, and one of a shorter training
        holds learning rates that have come down further.
        """
        share = self._remaining(self.current_epoch)
        for config in self.trainer.lr_scheduler_configs:
            scheduler: Any = config.scheduler
            due = [base_lr * share for base_lr in scheduler.base_lrs]
            if scheduler.last_epoch != self.current_epoch or scheduler.get_last_lr() != due:
                scheduler.last_epoch = self.current_epoch - 1
                scheduler.step()

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip actor (with beta) and critic apart, so that a large value loss does not shrink the policy's step."""
        if not gradient_clip_val:
            return
        for parameters in (self.actor_parameters(), self.critic_parameters()):
            if gradient_clip_algorithm != "value":
                clip_gradient_norm(parameters, gradient_clip_val)
            elif any(parameter.grad is not None for parameter in parameters):  # else PyTorch raises
                torch.nn.utils.clip_grad_value_(parameters, gradient_clip_val)

    # An iteration

    def forget(self) -> None:
        """Drop what is remembered of the policy, where anything is."""

    def on_train_start(self) -> None:
        """Refuse what would go wrong."""
        self._ending = None
        if self.trainer.precision == "16-mixed":
            raise UserError(
                "trainer.precision=16-mixed scales the loss and cannot skip an update; use bf16-mixed, bf16-true or "
                "32-true."
            )
        skipping = [name for name in ("target_kl", "critic_warmup_iterations") if self.hparams.get(name)]
        if skipping and isinstance(self.trainer.strategy, DeepSpeedStrategy):
            raise UserError(
                f"model.{skipping[0]}={self.hparams[skipping[0]]} skips steps by taking gradients away, which "
                "DeepSpeed keeps to itself: add configs/strategy/deepspeed.yaml, or choose strategy ddp or fsdp."
            )

    def on_rollout_start(self) -> None:
        """Forget what an evaluation remembered.

        It was scored in other company, which changes the last bits; a resumed run, which has no such memory, would
        differ from the uninterrupted one.
        """
        self.forget()

    def on_iteration_start(self) -> None:
        """Begin an iteration."""
        super().on_iteration_start()
        self.update_metrics.reset()
        self._skipped.in_iteration = 0
        self._follow_schedule()

    @property
    def update_stopped(self) -> bool:
        """Whether the rest of the iteration's update is skipped on purpose."""
        return False

    def on_before_backward(self, loss: Tensor) -> None:
        """Keep the loss until the optimizer step."""
        self._losses.append(loss.detach())

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Skip the step if loss or gradient is not finite; count the learning rates in; forget the changing policy.

        The last by hand, since a fused optimizer's step leaves no mark on the weights' versions.
        """
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        if isinstance(self.trainer.strategy, ModelParallelStrategy):
            average_gradients(weights)
        self.update_metrics.update({f"lr/{g['name']}": torch.tensor(g["lr"]) for g in optimizer.param_groups})
        self.forget()
        if self._is_broken(weights):
            self._skip(optimizer, weights)
        elif not self.update_stopped:
            self._skipped.in_a_row = 0
        self._losses.clear()

    def _is_broken(self, weights: list[nn.Parameter]) -> bool:
        """Whether loss or gradient is not finite in any process.

        The same exchange tells the KL divergence and whether a signal has come: one for a step, one wait for the GPU.
        """
        total = torch.stack(self._losses).sum() + gradient_norm(weights)
        kl = torch.stack(self.batch_kls).mean() if self.batch_kls else torch.zeros_like(total)
        asked = torch.full_like(total, float(wanted() is not None))
        told = torch.stack([kl.to(total), (~total.isfinite()).to(total), asked])
        kl_sum, broken, stops = self.trainer.strategy.reduce(told, reduce_op="sum").tolist()
        self.kl = kl_sum / self._world_size if self.batch_kls else None
        self.batch_kls.clear()
        if stops and self._world_size > 1:
            self._ending = wanted() or Stopped(None)
        return broken > 0

    def _skip(self, optimizer: Optimizer, weights: list[nn.Parameter]) -> None:
        """Take the gradients away, which is no step at all for AdamW; end the run where that happens too often."""
        self._skipped.count()
        beyond_reach = isinstance(self.trainer.strategy, DeepSpeedStrategy)
        if beyond_reach or self._skipped.in_a_row >= self.hparams["max_skipped_updates"]:
            names = {id(weight): name for name, weight in self.named_parameters()}
            gradients = {names[id(weight)]: weight.grad for weight in weights if weight.grad is not None}
            loss = torch.stack(self._losses).sum().item()
            error = UserError(say_why(self._skipped.in_a_row, loss, gradients, self.data.samples))
            if beyond_reach:  # DeepSpeed keeps the gradients to itself, and would make the step
                raise error
            self._ending = error
        optimizer.zero_grad(set_to_none=True)

    def iteration_metrics(self) -> dict[str, Tensor | float]:
        """What is logged of the iteration's update."""
        return {**self.update_metrics.compute(), "policy/skipped_updates": float(self._skipped.in_iteration)}

    def on_train_epoch_end(self) -> None:
        """Log the iteration."""
        self.log_iteration(self.iteration_metrics())

    def on_train_end(self) -> None:
        """Tell of skipped updates also where they were the training's last ones."""
        if isinstance(self._ending, UserError):
            raise self._ending

    # Checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep every process's metrics of an iteration under way; number the optimizer's weights for any strategy.

        ModelParallelStrategy goes by these numbers, others by the order of the weights alone.
        """
        super().on_save_checkpoint(checkpoint)
        checkpoint["skipped_updates"] = asdict(self._skipped)
        own = {name: value.cpu() for name, value in self.update_metrics.state_dict().items()}
        checkpoint["update_metrics"] = gather(own, self._world_size)
        if isinstance(self.trainer.strategy, ModelParallelStrategy):
            return
        numbers = {id(parameter): number for number, parameter in enumerate(self.parameters())}
        for state, optimizer in zip(checkpoint.get("optimizer_states", []), self.trainer.optimizers, strict=True):
            weights = [numbers[id(weight)] for group in optimizer.param_groups for weight in group["params"]]
            state["state"] = {weights[place]: moments for place, moments in state["state"].items()}
            for group in state["param_groups"]:
                group["params"] = [weights[place] for place in group["params"]]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on counting skipped updates; refuse to go on without the state of the data.

        Raises:
            UserError: The checkpoint has no state of this data module.
        """
        if self._trainer is None or not self.trainer.training:
            return
        self._skipped = SkippedUpdates(**checkpoint.get("skipped_updates", {}))
        if "update_metrics" in checkpoint:
            self._take_up_metrics(checkpoint)
        key = type(self.data).__qualname__
        if key not in checkpoint:
            raise UserError(
                f"The checkpoint holds no state of a data module named {key!r}, so training would start its episodes "
                "and counters anew: resume with the data module class that wrote it."
            )

    def _take_up_metrics(self, checkpoint: dict[str, Any]) -> None:
        """Go on with this process's own metrics, of which the state dict has those of the first process alone."""
        own = own_part_of_sums(checkpoint["update_metrics"], self.global_rank, self._world_size)
        if "state_dict" in checkpoint:
            checkpoint["state_dict"].update({f"update_metrics.{name}": value for name, value in own.items()})
        else:  # ModelParallelStrategy has loaded it
            self.update_metrics.load_state_dict(own)
