"""Check an environment before training in it: random episodes, each played twice, every state against the rules.

::

    reset(seed) -- random actions --> episode 1, 2, ... n        rules on every state and step
    reset(seed) -- same actions  --> episode n, ... 2, 1        the same again, in another order
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np

from lightning_twosome.decisions import Decision, DecisionEncoder
from lightning_twosome.envs.check_rules import Problem, state_problems, token_problems, transition_problems
from lightning_twosome.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem and where it was met first.

    Attributes:
        problem: Rule, symptom and likely cause.
        where: The seed and the actions that lead there.
    """

    problem: Problem
    where: str

    def __str__(self) -> str:
        return f"{self.problem.rule}: {self.problem.symptom}, {self.where}. Likely cause: {self.problem.cause}."


@dataclass(slots=True)
class CheckReport:
    """What was played and what was found.

    Attributes:
        name: The environment's id or class.
        episodes: Episodes played, the repetitions not counted.
        decisions: Decisions taken in them.
        fewest_actions: Offered in a state, at least.
        most_actions: Offered in a state, at most.
        longest: Tokens of the longest prompt with an action.
        context: Tokens that the language model can read; ``None`` if it has no limit.
        findings: The first breach of each rule.
        notes: What may be meant so.
    """

    name: str
    episodes: int = 0
    decisions: int = 0
    fewest_actions: int = 0
    most_actions: int = 0
    longest: int = 0
    context: int | None = None
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def _length(self, context: str) -> str:
        return f"at most {self.longest} tokens ({context})" if self.longest else "no state could be read as tokens"

    def __str__(self) -> str:
        actions = f"{self.fewest_actions} to {self.most_actions} actions"
        context = "no limit" if self.context is None else f"{self.context} can be read"
        lines = [
            f"{self.name}: {self.episodes} random episodes of {self.decisions} decisions in all, played twice; "
            f"{actions} a state; {self._length(context)}."
        ]
        lines += [f"note: {note}" for note in self.notes]
        lines += [f"finding: {finding}" for finding in self.findings]
        lines += [] if self.findings else ["No findings."]
        return "\n".join(lines)


def check_text_env(
    env: gymnasium.Env,
    tokenizer: PreTrainedTokenizerBase | None = None,
    max_length: int | None = None,
    episodes: int = 8,
    max_decisions: int = 1000,
    seed: int = 0,
) -> CheckReport:
    """Play random episodes and hold every state and step against what training relies on.

    Args:
        env: A text environment: the observation is the prompt, ``info["actions"]`` the tuple of valid actions.
        tokenizer: The one of the language model that is to act; ``None`` for the bundled model's.
        max_length: Tokens that model can read; ``None`` for the bundled model's where ``tokenizer`` is ``None`` too,
            else for no limit.
        episodes: Episodes to play, each of them twice.
        max_decisions: Decisions after which an episode must have ended.
        seed: Seed of the first episode and of the actions.

    Returns:
        What was played.

    Raises:
        UserError: There are findings; the message lists the first of each kind with its likely cause.
    """
    report = inspect_text_env(env, tokenizer, max_length, episodes, max_decisions, seed)
    if report.findings:
        listed = "\n".join(f"  {finding}" for finding in report.findings)
        raise UserError(f"{report.name} is not ready for training, {len(report.findings)} findings:\n{listed}")
    return report


def inspect_text_env(
    env: gymnasium.Env,
    tokenizer: PreTrainedTokenizerBase | None = None,
    max_length: int | None = None,
    episodes: int = 8,
    max_decisions: int = 1000,
    seed: int = 0,
) -> CheckReport:
    """The same as :func:`check_text_env`, with the findings in the report rather than in an error."""
    for argument, value in (("episodes", episodes), ("max_decisions", max_decisions)):
        if value < 1:
            raise UserError(f"{argument} is {value}; it must be at least 1.")
    if tokenizer is None:
        from lightning_twosome.language_model import load_tokenizer

        tokenizer, context = load_tokenizer()
        max_length = max_length or context
    return _Inspection(env, tokenizer, max_length, max_decisions).run(range(seed, seed + episodes))


