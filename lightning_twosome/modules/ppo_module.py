"""The PPO update over a finite set of actions, whatever scores them.

::

    Samples [B] --policy_terms, batch_values--> log_probs [B, K], value [B]
                --credited--> ratio, advantage, value [T] of each decision, or of each choice in it
                --policy_loss, value_loss, entropy--> loss --backward--> actor and critic, clipped apart
                --exact_kl--> stop of this iteration's update, the same on all processes
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from lightning_twosome import ppo
from lightning_twosome.credit import WholeActions
from lightning_twosome.modules.learner import LearningModule
from lightning_twosome.modules.on_policy import Bounds
from lightning_twosome.samples import Samples
from lightning_twosome.scoring.sharding import plain

PPO_METRICS = (
    "loss/policy", "loss/value", "loss/total", "policy/entropy", "policy/effective_actions", "policy/kl", "policy/k1",
    "policy/k3", "policy/clip_fraction", "policy/first_pass_ratio_deviation", "policy/update_stopped", "lr/actor",
    "lr/critic",
)  # fmt: skip


class PPOModule(LearningModule):
    """Base of the algorithms that learn by PPO (arXiv 1707.06347).

    A subclass gives :meth:`policy_terms` and :meth:`batch_values`, and has the hyper-parameters of :attr:`RANGES` with
    ``anneal_lr``, ``anneal_entropy`` and ``normalize_advantages``.

    Args:
        gamma: Discount per primitive environment step.
        gae_lambda: Trace decay per decision.
        return_window: Episodes over which the training return is averaged.
        metrics: Names of what the subclass averages over an iteration besides :data:`PPO_METRICS`.
    """

    RANGES: ClassVar[Mapping[str, Bounds]] = {
        **LearningModule.RANGES,
        "clip_coef": (0, 1), "value_clip_coef": (0, None), "value_coef": (0, None), "entropy_coef": (0, None),
        "target_kl": (0, None), "critic_warmup_iterations": (0, None),
    }  # fmt: skip

    def __init__(self, gamma: float, gae_lambda: float, return_window: int, metrics: tuple[str, ...] = ()) -> None:
        super().__init__(gamma, gae_lambda, return_window, PPO_METRICS + metrics)
        self._update_stopped = False

    def policy_terms(self, batch: Samples) -> tuple[Tensor, Tensor | None]:
        """Log-probabilities [B, K] of a batch, differentiable, and what else is added to the loss."""
        raise TypeError(f"{type(self).__name__} must define policy_terms(batch).")

    def batch_values(self, batch: Samples) -> Tensor:
        """Values [B] of a batch, differentiable."""
        raise TypeError(f"{type(self).__name__} must define batch_values(batch).")

    def credited(self, batch: Samples) -> WholeActions:
        """What has a ratio, an advantage and a value of its own: each decision, unless an algorithm looks into them."""
        return WholeActions(batch.actions)

    def credited_values(self, batch: Samples, credited: WholeActions) -> Tensor:
        """Values [T] of what is credited, differentiable."""
        return self.batch_values(batch)

    @property
    def update_stopped(self) -> bool:
        """Whether the policy has moved too far in this iteration."""
        return self._update_stopped

    def on_iteration_start(self) -> None:
        """Begin an iteration."""
        super().on_iteration_start()
        self._update_stopped = False

    def training_step(self, batch: Samples, batch_idx: int) -> Tensor:
        """PPO's loss on one batch of decisions."""
        parameters = (*self.actor_parameters(), *self.critic_parameters())
        if self._update_stopped:
            return torch.stack([plain(parameter).sum() for parameter in parameters]).sum() * 0.0
        log_probs, added_loss = self.policy_terms(batch)
        old_log_probs = batch.log_probs[:, : log_probs.shape[1]]
        credited = self.credited(batch)
        policy_loss, diagnostics = ppo.policy_loss(
            credited.log_probs(log_probs),
            credited.log_probs(old_log_probs),
            self._advantages(credited.flat(batch.advantages)),
            self.hparams["clip_coef"],
        )
        value_loss = ppo.value_loss(
            self.credited_values(batch, credited),
            credited.flat(batch.values),
            credited.flat(batch.returns),
            self.hparams["value_clip_coef"],
        )
        policy_loss, value_loss = credited.share * policy_loss, credited.share * value_loss
        entropy = ppo.entropy(log_probs)
        loss = policy_loss + self.hparams["value_coef"] * value_loss - self._entropy_coef() * entropy.mean()
        if added_loss is not None:
            loss = loss + added_loss
        with torch.no_grad():
            kl = ppo.exact_kl(old_log_probs, log_probs).mean()
        self.batch_kls.append(kl)
        self.update_metrics.update(
            {
                "loss/policy": policy_loss,
                "loss/value": value_loss,
                "loss/total": loss,
                "policy/entropy": entropy.mean(),
                "policy/effective_actions": entropy.detach().exp().mean(),
                "policy/kl": kl,
                "policy/k1": diagnostics["k1"],
                "policy/k3": diagnostics["k3"],
                "policy/clip_fraction": diagnostics["clip_fraction"],
            }
        )
        if batch_idx == 0:
            self.update_metrics.update({"policy/first_pass_ratio_deviation": diagnostics["ratio_deviation"]})
        return loss

    def _entropy_coef(self) -> float:
        remaining = self._remaining(self.current_epoch) if self.hparams["anneal_entropy"] else 1.0
        return self.hparams["entropy_coef"] * remaining

    def _advantages(self, advantages: Tensor) -> Tensor:
        """Advantages normalised with the statistics of this batch on all processes."""
        if not self.hparams["normalize_advantages"]:
            return advantages
        exact = advantages.double()
        moments = torch.stack([exact.new_tensor(len(exact)), exact.sum(), (exact**2).sum()])
        count, total, squares = self.trainer.strategy.reduce(moments, reduce_op="sum")
        mean = total / count
        std = (squares / count - mean**2).clamp(min=0).sqrt()
        return ppo.normalize_advantages(advantages, mean.float(), std.float())

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Stop the iteration's update where the policy has moved too far; hold the actor still in the warm-up.

        A parameter without gradient is no step for AdamW at all, whereas a zero gradient or learning rate would still
        move its moments.
        """
        super().on_before_optimizer_step(optimizer)
        target_kl = self.hparams["target_kl"]
        if self.kl is not None and target_kl is not None and self.kl > target_kl:
            self._update_stopped = True
        if self._update_stopped:
            optimizer.zero_grad(set_to_none=True)
        if self.data.iteration <= self.hparams["critic_warmup_iterations"]:
            for parameter in self.actor_parameters():
                parameter.grad = None

    def on_train_epoch_end(self) -> None:
        """Log the iteration."""
        self.update_metrics.update({"policy/update_stopped": torch.tensor(float(self._update_stopped))})
        super().on_train_epoch_end()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep whether the iteration's update was stopped."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["update_stopped"] = self._update_stopped

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on in a stopped iteration as such."""
        super().on_load_checkpoint(checkpoint)
        self._update_stopped = checkpoint.get("update_stopped", False)
