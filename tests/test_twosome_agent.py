"""The agent by itself: the training module's numbers, whatever way it was exported, moved or shared."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from lightning_twosome import TwosomeAgent
from lightning_twosome.agent_folder import SETTINGS_FILE, AgentSettings
from lightning_twosome.errors import UserError
from lightning_twosome.evaluation import play_episodes
from lightning_twosome.export import export_checkpoint
from lightning_twosome.hub import push_folder
from lightning_twosome.rollout import EVALUATION_STREAM, random_generator
from lightning_twosome.vector_env import State, TextVectorEnv
from tests import toys
from tests.cli_runs import ROOT, quick_config, run, save_tiny
from tests.mock_hub import COMMIT, mock_hub
from tests.toys import save_toy_model

KINDS = {
    "adapter": {},
    "critic adapted": {"critic": "adapted"},
    "whole": {"critic": "adapted", "language_model": {"lora": None}},
    "merged": {},
    "merged critic adapted": {"critic": "adapted"},
}
DECISIONS = toys.decisions()
PROMPTS = [decision.prompt for decision in DECISIONS]
ACTIONS = [decision.actions for decision in DECISIONS]


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return save_toy_model(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture(scope="module")
def trained(base, tmp_path_factory) -> dict:
    """For each kind the trained module, its checkpoint and its exported folder."""
    made: dict = {}

    def make(kind: str):
        settings = {key: value for key, value in KINDS[kind].items() if key != "language_model"}
        lora = KINDS[kind].get("language_model", {"lora": {"r": 4, "lora_alpha": 8}})
        return toys.module(language_model={"name": str(base)} | lora, beta=1.5, actor_lr=0.02, **settings)

    def get(kind: str):
        if kind not in made:
            folder = tmp_path_factory.mktemp("agent")
            module, trainer = make(kind), toys.trainer(folder)
            trainer.fit(module, datamodule=toys.data(num_envs=2))
            trainer.save_checkpoint(folder / "last.ckpt")
            merge = kind.startswith("merged")
            export_checkpoint(make(kind), toys.data(), folder / "last.ckpt", folder / "out", merge=merge)
            made[kind] = module, folder / "last.ckpt", folder / "out"
        return made[kind]

    return get


def of_module(module) -> tuple[torch.Tensor, torch.Tensor]:
    states = [State(decision) for decision in DECISIONS]
    with module.acting():
        return module.action_log_probs(states), module.state_values(states)


# The training module's numbers


@pytest.mark.parametrize("kind", ["adapter", "critic adapted", "whole"])
def test_numbers_are_exactly_those_of_the_training_module(trained, kind):
    module, checkpoint, folder = trained(kind)
    log_probs, values = of_module(module)
    for agent in (TwosomeAgent.from_pretrained(folder), TwosomeAgent.from_checkpoint(checkpoint)):
        assert torch.equal(agent.probabilities(PROMPTS, ACTIONS), log_probs.exp())
        assert torch.equal(agent.value(PROMPTS), values)
        assert agent.act(PROMPTS, ACTIONS) == log_probs.argmax(-1).tolist()
    untrained = toys.module(language_model=module.hparams["language_model"], critic=module.hparams["critic"], beta=1.5)
    assert not torch.allclose(of_module(untrained)[0].exp(), log_probs.exp(), atol=1e-3), "training has moved it"


def test_episodes_are_those_of_the_training_module(trained):
    module, _, folder = trained("adapter")
    played = []
    for policy in (module, TwosomeAgent.from_pretrained(folder)):
        with module.acting():
            played.append(play_episodes(policy, TextVectorEnv([toys.Corridor] * 2), [3, 4, 5], 0.99, transcripts=True))
    for first, second in zip(*played, strict=True):
        assert first.episode == second.episode
        assert [step.probabilities for step in first.transcript] == [step.probabilities for step in second.transcript]
        assert [step.value for step in first.transcript] == pytest.approx([step.value for step in second.transcript])


@pytest.mark.parametrize("kind", ["merged", "merged critic adapted"])
def test_merged_model_has_the_same_scores_and_needs_no_base(trained, base, kind):
    module, _, folder = trained(kind)
    log_probs, values = of_module(module)
    assert not (folder / "adapter_config.json").exists()
    agent = TwosomeAgent.from_pretrained(folder)
    torch.testing.assert_close(agent.probabilities(PROMPTS, ACTIONS), log_probs.exp(), rtol=1e-5, atol=1e-6)
    ids = torch.tensor([module.language_model.tokenizer("The lamp is on. You press blue")["input_ids"]])
    with torch.no_grad():
        whole = AutoModelForCausalLM.from_pretrained(folder).eval()(input_ids=ids).logits
        torch.testing.assert_close(whole, module.agent.model(input_ids=ids).logits, rtol=1e-5, atol=1e-5)
    if kind == "merged":
        with pytest.raises(UserError, match="merged export no longer holds: export the checkpoint without --merge"):
            agent.value("The lamp is on. You")
    else:
        torch.testing.assert_close(agent.value(PROMPTS), values, rtol=1e-4, atol=1e-5)


def test_what_was_trained_whole_cannot_be_merged(trained, tmp_path):
    module, checkpoint, _ = trained("whole")
    with pytest.raises(UserError, match="--merge has nothing to do"):
        export_checkpoint(module, toys.data(), checkpoint, tmp_path / "out", merge=True)
    assert not (tmp_path / "out").exists()


# Acting


@pytest.fixture(scope="module")
def folder(trained) -> Path:
    return trained("adapter")[2]


@pytest.fixture(scope="module")
def agent(folder) -> TwosomeAgent:
    return TwosomeAgent.from_pretrained(folder, seed=7)


def test_one_decision_and_a_batch_agree(agent):
    assert [agent.act(p, a) for p, a in zip(PROMPTS, ACTIONS, strict=True)] == agent.act(PROMPTS, ACTIONS)
    single, table = agent.probabilities(PROMPTS[0], list(ACTIONS[0])), agent.probabilities(PROMPTS, ACTIONS)
    assert single.shape == (2,) and table.shape == (6, 5)
    torch.testing.assert_close(single, table[0, :2], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(table.sum(-1), torch.ones(6))
    assert table[0, 2:].tolist() == [0.0, 0.0, 0.0], "a row with fewer actions is padded"
    assert agent.value(PROMPTS[1]) == pytest.approx(float(agent.value(PROMPTS)[1]))


def test_sampled_actions_follow_the_probabilities_and_the_seed(agent, folder):
    prompt, actions = PROMPTS[1], ACTIONS[1]
    batch = [prompt] * 4000, [actions] * 4000
    frequencies = np.bincount(agent.act(*batch, greedy=False), minlength=5) / 4000
    assert np.allclose(frequencies, agent.probabilities(prompt, actions), atol=0.04)
    same = [TwosomeAgent.from_pretrained(folder, seed=7) for _ in range(2)]
    drawn = [[one.act(prompt, actions, greedy=False) for _ in range(20)] for one in same]
    assert drawn[0] == drawn[1] and len(set(drawn[0])) > 1
    given = [agent.act(PROMPTS, ACTIONS, greedy=False, generator=np.random.default_rng(3)) for _ in range(2)]
    assert given[0] == given[1]


def test_given_the_evaluations_generator_it_samples_the_evaluations_episode(agent):
    (played,) = play_episodes(agent, TextVectorEnv([toys.Corridor]), [11], 0.99, transcripts=True)
    generator = random_generator(11, EVALUATION_STREAM)
    env = toys.Corridor()
    prompt, info = env.reset(seed=11)
    for step in played.transcript:
        action = agent.act(prompt, info["actions"], greedy=False, generator=generator)
        assert action == step.action
        prompt, _, _, _, info = env.step(action)


def test_loading_leaves_the_global_generator_alone(folder):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    TwosomeAgent.from_pretrained(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_trunk_in_bfloat16(agent, folder):
    rounded = TwosomeAgent.from_pretrained(folder, dtype="bfloat16")
    assert next(p for p in rounded.actor_critic.model.parameters() if p.dim() > 1).dtype == torch.bfloat16
    difference = (rounded.probabilities(PROMPTS, ACTIONS) - agent.probabilities(PROMPTS, ACTIONS)).abs().max()
    assert 0 < difference < 0.05


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu(agent, folder):
    there = TwosomeAgent.from_pretrained(folder, device="cuda")
    assert all(p.device.type == "cuda" for p in there.actor_critic.parameters())
    expected = agent.probabilities(PROMPTS, ACTIONS)
    torch.testing.assert_close(there.probabilities(PROMPTS, ACTIONS), expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(there.value(PROMPTS), agent.value(PROMPTS), rtol=1e-3, atol=1e-3)


def test_neither_lightning_nor_its_trainer_is_loaded(folder):
    code = (
        "import sys; from lightning_twosome import TwosomeAgent\n"
        f"agent = TwosomeAgent.from_pretrained({str(folder)!r})\n"
        f"print(agent.act({PROMPTS[0]!r}, {ACTIONS[0]!r}), {{'lightning', 'pytorch_lightning'}} & set(sys.modules))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.split(maxsplit=1)[1].strip() == "set()"


def test_three_lines_of_the_documentation(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, "salad")
    names: dict = {}
    exec((ROOT / "docs/agent.md").read_text().split("```python\n")[1].split("```")[0], names)
    assert names["action"] in (0, 1)


# The folder


def test_settings_say_how_it_was_trained(folder):
    settings = AgentSettings.load(folder)
    assert settings.environment == "Corridor" and settings.gamma == 0.99 and not settings.merged
    assert settings.policy["normalization"] == "word" and settings.policy["critic_hidden"] == [16]
    assert settings.language_model["dtype"] == "float32"


def test_base_model_may_have_moved(folder, base, tmp_path):
    moved, copy = tmp_path / "moved", tmp_path / "agent"
    shutil.copytree(base, moved)
    shutil.copytree(folder, copy)
    config = json.loads((copy / "adapter_config.json").read_text())
    (copy / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": "/nowhere/model"}))
    with pytest.raises(UserError, match="'/nowhere/model' does not exist: .*; base_model= names the base model where"):
        TwosomeAgent.from_pretrained(copy)
    agent = TwosomeAgent.from_pretrained(copy, base_model=str(moved))
    here = TwosomeAgent.from_pretrained(folder)
    assert torch.equal(agent.probabilities(PROMPTS, ACTIONS), here.probabilities(PROMPTS, ACTIONS))


def test_mistakes_are_told_in_one_sentence(agent, folder, trained, base, tmp_path):
    for prompt, offered, said in (
        ("a", None, "offers no choice"),
        ("a", [["b"]], "one prompt takes one list of texts"),
        ([], [], "no text and no list of texts"),
        (3, ["b"], "no text and no list of texts"),
    ):
        with pytest.raises(UserError, match=said):
            agent.act(prompt, offered)
    with pytest.raises(UserError, match="2 prompts came with 1 lists of actions"):
        agent.act(["a", "b"], [["x"]])
    for offered in ([], "walk"):
        with pytest.raises(UserError, match="offers no choice: give a list of texts"):
            agent.act("You", offered)
    with pytest.raises(UserError, match="is a file: name an exported folder, or use from_checkpoint"):
        TwosomeAgent.from_pretrained(folder / "critic.safetensors")
    with pytest.raises(UserError, match="is no exported agent, since it has no twosome.json"):
        TwosomeAgent.from_pretrained(base)
    with pytest.raises(UserError, match="device='cuda:77' cannot be used here"):
        TwosomeAgent.from_pretrained(folder, device="cuda:77")
    with pytest.raises(UserError, match="is a whole model and needs no base_model"):
        TwosomeAgent.from_pretrained(trained("merged")[2], base_model="bundled")
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    (broken / "critic.safetensors").write_bytes(b"short")
    with pytest.raises(UserError, match="critic.safetensors' is missing, damaged or of another size"):
        TwosomeAgent.from_pretrained(broken)
    (broken / SETTINGS_FILE).write_text(json.dumps({"format": 99, "policy": {}}))
    with pytest.raises(UserError, match="has format 99 and this version reads 1"):
        TwosomeAgent.from_pretrained(broken)


# The hub, a mock one


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with mock_hub() as server:
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.endpoint)
        template = server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        yield server


def test_pushed_agent_is_loaded_from_the_hub(hub, folder, agent):
    url = TwosomeAgent.from_pretrained(folder).push_to_hub("someone/salad", token="hf_mock")
    assert url.endswith(f"/someone/salad/commit/{COMMIT}")
    assert hub.tokens == {"Bearer hf_mock"} and hub.private["someone/salad"]
    uploaded = hub.files["someone/salad"]
    assert uploaded.keys() == {path.name for path in folder.iterdir()}
    assert uploaded["critic.safetensors"] == (folder / "critic.safetensors").read_bytes()
    assert b'from_pretrained("someone/salad")' in uploaded["README.md"] and b"this folder" not in uploaded["README.md"]
    shared = TwosomeAgent.from_pretrained("someone/salad")
    assert torch.equal(shared.probabilities(PROMPTS, ACTIONS), agent.probabilities(PROMPTS, ACTIONS))


def test_command_line_exports_merges_and_uploads(hub, tmp_path, capsys):
    config = quick_config(tmp_path, save_tiny(tmp_path / "model"))
    run("fit", "--config", config, "--trainer.max_epochs", 1)
    options = ["--output", tmp_path / "out", "--merge", "true", "--licence", "mit", "--push_to_hub", "me/merged"]
    assert run("export", "--config", config, "--ckpt_path", "last", *options, "--private", "false") == 0
    assert f"Uploaded: {hub.endpoint}/me/merged/commit/" in capsys.readouterr().out
    assert {"model.safetensors", "twosome.json"} <= hub.files["me/merged"].keys() and not hub.private["me/merged"]
    assert b"license: mit" in hub.files["me/merged"]["README.md"]


def test_refused_and_impossible_uploads(hub, folder, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="is no exported agent"):
        push_folder(tmp_path, "someone/salad")
    with pytest.raises(UserError, match="'a/b/c' is no name of a repository"):
        push_folder(folder, "a/b/c")
    hub.refuse = True
    with pytest.raises(UserError, match="The hub refuses the upload to 'someone/salad'"):
        push_folder(folder, "someone/salad", token="hf_mock")
    with pytest.raises(UserError, match="the hub cannot be reached"):
        push_folder(folder, "someone/salad", token="hf_mock", endpoint="http://127.0.0.1:9")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="cannot be uploaded while HF_HUB_OFFLINE is set"):
        push_folder(folder, "someone/salad")
