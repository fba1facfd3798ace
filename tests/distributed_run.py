"""What each process of tests/test_distributed.py does; also run alone, for comparison.

Usage: python -m tests.distributed_run FOLDER RUN..., with Lightning's LOCAL_RANK, WORLD_SIZE, MASTER_ADDR and
MASTER_PORT set.
"""

import os
import sys
from pathlib import Path

import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.strategies import ModelParallelStrategy
from torch.distributed.tensor import DTensor

from lightning_twosome.callbacks import EpisodeRecorder
from lightning_twosome.environment_failure import EnvironmentFailure
from lightning_twosome.rollout import EPISODE_STREAM, episode_seed
from tests import toys
from tests.test_environment_failure import FLAG, Fragile
from tests.test_tasks import mixture

SETTINGS = {"actor_lr": 0.01, "critic_lr": 0.01}
ENVIRONMENTS = 4  # of all processes
STOPPING = {"module": {"target_kl": 1e-4, "actor_lr": 0.05}, "data": {"minibatch_size": 8}}  # four steps an iteration


class Note(Callback):
    """States and actions of every rollout, the normalised advantages of every batch, and what is logged."""

    def __init__(self):
        self.prompts, self.actions, self.normal, self.logged = [], [], [], []

    def on_rollout_end(self, trainer, pl_module, rollout):
        self.prompts.append([state.decision.prompt for state in rollout.flat_states()])
        self.actions.append(rollout.actions)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.normal.append(pl_module._advantages(batch.advantages))

    def on_train_epoch_start(self, trainer, pl_module):
        self._keep(trainer)

    def on_train_end(self, trainer, pl_module):
        self._keep(trainer)

    def _keep(self, trainer):
        if "policy/kl" in trainer.callback_metrics:
            self.logged.append(figures(trainer.callback_metrics))


def figures(metrics):
    """Metrics but for what they cost, which processes share."""
    return {name: float(value) for name, value in metrics.items() if not name.startswith(("time/", "ledger/"))}


def fit(folder, processes=1, kind="ddp", module=None, data=None, ckpt_path=None, callbacks=(), **settings):
    """One run; returns everything that must not depend on, or must depend on, the process.

    Sizes in ``data`` are those of all processes together.
    """
    note = Note()
    made = toys.module(**(SETTINGS | {"target_kl": None} | (module or {})))
    sizes = {"num_envs": ENVIRONMENTS, "eval_num_envs": ENVIRONMENTS, "minibatch_size": 16} | (data or {})
    for name in ("num_envs", "eval_num_envs", "minibatch_size"):
        sizes[name] //= processes
    rollouts = toys.data(**sizes)
    trainer = toys.trainer(
        folder,
        devices=processes,
        strategy=strategy(kind, processes),
        callbacks=[note, *callbacks],
        enable_checkpointing=any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
        **({"max_epochs": 3, "limit_val_batches": 1.0} | settings),
    )
    trainer.fit(made, rollouts, ckpt_path=ckpt_path)
    return {
        "weights": {name: whole(weight) for name, weight in made.named_parameters() if weight.requires_grad},
        "sharded": any(isinstance(weight, DTensor) for weight in made.parameters()),
        "logged": note.logged,
        "results": figures(trainer.logged_metrics),
        "prompts": note.prompts,
        "actions": note.actions,
        "normal": note.normal,
        "steps": trainer.global_step,
        "env_steps": rollouts.env_steps,
    }


def strategy(kind, processes):
    """Copies of the model ("ddp") or shards of it ("fsdp")."""
    if processes == 1:
        return "auto"
    if kind == "ddp":
        return "ddp"
    return ModelParallelStrategy(processes, tensor_parallel_size=1, save_distributed_checkpoint=False)


def whole(weight):
    """A copy of a weight, also where every process has a part."""
    return (weight.full_tensor() if isinstance(weight, DTensor) else weight).detach().clone()


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


def run(name: str, folder: Path, processes: int):
    """The run of this name, "KIND NAME"."""
    kind, name = name.split()
    common = {"folder": folder / kind, "processes": processes, "kind": kind}
    fragile = {"data": {"env": Fragile, "env_settings": {"seed": episode_seed(0, EPISODE_STREAM, 2, 2)}}}
    if name == "failure":
        return broken(**common, **fragile)[0]
    if name == "mended":
        return fit(**common, **fragile, ckpt_path=str(folder / kind / "checkpoints/last.ckpt"))
    if name == "mixture":
        return fit(**common, data={"env": mixture})
    if name == "chunked":  # more decisions than a forward takes
        return fit(**common, module={"token_budget": 120}, max_epochs=2)
    if name.startswith("from="):  # in the middle of the second iteration, of any number of processes and strategy
        return fit(**common, **STOPPING, ckpt_path=str(folder / name.removeprefix("from=") / "kept-epoch=1.ckpt"))
    if name == "stopping":
        checkpoint = ModelCheckpoint(folder / kind, filename="kept-{epoch}", save_top_k=-1, every_n_train_steps=3)
        return fit(**common, **STOPPING, callbacks=[checkpoint])
    recorder = [EpisodeRecorder(every_n_epochs=2, seconds=0.1)] if name == "recorded" else []
    return fit(**common, callbacks=recorder)


def main(folder: Path, names: list[str]) -> None:
    """Runs of one of several processes."""
    processes, rank = int(os.environ["WORLD_SIZE"]), os.environ["LOCAL_RANK"]
    runs = {name: run(name, folder, processes) for name in names}
    torch.save(runs, folder / f"processes{processes}_rank{rank}.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), sys.argv[2:])
