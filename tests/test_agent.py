"""The actor-critic: sharing and remembering change nothing but the time, and gradients go where they belong."""

import pytest
import torch
from torch import nn

from lightning_twosome import Decision
from lightning_twosome.agent import ActorCritic, unique_items
from lightning_twosome.errors import UserError
from lightning_twosome.language_model import load_language_model
from tests.toys import decisions, language_model, trainable


def agent(lora=None, seed=0, moved=True, **settings):
    """An agent on the toy model; ``moved`` sets its adapter away from zero, so that on and off differ."""
    torch.manual_seed(seed)
    adapter = {"r": 4, "lora_alpha": 8} if lora is None else lora
    made = ActorCritic(load_language_model(**language_model(lora=adapter)), **({"critic_hidden": (16,)} | settings))
    if moved:
        for name, parameter in made.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(parameter, 0.0, 0.2)
    return made


@pytest.fixture
def repeated():
    """Decisions with repetitions, ragged."""
    different = decisions(5)
    return [different[i] for i in (0, 1, 0, 2, 3, 3, 4, 0, 1)]


def test_unique_items_keep_their_order():
    assert unique_items("abcab") == (["a", "b", "c"], [0, 1, 2, 0, 1])
    assert unique_items([]) == ([], [])


def scored_positions(made):
    """Lists the sizes of what the scorer is asked for."""
    sizes = []
    score = made.scorer.score
    made.scorer.score = lambda batch, **settings: (sizes.append(len(batch)), score(batch, **settings))[1]
    return sizes


@pytest.mark.parametrize("normalization", ["sum", "token", "word", "character", "trie"])
def test_sharing_changes_no_probability(repeated, normalization):
    shared = agent(normalization=normalization)
    apart = agent(normalization=normalization, share_work=False)
    sizes = scored_positions(shared)
    with torch.no_grad():
        torch.testing.assert_close(shared.action_log_probs(repeated), apart.action_log_probs(repeated))
    assert sizes == [5]
    torch.testing.assert_close(shared.remembered_log_probs(repeated), apart.remembered_log_probs(repeated))
    prompts = [decision.prompt for decision in repeated]
    torch.testing.assert_close(shared.values(prompts), apart.values(prompts))


def test_the_policy_is_the_softmax_of_the_normalised_scores(repeated):
    made = agent(normalization="token", beta=2.5)
    scores = made.scorer.score(repeated)
    logits = 2.5 * scores.log_prob / scores.tokens
    for row, decision in enumerate(repeated):
        count = len(decision.actions)
        expected = logits[row, :count].log_softmax(0)
        torch.testing.assert_close(made.action_log_probs(repeated)[row, :count], expected)
        assert (made.action_log_probs(repeated)[row, count:] == -torch.inf).all()


@pytest.mark.parametrize("critic", ["frozen", "adapted"])
def test_sharing_changes_no_gradient(repeated, critic):
    gradients = []
    for share_work in (True, False):
        made = agent(critic=critic, share_work=share_work, learn_beta=True)
        log_probs = made.action_log_probs(repeated)
        weights = torch.linspace(-1, 1, len(repeated))
        values = made.values([decision.prompt for decision in repeated])
        ((log_probs[:, 0] * weights).sum() + (values * weights).sum()).backward()
        gradients.append({name: p.grad for name, p in made.named_parameters() if p.requires_grad})
    for name, gradient in gradients[0].items():
        other = gradients[1][name]
        assert gradient is not None and other is not None and gradient.isfinite().all(), name
        assert (gradient - other).norm() <= 1e-5 * other.norm().clamp(min=1e-8), name


def test_beta_learns_from_ragged_decisions():
    """Padding is -inf: minus infinity times anything must not reach beta's gradient."""
    made = agent(learn_beta=True, beta=1.5)
    made.action_log_probs(decisions(3))[:, 0].sum().backward()
    gradient = made.log_beta.grad
    assert gradient is not None and gradient.isfinite()
    with torch.no_grad():
        step = 1e-3
        made.log_beta.add_(step)
        above = made.action_log_probs(decisions(3))[:, 0].double().sum()
        made.log_beta.sub_(2 * step)
        below = made.action_log_probs(decisions(3))[:, 0].double().sum()
    torch.testing.assert_close(gradient.double(), (above - below) / (2 * step), rtol=1e-2, atol=1e-3)


