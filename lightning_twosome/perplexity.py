"""How well a language model still predicts ordinary text: the quickest sign of forgetting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from lightning_twosome.model_folder import bundled_path


def held_out_texts(count: int = 100) -> list[str]:
    """Documents of the bundled model's corpus that it was not trained on."""
    documents = (bundled_path() / "held_out.txt").read_text(encoding="utf-8").splitlines()
    return documents[:count]


@torch.no_grad()
def perplexity(model: Any, tokenizer: Any, texts: Sequence[str], context: int = 256) -> float:
    """Exponential of the mean negative log-likelihood of a token, each text read from its start.

    Args:
        model: A causal language model, adapter on or off as it is to be measured.
        tokenizer: Its tokenizer.
        texts: What to predict.
        context: Tokens of each text that are read.
    """
    nats, tokens = 0.0, 0
    device = next(model.parameters()).device
    for text in texts:
        ids = torch.tensor([tokenizer(text, truncation=True, max_length=context)["input_ids"]], device=device)
        if ids.shape[1] < 2:
            continue
        log_probs = model(input_ids=ids, use_cache=False).logits[0, :-1].float().log_softmax(-1)
        nats -= float(log_probs.gather(1, ids[0, 1:, None]).sum())
        tokens += ids.shape[1] - 1
    return math.exp(nats / tokens)
