"""What a run costs: docs/ledger.md. Its ``phases``, ``table`` and ``axis`` need no torch."""
