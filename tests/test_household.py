"""The household: its rules against the reference's recordings, its figures by solving it, its words, its errors."""

import json
import os
import time
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

import lightning_twosome  # noqa: F401  registers the environments
from benchmarks.household import Exact
from lightning_twosome.envs.check import check_text_env
from lightning_twosome.envs.household.env import HouseholdEnv
from lightning_twosome.envs.household.simulator import House
from lightning_twosome.envs.household.task import BUNDLED_TASKS, load_task
from lightning_twosome.envs.household.text import PROMPT_STYLES, Narrator
from lightning_twosome.envs.household.world import shared_world
from lightning_twosome.errors import UserError
from lightning_twosome.evaluation import uniform_policy
from tests.golden.record_household import GOLDEN, play, replayed
from tests.household_graph import GAMMA, Graph

TASKS = sorted(path.stem for path in BUNDLED_TASKS.glob("*.yaml"))
UNSEEN = ("Cheese", "Hamburger", "ApplePie", "Pizza", "WashingPlate", "Laundry")
OWN = sorted(set(TASKS) - {"FoodPreparation", "Entertainment", *UNSEEN})
REFERENCE = os.environ.get("TWOSOME_REFERENCE")


def make(name, **settings):
    return gymnasium.make(f"twosome/{name}-v0", **settings)


@pytest.fixture(scope="module")
def graphs():
    return {task: Graph(task) for task in TASKS}


def scenes(graph, style=PROMPT_STYLES[0]):
    """State, prompt, offered indices and their texts, of every state before the goal."""
    narrator = Narrator(graph.house, style)
    for state in graph.states:
        offered = graph.house.offered(state)
        yield state, narrator.prompt(state), offered, narrator.actions(state, offered)


# The rules


@pytest.mark.skipif(REFERENCE is None, reason="TWOSOME_REFERENCE names no folder with the reference's recordings")
def test_every_recorded_episode_of_the_reference_replays():
    recording = json.loads((Path(REFERENCE) / "household_traces.json").read_text())
    tasks = {"food_preparation": "FoodPreparation", "entertainment": "Entertainment"}
    for trace in recording["traces"]:
        env = make(tasks[trace["task"]], faithful=True)
        house = House(env.unwrapped.task, faithful=True)
        _, info = env.reset()
        assert info["vector"].tolist() == trace["initial"]["obs"]
        total = 0.0
        for time_step, step in enumerate(trace["steps"]):
            assert info["action_ids"] == tuple(range(len(info["actions"])))
            accepted = house.act(env.unwrapped.scene.state, house.task.actions[step["a"]]) is not None
            assert accepted == step["executed"]
            _, reward, terminated, truncated, info = env.step(step["a"])
            assert (reward, terminated, truncated) == (step["reward"], step["done"], False)
            assert info["vector"].tolist() == step["obs"]
            total += GAMMA**time_step * reward
        assert total == pytest.approx(trace["return_gamma_0.95"], abs=1e-9)
        assert info.get("success", False) == trace["success"] and env.unwrapped.steps == trace["length"]


def test_our_own_recorded_episodes_replay():
    for episode in json.loads(GOLDEN.read_text()):
        assert play(episode["task"], episode["faithful"], replayed(episode["rows"])) == episode["rows"]


@pytest.mark.parametrize(
    ("task", "faithful", "states", "transitions"),
    [
        ("FoodPreparation", True, 51, 510),
        ("Entertainment", True, 814, 13838),
        ("FoodPreparation", False, 27, 110),
        ("Entertainment", False, 215, 1193),
    ],
)
def test_number_of_reachable_states(task, faithful, states, transitions):
    """States before the goal, where each hand counts for itself."""
    graph = Graph(task, faithful)
    assert (len(graph.states), sum(map(len, graph.next))) == (states, transitions)


@pytest.mark.parametrize("task", UNSEEN)
def test_unseen_tasks_have_the_structure_of_food_preparation(task, graphs):
    assert graphs[task].next == graphs["FoodPreparation"].next


def test_own_tasks_have_structures_of_their_own(graphs):
    assert len(OWN) >= 6
    structures = [graphs[task].next for task in (*OWN, "FoodPreparation", "Entertainment")]
    assert all(one not in structures[:number] for number, one in enumerate(structures))


