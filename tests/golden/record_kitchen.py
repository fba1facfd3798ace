"""Records kitchen.json from our own environment; to be run only when the reference's traces replay.

python -m tests.golden.record_kitchen
"""

import json
from pathlib import Path
from random import Random

import gymnasium

import lightning_twosome  # noqa: F401  registers the environments

PLANS = {
    "TomatoSalad": [0, 2, 4, 0, 1, 3],
    "TomatoLettuceSalad": [0, 4, 7, 1, 5, 7, 3, 0, 1, 6],
}
GOLDEN = Path(__file__).parent / "kitchen.json"


def play(task, faithful, actions):
    """The rows of an episode: action, duration, reward, "." or how it ended, vector, where everything is."""
    env = gymnasium.make(f"twosome/{task}-v0", faithful=faithful)
    env.reset()
    rows = []
    for action in actions:
        _, reward, terminated, truncated, info = env.step(action)
        end = "terminated" if terminated else "truncated" if truncated else "."
        vector = "".join(str(int(number)) for number in info["vector"])
        rows.append([action, info["duration"], round(reward, 9), end, vector, where(env.unwrapped.state)])
        if terminated or truncated:
            break
    return rows


def where(state):
    """A state as a line: the agent's cell, each food's place (* when chopped) and the bowl's."""
    foods = (place + "*" * chopped for place, chopped in zip(state.foods, state.chopped, strict=True))
    return " ".join(map(str, state.agent)) + " | " + " ".join((*foods, state.bowl))


def noisy(plan, random, n_actions):
    """A plan, endlessly repeated, with every third action random on average: gets further than noise alone."""
    while True:
        for action in plan:
            yield random.randrange(n_actions) if random.random() < 0.35 else action


def noise(random, n_actions):
    """Random actions without end."""
    while True:
        yield random.randrange(n_actions)


def main():
    """Write three episodes per task and mode, one of them entirely random."""
    episodes = []
    for task, plan in PLANS.items():
        n_actions = 5 if task == "TomatoSalad" else 8
        for faithful in (False, True):
            for seed, used in ((0, plan), (1, plan), (2, [])):
                random = Random(seed)
                endless = noisy(used, random, n_actions) if used else noise(random, n_actions)
                episodes.append({"task": task, "faithful": faithful, "rows": play(task, faithful, endless)})
    lines = (json.dumps(episode).replace("[[", "[\n [").replace("], [", "],\n [") for episode in episodes)
    GOLDEN.write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