def test_what_is_remembered_is_not_scored_again(repeated):
    made = agent()
    sizes = scored_positions(made)
    first = made.remembered_log_probs(repeated)
    assert sizes == [5]
    torch.testing.assert_close(made.remembered_log_probs(repeated), first, rtol=0, atol=0)
    assert sizes == [5]
    made.remembered_log_probs([*repeated[:2], Decision("A new prompt", ("go", "stay away"))])
    assert sizes == [5, 1]
    assert not first.requires_grad


def test_rows_from_memory_keep_their_padding():
    wide, narrow = Decision("You", ("go", "stay", "jump")), Decision("They", ("go",))
    made = agent()
    together = made.remembered_log_probs([wide, narrow])
    assert together.shape == (2, 3) and (together[1, 1:] == -torch.inf).all()
    alone = made.remembered_log_probs([narrow])
    assert alone.shape == (1, 1) and alone.item() == pytest.approx(0.0, abs=1e-6)


OPTIMIZERS = {
    "foreach": lambda p: torch.optim.AdamW(p, lr=0.1, foreach=True),
    "for-loop": lambda p: torch.optim.AdamW(p, lr=0.1, foreach=False),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
}


@pytest.mark.parametrize("kind", OPTIMIZERS)  # a fused AdamW counts no versions: TwosomePPO forgets by itself
def test_an_optimizer_step_is_noticed(repeated, kind):
    made = agent()
    optimizer = OPTIMIZERS[kind](made.actor_parameters())
    before = made.remembered_log_probs(repeated)
    made.action_log_probs(repeated)[:, 0].sum().backward()
    optimizer.step()
    after = made.remembered_log_probs(repeated)
    assert not torch.equal(before, after)
    with torch.no_grad():
        torch.testing.assert_close(after, made.action_log_probs(repeated))


def test_every_other_change_of_the_policy_is_noticed(repeated):
    made, other = agent(), agent()
    with torch.no_grad():
        for parameter in other.actor_parameters():
            parameter.add_(0.1)
    start = made.remembered_log_probs(repeated)
    made.load_state_dict(other.state_dict())
    loaded = made.remembered_log_probs(repeated)
    assert not torch.equal(start, loaded)
    with torch.no_grad():
        made.log_beta.add_(0.5)
    assert not torch.equal(loaded, made.remembered_log_probs(repeated))


def test_the_memory_does_not_outlive_a_switched_off_adapter(repeated):
    made = agent()
    adapted = made.remembered_log_probs(repeated)
    with made.model.disable_adapter():
        base = made.remembered_log_probs(repeated)
    assert not torch.allclose(adapted, base)
    torch.testing.assert_close(made.remembered_log_probs(repeated), adapted, rtol=0, atol=0)


def test_beta_starts_at_the_mean_count():
    actions = ("go", "walk on", "pick up the red apple")
    for normalization, mean in (("word", 8 / 3), ("character", (2 + 7 + 21) / 3), ("sum", 1.0), ("trie", 1.0)):
        made = agent(normalization=normalization, beta="mean_count")
        assert made.beta_from_counts
        made.initialize_beta([Decision("You", actions)])
        assert made.beta.item() == pytest.approx(mean) and not made.beta_from_counts, "once, not at every stage"
    tokens = agent(normalization="token", beta="mean_count")
    tokens.initialize_beta([Decision("You", actions)])
    assert tokens.beta.item() == pytest.approx(tokens.scorer.score([Decision("You", actions)]).tokens.double().mean())
    assert not agent(beta=2.0).beta_from_counts and agent(beta=2.0).beta.item() == pytest.approx(2.0)


def test_only_what_is_trained_is_among_the_parameters():
    made = agent()
    assert {name for name, p in made.named_parameters() if p.requires_grad} == {
        name for name, _ in made.named_parameters() if "lora_" in name or name.startswith("critic.")
    }
    assert len(made.actor_parameters()) == 2 * 2 * 2  # two layers, query and value, A and B
    learning = agent(learn_beta=True)
    assert any(p is learning.log_beta for p in learning.actor_parameters())


