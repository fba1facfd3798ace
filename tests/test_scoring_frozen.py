"""Frozen lower layers: the same scores and gradients, computed once below the boundary."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model

from lightning_twosome import ActionScorer
from lightning_twosome.errors import UserError
from lightning_twosome.language_model import decoder_layers
from tests.test_scoring import gradient
from tests.tiny_models import ARCHITECTURES, build, decisions, tokenizer


def upper(name: str, frozen: int = 1):
    """A model with LoRA above layer ``frozen`` only."""
    model = build(name, lora=False)
    layers = list(range(frozen, len(decoder_layers(model))))
    lora = LoraConfig(r=4, target_modules=ARCHITECTURES[name][1], layers_to_transform=layers, init_lora_weights=False)
    return get_peft_model(model, lora).eval()


@pytest.mark.parametrize("name", ["llama", "qwen2-window", "gemma", "gemma2", "gemma3", "gpt2", "gpt-neox", "opt"])
def test_scores_and_gradients_are_those_of_the_whole_model(name: str) -> None:
    model, batch = upper(name), decisions((3, 5, 1))
    table = ActionScorer(model, tokenizer()).score(batch).log_prob
    expected = gradient(model, table)
    scorer = ActionScorer(model, tokenizer(), frozen_layers=1)
    scorer.score(batch[1:])  # part of the batch is known when it comes
    for scorer.token_budget in (16384, 60):
        scores = scorer.score(batch).log_prob
        assert torch.allclose(scores, table, rtol=0, atol=2e-5)
        assert (gradient(model, scores) - expected).norm() / expected.norm() < 1e-5


def test_lower_layers_run_once_per_decision() -> None:
    model, batch = upper("llama", 2), decisions((3, 5))
    scorer = ActionScorer(model, tokenizer(), frozen_layers=2)
    runs = []
    decoder_layers(model)[0].register_forward_hook(lambda *_: runs.append(0))
    for _ in range(3):
        scorer.score(batch)
    assert len(runs) == 1
    scorer.frozen.clear()
    scorer.score(batch)
    assert len(runs) == 2


def test_what_an_evaluation_remembered_serves_training() -> None:
    model, batch = upper("llama"), decisions((3, 5))
    expected = gradient(model, ActionScorer(model, tokenizer()).score(batch).log_prob)
    scorer = ActionScorer(model, tokenizer(), frozen_layers=1)
    with torch.inference_mode():
        scorer.score(batch)
    got = gradient(model, scorer.score(batch).log_prob)
    assert (got - expected).norm() / expected.norm() < 1e-5


def test_memory_is_bounded() -> None:
    model, batch = upper("llama"), decisions((3, 5, 2, 4))
    expected = ActionScorer(model, tokenizer()).score(batch).log_prob
    scorer = ActionScorer(model, tokenizer(), frozen_layers=1, cache_megabytes=0.008)
    assert torch.allclose(scorer.score(batch).log_prob, expected, rtol=0, atol=2e-5)
    assert 0 < scorer.frozen.memory.bytes <= 0.008 * 2**20
    assert 0 < len(scorer.frozen.memory) < len(batch)


def test_the_model_is_whole_again_after_an_error(monkeypatch) -> None:
    model = upper("llama")
    scorer = ActionScorer(model, tokenizer(), frozen_layers=1)
    before = list(decoder_layers(model))
    monkeypatch.setattr(type(before[1]), "forward", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        scorer.score(decisions((2,)))
    assert list(decoder_layers(model)) == before


def test_what_is_refused() -> None:
    with pytest.raises(UserError, match="below layer 1 are adapted or trainable"):
        ActionScorer(build("llama"), tokenizer(), frozen_layers=1)
    model = upper("llama")
    with pytest.raises(UserError, match="frozen_layers=3 leaves nothing"):
        ActionScorer(model, tokenizer(), frozen_layers=3)
    with pytest.raises(UserError, match="needs method tree, not 'duplicate'"):
        ActionScorer(model, tokenizer(), method="duplicate", frozen_layers=1)
    decoder_layers(model)[0].mlp.up_proj.weight.requires_grad_(True)
    with pytest.raises(UserError, match="adapted or trainable"):
        ActionScorer(model, tokenizer(), frozen_layers=1)
