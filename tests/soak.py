"""A long ``fit``: does it need more memory, or more time, the longer it goes on?

Usage: python -m tests.soak [FOLDER] [--case new_text|salad] [--steps 100000] [--cache_megabytes 2]

::

    iteration  0 ... 10 % | first third | second third | last third     of the iterations after the warm-up
                           median memory, median seconds  --compared with-->  the same

``new_text`` never shows the same text twice, so that every memory of texts is full early on and drops something with
every decision; its language model is tiny and random. ``salad`` is Tomato Salad with the bundled model, whose texts are
few. Seconds are those of the processor, memory is what the system holds for the process (Linux only). That varies by
some megabytes with the free blocks that the allocator keeps, so that what glibc has given out is looked at too. Both
are runs of the command line with its callbacks, loggers, checkpoints and evaluations.
"""

from __future__ import annotations

import argparse
import csv
import ctypes
import gc
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback

from lightning_twosome.main import main
from tests import toys

MORE_MEGABYTES = 8.0
MORE_ALLOCATED = 2.0
MORE_SECONDS = 1.15
WARM_UP = 0.1  # share of the iterations
WORDS = ("apple", "bowl", "candle", "drawer", "envelope", "feather", "glove", "hammer", "iron", "jar", "kettle", "lid")


class Diary(toys.TextEnv):
    """Take what the page names, on pages that are all different; a page's number has 40 random bits."""

    def __init__(self, length: int = 8, actions: int = 2) -> None:
        self.length, self.actions = length, actions

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        self.decisions = 0
        return self._page()

    def step(self, action: int) -> tuple[str, float, bool, bool, dict[str, Any]]:
        reward = float(self.shown[action] == self.wanted)
        self.decisions += 1
        prompt, info = self._page()
        return prompt, reward, self.decisions == self.length, False, info | {"success": bool(reward)}

    def _page(self) -> tuple[str, dict[str, Any]]:
        page = f"{int(self.np_random.integers(2**40)):010x}"
        self.shown = [str(word) for word in self.np_random.choice(WORDS, self.actions, replace=False)]
        self.wanted = self.shown[int(self.np_random.integers(self.actions))]
        actions = tuple(f"take {word} {page[-3:]}" for word in self.shown)
        return f"Page {page}: the {self.wanted} is missing. You", {"actions": actions}


@dataclass
class Sample:
    """One iteration.

    Attributes:
        env_steps: Of the run so far.
        megabytes: Memory of the process at its end.
        allocated: Megabytes that glibc has given out, without Python's small objects; not a number elsewhere.
        seconds: Of the processor.
        remembered: Megabytes of all memories of texts by their own count.
        entries: In the fullest of them.
    """

    env_steps: int
    megabytes: float
    allocated: float
    seconds: float
    remembered: float
    entries: int


class Sampling(Callback):
    """Note each iteration in ``samples.csv``.

    Args:
        path: The file.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.since = time.process_time()
        with open(path, "w", newline="") as file:
            csv.writer(file).writerow(field.name for field in fields(Sample))

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        now, memories = time.process_time(), memories_of(pl_module.agent)
        gc.collect()  # the picture of the learning curve, of 3 MB, is part of a cycle
        sample = Sample(
            trainer.datamodule.env_steps,
            resident_megabytes(),
            allocated_megabytes(),
            now - self.since,
            sum(memory.bytes for memory in memories) / 2**20,
            max(len(memory) for memory in memories),
        )
        with open(self.path, "a", newline="") as file:
            csv.writer(file).writerow(asdict(sample).values())
        self.since = time.process_time()


def memories_of(agent: Any) -> list[Any]:
    """Everything that an agent remembers of texts."""
    encoder, frozen = agent.scorer.encoder, agent.scorer.frozen
    return [agent.features, agent.remembered, encoder.decisions, encoder.prompts, *([frozen.memory] if frozen else [])]


def resident_megabytes() -> float:
    """What the system holds in memory for this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class _MallInfo(ctypes.Structure):
    """``struct mallinfo2`` of glibc."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"
        )
    ]  # fmt: skip


def allocated_megabytes() -> float:
    """What glibc's allocator has given out."""
    try:
        mallinfo = ctypes.CDLL(None).mallinfo2
    except AttributeError:  # another library, or one before 2.33
        return float("nan")
    mallinfo.restype = _MallInfo
    found = mallinfo()
    return (found.uordblks + found.hblkhd) / 2**20


def read_samples(path: Path) -> list[Sample]:
    """The iterations of a run."""
    with open(path, newline="") as file:
        return [Sample(*(float(value) for value in row.values())) for row in csv.DictReader(file)]  # type: ignore[arg-type]


@dataclass
class Verdict:
    """What the last third of a run needed, compared with the first.

    Attributes:
        first: Median megabytes, allocated megabytes and seconds of the first third.
        last: Those of the last.
        wrong: What was more than it may be; empty for nothing.
    """

    first: list[float]
    last: list[float]
    wrong: str = ""


