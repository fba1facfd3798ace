"""What a GPU must give as a CPU does: scores, gradients, a run, a resumed run, processes with a 4-bit trunk.

Everything here is run on the CPU too, by the same functions; docs/gpu.md has the bounds.
"""

from __future__ import annotations

import math
import os
from unittest import mock

import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning_utilities.core.imports import RequirementCache

from benchmarks import iteration, scoring
from lightning_twosome import ActionScorer
from lightning_twosome.scoring.methods import METHODS
from tests import toys
from tests.naive_scoring import naive_table
from tests.tiny_models import build, decisions, tokenizer

GPU = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
)
DEVICES = pytest.mark.parametrize("device", ["cpu", GPU])
# Of the log-probability, relative, and of the adapter's gradient, relative to its norm.
BOUNDS = {torch.float32: (1e-4, 1e-3), torch.bfloat16: (0.05, 0.1)}


def gradient(model, table):
    """The adapter's gradient of a fixed functional of the finite scores, as one vector on the CPU."""
    model.zero_grad()
    table = table.cpu()
    weight = torch.linspace(-1, 1, table.numel()).view_as(table)
    (torch.where(table.isfinite(), table, 0.0) * weight).sum().backward()
    return torch.cat([p.grad.flatten().cpu() for p in model.parameters() if p.grad is not None])


def on(device, dtype=torch.float32):
    """A tiny model with its trunk in ``dtype`` and its adapter in float32."""
    model = build("llama").to(device)
    for parameter in model.parameters():
        parameter.data = parameter.data if parameter.requires_grad else parameter.data.to(dtype)
    return model


@DEVICES
@pytest.mark.parametrize("dtype", BOUNDS, ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_scores_and_gradients_are_those_of_single_rows(device, dtype, method):
    batch, reference = decisions((2, 7, 3)), build("llama")
    expected = naive_table(reference, tokenizer(), batch)
    model = on(device, dtype)
    scores = ActionScorer(model, tokenizer(), method=method).score(batch).log_prob
    assert scores.device.type == device and scores.dtype == torch.float32
    finite = expected.isfinite()
    assert torch.equal(scores.isfinite().cpu(), finite)
    most, most_of_gradient = BOUNDS[dtype]
    assert ((scores.cpu() - expected)[finite] / expected[finite]).abs().max() < most
    theirs, ours = gradient(reference, expected), gradient(model, scores)
    assert (ours - theirs).norm() / theirs.norm() < most_of_gradient


class Rollouts(Callback):
    """Prompts and log-probabilities of every rollout."""

    def __init__(self):
        self.prompts, self.log_probs, self.logged = [], [], []

    def on_rollout_end(self, trainer, pl_module, rollout):
        self.prompts.append([state.decision.prompt for state in rollout.flat_states()])
        self.log_probs.append(rollout.log_probs)

    def on_policy_update(self, trainer, pl_module, stats):
        self.logged.append(dict(stats))


def fit(folder, device, dtype="float32", ckpt_path=None, callbacks=(), module=None, **settings):
    """A short run; returns its rollouts and the trained weights on the CPU."""
    rollouts = Rollouts()
    made = toys.module(seed=3, language_model=toys.language_model(dtype=dtype, **(module or {})))
    accelerator = "gpu" if device == "cuda" else "cpu"
    trainer = toys.trainer(
        folder,
        accelerator=accelerator,
        callbacks=[rollouts, *callbacks],
        enable_checkpointing=bool(callbacks),
        **({"max_epochs": 3} | settings),
    )
    trainer.fit(made, toys.data(), ckpt_path=ckpt_path)
    return rollouts, {name: weight.cpu() for name, weight in toys.trainable(made).items()}


@DEVICES
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_run_learns_as_on_the_cpu(device, dtype, tmp_path):
    here, _ = fit(tmp_path / "here", "cpu", max_epochs=1)
    there, weights = fit(tmp_path / "there", device, dtype)
    assert there.prompts[0][:4] == here.prompts[0][:4], "the episodes' seeds do not depend on the device"
    close = 1e-3 if dtype == "float32" else 0.1
    finite = here.log_probs[0][0].isfinite()
    assert (there.log_probs[0][0] - here.log_probs[0][0])[finite].abs().max() < close
    start = {name: weight.cpu() for name, weight in toys.trainable(toys.module(seed=3)).items()}
    assert all(weight.dtype == torch.float32 and weight.isfinite().all() for weight in weights.values())
    assert any(not torch.equal(weight, start[name]) for name, weight in weights.items())
    assert len(there.logged) == 3 and all(math.isfinite(stats["loss/policy"]) for stats in there.logged)
    # What was scored in the rollout is what is learned from: on the first pass nothing has changed yet.
    assert all(stats["policy/first_pass_ratio_deviation"] < 1e-4 for stats in there.logged)


@DEVICES
def test_a_resumed_run_goes_on_as_the_uninterrupted_one(device, tmp_path):
    kept = ModelCheckpoint(tmp_path, filename="kept-{epoch}", save_top_k=-1, every_n_epochs=1)
    whole, expected = fit(tmp_path / "whole", device, callbacks=[kept])
    resumed, weights = fit(tmp_path / "part", device, ckpt_path=str(tmp_path / "kept-epoch=1.ckpt"))
    assert resumed.prompts == whole.prompts[2:]
    for name, weight in weights.items():  # a GPU's sums may come in another order
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=0 if device == "cpu" else 1e-4)


