"""A person and an agent in the terminal, deciding in turn what to do in an environment.

::

    prompt, the agent's probabilities as bars --person: a number, or Enter for the agent's choice--> environment
    ... until the episode ends, q or the end of the input                                       --> summary
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import yaml
from jsonargparse import ArgumentParser
from rich.console import Console

from lightning_twosome.data import RolloutDataModule
from lightning_twosome.errors import UserError
from lightning_twosome.rollout import Episode
from lightning_twosome.run_folder import CHECKPOINTS
from lightning_twosome.twosome_agent import TwosomeAgent
from lightning_twosome.vector_env import State, TextVectorEnv, Transition

WIDTH, BAR = 100, 20


def play_episodes(
    agent: str,
    env: str | dict[str, Any] | None,
    env_kwargs: dict[str, Any] | None,
    seeds: Iterable[int],
    sample: bool,
    device: str,
) -> None:
    """Play episodes together with an agent, whose first seed its sampling has too.

    The arguments are those of :func:`lightning_twosome.play_command.play`.
    """
    first, *following = seeds
    player, make_env = _agent_and_environment(agent, env, env_kwargs, device, first)
    vector = TextVectorEnv([make_env])
    table = Table(player, vector, Console(highlight=False, soft_wrap=True), greedy=not sample)
    try:
        for number in (first, *following):
            if not table.play(number):
                break
    finally:
        vector.close()


# What is played


def _agent_and_environment(
    name: str, env: str | dict[str, Any] | None, env_kwargs: dict[str, Any] | None, device: str, seed: int
) -> tuple[TwosomeAgent, Callable[[], gym.Env]]:
    path, run_dir = Path(name), None
    if (path / CHECKPOINTS).is_dir():
        path, run_dir = _checkpoint_of(path), path
    elif path.is_file() and path.resolve().parent.name == CHECKPOINTS:
        run_dir = path.resolve().parent.parent
    saved = _data_config(run_dir)
    if path.is_file():
        agent = TwosomeAgent.from_checkpoint(path, device, seed)
    else:
        agent = TwosomeAgent.from_pretrained(name, device=device, seed=seed)
        saved = {"env": agent.settings.environment, "env_kwargs": agent.settings.environment_kwargs}
    if env is not None:
        saved = {"env": env}
    if env_kwargs is not None:
        saved["env_kwargs"] = env_kwargs
    if not saved.get("env"):
        raise UserError(f"agent={name!r} does not say which environment it was trained in: give --env.")
    make_env = _data_module(saved).make_env
    try:
        make_env().close()
    except UserError as error:
        if env is None:
            raise UserError(f"The environment the agent was trained in cannot be made ({error}) Give --env.") from error
        raise
    return agent, make_env


def _checkpoint_of(run_dir: Path) -> Path:
    for name in ("best", "last"):
        found = list((run_dir / CHECKPOINTS).glob(f"{name}*.ckpt"))
        if found:
            return max(found, key=lambda path: path.stat().st_mtime)
    raise UserError(f"The run {str(run_dir)!r} has no checkpoint yet: train first.")


def _data_config(run_dir: Path | None) -> dict[str, Any]:
    """Environment of a run, as its ``config.yaml`` has it; empty where there is none."""
    file = None if run_dir is None else run_dir / "config.yaml"
    if file is None or not file.is_file():
        return {}
    content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    data = (content.get("data") or {}).get("init_args") or {}
    return {name: data[name] for name in ("env", "env_kwargs") if data.get(name) is not None}


def _data_module(settings: dict[str, Any]) -> RolloutDataModule:
    """A data module with these settings, for its environment."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(RolloutDataModule, "data")
    made: RolloutDataModule = parser.instantiate(parser.parse_object({"data": settings})).data
    return made


# The table they sit at


