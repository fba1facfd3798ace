"""Every feature of Lightning's Trainer that docs/lightning.md promises, on two or three short iterations."""

import csv

import pytest
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    GradientAccumulationScheduler,
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
    Timer,
    TQDMProgressBar,
)
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from lightning_twosome.errors import UserError
from tests import toys


class Count(Callback):
    """What ran: (iteration, batch) of every training batch, and the validations with the steps before them."""

    def __init__(self):
        self.batches, self.validations, self.rollouts = [], [], []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.batches.append((trainer.datamodule.iteration, batch_idx))
        self.rollouts.append(batch)

    def on_validation_end(self, trainer, pl_module):
        if not trainer.sanity_checking:
            self.validations.append(len(self.batches))


def fit(tmp_path, module=None, data=None, **settings):
    count = Count()
    trainer = toys.trainer(tmp_path, **settings)
    trainer.callbacks.append(count)
    module, data = module or toys.module(), data or toys.data()
    trainer.fit(module, data)
    trainer.count = count
    return trainer


def test_fast_dev_run(tmp_path):
    trainer = fit(tmp_path, fast_dev_run=True, limit_val_batches=None)
    assert trainer.count.batches == [(1, 0)] and trainer.count.validations == [1]


@pytest.mark.parametrize("limit", [3, 0.75])
def test_limit_train_batches(tmp_path, limit):
    """Each iteration still begins with a rollout of its own."""
    trainer = fit(tmp_path, limit_train_batches=limit)
    assert trainer.count.batches == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]


def test_limit_val_batches(tmp_path):
    played = []
    module = toys.module()
    play = module.play
    module.play = lambda batch, *args: (played.append(batch.greedy), play(batch, *args))[1]
    fit(tmp_path, module, limit_val_batches=2, max_epochs=1)
    assert played == [False, False]


def test_overfit_batches_keeps_the_first_rollout(tmp_path):
    trainer = fit(tmp_path, overfit_batches=1, max_epochs=3, limit_val_batches=None)
    assert trainer.count.batches == [(1, 0)] * 3
    first, *others = trainer.count.rollouts
    assert all(torch.equal(batch.actions, first.actions) for batch in others)
    assert trainer.datamodule.env_steps == 16


def test_accumulated_gradients_are_those_of_one_batch(tmp_path):
    """Two batches of 8 accumulated against one of 16, with advantages that are normalised over neither."""
    weights = []
    for minibatch_size, accumulate in ((8, 2), (16, 1)):
        module = toys.module(normalize_advantages=False)
        data = toys.data(minibatch_size=minibatch_size, update_epochs=1)
        trainer = fit(tmp_path, module, data, accumulate_grad_batches=accumulate)
        assert trainer.global_step == 2
        weights.append(toys.trainable(module))
    for name, weight in weights[0].items():
        torch.testing.assert_close(weight, weights[1][name], rtol=1e-4, atol=1e-6)


def test_gradient_accumulation_scheduler(tmp_path):
    trainer = fit(tmp_path, callbacks=[GradientAccumulationScheduler({0: 4, 1: 2, 2: 1})], max_epochs=3)
    assert trainer.global_step == 1 + 2 + 4


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_precisions(tmp_path, precision):
    module = toys.module(target_kl=0.05)
    trainer = fit(tmp_path, module, precision=precision, limit_val_batches=1.0)
    assert all(weight.dtype == torch.float32 for weight in toys.trainable(module).values())
    assert all(float(value) == float(value) for value in trainer.logged_metrics.values())
    assert trainer.predict(module, toys.data(), return_predictions=True)


def test_16_mixed_is_refused(tmp_path, monkeypatch):
    module = toys.module()
    trainer = toys.trainer(tmp_path)
    monkeypatch.setattr(type(trainer), "precision", property(lambda self: "16-mixed"))  # itself refused on a CPU
    with pytest.raises(UserError, match="precision=16-mixed .* use bf16-mixed, bf16-true or 32-true"):
        trainer.fit(module, toys.data())


