"""The accounts as a table for people: a row for each phase and one for the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lightning_twosome.ledger.phases import Account, Accounts, saved_share

COLUMNS = ("phase", "samples", "tokens", "backward", "FLOPs", "useful", "saved", "seconds", "FLOP/s", "GiB")
_PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z")


def cost_rows(accounts: Accounts) -> list[list[str]]:
    """Cells of :data:`COLUMNS` for each phase that took time, and for all of them together."""
    whole = Account()
    for account in accounts.values():
        whole = account.after(whole)
    return [_row(name, account) for name, account in (*accounts.items(), ("total", whole))]


def _row(name: str, account: Account) -> list[str]:
    known = account.flops > 0
    saved = saved_share(account.flops, account.naive_flops)
    return [
        name,
        f"{account.samples:,.0f}" if account.samples else "",
        scaled(account.tokens_forward) if account.tokens_forward else "",
        scaled(account.tokens_backward) if account.tokens_backward else "",
        scaled(account.flops) if known else "",
        f"{account.useful_flops / account.flops:.0%}" if known else "",
        f"{saved:.1%}" if known and saved else "",
        f"{account.seconds:,.1f}",
        scaled(account.flops / account.seconds) if known and account.seconds else "",
        f"{account.memory / 2**30:.2f}" if account.memory else "",
    ]


def scaled(value: float) -> str:
    """Three digits with a metric prefix: 1.23 T."""
    power = 0
    while abs(value) >= 999.5 and power < len(_PREFIXES) - 1:
        value, power = value / 1000, power + 1
    digits = 0 if value >= 99.95 or not power else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f} {_PREFIXES[power]}".rstrip()


def to_json(accounts: Accounts) -> dict[str, dict[str, float]]:
    """The accounts as plain numbers, by phase."""
    return {phase: asdict(account) for phase, account in accounts.items()}


def from_json(phases: Mapping[str, Mapping[str, Any]]) -> Accounts:
    """The accounts that :func:`to_json` has written."""
    return {phase: Account(**account) for phase, account in phases.items()}
