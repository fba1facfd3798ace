"""The sections of a report, each a function from groups of runs to tables, figures and sentences."""

from __future__ import annotations

from collections.abc import Sequence

from lightning_twosome.ledger.axis import STEPS
from lightning_twosome.report.content import Section
from lightning_twosome.report.groups import Group
from lightning_twosome.report.sections.configuration import configuration
from lightning_twosome.report.sections.cost import cost
from lightning_twosome.report.sections.episodes import episodes
from lightning_twosome.report.sections.forgetting import forgetting
from lightning_twosome.report.sections.generalisation import generalisation
from lightning_twosome.report.sections.lengths import action_lengths
from lightning_twosome.report.sections.results import results
from lightning_twosome.report.sections.training import exploration, learning_curves, time


def all_sections(groups: Sequence[Group], x: str = STEPS) -> list[Section]:
    """Every section in the order of the page; those whose data the runs lack say what makes them.

    Args:
        groups: The runs.
        x: What learning curves are drawn against.
    """
    makers = (exploration, action_lengths, forgetting, generalisation, episodes, time, cost, configuration)
    return [results(groups), learning_curves(groups, x), *(maker(groups) for maker in makers)]
