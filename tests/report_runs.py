"""Run folders as training leaves them, written by hand, for the tests of the report."""

from __future__ import annotations

import csv
import json
import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from lightning_twosome.ledger.phases import Account

COSTS = Account(96, 5e4, 2e4, 4e9, 3e9, 1e11, 50.0, 2.0**30)
STEPS = [8.0 * i for i in range(1, 13)]
# A prompt may hold anything; here what would break out of an attribute, a tag and a formula of matplotlib.
NASTY = """<script>alert("1")</script> $x_1$ & 'quoted'"""


def write_run(
    folder: Path, seed: int = 0, normalization: str = "word", env: str = "toy/Corridor-v0", **parts: bool
) -> Path:
    """A whole run; ``parts`` that are false are left out.

    Args:
        folder: Where it is written.
        seed: Its seed, on which its numbers depend.
        normalization: A setting that tells groups apart.
        env: Its task.
        parts: config, results, lengths, forgetting, tests, episodes, costs, evaluations.
    """
    folder.mkdir(parents=True)
    names = ("config", "results", "lengths", "forgetting", "tests", "episodes", "costs")
    has = {name: parts.get(name, True) for name in names}
    noise = random.Random(f"{seed} {normalization}")
    _metrics(folder, noise, parts.get("evaluations", True))
    if has["config"]:
        (folder / "config.yaml").write_text(yaml.safe_dump(config(seed, normalization, env, folder)))
    if has["results"]:
        _json(folder / "before_and_after.json", results(noise))
    if has["lengths"]:
        _json(folder / "action_lengths.json", lengths(noise, normalization))
    if has["forgetting"]:
        _json(folder / "forgetting.json", forgetting(noise))
    if has["costs"]:
        _json(folder / "ledger.json", {"phases": {"rollout": asdict(COSTS), "update": asdict(COSTS)}})
    if has["tests"]:
        _tests(folder / "generalization.csv", noise)
    if has["episodes"]:
        for step in (0, 96):
            _recording(folder / f"episodes/step_{step:09}")
    return folder


def config(seed: int, normalization: str, env: str, folder: Path) -> dict[str, Any]:
    """``config.yaml``."""
    language_model = {"name": "bundled", "lora": {"r": 8}}
    model = {"language_model": language_model, "normalization": normalization, "target_kl": 0.1, "return_window": 100}
    budget = {"class_path": "lightning_twosome.callbacks.EnvironmentBudget", "init_args": {"total_env_steps": 96}}
    return {
        "seed_everything": seed,
        "run_dir": str(folder),
        "trainer": {"gradient_clip_val": 0.5, "enable_progress_bar": bool(seed), "callbacks": [budget]},
        "model": {"class_path": "lightning_twosome.TwosomePPO", "init_args": model},
        "data": {
            "class_path": "lightning_twosome.RolloutDataModule",
            "init_args": {"env": env, "env_kwargs": {"prompt_style": NASTY}, "eval_episodes": 50},
        },
    }


def _metrics(folder: Path, noise: random.Random, evaluations: bool) -> None:
    rows = []
    for number, step in enumerate(STEPS):
        rows.append(
            {
                "step": step, "env_steps": step, "loss/total": 0.1, "policy/entropy": 1 - step / 200, "policy/kl": 0.01,
                "policy/effective_actions": 2.5, "policy/update_stopped": float(number == 0),
                "rollout/return": step / 100 + noise.random() / 10, "rollout/success": 0.5,
                "time/env_steps_per_second": 100 + noise.random(), "time/rollout_seconds": 1.0,
                "time/update_seconds": 2.0, "value/explained_variance": 0.3, "ledger/flops": 1e6 * step,
            }
        )  # fmt: skip
        if number % 4 == 3 and evaluations:
            value = step / 100 + noise.random() / 10
            interval = {"val/return_low": value - 0.1, "val/return_high": value + 0.1}
            seconds = {"time/evaluation_seconds": 0.5}
            rows.append(
                {"step": step, "val/return": value, "val/success": 0.9 + noise.random() / 10} | interval | seconds
            )
    columns = list(dict.fromkeys(name for row in rows for name in row))
    _csv(folder / "metrics.csv", columns, rows)
    with (folder / "metrics.csv").open("a") as file:
        file.write("0.5,")  # a row that was cut off when the run was killed


def results(noise: random.Random) -> dict[str, Any]:
    """``before_and_after.json``."""

    def part(value: float) -> dict[str, float]:
        ends = {"return_low": value - 0.1, "return_high": value + 0.1, "success_low": 0.6, "success_high": 0.8}
        return {"return": value, "success": 0.7, "perplexity": 2.1} | ends

    bounds = {"uniform_random": part(-0.1), "optimum": 0.95, "env_steps": 96, "seconds": 50.0}
    return {"before": part(0.1 + noise.random() / 10), "after": part(0.8 + noise.random() / 10)} | bounds


def lengths(noise: random.Random, normalization: str) -> dict[str, Any]:
    """``action_lengths.json``."""

    def shares() -> dict[str, list[dict[str, float]]]:
        rows = []
        for length in (2, 3, 5):
            share = 1 + noise.random() / 4
            rows.append({"length": length, "decisions": 9, "share": share, "low": share - 0.2, "high": share + 0.2})
        return {"words": rows, "tokens": rows}

    def part() -> dict[str, Any]:
        names = ("sum", "token", "word", "character")
        return {"beta": 1.0, "policy": shares(), "normalizations": {name: shares() for name in names}}

    return {"normalization": normalization, "decisions": 37, "actions": 99, "before": part(), "after": part()}


def forgetting(noise: random.Random) -> dict[str, Any]:
    """``forgetting.json``."""

    def check(steps: int) -> dict[str, Any]:
        names = (("home_choice", "acc"), ("home_perplexity", "word_perplexity"))
        loss = 0.05 + noise.random() / 100
        ends = {"loss": loss, "loss_low": loss - 0.01, "loss_high": loss + 0.01}
        scores = {"documents": 200, "off": 0.8, "off_stderr": 0.03, "on": 0.75, "on_stderr": float("nan")}
        tasks = [{"task": task, "metric": metric} | scores | ends for task, metric in names]
        return {"tasks": tasks, "mean_loss": loss, "mean_loss_low": loss - 0.01, "mean_loss_high": loss + 0.01} | {
            "when": f"at {steps}", "env_steps": steps, "optimizer_steps": steps,
        }  # fmt: skip

    checks = [check(0), check(96)]
    return {name: checks[-1][name] for name in ("tasks", "mean_loss", "mean_loss_low", "mean_loss_high")} | {
        "checks": checks
    }


def _tests(path: Path, noise: random.Random) -> None:
    rows = []
    for task in ("Corridor", "Unseen <b>"):
        value = 0.5 + noise.random() / 10
        figures = {"return": value, "return_low": value - 0.1, "return_high": value + 0.1}
        rows.append({"task": task, "actions": "sampled", "runs": 1, "episodes": 30} | figures)
        rows.append(
            {"task": task, "actions": "greedy", "runs": 1, "episodes": 1, "return": value}
        )  # no interval of one
    _csv(path, list(rows[0]) + ["success"], rows)


def _recording(folder: Path) -> None:
    folder.mkdir(parents=True)
    frames = [Image.new("RGB", (40, 20), colour) for colour in ("red", "green")]
    frames[0].save(folder / "sampled_1.gif", save_all=True, append_images=frames[1:])
    (folder / "transcript.md").write_text(f"# Transcript\n\n{NASTY}\n")


def _csv(path: Path, columns: list[str], rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def _json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content))
