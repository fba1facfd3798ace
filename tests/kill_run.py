"""Kills a ``fit`` at random moments, goes on with the same command, and compares with a run that nobody killed.

Usage: python -m tests.kill_run FOLDER [--kills 50] [--seed 0] [--processes 1] [--signal SIGKILL] [--jobs 1]

::

    fit --killed at a moment--> fit --ckpt_path last [--killed again--> ...] --> the same rows, weights and optimizer

A moment is the n-th time that the run comes to one of the places below, or any time. Each run is forked from this
process, which has imported everything once.
"""

from __future__ import annotations

import argparse
import csv
import mmap
import os
import random
import signal
import socket
import struct
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import peft  # noqa: F401  what a run imports when it needs it, once for all runs
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from torch.utils import tensorboard  # noqa: F401

from lightning_twosome import files
from lightning_twosome.main import main
from lightning_twosome.run_folder import load_checkpoint
from tests import toys

ANY_TIME = "any time"
ITERATIONS = 3
WRITING = (
    "half of a file written", "before fsync", "before renaming", "after renaming", "checkpoint before writing",
    "row before writing", "row after writing",
)  # fmt: skip
AGAIN = 0.25  # share of the kills after which the resumed run is killed too
PATIENCE = 240  # seconds that a run may take on a busy machine


@dataclass(frozen=True)
class Moment:
    """When a run is killed.

    Attributes:
        place: Where it is, or :data:`ANY_TIME`.
        number: How often it came there before, from 1; seconds for any time.
        rank: The process that is killed; at any time all of them are.
    """

    place: str
    number: float
    rank: int = 0


class Fate:
    """What waits for this process, and how far it came; the latter outlives it."""

    def __init__(self, folder: Path, moment: Moment | None, number: int, rank: int) -> None:
        self.moment, self.signal, self.rank = moment, number, rank
        self.trainer: Any = None
        self.visits: Counter[str] = Counter()
        self.folder = folder
        if rank == 0:
            path = folder / "progress"
            path.write_bytes(bytes(16))
            with open(path, "r+b") as file:
                self.progress = mmap.mmap(file.fileno(), 16)

    def at(self, place: str) -> None:
        """The run is here."""
        if self.trainer is None:
            return
        self.visits[place] += 1
        if self.rank == 0:
            self.progress[:] = struct.pack("qq", self.trainer.datamodule.iteration, self.trainer.global_step)
        if self.moment == Moment(place, self.visits[place], self.rank):
            os.kill(os.getpid(), self.signal)


FATE: Fate


class Mortal(toys.Corridor):
    """An environment in which the run may end."""

    def step(self, action: int) -> Any:
        FATE.at("evaluation" if FATE.trainer is not None and FATE.trainer.validating else "rollout")
        return super().step(action)


class Mortality(Callback):
    """Brings the run's fate along."""

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        FATE.trainer = trainer

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: Any) -> None:
        FATE.at("loss")

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        FATE.at("optimizer step")

    def on_train_batch_end(self, *args: Any) -> None:
        FATE.at("minibatch's end")

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        FATE.at("iteration's end")

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        FATE.at("evaluation's end")

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        FATE.trainer = None
        if FATE.rank == 0:
            (FATE.folder / "visits").write_text("\n".join(f"{n}\t{place}" for place, n in FATE.visits.items()))


class HalfWritten:
    """A file that is written in two halves, between which the run may end."""

    def __init__(self, path: Any, mode: str) -> None:
        self.file = open(path, mode)

    def __enter__(self) -> HalfWritten:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def write(self, content: Any) -> None:
        half = len(content) // 2
        self.file.write(content[:half])
        self.file.flush()
        FATE.at("half of a file written")
        self.file.write(content[half:])


def lay_traps() -> None:
    """Come by at every step of the writing of files."""
    fsync, replace, save, rows = os.fsync, os.replace, torch.save, ExperimentWriter.save

    def before(place: str, function: Any, after: str = "") -> Any:
        def trapped(*args: Any, **kwargs: Any) -> Any:
            FATE.at(place)
            result = function(*args, **kwargs)
            if after:
                FATE.at(after)
            return result

        return trapped

    files.open = HalfWritten  # type: ignore[attr-defined]
    os.fsync = before("before fsync", fsync)
    os.replace = before("before renaming", replace, "after renaming")
    torch.save = before("checkpoint before writing", save)
    ExperimentWriter.save = before("row before writing", rows, "row after writing")  # type: ignore[method-assign]


def arguments(folder: Path, processes: int) -> list[str]:
    """A short run with two evaluations; whose sizes are those of all processes together."""
    model = "{class_path: TwosomePPO, init_args: {critic_hidden: [16], scoring: tree, language_model: {name: %s, "
    model += "lora: {r: 4}}}}"
    several = [f"--trainer.devices={processes}", "--trainer.strategy=ddp"] if processes > 1 else []
    return [
        "fit", f"--run_dir={folder}/run", "--model=" + model % toys.model_folder(), "--seed_everything=0",
        "--data.env={class_path: tests.kill_run.Mortal}", f"--data.num_envs={2 // processes}", "--data.num_steps=4",
        "--data.update_epochs=2", f"--data.minibatch_size={4 // processes}", "--data.eval_episodes=2",
        "--data.eval_num_envs=2", "--trainer.accelerator=cpu", f"--trainer.max_epochs={ITERATIONS}",
        "--trainer.check_val_every_n_epoch=2", "--trainer.num_sanity_val_steps=0",
        "--trainer.callbacks+=tests.kill_run.Mortality", *several,
    ]  # fmt: skip


