"""POAD: choices, values, advantages and loss against loops over tokens, and that everything around them works."""

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_twosome import Decision
from lightning_twosome.credit import Choices, choice_advantages
from lightning_twosome.errors import UserError
from lightning_twosome.export import export_checkpoint
from lightning_twosome.players import Transitions, player_advantages
from lightning_twosome.twosome_agent import TwosomeAgent
from lightning_twosome.vector_env import State
from tests import naive_poad, test_resume, toys
from tests.test_players import GAMMA, experience, naive_return
from tests.test_twosome_ppo import fit, moved_adapter

POAD = {"objective": "poad", "normalization": "trie"}
BATCH = [
    Decision("You see a lamp. You", ("press red", "press green", "walk", "walk home", "walk home again")),
    Decision("You wait. You", ("wait",)),
    Decision("They are here. You", ("walk left", "walk right", "stride right")),
]


def poad(**changes):
    return moved_adapter(toys.module(**(POAD | changes)))


class Doors(toys.Corridor):
    """The corridor with actions that share their first words, and one state without a choice."""

    def _info(self):
        info = super()._info()
        return info | {"actions": ("wait here",)} if self.place == 2 else info

    def step(self, action):
        return super().step(action) if self.place != 2 else self._forced()

    def _forced(self):
        self.place = 3
        self.decisions += 1
        return self._prompt(), -0.1, False, self.decisions == self.limit, self._info() | {"duration": 2}


# Choices


@pytest.mark.parametrize("action", range(5))
def test_choices_are_those_of_the_reference(action):
    """Prefixes and log-probabilities; the first choice is valued at the prompt."""
    module = poad()
    agent, tokenizer, decision = module.agent, module.language_model.tokenizer, BATCH[0]
    choices = Choices(agent.scorer.encoder, [decision], torch.tensor([action]))
    expected = naive_poad.choices_on_the_way(agent.model, tokenizer, decision, action)
    assert choices.places == [decision.prompt, *(tuple(ids) for ids, _ in expected[1:])]
    log_probs = choices.log_probs(agent.action_log_probs([decision]))
    torch.testing.assert_close(log_probs, torch.stack([log_prob for _, log_prob in expected]), rtol=1e-4, atol=1e-5)
    values = [
        naive_poad.value(agent, tokenizer, decision, ids, first=number == 0) for number, (ids, _) in enumerate(expected)
    ]
    torch.testing.assert_close(agent.values(choices.places), torch.stack(values))


def test_choices_multiply_to_the_action_under_any_policy():
    """Also under TWOSOME's: what is chosen token by token follows from the actions' probabilities."""
    log_probs = torch.tensor([[0.1, 0.2, 0.3, 0.15, 0.25], [1.0, 0, 0, 0, 0], [0.5, 0.3, 0.2, 0, 0]]).log()
    encoder = poad().agent.scorer.encoder
    choices = Choices(encoder, BATCH, torch.tensor([3, 0, 1]))
    found = choices.table(choices.log_probs(log_probs)).exp()
    assert choices.real.tolist() == [[True, True, True], [True, False, False], [True, True, False]]
    expected = [[0.7, 0.4 / 0.7, 0.15 / 0.4], [1.0, 1.0, 1.0], [0.8, 0.3 / 0.8, 1.0]]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_company_changes_no_choice():
    encoder = poad().agent.scorer.encoder
    actions = torch.tensor([4, 0, 2])
    together = Choices(encoder, BATCH, actions)
    alone = [Choices(encoder, [d], actions[i : i + 1]) for i, d in enumerate(BATCH)]
    assert together.places == [place for one in alone for place in one.places]
    log_probs = torch.full((3, 5), -torch.inf)
    for row, decision in enumerate(BATCH):
        log_probs[row, : len(decision.actions)] = torch.randn(len(decision.actions)).log_softmax(0)
    flat = torch.cat([one.log_probs(log_probs[i : i + 1]) for i, one in enumerate(alone)])
    torch.testing.assert_close(together.log_probs(log_probs), flat)
    wider = torch.arange(12.0).view(3, 4)
    assert together.flat(wider).tolist() == wider[:, : together.real.shape[1]][together.real].tolist()


