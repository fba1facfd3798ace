"""The checker of text environments: a sound one passes, one with a mistake is named with symptom and likely cause."""

import random

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from safetensors.torch import save_file

from lightning_twosome import check_text_env
from lightning_twosome.envs.check import inspect_text_env
from lightning_twosome.errors import UserError
from lightning_twosome.language_model import load_tokenizer
from lightning_twosome.main import main
from tests.tiny_models import tokenizer

TOKENIZER, CONTEXT = load_tokenizer()
PICTURE = np.zeros((4, 6, 3), dtype=np.uint8)


class Stairs(gymnasium.Env):
    """Sound: climb to the third floor; the seed decides where it starts, four decisions are the limit."""

    metadata = {"render_modes": ["rgb_array"]}
    observation_space = spaces.Text(2000, charset="".join(map(chr, range(32, 127))))
    action_space = spaces.Discrete(2)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.floor, self.decisions = self.draw(2), 0
        return self.prompt(), self.info(False)

    def draw(self, count):
        return int(self.np_random.integers(count))

    def prompt(self):
        return f"You are on floor {self.floor}. To get to floor 3, you should"

    def actions(self):
        return ("wait", "climb the stairs")

    def info(self, ended):
        vector = np.array([self.floor], dtype=np.float32)
        return {"actions": self.actions(), "action_ids": (0, 1), "vector": vector} | self.extra(ended)

    def extra(self, ended):
        return {}

    def result(self, reward, terminated, truncated):
        return reward, terminated, truncated

    def step(self, action):
        self.floor += action
        self.decisions += 1
        top, late = self.floor == 3, self.decisions == 4
        info = {"duration": 1, "step_rewards": (float(top),)} | ({"success": top} if top or late else {})
        result = self.result(float(top), top, late and not top)
        return self.prompt(), *result, info | self.info(top or late)

    def render(self):
        return PICTURE


def inspect(env, **settings):
    return inspect_text_env(env, **({"tokenizer": TOKENIZER, "max_length": CONTEXT, "max_decisions": 20} | settings))


def broken(**methods):
    """The stairs with some methods replaced."""
    return type("Broken", (Stairs,), methods)


def with_info(**entries):
    return broken(extra=lambda self, ended: entries)


class Unseeded(Stairs):
    def draw(self, count):
        return random.randrange(1000) % count


class Remembering(Stairs):
    episodes = 0

    def reset(self, **options):
        self.episodes += 1
        prompt, info = super().reset(**options)
        return f"This is episode {self.episodes}. {prompt}", info


class Endless(Stairs):
    def result(self, reward, terminated, truncated):
        return reward, False, False


class LastStateIsEmpty(Stairs):
    def prompt(self):
        return "" if self.decisions == 4 else super().prompt()


class TakesNoSeed(Stairs):
    def reset(self):
        return super().reset()


class Crashing(Stairs):
    def step(self, action):
        return super().step({0: 0}[action])


class GrowingVector(Stairs):
    def extra(self, ended):
        return {"vector": np.zeros(1 + self.decisions)}


class SuccessIsANumber(Stairs):
    def extra(self, ended):
        return {"success": 1.0} if ended else {}


class NarrowSpace(Stairs):
    observation_space = spaces.Text(2000)


class Flat(Stairs):
    """Renders without colours."""

    def render(self):
        return PICTURE[:, :, 0]


