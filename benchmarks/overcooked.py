"""What can be cooked on each Overcooked layout, and how fast: scripted and random self-play, as a Markdown table.

python benchmarks/overcooked.py [--episodes 20]
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import gymnasium

import lightning_twosome  # noqa: F401  registers the environments
from lightning_twosome.envs.overcooked.layout import layout_names, load_layout


def episode(env: gymnasium.Env, seed: int, choose: Callable[[dict[str, Any]], int]) -> tuple[int, float, int]:
    """Soups, points and decisions of one episode."""
    _, info = env.reset(seed=seed)
    points, decisions, truncated = 0.0, 0, False
    while not truncated:
        _, reward, _, truncated, info = env.step(choose(info))
        points += float(reward)
        decisions += 1
    return info["soups"], points, decisions


def row(layout: str, episodes: int) -> str:
    """One line of the table: 400 ticks, all cooks with the same policy."""
    n_cooks = load_layout(layout).n_cooks
    env = gymnasium.make("twosome/Overcooked-v0", layout=layout, partner="none" if n_cooks == 1 else "self")
    soups, points, _ = episode(env, 0, lambda info: env.unwrapped.expert_action())  # type: ignore[attr-defined]
    draw, start = random.Random(0), time.process_time()
    chance = [episode(env, seed, lambda info: draw.randrange(len(info["actions"]))) for seed in range(episodes)]
    seconds = time.process_time() - start
    means = [statistics.fmean(values) for values in zip(*chance, strict=True)]
    figures = f"{soups} | {points:.0f} | {means[0]:.2f} | {means[1]:.1f} | {episodes * means[2] / seconds:.0f}"
    return f"| `{layout}` | {n_cooks} | {figures} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description="Soups of scripted and random cooks on every layout, and decisions per second."
    )
    parser.add_argument("--episodes", type=int, default=20, help="episodes of the random policy on each layout")
    arguments = parser.parse_args()
    print("| layout | cooks | soups, scripted | points, scripted | soups, random | points, random | decisions/s |")
    print("|---|---|---|---|---|---|---|")
    for layout in layout_names():
        print(row(layout, arguments.episodes))


if __name__ == "__main__":
    main()
