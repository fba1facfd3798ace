"""Exported folders: equal logits through peft or transformers alone, the critic, the card, and going on from them."""

from __future__ import annotations

from pathlib import Path

import lightning as L
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from lightning_twosome import RolloutDataModule, TwosomePPO, load_language_model
from lightning_twosome.agent import value_head
from lightning_twosome.errors import UserError
from lightning_twosome.export import CRITIC_FILE, export_checkpoint
from lightning_twosome.modules import OnPolicyModule
from tests import toys
from tests.cli_runs import quick_config, run, save_tiny

KINDS = {
    "adapter": {},
    "critic adapted": {"critic": "adapted"},
    "no adapter": {"critic": "adapted", "language_model": {"lora": None}},
}


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("base") / "model")


def make(base: Path, **changes) -> TwosomePPO:
    language_model = {"name": str(base), "lora": {"r": 2, "lora_alpha": 4}} | changes.pop("language_model", {})
    L.seed_everything(0, verbose=False)
    return TwosomePPO(language_model, critic_hidden=(8,), target_kl=None, beta=1.5, actor_lr=0.05, **changes)


@pytest.fixture(scope="module", params=KINDS)
def exported(request, base, tmp_path_factory) -> tuple[TwosomePPO, Path, str]:
    """A module after two iterations, the folder it was exported to, and what kind it is."""
    folder = tmp_path_factory.mktemp("export")
    module, data = make(base, **KINDS[request.param]), toys.data(num_envs=2)
    trainer = toys.trainer(folder)
    trainer.fit(module, datamodule=data)
    trainer.save_checkpoint(folder / "last.ckpt")
    fresh = make(base, **KINDS[request.param])
    export_checkpoint(fresh, toys.data(num_envs=2), folder / "last.ckpt", folder / "out")
    return module.eval(), folder / "out", request.param


def logits(model, tokenizer) -> torch.Tensor:
    ids = torch.tensor([tokenizer("You stand at door 1 of 6. You walk right")["input_ids"]])
    with torch.no_grad():
        return model(input_ids=ids).logits


def loaded(folder: Path, base: Path, kind: str):
    if kind == "no adapter":
        return AutoModelForCausalLM.from_pretrained(folder).eval()
    return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder).eval()


def test_logits_are_those_of_the_trained_model(exported, base):
    module, folder, kind = exported
    tokenizer = AutoTokenizer.from_pretrained(folder)
    trained = logits(module.agent.model, module.language_model.tokenizer)
    torch.testing.assert_close(logits(loaded(folder, base, kind), tokenizer), trained, rtol=0, atol=0)
    untrained = logits(AutoModelForCausalLM.from_pretrained(base).eval(), tokenizer)
    assert not torch.allclose(untrained, trained, atol=1e-4), "two iterations have moved it"


def test_critic_file_holds_the_value_head_and_beta(exported):
    module, folder, _ = exported
    tensors = load_file(folder / CRITIC_FILE)
    assert float(tensors.pop("log_beta").exp()) == pytest.approx(1.5)
    head = value_head(16, (8,))
    head.load_state_dict(tensors)
    feature = torch.randn(3, 16)
    torch.testing.assert_close(head(feature), module.agent.critic(feature))


def test_card_says_what_it_is(exported, base):
    _, folder, kind = exported
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: " + ("transformers" if kind == "no adapter" else "peft"))
    for row in ("| environment steps | 16 |", "| seed | 0 |", f"| base model | {base} |", "| normalization | word |",
                "| inverse temperature beta | 1.5000 |", "| discount gamma | 0.99 |", "Corridor"):  # fmt: skip
        assert row in card
    assert ("PeftModel" in card) == (kind != "no adapter")


def test_the_cards_python_loads_the_folder(exported):
    module, folder, _ = exported
    code = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    names: dict = {}
    exec(code.replace("this folder", str(folder)), names)
    trained = logits(module.agent.model, module.language_model.tokenizer)
    torch.testing.assert_close(logits(names["model"].eval(), module.language_model.tokenizer), trained)


def test_exported_folder_is_a_language_model_again(exported):
    module, folder, kind = exported
    again = load_language_model(str(folder))
    trained = logits(module.agent.model, module.language_model.tokenizer)
    torch.testing.assert_close(logits(again.model.eval(), again.tokenizer), trained, rtol=0, atol=0)


def test_training_goes_on_from_an_exported_adapter(exported, tmp_path):
    module, folder, kind = exported
    if kind == "no adapter":
        pytest.skip("a whole model gets a fresh adapter like any other")
    module = TwosomePPO({"name": str(folder), "lora": {}}, critic_hidden=(8,))
    trainer = toys.trainer(tmp_path, max_epochs=1)
    before = load_file(folder / "adapter_model.safetensors")
    trainer.fit(module, datamodule=toys.data(num_envs=2))
    after = {name: p.detach() for name, p in module.agent.model.named_parameters() if p.requires_grad}
    assert len(after) == len(before)
    assert any((tensor != 0).all() for name, tensor in after.items() if "lora_B" in name)


def test_command_line_exports_the_best_checkpoint(tmp_path, base, capsys):
    config = quick_config(tmp_path, base)
    run("fit", "--config", config, "--trainer.max_epochs", 1)
    capsys.readouterr()
    assert run("export", "--config", config, "--ckpt_path", "best", "--output", tmp_path / "out") == 0
    assert str(tmp_path / "out") in capsys.readouterr().out
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"README.md", "adapter_config.json", "adapter_model.safetensors", CRITIC_FILE, "tokenizer.json"} <= files
    assert not any(name.endswith((".bin", ".pt", ".ckpt")) for name in files)


def test_only_language_models_are_exported(tmp_path):
    data = RolloutDataModule("twosome/TomatoSalad-v0")
    with pytest.raises(UserError, match="OnPolicyModule"):
        export_checkpoint(OnPolicyModule(0.99, 0.95, 10), data, tmp_path / "none.ckpt", tmp_path / "out")


def test_a_missing_checkpoint_is_named(base, tmp_path):
    with pytest.raises(UserError, match="none.ckpt' does not exist"):
        export_checkpoint(make(base), toys.data(), tmp_path / "none.ckpt", tmp_path / "out")


def test_a_checkpoint_of_another_size_is_refused_before_anything_is_written(base, tmp_path):
    trainer = toys.trainer(tmp_path, max_epochs=1)
    trainer.fit(make(base), datamodule=toys.data(num_envs=2))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    wide = save_tiny(tmp_path / "wide", hidden_size=32)
    with pytest.raises(UserError, match="not this model's"):
        export_checkpoint(make(wide), toys.data(), tmp_path / "last.ckpt", tmp_path / "out")
    assert not (tmp_path / "out").exists()
