"""Which methods are exact for a model, found out by trying them against plain single rows.

A method may be refused by an architecture or, worse, be silently wrong: a mask ignored, positions inferred otherwise, a
window left out. So each is tried on a small random copy of the architecture, in float32 and with its windows shrunk to
eight tokens so that a short prompt leaves them; then once, shortly, on the real weights.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lightning_twosome.decisions import EncodedDecision, build_trie
from lightning_twosome.scoring.forward import base_model, model_device, model_dtype
from lightning_twosome.scoring.rows import UNLIMITED, Method, plan, split

WINDOW = 8
VOCABULARY = 128
COPY_PARAMETERS = 40_000_000
TOLERANCE = 1e-4  # relative to 1 + |log p|; wrong masks and positions cost 1e-2 and more

_verdicts: dict[tuple[str, str, str], Verdict] = {}


@dataclass(frozen=True)
class Verdict:
    """What a trial of a method said.

    Attributes:
        exact: Whether the method may be used.
        reason: One clause for the log or an error message.
    """

    exact: bool
    reason: str


def probe(model: nn.Module, method: Method) -> Verdict:
    """Tries a method on a random copy of the architecture and on the real weights.

    Neither the random state nor the model's flags change.
    """
    base = base_model(model)
    attention = getattr(base.config, "_attn_implementation", None) or "eager"
    if method.name == "tree" and attention not in ("eager", "sdpa"):
        return Verdict(False, f"{attention} takes no custom mask, attn_implementation='sdpa' does")
    key = (method.name, f"{type(base).__qualname__} {attention}", base.config.to_json_string(use_diff=False))
    if key not in _verdicts:
        _verdicts[key] = _probe_copy(base, method)
    verdict = _verdicts[key]
    if not verdict.exact or any(parameter.is_meta for parameter in base.parameters()):
        return verdict
    with evaluating(model):
        return _try(model, method, _short_decisions(base), real_tolerance(base))


def _probe_copy(base: Any, method: Method) -> Verdict:
    """The verdict of a random copy: as narrow as can be built, since a copy of full width may take minutes."""
    for heads in (2, 4, None):
        try:
            model = random_copy(base, heads)
            _plain(model, probe_decisions(model)[0])
        except Exception:  # whatever an architecture may raise at a width it was not made for
            continue
        return _try(model, method, probe_decisions(model), TOLERANCE)
    # Full rows are what the other methods are compared with: they need no proof.
    return Verdict(method.single, "no small copy of its architecture could be built to try others")


def random_copy(base: Any, heads: int | None) -> Any:
    """A copy of an architecture with few layers, one of each kind, random weights and short windows, on the CPU.

    Args:
        base: The Hugging Face model.
        heads: How many key-value heads to keep, width and experts in proportion; ``None`` for all.

    Raises:
        ValueError: If the copy would be too large to be built in passing.
    """
    config = copy.deepcopy(base.config)
    _shorten(config)
    if heads is not None:
        _narrow(config, heads)
    with torch.device("meta"):
        size = sum(parameter.numel() for parameter in type(base)(copy.deepcopy(config)).parameters())
    if size > COPY_PARAMETERS:
        raise ValueError(f"{size} parameters")
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.manual_seed(0)
        model = type(base)(config).float().eval().requires_grad_(False)
        for parameter in model.parameters():
            # At the usual initial scale attention is uniform and a wrong mask hardly shows.
            if parameter.dim() >= 2:
                parameter.normal_(0.0, parameter.shape[-1] ** -0.5)
    return model


def _shorten(config: Any) -> None:
    """Few layers, one of each kind; short windows; a small vocabulary."""
    kinds = list(dict.fromkeys(getattr(config, "layer_types", None) or ()))
    layers = max(2, len(kinds))
    if kinds:
        with suppress(AttributeError):  # some derive it from the number of layers
            config.layer_types = (kinds * 2)[:layers]
    config.num_hidden_layers = layers
    for name in ("sliding_window", "window_size", "attention_chunk_size"):
        _cap(config, name, WINDOW)
    _cap(config, "vocab_size", VOCABULARY)
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        setattr(config, name, None)
    if getattr(config, "_attn_implementation", None) not in ("eager", "sdpa"):
        config._attn_implementation = "sdpa"


def _narrow(config: Any, heads: int) -> None:
    """Keeps the heads' size and their grouping and drops the number of groups; narrow feed-forwards, few experts."""
    total = getattr(config, "num_attention_heads", None)
    if total:
        groups = getattr(config, "num_key_value_heads", None) or total
        kept = heads if groups == total else max(1, heads // 2) * (total // groups)
        hidden = config.hidden_size
        if getattr(config, "num_key_value_heads", None):
            config.num_key_value_heads = kept * groups // total
        config.num_attention_heads = kept
        config.hidden_size = hidden * kept // total
        if getattr(config, "word_embed_proj_dim", None) == hidden:
            config.word_embed_proj_dim = config.hidden_size
    for name in ("intermediate_size", "moe_intermediate_size", "ffn_dim"):
        _cap(config, name, 256)
    for name in ("num_experts", "num_local_experts", "n_routed_experts"):
        _cap(config, name, 8)
    for name in ("num_experts_per_tok", "topk_group", "n_group"):
        _cap(config, name, 2)


def _cap(config: Any, name: str, limit: int) -> None:
    if isinstance(value := getattr(config, name, None), int):
        setattr(config, name, min(value, limit))


def _try(model: nn.Module, method: Method, decisions: Sequence[EncodedDecision], tolerance: float) -> Verdict:
    """Compares a method, with the decisions in one batch, with plain unpadded single rows."""
    plain = torch.cat([_plain(model, decision) for decision in decisions])
    try:
        with torch.no_grad():
            rows = split(decisions, method, UNLIMITED)
            batches = plan(rows, method, UNLIMITED, enough=math.inf)
            scored = {
                row.first: part
                for batch in batches
                for row, part in zip(batch, _by_row(model, method, batch), strict=True)
            }
            result = torch.cat([scored[first] for first in sorted(scored)])
    except torch.OutOfMemoryError:  # which says nothing about the method
        raise
    except Exception as error:  # an architecture refuses a mask, a cache or a keyword in its own way
        return Verdict(False, f"{method.name} raises {type(error).__name__}")
    deviation = (result - plain).abs().div(1 + plain.abs()).max().item()
    if deviation <= tolerance:
        return Verdict(True, f"{method.name} agrees with plain rows to {deviation:.0e}")
    return Verdict(False, f"{method.name} is off by {(result - plain).abs().max().item():.2g} nats")


def _by_row(model: nn.Module, method: Method, batch: Sequence[Any]) -> tuple[Tensor, ...]:
    encoded = [row.encoded for row in batch]
    return method.score(model, encoded).cpu().split([len(row.suffixes) for row in encoded])


@torch.no_grad()
def _plain(model: nn.Module, decision: EncodedDecision) -> Tensor:
    """The log p of each action from one unpadded row each, nothing but ``input_ids`` given: float32 [K]."""
    values = []
    for suffix, count in zip(decision.suffixes, decision.tokens, strict=True):
        ids = torch.from_numpy(np.concatenate([decision.trunk, suffix]).astype(np.int64)).to(model_device(model))
        log_prob = model(input_ids=ids[None, :-1]).logits[0, -count:].float().log_softmax(dim=-1)
        values.append(log_prob.gather(1, ids[-count:, None].to(log_prob.device)).sum().cpu())
    return torch.stack(values)


def probe_decisions(model: Any) -> list[EncodedDecision]:
    """Two decisions of different lengths, with shared prefixes, an action that is another's prefix, and a long one."""
    ids = _token_ids(model, 64)
    first, second, tail = ids[:21], ids[21:34], ids[34:]
    return [
        _decision(first, [tail[:4], [*tail[:2], tail[5]], tail[6:7], tail[:3]]),
        _decision(second, [tail[8:10], tail[10:22], [tail[8], *tail[12:15]]]),
    ]


def _short_decisions(base: Any) -> list[EncodedDecision]:
    ids = _token_ids(base, 16)
    return [_decision(ids[:6], [ids[6:9], [ids[6], ids[10]]])]


def _decision(prompt: list[int], actions: list[list[int]]) -> EncodedDecision:
    return build_trie([prompt + action for action in actions], [len(prompt)] * len(actions))


def _token_ids(model: Any, count: int) -> list[int]:
    return np.random.RandomState(0).randint(0, model.get_input_embeddings().num_embeddings, count).tolist()


def real_tolerance(base: Any) -> float:
    """float32 is compared strictly; below it, or with TF32, rounding in another packing is no error."""
    quantized = getattr(base.config, "quantization_config", None) is not None
    exact = model_dtype(base) in (torch.float32, torch.float64) and torch.get_float32_matmul_precision() == "highest"
    return 1e-3 if exact and not quantized else 0.1


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode within, every module's own flag restored after."""
    flags = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in flags:
            module.training = training
