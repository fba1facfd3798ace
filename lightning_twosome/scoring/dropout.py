"""Dropout makes every pass another model: shared computation is exact only without it."""

from __future__ import annotations

from torch import nn


def active_dropout(model: nn.Module) -> str | None:
    """The name and rate of a dropout that acts now, LoRA's included, or ``None``.

    Dropout layers count, and so do rates that a module keeps as a number and applies itself (``attention_dropout``).
    """
    if not model.training and not any(module.training for module in model.modules()):
        return None
    for name, module in model.named_modules():
        if not module.training:
            continue
        if isinstance(module, nn.modules.dropout._DropoutNd):
            if module.p > 0:
                return f"{name} (p={module.p})"
            continue
        for attribute, value in vars(module).items():
            if "dropout" in attribute and isinstance(value, float) and value > 0:
                return f"{name}.{attribute} (p={value})"
    return None
