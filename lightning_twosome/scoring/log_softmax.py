"""Log-probabilities of chosen tokens, with little more memory than the logits themselves.

::

    logits [R, C, V] --a few columns at a time--> logsumexp [R, C] --> chosen logit - logsumexp [Q, A]

    backward   gradient [R, C, V] = (chosen or not) - softmax, a few columns at a time, in the logits' own dtype

Autograd's own way keeps a float32 copy of the logits, their exponentials and two gradients of that size: with a large
vocabulary most of the memory of a small model.

Letters: R rows, C columns with logits, V vocabulary, Q actions of all rows, A most tokens of one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

ENTRIES = 1 << 22  # of the vocabulary's table that are float32 at a time: 16 MiB


class ChosenLogProb(torch.autograd.Function):
    """``logits.float().log_softmax(-1)[row, column, target]``: float32 [Q, A]."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, row: Tensor, column: Tensor, target: Tensor) -> Tensor:
        """Log-probability of each chosen token.

        Args:
            ctx: Autograd's.
            logits: [R, C, V].
            row: int64 [Q, A].
            column: int64 [Q, A].
            target: int64 [Q, A].
        """
        vocabulary = logits.shape[-1]
        table = logits.reshape(-1, vocabulary)
        total = torch.cat([part.float().logsumexp(dim=-1) for part in table.split(_columns(vocabulary))])
        place = row * logits.shape[1] + column
        ctx.save_for_backward(logits, total, place, target)
        return table[place, target].float() - total[place]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        """The logits' gradient: float [R, C, V]."""
        logits, total, place, target = ctx.saved_tensors
        vocabulary = logits.shape[-1]
        table = logits.reshape(-1, vocabulary)
        asked = torch.zeros_like(total).index_put_((place.flatten(),), gradient.flatten(), accumulate=True)
        made = torch.empty_like(table)
        columns = _columns(vocabulary)
        parts = (tensor.split(columns) for tensor in (table, total, asked, made))
        for part, part_total, part_asked, part_made in zip(*parts, strict=True):
            softmax = (part.float() - part_total[:, None]).exp_()
            part_made.copy_(softmax.mul_(-part_asked[:, None]))
        # Where a token is chosen, once more in float32: the difference of two nearly equal numbers. Actions that begin
        # alike choose the same token of the same column.
        entry, index = (place * vocabulary + target).unique(return_inverse=True)
        chosen = gradient.new_zeros(len(entry)).index_put_((index.flatten(),), gradient.flatten(), accumulate=True)
        column, token = entry // vocabulary, entry % vocabulary
        chosen -= asked[column] * (table[column, token].float() - total[column]).exp()
        made[column, token] = chosen.to(made.dtype)
        return made.view_as(logits), None, None, None


def _columns(vocabulary: int) -> int:
    return max(1, ENTRIES // vocabulary)
