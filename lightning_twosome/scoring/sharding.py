"""Sharded models gather their weights in every forward: all processes must make the same number of them."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.tensor import DTensor


def is_sharded(model: nn.Module) -> bool:
    """Whether the weights are spread over processes (FSDP2)."""
    return dist.is_available() and dist.is_initialized() and any(isinstance(p, DTensor) for p in model.parameters())


def in_step(batches: int, recompute: bool, device: torch.device) -> tuple[int, bool]:
    """The most batches of any process, and whether any of them recomputes: what all processes then do.

    Args:
        batches: How many this process has.
        recompute: Whether it would compute them again in the backward pass.
        device: Where the processes exchange the two numbers.
    """
    wanted = torch.tensor([batches, int(recompute)], device=device)
    dist.all_reduce(wanted, dist.ReduceOp.MAX)
    most, anyone = wanted.tolist()
    return most, bool(anyone)
