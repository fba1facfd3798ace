"""Time and memory of scoring K actions per prompt, against K full padded sequences, side by side.

The naive side is what most code does: every prompt + action a row of its own, padded, log-softmax over the
vocabulary at every position. Both sides run the same weights, dtype and threads; the naive one is itself compared with
single rows.
On one CPU thread the seconds are the process's own, so that a busy machine does not count.

    python benchmarks/scoring.py --models 2M 30M 135M --actions 2 5 10 20 42

On a GPU it also prints model FLOPs utilisation; ``--sdpa`` holds PyTorch to one kernel of its attention.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from lightning_twosome import ActionScorer, Decision

SHAPES = {
    "2M": dict(vocab_size=2048, hidden_size=192, intermediate_size=512, num_hidden_layers=4, num_attention_heads=6),
    "30M": dict(vocab_size=8192, hidden_size=512, intermediate_size=1408, num_hidden_layers=8, num_attention_heads=8),
    "135M": dict(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
    ),
    "0.5B": dict(
        vocab_size=151936,
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    ),
    "7B": dict(
        vocab_size=32000, hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32
    ),
}
VERBS = ["pick up the", "put down the", "chop the", "walk to the", "look at the", "wash the", "serve the"]
NOUNS = ["tomato", "lettuce", "onion", "soup bowl", "kitchen knife", "cutting board"]
ACTIONS = [f"{verb} {noun}" for verb, noun in itertools.product(VERBS, NOUNS)]
PROMPT_TOKENS = 104
KERNELS = {
    "math": SDPBackend.MATH,
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
}


def words_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word: the lengths are then those this file says."""
    words = sorted({word for action in ACTIONS for word in action.split()}) + [f"w{index}" for index in range(900)]
    core = Tokenizer(models.WordLevel({"<unk>": 0} | {word: index + 1 for index, word in enumerate(words)}, "<unk>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>")


def build_model(shape: str, device: str, dtype: str, frozen_layers: int = 0, **changes: Any) -> torch.nn.Module:
    """A Llama of random weights with LoRA on q and v of the layers that are not frozen; float32 adapter."""
    torch.manual_seed(0)
    config = LlamaConfig(**{**SHAPES[shape], "max_position_embeddings": 2048, **changes})
    with torch.device(device):
        model = LlamaForCausalLM(config).to(getattr(torch, dtype))
    upper = list(range(frozen_layers, config.num_hidden_layers))
    lora = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], layers_to_transform=upper)
    model = get_peft_model(model, lora).eval()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
            if "lora_B" in name:  # away from zero, so that both halves of the adapter have a gradient
                torch.nn.init.normal_(parameter, std=0.02)
    return model


def make_decisions(count: int, actions: int, drawn: bool = False) -> list[Decision]:
    """Different prompts of 104 tokens, each with as many of the 42 actions.

    Args:
        count: Decisions.
        actions: K.
        drawn: Whether the actions are drawn from all 42 and share few words, or are the first of the verbs' grid.
    """
    source = random.Random(0)
    prompts = [" ".join(f"w{source.randrange(900)}" for _ in range(PROMPT_TOKENS)) for _ in range(count)]
    return [Decision(p, tuple(source.sample(ACTIONS, actions) if drawn else ACTIONS[:actions])) for p in prompts]


def naive(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, decisions: list[Decision]) -> Tensor:
    """Method A: log p of every action [B, K] from B * K padded rows."""
    rows = [tokenizer(f"{d.prompt} {action}")["input_ids"] for d in decisions for action in d.actions]
    width = max(map(len, rows))
    device = model.get_input_embeddings().weight.device
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=device)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=device)
    log_prob = model(input_ids=ids, attention_mask=mask).logits.float().log_softmax(dim=-1)
    chosen = log_prob[:, :-1].gather(2, ids[:, 1:, None])[..., 0]
    # The words are whole tokens, so the action starts where the prompt ends.
    chosen = chosen.masked_fill(mask[:, 1:] == 0, 0.0)[:, PROMPT_TOKENS - 1 :]
    return chosen.sum(dim=1).view(len(decisions), -1)


