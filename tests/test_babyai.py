"""BabyAI in words: true to minigrid's grid, valid actions only, the same in every style, solvable by its expert."""

import builtins
import copy
import random
import re
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import lightning_twosome  # noqa: F401  registers the environments
from lightning_twosome.errors import UserError

minigrid = pytest.importorskip("minigrid")

from minigrid.core.world_object import Ball, Box, Door, Key  # noqa: E402

from lightning_twosome.envs.babyai.env import BabyAIEnv  # noqa: E402
from lightning_twosome.envs.babyai.text import narrate  # noqa: E402
from lightning_twosome.envs.babyai.view import Looker  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
LEVELS = ("GoToRedBall", "GoToLocal", "PickupLoc", "PutNextLocal", "OpenDoor")
STYLES = BabyAIEnv.PROMPT_STYLES
SMALL = {"room_size": 6, "num_dists": 3}


def make(level, **settings):
    return gymnasium.make(f"twosome/BabyAI-{level}-v0", **settings)


def random_states(env, seeds, actions=25):
    """The environment in states of random episodes."""
    source = random.Random(0)
    for seed in seeds:
        _, info = env.reset(seed=seed)
        for _ in range(actions):
            yield info
            _, _, terminated, truncated, info = env.step(source.randrange(len(info["actions"])))
            if terminated or truncated:
                break


def placed(things=(), carrying=None, agent=(3, 4), direction=3, mission="go to the red ball"):
    """The view of an agent in an empty room of 8 x 8 cells with things put into it; direction 3 looks up."""
    level = BabyAIEnv("GoToRedBall", level_settings={"num_dists": 0}).level
    level.reset(seed=0)
    for x in range(1, 7):
        for y in range(1, 7):
            level.grid.set(x, y, None)
    for thing, cell in things:
        level.put_obj(thing, *cell)
    level.agent_pos, level.agent_dir, level.carrying, level.mission = agent, direction, carrying, mission
    return Looker(level).look(level.gen_obs()["image"])


# The words


def test_a_state_in_all_three_styles():
    view = placed([(Ball("red"), (2, 2)), (Key("grey"), (5, 4)), (Box("blue"), (4, 3))])
    assert [narrate(view, style) for style in STYLES] == [
        (
            "You are in a room and have nothing in your hands. You see a blue box one step ahead and one step to your "
            "right, a grey key two steps to your right and a red ball two steps ahead and one step to your left. The "
            "wall ahead of you is four steps away. You want to go to the red ball. To do that, you should now",
            ("turn left", "turn right towards the grey key", "go forward"),
        ),
        (
            "Ken wants to go to the red ball. In front of him is a wall in four steps. One step ahead and one step to "
            "the right is a blue box. Two steps to the right is a grey key. Two steps ahead and one step to the left "
            "is a red ball. Ken holds nothing. Next Ken",
            ("turns to the left", "turns to the right and looks at the grey key", "walks on"),
        ),
        (
            "What do I do next? On the left: red ball, one across and two ahead. On the right: blue box, one across "
            "and one ahead; grey key, two across. In front: a wall, four ahead. In my hands: nothing. My task: go to "
            "the red ball. I",
            ("look left", "look right at the grey key", "make a step"),
        ),
    ]


@pytest.mark.parametrize(
    ("things", "carrying", "action"),
    [
        ([(Ball("red"), (3, 3))], None, "pick up the red ball"),
        ([(Ball("red"), (3, 1))], None, "go forward towards the red ball"),
        ([], Ball("red"), "put down the red ball"),
        ([(Key("blue"), (4, 3))], Ball("red"), "put down the red ball next to the blue key"),
        ([(Door("green"), (3, 3))], None, "open the green door"),
        ([(Door("green", is_open=True), (3, 3))], None, "close the green door"),
        ([(Door("green", is_open=True), (3, 3))], None, "go through the green door"),
        ([(Door("green", is_locked=True), (3, 3))], Key("green"), "unlock the green door with the green key"),
        ([(Box("grey", contains=Key("red")), (3, 3))], None, "open the grey box"),
    ],
)
def test_an_action_says_what_it_does(things, carrying, action):
    assert action in narrate(placed(things, carrying), "plain")[1]


