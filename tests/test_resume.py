"""A resumed run equals the uninterrupted one bit by bit, and what cannot be resumed says why."""

import math

import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from lightning_twosome import RolloutDataModule, TwosomePPO
from lightning_twosome.errors import UserError
from tests import toys
from tests.toys import Buttons, Corridor

EPOCHS, BATCHES = 4, 4  # two passes over two minibatches


class Record(Callback):
    """What was logged at the end of every epoch, times left out."""

    def __init__(self):
        self.epochs = {}

    def on_train_epoch_start(self, trainer, pl_module):
        self._keep(trainer)

    def on_train_end(self, trainer, pl_module):
        self._keep(trainer)

    def _keep(self, trainer):
        logged = {
            name: float(value)
            for name, value in trainer.logged_metrics.items()
            if not name.startswith(("time/", "ledger/"))
        }
        if "loss/policy" in logged:
            self.epochs[int(logged["env_steps"])] = logged


def run(folder, ckpt_path=None, module_settings=None, data_settings=None, checkpoint=None, **trainer_settings):
    """Train, from objects made anew each time; returns weights, optimizer state and logged metrics."""
    module = toys.module(seed=3 if ckpt_path is None else 99, **({"target_kl": 0.05} | (module_settings or {})))
    data = toys.data(**(data_settings or {}))
    record = Record()
    callbacks = [record] + ([checkpoint] if checkpoint else [])
    settings = {"max_epochs": EPOCHS, "callbacks": callbacks, "enable_checkpointing": checkpoint is not None}
    trainer = toys.trainer(folder, **(settings | {"limit_val_batches": 1.0} | trainer_settings))
    trainer.fit(module, data, ckpt_path=ckpt_path)
    return {
        "weights": toys.trainable(module),
        "optimizer": trainer.optimizers[0].state_dict(),
        "schedule": trainer.lr_scheduler_configs[0].scheduler.last_epoch,
        "logged": record.epochs,
        "env_steps": data.env_steps,
        "steps": trainer.global_step,
    }


def assert_equal_optimizers(first, second):
    assert first["param_groups"] == second["param_groups"]
    assert first["state"].keys() == second["state"].keys()
    for index, state in first["state"].items():
        assert all(torch.equal(value, second["state"][index][name]) for name, value in state.items())


def assert_equal_runs(first, second):
    toys.assert_equal_weights(first["weights"], second["weights"])
    assert_equal_optimizers(first["optimizer"], second["optimizer"])
    assert (first["schedule"], first["env_steps"], first["steps"]) == (
        second["schedule"],
        second["env_steps"],
        second["steps"],
    )
    assert second["logged"], "the resumed run must have logged something"
    for steps, logged in second["logged"].items():
        expected = first["logged"][steps]
        # After a validation Lightning ends the epoch again, and does not know the validation's results any more.
        missing = {name for name in expected.keys() ^ logged.keys() if not name.startswith("val/")}
        assert not missing, missing
        different = {n: (v, expected[n]) for n, v in logged.items() if v != expected[n] and not math.isnan(v)}
        assert not different, different


