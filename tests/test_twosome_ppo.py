"""TwosomePPO: first ratios of 1, stops and warm-ups that leave no trace, clipping, schedules, and that it learns."""

import copy

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from lightning_twosome.errors import UserError
from tests import toys
from tests.toys import Buttons


class Watch(Callback):
    """Weights and optimizer state after every batch, with what was logged."""

    def __init__(self):
        self.weights, self.optimizers, self.gradients, self.logged, self.rates = [], [], [], [], []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if not self.weights:
            self.weights.append(toys.trainable(pl_module))
            self.optimizers.append(copy.deepcopy(trainer.optimizers[0].state_dict()["state"]))

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.rates.append({group["name"]: group["lr"] for group in optimizer.param_groups})

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.weights.append(toys.trainable(pl_module))
        self.optimizers.append(copy.deepcopy(trainer.optimizers[0].state_dict()["state"]))

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.callback_metrics:
            self.logged.append({name: float(value) for name, value in trainer.callback_metrics.items()})


def fit(module=None, data=None, **settings):
    watch = Watch()
    module = module or toys.module()
    trainer = toys.trainer(**({"max_epochs": 1, "callbacks": [watch]} | settings))
    trainer.fit(module, data or toys.data())
    watch.logged.append({name: float(value) for name, value in trainer.logged_metrics.items()})
    return watch


def same(first, second, part):
    names = [name for name in first if (".critic." in name) == (part == "critic")]
    assert names
    return all(torch.equal(first[name], second[name]) for name in names)


def moved_adapter(module):
    """The module with an adapter away from zero, so that rounding has something to round."""
    for name, parameter in module.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, 0.0, 0.2)
    return module


@pytest.mark.parametrize(
    ("precision", "dtype", "largest"),
    [("32-true", "float32", 1e-5), ("bf16-mixed", "float32", 0.0), ("bf16-true", "float32", 0.0)]
    + [("32-true", "bfloat16", 0.0)],
)
def test_first_ratios_are_one(precision, dtype, largest):
    """In every minibatch of the first pass, at learning rate 0: nothing but rounding could move a ratio."""
    module = moved_adapter(toys.module(actor_lr=0.0, language_model=toys.language_model(dtype=dtype)))
    deviations = []
    step = module.training_step

    def watched(batch, batch_idx):
        loss = step(batch, batch_idx)
        with torch.no_grad(), module.trainer.precision_plugin.forward_context():
            log_probs = module.agent.action_log_probs(batch.decisions)
            old = batch.log_probs[:, : log_probs.shape[1]]
            valid = old > -torch.inf
            deviations.append(float((log_probs[valid] - old[valid]).exp().sub(1).abs().max()))
        return loss

    module.training_step = watched
    watch = fit(module, toys.data(num_steps=8, minibatch_size=8), precision=precision, max_epochs=2)
    assert watch.logged[-1]["policy/first_pass_ratio_deviation"] <= largest
    assert len(deviations) == 16 and max(deviations) <= (largest or 0.02)


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_a_stop_by_kl_leaves_weights_and_moments_alone(algorithm):
    module = toys.module(target_kl=1e-8, actor_lr=0.05)
    clipping = {"gradient_clip_val": 0.5, "gradient_clip_algorithm": algorithm}
    watch = fit(module, toys.data(update_epochs=3, minibatch_size=8), max_epochs=2, **clipping)
    assert [logged["policy/update_stopped"] for logged in watch.logged] == [1.0, 1.0]
    batches = 6
    for iteration in range(2):
        first = iteration * batches
        assert not same(watch.weights[first], watch.weights[first + 1], "actor"), "the first step is taken"
        stopped = next(b for b in range(first + 1, first + batches)
                       if same(watch.weights[b], watch.weights[b + 1], "actor"))  # fmt: skip
        for later in range(stopped, first + batches):
            toys.assert_equal_weights(watch.weights[later], watch.weights[later + 1])
            for key, state in watch.optimizers[later].items():
                assert all(torch.equal(value, watch.optimizers[later + 1][key][n]) for n, value in state.items())


