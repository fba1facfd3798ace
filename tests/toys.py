"""Toy environments, a tiny random language model and short training runs, for the tests of the PPO core."""

from __future__ import annotations

import re
from functools import cache, partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import lightning as L
import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lightning_twosome import RolloutDataModule, TwosomePPO
from lightning_twosome.decisions import Decision
from lightning_twosome.vector_env import State
from tests.model_files import byte_level_tokenizer

COLOURS = ("red", "green", "blue", "white", "black", "grey", "pink")


class TextEnv(gym.Env):
    """What the toys share: text to read, an index to answer."""

    observation_space = gym.spaces.Text(1000, charset="".join(map(chr, range(32, 127))))
    action_space = gym.spaces.Discrete(len(COLOURS))


class Buttons(TextEnv):
    """One decision: press the button that the prompt names, among ``offered`` buttons in random order."""

    def __init__(self, offered: int = 7, wanted: str | None = "blue") -> None:
        self.offered = offered
        self.wanted = wanted

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.colour = self.wanted or str(self.np_random.choice(COLOURS[: self.offered]))
        others = [colour for colour in COLOURS if colour != self.colour]
        shown = [self.colour, *self.np_random.permutation(others)[: self.offered - 1]]
        self.shown = [str(colour) for colour in self.np_random.permutation(shown)]
        return f"The {self.colour} lamp is on. You", {"actions": tuple(f"press {c}" for c in self.shown)}

    def step(self, action: int):
        right = self.shown[action] == self.colour
        return "Done.", float(right), True, False, {"actions": (), "success": right}


class Corridor(TextEnv):
    """Walk right to the exit at ``length``; a stride takes two primitive steps, the lists of actions are ragged.

    Each primitive step costs 0.1 and the exit pays 1. The episode is truncated after ``limit`` decisions. The reset's
    seed decides where it starts, the environment's own generator whether a step slips: a replay must repeat both.
    """

    def __init__(self, length: int = 6, limit: int = 5, slip: float = 0.2) -> None:
        self.length, self.limit, self.slip = length, limit, slip

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.place = int(self.np_random.integers(self.length - 1))
        self.decisions = 0
        return self._prompt(), self._info()

    def step(self, action: int):
        text = self._info()["actions"][action]
        steps = {"walk left": (-1,), "walk right": (1,), "stride right": (1, 1), "wait": (0,)}[text]
        rewards = []
        for move in steps:
            if self.np_random.random() >= self.slip:
                self.place = min(max(self.place + move, 0), self.length)
            rewards.append(1.0 - 0.1 if self.place == self.length else -0.1)
            if self.place == self.length:
                break
        self.decisions += 1
        terminated = self.place == self.length
        truncated = not terminated and self.decisions == self.limit
        info = self._info() | {"duration": len(rewards), "step_rewards": tuple(rewards)}
        if terminated or truncated:
            info["success"] = terminated
        return self._prompt(), sum(rewards), terminated, truncated, info

    def _prompt(self) -> str:
        return f"You stand at door {self.place} of {self.length}. You"

    def _info(self) -> dict[str, Any]:
        actions = ["walk right", "stride right"]
        if self.place > 0:
            actions.insert(0, "walk left")
        if self.place % 2:
            actions.append("wait")
        ids = tuple(("walk left", "walk right", "stride right", "wait").index(action) for action in actions)
        return {"actions": tuple(actions), "action_ids": ids, "vector": np.array([self.place], dtype=np.float32)}


class TextPolicy:
    """A policy and value that are pure functions of the text, whatever stands beside it."""

    def action_log_probs(self, states: list[State]) -> torch.Tensor:
        table = torch.full((len(states), max(len(s.decision.actions) for s in states)), -torch.inf)
        for row, state in enumerate(states):
            logits = torch.tensor([len(a) * 0.1 + _digits(state.decision.prompt) * 0.05 * i
                                   for i, a in enumerate(state.decision.actions)])  # fmt: skip
            table[row, : len(logits)] = logits.log_softmax(0)
        return table

    def state_values(self, states: list[State]) -> torch.Tensor:
        return torch.tensor([0.1 * _digits(state.decision.prompt) for state in states])


