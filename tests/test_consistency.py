"""The consistency term of TwosomePPO: its value and gradient, what it leaves alone, and its errors."""

import copy
import math
from functools import partial

import gymnasium
import pytest
import torch
from torch.distributions import Categorical, kl_divergence

from lightning_twosome import RolloutDataModule, ppo
from lightning_twosome.errors import UserError
from tests import toys
from tests.test_twosome_ppo import fit, moved_adapter


class Restated(toys.Corridor):
    """The corridor, where states past ``start`` are also told in other words."""

    def __init__(self, start: int = 0, restates: bool = True) -> None:
        super().__init__()
        self.start, self.restates = start, restates

    def _info(self):
        info = super()._info()
        if self.restates and self.place >= self.start:
            words = {"walk left": "go west", "walk right": "go east", "stride right": "leap east", "wait": "rest"}
            prompt = f"Of the {self.length} doors this is number {self.place}, so"
            info["restatement"] = prompt, tuple(words[action] for action in info["actions"])
        return info


def data(**changes):
    return toys.data(Restated, **changes)


def without_times(logged):
    return {name: value for name, value in logged.items() if not name.startswith(("time/", "ledger/"))}


def restatements(samples):
    return [state.restatement for state in samples.states if state.restatement is not None]


def test_value_by_hand():
    shown, restated = torch.tensor([[0.5, 0.5], [1.0, 0.0]]).log(), torch.tensor([[0.25, 0.75], [0.5, 0.5]]).log()
    expected = (0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75) + math.log(2)) / 2
    torch.testing.assert_close(ppo.consistency_loss(shown, restated), torch.tensor(expected))


def test_only_the_restated_policy_has_a_gradient():
    logits = [torch.randn(3, 4, generator=torch.Generator().manual_seed(seed)).requires_grad_() for seed in (0, 1)]
    shown, restated = (values.log_softmax(-1) for values in logits)
    ppo.consistency_loss(shown, restated).backward()
    assert logits[0].grad is None
    # The gradient of a cross-entropy in the logits is the difference of the distributions.
    torch.testing.assert_close(logits[1].grad, (restated.exp() - shown.exp()).detach() / 3)


