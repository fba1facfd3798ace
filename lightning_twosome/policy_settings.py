"""Settings of a language model's policy that contradict each other; they show before any weight is loaded."""

from __future__ import annotations

from lightning_twosome.errors import UserError
from lightning_twosome.scoring.methods import METHODS
from lightning_twosome.scoring.scores import NORMALIZATIONS


def refuse_contradictions(
    normalization: str, critic: str, scoring: str, share_work: bool, dropout: float, trained_whole: bool
) -> None:
    """Refuse settings that cannot be had together.

    Args:
        normalization: How an action's score is divided.
        critic: What the critic reads.
        scoring: Method, or "auto".
        share_work: Whether work is shared between actions, and scores are remembered.
        dropout: Largest of the model and its adapter.
        trained_whole: Whether the model has no adapter.

    Raises:
        UserError: A choice is unknown, or two of them exclude each other.
    """
    if share_work and dropout > 0:
        raise UserError(
            f"The language model has dropout {dropout}, with which remembered and shared scores are not exact: set "
            "lora.lora_dropout to 0, or share_work to false to train with dropout at the price of speed."
        )
    if scoring != "auto" and scoring not in METHODS:
        raise UserError(f"scoring={scoring!r} is unknown: choose one of auto, {', '.join(METHODS)}.")
    if not share_work and scoring in ("tree", "cache"):
        raise UserError(
            f"scoring={scoring!r} shares the prompt between actions, which share_work=false forbids: set scoring to "
            "'duplicate' or 'auto'."
        )
    if normalization not in NORMALIZATIONS:
        raise UserError(f"normalization={normalization!r} is unknown: choose one of {', '.join(NORMALIZATIONS)}.")
    if critic not in ("frozen", "adapted"):
        raise UserError(f"critic={critic!r} is unknown; use 'frozen' or 'adapted'.")
    if critic == "frozen" and trained_whole:
        raise UserError(
            "critic='frozen' reads the model with its adapter off, but the language model has no adapter: give it one "
            "(language_model.lora: {}) or set critic to 'adapted'."
        )
