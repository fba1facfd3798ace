"""What a random policy and the scripted expert reach on BabyAI's levels, and how fast the levels run.

python benchmarks/babyai.py [--episodes 200]
"""

from __future__ import annotations

import argparse
import random
import time

import gymnasium
import numpy as np

import lightning_twosome  # noqa: F401  registers the environments

GAMMA = 0.99
LEVELS: dict[str, dict[str, int]] = {
    name: {} for name in ("GoToRedBall", "GoToLocal", "PickupLoc", "PutNextLocal", "OpenDoor")
}
SMALL = {"GoToLocal": {"room_size": 6, "num_dists": 3}}


def play(level: str, settings: dict[str, int], expert: bool, episodes: int) -> tuple[float, float, float, float]:
    """Success, discounted return, decisions of an episode, and steps per second of processor time."""
    env = gymnasium.make("twosome/BabyAI-v0", level=level, level_settings=settings)
    source, start = random.Random(0), time.process_time()
    successes, returns, lengths = [], [], []
    for seed in range(episodes):
        _, info = env.reset(seed=seed)
        total, length, ended = 0.0, 0, False
        while not ended:
            action = env.unwrapped.expert_action() if expert else source.randrange(len(info["actions"]))  # type: ignore
            _, reward, terminated, truncated, info = env.step(action)
            total += GAMMA**length * float(reward)
            length += 1
            ended = terminated or truncated
        successes.append(info["success"])
        returns.append(total)
        lengths.append(length)
    speed = sum(lengths) / (time.process_time() - start)
    return float(np.mean(successes)), float(np.mean(returns)), float(np.mean(lengths)), speed


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="A random policy and the scripted expert on BabyAI's levels.")
    parser.add_argument("--episodes", type=int, default=200, help="episodes of each policy, seeds 0, 1, ...")
    episodes = parser.parse_args().episodes
    print("| level | policy | success | discounted return | decisions | steps/s |\n|---|---|---|---|---|---|")
    for level, settings in (*LEVELS.items(), *SMALL.items()):
        name = " ".join([level, *(f"{key}={value}" for key, value in settings.items())])
        for policy in ("random", "expert"):
            success, total, length, speed = play(level, settings, policy == "expert", episodes)
            print(f"| {name} | {policy} | {success:.1%} | {total:.3f} | {length:.1f} | {speed:,.0f} |")


if __name__ == "__main__":
    main()