def test_no_stop_without_a_target():
    watch = fit(toys.module(target_kl=None, actor_lr=0.05))
    assert watch.logged[-1]["policy/update_stopped"] == 0.0
    assert not any(same(a, b, "actor") for a, b in zip(watch.weights, watch.weights[1:], strict=False))


def test_the_warm_up_leaves_the_actor_alone():
    watch = fit(toys.module(critic_warmup_iterations=1), max_epochs=2)
    assert all(same(watch.weights[0], weights, "actor") for weights in watch.weights[:5])
    assert not same(watch.weights[0], watch.weights[1], "critic")
    assert not same(watch.weights[4], watch.weights[5], "actor")
    critic = len([name for name in watch.weights[0] if ".critic." in name])
    assert len(watch.optimizers[4]) == critic, "the actor has no moments yet"
    steps = {int(state["step"]) for state in watch.optimizers[8].values()}
    assert steps == {4, 8}


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_actor_and_critic_are_clipped_apart(algorithm):
    module = toys.module(value_coef=1000.0)
    norms = []

    class Norms(Callback):
        def on_before_zero_grad(self, trainer, pl_module, optimizer):
            groups = (pl_module.agent.actor_parameters(), pl_module.agent.critic_parameters())
            if all(p.grad is not None for group in groups for p in group):
                flat = [torch.cat([p.grad.flatten() for p in group]) for group in groups]
                norms.append([float(f.norm() if algorithm == "norm" else f.abs().max()) for f in flat])

    unclipped, clipped = [], []
    for limit, seen in ((None, unclipped), (1e-3, clipped)):
        norms.clear()
        settings = {"gradient_clip_val": limit, "gradient_clip_algorithm": algorithm if limit else None}
        fit(toys.module(value_coef=1000.0), max_epochs=2, callbacks=[Norms()], **settings)
        seen += [list(pair) for pair in norms]
    assert module and all(critic > 1e-2 for _, critic in unclipped)
    assert all(critic == pytest.approx(1e-3, rel=1e-2) for _, critic in clipped)
    whole = [min(actor, 1e-3) for actor, _ in unclipped]
    assert clipped[0][0] == pytest.approx(whole[0], rel=1e-2), "the critic's size takes nothing from the actor"


def test_learning_rates_anneal_over_the_training():
    watch = fit(toys.module(actor_lr=0.01, critic_lr=0.04), max_epochs=4)
    assert [rates["actor"] for rates in watch.rates[::4]] == pytest.approx([0.01, 0.0075, 0.005, 0.0025])
    assert [rates["critic"] for rates in watch.rates[3::4]] == pytest.approx([0.04, 0.03, 0.02, 0.01])
    assert watch.logged[-1]["lr/actor"] == pytest.approx(0.0025), "the rate that was used"
    constant = fit(toys.module(anneal_lr=False, actor_lr=0.01), max_epochs=3)
    assert {rates["actor"] for rates in constant.rates} == {0.01}


def test_the_entropy_bonus_anneals():
    module = toys.module(anneal_entropy=True, entropy_coef=0.1)
    seen = []
    coefficient = module._entropy_coef
    module._entropy_coef = lambda: (seen.append(coefficient()), seen[-1])[1]
    fit(module, max_epochs=4)
    assert seen[::4] == pytest.approx([0.1, 0.075, 0.05, 0.025])


def test_advantages_are_normalised_over_the_batch():
    module = toys.module()
    module._trainer = None
    toys.trainer(max_epochs=1).fit(module, toys.data())
    advantages = torch.tensor([1.0, 2.0, 6.0])
    torch.testing.assert_close(module._advantages(advantages), (advantages - 3.0) / advantages.std(unbiased=False))
    assert module._advantages(torch.ones(4)).abs().max() == 0
    plain = toys.module(normalize_advantages=False)
    assert plain._advantages(advantages) is advantages


