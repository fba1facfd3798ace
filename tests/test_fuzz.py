"""Generated input: whatever a config, an environment or a prompt holds, it works or is refused in one sentence."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from jsonargparse import ArgumentError

from lightning_twosome import ActionScorer, Decision, normalize
from lightning_twosome.cli_errors import one_sentence
from lightning_twosome.command_line import TwosomeCLI, run_cli
from lightning_twosome.config_files import check_config_file
from lightning_twosome.decisions import DecisionEncoder
from lightning_twosome.errors import UserError
from tests.naive_scoring import joint_ids, naive_table
from tests.tiny_models import WORDS, build, tokenizer

FIXED = {"derandomize": True, "deadline": None, "suppress_health_check": list(HealthCheck)}
KEYS = [
    "run_dir", "seed_everything", "trainer", "model", "data", "max_epochs", "callbacks", "class_path", "init_args",
    "language_model", "lora", "name", "env", "env_kwargs", "num_envs", "minibatch_size", "gamma", "beta", "precision",
    "critic_hidden", "devices", "logger", "r", "dtype", "weight", "test_tasks", "confg", "trianer",
]  # fmt: skip
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 2**40),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(["TwosomePPO", "lightning_twosome.TwosomePPO", "twosome/TomatoSalad-v0", "last", "nan", "1e400"]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)),
    max_leaves=6,
)
TOP = st.sampled_from(["run_dir", "seed_everything", "trainer", "model", "data", "ckpt_path", "trianer"])
# Words that the tiny tokenizers know, scripts they do not, blanks, marks, signs outside of the basic plane.
PIECES = st.one_of(st.sampled_from(WORDS), st.text(max_size=8))
TEXTS = st.lists(PIECES, min_size=1, max_size=5).map(" ".join)
ACTIONS = st.one_of(TEXTS, TEXTS.map(str.strip), st.sampled_from(["", " ", "\n", "\x00", "\ud800", 3, None]))
DECISIONS = st.builds(lambda prompt, actions: Decision(prompt, tuple(actions)), TEXTS, st.lists(ACTIONS, max_size=5))


@settings(max_examples=60, **FIXED)
@given(content=st.dictionaries(TOP, VALUES, min_size=1, max_size=3))
def test_config_of_any_content_is_parsed_or_refused(content: dict[str, Any], tmp_path_factory) -> None:
    file = tmp_path_factory.mktemp("fuzz") / "config.yaml"
    file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8", errors="surrogatepass")
    try:
        check_config_file(str(file))
        parse(["fit", "--config", str(file)])
    except (UserError, ArgumentError) as error:
        sentence = one_sentence(error)
        assert sentence and "\n" not in sentence and "Traceback" not in sentence


def parse(arguments: list[str]) -> None:
    """Parse a command line, and stop before anything is made."""

    class Stopped(Exception):
        pass

    class Stopping(TwosomeCLI):
        def before_instantiate_classes(self) -> None:
            raise Stopped

    with pytest.raises(Stopped):
        run_cli(arguments, Stopping)


@settings(max_examples=100, **FIXED)
@given(content=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_config_of_any_bytes_is_read_or_refused(content: bytes, tmp_path_factory) -> None:
    file = tmp_path_factory.mktemp("fuzz") / "config.yaml"
    file.write_bytes(content)
    try:
        check_config_file(str(file))
    except UserError as error:
        assert "\n" not in one_sentence(error)
    else:
        assert isinstance(yaml.compose(content.decode("utf-8")), yaml.MappingNode)


@pytest.mark.parametrize("kind", ["byte", "bos", "unigram", "metaspace"])
@settings(max_examples=60, **FIXED)
@given(decision=DECISIONS)
def test_tokens_of_any_decision_are_those_of_the_naive_reading(kind: str, decision: Decision) -> None:
    encoder = DecisionEncoder(tokenizer(kind), max_length=200)
    try:
        encoded = encoder.encode(decision)
    except UserError:
        return
    for number, action in enumerate(decision.actions):
        ids, count = joint_ids(tokenizer(kind), decision.prompt, action)
        assert encoded.trunk.tolist() + encoded.suffixes[number].tolist() == ids
        assert encoded.tokens[number] == count > 0
        assert encoded.target[number, :count].tolist() == ids[len(ids) - count :]
        assert (encoded.parent[number, count:] == -1).all()
        assert read_along(encoded, number, count) == ids[len(ids) - count - 1 : -1]


def read_along(encoded: Any, number: int, count: int) -> list[int]:
    """The token that predicts each scored one, as the trie has it."""
    tokens = [int(encoded.trunk[-1]), *encoded.node_token.tolist()]
    return [tokens[column] for column in encoded.parent[number, :count]]


@functools.cache
def scorer(method: str) -> ActionScorer:
    """A scorer of a tiny model."""
    return ActionScorer(build("llama"), tokenizer(), method=method)


@pytest.mark.parametrize("method", ["tree", "cache", "duplicate"])
@settings(max_examples=15, **FIXED)
@given(batch=st.lists(DECISIONS, min_size=1, max_size=3))
def test_scores_of_any_decisions_are_finite_normalised_and_the_naive_ones(method: str, batch: list[Decision]) -> None:
    encoder = DecisionEncoder(tokenizer(), max_length=200)
    accepted = []
    for decision in batch:
        try:
            encoder.encode(decision)
        except UserError:
            with pytest.raises(UserError):
                scorer(method).score([decision])
        else:
            accepted.append(decision)
    assume(accepted)
    with torch.no_grad():
        scores = scorer(method).score(accepted)
        expected = naive_table(scorer(method).model, tokenizer(), accepted)
    torch.testing.assert_close(scores.log_prob, expected, rtol=1e-4, atol=1e-4)
    for normalization in ("sum", "token", "word", "character"):
        policy = normalize(scores, normalization).log_softmax(-1).exp()
        for row, decision in enumerate(accepted):
            width = len(decision.actions)
            assert torch.isfinite(normalize(scores, normalization)[row, :width]).all()
            assert (policy[row, width:] == 0).all() and policy[row].sum().item() == pytest.approx(1, abs=1e-5)
