"""What the benchmarks share: models of a given size with random weights, and a tokenizer."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from lightning_twosome.language_model import bundled_path

# Llama shapes of about 2, 30 and 135 million parameters, the head tied to the embedding; the last is SmolLM-135M's.
SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
             "num_key_value_heads": 2, "vocab_size": 1280},
    "2m": {"hidden_size": 160, "intermediate_size": 448, "num_hidden_layers": 6, "num_attention_heads": 5,
           "num_key_value_heads": 5, "vocab_size": 1280},
    "30m": {"hidden_size": 512, "intermediate_size": 1376, "num_hidden_layers": 8, "num_attention_heads": 8,
            "num_key_value_heads": 8, "vocab_size": 8192},
    "135m": {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
             "num_key_value_heads": 3, "vocab_size": 49152},
}  # fmt: skip


def text_tokenizer() -> PreTrainedTokenizerFast:
    """The bundled model's tokenizer: about one token a word on the kitchen's texts, as large models' have it."""
    return AutoTokenizer.from_pretrained(bundled_path())


def quiet() -> None:
    """Only figures on the screen."""
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()


def save_random_model(
    folder: Path, shape: str, tokenizer: PreTrainedTokenizerFast, weight_scale: float | None = None
) -> Path:
    """Write a random Llama of ``SHAPES`` with its tokenizer to ``folder``, always the same one.

    Args:
        folder: Where to; made if missing.
        shape: A key of ``SHAPES``.
        tokenizer: At most as many tokens as the shape embeds.
        weight_scale: Standard deviation of the weights times the square root of their fan-in; ``None`` for the usual
            small start, which makes a policy that is close to uniform.
    """
    config = LlamaConfig(**SHAPES[shape], tie_word_embeddings=True, max_position_embeddings=512)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
        if weight_scale is not None:
            for parameter in model.parameters():
                if parameter.dim() == 2:
                    torch.nn.init.normal_(parameter, 0.0, weight_scale * parameter.shape[-1] ** -0.5)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
