"""A study of seconds, for the tests of the runner."""

from pathlib import Path

import pandas as pd
import yaml

from lightning_twosome.study.cells import Cell, make_cells
from lightning_twosome.study.definition import Study, load_study
from tests.cli_runs import quick_config, save_tiny

STUDY = """\
seeds: [1, 2]
output: {output}
evaluation: {{episodes: 6}}
threshold: {{metric: val/return, value: -0.35}}
tasks:
  Corridor: {{configs: [quick.yaml], scores: {{random: -0.5, optimum: 0.6}}}}
methods:
  word: {{set: {{trainer.max_epochs: 3}}}}
  zero-shot: {{command: test, alone: true, configs: [zero.yaml]}}
"""
ZERO = """\
trainer: {{accelerator: cpu}}
model: {{class_path: lightning_twosome.ZeroShot, init_args: {{language_model: {model}}}}}
data:
  class_path: lightning_twosome.RolloutDataModule
  init_args: {{env: {{class_path: tests.study_env.Fatal}}, eval_num_envs: 2}}
"""
CHANGING = ("seconds", "ledger/")  # columns that two equal runs differ in


def small_study(folder: Path, output: str = "study", text: str = STUDY) -> Path:
    """Write the study with its configs and its tiny model; returns its file."""
    model = folder / "model"
    if not model.exists():
        save_tiny(model)
        quick_config(folder, model, "{class_path: tests.study_env.Fatal}")
        (folder / "zero.yaml").write_text(ZERO.format(model=model))
    path = folder / f"{output}.yaml"
    path.write_text(text.format(output=folder / output))
    return path


def write_study(folder: Path, **changes: object) -> Study:
    """A study of two tasks and two methods, with these keys in the place of its own; ``...`` leaves one out."""
    content = {"seeds": [0], "tasks": {"A": {}, "B": {}}, "methods": {"x": None, "y": {}}} | changes
    path = folder / "some.yaml"
    path.write_text(
        yaml.safe_dump({name: value for name, value in content.items() if value is not ...}, sort_keys=False)
    )
    return load_study(path)


def read(path: Path) -> tuple[Study, list[Cell]]:
    """The study and its cells."""
    study = load_study(path)
    return study, make_cells(study, path.parent)


def finish(cells: list[Cell]) -> None:
    """As if they had run."""
    for cell in cells:
        cell.write_state("done", row={"env_steps": 24, "return": 0.5 + cell.seed, "success": 1.0})
        (cell.folder / "metrics.csv").write_text("step,val/return\n24,0.5\n")
        (cell.folder / "checkpoints").mkdir()
        (cell.folder / "checkpoints/last.ckpt").write_text(cell.label)


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    """Both tables of a study's folder without times."""
    results, curves = (pd.read_csv(folder / f"{name}.csv") for name in ("results", "curves"))
    kept = [name for name in results.columns if not name.startswith(CHANGING)]
    return {"results": results[kept], "curves": curves[~curves.metric.str.startswith(CHANGING)]}
