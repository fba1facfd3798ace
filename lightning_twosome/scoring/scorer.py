"""The scorer: decisions in, log-probabilities of their actions out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from lightning_twosome.decisions import Decision, DecisionEncoder, EncodedDecision
from lightning_twosome.errors import UserError
from lightning_twosome.language_model import context_length, decoder_layers
from lightning_twosome.recent import check_cache_size
from lightning_twosome.scoring.dropout import active_dropout
from lightning_twosome.scoring.forward import Read, action_log_prob, base_model, model_device, token_log_prob
from lightning_twosome.scoring.frozen import FrozenLayers
from lightning_twosome.scoring.methods import METHODS
from lightning_twosome.scoring.probe import probe
from lightning_twosome.scoring.rows import Limits, Method, Row, plan, split
from lightning_twosome.scoring.scores import ActionScores
from lightning_twosome.scoring.sharding import InStep, in_step, is_sharded
from lightning_twosome.scoring.trie import trie_log_prob, whole_suffixes

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger(__name__)


class ActionScorer:
    """Scores every action of every decision with one language model.

    Args:
        model: A causal language model, with or without a PEFT adapter.
        tokenizer: Its fast tokenizer.
        method: "tree" (one packed row per decision), "cache" (the prompt once, its cache expanded over the actions),
            "duplicate" (one full row per action), or "auto": the first of these that is exact for the model.
        token_budget: How many positions one forward may hold, and in proportion how many logits; memory grows with it,
            results do not depend on it.
        frozen_layers: How many of the lowest layers are frozen for good, without adapter: their outputs are remembered
            per decision and only the layers above are run. Needs method tree.
        cache_megabytes: How much is remembered of decisions' tokens, of prompts' tokens, and of such outputs, each.

    Attributes:
        method: The method in use.
        encoder: The memoised tokenisation.
        frozen: The remembered outputs of the frozen layers, or ``None``.
        in_step: Keeps processes in step where the model's weights are spread over them.

    Raises:
        UserError: If the method is unknown or not exact for this model.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        method: str = "auto",
        token_budget: int = 16384,
        frozen_layers: int = 0,
        cache_megabytes: float = 512,
    ) -> None:
        if token_budget < 1:
            raise UserError(f"token_budget={token_budget} holds no position: give a positive number, 16384 by default.")
        self.model = model
        self.tokenizer = tokenizer
        self.token_budget = token_budget
        check_cache_size(cache_megabytes)
        self.encoder = DecisionEncoder(tokenizer, context_length(model), cache_megabytes)
        self.method = choose_method(model, method)
        self.in_step = InStep(model)
        vocabulary, hidden = base_model(model).get_input_embeddings().weight.shape
        self._shape = len(decoder_layers(model)), hidden, vocabulary
        self._told = False
        self.frozen = self._frozen_layers(frozen_layers, cache_megabytes) if frozen_layers else None

    def score(self, decisions: Sequence[Decision], trie: bool = False) -> ActionScores:
        """Log-probabilities and counts of every action of B decisions; every row is computed as given.

        Differentiable where gradients are enabled. If the decisions are more than one forward may hold, each batch
        is computed again in the backward pass, so that memory stays bounded.

        Args:
            decisions: The B decisions.
            trie: Give :attr:`ActionScores.trie` too.

        Raises:
            UserError: If a decision cannot be scored, or dropout is active and the method shares computation.
        """
        encoded = [self.encoder.encode(decision) for decision in decisions]
        if trie:
            return self._score_with_trie(encoded)
        return collect(encoded, self.read(encoded), model_device(self.model))

    def _score_with_trie(self, encoded: list[EncodedDecision]) -> ActionScores:
        whole = [whole_suffixes(decision) for decision in encoded]
        width = max((decision.target.shape[1] for decision in whole), default=0)
        skipped = torch.tensor([skip for decision in encoded for skip in decision.skipped], dtype=torch.int64)
        tokens = self._read(whole, partial(_padded_token_log_prob, width=width), frozen=True)
        tokens = tokens.reshape(len(skipped), width)
        own = torch.arange(width, device=tokens.device) >= skipped.to(tokens.device)[:, None]
        device = model_device(self.model)
        scores = collect(encoded, torch.where(own, tokens, 0.0).sum(dim=-1), device)
        valid = scores.tokens > 0
        log_prob = trie_log_prob(whole, tokens).to(device)
        scores.trie = torch.full_like(scores.log_prob, -torch.inf).masked_scatter(valid, log_prob)
        return scores

    def read(self, encoded: Sequence[EncodedDecision], read: Read = action_log_prob) -> Tensor:
        """What ``read`` says of every action of decisions in tokens, in their order: [Q, ...].

        Args:
            encoded: The decisions.
            read: The log-probability, or another sum over an action's tokens, which then skips the memory of
                ``frozen_layers``.

        Raises:
            UserError: Dropout is active and the method shares computation.
        """
        return self._read(encoded, read, frozen=read is action_log_prob)

    def _read(self, encoded: Sequence[EncodedDecision], read: Read, frozen: bool) -> Tensor:
        method = self._method_now()
        limits = Limits.of(self.token_budget, *self._shape)
        batches = plan(split(encoded, method, limits), method, limits, enough=self._enough())
        recompute = torch.is_grad_enabled() and limits.held(method, batches) > 1
        self._tell_of_a_long_row(method, batches)
        device, idle = model_device(self.model), 0
        if is_sharded(self.model) and not self.in_step.inside:
            most, recompute = in_step(len(batches), recompute, device)
            idle = most - len(batches) if batches else 0
        score = self.frozen.score if frozen and self.frozen is not None else method.score
        parts = [self._score_batch(partial(score, read=read), batch, recompute) for batch in batches]
        # Repeats that count for nothing, so that this process gathers weights as often as the others.
        parts += [0.0 * self._score_batch(partial(score, read=read), batches[0], recompute).sum() for _ in range(idle)]
        return _in_order(batches, parts, device)

    def _score_batch(self, score: Callable[..., Tensor], batch: list[Row], recompute: bool) -> Tensor:
        encoded = [row.encoded for row in batch]
        if recompute:
            return checkpoint(score, self.model, encoded, use_reentrant=False)
        return score(self.model, encoded)

    def _frozen_layers(self, layers: int, megabytes: float) -> FrozenLayers:
        if self.method != "tree":
            raise UserError(f"frozen_layers={layers} needs method tree, not {self.method!r}: set frozen_layers=0.")
        return FrozenLayers(self.model, layers, megabytes)

    def _method_now(self) -> Method:
        if self.method != "duplicate" and (dropout := active_dropout(self.model)):
            raise UserError(
                f"Dropout is active in {dropout}, and method {self.method!r} is exact only without: "
                "set it to 0 (for LoRA: lora_dropout=0), call model.eval(), or use method='duplicate'."
            )
        # transformers switches the cache off under gradient checkpointing: the full rows are the same function.
        if self.method == "cache" and any(
            module.training and getattr(module, "gradient_checkpointing", False) for module in self.model.modules()
        ):
            return METHODS["duplicate"]
        return METHODS[self.method]

    def _enough(self) -> int:
        """Positions that keep the device busy: beyond them, less padding is worth more than a larger batch."""
        return 512 if model_device(self.model).type == "cpu" else 8192

    def _tell_of_a_long_row(self, method: Method, batches: list[list[Row]]) -> None:
        """Say once that a row is above the budget, which then bounds nothing."""
        most = max((method.positions([row.encoded for row in batch]) for batch in batches), default=0)
        if most > self.token_budget and not self._told:
            self._told = True
            log.warning(
                "A prompt takes %d positions in one forward, more than token_budget=%d: its actions are scored a few "
                "at a time, but the prompt cannot be cut, and memory grows with its length.",
                most,
                self.token_budget,
            )


