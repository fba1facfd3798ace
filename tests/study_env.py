"""An environment that kills its own process once, after the run's first checkpoint: what a lost worker looks like."""

import os
import signal
from pathlib import Path

from tests.toys import Corridor

VARIABLE = "TWOSOME_TEST_KILL"  # names the run folder; nothing is killed without


class Fatal(Corridor):
    """The corridor, but for that; its best possible return is said to be 2."""

    optimal_discounted_return = 2.0

    def step(self, action: int):
        folder = os.environ.get(VARIABLE)
        if folder and Path(folder, "checkpoints/last.ckpt").exists() and not Path(folder, "killed").exists():
            Path(folder, "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step(action)
