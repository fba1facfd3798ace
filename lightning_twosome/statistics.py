"""Means of few and uneven figures with their uncertainty: bootstrap intervals and interquartile means.

Everything is seeded, so that the same values give the same interval.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

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
        sample = np.asarray(stratum, dtype=np.float64)
        draws = generator.integers(len(sample), size=(resamples, len(sample)))
        means += sample[draws].mean(axis=1) / len(strata)
    return _percentiles(means, confidence)


def interquartile_mean(values: Sequence[float] | np.ndarray) -> float:
    """Mean of the middle half: a quarter of the values, rounded down, is left out at either end."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


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
    drawn = [np.asarray(runs)[generator.integers(len(runs), size=(resamples, len(runs)))] for runs in scores]
    means = np.apply_along_axis(interquartile_mean, 1, np.concatenate(drawn, axis=1))
    return _percentiles(means, confidence)


def _percentiles(means: np.ndarray, confidence: float) -> tuple[float, float]:
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
