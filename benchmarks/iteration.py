"""Whole PPO iterations on the kitchen, ours beside the naive loop of the paper, with equal weights at the end.

    python -m benchmarks.iteration --models 2M,30M --repeats 3

Ours is ``Trainer.fit`` as a user runs it: the time of an iteration is that of its whole Lightning epoch. After each
epoch the naive loop (:mod:`benchmarks.naive_ppo`) does the same iteration in the same process, on a copy of the model
made before training: same environments, same uniform numbers for the actions, same minibatches, own optimizer. Nothing
is handed over in between, so both carry their own weights from iteration to iteration and are compared at the end.
On one CPU thread the seconds are the process's own, so that a busy machine does not count; otherwise they are the wall
clock's.

``--off`` switches one or several of our savings off, to see what each is worth.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import lightning as L
import torch
from torch import Tensor, nn

from benchmarks.common import MODELS, begin_peak, peak_megabytes, quiet, save_random_model, text_tokenizer
from benchmarks.iteration_summary import describe, summarize
from benchmarks.naive_ppo import NaivePPO, Settings, now
from lightning_twosome import RolloutDataModule, TwosomePPO
from lightning_twosome.agent import ActorCritic
from lightning_twosome.language_model import backbone
from lightning_twosome.rollout import Rollout, RolloutCollector
from lightning_twosome.vector_env import TextVectorEnv

TASKS = ("twosome/TomatoSalad-v0", "twosome/TomatoLettuceSalad-v0")
SAVINGS = ("tree", "dedup", "memo", "features", "frozen")


class PositionCounter:
    """Positions that a model's trunk reads, with and without gradient, padding included."""

    def __init__(self, model: nn.Module) -> None:
        self.counts = {"forward": 0, "forward_backward": 0}
        backbone(model).register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        ids = kwargs.get("input_ids", args[0] if args else None)
        assert ids is not None
        self.counts["forward_backward" if torch.is_grad_enabled() else "forward"] += ids.numel()

    def take(self) -> dict[str, int]:
        """The counts since the last call."""
        taken, self.counts = self.counts, dict.fromkeys(self.counts, 0)
        return taken


