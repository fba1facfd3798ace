"""The ledger against PyTorch's own counter, against plain loops, and through whole runs."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as hf
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from peft import LoraConfig, get_peft_model
from torch.utils.flop_counter import FlopCounterMode

from lightning_twosome import Decision, SymbolicPPO
from lightning_twosome.agent import ActorCritic
from lightning_twosome.callbacks import CostTable, LearningCurve
from lightning_twosome.errors import UserError
from lightning_twosome.language_model import LanguageModel
from lightning_twosome.ledger.accounts import Ledger
from lightning_twosome.ledger.flops import language_work
from lightning_twosome.ledger.phases import Account
from lightning_twosome.ledger.table import COLUMNS, cost_rows, from_json, scaled
from tests import tiny_models, toys

DOCS = Path(__file__).resolve().parents[1] / "docs"
ACTIONS = ("pick up the tomato", "walk to the cutting board", "chop the onion", "serve the salad at the counter")
DECISIONS = [
    Decision("You see a tomato on the table. Next, you should", ACTIONS),
    Decision("There is a bowl in the kitchen. Put the lettuce into it. You", ACTIONS[:3]),
]
ADAPTERS = {
    "all-linear": {"target_modules": "all-linear"},
    "query and value": {"target_modules": ["q_proj", "v_proj"]},
    "last layer": {"target_modules": ["q_proj", "v_proj"], "layers_to_transform": [2]},
    "none": None,
}


def agent(adapter="query and value", name="llama", **settings):
    """An actor-critic with eager attention and eager experts, in which PyTorch counts everything."""
    torch.manual_seed(0)
    eager = dict.fromkeys(("attn_implementation", "experts_implementation"), "eager")
    model = hf.AutoModelForCausalLM.from_config(tiny_models.ARCHITECTURES[name][0](), **eager)
    model.requires_grad_(False).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    if ADAPTERS[adapter]:
        model = get_peft_model(model, LoraConfig(r=4, task_type="CAUSAL_LM", **ADAPTERS[adapter]))
    language_model = LanguageModel(model, tiny_models.tokenizer("byte"), name)
    return ActorCritic(language_model, critic_hidden=(16,), **settings).train()


def counted(work, made):
    """FLOPs of ``work``, a function that gives a loss or nothing, by PyTorch and by a ledger in the update's phase."""
    ledger = Ledger()
    ledger.watch_agent(made)
    with FlopCounterMode(display=False) as counter, ledger.phase("update"):
        loss = work()
        if loss is not None:
            ledger.in_backward = True
            loss.backward()
    return counter.get_total_flops(), ledger.totals()["update"]


def scores_sum(made):
    """A loss of all scores."""
    valid = torch.tensor([[True] * 4, [True] * 3 + [False]])
    return made.action_log_probs(DECISIONS).masked_fill(~valid, 0.0).sum()


@pytest.mark.parametrize("method", ["tree", "cache", "duplicate"])
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_flops_are_those_that_pytorch_counts(adapter, method):
    made = agent(adapter, scoring=method)

    def without_gradient():
        with torch.no_grad():
            made.action_log_probs(DECISIONS)

    expected, account = counted(without_gradient, made)
    assert account.flops == pytest.approx(expected, rel=0.02) and account.tokens_backward == 0
    if adapter != "none":
        expected, account = counted(lambda: scores_sum(made), made)
        assert account.flops == pytest.approx(expected, rel=0.02)
        assert account.tokens_backward == account.tokens_forward > 0


@pytest.mark.parametrize("name", ["gpt2", "gemma2", "gpt-neox", "qwen3", "bloom", "mixtral"])
def test_other_architectures(name):
    made = agent("query and value" if name == "mixtral" else "all-linear", name)  # LoRA on experts is not counted
    expected, account = counted(lambda: scores_sum(made), made)
    assert account.flops == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("critic", ["frozen", "adapted"])
def test_the_critics_forward_and_its_head(critic):
    made = agent("all-linear", critic=critic)
    expected, account = counted(lambda: made.values([decision.prompt for decision in DECISIONS]).sum(), made)
    assert account.flops == pytest.approx(expected, rel=0.02)
    assert bool(account.tokens_backward) == (critic == "adapted")


def test_chunks_computed_again_count_again():
    made = agent("all-linear", token_budget=60)
    expected, account = counted(lambda: scores_sum(made), made)
    assert account.flops == pytest.approx(expected, rel=0.02)
    assert account.tokens_forward == 2 * account.tokens_backward > 0


def test_layers_computed_again_count_again():
    made = agent("all-linear")
    made.model.gradient_checkpointing_enable({"use_reentrant": False})
    expected, account = counted(lambda: scores_sum(made), made)
    assert account.flops == pytest.approx(expected, rel=0.02)
    plain = agent("all-linear")
    assert account.flops > 1.2 * counted(lambda: scores_sum(plain), plain)[1].flops


