"""What a language model does in the kitchens before any training, for each normalisation and inverse temperature.

    python benchmarks/zero_shot.py --model bundled --episodes 500

A Markdown table: success and discounted return with 95 % bootstrap intervals over sampled episodes, beside uniform
random play on the same seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_twosome import ActorCritic, RolloutDataModule, load_language_model
from lightning_twosome.evaluation import describe, play_episodes, summarize, uniform_policy
from lightning_twosome.language_model import LanguageModel
from lightning_twosome.rollout import Policy
from lightning_twosome.vector_env import State

ENVIRONMENTS = ("twosome/TomatoSalad-v0", "twosome/TomatoLettuceSalad-v0")
GAMMA = 0.99


class ZeroShotPolicy:
    """The policy of an actor-critic that was never trained."""

    def __init__(self, agent: ActorCritic) -> None:
        self.agent = agent

    def action_log_probs(self, states: Sequence[State]) -> Tensor:
        """Log-probability of every offered action [B, K]."""
        return self.agent.remembered_log_probs([state.decision for state in states])

    def state_values(self, states: Sequence[State]) -> Tensor:
        """No values: nothing here needs them."""
        return torch.zeros(len(states))


def policies(language_model: LanguageModel, data: RolloutDataModule) -> dict[str, Policy]:
    """Uniform random, and the model with every normalisation at beta 1 and at the mean count."""
    decisions = [state.decision for state in data.example_states()]
    named: dict[str, Policy] = {"uniform random": uniform_policy()}
    for normalization in ("sum", "token", "word", "character"):
        for beta in (1.0,) if normalization == "sum" else (1.0, "mean_count"):
            agent = ActorCritic(language_model, normalization=normalization, beta=beta).eval()  # type: ignore[arg-type]
            if agent.beta_from_counts:
                agent.initialize_beta(decisions)
            named[f"{normalization}, beta {float(agent.beta):.2f}"] = ZeroShotPolicy(agent)
    return named


def main() -> None:
    """Play and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--episodes", type=int, default=500)
    parser.add_argument("--env", nargs="+", default=ENVIRONMENTS)
    arguments = parser.parse_args()
    language_model = load_language_model(arguments.model, lora={})
    for name in arguments.env:
        data = RolloutDataModule(name, eval_num_envs=50)
        print(f"\n{name}\n\n| policy | discounted return | success |\n|---|---|---|")
        for label, policy in policies(language_model, data).items():
            with data.evaluation_env() as env:
                played = play_episodes(policy, env, range(arguments.episodes), GAMMA)
            print(f"| {label} | {' | '.join(describe(summarize([one.episode for one in played])))} |", flush=True)


if __name__ == "__main__":
    main()
