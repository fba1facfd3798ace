"""Prompt robustness: what its configs train and test on, and the benchmark's intervals and table."""

import random

import numpy as np
import pytest
import yaml

from benchmarks.prompt_styles import WAYS, interval, per_seed, play_styles, table
from lightning_twosome import TwosomePPO
from lightning_twosome.envs.kitchen.text import PROMPT_STYLES
from lightning_twosome.evaluation import bootstrap_interval
from lightning_twosome.language_model import LanguageModelConfig
from tests.cli_runs import ROOT


def config(name):
    return yaml.safe_load((ROOT / "configs" / f"{name}.yaml").read_text())


def init_args(name, part):
    return config(name)[part]["init_args"]


@pytest.mark.parametrize("name", ["prompt_styles", "prompt_mixture"])
def test_every_style_is_tested_under_its_own_name(name):
    tasks = init_args(name, "data")["test_tasks"]
    assert [(task["name"], task["env_kwargs"]) for task in tasks] == [(s, {"prompt_style": s}) for s in PROMPT_STYLES]


def test_the_ways_of_training_differ_in_what_is_shown_only():
    """The same model and budget; the mixture and the consistency term see the same two styles, and two are held out."""
    one, mixture = config("prompt_styles"), config("prompt_mixture")
    assert one["model"] == mixture["model"] and one["trainer"] == mixture["trainer"]
    shown = [task["env_kwargs"]["prompt_style"] for task in mixture["data"]["init_args"]["env"]]
    styles = init_args("prompt_consistency", "data")["env_kwargs"]
    assert shown == [styles["prompt_style"], styles["restate"]] == list(PROMPT_STYLES[:2])
    assert one["data"]["init_args"]["env_kwargs"] == {"prompt_style": PROMPT_STYLES[0]}
    assert init_args("prompt_consistency", "model")["consistency_coef"] > 0
    assert {name for names in WAYS.values() for name in names} == {"prompt_styles", "prompt_mixture", "prompt_consistency"}  # fmt: skip # noqa: E501


def test_playing_the_styles_gives_each_its_own_returns():
    module = TwosomePPO(language_model=LanguageModelConfig(lora={}))
    returns = play_styles(module, seed=3, episodes=3)
    assert list(returns) == list(PROMPT_STYLES) and all(len(values) == 3 for values in returns.values())
    assert returns == play_styles(module, seed=3, episodes=3), "the same episodes each time"
    assert len({tuple(values) for values in returns.values()}) == len(PROMPT_STYLES)


def test_interval_of_one_seed_is_that_of_its_episodes():
    values = [random.Random(0).gauss(0, 1) for _ in range(100)]
    assert interval([values]) == pytest.approx(bootstrap_interval(values), abs=0.02)
    assert interval([[0.25] * 10] * 3) == (0.25, 0.25)


def test_interval_grows_with_what_seeds_differ_by():
    generator = np.random.default_rng(0)
    episodes = generator.normal(size=(5, 200))
    episodes -= episodes.mean(axis=1, keepdims=True)
    alike, apart = interval(episodes), interval(episodes + np.array([[-1.0], [-0.5], [0.0], [0.5], [1.0]]))
    assert apart[1] - apart[0] > 4 * (alike[1] - alike[0]) and apart[0] < 0 < apart[1]


def test_table_has_a_line_a_way_and_a_column_a_style():
    made = {style: [0.1 * number, 0.1 * number] for number, style in enumerate(PROMPT_STYLES)}
    lines = table({"one": [made, made], "two": [made]}).splitlines()
    assert lines[0] == f"| trained on | {' | '.join(PROMPT_STYLES)} |" and len(lines) == 4
    assert lines[2].startswith("| one | 0.000 [0.000, 0.000] | 0.100 [0.100, 0.100] |")
    assert per_seed({"one": [made, made]}, [4, 7]).splitlines()[3] == "| one | 7 | 0.000 | 0.100 | 0.200 | 0.300 |"
