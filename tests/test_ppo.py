"""PPO's pure functions: literals worked out by hand, and independent definitions of what they compute."""

import math

import pytest
import torch
from torch.distributions import Categorical, kl_divergence

from lightning_twosome import ppo


def random_experience(steps=7, envs=3, seed=0):
    """Rewards, values and ends in which terminations and truncations both occur, at the rollout's edges too."""
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand(steps, envs, generator=generator)
    return {
        "rewards": torch.randn(steps, envs, generator=generator, dtype=torch.float64),
        "values": torch.randn(steps, envs, generator=generator, dtype=torch.float64),
        "next_values": torch.randn(steps, envs, generator=generator, dtype=torch.float64),
        "durations": torch.randint(1, 6, (steps, envs), generator=generator),
        "terminated": uniform < 0.2,
        "truncated": uniform > 0.8,
    }


def naive_advantage(e, step, env, gamma, gae_lambda):
    """The definition of GAE, forwards: the sum of later errors until the episode or the rollout ends."""
    advantage, weight = 0.0, 1.0
    for s in range(step, len(e["rewards"])):
        discount = gamma ** int(e["durations"][s, env])
        bootstrap = 0.0 if e["terminated"][s, env] else discount * float(e["next_values"][s, env])
        advantage += weight * (float(e["rewards"][s, env]) + bootstrap - float(e["values"][s, env]))
        if e["terminated"][s, env] or e["truncated"][s, env]:
            break
        weight *= discount * gae_lambda
    return advantage


@pytest.mark.parametrize("gae_lambda", [0.0, 0.7, 1.0])
def test_advantages_equal_the_definition(gae_lambda):
    for seed in range(5):
        e = random_experience(seed=seed)
        advantages, returns = ppo.smdp_advantages(**e, gamma=0.9, gae_lambda=gae_lambda)
        expected = [[naive_advantage(e, s, n, 0.9, gae_lambda) for n in range(3)] for s in range(7)]
        torch.testing.assert_close(advantages, torch.tensor(expected, dtype=torch.float64))
        torch.testing.assert_close(returns, advantages + e["values"])


def test_advantages_of_two_macro_actions_by_hand():
    """Gamma 0.5: an action of 2 steps paying 1, then one of 1 step paying 2 that ends the episode."""
    column = torch.tensor
    advantages, returns = ppo.smdp_advantages(
        rewards=column([[1.0], [2.0]]),
        values=column([[0.5], [0.25]]),
        next_values=column([[0.25], [100.0]]),
        durations=column([[2], [1]]),
        terminated=column([[False], [True]]),
        truncated=column([[False], [False]]),
        gamma=0.5,
        gae_lambda=0.5,
    )
    last = 2.0 - 0.25  # the value after a termination counts for nothing
    first = 1.0 + 0.25 * 0.25 - 0.5 + 0.25 * 0.5 * last
    torch.testing.assert_close(advantages, column([[first], [last]]))
    torch.testing.assert_close(returns, column([[first + 0.5], [2.0]]))


def test_truncation_is_bootstrapped_and_termination_is_not():
    column = torch.tensor
    same = {
        "rewards": column([[1.0]]),
        "values": column([[0.0]]),
        "next_values": column([[10.0]]),
        "durations": column([[3]]),
        "gamma": 0.9,
        "gae_lambda": 0.95,
    }
    yes, no = column([[True]]), column([[False]])
    cut, _ = ppo.smdp_advantages(**same, terminated=no, truncated=yes)
    ended, _ = ppo.smdp_advantages(**same, terminated=yes, truncated=no)
    both, _ = ppo.smdp_advantages(**same, terminated=yes, truncated=yes)
    torch.testing.assert_close(cut, column([[1.0 + 0.9**3 * 10.0]]))
    assert ended.item() == both.item() == 1.0