def begin(folder: Path, command: list[str], moment: Moment | None, number: int, rank: int, variables: dict) -> int:
    """Fork one process of a run; returns its id."""
    child = os.fork()
    if child:
        return child
    global FATE
    code = 1
    try:
        log = os.open(folder / f"log{rank}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1), os.dup2(log, 2)
        os.environ.update(variables)
        sys.modules["tests.kill_run"] = sys.modules[__name__]  # one module by both names, with one FATE
        FATE = Fate(folder, moment, number, rank)
        lay_traps()
        code = main(command)
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def attempt(folder: Path, processes: int, moment: Moment | None, number: int, resume: bool) -> list[int]:
    """One start of the command; returns the status of each process, negative for a signal."""
    command = arguments(folder, processes) + (["--ckpt_path=last"] if resume else [])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    started = []
    for rank in range(processes):
        several = {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": str(processes), "MASTER_PORT": port,
                   "MASTER_ADDR": "127.0.0.1"}  # fmt: skip
        started.append(begin(folder, command, moment, number, rank, several if processes > 1 else {}))
    if moment is not None and moment.place == ANY_TIME:
        time.sleep(moment.number)
        for child in started:
            os.kill(child, number)
    deadline = time.monotonic() + PATIENCE
    while os.waitid(os.P_PID, started[0], os.WEXITED | os.WNOWAIT | os.WNOHANG) is None and time.monotonic() < deadline:
        time.sleep(0.1)
    for child in started if time.monotonic() >= deadline else ():
        os.kill(child, signal.SIGKILL)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in started]


def outcome(folder: Path) -> dict[str, Any]:
    """What must not depend on whether a run was killed: every row, weights, optimizer and episodes."""
    with open(folder / "run/metrics.csv", newline="") as file:
        rows = [
            {name: value for name, value in row.items() if value and not name.startswith(("time/", "ledger/"))}
            for row in csv.DictReader(file)
        ]
    last, best = (load_checkpoint(folder / f"run/checkpoints/{name}.ckpt") for name in ("last", "best"))
    kept = {name: last[name] for name in ("state_dict", "optimizer_states", "RolloutDataModule", "global_step")}
    return {"rows": rows, **kept, "best": best["state_dict"]}


def difference(one: Any, other: Any, place: str = "") -> str:
    """The first place at which two outcomes differ by a bit; empty where they do not."""
    if isinstance(one, torch.Tensor):
        same = torch.equal(one, other) or torch.equal(one.nan_to_num(7.0), other.nan_to_num(7.0))
        return "" if same else place
    if isinstance(one, dict):
        if one.keys() != other.keys():
            return f"{place}: {sorted(map(str, one.keys() ^ other.keys()))}"
        pairs = [(one[name], other[name], f"{place}/{name}") for name in one]
    elif isinstance(one, list | tuple):
        if len(one) != len(other):
            return f"{place}: {len(one)} and {len(other)} entries"
        pairs = [(a, b, f"{place}[{i}]") for i, (a, b) in enumerate(zip(one, other, strict=True))]
    else:
        return "" if one == other or one != one else f"{place}: {one} and {other}"
    return next(filter(None, (difference(*pair) for pair in pairs)), "")


def lost_iterations(folder: Path) -> int:
    """Iterations begun upon when the run was killed and not in its last checkpoint, which must be readable."""
    iteration, _ = struct.unpack("qq", (folder / "progress").read_bytes())
    kept = 0
    for path in sorted((folder / "run/checkpoints").glob("*.ckpt")):
        state = load_checkpoint(path)["RolloutDataModule"]
        kept = state["iteration"] if path.name == "last.ckpt" else kept
    return max(0, iteration - kept)


@dataclass
class Trial:
    """A run that was killed.

    Attributes:
        moments: When.
        lost: Most iterations that were lost at once.
        wrong: What was not as it should be; empty for nothing.
    """

    moments: list[Moment]
    lost: int = 0
    wrong: str = ""