FOUR_BITS = pytest.param(
    "cuda",
    "4bit",
    marks=[
        pytest.mark.gpu,
        pytest.mark.skipif(
            not (torch.cuda.is_available() and RequirementCache("bitsandbytes")), reason="needs CUDA and bitsandbytes"
        ),
    ],
)


@pytest.mark.parametrize(("device", "quantization"), [("cpu", None), FOUR_BITS])
def test_ddp_trains_an_adapter_on_a_quantised_trunk(device, quantization, tmp_path):
    settings = {"strategy": "ddp", "devices": 1, "max_epochs": 2}
    dtype = "float32" if quantization is None else "bfloat16"
    try:
        with mock.patch.dict(os.environ):  # where the launcher leaves the rank for the tests after it
            rollouts, weights = fit(tmp_path, device, dtype, module={"quantization": quantization}, **settings)
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    assert len(rollouts.logged) == 2
    moved = [weight for name, weight in weights.items() if "lora_B" in name and weight.abs().max() > 0]
    assert moved and all(weight.dtype == torch.float32 and weight.isfinite().all() for weight in weights.values())


@DEVICES
def test_scoring_benchmark_prints_decisions_a_second(device, capsys, monkeypatch):
    tiny = scoring.SHAPES["2M"] | {"hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 2}
    monkeypatch.setitem(scoring.SHAPES, "2M", tiny)
    monkeypatch.setattr(scoring.Case, "memory", lambda self: {})  # which on the CPU is another process's
    options = ["--models", "2M", "--actions", "3", "--decisions", "2", "--repeats", "1", "--device", device]
    for kernel in ("auto", "math"):
        scoring.main([*options, "--sdpa", kernel])
        head, line = capsys.readouterr().out.splitlines()
        assert f"attention {kernel}" in head and line.count("decisions/s") == 2
        assert ("MFU" in line) == (device == "cuda")


@DEVICES
def test_iteration_benchmark_prints_decisions_a_second_of_both_sides(device, capsys):
    threads = torch.get_num_threads()
    options = ["--models", "tiny", "--tasks", "twosome/TomatoSalad-v0", "--num-envs", "2", "--num-steps", "2"]
    try:
        results = iteration.main([*options, "--iterations", "1", "--device", device, "--dtype", "bfloat16"])
    finally:
        torch.set_num_threads(threads)
    out = capsys.readouterr().out
    assert out.count("decisions/s") == 4
    summary = results["tiny twosome/TomatoSalad-v0 full"]["summary"]
    assert summary["decisions"] == 4 and ("peak" in out) == (device == "cuda")
    assert summary["differences"]["log_prob_max"] < 0.1
