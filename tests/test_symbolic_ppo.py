"""SymbolicPPO: probabilities of offered actions only, the networks, refusals, resuming, and that it learns."""

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_twosome import SymbolicPPO
from lightning_twosome.callbacks import ActionLengths, ForgettingCheck
from lightning_twosome.decisions import Decision
from lightning_twosome.errors import UserError
from lightning_twosome.evaluation import play_episodes, summarize, uniform_policy
from lightning_twosome.modules.symbolic_ppo import mlp, offered_ids
from lightning_twosome.vector_env import State
from tests import toys


class NoIds(toys.Corridor):
    def _info(self):
        return {name: value for name, value in super()._info().items() if name != "action_ids"}


class TwoShapes(toys.Corridor):
    def _info(self):
        info = super()._info()
        return info | {"vector": info["vector"].repeat(1 + self.place % 2)}


def made(seed=0, **changes):
    torch.manual_seed(seed)
    return SymbolicPPO(**({"hidden": (16,)} | changes))


def fitted(module, data=None, **settings):
    trainer = toys.trainer(**settings)
    trainer.fit(module, data or toys.data())
    return trainer


def states():
    """The corridor's door 0 (walk, stride), door 1 (all four) and door 2 (three)."""
    shown = []
    for place in range(3):
        env = toys.Corridor()
        env.reset(seed=0)
        env.place = place
        info = env._info()
        shown.append(State(Decision(env._prompt(), info["actions"]), info["vector"], info["action_ids"]))
    return shown


def test_an_action_keeps_its_logit_wherever_it_is_offered():
    module = fitted(made(), max_epochs=1).lightning_module
    shown = states()
    log_probs = module.action_log_probs(shown)
    assert log_probs.shape == (3, 4) and (log_probs == -torch.inf).sum(1).tolist() == [2, 0, 1]
    torch.testing.assert_close(log_probs.exp().sum(1), torch.ones(3))
    logits = module.actor(torch.tensor([[0.0], [1.0], [2.0]]))
    torch.testing.assert_close(log_probs[0, :2], logits[0, [1, 2]].log_softmax(0))  # walk right, stride right
    torch.testing.assert_close(log_probs[1], logits[1, [0, 1, 2, 3]].log_softmax(0))


def test_offered_ids_are_padded():
    ids, padding = offered_ids(states(), 4)
    assert ids.tolist() == [[1, 2, 0, 0], [0, 1, 2, 3], [0, 1, 2, 0]]
    assert padding.sum(1).tolist() == [2, 0, 1]


def test_the_networks_are_orthogonal_with_a_small_last_layer():
    network = mlp(8, (64, 64), 5, gain=0.01)
    assert [type(layer).__name__ for layer in network] == ["Linear", "Tanh", "Linear", "Tanh", "Linear"]
    first, last = network[0].weight, network[-1].weight
    torch.testing.assert_close(first.T @ first, 2 * torch.eye(8), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(last @ last.T, 1e-4 * torch.eye(5), rtol=1e-4, atol=1e-7)
    assert all(float(layer.bias.abs().max()) == 0 for layer in network if hasattr(layer, "bias"))


def test_first_ratios_are_one_and_the_metrics_are_those_of_ppo():
    trainer = fitted(made(actor_lr=0.0), toys.data(minibatch_size=4), max_epochs=2)
    logged = trainer.logged_metrics
    assert logged["policy/first_pass_ratio_deviation"] <= 1e-5 and logged["policy/kl"] <= 1e-6
    assert {"loss/policy", "loss/value", "policy/entropy", "value/explained_variance", "rollout/return"} <= set(logged)
    assert "policy/beta" not in logged


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (toys.Buttons, r"SymbolicPPO reads info\['vector'\] and the environment gives none"),
        (NoIds, r"SymbolicPPO needs info\['action_ids'\]"),
        (TwoShapes, r"of the shapes \[\(1,\), \(2,\)\]"),
    ],
)
def test_what_the_environment_lacks_is_named(env, message):
    with pytest.raises(UserError, match=message):
        fitted(made(), toys.data(env))


def test_an_action_beyond_the_list_is_named():
    with pytest.raises(UserError, match=r"info\['action_ids'\] 3, and SymbolicPPO was made for 2 actions"):
        fitted(made(num_actions=2))


def test_callbacks_about_language_say_that_there_is_none():
    for callback in (ActionLengths(), ForgettingCheck()):
        with pytest.raises(UserError, match=f"{type(callback).__name__} .* leave the callback out"):
            fitted(made(), callbacks=[callback])


def test_settings_out_of_range_are_named():
    with pytest.raises(UserError, match="model.num_actions is 0; it must be at least 1"):
        made(num_actions=0)


def test_a_resumed_run_equals_the_uninterrupted_one(tmp_path):
    whole = toys.trainable(fitted(made(), max_epochs=3).lightning_module)
    keep = ModelCheckpoint(tmp_path, save_last=True, every_n_train_steps=2)  # in the middle of an iteration
    fitted(made(), max_epochs=3, max_steps=6, enable_checkpointing=True, callbacks=[keep])
    trainer = toys.trainer(max_epochs=3)
    trainer.fit(made(seed=5), toys.data(), ckpt_path=tmp_path / "last.ckpt")
    toys.assert_equal_weights(whole, toys.trainable(trainer.lightning_module))


def test_a_checkpoint_loads_without_the_environment_and_fits_no_other(tmp_path):
    module = made()
    trainer = fitted(module, max_epochs=1)
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    loaded = SymbolicPPO.load_from_checkpoint(tmp_path / "run.ckpt").eval()
    assert torch.equal(loaded.action_log_probs(states()), module.eval().action_log_probs(states()))
    with pytest.raises(UserError, match="1 numbers and 4 actions, this environment has 1 and 9"):
        toys.trainer().validate(made(num_actions=9), toys.data(), ckpt_path=tmp_path / "run.ckpt", verbose=False)


def test_the_corridor_is_learned():
    data = toys.data(num_envs=8, num_steps=16, minibatch_size=32, update_epochs=4, eval_episodes=64, eval_num_envs=32)
    module = made(hidden=(64, 64), actor_lr=5e-3, critic_lr=5e-3)
    trainer = fitted(module, data, max_epochs=15, limit_val_batches=1.0, check_val_every_n_epoch=15)
    with data.evaluation_env() as env:
        played = play_episodes(uniform_policy(), env, range(64), module.gamma)
    random = summarize([one.episode for one in played])
    assert random["success"] < 0.75
    assert trainer.callback_metrics["val/success"] > 0.85  # a step slips with probability 0.2
    assert trainer.callback_metrics["val/return"] > random["return"] + 0.2
