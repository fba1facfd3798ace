"""Updates whose loss or gradient is not finite: how many there were, and what may be the cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lightning_twosome.samples import Samples
from lightning_twosome.scoring.sharding import plain


@dataclass
class SkippedUpdates:
    """How many optimizer steps were skipped.

    Attributes:
        in_iteration: Since the iteration began.
        in_a_row: Since the last one that was made.
    """

    in_iteration: int = 0
    in_a_row: int = 0

    def count(self) -> None:
        """Count one more."""
        self.in_iteration += 1
        self.in_a_row += 1


def gradient_norm(weights: Sequence[nn.Parameter]) -> Tensor:
    """Joint norm of this process's gradients: finite if and only if all of them are, and can be squared.

    Args:
        weights: Those without gradient count nothing.
    """
    return torch.nn.utils.get_total_norm([plain(weight.grad) for weight in weights if weight.grad is not None])


def say_why(count: int, loss: float, gradients: Mapping[str, Tensor], samples: Samples | None) -> str:
    """What a user is told whose run ends because of skipped updates.

    Args:
        count: How many in a row.
        loss: Of the last one.
        gradients: Of the last one, by the names of their weights.
        samples: What it learned from.
    """
    broken = [name for name, gradient in gradients.items() if not plain(gradient).isfinite().all()]
    if samples is not None and not samples.returns.isfinite().all():
        cause = "the returns of its rollout are not finite either: look at the environment's rewards"
    elif samples is not None and torch.isnan(samples.log_probs).any():
        cause = "the policy's probabilities were NaN in the rollout already: look at the model and its dtype"
    else:
        cause = "the rollout was in order: lower the learning rates, or train with trainer.precision=32-true"
    seen = f"gradients not finite in {len(broken)} of {len(gradients)} weights"
    if broken:
        seen += f", such as {broken[0]}"
    times = "update was" if count == 1 else f"{count} updates in a row were"
    return (
        f"The last {times} skipped, because loss or gradient was not finite (loss {loss:g}, {seen}), and the weights "
        f"are still those before; {cause}; model.max_skipped_updates says when to give up."
    )
