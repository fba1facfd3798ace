"""SayCan: what is said times what can be done, learned from random play."""

from dataclasses import dataclass

import pytest
import torch

from lightning_twosome import SayCan
from lightning_twosome.decisions import Decision
from lightning_twosome.errors import UserError
from lightning_twosome.modules.saycan import effects_of, taken_always
from lightning_twosome.vector_env import State
from tests import toys
from tests.cli_runs import ROOT, run

EXAMPLES = "The green lamp is on. You press green\n"


class Stuck(toys.TextEnv):
    """One door of four opens; the others leave everything as it is. Eight decisions."""

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.room, self.decisions = int(self.np_random.integers(4)), 0
        return self._show()

    def _show(self):
        return f"You stand in room {self.room}. You", {"actions": tuple(f"open {c}" for c in toys.COLOURS[:4])}

    def step(self, action):
        opened = action == self.room % 4
        self.room, self.decisions = (self.room + opened) % 4, self.decisions + 1
        prompt, info = self._show()
        return prompt, float(opened), False, self.decisions == 8, info


@dataclass
class Shown:
    """The part of a rollout that says what had an effect."""

    states: list
    actions: torch.Tensor
    terminated: torch.Tensor
    truncated: torch.Tensor


def saycan(**changes):
    return SayCan(**({"language_model": {"name": toys.model_folder()}, "affordance_hidden": (32,)} | changes))


def states(count=6):
    return [State(decision) for decision in toys.decisions(count)]


def test_without_an_affordance_the_best_of_what_is_offered_is_taken():
    shown = states()
    said = toys.module(normalization="token").eval().action_log_probs(shown)
    taken = saycan(normalization="token").eval().action_log_probs(shown)
    assert taken.argmax(-1).tolist() == said.argmax(-1).tolist()
    assert (taken == 0).sum(1).tolist() == [1] * 6 and ((taken == 0) | (taken == -torch.inf)).all()
    torch.testing.assert_close(saycan(normalization="token", greedy=False).eval().action_log_probs(shown), said)


def test_examples_stand_before_the_prompt():
    shown = states(3)
    plain = saycan(greedy=False).eval()
    told = [State(Decision(EXAMPLES + s.decision.prompt, s.decision.actions)) for s in shown]
    with_examples = saycan(greedy=False, examples=EXAMPLES).eval().action_log_probs(shown)
    torch.testing.assert_close(with_examples, plain.action_log_probs(told))
    assert not torch.allclose(with_examples.exp(), plain.action_log_probs(shown).exp(), atol=1e-3)


def test_the_product_of_both_decides():
    shown = states()
    module = saycan(affordance="learned", greedy=False).eval()
    module.configure_model()
    torch.nn.init.normal_(module.agent.critic[-1].weight, 0.0, 2.0)
    said = saycan(greedy=False).eval().action_log_probs(shown).exp()
    can = module.log_affordances(shown).exp()
    assert can.shape == said.shape and (can[said > 0] < 1).all()
    product = said * can
    torch.testing.assert_close(module.action_log_probs(shown).exp(), product / product.sum(1, keepdim=True))


def test_ties_go_to_the_first():
    table = taken_always(torch.tensor([[0.5, 1.0, 1.0], [0.0, -torch.inf, -torch.inf]]))
    assert table.exp().tolist() == [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]