@dataclass
class Table:
    """Shows the decisions and asks for the choices.

    Args:
        agent: The agent.
        env: A vector of one environment.
        console: Where it is shown; plain text where it is no terminal.
        greedy: The agent takes its most probable action.
    """

    agent: TwosomeAgent
    env: TextVectorEnv
    console: Console
    greedy: bool = True
    own: int = 0
    agreed: int = 0
    episode: Episode = field(default_factory=lambda: Episode(0))

    def play(self, seed: int) -> bool:
        """Play an episode; returns whether it reached its end."""
        self.episode, self.own, self.agreed = Episode(seed), 0, 0
        state = self.env.reset({0: seed})[0]
        ended = False
        while not ended:
            suggested = self._show(state)
            choice = self._ask(len(state.decision.actions), suggested)
            if choice is None:
                break
            (transition,) = self.env.step([choice])
            self.episode.record(transition, self.agent.settings.gamma)
            self._tell(state.decision.actions[choice], transition)
            state, ended = transition.state, transition.terminated or transition.truncated
        self._sum_up(ended)
        return ended

    def _show(self, state: State) -> int:
        """Show a decision; returns the agent's choice."""
        prompt, actions = state.decision.prompt, state.decision.actions
        probabilities = self.agent.probabilities(prompt, actions).tolist()
        suggested = self.agent.act(prompt, actions, greedy=self.greedy)
        figures = [f"step {self.episode.duration}", f"return {self.episode.discounted_return:.3f}"]
        if self.agent.has_values:
            figures.append(f"value {self.agent.value(prompt):.3f}")
        self._print("")
        self._print(f"Decision {self.episode.length + 1}: {', '.join(figures)}", style="bold")
        width = min(WIDTH, self.console.width)
        for line in textwrap.wrap(prompt, width):
            self._print(line)
        self._print("")
        for index, (action, probability) in enumerate(zip(actions, probabilities, strict=True)):
            arrow, style = ("->", "bold cyan") if index == suggested else ("  ", None)
            self._print(f"{arrow} {index + 1:2}  {self._bar(probability)} {probability:6.1%}  {action}", style=style)
        return suggested

    def _bar(self, share: float) -> str:
        """A bar of fixed width, in eighths of a column where the terminal can show them."""
        blocks = "▏▎▍▌▋▊▉█"
        try:
            blocks.encode(self.console.encoding)
        except (LookupError, UnicodeEncodeError):
            return ("#" * round(share * BAR)).ljust(BAR)
        whole, part = divmod(round(share * BAR * 8), 8)
        return ("█" * whole + (blocks[part - 1] if part else "")).ljust(BAR)

    def _ask(self, count: int, suggested: int) -> int | None:
        """The person's choice; ``None`` to quit."""
        question = f"1-{count}, Enter for the agent's {suggested + 1}, q to quit: "
        while True:
            try:
                answer = input(question).strip().lower()
            except (EOFError, KeyboardInterrupt):
                self._print("")
                return None
            if not sys.stdin.isatty():
                self._print(answer)  # a terminal has shown it already
            if answer in ("q", "quit", "exit"):
                return None
            if not answer:
                return suggested
            if answer.isdecimal() and 1 <= int(answer) <= count:
                self.own += 1
                self.agreed += int(answer) - 1 == suggested
                return int(answer) - 1
            self._print(f"{answer!r} is none of them.")

    def _tell(self, action: str, transition: Transition) -> None:
        reward, steps = sum(transition.step_rewards), transition.duration
        style = "green" if reward > 0 else "red"
        self._print(f"{action}: reward {reward:+.3f} in {_count(steps, 'step')}", style=style)

    def _sum_up(self, ended: bool) -> None:
        episode = self.episode
        success = {None: "", True: " with success", False: " without success"}[episode.success if ended else None]
        self._print("")
        self._print(
            f"Episode {episode.seed} {'ended' + success if ended else 'was left'} after "
            f"{_count(episode.length, 'decision')} and {_count(episode.duration, 'step')}: discounted return "
            f"{episode.discounted_return:.3f}, sum of rewards {episode.undiscounted_return:.3f}.",
            style="bold",
        )
        if self.own:
            self._print(f"You made {_count(self.own, 'choice')}, of which {self.agreed} would have been the agent's.")

    def _print(self, line: str, style: str | None = None) -> None:
        self.console.print(line, style=style, markup=False)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + "s" * (number != 1)