@pytest.mark.parametrize(
    ("things", "carrying", "verb"),
    [
        ([(Ball("red"), (3, 3))], None, "go"),
        ([(Ball("red"), (3, 3))], Key("blue"), "pick up"),
        ([(Ball("red"), (3, 3))], Key("blue"), "put down"),
        ([(Door("green", is_locked=True), (3, 3))], Key("red"), "unlock"),
        ([(Box("grey"), (3, 3))], None, "open"),
    ],
)
def test_what_does_nothing_is_not_offered(things, carrying, verb):
    assert not any(action.startswith(verb) for action in narrate(placed(things, carrying), "plain")[1])


def test_a_wall_in_front_is_not_walked_into():
    prompt, actions = narrate(placed(agent=(3, 1)), "plain")
    assert "The wall ahead of you is one step away." in prompt and actions == ("turn left", "turn right")


def test_a_place_in_the_mission_is_about_the_start():
    env = make("PickupLoc")
    seed = next(seed for seed in range(50) if "on your left" in (env.reset(seed=seed), env.unwrapped.level.mission)[1])
    prompt, info = env.reset(seed=seed)
    assert "that was on your left at first. To do that" in prompt
    where = {"thing that was on your left": prompt.count("that was on your left at first")}
    for _ in range(4):  # a full turn
        prompt, _, _, _, info = env.step(info["action_ids"].index(0))
        where[prompt] = prompt.count("that was on your left at first")
    assert max(where.values()) > 1  # what stood there is named so wherever it is seen


def test_parts_of_a_mission_that_are_done_are_told():
    env = BabyAIEnv("GoToSeqS5R2")
    env.reset(seed=19)
    first, second = env.level.instrs.instr_a, env.level.instrs.instr_b
    assert env.level.mission == "go to the red ball and go to the yellow key, then go to a door and go to the grey box"
    told, terminated = [], False
    while not terminated:
        done = [flag == "success" for part in (first, second) for flag in (part.a_done, part.b_done)]
        prompt, _, terminated, _, _ = env.step(env.expert_action())
        told.append(prompt.partition("You have already done this: ")[2].partition(". You want")[0])
    assert done == [True, True, True, False]
    assert list(dict.fromkeys(told)) == [
        "",
        "go to the red ball",
        "go to the red ball and go to the yellow key",
        "go to the red ball, go to the yellow key and go to a door",
        "go to the red ball, go to the yellow key, go to a door and go to the grey box",
    ]


# The words against minigrid's grid


@pytest.mark.parametrize("level", LEVELS)
def test_what_is_told_is_what_the_agent_sees(level):
    env = make(level).unwrapped
    for _ in random_states(env, range(3)):
        simulator = env.level
        seen = set()
        for x in range(simulator.width):
            for y in range(simulator.height):
                cell = simulator.grid.get(x, y)
                here = (x, y) == tuple(simulator.agent_pos)
                if cell is not None and cell.type != "wall" and not here and simulator.agent_sees(x, y):
                    across, down = simulator.get_view_coords(x, y)
                    seen.add((cell.type, cell.color, int(6 - down), int(across - 3)))
        assert {(t.kind, t.color, t.ahead, t.right) for t in env._view.things} == seen
        assert (env._view.carried is None) == (simulator.carrying is None)


