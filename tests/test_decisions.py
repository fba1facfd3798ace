"""From texts to tokens: the action's span, the trie's layout, and what is refused."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from lightning_twosome import Decision
from lightning_twosome.decisions import DecisionEncoder, build_trie
from lightning_twosome.errors import UserError
from tests.naive_scoring import joint_ids
from tests.tiny_models import decisions, tokenizer

KINDS = ["byte", "bos", "unigram", "metaspace"]


def test_trie_in_preorder() -> None:
    # Prompt 1 2 3; actions 7 8 9, 7 8 5, 4 (one token), 7 8 (a prefix of the others).
    row = build_trie([[1, 2, 3, 7, 8, 9], [1, 2, 3, 7, 8, 5], [1, 2, 3, 4], [1, 2, 3, 7, 8]], [3, 3, 3, 3])
    assert row.trunk.tolist() == [1, 2, 3]
    # Only 7 and 8 are ever inputs: last tokens are leaves, and the action of one token adds no node.
    assert row.node_token.tolist() == [7, 8]
    assert row.node_depth.tolist() == [0, 1]
    assert row.node_end.tolist() == [2, 2]
    assert row.parent.tolist() == [[0, 1, 2], [0, 1, 2], [0, -1, -1], [0, 1, -1]]
    assert row.target.tolist() == [[7, 8, 9], [7, 8, 5], [4, 0, 0], [7, 8, 0]]
    assert row.tokens == (3, 3, 1, 2)


def test_subtrees_end_where_the_next_branch_begins() -> None:
    row = build_trie([[1, 5, 6, 0], [1, 5, 7, 0], [1, 9, 0]], [1, 1, 1])
    assert row.node_token.tolist() == [5, 6, 7, 9]
    assert row.node_end.tolist() == [3, 2, 3, 4]


def test_a_token_merged_over_the_boundary_leaves_the_trunk() -> None:
    # The second text ends the prompt with another token: the trunk is what both share, the rest is context or action.
    row = build_trie([[1, 2, 3, 7], [1, 2, 4, 7]], [3, 2])
    assert row.trunk.tolist() == [1, 2]
    assert row.skipped == (1, 0)
    assert row.tokens == (1, 2)
    assert row.node_token.tolist() == [3, 4]
    assert row.parent.tolist() == [[1, -1], [0, 2]]


@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_those_of_the_joint_text(kind: str) -> None:
    encoder = DecisionEncoder(tokenizer(kind))
    for decision in decisions():
        row = encoder.encode(decision)
        for action, suffix, count in zip(decision.actions, row.suffixes, row.tokens, strict=True):
            assert ([*row.trunk, *suffix], count) == joint_ids(tokenizer(kind), decision.prompt, action)


def test_a_tokenizer_that_merges_over_the_boundary_occurs_in_these_tests() -> None:
    encoder = DecisionEncoder(tokenizer("unigram"))
    assert any(any(encoder.encode(decision).skipped) for decision in decisions())


def test_counts() -> None:
    row = DecisionEncoder(tokenizer()).encode(Decision("Next,", ("pick up the tomato", "walk")))
    assert row.words == (4, 1)
    assert row.characters == (18, 4)


def test_prompt_alone_drops_the_trailing_eos() -> None:
    assert DecisionEncoder(tokenizer("bos")).encode_prompt("walk") == (
        1,
        *DecisionEncoder(tokenizer("byte")).encode_prompt("walk"),
    )


def test_the_tokenizers_own_padding_and_truncation_do_not_matter() -> None:
    decision = decisions()[1]
    plain = DecisionEncoder(tokenizer("bos")).encode(decision)
    other = tokenizer.__wrapped__("bos")
    other.padding_side = other.truncation_side = "left"
    other.backend_tokenizer.enable_truncation(4)
    other.backend_tokenizer.enable_padding(length=64)
    row = DecisionEncoder(other).encode(decision)
    assert row.trunk.tolist() == plain.trunk.tolist()
    assert row.parent.tolist() == plain.parent.tolist()


def test_an_empty_prompt_needs_a_bos() -> None:
    assert DecisionEncoder(tokenizer("bos")).encode(Decision("", ("walk",))).trunk.tolist() == [1]
    assert DecisionEncoder(tokenizer("bos")).encode_prompt("") == (1,)
    encoder = DecisionEncoder(tokenizer("byte"))
    with pytest.raises(UserError, match="no BOS"):
        encoder.encode(Decision("", ("walk",)))
    with pytest.raises(UserError, match="no BOS"):
        encoder.encode_prompt("")


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        (Decision("A prompt", ()), "'A prompt' is empty"),
        (Decision("A prompt", ("walk", "walk")), "'walk' of the prompt 'A prompt' is offered twice"),
        (Decision("A prompt", ("walk", 3)), "3 of the prompt 'A prompt' is a int"),
        (Decision("A prompt", ("walk", ["x"])), "is a list"),
        (Decision("A prompt", (" walk",)), "' walk'.*strip"),
        (Decision("A prompt", ("",)), "''.*strip"),
        (Decision("A prompt", "walk"), "tuple of str, not str"),
        (Decision(3, ("walk",)), "prompt must be a str, not int"),
    ],
)
def test_refused_decisions(decision: Decision, message: str) -> None:
    with pytest.raises(UserError, match=message):
        DecisionEncoder(tokenizer()).encode(decision)


def test_a_context_that_is_too_short_names_prompt_tokens_and_length() -> None:
    encoder = DecisionEncoder(tokenizer(), max_length=8)
    with pytest.raises(UserError, match=r"'You see a tomato on the table. Next, ...'.* takes \d+ tokens.*context of 8"):
        encoder.encode(Decision("You see a tomato on the table. Next, you should", ("walk",)))
    with pytest.raises(UserError, match="context of 8"):
        encoder.encode_prompt("You see a tomato on the table. Next, you should")


def test_a_tokenizer_without_offsets_is_refused() -> None:
    with pytest.raises(UserError, match="no character offsets"):
        DecisionEncoder(SimpleNamespace(is_fast=False))


def test_a_list_of_actions_becomes_a_tuple() -> None:
    assert Decision("p", ["a"]) == Decision("p", ("a",))


def test_the_memo_returns_the_same_object_and_is_bounded() -> None:
    encoder = DecisionEncoder(tokenizer())
    first, second, third = (Decision(prompt, ("walk",)) for prompt in ("one", "two", "six"))
    kept = encoder.encode(first)
    encoder.decisions.limit = 2 * encoder.decisions.bytes
    assert encoder.encode(first) is kept
    encoder.encode(second)
    encoder.encode(first)
    encoder.encode(third)  # drops the least recently used: the second
    assert encoder.encode(first) is kept
    assert len(encoder.decisions) == 2
