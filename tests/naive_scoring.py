"""The reference: one action, one unpadded row, one forward at a time, written without a look at the package."""

from __future__ import annotations

import torch
from torch import Tensor


def joint_ids(tokenizer, prompt: str, action: str) -> tuple[list[int], int]:
    """Ids of the joint text, and how many of the last ones are the action's."""
    encoding = tokenizer.backend_tokenizer.encode(prompt + " " + action)
    tokens = list(zip(encoding.ids, encoding.offsets, encoding.special_tokens_mask, strict=True))
    while tokens[-1][2]:
        tokens.pop()
    return [token for token, _, _ in tokens], sum(end > len(prompt) for _, (_, end), _ in tokens)


def naive_log_prob(model, tokenizer, prompt: str, action: str) -> Tensor:
    """log p(action | prompt), a scalar with gradient."""
    ids, count = joint_ids(tokenizer, prompt, action)
    logits = model(input_ids=torch.tensor([ids])).logits[0].float()
    total = torch.zeros(())
    for index in range(len(ids) - count, len(ids)):
        total = total + torch.log_softmax(logits[index - 1], dim=-1)[ids[index]]
    return total


def naive_table(model, tokenizer, decisions) -> Tensor:
    """float32 [B, K_max] of log-probabilities, -inf in padding."""
    width = max(len(decision.actions) for decision in decisions)
    rows = []
    for decision in decisions:
        row = [naive_log_prob(model, tokenizer, decision.prompt, action) for action in decision.actions]
        rows.append(torch.stack(row + [torch.tensor(-torch.inf)] * (width - len(row))))
    return torch.stack(rows)
