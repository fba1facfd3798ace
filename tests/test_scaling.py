"""The projection of benchmarks/scaling.py against the same arithmetic by hand."""

import pytest

from benchmarks import scaling

ONE = {"seconds": 2.0, "evaluation_seconds_per_episode": 0.5, "gradient_bytes": 1e9, "optimizer_steps": 4,
       "exchanged_bytes": 1e8}  # fmt: skip


def test_one_process_pays_nothing():
    options = scaling.parse(["--bandwidth", "10", "--latency", "20"])
    assert scaling.project(1, ONE, options) == {
        "seconds": 2.0, "gradients_seconds": 0.0, "samples_seconds": 0.0, "speed_up": 1.0, "evaluation_seconds": 25.0,
    }  # fmt: skip


def test_a_ring_of_four():
    """Four steps of 2 * 3 / 4 gigabytes, and 3 * 0.1 gigabytes of samples, at 10 GB/s."""
    made = scaling.project(4, ONE, scaling.parse(["--bandwidth", "10", "--latency", "0", "--eval-episodes", "50"]))
    assert made["gradients_seconds"] == pytest.approx(4 * 0.15)
    assert made["samples_seconds"] == pytest.approx(0.03)
    assert made["speed_up"] == pytest.approx(4 * 2.0 / 2.63)
    assert made["evaluation_seconds"] == 13 * 0.5


def test_each_message_of_a_ring_costs_its_latency():
    made = scaling.project(8, ONE | {"gradient_bytes": 0, "exchanged_bytes": 0}, scaling.parse(["--latency", "1000"]))
    assert made["gradients_seconds"] == pytest.approx(4 * 14 * 1e-3) and made["samples_seconds"] == pytest.approx(7e-3)