# Advantages


def detailed(single, values, real, players, env):
    """One environment's choices as transitions of their own [R, 1], one by one."""
    rows = []
    for step in range(len(players)):
        count = int(real[step, env].sum())
        for choice in range(count):
            final = choice == count - 1
            rows.append([
                float(single.rewards[step, env]) if final else 0.0,
                float(single.next_values[step, env] if final else values[step, env, choice + 1]),
                int(single.durations[step, env]) if final else 0,
                bool(single.terminated[step, env]) and final,
                bool(single.truncated[step, env]) and final,
                float(values[step, env, choice]),
                int(players[step, env]),
            ])  # fmt: skip
    kinds = (torch.float64, torch.float64, torch.int64, torch.bool, torch.bool, torch.float64, torch.int64)
    columns = [torch.tensor(c, dtype=kind)[:, None] for c, kind in zip(zip(*rows, strict=True), kinds, strict=True)]
    return Transitions(*columns[:5]), columns[5], columns[6]


def choosing(steps=9, envs=4, players=1, seed=0):
    single, first, deciding = experience(steps, envs, players, seed)
    generator = torch.Generator().manual_seed(seed)
    real = torch.arange(3) < torch.randint(1, 4, (steps, envs, 1), generator=generator)
    values = torch.randn(steps, envs, 3, generator=generator, dtype=torch.float64)
    values[..., 0] = first
    return single, values * real, real, deciding


@pytest.mark.parametrize("gae_lambda", [0.0, 0.8, 1.0])
@pytest.mark.parametrize("players", [1, 2])
def test_advantages_are_those_of_each_environments_choices_alone(gae_lambda, players):
    single, values, real, deciding = choosing(players=players, seed=players)
    advantages, returns = choice_advantages(single, values, real, deciding, GAMMA, gae_lambda)
    for env in range(real.shape[1]):
        ours, own_values, own_players = detailed(single, values, real, deciding, env)
        expected = [naive_return(ours, own_values, own_players, row, 0, gae_lambda) for row in range(len(own_values))]
        assert returns[:, env][real[:, env]].tolist() == pytest.approx(expected)
    torch.testing.assert_close(advantages, (returns - values) * real)
    assert (returns[~real] == 0).all()


def test_one_choice_a_decision_is_the_ordinary_advantage():
    single, values, real, deciding = choosing(players=2)
    expected = player_advantages(single, values[..., 0], deciding, GAMMA, 0.9)
    found = choice_advantages(single, values[..., :1], real[..., :1], deciding, GAMMA, 0.9)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours[..., 0], theirs)


def test_with_a_full_trace_a_decisions_first_choice_has_the_decisions_own_return():
    single, values, real, deciding = choosing()
    _, returns = choice_advantages(single, values, real, deciding, GAMMA, 1.0)
    _, expected = player_advantages(single, values[..., 0], deciding, GAMMA, 1.0)
    torch.testing.assert_close(returns[..., 0], expected)


# Training


def naive_loss(module, samples, stds, clip, value_coef, entropy_coef):
    """The loss of a batch from one forward per prefix, with the batch's own old log-probabilities and advantages."""
    agent, tokenizer = module.agent, module.language_model.tokenizer
    surrogates, errors, entropies = [], [], []
    mean, std = stds
    for row, decision in enumerate(samples.decisions):
        action = int(samples.actions[row])
        log_probs = naive_poad.action_log_probs(agent.model, tokenizer, decision)
        entropies.append(-(log_probs.exp() * log_probs).sum())
        path = naive_poad.choices_on_the_way(agent.model, tokenizer, decision, action)
        old = old_choices(samples.log_probs[row], decision, action, path, tokenizer)
        for number, (ids, log_prob) in enumerate(path or [([], torch.zeros(()))]):
            advantage = (samples.advantages[row, number] - mean) / std
            ratio = (log_prob - old[number]).exp()
            surrogates.append(torch.min(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage))
            value = naive_poad.value(agent, tokenizer, decision, ids, first=number == 0)
            errors.append(0.5 * (value - samples.returns[row, number]) ** 2)
    policy_loss, value_loss = -torch.stack(surrogates).mean(), torch.stack(errors).mean()
    return policy_loss + value_coef * value_loss - entropy_coef * torch.stack(entropies).mean()


