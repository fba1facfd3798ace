"""Proximal policy optimisation over text actions, as pure functions.

The update in the order of the paper (TWOSOME, arXiv 2401.14151, section 3; PPO, arXiv 1707.06347)::

    rewards, values, durations --smdp_advantages--> advantages, returns       [S, N]
    advantages                 --normalize_advantages-->                      [B]
    log_prob, old_log_prob     --policy_loss-->  clipped surrogate            scalar
    value, returns             --value_loss-->   (clipped) squared error      scalar
    log_probs [B, K]           --entropy, exact_kl-->                         [B]
    log_probs, restated        --consistency_loss--> teacher's KL divergence  scalar

Shape letters: B decisions, K actions, S rollout steps, N environments. A row of ``log_probs`` is a log distribution
over the K actions of a
decision, padded with ``-inf``.
"""

from __future__ import annotations

import torch
from torch import Tensor


def smdp_advantages(
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor,
    durations: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    gamma: float,
    gae_lambda: float,
) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation (arXiv 1506.02438) for actions that last several primitive steps.

    A macro-action of duration k is discounted by ``gamma ** k``, in the bootstrap as in the trace::

        delta_s = R_s + gamma^k_s * V(next state) - V(s)
        A_s     = delta_s + gamma^k_s * lambda * A_{s+1}      within an episode

    ``R_s`` is the reward already discounted inside the macro-action (:func:`discounted_step_rewards`). After a
    termination nothing follows. A
    truncated episode could have gone on: its bootstrap is the value of its last state, which ``next_values`` must hold.

    Args:
        rewards: [S, N] discounted reward inside each macro-action.
        values: [S, N] value of the state in which the action was taken.
        next_values: [S, N] value of the state that the action led to, before any reset.
        durations: [S, N] primitive steps of each macro-action.
        terminated: [S, N] bool.
        truncated: [S, N] bool.
        gamma: Discount per primitive step.
        gae_lambda: Trace decay per decision.

    Returns:
        Advantages and returns (advantages + values), both [S, N].
    """
    discount = gamma ** durations.to(rewards.dtype)
    deltas = rewards + discount * next_values * ~terminated - values
    trace_decay = discount * gae_lambda * ~(terminated | truncated)
    advantages = torch.zeros_like(rewards)
    following = torch.zeros_like(rewards[0])
    for step in reversed(range(len(rewards))):
        following = deltas[step] + trace_decay[step] * following
        advantages[step] = following
    return advantages, advantages + values


def discounted_step_rewards(step_rewards: tuple[float, ...], gamma: float) -> float:
    """Reward of a macro-action seen from its start: ``sum_j gamma^j r_j`` over its primitive steps j = 0, 1, ..."""
    total = 0.0
    for reward in reversed(step_rewards):
        total = reward + gamma * total
    return total


def normalize_advantages(advantages: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Advantages [B] with the given statistics removed; the statistics are those of the whole optimizer step."""
    return (advantages - mean) / (std + 1e-8)


def policy_loss(
    log_prob: Tensor, old_log_prob: Tensor, advantages: Tensor, clip_coef: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """PPO's clipped surrogate (arXiv 1707.06347, equation 7), to be minimised.

    Args:
        log_prob: [B] log-probability of the taken actions under the current policy.
        old_log_prob: [B] the same under the policy that took them.
        advantages: [B].
        clip_coef: Half-width of the interval around 1 in which the ratio pays.

    Returns:
        The mean loss, and diagnostics: ``ratio_deviation`` (largest distance of a ratio from 1), ``clip_fraction`` and
        the sampled
        estimators of the
        Kullback-Leibler divergence ``k1`` and ``k3`` (http://joschu.net/blog/kl-approx.html), all detached scalars.
    """
    log_ratio = log_prob - old_log_prob
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - clip_coef, 1 + clip_coef)
    loss = -torch.min(ratio * advantages, clipped * advantages).mean()
    with torch.no_grad():
        deviation = (ratio - 1).abs()
        diagnostics = {
            "ratio_deviation": deviation.max(),
            "clip_fraction": (deviation > clip_coef).float().mean(),
            "k1": -log_ratio.mean(),
            "k3": (ratio - 1 - log_ratio).mean(),
        }
    return loss, diagnostics


def value_loss(values: Tensor, old_values: Tensor, returns: Tensor, clip_coef: float | None) -> Tensor:
    """Half the mean squared error of the critic, optionally clipped around the old values as in PPO's reference code.

    Args:
        values: [B] current estimates.
        old_values: [B] estimates at rollout time.
        returns: [B] targets.
        clip_coef: Largest move of an estimate that still counts, in units of return; ``None`` for the plain error.
    """
    error = (values - returns) ** 2
    if clip_coef is not None:
        clipped = old_values + (values - old_values).clamp(-clip_coef, clip_coef)
        error = torch.max(error, (clipped - returns) ** 2)
    return 0.5 * error.mean()


def entropy(log_probs: Tensor) -> Tensor:
    """Entropy [B] in nats of the action distributions ``log_probs`` [B, K]."""
    return -(log_probs.exp() * log_probs.masked_fill(log_probs == -torch.inf, 0.0)).sum(-1)


def exact_kl(old_log_probs: Tensor, log_probs: Tensor) -> Tensor:
    """``KL(old || new)`` [B] in nats, summed over the finite action set; both arguments [B, K]."""
    padding = old_log_probs == -torch.inf
    difference = old_log_probs.masked_fill(padding, 0.0) - log_probs.masked_fill(padding, 0.0)
    return (old_log_probs.exp() * difference).sum(-1).clamp(min=0.0)


def consistency_loss(log_probs: Tensor, restated_log_probs: Tensor) -> Tensor:
    """Mean ``KL(policy on the states as shown || policy on the same states in other words)``, both [B, K].

    The first is detached: it is what the rewards teach, and the policy on the restated states learns from it. With a
    gradient for both, words that were never acted on would pull the policy that is being trained towards their own.
    """
    return exact_kl(log_probs.detach(), restated_log_probs).mean()


def explained_variance(values: Tensor, returns: Tensor) -> Tensor:
    """Share of the variance of ``returns`` that ``values`` explain: 1 is perfect, 0 is a constant (or no variance)."""
    variance = returns.var(unbiased=False)
    if variance == 0:
        return torch.zeros_like(variance)
    return 1 - (returns - values).var(unbiased=False) / variance
