"""How fast the environments run: macro-steps per second on one core, texts and information included.

python benchmarks/environments.py [--seconds 3]
"""

from __future__ import annotations

import argparse
import random
import time

import gymnasium

import lightning_twosome  # noqa: F401  registers the environments

ENVIRONMENTS = ("twosome/TomatoSalad-v0", "twosome/TomatoLettuceSalad-v0")


def steps_per_second(environment_id: str, seconds: float) -> float:
    """Play uniformly random episodes for a while, resets included; the actions are drawn beforehand."""
    env = gymnasium.make(environment_id)
    n_actions = int(env.action_space.n)  # type: ignore[attr-defined]
    actions = random.Random(0).choices(range(n_actions), k=4096)
    steps, start, elapsed = 0, time.perf_counter(), 0.0
    env.reset(seed=0)
    while elapsed < seconds:
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        steps += len(actions)
        elapsed = time.perf_counter() - start
    return steps / elapsed


def main() -> None:
    """Print the figure of each environment."""
    parser = argparse.ArgumentParser(description="Macro-steps per second of each environment, on one core.")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long to run each environment")
    arguments = parser.parse_args()
    for environment_id in ENVIRONMENTS:
        print(f"{environment_id:32} {steps_per_second(environment_id, arguments.seconds):>10,.0f} macro-steps/s")


if __name__ == "__main__":
    main()
