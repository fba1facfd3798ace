"""An environment that raises or whose process dies: one sentence, and a checkpoint to go on from exactly."""

import logging
import os
import pickle
import signal
from functools import partial
from pathlib import Path

import pytest
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from lightning_twosome.environment_failure import EnvironmentFailure, Raised, say_raised
from lightning_twosome.errors import UserError
from lightning_twosome.rollout import EPISODE_STREAM, EVALUATION_STREAM, episode_seed
from lightning_twosome.vector_env import TextVectorEnv
from tests import toys
from tests.cli_runs import quick_config, rows, save_tiny
from tests.cli_runs import run as run_cli
from tests.test_resume import assert_equal_runs, run
from tests.toys import Corridor

FLAG = "TWOSOME_TEST_FLAG"


class OwnError(Exception):
    """Cannot be made anew from its arguments, and so not pickled."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


class Fragile(Corridor):
    """Fails in its step number ``step`` or at the reset with ``seed``, while the file of the variable exists."""

    def __init__(self, step: int = -1, seed: int = -1, how: str = "raise", **settings) -> None:
        super().__init__(**settings)
        self.fatal_step, self.fatal_seed, self.how, self.steps = step, seed, how, 0

    def reset(self, *, seed=None, options=None):
        if seed == self.fatal_seed:
            self._fail()
        return super().reset(seed=seed)

    def step(self, action):
        self.steps += 1
        if self.steps == self.fatal_step:
            self._fail()
        return super().step(action)

    def _fail(self) -> None:
        if not Path(os.environ.get(FLAG, "nowhere")).exists():
            return
        if self.how == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "own":
            raise OwnError("no", "pickle")
        raise KeyError("bowl")


@pytest.fixture
def flag(tmp_path, monkeypatch):
    path = tmp_path / "flag"
    path.touch()
    monkeypatch.setenv(FLAG, str(path))
    return path


def fail(vectorization, how="raise", actions=(1, 0, 1), first_index=0):
    """Play until the environments fail."""
    made = [partial(Fragile, step=step, how=how, limit=100, length=100) for step in (-1, len(actions))]
    env = TextVectorEnv(made, vectorization, first_index)
    try:
        env.reset({0: 3, 1: 4})
        with pytest.raises(EnvironmentFailure) as error:
            for action in actions:
                env.step([0, action])
    finally:
        env.close()
    return error.value


@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_what_is_raised_is_told_with_seed_index_and_actions(flag, vectorization):
    failure = fail(vectorization, first_index=6)
    assert str(failure) == (
        "Environment 'Fragile' raised KeyError: 'bowl'; it was environment 7 after reset(seed=4) and the actions "
        "[1, 0, 1]."
    )
    assert isinstance(failure.__cause__, KeyError) and failure.__cause__.args == ("bowl",)
    assert (failure.index, failure.seed, failure.actions) == (7, 4, (1, 0, 1))
    where = "".join(failure.__cause__.__notes__) if vectorization == "async" else ""
    assert vectorization == "sync" or "in _fail" in where, "the traceback of the other process is kept"


def test_an_exception_that_cannot_be_pickled_is_told_too(flag):
    assert "raised OwnError: no pickle; it was" in str(fail("sync", "own"))
    failure = fail("async", "own")
    assert "raised RuntimeError: OwnError: no pickle; it was" in str(failure)
    assert isinstance(failure.__cause__, RuntimeError)


def test_a_dead_process_is_told_with_what_ended_it(flag):
    failure = fail("async", "die")
    assert str(failure) == (
        "The process of environment 'Fragile' was killed by SIGKILL, as the system does when memory runs out; it was "
        "environment 1 after reset(seed=4) and the actions [1, 0, 1]."
    )
    assert isinstance(failure.__cause__, EOFError | OSError)


def test_a_long_episode_is_shortened_and_kept_whole_beside_it(flag):
    failure = fail("sync", actions=tuple([0] * 20 + [1] * 10))
    assert str(failure).endswith("30 actions, the last of which are [0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1].")
    assert len(failure.actions) == 30


def test_failures_at_reset_and_after_none_of_the_actions(flag):
    env = TextVectorEnv([lambda: Fragile(seed=9)])
    with pytest.raises(EnvironmentFailure, match=r"raised KeyError: 'bowl'; .* after reset\(seed=9\) and no action"):
        env.reset({0: 9})


def test_a_long_message_is_shortened():
    sentence = say_raised(Raised(ValueError("very\n" * 1000), "Kitchen"))
    assert "\n" not in sentence and len(sentence) < 400 and sentence.endswith("...")


def test_a_failure_travels_between_processes():
    failure = EnvironmentFailure("It broke", 3, 7, [1, 2])
    assert str(pickle.loads(pickle.dumps(failure))) == str(failure)


class Unmade(Corridor):
    """Cannot be made twice."""

    made = 0

    def __init__(self) -> None:
        Unmade.made += 1
        if Unmade.made > 1:
            os._exit(3)
        super().__init__()


def test_a_process_that_ends_while_it_is_started_is_told():
    with pytest.raises(UserError, match="ended while it made the environment"):
        TextVectorEnv([Unmade], "async")


# Runs


class Break(Callback):
    """Makes the environments fail from an epoch on; not before, when the data module tries one."""

    def __init__(self, flag: Path, epoch: int) -> None:
        self.flag, self.epoch = flag, epoch

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            self.flag.touch()


def interrupted(folder, flag, data_settings, epoch=0, checkpoints=True, **settings):
    """A run that an environment ends; its checkpoint."""
    flag.unlink()
    rare = [ModelCheckpoint(folder / "checkpoints", filename="rare", every_n_epochs=100)] if checkpoints else []
    settings = {"enable_checkpointing": checkpoints, "limit_val_batches": 0} | settings
    trainer = toys.trainer(folder, max_epochs=4, callbacks=[Break(flag, epoch), *rare], **settings)
    with pytest.raises(EnvironmentFailure):
        trainer.fit(toys.module(seed=3, target_kl=0.05), toys.data(Fragile, **data_settings))
    flag.unlink()
    return folder / "checkpoints" / "last.ckpt"


@pytest.mark.parametrize(
    ("vectorization", "how", "step"),
    [("sync", "raise", 3), ("sync", "raise", 10), ("async", "raise", 10), ("async", "die", 6)],
)
def test_a_run_goes_on_exactly_from_the_rollout_that_failed(tmp_path, flag, vectorization, how, step):
    settings = {"env_settings": {"step": step, "how": how}, "vectorization": vectorization}
    path = interrupted(tmp_path, flag, settings)
    whole = run(tmp_path, data_settings=settings | {"env": Fragile}, limit_val_batches=0)
    resumed = run(tmp_path, str(path), data_settings=settings | {"env": Fragile}, limit_val_batches=0)
    assert_equal_runs(whole, resumed)
    assert len(resumed["logged"]) == 4 - (step - 1) // 4


@pytest.mark.parametrize("interval", [1.0, 0.5])
def test_a_run_goes_on_exactly_from_the_evaluation_that_failed(tmp_path, flag, interval):
    settings = {"env_settings": {"seed": episode_seed(0, EVALUATION_STREAM, 0, 4)}}
    trainer_settings = {"limit_val_batches": 1.0, "val_check_interval": interval}
    path = interrupted(tmp_path, flag, settings, epoch=1, **trainer_settings)
    whole = run(tmp_path, data_settings=settings | {"env": Fragile}, **trainer_settings)
    resumed = run(tmp_path, str(path), data_settings=settings | {"env": Fragile}, **trainer_settings)
    assert_equal_runs(whole, resumed)
    assert set(resumed["logged"]) == {32, 48, 64}
    assert "val/return" in resumed["logged"][32], "the evaluation that failed is made again"


def test_nothing_is_written_where_no_checkpoints_are_wanted(tmp_path, flag):
    path = interrupted(tmp_path, flag, {"env_settings": {"step": 3}}, checkpoints=False)
    assert not path.exists()


@pytest.mark.parametrize(("vectorization", "how"), [("sync", "raise"), ("async", "die")])
def test_the_command_line_says_it_in_one_sentence_and_goes_on(
    tmp_path, flag, capsys, caplog, monkeypatch, vectorization, how
):
    monkeypatch.setattr(logging.getLogger("lightning_twosome"), "handlers", [])  # another test's, which is closed
    model = save_tiny(tmp_path / "model")
    seed = episode_seed(1, EPISODE_STREAM, 0, 2)  # of the first environment's third episode
    env = f"{{class_path: tests.test_environment_failure.Fragile, init_args: {{seed: {seed}, how: {how}}}}}"
    changes = {
        "num_steps: 4\n": f"num_steps: 4\n    vectorization: {vectorization}\n",
        "max_epochs: 2": "max_epochs: 3",
    }
    quick = ("fit", "--config", quick_config(tmp_path, model, env, **changes), "--trainer.limit_val_batches", 0)
    with caplog.at_level("INFO", logger="lightning_twosome"):
        assert run_cli(*quick) == 2
        error = capsys.readouterr().err.splitlines()
        assert not any(line.startswith(("Traceback", "Process ")) for line in error)
        (said,) = (line for line in error if line.startswith("error: "))
        assert "'Fragile'" in said and f"it was environment 0 after reset(seed={seed}) and no action" in said
        assert f"Checkpoint written to {tmp_path / 'run' / 'checkpoints' / 'last.ckpt'}" in caplog.text
        flag.unlink()
        assert run_cli(*quick, "--ckpt_path", "last") == 0
        assert ", 16 environment steps" in caplog.text
    assert int(float(rows(tmp_path / "run")[-1]["env_steps"])) == 24
