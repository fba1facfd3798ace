"""What a study's tables and figures show of each method: figures over seeds with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lightning_twosome.errors import UserError
from lightning_twosome.ledger.axis import STEPS
from lightning_twosome.statistics import (
    TimeToEvent,
    bootstrap_interval,
    improvement_interval,
    interquartile_interval,
    interquartile_mean,
    probability_of_improvement,
    time_to_event,
)
from lightning_twosome.study.definition import Scores

if TYPE_CHECKING:
    from pandas import DataFrame

GRID = 40  # points of a curve whose seeds were not measured at the same places


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval, whose ends are those of the figure itself where there is one seed."""

    value: float
    low: float
    high: float

    @staticmethod
    def mean(values: Sequence[float]) -> Estimate:
        """Of the mean over seeds."""
        return Estimate(float(np.mean(values)), *bootstrap_interval(values))

    @staticmethod
    def interquartile(scores: Sequence[Sequence[float]]) -> Estimate:
        """Of the interquartile mean over the seeds of all tasks."""
        return Estimate(
            interquartile_mean(np.concatenate([np.asarray(s) for s in scores])), *interquartile_interval(scores)
        )

    @staticmethod
    def improvement(scores: Sequence[Sequence[float]], others: Sequence[Sequence[float]]) -> Estimate:
        """Of the probability of improvement over another method."""
        return Estimate(probability_of_improvement(scores, others), *improvement_interval(scores, others))


@dataclass(frozen=True)
class MethodEstimates:
    """A method on one task.

    Attributes:
        seeds: How many.
        mean: Of the return of the sampled policy.
        iqm: Interquartile mean of the same.
        figures: Means over seeds by column, where all seeds have them.
        perplexity: Of held-out text after training; ``None`` where it was not measured.
        steps_before: Environment steps of what it starts from, means over seeds; 0 where it starts from nothing.
        solved: Seeds whose final figure reaches the threshold.
        steps: Until an evaluation reached it; ``None`` for what was not trained.
        better: Probability of improvement over the reference's return; ``None`` of itself.
    """

    seeds: int
    mean: Estimate
    iqm: Estimate
    figures: dict[str, float]
    perplexity: Estimate | None
    steps_before: float
    solved: int | None
    steps: TimeToEvent | None
    better: Estimate | None


FIGURES = ("success", "greedy_return", "greedy_success", "before/perplexity", "forgetting/mean_loss", "optimum")


def estimate_task(
    results: DataFrame, task: str, reference: str, threshold: tuple[str, float]
) -> dict[str, MethodEstimates]:
    """The estimates of each method that has finished cells.

    Args:
        results: The table of results.
        task: Which task.
        reference: The method that others are compared with.
        threshold: Column and value that count as solved.
    """
    rows = results[results.task == task]
    returns = {str(name): group["return"].tolist() for name, group in rows.groupby("method", sort=False)}
    made = {}
    for name, group in rows.groupby("method", sort=False):
        own = returns[str(name)]
        column, value = threshold
        compared = reference in returns and name != reference
        made[str(name)] = MethodEstimates(
            seeds=len(group),
            mean=Estimate.mean(own),
            iqm=Estimate.interquartile([own]),
            figures={key: float(group[key].mean()) for key in FIGURES if _complete(group, key)},
            perplexity=Estimate.mean(group["after/perplexity"].tolist())
            if _complete(group, "after/perplexity")
            else None,
            steps_before=float(group["env_steps_before"].fillna(0).mean()) if "env_steps_before" in group else 0.0,
            solved=int((group[column] >= value).sum()) if _complete(group, column) else None,
            steps=_steps(group),
            better=Estimate.improvement([own], [returns[reference]]) if compared else None,
        )
    return made


def _complete(group: DataFrame, column: str) -> bool:
    """Whether every seed has a value there."""
    return column in group and bool(group[column].notna().all())


def _steps(group: DataFrame) -> TimeToEvent | None:
    reached, censored = (group[name].dropna().tolist() for name in ("steps_to_threshold", "censored_at"))
    return time_to_event(reached, censored) if reached or censored else None


@dataclass(frozen=True)
class Cost:
    """What a method's training takes on one task, means over seeds (docs/ledger.md).

    Attributes:
        steps: Environment steps, those of what it starts from left out.
        flops: Operations of its forward and backward passes.
        saved: Share of the plain loop's operations that were not spent; 0 where there is no plain loop.
        seconds: Of the training, as the machine was.
    """

    steps: float
    flops: Estimate
    saved: float
    seconds: Estimate


def estimate_costs(results: DataFrame, task: str) -> dict[str, Cost]:
    """The costs of each method whose finished cells were all trained, and accounted for."""
    columns = ["env_steps", "ledger/flops", "ledger/saved", "ledger/seconds"]
    made = {}
    for name, group in results[results.task == task].groupby("method", sort=False):
        if all(_complete(group, column) for column in columns):
            steps, flops, saved, seconds = (group[column].tolist() for column in columns)
            made[str(name)] = Cost(
                float(np.mean(steps)), Estimate.mean(flops), float(np.mean(saved)), Estimate.mean(seconds)
            )
    return made


def normalised(results: DataFrame, scores: dict[str, Scores]) -> dict[str, list[list[float]]]:
    """Each method's scores ``[task][seed]``, of the methods that every one of these tasks has been run with."""
    made: dict[str, list[list[float]]] = {}
    for name, group in results.groupby("method", sort=False):
        parts = [group[group.task == task]["return"] for task in scores]
        if all(len(part) for part in parts):
            made[str(name)] = [
                ((part - bounds.random) / (bounds.optimum - bounds.random)).tolist()
                for part, bounds in zip(parts, scores.values(), strict=True)
            ]
    return made


@dataclass(frozen=True)
class Curve:
    """Interquartile means over seeds along a run, with their intervals."""

    x: list[float]
    y: list[float]
    low: list[float]
    high: list[float]


def curve(curves: DataFrame, metric: str, x: str) -> Curve | None:
    """A method's curve on one task; ``None`` where the metric was not logged.

    Args:
        curves: The table of curves, of one task and method.
        metric: What is drawn.
        x: "env_steps", or a total of the ledger.

    Raises:
        UserError: ``x`` is not among the metrics of every run.
    """
    lines = []
    for _, seed in curves.groupby("seed"):
        points = seed[seed.metric == metric].sort_values("env_steps")
        places = points.env_steps.to_numpy(dtype=float)
        if x != STEPS:
            other = seed[seed.metric == x].sort_values("env_steps")
            if other.empty:
                raise UserError(f"--x {x}: not every run has logged it, or the study's curves leave it out.")
            places = np.interp(places, [0.0, *other.env_steps], [0.0, *other.value])
        lines.append((places, points.value.to_numpy(dtype=float)))
    if not lines or any(len(places) == 0 for places, _ in lines):
        return None
    grid = _grid([places for places, _ in lines])
    columns = np.stack([np.interp(grid, places, values) for places, values in lines], axis=1)
    points = [Estimate.interquartile([column]) for column in columns]
    return Curve(grid.tolist(), *([getattr(point, part) for point in points] for part in ("value", "low", "high")))


def _grid(lines: list[np.ndarray]) -> np.ndarray:
    """The places that all lines have, or places between where all of them begin and where the first one ends."""
    if all(len(line) == len(lines[0]) and np.array_equal(line, lines[0]) for line in lines):
        return lines[0]
    return np.linspace(max(line[0] for line in lines), min(line[-1] for line in lines), GRID)
