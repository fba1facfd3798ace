"""The map of learning rates: which pair stands where, and what is averaged how."""

import pandas as pd

from benchmarks.stability_map import draw, fields, table


def test_pairs_stand_by_rising_rates_and_other_methods_are_left_out(tmp_path):
    rows = [
        ("actor 0.01, critic 0.05", 0.1, 9.0), ("actor 0.01, critic 0.05", 0.3, 3.0),
        ("actor 0.01, critic 0.05", 0.2, 4000.0), ("actor 3e-05, critic 0.005", 0.9, 2.0),
        ("actor 0.01, critic 0.005", 0.8, 2.5), ("actor 3e-05, critic 0.05", 0.7, 2.25), ("rank 1", 0.0, 1.0),
    ]  # fmt: skip
    maps = fields(pd.DataFrame(rows, columns=["method", "return", "after/perplexity"]))
    assert table(maps).splitlines()[2:] == [
        "| 3e-05 | 0.900 (2.00) | 0.700 (2.25) |",
        "| 0.01 | 0.800 (2.50) | 0.200 (9.00) |",
    ]
    draw(maps, tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 10_000
