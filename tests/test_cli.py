"""The command line from end to end on a toy environment: run folders, resuming, evaluation, transcripts, output."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from lightning_twosome.run_folder import find_checkpoint, new_run_dir
from tests.cli_runs import ROOT, quick_config, rows, run, save_tiny

CALLBACKS = "[{class_path: lightning_twosome.callbacks.LearningCurve}, {class_path: lightning_twosome.callbacks.BeforeAndAfter, init_args: {episodes: 4, texts: 0}}]"  # fmt: skip # noqa: E501


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def config(tmp_path, model) -> Path:
    return quick_config(tmp_path, model)


@pytest.fixture(scope="session")
def trained(tmp_path_factory, model) -> Path:
    """A folder with ``quick.yaml`` and a finished run of two iterations in ``run``; not to be written to."""
    folder = tmp_path_factory.mktemp("trained")
    assert run("fit", "--config", quick_config(folder, model), "--trainer.callbacks", CALLBACKS) == 0
    return folder


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, weights_only=True)["state_dict"]


# The run folder


def test_a_run_leaves_its_config_metrics_checkpoints_picture_and_summary(trained):
    made = {path.relative_to(trained / "run").as_posix() for path in (trained / "run").rglob("*") if path.is_file()}
    wanted = {"config.yaml", "metrics.csv", "checkpoints/best.ckpt", "checkpoints/last.ckpt", "learning_curve.png",
              "before_and_after.json"}  # fmt: skip
    assert wanted <= made
    assert any(name.startswith("tensorboard/events") for name in made)


def test_metrics_are_against_environment_steps(trained):
    assert [int(row["step"]) for row in rows(trained / "run", "loss/total")] == [8, 16]
    assert [int(row["step"]) for row in rows(trained / "run", "val/return")] == [8, 16]


def test_the_saved_config_has_the_seed_and_no_checkpoint(trained):
    saved = yaml.safe_load((trained / "run/config.yaml").read_text())
    assert saved["seed_everything"] == 1
    assert "ckpt_path" not in saved


def test_a_second_run_takes_the_next_number(config):
    for _ in range(2):
        assert run("fit", "--config", config, "--trainer.max_epochs", 1) == 0
    assert rows(config.parent / "run-2")[-1] == rows(config.parent / "run")[-1] | timings(config.parent / "run-2")


def timings(run_dir: Path) -> dict[str, str]:
    return {name: value for name, value in rows(run_dir)[-1].items() if name.startswith(("time/", "ledger/"))}


def test_a_run_that_fails_before_its_first_iteration_takes_no_number(config):
    assert run("fit", "--config", config, "--data.env", "twosome/Nothing-v0") == 2
    assert not (config.parent / "run").exists()


def test_a_drawn_seed_is_told_and_saved(config, caplog):
    with caplog.at_level("INFO", "lightning_twosome"):
        run("fit", "--config", config, "--seed_everything", "true", "--trainer.max_epochs", 1)
    told = int(re.search(r"Seed (\d+), run folder", caplog.text)[1])
    assert yaml.safe_load((config.parent / "run/config.yaml").read_text())["seed_everything"] == told


def test_processes_started_by_the_first_one_share_its_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TWOSOME_RUN_DIR", "")
    chosen = new_run_dir(tmp_path / "run")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert new_run_dir(tmp_path / "run") == chosen
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_other_ranks_of_torchrun_make_no_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TWOSOME_RUN_DIR", "")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("RANK", "1")
    new_run_dir(tmp_path / "run")
    assert not list(tmp_path.iterdir())


# Resuming


def test_metrics_after_the_checkpoint_are_dropped_and_made_again(config):
    run("fit", "--config", config, "--trainer.max_epochs", 1)
    last = config.parent / "run/checkpoints/last.ckpt"
    early = last.read_bytes()
    run("fit", "--config", config, "--trainer.max_epochs", 3, "--ckpt_path", "last")
    last.write_bytes(early)  # as if the run had been killed before it wrote a later one
    assert run("fit", "--config", config, "--trainer.max_epochs", 2, "--ckpt_path", "last") == 0
    assert [row["step"] for row in rows(config.parent / "run", "loss/total")] == ["8", "16"]
    assert [row["step"] for row in rows(config.parent / "run", "val/return")] == ["8", "16"]


def test_a_resumed_run_ends_with_the_weights_of_the_uninterrupted_one(config):
    constant = ("--model.anneal_lr", "false", "--model.anneal_entropy", "false", "--model.entropy_coef", "0.02")
    run("fit", "--config", config, "--run_dir", config.parent / "whole", "--trainer.max_epochs", 3, *constant)
    run("fit", "--config", config, "--trainer.max_epochs", 2, *constant)
    run("fit", "--config", config, "--trainer.max_epochs", 3, "--ckpt_path", "last")
    whole, resumed = (weights(config.parent / name / "checkpoints/last.ckpt") for name in ("whole", "run"))
    torch.testing.assert_close(resumed, whole, rtol=0, atol=0, equal_nan=True)
    costs = ("time/", "ledger/")
    same = [[{k: v for k, v in row.items() if not k.startswith(costs)} for row in rows(config.parent / name)]
            for name in ("whole", "run")]  # fmt: skip
    assert same[0] == same[1]


def test_a_row_cut_off_by_a_crash_is_dropped(config):
    run("fit", "--config", config)
    metrics = config.parent / "run/metrics.csv"
    metrics.write_text(metrics.read_text() + "32.0,0.1")
    assert run("fit", "--config", config, "--ckpt_path", "last", "--trainer.max_epochs", 3) == 0
    assert [row["step"] for row in rows(config.parent / "run", "loss/total")] == ["8", "16", "24"]


def test_resuming_without_a_checkpoint_starts_and_says_so(config, caplog):
    with caplog.at_level("INFO", "lightning_twosome"):
        assert run("fit", "--config", config, "--ckpt_path", "last", "--trainer.max_epochs", 1) == 0
    assert caplog.text.count("No checkpoint") == 1
    assert len(rows(config.parent / "run", "loss/total")) == 1


def test_the_last_run_is_the_one_resumed(config):
    for _ in range(2):
        run("fit", "--config", config, "--trainer.max_epochs", 1)
    run("fit", "--config", config, "--trainer.max_epochs", 2, "--ckpt_path", "last")
    assert [len(rows(config.parent / name, "loss/total")) for name in ("run", "run-2")] == [1, 2]


def test_a_checkpoint_by_its_path_is_resumed_in_its_own_folder(config):
    for _ in range(2):
        run("fit", "--config", config, "--trainer.max_epochs", 1)
    first = config.parent / "run"
    run("fit", "--config", config, "--trainer.max_epochs", 2, "--ckpt_path", first / "checkpoints/last.ckpt")
    assert [len(rows(config.parent / name, "loss/total")) for name in ("run", "run-2")] == [2, 1]


def test_best_means_the_best_of_the_last_run(trained):
    assert find_checkpoint("best", trained / "run") == trained / "run/checkpoints/best.ckpt"


def test_the_last_iteration_is_kept_also_between_evaluations(config):
    run("fit", "--config", config, "--trainer.max_epochs", 3, "--trainer.check_val_every_n_epoch", 2)
    folder = config.parent / "run/checkpoints"
    epochs = {file.name: torch.load(file, weights_only=True)["epoch"] for file in folder.iterdir()}
    assert epochs == {"best.ckpt": 1, "last.ckpt": 2}


def test_a_run_without_evaluations_keeps_the_last_checkpoint(config):
    assert run("fit", "--config", config, "--trainer.limit_val_batches", 0) == 0
    assert [file.name for file in (config.parent / "run/checkpoints").iterdir()] == ["last.ckpt"]


# Settings of a checkpoint


def test_the_checkpoints_settings_stand_against_the_configs_and_it_is_said(trained, tmp_path, capsys, caplog):
    other = tmp_path / "other.yaml"
    other.write_text((trained / "quick.yaml").read_text().replace("critic_hidden: [8]", "critic_hidden: [4]"))
    with caplog.at_level("INFO", "lightning_twosome"):
        assert run("validate", "--config", other, "--ckpt_path", trained / "run/checkpoints/last.ckpt") == 0
    assert "critic_hidden=[8] (config: [4])" in caplog.text


def test_the_command_line_stands_against_the_checkpoint(config, caplog):
    run("fit", "--config", config, "--trainer.max_epochs", 1)
    arguments = ("--ckpt_path", "last", "--trainer.max_epochs", 2, "--model.entropy_coef", "0.5")
    with caplog.at_level("INFO", "lightning_twosome"):
        assert run("fit", "--config", config, *arguments) == 0
    saved = torch.load(config.parent / "run/checkpoints/last.ckpt", weights_only=True)["hyper_parameters"]
    assert saved["entropy_coef"] == 0.5
    assert "settings are used" not in caplog.text


def test_a_moved_model_is_named_on_the_command_line(trained, tmp_path, model):
    moved = tmp_path / "moved"
    moved.symlink_to(model)
    checkpoint = trained / "run/checkpoints/last.ckpt"
    arguments = ("--ckpt_path", checkpoint, "--model.language_model.name", moved)
    assert run("validate", "--config", trained / "quick.yaml", *arguments) == 0


# Evaluation


def test_validation_prints_a_table_of_its_own(trained, capsys):
    capsys.readouterr()
    config = (trained / "run/config.yaml").read_text()
    arguments = ("--config", trained / "run/config.yaml", "--ckpt_path", "best")
    assert run("validate", *arguments) == 0
    out = capsys.readouterr().out
    assert "val/" not in out
    for row in ("sampled", "greedy"):
        assert re.search(rf"{row}\s.* -?\d\.\d{{3}} \[-?\d\.\d{{3}}, -?\d\.\d{{3}}\] .* \d+% \[\d+%, \d+%\]", out)
    assert max(map(len, out.splitlines())) <= 80
    assert (trained / "run/config.yaml").read_text() == config


def test_evaluating_without_a_checkpoint_says_so(config, caplog):
    with caplog.at_level("INFO", "lightning_twosome"):
        assert run("validate", "--config", config) == 0
    assert "before any training" in caplog.text
    assert not (config.parent / "run").exists()


def test_predict_writes_a_transcript_without_being_told(trained, tmp_path, capsys):
    config = tmp_path / "away.yaml"
    config.write_text((trained / "quick.yaml").read_text())
    assert run("predict", "--config", config, "--ckpt_path", trained / "run/checkpoints/last.ckpt") == 0
    text = (trained / "run/transcript.md").read_text()
    assert text.count("## Episode") == 4 and text.count("## Greedy episode") == 1
    assert str(trained / "run/transcript.md") in capsys.readouterr().out


# What is printed


def test_output_to_a_file_has_a_line_for_each_evaluation_and_no_bar(config, capsys):
    run("fit", "--config", config)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" env steps")[0] for line in lines] == ["8", "16"]
    assert all(re.search(r"return -?\d\.\d{3} \[.*\], success \d+%, greedy", line) for line in lines)


def test_a_silent_run_in_a_file_shows_that_it_is_alive(config, capsys):
    report = "[{class_path: lightning_twosome.callbacks.EvaluationReport, init_args: {quiet_seconds: 0}}]"
    silent = ("--trainer.limit_val_batches", 0, "--trainer.callbacks", report, "--trainer.max_epochs", 3)
    run("fit", "--config", config, *silent)
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"8 env steps, \d+ s: no episode has ended yet", first)
    assert re.fullmatch(r"16 env steps, \d+ s: training, return -?\d\.\d{3}, success \d+%", second)


def test_no_library_chatters(config):
    """In a process of its own, since warnings and handlers of the test run would hide it."""
    command = [sys.executable, str(ROOT / "cli.py"), "fit", "--config", str(config), "--trainer.max_epochs", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": ""}
    done = subprocess.run(command, capture_output=True, text=True, cwd=config.parent, env=environment)
    assert done.returncode == 0, done.stderr
    starts = [line.split()[0] for line in done.stderr.splitlines()]
    assert starts == ["Seed", "Scoring", "Language"]
    assert len(done.stdout.splitlines()) == 1


def test_an_environment_beside_the_config_is_found(tmp_path, model, monkeypatch):
    (tmp_path / "my_lamps.py").write_text("from tests.toys import Buttons\n\n\nclass Lamps(Buttons):\n    pass\n")
    monkeypatch.chdir(tmp_path)
    env = "{class_path: my_lamps.Lamps, init_args: {offered: 3}}"
    assert run("fit", "--config", quick_config(tmp_path, model, env), "--trainer.max_epochs", 1) == 0
    assert rows(tmp_path / "run", "rollout/success")


def test_print_config_round_trips(config, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        run("fit", "--config", config, "--print_config")
    assert stop.value.code == 0
    first = capsys.readouterr().out
    (tmp_path / "printed.yaml").write_text(first)
    with pytest.raises(SystemExit):
        run("fit", "--config", tmp_path / "printed.yaml", "--print_config")
    assert capsys.readouterr().out == first


def test_summary_of_a_run_has_every_policy(trained):
    summary = json.loads((trained / "run/before_and_after.json").read_text())
    assert {"before", "after", "uniform_random", "optimum", "seconds", "env_steps"} <= summary.keys()
    assert summary["env_steps"] == 16
