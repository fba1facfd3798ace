"""The scorer: decisions in, log-probabilities of their actions out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from lightning_twosome.decisions import Decision, DecisionEncoder, EncodedDecision
from lightning_twosome.scoring.forward import base_model, model_device
from lightning_twosome.scoring.scores import ActionScores
from lightning_twosome.scoring.tree import score_tree

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class ActionScorer:
    """Scores every action of every decision with one language model.

    Args:
        model: A causal language model, with or without a PEFT adapter.
        tokenizer: Its fast tokenizer.
        method: "auto", "tree", "cache" or "duplicate".
        token_budget: How many positions one forward may hold; memory grows with it, results do not depend on it.

    Attributes:
        method: The method in use.
        encoder: The memoised tokenisation.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        method: str = "auto",
        token_budget: int = 16384,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.token_budget = token_budget
        self.method = "tree" if method == "auto" else method
        self.encoder = DecisionEncoder(tokenizer, getattr(base_model(model).config, "max_position_embeddings", None))

    def score(self, decisions: Sequence[Decision]) -> ActionScores:
        """Log-probabilities and counts of every action, differentiable where gradients are enabled."""
        encoded = [self.encoder.encode(decision) for decision in decisions]
        log_prob = score_tree(self.model, encoded)
        return collect(encoded, log_prob, model_device(self.model))


def collect(encoded: Sequence[EncodedDecision], log_prob: Tensor, device: torch.device) -> ActionScores:
    """Lays the actions' log-probabilities [Q], in the decisions' order, out as padded tables [B, K]."""
    width = max((len(row.suffixes) for row in encoded), default=0)
    counts = torch.zeros(4, len(encoded), width, dtype=torch.int64)
    for index, row in enumerate(encoded):
        size = len(row.suffixes)
        counts[:3, index, :size] = torch.tensor([row.tokens, row.words, row.characters])
        counts[3, index, :size] = 1
    tokens, words, characters, valid = counts.to(device)
    table = torch.full((len(encoded), width), -torch.inf, device=device)
    table = table.masked_scatter(valid.bool(), log_prob.to(device))
    return ActionScores(table, tokens, words, characters)
