"""Statistics over runs on literals; some of the expected figures are those of rliable 1.2.0 for the same runs."""

import numpy as np
import pytest

from lightning_twosome.statistics import (
    improvement_interval,
    interquartile_mean,
    probability_of_improvement,
    time_to_event,
)

# Five runs on two tasks of one method, and of another.
SCORES = [[0.1, 0.6, -0.5, 1.3, -0.7], [-0.1, 0.1, 0.4, 0.9, -1.3]]
OTHERS = [[-0.1, -1.8, -0.7, -0.0, 0.9], [0.5, 0.3, 0.3, 0.8, 1.5]]


def test_interquartile_mean_over_runs_and_tasks():
    # Of ten, two at either end are left out; rliable's aggregate_iqm says the same.
    assert interquartile_mean(np.concatenate(SCORES)) == pytest.approx(0.1)


def test_probability_of_improvement_counts_pairs_of_each_task_and_ties_half():
    assert probability_of_improvement([[1.0, 3.0]], [[2.0, 2.0]]) == 0.5
    assert probability_of_improvement([[1.0, 2.0]], [[2.0]]) == 0.25, "one pair of two is even"
    assert probability_of_improvement([[1.0], [5.0]], [[0.0, 0.0, 0.0], [9.0]]) == 0.5, "tasks weigh alike"
    forth, back = probability_of_improvement(OTHERS, SCORES), probability_of_improvement(SCORES, OTHERS)
    assert (forth, back) == (pytest.approx(0.55), pytest.approx(0.45))  # as rliable's probability_of_improvement


def test_the_interval_of_an_improvement_holds_it_and_shrinks_with_runs():
    few = improvement_interval(OTHERS, SCORES)
    assert few[0] < probability_of_improvement(OTHERS, SCORES) < few[1]
    many = improvement_interval([runs * 9 for runs in OTHERS], [runs * 9 for runs in SCORES])
    assert many[1] - many[0] < (few[1] - few[0]) / 2
    assert improvement_interval([[1.0, 2.0]], [[0.0]]) == (1.0, 1.0)


def test_times_are_estimated_after_kaplan_and_meier():
    # Five cases: 4/5 are left after 1; of the three that are still watched at 3, two have it then: 4/5 * 1/3.
    made = time_to_event([1, 3, 3], [2, 5])
    assert (made.median, made.horizon, made.reached, made.censored) == (3.0, 5.0, 3, 2)
    assert made.restricted_mean == pytest.approx(1 * 1 + 2 * 4 / 5 + 2 * 4 / 15)


def test_what_half_the_cases_never_have_has_no_median():
    made = time_to_event([2], [8, 8])
    assert made.median is None and made.restricted_mean == pytest.approx((2 + 8 + 8) / 3)
    assert time_to_event([], [4, 4]).restricted_mean == 4.0
    assert time_to_event([], [4, 4]).median is None


def test_without_censoring_it_is_the_ordinary_median_and_mean():
    made = time_to_event([1, 2, 9], [])
    assert (made.median, made.restricted_mean, made.censored) == (2.0, pytest.approx(4.0), 0)
    assert time_to_event([0, 0], []).restricted_mean == 0.0


def test_the_interval_of_a_time_is_that_of_resampled_cases_up_to_the_same_horizon():
    # Two cases: both resamples of one case alone have a quarter each, the two of both half; so the ends are the cases.
    assert time_to_event([2, 6], []).interval == (2.0, 6.0)
    # Censored at the horizon, every resample's mean is a plain one with the horizon in place of what was not seen.
    rows = np.random.default_rng(0).integers(5, size=(2000, 5))
    means = np.array([1.0, 3.0, 4.0, 8.0, 8.0])[rows].mean(axis=1)
    assert time_to_event([1, 3, 4], [8, 8]).interval == pytest.approx(np.quantile(means, [0.025, 0.975]))


def test_a_resample_of_a_case_that_was_not_watched_long_goes_on_to_the_horizon():
    # The resamples are (1, 1), (1, 2+) and (2+, 2+) with the horizon 2: means of 1, 1.5 and 2.
    made = time_to_event([1], [2], resamples=8000)
    assert made.restricted_mean == 1.5 and made.interval == (1.0, 2.0)
    assert time_to_event([1], [2], confidence=0.4).interval == (1.5, 1.5), "half of the resamples have both"


def test_the_interval_of_a_time_is_a_point_where_all_cases_are_alike():
    assert time_to_event([5, 5, 5], []).interval == (5.0, 5.0)
    assert time_to_event([], [4, 4]).interval == (4.0, 4.0)
