"""TWOSOME: PPO over the texts of valid actions, on one shared language model with LoRA (arXiv 2401.14151).

::

    prompt + actions --language model with adapter--> log_probs [B, K]     prompt --frozen model, MLP--> value [B]
    log_probs, value --PPOModule--> the update
    restatements     --language model, in the same pass--> consistency_loss, where consistency_coef is not 0

``objective: poad`` credits the choices in an action instead of the action (arXiv 2405.15821, lightning_twosome.credit).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from lightning_twosome import ppo
from lightning_twosome.agent import CriticInput, Normalization
from lightning_twosome.credit import Choices, WholeActions, choice_advantages
from lightning_twosome.decisions import Decision
from lightning_twosome.errors import UserError
from lightning_twosome.language_model import LanguageModelConfig
from lightning_twosome.modules.language_model_policy import LanguageModelPolicy
from lightning_twosome.modules.learner import Bounds
from lightning_twosome.modules.ppo_module import PPOModule
from lightning_twosome.players import Transitions
from lightning_twosome.rollout import Rollout
from lightning_twosome.samples import Samples

METHODS = {
    "twosome": "aligned with an environment by PPO over the texts of its valid actions (arXiv 2401.14151)",
    "poad": "aligned with an environment by PPO over the tokens of its valid actions (POAD, arXiv 2405.15821)",
}


class TwosomePPO(LanguageModelPolicy, PPOModule):
    """PPO on a language model that scores the valid actions.

    Args:
        language_model: What to load: a config, the same as a mapping, or a name.
        objective: "twosome" gives each action one ratio and one advantage, "poad" each choice among valid next tokens.
        normalization: "sum", "token", "word" or "character": what divides an action's log-probability; "trie" for the
            product of its tokens' probabilities, each among the valid tokens at its place, POAD's policy.
        beta: Inverse temperature on the normalised scores, or "mean_count" for the mean count that the normalisation
            divides by.
        learn_beta: Train beta.
        critic: "frozen" (the paper) or "adapted".
        critic_hidden: Widths of the critic's hidden layers.
        scoring: "auto", "tree", "cache" or "duplicate".
        token_budget: Most positions in one forward pass.
        share_work: Score equal decisions once and remember; must be off with dropout.
        frozen_layers: Lower layers without adapter whose activations are cached.
        cache_megabytes: Most that each memory of decisions may take (docs/training.md).
        actor_lr: Learning rate of the adapter. Small models need far more than the paper's 5e-7.
        critic_lr: Learning rate of the critic.
        beta_lr: Learning rate of beta, where it is learned.
        anneal_lr: Linear decay of the learning rates to 0 over the training.
        max_skipped_updates: Updates in a row, skipped because loss or gradient was not finite, that end the run.
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

    RANGES: ClassVar[Mapping[str, Bounds]] = {
        **PPOModule.RANGES, "beta_lr": (0, None), "consistency_coef": (0, None), "token_budget": (1, None),
    }  # fmt: skip

    def __init__(
        self,
        language_model: LanguageModelConfig | str = "bundled",
        objective: Literal["twosome", "poad"] = "twosome",
        normalization: Normalization = "word",
        beta: float | Literal["mean_count"] = 1.0,
        learn_beta: bool = False,
        critic: CriticInput = "frozen",
        critic_hidden: Sequence[int] = (128,),
        scoring: str = "auto",
        token_budget: int = 16384,
        share_work: bool = True,
        frozen_layers: int = 0,
        cache_megabytes: float = 512,
        actor_lr: float = 1e-3,
        critic_lr: float = 1e-3,
        beta_lr: float = 1e-2,
        anneal_lr: bool = True,
        max_skipped_updates: int = 10,
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
        super().__init__(gamma, gae_lambda, return_window, ("lr/beta", "loss/consistency", "policy/choices"))
        self.save_hyperparameters(ignore=["language_model"])
        self.check_ranges()
        if objective not in METHODS:
            raise UserError(f"model.objective is {objective!r}; choose one of {', '.join(METHODS)}.")
        self.METHOD = METHODS[objective]
        self.describe_language_model(language_model)

    def setup(self, stage: str) -> None:
        """Ask for restatements where they are needed."""
        if stage == "fit" and self.hparams["consistency_coef"] > 0:
            self._require_restatements()
        super().setup(stage)

    def _require_restatements(self) -> None:
        if not any(state.restatement is not None for state in self.data.example_states()):
            raise UserError(
                f"model.consistency_coef is {self.hparams['consistency_coef']}, but the environment shows no state in "
                "other words (info['restatement']): set data.env_kwargs.restate to another prompt style, or "
                "model.consistency_coef to 0."
            )

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The optimizer's groups: actor, critic and, if it is learned, beta."""
        beta = self.agent.log_beta
        actor, critic = super().parameter_groups()
        actor["params"] = [parameter for parameter in actor["params"] if parameter is not beta]
        learned = [{"name": "beta", "params": [beta], "lr": self.hparams["beta_lr"]}] if beta.requires_grad else []
        return [actor, critic, *learned]

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

    def policy_terms(self, batch: Samples) -> tuple[Tensor, Tensor | None]:
        """Log-probabilities [B, K] of a batch, and the consistency term where it has restatements."""
        log_probs, restated_log_probs = self._update_log_probs(batch)
        if not len(restated_log_probs):
            return log_probs, None
        restated = torch.tensor([state.restatement is not None for state in batch.states])
        consistency = ppo.consistency_loss(log_probs[restated], restated_log_probs)
        self.update_metrics.update({"loss/consistency": consistency})
        return log_probs, self.hparams["consistency_coef"] * consistency

    def batch_values(self, batch: Samples) -> Tensor:
        """Values [B] of a batch."""
        return self.agent.values([decision.prompt for decision in batch.decisions]).float()

    # Credit

    def _choices(self, decisions: Sequence[Decision], actions: Tensor) -> Choices:
        return Choices(self.agent.scorer.encoder, decisions, actions)

    def estimate(self, rollout: Rollout, transitions: Transitions) -> tuple[Tensor, Tensor, Tensor]:
        """Value, advantage and return of each decision [B], or with POAD of each choice [B, M]."""
        if self.hparams["objective"] == "twosome":
            return super().estimate(rollout, transitions)
        decisions = [state.decision for state in rollout.flat_states()]
        choices = self._choices(decisions, rollout.actions.flatten())
        shape = rollout.actions.shape
        values = choices.table(self.agent.values(choices.places).float().cpu())
        real = choices.real.unflatten(0, shape)
        advantages, returns = choice_advantages(
            transitions, values.unflatten(0, shape), real, rollout.players, self.gamma, self.gae_lambda
        )
        return values, advantages.flatten(0, 1), returns.flatten(0, 1)

    def credited(self, batch: Samples) -> WholeActions:
        """Each decision, or with POAD each choice."""
        if self.hparams["objective"] == "twosome":
            return super().credited(batch)
        choices = self._choices(batch.decisions, batch.actions)
        count = choices.real.sum().float()
        choices.share = count / self.trainer.strategy.reduce(count.clone(), reduce_op="mean")
        self.update_metrics.update({"policy/choices": count / len(batch)})
        return choices

    def credited_values(self, batch: Samples, credited: WholeActions) -> Tensor:
        """Values of the prompts, or with POAD of the prefixes before each choice."""
        if isinstance(credited, Choices):
            return self.agent.values(credited.places).float()
        return super().credited_values(batch, credited)

    def iteration_metrics(self) -> dict[str, Tensor | float]:
        """What is logged of the iteration's update."""
        return {**super().iteration_metrics(), "policy/beta": self.agent.beta.detach()}
