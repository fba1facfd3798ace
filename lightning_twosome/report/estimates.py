"""Numbers over seeds: means with intervals, curves, and how both are printed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy.special import stdtrit

from lightning_twosome.ledger.axis import STEPS
from lightning_twosome.report.runs import Run

CONFIDENCE = 0.95
MOST_POINTS = 300  # of a line; more are not told apart at the width of a page


@dataclass(frozen=True)
class Estimate:
    """A mean with the ends of its interval, which are ``None`` where there is none."""

    mean: float
    low: float | None = None
    high: float | None = None

    def text(self, decimals: int = 3, percent: bool = False) -> str:
        """As a person reads it: 0.918 [0.915, 0.921]."""
        middle, unit = number(self.mean, decimals, percent), " %" if percent else ""
        if self.low is None or self.high is None:
            return middle
        low, high = (number(end, decimals, percent).removesuffix(unit) for end in (self.low, self.high))
        return f"{middle} [{low}, {high}]"


def over_runs(values: Sequence[float]) -> Estimate:
    """Mean of one number a run, with Student's t interval where there are several.

    A bootstrap over three or five seeds would give intervals that are much too narrow.
    """
    if len(values) < 2:
        return Estimate(values[0])
    half = float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2)) * stdev(values) / math.sqrt(len(values))
    return Estimate(fmean(values), fmean(values) - half, fmean(values) + half)


@dataclass(frozen=True)
class Curve:
    """Means by environment step, or by what else they are drawn against, with intervals where there are any."""

    steps: list[float]
    estimates: list[Estimate]

    @property
    def y(self) -> list[float]:
        """The means."""
        return [estimate.mean for estimate in self.estimates]

    def ends(self, floor: float = -math.inf, ceiling: float = math.inf) -> tuple[list[float], list[float]]:
        """Lower and upper ends of the intervals within the quantity's range, empty where one is missing."""
        if any(estimate.low is None for estimate in self.estimates):
            return [], []
        low = [max(floor, estimate.low) for estimate in self.estimates if estimate.low is not None]
        return low, [min(ceiling, estimate.high) for estimate in self.estimates if estimate.high is not None]


def curve(runs: Sequence[Run], name: str, start: str | None = None, x: str = STEPS) -> Curve:
    """A metric against environment steps: over several runs where all have it, of one run with its own intervals.

    Args:
        runs: Runs of one config.
        name: The metric.
        start: Quantity of ``before_and_after.json`` that is its value at step 0.
        x: What else it is drawn against: a metric that rises, of which each step has the mean over the runs.
    """
    columns = [_column(run, name, start) for run in runs]
    places = [{0.0: 0.0, **run.columns[x]} for run in runs] if x != STEPS else []
    steps = sorted(set.intersection(*(set(column) for column in columns), *(set(place) for place in places)))
    drawn = [fmean(place[step] for place in places) for step in steps] if places else steps
    if len(runs) > 1:
        return Curve(drawn, [over_runs([column[step].mean for column in columns]) for step in steps])
    return Curve(drawn, [columns[0][step] for step in steps])


def _column(run: Run, name: str, start: str | None) -> dict[float, Estimate]:
    """One run's values, with the intervals that it has itself: those over its evaluation episodes."""
    low, high = run.columns.get(f"{name}_low", {}), run.columns.get(f"{name}_high", {})
    column = {step: Estimate(value, low.get(step), high.get(step)) for step, value in run.columns.get(name, {}).items()}
    before = run.result("before_and_after", "before") or {}
    if column and start in before:
        column = {0.0: Estimate(before[start], before.get(f"{start}_low"), before.get(f"{start}_high")), **column}
    return column


def thinned(drawn: Curve) -> Curve:
    """A long curve as means of equally many neighbours, a short one as it is."""
    size = math.ceil(len(drawn.steps) / MOST_POINTS)
    if size <= 1:
        return drawn
    parts = [slice(i, i + size) for i in range(0, len(drawn.steps), size)]
    return Curve([drawn.steps[part][-1] for part in parts], [_average(drawn.estimates[part]) for part in parts])


def _average(estimates: list[Estimate]) -> Estimate:
    ends = [(estimate.low, estimate.high) for estimate in estimates]
    low = [low for low, _ in ends if low is not None]
    high = [high for _, high in ends if high is not None]
    complete = len(low) == len(high) == len(estimates)
    middle = fmean(estimate.mean for estimate in estimates)
    return Estimate(middle, fmean(low), fmean(high)) if complete else Estimate(middle)


def number(value: float, decimals: int = 3, percent: bool = False) -> str:
    """A figure for people, with a minus sign instead of a hyphen and thin spaces between thousands."""
    text = f"{100 * value:.{max(0, decimals - 2)}f}" if percent else f"{value:,.{decimals}f}"
    if not text.strip("-0.,"):
        text = text.lstrip("-")  # minus zero
    return text.replace("-", "\N{MINUS SIGN}").replace(",", "\N{NARROW NO-BREAK SPACE}") + (" %" if percent else "")