def old_choices(log_probs, decision, action, path, tokenizer):
    """What the actions' old probabilities say of each choice: those that agree with it, among those up to it."""
    texts = [naive_poad.joint_ids(tokenizer, decision.prompt, other)[0] for other in decision.actions]
    found = []
    for ids, _ in path:
        before = [k for k, text in enumerate(texts) if text[: len(ids)] == ids]
        after = [k for k in before if texts[k][: len(ids) + 1] == texts[action][: len(ids) + 1]]
        mass = [sum(float(log_probs[k].double().exp()) for k in some) for some in (after, before)]
        found.append(torch.tensor(mass[0] / mass[1]).log())
    return found or [torch.zeros(())]


def caught_batch(module, **settings):
    """A batch of a run at learning rate 0, after the policy was moved away from the one that acted, and its loss."""
    kept = {}
    step = module.training_step

    def watched(batch, batch_idx):
        if not kept:
            with torch.no_grad():
                for name, parameter in module.named_parameters():
                    if "lora_B" in name:
                        parameter.add_(0.02 * torch.randn_like(parameter))
            loss = step(batch, batch_idx)
            kept.update(batch=batch, loss=loss.detach(), gradients=gradients(module, loss))
        return step(batch, batch_idx)

    module.training_step = watched
    fit(module, toys.data(Doors, num_steps=6, minibatch_size=24), **settings)
    return kept["batch"], kept["loss"], kept["gradients"]


def gradients(module, loss):
    parts = (module.agent.actor_parameters(), module.agent.critic_parameters())
    return [torch.cat([g.flatten() for g in torch.autograd.grad(loss, p, retain_graph=True)]) for p in parts]


def test_the_loss_is_that_of_the_reference():
    settings = {"actor_lr": 0.0, "critic_lr": 0.0, "entropy_coef": 0.05, "anneal_entropy": False, "clip_coef": 0.05}
    module = poad(**settings)
    torch.manual_seed(1)
    torch.nn.init.normal_(module.agent.critic[-1].weight)
    batch, loss, ours = caught_batch(module)
    assert batch.values.shape == (24, 3) and any(len(d.actions) == 1 for d in batch.decisions)
    real = Choices(module.agent.scorer.encoder, batch.decisions, batch.actions).real
    advantages = batch.advantages[:, : real.shape[1]][real]
    stds = (advantages.mean(), advantages.std(unbiased=False))
    expected = naive_loss(module, batch, stds, 0.05, module.hparams["value_coef"], 0.05)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
    for own, reference in zip(ours, gradients(module, expected), strict=True):
        assert reference.norm() > 0 and (own - reference).norm() < 1e-3 * reference.norm()


def test_processes_of_unequal_choices_add_up_to_one():
    """The mean of both processes' losses is the loss of all their decisions together."""
    module = poad(actor_lr=0.0, critic_lr=0.0, normalize_advantages=False)
    batch, _, _ = caught_batch(module)
    counts = Choices(module.agent.scorer.encoder, batch.decisions, batch.actions).real.sum(1)
    first, second = counts.sort().indices.chunk(2)
    assert counts[first].sum() < counts[second].sum()
    whole = type(module).training_step(module, batch, 1)
    module.trainer.strategy.reduce = lambda tensor, reduce_op: counts.sum() / 2
    halves = [type(module).training_step(module, batch.select(part.numpy()), 1) for part in (first, second)]
    torch.testing.assert_close(sum(halves) / 2, whole)


