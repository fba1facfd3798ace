"""SayCan: what the frozen language model says, times what can be done (arXiv 2204.01691).

::

    examples + prompt + actions --frozen model--> log p(action) [B, K]  ("say")  --+--> the largest sum is taken
    prompt + action [B * K]     --frozen model, MLP--> log affordance   ("can")  --+
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn

from lightning_twosome.agent import Normalization
from lightning_twosome.decisions import Decision
from lightning_twosome.errors import UserError
from lightning_twosome.evaluation import uniform_policy
from lightning_twosome.language_model import LanguageModelConfig
from lightning_twosome.modules.learner import LearningModule
from lightning_twosome.modules.on_policy import Bounds
from lightning_twosome.modules.zero_shot import FrozenPolicy
from lightning_twosome.rollout import Policy, Rollout
from lightning_twosome.samples import Samples
from lightning_twosome.vector_env import State, TextVectorEnv

METRICS = ("loss/total", "affordance/accuracy", "affordance/share", "lr/affordance")


class SayCan(FrozenPolicy, LearningModule):
    """A frozen language model that chooses among what can be done.

    With ``affordance="offered"`` what can be done is what the environment offers, and nothing is trained. With
    "learned" it is also the probability that the action has an effect, which ``fit`` learns from uniformly random play.

    Args:
        language_model: What to load: a config, the same as a mapping, or a name. Its ``lora`` is not looked at.
        examples: Text that is put before every prompt as it stands: solved examples of other tasks.
        affordance: "offered" or "learned".
        greedy: Take the best action always, as SayCan does; else sample by the product of the two.
        normalization: "sum", "token", "word" or "character": what divides an action's log-probability; or "trie".
        beta: Inverse temperature on the normalised scores, or "mean_count" for the mean count that the normalisation
            divides by.
        scoring: "auto", "tree", "cache" or "duplicate".
        token_budget: Most positions in one forward pass.
        cache_megabytes: Most that each memory of decisions may take (docs/training.md).
        affordance_hidden: Widths of the hidden layers of the learned affordance.
        affordance_lr: Its learning rate.
        anneal_lr: Linear decay of the learning rate to 0 over the training.
        max_skipped_updates: Updates in a row, skipped because loss or gradient was not finite, that end the run.
        gamma: Discount per primitive environment step, of the returns that are reported.
        return_window: Episodes over which the training return, that of random play, is averaged.

    Raises:
        UserError: A value is out of range, "offered" is asked to train, or "learned" to play without.
    """

    RANGES: ClassVar[Mapping[str, Bounds]] = {
        **FrozenPolicy.RANGES,
        "affordance_lr": (0, None), "return_window": (1, None), "token_budget": (1, None),
        "max_skipped_updates": (1, None),
    }  # fmt: skip

    def __init__(
        self,
        language_model: LanguageModelConfig | str = "bundled",
        examples: str = "",
        affordance: Literal["offered", "learned"] = "offered",
        greedy: bool = True,
        normalization: Normalization = "word",
        beta: float | Literal["mean_count"] = 1.0,
        scoring: str = "auto",
        token_budget: int = 16384,
        cache_megabytes: float = 512,
        affordance_hidden: Sequence[int] = (128,),
        affordance_lr: float = 1e-3,
        anneal_lr: bool = True,
        max_skipped_updates: int = 10,
        gamma: float = 0.99,
        return_window: int = 100,
    ) -> None:
        super().__init__(gamma, 1.0, return_window, METRICS)
        self.save_hyperparameters(ignore=["language_model"])
        self.check_ranges()
        self.check_widths("affordance_hidden")
        self.describe_language_model(language_model)
        self._has_learned = False
        if affordance not in ("offered", "learned"):
            raise UserError(f"model.affordance is {affordance!r}; it must be 'offered' or 'learned'.")

    def setup(self, stage: str) -> None:
        """Refuse to train where there is nothing to train."""
        if stage == "fit" and self.hparams["affordance"] == "offered":
            raise UserError(
                "SayCan with model.affordance=offered has nothing to train: use validate, test or predict, or set "
                "model.affordance to learned."
            )
        super().setup(stage)

    def on_validation_start(self) -> None:
        """Refuse an affordance of random weights; a checkpoint's are there by now."""
        random = self.hparams["affordance"] == "learned" and not self._has_learned
        if random and self.trainer.state.fn != TrainerFn.FITTING:
            raise UserError(
                "SayCan with model.affordance=learned has not learned it yet: train it by fit and name the checkpoint, "
                "as in --ckpt_path last, or set model.affordance to offered."
            )

    def on_test_start(self) -> None:
        """The same for ``test``."""
        self.on_validation_start()

    def on_predict_start(self) -> None:
        """The same for ``predict``."""
        self.on_validation_start()

    def on_train_start(self) -> None:
        """From here on the affordance is a learned one."""
        super().on_train_start()
        self._has_learned = True

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """A checkpoint's affordance is a learned one."""
        super().on_load_checkpoint(checkpoint)
        self._has_learned = True

    def agent_settings(self) -> dict[str, Any]:
        """The affordance stands where other modules have their critic."""
        return {**super().agent_settings(), "critic_hidden": self.hparams["affordance_hidden"]}

    # Acting

    def action_log_probs(self, states: Sequence[State]) -> Tensor:
        """Log-probability of every offered action [B, K], ``-inf`` in padding, without gradient."""
        examples = self.hparams["examples"]
        decisions = [Decision(examples + state.decision.prompt, state.decision.actions) for state in states]
        scores = self.agent.remembered_log_probs(decisions)
        if self.hparams["affordance"] == "learned":
            scores = scores + self.log_affordances(states)
        return taken_always(scores) if self.hparams["greedy"] else torch.log_softmax(scores, dim=-1)

    @torch.no_grad()
    def log_affordances(self, states: Sequence[State]) -> Tensor:
        """Log-probability [B, K] that each offered action has an effect, 0 in padding."""
        decisions = [state.decision for state in states]
        texts = [can_be_done(decision, action) for decision in decisions for action in range(len(decision.actions))]
        rows = nn.functional.logsigmoid(self.agent.values(texts)).split([len(d.actions) for d in decisions])
        return nn.utils.rnn.pad_sequence(list(rows), batch_first=True)

    # Learning

    def rollout_policy(self, env: TextVectorEnv) -> Policy:
        """Uniformly random: every action is tried."""
        return uniform_policy()

    def samples(self, rollout: Rollout) -> Samples:
        """Every decision with whether it had an effect as return, and as advantage whether that is known."""
        samples = super().samples(rollout)
        effects, known = effects_of(rollout)
        samples.returns, samples.advantages = effects.flatten(), known.flatten()
        return samples

    def rollout_figures(self, values: Tensor, samples: Samples) -> dict[str, Tensor]:
        """Without the explained variance, since no value of a state is learned."""
        figures = super().rollout_figures(values, samples)
        del figures["value/explained_variance"]
        return figures

    def training_step(self, batch: Samples, batch_idx: int) -> Tensor:
        """Cross-entropy between the affordance of the taken actions and whether they had an effect."""
        texts = [can_be_done(d, int(action)) for d, action in zip(batch.decisions, batch.actions, strict=True)]
        logits = self.agent.values(texts).float()
        known, count = batch.advantages, batch.advantages.sum().clamp(min=1)
        losses = nn.functional.binary_cross_entropy_with_logits(logits, batch.returns, reduction="none")
        loss = (losses * known).sum() / count
        right = ((logits > 0) == (batch.returns > 0.5)).float()
        self.update_metrics.update(
            {
                "loss/total": loss,
                "affordance/accuracy": (right * known).sum() / count,
                "affordance/share": (batch.returns * known).sum() / count,
            }
        )
        return loss

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The optimizer's only group."""
        return [{"name": "affordance", "params": self.critic_parameters(), "lr": self.hparams["affordance_lr"]}]


def can_be_done(decision: Decision, action: int) -> str:
    """The text whose feature the affordance reads."""
    return f"{decision.prompt} {decision.actions[action]}"


def taken_always(scores: Tensor) -> Tensor:
    """Log-probabilities [B, K] of always taking the best score, the first of equal ones."""
    best = scores.argmax(dim=-1, keepdim=True)
    return torch.full_like(scores, -torch.inf).scatter(1, best, 0.0)


def effects_of(rollout: Rollout) -> tuple[Tensor, Tensor]:
    """Whether each action had an effect, and where that is known: 0 or 1, float32 [S, N] twice.

    An action had an effect if it ended the episode or if the environment shows something else afterwards. Unknown is
    what followed the rollout's last step and what a time limit cut off.
    """
    decisions = [[state.decision for state in row] for row in rollout.states]
    changed = [
        [now != then for now, then in zip(*rows, strict=True)] for rows in zip(decisions, decisions[1:], strict=False)
    ]
    last = [False] * rollout.actions.shape[1]
    known = ~rollout.truncated
    known[-1] = rollout.terminated[-1]
    return (torch.tensor([*changed, last]) | rollout.terminated).float(), known.float()
