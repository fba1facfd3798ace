"""Overcooked: no way to get stuck on any layout, the rules of the library, the scripted cook, the interface."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from lightning_twosome.envs.check import check_text_env
from lightning_twosome.envs.overcooked.env import PARTNERS
from lightning_twosome.envs.overcooked.game import PATIENCE, WAIT_TICKS, Game
from lightning_twosome.envs.overcooked.layout import layout_names, load_layout
from lightning_twosome.envs.overcooked.library import Action, Direction
from lightning_twosome.envs.overcooked.macros import WAIT, Macro
from lightning_twosome.envs.overcooked.text import PROMPT_STYLES
from lightning_twosome.envs.overcooked.traffic import Mover, give_way
from lightning_twosome.errors import UserError
from lightning_twosome.vector_env import TextVectorEnv
from tests.overcooked_play import CORRIDOR, at_random, make, play, scripted

ROOT = Path(__file__).resolve().parent.parent
LAYOUTS = layout_names()
CLASSIC = ("cramped_room", "asymmetric_advantages", "coordination_ring", "forced_coordination", "counter_circuit")
LONGEST_COOKING = 100  # of long_cook_time


def partners(layout):
    return ("none",) if load_layout(layout).n_cooks == 1 else PARTNERS[1:]


# Nothing gets stuck


def check_episode(env, seed):
    """Play a random policy and check what must hold in every step."""
    game, horizon = env.unwrapped.game, env.unwrapped.horizon
    floor = len(env.unwrapped.layout.routes.cells)
    longest = 4 * floor + PATIENCE + LONGEST_COOKING
    ticks = idle = 0
    for before, prompt, reward, _, info in play(env, seed, at_random(seed)):
        duration = info["duration"]
        ticks += duration
        idle = 0 if duration else idle + 1
        assert 0 <= duration <= longest and idle < env.unwrapped.players, "a decision without a tick must lead to one"
        assert len(info["step_rewards"]) == duration and sum(info["step_rewards"]) == pytest.approx(reward)
        actions = info["actions"]
        assert len(set(actions)) == len(actions) == len(info["action_ids"]) >= 1
        assert all(text and text == " ".join(text.split()) for text in (*actions, prompt))
        assert 0 in info["action_ids"] and max(info["action_ids"]) < len(game.macros)
        assert env.observation_space.contains(prompt) and len(prompt.split()) < 180
        assert np.isfinite(info["vector"]).all() and info["vector"].shape == before[1]["vector"].shape
    assert ticks == game.ticks == horizon


@pytest.mark.parametrize("layout", LAYOUTS)
def test_random_policies_never_get_stuck(layout):
    for partner in partners(layout):
        check_episode(make(layout, partner=partner, horizon=80), seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_random_policies_never_get_stuck_in_many_long_episodes(layout):
    for partner in partners(layout):
        for seed in range(10):
            check_episode(make(layout, partner=partner), seed)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_macro_action_ends_in_time_and_nobody_bumps_into_anybody(layout):
    game = Game(load_layout(layout))
    game.layout.configure()
    game.reset(np.random.default_rng(1))
    random, movers = np.random.default_rng(2), range(game.layout.movers)
    ends = [0] * len(movers)
    while game.ticks < 100:
        for cook in movers:
            assert game.running[cook] is None or game.ticks < ends[cook]
            if game.running[cook] is None:
                offered = game.offered(cook)
                game.begin(cook, int(random.choice(offered)))
                ends[cook] = game.ticks + game.running[cook].ticks_left
        actions = give_way([game._mover(cook) for cook in movers], game.layout.routes)
        poses = [player.pos_and_or for player in game.state.players]
        wanted = [
            Mover(pose, action).next_cell(game.layout.routes) for pose, action in zip(poses, actions, strict=True)
        ]
        game.tick()
        assert list(game.state.player_positions) == wanted and len(set(wanted)) == len(wanted)


@pytest.fixture
def corridor(tmp_path):
    """A corridor of one cell's width with one cell to step aside to; the dishes are out of reach."""
    path = tmp_path / "corridor.layout"
    path.write_text(CORRIDOR)
    return str(path)