@pytest.mark.parametrize("bar", [RichProgressBar, TQDMProgressBar])
def test_progress_bars(tmp_path, bar, capfd):
    fit(tmp_path, callbacks=[bar()], enable_progress_bar=True, limit_val_batches=1.0)
    captured = capfd.readouterr()
    assert "rollout/return" in captured.out + captured.err or "policy/kl" in captured.out + captured.err


def test_early_stopping_on_the_evaluation(tmp_path):
    stopping = EarlyStopping("val/return", mode="max", patience=1, min_delta=1e9)
    trainer = fit(tmp_path, callbacks=[stopping], max_epochs=9, limit_val_batches=1.0)
    assert trainer.current_epoch == 2


def test_model_checkpoint_keeps_the_best_and_the_last(tmp_path):
    best = ModelCheckpoint(
        tmp_path / "kept", filename="{epoch}-{step}", monitor="val/return", mode="max", save_last=True
    )
    trainer = fit(tmp_path, callbacks=[best], enable_checkpointing=True, limit_val_batches=1.0, max_epochs=3)
    assert (tmp_path / "kept" / "last.ckpt").exists()
    content = torch.load(best.best_model_path, weights_only=True)
    assert content["RolloutDataModule"]["env_steps"] % 16 == 0 and best.best_model_score is not None
    for stage in (trainer.validate, trainer.test):
        (result,) = stage(
            ckpt_path="best", weights_only=True, datamodule=toys.data(), model=toys.module(), verbose=False
        )
        assert result["val/return" if stage == trainer.validate else "test/return"] == pytest.approx(
            float(best.best_model_score)
        )
    name = best.best_model_path.rpartition("/")[2]
    assert int(float(name.split("step=")[1].removesuffix(".ckpt"))) % 16 == 0, "environment steps in the name"


def test_predict_plays_transcripts(tmp_path):
    batches = toys.trainer(tmp_path).predict(toys.module(), toys.data())
    episodes = [played for batch in batches for played in batch]
    assert len(episodes) == 6 and all(len(p.transcript) == p.episode.length for p in episodes)


def test_validation_is_the_same_twice(tmp_path):
    module, data = toys.module(), toys.data()
    first, second = (toys.trainer(tmp_path, limit_val_batches=1.0).validate(module, data, verbose=False) for _ in "ab")
    timeless = [
        {k: v for k, v in logged.items() if not k.startswith(("time/", "ledger/"))} for (logged,) in (first, second)
    ]
    assert timeless[0] == timeless[1] and "val/return" in timeless[0]


def test_learning_rate_monitor(tmp_path):
    logger = CSVLogger(tmp_path)
    fit(tmp_path, callbacks=[LearningRateMonitor("epoch")], logger=logger, max_epochs=3)
    with open(f"{logger.log_dir}/metrics.csv") as file:
        rows = list(csv.DictReader(file))
    # Under another name than the module's own, which stand at environment steps.
    rates = [float(row["schedule/actor"]) for row in rows if row["schedule/actor"]]
    assert rates == pytest.approx([1e-3, 2e-3 / 3, 1e-3 / 3])


@pytest.mark.parametrize("kind", ["csv", "tensorboard"])
def test_loggers_count_environment_steps(tmp_path, kind):
    if kind == "csv":
        logger = CSVLogger(tmp_path)
        fit(tmp_path, logger=logger, max_epochs=3, limit_val_batches=1.0)
        with open(f"{logger.log_dir}/metrics.csv") as file:
            steps = {int(row["step"]) for row in csv.DictReader(file) if row["policy/kl"]}
    else:
        accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
        logger = TensorBoardLogger(tmp_path)
        fit(tmp_path, logger=logger, max_epochs=3, limit_val_batches=1.0)
        logger.experiment.close()
        events = accumulator.EventAccumulator(logger.log_dir)
        events.Reload()
        steps = {event.step for event in events.Scalars("policy/kl")}
        assert steps == {event.step for event in events.Scalars("val/return")}
    assert steps == {16, 32, 48}


