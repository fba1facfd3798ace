"""Every architecture, every method, against the naive one-row-at-a-time reference."""

from __future__ import annotations

import pytest
import torch

from lightning_twosome import ActionScorer
from tests.naive_scoring import naive_table
from tests.tiny_models import ARCHITECTURES, build, decisions, tokenizer


def gradient(model, table) -> torch.Tensor:
    """The LoRA gradient of a fixed random functional of the finite scores, as one vector."""
    model.zero_grad()
    finite = table.isfinite()
    weight = torch.randn(table.shape, generator=torch.Generator().manual_seed(1))
    (torch.where(finite, table, 0.0) * weight).sum().backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def assert_equal(model, ours, theirs) -> None:
    assert torch.equal(ours.isfinite(), theirs.isfinite())
    finite = theirs.isfinite()
    assert (ours - theirs)[finite].abs().max() < 1e-4
    expected, got = gradient(model, theirs), gradient(model, ours)
    assert expected.norm() > 0
    assert (got - expected).norm() / expected.norm() < 1e-4


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_chosen_method_is_the_expected_one_and_equals_the_reference(name: str) -> None:
    model, batch = build(name), decisions()
    scorer = ActionScorer(model, tokenizer())
    assert scorer.method == ARCHITECTURES[name][2]
    scores = scorer.score(batch)
    assert scores.log_prob.dtype == torch.float32
    assert_equal(model, scores.log_prob, naive_table(model, tokenizer(), batch))


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2", "mistral-window", "opt"])
@pytest.mark.parametrize("method", ["cache", "duplicate"])
def test_the_other_methods_equal_the_reference(name: str, method: str) -> None:
    model, batch = build(name), decisions((3, 5))
    scores = ActionScorer(model, tokenizer(), method=method).score(batch)
    assert_equal(model, scores.log_prob, naive_table(model, tokenizer(), batch))


@pytest.mark.parametrize("kind", ["byte", "bos", "unigram", "metaspace"])
@pytest.mark.parametrize("method", ["tree", "cache", "duplicate"])
def test_tokenizers(kind: str, method: str) -> None:
    model, batch = build("llama"), decisions((4, 1, 7), seed=3)
    scores = ActionScorer(model, tokenizer(kind), method=method).score(batch)
    assert_equal(model, scores.log_prob, naive_table(model, tokenizer(kind), batch))
