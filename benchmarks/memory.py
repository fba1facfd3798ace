"""Peak memory and time of acting and of a PPO update, by size of the batch, and by setting.

    python -m benchmarks.memory bound                    is the peak flat over decisions, actions and prompt lengths?
    python -m benchmarks.memory table --models 2M 30M    memory and seconds of each setting, and what the formula says
    python -m benchmarks.memory budget --model 7B --memory 24 --dtype bfloat16 --checkpointing

Models have random weights. On a CPU each measurement runs in a process forked for it, as the peak of the resident set
above what it was before the call; freed memory goes back to the system at once, so that the peak is what was in use. On
a GPU it is what PyTorch's allocator handed out at most.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import multiprocessing
import random
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig

from benchmarks.common import quiet
from benchmarks.memory_formula import Memory, Shape
from benchmarks.scoring import ACTIONS, SHAPES, build_model, seconds, words_tokenizer
from lightning_twosome import Decision
from lightning_twosome.agent import ActorCritic, CriticInput
from lightning_twosome.language_model import LanguageModel
from lightning_twosome.ledger.memory import PeakMemory

MIB = 2**20
NO_BUDGET = 1 << 40
M_MMAP_THRESHOLD = -3  # of glibc's malloc.h


@dataclass(frozen=True)
class Case:
    """What is measured.

    Attributes:
        model: A name of ``SHAPES``.
        phase: "forward", the log-probabilities and values of a rollout, or "update", those of PPO with the backward
            pass of a loss on them.
        decisions: B.
        actions: K.
        prompt: P, tokens of each prompt.
        budget: ``token_budget``.
        dtype: Of the trunk.
        checkpointing: Gradient checkpointing.
        upper: Only the upper half of the layers is adapted, and the lower half remembered.
        critic: "frozen" or "adapted".
        attention: "sdpa" or "eager".
        vocabulary: Entries, in place of the model's own.
        device: "cpu" or "cuda".
        repeats: Timed calls; 0 measures memory alone.
    """

    model: str = "2M"
    phase: str = "update"
    decisions: int = 8
    actions: int = 8
    prompt: int = 100
    budget: int = NO_BUDGET
    dtype: str = "float32"
    checkpointing: bool = False
    upper: bool = False
    critic: CriticInput = "frozen"
    attention: str = "sdpa"
    vocabulary: int | None = None
    device: str = "cpu"
    repeats: int = 0

    @property
    def shape(self) -> dict[str, Any]:
        """What the model's config says of its size."""
        return {**SHAPES[self.model], **({"vocab_size": self.vocabulary} if self.vocabulary else {})}

    def formula(self) -> Memory:
        """What is expected of this model and setting."""
        frozen = self.shape["num_hidden_layers"] // 2 if self.upper else 0
        return Memory(Shape.of(self.shape), self.dtype, self.checkpointing, frozen)


@dataclass(frozen=True)
class Measured:
    """What was measured.

    Attributes:
        peak: Bytes above what was in use before.
        forwards: Forwards of the language model, those of the backward pass included.
        positions: Of the largest.
        logits: Columns with logits of that with most.
        weights: Bytes of the model's weights.
        seconds: Median of a call; 0 where it was not timed.
    """

    peak: int
    forwards: int
    positions: int
    logits: int
    weights: int
    seconds: float