@pytest.mark.parametrize("first", [0, 1])
def test_two_cooks_pass_each_other_in_a_corridor(corridor, first):
    game = Game(load_layout(corridor))
    game.layout.configure()
    game.state.players[0].update_pos_and_or((2, 1), Direction.EAST)
    game.state.players[1].update_pos_and_or((6, 1), Direction.WEST)
    routes = game.layout.routes
    for _ in range(20):
        poses = [player.pos_and_or for player in game.state.players]
        movers = [
            Mover(pose, route.action, float(cook == first), [feature], route)
            for cook, (pose, feature) in enumerate(zip(poses, ((8, 1), (0, 1)), strict=True))
            if (route := routes.route(pose, feature))
        ]
        actions = [Action.STAY if action == Action.INTERACT else action for action in give_way(movers, routes)]
        game._transition(tuple(actions))
    assert game.state.player_positions == ((7, 1), (1, 1))


def test_who_waits_lets_others_pass_and_who_stays_is_a_wall(corridor):
    game = Game(load_layout(corridor))
    routes = game.layout.routes
    walker = Mover(
        ((3, 1), Direction.EAST), Direction.EAST, 0.5, [(8, 1)], routes.route(((3, 1), Direction.EAST), (8, 1))
    )
    waiting = Mover(((4, 1), Direction.WEST))
    assert give_way([walker, waiting], routes) == [Direction.EAST, Direction.SOUTH]
    alone = Game(load_layout(corridor, still=True))
    alone.layout.configure()
    assert alone.layout.routes.route(((3, 1), Direction.EAST), (8, 1)) is None
    assert [alone.macros[index] for index in alone.offered(0)] == [WAIT, Macro("fetch", "onion")]


def test_waiting_is_cut_short_when_something_else_can_be_done():
    env = make("cramped_room", partner="self")
    env.reset(seed=0)
    game = env.unwrapped.game
    for macro in (Macro("fetch", "onion"), WAIT):
        game.begin(game.running.index(None), game.macros.index(macro))
    while game.running[0] is not None:
        game.tick()
    assert game.running[1] is None or game.ticks < WAIT_TICKS
    game.begin(0, game.macros.index(Macro("fill", pot=0)))
    while game.running[0] is not None:
        game.tick()
    game.running[1] = None
    game.begin(1, game.macros.index(Macro("cook", pot=0)))
    game.begin(0, game.macros.index(WAIT))
    start = game.ticks
    while game.running[0] is not None:
        game.tick()
    assert game.ticks - start < WAIT_TICKS and game.running[1] is None  # the pot cooks: nobody can start it any more


# The library's rules


@pytest.mark.parametrize("layout", ["cramped_room", "forced_coordination", "counter_circuit", "tutorial_3"])
def test_transitions_are_the_librarys(layout):
    game = Game(load_layout(layout))
    game.layout.configure()
    random = np.random.default_rng(0)
    for _ in range(300):
        joint = tuple(Action.ALL_ACTIONS[i] for i in random.choice(6, size=2, p=[0.15] * 4 + [0.05, 0.35]))
        expected, infos = game.layout.mdp.get_state_transition(game.state, joint)
        paid, shaped = game._transition(joint)
        assert game.state == expected
        assert sum(paid) == sum(infos["sparse_reward_by_agent"])
        assert sum(shaped) == sum(infos["shaped_reward_by_agent"])


def test_layouts_of_different_recipes_run_side_by_side():
    def episode(env, others):
        prompts = []
        prompt, info = env.reset(seed=3)
        truncated = False
        while not truncated:
            for other in others:
                other.reset(seed=0)
                other.step(0)
            prompt, reward, _, truncated, info = env.step(env.unwrapped.expert_action())
            prompts.append((prompt, reward, info["soups"]))
        return prompts

    for layout in ("cramped_room_tomato", "simple_o"):  # cooking for 10 ticks an ingredient, and for 5
        alone = episode(make(layout), [])
        assert alone[-1][2] > 0
        assert episode(make(layout), [make("long_cook_time"), make("tutorial_3")]) == alone