class Harness:
    """Kills runs and compares them.

    Args:
        folder: For the runs.
        processes: Of each run.
        number: The signal.
    """

    def __init__(self, folder: Path, processes: int, number: int) -> None:
        self.folder, self.processes, self.number = folder, processes, number
        whole = folder / "whole"
        whole.mkdir(parents=True)
        start = time.monotonic()
        codes = attempt(whole, processes, None, number, resume=False)
        self.seconds = time.monotonic() - start
        assert codes == [0] * processes, (whole / "log0").read_text()[-3000:]
        self.whole = outcome(whole)
        lines = [line.split("\t") for line in (whole / "visits").read_text().splitlines()]
        self.visits = {place: int(count) for count, place in lines}

    def draw(self, generator: random.Random, place: str | None = None) -> Moment:
        """A moment of a whole run."""
        place = place or generator.choice([*sorted(self.visits), ANY_TIME])
        if place == ANY_TIME:
            return Moment(place, generator.uniform(0.2, 1.0) * self.seconds)
        alone = place in WRITING  # the first process is the one that writes
        rank = 0 if alone else generator.randrange(self.processes)
        return Moment(place, generator.randint(1, self.visits[place]), rank)

    def run(self, planned: tuple[str, list[Moment]]) -> Trial:
        """One run, by name, that is killed at each of the moments that it comes to, one after another."""
        name, moments = planned
        folder = self.folder / name
        folder.mkdir()
        trial = Trial([])
        resume = False
        for moment in [*moments, None]:
            kept = (folder / "run/checkpoints/last.ckpt").exists()
            codes = attempt(folder, self.processes, moment, self.number, resume)
            told = (folder / "log0").read_text()
            if resume and not kept and "No checkpoint in" not in told:
                trial.wrong = "a fresh start was not told"
            if codes == [0] * self.processes:  # it did not come to the moment any more
                break
            if moment is None:
                trial.wrong = f"ended with {codes}: {told[-1500:]}"
                return trial
            resume = True
            trial.moments.append(moment)
            trial.wrong = trial.wrong or self.complaint(codes, moment, told)
            trial.lost = max(trial.lost, lost_iterations(folder))
        trial.wrong = trial.wrong or difference(self.whole, outcome(folder))
        return trial

    def complaint(self, codes: list[int], moment: Moment, told: str) -> str:
        """What is wrong with the way in which a run ended, if anything."""
        if self.number == signal.SIGKILL:
            return "" if codes[moment.rank] == -signal.SIGKILL else f"{moment} ended with {codes}"
        stopped = told.count("Stopped by") == 1 and "--ckpt_path last goes on" in told
        early = moment.place == ANY_TIME and not stopped  # before training there is nothing to keep
        return "" if early or stopped and codes[0] in (75, 130) else f"{moment} ended with {codes}: {told[-1500:]}"


def plan(harness: Harness, generator: random.Random, places: list[str], kills: int) -> list[list[Moment]]:
    """Moments for runs that are to be killed ``kills`` times in all, every place in turn."""
    planned: list[list[Moment]] = []
    while (left := kills - sum(map(len, planned))) > 0:
        places.append(places.pop(0))
        moments = [harness.draw(generator, places[-1])]
        if left > 1 and generator.random() < AGAIN:
            moments.append(harness.draw(generator))
        planned.append(moments)
    return planned


def kill(
    folder: Path, kills: int, seed: int, processes: int, number: int, jobs: int = 1, first: str = ANY_TIME
) -> list[Trial]:
    """Kill runs until ``kills`` of them have died, ``jobs`` at a time, and print a table.

    Args:
        folder: For the runs.
        kills: How many.
        seed: Of the moments.
        processes: Of each run.
        number: The signal.
        jobs: Runs at a time.
        first: The place of the first kill.
    """
    harness = Harness(folder, processes, number)
    generator = random.Random(seed)
    places = [*sorted(harness.visits), ANY_TIME]
    generator.shuffle(places)
    places.insert(0, places.pop(places.index(first)))
    trials: list[Trial] = []
    with get_context("fork").Pool(jobs) as pool:
        while (done := sum(len(trial.moments) for trial in trials)) < kills:
            planned = plan(harness, generator, places, kills - done)
            names = [str(len(trials) + i) for i in range(len(planned))]
            for name, trial in zip(names, pool.imap(harness.run, zip(names, planned, strict=True)), strict=True):
                trials.append(trial)
                when = ", then ".join(f"{m.place} {m.number:.3g} of process {m.rank}" for m in trial.moments)
                print(f"run {name}: {when or 'not killed'}; {trial.wrong or 'the same in the end'}", flush=True)
    report(trials)
    return trials


def report(trials: list[Trial]) -> None:
    """Print what came of it, by place."""
    found: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        for moment in trial.moments:
            found[moment.place].append(trial)
    print("| killed at | kills | iterations lost at most | went on to the same run, bit by bit |\n|---|--:|--:|--:|")
    for place, those in sorted(found.items()):
        same = sum(not trial.wrong for trial in those)
        print(f"| {place} | {len(those)} | {max(trial.lost for trial in those)} | {same} of {len(those)} |")
    kills = sum(len(those) for those in found.values())
    same = sum(not trial.wrong for trial in trials)
    print(f"{kills} kills in {len(trials)} runs, {same} of which ended as the run that was not killed.", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, nargs="?", default=None)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--signal", default="SIGKILL", choices=["SIGKILL", "SIGTERM", "SIGUSR1", "SIGINT"])
    parser.add_argument("--first", default=ANY_TIME)
    options = parser.parse_args()
    place = options.folder or Path(tempfile.mkdtemp(prefix="kills-"))
    number = signal.Signals[options.signal]
    done = kill(place, options.kills, options.seed, options.processes, number, options.jobs, options.first)
    sys.exit(any(trial.wrong or trial.lost > 1 for trial in done))
