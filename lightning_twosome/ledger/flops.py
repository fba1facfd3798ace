r"""What one forward of a network costs, read off the network itself.

::

    FLOPs of a forward = positions * 2 * weights  +  logits * 2 * the head  +  pairs * 2 * heads * (d_k + d_v)
                         matrices, not embeddings    positions with logits     queries * keys, for each layer

    of its backward    = the same per matrix, once if its input needs a gradient and once if it is trained itself;
                         twice for attention, where a gradient goes through it

Multiplication and addition count as two. Left out is what is no matrix product: norms, activations, softmax, rotary
embeddings, the scan of a state-space layer, and the optimizer's step.

The first forward of each kind (with gradient or without, adapter on or off, layers left out) is watched matrix by
matrix; the others cost a few additions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from lightning_twosome.language_model import decoder_layers
from lightning_twosome.scoring.forward import base_model


class Work(NamedTuple):
    """What the cost of a forward grows with.

    Attributes:
        positions: Rows times columns.
        logits: Positions that get logits.
        pairs: Pairs of query and key in one attention layer.
    """

    positions: float
    logits: float
    pairs: float

    def plus(self, other: Work) -> Work:
        """Both together."""
        return Work(*(a + b for a, b in zip(self, other, strict=True)))


@dataclass(frozen=True)
class Rates:
    """FLOPs for each position, for each position with logits, and for each pair of query and key."""

    position: float = 0.0
    logits: float = 0.0
    pair: float = 0.0

    def of(self, work: Work) -> float:
        """FLOPs of this much work."""
        return self.position * work.positions + self.logits * work.logits + self.pair * work.pairs


@dataclass(frozen=True, eq=False)
class Profile:
    """What a kind of forward costs.

    Attributes:
        forward: Of the forward.
        backward: Of the backward pass that follows it where there is a gradient.
        recomputed: Of what gradient checkpointing computes again in that backward pass.
    """

    forward: Rates
    backward: Rates
    recomputed: Rates = Rates()

    def flops(self, work: Work, with_backward: bool) -> float:
        """FLOPs of this much work, with or without its backward pass."""
        after = self.backward.of(work) + self.recomputed.of(work) if with_backward else 0.0
        return self.forward.of(work) + after


class Call(NamedTuple):
    """One forward as it happened.

    Attributes:
        profile: Its kind's costs.
        work: What was computed, padding and masked pairs included.
        useful: float64 [3], the same without them, on the network's device.
        differentiable: A backward pass can follow.
    """

    profile: Profile
    work: Work
    useful: Tensor
    differentiable: bool


class Meter:
    """Watches a network's forwards, through a hook on the network as a whole.

    Args:
        network: A language model, with or without adapter, or any network whose first argument is [..., features].
        report: Told of every forward, with this meter.
    """

    def __init__(self, network: nn.Module, report: Callable[[Meter, Call], None]) -> None:
        self.network = network
        self.report = report
        self.is_language_model = hasattr(base_model(network), "get_input_embeddings")
        self._layers = decoder_layers(network) if self.is_language_model else nn.ModuleList()
        self._head = base_model(network).get_output_embeddings() if self.is_language_model else None
        self._adapted = next((module for module in network.modules() if isinstance(module, BaseTunerLayer)), None)
        self._trainable = 0
        self._profiles: dict[Hashable, Profile] = {}
        self._watch: _Watch | None = None
        self.refresh()
        network.register_forward_pre_hook(self._before, with_kwargs=True)
        network.register_forward_hook(self._after, with_kwargs=True)

    def refresh(self) -> None:
        """Look which weights are trained, in case that has changed."""
        self._trainable = hash(tuple(parameter.requires_grad for parameter in self.network.parameters()))

    def profile(self) -> Profile | None:
        """Costs of the kind of forward that would be made now, if there has been one."""
        return self._profiles.get(self._kind())

    def _kind(self) -> Hashable:
        ends = (type(self._layers[0]), type(self._layers[-1])) if len(self._layers) else ()
        adapter = self._adapted is not None and not self._adapted.disable_adapters
        graph = (self.network.training, self._trainable) if torch.is_grad_enabled() else None
        return adapter, ends, graph

    def _before(self, network: nn.Module, arguments: Any, keywords: Any) -> None:
        if self._kind() not in self._profiles:
            self._watch = _Watch(network, self._head)

    def _after(self, network: nn.Module, arguments: Any, keywords: Any, output: Any) -> None:
        columns = 0
        if self.is_language_model:
            result = output.logits if self._head is not None else output.last_hidden_state
            columns = result.shape[1] if self._head is not None else 0
            work, useful = language_work(keywords, columns)
        else:
            result = output
            work, useful = _plain_work(arguments[0])
        kind = self._kind()
        if self._watch is not None:
            self._profiles[kind] = self._watch.profile(
                work, _pair_cost(network) if self.is_language_model else (0.0, 0.0)
            )
            self._watch = None
        self.report(self, Call(self._profiles[kind], work, useful, result.requires_grad))


def language_work(keywords: dict[str, Any], columns: int) -> tuple[Work, Tensor]:
    """What a language model's forward computes, and float64 [3] what of that is asked for.

    Args:
        keywords: Those of the forward: ``input_ids`` [R, T], and ``attention_mask`` as the model takes it: [R, keys] of
            0 and 1, additive [R, 1, T, keys], or such by type of layer.
        columns: Trailing columns with logits.
    """
    ids, mask = keywords["input_ids"], keywords.get("attention_mask")
    rows, width = ids.shape
    mask = next(iter(mask.values())) if isinstance(mask, dict) else mask
    keys = width if mask is None else mask.shape[-1]
    work = Work(rows * width, rows * columns, rows * width * keys)
    if mask is None:
        return work, ids.new_tensor([rows * width, rows * columns, rows * width * (width + 1) / 2], dtype=torch.float64)
    if mask.dim() == 2:
        real = mask[:, -width:] > 0
        pairs = (mask.cumsum(1)[:, -width:] * real).sum()
    else:
        allowed = mask[:, 0] == 0
        # A padded column sees itself alone and is seen by nothing else.
        real = allowed.sum(-1) + allowed.sum(-2) > 2
        pairs = allowed.sum() - (~real).sum()
    logits = real[:, width - columns :].sum()
    return work, torch.stack([real.sum(), logits, pairs]).double()


def _plain_work(inputs: Tensor) -> tuple[Work, Tensor]:
    work = Work(inputs.numel() // inputs.shape[-1], 0, 0)
    return work, torch.tensor(work, dtype=torch.float64)


class _Watch:
    """Hooks on every matrix of a network for the length of one forward."""

    def __init__(self, network: nn.Module, head: nn.Module | None) -> None:
        self.head = head
        self.checkpointed = torch.is_grad_enabled() and any(
            module.training and getattr(module, "gradient_checkpointing", False) for module in network.modules()
        )
        self.forward: list[float] = [0.0, 0.0]
        self.backward: list[float] = [0.0, 0.0]
        self.attentions = _attentions(network)
        self.ran: dict[nn.Module, _Attention] = {}
        config = getattr(base_model(network), "config", None)
        self.experts_used = getattr(config, "num_experts_per_tok", None) or 1
        self.handles = [
            module.register_forward_hook(self._note)
            for module in network.modules()
            if multiplications(module, self.experts_used)
        ]

    def _note(self, module: nn.Module, arguments: Any, output: Any) -> None:
        result = output[0] if isinstance(output, tuple) else output
        channels = result.shape[1] if isinstance(module, nn.modules.conv._ConvNd) else result.shape[-1]
        flops = 2.0 * multiplications(module, self.experts_used) * (result.numel() // channels)
        needs_gradient = bool(arguments) and arguments[0].requires_grad
        trained = any(weight.requires_grad for weight in _matrices(module))
        place = int(module is self.head)
        self.forward[place] += flops
        self.backward[place] += flops * (needs_gradient + trained)
        if module in self.attentions:
            attention, part, adapter = self.attentions[module]
            seen = self.ran.setdefault(attention, _Attention())
            # An adapter's second matrix always has such an input; of the others, where the layers below need no
            # gradient, only the output projection has.
            seen.differentiable |= needs_gradient and not adapter
            if part in seen.gradients:
                seen.gradients[part] = result.requires_grad or seen.gradients[part] is True

    def profile(self, work: Work, pair: tuple[float, float]) -> Profile:
        """What was seen, for each unit of the forward's work."""
        for handle in self.handles:
            handle.remove()
        logits = max(work.logits, 1)
        forward = Rates(self.forward[0] / work.positions, self.forward[1] / logits, sum(pair) * len(self.ran))
        through = sum(attention.backward(*pair) for attention in self.ran.values())
        backward = Rates(self.backward[0] / work.positions, self.backward[1] / logits, through)
        again = Rates(forward.position, 0.0, forward.pair) if self.checkpointed else Rates()
        return Profile(forward, backward, again)


