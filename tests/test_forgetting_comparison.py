"""The paired comparison: scores and errors of lm-eval, intervals of a naive bootstrap, and what pairing is worth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from lm_eval.api import metrics

from lightning_twosome.forgetting.comparison import Comparison, Scores, compare, loss, resampled_losses


def accuracy(values) -> Scores:
    return Scores("acc", tuple(map(float, values)), (1.0,) * len(values))


def perplexity(log_likelihoods, weights) -> Scores:
    return Scores("byte_perplexity", tuple(log_likelihoods), tuple(weights))


def answers(count: int = 400, forgotten: float = 0.0, seed: int = 0) -> tuple[Scores, Scores]:
    """Right answers of a model, and of the same where a share of the right ones are lost."""
    source = np.random.default_rng(seed)
    off = source.random(count) < 0.7
    return accuracy(off), accuracy(off & (source.random(count) >= forgotten))


def test_accuracy_and_its_error_are_lm_evals():
    off, _ = answers()
    assert off.score == pytest.approx(metrics.mean(off.values))
    assert off.standard_error == pytest.approx(metrics.mean_stderr(list(off.values)))


def test_perplexity_is_lm_evals_and_its_error_that_of_a_bootstrap():
    source = np.random.default_rng(1)
    weights = source.integers(50, 400, 300).astype(float)
    values = -0.2 * weights + source.normal(0, 5, 300)
    scores = perplexity(values, weights)
    assert scores.score == pytest.approx(metrics.weighted_perplexity(list(zip(values, weights, strict=True))))
    drawn = [source.integers(300, size=300) for _ in range(2000)]
    resampled = [math.exp(-values[index].sum() / weights[index].sum()) for index in drawn]
    assert scores.standard_error == pytest.approx(np.std(resampled), rel=0.1)


def test_the_loss_is_accuracy_lost_or_the_logarithm_of_the_quotient():
    assert loss(accuracy([1, 1, 1, 0]), accuracy([1, 0, 0, 1])) == pytest.approx(0.25)
    off, on = perplexity([-10.0, -30.0], [100, 100]), perplexity([-20.0, -40.0], [100, 100])
    assert loss(off, on) == pytest.approx(math.log(on.score / off.score)) == pytest.approx(0.1)


def test_the_interval_is_that_of_a_naive_paired_bootstrap():
    off, on = answers(forgotten=0.1)
    [task] = compare({"task": off}, {"task": on}).tasks
    source = np.random.default_rng(5)
    losses = []
    for _ in range(2000):
        drawn = source.integers(400, size=400).tolist()
        losses.append(sum(off.values[i] - on.values[i] for i in drawn) / 400)
    assert task.loss_low == pytest.approx(np.quantile(losses, 0.025), abs=0.005)
    assert task.loss_high == pytest.approx(np.quantile(losses, 0.975), abs=0.005)


def test_ratios_are_resampled_with_their_weights():
    source = np.random.default_rng(2)
    weights = source.integers(10, 300, 200).astype(float)
    lost = 0.05 * weights
    losses = resampled_losses(perplexity(-weights, weights), perplexity(-weights - lost, weights), 50, source)
    assert losses.shape == (50,)
    assert losses == pytest.approx(np.full(50, 0.05))


def test_draws_in_pieces_are_as_many(monkeypatch):
    monkeypatch.setattr("lightning_twosome.forgetting.comparison._DRAWS_AT_ONCE", 1000)
    off, on = answers(forgotten=0.1)
    losses = resampled_losses(off, on, 2001, np.random.default_rng(0))
    assert len(losses) == 2001
    assert losses.mean() == pytest.approx(loss(off, on), abs=0.002)


def test_pairing_shows_what_two_separate_errors_would_hide():
    off, on = answers(forgotten=0.03)
    result = compare({"task": off}, {"task": on})
    [task] = result.tasks
    assert task.verdict == "worse"
    assert task.loss < 1.96 * math.hypot(off.standard_error, on.standard_error)


def test_equal_scores_lose_nothing():
    off, _ = answers()
    result = compare({"task": off}, {"task": off})
    assert (result.mean_loss, result.mean_loss_low, result.mean_loss_high) == (0, 0, 0)
    assert result.tasks[0].verdict == ""


def test_better_answers_are_called_so():
    off, on = answers(forgotten=0.2)
    assert compare({"task": on}, {"task": off}).tasks[0].verdict == "better"


def test_the_mean_is_over_tasks_with_an_interval_of_its_own():
    first, second = answers(forgotten=0.1), answers(forgotten=0.3, seed=1)
    result = compare({"a": first[0], "b": second[0]}, {"a": first[1], "b": second[1]})
    assert result.mean_loss == pytest.approx((result.tasks[0].loss + result.tasks[1].loss) / 2)
    widths = [task.loss_high - task.loss_low for task in result.tasks]
    assert result.mean_loss_high - result.mean_loss_low < max(widths)
    assert result == compare({"a": first[0], "b": second[0]}, {"a": first[1], "b": second[1]})


def test_only_an_interval_beyond_the_bound_is_beyond_it():
    off, on = answers(forgotten=0.1)
    result = compare({"task": off}, {"task": on})
    [task] = result.tasks
    assert result.beyond(task.loss_low - 0.001) == [task]
    assert result.beyond(task.loss) == []


def test_dictionaries_keep_everything():
    off, on = answers(forgotten=0.1)
    assert Scores.from_dict(off.to_dict()) == off
    result = compare({"task": off}, {"task": on})
    assert Comparison.from_dict(result.to_dict()) == result
