"""Several players who take turns in one environment: each one's decisions as a trajectory of its own.

One policy decides for all of them (self-play), and the reward is the team's. What happens from a player's decision to
its own next one belongs to the first of the two, the other players' decisions in between included::

    step            0     1     2     3     4
    player          0     1     0     1     1          (player 0 decides at steps 0 and 2, player 1 at 1, 3 and 4)
    reward          a     b     c     d     e
    duration        0     3     0     2     1          (both begin at once: player 0's decision takes no time itself)

    player 0:  0 -> 2       reward a + b          duration 3      then V(state 2)
               2 -> end     reward c + d + g^2 e  duration 3      then V(last state), or 0 after a termination
    player 1:  1 -> 3       reward b + g^3 c      duration 3      then V(state 3)
               ...

The end of an episode ends every player's trajectory. Where the rollout ends within an episode, the value of its last
state stands for what follows, whoever decides there: the reward is shared, so one value is every player's.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_twosome.ppo import smdp_advantages


class Transitions(NamedTuple):
    """What followed S decisions in N environments; each is [S, N], as in :class:`~lightning_twosome.rollout.Rollout`.

    Attributes:
        rewards: Reward until the player's next decision, discounted to this one.
        next_values: Value of the state that followed.
        durations: int64, primitive steps.
        terminated: bool.
        truncated: bool.
    """

    rewards: Tensor
    next_values: Tensor
    durations: Tensor
    terminated: Tensor
    truncated: Tensor


def player_transitions(single: Transitions, values: Tensor, players: Tensor, gamma: float) -> Transitions:
    """Let every transition reach to the same player's next decision.

    Args:
        single: What followed each decision until the next one, of whichever player.
        values: [S, N] value of each decision's state.
        players: int64 [S, N], who decides.
        gamma: Discount per primitive step.

    Returns:
        What followed each decision until the same player's next one, the episode's end or the rollout's.
    """
    steps, envs = players.shape
    shape = (int(players.max()) + 1, envs)
    own = torch.arange(envs)
    ended = single.terminated | single.truncated
    following = Transitions(*(table.new_zeros(shape) for table in single))  # from the step below, for every player
    merged = Transitions(*(torch.empty_like(table) for table in single))
    discount = gamma ** single.durations.to(single.rewards.dtype)
    for step in reversed(range(steps)):
        cut = ended[step] if step < steps - 1 else torch.ones_like(ended[step])
        following = Transitions(
            rewards=single.rewards[step] + discount[step] * following.rewards.masked_fill(cut, 0.0),
            next_values=torch.where(cut, single.next_values[step], following.next_values),
            durations=single.durations[step] + following.durations.masked_fill(cut, 0),
            terminated=torch.where(cut, single.terminated[step], following.terminated),
            truncated=torch.where(cut, single.truncated[step], following.truncated),
        )
        decides = (players[step], own)
        for table, result in zip(following, merged, strict=True):
            result[step] = table[decides]
            table[decides] = 0
        following.next_values[decides] = values[step]
    return merged


def player_advantages(
    single: Transitions, values: Tensor, players: Tensor, gamma: float, gae_lambda: float
) -> tuple[Tensor, Tensor]:
    """:func:`~lightning_twosome.ppo.smdp_advantages` along each player's own trajectory.

    Args:
        single: What followed each decision until the next one, of whichever player.
        values: [S, N] value of each decision's state.
        players: int64 [S, N], who decides.
        gamma: Discount per primitive step.
        gae_lambda: Trace decay per decision of the same player.

    Returns:
        Advantages and returns (advantages + values), both [S, N].
    """
    if not players.any():
        return _advantages(single, values, gamma, gae_lambda)
    merged = player_transitions(single, values, players, gamma)
    # One column for each environment and player, its decisions closed up; below them rows that count for nothing.
    count = int(players.max()) + 1
    turns = torch.nn.functional.one_hot(players, count).cumsum(0) - 1
    row = turns.gather(2, players[..., None]).squeeze(2)
    place = (row, torch.arange(players.shape[1]) * count + players)
    shape = (len(players), players.shape[1] * count)

    def columns(table: Tensor) -> Tensor:
        made = table.new_zeros(shape)
        made[place] = table
        return made

    advantages, returns = _advantages(Transitions(*map(columns, merged)), columns(values), gamma, gae_lambda)
    return advantages[place], returns[place]


def _advantages(transitions: Transitions, values: Tensor, gamma: float, gae_lambda: float) -> tuple[Tensor, Tensor]:
    return smdp_advantages(
        rewards=transitions.rewards,
        values=values,
        next_values=transitions.next_values,
        durations=transitions.durations,
        terminated=transitions.terminated,
        truncated=transitions.truncated,
        gamma=gamma,
        gae_lambda=gae_lambda,
    )
