"""Tiny random language models in the hub's folder format, for tests that load them."""

from functools import cache
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    FalconConfig,
    Gemma2Config,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MambaConfig,
    Phi3Config,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

VOCABULARY = 320
_SIZES = {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
_SHAPE = _SIZES | {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
_GROUPED = _SHAPE | {"num_key_value_heads": 2}

CONFIGS: dict[str, PreTrainedConfig] = {
    "llama": LlamaConfig(**_GROUPED, attention_dropout=0.3),
    "qwen3": Qwen3Config(**_GROUPED, head_dim=8),
    "gemma2": Gemma2Config(**_GROUPED, head_dim=8),
    "phi3": Phi3Config(**_GROUPED, resid_pdrop=0.2),
    "neox": GPTNeoXConfig(**_SHAPE, hidden_dropout=0.2),
    "gpt2": GPT2Config(**_SIZES, n_embd=32, n_layer=2, n_head=4, n_positions=64),
    "bloom": BloomConfig(**_SIZES, hidden_size=32, n_layer=2, n_head=4, hidden_dropout=0.1),
    "falcon": FalconConfig(**_SIZES, hidden_size=32, num_hidden_layers=2, num_attention_heads=4),
    "mamba": MambaConfig(**_SIZES, hidden_size=32, num_hidden_layers=2, state_size=4),
}


@cache
def byte_level_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer trained on one sentence."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["pick up the tomato and put it on the table"] * 10, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


def save_model(folder: Path, kind: str = "llama", **save_options: str) -> Path:
    """A random model of one of ``CONFIGS``, with its tokenizer, written to ``folder``."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIGS[kind])
    model.save_pretrained(folder, **save_options)
    byte_level_tokenizer().save_pretrained(folder)
    return folder
