"""TWOSOME: PPO over the texts of valid actions, on one shared language model with LoRA (arXiv 2401.14151).

::

    Samples [B] --action_log_probs, values--> log_probs [B, K], value [B]
                --policy_loss, value_loss, entropy--> loss --backward--> adapter and critic, clipped apart
                --exact_kl--> stop of this iteration's update, the same on all processes
    restatements --action_log_probs, in the same pass--> consistency_loss, where consistency_coef is not 0
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import AdamW, Optimizer

from lightning_twosome import ppo
from lightning_twosome.agent import ActorCritic, CriticInput, Normalization
from lightning_twosome.errors import UserError
from lightning_twosome.language_model import LanguageModelConfig
from lightning_twosome.metrics import UpdateMetrics
from lightning_twosome.modules.on_policy import OnPolicyModule
from lightning_twosome.samples import Samples
from lightning_twosome.trained_weights import check_weights, kept_weights
from lightning_twosome.vector_env import State

logger = logging.getLogger(__name__)

UPDATE_METRICS = (
    "loss/policy", "loss/value", "loss/total", "policy/entropy", "policy/effective_actions", "policy/kl", "policy/k1",
    "policy/k3", "policy/clip_fraction", "policy/first_pass_ratio_deviation", "policy/update_stopped", "lr/actor",
    "lr/critic", "lr/beta", "loss/consistency",
)  # fmt: skip


class TwosomePPO(OnPolicyModule):
    """PPO on a language model that scores the valid actions.

    Args:
        language_model: What to load: a config, the same as a mapping, or a name.
        normalization: "sum", "token", "word" or "character": what divides an action's log-probability.
        beta: Inverse temperature on the normalised scores, or "mean_count" for the mean count that the normalisation
            divides by.
        learn_beta: Train beta.
        critic: "frozen" (the paper) or "adapted".
        critic_hidden: Widths of the critic's hidden layers.
        scoring: "auto", "tree", "cache" or "duplicate".
        token_budget: Most positions in one forward pass.
        share_work: Score equal decisions once and remember; must be off with dropout.
        frozen_layers: Lower layers without adapter whose activations are cached.
        actor_lr: Learning rate of the adapter. Small models need far more than the paper's 5e-7.
        critic_lr: Learning rate of the critic.
        beta_lr: Learning rate of beta, where it is learned.
        anneal_lr: Linear decay of the learning rates to 0 over the training.
        clip_coef: Half-width of PPO's interval around ratio 1.
        value_clip_coef: Clip of the value loss in units of return; ``None`` for none.
        value_coef: Weight of the value loss.
        entropy_coef: Weight of the entropy bonus.
        anneal_entropy: Linear decay of ``entropy_coef`` to 0 over the training.
        consistency_coef: Weight of the KL divergence between the policies on a state as it is shown and on its
            restatement, which the environment must give (``info["restatement"]``); 0 for none.
        normalize_advantages: Subtract the mean and divide by the standard deviation over the optimizer step's batch.
        target_kl: Exact KL divergence from the rollout's policy, in nats, beyond which the iteration's update stops;
            ``None`` for no stop.
        critic_warmup_iterations: Iterations at the start in which only the critic learns.
        gamma: Discount per primitive environment step.
        gae_lambda: Trace decay per decision.
        return_window: Episodes over which the training return is averaged.

    Raises:
        UserError: A value is out of range, or the language model cannot be loaded.
    """

    def __init__(
        self,
        language_model: LanguageModelConfig | str = "bundled",
        normalization: Normalization = "word",
        beta: float | Literal["mean_count"] = 1.0,
        learn_beta: bool = False,
        critic: CriticInput = "frozen",
        critic_hidden: Sequence[int] = (128,),
        scoring: str = "auto",
        token_budget: int = 16384,
        share_work: bool = True,
        frozen_layers: int = 0,
        actor_lr: float = 1e-3,
        critic_lr: float = 1e-3,
        beta_lr: float = 1e-2,
        anneal_lr: bool = True,
        clip_coef: float = 0.2,
        value_clip_coef: float | None = None,
        value_coef: float = 0.5,
        entropy_coef: float = 0.01,
        anneal_entropy: bool = True,
        consistency_coef: float = 0.0,
        normalize_advantages: bool = True,
        target_kl: float | None = 0.1,
        critic_warmup_iterations: int = 0,
        gamma: float = 0.99,
        gae_lambda: float = 0.95,
        return_window: int = 100,
    ) -> None:
        super().__init__(gamma, gae_lambda, return_window)
        config = LanguageModelConfig.of(language_model)
        self.save_hyperparameters(ignore=["language_model"])
        self.save_hyperparameters({"language_model": asdict(config)})
        self.language_model_config = config
        self.actor_critic: ActorCritic | None = None
        self.update_metrics = UpdateMetrics(UPDATE_METRICS)
        self.strict_loading = False
        self._update_stopped = False
        self._batch_kls: list[Tensor] = []
        self._check_arguments()

    def _check_arguments(self) -> None:
        ranges = {
            "gamma": (0, 1), "gae_lambda": (0, 1), "clip_coef": (0, 1), "actor_lr": (0, None), "critic_lr": (0, None),
            "beta_lr": (0, None), "entropy_coef": (0, None), "consistency_coef": (0, None), "value_coef": (0, None),
            "target_kl": (0, None), "token_budget": (1, None),
            "value_clip_coef": (0, None), "critic_warmup_iterations": (0, None), "return_window": (1, None),
        }  # fmt: skip
        for name, (low, high) in ranges.items():
            value = self.hparams[name]
            if value is not None and (value < low or (high is not None and value > high)):
                bounds = f"at least {low}" if high is None else f"between {low} and {high}"
                raise UserError(f"model.{name} is {value}; it must be {bounds}.")
        beta = self.hparams["beta"]
        if beta != "mean_count" and not (isinstance(beta, int | float) and beta > 0):
            raise UserError(f"model.beta is {beta!r}; it must be a positive number or 'mean_count'.")

    # Model

    def configure_model(self) -> None:
        """Load the language model and put the critic on it, once the whole config has been found right."""
        if self.actor_critic is not None:
            return
        language_model = self.language_model_config.load()
        names = (
            "normalization", "beta", "learn_beta", "critic", "critic_hidden", "scoring", "token_budget", "share_work",
            "frozen_layers",
        )  # fmt: skip
        self.actor_critic = ActorCritic(language_model, **{name: self.hparams[name] for name in names})
        self.language_model = language_model
        self.train()  # transformers gives models in evaluation mode, in which gradient checkpointing is silently off
        trainable = sum(parameter.numel() for parameter in self.agent.actor_parameters())
        critic = sum(parameter.numel() for parameter in self.agent.critic_parameters())
        total = sum(parameter.numel() for parameter in language_model.model.parameters())
        rank_zero_only(logger.info)(
            f"Language model {language_model.name}: {total:,} parameters, of which {trainable:,} are trained; critic "
            f"{critic:,}."
        )

    @property
    def agent(self) -> ActorCritic:
        """The actor-critic, which exists once :meth:`configure_model` has run."""
        if self.actor_critic is None:
            self.configure_model()
        assert self.actor_critic is not None
        return self.actor_critic

    def setup(self, stage: str) -> None:
        """Ask for restatements where they are needed; start beta at the actions' mean count, where it is asked for."""
        if stage == "fit" and self.hparams["consistency_coef"] > 0:
            self._require_restatements()
        if self.agent.beta_from_counts:
            self.agent.initialize_beta([state.decision for state in self.data.example_states()])

    def _require_restatements(self) -> None:
        if not any(state.restatement is not None for state in self.data.example_states()):
            raise UserError(
                f"model.consistency_coef is {self.hparams['consistency_coef']}, but the environment shows no state in "
                "other words (info['restatement']): set data.env_kwargs.restate to another prompt style, or "
                "model.consistency_coef to 0."
            )

    def action_log_probs(self, states: Sequence[State]) -> Tensor:
        """Log-probability of every offered action [B, K], ``-inf`` in padding, without gradient."""
        return self.agent.remembered_log_probs([state.decision for state in states])

    def state_values(self, states: Sequence[State]) -> Tensor:
        """Value of every state [B], without gradient."""
        with torch.no_grad():
            return self.agent.values([state.decision.prompt for state in states])

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """One AdamW with a named group each for actor, critic and, if it is learned, beta."""
        beta = self.agent.log_beta
        groups = [
            {
                "name": "actor",
                "params": [p for p in self.agent.actor_parameters() if p is not beta],
                "lr": self.hparams["actor_lr"],
            },
            {"name": "critic", "params": self.agent.critic_parameters(), "lr": self.hparams["critic_lr"]},
        ]
        if beta.requires_grad:
            groups.append({"name": "beta", "params": [beta], "lr": self.hparams["beta_lr"]})
        optimizer = AdamW(groups, eps=1e-5, weight_decay=0.0)
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

    # Update

    def on_train_start(self) -> None:
        """Refuse what would go wrong."""
        if self.trainer.precision == "16-mixed":
            raise UserError(
                "trainer.precision=16-mixed scales the loss and cannot skip an update; use bf16-mixed, bf16-true or "
                "32-true."
            )

    def on_rollout_start(self) -> None:
        """Forget what an evaluation remembered.

        It was scored in other company, which changes the last bits; a resumed run, which has no such memory, would
        differ from the uninterrupted one.
        """
        self.agent.forget()

    def on_iteration_start(self) -> None:
        """Begin an iteration."""
        super().on_iteration_start()
        self._update_stopped = False
        self.update_metrics.reset()
        self._follow_schedule()

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

    @property
    def packing_matters(self) -> bool:
        """Below float32 the same decision scores differently by up to 2 % in other company (docs/scoring.md)."""
        dtypes = {parameter.dtype for parameter in self.agent.model.parameters()}
        return dtypes != {torch.float32} or "bf16" in str(self.trainer.precision)

    def refresh_log_probs(self, samples: Samples, batches: Sequence[np.ndarray]) -> None:
        """Score the rollout again in the update's own batches, so that first ratios are 1 below float32 too."""
        with torch.enable_grad():  # the kernels may depend on it
            for index in batches:
                log_probs, _ = self._update_log_probs(samples.select(index))
                log_probs = log_probs.detach().float().cpu()
                samples.log_probs[torch.from_numpy(index), : log_probs.shape[1]] = log_probs

    def _update_log_probs(self, batch: Samples) -> tuple[Tensor, Tensor]:
        """Log-probabilities [B, K] of a batch and, in the same pass, of those restatements that are learned from."""
        restatements = [state.restatement for state in batch.states if state.restatement is not None]
        learned_from = restatements if self.hparams["consistency_coef"] > 0 else []
        log_probs = self.agent.action_log_probs([*batch.decisions, *learned_from]).float()
        return log_probs[: len(batch)], log_probs[len(batch) :]

    def training_step(self, batch: Samples, batch_idx: int) -> Tensor:
        """PPO's loss on one batch of decisions."""
        parameters = (*self.agent.actor_parameters(), *self.agent.critic_parameters())
        if self._update_stopped:
            return torch.stack([parameter.sum() for parameter in parameters]).sum() * 0.0
        log_probs, restated_log_probs = self._update_log_probs(batch)
        values = self.agent.values([decision.prompt for decision in batch.decisions]).float()
        old_log_probs = batch.log_probs[:, : log_probs.shape[1]]
        taken = batch.actions[:, None]
        advantages = self._advantages(batch.advantages)
        policy_loss, diagnostics = ppo.policy_loss(
            log_probs.gather(1, taken).squeeze(1),
            old_log_probs.gather(1, taken).squeeze(1),
            advantages,
            self.hparams["clip_coef"],
        )
        value_loss = ppo.value_loss(values, batch.values, batch.returns, self.hparams["value_clip_coef"])
        entropy = ppo.entropy(log_probs)
        loss = policy_loss + self.hparams["value_coef"] * value_loss - self._entropy_coef() * entropy.mean()
        if len(restated_log_probs):
            restated = torch.tensor([state.restatement is not None for state in batch.states])
            consistency = ppo.consistency_loss(log_probs[restated], restated_log_probs)
            loss = loss + self.hparams["consistency_coef"] * consistency
            self.update_metrics.update({"loss/consistency": consistency})
        with torch.no_grad():
            kl = ppo.exact_kl(old_log_probs, log_probs).mean()
        self._batch_kls.append(kl)
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
        kl = (
            self.trainer.strategy.reduce(torch.stack(self._batch_kls).mean(), reduce_op="mean")
            if self._batch_kls
            else None
        )
        self._batch_kls.clear()
        self.update_metrics.update({f"lr/{g['name']}": torch.tensor(g["lr"]) for g in optimizer.param_groups})
        target_kl = self.hparams["target_kl"]
        if kl is not None and target_kl is not None and kl > target_kl:
            self._update_stopped = True
        if self._update_stopped:
            optimizer.zero_grad(set_to_none=True)
        self.agent.forget()  # by hand, since a fused optimizer's step leaves no mark on the weights' versions
        if self.data.iteration <= self.hparams["critic_warmup_iterations"]:
            for parameter in self.agent.actor_parameters():
                parameter.grad = None

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip actor (with beta) and critic apart, so that a large value loss does not shrink the policy's step."""
        if not gradient_clip_val:
            return
        for parameters in (self.agent.actor_parameters(), self.agent.critic_parameters()):
            if gradient_clip_algorithm == "value":
                torch.nn.utils.clip_grad_value_(parameters, gradient_clip_val)
            else:
                torch.nn.utils.clip_grad_norm_(parameters, gradient_clip_val)

    def on_train_epoch_end(self) -> None:
        """Log the iteration."""
        stopped = torch.tensor(float(self._update_stopped))
        self.update_metrics.update({"policy/update_stopped": stopped})
        self.log_iteration({**self.update_metrics.compute(), "policy/beta": self.agent.beta.detach()})

    # Checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what training changes: adapter, critic, beta and the metrics' windows; the trunk is loaded by name."""
        checkpoint["state_dict"] = kept_weights(self, checkpoint["state_dict"])
        checkpoint["update_stopped"] = self._update_stopped

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Compare the checkpoint's weights with this model's before any is loaded.

        Raises:
            UserError: Weights are missing, left over or of another shape, or the checkpoint has no state of this data
            module.
        """
        check_weights(self, checkpoint)
        self._update_stopped = checkpoint.get("update_stopped", False)
        self.agent.beta_from_counts = False
        self._check_data_state(checkpoint)

    def _check_data_state(self, checkpoint: dict[str, Any]) -> None:
        if self._trainer is None or not self.trainer.training:
            return
        key = type(self.data).__qualname__
        if key not in checkpoint:
            raise UserError(
                f"The checkpoint holds no state of a data module named {key!r}, so training would start its episodes "
                "and counters anew: resume with the "
                "data module class that wrote it."
            )
