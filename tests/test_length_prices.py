"""The benchmark of probability against length: what a word costs, by hand and of a policy known to the last digit."""

import pytest
import torch

from benchmarks.action_lengths import Measured, slope, table


def test_slope_is_within_decisions_and_leaves_padding_out():
    """Two decisions with intercepts of their own, which rise with the length and would tilt a common line."""
    words = torch.tensor([[2.0, 4.0, 0.0], [5.0, 6.0, 10.0]])
    logits = torch.tensor([[1.0, 0.0, float("-inf")], [8.0, 7.5, 5.5]])
    assert slope(words, logits) == pytest.approx(-0.5)


def test_table_has_the_mean_over_seeds():
    runs = [Measured({}, 0.5), Measured({}, 1.0)]
    assert table({"sum_matched": (Measured({}, 0.25), runs)}).splitlines()[-1] == (
        "| sum_matched | 0.25 | 0.75 | 0.50, 1.00 |"
    )
