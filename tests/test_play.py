"""The terminal game through the command line, with what a person types fed to it."""

from __future__ import annotations

import io
import re
import sys

import pytest

from lightning_twosome import TwosomeAgent
from tests.cli_runs import quick_config, run, save_tiny
from tests.toys import Corridor

CORRIDOR = "{class_path: tests.toys.Corridor, init_args: {slip: 0.0}}"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder with a run of one iteration in ``run``, its export in ``out`` and its merged export in ``merged``."""
    folder = tmp_path_factory.mktemp("play")
    config = quick_config(folder, save_tiny(folder / "model"), env=CORRIDOR)
    run("fit", "--config", config, "--trainer.max_epochs", 1)
    run("export", "--config", config, "--ckpt_path", "last", "--output", folder / "out")
    run("export", "--config", config, "--ckpt_path", "last", "--output", folder / "merged", "--merge", "true")
    return folder


@pytest.fixture
def play(trained, monkeypatch, capsys):
    """Play with typed lines; returns exit code, output and errors."""

    def start(typed: str, *arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        capsys.readouterr()
        code = run("play", *arguments)
        return code, *capsys.readouterr()

    return start


def test_person_walks_to_the_exit(trained, play):
    # Seed 0 starts at door 4 of 6: left, right and stride are offered there; no other actions are possible.
    code, out, _ = play("3\n", "--agent", trained / "run", "--seed", "0")
    assert code == 0
    start = Corridor(slip=0.0)
    prompt, info = start.reset(seed=0)
    assert prompt in out and all(action in out for action in info["actions"])
    assert "stride right: reward +0.800 in 2 steps" in out
    assert "Episode 0 ended with success after 1 decision and 2 steps: discounted return 0.791" in out
    assert "You made 1 choice, of which " in out


def test_bars_show_the_agents_probabilities_and_its_choice(trained, play):
    _, out, _ = play("q\n", "--agent", trained / "out", "--env", CORRIDOR)
    prompt, info = Corridor().reset(seed=0)
    agent = TwosomeAgent.from_pretrained(trained / "out")
    shown = re.findall(r"^(->|  )  (\d)  (.{20})\s+(\d+\.\d)%  (.+)$", out, re.MULTILINE)
    probabilities = agent.probabilities(prompt, info["actions"]).tolist()
    assert [float(row[3]) for row in shown] == [pytest.approx(p * 100, abs=0.051) for p in probabilities]
    assert [row[0] for row in shown].index("->") == agent.act(prompt, info["actions"])
    assert [len(row[2].strip()) for row in shown] == [pytest.approx(p * 20, abs=1) for p in probabilities]
    assert f"value {agent.value(prompt):.3f}" in out
    assert "\x1b" not in out, "plain where the output is no terminal"


def test_enter_takes_the_agents_choice_to_the_end(trained, play):
    code, out, _ = play("\n" * 20, "--agent", trained / "run/checkpoints/last.ckpt", "--seed", 3, "--episodes", 2)
    assert code == 0
    for seed in (3, 4):
        assert re.search(rf"Episode {seed} ended with(out)? success after \d decisions? and", out)
    assert "You made" not in out
    again = play("\n" * 20, "--agent", trained / "run", "--seed", 3, "--episodes", 2)[1]
    assert again == out, "the best and the last checkpoint of one iteration are the same"


@pytest.mark.parametrize("typed", ["", "q\n", "9\nnonsense\n"])
def test_quits_cleanly_at_q_and_at_the_end_of_the_input(trained, play, typed):
    code, out, _ = play(typed, "--agent", trained / "run", "--episodes", 3)
    assert code == 0
    assert "Episode 0 was left after 0 decisions and 0 steps" in out and "Episode 1" not in out
    assert ("'9' is none of them." in out) == (typed[:1] == "9")


def test_a_merged_agent_plays_without_values(trained, play):
    code, out, _ = play("\n" * 20, "--agent", trained / "merged", "--env", CORRIDOR, "--sample", "true")
    assert code == 0 and "Episode 0 ended" in out and "value" not in out


def test_bars_of_signs_where_the_output_knows_no_blocks(trained, play, monkeypatch):
    monkeypatch.setattr("rich.console.Console.encoding", property(lambda self: "ascii"))
    out = play("q\n", "--agent", trained / "run")[1]
    assert "##" in out and "█" not in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--agent", "nowhere/at/all"], "'nowhere/at/all' does not exist"),
        (["--agent", "{out}"], "environment the agent was trained in cannot be made"),
        (["--agent", "{out}", "--env", "twosome/Nothing-v0"], "'twosome/Nothing-v0' is not registered"),
        (["--agent", "{run}", "--seed", "x"], "seed"),
    ],
)
def test_mistakes_are_told_in_one_sentence(trained, play, arguments, sentence):
    places = {"out": trained / "out", "run": trained / "run"}
    code, _, errors = play("", *(argument.format(**places) for argument in arguments))
    assert code == 2
    assert sentence in errors.splitlines()[-1] and errors.splitlines()[-1].startswith("error: ")


def test_help_of_the_program_and_of_the_game(capsys):
    for arguments, words in ((["--help"], "lightning-twosome play --agent FOLDER"), (["play", "--help"], "--sample")):
        with pytest.raises(SystemExit) as stop:
            run(*arguments)
        assert stop.value.code == 0
        assert words in " ".join(capsys.readouterr().out.split())