def test_frozen_features_do_not_see_the_adapter():
    made, prompts = agent(), ["You", "They are here. You"]
    before = made.values(prompts)
    with torch.no_grad():
        for parameter in made.actor_parameters():
            parameter.add_(1.0)
    assert torch.equal(made.values(prompts), before), "from memory"
    made.features.clear()
    assert torch.equal(made.values(prompts), before), "computed again"
    assert trainable(made) and made.model.active_adapters == ["default"]


def test_frozen_features_are_cached_and_bounded():
    made = agent(cache_megabytes=0.003)
    calls = []
    made.model.register_forward_pre_hook(lambda *_: calls.append(1))
    made.values(["a", "b", "a"])
    made.values(["b", "a"])
    assert len(calls) == 2
    values = made.values(["a", "b", "c", "d", "e"])
    assert 0 < len(made.features) < 5 and made.features.bytes <= 0.003 * 2**20
    torch.testing.assert_close(made.values(["e", "d", "c", "b", "a"]).flip(0), values)


def test_the_value_reads_the_last_token_of_each_prompt():
    """Against the model by itself, one prompt at a time, adapter off."""
    made, prompts = agent(), ["You", "They are here. You", "A red lamp is on in the long corridor. You"]
    values = made.values(prompts)
    for prompt, value in zip(prompts, values, strict=True):
        ids = torch.tensor([made.scorer.encoder.encode_prompt(prompt)])
        with torch.no_grad(), made.model.disable_adapter():
            hidden = made.model(ids, output_hidden_states=True).hidden_states[-1][:, -1]
        torch.testing.assert_close(made.critic(hidden).squeeze(), value)


def test_an_adapted_critic_teaches_the_adapter_and_a_frozen_one_does_not():
    for critic, taught in (("adapted", True), ("frozen", False)):
        made = agent(critic=critic)
        made.values(["You", "They are here. You"]).sum().backward()
        gradients = [p.grad for p in made.actor_parameters()]
        assert any(g is not None and g.abs().sum() > 0 for g in gradients) == taught
        assert all(p.grad is not None and p.grad.isfinite().all() for p in made.critic_parameters())


@pytest.mark.parametrize("critic", ["adapted", "frozen"])
def test_values_do_not_depend_on_the_token_budget(critic):
    prompts = [f"Door {i} of {10**i}. You" for i in range(5)]
    small, large = agent(critic=critic, token_budget=12), agent(critic=critic)
    torch.testing.assert_close(small.values(prompts), large.values(prompts))


def test_dropout_is_refused_with_shared_work():
    lora = {"r": 4, "lora_alpha": 8, "lora_dropout": 0.1}
    with pytest.raises(UserError, match="lora.lora_dropout to 0, or share_work to false"):
        agent(lora=lora)
    apart = agent(lora=lora, share_work=False)
    same = [decisions(1)[0]] * 2
    with torch.no_grad():
        rows = apart.train().action_log_probs(same)
        assert not torch.equal(rows[0], rows[1]), "every row has dropout of its own"
        rows = apart.eval().action_log_probs(same)
        assert torch.allclose(rows[0], rows[1])


def test_contradictions_are_named():
    with pytest.raises(UserError, match="critic='frozen' reads the model with its adapter off"):
        ActorCritic(load_language_model(**language_model(lora=None)))
    with pytest.raises(UserError, match="critic='both' is unknown"):
        agent(critic="both")
    with pytest.raises(UserError, match="normalization='letters' is unknown"):
        agent(normalization="letters")
    with pytest.raises(UserError, match="scoring='tree' shares the prompt"):
        agent(share_work=False, scoring="tree")


def test_trained_weights_stay_float32_whatever_the_module_is_turned_into():
    """As Lightning's bf16-true does before training, and before validation too."""
    made = agent(learn_beta=False)
    before = {name: p.detach().clone() for name, p in made.named_parameters()}
    made.to(torch.bfloat16)
    for name, parameter in made.named_parameters():
        if "lora_" in name or name.startswith("critic") or name == "log_beta":
            assert parameter.dtype == torch.float32 and torch.equal(parameter, before[name]), name
        else:
            assert parameter.dtype == torch.bfloat16, name
    made.values(["You", "They"]).sum().backward()
    made.action_log_probs(decisions(3))[:, 0].sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in made.actor_parameters())
