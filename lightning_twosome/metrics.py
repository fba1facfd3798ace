"""Training metrics: means over the last episodes, and over the updates of an iteration, reduced over processes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast
from urllib.parse import quote, unquote

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric

from lightning_twosome.errors import UserError
from lightning_twosome.rollout import Episode

MOST_TASKS = 1000


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
    """Mean of the last ``window`` values; NaN before the first one. Every process counts those of all in.

    Args:
        window: Number of values kept.
    """

    full_state_update = False
    values: Tensor

    def __init__(self, window: int) -> None:
        super().__init__(sync_on_compute=False)
        self.window = window
        self.add_state("values", torch.full((window,), torch.nan), dist_reduce_fx=None, persistent=True)

    def update(self, values: Sequence[float] | Tensor) -> None:
        """Append values, oldest first."""
        new = torch.as_tensor(values, dtype=torch.float32, device=self.values.device)
        self.values = torch.cat([self.values, new])[-self.window :]

    def compute(self) -> Tensor:
        """The mean, NaN if there is no value yet."""
        return self.values.nanmean()


class EpisodeMetrics(nn.Module):
    """Return, success and length over the last episodes, of all tasks and of each.

    Args:
        window: Number of episodes, of all tasks as of each.
    """

    def __init__(self, window: int = 100) -> None:
        super().__init__()
        self.window = window
        self.means = _means(window, ("return", "undiscounted_return", "success", "length", "duration"))
        self.tasks = nn.ModuleDict()

    def add_tasks(self, names: Iterable[str]) -> None:
        """Count the episodes of these tasks apart too; all processes must add the same ones at the same time.

        Raises:
            UserError: There are more than :data:`MOST_TASKS`.
        """
        device = cast(WindowedMean, self.means[_key("return")]).device
        new = sorted(name for name in names if _task_key(name) not in self.tasks)
        if len(self.tasks) + len(new) > MOST_TASKS:
            raise UserError(
                f"The environments name more than {MOST_TASKS} tasks, such as {new[-1]!r}, and each has columns of its "
                "own in metrics.csv: let info['task'] name kinds of episodes rather than each episode."
            )
        for name in new:
            self.tasks[_task_key(name)] = _means(self.window, ("return", "success", "length")).to(device)

    def update(self, episodes: Sequence[Episode]) -> None:
        """Count finished episodes in."""
        _append(self.means, episodes)
        for key, means in self.tasks.items():
            _append(cast(nn.ModuleDict, means), [e for e in episodes if e.task and _task_key(e.task) == key])

    def compute(self) -> dict[str, Tensor]:
        """The means that are known, ``return`` and ``TASK/return``; what no episode has reported yet is left out."""
        values = {_name(key): cast(Metric, mean).compute() for key, mean in self.means.items()}
        for task_key, means in self.tasks.items():
            for key, mean in cast(nn.ModuleDict, means).items():
                values[f"{_task_name(task_key)}/{_name(key)}"] = cast(Metric, mean).compute()
        return {name: value for name, value in values.items() if not value.isnan()}

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Make room for the tasks that a checkpoint has counted."""
        start = f"{prefix}tasks."
        keys = {name.removeprefix(start).partition(".")[0] for name in state_dict if name.startswith(start)}
        self.add_tasks(_task_name(key) for key in keys)
        super()._load_from_state_dict(state_dict, prefix, *args)


def _means(window: int, names: Sequence[str]) -> nn.ModuleDict:
    return nn.ModuleDict({_key(name): WindowedMean(window) for name in names})


def _append(means: nn.ModuleDict, episodes: Sequence[Episode]) -> None:
    figures = {
        "return": [episode.discounted_return for episode in episodes],
        "undiscounted_return": [episode.undiscounted_return for episode in episodes],
        "success": [float(episode.success) for episode in episodes if episode.success is not None],
        "length": [float(episode.length) for episode in episodes],
        "duration": [float(episode.duration) for episode in episodes],
    }
    for key, mean in means.items():
        cast(WindowedMean, mean).update(figures[_name(key)])


def _key(name: str) -> str:
    """``return`` is a keyword and so no attribute."""
    return name + "_"


def _name(key: str) -> str:
    return key.removesuffix("_")


def _task_key(name: str) -> str:
    """A module's name must have no dot in it and be none of the container's own."""
    return "task_" + quote(name, safe="").replace(".", "%2E")


def _task_name(key: str) -> str:
    return unquote(key.removeprefix("task_"))


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
