"""Files with one mistake each, for the tests of messages: configs, models, checkpoints, tasks, studies."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file, save_file

from tests.cli_runs import quick_config, run, save_tiny, tokenizer

CALLBACKS = "lightning_twosome.callbacks"
PPO = "model: {class_path: lightning_twosome.TwosomePPO, init_args: "
DATA = "data: {class_path: lightning_twosome.RolloutDataModule, init_args: "
LAMPS = """\
name: lamps
aim: light the lamp
rooms: [kitchen, bathroom]
start: kitchen
objects:
  lamp: {properties: [switchable], place: in kitchen}
  box: {properties: [container], place: in kitchen}
goal: [lamp switched on]
horizon: 5
"""
STUDY = """\
tasks: {salad: {configs: [tomato_salad.yaml]}}
methods: {ppo: {}}
seeds: [0]
"""
TEXTS = {
    # configs that are no configs
    "empty.yaml": "",
    "broken.yaml": "model: [1\n",
    "tab.yaml": "trainer:\n\tmax_epochs: 1\n",
    "list.yaml": "- model\n",
    "words.yaml": "train for long\n",
    "twice.yaml": "trainer: {max_epochs: 1}\ntrainer: {max_epochs: 2}\n",
    "code.yaml": "run_dir: !!python/object/apply:os.mkdir [hostile-was-here]\n",
    # configs with a mistake
    "trainer_key.yaml": "trainer: {max_epoch: 3}",
    "top_key.yaml": "trianer: {max_epochs: 3}",
    "no_model.yaml": "model: null",
    "init_arg.yaml": "model: {class_path: lightning_twosome.TwosomePPO, init_arg: {gamma: 1}}",
    "lm_key.yaml": f"{PPO}{{language_model: {{dtyp: float32}}}}}}",
    "lora_type.yaml": f"{PPO}{{language_model: {{lora: {{r: many}}}}}}}}",
    "no_adapter.yaml": f"{PPO}{{language_model: {{lora: null}}}}}}",
    "bare.yaml": f"{PPO}{{language_model: {{lora: {{}}}}}}}}",
    "nan.yaml": f"{PPO}{{gamma: .nan}}}}",
    "infinite.yaml": f"{PPO}{{actor_lr: .inf}}}}",
    "infinite_beta.yaml": f"{PPO}{{beta: .inf}}}}",
    "env_type.yaml": f"{DATA}{{env: {{class_path: tests.toys.Corridor, init_args: {{length: far}}}}}}}}",
    "env_words.yaml": f"{DATA}{{env: [twosome/TomatoSalad-v0]}}}}",
    "env_list.yaml": f"{DATA}{{env: [{{env: twosome/TomatoSalad-v0}}]}}}}",
    "env_key.yaml": f"{DATA}{{env: [{{env: twosome/TomatoSalad-v0, wieght: 2}}]}}}}",
    "env_weight.yaml": f"{DATA}{{env: [{{env: twosome/TomatoSalad-v0, weight: 0}}]}}}}",
    "env_twice.yaml": f"{DATA}{{env: [{{env: twosome/TomatoSalad-v0}}, {{env: twosome/TomatoSalad-v0}}]}}}}",
    "callback_key.yaml": f"trainer: {{callbacks: [{{class_path: {CALLBACKS}.LearningCurve}}, {{class_path: "
    f"{CALLBACKS}.EnvironmentBudget, init_args: {{total_steps: 3}}}}]}}",
    "callback_type.yaml": f"trainer: {{callbacks: [{{class_path: {CALLBACKS}.EnvironmentBudget, init_args: "
    "{total_env_steps: many}}]}",
    "callback_value.yaml": f"trainer: {{callbacks: [{{class_path: {CALLBACKS}.EnvironmentBudget, init_args: "
    "{total_env_steps: 0}}]}",
    "callback_class.yaml": f"trainer: {{callbacks: [{{class_path: {CALLBACKS}.LearnCurve}}]}}",
    "forgetting_task.yaml": f"trainer: {{callbacks: [{{class_path: {CALLBACKS}.ForgettingCheck, init_args: "
    "{tasks: [hellaswagg]}}]}",
    "forgetting_offline.yaml": f"trainer: {{callbacks: [{{class_path: {CALLBACKS}.ForgettingCheck, init_args: "
    "{tasks: [piqa]}}]}",
    # household tasks
    "lamps.yaml": LAMPS,
    "lamps_word.yaml": LAMPS.replace("lamp switched on]", "Lamp switched on]"),
    "lamps_key.yaml": LAMPS.replace("horizon", "horizn"),
    "lamps_start.yaml": LAMPS.replace("start: kitchen", "start: Kitchen"),
    "lamps_both.yaml": LAMPS.replace("[lamp switched on]", "[box open, box closed]"),
    "lamps_never.yaml": LAMPS + "actions: [open box, close box]\n",
    "lamps_late.yaml": LAMPS.replace("horizon: 5", "horizon: 1"),
    # studies
    "study_key.yaml": STUDY.replace("seeds", "sedes"),
    "study_empty.yaml": STUDY.replace("{ppo: {}}", "{}"),
    "study_method.yaml": STUDY.replace("{ppo: {}}", "{ppo: {confgs: [x.yaml]}}"),
    "study_config.yaml": STUDY.replace("tomato_salad.yaml", "tomato_sald.yaml"),
    "study_seeds.yaml": STUDY.replace("[0]", "[0, 0]"),
    "study_seed.yaml": STUDY.replace("[0]", "[-1]"),
    "study_twice.yaml": STUDY + "seeds: [1]\n",
    "study_threshold.yaml": STUDY + "threshold: {metric: val/succes}\n",
    "study.yaml": STUDY,
}


class Hostile:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("hostile-was-here",)


def make_bad_files(folder: Path) -> Path:
    """Write a sound run, model and config into ``folder``, and beside them what is wrong with each.

    Returns:
        The folder.
    """
    config = quick_config(folder, save_tiny(folder / "model"))
    assert run("fit", "--config", config, "--trainer.max_epochs", 1, "--trainer.limit_val_batches", 1) == 0
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    (folder / "latin.yaml").write_bytes(b"run_dir: caf\xe9\n")
    (folder / "binary.yaml").write_bytes((folder / "model/model.safetensors").read_bytes()[:300])
    _checkpoints(folder)
    _models(folder)
    return folder


def _checkpoints(folder: Path) -> None:
    whole = (folder / "run/checkpoints/last.ckpt").rename(folder / "good.ckpt")
    (folder / "run/checkpoints/best.ckpt").unlink()
    (folder / "cut.ckpt").write_bytes(whole.read_bytes()[:3000])
    (folder / "empty.ckpt").write_bytes(b"")
    torch.save({"state_dict": {}, "callbacks": Hostile()}, folder / "hostile.ckpt")
    torch.save({"weights": 1}, folder / "other.ckpt")
    for name, changes in (
        ("class", {"_class_path": "lightning_twosome.modules.OnPolicyModule"}), ("later", {"foresight": 2.0}),
    ):  # fmt: skip
        content = torch.load(whole, weights_only=True)
        content["hyper_parameters"] |= changes
        torch.save(content, folder / f"{name}.ckpt")
    only = folder / "only-last/checkpoints"
    only.mkdir(parents=True)
    shutil.copy(whole, only / "last.ckpt")


def _models(folder: Path) -> None:
    def copied(name: str) -> Path:
        return Path(shutil.copytree(folder / "model", folder / name))

    def configured(name: str, **changes: Any) -> None:
        file = copied(name) / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    save_tiny(folder / "wide", hidden_size=32)
    weights = copied("cut") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000])
    tensors = load_file(folder / "model/model.safetensors")
    save_file(dict(list(tensors.items())[1:]), copied("lacking") / "model.safetensors", {"format": "pt"})
    (copied("weightless") / "model.safetensors").unlink()
    (copied("pickled") / "model.safetensors").rename(folder / "pickled/pytorch_model.bin")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (folder / "silent").mkdir(exist_ok=True)
        shutil.copy(folder / "model" / file, folder / "silent")
    (copied("wordless") / "tokenizer.json").unlink()
    (copied("garbled") / "tokenizer.json").write_text("{}")
    (copied("no-json") / "config.json").write_text("{")
    larger = deepcopy(tokenizer())
    larger.add_tokens([f"tomatoes{number}" for number in range(200)])
    larger.save_pretrained(copied("larger"))
    configured("encoder", model_type="bert", architectures=["BertModel"])
    configured("future", model_type="llama9", architectures=["Llama9ForCausalLM"])
    configured("coded", model_type="mine", auto_map={"AutoModelForCausalLM": "mine.Model"})
    _adapter(folder / "adapter", str(folder / "wide"))
    _adapter(folder / "orphan", str(folder / "gone"))
    _adapter(folder / "baseless", None)


def _adapter(folder: Path, base: str | None) -> None:
    """A PEFT folder whose matrices fit the model of ``quick.yaml``, whatever base it names."""
    folder.mkdir()
    settings = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(settings | {"base_model_name_or_path": base}))
    matrices = {}
    for layer in range(2):
        place = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        matrices[f"{place}.lora_A.weight"] = torch.zeros(2, 16)
        matrices[f"{place}.lora_B.weight"] = torch.zeros(16, 2)
    save_file(matrices, folder / "adapter_model.safetensors")


def spec(name: str, **settings: Any) -> str:
    """An option that names an environment of :mod:`tests.bad_environments`."""
    content = {"class_path": f"tests.bad_environments.{name}", "init_args": settings}
    return shlex.quote(f"--data.env={yaml.safe_dump(content, default_flow_style=True, width=10**6).strip()}")