def make_decisions(case: Case, count: int) -> list[Decision]:
    """Different prompts, all with the same actions: the grid's 42, then the same with another word at their end."""
    source = random.Random(count)
    words = ("", *(f" w{index}" for index in range(case.actions // len(ACTIONS))))
    actions = tuple(f"{action}{word}" for word in words for action in ACTIONS)[: case.actions]
    prompts = (" ".join(f"w{source.randrange(900)}" for _ in range(case.prompt)) for _ in range(count))
    return [Decision(prompt, actions) for prompt in prompts]


class Agent:
    """A policy of random weights, and the two things that it does."""

    def __init__(self, case: Case) -> None:
        self.case = case
        frozen = case.shape["num_hidden_layers"] // 2 if case.upper else 0
        model: Any = build_model(
            case.model,
            case.device,
            case.dtype,
            frozen,
            attn_implementation=case.attention,
            vocab_size=case.shape["vocab_size"],
        )
        if case.checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        self.agent = ActorCritic(
            LanguageModel(model, words_tokenizer(), case.model, None),
            critic=case.critic,
            scoring="tree",
            token_budget=case.budget,
            frozen_layers=frozen,
        )
        self.agent.to(case.device).train()
        self.forwards: list[tuple[int, int]] = []
        model.register_forward_hook(self._note, with_kwargs=True)
        self.weights = sum(parameter.nbytes for parameter in model.parameters())

    def _note(self, module: Any, arguments: Any, keywords: Any, output: Any) -> None:
        self.forwards.append((keywords["input_ids"].numel(), output.logits.shape[0] * output.logits.shape[1]))

    def call(self, decisions: list[Decision]) -> None:
        """One rollout's step, or one minibatch of PPO."""
        self.agent.forget()
        prompts = [decision.prompt for decision in decisions]
        if self.case.phase == "forward":
            with torch.no_grad():
                self.agent.remembered_log_probs(decisions)
                self.agent.values(prompts)
            return
        self.agent.zero_grad()
        ratio = self.agent.action_log_probs(decisions)[:, 0].exp()
        ((self.agent.values(prompts) - 1) ** 2 - ratio).mean().backward()

    def measure(self) -> Measured:
        """Peak of one call after a small one; seconds of further ones."""
        self.call(make_decisions(replace(self.case, prompt=20), 1))  # so that libraries have what they keep
        decisions = make_decisions(self.case, self.case.decisions)
        for decision in decisions:
            self.agent.scorer.encoder.encode(decision)
        self.agent.zero_grad()
        self.forwards.clear()
        memory = PeakMemory(torch.device(self.case.device))
        memory.restart()
        before = memory.peak()
        self.call(decisions)
        peak = memory.peak() - before
        positions, logits = zip(*self.forwards, strict=True)
        taken = 0.0
        if self.case.repeats:
            taken = seconds({"call": lambda: self.call(decisions)}, self.case.repeats, self.case.device)["call"]
        return Measured(peak, len(positions), max(positions), max(logits), self.weights, taken)


def _work(case: Case, queue: Any) -> None:
    quiet()
    torch.set_num_threads(1)
    if sys.platform == "linux" and not case.repeats:
        # Every block of 64 kB and more comes from the system and goes back there: the peak is then what was in use. It
        # costs time, so that seconds are taken in another process.
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1 << 16)
    queue.put(Agent(case).measure())


def measure(case: Case) -> Measured:
    """Measure in a process of its own."""
    # The server has the libraries, and nothing freed: a fork of this process would take blocks that it has freed, and
    # its peak would not show them. CUDA wants a process that begins anew.
    server = case.device == "cpu" and sys.platform == "linux"
    context: Any = multiprocessing.get_context("forkserver" if server else "spawn")
    if server:
        context.set_forkserver_preload(["benchmarks.memory"])
    queue = context.Queue()
    process = context.Process(target=_work, args=(case, queue))
    process.start()
    while process.is_alive() and queue.empty():
        process.join(0.2)
    if queue.empty():
        raise SystemExit(f"{case} ended with code {process.exitcode}: for want of memory, if that is -9.")
    measured: Measured = queue.get()
    process.join()
    return measured


def mib(size: float) -> str:
    """Bytes in MiB."""
    return f"{size / MIB:,.0f}"


def bound(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Peaks over sizes, without a budget and with one."""
    base = Case(
        options.model, "", options.decisions[0], options.actions[0], options.prompt[0], dtype=options.dtype,
        checkpointing=options.checkpointing, critic=options.critic, attention=options.attention,
        vocabulary=options.vocabulary, device=options.device,
    )  # fmt: skip
    results = []
    print(f"{options.model}, token_budget {options.budget}: peak MiB (forwards)\n")
    print("| phase | varied | B | K | P | no budget | budget | positions | logits |\n" + "|---" * 9 + "|")
    for phase in options.phases:
        for varied in ("decisions", "actions", "prompt"):
            for size in getattr(options, varied):
                case = replace(base, phase=phase, **{varied: size})
                free, bounded = measure(case), measure(replace(case, budget=options.budget))
                sizes = f"{case.decisions} | {case.actions} | {case.prompt}"
                print(
                    f"| {phase} | {varied} | {sizes} | {mib(free.peak)} ({free.forwards}) | {mib(bounded.peak)} "
                    f"({bounded.forwards}) | {bounded.positions} | {bounded.logits} |",
                    flush=True,
                )
                row = {"phase": phase, "varied": varied, "free": asdict(free), "bounded": asdict(bounded)}
                results.append(row | {"decisions": case.decisions, "actions": case.actions, "prompt": case.prompt})
        _print_ratio(phase, [row for row in results if row["phase"] == phase], options.budget)
    return results


def _print_ratio(phase: str, rows: list[dict[str, Any]], budget: int) -> None:
    """Largest over smallest peak of the sizes that the budget cuts, but for those of which one row is above it."""
    cut = [row for row in rows if row["free"]["positions"] > budget >= row["bounded"]["positions"]]
    if not cut:
        return
    for name, key in (("no budget", "free"), ("budget", "bounded")):
        peaks = [row[key]["peak"] for row in cut]
        ratio = max(peaks) / min(peaks)
        print(f"{phase}, {name}: largest / smallest of the {len(cut)} sizes above the budget {ratio:.2f}", flush=True)


def settings(case: Case, budget: int) -> dict[str, Case]:
    """The levers, one at a time and together."""
    levers: dict[str, dict[str, Any]] = {
        "bfloat16": {"dtype": "bfloat16"},
        "checkpointing": {"checkpointing": True},
        "upper half": {"upper": True},
        "budget": {"budget": budget},
        "checkpointing, budget": {"checkpointing": True, "budget": budget},
        "all four": {"dtype": "bfloat16", "checkpointing": True, "upper": True, "budget": budget},
    }
    return {"plain": case, **{name: replace(case, **changes) for name, changes in levers.items()}}


def table(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Memory and time of each setting, relative to the plain one."""
    results = []
    print(f"B={options.decisions} K={options.actions} P={options.prompt}, token_budget {options.budget}\n")
    print("| model | setting | weights MiB | update MiB | formula | rollout MiB | formula | s / decision | of plain |")
    print("|---" * 9 + "|")
    for model in options.models:
        plain = Case(model, "update", options.decisions, options.actions, options.prompt, device=options.device)
        if options.base_dtype:
            plain = replace(plain, dtype=options.base_dtype)
        first = measure(replace(plain, repeats=options.repeats)).seconds / plain.decisions
        for name, case in settings(plain, options.budget).items():
            if options.settings and name not in options.settings:
                continue
            update, rollout = measure(case), measure(replace(case, phase="forward"))
            taken = first
            if case != plain:
                taken = measure(replace(case, repeats=options.repeats)).seconds / case.decisions
            expected = case.formula()
            row = {
                "model": model, "setting": name, "update": asdict(update), "rollout": asdict(rollout),
                "seconds": taken, "of_plain": taken / first,
                "expected_update": expected.update(update.positions, update.logits, case.prompt),
                "expected_rollout": expected.rollout(rollout.positions, rollout.logits, case.prompt),
            }  # fmt: skip
            results.append(row)
            print(
                f"| {model} | {name} | {mib(update.weights)} | {mib(update.peak)} | {mib(row['expected_update'])} | "
                f"{mib(rollout.peak)} | {mib(row['expected_rollout'])} | {taken:.4f} | {row['of_plain']:.2f}x |",
                flush=True,
            )
    return results


def budget(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The largest token budget that fits, by the formula."""
    known = SHAPES.get(options.model)
    shape = Shape.of(known or AutoConfig.from_pretrained(options.model).get_text_config().to_dict())
    memory = Memory(shape, options.dtype, options.checkpointing, int(options.frozen * shape.layers))
    free = options.memory * 2**30 * options.share - memory.weights()
    each = memory.a_position(options.prompt)
    fits = max(0, int(free / each))
    print(
        f"{options.model}, {options.dtype}, {'with' if options.checkpointing else 'without'} gradient checkpointing, "
        f"{memory.frozen} of {shape.layers} layers frozen: weights {memory.weights() / 2**30:.2f} GiB, a position "
        f"{each / 1024:,.0f} kB; {options.share:.0%} of {options.memory} GiB hold token_budget={fits}"
    )
    return [{"weights": memory.weights(), "position": each, "token_budget": fits}]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    made = {name: commands.add_parser(name, help=function.__doc__) for name, function in COMMANDS.items()}
    made["bound"].add_argument("--model", choices=SHAPES, default="2M")
    made["bound"].add_argument("--phases", nargs="+", default=["forward", "update"], choices=["forward", "update"])
    sizes = {"decisions": [8, 16, 32], "actions": [8, 2, 42, 168], "prompt": [100, 200, 400, 800]}
    for name, default in sizes.items():
        made["bound"].add_argument(f"--{name}", type=int, nargs="+", default=default, help="the first is the base")
    made["bound"].add_argument("--critic", default="frozen", choices=["frozen", "adapted"])
    made["bound"].add_argument("--attention", default="sdpa", choices=["sdpa", "eager"])
    made["bound"].add_argument("--vocabulary", type=int, help="entries, in place of the model's own")
    made["table"].add_argument("--models", nargs="+", choices=SHAPES, default=["2M", "30M"])
    made["table"].add_argument("--settings", nargs="*", help="those to measure; all by default")
    made["table"].add_argument("--base-dtype", choices=["float32", "bfloat16", "float16"], help="of all settings")
    made["table"].add_argument("--decisions", type=int, default=8)
    made["table"].add_argument("--actions", type=int, default=8)
    made["table"].add_argument("--repeats", type=int, default=3)
    made["budget"].add_argument("--model", default="7B", help=f"one of {', '.join(SHAPES)}, a folder or a hub id")
    made["budget"].add_argument("--memory", type=float, default=24.0, help="GiB of the device")
    made["budget"].add_argument("--share", type=float, default=0.8, help="of it; the rest is for libraries and gaps")
    made["budget"].add_argument("--frozen", type=float, default=0.0, help="share of the layers, the lowest")
    for name in ("bound", "budget"):
        made[name].add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
        made[name].add_argument("--checkpointing", action="store_true")
    for name in ("table", "budget"):
        made[name].add_argument("--prompt", type=int, default=100, help="tokens of a prompt")
    for name in ("bound", "table"):
        made[name].add_argument("--budget", type=int, default=512 if name == "bound" else 256)
        made[name].add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    for command in made.values():
        command.add_argument("--json", type=Path, help="write every figure here")
    return parser.parse_args(arguments)


COMMANDS: dict[str, Callable[[argparse.Namespace], Iterable[dict[str, Any]]]] = {
    "bound": bound, "table": table, "budget": budget,
}  # fmt: skip


def main(arguments: list[str] | None = None) -> list[dict[str, Any]]:
    """Measure, print, and return the figures."""
    options = parse(arguments)
    results = list(COMMANDS[options.command](options))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    return results


if __name__ == "__main__":
    main()
