"""The kitchen's prompt styles: each says the same, in other words and another order, and the default is what it was."""

import hashlib
import string
from pathlib import Path

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env

import lightning_twosome  # noqa: F401  registers the environments
from lightning_twosome.envs.keywords import load_style
from lightning_twosome.envs.kitchen import text
from lightning_twosome.envs.kitchen.env import KitchenEnv, shared_world
from lightning_twosome.envs.kitchen.text import PROMPT_STYLES
from lightning_twosome.errors import UserError
from tests.golden.record_kitchen import PLANS
from tests.kitchen_graph import Graph

TASKS = ("TomatoSalad", "TomatoLettuceSalad")
DOCS = Path(__file__).parents[1] / "docs"
DEFAULT, *OTHERS = PROMPT_STYLES


@pytest.fixture(scope="module", params=TASKS)
def graph(request):
    return Graph(request.param)


def texts(graph, style):
    """(prompt, actions) of every reachable state."""
    return [shared_world(graph.task).scene(state, style)[:2] for state in graph.states]


def slots(template):
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


@pytest.mark.parametrize(
    ("task", "digest"),
    [
        ("TomatoSalad", "1bfb42a55a4eca290cf4960138849817650362429be6f8c7deb8bae9369a424f"),
        ("TomatoLettuceSalad", "2b12ca968caf7f94ecf7ab358881aea7e788a2c7dee5018b779755418f25313b"),
    ],
)
def test_the_default_style_is_the_first_versions_to_the_byte(task, digest):
    lines = ("\n".join((prompt, *actions)) for prompt, actions in texts(Graph(task), DEFAULT))
    assert hashlib.sha256("\n\n".join(lines).encode()).hexdigest() == digest


@pytest.mark.parametrize("style", OTHERS)
def test_a_style_tells_the_same_states_apart(graph, style):
    """One prompt in the default style is one prompt in this one, and the other way round; so are its actions."""
    pairs = set(zip(texts(graph, DEFAULT), texts(graph, style), strict=True))
    for side in range(2):
        assert len({pair[side] for pair in pairs}) == len({pair[side][0] for pair in pairs}) == len(pairs)


@pytest.mark.parametrize("style", PROMPT_STYLES)
def test_every_text_of_a_style_can_be_scored(graph, style):
    space = KitchenEnv("TomatoSalad").observation_space
    for prompt, actions in texts(graph, style):
        assert space.contains(prompt) and 20 <= len(prompt.split()) <= 80
        assert len(set(actions)) == len(actions) == len(graph.task.actions)
        assert all(text and text == " ".join(text.split()) and "{" not in text for text in (prompt, *actions))


@pytest.mark.parametrize("style", OTHERS)
def test_a_style_says_it_in_other_words(graph, style):
    same = total = 0
    for (first, actions), (second, others) in zip(texts(graph, DEFAULT), texts(graph, style), strict=True):
        assert not set(sentences(first)) & set(sentences(second))
        same += sum(action in actions for action in others)
        total += len(actions)
    assert same == 0 < total


def sentences(prompt):
    return [sentence.strip() for sentence in prompt.replace(":", ".").split(".")]


def test_styles_have_the_same_keys_and_use_the_same_facts():
    def shape(part):
        return {key: shape(value) for key, value in part.items()} if isinstance(part, dict) else slots(part)

    shapes = {style: shape(load_style(Path(text.__file__).parent, style)) for style in PROMPT_STYLES}
    assert all(shapes[style] == shapes[DEFAULT] for style in OTHERS)
    layouts = {style: load_style(Path(text.__file__).parent, style)["layout"] for style in PROMPT_STYLES}
    order = {tuple(name for _, name, _, _ in string.Formatter().parse(text) if name) for text in layouts.values()}
    assert len(order) == len(PROMPT_STYLES), "every style has an order of its own"


@pytest.mark.parametrize("style", PROMPT_STYLES)
def test_an_episode_shows_style_and_restatement_of_one_state(style):
    other = next(name for name in PROMPT_STYLES if name != style)
    envs = [
        gymnasium.make("twosome/TomatoLettuceSalad-v0", **settings)
        for settings in ({"prompt_style": style, "restate": other}, {"prompt_style": style}, {"prompt_style": other})
    ]
    (prompt, info), (plain, plain_info), (restated, restated_info) = [env.reset() for env in envs]
    for action in (*PLANS["TomatoLettuceSalad"], None):
        assert prompt == plain and info["actions"] == plain_info["actions"] and "restatement" not in plain_info
        assert info["restatement"] == (restated, restated_info["actions"])
        if action is not None:
            steps = [env.step(action) for env in envs]
            assert steps[0][1:4] == steps[1][1:4] == steps[2][1:4]
            (prompt, *_, info), (plain, *_, plain_info), (restated, *_, restated_info) = steps


@pytest.mark.parametrize("style", PROMPT_STYLES)
def test_the_state_in_the_docs_is_real(style):
    page = " ".join((DOCS / "environments/kitchen.md").read_text().split())
    env = gymnasium.make("twosome/TomatoSalad-v0", prompt_style=style)
    env.reset()
    for action in PLANS["TomatoSalad"][:3]:
        prompt, *_, info = env.step(action)
    assert " ".join((style, prompt, *info["actions"])) in page


@pytest.mark.parametrize("style", OTHERS)
def test_gymnasium_checker_passes(style):
    check_env(KitchenEnv("TomatoSalad", prompt_style=style, restate=DEFAULT), skip_render_check=True)


def test_wrong_styles_are_refused_with_those_that_are_there():
    with pytest.raises(UserError, match="no prompt_style 'poem': use one of second_person, first_person"):
        KitchenEnv(prompt_style="poem")
    with pytest.raises(UserError, match="no prompt_style None"):
        KitchenEnv(prompt_style=None)
    with pytest.raises(UserError, match="no restate 'poem': use one of second_person, first_person"):
        KitchenEnv(restate="poem")
    with pytest.raises(UserError, match="'notes' already.*another style: second_person, first_person, third_person$"):
        KitchenEnv(prompt_style="notes", restate="notes")
