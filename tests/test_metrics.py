"""Training metrics: windows over episodes, means over an iteration, and what a checkpoint keeps of them."""

import warnings

import pytest
import torch

from lightning_twosome.metrics import EpisodeMetrics, ResumableMean, UpdateMetrics, WindowedMean
from lightning_twosome.rollout import Episode


def test_the_window_slides():
    mean = WindowedMean(3)
    mean.update([1.0, 2.0])
    assert mean.compute().item() == 1.5
    mean.update([6.0])
    assert mean.compute().item() == 3.0
    mean.update(torch.tensor([10.0]))
    assert mean.compute().item() == 6.0, "1 has left"
    mean.update([0.0, 1.0, 2.0, 3.0, 4.0])
    assert mean.compute().item() == 3.0, "more values than the window holds"


def test_nothing_known_is_not_a_number_but_not_logged():
    metrics = EpisodeMetrics(window=5)
    metrics.update([])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torchmetrics warns of a computation before the first update
        assert metrics.compute() == {}
    metrics.update([Episode(0, 1.0, 0.9, length=3, duration=7)])
    known = {name: value.item() for name, value in metrics.compute().items()}
    assert known == pytest.approx({"return": 0.9, "undiscounted_return": 1.0, "length": 3.0, "duration": 7.0})


def test_a_quiet_iteration_keeps_the_last_episodes():
    metrics = EpisodeMetrics(window=2)
    metrics.update([Episode(0, success=True), Episode(0, success=False), Episode(0, success=None)])
    assert metrics.compute()["success"].item() == 0.5
    metrics.update([])
    assert metrics.compute()["success"].item() == 0.5


def test_windows_come_back_with_a_checkpoint():
    first, second = EpisodeMetrics(3), EpisodeMetrics(3)
    first.update([Episode(0, 2.0, 1.0, 1, 1, True, True)] * 2)
    second.load_state_dict(first.state_dict())
    first.update([Episode(0, 0.0, 0.0, 5, 5, True, False)])
    second.update([Episode(0, 0.0, 0.0, 5, 5, True, False)])
    assert {k: v.item() for k, v in first.compute().items()} == {k: v.item() for k, v in second.compute().items()}


def test_update_metrics_are_means_since_the_reset():
    metrics = UpdateMetrics(["a", "b"])
    metrics.update({"a": torch.tensor(1.0, requires_grad=True)})
    metrics.update({"a": torch.tensor(4.0, dtype=torch.bfloat16)})
    assert {name: value.item() for name, value in metrics.compute().items()} == {"a": 2.5}
    metrics.reset()
    metrics.update({"b": torch.tensor(3.0)})
    assert {name: value.item() for name, value in metrics.compute().items()} == {"b": 3.0}


def test_a_mean_goes_on_after_a_checkpoint_in_the_middle():
    """Also one that is updated no more: the first batch's own metric."""
    first, second = UpdateMetrics(["every", "first"]), UpdateMetrics(["every", "first"])
    first.update({"every": torch.tensor(1.0), "first": torch.tensor(5.0)})
    second.load_state_dict(first.state_dict())
    second.update({"every": torch.tensor(3.0)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert {name: value.item() for name, value in second.compute().items()} == {"every": 2.0, "first": 5.0}


def test_a_diverged_loss_is_shown():
    mean = ResumableMean()
    mean.update(torch.tensor(torch.nan))
    assert mean.compute().isnan() and not mean.empty
