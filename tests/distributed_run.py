"""What each of two processes does for tests/test_distributed.py; also run alone, for comparison.

Usage: python -m tests.distributed_run FOLDER, with Lightning's LOCAL_RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT set.
"""

import os
import sys
from pathlib import Path

import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from lightning_twosome.environment_failure import EnvironmentFailure
from lightning_twosome.rollout import EPISODE_STREAM, episode_seed
from tests import toys
from tests.test_environment_failure import FLAG, Fragile
from tests.test_tasks import mixture

SETTINGS = {"actor_lr": 0.01, "critic_lr": 0.01}


class Note(Callback):
    """States, actions and advantages of every rollout, and the normalised advantages of every batch."""

    def __init__(self):
        self.prompts, self.actions, self.normal, self.logged = [], [], [], []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == 0:
            samples = trainer.datamodule.samples
            shape = (trainer.datamodule.num_steps, trainer.datamodule.num_envs)
            self.prompts.append([decision.prompt for decision in samples.decisions])
            self.actions.append(samples.actions.view(shape))
        self.normal.append(pl_module._advantages(batch.advantages))

    def on_train_epoch_start(self, trainer, pl_module):
        self._keep(trainer)

    def on_train_end(self, trainer, pl_module):
        self._keep(trainer)

    def _keep(self, trainer):
        if "policy/kl" in trainer.callback_metrics:
            self.logged.append(
                {k: float(v) for k, v in trainer.callback_metrics.items() if not k.startswith(("time/", "ledger/"))}
            )


def fit(folder, processes, num_envs, module=None, data=None, ckpt_path=None, callbacks=(), **settings):
    """One run; returns everything that must not depend on, or must depend on, the process."""
    note = Note()
    made = toys.module(**(SETTINGS | {"target_kl": None} | (module or {})))
    rollouts = toys.data(num_envs=num_envs, eval_num_envs=num_envs, **({"minibatch_size": None} | (data or {})))
    trainer = toys.trainer(
        folder,
        devices=processes,
        strategy="ddp" if processes > 1 else "auto",
        callbacks=[note, *callbacks],
        enable_checkpointing=bool(callbacks),
        **({"max_epochs": 3, "limit_val_batches": 1.0} | settings),
    )
    trainer.fit(made, rollouts, ckpt_path=ckpt_path)
    return {
        "weights": toys.trainable(made),
        "logged": note.logged,
        "results": {k: float(v) for k, v in trainer.logged_metrics.items() if not k.startswith(("time/", "ledger/"))},
        "prompts": note.prompts,
        "actions": note.actions,
        "normal": note.normal,
        "steps": trainer.global_step,
        "env_steps": rollouts.env_steps,
    }


def broken(folder, **settings):
    """A run in which an environment of the second process fails: what each process hears of it, and its checkpoint."""
    os.environ[FLAG] = __file__
    checkpoint = ModelCheckpoint(folder / "rare", every_n_epochs=100)
    try:
        fit(folder, **settings, callbacks=[checkpoint])
    except EnvironmentFailure as failure:
        return str(failure), str(folder / "checkpoints/last.ckpt")
    finally:
        del os.environ[FLAG]
    raise AssertionError("the environment should have failed")


def main(folder: Path) -> None:
    """The runs of one of two processes."""
    half = {"processes": 2, "num_envs": 2}
    stopping = {"module": {"target_kl": 1e-4, "actor_lr": 0.05}, "data": {"minibatch_size": 4}}
    checkpoint = ModelCheckpoint(folder, filename="kept-{epoch}", save_top_k=-1, every_n_train_steps=6)
    third_environment = episode_seed(0, EPISODE_STREAM, 2, 2)
    fragile = {"data": {"env": Fragile, "env_settings": {"seed": third_environment}}}
    failure, last = broken(folder, **half, **fragile)
    runs = {
        "failure": failure,
        "mended": fit(folder, **half, **fragile, ckpt_path=last),
        "mixture": fit(folder, **half, data={"env": mixture}),
        "plain": fit(folder, **half),
        "stopping": fit(folder, **half, **stopping, callbacks=[checkpoint]),
        "resumed": fit(folder, **half, **stopping, ckpt_path=str(folder / "kept-epoch=1.ckpt")),
    }
    torch.save(runs, folder / f"rank{os.environ['LOCAL_RANK']}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
