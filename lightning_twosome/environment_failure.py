"""An environment that raises, or whose process dies: where it was, in one sentence.

::

    env.reset / env.step --raises--> Raised, in place of the report --TextVectorEnv--> EnvironmentFailure
    a process of an async vector --dies--> EOFError, BrokenPipeError --TextVectorEnv--> EnvironmentFailure

gymnasium's own way of handing an error on from a process makes a new exception of its type with the old one as its only
argument, and waits for ever for one that cannot be pickled; hence the report.
"""

from __future__ import annotations

import os
import pickle
import signal
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any

from lightning_twosome.errors import UserError

SHOWN_ACTIONS = 12
LONGEST_TEXT = 300


@dataclass(frozen=True, slots=True)
class Raised:
    """What an environment says in place of a report when it raised.

    Attributes:
        error: What it raised, in a form that can leave the process.
        name: The environment's.
    """

    error: Exception | SystemExit
    name: str

    def __reduce__(self) -> tuple[Any, ...]:
        return Raised, (_portable(self.error), self.name)


def _portable(error: Exception | SystemExit) -> Exception | SystemExit:
    """The exception itself where it survives pickling, else one that says the same; with its traceback as a note."""
    text = "".join(traceback.format_exception(error))
    try:
        copy = pickle.loads(pickle.dumps(error))
    except Exception:
        copy = None
    if not isinstance(copy, type(error)):
        copy = RuntimeError(f"{type(error).__name__}: {error}")
    copy.add_note(f"In the environment's process:\n{text}")
    return copy


class EnvironmentFailure(UserError):
    """An environment raised, or its process died; the cause is the exception's ``__cause__``.

    Args:
        what: What happened, as the beginning of a sentence.
        index: The environment's among those of all processes.
        seed: Seed of its last reset.
        actions: Actions since then, by index in the offered list.
    """

    def __init__(self, what: str, index: int, seed: int | None, actions: Sequence[int]) -> None:
        super().__init__(f"{what}; it was environment {index} after reset(seed={seed}) and {_named(actions)}.")
        self.what = what
        self.index = index
        self.seed = seed
        self.actions = tuple(actions)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.what, self.index, self.seed, self.actions)


def _named(actions: Sequence[int]) -> str:
    if not actions:
        return "no action"
    if len(actions) <= SHOWN_ACTIONS:
        return f"the actions {list(actions)}"
    return f"{len(actions)} actions, the last of which are {list(actions[-SHOWN_ACTIONS:])}"


def say_raised(raised: Raised) -> str:
    """The beginning of a sentence: what was raised, and where a mistake of ours in the report is named, just that."""
    text = " ".join(str(raised.error).split()).rstrip(".")
    if len(text) > LONGEST_TEXT:
        text = text[:LONGEST_TEXT] + " ..."
    if isinstance(raised.error, UserError):
        return text
    return f"Environment {raised.name!r} raised {type(raised.error).__name__}: {text}"


def find_dead(processes: Sequence[Any], seconds: float = 5.0) -> tuple[int, str] | None:
    """The first process that has ended and how, once its end is known; ``None`` where all of them live on."""
    ended = wait([process.sentinel for process in processes], timeout=seconds) if processes else []
    if not ended:
        return None
    number = next(i for i, process in enumerate(processes) if process.sentinel in ended)
    processes[number].join()  # its exit code is known a moment after its end
    code = processes[number].exitcode
    if code == -signal.SIGKILL:
        return number, "was killed by SIGKILL, as the system does when memory runs out"
    return number, f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended by itself with code {code}"


def obey_signals(parent: int) -> None:
    """In a process of an environment: leave signals to the parent, but end on SIGTERM whatever the parent does."""
    if os.getpid() != parent:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if hasattr(signal, "SIGUSR1"):  # Windows has none
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def end_processes(vector: Any, seconds: float = 5.0) -> None:
    """End the processes of an async vector in which a call has failed: its own way of closing could wait for ever."""
    for pipe in vector.parent_pipes:
        if pipe is not None:
            with suppress(OSError):
                pipe.send(("close", None))
    end = time.monotonic() + seconds
    for process in vector.processes:
        process.join(max(0.0, end - time.monotonic()))
        process.kill()
        process.join()
    for pipe in vector.parent_pipes:
        if pipe is not None:
            pipe.close()
    vector.closed = True
