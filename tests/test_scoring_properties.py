"""What scores do not depend on, what they mean, and when they are refused."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from lightning_twosome import ActionScorer, ActionScores, Decision, normalize
from lightning_twosome.errors import UserError
from lightning_twosome.scoring import scorer as scorer_module
from lightning_twosome.scoring.dropout import active_dropout
from lightning_twosome.scoring.methods import METHODS
from lightning_twosome.scoring.rows import SLACK
from tests.naive_scoring import naive_table
from tests.test_scoring import gradient
from tests.tiny_models import build, decisions, tokenizer

ALL = ["tree", "cache", "duplicate"]


def close(left: torch.Tensor, right: torch.Tensor, tolerance: float = 2e-5) -> bool:
    return torch.allclose(left, right, rtol=0, atol=tolerance)


@pytest.mark.parametrize("method", ALL)
def test_order_and_company_do_not_matter(method: str) -> None:
    scorer, batch = ActionScorer(build("gpt2"), tokenizer(), method=method), decisions()
    together = scorer.score(batch)
    backwards = scorer.score(batch[::-1])
    assert close(backwards.log_prob.flip(0), together.log_prob)
    assert torch.equal(backwards.tokens.flip(0), together.tokens)
    for index, decision in enumerate(batch):
        alone = scorer.score([decision])
        width = len(decision.actions)
        assert close(alone.log_prob[0], together.log_prob[index, :width])
        for field in ("tokens", "words", "characters"):
            assert torch.equal(getattr(alone, field)[0], getattr(together, field)[index, :width])


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("side", ["left", "right"])
def test_the_tokenizers_padding_side_does_not_matter(method: str, side: str) -> None:
    other = tokenizer.__wrapped__()
    other.padding_side = side
    model, batch = build("opt"), decisions((2, 5))
    expected = ActionScorer(model, tokenizer(), method=method).score(batch)
    assert torch.equal(ActionScorer(model, other, method=method).score(batch).log_prob, expected.log_prob)


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("budget", [1, 60, 100])
def test_the_budget_bounds_every_forward_and_changes_nothing(monkeypatch, method: str, budget: int) -> None:
    model, batch = build("llama"), decisions()
    whole = ActionScorer(model, tokenizer(), method=method)
    table = whole.score(batch).log_prob
    expected = gradient(model, table)
    bounded = ActionScorer(model, tokenizer(), method=method, token_budget=budget)
    positions = []
    forward = type(model.get_base_model()).forward

    def spy(self, *args, **kwargs):
        mask = kwargs["attention_mask"]
        positions.append(mask.shape[0] * mask.shape[-1])
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(type(model.get_base_model()), "forward", spy)
    scores = bounded.score(batch)
    chunks = len(positions)
    assert close(scores.log_prob, table)
    got = gradient(model, scores.log_prob)
    assert (got - expected).norm() / expected.norm() < 1e-5
    assert len(positions) == 2 * chunks  # the budget is exceeded: each chunk is computed again in the backward pass
    longest = max(sum(map(len, (row.trunk, suffix))) for row in encoded(whole, batch) for suffix in row.suffixes)
    assert max(positions) <= max(budget, SLACK * (longest + 1))


def encoded(scorer: ActionScorer, batch: list[Decision]) -> list:
    return [scorer.encoder.encode(decision) for decision in batch]


def test_within_the_budget_nothing_is_recomputed(monkeypatch) -> None:
    def refuse(*args, **kwargs):
        raise AssertionError("recomputed")

    monkeypatch.setattr(scorer_module, "checkpoint", refuse)
    model = build("llama")
    gradient(model, ActionScorer(model, tokenizer()).score(decisions()).log_prob)


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2"])
@pytest.mark.parametrize("method", ALL)
def test_gradient_checkpointing(name: str, method: str) -> None:
    model, batch = build(name), decisions((3, 5))
    scorer = ActionScorer(model, tokenizer(), method=method)
    table = scorer.score(batch).log_prob
    expected = gradient(model, table)
    model.train()
    model.gradient_checkpointing_enable()
    for scorer.token_budget in (16384, 100):
        scores = scorer.score(batch).log_prob
        assert close(scores.detach(), table.detach())
        got = gradient(model, scores)
        assert (got - expected).norm() / expected.norm() < 1e-5


def test_sum_obeys_the_chain_rule() -> None:
    scorer = ActionScorer(build("llama"), tokenizer())
    prompt = "You see a tomato. Next,"
    whole = scorer.score([Decision(prompt, ("pick up the tomato",))])
    first = scorer.score([Decision(prompt, ("pick up",))])
    second = scorer.score([Decision(prompt + " pick up", ("the tomato",))])
    joint, parts = normalize(whole, "sum"), normalize(first, "sum") + normalize(second, "sum")
    assert close(joint, parts)
    assert whole.tokens == first.tokens + second.tokens


def test_normalizations() -> None:
    count = torch.tensor([[4, 2], [1, 0]])
    scores = ActionScores(
        log_prob=torch.tensor([[-8.0, -3.0], [-5.0, -torch.inf]]), tokens=count, words=2 * count, characters=4 * count
    )
    assert normalize(scores, "sum").tolist() == [[-8.0, -3.0], [-5.0, -torch.inf]]
    assert normalize(scores, "token").tolist() == [[-2.0, -1.5], [-5.0, -torch.inf]]
    assert normalize(scores, "word").tolist() == [[-1.0, -0.75], [-2.5, -torch.inf]]
    assert normalize(scores, "character").tolist() == [[-0.5, -0.375], [-1.25, -torch.inf]]
    with pytest.raises(UserError, match="normalization='mean'"):
        normalize(scores, "mean")


def test_padding_passes_no_gradient_and_no_nan() -> None:
    model = build("llama")
    scores = ActionScorer(model, tokenizer()).score(decisions((1, 4)))
    log_softmax = torch.log_softmax(normalize(scores, "token"), dim=-1)
    log_softmax[scores.tokens > 0].sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_rows_are_selected_in_all_fields() -> None:
    scores = ActionScorer(build("llama", lora=False), tokenizer()).score(decisions((2, 3)))
    rows = scores.index_select(torch.tensor([1, 0, 1]))
    assert close(rows.log_prob, scores.log_prob[[1, 0, 1]])
    for field in ("tokens", "words", "characters"):
        assert torch.equal(getattr(rows, field), getattr(scores, field)[[1, 0, 1]])


def test_no_decisions_give_an_empty_table() -> None:
    assert ActionScorer(build("llama"), tokenizer()).score([]).log_prob.shape == (0, 0)


@pytest.mark.parametrize("method", ALL)
def test_the_disabled_adapter_is_the_base_model(method: str) -> None:
    model, batch = build("llama"), decisions((2, 3))
    scorer = ActionScorer(model, tokenizer(), method=method)
    adapted = scorer.score(batch).log_prob
    with model.disable_adapter(), torch.no_grad():
        frozen = scorer.score(batch).log_prob
        expected = naive_table(model, tokenizer(), batch)
    assert close(frozen, expected)
    assert not close(adapted, frozen, 1e-2)
    assert close(scorer.score(batch).log_prob, adapted)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("method", ALL)
def test_half_precision_trunks(dtype: torch.dtype, method: str) -> None:
    model, batch = build("llama", lora=False).to(dtype), decisions((2, 3))
    scores = ActionScorer(model, tokenizer(), method=method).score(batch)
    assert scores.log_prob.dtype == torch.float32
    with torch.no_grad():
        expected = naive_table(model.float(), tokenizer(), batch)
    finite = expected.isfinite()
    assert ((scores.log_prob - expected)[finite] / expected[finite]).abs().max() < 0.05


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2"])
@pytest.mark.parametrize("method", ALL)
def test_mixed_precision(name: str, method: str) -> None:
    model, batch = build(name), decisions((2, 3))
    scorer = ActionScorer(model, tokenizer(), method=method)
    with torch.no_grad():
        expected = scorer.score(batch).log_prob
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = scorer.score(batch).log_prob
    assert scores.dtype == torch.float32
    finite = expected.isfinite()
    assert ((scores - expected)[finite] / expected[finite]).abs().max() < 0.05
    assert gradient(model, scores).isfinite().all()


def lora_with_dropout() -> nn.Module:
    lora = LoraConfig(target_modules=["q_proj"], lora_dropout=0.1)
    return get_peft_model(build("llama", lora=False), lora)


def attention_dropout() -> nn.Module:
    model = build("llama")
    model.get_base_model().model.layers[0].self_attn.attention_dropout = 0.1
    return model


def residual_dropout() -> nn.Module:
    model = build("gpt2")
    model.get_base_model().transformer.drop.p = 0.1
    return model


@pytest.mark.parametrize("make", [lora_with_dropout, attention_dropout, residual_dropout])
def test_active_dropout_is_refused_except_by_duplicate(make) -> None:
    model = make().eval()
    scorers = {method: ActionScorer(model, tokenizer(), method=method) for method in METHODS}
    for scorer in scorers.values():
        scorer.score(decisions((2,)))
    model.train()
    assert "p=0.1" in active_dropout(model)
    for method in ("tree", "cache"):
        with pytest.raises(UserError, match=r"Dropout is active in .*p=0\.1"):
            scorers[method].score(decisions((2,)))
    assert scorers["duplicate"].score(decisions((2,))).log_prob.isfinite().all()


def test_no_dropout_is_found_where_none_acts() -> None:
    assert active_dropout(build("llama").train()) is None