def _padded_token_log_prob(logits: Tensor, row: Tensor, column: Tensor, target: Tensor, width: int) -> Tensor:
    """Log-probability of each token, as wide in every batch: float32 [Q, width]."""
    log_prob = token_log_prob(logits, row, column, target)
    return torch.nn.functional.pad(log_prob, (0, width - log_prob.shape[1]))


def choose_method(model: PreTrainedModel, requested: str) -> str:
    """The method to use, probed and logged in one line.

    Raises:
        UserError: If the requested method is unknown or not exact for this model.
    """
    name = type(base_model(model)).__name__
    if requested == "auto":
        reasons = []
        for method in METHODS.values():
            verdict = probe(model, method)
            reasons.append(verdict.reason)
            if verdict.exact:
                break
        else:
            raise UserError(f"{name} cannot be scored exactly ({'; '.join(reasons)}): choose a causal language model.")
        log.info("Scoring %s by method %s (%s): %s.", name, method.name, method.summary, "; ".join(reasons))
        return method.name
    if requested not in METHODS:
        raise UserError(f"method={requested!r} is unknown: choose one of auto, {', '.join(METHODS)}.")
    verdict = probe(model, METHODS[requested])
    if not verdict.exact:
        raise UserError(f"method={requested!r} is not exact for {name} ({verdict.reason}): use method='auto'.")
    log.info("Scoring %s by method %s as asked: %s.", name, requested, verdict.reason)
    return requested


def _in_order(batches: list[list[Row]], parts: list[Tensor], device: torch.device) -> Tensor:
    """What the batches say in the order of the decisions: float32 [Q, ...]; what follows them is 0 and is added."""
    if not parts:
        return torch.empty(0, dtype=torch.float32, device=device)
    order = [row.first + action for batch in batches for row in batch for action in range(len(row.encoded.suffixes))]
    ordered = torch.cat(parts[: len(batches)])[torch.tensor(order, device=parts[0].device).argsort()]
    return ordered + sum(parts[len(batches) :])


def collect(encoded: Sequence[EncodedDecision], log_prob: Tensor, device: torch.device) -> ActionScores:
    """Lays the actions' log-probabilities [Q], in the decisions' order, out as padded tables [B, K]."""
    width = max((len(row.suffixes) for row in encoded), default=0)
    counts = torch.zeros(4, len(encoded), width, dtype=torch.int64)
    for index, row in enumerate(encoded):
        size = len(row.suffixes)
        counts[:3, index, :size] = torch.tensor([row.tokens, row.words, row.characters])
        counts[3, index, :size] = 1
    tokens, words, characters, valid = counts.to(device)
    table = torch.full((len(encoded), width), -torch.inf, dtype=torch.float32, device=device)
    table = table.masked_scatter(valid.bool(), log_prob.to(device))
    return ActionScores(table, tokens, words, characters)
