"""What a scorer returns, and the one switch that turns it into the policy's logits.

``B`` decisions, ``K`` actions of the longest list; rows with fewer actions are padded at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_twosome.errors import UserError

NORMALIZATIONS = ("sum", "token", "word", "character", "trie")


@dataclass
class ActionScores:
    """Summed token log-probabilities of each action, with the counts that can normalise them.

    Attributes:
        log_prob: float32 [B, K], log p(action | prompt), -inf in padding.
        tokens: int64 [B, K], tokens of each action, 0 in padding.
        words: int64 [B, K], words of each action, 0 in padding.
        characters: int64 [B, K], characters of each action, 0 in padding.
        trie: float32 [B, K], log-probability of each action where every token is chosen among those that keep the text
            valid (:mod:`lightning_twosome.scoring.trie`), -inf in padding; ``None`` unless it was asked for.
    """

    log_prob: Tensor
    tokens: Tensor
    words: Tensor
    characters: Tensor
    trie: Tensor | None = None

    def index_select(self, index: Tensor) -> ActionScores:
        """The rows that ``index`` (int64 [B']) names, repeats allowed."""
        return ActionScores(
            log_prob=self.log_prob.index_select(0, index),
            tokens=self.tokens.index_select(0, index),
            words=self.words.index_select(0, index),
            characters=self.characters.index_select(0, index),
            trie=None if self.trie is None else self.trie.index_select(0, index),
        )


def normalize(scores: ActionScores, normalization: str) -> Tensor:
    """Log-probabilities divided by a count, or token by token by what is valid: float32 [B, K], -inf in padding.

    Args:
        scores: The scores of B decisions.
        normalization: "sum" (divides by nothing: the joint log-probability), "token", "word", "character", or "trie"
            (the probability of each token divided by that of all valid tokens at its place).

    Raises:
        UserError: If the normalization is none of these, or "trie" of scores without it.
    """
    if normalization == "sum":
        return scores.log_prob
    if normalization == "trie":
        if scores.trie is None:
            raise UserError(
                "normalization='trie' needs every token's score: make them with score(decisions, trie=True)."
            )
        return scores.trie
    counts = {"token": scores.tokens, "word": scores.words, "character": scores.characters}
    if normalization not in counts:
        raise UserError(f"normalization={normalization!r} is unknown: choose one of {', '.join(NORMALIZATIONS)}.")
    count = counts[normalization]
    per_unit = scores.log_prob / count.clamp(min=1)
    return per_unit.masked_fill(count == 0, -torch.inf)