def carry_out(env, *names):
    """Take the actions of these names in the task's list; the vector's facts that hold at the end, by name."""
    _, info = env.reset()
    actions = {" ".join((a.kind, a.target, a.place)).strip(): i for i, a in enumerate(env.unwrapped.task.actions)}
    for name in names:
        _, _, _, _, info = env.step(info["action_ids"].index(actions[name]))
    facts = env.unwrapped.task.vector
    shown = {" ".join(fact).strip() for fact, bit in zip(facts, info["vector"], strict=True) if bit}
    return shown, [env.unwrapped.task.actions[index].kind for index in info["action_ids"]]


def test_what_is_carried_stays_with_the_carrier_unless_faithful():
    walks = ("walk chips", "grab chips", "walk living room")
    _, info = (env := make("Entertainment")).reset()
    shown, _ = carry_out(env, *walks)
    assert {"in living room", "hold chips"} <= shown
    env = make("Entertainment", faithful=True)
    shown, _ = carry_out(env, *walks, "walk chips")  # booked in the kitchen, and so it leads back there
    assert {"in kitchen", "hold chips"} <= shown


def test_standing_up_leaves_the_sofa_unless_faithful():
    walks = ("walk living room", "walk sofa", "sit sofa", "stand")
    shown, _ = carry_out(make("Entertainment"), *walks)
    assert not {"sit sofa", "face television"} & shown
    shown, _ = carry_out(make("Entertainment", faithful=True), *walks)
    assert {"sit sofa", "face television"} <= shown


def test_full_hands_open_and_switch_nothing():
    grabbed = ("walk chips", "grab chips", "walk milk", "grab milk", "walk living room", "walk television")
    shown, kinds = carry_out(make("Entertainment"), *grabbed)
    assert "near television" in shown and "switch on" not in kinds
    _, kinds = carry_out(make("Entertainment"), *grabbed[:2], *grabbed[4:])
    assert "switch on" in kinds
    _, kinds = carry_out(make("Shopping"), "walk milk", "grab milk", "walk butter", "grab butter", "walk fridge")
    assert "open" not in kinds


def test_seated_nobody_walks():
    _, kinds = carry_out(make("Entertainment"), "walk living room", "walk sofa", "sit sofa")
    assert kinds == ["stand"]


def test_doors_hide_what_is_inside_and_stop_the_switch():
    shown, kinds = carry_out(make("HotSoup"), "walk kitchen", "walk fridge")
    assert "see soup" not in shown and "grab" not in kinds
    shown, kinds = carry_out(make("HotSoup"), "walk kitchen", "walk fridge", "open fridge")
    assert "see soup" in shown and "grab" in kinds
    _, kinds = carry_out(make("HotSoup"), "walk kitchen", "walk microwave", "open microwave")
    assert "switch on" not in kinds
    _, kinds = carry_out(make("HotSoup"), "walk kitchen", "walk microwave", "switch on microwave")
    assert "open" not in kinds


def test_offered_is_what_can_be_done_and_no_idle_walk(graphs):
    for graph in graphs.values():
        for state in graph.states:
            offered = graph.house.offered(state)
            assert offered
            for index, action in enumerate(graph.task.actions):
                idle = action.kind == "walk" and (
                    action.target == state.room or graph.house.holds(state, action.target)
                )
                assert (index in offered) == (graph.house.act(state, action) is not None and not idle)


@pytest.mark.parametrize(("faithful", "ending"), [(False, (False, True)), (True, (True, False))])
def test_horizon_truncates_by_default_and_terminates_when_faithful(faithful, ending):
    env = make("FoodPreparation", faithful=faithful)
    env.reset()
    for _ in range(49):
        _, _, terminated, truncated, info = env.step(0)
        assert not terminated and not truncated and "success" not in info
    _, reward, terminated, truncated, info = env.step(0)
    assert (terminated, truncated, reward, info["success"]) == (*ending, 0.0, False)


# The figures


