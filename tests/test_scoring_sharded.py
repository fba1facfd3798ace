"""Weights spread over two processes that have different numbers of batches: nothing hangs, nothing changes."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from lightning_twosome import ActionScorer
from tests.test_scoring import gradient
from tests.tiny_models import build, decisions, tokenizer


def score_sharded(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.set_num_threads(1)
    model, batch = build("llama"), decisions((3, 5, 2)) if rank else decisions((2,))
    table = ActionScorer(model, tokenizer()).score(batch).log_prob.detach()
    expected = gradient(model, ActionScorer(model, tokenizer()).score(batch).log_prob)
    dist.all_reduce(expected)
    mesh = init_device_mesh("cpu", (2,))
    for layer in model.get_base_model().model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    # One batch here, three there, and only there computed again in the backward pass.
    scores = ActionScorer(model, tokenizer(), token_budget=60).score(batch).log_prob
    assert torch.allclose(scores, table, rtol=0, atol=2e-5)
    model.zero_grad()
    weight = torch.randn(table.shape, generator=torch.Generator().manual_seed(1))
    (torch.where(table.isfinite(), scores, 0.0) * weight).sum().backward()
    got = torch.cat([p.grad.full_tensor().flatten() for p in model.parameters() if p.grad is not None])
    assert (got - expected / 2).norm() / got.norm() < 1e-5
    Path(folder, f"done{rank}").touch()
    dist.destroy_process_group()


def test_sharded_weights(tmp_path: Path) -> None:
    mp.spawn(score_sharded, args=(str(tmp_path),), nprocs=2)
    assert (tmp_path / "done0").exists()
    assert (tmp_path / "done1").exists()
