"""The GLAM-like setting: joint probabilities, and a value whose loss trains the language model too."""

from inspect import signature

import torch
import yaml

from lightning_twosome import TwosomePPO
from lightning_twosome.vector_env import State
from tests import toys
from tests.cli_runs import ROOT

SETTINGS = yaml.safe_load((ROOT / "configs/baselines/glam.yaml").read_text())["model"]["init_args"]


def glam(**changes):
    return toys.module(**{name: value for name, value in SETTINGS.items() if name != "language_model"} | changes)


def test_the_page_names_every_setting_in_which_it_differs_from_twosome():
    tomato = yaml.safe_load((ROOT / "configs/tomato_salad.yaml").read_text())["model"]["init_args"]
    defaults = {name: parameter.default for name, parameter in signature(TwosomePPO).parameters.items()}
    different = {name for name, value in SETTINGS.items() if value != (defaults | tomato)[name]}
    page = (ROOT / "docs/baselines/glam.md").read_text().partition("## Logged metrics")[0]
    assert "critic" in different and not [name for name in different if f"`{name}" not in page]


def test_the_policy_is_the_softmax_of_joint_log_probabilities():
    module, decisions = glam().eval(), toys.decisions()
    with torch.no_grad():
        joint = module.agent.scorer.score(decisions).log_prob
    expected = joint.exp() / joint.exp().sum(1, keepdim=True)
    torch.testing.assert_close(module.action_log_probs([State(d) for d in decisions]).exp(), expected)


def test_the_value_loss_reaches_the_adapter_where_twosome_keeps_it_away():
    prompts = [decision.prompt for decision in toys.decisions()]
    reached = []
    for critic in (SETTINGS["critic"], "frozen"):
        module = glam(critic=critic)
        module.agent.values(prompts).square().mean().backward()
        adapter = [p.grad for name, p in module.agent.model.named_parameters() if "lora_B" in name]
        reached.append(any(grad is not None and float(grad.abs().max()) > 0 for grad in adapter))
    assert reached == [True, False]


def test_nothing_stops_the_update():
    trainer = toys.trainer(max_epochs=1)
    trainer.fit(glam(actor_lr=0.05, beta=0.1), toys.data())  # the random model at beta 1 takes one action always
    assert trainer.logged_metrics["policy/update_stopped"] == 0
    assert trainer.logged_metrics["policy/kl"] > 1e-3
