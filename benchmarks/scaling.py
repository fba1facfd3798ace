"""Environment steps a second of one and of several processes, and what that says of more of them.

    python -m benchmarks.scaling                        1 and 2 processes, each on a core of its own
    python -m benchmarks.scaling --project 8 64         with a projection to as many

Weak scaling: every process has ``--num-envs`` environments, so that two processes make twice the steps of one. Runs of
both are taken in turns, since other programs' load comes and goes; figures are medians over runs of the iterations'
medians, without each run's first iteration. On a machine with other work, wall seconds measure that work: the processor
seconds of an iteration stand beside them, which lack the time that processes wait for one another.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import lightning as L
import torch
from torch import Tensor

from benchmarks.common import MODELS, quiet, save_random_model, text_tokenizer
from lightning_twosome import RolloutDataModule, TwosomePPO
from lightning_twosome.evaluation import play_episodes

ROOT = Path(__file__).resolve().parent.parent
FLOAT = 4  # bytes


class Clock(L.Callback):
    """Wall seconds of every iteration, of its rollout, and seconds of the processor."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.rollout: list[float] = []
        self.processor: list[float] = []
        self._start = self._processor_start = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin."""
        self._start, self._processor_start = time.perf_counter(), time.process_time()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """An iteration, its rollout included: Lightning collects it on the way to the first batch."""
        now, processor = time.perf_counter(), time.process_time()
        self.seconds.append(now - self._start)
        self.processor.append(processor - self._processor_start)
        self.rollout.append(trainer.datamodule.rollout_seconds)  # type: ignore[attr-defined]
        self._start, self._processor_start = now, processor


def work(options: argparse.Namespace) -> None:
    """One process: pin it, train, and write what was measured."""
    quiet()
    rank, processes = int(os.environ["LOCAL_RANK"]), int(os.environ["WORLD_SIZE"])
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[rank % len(cores)]})
    torch.set_num_threads(1)
    L.seed_everything(0, verbose=False)
    lora = {"r": 8, "lora_alpha": 16, "target_modules": "all-linear"}
    module = TwosomePPO(language_model={"name": options.model, "lora": lora}, actor_lr=1e-4, target_kl=None)  # type: ignore[arg-type]
    data = RolloutDataModule(
        options.task, num_envs=options.num_envs, num_steps=options.num_steps, update_epochs=4, seed=0
    )
    clock = Clock()
    trainer = L.Trainer(
        accelerator="cpu", devices=processes, strategy="ddp" if processes > 1 else "auto", callbacks=[clock],
        max_epochs=options.iterations, gradient_clip_val=0.5, limit_val_batches=0, num_sanity_val_steps=0, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, datamodule=data)
    assert data.samples is not None
    measured = {
        "seconds": median(clock.seconds[1:]),
        "rollout_seconds": median(clock.rollout[1:]),
        "processor_seconds": median(clock.processor[1:]),
        "evaluation_seconds_per_episode": evaluate(module, data, options.eval_episodes),
        "gradient_bytes": FLOAT * sum(p.numel() for p in module.parameters() if p.requires_grad),
        "optimizer_steps": data.num_minibatches,
        "exchanged_bytes": len(pickle.dumps(data.samples.state_dict())) // processes,
        "all_reduce_seconds": all_reduce_seconds(module) if processes > 1 else 0.0,
    }
    if rank == 0:
        options.worker.write_text(json.dumps(measured))


def evaluate(module: TwosomePPO, data: RolloutDataModule, episodes: int) -> float:
    """Seconds an evaluation episode takes one process, of ``episodes``."""
    start = time.perf_counter()
    with data.evaluation_env() as env, module.acting():
        play_episodes(module, env, list(range(episodes)), module.gamma)
    return (time.perf_counter() - start) / episodes


def all_reduce_seconds(module: TwosomePPO) -> float:
    """Median seconds of one exchange of the gradients."""
    gradients: Tensor = torch.cat([p.detach().flatten() for p in module.parameters() if p.requires_grad])
    taken = []
    for _ in range(20):
        start = time.perf_counter()
        torch.distributed.all_reduce(gradients.clone())
        taken.append(time.perf_counter() - start)
    return median(taken)


def measure(processes: int, options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """One run of so many processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    result = folder / "measured.json"
    names = ("model", "task", "num_envs", "num_steps", "iterations", "eval_episodes")
    arguments = [f"--{name.replace('_', '-')}={getattr(options, name)}" for name in names]
    command = [sys.executable, "-m", "benchmarks.scaling", f"--worker={result}", *arguments]
    variables = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "NODE_RANK": "0"}
    variables |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    started = [
        subprocess.Popen(command, env=os.environ | variables | {"LOCAL_RANK": str(rank)}, cwd=ROOT)
        for rank in range(processes)
    ]
    if any([process.wait() for process in started]):
        raise SystemExit("a process failed, see above")
    measured: dict[str, float] = json.loads(result.read_text())
    return measured


