"""TextWorld's games through their admissible commands; skipped where textworld is not installed, as in CI."""

import builtins

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env

import lightning_twosome  # noqa: F401  registers the environments
from lightning_twosome import check_text_env
from lightning_twosome.errors import UserError


def test_a_missing_textworld_is_told_with_the_way_out(monkeypatch):
    original = builtins.__import__

    def without_textworld(name, *arguments, **keywords):
        if name == "textworld":
            raise ImportError(name)
        return original(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_textworld)
    with pytest.raises(UserError, match=r"need textworld.*pip install 'lightning-twosome\[textworld\]'"):
        gymnasium.make("twosome/TextWorld-v0")


@pytest.fixture(scope="module")
def env():
    pytest.importorskip("textworld")
    made = gymnasium.make("twosome/TextWorld-v0", games=2, game_seed=3, limit=12)
    yield made
    made.close()


def test_the_walkthrough_wins_every_game(env):
    prompts = set()
    for seed in range(6):
        prompt, _ = env.reset(seed=seed)
        prompts.add(prompt)
        total, terminated = 0.0, False
        while not terminated:
            _, reward, terminated, truncated, info = env.step(env.unwrapped.expert_action())
            assert not truncated
            total += reward
        assert info["success"] and total == 1.0
    assert len(prompts) == 2


def test_the_checkers_accept_it(env):
    check_env(env.unwrapped, skip_render_check=True)
    report = check_text_env(env, episodes=2)
    assert report.most_actions > 3 and report.decisions > 5


def test_a_state_in_words(env):
    prompt, info = next(shown for shown in map(lambda seed: env.reset(seed=seed), range(20)) if "keycard" in shown[0])
    assert prompt.startswith("Basement. You are in a basement.") and prompt.endswith("You should now")
    assert "You are carrying: a teaspoon." in prompt and "  " not in prompt
    assert info["actions"] == ("drop teaspoon", "go east")


def test_the_limit_truncates():
    pytest.importorskip("textworld")
    env = gymnasium.make("twosome/TextWorld-v0", game_seed=3, limit=2)
    _, info = env.reset(seed=0)
    flags = []
    for command in ("drop teaspoon", "take teaspoon"):
        _, _, terminated, truncated, info = env.step(info["actions"].index(command))
        flags.append((terminated, truncated))
    assert flags == [(False, False), (False, True)] and info["success"] is False
    with pytest.raises(UserError, match="call reset"):
        env.step(0)


def test_mistakes_are_told():
    pytest.importorskip("textworld")
    with pytest.raises(UserError, match=r"game 'none.z8' does not exist"):
        gymnasium.make("twosome/TextWorld-v0", game="none.z8")
    with pytest.raises(UserError, match=r"games=0 .* at least 1"):
        gymnasium.make("twosome/TextWorld-v0", games=0)
