"""An update that is not finite changes nothing; many of them in a row end the run."""

from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from lightning_twosome.errors import UserError
from lightning_twosome.modules.skipped_updates import say_why
from tests import toys
from tests.processes import finish, start
from tests.test_resume import Record, assert_equal_optimizers

BAD = float("nan")


class Break(Callback):
    """Makes the loss, or one entry of a gradient, of the optimizer steps with these numbers not finite.

    Keeps weights and optimizer from before and after each of them.
    """

    def __init__(self, steps, what="loss"):
        self.steps, self.what, self.seen = set(steps), what, []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.broken = trainer.global_step in self.steps
        self.before = state(trainer, pl_module)
        if self.broken and self.what == "loss":
            batch.returns[0] = BAD

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        if self.broken and self.what == "gradient":
            pl_module.critic_parameters()[0].grad.view(-1)[0] = float("inf")

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if self.broken:
            self.seen.append((self.before, state(trainer, pl_module)))


def state(trainer, module):
    return toys.trainable(module), deepcopy(trainer.optimizers[0].state_dict())


def fit(folder, breaking, max_epochs=2, checkpoint=None, **module):
    record = Record()
    callbacks = [breaking, record, *([checkpoint] if checkpoint else [])]
    trainer = toys.trainer(folder, max_epochs=max_epochs, callbacks=callbacks, enable_checkpointing=bool(checkpoint))
    made = toys.module(**module)
    trainer.fit(made, toys.data())
    return made, record.epochs


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_step_is_skipped_and_counted(tmp_path, what):
    breaking = Break([2, 5, 6], what)
    module, logged = fit(tmp_path, breaking, actor_lr=0.01)
    assert len(breaking.seen) == 3
    for (weights, optimizer), (weights_after, optimizer_after) in breaking.seen:
        toys.assert_equal_weights(weights, weights_after)
        assert_equal_optimizers(optimizer, optimizer_after)
    assert [epoch["policy/skipped_updates"] for epoch in logged.values()] == [1, 2]
    assert all(weight.isfinite().all() for weight in module.parameters())


def test_a_stopped_update_is_no_skipped_one(tmp_path):
    _, logged = fit(tmp_path, Break([]), target_kl=1e-9, actor_lr=0.05)
    assert all(epoch["policy/update_stopped"] == 1 for epoch in logged.values())
    assert all(epoch["policy/skipped_updates"] == 0 for epoch in logged.values())


def test_too_many_in_a_row_end_the_run_with_the_last_good_weights(tmp_path):
    breaking = Break([1, 3, 4, 5, 6])
    checkpoint = ModelCheckpoint(tmp_path / "rare", every_n_epochs=100)
    with pytest.raises(UserError) as error:
        fit(tmp_path, breaking, max_epochs=3, checkpoint=checkpoint, max_skipped_updates=3)
    assert str(error.value).startswith(
        "The last 3 updates in a row were skipped, because loss or gradient was not finite (loss nan, gradients not "
        "finite in "
    )
    assert "the rollout was in order: lower the learning rates" in str(error.value)
    assert len(breaking.seen) == 4, "the one before did not count, since a good one was between"
    kept = torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)
    for name, weight in breaking.seen[-1][0][0].items():
        assert torch.equal(kept["state_dict"][name], weight) and weight.isfinite().all()
    assert kept["skipped_updates"] == {"in_iteration": 2, "in_a_row": 3}
    data = toys.data()
    trainer = toys.trainer(tmp_path, max_epochs=3)
    trainer.fit(toys.module(seed=5), data, ckpt_path=tmp_path / "checkpoints/last.ckpt")
    assert trainer.global_step == 12 and data.env_steps == 48


def test_gradients_alone_are_named(tmp_path):
    with pytest.raises(UserError, match=r"gradients not finite in 1 of \d+ weights, such as \S+critic\S+\), and the"):
        fit(tmp_path, Break([6, 7], "gradient"), max_skipped_updates=2)  # the training's last ones


@pytest.mark.parametrize(
    ("name", "cause"), [("returns", "the environment's rewards"), ("log_probs", "the model and its dtype")]
)
def test_the_diagnosis_looks_at_the_rollout(name, cause):
    entries = {"returns": torch.zeros(3), "log_probs": torch.zeros(3, 2)}
    entries[name][0] = BAD
    said = say_why(1, BAD, {"weight": torch.zeros(2)}, SimpleNamespace(**entries))
    assert said.startswith("The last update was skipped, because loss or gradient was not finite (loss nan, gradients")
    assert f"look at {cause}" in said


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_what_is_not_finite_in_one_process_is_skipped_in_both(tmp_path, kind):
    finish(tmp_path, start(tmp_path, 2, "tests.skip_run", kind))
    first, second = (torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2))
    toys.assert_equal_weights(first["weights"], second["weights"])
    assert all(weight.isfinite().all() for weight in first["weights"].values())
    assert first["skipped"] == second["skipped"] == [1, 0]