def test_an_effect_is_an_end_or_another_text():
    a, b = (State(Decision(text, ("x",))) for text in "ab")
    shown = Shown(
        states=[[a, a, a, a], [a, b, a, b], [b, b, a, b]],
        actions=torch.zeros(3, 4, dtype=torch.int64),
        terminated=torch.tensor([[0, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]]).bool(),
        truncated=torch.tensor([[0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]).bool(),
    )
    effects, known = effects_of(shown)
    assert known.tolist() == [[1, 1, 1, 0], [1, 1, 1, 1], [0, 1, 0, 0]]
    assert (effects * known).tolist() == [[0, 1, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0]]


def test_the_affordance_is_learned_and_makes_the_policy_better():
    module = saycan(affordance="learned", affordance_lr=2e-2, beta=0.1)  # the random model says nonsense loudly
    data = toys.data(Stuck, num_envs=8, num_steps=17, minibatch_size=34, update_epochs=8)
    offered = saycan(beta=0.1)
    before = toys.trainer(limit_val_batches=1.0).validate(offered, data, verbose=False)[0]
    trainer = toys.trainer(max_epochs=12, limit_val_batches=1.0, check_val_every_n_epoch=12)
    frozen = {name: p.detach().clone() for name, p in module.agent.model.named_parameters()}
    trainer.fit(module, data)
    assert trainer.callback_metrics["affordance/accuracy"] > 0.95
    assert 0.1 < trainer.callback_metrics["affordance/share"] < 0.4, "chance opens one of four"
    assert trainer.callback_metrics["val/undiscounted_return"] == 8 > before["val/undiscounted_return"]
    assert all(torch.equal(p, frozen[name]) for name, p in module.agent.model.named_parameters())
    assert toys.unlisted(trainer, "saycan.md") == set()
    assert "value/explained_variance" not in trainer.logged_metrics, "no value is learned"


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_gradients_are_clipped_without_an_actor(algorithm):
    limited = {"gradient_clip_val": 1e-4, "gradient_clip_algorithm": algorithm}
    module, gradients = saycan(affordance="learned"), []
    module.on_before_zero_grad = lambda optimizer: gradients.extend(p.grad for p in module.critic_parameters())
    toys.trainer(max_epochs=1, max_steps=2, **limited).fit(module, toys.data(Stuck))
    seen = [gradient for gradient in gradients if gradient is not None]
    assert seen and all(0 < float(gradient.abs().max()) <= 1.01e-4 for gradient in seen)


def test_a_checkpoint_keeps_the_affordance(tmp_path):
    module = saycan(affordance="learned")
    trainer = toys.trainer(max_epochs=1)
    trainer.fit(module, toys.data(Stuck))
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    loaded = SayCan.load_from_checkpoint(tmp_path / "run.ckpt").eval()
    assert torch.equal(loaded.log_affordances(states()), module.eval().log_affordances(states()))
    kept = torch.load(tmp_path / "run.ckpt", weights_only=True)["state_dict"]
    assert not [name for name in kept if ".model." in name]


def test_an_affordance_must_have_been_learned(tmp_path):
    module, data = saycan(affordance="learned"), toys.data(Stuck, eval_episodes=2)
    for play in ("validate", "test", "predict"):
        with pytest.raises(UserError, match="affordance=learned has not learned it yet.* --ckpt_path last"):
            getattr(toys.trainer(limit_val_batches=1.0), play)(module, data)
    trainer = toys.trainer(max_epochs=1, limit_val_batches=1.0, num_sanity_val_steps=1)
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    assert toys.trainer(limit_val_batches=1.0).validate(module, data, verbose=False)
    resumed = toys.trainer(limit_val_batches=1.0)
    assert resumed.validate(saycan(affordance="learned"), data, tmp_path / "run.ckpt", verbose=False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"affordance": "offered"}, "nothing to train"), ({"affordance_lr": -1.0}, "model.affordance_lr is -1.0"),
     ({"affordance": "taken"}, "model.affordance is 'taken'")],
)  # fmt: skip
def test_mistakes_are_named(settings, message):
    with pytest.raises(UserError, match=message):
        toys.trainer().fit(saycan(**settings), toys.data(Stuck))


def test_the_config_validates_without_training(tmp_path):
    sizes = ["--data.eval_episodes", "2", "--data.eval_num_envs", "2", "--data.eval_greedy_episodes", "0"]
    config = ["--config", ROOT / "configs/baselines/saycan.yaml", "--run_dir", tmp_path / "run"]
    assert run("validate", *config, *sizes, "--model.affordance", "offered") == 0