def test_simple_profiler(tmp_path):
    trainer = fit(tmp_path, profiler="simple")
    assert "training_step" in trainer.profiler.summary()


def test_deterministic(tmp_path):
    runs = []
    for _ in range(2):
        module = toys.module()
        fit(tmp_path, module, deterministic=True)
        runs.append(toys.trainable(module))
    toys.assert_equal_weights(*runs)
    torch.use_deterministic_algorithms(False)


def test_the_same_seed_is_the_same_run_and_another_is_not(tmp_path):
    runs = []
    for seed in (4, 4, 5):
        module = toys.module(seed=seed)
        fit(tmp_path, module, toys.data(seed=None))
        runs.append(toys.trainable(module))
    toys.assert_equal_weights(runs[0], runs[1])
    assert any(not torch.equal(runs[0][name], runs[2][name]) for name in runs[0])


def test_validation_changes_no_training(tmp_path):
    runs = []
    for limit in (0, 1.0):
        module = toys.module()
        fit(tmp_path, module, limit_val_batches=limit, num_sanity_val_steps=2, max_epochs=3)
        runs.append(toys.trainable(module))
    toys.assert_equal_weights(*runs)


@pytest.mark.parametrize(
    ("settings", "validations"),
    [
        ({"val_check_interval": 0.5}, [2, 4, 6, 8]),
        ({"val_check_interval": 2}, [2, 4, 6, 8]),
        ({"val_check_interval": 6, "check_val_every_n_epoch": None}, [6]),
        ({"check_val_every_n_epoch": 2}, [8]),
        ({"num_sanity_val_steps": 2}, [4, 8]),
    ],
)
def test_when_validation_runs(tmp_path, settings, validations):
    trainer = fit(tmp_path, limit_val_batches=1.0, **settings)
    assert trainer.count.validations == validations
    assert trainer.count.batches == [(1, i) for i in range(4)] + [(2, i) for i in range(4)]


def test_time_limits_stop_in_between(tmp_path):
    trainer = fit(tmp_path, max_time={"seconds": 1}, max_epochs=10_000)
    assert 0 < trainer.current_epoch < 10_000
    timer = Timer({"seconds": 1}, interval="epoch")
    trainer = fit(tmp_path, callbacks=[timer], max_epochs=10_000)
    assert 0 < trainer.current_epoch < 10_000 and timer.time_elapsed("train") > 1
    assert len(trainer.count.batches) == 4 * trainer.current_epoch


def test_an_epoch_cut_short_leaves_no_batches_behind(tmp_path):
    """A callback may end an epoch: the next one begins with a rollout of its own, not with what was left."""

    class Cut(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            return -1 if batch_idx == 1 and trainer.current_epoch == 0 else None

    trainer = fit(tmp_path, callbacks=[Cut()])
    assert trainer.count.batches[-4:] == [(2, 0), (2, 1), (2, 2), (2, 3)]


def test_detect_anomaly_finds_none(tmp_path):
    trainer = fit(tmp_path, toys.module(learn_beta=True), detect_anomaly=True)
    assert trainer.count.batches[-1] == (2, 3), "it would have raised"


def test_gradient_checkpointing_changes_nothing_but_memory(tmp_path):
    runs = []
    for checkpointing in (False, True):
        module = toys.module(language_model=toys.language_model(gradient_checkpointing=checkpointing))
        fit(tmp_path, module)
        assert module.agent.model.is_gradient_checkpointing == checkpointing
        runs.append(toys.trainable(module))
    for name, weight in runs[0].items():
        torch.testing.assert_close(weight, runs[1][name], rtol=1e-5, atol=1e-7)


def test_a_module_can_do_without_an_adapter(tmp_path):
    """Every weight of the language model trains, and the critic reads it."""
    module = toys.module(language_model=toys.language_model(lora=None), critic="adapted", share_work=True)
    before = toys.trainable(module)
    fit(tmp_path, module)
    assert sum(not torch.equal(before[name], weight) for name, weight in toys.trainable(module).items()) > 20