def test_an_infinite_bonus_pays_twice():
    assert max(load_layout("tutorial_3").values.values()) == 2 * (21 + 13 + 13)


def test_a_given_start_state_is_where_the_episode_begins():
    prompt, _ = make("tutorial_1").reset()
    assert "holds two onions" in prompt


GUARD = """
import sys, os
home = os.path.realpath(sys.argv[1])
def guard(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        path, mode = os.path.realpath(os.fsdecode(arguments[0])), arguments[1] or ""
        writes = arguments[2] & (os.O_WRONLY | os.O_RDWR) if not mode else set(mode) & set("wax+")
        assert not (path.startswith(home) and writes), path
    assert event not in ("os.mkdir", "os.remove", "os.rename"), (event, arguments)
sys.addaudithook(guard)
import numpy
import types
def names():  # a submodule that somebody imports shows there too
    return {name for name, value in vars(numpy).items() if not isinstance(value, types.ModuleType)}
before = names()
import gymnasium, lightning_twosome
for partner in ("greedy", "self", "random", "stay"):
    env = gymnasium.make("twosome/Overcooked-v0", layout="cramped_room", partner=partner, render_mode="rgb_array")
    env.reset(seed=0)
    env.step(1)
    env.render()
assert names() == before
print("quiet")
"""


def test_nothing_is_written_to_the_library_or_printed(tmp_path):
    import overcooked_ai_py

    home = Path(overcooked_ai_py.__file__).parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SDL", "PYTHON"))}
    command = [sys.executable, "-B", "-c", GUARD, str(home.parent)]
    environment["PYTHONPATH"] = str(ROOT)
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (result.stdout, result.stderr, result.returncode) == ("quiet\n", "", 0)


# The scripted cook


def documented():
    """Layout, cooks and soups of the table in the docs."""
    text = (ROOT / "docs/environments/overcooked.md").read_text(encoding="utf-8")
    return {name: int(soups) for name, soups in re.findall(r"^\| `(\w+)` \|[^|]*\| *(\d+) \|", text, re.MULTILINE)}


def test_the_docs_have_every_layout():
    assert sorted(documented()) == sorted(LAYOUTS)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_two_scripted_cooks_deliver_the_soups_of_the_docs(layout):
    env = make(layout, partner=None if load_layout(layout).n_cooks == 1 else "self")
    steps = play(env, 0, scripted(env))
    info = steps[-1][-1]
    assert info["soups"] == documented()[layout] > 0 and info["success"] is True
    assert sum(step[2] for step in steps) >= info["soups"]


@pytest.mark.parametrize("layout", CLASSIC)
def test_the_greedy_partner_is_a_scripted_cook(layout):
    env = make(layout, partner="greedy")
    assert play(env, 1, scripted(env))[-1][-1]["soups"] >= 0.8 * documented()[layout]


@pytest.mark.parametrize("layout", ["cramped_room", "asymmetric_advantages", "m_shaped_s"])
def test_one_scripted_cook_delivers_beside_one_who_stays(layout):
    env = make(layout, partner="stay")
    assert play(env, 0, scripted(env))[-1][-1]["soups"] >= 5


def test_the_only_soup_that_is_paid_for_is_on_the_order_list():
    env = make()
    prompt, info = env.reset(seed=0)
    total = 0.0
    for text in (
        "pick up an onion",
        "put the onion into the pot",
        "cook the one onion in the pot",
        "pick up an empty bowl",
        "wait for the soup in the pot and ladle it into the bowl",
        "serve the bowl of soup with one onion",
    ):
        prompt, reward, _, _, info = env.step(info["actions"].index(text))
        total += reward
    assert (total, info["soups"]) == (0.0, 0)
    assert prompt.endswith("The pot is empty. Your hands are empty. To serve the soup, you should now")


# Rewards and the end


