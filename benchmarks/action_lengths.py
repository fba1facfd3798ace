"""Why normalisations differ: the probability of an action against its length, of a study's policies.

    python -m benchmarks.action_lengths studies/normalization/tomato_salad --env twosome/TomatoSalad-v0

The decisions are those that uniformly random play meets, equal ones once. An action's share is its probability times
the number of actions offered. The price of a word is what one more word multiplies a probability by, from the slope of
a least-squares line through all log-probabilities, each decision and seed with an intercept of its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from pathlib import Path
from statistics import mean

import torch
from torch import Tensor

from benchmarks.common import quiet
from callbacks.action_lengths import shares_by_length
from lightning_twosome import Decision, RolloutDataModule, TwosomePPO, normalize
from lightning_twosome.report.content import Figure, Level, Panel, Series
from lightning_twosome.report.drawing import write_png

METHODS = ("word_beta_1.0", "token_matched", "character_matched", "sum_matched")
FEWEST = 3  # decisions that offer actions of a length; the mean over fewer says little


@dataclass
class Measured:
    """One policy: mean share by number of words, and what one more word multiplies a probability by."""

    shares: dict[int, float]
    price: float


def measure(module: TwosomePPO, decisions: list[Decision]) -> Measured:
    """Score the decisions and take the policy's probabilities apart by length."""
    agent = module.agent
    with torch.no_grad(), module.acting():
        scores = agent.scorer.score(decisions, trie=True)
        logits = float(agent.beta) * normalize(scores, agent.normalization)
    rows = shares_by_length(logits, scores)["words"]
    shares = {int(row["length"]): row["share"] for row in rows if row["decisions"] >= FEWEST}
    return Measured(shares, exp(slope(scores.words.double(), logits.double())))


def slope(words: Tensor, logits: Tensor) -> float:
    """Of log-probability on words [B, K], 0 words in padding, with an intercept for each decision."""
    offered = words > 0
    count = offered.sum(dim=1, keepdim=True)
    x, y = (
        torch.where(offered, value - torch.where(offered, value, 0).sum(dim=1, keepdim=True) / count, 0)
        for value in (words, logits)
    )
    return float((x * y).sum() / (x * x).sum())


def study_policies(folder: Path, method: str) -> tuple[TwosomePPO, list[TwosomePPO]]:
    """A method's policy before training and those of its seeds after it."""
    checkpoints = sorted((folder / method).glob("seed_*/checkpoints/last.ckpt"))
    if not checkpoints:
        raise SystemExit(f"There is no finished run of {method!r} in {folder}.")
    trained = [TwosomePPO.load_from_checkpoint(path, map_location="cpu").eval() for path in checkpoints]
    return TwosomePPO(**trained[0].hparams).eval(), trained


def table(results: dict[str, tuple[Measured, list[Measured]]]) -> str:
    """A line a method, as Markdown."""
    lines = [
        "| normalisation | price of a word before | after, mean | each seed |",
        "|---|---|---|---|",
    ]
    for method, (before, after) in results.items():
        prices = ", ".join(f"{one.price:.2f}" for one in after)
        lines.append(f"| {method} | {before.price:.2f} | {mean(one.price for one in after):.2f} | {prices} |")
    return "\n".join(lines)


def picture(results: dict[str, tuple[Measured, list[Measured]]], path: Path) -> None:
    """Shares by number of words, before training and after it; bars from the lowest to the highest seed."""
    panels = []
    for title, part in (("before training", 0), ("after training", 1)):
        series = []
        for colour, (method, measured) in enumerate(results.items()):
            runs: Sequence[Measured] = [measured[0]] if part == 0 else measured[1]
            lengths = sorted(runs[0].shares)
            values = [[run.shares[length] for run in runs] for length in lengths]
            low, high = [min(v) for v in values], [max(v) for v in values]
            series.append(Series(method.partition("_")[0], lengths, [mean(v) for v in values], low, high, colour))
        fair = (Level(1.0, "1: the share of a fair die"),)
        panels.append(Panel(f"share of an action, {title}", "words of the action", series, fair, True, True))
    write_png(Figure(path.stem, "", panels), path)


def main() -> None:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of a task in a study's output")
    parser.add_argument("--env", required=True, help="environment whose decisions are scored")
    parser.add_argument("--methods", nargs="+", default=METHODS, help="folders of methods")
    parser.add_argument("--states", type=int, default=512, help="that uniformly random play visits")
    parser.add_argument("--picture", type=Path, help="draw the shares here")
    arguments = parser.parse_args()
    quiet()
    data = RolloutDataModule(arguments.env)
    decisions = list(dict.fromkeys(state.decision for state in data.example_states(arguments.states)))
    results = {}
    for method in arguments.methods:
        fresh, trained = study_policies(arguments.folder, method)
        results[method] = (measure(fresh, decisions), [measure(module, decisions) for module in trained])
    print(f"{len(decisions)} decisions with {sum(len(d.actions) for d in decisions)} actions\n\n{table(results)}")
    if arguments.picture:
        picture(results, arguments.picture)


if __name__ == "__main__":
    main()
