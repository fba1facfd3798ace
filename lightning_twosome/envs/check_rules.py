"""What a text environment may show, rule by rule: each breach is a symptom with its likely cause.

::

    prompt, info                    --state_problems-->       prompt, actions, ids, vector, player, task, restatement
    reward, flags, info             --transition_problems-->  reward, duration, step rewards, ends, success
    prompt + " " + action           --token_problems-->       boundary, context
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from lightning_twosome.decisions import Decision, DecisionEncoder, first_words
from lightning_twosome.errors import UserError


class Problem(NamedTuple):
    """A breach of a rule.

    Attributes:
        rule: Which rule; the first breach of each is reported.
        symptom: What was seen.
        cause: What is likely behind it, or the way out.
    """

    rule: str
    symptom: str
    cause: str


def state_problems(prompt: Any, info: Any, ended: bool, space: Any) -> Iterator[Problem]:
    """What is wrong with a state as the environment shows it.

    Args:
        prompt: The observation.
        info: The information beside it.
        ended: Whether the episode ended here; actions may then be missing.
        space: The environment's observation space.
    """
    if not isinstance(info, dict):
        yield Problem("info", f"info is a {type(info).__name__}", "reset and step must return a dict last")
        return
    yield from _prompt_problems("prompt", prompt)
    if isinstance(prompt, str) and prompt.strip() and not space.contains(prompt):
        yield Problem(
            "observation space",
            f"the prompt {first_words(prompt)!r} is not in the observation space {space}",
            "use gymnasium.spaces.Text with a max_length and a charset that fit; the default charset has no blank",
        )
    actions = info.get("actions")
    if actions is None and not ended:
        yield Problem("actions", "info has no 'actions'", "both reset and step must set info['actions']")
    elif actions or not ended:
        yield from _action_problems("actions", actions)
    yield from _extra_problems(info, ended)


def _prompt_problems(rule: str, prompt: Any) -> Iterator[Problem]:
    if not isinstance(prompt, str):
        kind = type(prompt).__name__
        yield Problem(
            rule, f"the {rule} is a {kind}", "observe text; TextWrapper makes text out of another observation"
        )
    elif not prompt.strip():
        yield Problem(
            rule, f"the {rule} is empty", "also the last state of an episode needs one: its value is asked for"
        )
    elif prompt != prompt.rstrip():
        yield Problem(
            rule,
            f"the {rule} {prompt[-20:]!r} ends in a blank",
            "a blank is put between prompt and action: strip the prompt, or two blanks are read as other tokens",
        )


def _action_problems(rule: str, actions: Any) -> Iterator[Problem]:
    if not isinstance(actions, tuple):
        kind = type(actions).__name__
        yield Problem(rule, f"the {rule} are a {kind}", "give a tuple of str: a list can be changed after it was shown")
        return
    if not actions:
        yield Problem(
            rule,
            "no action is offered",
            "offer at least one in every state that does not end the episode, such as wait",
        )
    for action in actions:
        if not isinstance(action, str):
            yield Problem(rule, f"the action {action!r} is a {type(action).__name__}", "actions are texts (str)")
        elif not action or action != action.strip():
            yield Problem(
                rule, f"the action {action!r} has blanks around it or is empty", "strip it; the joining blank is added"
            )
        elif "\n" in action or "\r" in action:
            yield Problem(
                rule, f"the action {action!r} has a line break", "an action is one line: replace it by a blank"
            )
    twice = next((action for action in actions if actions.count(action) > 1), None)
    if twice is not None:
        yield Problem(
            rule,
            f"the action {twice!r} is offered twice",
            "the policy cannot tell equal texts apart: word what differs (which door?) or offer it once",
        )


def _extra_problems(info: dict[str, Any], ended: bool) -> Iterator[Problem]:
    """The optional information."""
    actions = info.get("actions") or ()
    ids = info.get("action_ids")
    if ids is not None and not (
        isinstance(ids, tuple) and all(_is_int(i) for i in ids) and len(ids) == len(set(ids)) == len(actions)
    ):
        yield Problem(
            "action_ids",
            f"info['action_ids'] is {ids!r} for {len(actions)} actions",
            "give a tuple of different ints, one for each offered action",
        )
    vector = info.get("vector")
    if vector is not None and not (isinstance(vector, np.ndarray) and np.issubdtype(vector.dtype, np.number)):
        yield Problem("vector", f"info['vector'] is a {type(vector).__name__}", "give a numpy array of numbers")
    player = info.get("player", 0)
    if not _is_int(player) or player < 0:
        yield Problem("player", f"info['player'] is {player!r}", "give the number of the player who decides next")
    task = info.get("task")
    if task is not None and (not isinstance(task, str) or not task.strip()):
        yield Problem("task", f"info['task'] is {task!r}", "give the name of the episode's task, or leave it out")
    if "restatement" in info:
        yield from _restatement_problems(info["restatement"], actions)


def _restatement_problems(restatement: Any, actions: Any) -> Iterator[Problem]:
    match restatement:
        case (str() as prompt, tuple() as restated):
            yield from _prompt_problems("restatement", prompt)
            if restated or actions:
                yield from _action_problems("restatement", restated)
            if len(restated) != len(actions):
                yield Problem(
                    "restatement",
                    f"the restatement offers {len(restated)} actions, the state {len(actions)}",
                    "it must say the same in other words: the same actions in the same order",
                )
        case _:
            yield Problem(
                "restatement", f"info['restatement'] is {restatement!r}", "give a pair of a prompt and a tuple of str"
            )


def transition_problems(reward: Any, terminated: Any, truncated: Any, info: dict[str, Any]) -> Iterator[Problem]:
    """What is wrong with what a step returns beside the state."""
    for name, flag in (("terminated", terminated), ("truncated", truncated)):
        if not isinstance(flag, bool | np.bool_):
            yield Problem(name, f"{name} is {flag!r}", "give a bool: terminated for an end, truncated for a time limit")
    if isinstance(reward, bool) or not isinstance(reward, int | float | np.number) or not math.isfinite(float(reward)):
        yield Problem("reward", f"the reward is {reward!r}", "give a finite float")
        return
    yield from _payment_problems(float(reward), info)
    if "success" in info and not isinstance(info["success"], bool | np.bool_):
        yield Problem(
            "success", f"info['success'] is {info['success']!r}", "give a bool at the end, or leave it out altogether"
        )


def _payment_problems(reward: float, info: dict[str, Any]) -> Iterator[Problem]:
    duration = info.get("duration", 1)
    if not _is_int(duration) or duration < 0:
        yield Problem("duration", f"info['duration'] is {duration!r}", "give primitive steps as an int of at least 0")
        return
    rewards = info.get("step_rewards")
    if rewards is None:
        return
    if not isinstance(rewards, tuple) or not all(isinstance(r, int | float | np.number) for r in rewards):
        yield Problem("step_rewards", f"info['step_rewards'] is {rewards!r}", "give a tuple of float")
    elif len(rewards) != duration:
        yield Problem(
            "step_rewards",
            f"info['step_rewards'] has {len(rewards)} rewards for a duration of {duration}",
            "give one for each primitive step; info['duration'] says how many there were and is 1 if left out",
        )
    elif not math.isclose(math.fsum(rewards), reward, rel_tol=1e-4, abs_tol=1e-4):
        yield Problem(
            "step_rewards",
            f"info['step_rewards'] sum to {math.fsum(rewards):g}, the reward is {reward:g}",
            "the reward is their undiscounted sum; discounting is the algorithm's work",
        )


def token_problems(decision: Decision, encoder: DecisionEncoder, read: Callable[[str], Any]) -> Iterator[Problem]:
    """What is wrong with a state as tokens.

    Args:
        decision: Prompt and actions without other problems.
        encoder: Encodes as training does.
        read: The ids and offsets of a text.
    """
    prompt, end = decision.prompt, len(decision.prompt)
    try:
        encoded = encoder.encode(decision)
        alone = encoder.encode_prompt(prompt)
    except UserError as error:
        yield Problem("context" if "context of" in str(error) else "tokens", str(error).rstrip("."), "see there")
        return
    if len({suffix.tobytes() for suffix in encoded.suffixes}) < len(encoded.suffixes):
        yield Problem(
            "tokens",
            f"two of the actions {decision.actions!r} are the same tokens",
            "this tokenizer drops what makes them differ (capitals, accents): word them differently",
        )
    for action in decision.actions:
        ids, offsets = read(f"{prompt} {action}")
        across = next((span for span in offsets if span[0] < end < span[1]), None)
        if across is not None or tuple(ids[: len(alone)]) != alone:
            seam = f"{prompt} {action}"[max(0, end - 12) : end + 12]
            yield Problem(
                "boundary",
                f"the tokenizer reads over the end of the prompt, at {seam!r}",
                "the end of the prompt then means something else with each action: end it in a whole word or a "
                "sign such as a comma or a colon",
            )
            return


def _is_int(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
