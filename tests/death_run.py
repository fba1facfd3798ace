"""A run in which one process dies; the command line of tests/test_process_watch.py.

Usage: python -m tests.death_run FOLDER ARGUMENTS..., with DEATH="RANK WHERE HOW": where is rollout or update, how is
exit, kill or error. The moment is written to FOLDER/death.
"""

import os
import signal
import sys
import time
from pathlib import Path

from lightning.pytorch.callbacks import Callback

from lightning_twosome.main import main
from tests import toys


def die(where):
    """Die, if it is here and in this process."""
    rank, place, how = os.environ["DEATH"].split()
    if (os.environ.get("LOCAL_RANK", "0"), place) != (rank, where):
        return
    (Path(sys.argv[1]) / "death").write_text(str(time.monotonic()))
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "error":
        raise RuntimeError("a mistake of its own")
    os._exit(7)


class Deadly(toys.Corridor):
    """Ends the process in the third rollout."""

    steps = None

    def step(self, action):
        if Deadly.steps is not None:
            Deadly.steps += 1
            if Deadly.steps == 20:
                die("rollout")
        return super().step(action)


class Dying(Callback):
    """Ends the process in the second iteration's update."""

    def on_train_start(self, trainer, pl_module):
        Deadly.steps = 0

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        if trainer.current_epoch == 1:
            die("update")


def arguments(folder):
    """A short run of two processes that Lightning starts itself."""
    model = "{class_path: TwosomePPO, init_args: {critic_hidden: [16], language_model: {name: %s, lora: {r: 4}}}}"
    return [
        "fit", f"--run_dir={folder}/run", "--model=" + model % os.environ["TOY_MODEL"], "--seed_everything=0",
        "--data.env={class_path: tests.death_run.Deadly}", "--data.num_envs=2", "--data.num_steps=4",
        "--data.eval_episodes=2", "--data.eval_num_envs=2", "--trainer.max_epochs=5",
        "--trainer.accelerator=cpu", "--trainer.devices=2",
        "--trainer.callbacks+=tests.death_run.Dying", "--trainer.limit_val_batches=0",
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main([*arguments(sys.argv[1]), *sys.argv[2:]]))