def multiplications(module: nn.Module, experts_used: int = 1) -> float:
    """Of a module's own matrices, not its children's, for each position that it reads.

    Args:
        module: Any module.
        experts_used: How many experts read a position, where all of them lie in one tensor.
    """
    if isinstance(module, nn.Linear):  # also a quantised one, whose stored weight has another shape
        return module.in_features * module.out_features
    if isinstance(module, nn.Embedding):
        return 0
    count = 0.0
    for weight in _matrices(module):
        experts = weight.shape[0] if weight.dim() == 3 and not isinstance(module, nn.modules.conv._ConvNd) else 1
        count += weight.numel() * min(1.0, experts_used / experts)
    return count


def _matrices(module: nn.Module) -> Iterable[Tensor]:
    return [weight for weight in module._parameters.values() if weight is not None and weight.dim() >= 2]


@dataclass
class _Attention:
    """Where a gradient goes through an attention: through it at all, and to which of its inputs, if they are known."""

    differentiable: bool = False
    gradients: dict[str, bool | None] = field(default_factory=lambda: {"q": None, "k": None, "v": None})

    def backward(self, score: float, value: float) -> float:
        """FLOPs of a pair: the score is differentiated by query and key, the product by score and value."""
        if not self.differentiable:
            return 0.0
        q, k, v = (gradient is not False for gradient in self.gradients.values())
        return score * (q + k) + value * ((q or k) + v)


def _attentions(network: nn.Module) -> dict[nn.Module, tuple[nn.Module, str, bool]]:
    """Of each matrix of an attention: the innermost module called so, which input it makes, whether it is LoRA's B."""
    parts: dict[nn.Module, tuple[nn.Module, str, bool]] = {}
    for module in network.modules():  # from the outside in
        if "Attention" in type(module).__name__:
            for name, part in module.named_modules():
                projection = re.match(r"([qkv])_proj\b", name)
                parts[part] = (module, projection[1] if projection else "", "lora_B" in name)
    return parts


def _pair_cost(network: nn.Module) -> tuple[float, float]:
    """FLOPs of one pair of query and key in one layer, over all heads: of its score and of its share of the value."""
    config: Any = base_model(network).config.get_text_config()
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    key, value = (getattr(config, name, None) or size for name in ("qk_head_dim", "v_head_dim"))
    return 2.0 * heads * key, 2.0 * heads * value
