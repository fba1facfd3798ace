"""A run of two processes, of which the second one's loss is not finite once; the command of a test.

Usage: python -m tests.skip_run FOLDER ddp|fsdp
"""

import os
import sys
from pathlib import Path

import torch
from lightning.pytorch.callbacks import Callback

from tests import toys
from tests.distributed_run import strategy, whole


class BreakOne(Callback):
    """Makes the loss of the third optimizer step not finite in the second process."""

    def __init__(self):
        self.skipped = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == 2 and trainer.global_rank == 1:
            batch.returns[0] = float("nan")

    def on_policy_update(self, trainer, pl_module, stats):
        self.skipped.append(stats["policy/skipped_updates"])


def main(folder: Path, kind: str) -> None:
    """Train and save what this process has in the end."""
    note = BreakOne()
    trainer = toys.trainer(folder, devices=2, strategy=strategy(kind, 2), callbacks=[note])
    module = toys.module(actor_lr=0.01)
    trainer.fit(module, toys.data(num_envs=2, minibatch_size=4))
    weights = {name: whole(weight) for name, weight in module.named_parameters() if weight.requires_grad}
    torch.save({"weights": weights, "skipped": note.skipped}, folder / f"rank{os.environ['LOCAL_RANK']}.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), sys.argv[2])
