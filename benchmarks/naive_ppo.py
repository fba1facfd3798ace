"""The paper's loop, written plainly: what a PPO iteration on text actions costs when nothing is shared.

::

    decision --K sequences prompt + action, padded--> logits everywhere --log_softmax over the vocabulary--> sum --> [K]
    prompt   --one more forward, adapter off, last token--> critic --> value

Every decision of the rollout and of the update pays for all of it anew: no trie, no memo, no cache, equal decisions not
recognised. Otherwise it is as good as it can be: no gradient in the rollout, the environments batched, padding to the
batch's longest row only, no attention mask where padding on the right needs none, no output head for the critic,
gradients accumulated over micro-batches. The losses are written out here once more, so that equal weights at the end
say something.

Letters: B decisions, K actions, R sequences, T tokens, H hidden.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lightning_twosome.decisions import Decision
from lightning_twosome.language_model import backbone
from lightning_twosome.ppo import smdp_advantages
from lightning_twosome.rollout import Rollout, RolloutCollector
from lightning_twosome.vector_env import State

COUNTS = {"word": lambda text: len(text.split()), "character": len, "sum": lambda text: 1}


@dataclass(frozen=True)
class Settings:
    """What both sides agree on, and how many decisions the naive one puts into a forward.

    Attributes:
        normalization: "sum", "token", "word" or "character".
        beta: Inverse temperature.
        gamma: Discount per primitive step.
        gae_lambda: Trace decay.
        clip_coef: PPO's clip.
        value_coef: Weight of the value loss.
        entropy_coef: Weight of the entropy bonus.
        max_grad_norm: Clip of each group's gradient norm.
        decisions_per_forward: Decisions whose sequences share a batch in the update.
        prompts_per_forward: Prompts that share a batch of the critic.
    """

    normalization: str
    beta: float
    gamma: float
    gae_lambda: float
    clip_coef: float
    value_coef: float
    entropy_coef: float
    max_grad_norm: float
    decisions_per_forward: int = 4
    prompts_per_forward: int = 16


def now(device: torch.device) -> float:
    """Seconds, once the device has done its work: the process's own on one CPU thread, else the wall clock's."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.process_time() if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter()