def judge(samples: Sequence[Sample]) -> Verdict:
    """Compare the last third of the iterations after the warm-up with the first."""
    kept = samples[round(WARM_UP * len(samples)) :]
    third = len(kept) // 3
    first, last = (
        [statistics.median(getattr(sample, name) for sample in part) for name in ("megabytes", "allocated", "seconds")]
        for part in (kept[:third], kept[-third:])
    )
    verdict = Verdict(first, last)
    if last[0] > first[0] + MORE_MEGABYTES:
        verdict.wrong = f"memory grew by {last[0] - first[0]:.1f} MB, which is more than {MORE_MEGABYTES:.0f}"
    elif last[1] > first[1] + MORE_ALLOCATED:
        verdict.wrong = f"{last[1] - first[1]:.1f} MB more are allocated, which is more than {MORE_ALLOCATED:.0f}"
    elif last[2] > MORE_SECONDS * first[2]:
        verdict.wrong = f"an iteration takes {last[2] / first[2]:.2f} times as long, which is more than {MORE_SECONDS}"
    return verdict


def arguments(folder: Path, case: str, steps: int, cache_megabytes: float) -> list[str]:
    """The run of a case: 98 iterations in 100 000 steps."""
    common = [
        "fit", f"--run_dir={folder}/run", "--seed_everything=0", "--trainer.accelerator=cpu",
        "--trainer.num_sanity_val_steps=0", "--trainer.check_val_every_n_epoch=10", "--trainer.gradient_clip_val=0.5",
        "--trainer.callbacks+=lightning_twosome.callbacks.EnvironmentBudget",
        f"--trainer.callbacks.total_env_steps={steps}",
        "--trainer.callbacks+=lightning_twosome.callbacks.LearningCurve",
        "--trainer.callbacks+=tests.soak.Sampling", f"--trainer.callbacks.path={folder}/samples.csv",
        "--data.num_envs=32", f"--data.num_steps={min(32, steps // 320)}", "--data.eval_episodes=16",
        "--data.eval_num_envs=16",
    ]  # fmt: skip
    if case == "salad":
        model = "{class_path: TwosomePPO, init_args: {actor_lr: 3.0e-3, language_model: {name: bundled, lora: {r: 8, "
        model += "target_modules: all-linear}}, cache_megabytes: %g}}"
        return [*common, "--model=" + model % cache_megabytes, "--data.env=twosome/TomatoSalad-v0"]
    model = "{class_path: TwosomePPO, init_args: {critic_hidden: [16], target_kl: null, language_model: {name: %s, "
    model += "lora: {r: 4}}, cache_megabytes: %g}}"
    return [
        *common, "--model=" + model % (toys.save_toy_model(folder / "model", layers=1), cache_megabytes),
        "--data.env={class_path: tests.soak.Diary}", "--data.update_epochs=1",
    ]  # fmt: skip


def soak(folder: Path, case: str, steps: int, cache_megabytes: float) -> list[Sample]:
    """Make the run; returns its iterations."""
    folder.mkdir(parents=True, exist_ok=True)
    code = main(arguments(folder, case, steps, cache_megabytes))
    if code:
        raise RuntimeError(f"the run ended with {code}")
    return read_samples(folder / "samples.csv")


def report(samples: Sequence[Sample], verdict: Verdict) -> None:
    """Print ten rows of the run, and the verdict."""
    print("| env steps | memory, MB | allocated, MB | processor seconds of an iteration | remembered, MB |")
    print("|--:|--:|--:|--:|--:|")
    for number in range(10):
        part = samples[number * len(samples) // 10 : (number + 1) * len(samples) // 10]
        seconds, last = statistics.median(sample.seconds for sample in part), part[-1]
        memory = f"{last.megabytes:.1f} | {last.allocated:.1f}"
        print(f"| {last.env_steps:.0f} | {memory} | {seconds:.2f} | {last.remembered:.2f} |")
    pairs = [f"{first:.2f} and {last:.2f}" for first, last in zip(verdict.first, verdict.last, strict=True)]
    print("First and last third, medians: {} MB, {} MB allocated, {} seconds an iteration.".format(*pairs))
    print(verdict.wrong or "Flat.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, nargs="?", default=None)
    parser.add_argument("--case", default="new_text", choices=["new_text", "salad"])
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--cache_megabytes", type=float, default=2.0)
    options = parser.parse_args()
    sys.modules["tests.soak"] = sys.modules[__name__]  # one module by both names
    torch.set_num_threads(1)
    place = options.folder or Path(tempfile.mkdtemp(prefix="soak-"))
    done = soak(place, options.case, options.steps, options.cache_megabytes)
    found = judge(done)
    report(done, found)
    sys.exit(bool(found.wrong))
