"""Memory of a forward and of an update, from a model's config: what it takes for a position, and for one with logits.

Written down for Llama and its like (RMSNorm, gated feed-forward, sdpa) with LoRA on query and value and a frozen trunk,
by going through one layer and noting what autograd keeps::

    RMSNorm             its input, in float32                            H       twice a layer
    LoRA on q and on v  their input, in float32                          H       one copy; below float32 two
    attention           query, key, value (as many heads), output        4 H
    feed-forward        gate, its activation, up                         3 I
    head                logits and their gradient                        2 V     for a position with logits

A frozen matrix keeps nothing but itself. What is kept of the layer in which the adapters begin is kept of all above it.

Letters: H hidden, I intermediate, V vocabulary, L layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SIZES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class Shape:
    """A model's size."""

    layers: int
    hidden: int
    intermediate: int
    vocabulary: int
    heads: int
    key_heads: int
    tied: bool

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Shape:
        """From a config's entries."""
        heads = config["num_attention_heads"]
        return cls(
            config["num_hidden_layers"], config["hidden_size"], config["intermediate_size"], config["vocab_size"],
            heads, config.get("num_key_value_heads") or heads, bool(config.get("tie_word_embeddings")),
        )  # fmt: skip

    def parameters(self) -> int:
        """Weights, but for norms and biases."""
        attention = 2 * self.hidden**2 * (1 + self.key_heads / self.heads)
        layer = attention + 3 * self.hidden * self.intermediate
        return int(self.layers * layer + self.vocabulary * self.hidden * (1 if self.tied else 2))


@dataclass(frozen=True)
class Memory:
    """Bytes of a model in a setting.

    Attributes:
        shape: The model's size.
        dtype: The trunk's.
        checkpointing: Whether each layer is computed again in the backward pass.
        frozen: Lower layers without adapter.
    """

    shape: Shape
    dtype: str = "float32"
    checkpointing: bool = False
    frozen: int = 0

    @property
    def size(self) -> int:
        """Bytes of a number of the trunk."""
        return SIZES[self.dtype]

    def weights(self) -> int:
        """Of the model."""
        return self.shape.parameters() * self.size

    def kept_by_layer(self) -> int:
        """What the backward pass needs of one layer, for a position."""
        copies = 3 if self.size == 4 else 4
        return self.shape.hidden * (4 * copies + 4 * self.size) + 3 * self.shape.intermediate * self.size

    def at_work(self) -> int:
        """What one layer needs while it is computed, for a position: its widest place, in and out."""
        return (3 * self.shape.intermediate + 2 * self.shape.hidden) * self.size

    def kept(self) -> int:
        """What the backward pass needs of the whole model, for a position."""
        layers = self.shape.layers - self.frozen
        last_norm = 4 * self.shape.hidden
        if self.checkpointing:
            return layers * self.shape.hidden * self.size + self.kept_by_layer() + last_norm
        return layers * self.kept_by_layer() + last_norm

    def update(self, positions: int, logits: int, prompt: int) -> int:
        """Peak of a forward and its backward pass.

        Args:
            positions: Of the largest forward.
            logits: Its positions with logits.
            prompt: Tokens of a row: each position has a mask of that length.
        """
        table = 2 * logits * self.shape.vocabulary * self.size
        return positions * (self.kept() + self.at_work() + prompt * self.size) + table

    def rollout(self, positions: int, logits: int, prompt: int) -> int:
        """Peak of a forward without gradient: the widest place of a layer, or the logits, which come after it."""
        return max(positions * (self.at_work() + prompt * self.size), logits * self.shape.vocabulary * self.size)

    def a_position(self, prompt: int) -> int:
        """What the token budget is to be multiplied with: an update, with as many logits as the scorer allows."""
        logits = self.shape.layers * self.shape.hidden * self.size
        return self.kept() + self.at_work() + prompt * self.size + logits
