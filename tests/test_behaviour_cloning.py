"""BehaviourCloning: the expert acts, its actions are learned, and PPO goes on from there."""

from functools import partial

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_twosome import BehaviourCloning, RolloutDataModule
from lightning_twosome.environment_failure import EnvironmentFailure
from lightning_twosome.errors import UserError
from lightning_twosome.export import export_checkpoint, module_of_checkpoint
from lightning_twosome.tasks import MixtureEnv, Task, named
from lightning_twosome.vector_env import State, TextVectorEnv
from tests import toys


class Solved(toys.Buttons):
    """Buttons whose expert presses the right one."""

    def expert_action(self):
        return self.shown.index(self.colour)


def cloning(seed=0, **changes):
    torch.manual_seed(seed)
    settings = {"language_model": toys.language_model(), "critic_hidden": (16,), "normalization": "token", "beta": 3.0}
    module = BehaviourCloning(**(settings | changes))
    module.configure_model()
    return module


def solved(**changes):
    sizes = {"num_envs": 8, "num_steps": 4, "minibatch_size": 16, "eval_episodes": 64, "eval_num_envs": 32}
    return toys.data(Solved, **(sizes | changes))


@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_every_environment_asks_its_own_expert(vectorization):
    env = TextVectorEnv([Solved, Solved, Solved], vectorization)
    states = env.reset({0: 1, 1: 2, 2: 3})
    actions = env.expert_actions(0.99)
    transitions = env.step(actions)
    env.close()
    assert [states[i].decision.actions[a] for i, a in enumerate(actions)] == ["press blue"] * 3
    assert [t.step_rewards for t in transitions] == [(1.0,)] * 3


@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_the_expert_plans_for_the_discount_of_the_module(vectorization):
    """With the discount 0.1 the salad is not worth its way once the tomato is chopped."""
    kitchen = Task("twosome/TomatoSalad-v0")
    env = TextVectorEnv([kitchen.make, partial(MixtureEnv, named([kitchen], "data.env"))], vectorization)
    for gamma, plan in ((0.99, [0, 2, 4, 0, 1, 3]), (0.1, [0, 2, 4, 0, 0, 0])):
        states, taken = list(env.reset({0: 0, 1: 0}).values()), []
        policy = cloning(gamma=gamma).rollout_policy(env)
        for _ in plan:
            taken.append(policy.action_log_probs(states).argmax(1).tolist())
            states = [transition.state for transition in env.step(taken[-1])]
        assert taken == [[action, action] for action in plan]
    env.reset({0: 5, 1: 5})
    with pytest.raises(EnvironmentFailure, match="asked for gamma = 0.0: give one above 0 .*environment 0 after reset"):
        env.expert_actions(0.0)


def test_the_expert_acts_and_its_loss_is_the_cross_entropy():
    module, batches = cloning(actor_lr=0.0, critic_lr=0.0), []
    step = module.training_step
    module.training_step = lambda batch, batch_idx: (batches.append(batch), step(batch, batch_idx))[1]
    trainer = toys.trainer(max_epochs=1)
    trainer.fit(module, solved(update_epochs=1, minibatch_size=32))
    (batch,) = batches
    taken = [s.decision.actions[int(a)] for s, a in zip(batch.states, batch.actions, strict=True)]
    assert taken == ["press blue"] * 32 and trainer.callback_metrics["rollout/return"] == 1.0
    log_probs = module.eval().action_log_probs(batch.states)
    wanted = log_probs[torch.arange(32), batch.actions]
    torch.testing.assert_close(trainer.callback_metrics["loss/policy"], -wanted.mean(), rtol=1e-4, atol=1e-5)
    accuracy = (log_probs.argmax(-1) == batch.actions).float().mean()
    assert trainer.callback_metrics["policy/accuracy"] == accuracy
    torch.testing.assert_close(batch.returns, torch.ones(32))
    assert toys.unlisted(trainer, "behaviour_cloning.md") == set()


def test_the_expert_is_learned_and_exported_as_the_start_of_ppo(tmp_path):
    module = cloning(actor_lr=2e-2, critic_lr=2e-2)
    data = solved()
    before = toys.trainer(limit_val_batches=1.0).validate(module, data, verbose=False)[0]
    trainer = toys.trainer(max_epochs=8, limit_val_batches=1.0, check_val_every_n_epoch=8)
    trainer.fit(module, data)
    assert before["val/success"] < 0.3 and trainer.callback_metrics["val/success"] > 0.9
    assert trainer.callback_metrics["loss/value"] < 0.1
    trainer.save_checkpoint(tmp_path / "cloned.ckpt")
    states = [State(decision) for decision in toys.decisions()]
    cloned = module.eval().action_log_probs(states)

    again = module_of_checkpoint(tmp_path / "cloned.ckpt").eval()
    torch.testing.assert_close(again.action_log_probs(states), cloned)
    named = RolloutDataModule(Solved, num_envs=1, num_steps=1)
    export_checkpoint(cloning(), named, tmp_path / "cloned.ckpt", tmp_path / "folder")
    assert "imitates an environment's expert" in (tmp_path / "folder/README.md").read_text()
    start = toys.module(
        language_model={"name": str(tmp_path / "folder"), "lora": None}, normalization="token", beta=3.0
    )
    torch.testing.assert_close(start.eval().action_log_probs(states), cloned)
    after = toys.trainer(max_epochs=1, limit_val_batches=1.0)
    after.fit(start, solved())
    assert after.callback_metrics["val/success"] > 0.85
    assert any("lora" in name for name in toys.trainable(start))


def test_a_resumed_run_equals_the_uninterrupted_one(tmp_path):
    whole = toys.trainer(max_epochs=2)
    whole.fit(cloning(), solved())
    keep = ModelCheckpoint(tmp_path, save_last=True, every_n_train_steps=1)
    part = toys.trainer(max_epochs=2, max_steps=6, enable_checkpointing=True, callbacks=[keep])
    part.fit(cloning(), solved())
    resumed = toys.trainer(max_epochs=2)
    resumed.fit(cloning(seed=3), solved(), ckpt_path=tmp_path / "last.ckpt")
    toys.assert_equal_weights(toys.trainable(whole.lightning_module), toys.trainable(resumed.lightning_module))


def test_an_environment_without_an_expert_is_named():
    with pytest.raises(UserError, match=r"'Buttons' has no expert_action\(\)"):
        toys.trainer().fit(cloning(), toys.data(toys.Buttons))
    mixture = [Task(Solved), Task(partial(toys.Corridor))]
    data = RolloutDataModule(mixture, num_envs=2, num_steps=2)
    with pytest.raises(UserError, match=r"'Corridor' has no expert_action\(\)"):
        toys.trainer().fit(cloning(), data)


def test_settings_out_of_range_are_named():
    with pytest.raises(UserError, match="model.value_coef is -1.0; it must be at least 0"):
        cloning(value_coef=-1.0)
