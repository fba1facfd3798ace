"""The benchmark over seeds: its table, and one tiny run of it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.seeds import evaluations, table
from tests.cli_runs import ROOT, quick_config, save_tiny


def result(seed: int, before: float, after: float, curve: list[tuple[int, float]], **more: float) -> dict:
    measured = {"success": 1.0, "perplexity": 4.0, "beta": 2.0}
    return {"seed": seed, "before": {"return": before, **measured}, "after": {"return": after, **measured},
            "seconds": 30.0, "evaluations": curve, **more}  # fmt: skip


def test_table_has_a_line_a_seed_and_their_mean():
    runs = [result(0, 0.1, 0.9, [(100, 0.5), (200, 0.92), (300, 0.8)]), result(1, 0.3, 0.7, [(100, 0.4), (200, 0.6)])]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table(runs, 0.9).splitlines()]
    names, first, second, mean = lines[0], *lines[2:]
    assert len(lines) == 5 and {len(line) for line in lines} == {len(names)}
    cells = dict(zip(names, first, strict=True))
    assert (cells["best evaluation"], cells["worst after it"], cells["steps to 0.9"]) == ("0.920", "0.800", "200")
    assert dict(zip(names, second, strict=True))["steps to 0.9"] == "-", "never reached"
    assert dict(zip(names, mean, strict=True))["return after"] == "0.800"


def test_evaluations_are_read_from_the_metrics_file(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,loss/total,val/return\n8,,0.25\n8,1.0,\n16,,0.5\n")
    assert evaluations(tmp_path / "metrics.csv") == [(8, 0.25), (16, 0.5)]


@pytest.mark.slow
def test_a_seed_is_trained_and_not_repeated(tmp_path):
    config = quick_config(tmp_path, save_tiny(tmp_path / "model"))
    summary = "[{class_path: lightning_twosome.callbacks.BeforeAndAfter, init_args: {episodes: 3, texts: 0}}]"
    command = [sys.executable, str(ROOT / "benchmarks/seeds.py"), str(config), "--seeds", "3", "--folder",
               str(tmp_path / "out"), "--", "--trainer.callbacks", summary]  # fmt: skip
    printed = [subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout for _ in range(2)]
    assert printed[0] == printed[1] == (tmp_path / "out/table.md").read_text()
    assert "\n| 3 |" in printed[0]
    assert not (tmp_path / "out/seed-3-2").exists()
