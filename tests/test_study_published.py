"""The published reports' tables are what their commands make of the published tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli_runs import ROOT, run

PUBLISHED = sorted(path.parent.name for path in (ROOT / "docs/results").glob("*/results.parquet"))
QUICK = "sample_efficiency"


def table_lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line.startswith("| ")]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == QUICK else pytest.mark.slow) for name in PUBLISHED]
)
def test_the_tables_are_those_that_the_command_makes(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where the studies' folder is made
    published, study = ROOT / "docs/results" / name, ROOT / f"configs/studies/{name}.yaml"
    assert run("study", study, "--reuse", published) == 0, "no cell of it is left to run"
    assert not list(tmp_path.glob("studies/*/*/*/*/checkpoints"))
    assert run("study", study, "--report") == 0
    made = table_lines(tmp_path / "studies" / name / "report.md")
    assert made == table_lines(published / "report.md") and len(made) > 5
    results = (tmp_path / "studies" / name / "results.csv").read_text().splitlines()
    assert len(results) == len((published / "results.csv").read_text().splitlines())


def test_every_study_but_the_smallest_is_published():
    studies = {path.stem for path in (ROOT / "configs/studies").glob("*.yaml")}
    assert studies - {"smoke"} == set(PUBLISHED)