LONG = " ".join(["very"] * 600)
CASES = {
    "prompt is no text": (broken(prompt=lambda self: np.zeros(3)), "prompt: the prompt is a ndarray", "TextWrapper"),
    "restatement is the same": (
        broken(extra=lambda self, ended: {"restatement": (self.prompt(), self.actions())}),
        "restatement: it says the same in the same words",
        "another style",
    ),
    "prompt is empty": (LastStateIsEmpty, "prompt: the prompt is empty", "the last state of an episode"),
    "prompt ends in a blank": (broken(prompt=lambda self: "You should "), "ends in a blank", "strip the prompt"),
    "prompt outside the space": (NarrowSpace, "not in the observation space", "charset"),
    "no actions": (broken(actions=lambda self: ()), "no action is offered", "at least one"),
    "actions missing": (with_info(actions=None), "info has no 'actions'", "both reset and step"),
    "actions are a list": (broken(actions=lambda self: ["go", "stay"]), "are a list", "tuple"),
    "action twice": (broken(actions=lambda self: ("go", "go")), "'go' is offered twice", "tell equal texts apart"),
    "action not stripped": (broken(actions=lambda self: (" go", "stay")), "' go' has blanks", "strip it"),
    "action with a line break": (broken(actions=lambda self: ("go\nup", "stay")), "line break", "one line"),
    "action is a number": (broken(actions=lambda self: (0, 1)), "the action 0 is a int", "str"),
    "context": (broken(prompt=lambda self: f"It is {LONG} warm. You"), "more than the model's context of 512", ""),
    "duration negative": (with_info(duration=-1), "info['duration'] is -1", "primitive steps"),
    "duration fractional": (with_info(duration=0.5), "info['duration'] is 0.5", "int"),
    "duration zero": (with_info(duration=0, step_rewards=()), "info['duration'] is 0", "nobody else acts"),
    "step rewards too few": (with_info(duration=3), "1 rewards for a duration of 3", "each primitive step"),
    "step rewards do not sum": (with_info(step_rewards=(5.0,)), "sum to 5", "undiscounted sum"),
    "reward is no number": (broken(result=lambda self, r, e, c: (float("nan"), e, c)), "the reward is nan", "finite"),
    "terminated is a number": (broken(result=lambda self, r, e, c: (r, int(e), c)), "terminated is 0", "bool"),
    "never ends": (Endless, "has not ended after 20 decisions", "time limit"),
    "seed ignored": (Unseeded, "the second time", "self.np_random"),
    "state left over": (Remembering, "the second time", "an earlier episode"),
    "reset takes no seed": (TakesNoSeed, "reset raised TypeError", "take seed and options"),
    "step crashes": (Crashing, "step raised KeyError", "must be valid"),
    "action ids": (with_info(action_ids=(0, 0)), "info['action_ids'] is (0, 0)", "different ints"),
    "vector is a list": (with_info(vector=[1.0]), "info['vector'] is a list", "array"),
    "vector changes its shape": (GrowingVector, "its shape is (2,), before (1,)", "one shape"),
    "success is a number": (SuccessIsANumber, "info['success'] is 1.0", "bool at the end"),
    "player": (with_info(player="cook"), "info['player'] is 'cook'", "number of the player"),
    "task": (with_info(task=""), "info['task'] is ''", "name of the episode's task"),
    "restatement is a text": (with_info(restatement="You"), "info['restatement'] is 'You'", "pair"),
    "restatement of fewer actions": (
        with_info(restatement=("I", ("go",))),
        "offers 1 actions, the state 2",
        "same order",
    ),
    "restatement ends in a blank": (with_info(restatement=("I ", ("go", "stay"))), "the restatement 'I '", "strip"),
    "picture": (Flat, "the picture is (4, 6)", "uint8 array"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_named_with_symptom_and_cause(case):
    kind, symptom, cause = CASES[case]
    report = inspect(kind(render_mode="rgb_array"))
    found = [str(finding) for finding in report.findings]
    assert any(symptom in text and cause in text.partition("Likely cause:")[2] for text in found), found
    assert all("seed=" in text for text in found)


def test_a_sound_environment_passes():
    report = check_text_env(Stairs(render_mode="rgb_array"))  # with the bundled tokenizer
    assert report.findings == [] and report.notes == []
    assert (report.episodes, report.fewest_actions, report.most_actions, report.context) == (8, 2, 2, CONTEXT)
    assert 8 <= report.decisions <= 32 and 10 < report.longest < 40


def test_all_findings_are_raised_in_one_error():
    env = with_info(success="yes", player=-1)()
    with pytest.raises(UserError, match=r"Broken is not ready for training, 2 findings") as error:
        check_text_env(env, TOKENIZER)
    assert "info['success'] is 'yes'" in str(error.value) and "info['player'] is -1" in str(error.value)


def test_a_finding_says_how_to_get_there():
    report = inspect(LastStateIsEmpty())
    (finding,) = report.findings
    env = LastStateIsEmpty()
    seed = int(finding.where.split("seed=")[1].split(")")[0])
    env.reset(seed=seed)
    for action in map(int, finding.where.split("[")[1].rstrip("]").split(", ")):
        prompt = env.step(action)[0]
    assert prompt == ""


@pytest.mark.parametrize("kind", ["unigram", "metaspace"])
def test_tokens_over_the_end_of_the_prompt_are_found(kind):
    env = broken(prompt=lambda self: "You", actions=lambda self: ("see a tomato on the table", "walk"))()
    (finding,) = inspect(env, tokenizer=tokenizer(kind), max_length=None).findings
    assert finding.problem.rule == "boundary" and "'You see a to" in finding.problem.symptom
    steady = broken(prompt=lambda self: "You,", actions=lambda self: ("see a tomato on the table", "walk"))()
    assert inspect(steady, tokenizer=tokenizer("bos"), max_length=None).findings == []


def test_a_time_limit_that_is_reported_as_an_end_is_noted():
    class Terminates(Stairs):
        def result(self, reward, terminated, truncated):
            return reward, self.decisions == 4, False

    report = inspect(Terminates())
    assert report.findings == [] and "terminated after 4 decisions" in report.notes[0]


def test_a_second_player_may_act_in_no_time():
    class TwoPlayers(Stairs):
        def extra(self, ended):
            return {"player": self.decisions % 2, "duration": self.decisions % 2} | (
                {} if self.decisions % 2 else {"step_rewards": ()}
            )

        def result(self, reward, terminated, truncated):
            return reward if self.decisions % 2 else 0.0, terminated, truncated

    assert inspect(TwoPlayers()).findings == []


# Own environments


def own_environments() -> list[str]:
    return sorted(name for name in gymnasium.registry if name.startswith("twosome/") and "TextWorld" not in name)


@pytest.mark.parametrize("name", own_environments())
def test_own_environments_pass(name):
    if "BabyAI" in name:
        pytest.importorskip("minigrid")
    env = gymnasium.make(name, render_mode="rgb_array")
    report = check_text_env(env, TOKENIZER, CONTEXT, episodes=1, max_decisions=1000)
    assert report.episodes == 1 and report.decisions > 0


# The command line


def test_check_prints_what_was_played(capsys):
    assert (
        main(["check", "--env", "twosome/TomatoSalad-v0", "--env_kwargs", "{faithful: false}", "--episodes", "1"]) == 0
    )
    printed = capsys.readouterr().out
    assert "1 random episodes" in printed and printed.endswith("No findings.\n")


def test_check_of_a_config_names_findings_and_fails(tmp_path, capsys):
    config = tmp_path / "mine.yaml"
    config.write_text("data:\n  class_path: lightning_twosome.RolloutDataModule\n  init_args:\n"
                      "    env: {class_path: tests.test_check.SuccessIsANumber}\n")  # fmt: skip
    assert main(["check", "--config", str(config)]) == 2
    out, err = capsys.readouterr()
    assert "finding: success: info['success'] is 1.0" in out
    assert err == "error: not ready for training, see the findings above: SuccessIsANumber\n"


def test_every_task_of_a_mixture_is_checked(tmp_path, capsys):
    config = tmp_path / "mixture.yaml"
    config.write_text("data:\n  class_path: lightning_twosome.RolloutDataModule\n  init_args:\n    env:\n"
                      "      - {env: twosome/TomatoSalad-v0}\n      - {env: twosome/FoodPreparation-v0}\n")  # fmt: skip
    assert main(["check", "--config", str(config), "--episodes", "1"]) == 0
    out = capsys.readouterr().out
    assert "TomatoSalad-v0: 1 random" in out and "FoodPreparation-v0: 1 random" in out


def test_the_tokenizer_of_an_adapter_is_its_bases(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "bundled"}')
    save_file({"lora": torch.zeros(1)}, tmp_path / "adapter_model.safetensors")
    made, context = load_tokenizer(str(tmp_path))
    assert made.get_vocab() == TOKENIZER.get_vocab() and context == CONTEXT == 512