class Recorder(L.Callback):
    """Times each iteration and, where there is one, lets the naive loop do the same iteration after it.

    Args:
        naive: The naive loop, or ``None``.
        naive_counter: Its counter.
    """

    def __init__(self, naive: NaivePPO | None = None, naive_counter: PositionCounter | None = None) -> None:
        self.naive = naive
        self.naive_counter = naive_counter
        self.records: list[dict[str, Any]] = []
        self._counter: PositionCounter | None = None
        self._start = self._middle = 0.0
        self._before: dict[str, Tensor] = {}

    def on_train_epoch_start(self, trainer: L.Trainer, module: Any) -> None:
        """The last iteration has ended, the next one begins."""
        if self._counter is None:
            self._counter = PositionCounter(module.agent.model)
            self._before = trained_weights(module.agent.model, module.agent.critic)
        else:
            self._finish(module)
        begin_peak(module.device)
        self._start = now(module.device)

    def on_train_batch_start(self, trainer: L.Trainer, module: Any, batch: Any, batch_idx: int) -> None:
        """The first batch of an iteration is there once its rollout is."""
        if batch_idx == 0:
            self._middle = now(module.device)

    def on_train_end(self, trainer: L.Trainer, module: Any) -> None:
        """The last iteration has ended."""
        self._finish(module)

    def _finish(self, module: Any) -> None:
        end = now(module.device)
        data, counter = module.data, self._counter
        assert counter is not None
        decisions = [state.decision for state in data.samples.states]
        record: dict[str, Any] = {
            "iteration": data.iteration - 1,
            "unique_share": len(set(decisions)) / len(decisions),
            "entropy_share": entropy_share(data.samples.log_probs),
            "decisions": len(decisions),
            "learned_from": len(decisions) * data.update_epochs,
            "ours": {
                "peak_megabytes": peak_megabytes(module.device),
                "seconds": end - self._start,
                "rollout_seconds": self._middle - self._start,
                "update_seconds": end - self._middle,
                "positions": counter.take(),
            },
        }
        if self.naive is not None and self.naive_counter is not None:
            begin_peak(module.device)
            self.naive.iterate(data.iteration - 1, data.minibatches(data.iteration - 1, module.packing_matters))
            rollout, update = self.naive.rollout_seconds, self.naive.update_seconds
            record["naive"] = {
                "peak_megabytes": peak_megabytes(module.device),
                "seconds": rollout + update,
                "rollout_seconds": rollout,
                "update_seconds": update,
                "positions": self.naive_counter.take(),
            }
            assert self.naive.rollout is not None
            record["differences"] = self._differences(module, self.naive.rollout)
        self.records.append(record)

    def _differences(self, module: Any, theirs: Rollout) -> dict[str, float]:
        assert self.naive is not None
        samples = module.data.samples
        mine = trained_weights(module.agent.model, module.agent.critic)
        other = trained_weights(self.naive.model, self.naive.critic)
        table = theirs.log_probs.flatten(0, 1)
        valid = table.isfinite()
        result = {
            "actions": float((samples.actions != theirs.actions.flatten()).sum()),
            "log_prob_max": float((samples.log_probs - table)[valid].abs().max()),
            "value_max": float((samples.values - theirs.values.flatten()).abs().max()),
        }
        for part, marks in (("lora", lambda name: "lora_" in name), ("critic", lambda name: "lora_" not in name)):
            names = [name for name in mine if marks(name)]
            ours, naive, start = (flat(weights, names) for weights in (mine, other, self._before))
            result[f"{part}_weights_relative"] = float((ours - naive).norm() / naive.norm())
            result[f"{part}_change_relative"] = float((ours - naive).norm() / (naive - start).norm())
        # What AdamW divides by its own size, as of the iteration's last step: rounding before it is amplified.
        ours, naive = (flat(g, sorted(g)) for g in map(gradients, (module.agent.model, self.naive.model)))
        result["lora_gradient_relative"] = float((ours - naive).norm() / naive.norm())
        return result


def trained_weights(model: nn.Module, critic: nn.Module) -> dict[str, Tensor]:
    """Copies of the adapter's and the critic's weights, float64 on the host."""
    return {
        name: parameter.detach().double().cpu()
        for module in (model, critic)
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    }