def test_lambda_one_is_the_discounted_return_minus_the_value():
    """A whole episode of primitive rewards: the Monte Carlo sum over primitive steps, whatever the values between."""
    gamma = 0.8
    step_rewards = [(0.1, 0.2, 0.3), (1.0,), (-0.5, 2.0)]
    values = torch.randn(3, 1, dtype=torch.float64)
    flat = [reward for rewards in step_rewards for reward in rewards]
    durations = torch.tensor([[len(rewards)] for rewards in step_rewards])
    advantages, returns = ppo.smdp_advantages(
        rewards=torch.tensor([[ppo.discounted_step_rewards(r, gamma)] for r in step_rewards], dtype=torch.float64),
        values=values,
        next_values=torch.cat([values[1:], torch.full((1, 1), 9.0, dtype=torch.float64)]),
        durations=durations,
        terminated=torch.tensor([[False], [False], [True]]),
        truncated=torch.zeros(3, 1, dtype=torch.bool),
        gamma=gamma,
        gae_lambda=1.0,
    )
    starts = [0, 3, 4]
    monte_carlo = [sum(gamma**j * reward for j, reward in enumerate(flat[start:])) for start in starts]
    torch.testing.assert_close(returns.squeeze(1), torch.tensor(monte_carlo, dtype=torch.float64))
    torch.testing.assert_close(advantages, returns - values)


def test_rewards_are_discounted_inside_a_macro_action():
    assert ppo.discounted_step_rewards((1.0, 2.0, 4.0), 0.5) == 1.0 + 1.0 + 1.0
    assert ppo.discounted_step_rewards((3.0,), 0.1) == 3.0
    assert ppo.discounted_step_rewards((), 0.9) == 0.0
    rewards = (-0.001,) * 7 + (0.2,)
    expected = sum(0.99**j * r for j, r in enumerate(rewards))
    assert math.isclose(ppo.discounted_step_rewards(rewards, 0.99), expected, rel_tol=1e-12)


def test_normalized_advantages_by_hand():
    advantages = torch.tensor([1.0, 3.0, 5.0])
    normal = ppo.normalize_advantages(advantages, torch.tensor(3.0), torch.tensor(2.0))
    torch.testing.assert_close(normal, torch.tensor([-1.0, 0.0, 1.0]))
    assert ppo.normalize_advantages(torch.ones(1), torch.tensor(1.0), torch.tensor(0.0)).item() == 0.0


def test_policy_loss_by_hand():
    ratio = torch.tensor([1.0, 1.5, 0.5, 1.5, 0.5])
    advantages = torch.tensor([2.0, 1.0, 1.0, -1.0, -1.0])
    loss, diagnostics = ppo.policy_loss(ratio.log(), torch.zeros(5), advantages, clip_coef=0.2)
    paid = [2.0, 1.2, 0.5, -1.5, -0.8]  # the worse of the ratio and the clipped ratio
    torch.testing.assert_close(loss, torch.tensor(-sum(paid) / 5))
    torch.testing.assert_close(diagnostics["clip_fraction"], torch.tensor(4 / 5))
    torch.testing.assert_close(diagnostics["ratio_deviation"], torch.tensor(0.5))
    torch.testing.assert_close(diagnostics["k1"], -ratio.log().mean())
    torch.testing.assert_close(diagnostics["k3"], (ratio - 1 - ratio.log()).mean())
    assert not any(value.requires_grad for value in diagnostics.values())


@pytest.mark.parametrize(
    ("ratio", "advantage", "moves"),
    [
        (1.0, 1.0, True),
        (1.0, -1.0, True),
        (1.3, 1.0, False),  # already more likely than the interval allows
        (0.7, -1.0, False),
        (1.3, -1.0, True),  # a move in the wrong direction is always taken back
        (0.7, 1.0, True),
    ],
)
def test_the_surrogate_pays_no_move_out_of_the_interval(ratio, advantage, moves):
    log_prob = torch.tensor([math.log(ratio)], requires_grad=True)
    loss, _ = ppo.policy_loss(log_prob, torch.zeros(1), torch.tensor([advantage]), clip_coef=0.2)
    loss.backward()
    assert log_prob.grad is not None
    torch.testing.assert_close(log_prob.grad, torch.tensor([-ratio * advantage if moves else 0.0]))


