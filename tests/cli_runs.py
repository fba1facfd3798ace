"""What the tests of the command line share: a tiny model in the hub's format, a quick config, a run in process."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast, Qwen2Config

from lightning_twosome.main import main

ROOT = Path(__file__).resolve().parent.parent
SIZES = {
    "vocab_size": 420, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "max_position_embeddings": 512, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1,
}  # fmt: skip
ARCHITECTURES = {"llama": LlamaConfig, "qwen2": Qwen2Config}
SENTENCES = [
    "This kitchen has one cutting board. You are holding an empty bowl. Near you, nothing is on the counter.",
    "To serve a salad of chopped tomato in a bowl, you should now put the tomato on the cutting board.",
    "The lamp is on. You press blue. You stand at the door and walk right or left.",
]


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE that needs few tokens for a kitchen's sentence."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(SENTENCES * 5, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>")


def save_tiny(folder: Path, architecture: str = "llama", **changes: int) -> Path:
    """Write a tiny random model of the architecture, with its tokenizer, as the hub has it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(ARCHITECTURES[architecture](**(SIZES | changes)))
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


# A toy environment, the smallest rollouts and a few episodes: an iteration takes a fraction of a second.
QUICK = """\
run_dir: {run_dir}
seed_everything: 1
trainer:
  accelerator: cpu
  max_epochs: 2
  gradient_clip_val: 0.5
  num_sanity_val_steps: 0
model:
  class_path: lightning_twosome.TwosomePPO
  init_args:
    language_model:
      name: {model}
      lora: {{r: 2, lora_alpha: 4}}
    critic_hidden: [8]
    target_kl: null
data:
  class_path: lightning_twosome.RolloutDataModule
  init_args:
    env: {env}
    num_envs: 2
    num_steps: 4
    update_epochs: 2
    minibatch_size: 4
    eval_episodes: 4
    eval_num_envs: 2
"""


def quick_config(folder: Path, model: Path, env: str = "{class_path: tests.toys.Corridor}", **changes: str) -> Path:
    """Write a quick config into ``folder``; its run folder is ``folder/run``."""
    text = QUICK.format(run_dir=folder / "run", model=model, env=env)
    for old, new in changes.items():
        text = text.replace(old, new)
    config = folder / "quick.yaml"
    config.write_text(text)
    return config


def run(*arguments: object) -> int:
    """The command line in this process."""
    return main([str(argument) for argument in arguments])


def rows(run_dir: Path, column: str | None = None) -> list[dict[str, str]]:
    """Lines of ``metrics.csv``, those with a value in ``column`` if one is given."""
    with (run_dir / "metrics.csv").open() as file:
        return [row for row in csv.DictReader(file) if column is None or row.get(column)]
