"""What policies do in household tasks, exactly: expected return and success over every state instead of episodes.

    python -m benchmarks.household --untrained                                     # each normalisation and style
    python -m benchmarks.household --saycan                                        # the frozen model as SayCan
    python -m benchmarks.household --checkpoints runs/*/checkpoints/last.ckpt      # trained, on tasks not trained on

A household has few states, so that a policy's probabilities in all of them give its figures without sampling: the mean
over all episodes that the paper's 100 sampled ones estimate. Success counts within the task's horizon; beside uniform
random play and the optimum.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.common import quiet
from lightning_twosome import ActionScorer, Decision, SayCan, TwosomePPO, load_language_model, normalize
from lightning_twosome.envs.household.task import load_task
from lightning_twosome.envs.household.text import PROMPT_STYLES
from lightning_twosome.envs.household.world import Scene, World
from lightning_twosome.evaluation import uniform_policy
from lightning_twosome.rollout import Policy
from lightning_twosome.vector_env import State

GAMMA = 0.95
TRAINED = ("FoodPreparation", "Entertainment")
UNSEEN = ("Cheese", "Hamburger", "ApplePie", "Pizza", "WashingPlate", "Laundry")
OTHERS = (
    "WatchTelevision", "FreshTowel", "LightsOut", "BedtimeReading", "TidyShelf", "Shopping", "HotSoup", "SetTable",
)  # fmt: skip

EXAMPLES = """\
You are in the bedroom. You see a closed wardrobe. You are standing next to the wardrobe. Your hands are empty. \
To put a fresh towel on the chair in the bathroom, you should now open the wardrobe.
You are in the bathroom. You see a chair. You are holding the towel. \
To put a fresh towel on the chair in the bathroom, you should now carry the towel to the chair.
"""


class Exact:
    """A household task as a graph on which policies are evaluated.

    Args:
        task: Name or path of a household task.
        style: Prompt style.
    """

    def __init__(self, task: str, style: str = PROMPT_STYLES[0]) -> None:
        self.task = load_task(task)
        world = World(self.task, faithful=False)
        scenes, number = [world.initial], {world.initial: 0}
        self.next: list[list[int]] = []
        for scene in scenes:  # grows while it is walked through
            self.next.append([_number(world.follow(scene, i), scenes, number) for i in range(len(scene.action_ids))])
        self.states = [State(Decision(*world.texts(scene, style))) for scene in scenes]
        self.optimum = GAMMA ** (world.shortest() - 1)

    def evaluate(self, policy: Policy) -> tuple[float, float]:
        """Expected discounted return and success of an episode."""
        with torch.no_grad():
            return self.expected(policy.action_log_probs(self.states))

    def expected(self, log_probs: Tensor) -> tuple[float, float]:
        """The same of the policy with these log-probabilities [states, K]."""
        table = log_probs.double().exp().numpy()
        rows = [table[row, : len(following)] for row, following in enumerate(self.next)]
        value, success = (self._expected(rows, discount) for discount in (GAMMA, 1.0))
        return value / GAMMA, success

    def _expected(self, rows: Sequence[NDArray[np.float64]], discount: float) -> float:
        """Discount to the power of the steps taken, in the mean over the episodes that succeed in time."""
        values = np.append(np.zeros(len(rows)), 1.0)  # the last is the goal
        for _ in range(self.task.horizon):
            stepped = (discount * probabilities @ values[to] for probabilities, to in zip(rows, self.next, strict=True))
            values = np.array([*stepped, 1.0])
        return float(values[0])


def _number(scene: Scene, scenes: list[Scene], number: dict[Scene, int]) -> int:
    if scene.succeeded:
        return -1
    if scene not in number:
        number[scene] = len(scenes)
        scenes.append(scene)
    return number[scene]


def untrained(model: str) -> None:
    """Print what the model does before training, for each task, style and normalisation."""
    language_model = load_language_model(model)
    scorer = ActionScorer(language_model.model, language_model.tokenizer)
    print("| task | style | normalisation, beta | discounted return | success |\n|---|---|---|---|---|")
    for task in TRAINED:
        for style in PROMPT_STYLES:
            exact = Exact(task, style)
            with torch.no_grad():
                scores = scorer.score([state.decision for state in exact.states])
            for normalization in ("sum", "token", "word", "character"):
                for beta in (0.5, 1.0, 2.0):
                    logits = beta * normalize(scores, normalization)
                    value, success = exact.expected(logits.log_softmax(dim=1))
                    print(f"| {task} | {style} | {normalization}, {beta} | {value:.4f} | {success:.2%} |", flush=True)


def saycan(model: str) -> None:
    """Print what SayCan does on every task, the offered actions as affordance, with examples or without."""
    ways: dict[str, dict[str, Any]] = {
        "greedy": {"greedy": True},
        "greedy, examples": {"greedy": True, "examples": EXAMPLES},
        "sampled": {"greedy": False},
        "sampled, examples": {"greedy": False, "examples": EXAMPLES},
    }
    policies = [
        SayCan(language_model=model, affordance="offered", normalization="token", **settings).eval()
        for settings in ways.values()
    ]
    print(f"Success of an episode:\n\n| task | {' | '.join(ways)} |\n|---|---|---|---|---|")
    for task in (*TRAINED, *UNSEEN, *OTHERS):
        exact = Exact(task)
        print(f"| {task} | {' | '.join(f'{exact.evaluate(policy)[1]:.1%}' for policy in policies)} |", flush=True)


def trained(checkpoints: Sequence[Path]) -> None:
    """Print what trained policies do on every task, as mean [least, most] over the checkpoints."""
    modules = [TwosomePPO.load_from_checkpoint(path, map_location="cpu").eval() for path in checkpoints]
    fresh = TwosomePPO(**modules[0].hparams).eval()
    columns = "optimum | uniform random | before training | after training | success before | success after"
    print(f"| task | {columns} |\n|---|---|---|---|---|---|---|")
    for task in (*TRAINED, *UNSEEN, *OTHERS):
        exact = Exact(task)
        random_return, _ = exact.evaluate(uniform_policy())
        before_return, before_success = exact.evaluate(fresh)
        after = [exact.evaluate(module) for module in modules]
        returns, successes = [value for value, _ in after], [success for _, success in after]
        print(
            f"| {task} | {exact.optimum:.3f} | {random_return:.3f} | {before_return:.3f} | {mean(returns):.3f} "
            f"[{min(returns):.3f}, {max(returns):.3f}] | {before_success:.1%} | {mean(successes):.1%} "
            f"[{min(successes):.1%}, {max(successes):.1%}] |",
            flush=True,
        )


def main() -> None:
    """Read the command line and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="bundled", help="language model of --untrained and --saycan")
    parser.add_argument("--untrained", action="store_true")
    parser.add_argument("--saycan", action="store_true")
    parser.add_argument("--checkpoints", type=Path, nargs="+", default=[])
    arguments = parser.parse_args()
    quiet()
    if arguments.untrained:
        untrained(arguments.model)
    if arguments.saycan:
        saycan(arguments.model)
    if arguments.checkpoints:
        trained(arguments.checkpoints)


if __name__ == "__main__":
    main()