# Each writes one checkpoint and keeps it: when it is written, in which settings.
CHECKPOINTS = {
    "end of an epoch": ({"every_n_epochs": 2, "save_on_train_epoch_end": True}, {}),
    "after validation": ({"every_n_epochs": 2, "save_on_train_epoch_end": False}, {}),
    "first batch": ({"every_n_train_steps": 5}, {}),
    "middle of an epoch": ({"every_n_train_steps": 6}, {}),
    "last batch of an epoch": ({"every_n_train_steps": 8}, {}),
    "between validations": ({"every_n_train_steps": 6}, {"val_check_interval": 0.5}),
    "accumulating": ({"every_n_train_steps": 3}, {"accumulate_grad_batches": 2}),
}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Whole runs by trainer settings, made once."""
    runs = {}

    def of(**settings):
        key = tuple(sorted(settings.items()))
        if key not in runs:
            runs[key] = run(tmp_path_factory.mktemp("whole"), **settings)
        return runs[key]

    return of


@pytest.mark.parametrize("when", CHECKPOINTS)
def test_resumed_equals_uninterrupted(tmp_path, uninterrupted, when):
    schedule, settings = CHECKPOINTS[when]
    checkpoint = ModelCheckpoint(tmp_path, filename="kept-{epoch}", save_top_k=-1, monitor=None, **schedule)
    whole = uninterrupted(**settings)
    saving = run(tmp_path, checkpoint=checkpoint, **settings)
    toys.assert_equal_weights(saving["weights"], whole["weights"])  # saving changes nothing
    resumed = run(tmp_path, ckpt_path=str(tmp_path / "kept-epoch=1.ckpt"), **settings)
    assert_equal_runs(whole, resumed)


def test_a_finished_annealed_run_goes_on_at_the_learning_rate_of_a_longer_one(tmp_path):
    class Rates(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            self.first = getattr(self, "first", None) or trainer.optimizers[0].param_groups[0]["lr"]

    checkpoint = ModelCheckpoint(tmp_path, save_last=True, every_n_epochs=1, save_on_train_epoch_end=True)
    run(tmp_path, module_settings={"actor_lr": 0.01}, checkpoint=checkpoint, max_epochs=1)
    rates = Rates()
    trainer = toys.trainer(tmp_path, max_epochs=2, callbacks=[rates])
    trainer.fit(toys.module(actor_lr=0.01), toys.data(), ckpt_path=tmp_path / "last.ckpt")
    assert rates.first == 0.01 * 0.5


def test_an_annealed_run_stopped_by_kl_resumes_in_its_stopped_iteration(tmp_path):
    """The stop is part of the state: later batches of the iteration stay skipped."""
    settings = {"module_settings": {"target_kl": 1e-9, "actor_lr": 0.05}}
    checkpoint = ModelCheckpoint(tmp_path, filename="kept-{epoch}", save_top_k=-1, monitor=None, every_n_train_steps=7)
    whole = run(tmp_path, checkpoint=checkpoint, **settings)
    assert all(logged["policy/update_stopped"] == 1 for logged in whole["logged"].values())
    assert_equal_runs(whole, run(tmp_path, ckpt_path=str(tmp_path / "kept-epoch=1.ckpt"), **settings))


def test_resume_below_float32(tmp_path):
    """Weights are trained in float32 and come back so, though Lightning converts the module to bfloat16."""
    settings = {"precision": "bf16-true", "limit_val_batches": 0}
    checkpoint = ModelCheckpoint(tmp_path, filename="kept-{epoch}", save_top_k=-1, monitor=None, every_n_train_steps=6)
    whole = run(tmp_path, checkpoint=checkpoint, **settings)
    assert_equal_runs(whole, run(tmp_path, ckpt_path=str(tmp_path / "kept-epoch=1.ckpt"), **settings))
    assert all(weight.dtype == torch.float32 for weight in whole["weights"].values())


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A checkpoint from the middle of the second epoch, and the module that wrote it."""
    folder = tmp_path_factory.mktemp("saved")
    checkpoint = ModelCheckpoint(folder, filename="kept-{epoch}", save_top_k=-1, monitor=None, every_n_train_steps=6)
    run(folder, checkpoint=checkpoint, max_epochs=2)
    return folder / "kept-epoch=1.ckpt"


def test_a_checkpoint_holds_what_training_changes_and_nothing_else(saved):
    content = torch.load(saved, weights_only=True)
    names = content["state_dict"]
    kept = [name for name in names if name.startswith("actor_critic.")]
    assert kept and all("lora_" in n or ".critic." in n or n == "actor_critic.log_beta" for n in kept)
    trained = sum(weight.numel() for weight in toys.trainable(toys.module()).values())
    # Weights and two moments in float32, and what remains: episodes, samples, metrics.
    assert saved.stat().st_size < 3 * 4 * trained + 60_000
    data = content["RolloutDataModule"]
    assert data["iteration"] == 2 and data["env_steps"] == 32 and data["batches_done"] == 2
    assert data["collector"]["indices"] == [0, 1, 2, 3]


def test_loading_names_no_frozen_weight_but_a_trained_one_that_is_missing(saved, recwarn):
    loaded = TwosomePPO.load_from_checkpoint(saved)
    assert not [str(one.message) for one in recwarn if "not in the checkpoint" in str(one.message)]
    weights = torch.load(saved, weights_only=True)["state_dict"]
    assert loaded.load_state_dict(weights, strict=False).missing_keys == []
    del weights["actor_critic.log_beta"]
    assert loaded.load_state_dict(weights, strict=False).missing_keys == ["actor_critic.log_beta"]