class NaivePPO:
    """Policy, value and update of the naive loop; its environments and random numbers come from ``collector``.

    Args:
        model: A causal LM with a PEFT adapter, trained in place.
        tokenizer: Its fast tokenizer.
        critic: The value head, trained in place.
        optimizer: Of the adapter and of the critic, in two groups.
        collector: The environments and the uniform numbers that choose the actions.
        settings: The hyperparameters.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: object,
        critic: nn.Module,
        optimizer: torch.optim.Optimizer,
        collector: RolloutCollector,
        settings: Settings,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.critic = critic
        self.optimizer = optimizer
        self.collector = collector
        self.settings = settings
        self.device = next(critic.parameters()).device
        self.rollout: Rollout | None = None
        self.rollout_seconds = 0.0
        self.update_seconds = 0.0

    def iterate(self, iteration: int, minibatches: Sequence[np.ndarray]) -> None:
        """One PPO iteration: rollout, advantages, update.

        Args:
            iteration: Its number, which seeds the actions.
            minibatches: Index of the decisions of each optimizer step.
        """
        start = now(self.device)
        with torch.no_grad():
            rollout = self.collector.collect(self, self.settings.gamma, iteration)
        self.rollout = rollout
        advantages, returns = smdp_advantages(
            rollout.rewards, rollout.values, rollout.next_values, rollout.durations, rollout.terminated,
            rollout.truncated, self.settings.gamma, self.settings.gae_lambda,
        )  # fmt: skip
        middle = now(self.device)
        decisions = [state.decision for state in rollout.flat_states()]
        taken = rollout.actions.flatten()
        old = rollout.log_probs.flatten(0, 1).gather(1, taken[:, None]).squeeze(1)
        table = torch.stack([taken.float(), old, advantages.flatten(), returns.flatten()])
        for index in minibatches:
            self._optimizer_step([decisions[i] for i in index], table[:, torch.from_numpy(index)].to(self.device))
        self.rollout_seconds, self.update_seconds = middle - start, now(self.device) - middle

    # What the collector asks

    def action_log_probs(self, states: Sequence[State]) -> Tensor:
        """Log-probability of every action [B, K], ``-inf`` in padding."""
        return self.policy([state.decision for state in states])

    def state_values(self, states: Sequence[State]) -> Tensor:
        """Value of every state [B]."""
        return self.values([state.decision.prompt for state in states])

    # Model

    def policy(self, decisions: Sequence[Decision]) -> Tensor:
        """Log-probability of every action [B, K], ``-inf`` in padding, from K sequences a decision."""
        texts = [f"{decision.prompt} {action}" for decision in decisions for action in decision.actions]
        context = [len(decision.prompt) for decision in decisions for _ in decision.actions]
        ids, ends = self._encode(texts)
        scored = ends[:, 1:] > torch.tensor(context, device=self.device)[:, None]
        logits = self.model(input_ids=ids[:, :-1], use_cache=False).logits
        log_prob = torch.log_softmax(logits.float(), dim=-1).gather(-1, ids[:, 1:, None]).squeeze(-1)
        sums = (log_prob * scored).sum(dim=1)
        if self.settings.normalization == "token":
            counts = scored.sum(dim=1)
        else:
            count = COUNTS[self.settings.normalization]
            counts = torch.tensor([count(a) for d in decisions for a in d.actions], device=self.device)
        rows = (sums / counts).split([len(decision.actions) for decision in decisions])
        logits = nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=-torch.inf)
        return torch.log_softmax(self.settings.beta * logits, dim=-1)

    def values(self, prompts: Sequence[str]) -> Tensor:
        """Value of each prompt [B]; the trunk is frozen, so only the head has a gradient."""
        size = self.settings.prompts_per_forward
        chunks = [self._features(prompts[start : start + size]) for start in range(0, len(prompts), size)]
        return self.critic(torch.cat(chunks)).squeeze(-1)

    @torch.no_grad()
    def _features(self, prompts: Sequence[str]) -> Tensor:
        """Last hidden state of each prompt's last token [B, H] with the adapter off."""
        ids, ends = self._encode(prompts)
        last = (ends > 0).cumsum(dim=1).argmax(dim=1)
        with self.model.disable_adapter():  # type: ignore[operator]
            hidden = backbone(self.model)(input_ids=ids, use_cache=False).last_hidden_state
        return hidden[torch.arange(len(prompts), device=self.device), last].float()

    def _encode(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids and end offsets [R, T], padded on the right, where a causal model needs no mask; padding ends at 0."""
        batch = self.tokenizer(  # type: ignore[operator]
            list(texts), padding=True, padding_side="right", return_offsets_mapping=True, return_tensors="pt"
        )
        return batch["input_ids"].to(self.device), batch["offset_mapping"][..., 1].to(self.device)

    # Update

    def _optimizer_step(self, decisions: list[Decision], table: Tensor) -> None:
        """One step on a minibatch, its gradient accumulated over micro-batches."""
        settings = self.settings
        advantages = table[2].double()
        normalised = ((advantages - advantages.mean()) / (advantages.std(unbiased=False) + 1e-8)).float()
        self.optimizer.zero_grad()
        values = self.values([decision.prompt for decision in decisions])
        (settings.value_coef * 0.5 * ((values - table[3]) ** 2).mean()).backward()
        for start in range(0, len(decisions), settings.decisions_per_forward):
            rows = slice(start, start + settings.decisions_per_forward)
            (self._actor_loss_sum(decisions[rows], table[:2, rows], normalised[rows]) / len(decisions)).backward()
        for group in self.optimizer.param_groups:
            nn.utils.clip_grad_norm_(group["params"], settings.max_grad_norm)
        self.optimizer.step()

    def _actor_loss_sum(self, decisions: list[Decision], table: Tensor, advantages: Tensor) -> Tensor:
        """Clipped surrogate and entropy bonus, summed over the decisions; ``table`` has actions and old log p."""
        settings = self.settings
        actions, old = table
        log_probs = self.policy(decisions)
        ratio = (log_probs.gather(1, actions.long()[:, None]).squeeze(1) - old).exp()
        clipped = ratio.clamp(1 - settings.clip_coef, 1 + settings.clip_coef)
        surrogate = torch.minimum(ratio * advantages, clipped * advantages).sum()
        finite = [row[row.isfinite()] for row in log_probs]
        entropy = torch.stack([-(row.exp() * row).sum() for row in finite]).sum()
        return -surrogate - settings.entropy_coef * entropy
