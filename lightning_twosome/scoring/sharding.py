"""Weights spread over processes (FSDP2): they are gathered in every forward, so all processes must make equally many.

::

    process 0   forward  forward  forward   done, idle --+   all done
    process 1   forward  done, idle   idle     idle -----+-> go on together
                each preceded by one exchanged number: does anyone still need the weights?

How many forwards a process needs differs: equal decisions are remembered, episodes end at different times, rollouts
meet different prompts. Without gradient (:meth:`InStep.until_all_are_done`) a process that has done its work makes
empty forwards until the last one has. With gradient (:func:`in_step`) all first agree on a number, since the backward
passes must match too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

from lightning_twosome.errors import UserError
from lightning_twosome.language_model import decoder_layers
from lightning_twosome.scoring.forward import model_device, trailing_logits


def shard(model: nn.Module, mesh: DeviceMesh) -> None:
    """Spread a language model over processes, layer by layer.

    Args:
        model: The root model, which every forward must enter.
        mesh: The processes, one dimension.
    """
    for layer in decoder_layers(model):
        fully_shard(layer, mesh=mesh, reshard_after_forward=True)
    # By default the root stays gathered after a forward, and its parameters are then others than the optimizer's.
    fully_shard(model, mesh=mesh, reshard_after_forward=True)


def data_parallel(mesh: DeviceMesh) -> DeviceMesh:
    """The dimension over which Lightning's ModelParallelStrategy spreads data.

    Raises:
        UserError: It spreads single matrices too.
    """
    if mesh["tensor_parallel"].size() > 1:
        size = mesh.size()
        raise UserError(
            f"ModelParallelStrategy splits each matrix over {mesh['tensor_parallel'].size()} processes, which is not "
            f"supported: set trainer.strategy.init_args.data_parallel_size={size} and tensor_parallel_size=1."
        )
    return mesh["data_parallel"]


def is_sharded(model: nn.Module) -> bool:
    """Whether the weights are spread over processes (FSDP2)."""
    return isinstance(model, FSDPModule) and dist.is_initialized()


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


class InStep:
    """Keeps forwards without gradient equal in number; does nothing where weights are not sharded.

    Args:
        model: The root model.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.inside = False
        self._idle = False
        self._hook: Any = None

    @contextmanager
    def until_all_are_done(self) -> Iterator[None]:
        """Whatever forwards happen inside, in whatever number; all processes enter and leave it together.

        What is inside must not wait for other processes by other means. Within another one it does nothing.
        """
        if self.inside or not is_sharded(self.model):
            yield
            return
        if self._hook is None:  # before FSDP's own hook, which gathers
            self._hook = self.model.register_forward_pre_hook(lambda *_: self._announce(), prepend=True)
        self.inside = True
        try:
            yield
            self._wait_for_the_others()
        finally:
            self.inside = False

    def _announce(self) -> None:
        if self.inside and not self._idle:
            self._anyone(True)

    def _anyone(self, forward: bool) -> bool:
        """Whether any process is about to make a forward."""
        return in_step(int(forward), False, model_device(self.model))[0] > 0

    @torch.no_grad()
    def _wait_for_the_others(self) -> None:
        self._idle = True
        token = torch.zeros(1, 1, dtype=torch.int64, device=model_device(self.model))
        try:
            while self._anyone(False):
                trailing_logits(self.model, 1, input_ids=token, use_cache=False)
        finally:
            self._idle = False


def plain(tensor: Tensor) -> Tensor:
    """This process's part of a sharded tensor; any other as it is."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def average_gradients(parameters: list[nn.Parameter]) -> None:
    """Average over processes the gradients of weights that every process has whole, which sharding leaves alone."""
    gradients = [p.grad for p in parameters if p.grad is not None and not isinstance(p, DTensor)]
    if not gradients:
        return
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def clip_gradient_norm(parameters: list[nn.Parameter], most: float) -> None:
    """Scale gradients down to a joint norm of at most ``most``, whichever of the weights are sharded."""
    parts = [
        [p for p in parameters if p.grad is not None and isinstance(p, DTensor) == sharded] for sharded in (False, True)
    ]
    norms = [torch.nn.utils.get_total_norm([p.grad for p in part if p.grad is not None]) for part in parts if part]
    whole = [norm.full_tensor() if isinstance(norm, DTensor) else norm for norm in norms]
    if whole:
        total = torch.linalg.vector_norm(torch.stack(whole))
        for part in filter(None, parts):
            torch.nn.utils.clip_grads_with_norm_(part, most, total)
