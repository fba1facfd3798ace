"""Every mistake a person can make on the command line is one sentence on stderr and exit code 2."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from tests.cli_runs import quick_config, run, save_tiny


class Hostile:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("hostile-was-here",)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A quick config, a run with checkpoints, and files that are none."""
    made = tmp_path_factory.mktemp("errors")
    config = quick_config(made, save_tiny(made / "model"))
    assert run("fit", "--config", config, "--trainer.max_epochs", 1, "--trainer.limit_val_batches", 1) == 0
    checkpoint = made / "run/checkpoints/last.ckpt"
    checkpoint.rename(made / "good.ckpt")
    (made / "cut.ckpt").write_bytes((made / "good.ckpt").read_bytes()[:3000])
    torch.save({"state_dict": {}, "callbacks": Hostile()}, made / "hostile.ckpt")
    torch.save({"weights": 1}, made / "other.ckpt")
    content = torch.load(made / "good.ckpt", weights_only=True)
    content["hyper_parameters"]["_class_path"] = "lightning_twosome.modules.OnPolicyModule"
    torch.save(content, made / "class.ckpt")
    save_tiny(made / "wide", hidden_size=32)
    (made / "broken.yaml").write_text("model: [1\n")
    for name, text in YAML.items():
        (made / f"{name}.yaml").write_text(text)
    return made


CALLBACKS = "lightning_twosome.callbacks"
YAML = {
    "trainer_key": "trainer: {max_epoch: 3}",
    "top_key": "trianer: {max_epochs: 3}",
    "lm_key": "model: {class_path: lightning_twosome.TwosomePPO, init_args: {language_model: {dtyp: float32}}}",
    "no_adapter": "model: {class_path: lightning_twosome.TwosomePPO, init_args: {language_model: {lora: null}}}",
    "env_type": "data: {class_path: lightning_twosome.RolloutDataModule, init_args: {env: {class_path: "
    "tests.toys.Corridor, init_args: {length: far}}}}",
    "callback_key": f"trainer: {{callbacks: [{{class_path: {CALLBACKS}.LearningCurve}}, {{class_path: "
    f"{CALLBACKS}.EnvironmentBudget, init_args: {{total_steps: 3}}}}]}}",
    "callback_type": f"trainer: {{callbacks: [{{class_path: {CALLBACKS}.EnvironmentBudget, init_args: "
    "{total_env_steps: many}}]}",
    "callback_value": f"trainer: {{callbacks: [{{class_path: {CALLBACKS}.EnvironmentBudget, init_args: "
    "{total_env_steps: 0}}]}",
    "callback_class": f"trainer: {{callbacks: [{{class_path: {CALLBACKS}.LearnCurve}}]}}",
}

