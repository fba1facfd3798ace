"""What a run costs: docs/ledger.md."""

from .accounts import PHASES, TOTALS, Account, Ledger
from .flops import Meter, Profile, Rates, Work

__all__ = ["PHASES", "TOTALS", "Account", "Ledger", "Meter", "Profile", "Rates", "Work"]
