"""The paired comparison of two models on the same documents.

Every metric is a ratio of sums over documents, ``R = sum(v) / sum(w)``: an accuracy with v in {0, 1} and w = 1, a
perplexity ``exp(-R)`` with v a log-likelihood in nats and w the bytes or words of the document. The loss is

    L = sum(v_off - v_on) / sum(w)

which is the accuracy lost, or the logarithm of the perplexities' quotient; L > 0 is forgetting. Its interval is that
of the percentile bootstrap over documents: resample documents, each with both its values, and take L again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 2000
_DRAWS_AT_ONCE = 4_000_000
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """What one model got on each document of a task.

    Attributes:
        metric: lm-eval's name of it.
        values: v of each document.
        weights: w of each document.
    """

    metric: str
    values: tuple[float, ...]
    weights: tuple[float, ...]

    @property
    def is_perplexity(self) -> bool:
        """Whether the score is ``exp(-R)`` rather than R."""
        return "perplexity" in self.metric

    @property
    def score(self) -> float:
        """The metric, as lm-eval aggregates it."""
        ratio = math.fsum(self.values) / math.fsum(self.weights)
        return math.exp(-ratio) if self.is_perplexity else ratio

    @property
    def standard_error(self) -> float:
        """Of the score over two or more documents: lm-eval's for an accuracy, by the delta method for a perplexity."""
        count = len(self.values)
        values, weights = np.asarray(self.values), np.asarray(self.weights)
        residuals = (values - values.sum() / weights.sum() * weights) / weights.mean()
        error = math.sqrt(float((residuals**2).sum()) / (count - 1) / count)
        return error * self.score if self.is_perplexity else error

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, as a checkpoint keeps them."""
        return {"metric": self.metric, "values": list(self.values), "weights": list(self.weights)}

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Scores:
        """The inverse of :meth:`to_dict`."""
        return cls(kept["metric"], tuple(kept["values"]), tuple(kept["weights"]))


@dataclass(frozen=True)
class Loss:
    """A paired difference with the ends of its 95 % interval; positive where something was forgotten."""

    loss: float
    loss_low: float
    loss_high: float

    @property
    def verdict(self) -> str:
        """What the interval says."""
        return "worse" if self.loss_low > 0 else "better" if self.loss_high < 0 else ""

    def __str__(self) -> str:
        return f"{self.loss:.3f} [{self.loss_low:.3f}, {self.loss_high:.3f}]"


@dataclass(frozen=True)
class Difference(Loss):
    """One task with the adapter off and on.

    Attributes:
        task: The task's name.
        metric: lm-eval's name of the score.
        documents: How many.
        off: Score of the frozen model.
        off_stderr: Its standard error.
        on: Score of the adapted model.
        on_stderr: Its standard error.
    """

    task: str
    metric: str
    documents: int
    off: float
    off_stderr: float
    on: float
    on_stderr: float

    __str__ = Loss.__str__


@dataclass(frozen=True)
class Comparison:
    """All tasks, and the mean of their losses with its interval."""

    tasks: tuple[Difference, ...]
    mean_loss: float
    mean_loss_low: float
    mean_loss_high: float

    @property
    def mean(self) -> Loss:
        """The mean loss."""
        return Loss(self.mean_loss, self.mean_loss_low, self.mean_loss_high)

    def beyond(self, bound: float) -> list[Difference]:
        """The tasks whose loss is larger than ``bound``, by the whole of its interval."""
        return [task for task in self.tasks if task.loss_low > bound]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and texts."""
        return asdict(self) | {"tasks": [asdict(task) for task in self.tasks]}

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Comparison:
        """The inverse of :meth:`to_dict`; other keys are left out."""
        tasks = tuple(Difference(**task) for task in kept["tasks"])
        return cls(tasks, kept["mean_loss"], kept["mean_loss_low"], kept["mean_loss_high"])


def compare(off: Mapping[str, Scores], on: Mapping[str, Scores], resamples: int = RESAMPLES) -> Comparison:
    """The paired comparison of each task; the same scores give the same intervals."""
    generator = np.random.default_rng(0)
    differences, resampled = [], []
    for name, before in off.items():
        after = on[name]
        losses = resampled_losses(before, after, resamples, generator)
        resampled.append(losses)
        differences.append(
            Difference(
                loss(before, after),
                *interval(losses),
                task=name,
                metric=before.metric,
                documents=len(before.values),
                off=before.score,
                off_stderr=before.standard_error,
                on=after.score,
                on_stderr=after.standard_error,
            )
        )
    mean = math.fsum(one.loss for one in differences) / len(differences)
    return Comparison(tuple(differences), mean, *interval(np.mean(resampled, axis=0)))


def loss(off: Scores, on: Scores) -> float:
    """L of the module's text."""
    return (math.fsum(off.values) - math.fsum(on.values)) / math.fsum(off.weights)


def resampled_losses(off: Scores, on: Scores, resamples: int, generator: np.random.Generator) -> Floats:
    """L of documents drawn with replacement: float64 [resamples]."""
    lost = np.asarray(off.values) - np.asarray(on.values)
    weights = np.asarray(off.weights)
    at_once = max(1, _DRAWS_AT_ONCE // len(lost))
    parts = []
    for start in range(0, resamples, at_once):
        drawn = generator.integers(len(lost), size=(min(at_once, resamples - start), len(lost)))
        parts.append(lost[drawn].sum(axis=1) / weights[drawn].sum(axis=1))
    return np.concatenate(parts)


def interval(losses: Floats | Sequence[float]) -> tuple[float, float]:
    """The percentile interval."""
    low, high = np.quantile(losses, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
