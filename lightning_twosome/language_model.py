"""Load a causal language model, safely and exactly: its folder, its tokenizer, its weights, its adapter.

    name -> folder -> config (causal? native code?) -> tokenizer (fast?) -> weights (whole? dropout 0) -> LoRA (float32)

Each arrow refuses with one sentence what the next one could not use.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from peft import PeftModel
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)
from transformers.utils import logging as transformers_logging

from lightning_twosome.errors import UserError
from lightning_twosome.lora import adapter_base, add_lora, check_fields, is_adapter, load_adapter
from lightning_twosome.model_folder import bundled_path, check_weights, find_model_folder, first_sentence, read_json

__all__ = [
    "LanguageModel",
    "LanguageModelConfig",
    "backbone",
    "bundled_path",
    "context_length",
    "decoder_layers",
    "load_language_model",
    "load_tokenizer",
]

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_ATTENTION = ("sdpa", "eager")
_TOKENIZER_FILES = ("tokenizer.json", "*.model", "vocab.json", "vocab.txt", "*.tiktoken", "tekken.json")
# Names under which configs hold the longest sequence; a model with none of them (Mamba, Bloom) has no limit.
_CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "context_length")


@dataclass
class LanguageModel:
    """A causal LM with its tokenizer.

    Attributes:
        model: The model in eval mode; a ``PeftModel`` where LoRA was asked for.
        tokenizer: Its fast tokenizer.
        name: The name it was loaded by.
        revision: The hub's commit hash, or for a folder the revision as given.
    """

    model: PreTrainedModel | PeftModel
    tokenizer: PreTrainedTokenizerFast
    name: str
    revision: str | None = None


@dataclass
class LanguageModelConfig:
    """Arguments of :func:`~lightning_twosome.load_language_model`.

    Attributes:
        name: "bundled", a local folder or a hub id.
        dtype: Of the frozen trunk: "float32", "bfloat16", "float16" or "auto". Trainable weights are float32.
        revision: Of a hub repository.
        quantization: ``null`` or "4bit".
        attn_implementation: Passed on to transformers.
        lora: Fields of peft's ``LoraConfig``; ``{}`` for the defaults, ``null`` for no adapter.
        gradient_checkpointing: Recompute the trunk's activations in the backward pass: less memory, more time.
    """

    name: str = "bundled"
    dtype: str = "float32"
    revision: str | None = None
    quantization: str | None = None
    attn_implementation: str | None = None
    lora: dict[str, Any] | None = field(default_factory=dict)
    gradient_checkpointing: bool = False

    @classmethod
    def of(cls, value: LanguageModelConfig | Mapping[str, Any] | str) -> LanguageModelConfig:
        """A config from a config, a mapping of its fields or a name alone."""
        if isinstance(value, str):
            return cls(name=value)
        return value if isinstance(value, LanguageModelConfig) else cls(**value)

    def load(self) -> LanguageModel:
        """Load the model that is described."""
        arguments = asdict(self)
        checkpointing = arguments.pop("gradient_checkpointing")
        language_model = load_language_model(**arguments)
        if checkpointing:
            language_model.model.gradient_checkpointing_enable({"use_reentrant": False})
        return language_model


def load_language_model(
    name: str = "bundled",
    dtype: str | torch.dtype = "float32",
    revision: str | None = None,
    quantization: str | None = None,
    attn_implementation: str | None = None,
    lora: Mapping[str, Any] | None = None,
) -> LanguageModel:
    """Load a causal LM from safetensors, without running code of its repository.

    The trunk's dropout is set to 0, since scores that are shared, cached or recomputed must be exact; ``lora_dropout``
    stays the user's choice.

    Args:
        name: "bundled", a local folder, or a hub id; a PEFT adapter's folder or hub id loads its base and continues it.
        dtype: The trunk's: "float32", "bfloat16", "float16" or "auto" (as stored). Trainable weights are float32.
        revision: Branch, tag or commit of a hub id.
        quantization: None, or "4bit" for an nf4 trunk through bitsandbytes on a CUDA device.
        attn_implementation: None (the model's default), "sdpa" or "eager".
        lora: None for no adapter, else fields of ``peft.LoraConfig``; ``{}`` is r=8, lora_alpha=16 on the
            architecture's query and value projections.
    """
    trunk_dtype = _check_dtype(dtype)
    _check_attention(attn_implementation)
    check_fields(lora or {})
    quantized = _quantization(quantization, trunk_dtype)
    folder, source, revision = find_model_folder(name, revision)
    if is_adapter(folder):
        base_name, base_revision = adapter_base(folder, lora)
        base = load_language_model(base_name, dtype, base_revision, quantization, attn_implementation)
        return LanguageModel(load_adapter(base.model, folder).eval(), base.tokenizer, name, revision)
    config = _load_config(folder, name)
    tokenizer = _load_tokenizer(folder, name)
    check_weights(folder)
    model = _load_model(folder, name, config, dtype=trunk_dtype, attn_implementation=attn_implementation, **quantized)
    _check_vocabulary(model, tokenizer, name)
    model.name_or_path = source  # an adapter's export names it as its base
    adapted = model if lora is None else add_lora(model, lora, revision)
    return LanguageModel(adapted.eval(), tokenizer, name, revision)


def load_tokenizer(name: str = "bundled", revision: str | None = None) -> tuple[PreTrainedTokenizerFast, int | None]:
    """The tokenizer of a model and the most tokens that the model can read, without its weights.

    Args:
        name: "bundled", a local folder or a hub id, as for :func:`load_language_model`.
        revision: Branch, tag or commit of a hub id.

    Returns:
        The tokenizer and the context length, None where the architecture sets no limit.
    """
    folder, _, _ = find_model_folder(name, revision)
    if is_adapter(folder):
        return load_tokenizer(*adapter_base(folder, None))
    config = _load_config(folder, name)
    return _load_tokenizer(folder, name), _context_length(config.get_text_config())


def decoder_layers(model: nn.Module) -> nn.ModuleList:
    """The transformer blocks of any causal LM, also under PEFT."""
    inner = backbone(model)
    depth = _text_config(inner).num_hidden_layers
    for module in inner.modules():
        if isinstance(module, nn.ModuleList) and len(module) == depth:
            return module
    raise UserError(f"no list of {depth} decoder layers was found in {type(inner).__name__}")


def backbone(model: nn.Module) -> nn.Module:
    """The model without its output head, also under PEFT; its output has ``last_hidden_state`` [B, T, H]."""
    base: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    return base.base_model


def context_length(model: nn.Module) -> int | None:
    """The most tokens a sequence may have, or None where the architecture sets no limit."""
    return _context_length(_text_config(backbone(model)))


def _context_length(config: PreTrainedConfig) -> int | None:
    lengths = (getattr(config, key, None) for key in _CONTEXT_KEYS)
    return next((length for length in lengths if isinstance(length, int) and length > 0), None)


def _text_config(inner: Any) -> PreTrainedConfig:
    return inner.config.get_text_config()


def _check_dtype(dtype: str | torch.dtype) -> torch.dtype | str:
    if dtype == "auto":
        return "auto"
    chosen = _DTYPES.get(str(dtype).removeprefix("torch."))
    if chosen is None:
        raise UserError(f"dtype {str(dtype)!r} is unknown: choose 'float32', 'bfloat16', 'float16' or 'auto'")
    return chosen


def _check_attention(attn_implementation: str | None) -> None:
    if attn_implementation is not None and attn_implementation not in _ATTENTION:
        raise UserError(
            f"attn_implementation {attn_implementation!r} takes no custom mask, which the packed rows of the scorer "
            "need: choose 'sdpa' or 'eager', or leave it out"
        )


def _quantization(quantization: str | None, dtype: torch.dtype | str) -> dict[str, Any]:
    """Keyword arguments of ``from_pretrained`` for a quantized trunk."""
    if quantization is None:
        return {}
    if quantization != "4bit":
        raise UserError(f"quantization {quantization!r} is unknown: choose '4bit' or leave it out")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise UserError("quantization '4bit' needs bitsandbytes: pip install 'lightning-twosome[quantization]'")
    if not torch.cuda.is_available():
        raise UserError("quantization '4bit' needs a CUDA device and none is here: leave it out")
    compute = torch.bfloat16 if dtype == "auto" else dtype
    settings = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=compute
    )
    return {"quantization_config": settings, "device_map": {"": int(os.environ.get("LOCAL_RANK", "0"))}}


def _load_config(folder: Path, name: str) -> PreTrainedConfig:
    raw = read_json(folder / "config.json")
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (KeyError, OSError, TypeError, ValueError) as error:
        if "auto_map" in raw:
            raise UserError(
                f"model {name!r} needs code from its repository, which is never run here: choose a model whose "
                "architecture is part of transformers"
            ) from error
        raise UserError(
            f"transformers {transformers.__version__} cannot read the config of model {name!r}, of type "
            f"{raw.get('model_type')!r}: upgrade transformers or choose another model"
        ) from error
    _check_causal(config, name)
    _switch_off_dropout(config)
    return config


def _check_causal(config: PreTrainedConfig, name: str) -> None:
    """Refuse encoders and encoder-decoders, also those that transformers would load with a causal head."""
    kind = config.model_type
    if getattr(config, "is_encoder_decoder", False):
        reason = "an encoder-decoder"
    elif kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not getattr(config, "is_decoder", False):
        reason = "an encoder"
    elif kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        reason = "without a causal head"
    else:
        return
    raise UserError(
        f"model {name!r} is no causal language model (type {kind!r}, {reason}): choose a decoder such as Llama, Qwen "
        "or GPT-2"
    )


def _switch_off_dropout(config: PreTrainedConfig) -> None:
    """Set every dropout and router noise of the architecture to 0, in nested configs too."""
    for key, value in list(vars(config).items()):
        if isinstance(value, PreTrainedConfig):
            _switch_off_dropout(value)
        elif isinstance(value, float) and ("drop" in key or "jitter" in key):
            setattr(config, key, 0.0)


def _load_tokenizer(folder: Path, name: str) -> PreTrainedTokenizerFast:
    if not any(True for pattern in _TOKENIZER_FILES for _ in folder.glob(pattern)):
        raise UserError(f"model {name!r} has no tokenizer: its folder {str(folder)!r} needs a tokenizer.json")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # the tokenizers library raises bare exceptions for a damaged file
        raise UserError(
            f"the tokenizer of model {name!r} cannot be loaded from {str(folder)!r}: it needs a tokenizer.json, or "
            "for a tokenizer.model alone pip install 'lightning-twosome[sentencepiece]'"
        ) from error
    if not tokenizer.is_fast:
        raise UserError(
            f"the tokenizer of model {name!r} ({type(tokenizer).__name__}) has no fast version and so gives no "
            "character offsets, which finding an action's tokens needs: choose a model with a tokenizer.json"
        )
    return tokenizer


def _load_model(folder: Path, name: str, config: PreTrainedConfig, **options: Any) -> PreTrainedModel:
    try:
        with _quiet_progress(folder == bundled_path()):
            model, report = AutoModelForCausalLM.from_pretrained(
                folder,
                config=config,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                **options,
            )
    except (ImportError, ValueError) as error:  # ImportError: a stored quantization whose library is missing
        raise UserError(f"model {name!r} cannot be loaded: {first_sentence(error)}") from error
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise UserError(
            f"the weights of model {name!r} do not have the shapes of its config.json: download or export it again"
        ) from error
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise UserError(
            f"the weights of model {name!r} lack {len(missing)} tensors of its config.json, the first being "
            f"{missing[0]!r}: download or export it again"
        )
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # where an architecture ignores its config
    return model


@contextmanager
def _quiet_progress(quiet: bool) -> Iterator[None]:
    """Without transformers' progress bar, which would flash by for a small model."""
    shown = transformers_logging.is_progress_bar_enabled()
    if quiet and shown:
        transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if quiet and shown:
            transformers_logging.enable_progress_bar()


def _check_vocabulary(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, name: str) -> None:
    rows = model.get_input_embeddings().weight.shape[0]
    token, highest = max(tokenizer.get_vocab().items(), key=lambda item: item[1])
    if highest >= rows:
        raise UserError(
            f"the tokenizer of model {name!r} has token {token!r} with id {highest}, but the model embeds only {rows} "
            "tokens: use the tokenizer the model was trained with"
        )
