"""Training metrics: means over the last episodes and over the updates of an iteration, reduced over processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric

from lightning_twosome.rollout import Episode


class _Resumable(Metric):
    """A metric that counts as updated after its states were loaded: torchmetrics keeps them but not that fact."""

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._update_count = 1


class ResumableMean(_Resumable, MeanMetric):
    """A running mean that a checkpoint keeps."""

    def __init__(self) -> None:
        super().__init__(nan_strategy="disable")
        self.persistent(True)

    @property
    def empty(self) -> bool:
        """Nothing was counted in since the last reset."""
        return bool(self.weight == 0)


class WindowedMean(_Resumable):
    """Mean of the last ``window`` values of each process; NaN before the first one.

    Args:
        window: Number of values kept.
    """

    full_state_update = False
    values: Tensor

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window
        self.add_state("values", torch.full((window,), torch.nan), dist_reduce_fx="cat", persistent=True)

    def update(self, values: Sequence[float] | Tensor) -> None:
        """Append values, oldest first."""
        new = torch.as_tensor(values, dtype=torch.float32, device=self.values.device)
        self.values = torch.cat([self.values, new])[-self.window :]

    def compute(self) -> Tensor:
        """The mean, NaN if there is no value yet."""
        return self.values.nanmean()


class EpisodeMetrics(nn.Module):
    """Return, success and length over the last episodes.

    Args:
        window: Number of episodes.
    """

    def __init__(self, window: int = 100) -> None:
        super().__init__()
        names = ("return", "undiscounted_return", "success", "length", "duration")
        self.means = nn.ModuleDict({_key(name): WindowedMean(window) for name in names})

    def update(self, episodes: Sequence[Episode]) -> None:
        """Count finished episodes in."""
        self._append("return", [episode.discounted_return for episode in episodes])
        self._append("undiscounted_return", [episode.undiscounted_return for episode in episodes])
        self._append("success", [float(episode.success) for episode in episodes if episode.success is not None])
        self._append("length", [float(episode.length) for episode in episodes])
        self._append("duration", [float(episode.duration) for episode in episodes])

    def _append(self, name: str, values: list[float]) -> None:
        cast(WindowedMean, self.means[_key(name)]).update(values)

    def compute(self) -> dict[str, Tensor]:
        """The means that are known; what no episode has reported yet is left out, so that nothing logs a NaN."""
        values = {key.removesuffix("_"): cast(Metric, mean).compute() for key, mean in self.means.items()}
        return {name: value for name, value in values.items() if not value.isnan()}


def _key(name: str) -> str:
    """``return`` is a keyword and so no attribute."""
    return name + "_"


class UpdateMetrics(nn.Module):
    """Mean of each named quantity over the optimizer steps, or the rollouts of all processes, of one iteration."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.means = nn.ModuleDict({name: ResumableMean() for name in names})

    def update(self, values: dict[str, Tensor]) -> None:
        """Count the diagnostics of one optimizer step in."""
        for name, value in values.items():
            cast(Metric, self.means[name]).update(value.detach().float())

    def compute(self) -> dict[str, Tensor]:
        """The means of what was updated since the last :meth:`reset`."""
        metrics = {name: cast(ResumableMean, metric) for name, metric in self.means.items()}
        return {name: metric.compute() for name, metric in metrics.items() if not metric.empty}

    def reset(self) -> None:
        """Begin a new iteration."""
        for metric in self.means.values():
            cast(Metric, metric).reset()
