"""Samples, tokens, FLOPs, seconds and memory by phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from statistics import fmean

from lightning_twosome.ledger.phases import PHASES, Account, Accounts, saved_share
from lightning_twosome.ledger.table import COLUMNS, cost_rows, from_json, scaled
from lightning_twosome.report.content import Missing, Section, Table, Text
from lightning_twosome.report.groups import Group
from lightning_twosome.report.sections.common import labelled, seeds


def cost(groups: Sequence[Group]) -> Section:
    """What the runs have cost, and what the plain loop would have."""
    section = Section("cost", "Cost")
    counted = [group for group in groups if group.known("ledger", "phases")]
    if not counted:
        section.blocks.append(
            Missing("Costs by phase are written to `ledger.json` by `CostTable` when a run has ended.")
        )
        return section
    means = [(group, _mean([from_json(phases) for phases in group.known("ledger", "phases")])) for group in counted]
    section.blocks += [Text(_saving(group, accounts)) for group, accounts in means]
    rows: list[list[str]] = []
    strong: list[int] = []
    for group, accounts in means:
        rows += [[labelled(group)]] if len(means) > 1 else []
        rows += cost_rows(accounts)
        strong.append(len(rows) - 1)
    several = "; means over runs" if any(len(group.runs) > 1 for group in counted) else ""
    caption = (
        f"What training cost. {seeds(counted)}{several}. Samples: decisions in environments. Tokens: positions that "
        "the language model read; backward: those of them that a backward pass followed. Useful: share of the FLOPs "
        "that is no padding and no masked pair. Saved: share of the plain loop's FLOPs. GiB: peak memory."
    )
    section.blocks.append(Table("table-cost", caption, COLUMNS, rows, strong=strong))
    return section


def _saving(group: Group, accounts: Mapping[str, Account]) -> str:
    flops = sum(account.flops for account in accounts.values())
    naive = sum(account.naive_flops for account in accounts.values())
    start = f"With {group.label}, the" if group.label else "The"
    text = f"{start} networks made {scaled(flops)}FLOP"
    if naive <= flops:
        return text + "."
    text += f"; one forward of prompt and action for each action of each decision would have made {scaled(naive)}FLOP, "
    return text + f"of which {saved_share(flops, naive):.1%} were saved."


def _mean(runs: Sequence[Accounts]) -> Accounts:
    """Mean of each figure over runs, a phase that a run lacks counting as nothing."""
    phases = [phase for phase in PHASES if any(phase in run for run in runs)]
    names = [part.name for part in fields(Account)]
    return {
        phase: Account(**{name: fmean(getattr(run.get(phase, Account()), name) for run in runs) for name in names})
        for phase in phases
    }
