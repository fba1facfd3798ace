"""Playing Overcooked in tests: whole episodes with a policy, and a layout file."""

import gymnasium
import numpy as np

import lightning_twosome  # noqa: F401  registers the environments

CORRIDOR = """{
    "grid": '''XXXXXXXXX
               O1     2P
               XXXX XXXX
               XXXXSXDXX''',
    "start_all_orders": [{"ingredients": ["onion"]}]
}"""


def make(layout="cramped_room_single", **settings):
    return gymnasium.make("twosome/Overcooked-v0", layout=layout, **settings)


def play(env, seed, choose):
    """Every step of an episode: prompt, reward, truncated, information, and the information before it."""
    prompt, info = env.reset(seed=seed)
    steps, truncated = [], False
    while not truncated:
        before = prompt, info
        prompt, reward, terminated, truncated, info = env.step(choose(info))
        assert not terminated
        steps.append((before, prompt, reward, truncated, info))
    return steps


def at_random(seed):
    random = np.random.default_rng(seed)
    return lambda info: random.integers(len(info["actions"]))


def scripted(env):
    return lambda info: env.unwrapped.expert_action()