@pytest.mark.parametrize(
    ("task", "steps", "optimum"), [("FoodPreparation", 6, 0.77378), ("Entertainment", 11, 0.59874)]
)
@pytest.mark.parametrize("faithful", [False, True])
def test_optimum(task, steps, optimum, faithful):
    assert Graph(task, faithful).distances()[0] == steps
    env = HouseholdEnv(task, faithful=faithful)
    assert env.optimal_discounted_return() == pytest.approx(optimum, abs=5e-6)
    assert env.optimal_discounted_return(0.5) == pytest.approx(0.5 ** (steps - 1))


@pytest.mark.parametrize("task", TASKS)
def test_expert_takes_a_shortest_way_from_everywhere(task, graphs):
    graph = graphs[task]
    left, world = np.append(graph.distances(), 0), shared_world(graph.task, False)
    number, seen, queue = {id(world.initial): 0}, [world.initial], [world.initial]
    for scene in queue:  # grows while it is walked through
        row = graph.next[number[id(scene)]]
        best = world.best_action(scene)
        assert left[row[best]] == left[number[id(scene)]] - 1
        for index, following in enumerate(row):
            after = world.follow(scene, index)
            if following >= 0 and id(after) not in number:
                number[id(after)] = following
                seen.append(after)
                queue.append(after)
    assert len(seen) == len(graph.states)


@pytest.mark.parametrize(
    ("task", "success", "value"),
    [("FoodPreparation", 0.0174252, 0.0033886), ("Entertainment", 0.0022956, 0.0003200)],
)
def test_random_policy(task, success, value, graphs):
    assert graphs[task].random_policy() == pytest.approx((success, value), abs=1e-7)


def test_the_benchmark_evaluates_policies_exactly(graphs):
    for task in ("FoodPreparation", "SetTable"):
        success, value = graphs[task].random_policy()
        assert Exact(task).evaluate(uniform_policy()) == pytest.approx((value, success), abs=1e-6)


def test_random_episodes_agree_with_the_exact_figures(graphs):
    env, random, successes = make("FoodPreparation"), np.random.default_rng(0), 0
    for _ in range(3000):
        _, info = env.reset()
        ended = False
        while not ended:
            _, _, terminated, truncated, info = env.step(random.integers(len(info["actions"])))
            ended = terminated or truncated
        successes += info["success"]
    success, _ = graphs["FoodPreparation"].random_policy()
    assert successes / 3000 == pytest.approx(success, abs=4 * np.sqrt(success / 3000))


def test_speed():
    """A floor for busy machines; benchmarks/environments.py has the figure."""
    env, random = make("Entertainment"), np.random.default_rng(0)
    numbers = random.random(20_000).tolist()
    for _ in range(2):  # the first time computes the scenes
        _, info = env.reset()
        start = time.process_time()
        for number in numbers:
            _, _, terminated, truncated, info = env.step(int(number * len(info["actions"])))
            if terminated or truncated:
                _, info = env.reset()
        seconds = time.process_time() - start
    assert len(numbers) / seconds > 50_000


# The interface


@pytest.mark.parametrize("task", ["FoodPreparation", "Entertainment", "HotSoup"])
def test_our_own_checker_finds_nothing(task):
    assert not check_text_env(make(task), episodes=2).findings


@pytest.mark.parametrize("faithful", [False, True])
@pytest.mark.parametrize("task", ["FoodPreparation", "Entertainment", "SetTable"])
@pytest.mark.filterwarnings("ignore:.*render.*")
def test_gymnasium_checker_passes(task, faithful):
    env = make(task, faithful=faithful, render_mode="rgb_array")
    check_env(env.unwrapped)
    assert env.observation_space.contains(env.reset()[0])


@pytest.mark.parametrize("vectorise", [SyncVectorEnv, lambda fns, **kw: AsyncVectorEnv(fns, shared_memory=False, **kw)])
def test_vector_environments_keep_texts_and_information(vectorise):
    single = make("Entertainment")
    prompt, first = single.reset()
    envs = vectorise([lambda: make("Entertainment")] * 2, autoreset_mode=AutoresetMode.DISABLED)
    prompts, infos = envs.reset(seed=3)
    assert list(prompts) == [prompt, prompt]
    assert infos["actions"][1] == first["actions"] and infos["action_ids"][0] == first["action_ids"]
    prompts, _, _, _, infos = envs.step(np.array([0, 1]))
    expected, _, _, _, info = single.step(0)
    assert prompts[0] == expected != prompts[1]
    assert infos["vector"][0].tolist() == info["vector"].tolist()
    envs.close()


