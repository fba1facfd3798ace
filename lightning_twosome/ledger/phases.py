"""What is kept of each phase, and under which names it is logged."""

from __future__ import annotations

from dataclasses import dataclass, fields

OTHER = "other"
PHASES = ("rollout", "update", "evaluation", "forgetting", OTHER)
TOTALS = (
    "env_samples", "tokens_forward", "tokens_backward", "flops", "useful_flops", "naive_flops", "saved", "seconds",
)  # fmt: skip
"""What is logged of all phases together."""


@dataclass
class Account:
    """What one phase has cost.

    Attributes:
        samples: Decisions made in environments.
        tokens_forward: Positions that the language model has read, padding included, again in each forward.
        tokens_backward: Positions of the forwards that a backward pass followed.
        flops: Of all networks.
        useful_flops: The same without padding and without pairs that the attention's mask hides.
        naive_flops: What the plain loop would have spent.
        seconds: Wall-clock time, of the slowest process.
        memory: Peak in bytes, of the process with the most.
    """

    samples: float = 0.0
    tokens_forward: float = 0.0
    tokens_backward: float = 0.0
    flops: float = 0.0
    useful_flops: float = 0.0
    naive_flops: float = 0.0
    seconds: float = 0.0
    memory: float = 0.0

    def after(self, earlier: Account) -> Account:
        """Both, one after the other."""
        return self._joined(earlier, at_most=("memory",))

    def beside(self, other: Account) -> Account:
        """Both, of two processes at the same time."""
        return self._joined(other, at_most=("seconds", "memory"))

    def _joined(self, other: Account, at_most: tuple[str, ...]) -> Account:
        pairs = {part.name: (getattr(self, part.name), getattr(other, part.name)) for part in fields(self)}
        return Account(**{name: max(pair) if name in at_most else sum(pair) for name, pair in pairs.items()})


Accounts = dict[str, Account]


def saved_share(flops: float, naive_flops: float) -> float:
    """Share of the plain loop's FLOPs that were not spent, 0 where there were none."""
    return 1 - flops / naive_flops if naive_flops else 0.0


def metrics_of(accounts: Accounts) -> dict[str, float]:
    """Totals by the names under which they are logged."""
    summed = {
        name: sum(getattr(account, name) for account in accounts.values())
        for name in ("tokens_forward", "tokens_backward", "flops", "useful_flops", "naive_flops", "seconds")
    }
    summed["env_samples"] = accounts["rollout"].samples if "rollout" in accounts else 0.0
    summed["saved"] = saved_share(summed["flops"], summed["naive_flops"])
    values = {f"ledger/{name}": float(summed[name]) for name in TOTALS}
    for phase, account in accounts.items():
        values[f"ledger/seconds_{phase}"] = account.seconds
        values[f"ledger/peak_memory_{phase}"] = account.memory
    return values
