"""No forward is larger than the token budget allows, whatever is scored, and no result depends on it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from benchmarks.memory import Case, main, make_decisions, measure
from benchmarks.memory_formula import Memory, Shape
from benchmarks.scoring import build_model, words_tokenizer
from lightning_twosome import ActionScorer, Decision
from lightning_twosome.agent import ActorCritic
from lightning_twosome.cli_errors import one_sentence, out_of_memory
from lightning_twosome.decisions import build_trie
from lightning_twosome.language_model import LanguageModel
from lightning_twosome.main import is_mistake
from lightning_twosome.scoring import log_softmax
from lightning_twosome.scoring.log_softmax import ChosenLogProb
from lightning_twosome.scoring.methods import METHODS
from lightning_twosome.scoring.rows import SLACK, Limits, plan, split
from tests.test_scoring import gradient
from tests.tiny_models import WORDS, build, tokenizer

BUDGET = 96
VERBS = ["pick", "walk", "chop"]


def make(decisions: int, actions: int, prompt: int) -> list[Decision]:
    """B different prompts of P words with K actions of two words, the verbs of some shared."""
    chosen = tuple(f"{VERBS[index % 3]} {WORDS[index]}" for index in range(actions))
    return [
        Decision(" ".join(WORDS[(row + (1 + row) * word) % len(WORDS)] for word in range(prompt)), chosen)
        for row in range(decisions)
    ]


@contextmanager
def forwards(model: nn.Module) -> Iterator[list[tuple[int, int, int]]]:
    """Positions, rows and columns with logits of each forward inside, those of backward passes included."""
    seen: list[tuple[int, int, int]] = []

    def note(module: nn.Module, arguments: tuple, keywords: dict, output) -> None:
        rows, width = keywords["attention_mask"].shape[0], keywords["attention_mask"].shape[-1]
        seen.append((rows * width, rows, rows * output.logits.shape[1]))

    handle = model.register_forward_hook(note, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()


@pytest.fixture(scope="module")
def model():
    return build("llama")


# B, K, P: one of each, many of each, and all at once; every prompt alone is below the budget.
SIZES = [(1, 1, 5), (20, 3, 10), (2, 24, 10), (5, 3, 30)]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_no_forward_exceeds_the_budget_and_nothing_depends_on_it(model, method, size):
    batch = make(*size)
    free = ActionScorer(model, tokenizer(), method=method, token_budget=1 << 40)
    expected = free.score(batch).log_prob
    expected_gradient = gradient(model, expected)
    scorer = ActionScorer(model, tokenizer(), method=method, token_budget=BUDGET)
    longest = max(
        METHODS[method].positions([one.select(action, action + 1)])
        for one in map(scorer.encoder.encode, batch)
        for action in range(size[1])
    )
    assert longest <= BUDGET
    with forwards(model) as seen:
        scores = scorer.score(batch).log_prob
        got = gradient(model, scores)
    assert max(positions for positions, _, _ in seen) <= BUDGET
    assert len(seen) > 1 or size == SIZES[0]
    torch.testing.assert_close(scores, expected, rtol=0, atol=2e-5)
    assert (got - expected_gradient).norm() <= 1e-5 * expected_gradient.norm()


def test_a_prompt_above_the_budget_is_told_and_cut_no_further_than_it_helps(model, caplog):
    batch = make(2, 24, 90)
    scorer = ActionScorer(model, tokenizer(), method="tree", token_budget=BUDGET)
    encoded = [scorer.encoder.encode(decision) for decision in batch]
    prompt = min(len(decision.trunk) for decision in encoded)
    alone = prompt + max(len(suffix) for suffix in encoded[0].suffixes)
    assert prompt > BUDGET
    with caplog.at_level(logging.WARNING), forwards(model) as seen, torch.no_grad():
        scores = scorer.score(batch).log_prob
        scorer.score(batch)
    assert max(positions for positions, _, _ in seen) <= SLACK * alone
    assert 2 <= len(seen) // 2 < sum(len(decision.suffixes) for decision in encoded) / 2
    said = [record.getMessage() for record in caplog.records if "token_budget" in record.getMessage()]
    assert len(said) == 1 and f"more than token_budget={BUDGET}" in said[0]
    with torch.no_grad():
        expected = ActionScorer(model, tokenizer(), method="tree").score(batch).log_prob
    torch.testing.assert_close(scores, expected, rtol=0, atol=2e-5)


def test_logits_are_bounded_in_proportion():
    # 2 layers of width 8 and a vocabulary of 64: the logits of one column and their gradient are 128 numbers, the
    # hidden states of 8 positions. A budget of 40 positions allows for 5 columns.
    limits = Limits.of(40, layers=2, hidden=8, vocabulary=64)
    assert (limits.positions, limits.columns) == (40, 5)
    # Trunk of 3; each action has two tokens, of which one is read: 1 + K columns with logits.
    decision = build_trie([[1, 2, 3, 10 + action, 9] for action in range(8)], [3] * 8)
    rows = split([decision] * 2, METHODS["tree"], limits)
    assert [len(row.encoded.suffixes) for row in rows] == [4, 4, 4, 4]
    assert [row.first for row in rows] == [0, 4, 8, 12]
    batches = plan(rows, METHODS["tree"], limits, enough=1000)
    assert [len(batch) for batch in batches] == [1, 1, 1, 1]  # 7 positions each: five would fit the budget
    assert limits.held(METHODS["tree"], batches[:2]) == 1.0  # without their gradients, the logits of two batches


def test_a_large_vocabulary_makes_batches_smaller():
    widths = []
    for vocabulary in (2048, 16384):
        made = build_model("2M", "cpu", "float32", vocab_size=vocabulary)
        scorer = ActionScorer(made, words_tokenizer(), method="tree", token_budget=512)
        with forwards(made) as seen, torch.no_grad():
            scorer.score(make(12, 8, 20))
        widths.append(max(columns for _, _, columns in seen) * vocabulary)
    assert 2 * max(widths) <= 512 * 4 * 192  # positions, layers, width: what the layers' hidden states take


def test_an_adapted_critic_keeps_one_chunk(model):
    """What autograd holds until the backward pass does not grow with the batch."""
    kept = {}
    for prompts in (4, 32):
        agent = ActorCritic(LanguageModel(model, tokenizer(), "llama", None), critic="adapted", token_budget=BUDGET)
        sizes: list[int] = []

        def pack(tensor: Tensor, sizes: list[int] = sizes) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            values = agent.values([decision.prompt for decision in make(prompts, 1, 20)])
        kept[prompts] = sum(sizes)
        with forwards(model) as seen:
            values.sum().backward()
        assert len(seen) > 1 and max(positions for positions, _, _ in seen) <= BUDGET
    assert kept[32] < 2 * kept[4] + 32 * 1000  # the value head's own


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("entries", [1, 1 << 22])
def test_chosen_log_probabilities_and_their_gradient(monkeypatch, dtype, entries):
    monkeypatch.setattr(log_softmax, "ENTRIES", entries)
    torch.manual_seed(0)
    logits = (5 * torch.randn(2, 3, 7)).to(dtype).requires_grad_()
    # Two actions choose the same token of the same column, two different ones of another.
    row = torch.tensor([[0, 0], [0, 0], [1, 1]])
    column = torch.tensor([[0, 2], [0, 2], [1, 1]])
    target = torch.tensor([[3, 1], [3, 2], [6, 0]])
    weight = torch.tensor([[1.0, -2.0], [0.5, 3.0], [1.5, 0.25]])
    got = ChosenLogProb.apply(logits, row, column, target)
    (made,) = torch.autograd.grad((got * weight).sum(), logits)
    expected = logits.float().log_softmax(-1)[row, column, target]
    (wanted,) = torch.autograd.grad((expected * weight).sum(), logits)
    assert got.dtype == torch.float32 and made.dtype == dtype
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(made, wanted, rtol=1e-6, atol=1e-6)


# The formula


def kept_bytes(case: Case, decisions: Sequence[Decision]) -> tuple[int, int, int]:
    """Bytes that autograd keeps for the backward pass, weights left out; positions; columns with logits."""
    made = build_model(case.model, "cpu", case.dtype, 2 if case.upper else 0)
    if case.checkpointing:
        made.gradient_checkpointing_enable({"use_reentrant": False})
    made.train()
    scorer = ActionScorer(made, words_tokenizer(), method="tree", frozen_layers=2 if case.upper else 0)
    weights = {parameter.untyped_storage().data_ptr() for parameter in made.parameters()}
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with forwards(made) as seen, torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        scorer.score(decisions)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values()), seen[-1][0], seen[-1][2]


@pytest.mark.parametrize(
    "changes", [{}, {"dtype": "bfloat16"}, {"checkpointing": True}, {"upper": True}], ids=str
)  # fmt: skip
def test_the_formula_is_what_autograd_keeps(changes):
    case = Case("2M", **changes)
    kept, positions, columns = kept_bytes(case, make_decisions(case, 4))
    memory = case.formula()
    each = memory.kept() - (memory.kept_by_layer() if case.checkpointing else 0)  # a layer's own come in the backward
    expected = positions * (each + case.prompt * memory.size) + columns * memory.shape.vocabulary * memory.size
    assert kept == pytest.approx(expected, rel=0.1)


def test_parameters_of_the_formula():
    made = build_model("2M", "cpu", "float32")
    trunk = sum(parameter.numel() for name, parameter in made.named_parameters() if "lora" not in name)
    assert Shape.of(Case("2M").shape).parameters() == pytest.approx(trunk, rel=0.01)
    # LLaMA 7B has 6.74 billion.
    assert Memory(Shape.of(Case("7B").shape), "bfloat16").weights() == pytest.approx(2 * 6.74e9, rel=0.01)


def test_the_benchmark_measures_a_peak_above_what_autograd_keeps():
    case = Case("2M", decisions=8)
    # A process that has freed much, as after other tests: small blocks that stay keep the large ones in the heap.
    for count, size in ((1, 4_000_000), (100, 250_000)):  # after a larger one was freed they come from the heap
        blocks = [(torch.ones(size), torch.ones(10_000)) for _ in range(count)]
        left = [small for _, small in blocks]
        del blocks
    measured, bounded = measure(case), measure(Case("2M", decisions=8, budget=256))
    memory = case.formula()
    assert measured.positions > 256 >= bounded.positions and bounded.forwards > measured.forwards
    assert memory.kept() * measured.positions < measured.peak < 2 * memory.kept() * measured.positions
    assert bounded.peak < measured.peak / 2
    assert len(left) == 100


def test_the_benchmark_proposes_a_budget(capsys):
    [result] = main(["budget", "--model", "7B", "--memory", "24", "--dtype", "bfloat16", "--checkpointing"])
    assert result["weights"] + result["token_budget"] * result["position"] <= 0.8 * 24 * 2**30
    assert f"token_budget={result['token_budget']}" in capsys.readouterr().out


# Out of memory


@pytest.mark.parametrize(
    ("error", "piece"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0"), "the GPU for 2.50 GiB more"),
        (RuntimeError("can't allocate memory: you tried to allocate 3221225472 bytes."), "this machine for 3 GiB more"),
        (MemoryError(), "this machine: halve"),
    ],
)
def test_out_of_memory_is_one_sentence_with_the_levers(error, piece):
    sentence = one_sentence(error)
    assert is_mistake(error) and piece in sentence and "\n" not in sentence
    assert all(lever in sentence for lever in ("token_budget", "dtype bfloat16", "gradient_checkpointing"))


def test_other_errors_are_no_want_of_memory():
    assert out_of_memory(RuntimeError("shape mismatch")) == ""
    assert not is_mistake(RuntimeError("shape mismatch"))