def test_same_actions_same_episode_whatever_the_seed():
    episodes = []
    for seed in (1, 1, 2, None):
        env = make("Entertainment")
        env.reset(seed=seed)
        episodes.append([env.step(env.unwrapped.expert_action())[:4] for _ in range(11)])
    assert all(episode == episodes[0] for episode in episodes) and episodes[0][-1][2]


def test_information_of_a_reset():
    env = make("Entertainment", restate="notes")
    _, info = env.reset()
    assert set(info) == {"actions", "action_ids", "vector", "restatement"}
    assert info["action_ids"] == (0, 2, 3, 4, 5) and all(type(number) is int for number in info["action_ids"])
    assert info["vector"].dtype == np.float32 and info["vector"].shape == (21,)
    prompt, told = make("Entertainment", prompt_style="notes").reset()
    assert info["restatement"] == (prompt, told["actions"])
    info["vector"][:] = 7  # a user's change does not reach the next episode
    assert env.reset()[1]["vector"].max() == 1


def test_the_vector_of_a_task_without_a_list_has_every_fact():
    assert len(load_task("WatchTelevision").vector) == 4 + 4 + 3
    assert len(load_task("HotSoup").vector) == 4 + 5 + 3 + 4


# The words


@pytest.mark.parametrize("style", PROMPT_STYLES)
@pytest.mark.parametrize("task", TASKS)
def test_texts_are_well_formed(task, style, graphs):
    space = HouseholdEnv(task).observation_space
    for _, prompt, _, actions in scenes(graphs[task], style):
        assert space.contains(prompt) and prompt == " ".join(prompt.split())
        assert len(set(actions)) == len(actions) and all(text == " ".join(text.split()) != "" for text in actions)
        assert 12 <= len(prompt.split()) <= 90 and "{" not in prompt + "".join(actions)
        assert not prompt.endswith(".")  # an action text goes on


@pytest.mark.parametrize("style", PROMPT_STYLES)
@pytest.mark.parametrize("task", ["FoodPreparation", "Entertainment"])
def test_faithful_words_every_action_of_every_state(task, style):
    for _, _, offered, actions in scenes(Graph(task, faithful=True), style):
        assert len(offered) == len(set(actions))


@pytest.mark.parametrize("style", PROMPT_STYLES)
@pytest.mark.parametrize(
    ("task", "prompts", "ambiguous"),
    [("FoodPreparation", 18, 0), ("Entertainment", 123, 6), ("HotSoup", 54, 3), ("SetTable", 484, 21)],
)
def test_one_prompt_has_one_list_of_actions_and_mostly_shows_a_best_one(task, prompts, ambiguous, style, graphs):
    """Ambiguous: what is in other rooms is not seen, so that some prompts stand for states without a common best."""
    graph = graphs[task]
    left = np.append(graph.distances(), 0)
    lists, best = {}, {}
    for (_, prompt, offered, actions), row in zip(scenes(graph, style), graph.next, strict=True):
        lists.setdefault(prompt, set()).add(actions)
        good = {i for i, following in zip(offered, row, strict=True) if left[following] == min(left[row])}
        best.setdefault(prompt, []).append(good)
    assert all(len(one) == 1 for one in lists.values())
    assert len(lists) == prompts
    assert sum(1 for sets in best.values() if not set.intersection(*sets)) == ambiguous


def test_every_style_tells_the_same_states_apart(graphs):
    for task in ("FoodPreparation", "Entertainment", "TidyShelf"):
        partitions = []
        for style in PROMPT_STYLES:
            numbers = {}
            partitions.append(
                [numbers.setdefault(prompt, len(numbers)) for _, prompt, _, _ in scenes(graphs[task], style)]
            )
        assert all(partition == partitions[0] for partition in partitions)


def test_styles_share_no_sentence_and_no_action(graphs):
    texts = []
    for style in PROMPT_STYLES:
        prompts, actions = set(), set()
        for _, prompt, _, offered in scenes(graphs["Entertainment"], style):
            prompts |= set(prompt.split(". "))
            actions |= set(offered)
        texts.append((prompts, actions))
    for number, (prompts, actions) in enumerate(texts):
        for others, other_actions in texts[:number]:
            assert not prompts & others and not actions & other_actions


