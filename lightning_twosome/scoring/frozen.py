"""The lower layers once per decision: their outputs remembered, since nothing below the adapter ever changes.

::

    ids -> embedding -> [frozen layers 0 .. L-1] -> boundary [T, H] -> [layers L ..] -> logits
                         computed once, then skipped   remembered       every time, with gradient

The model itself is run both times. The layers to leave out are stood in for by modules that pass on what they are
given, and the last one before the boundary by one that returns what was remembered: positions, masks, layer types and
the head are the model's own. Exact for a model that trains nothing below layer L.

Letters: R rows, T columns, H hidden, L frozen layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lightning_twosome.decisions import EncodedDecision
from lightning_twosome.errors import UserError
from lightning_twosome.language_model import backbone, decoder_layers
from lightning_twosome.recent import TENSOR, Recent
from lightning_twosome.scoring.forward import (
    Read,
    action_log_prob,
    base_model,
    model_device,
    model_dtype,
    trailing_logits,
)
from lightning_twosome.scoring.probe import evaluating, probe_decisions, real_tolerance
from lightning_twosome.scoring.tree import attention_mask, pack, score_table, score_tree


class FrozenLayers:
    """Method tree with the outputs of the lowest layers remembered per decision.

    Args:
        model: The root model.
        layers: L, how many layers are frozen.
        megabytes: How much the remembered activations may take; the least recently used go first.

    Attributes:
        memory: The remembered activations [T, H], by the row's tokens.

    Raises:
        UserError: If something below the boundary is trained, or the architecture's layers cannot be left out.
    """

    def __init__(self, model: nn.Module, layers: int, megabytes: float) -> None:
        self.model, self.layers = model, layers
        self.memory: Recent[bytes, Tensor] = Recent(megabytes, _activation_bytes)
        self._returns_tuple = False
        self._check_trainable()
        if not any(parameter.is_meta for parameter in model.parameters()):
            self._check_exact()

    def score(self, model: nn.Module, rows: Sequence[EncodedDecision], read: Read = action_log_prob) -> Tensor:
        """Log-probabilities of all actions of all rows, one after the other: float32 [Q]."""
        boundary = self._boundaries(rows)
        with self._standing_in(0, self.layers, returned=self._padded(rows, boundary)):
            logits = self._forward(rows)
        return read(logits, *score_table(rows, logits.device))

    def clear(self) -> None:
        """Forgets all activations: needed only if weights below the boundary are replaced."""
        self.memory.clear()

    def _boundaries(self, rows: Sequence[EncodedDecision]) -> list[Tensor]:
        """The boundary activations [T, H] of each row, without padding."""
        by_key = {_key(row): row for row in rows}
        return self.memory.get_all([_key(row) for row in rows], lambda new: self._lower([by_key[key] for key in new]))

    # Inference tensors could not be used in a later backward pass: what is remembered must be plain.
    @torch.inference_mode(False)
    @torch.no_grad()
    def _lower(self, rows: list[EncodedDecision]) -> list[Tensor]:
        """Runs the lower layers alone."""
        if not rows:
            return []
        with self._standing_in(self.layers, len(decoder_layers(self.model))) as first:
            self._forward(rows, columns=1)
        trunk = max(len(row.trunk) for row in rows)
        return [
            hidden[trunk - len(row.trunk) : trunk + len(row.node_token)].clone()
            for row, hidden in zip(rows, first.seen, strict=True)
        ]

    def _padded(self, rows: Sequence[EncodedDecision], boundary: Sequence[Tensor]) -> Tensor:
        """The rows' activations in the batch's own layout [R, T, H]."""
        trunk = max(len(row.trunk) for row in rows)
        length = trunk + max(len(row.node_token) for row in rows)
        hidden = boundary[0].new_zeros(len(rows), length, boundary[0].shape[-1])
        for index, (row, part) in enumerate(zip(rows, boundary, strict=True)):
            first = trunk - len(row.trunk)
            hidden[index, first : first + len(part)] = part
        return hidden

    def _forward(self, rows: Sequence[EncodedDecision], columns: int | None = None) -> Tensor:
        packed = pack(rows, model_device(self.model))
        return trailing_logits(
            self.model,
            columns or packed.columns,
            input_ids=packed.input_ids,
            position_ids=packed.position_ids,
            attention_mask=attention_mask(packed, base_model(self.model).config, model_dtype(self.model)),
            use_cache=False,
        )

    @contextmanager
    def _standing_in(self, start: int, stop: int, returned: Tensor | None = None) -> Iterator[_StandIn]:
        """Layers ``start`` to ``stop`` left out within; the last of them returns ``returned`` if that is given."""
        layers = decoder_layers(self.model)
        originals = [layers[index] for index in range(start, stop)]
        stand_ins = [_StandIn(original, self._returns_tuple) for original in originals]
        stand_ins[-1].returned = returned
        try:
            for index, stand_in in enumerate(stand_ins, start):
                layers[index] = stand_in
            yield stand_ins[0]
        finally:
            for index, original in enumerate(originals, start):
                layers[index] = original

    def _check_trainable(self) -> None:
        depth = len(decoder_layers(self.model))
        if not 0 < self.layers < depth:
            raise UserError(
                f"frozen_layers={self.layers} leaves nothing to remember or nothing to train: "
                f"choose 1 to {depth - 1} of the model's {depth} layers."
            )
        lower = list(decoder_layers(self.model)[: self.layers])
        lower += [module for module in backbone(self.model).modules() if isinstance(module, nn.Embedding)]
        adapted = any("lora_" in name for module in lower for name, _ in module.named_parameters())
        if adapted or any(parameter.requires_grad for module in lower for parameter in module.parameters()):
            raise UserError(
                f"frozen_layers={self.layers}, but weights below layer {self.layers} are adapted or trainable: "
                f"give LoRA layers_to_transform=[{self.layers}, ..., {depth - 1}]."
            )

    def _check_exact(self) -> None:
        """Scores short decisions once while filling the memory, once from it, and compares with the whole model."""
        rows = probe_decisions(self.model)
        first_layer = decoder_layers(self.model)[0]
        handle = first_layer.register_forward_hook(self._note_output)
        try:
            with evaluating(self.model), torch.no_grad():
                expected = score_tree(self.model, rows)
                handle.remove()
                results = [self.score(self.model, rows) for _ in range(2)]
        except torch.OutOfMemoryError:  # which says nothing about the architecture
            raise
        except Exception as error:
            raise UserError(self._refusal(f"raises {type(error).__name__}")) from error
        finally:
            handle.remove()
            self.clear()
        tolerance = real_tolerance(base_model(self.model))
        if any(((result - expected).abs() > tolerance * (1 + expected.abs())).any() for result in results):
            raise UserError(self._refusal("changes its scores"))

    def _note_output(self, module: nn.Module, arguments: Any, output: Any) -> None:
        self._returns_tuple = isinstance(output, tuple)

    def _refusal(self, symptom: str) -> str:
        name = type(base_model(self.model)).__name__
        return f"frozen_layers={self.layers} {symptom} with {name}: set frozen_layers=0 for this architecture."


class _StandIn(nn.Module):
    """A layer left out: keeps what it is given and passes it on, or returns what it was told to."""

    def __init__(self, original: nn.Module, returns_tuple: bool) -> None:
        super().__init__()
        object.__setattr__(self, "original", original)  # not a submodule: its parameters stay where they are
        self.returns_tuple = returns_tuple
        self.returned: Tensor | None = None
        self.seen: Tensor = torch.empty(0)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:  # such as a layer's attention type, which some models ask for
            return getattr(object.__getattribute__(self, "original"), name)

    def forward(self, hidden_states: Tensor, *arguments: Any, **keywords: Any) -> Any:
        """Hidden states [R, T, H] as they came, or as remembered."""
        self.seen = hidden_states
        output = hidden_states if self.returned is None else self.returned
        return (output,) if self.returns_tuple else output


def _activation_bytes(key: bytes, activation: Tensor) -> int:
    return len(key) + activation.nbytes + TENSOR


def _key(row: EncodedDecision) -> bytes:
    return b"|".join(part.tobytes() for part in (row.trunk, row.node_token, row.node_depth))
