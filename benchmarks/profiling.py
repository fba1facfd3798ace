"""What a quickstart iteration spends its time on: matrix products, other tensor arithmetic, everything else.

    python -m benchmarks.profiling --models 2M,30M

A few iterations of ``Trainer.fit`` with the environment, batch and LoRA settings of ``configs/quickstart.yaml`` and a
model of random weights. Rollout and update are profiled apart, by ``torch.profiler`` on the CPU, on one thread.

::

    matrix products   self time of the operators in MATRIX_PRODUCTS
    other tensors     self time of every other operator of PyTorch (aten::...): elementwise, norms, softmax, copies,
                      indices, views
    everything else   the phase's time less the two: Python, Lightning, environments, tokenising, autograd's
                      bookkeeping, the optimizer's own, and what the profiler itself costs

The profiler reads the wall clock, so the shares are of the phase's wall clock: what else runs on the machine meets all
of it alike. The seconds beside them are the process's own. (The module is not named ``profile``: the standard library
has one, which a script in this folder would then hide.)
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import lightning as L
import torch
import yaml
from torch.profiler import ProfilerActivity, profile

from benchmarks import iteration
from benchmarks.common import MODELS, quiet, save_random_model, text_tokenizer

QUICKSTART = Path(__file__).parents[1] / "configs" / "quickstart.yaml"
MATRIX_PRODUCTS = frozenset(
    {
        "aten::mm",
        "aten::addmm",
        "aten::bmm",
        "aten::baddbmm",
        "aten::_scaled_dot_product_flash_attention_for_cpu",
        "aten::_scaled_dot_product_flash_attention_for_cpu_backward",
    }
)
PHASES = ("rollout", "update")


class PhaseProfiler(L.Callback):
    """Profiles the rollout and the update of each iteration, each by itself."""

    def __init__(self) -> None:
        self.process_seconds: dict[str, list[float]] = {phase: [] for phase in PHASES}
        self.wall_seconds = dict.fromkeys(PHASES, 0.0)
        self.self_seconds: dict[str, Counter[str]] = {phase: Counter() for phase in PHASES}
        self._phase: str | None = None
        self._profile = profile()
        self._start = (0.0, 0.0)

    def on_train_epoch_start(self, trainer: L.Trainer, module: Any) -> None:
        """The last iteration has ended, the next rollout begins."""
        self._switch("rollout")

    def on_train_batch_start(self, trainer: L.Trainer, module: Any, batch: Any, batch_idx: int) -> None:
        """The first batch of an iteration is there once its rollout is."""
        if batch_idx == 0:
            self._switch("update")

    def on_train_end(self, trainer: L.Trainer, module: Any) -> None:
        """The last iteration has ended."""
        self._switch(None)

    def _switch(self, phase: str | None) -> None:
        process, wall = time.process_time(), time.perf_counter()
        if self._phase is not None:
            self.process_seconds[self._phase].append(process - self._start[0])
            self.wall_seconds[self._phase] += wall - self._start[1]
            self._profile.stop()
            for event in self._profile.key_averages():
                self.self_seconds[self._phase][event.key] += event.self_cpu_time_total / 1e6
        self._phase = phase
        if phase is not None:
            self._profile = profile(activities=[ProfilerActivity.CPU], acc_events=True)
            self._profile.start()
        self._start = (time.process_time(), time.perf_counter())


def quickstart_arguments(options: argparse.Namespace) -> argparse.Namespace:
    """The quickstart's task, batch and LoRA settings as :mod:`benchmarks.iteration` takes them.

    Normalisation and learning rates are that benchmark's: models of random weights need them to stay near the uniform
    policy, as the bundled model is at the start.
    """
    config = yaml.safe_load(QUICKSTART.read_text(encoding="utf-8"))
    data = config["data"]["init_args"]
    lora = config["model"]["init_args"]["language_model"]["lora"]
    arguments = iteration.parse(["--no-naive", "--lora-targets", lora["target_modules"]])
    for name in ("num_envs", "num_steps", "update_epochs"):
        setattr(arguments, name, data[name])
    arguments.tasks = options.task or data["env"]
    arguments.iterations = options.iterations
    return arguments


def run(folder: Path, options: argparse.Namespace) -> PhaseProfiler:
    """Train for a few iterations, always the same ones."""
    arguments = quickstart_arguments(options)
    module = iteration.make_module(folder, arguments, 0, frozenset())
    data = iteration.make_data(arguments.tasks, arguments, 0)
    profiler = PhaseProfiler()
    iteration.make_trainer(arguments, [profiler]).fit(module, datamodule=data)
    return profiler


def shares(profiler: PhaseProfiler, phases: tuple[str, ...]) -> dict[str, float]:
    """Shares of the phases' wall clock: matrix products, other tensors and everything else."""
    total = sum(profiler.wall_seconds[phase] for phase in phases)
    spent: Counter[str] = sum((profiler.self_seconds[phase] for phase in phases), Counter())
    matrix = sum(spent[name] for name in MATRIX_PRODUCTS)
    tensors = sum(seconds for name, seconds in spent.items() if name.startswith("aten::")) - matrix
    return {
        "matrix products": matrix / total,
        "other tensors": tensors / total,
        "everything else": (total - matrix - tensors) / total,
    }


def profile_model(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds, shares and largest operators of each phase, and of both together."""
    with tempfile.TemporaryDirectory() as folder:
        save_random_model(Path(folder), name, text_tokenizer())
        profiled = run(Path(folder), options)
    result: dict[str, Any] = {}
    for title, phases in {**{phase: (phase,) for phase in PHASES}, "both": PHASES}.items():
        spent: Counter[str] = sum((profiled.self_seconds[phase] for phase in phases), Counter())
        total = sum(profiled.wall_seconds[phase] for phase in phases)
        result[title] = {
            "seconds": median(map(sum, zip(*(profiled.process_seconds[phase] for phase in phases), strict=True))),
            "shares": shares(profiled, phases),
            "largest": {operator: seconds / total for operator, seconds in spent.most_common(options.top)},
        }
    return result


def describe(name: str, result: dict[str, Any]) -> str:
    """A model's table, and the largest operators of each phase."""
    lines = []
    for phase, row in result.items():
        parts = "  ".join(f"{title} {share:5.1%}" for title, share in row["shares"].items())
        lines.append(f"{name:>5} {phase:8} {row['seconds']:7.2f} s an iteration  {parts}")
    for phase in PHASES:
        largest = ", ".join(f"{operator} {share:.1%}" for operator, share in result[phase]["largest"].items())
        lines.append(f"      {phase}: {largest}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Profile what the command line asks for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="2M,30M", help=f"of {', '.join(MODELS)}, comma-separated")
    parser.add_argument("--iterations", type=int, default=2, help="of a run")
    parser.add_argument("--task", help="another environment than the quickstart's")
    parser.add_argument("--top", type=int, default=12, help="operators to name")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    results = {}
    for name in options.models.split(","):
        results[name] = profile_model(name, options)
        print(describe(name, results[name]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")
    return results


if __name__ == "__main__":
    quiet()
    main()
