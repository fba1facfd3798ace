"""The kitchen: its rules against the reference's recordings, its figures by solving it, its words, its errors."""

import json
import os
import re
from collections import Counter
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

import lightning_twosome  # noqa: F401  registers the environments
from lightning_twosome.envs.kitchen.env import KitchenEnv, shared_world
from lightning_twosome.envs.kitchen.task import BUNDLED_TASKS, load_task
from lightning_twosome.errors import UserError
from tests.golden.record_kitchen import GOLDEN, PLANS, play
from tests.kitchen_graph import GAMMA, Graph

TASKS = ("TomatoSalad", "TomatoLettuceSalad")
REFERENCE = os.environ.get("TWOSOME_REFERENCE")


def make(name, **settings):
    return gymnasium.make(f"twosome/{name}-v0", **settings)


def discounted(step_rewards):
    return sum(GAMMA**j * reward for j, reward in enumerate(step_rewards))


@pytest.fixture(scope="module", params=TASKS)
def graph(request):
    return Graph(request.param)


# The rules


@pytest.mark.skipif(REFERENCE is None, reason="TWOSOME_REFERENCE names no folder with the reference's recordings")
def test_every_recorded_episode_of_the_reference_replays():
    recording = json.loads((Path(REFERENCE) / "kitchen_traces.json").read_text())
    tasks = {"tomato_salad": "TomatoSalad", "tomato_lettuce_salad": "TomatoLettuceSalad"}
    for trace in recording["traces"]:
        env = make(tasks[trace["task"]], faithful=True)
        _, info = env.reset()
        assert info["vector"].tolist() == trace["initial"]["obs"]
        elapsed, total = 0, 0.0
        for step in trace["steps"]:
            _, reward, terminated, truncated, info = env.step(step["a"])
            state, task = env.unwrapped.state, env.unwrapped.task
            places = zip((*task.foods, "bowl"), (*state.foods, state.bowl), strict=True)
            assert discounted(info["step_rewards"]) == pytest.approx(step["reward"], abs=1e-9)
            assert reward == pytest.approx(sum(info["step_rewards"]), abs=1e-12)
            assert info["duration"] == len(info["step_rewards"]) == step["duration"]
            assert (terminated, truncated) == (step["done"], False)
            assert info["vector"].tolist() == step["obs"]
            assert list(state.agent) == step["pos"]
            assert {item: place.replace(" ", "") for item, place in places} == step["where"]
            assert dict(zip(task.foods, state.chopped, strict=True)) == step["chopped"]
            total += GAMMA**elapsed * discounted(info["step_rewards"])
            elapsed += info["duration"]
            assert elapsed == step["env_step"] == env.unwrapped.steps
        assert total == pytest.approx(trace["discounted_return_smdp"], abs=1e-9)


def test_our_own_recorded_episodes_replay():
    for episode in json.loads(GOLDEN.read_text()):
        rows = play(episode["task"], episode["faithful"], [row[0] for row in episode["rows"]])
        assert rows == episode["rows"]


@pytest.mark.parametrize(
    ("task", "states", "transitions"), [("TomatoSalad", 24, 120), ("TomatoLettuceSalad", 1156, 9248)]
)
def test_number_of_reachable_states(task, states, transitions):
    graph = Graph(task)
    assert (len(graph.states), graph.next.size) == (states, transitions)


def test_default_pays_each_chop_once_and_faithful_pays_it_again():
    # chop, deliver the chopped tomato without a bowl (wrong: it goes home, raw), fetch it and chop it again
    farm = [0, 2, 4, 0, 3, 0, 2, 4]
    for faithful, expected in ((False, [0.2, 0.0]), (True, [0.2, 0.2])):
        env = make("TomatoSalad", faithful=faithful)
        env.reset()
        chops = [env.step(action)[1] + 0.003 for action in farm][2::5]
        assert chops == pytest.approx(expected)
        env.reset()
        assert [env.step(action)[1] + 0.003 for action in farm][2] == pytest.approx(0.2)  # a new episode pays again


