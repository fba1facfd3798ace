"""Says that a run has ended where the run itself cannot: it was killed, crashed, or something called ``os._exit``.

::

    this process --pipe--> a shell that waits for a line; the end of the pipe without one is the end of this process

The shell takes a megabyte and sleeps. Several processes watch one another instead (:mod:`.process_watch`).
"""

from __future__ import annotations

import atexit
import os
import subprocess
from contextlib import suppress
from typing import Any

_SHELL = "/bin/sh"


class LastWords:
    """Prints a sentence on stderr if this process ends before :meth:`unneeded` is called.

    Args:
        sentence: What is printed.
    """

    def __init__(self, sentence: str) -> None:
        self._shell: subprocess.Popen[bytes] | None = None
        if os.path.exists(_SHELL):  # Windows has none
            with suppress(OSError):  # no room for another process
                self._shell = subprocess.Popen(
                    [_SHELL, "-c", 'read -r line || echo "$0" >&2', sentence],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,  # Ctrl-C is not for it
                )
        atexit.register(self.unneeded)  # an ordinary end speaks for itself

    def unneeded(self) -> None:
        """Send the shell away."""
        atexit.unregister(self.unneeded)
        shell, self._shell = self._shell, None
        if shell is not None:
            with suppress(OSError):  # somebody has ended it
                shell.communicate(b"\n")


def sentence_for(trainer: Any) -> str:
    """What is said of a run that ended at once."""
    alone = getattr(getattr(trainer, "datamodule", None), "vectorization", None) == "sync"
    way_out = "--data.vectorization async tells whether it was an environment, and " if alone else ""
    return (
        "error: the process of this run was ended at once, by a kill, a lack of memory, a crash in compiled code or "
        f"os._exit: {way_out}fit --ckpt_path last goes on from the last checkpoint."
    )
