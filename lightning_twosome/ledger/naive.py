"""What the plain loop would have spent on the same decisions.

It reads prompt + action once for each action of each decision, its output head at every position, and the prompt once
more for the critic, without head; in the rollout, in evaluations and, with a backward pass, in every pass of the
update. Nothing is shared or remembered; nothing is padded either, which is in its favour. ``benchmarks/naive_ppo.py``
is that loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from lightning_twosome.agent import ActorCritic
from lightning_twosome.decisions import Decision
from lightning_twosome.ledger.flops import Meter, Profile, Rates, Work, multiplications
from lightning_twosome.scoring.forward import model_device
from lightning_twosome.scoring.probe import evaluating

NOTHING = Work(0, 0, 0)


@dataclass(frozen=True)
class Costs:
    """Costs of the plain loop's forwards."""

    actor: Profile
    critic: Profile
    head: Profile


@dataclass
class Asked:
    """What was asked of a policy in one phase.

    Attributes:
        actions: The rows prompt + action.
        prompts: The rows that the critic reads.
        values: How many of these.
    """

    actions: Work = NOTHING
    prompts: Work = NOTHING
    values: int = 0

    def flops(self, costs: Costs, with_backward: bool) -> float:
        """FLOPs of the plain loop."""
        values = Work(self.values, 0, 0)
        return (
            costs.actor.flops(self.actions, with_backward)
            + costs.critic.flops(self.prompts, with_backward)
            + costs.head.flops(values, with_backward)
        )


class NaiveLoop:
    """Sizes and costs of the plain loop's rows.

    Args:
        agent: The policy and value that are asked.
        model: The meter of its language model.
    """

    def __init__(self, agent: ActorCritic, model: Meter) -> None:
        self.agent = agent
        self.model = model
        self._costs: Costs | None = None

    def rows(self, decisions: Sequence[Decision]) -> Work:
        """Work on one row an action."""
        tokens = pairs = 0
        for decision in decisions:
            encoded = self.agent.scorer.encoder.encode(decision)
            before = len(encoded.trunk) - 1  # the last token of a row is predicted and not read
            for suffix in encoded.suffixes:
                length = before + len(suffix)
                tokens += length
                pairs += length * length
        return Work(tokens, tokens, pairs)

    def prompts(self, prompts: Sequence[str]) -> Work:
        """Work on one row a prompt."""
        lengths = [len(self.agent.scorer.encoder.encode_prompt(prompt)) for prompt in prompts]
        return Work(sum(lengths), 0, sum(length**2 for length in lengths))

    def costs(self) -> Costs:
        """Costs of the actor's, the critic's and the value head's rows."""
        if self._costs is None:
            frozen = self.agent.critic_input == "frozen"
            with torch.inference_mode(False), evaluating(self.agent.model):
                with torch.enable_grad():
                    actor = self._measured()
                with self.agent._frozen_model(), torch.no_grad():
                    critic = self._measured() if frozen else actor
            self._costs = Costs(actor, critic, head_costs(self.agent.critic, inputs_trained=not frozen))
        return self._costs

    def _measured(self) -> Profile:
        """Costs of a whole forward in the present mode, which is measured on four tokens where none has been made."""
        known = self.model.profile()
        if known is None:
            network = self.agent.model
            ids = torch.zeros(1, 4, dtype=torch.int64, device=model_device(network))
            network(input_ids=ids, use_cache=False)
            known = self.model.profile()
        assert known is not None
        return known


def head_costs(critic: nn.Module, inputs_trained: bool) -> Profile:
    """Costs of a multi-layer perceptron that is trained, for each row.

    Args:
        critic: The network.
        inputs_trained: Its inputs need a gradient too.
    """
    sizes = [2.0 * size for module in critic.modules() if (size := multiplications(module))]
    forward = sum(sizes)
    backward = 2 * forward - (0.0 if inputs_trained else sizes[0])
    return Profile(Rates(forward), Rates(backward))