def test_unseen_tasks_share_the_sentences():
    """The same states in the same words but for the thing, its article, the container and the aim."""
    known = dict(zip(("pancake", "microwave"), ("plate", "dishwasher"), strict=True))
    for (_, prompt, _, actions), (_, other, _, others) in zip(
        scenes(Graph("FoodPreparation")), scenes(Graph("WashingPlate")), strict=True
    ):
        for old, new in (*known.items(), ("warm up", "wash")):
            prompt, actions = prompt.replace(old, new), tuple(text.replace(old, new) for text in actions)
        assert (prompt, actions) == (other, others)


def test_the_shortest_way_in_words():
    env = make("Entertainment")
    prompt, info = env.reset()
    assert prompt == (
        "You are in the kitchen. You see some chips and some milk. Your hands are empty. To watch television on the "
        "sofa with the chips and the milk at hand, you should now"
    )
    words = []
    for _ in range(11):
        action = env.unwrapped.expert_action()
        words.append(info["actions"][action])
        info = env.step(action)[4]
    assert words == [
        "walk to the living room", "walk to the television", "switch on the television", "walk to the kitchen",
        "walk to the chips", "pick up the chips", "carry the chips to the milk", "pick up the milk",
        "carry the chips and the milk to the living room", "carry the chips and the milk to the sofa",
        "sit down on the sofa",
    ]  # fmt: skip


# The picture


@pytest.mark.parametrize("task", ["Entertainment", "HotSoup", "SetTable"])
def test_picture_shows_every_change(task):
    env = make(task, render_mode="rgb_array")
    env.reset()
    pictures, ended = [env.render()], False
    while not ended:
        _, _, ended, _, _ = env.step(env.unwrapped.expert_action())
        pictures.append(env.render())
    assert all(picture.dtype == np.uint8 and picture.shape == pictures[0].shape for picture in pictures)
    houses = [picture[46:-64].astype(int) for picture in pictures]  # without the captions above and below
    changes = [np.abs(after - before).max() for before, after in zip(houses, houses[1:], strict=False)]
    assert min(changes) > 60


def test_no_picture_without_a_render_mode():
    env = HouseholdEnv()
    env.reset()
    assert env.render() is None


# The errors and tasks of one's own


def test_stepping_before_a_reset_or_after_the_end_is_refused():
    env = make("WatchTelevision")
    with pytest.raises(UserError, match="call reset"):
        env.step(0)
    with pytest.raises(UserError, match="call reset"):
        env.unwrapped.expert_action()
    env.reset()
    for _ in range(5):
        env.step(env.unwrapped.expert_action())
    with pytest.raises(UserError, match="call reset"):
        env.step(0)


@pytest.mark.parametrize("action", [5, -1, 1.5, "walk", None])
def test_an_action_that_is_not_offered_is_refused(action):
    env = make("Entertainment")
    env.reset()
    with pytest.raises(UserError, match="0 to 4"):
        env.step(action)


def test_wrong_arguments_are_refused():
    with pytest.raises(UserError, match=r"'Dinner'.*FoodPreparation"):
        HouseholdEnv("Dinner")
    with pytest.raises(UserError, match="'human'"):
        HouseholdEnv(render_mode="human")
    with pytest.raises(UserError, match="'rhymes'.*second_person, first_person"):
        HouseholdEnv(prompt_style="rhymes")
    with pytest.raises(UserError, match="'rhymes'.*second_person, first_person"):
        HouseholdEnv(restate="rhymes")
    with pytest.raises(UserError, match="another style: first_person"):
        HouseholdEnv(restate="second_person")


