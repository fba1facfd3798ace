"""Loading: what comes back is exact and safe, and what cannot be loaded is refused in one sentence."""

import json
import shutil

import pytest
import torch
from peft import PeftModel
from torch import nn
from transformers import BertConfig, BertForMaskedLM, CTRLTokenizer, T5Config, T5ForConditionalGeneration

from lightning_twosome.errors import UserError
from lightning_twosome.language_model import (
    backbone,
    bundled_path,
    context_length,
    decoder_layers,
    load_language_model,
)
from tests.model_files import CONFIGS, VOCABULARY, byte_level_tokenizer, save_model

TOKENS = torch.arange(5, 17)[None]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {kind: save_model(root / kind, kind) for kind in CONFIGS}


@pytest.fixture
def llama(folders, tmp_path):
    """A copy of the tiny Llama that a test may damage."""
    return shutil.copytree(folders["llama"], tmp_path / "llama")


def change_config(folder, **changes):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_folder_gives_model_and_tokenizer(folders):
    loaded = load_language_model(str(folders["llama"]))
    assert loaded.name == str(folders["llama"]) and loaded.revision is None
    assert not isinstance(loaded.model, PeftModel) and not loaded.model.training
    assert all(parameter.requires_grad for parameter in loaded.model.parameters())
    assert loaded.tokenizer.decode(loaded.tokenizer("pick up the tomato")["input_ids"]) == "pick up the tomato"


@pytest.mark.parametrize("kind", CONFIGS)
def test_scores_do_not_depend_on_training_mode(folders, kind):
    model = load_language_model(str(folders[kind]), lora={}).model
    with torch.no_grad():
        in_eval = model.eval()(TOKENS).logits
        in_training = model.train()(TOKENS).logits
    torch.testing.assert_close(in_training, in_eval, rtol=0, atol=0)
    assert all(module.p == 0 for module in model.modules() if isinstance(module, nn.Dropout))


@pytest.mark.parametrize("kind", CONFIGS)
def test_backbone_and_layers_are_found_under_the_adapter(folders, kind):
    model = load_language_model(str(folders[kind]), lora={}).model
    hidden = backbone(model)(input_ids=TOKENS, attention_mask=torch.ones_like(TOKENS)).last_hidden_state
    assert hidden.shape == (*TOKENS.shape, 32)
    layers = decoder_layers(model)
    assert len(layers) == 2
    adapted = {name for name, _ in layers.named_parameters() if "lora_" in name}
    assert adapted, "the adapter's weights lie inside the decoder layers"


def test_context_length_is_the_architectures(folders):
    lengths = {kind: context_length(load_language_model(str(folders[kind])).model) for kind in CONFIGS}
    assert lengths["gpt2"] == 64 and lengths["llama"] == 2048
    assert lengths["mamba"] is None and lengths["bloom"] is None


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", torch.bfloat16])
def test_trunk_has_the_dtype_asked_for(folders, dtype):
    model = load_language_model(str(folders["llama"]), dtype=dtype).model
    assert {str(parameter.dtype).removeprefix("torch.") for parameter in model.parameters()} == {
        str(dtype).removeprefix("torch.")
    }


def test_auto_dtype_is_the_stored_one(llama):
    loaded = load_language_model(str(llama), dtype="bfloat16")
    loaded.model.save_pretrained(llama)
    assert load_language_model(str(llama), dtype="auto").model.dtype == torch.bfloat16


def test_bundled_model_loads_from_the_package_by_default():
    loaded = load_language_model(lora={})
    assert loaded.name == "bundled" and loaded.model.dtype == torch.float32
    assert bundled_path().parent.name == "lightning_twosome"
    assert (
        loaded.model(torch.tensor([loaded.tokenizer("The tomato is on the table.")["input_ids"]]))
        .logits.isfinite()
        .all()
    )


def test_adapter_of_the_bundled_model_finds_it_where_the_package_lies_elsewhere(tmp_path):
    load_language_model("bundled", lora={}).model.save_pretrained(tmp_path)
    file = tmp_path / "adapter_config.json"
    elsewhere = "/another/machine/site-packages/lightning_twosome/bundled"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"base_model_name_or_path": elsewhere}))
    assert isinstance(load_language_model(str(tmp_path)).model, PeftModel)


def test_saved_adapter_is_loaded_with_its_base_and_trains_on(folders, tmp_path):
    first = load_language_model(str(folders["llama"]), lora={"r": 4})
    for name, parameter in first.model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)
    first.model.save_pretrained(tmp_path / "adapter")
    again = load_language_model(str(tmp_path / "adapter"))
    torch.testing.assert_close(again.model(TOKENS).logits, first.model(TOKENS).logits)
    trainable = {name for name, parameter in again.model.named_parameters() if parameter.requires_grad}
    assert trainable and all("lora_" in name for name in trainable)


