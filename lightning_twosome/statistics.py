"""Means of few and uneven figures with their uncertainty: bootstrap intervals, interquartile means, censored times.

What is compared between training runs follows arXiv 2108.13264 (rliable): the interquartile mean, bootstrap intervals
stratified over tasks, the probability of improvement. Everything is seeded, so that the same values give the same
interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import CensoredData, ecdf

RESAMPLES = 2000


def bootstrap_interval(
    values: Sequence[float], confidence: float = 0.95, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean."""
    return stratified_interval([values], confidence, resamples)


def stratified_interval(
    strata: Sequence[Sequence[float]], confidence: float = 0.95, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over strata of their means, each resampled within itself.

    Args:
        strata: Values of each stratum, such as the episodes of each run; all strata weigh alike.
        confidence: Share of the resampled means inside the interval.
        resamples: Number of resampled means.
    """
    generator = np.random.default_rng(0)
    means = np.zeros(resamples)
    for stratum in strata:
        means += _resampled(stratum, generator, resamples).mean(axis=1) / len(strata)
    return _percentiles(means, confidence)


def interquartile_mean(values: Sequence[float] | np.ndarray) -> float:
    """Mean of the middle half: a quarter of the values, rounded down, is left out at either end."""
    return float(_middle_means(np.asarray(values, dtype=np.float64)))


def interquartile_interval(
    scores: Sequence[Sequence[float]], confidence: float = 0.95, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Percentile bootstrap interval of the interquartile mean over runs and tasks (arXiv 2108.13264).

    Args:
        scores: Each task's scores, one a run; runs are resampled within each task.
        confidence: Share of the resampled means inside the interval.
        resamples: Number of resampled means.
    """
    generator = np.random.default_rng(0)
    drawn = [_resampled(runs, generator, resamples) for runs in scores]
    return _percentiles(_middle_means(np.concatenate(drawn, axis=1)), confidence)


def probability_of_improvement(scores: Sequence[Sequence[float]], others: Sequence[Sequence[float]]) -> float:
    """How probably a run has a better score than another method's run on the same task; an equal one counts half.

    Args:
        scores: Each task's scores, one a run.
        others: The other method's, with the same tasks.
    """
    return float(
        np.mean([_better(np.asarray(a)[None], np.asarray(b)[None]) for a, b in zip(scores, others, strict=True)])
    )


def improvement_interval(
    scores: Sequence[Sequence[float]],
    others: Sequence[Sequence[float]],
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """Percentile bootstrap interval of :func:`probability_of_improvement`, both methods' runs resampled by task."""
    generator = np.random.default_rng(0)
    shares = np.zeros(resamples)
    for own, other in zip(scores, others, strict=True):
        drawn = _resampled(own, generator, resamples), _resampled(other, generator, resamples)
        shares += _better(*drawn) / len(scores)
    return _percentiles(shares, confidence)


@dataclass(frozen=True)
class TimeToEvent:
    """How long something takes, of which some cases were not watched to its end.

    Attributes:
        median: Time by which half have it, by Kaplan and Meier's estimate; ``None`` where it is never that many.
        restricted_mean: Mean time, where every time beyond ``horizon`` counts as the horizon.
        lower_bound: The mean is one, as some have not had it by the horizon.
        interval: Percentile bootstrap interval of the restricted mean.
        horizon: The longest time that was watched.
        reached: Number of cases that have it.
        censored: Number of cases that were watched without it.
    """

    median: float | None
    restricted_mean: float
    lower_bound: bool
    interval: tuple[float, float]
    horizon: float
    reached: int
    censored: int


def time_to_event(
    times: Sequence[float], censored: Sequence[float], confidence: float = 0.95, resamples: int = RESAMPLES
) -> TimeToEvent:
    """Kaplan and Meier's estimate of the time until something happens.

    Args:
        times: Of the cases in which it has happened.
        censored: How long the other cases were watched.
        confidence: Share of the resampled means inside the interval.
        resamples: Number of resampled means, each over as many cases, to the same horizon.
    """
    cases = np.array([*times, *censored], dtype=np.float64)
    happened = np.arange(len(cases)) < len(times)
    horizon = float(cases.max())
    quantiles, heights = _survival(cases, happened)
    half = quantiles[heights <= 0.5 + 1e-12]
    drawn = np.random.default_rng(0).integers(len(cases), size=(resamples, len(cases)))
    # Few cases have few different resamples, whatever their order, and each is estimated once.
    different, counts = np.unique(np.sort(drawn, axis=1), axis=0, return_counts=True)
    means = [_restricted_mean(*_survival(cases[rows], happened[rows]), horizon) for rows in different]
    return TimeToEvent(
        median=float(half[0]) if len(half) else None,
        restricted_mean=_restricted_mean(quantiles, heights, horizon),
        lower_bound=bool(heights[-1] > 1e-12),
        interval=_percentiles(np.repeat(means, counts), confidence),
        horizon=horizon,
        reached=len(times),
        censored=len(censored),
    )


def _survival(times: np.ndarray, happened: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The times at which the estimated share of cases without it changes, and that share from then on."""
    survival = ecdf(CensoredData(uncensored=times[happened], right=times[~happened])).sf
    return survival.quantiles, survival.probabilities


def _restricted_mean(quantiles: np.ndarray, heights: np.ndarray, horizon: float) -> float:
    """The area below the survival function up to the horizon."""
    edges = np.concatenate([[0.0], np.minimum(quantiles, horizon), [horizon]])
    return float(np.sum(np.diff(edges) * np.concatenate([[1.0], heights])))


def _resampled(values: Sequence[float], generator: np.random.Generator, resamples: int) -> np.ndarray:
    """``values`` drawn with replacement, [resamples, len(values)]."""
    sample = np.asarray(values, dtype=np.float64)
    return sample[generator.integers(len(sample), size=(resamples, len(sample)))]


def _middle_means(values: np.ndarray) -> np.ndarray:
    """Interquartile means along the last axis."""
    ordered = np.sort(values, axis=-1)
    cut = values.shape[-1] // 4
    return ordered[..., cut : values.shape[-1] - cut].mean(axis=-1)


def _better(own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Share of pairs in which the first is larger, ties half; [..., runs] twice."""
    difference = own[..., :, None] - others[..., None, :]
    return ((difference > 0) + 0.5 * (difference == 0)).mean(axis=(-2, -1))


def _percentiles(means: np.ndarray, confidence: float) -> tuple[float, float]:
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
