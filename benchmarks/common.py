"""What the benchmarks share: models of a given size with random weights, and a tokenizer."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from benchmarks.scoring import SHAPES
from lightning_twosome.language_model import bundled_path

TINY = {"vocab_size": 1280, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4}  # fmt: skip
MODELS: dict[str, dict[str, Any]] = {"tiny": TINY, **SHAPES}


def text_tokenizer() -> PreTrainedTokenizerFast:
    """The bundled model's tokenizer: about one token a word on the kitchen's texts, as large models' have it."""
    return AutoTokenizer.from_pretrained(bundled_path())


def quiet() -> None:
    """Only figures on the screen."""
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()


def save_random_model(
    folder: Path, name: str, tokenizer: PreTrainedTokenizerFast, dtype: torch.dtype = torch.float32
) -> Path:
    """Write a random Llama of ``MODELS`` with its tokenizer to ``folder``, always the same one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(LlamaConfig(**MODELS[name], max_position_embeddings=512)).to(dtype)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def begin_peak(device: torch.device) -> None:
    """Forget a GPU's greatest memory so far, that of both sides of a comparison being held in it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_megabytes(device: torch.device) -> float | None:
    """Greatest memory of a GPU since :func:`begin_peak`, above what is held now; ``None`` on the CPU."""
    if device.type != "cuda":
        return None
    return (torch.cuda.max_memory_allocated(device) - torch.cuda.memory_allocated(device)) / 2**20
