"""Train a config over several seeds and put what came out in one table.

    python benchmarks/seeds.py configs/tomato_salad.yaml --seeds 0 1 2 3 4 -- --model.normalization sum

Every run is a process of its own with ``fit``, the config, ``--seed_everything`` and the arguments after ``--``. The
figures are those that the run itself writes: the callback ``BeforeAndAfter`` (sampled episodes, perplexity of held-out
text) and the evaluations in ``metrics.csv``.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, median
from typing import Any


def run_seed(config: Path, seed: int, folder: Path, arguments: list[str], threads: int) -> dict[str, Any]:
    """Train one seed, unless its results are there already."""
    run_dir = folder / f"seed-{seed}"
    results = run_dir / "before_and_after.json"
    if not results.exists():
        command = [sys.executable, "-m", "lightning_twosome.main", "fit", "--config", str(config)]
        command += ["--run_dir", str(run_dir), "--seed_everything", str(seed), "--trainer.enable_progress_bar", "false"]
        command += ["--ckpt_path", "last"]  # an interrupted seed goes on, in the same folder
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"seed-{seed}.log").open("w") as log:
            subprocess.run([*command, *arguments], check=True, env=environment, stdout=log, stderr=log)
    return {"seed": seed, **json.loads(results.read_text()), "evaluations": evaluations(run_dir / "metrics.csv")}


def evaluations(path: Path) -> list[tuple[int, float]]:
    """Environment steps and return of every evaluation during training."""
    with path.open() as file:
        rows = [row for row in csv.DictReader(file) if row.get("val/return")]
    return [(int(float(row["step"])), float(row["val/return"])) for row in rows]


def table(runs: list[dict[str, Any]], threshold: float) -> str:
    """One line a seed and one for all, as Markdown."""
    lines = [
        "| seed | return before | return after | success after | best evaluation | worst after it | "
        f"steps to {threshold} | seconds | perplexity before | after | beta |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    rows = [_row(run, threshold) for run in runs]
    for run, row in zip(runs, rows, strict=True):
        lines.append(f"| {run['seed']} | " + " | ".join(_cell(value) for value in row) + " |")
    columns = list(zip(*rows, strict=True))
    lines.append("| mean | " + " | ".join(_cell(_average(column)) for column in columns) + " |")
    return "\n".join(lines)


def _row(run: dict[str, Any], threshold: float) -> list[float | None]:
    before, after = run["before"], run["after"]
    returns = [value for _, value in run["evaluations"]]
    best = max(returns, default=None)
    later = returns[returns.index(best) :] if best is not None else []
    reached = next((float(steps) for steps, value in run["evaluations"] if value >= threshold), None)
    return [
        before["return"], after["return"], after.get("success"), best, min(later, default=None), reached,
        run["seconds"], before.get("perplexity"), after.get("perplexity"), after.get("beta"),
    ]  # fmt: skip


def _average(column: tuple[float | None, ...]) -> float | None:
    known = [value for value in column if value is not None]
    return mean(known) if len(known) == len(column) else median(known) if known else None


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 20 else f"{value:.3f}"


def main() -> None:
    """Read the command line, run the seeds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--folder", type=Path, help="where the runs lie; finished ones are not repeated")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--threshold", type=float, default=0.9, help="return whose first evaluation is reported")
    arguments, rest = parser.parse_known_args()
    rest = [argument for argument in rest if argument != "--"]
    folder = arguments.folder or Path("runs") / "seeds" / arguments.config.stem
    with ThreadPoolExecutor(arguments.processes) as pool:
        runs = list(
            pool.map(lambda seed: run_seed(arguments.config, seed, folder, rest, arguments.threads), arguments.seeds)
        )
    text = table(runs, arguments.threshold)
    (folder / "table.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