def _digits(prompt: str) -> int:
    return int(next((word for word in prompt.split() if word.isdigit()), 0))


def decisions(count: int = 6, offered: tuple[int, ...] = (2, 5, 3)) -> list[Decision]:
    """Ragged decisions, each different."""
    made = []
    for number in range(count):
        env = Buttons(offered[number % len(offered)], COLOURS[number % len(COLOURS)])
        prompt, info = env.reset(seed=number)
        made.append(Decision(f"{number}: {prompt}", info["actions"]))
    return made


@cache
def model_folder() -> str:
    """A tiny random Llama whose weights are large enough for mistakes to show, in a folder that lives with the run."""
    import atexit
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="twosome-toy-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return str(save_toy_model(folder))


def save_toy_model(folder: Path, seed: int = 0, hidden_size: int = 32, layers: int = 2) -> Path:
    """Write a tiny random Llama with its tokenizer to ``folder``."""
    config = LlamaConfig(
        vocab_size=320, hidden_size=hidden_size, intermediate_size=2 * hidden_size, num_hidden_layers=layers,
        num_attention_heads=4, max_position_embeddings=256, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
        for parameter in model.parameters():
            if parameter.dim() >= 2:
                torch.nn.init.normal_(parameter, 0.0, parameter.shape[-1] ** -0.5)
    model.save_pretrained(folder)
    byte_level_tokenizer().save_pretrained(folder)
    return folder


def language_model(**changes: Any) -> dict[str, Any]:
    """Arguments of the toy model with a fresh adapter."""
    return {"name": model_folder(), "lora": {"r": 4, "lora_alpha": 8}} | changes


def module(seed: int = 0, **changes: Any) -> TwosomePPO:
    """A TwosomePPO on the toy model with its adapter and critic made from ``seed``."""
    L.seed_everything(seed, verbose=False)
    settings = {"language_model": language_model(), "critic_hidden": (16,), "target_kl": None, "beta": 1.0}
    made = TwosomePPO(**(settings | changes))
    made.configure_model()
    return made


def data(env: type[gym.Env] = Corridor, **changes: Any) -> RolloutDataModule:
    """A data module of a toy environment."""
    settings = {
        "num_envs": 4, "num_steps": 4, "update_epochs": 2, "minibatch_size": 8, "eval_episodes": 5,
        "eval_greedy_episodes": 1, "eval_num_envs": 4, "seed": 0,
    }  # fmt: skip
    env_settings = changes.pop("env_settings", {})
    return RolloutDataModule(partial(env, **env_settings), **(settings | changes))


def trainer(folder: Path | str = ".", **changes: Any) -> L.Trainer:
    """A quiet trainer on one CPU process that writes nothing unless told."""
    settings = {
        "accelerator": "cpu", "devices": 1, "max_epochs": 2, "logger": False, "enable_checkpointing": False,
        "enable_progress_bar": False, "enable_model_summary": False, "default_root_dir": str(folder),
        "num_sanity_val_steps": 0, "limit_val_batches": 0, "log_every_n_steps": 1, "gradient_clip_val": 0.5,
    }  # fmt: skip
    return L.Trainer(**(settings | changes))


def unlisted(trainer: L.Trainer, page: str) -> set[str]:
    """Names that a run has logged and a baseline's page does not list, by name or with their group (``time/...``)."""
    text = (Path(__file__).resolve().parents[1] / "docs/baselines" / page).read_text(encoding="utf-8")
    rows = re.findall(r"^\|([^|]*)\|", text.partition("## Logged metrics")[2].partition("\n## ")[0], re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    logged = {name for name in trainer.logged_metrics if "/" in name}
    return {name for name in logged if not {name, name.partition("/")[0] + "/..."} & listed}


def trainable(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Copies of the weights that are trained, by name."""
    return {name: p.detach().clone() for name, p in module.named_parameters() if p.requires_grad}


def assert_equal_weights(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    """Every weight equal, bit by bit."""
    assert first.keys() == second.keys()
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert not different, f"{len(different)} of {len(first)} weights differ, such as {different[0]}"