def test_farming_chops_beats_the_honest_optimum_when_faithful():
    assert Graph("TomatoSalad").farmed() == pytest.approx(1.901)
    assert Graph("TomatoLettuceSalad").farmed() == pytest.approx(2.003)


def test_onion_pays_nothing():
    env = make("TomatoLettuceSalad")
    env.reset()
    assert [env.step(action)[1] for action in (2, 4, 7)][-1] == pytest.approx(-0.003)


@pytest.mark.parametrize(("faithful", "ending"), [(False, (False, True)), (True, (True, False))])
def test_horizon_truncates_by_default_and_terminates_when_faithful(faithful, ending):
    env = make("TomatoSalad", faithful=faithful)
    env.reset()
    for _ in range(199):  # nothing to chop: one idle step each
        _, _, terminated, truncated, info = env.step(4)
        assert not terminated and not truncated and "success" not in info
    _, _, terminated, truncated, info = env.step(0)  # started at step 199, runs to its end at 201
    assert (terminated, truncated) == ending
    assert info["success"] is False and env.unwrapped.steps == 201


@pytest.mark.parametrize("faithful", [False, True])
def test_delivery_beyond_the_horizon_is_paid_and_terminates(faithful):
    env = make("TomatoSalad", faithful=faithful)
    env.reset()
    for action in [0, 2, 4, 0, 1] + [4] * 173:
        env.step(action)
    assert env.unwrapped.steps == 194
    _, reward, terminated, truncated, info = env.step(3)
    assert reward == pytest.approx(1 - 0.007) and info["success"] is True
    assert (terminated, truncated) == (True, False) and env.unwrapped.steps == 201


# The figures


@pytest.mark.parametrize(("task", "optimum"), [("TomatoSalad", 0.920518), ("TomatoLettuceSalad", 0.947656)])
def test_optimum(task, optimum):
    _, values = Graph(task).optimal_values()
    assert values[0, 0].max() == pytest.approx(optimum, abs=1e-6)
    assert make(task).unwrapped.optimal_discounted_return() == pytest.approx(values[0, 0].max(), abs=1e-9)


@pytest.mark.parametrize(("task", "undiscounted"), [("TomatoSalad", 1.172), ("TomatoLettuceSalad", 1.355)])
def test_optimum_for_other_discounts(task, undiscounted):
    env = make(task).unwrapped
    assert env.optimal_discounted_return(1.0) == pytest.approx(undiscounted)
    assert env.optimal_discounted_return(0.5) < 0 < env.optimal_discounted_return(0.9) < env.optimal_discounted_return()
    for gamma in (0.0, 1.01):
        with pytest.raises(UserError, match=f"gamma = {gamma}"):
            env.optimal_discounted_return(gamma)


@pytest.mark.parametrize("gamma", [0.9, 0.99, 1.0])
@pytest.mark.parametrize("faithful", [False, True])
@pytest.mark.parametrize("task", TASKS)
def test_the_expert_attains_the_optimum(task, faithful, gamma):
    env, ended, rewards = make(task, faithful=faithful).unwrapped, False, []
    env.reset()
    while not ended:
        *_, ended, _, info = env.step(env.expert_action(gamma))
        rewards += info["step_rewards"]
    value = sum(gamma**step * reward for step, reward in enumerate(rewards))
    assert value == pytest.approx(env.optimal_discounted_return(gamma), abs=1e-9)
    assert info["success"]


def test_the_expert_is_best_in_every_state(graph):
    """Against the independent solution, whatever was done and paid before."""
    paid_sets, values = graph.optimal_values()
    env = make(graph.name).unwrapped
    env.reset()
    for paid, rows in zip(paid_sets, values, strict=True):
        for state, row in zip(graph.states, rows, strict=True):
            env.state, env._paid = state, set(paid)
            assert row[env.expert_action()] == pytest.approx(row.max(), abs=1e-9)