MINE = """
name: hot milk
aim: switch on the stove
rooms: [kitchen, cellar]
start: cellar
objects:
  milk: {properties: [grabbable], place: in fridge, number: mass}
  fridge: {properties: [container], place: in kitchen}
  stove: {properties: [switchable, surface], place: in kitchen}
  chair: {properties: [sittable], place: in kitchen, faces: stove}
goal: [milk on stove, stove switched on, sit on chair or in cellar]
horizon: 30
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("horizon: 30", "", "lacks the key 'horizon'"),
        ("horizon: 30", "horizon: 30\nseconds: 3", "unknown key 'seconds'"),
        ("horizon: 30", "horizon: 0", "at least 1"),
        ("horizon: 30", "horizon: 30\nactions: []", "at least one action"),
        ("horizon: 30", "horizon: 30\nactions: [stand up, stand up]", "none twice"),
        ("horizon: 30", "horizon: 30\nactions: [fly]", "'fly' in actions"),
        ("horizon: 30", "horizon: 30\nvector: [see moon]", "'see moon' in vector"),
        ("aim: switch on the stove", "aim: 5", "must be of type str"),
        ("aim: switch on the stove", "aim: ''", "plain words"),
        ("rooms: [kitchen, cellar]", "rooms: [kitchen, kitchen]", "twice"),
        ("rooms: [kitchen, cellar]", "rooms: []", "list of names"),
        ("start: cellar", "start: attic", "'attic'"),
        ("  chair:", "  cellar:", "'cellar', which must be a name that no room has"),
        ("{properties: [sittable],", "{properties: [soft],", "'soft'"),
        ("{properties: [sittable],", "{properties: [sittable, grabbable],", "exclude each other"),
        ("{properties: [sittable],", "{colour: red, properties: [sittable],", "'chair' the keys"),
        ("place: in fridge", "place: on fridge", "'on fridge'"),
        ("place: in fridge", "place: in chair", "'in chair'"),
        ("place: in kitchen, faces", "place: in fridge, faces", "'in fridge' of 'chair'"),
        ("number: mass", "number: many", "'many'"),
        ("faces: stove", "faces: moon", "'moon'"),
        ("{properties: [container],", "{open: maybe, properties: [container],", "open = 'maybe'"),
        ("faces: stove", "open: true", "only for a container"),
        ("milk on stove,", "milk on moon,", "'milk on moon' in goal"),
        ("[milk on stove, stove switched on, sit on chair or in cellar]", "[]", "at least one condition"),
        ("objects:", "objects: []\nthings:", "unknown key 'things'"),
        ("name: hot milk", "name: [hot", "read as YAML"),
    ],
)
def test_a_wrong_task_file_is_refused_in_one_sentence(tmp_path, old, new, message):
    assert old in MINE
    path = tmp_path / "mine.yaml"
    path.write_text(MINE.replace(old, new, 1))
    with pytest.raises(UserError, match=message) as error:
        load_task(str(path))
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_task_of_ones_own_is_a_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(MINE)
    env = make("FoodPreparation", task=str(path), render_mode="rgb_array")
    prompt, _ = env.reset()
    assert "cellar" in prompt and "switch on the stove" in prompt
    ended = False
    while not ended:
        _, reward, ended, _, info = env.step(env.unwrapped.expert_action())
    assert reward == 1 and info["success"] and env.render().shape[2] == 3
    assert env.unwrapped.optimal_discounted_return() == pytest.approx(0.95 ** (env.unwrapped.steps - 1))


def test_a_goal_that_is_reached_or_out_of_reach_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(MINE.replace("goal: [milk on stove, stove switched on, ", "goal: ["))
    with pytest.raises(UserError, match="goal reached"):
        HouseholdEnv(str(path))
    path = tmp_path / "other.yaml"
    path.write_text(MINE + "actions: [walk to kitchen, walk to cellar]\n")
    with pytest.raises(UserError, match="no way to its goal"):
        HouseholdEnv(str(path))


# The page


def test_the_page_shows_what_the_environment_says(tmp_path):
    page = (Path(__file__).parents[1] / "docs/environments/household.md").read_text()
    words = " ".join(page.split())
    for style in PROMPT_STYLES:
        env = make("Entertainment", prompt_style=style)
        _, info = env.reset()
        for action in (4, 9, 0, 6):  # to the chips, grab them, to the living room, to the coffee table
            prompt, _, _, _, info = env.step(info["action_ids"].index(action))
        assert " ".join((style, prompt, *info["actions"])) in words
    path = tmp_path / "mine.yaml"
    path.write_text(page.split("```yaml\n")[1].split("```")[0])
    env = HouseholdEnv(str(path))
    assert env.optimal_discounted_return() > 0.5
    for task in TASKS:
        assert f"`{task}`" in page