def gradient(model: torch.nn.Module, log_prob: Tensor) -> Tensor:
    """The gradient of a fixed functional with respect to the adapter, as one vector."""
    model.zero_grad()
    weight = torch.linspace(-1, 1, log_prob.numel(), device=log_prob.device).view_as(log_prob)
    (log_prob * weight).sum().backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@contextmanager
def attention_kernel(name: str) -> Iterator[None]:
    """PyTorch's own choice within ("auto"), or the named kernel alone, which raises where it does not apply."""
    if name == "auto":
        yield
        return
    with sdpa_kernel(KERNELS[name]):
        yield


def synchronize(device: str) -> None:
    """Waits for the accelerator."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def seconds(functions: Mapping[str, Callable[[], object]], repeats: int, device: str) -> dict[str, float]:
    """Median seconds of each function, in turns after one warm-up, so that a busy machine is busy for all."""
    clock = time.process_time if device == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(repeats + 1):
        for name, function in functions.items():
            synchronize(device)
            start = clock()
            function()
            synchronize(device)
            if turn:
                times[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in times.items()}


class Case:
    """One model with both ways of scoring."""

    def __init__(self, options: argparse.Namespace, shape: str, actions: int) -> None:
        frozen = SHAPES[shape]["num_hidden_layers"] // 2 if options.frozen else 0
        self.options, self.shape, self.actions = options, shape, actions
        self.model = build_model(shape, options.device, options.dtype, frozen)
        self.tokenizer = words_tokenizer()
        self.scorer = ActionScorer(self.model, self.tokenizer, method="tree", frozen_layers=frozen)
        # The frozen case is compared with the package's own way for an adapter in every layer.
        self.adapted = build_model(shape, options.device, options.dtype) if frozen else self.model
        self.everywhere = ActionScorer(self.adapted, self.tokenizer, method="tree") if frozen else None
        self.decisions = make_decisions(options.decisions, actions, options.drawn)

    def ours(self) -> Tensor:
        """The package's way."""
        return self.scorer.score(self.decisions).log_prob

    def naive(self) -> Tensor:
        """K padded rows per decision."""
        return naive(self.model, self.tokenizer, self.decisions)

    def other(self) -> Tensor:
        """What the package is compared with."""
        return self.everywhere.score(self.decisions).log_prob if self.everywhere else self.naive()

    def forward_backward(self, log_prob: Callable[[], Tensor]) -> Tensor:
        """The adapter's gradient."""
        return gradient(self.adapted if log_prob == self.other else self.model, log_prob())

    def differences(self) -> dict[str, float]:
        """Naive against single rows, ours against naive: greatest in log p, relative in the gradient."""
        with torch.no_grad():
            first = self.decisions[0]
            single = torch.cat(
                [naive(self.model, self.tokenizer, [Decision(first.prompt, (a,))])[0] for a in first.actions]
            )
            theirs, ours = self.naive(), self.ours()
        expected, got = self.forward_backward(self.naive), self.forward_backward(self.ours)
        return {
            "naive_vs_single": (theirs[0] - single).abs().max().item(),
            "log_prob": (ours - theirs).abs().max().item(),
            "gradient": ((got - expected).norm() / expected.norm()).item(),
        }

    def row(self) -> dict[str, float | str | int]:
        """All figures of this case."""
        device, repeats = self.options.device, self.options.repeats
        sides = {"ours": self.ours, "naive": self.other}
        with torch.no_grad():
            forward = seconds(sides, repeats, device)
        update = seconds({n: partial(self.forward_backward, f) for n, f in sides.items()}, repeats, device)
        row: dict[str, float | str | int] = {"model": self.shape, "K": self.actions, **self.differences()}
        for phase, times in (("forward", forward), ("update", update)):
            row |= {f"{phase}_{side}": value for side, value in times.items()}
            row[f"{phase}_ratio"] = times["naive"] / times["ours"]
            row[f"{phase}_decisions_per_s"] = len(self.decisions) / times["ours"]
        if device.startswith("cuda"):
            row |= self.utilisation(forward["ours"], update["ours"])
        if not self.everywhere:
            row |= self.memory()
        return row

    def utilisation(self, forward: float, update: float) -> dict[str, float]:
        """Model FLOPs utilisation: matmuls of the positions that were needed, attention not counted."""
        encoded = [self.scorer.encoder.encode(decision) for decision in self.decisions]
        nodes = sum(len(row.node_token) for row in encoded)
        head = SHAPES[self.shape]["vocab_size"] * SHAPES[self.shape]["hidden_size"]
        total = sum(p.numel() for p in self.model.parameters() if not p.requires_grad)
        body = total - head * (1 if SHAPES[self.shape].get("tie_word_embeddings") else 2)
        columns = nodes + len(encoded)
        flops = 2 * (body * sum(len(row.trunk) + len(row.node_token) for row in encoded) + head * columns)
        peak = self.options.peak_tflops * 1e12
        # Backward through frozen weights needs the gradient of the inputs only: as much again as the forward.
        return {"forward_mfu": flops / forward / peak, "update_mfu": 2 * flops / update / peak}

    def memory(self) -> dict[str, float]:
        """Peak megabytes above the weights of forward + backward, each side in a fresh process on the CPU."""
        peaks = {}
        for side in ("ours", "naive"):
            if self.options.device.startswith("cuda"):
                peaks[side] = self.peak(side)
            else:
                command = [sys.executable, __file__, "--peak-of", side, "--models", self.shape]
                command += ["--actions", str(self.actions), "--decisions", str(self.options.decisions)]
                command += ["--dtype", self.options.dtype, "--sdpa", self.options.sdpa]
                peaks[side] = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        return {f"peak_{side}": value for side, value in peaks.items()} | {"peak_ratio": peaks["naive"] / peaks["ours"]}

    def peak(self, side: str) -> float:
        """Peak megabytes above what is held before, of one forward + backward in this process."""
        score = getattr(self, side)
        if self.options.device.startswith("cuda"):
            self.model.zero_grad()
            torch.cuda.reset_peak_memory_stats()
            held = torch.cuda.memory_allocated()
            self.forward_backward(score)
            return (torch.cuda.max_memory_allocated() - held) / 2**20
        before = resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        self.forward_backward(score)
        return resident("VmHWM") - before