def test_adapter_keeps_its_own_lora_fields(folders, tmp_path):
    load_language_model(str(folders["llama"]), lora={}).model.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="leave lora out"):
        load_language_model(str(tmp_path), lora={"r": 2})


def test_adapter_without_its_base_says_which_is_missing(folders, tmp_path, llama):
    load_language_model(str(llama), lora={}).model.save_pretrained(tmp_path / "adapter")
    shutil.rmtree(llama)
    with pytest.raises(UserError, match="llama.*does not exist"):
        load_language_model(str(tmp_path / "adapter"))


def test_adapter_of_other_shape_is_refused(folders, tmp_path):
    load_language_model(str(folders["llama"]), lora={"r": 4}).model.save_pretrained(tmp_path)
    file = tmp_path / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"r": 2}))
    with pytest.raises(UserError, match="does not fit its base"):
        load_language_model(str(tmp_path))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dtype": "int8"}, "dtype 'int8' is unknown: choose 'float32'"),
        ({"dtype": torch.float64}, "dtype 'torch.float64' is unknown"),
        ({"attn_implementation": "flash_attention_2"}, "takes no custom mask.*choose 'sdpa' or 'eager'"),
        ({"quantization": "3bit"}, "quantization '3bit' is unknown: choose '4bit'"),
    ],
)
def test_unknown_option_is_refused_before_anything_is_loaded(options, words):
    with pytest.raises(UserError, match=words):
        load_language_model("a-folder-that-is-not-looked-for", **options)


def test_quantization_names_the_missing_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"lightning-twosome\[quantization\]"):
        load_language_model("x", quantization="4bit")


def test_quantization_needs_a_device(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="needs a CUDA device"):
        load_language_model("x", quantization="4bit")


def test_attention_the_architecture_refuses_is_named(folders):
    with pytest.raises(UserError, match="Gemma2ForCausalLM does not support"):
        load_language_model(str(folders["gemma2"]), attn_implementation="sdpa")


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (lambda: BertForMaskedLM(BertConfig(vocab_size=320, hidden_size=8, num_attention_heads=2)), "an encoder"),
        (
            lambda: T5ForConditionalGeneration(T5Config(vocab_size=320, d_model=8, d_kv=4, d_ff=8, num_layers=1)),
            "an encoder-decoder",
        ),
    ],
    ids=["bert", "t5"],
)
def test_model_that_is_not_causal_is_refused(tmp_path, model, reason):
    model().save_pretrained(tmp_path)
    byte_level_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(UserError, match=rf"no causal language model \(type '\w+', {reason}\)"):
        load_language_model(str(tmp_path))


def test_model_without_tokenizer_is_refused(llama):
    (llama / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"no tokenizer.*needs a tokenizer\.json"):
        load_language_model(str(llama))


def test_damaged_tokenizer_is_refused(llama):
    (llama / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="tokenizer of model .* cannot be loaded"):
        load_language_model(str(llama))


def test_tokenizer_without_fast_version_is_refused(llama):
    (llama / "tokenizer.json").unlink()
    (llama / "vocab.json").write_text(json.dumps({"a</w>": 0, "<unk>": 1}))
    (llama / "merges.txt").write_text("#version: 0.2\na b\n")
    CTRLTokenizer(llama / "vocab.json", llama / "merges.txt").save_pretrained(llama)
    with pytest.raises(UserError, match=r"CTRLTokenizer\) has no fast version"):
        load_language_model(str(llama))


def test_tokenizer_larger_than_the_embedding_is_refused(llama):
    tokenizer = load_language_model(str(llama)).tokenizer
    tokenizer.add_tokens([f"<extra{i}>" for i in range(VOCABULARY)])
    tokenizer.save_pretrained(llama)
    with pytest.raises(UserError, match=f"'<extra319>' with id .* embeds only {VOCABULARY}"):
        load_language_model(str(llama))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "zorg"}, "cannot read the config.*of type 'zorg'"),
        ({"model_type": "zorg", "auto_map": {"AutoConfig": "zorg.Config"}}, "needs code from its repository"),
        ({"hidden_size": 64, "head_dim": 16}, "do not have the shapes of its config.json"),
        ({"num_hidden_layers": 3}, r"lack 9 tensors.*'model\.layers\.2\."),
    ],
)
def test_config_that_does_not_fit_is_refused(llama, changes, words):
    change_config(llama, **changes)
    with pytest.raises(UserError, match=words):
        load_language_model(str(llama))
