"""An environment that sends its process a signal; a module of its own, which a config can name."""

import os
import signal

from lightning.pytorch.callbacks import Callback

from tests import toys


class Signalling(toys.Corridor):
    """Sends the process a signal in the step with this number since training began."""

    at, number, steps = -1, signal.SIGTERM, None

    def step(self, action):
        if Signalling.steps is not None:
            Signalling.steps += 1
        if Signalling.steps == Signalling.at:
            os.kill(os.getpid(), Signalling.number)
        return super().step(action)


class FromHere(Callback):
    """Counts steps from the beginning of the training: examples are played before it."""

    def on_train_start(self, trainer, pl_module):
        Signalling.steps = 0