def test_values_and_advantages_of_a_rollout_are_those_of_the_reference():
    """From the environments' transitions to what the update is given."""
    module, data = poad(actor_lr=0.0, critic_lr=0.0), toys.data(Doors, num_steps=6)
    torch.nn.init.normal_(module.agent.critic[-1].weight)
    rollouts = []
    estimate = module.estimate
    module.estimate = lambda rollout, transitions: (rollouts.append(rollout), estimate(rollout, transitions))[1]
    fit(module, data)
    (rollout,), samples, agent = rollouts, data.samples, module.agent
    assert samples.values.shape == samples.advantages.shape == samples.returns.shape == (24, 3)
    advantages = samples.advantages.view(6, 4, 3)
    for env in range(4):
        steps, places = [], []
        for s in range(6):
            decision, action = rollout.states[s][env].decision, int(rollout.actions[s, env])
            path = naive_poad.choices_on_the_way(agent.model, module.language_model.tokenizer, decision, action)
            values = [
                float(naive_poad.value(agent, module.language_model.tokenizer, decision, ids, first=number == 0))
                for number, (ids, _) in enumerate(path or [([], None)])
            ]
            ends = bool(rollout.terminated[s, env] | rollout.truncated[s, env])
            for number, value in enumerate(values):
                last = number == len(values) - 1
                steps.append({
                    "value": value,
                    "reward": float(rollout.rewards[s, env]) if last else 0.0,
                    "duration": int(rollout.durations[s, env]) if last else 0,
                    "next_value": float(rollout.next_values[s, env]) if last else values[number + 1],
                    "terminated": last and bool(rollout.terminated[s, env]),
                    "cut": last and ends,
                })  # fmt: skip
                places.append((s, number))
        expected = naive_poad.lambda_advantages(steps, module.gae_lambda, module.gamma)
        assert [float(advantages[s, env, number]) for s, number in places] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("normalization", ["trie", "word"])
def test_first_ratios_are_one(precision, normalization):
    watch = fit(poad(normalization=normalization), toys.data(Doors), precision=precision, max_epochs=2)
    assert watch.logged[-1]["policy/first_pass_ratio_deviation"] <= 2e-5
    assert 1 < watch.logged[-1]["policy/choices"] < 3
    assert all(value == value for value in watch.logged[-1].values())


def test_sharing_work_changes_no_training():
    runs = [fit(poad(share_work=share), toys.data(Doors), max_epochs=3).weights[-1] for share in (True, False)]
    for name, weight in runs[0].items():
        torch.testing.assert_close(weight, runs[1][name], rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("critic", ["frozen", "adapted"])
def test_resumed_equals_uninterrupted(tmp_path, critic):
    settings = {"module_settings": POAD | {"critic": critic}, "max_epochs": 3}
    checkpoint = ModelCheckpoint(tmp_path, filename="kept-{epoch}", save_top_k=-1, monitor=None, every_n_train_steps=6)
    whole = test_resume.run(tmp_path, checkpoint=checkpoint, **settings)
    again = test_resume.run(tmp_path, ckpt_path=str(tmp_path / "kept-epoch=1.ckpt"), **settings)
    test_resume.assert_equal_runs(whole, again)


def test_the_stop_is_on_the_exact_divergence_of_the_actions():
    watch = fit(poad(target_kl=1e-8, actor_lr=0.05), toys.data(Doors, update_epochs=3))
    assert watch.logged[-1]["policy/update_stopped"] == 1.0 and watch.logged[-1]["policy/kl"] > 0


def test_an_exported_agent_acts_by_the_same_policy(tmp_path):
    module, data = poad(actor_lr=0.05, beta=1.5), toys.data(Doors)
    trainer = toys.trainer(tmp_path)
    trainer.fit(module, datamodule=data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    out = export_checkpoint(toys.module(**POAD), data, tmp_path / "last.ckpt", tmp_path / "out")
    assert "2405.15821" in (out / "README.md").read_text()
    states = [State(decision) for decision in BATCH]
    expected = module.eval().action_log_probs(states)
    for agent in (TwosomeAgent.from_pretrained(out), TwosomeAgent.from_checkpoint(tmp_path / "last.ckpt")):
        torch.testing.assert_close(agent.action_log_probs(states), expected)
        assert not torch.allclose(expected[0], toys.module().eval().action_log_probs(states)[0], atol=1e-2)


def test_an_unknown_objective_is_named():
    with pytest.raises(UserError, match="model.objective is 'ppo'; choose one of twosome, poad"):
        toys.module(objective="ppo")