def project(processes: int, one: dict[str, float], options: argparse.Namespace) -> dict[str, float]:
    """Seconds of an iteration with so many processes, each as fast as the measured one.

    Compute stays as it is, since each process has its own environments. Gradients travel by a ring all-reduce, samples
    to every process, both at ``--bandwidth``, and each exchange costs ``--latency`` for each step of its ring. A fixed
    number of evaluation episodes is shared.
    """
    rate, hop = options.bandwidth * 1e9, options.latency * 1e-6
    ring = 2 * (processes - 1)
    gradients = one["optimizer_steps"] * (ring / processes * one["gradient_bytes"] / rate + ring * hop)
    samples = (processes - 1) * (one["exchanged_bytes"] / rate + hop)
    total = one["seconds"] + gradients + samples
    episodes = -(-options.eval_episodes // processes)
    return {
        "seconds": total,
        "gradients_seconds": gradients,
        "samples_seconds": samples,
        "speed_up": processes * one["seconds"] / total,
        "evaluation_seconds": episodes * one["evaluation_seconds_per_episode"],
    }


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Environment steps a second of one and of several processes.")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2], help="numbers of processes, 1 first")
    parser.add_argument("--model", default="bundled", help=f"bundled, a folder, or random: {', '.join(MODELS)}")
    parser.add_argument("--task", default="twosome/TomatoSalad-v0", help="environment id")
    parser.add_argument("--num-envs", type=int, default=8, help="environments of each process")
    parser.add_argument("--num-steps", type=int, default=32, help="decisions of each an iteration")
    parser.add_argument("--iterations", type=int, default=6, help="of each run; the first is left out")
    parser.add_argument("--eval-episodes", type=int, default=50, help="of an evaluation")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each number of processes, in turns")
    parser.add_argument("--project", type=int, nargs="*", default=[], help="numbers of processes to project to")
    parser.add_argument("--bandwidth", type=float, default=10.0, help="GB/s between processes, of the projection")
    parser.add_argument("--latency", type=float, default=20.0, help="microseconds of a message, of the projection")
    parser.add_argument("--json", type=Path, help="write every figure here")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Measure, print, and return the figures."""
    options = parse(arguments)
    if options.worker is not None:
        work(options)
        return {}
    runs: dict[int, list[dict[str, float]]] = {processes: [] for processes in options.processes}
    with tempfile.TemporaryDirectory() as folder:
        if options.model in MODELS:
            options.model = str(save_random_model(Path(folder), options.model, text_tokenizer()))
        for _ in range(options.repeats):
            for processes, measured in runs.items():
                measured.append(measure(processes, options, Path(folder)))
                print(f"{processes} processes, an iteration: {measured[-1]}", flush=True)
    middle = {p: {name: median(run[name] for run in taken) for name in taken[0]} for p, taken in runs.items()}
    steps = options.num_envs * options.num_steps
    results: dict[str, Any] = {"load": os.getloadavg()[0], "cores": len(os.sched_getaffinity(0)), "runs": runs}
    one = middle[options.processes[0]]
    for processes, usual in middle.items():
        rates = [processes * steps / run["seconds"] for run in runs[processes]]
        rate = processes * steps / usual["seconds"]
        faster = processes * one["seconds"] / usual["seconds"]
        without_waiting = processes * one["processor_seconds"] / usual["processor_seconds"]
        results[f"{processes}"] = usual | {
            "env_steps_per_second": rate, "speed_up": faster, "speed_up_without_waiting": without_waiting,
        }  # fmt: skip
        print(
            f"{processes} processes: {rate:.1f} env steps/s ({min(rates):.1f} to {max(rates):.1f}), "
            f"{faster:.2f}x; an iteration {usual['seconds']:.2f} s, rollout {usual['rollout_seconds']:.2f} s, "
            f"processor {usual['processor_seconds']:.2f} s ({without_waiting:.2f}x); all-reduce "
            f"{1000 * usual['all_reduce_seconds']:.2f} ms x {usual['optimizer_steps']:.0f}"
        )
    print(
        f"travelling: {one['gradient_bytes']:,} bytes of gradients a step, {one['exchanged_bytes']:,} bytes of samples "
        f"of each process an iteration; evaluation {one['evaluation_seconds_per_episode']:.3f} s an episode; "
        f"load {results['load']:.1f} on {results['cores']} cores"
    )
    for processes in options.project:
        figures = results[f"projected {processes}"] = project(processes, one, options)
        print(
            f"projected, {processes} processes: {figures['speed_up']:.2f}x; an iteration {figures['seconds']:.2f} s, "
            f"gradients {1000 * figures['gradients_seconds']:.1f} ms, samples "
            f"{1000 * figures['samples_seconds']:.1f} ms, evaluation {figures['evaluation_seconds']:.2f} s"
        )
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    return results


if __name__ == "__main__":
    main()