def test_load_from_checkpoint_gives_the_trained_policy(saved, tmp_path):
    loaded = TwosomePPO.load_from_checkpoint(saved)
    weights = torch.load(saved, weights_only=True)["state_dict"]
    for name, weight in toys.trainable(loaded).items():
        assert torch.equal(weight, weights[name])
    assert loaded.hparams["critic_hidden"] == (16,) and loaded.hparams["target_kl"] == 0.05
    other = TwosomePPO.load_from_checkpoint(saved, entropy_coef=0.5)
    assert other.hparams["entropy_coef"] == 0.5
    results = toys.trainer(tmp_path, limit_val_batches=1.0).validate(loaded, toys.data(), verbose=False)
    by_path = toys.trainer(tmp_path, limit_val_batches=1.0).validate(
        toys.module(seed=5, target_kl=0.05), toys.data(), ckpt_path=str(saved), weights_only=True, verbose=False
    )
    first, second = (
        {
            name: value
            for name, value in found[0].items()
            if name != "step" and not name.startswith(("time/", "ledger/"))
        }
        for found in (results, by_path)
    )
    assert first == second and "val/return" in first


def test_a_learned_beta_survives_loading_and_evaluation(tmp_path):
    settings = {"beta": "mean_count", "learn_beta": True, "beta_lr": 0.1, "actor_lr": 0.0}
    module = toys.module(**settings)
    trainer = toys.trainer(tmp_path, limit_val_batches=1)
    trainer.fit(module, toys.data())
    beta = module.agent.log_beta.item()
    trainer.save_checkpoint(tmp_path / "beta.ckpt")
    trainer.validate(module, toys.data(), verbose=False)
    assert module.agent.log_beta.item() == beta
    loaded = TwosomePPO.load_from_checkpoint(tmp_path / "beta.ckpt")
    trainer.validate(loaded, toys.data(), verbose=False)
    assert loaded.agent.log_beta.item() == beta


def refusal(tmp_path, saved, module=None, data=None, **settings):
    with pytest.raises(UserError) as error:
        toys.trainer(tmp_path, max_epochs=EPOCHS, **settings).fit(
            module or toys.module(), data or toys.data(), ckpt_path=str(saved)
        )
    return str(error.value)


class OtherDataModule(RolloutDataModule):
    """A subclass, under whose name the checkpoint holds nothing."""


def test_what_does_not_fit_a_checkpoint_is_named(saved, tmp_path):
    other_lora = toys.module(language_model=toys.language_model(lora={"r": 2}))
    assert "trainable weights are not this model's (8 differ" in refusal(tmp_path, saved, module=other_lora)
    assert "critic_hidden" in refusal(tmp_path, saved, module=toys.module(critic_hidden=(8,)))
    other = OtherDataModule(Corridor, num_envs=4, num_steps=4)
    assert "no state of a data module named 'OtherDataModule'" in refusal(tmp_path, saved, data=other)
    assert "does not come back" in refusal(tmp_path, saved, data=toys.data(env=Buttons))
    assert "in the middle of an iteration" in refusal(tmp_path, saved, data=toys.data(minibatch_size=4))


def test_another_number_of_environments_in_all_keeps_the_counters(tmp_path):
    """Fresh episodes, where two processes become one with half of the environments."""
    run(tmp_path, checkpoint=ModelCheckpoint(tmp_path, filename="end"), max_epochs=2)
    content = torch.load(tmp_path / "end.ckpt", weights_only=True)
    content["RolloutDataModule"]["world_size"] = 2
    for name, entries in content["RolloutDataModule"]["collector"].items():
        content["RolloutDataModule"]["collector"][name] = entries * 2
    torch.save(content, tmp_path / "two.ckpt")
    data = toys.data()
    toys.trainer(tmp_path, max_epochs=EPOCHS).fit(
        toys.module(target_kl=0.05), data, ckpt_path=str(tmp_path / "two.ckpt")
    )
    assert (data.iteration, data.env_steps) == (EPOCHS, 16 * EPOCHS)


def test_a_second_fit_begins_with_a_rollout_of_its_own(tmp_path):
    """Nothing of a first fit's rollout is left over, wherever it was cut off."""
    data = toys.data()
    toys.trainer(tmp_path, max_epochs=1, limit_train_batches=1).fit(toys.module(), data)
    assert data.iteration == 1
    module = toys.module(seed=1)
    toys.trainer(tmp_path, max_epochs=1).fit(module, data)
    assert data.iteration == 2 and data.env_steps == 32


def test_evaluating_a_checkpoint_leaves_no_trace_in_a_later_fit(saved, tmp_path):
    data, module = toys.data(), toys.module(target_kl=0.05)
    trainer = toys.trainer(tmp_path, max_epochs=1, limit_val_batches=1)
    trainer.validate(module, data, ckpt_path=str(saved), verbose=False)
    trainer.fit(module, data)
    assert trainer.global_step == BATCHES
