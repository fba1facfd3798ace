"""PPO without a language model: an MLP on the symbolic observation, over the environment's fixed list of actions.

::

    info["vector"] [B, D] --MLP--> logits [B, A] --action_ids: those that are offered--> log_probs [B, K] --> the update
    info["vector"] [B, D] --MLP of its own--> value [B]

A is the length of the environment's fixed list. An action that is not offered has probability 0.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn

from lightning_twosome.agent import orthogonal
from lightning_twosome.errors import UserError
from lightning_twosome.modules.on_policy import Bounds
from lightning_twosome.modules.ppo_module import PPOModule
from lightning_twosome.samples import Samples
from lightning_twosome.vector_env import State

logger = logging.getLogger(__name__)

EXAMPLE_STATES = 512  # enough to meet every action of the environments of this package


class Sizes(NamedTuple):
    """What the networks' ends fit.

    Attributes:
        vector: D, numbers in the symbolic observation.
        actions: A, actions in the environment's fixed list.
    """

    vector: int
    actions: int


class SymbolicPPO(PPOModule):
    """PPO on ``info["vector"]`` and ``info["action_ids"]``, with CleanRL's networks and hyper-parameters.

    Args:
        hidden: Widths of the hidden layers, of the actor's network as of the critic's.
        num_actions: Length of the environment's fixed list of actions; ``None`` takes what a random policy meets.
        actor_lr: Learning rate of the actor.
        critic_lr: Learning rate of the critic.
        anneal_lr: Linear decay of the learning rates to 0 over the training.
        max_skipped_updates: Updates in a row, skipped because loss or gradient was not finite, that end the run.
        clip_coef: Half-width of PPO's interval around ratio 1.
        value_clip_coef: Clip of the value loss in units of return; ``None`` for none.
        value_coef: Weight of the value loss.
        entropy_coef: Weight of the entropy bonus.
        anneal_entropy: Linear decay of ``entropy_coef`` to 0 over the training.
        normalize_advantages: Subtract the mean and divide by the standard deviation over the optimizer step's batch.
        target_kl: Exact KL divergence from the rollout's policy, in nats, beyond which the iteration's update stops;
            ``None`` for no stop.
        critic_warmup_iterations: Iterations at the start in which only the critic learns.
        gamma: Discount per primitive environment step.
        gae_lambda: Trace decay per decision.
        return_window: Episodes over which the training return is averaged.

    Raises:
        UserError: A value is out of range, or the environment gives no symbolic observation.
    """

    RANGES: ClassVar[Mapping[str, Bounds]] = {**PPOModule.RANGES, "num_actions": (1, None)}

    def __init__(
        self,
        hidden: Sequence[int] = (64, 64),
        num_actions: int | None = None,
        actor_lr: float = 2.5e-4,
        critic_lr: float = 2.5e-4,
        anneal_lr: bool = True,
        max_skipped_updates: int = 10,
        clip_coef: float = 0.2,
        value_clip_coef: float | None = 0.2,
        value_coef: float = 0.5,
        entropy_coef: float = 0.01,
        anneal_entropy: bool = False,
        normalize_advantages: bool = True,
        target_kl: float | None = None,
        critic_warmup_iterations: int = 0,
        gamma: float = 0.99,
        gae_lambda: float = 0.95,
        return_window: int = 100,
    ) -> None:
        super().__init__(gamma, gae_lambda, return_window)
        self.save_hyperparameters()
        self.check_ranges()
        self.check_widths("hidden")
        self.sizes: Sizes | None = None
        self.actor: nn.Sequential | None = None
        self.critic: nn.Sequential | None = None

    # Networks

    def configure_model(self) -> None:
        """Make the networks for the environment; without one, a checkpoint says their sizes."""
        if self.actor is None and self._trainer is not None:
            self._make_networks(self._sizes_of(self.data.example_states(EXAMPLE_STATES)))

    def _sizes_of(self, states: Sequence[State]) -> Sizes:
        shapes = {_vector(state).shape for state in states}
        if len(shapes) > 1:
            raise UserError(
                f"SymbolicPPO reads one kind of vector, and the environment shows info['vector'] of the shapes "
                f"{sorted(shapes)}; train on one task at a time."
            )
        met = 1 + max(max(_action_ids(state)) for state in states)
        return Sizes(int(np.prod(shapes.pop())), self.hparams["num_actions"] or met)

    def _make_networks(self, sizes: Sizes) -> None:
        self.sizes = sizes
        hidden = self.hparams["hidden"]
        self.actor = mlp(sizes.vector, hidden, sizes.actions, gain=0.01)
        self.critic = mlp(sizes.vector, hidden, 1, gain=1.0)
        for network in (self.actor, self.critic):
            self.ledger.watch(network)
        count = sum(parameter.numel() for parameter in self.parameters())
        rank_zero_only(logger.info)(
            f"SymbolicPPO: vector of {sizes.vector} numbers, {sizes.actions} actions, {count:,} parameters."
        )

    def _networks(self) -> tuple[nn.Sequential, nn.Sequential, Sizes]:
        assert self.actor is not None and self.critic is not None and self.sizes is not None, "configure_model first"
        return self.actor, self.critic, self.sizes

    def actor_parameters(self) -> list[nn.Parameter]:
        """Weights of the actor's network."""
        return list(self._networks()[0].parameters())

    def critic_parameters(self) -> list[nn.Parameter]:
        """Weights of the critic's network."""
        return list(self._networks()[1].parameters())

    # Policy and value

    def log_probs(self, states: Sequence[State]) -> Tensor:
        """Log-probability of every offered action [B, K], ``-inf`` in padding, differentiable."""
        actor, _, sizes = self._networks()
        logits = actor(self._vectors(states)).float()
        offered, padding = offered_ids(states, sizes.actions)
        chosen = logits.gather(1, offered.to(logits.device)).masked_fill(padding.to(logits.device), -torch.inf)
        return torch.log_softmax(chosen, dim=-1)

    def values(self, states: Sequence[State]) -> Tensor:
        """Value of every state [B], differentiable."""
        return self._networks()[1](self._vectors(states)).squeeze(-1).float()

    def _vectors(self, states: Sequence[State]) -> Tensor:
        rows = np.stack([_vector(state).ravel() for state in states]).astype(np.float32)
        actor, _, (width, _) = self._networks()
        if rows.shape[1] != width:
            raise UserError(
                f"SymbolicPPO was made for an info['vector'] of {width} numbers, and this environment shows "
                f"{rows.shape[1]}: evaluate it where it was trained."
            )
        return torch.from_numpy(rows).to(next(actor.parameters()))

    def action_log_probs(self, states: Sequence[State]) -> Tensor:
        """Log-probability of every offered action [B, K], ``-inf`` in padding, without gradient."""
        with torch.no_grad():
            return self.log_probs(states)

    def state_values(self, states: Sequence[State]) -> Tensor:
        """Value of every state [B], without gradient."""
        with torch.no_grad():
            return self.values(states)

    def policy_terms(self, batch: Samples) -> tuple[Tensor, Tensor | None]:
        """Log-probabilities [B, K] of a batch; nothing else is added to the loss."""
        return self.log_probs(batch.states), None

    def batch_values(self, batch: Samples) -> Tensor:
        """Values [B] of a batch."""
        return self.values(batch.states)

    # Checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the networks' sizes, which were read off the environment."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["sizes"] = list(self._networks()[2])

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Make networks of the checkpoint's sizes, or compare them with those that are there.

        Raises:
            UserError: They differ.
        """
        saved = Sizes(*checkpoint["sizes"])
        if self.actor is None:
            self._make_networks(saved)
        elif saved != self.sizes:
            raise UserError(
                f"The checkpoint is for an info['vector'] of {saved.vector} numbers and {saved.actions} actions, this "
                f"environment has {self._networks()[2].vector} and {self._networks()[2].actions}: use the data.env it "
                "was trained in, and set model.num_actions where the list of actions is longer than was met."
            )
        super().on_load_checkpoint(checkpoint)


def mlp(inputs: int, hidden: Sequence[int], outputs: int, gain: float) -> nn.Sequential:
    """Tanh units with orthogonal weights; ``gain`` is that of the last layer."""
    widths = [inputs, *hidden]
    layers: list[nn.Module] = []
    for fan_in, fan_out in zip(widths, widths[1:], strict=False):
        layers += [orthogonal(nn.Linear(fan_in, fan_out), 2**0.5), nn.Tanh()]
    return nn.Sequential(*layers, orthogonal(nn.Linear(widths[-1], outputs), gain))


def offered_ids(states: Sequence[State], num_actions: int) -> tuple[Tensor, Tensor]:
    """Place of every offered action in the fixed list, int64 [B, K], and where that is padding, bool [B, K].

    Raises:
        UserError: An action lies beyond the end of the list.
    """
    ids = [_action_ids(state) for state in states]
    width = max(len(row) for row in ids)
    table = torch.zeros(len(ids), width, dtype=torch.int64)
    padding = torch.ones(len(ids), width, dtype=torch.bool)
    for number, row in enumerate(ids):
        if max(row) >= num_actions:
            raise UserError(
                f"The environment offers the action with info['action_ids'] {max(row)}, and SymbolicPPO was made for "
                f"{num_actions} actions: set model.num_actions to the length of the environment's fixed list."
            )
        table[number, : len(row)] = torch.tensor(row)
        padding[number, : len(row)] = False
    return table, padding


def _vector(state: State) -> np.ndarray:
    if state.vector is None:
        raise UserError(
            "SymbolicPPO reads info['vector'] and the environment gives none: let it give a numeric array, or choose a "
            "model that reads text, such as lightning_twosome.TwosomePPO."
        )
    return state.vector


def _action_ids(state: State) -> tuple[int, ...]:
    if state.action_ids is None:
        raise UserError(
            "SymbolicPPO needs info['action_ids'], the place of each offered action in a fixed list, and the "
            "environment gives none: let it give a tuple of int, or choose a model that reads text, such as "
            "lightning_twosome.TwosomePPO."
        )
    return state.action_ids
