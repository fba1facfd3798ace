"""Method cache: the trunk once into a key-value cache, the cache expanded over its actions, the actions as the batch.

Trunks of one batch have one length, so that no padding ever lies between a trunk and its actions: models without
position ids (Bloom) or with index-based local attention (GPT-Neo) are exact too.

Letters: R decisions, P trunk tokens, Q actions, A inputs of the longest action.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from lightning_twosome.decisions import EncodedDecision
from lightning_twosome.scoring.forward import Read, accepts, action_log_prob, model_device


def positions(rows: Sequence[EncodedDecision]) -> int:
    """Positions of the expanded cache, which is what fills the memory."""
    actions = sum(len(row.suffixes) for row in rows)
    longest = max(len(suffix) for row in rows for suffix in row.suffixes)
    return actions * (len(rows[0].trunk) + longest - 1)


def columns(rows: Sequence[EncodedDecision]) -> int:
    """Positions that get logits: the trunks' last ones, and those of the actions."""
    longest = max(len(suffix) for row in rows for suffix in row.suffixes)
    return len(rows) + sum(len(row.suffixes) for row in rows) * (longest - 1)


def same_trunk_length(left: EncodedDecision, right: EncodedDecision) -> bool:
    """Whether two decisions can share a batch."""
    return len(left.trunk) == len(right.trunk)


def score_cache(model: nn.Module, rows: Sequence[EncodedDecision], read: Read = action_log_prob) -> Tensor:
    """Log-probabilities of all actions of all rows, one after the other: float32 [Q]."""
    device = model_device(model)
    trunk = torch.from_numpy(np.stack([row.trunk for row in rows]).astype(np.int64)).to(device)
    # Without logits_to_keep the logits of the whole trunk are made and the last column of them is used.
    keep = {"logits_to_keep": 1} if accepts(model, "logits_to_keep") else {}
    output = model(input_ids=trunk, attention_mask=torch.ones_like(trunk), use_cache=True, return_dict=True, **keep)
    owner, first, rest = _tables(rows)
    column, target = torch.from_numpy(first).to(device)
    said = read(output.logits[:, -1:], owner.to(device), column, target)
    inputs = max(len(suffix) for row in rows for suffix in row.suffixes) - 1
    if inputs == 0:
        return said
    ids, mask = np.zeros((2, len(owner), inputs), dtype=np.int64)
    for index, suffix in enumerate(suffix for row in rows for suffix in row.suffixes):
        ids[index, : len(suffix) - 1] = suffix[:-1]
        mask[index, : len(suffix) - 1] = 1
    output.past_key_values.batch_select_indices(owner.to(device))
    input_ids, real = torch.from_numpy(np.stack([ids, mask])).to(device)
    attended = torch.cat([real.new_ones(len(owner), trunk.shape[1]), real], dim=1)
    logits = model(
        input_ids=input_ids,
        attention_mask=attended,
        past_key_values=output.past_key_values,
        use_cache=True,
        return_dict=True,
    ).logits
    column, target = torch.from_numpy(rest).to(device)
    return said + read(logits, torch.arange(len(owner), device=device), column, target)


def _tables(rows: Sequence[EncodedDecision]) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """Which row owns each action [Q]; and, stacked, predicting column and target: by the trunk, and by the action.

    A trunk's last token predicts at most the first token of an action; the action's own inputs predict the others. Each
    token stands at its place among the action's tokens in both.
    """
    owner = np.repeat(np.arange(len(rows)), [len(row.suffixes) for row in rows])
    width = max(max(row.tokens) for row in rows)
    first = np.stack([np.full((len(owner), width), -1), np.zeros((len(owner), width), dtype=np.int64)])
    rest = first.copy()
    flat = ((suffix, skip) for row in rows for suffix, skip in zip(row.suffixes, row.skipped, strict=True))
    for index, (suffix, skip) in enumerate(flat):
        if skip == 0:
            first[:, index, 0] = 0, suffix[0]
        start = max(skip, 1)
        own = slice(start - skip, len(suffix) - skip)
        rest[0, index, own] = np.arange(start - 1, len(suffix) - 1)
        rest[1, index, own] = suffix[start:]
    return torch.from_numpy(owner), first, rest
