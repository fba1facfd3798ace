"""Exported folders: equal logits through peft or transformers alone, the critic, the card, and going on from them."""

from __future__ import annotations

import json
from pathlib import Path

import lightning as L
import pytest
import torch
import yaml
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from lightning_twosome import RolloutDataModule, TwosomePPO, load_language_model
from lightning_twosome.agent import value_head
from lightning_twosome.decisions import Decision
from lightning_twosome.errors import UserError
from lightning_twosome.export import CRITIC_FILE, export_checkpoint
from lightning_twosome.model_card import results_of_run
from lightning_twosome.modules import OnPolicyModule
from lightning_twosome.vector_env import State
from tests import toys
from tests.cli_runs import quick_config, rows, run, save_tiny

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


def snippets(folder: Path) -> list[str]:
    """The card's blocks of Python, about this folder."""
    blocks = (folder / "README.md").read_text().split("```python\n")[1:]
    return [block.split("```")[0].replace("this folder", str(folder)) for block in blocks]


def test_the_cards_python_loads_the_folder(exported):
    module, folder, _ = exported
    acting, loading = snippets(folder)
    names: dict = {}
    exec(acting, names)
    with module.acting():
        state = State(Decision(names["prompt"], tuple(names["actions"])))
        assert torch.equal(names["probabilities"], module.action_log_probs([state])[0].exp())
    assert names["action"] == int(names["probabilities"].argmax())
    exec(loading, names)
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


# The card's figures


def test_card_gives_the_figures_of_its_own_checkpoint(tmp_path, base):
    config = quick_config(tmp_path, base)
    callbacks = "[{class_path: lightning_twosome.callbacks.BeforeAndAfter, init_args: {episodes: 3, texts: 0}}]"
    run("fit", "--config", config, "--trainer.callbacks", callbacks)
    run("export", "--config", config, "--ckpt_path", "last", "--output", tmp_path / "out")
    card = (tmp_path / "out/README.md").read_text()
    result = json.loads((tmp_path / "run/before_and_after.json").read_text())
    for name, key in (("uniform random", "uniform_random"), ("before training", "before"), ("this agent", "after")):
        mean, low, high = (result[key][f"return{end}"] for end in ("", "_low", "_high"))
        assert f"| {name} | {mean:.3f} [{low:.3f}, {high:.3f}] |" in card
    front = yaml.safe_load(card.split("---")[1])
    assert front["library_name"] == "peft" and "base_model" not in front, "a folder here is no model of the hub"
    training = yaml.safe_load(card.split("```yaml\n")[1].split("```")[0])
    assert training["data"]["num_envs"] == 2 and training["model"]["gamma"] == 0.99
    # A checkpoint in the middle has the evaluation that was made there.
    row = rows(tmp_path / "run", "val/return")[0]
    middle = results_of_run(tmp_path / "run", 8)["this agent"]
    assert middle["return"] == float(row["val/return"]) and middle["success_high"] == float(row["val/success_high"])
    assert results_of_run(tmp_path / "run", 7) == {}


def test_card_of_a_bundled_model_names_it_on_any_machine(tmp_path):
    module, trainer = toys.module(language_model="bundled"), toys.trainer(tmp_path, max_epochs=1)
    trainer.fit(module, datamodule=toys.data(num_envs=1, num_steps=2, minibatch_size=2))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    folder = export_checkpoint(
        toys.module(language_model="bundled"), toys.data(), tmp_path / "last.ckpt", tmp_path / "o"
    )
    card = (folder / "README.md").read_text()
    assert "| base model | bundled |" in card and "license: apache-2.0" in card
    assert "The run's folder holds no evaluation of this checkpoint." in card
    for snippet in snippets(folder):
        exec(snippet, {})


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