def test_value_loss_by_hand():
    values, old, returns = torch.tensor([1.0, 4.0]), torch.tensor([0.0, 4.5]), torch.tensor([2.0, 4.0])
    torch.testing.assert_close(ppo.value_loss(values, old, returns, None), torch.tensor(0.5 * (1.0 + 0.0) / 2))
    # Clipped at 0.2 the first estimate is 0.2, the second 4.3: the larger error counts.
    clipped = torch.tensor(0.5 * ((2.0 - 0.2) ** 2 + 0.3**2) / 2)
    torch.testing.assert_close(ppo.value_loss(values, old, returns, 0.2), clipped)


def ragged_log_probs(requires_grad=False, seed=0):
    """Log distributions over 1, 3 and 5 actions, padded."""
    logits = torch.randn(3, 5, generator=torch.Generator().manual_seed(seed), requires_grad=requires_grad)
    padding = torch.arange(5) >= torch.tensor([1, 3, 5])[:, None]
    return logits, logits.masked_fill(padding, -torch.inf).log_softmax(-1)


def test_entropy_and_kl_with_padding_equal_torch_distributions():
    _, old = ragged_log_probs(seed=0)
    _, new = ragged_log_probs(seed=1)
    for row, size in enumerate((1, 3, 5)):
        first, second = Categorical(logits=old[row, :size]), Categorical(logits=new[row, :size])
        torch.testing.assert_close(ppo.entropy(old)[row], first.entropy(), atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(ppo.exact_kl(old, new)[row], kl_divergence(first, second), atol=1e-6, rtol=1e-6)


def test_entropy_and_kl_by_hand():
    quarter = torch.tensor([[0.25, 0.75]]).log()
    half = torch.tensor([[0.5, 0.5]]).log()
    torch.testing.assert_close(ppo.entropy(half), torch.tensor([math.log(2)]))
    torch.testing.assert_close(
        ppo.exact_kl(half, quarter), torch.tensor([0.5 * math.log(2.0) + 0.5 * math.log(0.5 / 0.75)])
    )


def test_kl_is_never_negative_where_rounding_would_make_it_so():
    log_probs = torch.randn(1000, 7, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    moved = (log_probs + 1e-7 * torch.randn(1000, 7)).log_softmax(-1)
    unclamped = (log_probs.exp() * (log_probs - moved)).sum(-1)
    assert (unclamped < 0).any(), "the case must occur for the test to say something"
    assert (ppo.exact_kl(log_probs, moved) >= 0).all()
    assert (ppo.exact_kl(log_probs, log_probs) == 0).all()


def test_an_action_of_probability_zero_counts_for_nothing():
    """A policy may round an offered action's probability to zero; that is not padding but reads the same."""
    sure = torch.tensor([[0.0, -torch.inf]])
    assert ppo.entropy(sure).item() == 0.0
    assert ppo.exact_kl(sure, torch.tensor([[0.5, 0.5]]).log()).item() == pytest.approx(math.log(2))


def test_no_nan_reaches_the_gradient_through_padding():
    logits, log_probs = ragged_log_probs(requires_grad=True)
    _, old = ragged_log_probs(seed=1)
    taken = log_probs.gather(1, torch.tensor([[0], [2], [4]])).squeeze(1)
    loss, _ = ppo.policy_loss(taken, taken.detach() - 0.1, torch.tensor([1.0, -1.0, 2.0]), 0.2)
    (loss - ppo.entropy(log_probs).mean() + ppo.exact_kl(old, log_probs).mean()).backward()
    assert logits.grad is not None and logits.grad.isfinite().all()
    assert (logits.grad[0, 1:] == 0).all() and (logits.grad[1, 3:] == 0).all()
    assert (logits.grad[2] != 0).all()


def test_explained_variance_by_hand():
    returns = torch.tensor([1.0, 2.0, 3.0])
    assert ppo.explained_variance(returns, returns).item() == 1.0
    assert ppo.explained_variance(torch.full((3,), 2.0), returns).item() == 0.0
    assert ppo.explained_variance(returns + 5.0, returns).item() == 1.0, "a constant error is not variance"
    assert ppo.explained_variance(-returns, returns).item() == pytest.approx(-3.0)
    assert ppo.explained_variance(returns, torch.ones(3)).item() == 0.0