def test_the_expert_is_asked_within_an_episode():
    with pytest.raises(UserError, match="call reset"):
        KitchenEnv("TomatoSalad").expert_action()


@pytest.mark.parametrize(
    ("task", "durations", "undiscounted"),
    [
        ("TomatoSalad", [2, 5, 3, 1, 10, 7], 1.172),
        ("TomatoLettuceSalad", [2, 5, 3, 5, 6, 3, 8, 9, 2, 2], 1.355),
    ],
)
def test_optimal_plan(task, durations, undiscounted):
    env = make(task)
    env.reset()
    steps = [env.step(action) for action in PLANS[task]]
    rewards = [reward for step in steps for reward in step[4]["step_rewards"]]
    assert [step[4]["duration"] for step in steps] == durations
    assert sum(step[1] for step in steps) == pytest.approx(undiscounted)
    assert discounted(rewards) == pytest.approx(env.unwrapped.optimal_discounted_return(), abs=1e-6)
    assert steps[-1][2] and steps[-1][4]["success"] is True


@pytest.mark.parametrize(
    # exact figures, and beside them those measured on the reference by sampling episodes
    ("task", "success", "value", "sampled_success", "sampled_value"),
    [("TomatoSalad", 0.441959, -0.096408, 0.455, -0.085), ("TomatoLettuceSalad", 0.010191, -0.227974, 0.009, -0.227)],
)
def test_random_policy(task, success, value, sampled_success, sampled_value):
    exact = Graph(task).random_policy()
    assert exact == pytest.approx((success, value), abs=1e-6)
    assert exact == pytest.approx((sampled_success, sampled_value), abs=0.015)


@pytest.mark.parametrize("task", TASKS)
def test_random_episodes_agree_with_the_exact_figures(task):
    env, random, returns, successes = make(task, faithful=True), np.random.default_rng(0), [], []
    for _ in range(1500):
        env.reset()
        elapsed, total, done = 0, 0.0, False
        while not done:
            _, _, terminated, truncated, info = env.step(random.integers(env.action_space.n))
            total += GAMMA**elapsed * discounted(info["step_rewards"])
            elapsed, done = elapsed + info["duration"], terminated or truncated
        returns.append(total)
        successes.append(info["success"])
    success, value = Graph(task).random_policy()
    assert np.mean(successes) == pytest.approx(success, abs=4 * np.sqrt(success * (1 - success) / 1500))
    assert np.mean(returns) == pytest.approx(value, abs=4 * np.std(returns) / np.sqrt(1500))


# The interface


@pytest.mark.parametrize("faithful", [False, True])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.filterwarnings("ignore:.*render.*")
def test_gymnasium_checker_passes(task, faithful):
    env = make(task, faithful=faithful, render_mode="rgb_array")
    check_env(env.unwrapped)
    assert env.observation_space.contains(env.reset()[0])


@pytest.mark.parametrize("vectorise", [SyncVectorEnv, lambda fns, **kw: AsyncVectorEnv(fns, shared_memory=False, **kw)])
def test_vector_environments_keep_texts_and_information(vectorise):
    single = make("TomatoSalad")
    prompt, first = single.reset()
    envs = vectorise([lambda: make("TomatoSalad")] * 2, autoreset_mode=AutoresetMode.DISABLED)
    prompts, infos = envs.reset(seed=3)
    assert list(prompts) == [prompt, prompt]
    assert infos["actions"][1] == first["actions"] and infos["action_ids"][0] == (0, 1, 2, 3, 4)
    prompts, rewards, _, _, infos = envs.step(np.array([0, 1]))
    expected, reward, _, _, info = single.step(0)
    assert (prompts[0], rewards[0]) == (expected, pytest.approx(reward))
    assert (infos["duration"][0], infos["step_rewards"][0]) == (info["duration"], info["step_rewards"])
    assert infos["vector"][0].tolist() == info["vector"].tolist() and prompts[0] != prompts[1]
    envs.close()


