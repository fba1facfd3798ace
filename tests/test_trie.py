"""Actions as paths of choices among valid tokens, against one forward per prefix."""

import pytest
import torch
from peft import LoraConfig, get_peft_model

from lightning_twosome import ActionScorer, Decision, normalize
from lightning_twosome.decisions import build_trie
from lightning_twosome.errors import UserError
from lightning_twosome.scoring.trie import trie_log_prob
from tests.naive_poad import action_log_probs
from tests.test_scoring import assert_equal
from tests.tiny_models import build, decisions, tokenizer


def naive_table(model, kind, batch):
    rows = [action_log_probs(model, tokenizer(kind), decision) for decision in batch]
    width = max(len(row) for row in rows)
    return torch.stack([torch.nn.functional.pad(row, (0, width - len(row)), value=-torch.inf) for row in rows])


@pytest.mark.parametrize("name", ["llama", "gpt2"])
@pytest.mark.parametrize("method", ["tree", "cache", "duplicate"])
def test_every_method_equals_the_reference(name, method):
    """With a word that ends an action and begins a longer one, and gradients."""
    model, batch = build(name), decisions((5, 1, 3))
    scorer = ActionScorer(model, tokenizer(), method=method)
    scores = scorer.score(batch, trie=True)
    assert_equal(model, scores.trie, naive_table(model, "byte", batch))
    torch.testing.assert_close(scores.log_prob, scorer.score(batch).log_prob, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("kind", ["bos", "unigram", "metaspace"])
def test_tokenizers(kind):
    model, batch = build("llama"), decisions((4, 1, 7), seed=3)
    trie = ActionScorer(model, tokenizer(kind)).score(batch, trie=True).trie
    assert_equal(model, trie, naive_table(model, kind, batch))


def test_where_the_tokenizer_merges_over_the_boundary():
    """Then the actions begin with different tokens of the prompt, which belong to the choice."""
    model = build("llama")
    scorer = ActionScorer(model, tokenizer("unigram"))
    different = decisions((6,) * 12, seed=5)
    batch = [decision for decision in different if any(scorer.encoder.encode(decision).skipped)]
    assert batch
    scores = scorer.score(batch, trie=True)
    assert_equal(model, scores.trie, naive_table(model, "unigram", batch))
    torch.testing.assert_close(scores.log_prob, scorer.score(batch).log_prob)


def test_probabilities_sum_to_one_and_padding_is_apart():
    scorer = ActionScorer(build("llama"), tokenizer())
    batch = decisions((1, 8, 2))
    with torch.no_grad():
        trie = scorer.score(batch, trie=True).trie
        alone = torch.cat([scorer.score([decision], trie=True).trie[0] for decision in batch])
    torch.testing.assert_close(trie.exp().sum(1), torch.ones(3))
    assert (trie > -torch.inf).sum(1).tolist() == [1, 8, 2] and trie[0, 0] == 0, "a lone action is certain"
    torch.testing.assert_close(trie[trie > -torch.inf], alone)


@pytest.mark.parametrize("method", ["tree", "cache", "duplicate"])
def test_a_small_budget_changes_nothing(method):
    """Decisions cut into rows of fewer actions, and batches computed again in the backward pass."""
    model, batch = build("llama"), decisions((6, 2))
    large, small = (ActionScorer(model, tokenizer(), method, token_budget=budget) for budget in (4096, 24))
    assert_equal(model, small.score(batch, trie=True).trie, large.score(batch, trie=True).trie)


def test_remembered_lower_layers_change_nothing():
    torch.manual_seed(0)
    model = build("llama", lora=False)
    model = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj"], layers_to_transform=[1, 2])).eval()
    batch = decisions((5, 3))
    whole, cut = ActionScorer(model, tokenizer()), ActionScorer(model, tokenizer(), "tree", frozen_layers=1)
    with torch.no_grad():
        expected = whole.score(batch, trie=True).trie
        for _ in range(2):  # filled, then from memory
            torch.testing.assert_close(cut.score(batch, trie=True).trie, expected)


def test_the_end_of_an_action_is_the_mass_of_what_continues_it_otherwise():
    """Even where the model is sure of the longer action, its end keeps a finite log-probability and gradient."""
    encoded = build_trie([[1, 2, 3], [1, 2, 3, 4]], [1, 1])
    tokens = torch.tensor([[-1.0, -2.0, 0.0], [-1.0, -2.0, 0.0]], requires_grad=True)
    log_prob = trie_log_prob([encoded], tokens)
    torch.testing.assert_close(log_prob, torch.tensor([1e-6, 1 - 1e-6]).log(), rtol=1e-2, atol=1e-6)
    log_prob.sum().backward()
    assert tokens.grad.isfinite().all()
    unsure = torch.tensor([[-1.0, -2.0, 0.0], [-1.0, -2.0, -0.5]])
    torch.testing.assert_close(trie_log_prob([encoded], unsure).exp()[1], torch.tensor(-0.5).exp())


def test_nothing_to_score_and_nothing_to_choose():
    scorer = ActionScorer(build("llama"), tokenizer())
    assert scorer.score([], trie=True).trie.shape == (0, 0)
    alone = scorer.score([Decision("Next,", ("walk",))], trie=True)
    assert alone.trie.tolist() == [[0.0]]


def test_scores_without_it_say_how_to_get_it():
    scores = ActionScorer(build("llama"), tokenizer()).score(decisions((2,)))
    with pytest.raises(UserError, match=r"normalization='trie' needs .* score\(decisions, trie=True\)"):
        normalize(scores, "trie")
