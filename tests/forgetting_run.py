"""What each of two processes does for tests/test_forgetting_distributed.py; also run alone, for comparison.

Usage: python -m tests.forgetting_run FOLDER, with Lightning's LOCAL_RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT set.
"""

import os
import sys
from pathlib import Path

import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch.distributed.tensor import DTensor

from lightning_twosome import TwosomePPO
from lightning_twosome.callbacks import ForgettingCheck
from tests import toys
from tests.forgetting_tasks import NAMES


def moved(module: TwosomePPO) -> TwosomePPO:
    """With an adapter that is not 0."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.2, generator=generator)
    return module


def callback(folder: Path, **settings) -> ForgettingCheck:
    """Three documents a task, so that the processes' shares differ, unless ``settings`` say otherwise."""
    return ForgettingCheck(NAMES, task_folder=str(folder / "tasks"), **({"limit": 3, "every_n_epochs": 1} | settings))


def evaluate(folder: Path, module: TwosomePPO, **settings) -> list[dict]:
    """``validate`` with the callback."""
    check = callback(folder, limit=None)
    trainer = toys.trainer(folder, callbacks=[check], limit_val_batches=1.0, **settings)
    trainer.validate(module, datamodule=toys.data(num_envs=2, eval_num_envs=2), verbose=False)
    return check.checks


def fit(folder: Path, check: ForgettingCheck | None, **settings) -> tuple[dict, list[dict]]:
    """Trained weights, and the checks where there were any."""
    module = toys.module(actor_lr=0.05)
    trainer = toys.trainer(folder, callbacks=[check] if check else [], **settings)
    trainer.fit(module, datamodule=toys.data(num_envs=2))
    return toys.trainable(module), check.checks if check else []


def main(folder: Path) -> None:
    """The runs of one of two processes."""
    ddp = {"devices": 2, "strategy": "ddp"}
    with_check, without = fit(folder, callback(folder), **ddp), fit(folder, None, **ddp)
    validated = evaluate(folder, moved(toys.module()), **ddp)
    sharded = moved(toys.module())
    strategy = ModelParallelStrategy(data_parallel_size=2, tensor_parallel_size=1)
    result = {
        "weights": with_check[0],
        "weights without": without[0],
        "checks": with_check[1],
        "validated": validated,
        "sharded": evaluate(folder, sharded, devices=2, strategy=strategy),
        "is sharded": any(isinstance(parameter, DTensor) for parameter in sharded.parameters()),
    }
    torch.save(result, folder / f"rank{os.environ['LOCAL_RANK']}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
