"""Every config in ``configs/`` trains, alone or as an overlay; only sizes and the run folder are changed."""

from __future__ import annotations

import shutil
from itertools import product
from pathlib import Path

import pytest
import torch
import yaml

from tests.cli_runs import ROOT, rows, run, save_tiny

# An overlay and the config that it changes.
CHANGES = {"prompt_consistency.yaml": "prompt_styles.yaml", "normalization/sum.yaml": "tomato_salad.yaml"}
CONFIGS = sorted(path.name for path in (ROOT / "configs").glob("*.yaml") if path.name not in CHANGES)
UNTRAINED = ("zero_shot.yaml",)  # baselines that are only evaluated
CONFIGS += sorted(
    f"baselines/{path.name}" for path in (ROOT / "configs/baselines").glob("*.yaml") if path.name not in UNTRAINED
)
OVERLAYS = sorted(path.name for path in (ROOT / "configs/model").glob("*.yaml"))
KITCHENS = [name for name in CONFIGS if name.startswith("tomato")]
ARCHITECTURE = {"qwen2.5-0.5b.yaml": "qwen2", "llama-7b.yaml": "llama"}
SMALL = {"eval_episodes": 2, "eval_num_envs": 2, "eval_greedy_episodes": 0}


def small(run_dir: Path, iterations: int, **data: int) -> list[str]:
    """Arguments that make a run short: fewer steps, episodes and held-out texts."""
    arguments = ["--run_dir", str(run_dir), "--trainer.accelerator", "cpu"]
    for name, value in (SMALL | data).items():
        arguments += [f"--data.{name}", str(value)]
    size = data["num_envs"] * data["num_steps"]
    callbacks = ("EnvironmentBudget", {"total_env_steps": iterations * size}), ("BeforeAndAfter", {"episodes": 2, "texts": 1})  # fmt: skip # noqa: E501
    listed = [{"class_path": f"lightning_twosome.callbacks.{name}", "init_args": init} for name, init in callbacks]
    return [*arguments, "--trainer.callbacks", yaml.safe_dump(listed, default_flow_style=True, width=1000).strip()]


def test_there_are_configs():
    assert CONFIGS and OVERLAYS and KITCHENS


def test_every_overlay_has_an_architecture_here():
    assert set(OVERLAYS) == set(ARCHITECTURE)


@pytest.mark.parametrize("name", CONFIGS)
def test_config_trains(name, tmp_path):
    arguments = small(tmp_path / "run", 2, num_envs=2, num_steps=4, minibatch_size=8)
    assert run("fit", "--config", ROOT / "configs" / name, *arguments) == 0
    made = rows(tmp_path / "run", "loss/total")
    assert [int(row["step"]) for row in made] == [8, 16]
    assert (tmp_path / "run/before_and_after.json").is_file()


@pytest.mark.parametrize(("overlay", "changed"), CHANGES.items())
def test_overlay_trains_on_the_config_that_it_changes(overlay, changed, tmp_path):
    configs = ["--config", ROOT / "configs" / changed, "--config", ROOT / "configs" / overlay]
    assert run("fit", *configs, *small(tmp_path / "run", 2, num_envs=2, num_steps=4)) == 0
    assert len(rows(tmp_path / "run", "loss/total")) == 2


@pytest.mark.parametrize("name", CONFIGS)
def test_config_names_only_what_callbacks_take(name, tmp_path, monkeypatch, capsys):
    """The callbacks of the file itself, which the short run replaces."""
    with pytest.raises(SystemExit) as stop:
        run("fit", "--config", ROOT / "configs" / name, "--print_config")
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert "EnvironmentBudget" in printed
    (tmp_path / "printed.yaml").write_text(printed)
    with pytest.raises(SystemExit):
        run("fit", "--config", tmp_path / "printed.yaml", "--print_config")
    assert capsys.readouterr().out == printed


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """A tiny random model for each overlay, in the format of the hub."""
    root = tmp_path_factory.mktemp("hub")
    return {name: save_tiny(root / name, architecture) for name, architecture in ARCHITECTURE.items()}


@pytest.mark.parametrize(("kitchen", "overlay"), product(KITCHENS, OVERLAYS))
def test_overlay_takes_three_optimizer_steps_on_a_model_of_its_architecture(kitchen, overlay, folders, tmp_path):
    arguments = ["--config", ROOT / "configs" / kitchen, "--config", ROOT / "configs/model" / overlay]
    arguments += small(tmp_path / "run", 1, num_envs=1, num_steps=6, minibatch_size=2)
    assert run("fit", *arguments, "--model.language_model.name", folders[overlay], "--data.update_epochs", 1) == 0
    checkpoint = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 3
    moved = [tensor for name, tensor in checkpoint["state_dict"].items() if "lora_B" in name]
    assert moved and all(tensor.abs().sum() > 0 and tensor.dtype == torch.float32 for tensor in moved)