@pytest.mark.parametrize("level", [*LEVELS, "UnlockLocal"])
def test_exactly_the_actions_that_do_something_are_offered(level):
    env = BabyAIEnv(level)
    for info in random_states(env, range(2), actions=15):
        for number in range(6):
            trial = copy.deepcopy(env.level)
            before = trial.hash(), trial.carrying is None
            trial.step(number)
            assert (before != (trial.hash(), trial.carrying is None)) == (number in info["action_ids"]) or number == 5
        facing = env._view.facing  # toggling: of doors alone, since these levels' boxes are empty
        toggles = facing is not None and facing.kind == "door"
        has_key = env.level.carrying is not None and env.level.carrying.type == "key"
        if not toggles or facing.state != "locked" or not has_key:
            assert (5 in info["action_ids"]) == (toggles and facing.state != "locked")


@pytest.mark.parametrize("level", [*LEVELS, "GoToSeqS5R2"])
def test_all_styles_say_the_same(level):
    texts = {style: [] for style in STYLES}
    env = BabyAIEnv(level)
    for info in random_states(env, range(4)):
        for style in STYLES:
            prompt, actions = narrate(env._view, style)
            assert len(set(actions)) == len(actions) == len(info["actions"]) and prompt == prompt.strip()
            texts[style].append((prompt, actions))
    for style in STYLES[1:]:  # what one style tells apart, every other one does
        pairs = set(zip(texts[STYLES[0]], texts[style], strict=True))
        assert len(pairs) == len(set(texts[STYLES[0]])) == len(set(texts[style]))
    assert all(a[0] != b[0] for a, b in zip(texts["plain"], texts["story"], strict=True))


# Episodes


@pytest.mark.parametrize("level", [*LEVELS, "UnlockLocal", "GoToObjMazeS4R2"])
def test_the_expert_does_every_mission(level):
    env = BabyAIEnv(level)
    for seed in range(12):
        env.reset(seed=seed)
        ended = False
        while not ended:
            _, reward, terminated, truncated, info = env.step(env.expert_action())
            ended = terminated or truncated
        assert info["success"] and reward == pytest.approx(1 - 0.9 * env.level.step_count / env.level.max_steps)


def test_the_expert_goes_on_from_wherever_others_leave_it():
    env, source = BabyAIEnv("PutNextLocal", level_settings={"room_size": 6, "num_objs": 3}), random.Random(0)
    successes = 0
    for seed in range(15):
        _, info = env.reset(seed=seed)
        ended = False
        for number in range(1000):
            expert = env.expert_action()
            index = expert if number >= 10 else source.randrange(len(info["actions"]))
            _, _, terminated, truncated, info = env.step(index)
            ended = terminated or truncated
            if ended:
                break
        successes += info["success"]
    assert successes >= 14


def test_the_limit_truncates_and_pays_nothing():
    env = make("GoToLocal", level_settings=SMALL | {"max_steps": 3})
    env.reset(seed=1)
    outcomes = [env.step(0) for _ in range(3)]
    assert [outcome[2:4] for outcome in outcomes] == [(False, False), (False, False), (False, True)]
    assert outcomes[-1][1] == 0 and outcomes[-1][4]["success"] is False and outcomes[-1][4]["actions"]
    with pytest.raises(UserError, match="call reset"):
        env.step(0)


def test_the_mission_done_at_the_limit_is_an_end():
    env = make("GoToLocal", level_settings=SMALL)
    env.reset(seed=3)
    plan = []
    while True:
        plan.append(env.unwrapped.expert_action())
        if env.step(plan[-1])[2]:
            break
    env = make("GoToLocal", level_settings=SMALL | {"max_steps": len(plan)})
    env.reset(seed=3)
    results = [env.step(action) for action in plan]
    assert results[-1][1:4] == (pytest.approx(0.1), True, False) and results[-1][4]["success"]


def test_information_beside_the_prompt():
    env = make("GoToLocal", prompt_style="notes", restate="story")
    prompt, info = env.reset(seed=0)
    assert (prompt, info["actions"]) == narrate(env.unwrapped._view, "notes")
    assert info["restatement"] == narrate(env.unwrapped._view, "story")
    assert info["vector"].shape == (148,) and len(info["action_ids"]) == len(info["actions"]) == env.action_space.n
    assert env.step(0)[4]["duration"] == 1


