"""lm-eval's answers by the tree scorer: those of its own Hugging Face model, in fewer positions."""

from __future__ import annotations

import copy
import random

import pytest
import torch
from lm_eval.models.huggingface import HFLM

from lightning_twosome import ActionScorer
from lightning_twosome.errors import UserError
from lightning_twosome.forgetting.policy_lm import ROW, PolicyLM, bundle, share, shared
from tests.forgetting_tasks import pairs, requests
from tests.tiny_models import WORDS, build, tokenizer


def both(architecture: str, kind: str = "byte") -> tuple[PolicyLM, HFLM]:
    model = build(architecture)
    ours = PolicyLM(ActionScorer(model, tokenizer(kind)))
    return ours, HFLM(
        pretrained=model, tokenizer=copy.deepcopy(tokenizer(kind)), batch_size=3, max_length=ours.max_length
    )


def assert_equal_answers(ours, theirs):
    assert len(ours) == len(theirs)
    for (log_prob, greedy), (expected, expected_greedy) in zip(ours, theirs, strict=True):
        assert log_prob == pytest.approx(expected, abs=1e-4)
        assert greedy == expected_greedy


@pytest.mark.parametrize(
    ("architecture", "kind"),
    [("llama", "byte"), ("llama", "bos"), ("llama", "unigram"), ("llama", "metaspace"), ("gemma3", "byte"),
     ("bloom", "byte"), ("mamba", "bos")],
)  # fmt: skip
@torch.no_grad()
def test_answers_are_those_of_lm_evals_own_model(architecture, kind):
    ours, theirs = both(architecture, kind)
    asked = [pair for pair in pairs() if not pair[0] or ours._encode_pair(*pair)[1]]  # lm-eval refuses the others
    assert len(asked) > 30
    answers = ours.loglikelihood(requests("loglikelihood", asked))
    assert_equal_answers(answers, theirs.loglikelihood(requests("loglikelihood", asked), disable_tqdm=True))


@torch.no_grad()
def test_a_greedy_continuation_is_known_as_such():
    ours, theirs = both("llama")
    context = "You see a tomato"
    written = theirs.tokenizer.encode(context)
    for _ in range(4):
        written.append(int(theirs.model(torch.tensor([written])).logits[0, -1].argmax()))
    ids = written[-4:]
    [(_, greedy), (_, other)] = ours._loglikelihood_tokens(
        [(None, written[:-4], ids), (None, written[:-4], [*ids[:3], (ids[3] + 1) % 300])]
    )
    assert greedy and not other


@torch.no_grad()
def test_what_exceeds_the_context_is_cut_on_the_left():
    ours, theirs = both("gpt2")
    asked = [(" ".join(WORDS * 12), " walk away"), (" ".join(WORDS * 12), " serve it"), ("Next", " walk")]
    answers = ours.loglikelihood(requests("loglikelihood", asked))
    assert_equal_answers(answers, theirs.loglikelihood(requests("loglikelihood", asked), disable_tqdm=True))


@pytest.mark.parametrize("kind", ["byte", "bos"])
@torch.no_grad()
def test_rolling_windows_are_lm_evals(kind):
    ours, theirs = both("gpt2", kind)
    texts = [(" ".join(random.Random(n).choices(WORDS, k=n)),) for n in (1, 5, 120, 300)]
    answers = ours.loglikelihood_rolling(requests("loglikelihood_rolling", texts))
    expected = theirs.loglikelihood_rolling(requests("loglikelihood_rolling", texts), disable_tqdm=True)
    assert answers == pytest.approx(expected, rel=1e-5)


@torch.no_grad()
def test_switching_the_adapter_off_is_seen():
    ours, _ = both("llama")
    asked = requests("loglikelihood", pairs())
    on = ours.loglikelihood(asked)
    with ours.scorer.model.disable_adapter():
        off = ours.loglikelihood(asked)
    assert max(abs(a[0] - b[0]) for a, b in zip(on, off, strict=True)) > 0.1
    assert on == ours.loglikelihood(asked)


def test_writing_is_refused_in_a_sentence():
    ours, _ = both("llama")
    with pytest.raises(UserError, match="'toy' lets the model write"):
        ours.generate_until(requests("generate_until", [("You", {})]))


def test_a_continuation_without_tokens_is_named():
    ours, _ = both("llama")
    with pytest.raises(UserError, match="no token of its own"):
        ours.loglikelihood(requests("loglikelihood", [("You", "")]))


def random_sequences(seed: int) -> list[list[int]]:
    source = random.Random(seed)
    contexts = [[source.randrange(9) for _ in range(source.randint(1, 60))] for _ in range(8)]
    return [
        source.choice(contexts)[: source.randint(1, 60)] + [source.randrange(9) for _ in range(source.randint(1, 9))]
        for _ in range(80)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_every_sequence_is_in_one_bundle_and_no_row_is_long(seed):
    sequences = random_sequences(seed)
    bundles = bundle(sequences)
    assert sorted(index for one in bundles for index in one) == list(range(len(sequences)))
    for one in bundles:
        prefixes = {tuple(sequences[i][:length]) for i in one for length in range(1, len(sequences[i]) + 1)}
        assert len(prefixes) <= max(ROW, 2 * min(len(sequences[i]) for i in one))
        for index in one[1:]:
            assert 4 * shared(sequences[one[0]], sequences[index]) >= len(sequences[index])


def test_one_context_is_one_bundle_and_strangers_are_apart():
    first, second = list(range(40)), list(range(100, 140))
    sequences = [[*first, 1], [*second, 2], [*first, 3, 4], [*second, 5], [*first, 1]]
    assert sorted(map(sorted, bundle(sequences))) == [[0, 2, 4], [1, 3]]


def test_few_shot_prompts_share_a_row_until_it_is_long():
    shots = list(range(600))
    bundles = bundle([[*shots, *range(1000 + 100 * n, 1100 + 100 * n)] for n in range(12)])
    assert [len(one) for one in bundles] == [8, 4]


@pytest.mark.parametrize("items", [1, 2, 5, 12])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_shares_cover_the_work_evenly_and_none_is_empty(items, processes):
    parts = [share(range(items), rank, processes) for rank in range(processes)]
    assert {item for part in parts for item in part} == set(range(items))
    assert all(parts) and max(map(len, parts)) - min(map(len, parts)) <= 1
    assert sum(map(len, parts)) == max(items, processes)
    assert share([], 0, processes) == []
