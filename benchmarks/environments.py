"""Every environment of the package: how fast it is, and what random actions and its scripted agent reach.

python benchmarks/environments.py [--seconds 1] [--episodes 100] [--only Salad] [--output table.md]

A line of Markdown for each registered id, and for Overcooked one for each of several layouts. Steps are decisions on
one core, through ``gymnasium.make``, prompts and information included. Returns are discounted per primitive step;
behind a mean stands its 95 % bootstrap interval.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym

import lightning_twosome  # noqa: F401  registers the environments
from lightning_twosome.errors import UserError
from lightning_twosome.evaluation import describe, play_episodes, play_expert, summarize, uniform_policy
from lightning_twosome.rollout import Episode
from lightning_twosome.vector_env import TextVectorEnv

# Single and paired cooks; with "self" one policy decides for both.
OVERCOOKED: tuple[dict[str, Any], ...] = (
    {"layout": "cramped_room_single"},
    {"layout": "cramped_room", "partner": "greedy"},
    {"layout": "cramped_room", "partner": "self"},
    {"layout": "asymmetric_advantages", "partner": "self"},
    {"layout": "coordination_ring", "partner": "self"},
    {"layout": "forced_coordination", "partner": "self"},
    {"layout": "counter_circuit", "partner": "self"},
)
HEADINGS = ("environment", "steps/s", "random: return", "success", "length", "scripted: return", "success", "length")


def environments() -> Iterator[tuple[str, Callable[[], gym.Env]]]:
    """Name and factory of every environment, the layouts of Overcooked one by one."""
    for environment_id in sorted(name for name in gym.registry if name.startswith("twosome/")):
        if environment_id == "twosome/Overcooked-v0":
            for kwargs in OVERCOOKED:
                label = ", ".join(str(value) for value in kwargs.values())
                yield f"{environment_id} {label}", partial(gym.make, environment_id, **kwargs)
        else:
            yield environment_id, partial(gym.make, environment_id)


def steps_per_second(env: gym.Env, seconds: float) -> float:
    """Play uniformly random episodes for a while, resets included; the random numbers are drawn beforehand."""
    draws = random.Random(0).choices([i / 1024 for i in range(1024)], k=1024)
    steps, start, elapsed = 0, time.perf_counter(), 0.0
    _, info = env.reset(seed=0)
    while elapsed < seconds:
        for draw in draws:
            _, _, terminated, truncated, info = env.step(int(draw * len(info["actions"])))
            if terminated or truncated:
                _, info = env.reset()
        steps += len(draws)
        elapsed = time.perf_counter() - start
    return steps / elapsed


def line(name: str, make: Callable[[], gym.Env], seconds: float, episodes: int, gamma: float) -> list[str]:
    """The cells of an environment's line; those of the scripted agent are empty where there is none."""
    env = make()
    speed = steps_per_second(env, seconds)
    played = play_episodes(uniform_policy(), TextVectorEnv([make]), range(episodes), gamma)
    cells = [name, f"{speed:,.0f}", *_figures([one.episode for one in played])]
    if not hasattr(env.unwrapped, "expert_action"):
        return [*cells, "", "", ""]
    return cells + _figures(play_expert(env, range(episodes), gamma))


def _figures(episodes: list[Episode]) -> list[str]:
    summary = summarize(episodes)
    return [*describe(summary), f"{summary['length']:.1f}"]


def main(argv: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Speed, random and scripted figures of every environment.")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long the speed of each is measured")
    parser.add_argument("--episodes", type=int, default=100, help="random and scripted episodes of each")
    parser.add_argument("--gamma", type=float, default=0.99, help="discount per primitive step")
    parser.add_argument("--only", default="", help="only environments with this in their name")
    parser.add_argument("--output", type=Path, help="write the table there as well")
    arguments = parser.parse_args(argv)
    rows = [list(HEADINGS), ["---"] * len(HEADINGS)]
    print(*(_markdown(row) for row in rows), sep="\n", flush=True)
    for name, make in environments():
        if arguments.only not in name:
            continue
        try:
            rows.append(line(name, make, arguments.seconds, arguments.episodes, arguments.gamma))
        except (UserError, ImportError) as reason:
            print(f"{name} is left out: {reason}", file=sys.stderr)
            continue
        print(_markdown(rows[-1]), flush=True)
    if arguments.output is not None:
        arguments.output.write_text("\n".join(_markdown(row) for row in rows) + "\n", encoding="utf-8")


def _markdown(row: list[str]) -> str:
    return f"| {' | '.join(row)} |"


if __name__ == "__main__":
    main()
