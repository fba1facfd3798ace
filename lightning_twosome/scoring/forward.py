"""One way into the model, and one way from its logits to log-probabilities.

The forward is entered through the root module, so that the hooks of DDP and FSDP run; logits are made for the trailing
columns only.

Letters: R rows, T columns, C trailing columns with logits, V vocabulary, Q actions of all rows, A most tokens of one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lightning_twosome.scoring.log_softmax import ChosenLogProb

# From logits, row, column and target to what is said of each action: [Q, ...], where several passes over parts of its
# tokens, each at its place in column and target, add up.
Read = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def base_model(model: nn.Module) -> Any:
    """The Hugging Face model under an adapter, or the model itself."""
    return getattr(model, "get_base_model", lambda: model)()


def model_device(model: nn.Module) -> torch.device:
    """Where the token ids must lie."""
    return base_model(model).get_input_embeddings().weight.device


def model_dtype(model: nn.Module) -> torch.dtype:
    """The dtype in which hidden states travel: that of the embedding, also where the trunk is quantised."""
    return base_model(model).get_input_embeddings().weight.dtype


def accepts(model: nn.Module, keyword: str) -> bool:
    """Whether the model's forward names this keyword."""
    return keyword in inspect.signature(base_model(model).forward).parameters


def trailing_logits(model: nn.Module, columns: int, **inputs: Any) -> Tensor:
    """Logits of the last ``columns`` columns only: float [R, C, V].

    Args:
        model: The root model.
        columns: C.
        inputs: The forward's keyword arguments.
    """
    if accepts(model, "logits_to_keep"):
        inputs["logits_to_keep"] = columns
    return model(**inputs, return_dict=True).logits[:, -columns:]


def action_log_prob(logits: Tensor, row: Tensor, column: Tensor, target: Tensor) -> Tensor:
    """Summed log-probability of each action: float32 [Q]; the arguments are those of :func:`token_log_prob`."""
    return token_log_prob(logits, row, column, target).sum(dim=-1)


def token_log_prob(logits: Tensor, row: Tensor, column: Tensor, target: Tensor) -> Tensor:
    """Log-probability of each token of each action: float32 [Q, A], 0 in padding.

    Args:
        logits: [R, C, V].
        row: int64 [Q], the row of each action.
        column: int64 [Q, A], for each token of the action the column that predicts it, -1 in padding.
        target: int64 [Q, A], the tokens.
    """
    log_prob = ChosenLogProb.apply(logits, row[:, None].expand_as(column), column.clamp(min=0), target)
    return torch.where(column >= 0, log_prob, 0.0)


def log_prob_and_misses(logits: Tensor, row: Tensor, column: Tensor, target: Tensor) -> Tensor:
    """Beside the log-probability, how many tokens are not the most probable ones: float32 [Q, 2].

    The arguments are those of :func:`action_log_prob`.
    """
    best = logits.argmax(dim=-1)[row[:, None].expand_as(column), column.clamp(min=0)]
    misses = ((best != target) & (column >= 0)).sum(dim=-1)
    return torch.stack([action_log_prob(logits, row, column, target), misses.float()], dim=-1)