class _Inspection:
    """One check of one environment."""

    def __init__(self, env: gymnasium.Env, tokenizer: Any, max_length: int | None, max_decisions: int) -> None:
        name = env.spec.id if env.spec is not None else type(env.unwrapped).__name__
        self.env, self.tokenizer, self.max_decisions = env, tokenizer, max_decisions
        self.encoder = DecisionEncoder(tokenizer, max_length)
        self.report = CheckReport(name, context=max_length)
        self.counts: list[int] = []
        self.vector_shape: tuple[int, ...] | None = None
        self.players: set[int] = set()
        self.durations: dict[int, str] = {}
        self.ends: list[tuple[bool, int]] = []
        self._seen: set[Decision] = set()

    def run(self, seeds: Iterable[int]) -> CheckReport:
        played = [(seed, *self._episode(seed)) for seed in seeds]
        for seed, actions, shown in reversed(played):
            self._repeat(seed, actions, shown)
        if self.players <= {0} and 0 in self.durations:
            problem = Problem(
                "duration", "info['duration'] is 0", "an action takes at least one primitive step, if nobody else acts"
            )
            self._found(self.durations[0], [problem])
        self.report.episodes = len(played)
        self.report.decisions = sum(len(actions) for _, actions, _ in played)
        self.report.fewest_actions, self.report.most_actions = min(self.counts, default=0), max(self.counts, default=0)
        self._note_fixed_length()
        return self.report

    def _episode(self, seed: int) -> tuple[list[int], list[Any]]:
        """Play random actions; returns them and what was shown."""
        generator = np.random.default_rng(seed)
        actions: list[int] = []
        shown: list[Any] = []
        for step in self._steps(seed, lambda count: int(generator.integers(count)), actions):
            shown.append(step)
            where = _where(seed, actions)
            prompt, info = step[0], step[-1]
            ended = len(step) > 2 and bool(step[2] or step[3])
            problems = list(state_problems(prompt, info, ended, self.env.observation_space))
            if len(step) > 2 and isinstance(info, dict):
                problems += transition_problems(step[1], step[2], step[3], info)
            self._found(where, problems)
            if isinstance(info, dict):
                self._collect(where, info, step)
                if not any(problem.rule in ("prompt", "actions", "restatement") for problem in problems):
                    self._read(where, prompt, info, ended)
            if ended:
                self.ends.append((bool(step[2]), len(actions)))
                self._render(where)
        return actions, shown

    def _steps(self, seed: int, choose: Callable[[int], int], actions: list[int]) -> Iterator[tuple[Any, ...]]:
        """What the environment shows, from reset to the end, or to the first exception."""
        try:
            result: Any = self.env.reset(seed=seed)
            yield _snapshot(result)
            while True:
                if len(actions) >= self.max_decisions:
                    problem = Problem(
                        "end",
                        f"the episode has not ended after {self.max_decisions} decisions",
                        "a time limit is missing: gymnasium.register(max_episode_steps=...) or "
                        "gymnasium.wrappers.TimeLimit truncates",
                    )
                    self._found(f"after reset(seed={seed})", [problem])
                    return
                offered = result[-1].get("actions") if isinstance(result[-1], dict) else None
                if not offered:
                    return  # reported as a finding of the state
                action = choose(len(offered))
                actions.append(action)
                result = self.env.step(action)
                yield _snapshot(result)
                if result[2] or result[3]:
                    return
        except Exception as error:
            what = "reset" if not actions else "step"
            cause = (
                "reset must take seed and options" if not actions else "every index of info['actions'] must be valid"
            )
            problem = Problem("exception", f"{what} raised {type(error).__name__}: {error}", cause)
            self._found(_where(seed, actions), [problem])

    def _collect(self, where: str, info: dict[str, Any], step: tuple[Any, ...]) -> None:
        """What is judged over several states."""
        self.counts += [len(info["actions"])] if isinstance(info.get("actions"), tuple) and info["actions"] else []
        if isinstance(info.get("player", 0), int):
            self.players.add(info.get("player", 0))
        if len(step) > 2 and isinstance(info.get("duration", 1), int):
            self.durations.setdefault(info.get("duration", 1), where)
        vector = info.get("vector")
        if isinstance(vector, np.ndarray):
            shape, self.vector_shape = self.vector_shape, self.vector_shape or vector.shape
            if shape not in (None, vector.shape):
                problem = Problem(
                    "vector", f"its shape is {vector.shape}, before {shape}", "give one shape in all states"
                )
                self._found(where, [problem])

    def _read(self, where: str, prompt: str, info: dict[str, Any], ended: bool) -> None:
        """The state as tokens, each text once."""
        decisions = [Decision(prompt, info.get("actions") or ())]
        decisions += [Decision(*info["restatement"])] if "restatement" in info else []
        if len(decisions) == 2 and decisions[0].actions and decisions[0] == decisions[1]:
            problem = Problem("restatement", "it says the same in the same words", "choose another style for it")
            self._found(where, [problem])
        for decision in decisions:
            if not decision.actions or decision in self._seen:
                continue
            self._seen.add(decision)
            self._found(where, token_problems(decision, self.encoder, self._tokens))
            longest = max(len(self._tokens(f"{decision.prompt} {action}")[0]) for action in decision.actions)
            self.report.longest = max(self.report.longest, longest)

    def _tokens(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        made = self.tokenizer(text, return_offsets_mapping=True, verbose=False)
        return made["input_ids"], made["offset_mapping"]

    def _render(self, where: str) -> None:
        if self.env.render_mode != "rgb_array":
            return
        picture: Any = self.env.render()
        if not (isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.shape[2:] == (3,)):
            found = getattr(picture, "shape", type(picture).__name__)
            cause = "render() gives a uint8 array [height, width, 3] with render_mode='rgb_array'"
            self._found(where, [Problem("render", f"the picture is {found}", cause)])

    def _repeat(self, seed: int, actions: list[int], shown: list[Any]) -> None:
        """Play an episode again, after others: everything must come back."""
        again: list[int] = []
        remaining = iter(actions)
        steps = self._steps(seed, lambda count: next(remaining, 0), again)
        for number, (first, second) in enumerate(zip(shown, steps, strict=False)):
            differing = _difference(first, second)
            if differing is not None:
                cause = (
                    "the random numbers do not come from self.np_random after super().reset(seed=seed), or something "
                    "is left over from an earlier episode"
                )
                self._found(_where(seed, actions[:number]), [Problem("seed", f"{differing} the second time", cause)])
                return

    def _note_fixed_length(self) -> None:
        lengths = {length for terminated, length in self.ends if terminated}
        if (
            len(self.ends) > 2
            and len(lengths) == 1
            and all(terminated for terminated, _ in self.ends)
            and lengths != {1}
        ):
            self.report.notes.append(
                f"all episodes were terminated after {lengths.pop()} decisions: if that is a time limit, return "
                "truncated=True for it, so that the value of the last state is counted"
            )

    def _found(self, where: str, problems: Iterable[Problem]) -> None:
        for problem in problems:
            if all(finding.problem.rule != problem.rule for finding in self.report.findings):
                self.report.findings.append(Finding(problem, where))


def _where(seed: int, actions: list[int]) -> str:
    if not actions:
        return f"at reset(seed={seed})"
    shown = actions if len(actions) <= 12 else [*actions[:12], "..."]
    return f"after reset(seed={seed}) and the actions [{', '.join(map(str, shown))}]"


def _snapshot(result: tuple[Any, ...]) -> tuple[Any, ...]:
    """A result that the environment cannot change any more."""
    *most, info = result
    if not isinstance(info, dict):
        return (*most, info)
    return (*most, {key: value.copy() if isinstance(value, np.ndarray) else value for key, value in info.items()})


def _difference(first: tuple[Any, ...], second: tuple[Any, ...]) -> str | None:
    """What differs between two results of reset or step."""
    names = (
        ("the prompt", "info") if len(first) == 2 else ("the prompt", "the reward", "terminated", "truncated", "info")
    )
    for name, one, other in zip(names, first, second, strict=False):
        if name == "info" and isinstance(one, dict) and isinstance(other, dict):
            keys = [key for key in {**one, **other} if not _equal(one.get(key), other.get(key))]
            if keys:
                return f"info[{keys[0]!r}] was {one.get(keys[0])!r} and is {other.get(keys[0])!r}"
        elif not _equal(one, other):
            return f"{name} was {one!r} and is {other!r}"
    return None


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    return bool(one == other) or bool(one != one and other != other)  # nan, which the reward's rule names