def test_frozen_layers_are_paid_for_once():
    made, ledger, seen = agent("last layer", frozen_layers=2), Ledger(), []
    ledger.watch_agent(made)
    for _ in range(2):
        before = sum(account.flops for account in ledger.totals().values())
        with FlopCounterMode(display=False) as counter, ledger.phase("update"):
            scores_sum(made).backward()
        seen.append(ledger.totals()["update"].flops - before)
        assert seen[-1] == pytest.approx(counter.get_total_flops(), rel=0.02)
    assert seen[1] < 0.7 * seen[0]


def test_useful_work_leaves_padding_and_hidden_pairs_out():
    """Three real tokens and one of padding, by a 0/1 mask and by an additive one in which the last two are branches."""
    ids = torch.zeros(1, 4, dtype=torch.int64)
    work, useful = language_work({"input_ids": ids, "attention_mask": torch.tensor([[1, 1, 1, 0]])}, columns=2)
    assert work == (4, 2, 16) and useful.tolist() == [3, 1, 6]
    seen = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]).bool()
    mask = torch.zeros(1, 1, 4, 4).masked_fill(~seen, torch.finfo(torch.float32).min)
    work, useful = language_work({"input_ids": ids, "attention_mask": mask}, columns=3)
    assert work == (4, 3, 16) and useful.tolist() == [3, 2, 5]
    work, useful = language_work({"input_ids": ids}, columns=4)
    assert work == (4, 4, 16) and useful.tolist() == [4, 4, 10]


def test_the_plain_loop_is_what_it_would_have_spent():
    """A forward of prompt + action for each action and one of the prompt for the critic, written out and counted."""
    made = agent("all-linear")
    ledger = Ledger()
    ledger.watch_agent(made)
    with ledger.phase("update"):
        ledger.asked_for_scores(DECISIONS)
        ledger.asked_for_values([decision.prompt for decision in DECISIONS])
    account = ledger.totals()["update"]
    with FlopCounterMode(display=False) as counter:
        for decision in DECISIONS:
            plain_loss(made, decision).backward()
    assert account.naive_flops == pytest.approx(counter.get_total_flops(), rel=0.02)
    assert account.flops == 0, "measuring the costs is no cost of the run"


def plain_loss(made, decision):
    loss = 0.0
    for action in decision.actions:
        ids = torch.tensor([made.scorer.tokenizer(f"{decision.prompt} {action}")["input_ids"]])
        loss = loss + made.model(input_ids=ids[:, :-1]).logits.sum()
    prompt = torch.tensor([made.scorer.encoder.encode_prompt(decision.prompt)])
    with torch.no_grad(), made.model.disable_adapter():
        hidden = made.model.get_base_model().model(input_ids=prompt).last_hidden_state[:, -1]
    return loss + made.critic(hidden).sum()


def test_two_ledgers_do_not_mix():
    first, second = agent(), agent()
    ledgers = [Ledger(), Ledger()]
    for ledger, made in zip(ledgers, (first, second), strict=True):
        ledger.watch_agent(made)
    with ledgers[0].phase("rollout"), torch.no_grad():
        first.action_log_probs(DECISIONS)
    assert ledgers[0].totals()["rollout"].flops > 0
    assert sum(account.flops for account in ledgers[1].totals().values()) == 0


def test_the_peak_of_a_phase_is_its_own():
    ledger = Ledger()
    with ledger.phase("rollout"):
        tensor = torch.ones(64 * 2**20)
        del tensor
    with ledger.phase("update"):
        pass
    peaks = {phase: account.memory for phase, account in ledger.totals().items()}
    assert peaks["rollout"] > peaks["update"] + 200 * 2**20


def test_a_phase_within_another_takes_its_own_time(monkeypatch):
    ledger, clock = Ledger(), iter(range(100))
    monkeypatch.setattr("lightning_twosome.ledger.accounts.time.perf_counter", lambda: float(next(clock)))
    ledger.use(torch.device("cpu"))
    with ledger.phase("update"), ledger.phase("evaluation"):
        pass
    seconds = {phase: account.seconds for phase, account in ledger.totals().items()}
    assert seconds == {"update": 2.0, "evaluation": 1.0, "other": 2.0}


def test_processes_are_summed_and_a_resumed_run_is_added(monkeypatch):
    mine = {"rollout": Account(samples=4, flops=10, naive_flops=40, seconds=1, memory=7)}
    theirs = {"rollout": Account(samples=6, flops=20, naive_flops=50, seconds=3, memory=5), "update": Account(flops=1)}
    monkeypatch.setattr("lightning_twosome.ledger.accounts.gather", lambda own, world_size: [mine, theirs])
    ledger = Ledger()
    ledger.load_state_dict({"rollout": asdict(Account(samples=2, flops=5, naive_flops=5, seconds=2, memory=9))})
    totals = ledger.totals(world_size=2)
    assert totals["rollout"] == Account(samples=12, flops=35, naive_flops=95, seconds=5, memory=9)
    assert totals["update"].flops == 1