def gradients(model: nn.Module) -> dict[str, Tensor]:
    """Copies of the gradients of the trained weights, float64 on the host."""
    return {
        name: parameter.grad.double().cpu()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


def flat(weights: dict[str, Tensor], names: Iterable[str]) -> Tensor:
    """The named weights as one vector."""
    return torch.cat([weights[name].flatten() for name in names])


def entropy_share(log_probs: Tensor) -> float:
    """Mean entropy of the policy as a share of the uniform one's: 1 is uniform."""
    valid = log_probs.isfinite()
    entropy = -(log_probs.exp() * log_probs.masked_fill(~valid, 0.0)).sum(dim=1)
    return float((entropy / valid.sum(dim=1).clamp(min=2).float().log()).mean())


@contextmanager
def switched_off(agent: ActorCritic, savings: frozenset[str]) -> Iterator[None]:
    """Our path without some of what it saves; "tree" and "frozen" are set when the module is made."""
    patches: list[Any] = []
    if "memo" in savings:
        patches.append(mock.patch.object(agent, "remembered_log_probs", torch.no_grad()(agent.action_log_probs)))
    if "features" in savings:
        values = agent.values

        def uncached_values(prompts: list[str]) -> Tensor:
            agent.features.clear()
            return values(prompts)

        patches.append(mock.patch.object(agent, "values", uncached_values))
    if "dedup" in savings:
        patches.append(
            mock.patch("lightning_twosome.agent.unique_items", lambda items: (list(items), [*range(len(items))]))
        )
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()


def make_module(folder: Path, arguments: argparse.Namespace, seed: int, off: frozenset[str]) -> TwosomePPO:
    """The module under test, its adapter and critic made from ``seed``."""
    L.seed_everything(seed, verbose=False)
    targets = arguments.lora_targets
    lora: dict[str, Any] = {"r": 8, "lora_alpha": 16}
    lora["target_modules"] = targets if targets == "all-linear" else targets.split(",")
    if arguments.lora_from:
        layers = json.loads((folder / "config.json").read_text())["num_hidden_layers"]
        lora["layers_to_transform"] = list(range(arguments.lora_from, layers))
    module = TwosomePPO(
        language_model={"name": str(folder), "dtype": arguments.dtype, "lora": lora},  # type: ignore[arg-type]
        normalization=arguments.normalization,
        beta=arguments.beta,
        scoring="duplicate" if "tree" in off else "auto",
        frozen_layers=0 if off & {"tree", "frozen"} else arguments.lora_from,
        actor_lr=arguments.actor_lr,
        critic_lr=arguments.critic_lr,
        anneal_lr=False,
        anneal_entropy=False,
        target_kl=None,
    )
    module.configure_model()
    return module


def make_data(task: str, arguments: argparse.Namespace, seed: int) -> RolloutDataModule:
    """The data module under test."""
    return RolloutDataModule(
        env=task,
        num_envs=arguments.num_envs,
        num_steps=arguments.num_steps,
        update_epochs=arguments.update_epochs,
        minibatch_size=arguments.minibatch_size,
        seed=seed,
    )


def make_naive(module: TwosomePPO, data: RolloutDataModule, arguments: argparse.Namespace) -> NaivePPO:
    """The naive loop on copies of the module's weights."""
    device = torch.device(arguments.device)
    model = copy.deepcopy(module.agent.model).to(device).train()
    critic = copy.deepcopy(module.agent.critic).to(device)
    hparams = module.hparams
    assert data.seed is not None
    settings = Settings(
        normalization=hparams["normalization"],
        beta=float(module.agent.beta),
        gamma=module.gamma,
        gae_lambda=module.gae_lambda,
        clip_coef=hparams["clip_coef"],
        value_coef=hparams["value_coef"],
        entropy_coef=hparams["entropy_coef"],
        max_grad_norm=0.5,
        decisions_per_forward=arguments.naive_decisions_per_forward,
    )
    groups = [
        {"params": [p for p in model.parameters() if p.requires_grad], "lr": hparams["actor_lr"]},
        {"params": list(critic.parameters()), "lr": hparams["critic_lr"]},
    ]
    optimizer = torch.optim.AdamW(groups, eps=1e-5, weight_decay=0.0)
    collector = RolloutCollector(TextVectorEnv([data.make_env] * data.num_envs), data.num_steps, data.seed)
    return NaivePPO(model, module.language_model.tokenizer, critic, optimizer, collector, settings)


def run(folder: Path, task: str, arguments: argparse.Namespace, seed: int, off: frozenset[str] | None = None) -> Any:
    """Train a few iterations.

    Args:
        folder: The model.
        task: The environment's id.
        arguments: The command line.
        seed: Of adapter, critic, episodes, actions and minibatches.
        off: Savings that are switched off, without the naive loop; ``None`` for ours in full beside the naive loop.

    Returns:
        One record an iteration.
    """
    module = make_module(folder, arguments, seed, off or frozenset())
    data = make_data(task, arguments, seed)
    recorder = Recorder()
    if off is None:
        naive = make_naive(module, data, arguments)
        recorder = Recorder(naive, PositionCounter(naive.model))
        warm_up(naive, data)
    with switched_off(module.agent, off or frozenset()):
        make_trainer(arguments, [recorder]).fit(module, datamodule=data)
    return recorder.records


def make_trainer(arguments: argparse.Namespace, callbacks: list[L.Callback]) -> L.Trainer:
    """A trainer that does nothing but train."""
    return L.Trainer(
        accelerator="cpu" if arguments.device == "cpu" else "gpu",
        devices=1,
        max_epochs=arguments.iterations,
        gradient_clip_val=0.5,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=callbacks,
    )


def warm_up(naive: NaivePPO, data: RolloutDataModule) -> None:
    """One pass forward and backward, so that no side pays for the process's first use of the kernels."""
    decisions = [state.decision for state in data.example_states(naive.settings.decisions_per_forward)]
    naive.policy(decisions).masked_fill(~torch.isfinite(naive.policy(decisions)), 0.0).sum().backward()
    naive.optimizer.zero_grad()


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Seconds of a PPO iteration, ours and the naive loop's.")
    parser.add_argument("--models", default="2M,30M", help=f"of {', '.join(MODELS)}, comma-separated")
    parser.add_argument("--tasks", default=",".join(TASKS), help="environment ids, comma-separated")
    parser.add_argument("--repeats", type=int, default=1, help="runs, each with a seed of its own")
    parser.add_argument("--iterations", type=int, default=3, help="iterations of a run, weights carried on")
    parser.add_argument("--num-envs", type=int, default=4, help="environments")
    parser.add_argument("--num-steps", type=int, default=32, help="decisions of each an iteration")
    parser.add_argument("--update-epochs", type=int, default=1, help="passes over the rollout an iteration")
    parser.add_argument("--minibatch-size", type=int, help="decisions of an optimizer step; all of them by default")
    parser.add_argument(
        "--normalization", default="token", help="with random weights only token gives a near-uniform policy"
    )
    parser.add_argument("--lora-targets", default="q_proj,v_proj", help="layers with an adapter, or all-linear")
    parser.add_argument("--lora-from", type=int, default=0, help="first layer with an adapter, on both sides")
    parser.add_argument("--beta", type=float, default=1.0, help="inverse temperature; 1 is near uniform")
    parser.add_argument("--actor-lr", type=float, default=1e-4, help="of the adapter; the policy stays near its start")
    parser.add_argument("--critic-lr", type=float, default=1e-3, help="learning rate of the critic")
    parser.add_argument("--naive-decisions-per-forward", type=int, default=4, help="of the naive update")
    parser.add_argument(
        "--off", default="", help=f"variants without some savings: sets of {SAVINGS} joined by +, comma-separated"
    )
    parser.add_argument("--no-naive", action="store_true", help="ours alone")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--dtype", default="float32", help="of the frozen trunk")
    parser.add_argument("--json", type=Path, help="write every record here")
    return parser.parse_args(arguments)


def benchmark(shape: str, task: str, arguments: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """All runs of one model on one task: records by variant, "full" being ours beside the naive loop."""
    variants: dict[str, frozenset[str] | None] = {"full": frozenset() if arguments.no_naive else None}
    for name in filter(None, arguments.off.split(",")):
        variants[f"without {name}"] = frozenset(name.split("+"))
    records: dict[str, list[dict[str, Any]]] = {name: [] for name in variants}
    with tempfile.TemporaryDirectory() as folder:
        save_random_model(Path(folder), shape, text_tokenizer(), getattr(torch, arguments.dtype))
        for seed in range(arguments.repeats):
            for name, off in variants.items():
                records[name] += run(Path(folder), task, arguments, seed, off)
    return records


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Run what the command line asks for and print it."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    results: dict[str, Any] = {
        "options": {name: str(value) for name, value in vars(options).items()},
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    for shape in options.models.split(","):
        for task in options.tasks.split(","):
            records = benchmark(shape, task, options)
            for variant, rows in records.items():
                summary = summarize(rows)
                results[f"{shape} {task} {variant}"] = {"summary": summary, "records": rows}
                print(f"{shape} {task} {variant}\n{describe(summary)}", flush=True)
            if options.json:
                options.json.write_text(json.dumps(results, indent=1))
    return results


if __name__ == "__main__":
    quiet()
    main()