@pytest.mark.parametrize("level", LEVELS)
def test_gymnasium_accepts_it(level):
    env = make(level, render_mode="rgb_array")
    check_env(env.unwrapped, skip_render_check=True)
    assert env.observation_space.contains(env.reset(seed=0)[0])


def test_nothing_is_printed_while_missions_are_drawn(capsys):
    env = make("PickupLoc")
    for seed in range(30):
        env.reset(seed=seed)
    assert capsys.readouterr().out == ""


def test_picture_shows_mission_and_action():
    env = make("GoToRedBall", render_mode="rgb_array")
    env.reset(seed=0)
    pictures = [env.render()]
    for _ in range(2):
        env.step(0)
        pictures.append(env.render())
    assert all(picture.dtype == np.uint8 and picture.shape == pictures[0].shape for picture in pictures)
    assert all(np.abs(a.astype(int) - b).max() > 60 for a, b in zip(pictures, pictures[1:], strict=False))
    assert make("GoToRedBall").unwrapped.render() is None


# Mistakes


def test_mistakes_are_told_in_one_sentence():
    with pytest.raises(UserError, match=r"no BabyAI level 'GoToRedBal'; did you mean 'GoToRedBall'"):
        gymnasium.make("twosome/BabyAI-v0", level="GoToRedBal")
    with pytest.raises(UserError, match=r"does not take level_settings=\{'rooms': 3\}.*'rooms'$"):
        make("GoToRedBall", level_settings={"rooms": 3})
    with pytest.raises(UserError, match=r"no prompt_style 'poem': use one of plain, story, notes"):
        make("GoToRedBall", prompt_style="poem")
    with pytest.raises(UserError, match=r"no restate 'poem'"):
        make("GoToRedBall", restate="poem")
    with pytest.raises(UserError, match=r"no render_mode 'human'"):
        BabyAIEnv("GoToRedBall", render_mode="human")
    env = make("GoToRedBall")
    with pytest.raises(UserError, match="call reset"):
        env.step(0)
    env.reset(seed=0)
    for action in (7, -1, "turn left", None):
        with pytest.raises(UserError, match="give an integer from 0 to"):
            env.step(action)


def test_a_missing_minigrid_is_told_with_the_way_out(monkeypatch):
    original = builtins.__import__

    def without_minigrid(name, *arguments, **keywords):
        if name == "minigrid":
            raise ImportError(name)
        return original(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_minigrid)
    with pytest.raises(UserError, match=r"BabyAI needs minigrid.*pip install 'lightning-twosome\[babyai\]'"):
        make("GoToRedBall")


def test_the_page_shows_what_the_environment_says():
    page = (ROOT / "docs/environments/babyai.md").read_text()
    for style in STYLES:
        prompt, info = make("GoToLocal", level_settings=SMALL, prompt_style=style).reset(seed=33)
        assert "\n    ".join([prompt, *info["actions"]]) in page
    for level in LEVELS:
        limit = make(level).unwrapped.level
        limit.reset(seed=0)
        assert re.search(rf"`twosome/BabyAI-{level}-v0` \|[^|]*\| {limit.max_steps} \|", page)


def test_level_settings_that_are_no_mapping_or_that_minigrid_refuses_in_silence():
    with pytest.raises(UserError, match="level_settings is 5; it must be a mapping"):
        make("GoToLocal", level_settings=5)
    with pytest.raises(UserError, match="'room_size': 2}: minigrid refuses a value"):
        make("GoToLocal", level_settings={"room_size": 2})


def test_a_room_too_small_for_its_things_is_named_and_the_next_reset_may_succeed():
    env = BabyAIEnv("GoToRedBall", level_settings={"room_size": 5, "num_dists": 40})
    with pytest.raises(UserError, match=r"'num_dists': 40.* could not be drawn in 200 tries: .* a larger room_size"):
        env.reset(seed=0)
    env.level.num_dists = 1
    assert env.reset(seed=0)[1]["actions"]