def test_a_checkpoint_takes_the_other_processes_to_be_alike():
    ledger = Ledger()
    with ledger.phase("rollout"):
        ledger.count_samples(5)
    assert ledger.state_dict(world_size=2)["rollout"]["samples"] == 10
    assert ledger.state_dict(world_size=1)["rollout"]["samples"] == 5


# Runs


class Kept(Callback):
    """What was logged last."""

    def on_train_end(self, trainer, pl_module):
        self.logged = {name: float(value) for name, value in trainer.logged_metrics.items()}


def run(folder, module, ckpt_path=None, callbacks=(), data=None, **settings):
    kept = Kept()
    trainer = toys.trainer(
        folder, callbacks=[kept, *callbacks], enable_checkpointing=bool(callbacks), limit_val_batches=1.0,
        **({"max_epochs": 3} | settings),
    )  # fmt: skip
    trainer.fit(module, data or toys.data(), ckpt_path=ckpt_path)
    return {name.removeprefix("ledger/"): value for name, value in kept.logged.items() if name.startswith("ledger/")}


def amounts(logged):
    return {name: value for name, value in logged.items() if not name.startswith(("seconds", "peak_memory"))}


def test_every_logged_name_is_documented(tmp_path):
    logged = run(tmp_path, toys.module())
    page = (DOCS / "metrics.md").read_text()
    documented = set(re.findall(r"`ledger/([a-z_]+)`", page))
    phases = re.findall(r"PHASE is one of (.*)\.", page)[0].replace("`", "").split(", ")
    allowed = documented | {f"{name}_{phase}" for name in ("seconds", "peak_memory") for phase in phases}
    assert logged.keys() <= allowed and documented <= logged.keys()
    assert logged["env_samples"] == 48 and 0 < logged["useful_flops"] <= logged["flops"] < logged["naive_flops"]
    assert logged["saved"] == pytest.approx(1 - logged["flops"] / logged["naive_flops"])
    assert logged["tokens_backward"] < logged["tokens_forward"]


@pytest.mark.parametrize("schedule", [{"every_n_epochs": 2}, {"every_n_train_steps": 6}])
def test_a_resumed_run_goes_on_counting(tmp_path, schedule):
    """With the adapted critic, since the frozen one's remembered features are lost and really computed again."""
    settings = {"critic": "adapted", "actor_lr": 1e-4}
    checkpoint = ModelCheckpoint(tmp_path, filename="kept-{epoch}", save_top_k=-1, monitor=None, **schedule)
    whole = run(tmp_path, toys.module(**settings), callbacks=[checkpoint], num_sanity_val_steps=1)
    resumed = run(tmp_path, toys.module(**settings), str(tmp_path / "kept-epoch=1.ckpt"), num_sanity_val_steps=1)
    assert amounts(resumed) == amounts(whole)
    assert resumed["seconds"] > 0


def test_a_sanity_check_counts_for_nothing(tmp_path):
    plain, checked = (
        run(tmp_path, toys.module(critic="adapted"), num_sanity_val_steps=n, max_epochs=1) for n in (0, 2)
    )
    assert amounts(plain) == amounts(checked)


def test_a_policy_without_language_model(tmp_path):
    module = SymbolicPPO(hidden=(8,))
    logged = run(tmp_path, module, max_epochs=1)
    update = module.ledger.totals()["update"]
    actor, critic = module.sizes.vector * 8 + 8 * module.sizes.actions, module.sizes.vector * 8 + 8
    inputs = module.sizes.vector * 8  # whose input needs no gradient
    assert update.flops == 2 * (3 * actor - inputs + 3 * critic - inputs) * 32
    assert logged["env_samples"] == 16 and logged["tokens_forward"] == 0 and logged["saved"] == 0
    assert logged["flops"] > update.flops and logged["seconds_rollout"] > 0 and logged["peak_memory_update"] > 0


def test_the_table_at_the_end(tmp_path, capsys):
    run(tmp_path, toys.module(), callbacks=[CostTable()], max_epochs=1)
    accounts = from_json(json.loads((tmp_path / "ledger.json").read_text())["phases"])
    rows = cost_rows(accounts)
    assert [row[0] for row in rows] == ["rollout", "update", "evaluation", "other", "total"]
    assert all(len(row) == len(COLUMNS) for row in rows)
    printed = capsys.readouterr().out
    assert "saved" in printed and "rollout" in printed and rows[-1][4] in printed


def test_numbers_for_people():
    assert [scaled(n) for n in (0, 7, 999.4, 1000, 12_345, 1.5e12, 9.996e5)] == [
        "0", "7", "999", "1.00 k", "12.3 k", "1.50 T", "1.00 M",
    ]  # fmt: skip


def test_a_learning_curve_over_flops(tmp_path):
    curve = LearningCurve(x="ledger/flops")
    run(tmp_path, toys.module(), callbacks=[curve], max_epochs=2)
    places = [row["ledger/flops"] for row in curve.training]
    assert np.all(np.diff(places) > 0) and (tmp_path / "learning_curve.png").is_file()
    with pytest.raises(UserError, match="LearningCurve.x is 'ledger/flop'"):
        LearningCurve(x="ledger/flop")