def test_same_actions_same_episode_whatever_the_seed():
    episodes = []
    for seed in (1, 1, 2, None):
        env = make("TomatoLettuceSalad")
        env.reset(seed=seed)
        episodes.append([env.step(action)[:4] for action in PLANS["TomatoLettuceSalad"]])
    assert all(episode == episodes[0] for episode in episodes)


def test_information_of_a_reset():
    _, info = make("TomatoLettuceSalad").reset()
    assert set(info) == {"actions", "action_ids", "vector"}
    assert info["action_ids"] == tuple(range(8)) and all(type(number) is int for number in info["action_ids"])
    assert info["vector"].dtype == np.float32 and info["vector"].shape == (26,)


# The words


def scenes(graph):
    """The scene of every reachable state."""
    world = shared_world(graph.task)
    return [(state, world.scene(state)) for state in graph.states]


def test_action_texts_are_different_stripped_and_there(graph):
    for _, scene in scenes(graph):
        assert len(set(scene.actions)) == len(scene.actions) == len(graph.task.actions)
        assert all(text and text == " ".join(text.split()) for text in scene.actions)


def test_every_prompt_fits_the_observation_space_and_the_expected_length(graph):
    space = KitchenEnv("TomatoSalad").observation_space
    for _, scene in scenes(graph):
        assert space.contains(scene.prompt) and scene.prompt == " ".join(scene.prompt.split())
        assert 30 <= len(scene.prompt.split()) <= 62


@pytest.mark.parametrize(("task", "prompts", "ambiguous"), [("TomatoSalad", 21, 2), ("TomatoLettuceSalad", 787, 34)])
def test_prompts_say_what_is_seen_and_no_more(task, prompts, ambiguous):
    graph = Graph(task)
    values = graph.optimal_values()[1][0]
    best = {}
    for (_, scene), row in zip(scenes(graph), values, strict=True):
        best.setdefault(scene.prompt, []).append({int(a) for a in np.flatnonzero(row > row.max() - 1e-9)})
    assert len(best) == prompts
    assert sum(1 for sets in best.values() if not set.intersection(*sets)) == ambiguous


def test_one_prompt_has_one_list_of_actions(graph):
    lists = {}
    for _, scene in scenes(graph):
        lists.setdefault(scene.prompt, set()).add(scene.actions)
    assert Counter(map(len, lists.values())) == {1: len(lists)}


def test_texts_say_what_the_action_will_do(graph):
    idle = ("keep holding", "leave", "stay at", "look at", "walk", "chop nothing", "try to", "look for .* in hand$")
    for (state, scene), outcomes in zip(scenes(graph), graph.outcomes, strict=True):
        for text, outcome, action in zip(scene.actions, outcomes, graph.task.actions, strict=True):
            changes = outcome.state[1:] != state[1:]
            if re.match("|".join(idle), text):
                assert not changes, (scene.prompt, text)
            elif not changes:  # a promise not kept: only where the obstacle was out of view
                target = graph.task.boards.get(action.target) or graph.kitchen.position(state, action.target)
                assert not graph.kitchen.sees(state.agent, target), (scene.prompt, text)


def test_the_actions_of_the_optimal_plan_in_words():
    env = make("TomatoSalad")
    prompt, info = env.reset()
    assert prompt == (
        "This kitchen has one cutting board. Near you, a whole tomato is waiting on the counter. Your hands are empty. "
        "To serve a salad of chopped tomato in a bowl, you should now"
    )
    words = []
    for action in PLANS["TomatoSalad"]:
        words.append(info["actions"][action])
        info = env.step(action)[4]
    assert words == [
        "pick up the whole tomato",
        "put the whole tomato on the cutting board",
        "chop the tomato on the cutting board",
        "pick up the chopped tomato from the cutting board",
        "look for the bowl to put the chopped tomato into it",
        "serve the bowl of chopped tomato",
    ]


# The picture


