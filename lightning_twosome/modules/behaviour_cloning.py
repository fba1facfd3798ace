"""Behaviour cloning: the scored policy learns what the environment's own expert does.

::

    environments --expert_action()--> decisions [B] with the expert's action, in the expert's own episodes
    log_probs [B, K] --cross-entropy--> adapter          value [B] --squared error to the expert's returns--> critic
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import gymnasium as gym
import torch
from torch import Tensor

from lightning_twosome import ppo
from lightning_twosome.agent import CriticInput, Normalization
from lightning_twosome.errors import UserError
from lightning_twosome.language_model import LanguageModelConfig
from lightning_twosome.modules.language_model_policy import LanguageModelPolicy
from lightning_twosome.modules.learner import LearningModule
from lightning_twosome.modules.on_policy import Bounds
from lightning_twosome.rollout import Policy
from lightning_twosome.samples import Samples
from lightning_twosome.vector_env import State, TextVectorEnv

METRICS = (
    "loss/policy", "loss/value", "loss/total", "policy/entropy", "policy/effective_actions", "policy/accuracy",
    "lr/actor", "lr/critic",
)  # fmt: skip


class BehaviourCloning(LanguageModelPolicy, LearningModule):
    """Supervised fine-tuning of TWOSOME's policy on the episodes of ``env.unwrapped.expert_action()``.

    The expert acts where other modules' policies do, so that environment steps are decisions of the expert.

    Args:
        language_model: What to load: a config, the same as a mapping, or a name.
        normalization: "sum", "token", "word" or "character": what divides an action's log-probability; or "trie".
        beta: Inverse temperature on the normalised scores, or "mean_count" for the mean count that the normalisation
            divides by.
        critic: "frozen" or "adapted".
        critic_hidden: Widths of the critic's hidden layers.
        scoring: "auto", "tree", "cache" or "duplicate".
        token_budget: Most positions in one forward pass.
        share_work: Score equal decisions once and remember; must be off with dropout.
        frozen_layers: Lower layers without adapter whose activations are cached.
        cache_megabytes: Most that each memory of decisions may take (docs/training.md).
        actor_lr: Learning rate of the adapter.
        critic_lr: Learning rate of the critic.
        anneal_lr: Linear decay of the learning rates to 0 over the training.
        max_skipped_updates: Updates in a row, skipped because loss or gradient was not finite, that end the run.
        value_coef: Weight of the value loss.
        gamma: Discount per primitive environment step.
        return_window: Episodes over which the training return, that of the expert, is averaged.

    Raises:
        UserError: A value is out of range, or an environment has no expert.
    """

    METHOD = "that imitates an environment's expert by scoring the texts of its valid actions"
    RANGES: ClassVar[Mapping[str, Bounds]] = {
        **LanguageModelPolicy.RANGES,
        "actor_lr": (0, None), "critic_lr": (0, None), "value_coef": (0, None), "return_window": (1, None),
        "token_budget": (1, None), "max_skipped_updates": (1, None),
    }  # fmt: skip

    def __init__(
        self,
        language_model: LanguageModelConfig | str = "bundled",
        normalization: Normalization = "word",
        beta: float | Literal["mean_count"] = 1.0,
        critic: CriticInput = "frozen",
        critic_hidden: Sequence[int] = (128,),
        scoring: str = "auto",
        token_budget: int = 16384,
        share_work: bool = True,
        frozen_layers: int = 0,
        cache_megabytes: float = 512,
        actor_lr: float = 1e-3,
        critic_lr: float = 1e-3,
        anneal_lr: bool = True,
        max_skipped_updates: int = 10,
        value_coef: float = 0.5,
        gamma: float = 0.99,
        return_window: int = 100,
    ) -> None:
        # With a trace that does not decay, returns are those of the whole episode, as far as the rollout goes.
        super().__init__(gamma, 1.0, return_window, METRICS)
        self.save_hyperparameters(ignore=["language_model"])
        self.check_ranges()
        self.describe_language_model(language_model)

    def setup(self, stage: str) -> None:
        """Ask every environment for its expert."""
        if stage == "fit":
            for task in self.data.tasks:
                _require_expert(task.label, task.make())
        super().setup(stage)

    def rollout_policy(self, env: TextVectorEnv) -> Policy:
        """The expert."""
        return ExpertPolicy(env, self, self.gamma)

    def training_step(self, batch: Samples, batch_idx: int) -> Tensor:
        """Cross-entropy of the expert's actions and the critic's squared error."""
        log_probs = self.agent.action_log_probs(batch.decisions).float()
        values = self.agent.values([decision.prompt for decision in batch.decisions]).float()
        policy_loss = -log_probs.gather(1, batch.actions[:, None]).mean()
        value_loss = ppo.value_loss(values, batch.values, batch.returns, clip_coef=None)
        loss = policy_loss + self.hparams["value_coef"] * value_loss
        entropy = ppo.entropy(log_probs)
        self.update_metrics.update(
            {
                "loss/policy": policy_loss,
                "loss/value": value_loss,
                "loss/total": loss,
                "policy/entropy": entropy.mean(),
                "policy/effective_actions": entropy.exp().mean(),
                "policy/accuracy": (log_probs.argmax(-1) == batch.actions).float().mean(),
            }
        )
        return loss

    def iteration_metrics(self) -> dict[str, Tensor | float]:
        """What is logged of the iteration's update."""
        return {**super().iteration_metrics(), "policy/beta": self.agent.beta.detach()}


class ExpertPolicy:
    """The policy of the environments' own experts, in the states that the environments are in.

    Args:
        env: The environments.
        critic: Gives the values.
        gamma: Discount per primitive step, for experts whose choice depends on it.
    """

    def __init__(self, env: TextVectorEnv, critic: Policy, gamma: float) -> None:
        self.env = env
        self.critic = critic
        self.gamma = gamma

    def action_log_probs(self, states: Sequence[State]) -> Tensor:
        """0 for the expert's action, ``-inf`` for all others [B, K]."""
        table = torch.full((len(states), max(len(state.decision.actions) for state in states)), -torch.inf)
        for row, action in enumerate(self.env.expert_actions(self.gamma)):
            table[row, action] = 0.0
        return table

    def state_values(self, states: Sequence[State]) -> Tensor:
        """Value of every state [B], the critic's estimate."""
        return self.critic.state_values(states)


def _require_expert(name: str, environment: gym.Env) -> None:
    known = hasattr(environment.unwrapped, "expert_action")
    environment.close()
    if not known:
        raise UserError(
            f"BehaviourCloning learns from the environment's expert, and {name!r} has no expert_action(): give the "
            "environment one, which returns the index of its choice among info['actions'], or train a TwosomePPO."
        )
