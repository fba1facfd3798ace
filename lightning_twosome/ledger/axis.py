"""What curves can be drawn against: environment steps, or any total of the ledger."""

from __future__ import annotations

from lightning_twosome.errors import UserError
from lightning_twosome.ledger.phases import PHASES

STEPS = "env_steps"
_LABELS = {
    STEPS: "environment steps",
    "ledger/env_samples": "environment samples",
    "ledger/tokens_forward": "tokens forward",
    "ledger/tokens_backward": "tokens backward",
    "ledger/flops": "FLOPs",
    "ledger/useful_flops": "useful FLOPs",
    "ledger/naive_flops": "FLOPs of the plain loop",
    "ledger/seconds": "seconds",
} | {f"ledger/seconds_{phase}": f"seconds of {phase}" for phase in PHASES}


def axis_label(x: str) -> str:
    """The column's name for people."""
    return _LABELS[x]


def check_axis(x: str, setting: str) -> None:
    """Refuse what does not rise through a run.

    Args:
        x: The column.
        setting: The setting that names it, for the message.

    Raises:
        UserError: It is no such column.
    """
    if x not in _LABELS:
        raise UserError(f"{setting} is {x!r}; it must be one of {', '.join(_LABELS)}.")