@pytest.mark.parametrize(
    ("layout", "partner", "expected"),
    [("cramped_room_single", None, 3 * 3 + 5), ("asymmetric_advantages", "stay", 3 * 3 + 3 + 5)],
)
def test_shaped_rewards_of_one_soup(layout, partner, expected):
    env = make(layout, partner=partner, shaped_rewards=0.5)
    env.reset(seed=0)
    total, info = 0.0, {"soups": 0}
    while not info["soups"]:
        _, reward, _, _, info = env.step(env.unwrapped.expert_action())
        total += reward
    assert total == pytest.approx(20 + expected / 2)


def test_shaped_rewards_are_off_by_default_and_true_is_one():
    assert [make(shaped_rewards=value).unwrapped.shaping for value in (False, True, 0.25)] == [0.0, 1.0, 0.25]
    env = make()
    assert {step[2] for step in play(env, 0, scripted(env))} == {0.0, 20.0}


def test_the_horizon_truncates_in_the_middle_of_a_macro_action():
    env = make(horizon=5)
    _, info = env.reset()
    steps = play(
        env, 0, lambda info: info["actions"].index(next(t for t in info["actions"] if "bowl" in t or "put" in t))
    )
    assert sum(step[-1]["duration"] for step in steps) == 5
    assert steps[-1][-1]["success"] is False and steps[-1][3] is True
    with pytest.raises(UserError, match="call reset"):
        env.step(0)
    assert env.reset()[1]["soups"] == 0


# The interface


@pytest.mark.parametrize("settings", [{}, {"layout": "cramped_room", "partner": "self"}, {"layout": "counter_circuit"}])
@pytest.mark.filterwarnings("ignore:.*render.*")
def test_gymnasium_checker_passes(settings):
    check_env(make(render_mode="rgb_array", **settings).unwrapped)


@pytest.mark.parametrize("style", PROMPT_STYLES)
def test_our_own_checker_finds_nothing(style):
    for layout in ("cramped_room_single", "you_shall_not_pass"):
        partner = None if layout == "cramped_room_single" else "self"
        assert not check_text_env(make(layout, partner=partner, horizon=100, prompt_style=style), episodes=1).findings


@pytest.mark.parametrize("partner", ["self", "random", "greedy"])
def test_same_seed_same_episode(partner):
    def episode(seed):
        env = make("coordination_ring", partner=partner, horizon=120)
        return [(step[1], step[2], step[-1]["duration"]) for step in play(env, seed, at_random(0))]

    assert episode(5) == episode(5)
    assert partner != "random" or episode(5) != episode(6)


def test_in_self_play_the_cook_with_nothing_to_do_decides():
    envs = TextVectorEnv([lambda: make("cramped_room", partner="self", horizon=60)] * 2)
    states = envs.reset({0: 1, 1: 2})
    assert [states[i].player for i in (0, 1)] == [0, 0]
    transitions = envs.step([1, 1])  # the first cook sets out, the second one is asked in the same tick
    assert [(t.state.player, t.duration, t.step_rewards) for t in transitions] == [(1, 0, ())] * 2
    seen = set()
    for _ in range(10):
        transitions = envs.step([1, 1])
        seen |= {t.state.player for t in transitions}
    assert seen == {0, 1}
    envs.close()


def test_with_other_partners_the_policy_is_the_first_cook():
    for partner in ("stay", "random", "greedy"):
        steps = play(make("cramped_room", partner=partner, horizon=60), 0, at_random(0))
        assert all(step[-1]["player"] == 0 and step[-1]["duration"] >= 1 for step in steps)


def test_default_partner_follows_the_number_of_cooks():
    assert [make(layout).unwrapped.partner for layout in ("cramped_room_single", "cramped_room")] == ["none", "greedy"]


def test_four_cooks_can_play():
    env = make("multiplayer_schelling", partner="self", render_mode="rgb_array", horizon=60)
    assert {step[-1]["player"] for step in play(env, 0, at_random(0))} == {0, 1, 2, 3}
    assert env.render().dtype == np.uint8


def test_a_layout_file_that_was_edited_is_read_again(tmp_path):
    path = tmp_path / "mine.layout"
    path.write_text(CORRIDOR)
    first = load_layout(str(path))
    assert load_layout(str(path)) is first
    path.write_text("[1, 2]")
    with pytest.raises(UserError, match="must hold a dictionary"):
        load_layout(str(path))
