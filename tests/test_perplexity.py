"""Perplexity of text, against a count by hand."""

from __future__ import annotations

import math

import pytest
import torch

from lightning_twosome import load_language_model
from lightning_twosome.perplexity import held_out_texts, perplexity
from tests.cli_runs import save_tiny

TEXTS = ["the tomato is on the table", "an empty bowl"]


@pytest.fixture(scope="module")
def language_model(tmp_path_factory):
    return load_language_model(str(save_tiny(tmp_path_factory.mktemp("model"))), lora={})


def test_equals_the_exponential_of_the_mean_loss_of_a_token(language_model):
    model, tokenizer = language_model.model, language_model.tokenizer
    nats, count = 0.0, 0
    for text in TEXTS:
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        with torch.no_grad():
            loss = model(input_ids=ids, labels=ids).loss  # transformers' own: the mean over the text's predictions
        nats, count = nats + float(loss) * (ids.shape[1] - 1), count + ids.shape[1] - 1
    assert perplexity(model, tokenizer, TEXTS) == pytest.approx(math.exp(nats / count), rel=1e-5)


def test_a_uniform_model_has_the_size_of_its_vocabulary(language_model, monkeypatch):
    head = language_model.model.get_output_embeddings()
    size = head.weight.shape[0]
    monkeypatch.setattr(head, "forward", lambda hidden: torch.zeros(*hidden.shape[:-1], size))
    assert perplexity(language_model.model, language_model.tokenizer, TEXTS) == pytest.approx(size, rel=1e-4)


def test_texts_are_read_up_to_the_context(language_model):
    model, tokenizer = language_model.model, language_model.tokenizer
    long = " ".join(TEXTS * 20)
    assert perplexity(model, tokenizer, [long], context=8) != pytest.approx(perplexity(model, tokenizer, [long]))
    first = tokenizer.decode(tokenizer(long)["input_ids"][:8])
    assert perplexity(model, tokenizer, [long], context=8) == pytest.approx(perplexity(model, tokenizer, [first]))


def test_a_text_of_one_token_says_nothing(language_model):
    model, tokenizer = language_model.model, language_model.tokenizer
    assert perplexity(model, tokenizer, [*TEXTS, "a"]) == perplexity(model, tokenizer, TEXTS)


def test_leaves_no_gradient_and_no_mode_behind(language_model):
    model = language_model.model
    mode = model.training
    perplexity(model, language_model.tokenizer, TEXTS)
    assert model.training == mode and all(parameter.grad is None for parameter in model.parameters())


def test_held_out_texts_ship_with_the_package():
    texts = held_out_texts(100)
    assert len(texts) == 100 == len(set(texts))
    assert all(len(text.split()) > 3 for text in texts)
    assert held_out_texts(3) == texts[:3]
