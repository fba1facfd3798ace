"""ZeroShot: the policy before training under each normalisation, nothing trainable, and no training."""

import pytest
import torch

from lightning_twosome import ZeroShot
from lightning_twosome.errors import UserError
from lightning_twosome.vector_env import State
from tests import toys
from tests.cli_runs import ROOT, run


def zero_shot(**changes):
    return ZeroShot(**({"language_model": {"name": toys.model_folder()}} | changes))


@pytest.mark.parametrize("normalization", ["sum", "token", "word", "character"])
def test_it_is_the_policy_that_twosome_starts_from(normalization):
    states = [State(decision) for decision in toys.decisions()]
    started = toys.module(normalization=normalization, beta=2.0).eval().action_log_probs(states)
    module = zero_shot(normalization=normalization, beta=2.0).eval()
    torch.testing.assert_close(module.action_log_probs(states), started)
    assert not [name for name, p in module.agent.model.named_parameters() if p.requires_grad or "lora" in name]


def test_validation_and_test_play_the_same_policy():
    data = toys.data(toys.Buttons, eval_episodes=20)
    validated = toys.trainer(limit_val_batches=1.0).validate(zero_shot(), data, verbose=False)[0]
    tested = toys.trainer().test(zero_shot(), data, verbose=False)[0]
    assert 0 < validated["val/return"] < 1 and validated["val/return"] == tested["test/return"]
    assert validated["val/greedy_return"] == tested["test/greedy_return"]


def test_beta_can_be_the_mean_count():
    module = zero_shot(normalization="character", beta="mean_count")
    toys.trainer(limit_val_batches=1.0).validate(module, toys.data(toys.Buttons), verbose=False)
    assert float(module.agent.beta) == pytest.approx(11, abs=1)  # "press blue"


def test_it_refuses_to_train():
    with pytest.raises(UserError, match="ZeroShot has nothing to train: use validate"):
        toys.trainer().fit(zero_shot(), toys.data(toys.Buttons))


def test_the_config_validates(tmp_path, capsys):
    sizes = ["--data.eval_episodes", "2", "--data.eval_num_envs", "2", "--data.eval_greedy_episodes", "0"]
    config = ["--config", ROOT / "configs/baselines/zero_shot.yaml", "--run_dir", tmp_path / "run"]
    assert run("validate", *config, *sizes, "--model.normalization", "token") == 0
    assert "return" in capsys.readouterr().out