def test_recorder_overlay_records_beside_the_configs_own_callbacks(tmp_path):
    """With the file's own callbacks, those of the config before included: ``callbacks+:`` must come after them."""
    overlay = ["--config", ROOT / "configs/quickstart.yaml", "--config", ROOT / "configs/callbacks/recorder.yaml"]
    arguments = small(tmp_path / "run", 1, num_envs=2, num_steps=4)
    settings, listed = arguments[:-2], yaml.safe_load(arguments[-1])
    (tmp_path / "callbacks.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks": listed}}))
    quick = [*overlay[:2], "--config", tmp_path / "callbacks.yaml", *overlay[2:]]
    assert run("fit", *quick, *settings) == 0
    assert (tmp_path / "run/before_and_after.json").is_file()
    for step in ("step_000000000", "step_000000008"):
        made = {path.name for path in (tmp_path / "run/episodes" / step).iterdir()}
        assert made == {"sampled_1.gif", "greedy_1.gif", "transcript.md", "transcript.jsonl"}


def test_wandb_overlay_logs_offline_beside_the_metrics_file(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="the extra wandb is not installed")
    monkeypatch.setenv("WANDB_SILENT", "true")
    configs = ["--config", ROOT / "configs/quickstart.yaml", "--config", ROOT / "configs/loggers/wandb.yaml"]
    arguments = small(tmp_path / "run", 1, num_envs=2, num_steps=4)
    assert run("fit", *configs, *arguments, "--trainer.logger.init_args.save_dir", tmp_path) == 0
    assert len(list(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))) == 1
    assert [int(row["step"]) for row in rows(tmp_path / "run", "loss/total")] == [8]
    assert (tmp_path / "run/config.yaml").is_file() and not (tmp_path / "config.yaml").exists()


def test_forgetting_overlay_prints_its_table_beside_the_configs_own_callbacks(tmp_path, capsys):
    """The file's own callbacks, made short by a config between: ``callbacks+:`` adds to them."""
    arguments = small(tmp_path / "run", 1, num_envs=2, num_steps=4)
    settings, listed = arguments[:-2], yaml.safe_load(arguments[-1])
    (tmp_path / "short.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks": listed}}))
    overlay = yaml.safe_load((ROOT / "configs/callbacks/forgetting.yaml").read_text())
    overlay["trainer"]["callbacks+"][0]["init_args"] |= {"limit": 3}
    (tmp_path / "forgetting.yaml").write_text(yaml.safe_dump(overlay))
    files = (ROOT / "configs/tomato_salad.yaml", tmp_path / "short.yaml", tmp_path / "forgetting.yaml")
    assert run("fit", *(part for file in files for part in ("--config", file)), *settings) == 0
    assert (tmp_path / "run/before_and_after.json").is_file()
    assert "home_word_order" in capsys.readouterr().out
    assert "| home_perplexity | byte_perplexity | 3 |" in (tmp_path / "run/forgetting.md").read_text()
    assert [float(row["step"]) for row in rows(tmp_path / "run", "forgetting/mean_loss")] == [0, 8]


def test_llama_overlay_has_the_papers_hyper_parameters():
    overlay = yaml.safe_load((ROOT / "configs/model/llama-7b.yaml").read_text())
    model, data = overlay["model"]["init_args"], overlay["data"]["init_args"]
    lora = model["language_model"]["lora"]
    assert (lora["r"], lora["lora_alpha"], lora["target_modules"]) == (8, 16, ["q_proj", "v_proj"])
    assert (model["actor_lr"], model["critic_lr"], model["clip_coef"]) == (5e-7, 1e-5, 0.2)
    assert (model["entropy_coef"], model["gae_lambda"], model["gamma"], model["target_kl"]) == (0.01, 0.95, 0.99, 0.02)
    assert (data["num_envs"], data["num_steps"], data["update_epochs"]) == (4, 32, 1)
    assert overlay["trainer"]["gradient_clip_val"] == 0.5


def test_a_config_of_a_run_starts_the_same_run_again(tmp_path):
    arguments = small(tmp_path / "run", 1, num_envs=2, num_steps=4)
    run("fit", "--config", ROOT / "configs/quickstart.yaml", *arguments)
    saved = tmp_path / "config.yaml"
    shutil.copy(tmp_path / "run/config.yaml", saved)
    assert run("fit", "--config", saved) == 0
    first, second = (rows(tmp_path / name, "loss/total")[0] for name in ("run", "run-2"))
    same = [{k: v for k, v in row.items() if not k.startswith(("time/", "ledger/"))} for row in (first, second)]
    assert same[0] == same[1]
