"""The probe chooses rightly, says so in one line, and leaves no trace."""

from __future__ import annotations

import logging

import pytest
import torch
import transformers as hf

from lightning_twosome import ActionScorer
from lightning_twosome.errors import UserError
from lightning_twosome.scoring import probe, tree
from lightning_twosome.scoring.methods import METHODS
from tests.tiny_models import ARCHITECTURES, build, tokenizer


@pytest.fixture(autouse=True)
def fresh(monkeypatch) -> None:
    monkeypatch.setattr(probe, "_verdicts", {})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("llama", ["LlamaForCausalLM", "method tree", "agrees with plain rows"]),
        ("bloom", ["BloomForCausalLM", "method cache", "tree raises ValueError"]),
        ("gpt-neo", ["GPTNeoForCausalLM", "method cache", "tree is off by"]),
    ],
)
def test_one_log_line_names_method_and_reason(caplog, name: str, words: list[str]) -> None:
    with caplog.at_level(logging.INFO, logger="lightning_twosome"):
        ActionScorer(build(name), tokenizer())
    [record] = [record for record in caplog.records if record.name.startswith("lightning_twosome")]
    assert all(word in record.getMessage() for word in words)


def test_methods_that_are_not_exact_are_refused() -> None:
    with pytest.raises(UserError, match="method='tree' is not exact for BloomForCausalLM"):
        ActionScorer(build("bloom"), tokenizer(), method="tree")
    with pytest.raises(UserError, match="method='cache' is not exact for MambaForCausalLM"):
        ActionScorer(build("mamba"), tokenizer(), method="cache")
    with pytest.raises(UserError, match="method='fast' is unknown"):
        ActionScorer(build("llama"), tokenizer(), method="fast")
    with pytest.raises(UserError, match="token_budget=0"):
        ActionScorer(build("llama"), tokenizer(), token_budget=0)


@pytest.mark.parametrize("name", ["gemma2", "gemma3", "qwen2-window", "mistral-window"])
def test_a_forgotten_window_would_be_noticed(monkeypatch, name: str) -> None:
    monkeypatch.setattr(tree, "visible", lambda packed, window=None, see=tree.visible: see(packed))
    verdict = probe.probe(build(name), METHODS["tree"])
    assert not verdict.exact
    assert "off by" in verdict.reason


def test_wrong_positions_would_be_noticed(monkeypatch) -> None:
    def shifted(rows, device, pack=tree.pack):
        packed = pack(rows, device)
        packed.position_ids[:] = torch.arange(packed.position_ids.shape[1])
        return packed

    monkeypatch.setattr(tree, "pack", shifted)
    assert not probe.probe(build("llama"), METHODS["tree"]).exact


def test_flags_and_random_state_are_left_alone() -> None:
    model = build("llama").train()
    model.get_base_model().model.layers[1].eval()
    flags = [module.training for module in model.modules()]
    wanted = [parameter.requires_grad for parameter in model.parameters()]
    state = torch.get_rng_state()
    ActionScorer(model, tokenizer())
    assert [module.training for module in model.modules()] == flags
    assert [parameter.requires_grad for parameter in model.parameters()] == wanted
    assert torch.equal(torch.get_rng_state(), state)


def test_attention_without_custom_masks_is_not_packed() -> None:
    model = build("llama")
    model.get_base_model().config._attn_implementation = "flash_attention_2"
    verdict = probe.probe(model, METHODS["tree"])
    assert not verdict.exact
    assert "attn_implementation='sdpa'" in verdict.reason


SHAPES = {
    "7B": hf.LlamaConfig(hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32),
    "8x7B": hf.MixtralConfig(),
    "0.5B": hf.Qwen2Config(hidden_size=896, num_hidden_layers=24, num_attention_heads=14, num_key_value_heads=2),
    "9B": hf.Gemma2Config(),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_large_shapes_are_tried_on_a_narrow_copy(shape: str) -> None:
    with torch.device("meta"):  # no weights yet, as under a sharding strategy: the copy alone decides
        model = hf.AutoModelForCausalLM.from_config(SHAPES[shape])
    copy = probe.random_copy(model, heads=2)
    assert sum(parameter.numel() for parameter in copy.parameters()) < 20_000_000
    assert probe.probe(model, METHODS["tree"]).exact


def test_every_architecture_is_tried_on_a_copy_with_short_windows() -> None:
    for name in ARCHITECTURES:
        copy = probe.random_copy(build(name, lora=False), heads=2)
        window = getattr(copy.config, "sliding_window", None) or getattr(copy.config, "window_size", None)
        assert window in (None, probe.WINDOW)
        assert copy.config.num_hidden_layers <= 2