def test_picture_shows_every_change():
    env = make("TomatoLettuceSalad", render_mode="rgb_array")
    env.reset()
    pictures = [env.render()]
    for action in PLANS["TomatoLettuceSalad"]:
        env.step(action)
        pictures.append(env.render())
    assert all(picture.dtype == np.uint8 and picture.shape == pictures[0].shape for picture in pictures)
    kitchens = [picture[50:-90].astype(int) for picture in pictures]  # without the captions above and below
    changes = [np.abs(after - before).max() for before, after in zip(kitchens, kitchens[1:], strict=False)]
    assert min(changes) > 60


def test_no_picture_without_a_render_mode():
    env = KitchenEnv("TomatoSalad")
    env.reset()
    assert env.render() is None


# The errors and tasks of one's own


def test_stepping_before_a_reset_or_after_the_end_is_refused():
    env = make("TomatoSalad")
    with pytest.raises(UserError, match="call reset"):
        env.step(0)
    env.reset()
    for action in PLANS["TomatoSalad"]:
        env.step(action)
    with pytest.raises(UserError, match="call reset"):
        env.step(0)


@pytest.mark.parametrize("action", [5, -1, 1.5, "chop", None])
def test_an_action_that_is_not_offered_is_refused(action):
    env = make("TomatoSalad")
    env.reset()
    with pytest.raises(UserError, match="0 to 4"):
        env.step(action)


def test_unknown_task_and_render_mode_are_refused():
    with pytest.raises(UserError, match=r"'Soup'.*TomatoSalad"):
        KitchenEnv("Soup")
    with pytest.raises(UserError, match="'5'"):
        KitchenEnv(5)
    with pytest.raises(UserError, match="'human'"):
        KitchenEnv("TomatoSalad", render_mode="human")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("horizon: 200", "", "lacks the key 'horizon'"),
        ("horizon: 200", "horizon: 200\nseconds: 3", "unknown key 'seconds'"),
        ("horizon: 200", "horizon: 0", "at least 1"),
        ("horizon: 200", "horizon: long", "must be of type int"),
        ("task_index: 0", "task_index: 7", "between 0 and 6"),
        ("recipe: [tomato]", "recipe: [carrot]", "'carrot' in recipe"),
        ("recipe: [tomato]", "recipe: []", "at least one food"),
        ("{T: tomato}", "{D: tomato}", "food letter 'D'"),
        ("{T: tomato}", "{T: bowl}", "other than bowl"),
        ("{T: tomato}", "{T: tomato, U: tomato}", "twice"),
        ("#####T#", "T####T#", "in a corner"),
        ("#####T#", "###T#T#", "2 times"),
        ("1...@.#", "1..#@.#", "on the floor inside"),
        ("1...@.#", "1...@#", "rectangle"),
        ("1...@.#", "....@.#", "on the border"),
        ("get bowl,", "get cup,", "'get cup' in actions"),
        ("get bowl,", "get tomato,", "none twice"),
        ("step: -0.001, ", "", "a number for each"),
        ("name: tomato salad", "name: [tomato", "read as YAML"),
    ],
)
def test_a_wrong_task_file_is_refused_in_one_sentence(tmp_path, old, new, message):
    text = (BUNDLED_TASKS / "TomatoSalad.yaml").read_text()
    assert old in text
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match=message) as error:
        load_task(str(path))
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_another_recipe_is_a_file(tmp_path):
    text = (BUNDLED_TASKS / "TomatoLettuceSalad.yaml").read_text()
    text = text.replace("recipe: [tomato, lettuce]", "recipe: [carrot]").replace("onion", "carrot")
    path = tmp_path / "carrots.yaml"
    path.write_text(text.replace("name: tomato-lettuce salad", "name: carrot salad"))
    env = make("TomatoLettuceSalad", task=str(path), render_mode="rgb_array")
    prompt, info = env.reset()
    assert "carrot" in prompt and len(set(info["actions"])) == 8
    rewards = [env.step(action)[1] for action in (2, 4, 7, 2, 3, 6)]
    assert sum(rewards) > 1.1 and env.render().shape[2] == 3