def loss_and_gradients(module, batch):
    module.zero_grad()
    loss = module.training_step(batch, 0)
    loss.backward()
    return float(loss.detach()), {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


@pytest.fixture(scope="module")
def batch():
    """Samples of a rollout in which some states have a restatement and some have none."""
    module, experience = toys.module(), data(env_settings={"start": 2})
    trainer = toys.trainer(max_epochs=1)
    trainer.fit(module, experience)
    samples = experience.samples
    assert 0 < len(restatements(samples)) < len(samples)
    return samples, module


def test_loss_and_gradient_equal_a_naive_computation(batch):
    """One decision at a time, each KL divergence by torch's own distributions."""
    samples, fitted = batch
    module = copy.deepcopy(fitted)
    module._trainer = fitted.trainer
    plain_loss, plain = loss_and_gradients(module, samples)
    module.hparams["consistency_coef"] = 0.7
    loss, gradients = loss_and_gradients(module, samples)
    module.zero_grad()
    divergences = []
    for state in samples.states:
        if state.restatement is not None:
            with torch.no_grad():
                shown = module.agent.action_log_probs([state.decision])
            restated = module.agent.action_log_probs([state.restatement])
            divergences.append(kl_divergence(*(Categorical(logits=table[0]) for table in (shown, restated))))
    naive = 0.7 * torch.stack(divergences).mean()
    naive.backward()
    assert loss - plain_loss == pytest.approx(float(naive), abs=1e-6) and naive > 1e-4
    for name, parameter in module.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(gradients[name] - plain[name], parameter.grad, atol=2e-6, rtol=1e-3)
    assert any("lora" in name and p.grad.abs().max() > 1e-5 for name, p in module.named_parameters() if p.grad is not None)  # fmt: skip # noqa: E501


def test_equal_restatements_are_scored_once(batch, monkeypatch):
    samples, fitted = batch
    module = copy.deepcopy(fitted)
    module._trainer = fitted.trainer
    module.hparams["consistency_coef"] = 1.0
    scored = []
    score = module.agent.scorer.score
    monkeypatch.setattr(module.agent.scorer, "score", lambda decisions: (scored.append(decisions), score(decisions))[1])
    module.training_step(samples, 0)
    different = {*samples.decisions, *restatements(samples)}
    assert len(scored) == 1 and len(scored[0]) == len(different) < len(samples) + len(restatements(samples))


def test_a_coefficient_of_zero_changes_nothing():
    """Not a bit of weights, moments or metrics, whether the environment restates its states or not."""
    runs = [
        fit(toys.module(**settings), data(env_settings={"restates": restates}), max_epochs=2)
        for settings, restates in (({}, False), ({"consistency_coef": 0.0}, True))
    ]
    toys.assert_equal_weights(runs[0].weights[-1], runs[1].weights[-1])
    assert without_times(runs[0].logged[-1]) == without_times(runs[1].logged[-1])
    assert "loss/consistency" not in runs[1].logged[-1]


def test_the_term_is_logged_and_makes_the_policies_agree():
    settings = {"actor_lr": 1e-2, "entropy_coef": 0.0, "anneal_lr": False}
    changes = {}
    for coefficient in (1e-9, 5.0):
        module = moved_adapter(toys.module(consistency_coef=coefficient, **settings))
        watch = fit(module, data(), max_epochs=8)
        values = [logged["loss/consistency"] for logged in watch.logged]
        assert len(values) == 8 and min(values) > 0
        changes[coefficient] = values[-1] / values[0]
    assert changes[5.0] < 0.5 * changes[1e-9]
    total = watch.logged[0]
    parts = total["loss/policy"] + 0.5 * total["loss/value"] + 5.0 * total["loss/consistency"]
    assert total["loss/total"] == pytest.approx(parts, rel=1e-4)


@pytest.mark.parametrize(
    ("precision", "dtype", "largest"),
    [("32-true", "float32", 1e-5), ("bf16-mixed", "float32", 0.0), ("32-true", "bfloat16", 0.0)],
)
def test_first_ratios_are_one(precision, dtype, largest):
    model = toys.language_model(dtype=dtype)
    module = moved_adapter(toys.module(actor_lr=0.0, consistency_coef=1.0, language_model=model))
    watch = fit(module, data(num_steps=8, minibatch_size=8), precision=precision, max_epochs=2)
    assert watch.logged[-1]["policy/first_pass_ratio_deviation"] <= largest
    assert watch.logged[-1]["loss/consistency"] > 0


def test_an_environment_without_restatements_is_refused_before_the_model_is_loaded():
    module = toys.TwosomePPO(language_model="no-such-model-anywhere", consistency_coef=0.5)
    kitchen = RolloutDataModule("twosome/TomatoSalad-v0", num_envs=1, num_steps=2, seed=0)
    with pytest.raises(UserError, match="model.consistency_coef is 0.5.*set data.env_kwargs.restate") as error:
        toys.trainer(max_epochs=1).fit(module, kitchen)
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="model.consistency_coef is -1; it must be at least 0"):
        toys.module(consistency_coef=-1)


def test_the_kitchens_restatement_is_learned_from():
    made = partial(gymnasium.make, "twosome/TomatoSalad-v0", restate="notes")
    experience = RolloutDataModule(made, num_envs=2, num_steps=4, update_epochs=1, eval_episodes=1, seed=0)
    watch = fit(toys.module(consistency_coef=0.1), experience)
    assert watch.logged[-1]["loss/consistency"] > 0
    assert all(decision.prompt.startswith("Order: ") for decision in restatements(experience.samples))
