r"""Policy and value over text actions, on one shared language model.

::

    prompt + actions --ActionScorer, adapter on--> log p(action | prompt) [B, K] --normalize, * beta, softmax--> policy
    prompt           --trunk, adapter off, last prompt token--> feature [B, H] --MLP--> value [B]

What is computed twice in PPO on text is computed once here: equal decisions of a batch are scored once, scores without
gradient are remembered until the policy changes, and the critic's features, which come from the frozen model, for the
whole run. All of it is exact, and each memory is bounded: what was not used for longest is dropped and computed again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Literal, Self, TypeVar

import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lightning_twosome.decisions import ID_BYTES, Decision
from lightning_twosome.language_model import LanguageModel, backbone
from lightning_twosome.policy_settings import refuse_contradictions
from lightning_twosome.recent import ENTRY, TENSOR, Recent
from lightning_twosome.scoring import ActionScorer, ActionScores, normalize
from lightning_twosome.scoring.forward import trailing_logits
from lightning_twosome.scoring.sharding import in_step, is_sharded

Normalization = Literal["sum", "token", "word", "character", "trie"]
CriticInput = Literal["frozen", "adapted"]
Place = str | tuple[int, ...]  # what the critic reads: a prompt, or the ids of a prompt and an action's first tokens
Item = TypeVar("Item", bound=Hashable)


def unique_items(items: Sequence[Item]) -> tuple[list[Item], list[int]]:
    """The different items in order of appearance, and for each item its place among them."""
    places: dict[Item, int] = {}
    index = [places.setdefault(item, len(places)) for item in items]
    return list(places), index


class ActorCritic(nn.Module):
    """The policy ``softmax(beta * normalize(log p(action | prompt)))`` and the value of a prompt.

    Args:
        language_model: Model, with an adapter where it is to be trained, and tokenizer.
        normalization: What divides an action's log-probability: nothing ("sum"), or its tokens, words or characters; or
            "trie", the product of its tokens' probabilities, each among the valid tokens at its place.
        beta: Inverse temperature of the policy on the normalised scores, or "mean_count": the mean count that the
            normalisation divides by,
            so that the policy starts as sharp as with "sum" (:meth:`initialize_beta`).
        learn_beta: Train beta with the actor.
        critic: "frozen" reads the model with its adapter off, as in the paper, and caches; "adapted" reads the adapted
            model, whose adapter
            then gets the value loss's gradient too.
        critic_hidden: Widths of the critic's hidden layers. The paper has (1024, 512) on a 7B model.
        scoring: "auto", "tree", "cache" or "duplicate"; see :class:`~lightning_twosome.scoring.ActionScorer`.
        token_budget: Most positions in one forward; memory is bounded by it whatever the batch.
        share_work: Compute equal decisions once and remember. Exact without dropout; with dropout it must be off.
        frozen_layers: Lower layers that hold no trainable weights and whose activations are cached per decision.
        cache_megabytes: How much each memory may take: tokens of decisions, tokens of prompts, the critic's features,
            scores without gradient, and frozen layers' activations.

    Attributes:
        features: The critic's, of prompts.
        remembered: Log-probabilities [K] of decisions under the present policy.

    Raises:
        UserError: Dropout together with ``share_work``; a shared ``scoring`` without it; a frozen critic on a model
            that is trained whole.
    """

    def __init__(
        self,
        language_model: LanguageModel,
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
    ) -> None:
        super().__init__()
        self.model = language_model.model
        self.normalization = normalization
        self.critic_input = critic
        self.share_work = share_work
        dropout = max((m.p for m in self.model.modules() if isinstance(m, nn.Dropout)), default=0.0)
        trained_whole = not isinstance(self.model, PeftModel) and any(p.requires_grad for p in self.model.parameters())
        refuse_contradictions(normalization, critic, scoring, share_work, dropout, trained_whole)
        self.scorer = ActionScorer(
            language_model.model,
            language_model.tokenizer,
            method=scoring if share_work else "duplicate",
            token_budget=token_budget,
            frozen_layers=frozen_layers,
            cache_megabytes=cache_megabytes,
        )
        self.beta_from_counts = beta == "mean_count"
        self.log_beta = nn.Parameter(
            torch.tensor(1.0 if beta == "mean_count" else float(beta), dtype=torch.float32).log(),
            requires_grad=learn_beta,
        )
        self.critic = value_head(self.model.config.get_text_config().hidden_size, critic_hidden)
        self.features: Recent[Place, Tensor] = Recent(cache_megabytes, _feature_bytes)
        self.remembered: Recent[Decision, Tensor] = Recent(cache_megabytes, _scores_bytes)
        self._remembered_version = -1
        self._watched: list[nn.Parameter] | None = None

    @property
    def beta(self) -> Tensor:
        """Inverse temperature, a scalar."""
        return self.log_beta.exp()

    def actor_parameters(self) -> list[nn.Parameter]:
        """Trainable weights of the policy: the adapter's (or the model's) and, if it is learned, beta."""
        return [p for p in (*self.model.parameters(), self.log_beta) if p.requires_grad]

    def critic_parameters(self) -> list[nn.Parameter]:
        """Weights of the value head."""
        return list(self.critic.parameters())

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move or convert like any module, but keep float32 what is trained: ``precision: bf16-true`` means the trunk.

        Lightning converts before training and before every evaluation; rounding there would cost what was learned.
        """

        def convert(tensor: Tensor) -> Tensor:
            converted = fn(tensor)
            kept = tensor is self.log_beta or tensor.requires_grad
            return tensor.to(converted.device) if kept and converted.dtype != tensor.dtype else converted

        return super()._apply(convert, recurse)

    def initialize_beta(self, decisions: Sequence[Decision]) -> None:
        """Set beta to the mean count that the normalisation divides by, over all actions of ``decisions``."""
        self.beta_from_counts = False
        if self.normalization in ("sum", "trie"):
            return
        field = {"token": "tokens", "word": "words", "character": "characters"}[self.normalization]
        counts = [count for d in decisions for count in getattr(self.scorer.encoder.encode(d), field)]
        with torch.no_grad():
            self.log_beta.fill_(float(torch.tensor(counts, dtype=torch.float64).mean().log()))

    # Policy

    def action_scores(self, decisions: Sequence[Decision]) -> ActionScores:
        """Scores of every action [B, K], differentiable; equal decisions are scored once."""
        score = partial(self.scorer.score, trie=True) if self.normalization == "trie" else self.scorer.score
        if not self.share_work:
            return score(decisions)
        different, index = unique_items(decisions)
        scores = score(different)
        return scores.index_select(torch.tensor(index, device=scores.log_prob.device))

    def action_log_probs(self, decisions: Sequence[Decision]) -> Tensor:
        """Log-probability of every action [B, K] under the policy, ``-inf`` in padding, differentiable."""
        scores = normalize(self.action_scores(decisions), self.normalization)
        padding = scores == -torch.inf
        # Beta's gradient is a sum over its factors, in which 0 * -inf would be NaN.
        logits = (self.beta * scores.masked_fill(padding, 0.0)).masked_fill(padding, -torch.inf)
        return torch.log_softmax(logits, dim=-1)

    @torch.no_grad()
    def remembered_log_probs(self, decisions: Sequence[Decision]) -> Tensor:
        """The same without gradient, from memory where the policy has not changed since.

        A change in place is noticed, as by ``load_state_dict`` and most optimizers; after others, such as a fused
        AdamW or other weights being trained, call :meth:`forget`.
        """
        if not self.share_work:
            return self.action_log_probs(decisions)
        if self._watched is None:  # looking for them in all modules takes as long as a small model's scores
            self._watched = [*self.actor_parameters(), self.log_beta]
        version = sum(parameter._version for parameter in self._watched)
        if version != self._remembered_version:
            self.forget()
            self._remembered_version = version
        rows = self.remembered.get_all(decisions, lambda new: self.action_log_probs(new).unbind() if new else ())
        return _assembled(rows, [len(decision.actions) for decision in decisions])

    def forget(self) -> None:
        """Drop the remembered log-probabilities."""
        self.remembered.clear()
        self._watched = None

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Remember nothing of what is computed inside, in whose company the last bits may be others."""
        remembered, version, features = self.remembered.copy(), self._remembered_version, self.features.copy()
        frozen, self.scorer.frozen = self.scorer.frozen, None
        try:
            yield
        finally:
            self.remembered, self._remembered_version, self.features = remembered, version, features
            self.scorer.frozen = frozen

    # Value

    def values(self, prompts: Sequence[Place]) -> Tensor:
        """Value of each prompt [B], differentiable in the critic and, with ``critic="adapted"``, in the adapter.

        Args:
            prompts: Prompts, or token ids: of a prompt with the beginning of an action.
        """
        different, index = unique_items(prompts) if self.share_work else (list(prompts), list(range(len(prompts))))
        features = (
            self._adapted_features(different) if self.critic_input == "adapted" else self._frozen_features(different)
        )
        values = self.critic(features).squeeze(-1)
        return values[torch.tensor(index, device=values.device)]

    def _adapted_features(self, prompts: list[Place]) -> Tensor:
        chunks = self._chunks(prompts)
        # As in the scorer: beyond the budget only one chunk's graph is held, and made again in the backward pass.
        recompute = torch.is_grad_enabled() and len(chunks) > 1
        last_hidden = partial(checkpoint, self._last_hidden, use_reentrant=False) if recompute else self._last_hidden
        hidden, idle = [last_hidden(chunk) for chunk in chunks], 0
        if is_sharded(self.model) and not self.scorer.in_step.inside:
            idle = in_step(len(chunks), False, self.log_beta.device)[0] - len(chunks)
        unneeded = [0.0 * self._last_hidden(chunks[0]).sum() for _ in range(idle)]
        return torch.cat(hidden) + sum(unneeded)

    def _frozen_features(self, prompts: list[Place]) -> Tensor:
        return torch.stack(self.features.get_all(prompts, self._new_features)).to(self.log_beta.device)

    def _new_features(self, new: list[Place]) -> list[Tensor]:
        if not new and not is_sharded(self.model):  # switching the adapter off and on takes a walk over all modules
            return []
        with torch.no_grad(), self._frozen_model(), self.scorer.in_step.until_all_are_done():
            # On a CPU a row of its own costs nothing and makes the feature independent of its company, so that a
            # resumed run, which computes them anew, equals the uninterrupted one bit by bit.
            chunks = [[prompt] for prompt in new] if self.log_beta.device.type == "cpu" else self._chunks(new)
            # Each a tensor of its own: a view would keep the whole chunk.
            return [row.clone() for chunk in chunks for row in self._last_hidden(chunk).cpu()]

    @contextmanager
    def _frozen_model(self) -> Iterator[None]:
        """Adapter off and dropout off, each as it was afterwards."""
        training = self.model.training
        self.model.eval()
        try:
            with self.model.disable_adapter() if isinstance(self.model, PeftModel) else nullcontext():
                yield
        finally:
            self.model.train(training)

    def _ids(self, prompt: Place) -> tuple[int, ...]:
        return self.scorer.encoder.encode_prompt(prompt) if isinstance(prompt, str) else prompt

    def _chunks(self, prompts: list[Place]) -> list[list[Place]]:
        """Prompts of similar length, at most ``token_budget`` positions a chunk, in the given order."""
        chunks: list[list[Place]] = []
        longest = 0
        for prompt in prompts:
            length = len(self._ids(prompt))
            if not chunks or max(longest, length) * (len(chunks[-1]) + 1) > self.scorer.token_budget:
                chunks.append([])
                longest = 0
            chunks[-1].append(prompt)
            longest = max(longest, length)
        return chunks

    def _last_hidden(self, prompts: list[Place]) -> Tensor:
        """Hidden state [B, H], float32, of the last token of each prompt."""
        rows = [torch.tensor(self._ids(prompt)) for prompt in prompts]
        lengths = torch.tensor([len(row) for row in rows])
        device = self.log_beta.device
        input_ids = nn.utils.rnn.pad_sequence(rows, batch_first=True).to(device)
        attention_mask = (torch.arange(input_ids.shape[1]) < lengths[:, None]).long().to(device)
        hidden: list[Tensor] = []
        # Entering through the whole model and catching the trunk's output lets sharding strategies gather their
        # weights.
        handle = backbone(self.model).register_forward_hook(lambda module, args, output: hidden.append(output[0]))
        try:
            # One column of logits, not all: with a large vocabulary the head is a quarter of a small model's time.
            trailing_logits(self.model, 1, input_ids=input_ids, attention_mask=attention_mask, use_cache=False)
        finally:
            handle.remove()
        return hidden[0][torch.arange(len(prompts), device=device), (lengths - 1).to(device)].float()


def _assembled(rows: Sequence[Tensor], counts: Sequence[int]) -> Tensor:
    """A table [B, K] of log-probabilities, of which each row has its own count."""
    table = rows[0].new_full((len(rows), max(counts)), -torch.inf)
    for index, (row, count) in enumerate(zip(rows, counts, strict=True)):
        table[index, :count] = row[:count]
    return table


def _scores_bytes(decision: Decision, log_probs: Tensor) -> int:
    return decision.bytes + log_probs.nbytes + TENSOR


def _feature_bytes(place: Place, feature: Tensor) -> int:
    ids = 0 if isinstance(place, str) else ID_BYTES * len(place)
    return ENTRY + sys.getsizeof(place) + ids + feature.nbytes + TENSOR


def value_head(features: int, hidden: Sequence[int]) -> nn.Sequential:
    """LayerNorm, then an MLP with tanh units to one value.

    Float32; orthogonal weights with a small last layer, as PPO's details have it (arXiv 2005.12729).
    """
    sizes = [features, *hidden]
    layers: list[nn.Module] = [nn.LayerNorm(features, dtype=torch.float32)]
    for fan_in, fan_out in zip(sizes, sizes[1:], strict=False):
        layers += [orthogonal(nn.Linear(fan_in, fan_out, dtype=torch.float32), 2**0.5), nn.Tanh()]
    layers.append(orthogonal(nn.Linear(sizes[-1], 1, dtype=torch.float32), 0.01))
    return nn.Sequential(*layers)


def orthogonal(layer: nn.Linear, gain: float) -> nn.Linear:
    """Give a layer orthogonal weights of this gain and no bias."""
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer
