"""LoRA through peft: fields checked, targets chosen for the architecture, trainable weights in float32."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import AuxiliaryTrainingWrapper
from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from lightning_twosome.errors import UserError
from lightning_twosome.model_folder import bundled_path, check_weights, first_sentence, read_json

DEFAULTS = {"r": 8, "lora_alpha": 16}
# These follow from what the adapter is for and are not the user's to set.
_FIXED = {
    "task_type",
    "peft_type",
    "inference_mode",
    "base_model_name_or_path",
    "revision",
    "auto_mapping",
    "peft_version",
}
_ALIASES = {"rank": "r", "targets": "target_modules", "modules": "target_modules"}
# Projections by name where peft has no choice: query and value, else the fused one, else a state-space mixer's input.
_PROJECTIONS = (
    ("q_proj", "v_proj"),
    ("query", "value"),
    ("q", "v"),
    ("query_key_value",),
    ("qkv_proj",),
    ("Wqkv",),
    ("c_attn",),
    ("q_b_proj", "kv_b_proj"),
    ("in_proj", "x_proj"),
    ("in_proj",),
)


def add_lora(model: PreTrainedModel, lora: Mapping[str, Any], revision: str | None = None) -> PeftModel:
    """The model with a fresh adapter; the trunk is frozen, the adapter float32.

    Args:
        model: Any causal LM.
        lora: Fields of ``peft.LoraConfig``; what is left out is r=8, lora_alpha=16 and `default_targets`.
        revision: The trunk's, to be kept in the adapter's config.
    """
    check_fields(lora)
    settings = DEFAULTS | dict(lora)
    if settings.get("target_modules") is None:
        settings["target_modules"] = default_targets(model)
    # Conv1D (GPT-2) stores its weight transposed; peft would find out by itself, with a warning.
    settings.setdefault("fan_in_fan_out", any(isinstance(module, Conv1D) for module in model.modules()))
    try:
        adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", revision=revision, **settings))
    except (TypeError, ValueError) as error:
        raise UserError(f"lora: {first_sentence(error)}") from error
    _check_output_head(adapted)
    return make_trainable_float32(adapted)


def is_adapter(folder: Path) -> bool:
    """Whether the folder holds a PEFT adapter rather than a whole model."""
    return (folder / "adapter_config.json").is_file()


def adapter_base(folder: Path, lora: Mapping[str, Any] | None) -> tuple[str, str | None]:
    """The name and revision of the model that an adapter's folder was trained on, checked before anything is loaded."""
    if lora:
        raise UserError(f"model {str(folder)!r} is an adapter with LoRA fields of its own: leave lora out")
    settings = read_json(folder / "adapter_config.json")
    if settings.get("peft_type") != "LORA":
        raise UserError(f"adapter {str(folder)!r} is of type {settings.get('peft_type')!r}, only LORA can be continued")
    check_weights(folder, "adapter_model")
    base = settings.get("base_model_name_or_path")
    if not base:
        raise UserError(f"adapter {str(folder)!r} names no base model in its adapter_config.json")
    if Path(base).parts[-2:] == bundled_path().parts[-2:]:
        base = "bundled"  # exported on a machine where the package lies elsewhere
    return base, settings.get("revision")


def load_adapter(model: PreTrainedModel, folder: Path) -> PeftModel:
    """The base model with a saved adapter, ready to be trained further."""
    try:
        adapted = PeftModel.from_pretrained(model, folder, is_trainable=True)
    except RuntimeError as error:
        raise UserError(
            f"adapter {str(folder)!r} does not fit its base model {model.name_or_path!r}, whose matrices have other "
            "shapes: name the model it was trained on as base_model_name_or_path in its adapter_config.json"
        ) from error
    except ValueError as error:
        raise UserError(f"adapter {str(folder)!r} does not fit its base model: {first_sentence(error)}") from error
    _check_output_head(adapted)
    return make_trainable_float32(adapted)


def make_trainable_float32(model: PeftModel) -> PeftModel:
    """Hold every trainable weight in float32: half precision swallows the small steps of policy gradients."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32)
    return model


def default_targets(model: PreTrainedModel) -> list[str] | str:
    """The modules LoRA adapts by default: peft's choice for the architecture, else attention projections by name."""
    names = linear_names(model)
    chosen = TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING.get(model.config.model_type)
    if isinstance(chosen, str):
        return chosen
    if chosen and set(chosen) <= names:
        return list(chosen)
    for projections in _PROJECTIONS:
        if set(projections) <= names:
            return list(projections)
    raise UserError(
        f"no attention projection was recognised in a model of type {model.config.model_type!r}: name the layers in "
        f"lora.target_modules, out of {sorted(names)}"
    )


def linear_names(model: nn.Module) -> set[str]:
    """The last name of every linear layer but the output head."""
    head = model.get_output_embeddings() if isinstance(model, PreTrainedModel) else None
    return {
        path.rpartition(".")[2]
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and module is not head
    }


def check_fields(lora: Mapping[str, Any]) -> None:
    """Check what can be checked of an adapter's settings without its model.

    Raises:
        UserError: A field is unknown or not the user's to set, or a number is none.
    """
    known = {field.name for field in fields(LoraConfig)} - _FIXED
    for key in lora:
        if key in _FIXED:
            raise UserError(f"lora.{key} is set by the package: leave it out")
        if key not in known:
            nearest = [_ALIASES[key]] if key in _ALIASES else difflib.get_close_matches(key, known, n=1)
            way_out = f"did you mean {nearest[0]!r}" if nearest else "see the fields of peft.LoraConfig"
            raise UserError(f"lora has no field {key!r}: {way_out}")
    for key, least in (("r", 1), ("lora_alpha", 0), ("lora_dropout", 0)):
        value = lora.get(key, least)
        number = int if key == "r" else int | float
        if not isinstance(value, number) or isinstance(value, bool) or not value >= least:
            raise UserError(f"lora.{key} is {value!r}; it must be a number of at least {least}")


def _check_output_head(adapted: PeftModel) -> None:
    head = adapted.get_base_model().get_output_embeddings()
    if isinstance(head, BaseTunerLayer | AuxiliaryTrainingWrapper):
        raise UserError(
            "lora adapts the output head (lm_head), which is scored at the action's tokens alone and stays frozen: "
            "take it out of lora.target_modules and lora.modules_to_save"
        )
