"""Records household.json from our own environment; to be run only when the reference's traces replay.

python -m tests.golden.record_household
"""

import json
from pathlib import Path
from random import Random

import gymnasium

import lightning_twosome  # noqa: F401  registers the environments

TASKS = ("FoodPreparation", "Entertainment", "HotSoup", "TidyShelf")
GOLDEN = Path(__file__).parent / "household.json"


def play(task, faithful, choose, steps=50):
    """The rows of an episode: index in the task's list, reward, "." or how it ended, vector.

    ``choose`` gets the environment and what it offers and gives the index of an offered action in the task's list.
    """
    env = gymnasium.make(f"twosome/{task}-v0", faithful=faithful)
    _, info = env.reset()
    rows = []
    for _ in range(steps):
        offered = info["action_ids"]
        action = choose(env.unwrapped, offered)
        _, reward, terminated, truncated, info = env.step(offered.index(action))
        end = "terminated" if terminated else "truncated" if truncated else "."
        rows.append([action, reward, end, "".join(str(int(number)) for number in info["vector"])])
        if terminated or truncated:
            break
    return rows


def replayed(rows):
    """Chooses what recorded rows have chosen."""
    actions = iter([row[0] for row in rows])
    return lambda env, offered: next(actions)


def noisy(random, noise):
    """Chooses at random with a probability, else as the expert."""
    return lambda env, offered: random.choice(offered) if random.random() < noise else offered[env.expert_action()]


def main():
    """Write three episodes per task and mode, one of them entirely random."""
    episodes = []
    for task in TASKS:
        for faithful in (False, True):
            for seed, noise in ((0, 0.5), (1, 0.7), (2, 1.0)):
                rows = play(task, faithful, noisy(Random(seed), noise))
                episodes.append({"task": task, "faithful": faithful, "rows": rows})
    lines = (json.dumps(episode).replace("[[", "[\n [").replace("], [", "],\n [") for episode in episodes)
    GOLDEN.write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