# Arguments after `fit --config quick.yaml`, and what the sentence must say. {} is the folder of the fixture.
CASES = {
    # names
    "--modle.gamma 1": "modle.gamma is not known; did you mean 'model.gamma'?",
    "--trainer.max_epochz 1": "trainer.max_epochz is not known; did you mean 'trainer.max_epochs'?",
    "--config {}/trainer_key.yaml": "trainer.max_epoch is not known; did you mean 'trainer.max_epochs'?",
    "--config {}/top_key.yaml": "trianer.max_epochs is not known; did you mean 'trainer.max_epochs'?",
    "--model.actor_rate 1": "model.actor_rate is not known; did you mean 'actor_lr'?",
    "--data.num_env 1": "data.num_env is not known; did you mean 'num_envs'?",
    "--model.language_model.nam x": "model.language_model.nam is not known; did you mean 'name'?",
    "--config {}/lm_key.yaml": "model.language_model.dtyp is not known; did you mean 'dtype'?",
    "--data.env.init_args.lenght 3": "data.env.lenght is not known; did you mean 'length'?",
    "--config {}/callback_key.yaml": "trainer.callbacks.total_steps is not known; did you mean 'total_env_steps'?",
    "--model.language_model.lora.rank 3": "lora has no field 'rank': did you mean 'r'",
    # types
    "--data.num_envs many": "data.num_envs: expected int, not 'many'",
    "--model.actor_lr fast": "model.actor_lr: expected float, not 'fast'",
    "--model.anneal_lr maybe": "model.anneal_lr: expected bool, not 'maybe'",
    "--model.beta mean": "model.beta: expected float or one of 'mean_count', not 'mean'",
    "--trainer.gradient_clip_val big": "trainer.gradient_clip_val: expected int or float, not 'big'",
    "--seed_everything abc": "seed_everything: expected bool or int, not 'abc'",
    "--config {}/env_type.yaml": "data.env.length: expected int, not 'far'",
    "--config {}/callback_type.yaml": "callbacks.total_env_steps of EnvironmentBudget: expected int, not 'many'",
    # values
    "--model.normalization letter": "model.normalization: expected one of 'sum', 'token', 'word', 'character', not",
    "--model.critic both": "model.critic: expected one of 'frozen', 'adapted', not 'both'",
    "--model.scoring fastest": "'fastest' is unknown: choose one of auto, tree, cache, duplicate",
    "--model.actor_lr -1": "model.actor_lr is -1.0; it must be at least 0",
    "--model.gamma 1.5": "model.gamma is 1.5; it must be between 0 and 1",
    "--model.beta -2": "model.beta is -2.0; it must be a positive number or 'mean_count'",
    "--data.minibatch_size 3": "data.minibatch_size=3 does not divide the rollout of num_envs * num_steps = 2 * 4 = 8",
    "--data.eval_episodes 0": "data.eval_episodes is 0; it must be at least 1",
    "--data.vectorization threads": "data.vectorization: expected one of 'sync', 'async', not 'threads'",
    "--config {}/callback_value.yaml": "EnvironmentBudget.total_env_steps is 0; it must be at least 1",
    "--run_dir {}/quick.yaml": "quick.yaml' is a file; name a folder",
    # what does not go together
    "--config {}/no_adapter.yaml": "critic='frozen' reads the model with its adapter off",
    "--model.language_model.lora.lora_dropout 0.1": "share_work to false to train with dropout",
    # environments
    "--data.env twosome/TomatoSald-v0": "Did you mean: `TomatoSalad`?",
    "--data.env CartPole-v1": "Environment 'CartPole-v1' gave an observation of type ndarray; it must be the prompt",
    "--data.env tests.cli_environments.Silent": "Environment 'Silent' gave info['actions'] = None",
    "--data.env tests.toys.Corridr": "data.env: module 'tests.toys' has no attribute 'Corridr'; did you",
    "--data.env twosome/TomatoSalad-v0 --data.env_kwargs.colour red": "does not take env_kwargs={{'colour'",
    # classes
    "--config {}/callback_class.yaml": "has no attribute 'LearnCurve'; did you mean 'LearningCurve'?",
    "--model lightning_twosome.TwosomePPOO": "has no attribute 'TwosomePPOO'; did you mean 'TwosomePPO'?",
    "--model tests.toys.Corridor": "model: tests.toys.Corridor is no OnPolicyModule",
    # language models
    "--model.language_model.name nobody/nothing": "model 'nobody/nothing' is no folder here and not in the hub's cache",
    "--model.language_model.name ./nothing": "model folder './nothing' does not exist",
    "--model.language_model.dtype float99": "dtype 'float99' is unknown",
    # checkpoints
    "--ckpt_path nothing.ckpt": "ckpt_path='nothing.ckpt' does not exist",
    "--ckpt_path {}/cut.ckpt": "cut.ckpt' cannot be read safely",
    "--ckpt_path {}/hostile.ckpt": "hostile.ckpt' cannot be read safely (UnpicklingError)",
    "--ckpt_path {}/other.ckpt": "other.ckpt' holds no state_dict",
    "--ckpt_path {}/class.ckpt": "was written by lightning_twosome.modules.OnPolicyModule, but model.class_path is",
    "--ckpt_path {}/good.ckpt --model.critic_hidden [3]": "trainable weights are not this model's",
    "--ckpt_path {}/good.ckpt --model.language_model.name {}/wide": "trainable weights are not this model's",
    "--ckpt_path {}/good.ckpt --model.actor_lr 3": "--model.actor_lr 3.0 would have no effect",
    "--ckpt_path {}/good.ckpt --model.beta 3": "--model.beta 3.0 would have no effect",
    "--ckpt_path {}/good.ckpt --data.num_envs 1": "set data.num_envs=2",
    # files
    "--config {}/nothing.yaml": "does not exist: give the path of a YAML file",
    "--config {}/broken.yaml": "is no YAML in line 2",
}
OTHER = {
    "": "The command line begins with a subcommand: one of fit, validate",
    "train": "There is no subcommand 'train'",
    "fit": "data.env is missing: name an environment",
    "validate --config {}/quick.yaml --ckpt_path last": "finds no checkpoint in",
    "export --config {}/quick.yaml": "export needs --ckpt_path",
    "export --config {}/quick.yaml --ckpt_path {}/cut.ckpt": "cut.ckpt' cannot be read safely",
}


@pytest.fixture(autouse=True)
def away(tmp_path, monkeypatch):
    """Relative paths mean an empty folder."""
    monkeypatch.chdir(tmp_path)


def error_of(arguments: list[str], capsys) -> str:
    capsys.readouterr()
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and captured.err.endswith(lines[0] + "\n")
    assert "Traceback" not in captured.err
    assert captured.out == ""
    return lines[0]


@pytest.mark.parametrize("arguments", CASES)
def test_mistake_of_a_run(arguments, folder, capsys):
    before = sorted(path.name for path in folder.iterdir())
    extra = []
    for argument in arguments.split():
        argument = argument.replace("{}", str(folder))
        extra.append(f"{{class_path: {argument}}}" if argument.startswith("tests.") and extra[-1] == "--data.env"
                     else argument)  # fmt: skip
    fit = ["fit", "--config", str(folder / "quick.yaml"), "--run_dir", str(folder / "failed")]
    assert CASES[arguments].replace("{{", "{") in error_of([*fit, *extra], capsys)
    assert sorted(path.name for path in folder.iterdir()) == before, "a failed start leaves nothing behind"


@pytest.mark.parametrize("arguments", OTHER)
def test_mistake_of_other_subcommands(arguments, folder, capsys):
    assert OTHER[arguments] in error_of(arguments.replace("{}", str(folder)).split(), capsys)


def test_a_hostile_checkpoint_runs_nothing(folder, capsys):
    error_of(["validate", "--config", str(folder / "quick.yaml"), "--ckpt_path", str(folder / "hostile.ckpt")], capsys)
    assert not os.path.exists("hostile-was-here")


def test_debug_shows_the_traceback(folder):
    with pytest.raises(ValueError, match="does not divide"):
        run("fit", "--config", folder / "quick.yaml", "--data.minibatch_size", 3, "--debug")


def test_a_bug_keeps_its_traceback(folder, monkeypatch):
    monkeypatch.setattr("lightning_twosome.data.RolloutDataModule.collect", lambda self: int("bug"))
    with pytest.raises(ValueError, match="invalid literal"):
        run("fit", "--config", folder / "quick.yaml", "--run_dir", folder / "bug", "--trainer.limit_val_batches", 0)


def test_one_sentence_of_a_message_without_a_tree():
    from lightning_twosome.cli_errors import one_sentence

    assert one_sentence(ValueError("two\n  lines")) == "two lines"
