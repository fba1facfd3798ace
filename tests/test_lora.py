"""LoRA: where it goes, in which precision, and what it refuses."""

import pytest
import torch
from torch import nn

from lightning_twosome.errors import UserError
from lightning_twosome.language_model import load_language_model
from tests.model_files import CONFIGS, save_model

TOKENS = torch.arange(5, 17)[None]
TARGETS = {
    "llama": {"q_proj", "v_proj"},
    "qwen3": {"q_proj", "v_proj"},
    "gemma2": {"q_proj", "v_proj"},
    "phi3": {"qkv_proj"},
    "neox": {"query_key_value"},
    "gpt2": {"c_attn"},
    "bloom": {"query_key_value"},
    "falcon": {"query_key_value"},
    "mamba": {"in_proj", "x_proj"},
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {kind: str(save_model(root / kind, kind)) for kind in CONFIGS}


def trainable(model):
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("kind", CONFIGS)
def test_targets_are_the_architectures_projections(folders, kind):
    model = load_language_model(folders[kind], lora={}).model
    layers = {name.split(".lora_")[0].rpartition(".")[2] for name in trainable(model)}
    assert layers == TARGETS[kind]
    assert model.peft_config["default"].r == 8 and model.peft_config["default"].lora_alpha == 16


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_trunk_trains_float32_weights(folders, kind, dtype, autocast):
    model = load_language_model(folders[kind], dtype=dtype, lora={}).model
    weights = trainable(model)
    assert {weight.dtype for weight in weights.values()} == {torch.float32}
    assert dtype in {parameter.dtype for parameter in model.parameters()}
    with torch.autocast("cpu", dtype=dtype, enabled=autocast):
        model(TOKENS).logits.float().log_softmax(-1)[..., 7].sum().backward()
    gradients = [weight.grad for name, weight in weights.items() if "lora_B" in name]
    assert all(gradient.dtype == torch.float32 and gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.abs().sum() > 0 for gradient in gradients)


def test_fields_are_the_users(folders):
    model = load_language_model(
        folders["llama"], lora={"r": 2, "target_modules": ["o_proj"], "lora_dropout": 0.1}
    ).model
    assert {tuple(weight.shape) for name, weight in trainable(model).items() if "lora_A" in name} == {(2, 32)}
    assert {name.split(".lora_")[0].rpartition(".")[2] for name in trainable(model)} == {"o_proj"}
    assert {module.p for module in model.modules() if isinstance(module, nn.Dropout)} == {0.1}


def test_trunk_is_frozen_and_unchanged_by_a_fresh_adapter(folders):
    plain = load_language_model(folders["gpt2"]).model
    adapted = load_language_model(folders["gpt2"], lora={}).model
    torch.testing.assert_close(adapted(TOKENS).logits, plain(TOKENS).logits, rtol=0, atol=0)
    assert all("lora_" in name for name in trainable(adapted))


@pytest.mark.parametrize(
    "lora",
    [
        {"target_modules": ["q_proj", "lm_head"]},
        {"target_modules": ".*(q_proj|lm_head)"},
        {"modules_to_save": ["lm_head"]},
    ],
)
def test_output_head_is_refused(folders, lora):
    with pytest.raises(UserError, match="output head"):
        load_language_model(folders["qwen3"], lora=lora)


def test_every_linear_layer_leaves_the_head_alone(folders):
    model = load_language_model(folders["llama"], lora={"target_modules": "all-linear"}).model
    assert trainable(model) and not any("lm_head" in name for name in trainable(model))


@pytest.mark.parametrize(
    ("lora", "words"),
    [
        ({"rank": 8}, "no field 'rank': did you mean 'r'"),
        ({"alpha": 8}, "did you mean 'lora_alpha'"),
        ({"target_module": ["q_proj"]}, "did you mean 'target_modules'"),
        ({"zzz": 1}, "see the fields of peft.LoraConfig"),
        ({"task_type": "SEQ_CLS"}, "lora.task_type is set by the package"),
        ({"r": 0}, "lora.r is 0; it must be a number of at least 1"),
        ({"target_modules": ["nowhere"]}, "lora: Target modules .*nowhere.* not found"),
    ],
)
def test_field_that_cannot_be_used_is_named(folders, lora, words):
    with pytest.raises(UserError, match=words):
        load_language_model(folders["llama"], lora=lora)