def resident(field: str) -> float:
    """Megabytes of this process as Linux counts them."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=SHAPES, default=["2M", "30M", "135M"])
    parser.add_argument("--actions", nargs="+", type=int, default=[2, 5, 10, 20, 42])
    parser.add_argument("--decisions", type=int, default=4, help="decisions per batch")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--frozen", action="store_true", help="half the layers frozen, against LoRA in all")
    parser.add_argument("--drawn", action="store_true", help="actions drawn from the grid: fewer shared words")
    parser.add_argument("--sdpa", default="auto", choices=["auto", *KERNELS], help="attention kernel of both sides")
    parser.add_argument("--peak-tflops", type=float, default=989.0, help="of the device, for the utilisation on CUDA")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--peak-of", choices=["ours", "naive"], help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Prints one line per model and number of actions."""
    options = parse(arguments)
    with attention_kernel(options.sdpa):
        benchmark(options)


def benchmark(options: argparse.Namespace) -> None:
    """Every model and number of actions."""
    torch.set_num_threads(options.threads)
    if options.peak_of:
        print(Case(options, options.models[0], options.actions[0]).peak(options.peak_of))
        return
    other = "LoRA in all layers" if options.frozen else "naive"
    print(
        f"{options.decisions} decisions, prompt {PROMPT_TOKENS} tokens, {options.dtype}, {options.device}, "
        f"attention {options.sdpa}; vs {other}"
    )
    rows = []
    for shape, actions in itertools.product(options.models, options.actions):
        rows.append(row := Case(options, shape, actions).row())
        print(
            f"{shape:>5} K={actions:<3} forward {row['forward_ours']:.4f} s ({row['forward_ratio']:.1f}x, "
            f"{row['forward_decisions_per_s']:.1f} decisions/s)  "
            f"forward+backward {row['update_ours']:.4f} s ({row['update_ratio']:.1f}x, "
            f"{row['update_decisions_per_s']:.1f} decisions/s)  "
            + (f"peak {row['peak_naive']:.0f} -> {row['peak_ours']:.0f} MB  " if "peak_ours" in row else "")
            + (f"MFU {row['forward_mfu']:.0%} / {row['update_mfu']:.0%}  " if "forward_mfu" in row else "")
            + f"max |dlogp| {row['log_prob']:.0e}, gradient {row['gradient']:.0e}, "
            + f"naive against single rows {row['naive_vs_single']:.0e}",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
