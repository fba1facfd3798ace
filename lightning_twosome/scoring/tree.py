"""Method tree: one packed row per decision, every context token read once.

::

    columns        [pad | trunk ............ | nodes in preorder | pad]
    position                0 .. P-1           P + depth
    visible[q, k]  k <= q < end[k]    where end[k] is one past k's last descendant: for a trunk column the row's end,
                                      for padding k + 1, so that it sees only itself and nothing else sees it

The trunks are padded on the left, so that the last trunk token and the nodes are the trailing columns of every row:
only they get logits.

Letters: R rows, P longest trunk, N most nodes, T = P + N columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lightning_twosome.decisions import EncodedDecision
from lightning_twosome.scoring.forward import (
    Read,
    action_log_prob,
    base_model,
    model_device,
    model_dtype,
    trailing_logits,
)


@dataclass(frozen=True)
class PackedRows:
    """Decisions as packed rows on the model's device.

    Attributes:
        input_ids: int64 [R, T].
        position_ids: int64 [R, T].
        end: int64 [R, T], one past the last column that sees this one.
        columns: 1 + N, the trailing columns with logits.
    """

    input_ids: Tensor
    position_ids: Tensor
    end: Tensor
    columns: int


def positions(rows: Sequence[EncodedDecision]) -> int:
    """Positions of the padded batch."""
    return len(rows) * (max(len(row.trunk) for row in rows) + max(len(row.node_token) for row in rows))


def columns(rows: Sequence[EncodedDecision]) -> int:
    """Positions of the padded batch that get logits."""
    return len(rows) * (1 + max(len(row.node_token) for row in rows))


def pack(rows: Sequence[EncodedDecision], device: torch.device) -> PackedRows:
    """Lays decisions out as in the module's drawing."""
    trunk = max(len(row.trunk) for row in rows)
    nodes = max(len(row.node_token) for row in rows)
    length = trunk + nodes
    ids, position, end = np.zeros((3, len(rows), length), dtype=np.int64)
    end[:] = np.arange(1, length + 1)
    for index, row in enumerate(rows):
        first, last = trunk - len(row.trunk), trunk + len(row.node_token)
        ids[index, first:trunk] = row.trunk
        ids[index, trunk:last] = row.node_token
        position[index, first:trunk] = np.arange(len(row.trunk))
        position[index, trunk:last] = len(row.trunk) + row.node_depth
        end[index, first:trunk] = last
        end[index, trunk:last] = trunk + row.node_end
    input_ids, position_ids, ends = torch.from_numpy(np.stack([ids, position, end])).to(device)
    return PackedRows(input_ids, position_ids, ends, columns=1 + nodes)


def visible(packed: PackedRows, window: int | None = None) -> Tensor:
    """Which columns each column reads: bool [R, 1, T, T] (query, key).

    Args:
        packed: The rows.
        window: How many positions back a sliding-window layer reads, itself included; ``None`` for all.
    """
    column = torch.arange(packed.end.shape[1], device=packed.end.device)
    mask = (column[None, None, :] <= column[None, :, None]) & (column[None, :, None] < packed.end[:, None, :])
    if window is not None:
        position = packed.position_ids
        mask &= position[:, :, None] - position[:, None, :] < window
    return mask[:, None]


def additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """The mask as numbers to add: eager attention adds whatever it is given, a bool included."""
    return torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, torch.finfo(dtype).min)


def mask_form(config: Any) -> str:
    """How a model takes windows: "full", "window" (one mask for all layers) or "layer_types" (a dict of masks)."""
    if any("sliding" in kind for kind in getattr(config, "layer_types", None) or ()):
        return "layer_types"
    if getattr(config, "layer_types", None) is None and getattr(config, "sliding_window", None):
        return "window"
    return "full"


def attention_mask(packed: PackedRows, config: Any, dtype: torch.dtype) -> Tensor | dict[str, Tensor]:
    """The additive float mask that the model's layers take, or one per layer type."""
    form = mask_form(config)
    full = additive(visible(packed), dtype)
    if form == "full":
        return full
    window = config.sliding_window
    # Positions never exceed the columns: within the window the two masks are the same.
    sliding = full if window >= packed.end.shape[1] else additive(visible(packed, window), dtype)
    if form == "window":
        return sliding
    return {kind: sliding if "sliding" in kind else full for kind in set(config.layer_types)}


def score_tree(model: nn.Module, rows: Sequence[EncodedDecision], read: Read = action_log_prob) -> Tensor:
    """Log-probabilities of all actions of all rows, one after the other: float32 [Q]."""
    packed = pack(rows, model_device(model))
    logits = trailing_logits(
        model,
        packed.columns,
        input_ids=packed.input_ids,
        position_ids=packed.position_ids,
        attention_mask=attention_mask(packed, base_model(model).config, model_dtype(model)),
        use_cache=False,
    )
    return read(logits, *score_table(rows, logits.device))


def score_table(rows: Sequence[EncodedDecision], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Row [Q], predicting column [Q, A] and target [Q, A] of each action, as :func:`action_log_prob` takes them."""
    longest = max(row.parent.shape[1] for row in rows)
    actions = [len(row.suffixes) for row in rows]
    column = np.full((sum(actions), longest), -1, dtype=np.int64)
    target = np.zeros_like(column)
    first = 0
    for row, count in zip(rows, actions, strict=True):
        column[first : first + count, : row.parent.shape[1]] = row.parent
        target[first : first + count, : row.target.shape[1]] = row.target
        first += count
    index = torch.from_numpy(np.repeat(np.arange(len(rows)), actions)).to(device)
    return index, torch.from_numpy(column).to(device), torch.from_numpy(target).to(device)