def test_every_metric_is_logged_and_is_a_number():
    watch = fit(toys.module(learn_beta=True, target_kl=0.02), toys.data(num_steps=12), max_epochs=2,
                limit_val_batches=1.0)  # fmt: skip
    logged = watch.logged[-1]
    assert {
        "rollout/return", "rollout/undiscounted_return", "rollout/success", "rollout/length", "rollout/duration",
        "rollout/unique_decisions", "env_steps", "step", "time/env_steps_per_second", "time/rollout_seconds",
        "time/update_seconds", "loss/policy", "loss/value", "loss/total", "policy/entropy", "policy/effective_actions",
        "policy/kl", "policy/k1", "policy/k3", "policy/clip_fraction", "policy/first_pass_ratio_deviation",
        "policy/update_stopped", "policy/beta", "value/explained_variance", "lr/actor", "lr/critic", "lr/beta",
        "val/return", "val/return_low", "val/return_high", "val/success", "val/success_low", "val/success_high",
        "val/undiscounted_return", "val/length", "val/duration", "val/greedy_return",
    } <= logged.keys()  # fmt: skip
    assert all(value == value for value in logged.values())
    assert logged["step"] == logged["env_steps"] == 96 and logged["policy/kl"] >= 0
    assert 0 < logged["rollout/unique_decisions"] < 1 <= logged["policy/effective_actions"] <= 4


def test_an_iteration_without_an_ended_episode_logs_no_nan():
    watch = fit(data=toys.data(num_steps=2, minibatch_size=8, env_settings={"length": 60, "limit": 50}))
    assert "rollout/return" not in watch.logged[-1] and "loss/policy" in watch.logged[-1]
    assert all(value == value for value in watch.logged[-1].values())


def test_sharing_work_changes_no_training():
    """A whole run with duplicates scored once, against one that scores each decision by itself."""
    runs = [fit(toys.module(share_work=share), max_epochs=3).weights[-1] for share in (True, False)]
    for name, weight in runs[0].items():
        torch.testing.assert_close(weight, runs[1][name], rtol=1e-4, atol=2e-6)


def test_the_memory_is_dropped_with_every_update():
    """Also where the optimizer leaves no mark on the weights' versions, as a fused one."""
    module = toys.module(actor_lr=0.05)
    sizes = []

    class Size(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            pl_module.action_log_probs(batch.states)

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            sizes.append(len(pl_module.agent.remembered))

    trainer = toys.trainer(max_epochs=1)
    trainer.callbacks.append(Size())
    trainer.fit(module, toys.data())
    assert sizes == [0] * 4


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"gamma": 1.5}, "model.gamma is 1.5; it must be between 0 and 1"),
        ({"actor_lr": -1.0}, "model.actor_lr is -1.0; it must be at least 0"),
        ({"clip_coef": 2.0}, "model.clip_coef is 2.0"),
        ({"target_kl": -0.1}, "model.target_kl is -0.1"),
        ({"beta": 0.0}, "model.beta is 0.0; it must be a positive number or 'mean_count'"),
        ({"beta": "token"}, "model.beta is 'token'"),
        ({"critic_warmup_iterations": -1}, "model.critic_warmup_iterations is -1"),
        ({"return_window": 0}, "model.return_window is 0; it must be at least 1"),
        ({"value_clip_coef": -0.2}, "model.value_clip_coef is -0.2"),
    ],
)
def test_settings_out_of_range_are_named(setting, message):
    with pytest.raises(UserError, match=message):
        toys.module(**setting)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_buttons_are_learned(seed):
    """Chance is 1 in 7; the buttons' order is shuffled, so that only their texts tell the right one."""
    settings = {"normalization": "token", "beta": 3.0, "entropy_coef": 0.0, "target_kl": 0.2}
    module = toys.module(seed=seed, actor_lr=4e-2, critic_lr=1e-2, **settings)
    data = toys.data(
        Buttons, num_envs=16, num_steps=2, update_epochs=4, minibatch_size=32, seed=seed, eval_episodes=64,
        eval_greedy_episodes=32, eval_num_envs=32,
    )  # fmt: skip
    before = toys.trainer(limit_val_batches=1.0).validate(module, data, verbose=False)[0]
    trainer = toys.trainer(max_epochs=15, limit_val_batches=1.0, check_val_every_n_epoch=15)
    trainer.fit(module, data)
    assert before["val/success"] < 0.25
    assert trainer.callback_metrics["val/success"] > 0.88 and trainer.callback_metrics["val/greedy_success"] == 1
