"""Overcooked: what it says, shows and refuses, and layouts of one's own."""

import numpy as np
import pytest

from lightning_twosome.envs.overcooked.env import OvercookedEnv
from lightning_twosome.envs.overcooked.text import PROMPT_STYLES
from lightning_twosome.errors import UserError
from tests.overcooked_play import CORRIDOR, at_random, make, play, scripted

# The words


@pytest.mark.parametrize("layout", ["cramped_room_single", "forced_coordination", "you_shall_not_pass", "tutorial_2"])
def test_every_style_says_the_same(layout):
    partner = None if layout == "cramped_room_single" else "self"
    first, *others = PROMPT_STYLES
    for style in others:
        env = make(layout, partner=partner, prompt_style=first, restate=style)
        pairs, texts = set(), set()
        for seed in (0, 1):
            for _, prompt, _, _, info in play(env, seed, at_random(seed)):
                restated, actions = info["restatement"]
                assert restated != prompt and len(set(actions)) == len(actions) == len(info["actions"])
                pairs.add((prompt, restated))
                texts |= set(zip(info["actions"], actions, strict=True))
        assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) > 15
        assert all(a != b for a, b in texts)


def test_a_style_is_shown_alone_as_it_is_restated():
    shown = {style: make(prompt_style=style).reset() for style in PROMPT_STYLES}
    for style in PROMPT_STYLES[1:]:
        _, info = make(restate=style).reset()
        assert info["restatement"] == (shown[style][0], shown[style][1]["actions"])


def test_the_first_words():
    prompt, info = make("forced_coordination", partner="self").reset()
    assert prompt == (
        "The guests want soup with three onions. Only the other cook can get to the onions and the empty bowls. The "
        "first pot is empty. The second pot is empty. The other cook has empty hands. Your hands are empty. To serve "
        "the soup, you should now"
    )
    assert info["actions"] == ("wait for a moment",)
    prompt, info = make("cramped_room_tomato").reset()
    assert prompt.startswith(
        "The guests want soup with one onion and one tomato, soup with three onions or soup with three tomatoes. They "
        "pay most for soup with one onion and one tomato."
    )
    assert info["actions"] == ("wait for a moment", "pick up an onion", "pick up a tomato", "pick up an empty bowl")


def test_the_first_words_of_the_other_styles():
    prompts = [make("cramped_room", prompt_style=style).reset()[0] for style in PROMPT_STYLES[1:]]
    assert prompts == [
        "Ruth is in the kitchen and carries nothing. Tom carries nothing. Nothing is in the saucepan. The customers "
        "are waiting for soup made from three onions. Next she",
        "The soup pot: empty. In hand: nothing. Colleague: nothing in hand. Order: soup from three onions. The best "
        "next step is to",
    ]


# The picture


def test_picture_shows_every_change_and_the_last_action():
    env = make("cramped_room", render_mode="rgb_array")
    env.reset(seed=0)
    pictures = [env.render()]
    for _ in range(4):
        env.step(env.unwrapped.expert_action())
        pictures.append(env.render())
    assert all(picture.dtype == np.uint8 and picture.shape == pictures[0].shape for picture in pictures)
    for before, after in zip(pictures, pictures[1:], strict=False):
        change = np.abs(after.astype(int) - before)
        assert change[:-62].max() > 60 and change[-62:-31].max() > 60  # the kitchen, the last action


def test_no_picture_without_a_render_mode():
    env = OvercookedEnv()
    env.reset()
    assert env.render() is None


# The errors and layouts of one's own


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layout": "cramped_rom"}, "did you mean cramped_room"),
        ({"layout": "qqqq"}, "the names are asymmetric_advantages"),
        ({"layout": 5}, "layout 5"),
        ({"partner": "self"}, "has one cook.*'none'"),
        ({"layout": "cramped_room", "partner": "none"}, "has 2 cooks.*'stay', 'random', 'greedy', 'self'"),
        ({"layout": "cramped_room", "partner": "friend"}, "'friend'.*none, stay"),
        ({"horizon": 0}, "horizon is 0"),
        ({"horizon": 2.5}, "horizon is 2.5"),
        ({"horizon": True}, "horizon is True"),
        ({"shaped_rewards": -1}, "shaped_rewards is -1"),
        ({"shaped_rewards": "yes"}, "shaped_rewards is 'yes'"),
        ({"shaped_rewards": float("nan")}, "shaped_rewards is nan"),
        ({"prompt_style": "poem"}, "'poem'.*second_person"),
        ({"restate": "poem"}, "restate 'poem'"),
        ({"restate": "second_person"}, "another style"),
        ({"render_mode": "human"}, "'human'"),
    ],
)
def test_mistakes_are_refused_in_one_sentence(settings, message):
    with pytest.raises(UserError, match=message) as error:
        OvercookedEnv(**settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("action", [3, -1, 1.5, "wait", None])
def test_an_action_that_is_not_offered_is_refused(action):
    env = make()
    env.reset()
    with pytest.raises(UserError, match="0 to 2"):
        env.step(action)


def test_a_layout_of_ones_own_is_a_file(tmp_path):
    path = tmp_path / "corridor.layout"
    path.write_text(CORRIDOR)
    env = make(str(path), partner="greedy", render_mode="rgb_array")
    prompt, _ = env.reset(seed=0)
    assert prompt.startswith("The guests want soup with one onion.")
    assert play(env, 0, scripted(env))[-1][-1]["soups"] == 0  # nobody reaches the dishes
    assert env.render().shape[2] == 3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"grid"', '"map"', "under the key 'grid'"),
        ('"start_all_orders"', '"orders"', "unknown key 'orders'"),
        ('"grid"', '"recipe_times": [-1], "grid"', "recipe_times = \\[-1\\]; soups cook for 0 ticks or more"),
        ("O1     2P", "O1     2X", "'P' must be present"),
        ("O1     2P", "O1     2", "Ragged grid"),
        ("O1     2P", "O1     3P", "Some players were missing"),
        ("O1     2P", " 1     2P", "border must not be free|Ragged"),
        ('["onion"]', '["carrot"]', "Invalid ingredient: carrot"),
        ('["onion"]', '__import__("os")', "plain values"),
        ("{", "{{", "plain values"),
    ],
)
def test_a_wrong_layout_file_is_refused_in_one_sentence(tmp_path, old, new, message):
    assert old in CORRIDOR
    path = tmp_path / "mine.layout"
    path.write_text(CORRIDOR.replace(old, new, 1))
    with pytest.raises(UserError, match=message) as error:
        make(str(path))
    assert str(path) in str(error.value) and "\n" not in str(error.value)
