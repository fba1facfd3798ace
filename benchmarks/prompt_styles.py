"""Train Tomato Salad on prompt styles in several ways, play every style with what was learned: one table.

    python -m benchmarks.prompt_styles --seeds 0 1 2 3 4

Every run is a process of its own with ``fit`` and the configs of its way; a run that is there already is not repeated.
An entry is the mean over seeds of the discounted return of the sampled policy, with a 95 % bootstrap interval for which
first seeds and then episodes of each are drawn again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import quiet
from benchmarks.seeds import run_seed
from lightning_twosome import RolloutDataModule, TwosomePPO
from lightning_twosome.envs.kitchen.text import PROMPT_STYLES
from lightning_twosome.evaluation import play_episodes
from lightning_twosome.language_model import LanguageModelConfig
from lightning_twosome.rollout import EVALUATION_STREAM, episode_seed

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
WAYS = {
    "one style": ("prompt_styles",),
    "mixture of two": ("prompt_mixture",),
    "one style, consistency": ("prompt_styles", "prompt_consistency"),
}
ENVIRONMENT = "twosome/TomatoSalad-v0"
Returns = dict[str, list[float]]


def play_styles(module: TwosomePPO, seed: int, episodes: int) -> Returns:
    """Discounted return of each episode, by style; the episodes are those of no training and the same for every way."""
    seeds = [episode_seed(seed, EVALUATION_STREAM, 3, number) for number in range(episodes)]
    returns = {}
    for style in PROMPT_STYLES:
        data = RolloutDataModule(ENVIRONMENT, {"prompt_style": style}, eval_num_envs=50)
        with data.evaluation_env() as env, module.acting():
            played = play_episodes(module, env, seeds, module.gamma)
        returns[style] = [one.episode.discounted_return for one in played]
    return returns


def train_and_play(way: str, seed: int, folder: Path, episodes: int, arguments: Sequence[str]) -> Returns:
    """One seed of one way, unless its returns are there already."""
    first, *overlays = (CONFIGS / f"{name}.yaml" for name in WAYS[way])
    place = folder / way.replace(",", "").replace(" ", "-")
    more = [argument for overlay in overlays for argument in ("--config", str(overlay))]
    run_seed(first, seed, place, [*more, *arguments], threads=1)
    results = place / f"seed-{seed}" / "prompt_styles.json"
    if not results.exists():
        module = TwosomePPO.load_from_checkpoint(place / f"seed-{seed}/checkpoints/last.ckpt")
        results.write_text(json.dumps(play_styles(module, seed, episodes)))
    return json.loads(results.read_text())


def interval(returns: Sequence[Sequence[float]], resamples: int = 2000) -> tuple[float, float]:
    """95 % percentile bootstrap of the mean over seeds of the mean over episodes, both drawn again."""
    values: NDArray[np.float64] = np.asarray(returns)
    random = np.random.default_rng(0)
    seeds = random.integers(len(values), size=(resamples, len(values), 1))
    drawn = values[seeds, random.integers(values.shape[1], size=(resamples, *values.shape))]
    low, high = np.quantile(drawn.mean(axis=(1, 2)), [0.025, 0.975])
    return float(low), float(high)


def table(ways: Mapping[str, Sequence[Returns]]) -> str:
    """A line a way of training, a column a style, as Markdown."""
    lines = ["| trained on | " + " | ".join(PROMPT_STYLES) + " |", "|---" * (len(PROMPT_STYLES) + 1) + "|"]
    for way, seeds in ways.items():
        columns = ([seed[style] for seed in seeds] for style in PROMPT_STYLES)
        lines.append(f"| {way} | " + " | ".join(map(_cell, columns)) + " |")
    return "\n".join(lines)


def _cell(returns: Sequence[Sequence[float]]) -> str:
    low, high = interval(returns)
    return f"{mean(map(mean, returns)):.3f} [{low:.3f}, {high:.3f}]"


def per_seed(ways: Mapping[str, Sequence[Returns]], seeds: Sequence[int]) -> str:
    """The mean of every single run, as Markdown."""
    lines = ["| trained on | seed | " + " | ".join(PROMPT_STYLES) + " |", "|---" * (len(PROMPT_STYLES) + 2) + "|"]
    for way, runs in ways.items():
        for seed, returns in zip(seeds, runs, strict=True):
            lines.append(f"| {way} | {seed} | " + " | ".join(f"{mean(returns[s]):.3f}" for s in PROMPT_STYLES) + " |")
    return "\n".join(lines)


def main() -> None:
    """Train, play and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--episodes", type=int, default=200, help="of each seed in each style")
    parser.add_argument("--folder", type=Path, default=Path("runs/prompt_styles_benchmark"))
    parser.add_argument("--processes", type=int, default=1)
    arguments, rest = parser.parse_known_args()
    rest = [argument for argument in rest if argument != "--"]
    quiet()
    untrained = TwosomePPO(language_model=LanguageModelConfig(lora={}))
    results = {"nothing": [play_styles(untrained, seed, arguments.episodes) for seed in arguments.seeds]}
    with ThreadPoolExecutor(arguments.processes) as pool:
        for way in arguments.ways:
            jobs = [(way, seed, arguments.folder, arguments.episodes, rest) for seed in arguments.seeds]
            results[way] = list(pool.map(lambda job: train_and_play(*job), jobs))
    text = f"{table(results)}\n\n{per_seed(results, arguments.seeds)}"
    (arguments.folder / "table.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
