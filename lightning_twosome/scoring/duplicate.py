"""Method duplicate: one full row per action, padded on the right, as any causal language model reads it.

Letters: R rows, T columns, A tokens of the longest action.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from lightning_twosome.decisions import EncodedDecision
from lightning_twosome.scoring.forward import Read, action_log_prob, model_device, trailing_logits


def positions(rows: Sequence[EncodedDecision]) -> int:
    """Positions of the padded batch."""
    return len(rows) * max(len(row.trunk) + len(row.suffixes[0]) - 1 for row in rows)


def columns(rows: Sequence[EncodedDecision]) -> int:
    """Positions of the padded batch that get logits."""
    first = min(len(row.trunk) + row.skipped[0] for row in rows) - 1
    return positions(rows) - len(rows) * first


def score_duplicate(model: nn.Module, rows: Sequence[EncodedDecision], read: Read = action_log_prob) -> Tensor:
    """Log-probability of each row's only action: float32 [R]."""
    sequences = [np.concatenate([row.trunk, row.suffixes[0]]) for row in rows]
    length = max(len(sequence) for sequence in sequences) - 1
    # The first token of any row's action is predicted one column before it: logits from there on.
    first = min(len(row.trunk) + row.skipped[0] for row in rows) - 1
    width = max(row.tokens[0] for row in rows)
    ids, mask = np.zeros((2, len(rows), length), dtype=np.int64)
    target = np.zeros((len(rows), width), dtype=np.int64)
    column = np.full_like(target, -1)
    for index, (row, sequence) in enumerate(zip(rows, sequences, strict=True)):
        ids[index, : len(sequence) - 1] = sequence[:-1]
        mask[index, : len(sequence) - 1] = 1
        count = row.tokens[0]
        target[index, :count] = sequence[-count:]
        column[index, :count] = np.arange(len(sequence) - 1 - count, len(sequence) - 1) - first
    input_ids, attention_mask = torch.from_numpy(np.stack([ids, mask])).to(model_device(model))
    logits = trailing_logits(model, length - first, input_ids=input_ids, attention_mask=attention_mask, use_cache=False)
    columns, targets = torch.from_numpy(np.stack([column, target])).to(logits.device)
    return read(logits, torch.arange(len(rows), device=logits.device), columns, targets)
