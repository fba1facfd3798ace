"""How much of the environments' texts stands in the corpus that the bundled model was trained on.

    python benchmarks/overlap.py

The whole corpus is generated again and compared, lower-cased, with every prompt and action text that the kitchen and
the household can show. A whole prompt or goal sentence in the corpus would be a leak; single phrases of ordinary
English are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lightning_twosome.envs.household.simulator import House
from lightning_twosome.envs.household.task import load_task as load_household_task
from lightning_twosome.envs.household.text import PROMPT_STYLES
from lightning_twosome.envs.household.text import Narrator as HouseholdNarrator
from lightning_twosome.envs.kitchen.simulator import DELIVERED, Kitchen
from lightning_twosome.envs.kitchen.task import load_task
from lightning_twosome.envs.kitchen.text import PROMPT_STYLES as KITCHEN_STYLES
from lightning_twosome.envs.kitchen.text import Narrator
from lightning_twosome.envs.kitchen.view import look
from lightning_twosome.pretraining import vocabulary
from lightning_twosome.pretraining.corpus import generate_documents

KITCHEN_TASKS = ("TomatoSalad", "TomatoLettuceSalad")
HOUSEHOLD_TASKS = ("FoodPreparation", "Entertainment")
GRAM = 8


@dataclass(frozen=True)
class Overlap:
    """Shares are of the environment's different texts, between 0 and 1.

    Attributes:
        prompts: Whole prompts that stand in the corpus.
        goals: Goal sentences (the last, open one of a prompt, unless others are given) that stand in the corpus.
        grams: Word 8-grams of the prompts, with each action after them, that stand in the corpus.
        templates: Sentences of the prompts whose wording with nouns masked is that of a sentence of the corpus.
        actions: Action texts that stand in the corpus.
        found_actions: Those action texts.
    """

    prompts: float
    goals: float
    grams: float
    templates: float
    actions: float
    found_actions: tuple[str, ...]


def kitchen_texts(task_name: str, style: str = KITCHEN_STYLES[0]) -> set[tuple[str, tuple[str, ...]]]:
    """Every different (prompt, actions) that a kitchen task can show."""
    task = load_task(task_name)
    kitchen, narrator = Kitchen(task), Narrator(task, style)
    states, queue = {kitchen.initial}, [kitchen.initial]
    for state in queue:  # grows while it is walked through
        for action in task.actions:
            outcome = kitchen.act(state, action)
            if outcome.event != DELIVERED and outcome.state not in states:
                states.add(outcome.state)
                queue.append(outcome.state)
    views = {look(kitchen, state) for state in states}
    return {(narrator.prompt(view), narrator.actions(view)) for view in views}


def kitchen_goals(task_name: str, style: str) -> set[str]:
    """What a kitchen task asks for, in one prompt style."""
    return {Narrator(load_task(task_name), style).goal}


def household_texts(task_name: str, style: str = PROMPT_STYLES[0]) -> set[tuple[str, tuple[str, ...]]]:
    """Every different (prompt, actions) that a household task can show before its goal."""
    house = House(load_household_task(task_name))
    narrator = HouseholdNarrator(house, style)
    states, queue = {house.initial}, [house.initial]
    for state in queue:  # grows while it is walked through
        for index in house.offered(state):
            after = house.act(state, house.task.actions[index])
            if after is not None and after not in states and not house.succeeded(after):
                states.add(after)
                queue.append(after)
    return {(narrator.prompt(state), narrator.actions(state, house.offered(state))) for state in states}


def household_goals(task_name: str) -> set[str]:
    """What a household task's prompts say of its goal, in any style."""
    return {load_household_task(task_name).aim}


class Corpus:
    """What is looked up in a corpus: its words in a row, its 8-grams and its sentences with nouns masked."""

    def __init__(self, documents: Iterable[str]) -> None:
        self.words, self.grams, self.templates = "", set[tuple[str, ...]](), set[tuple[str, ...]]()
        rows = []
        for document in documents:
            lowered = document.lower()
            rows.append(_words_only(lowered))
            self.grams |= _grams(lowered)
            self.templates |= {_template(sentence) for sentence in _sentences(lowered)}
        self.words = "\n".join(rows)


def measure(corpus: Corpus, texts: Iterable[tuple[str, Sequence[str]]], goals: Iterable[str] | None = None) -> Overlap:
    """Compare a corpus with an environment's prompts and actions."""
    decisions = [(prompt.lower(), [action.lower() for action in actions]) for prompt, actions in texts]
    prompts = {prompt for prompt, _ in decisions}
    goals = {_sentences(prompt)[-1] for prompt in prompts} if goals is None else {goal.lower() for goal in goals}
    actions = {action for _, offered in decisions for action in offered}
    grams = {gram for prompt, offered in decisions for action in offered for gram in _grams(f"{prompt} {action}")}
    templates = {_template(sentence) for prompt in prompts for sentence in _sentences(prompt)[:-1]}
    found = tuple(sorted(action for action in actions if _words_only(action) in corpus.words))
    return Overlap(
        prompts=_share(_words_only(prompt) in corpus.words for prompt in prompts),
        goals=_share(_words_only(goal) in corpus.words for goal in goals),
        grams=len(grams & corpus.grams) / len(grams),
        templates=len(templates & corpus.templates) / len(templates),
        actions=len(found) / len(actions),
        found_actions=found,
    )


def _share(hits: Iterable[bool]) -> float:
    values = list(hits)
    return sum(values) / len(values)


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9'-]+", text)


def _words_only(text: str) -> str:
    return f" {' '.join(_words(text))} "


def _grams(text: str) -> set[tuple[str, ...]]:
    words = _words(text)
    return {tuple(words[i : i + GRAM]) for i in range(len(words) - GRAM + 1)}


def _sentences(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"(?<=[.!?])\s+", text) if part.strip()]


def _nouns() -> set[str]:
    """Every noun of the corpus's word tables, in the singular forms that the tables hold, word by word."""
    names: set[str] = set()
    for value in vars(vocabulary).values():
        names |= set(_strings(value))
    kitchen = {"bowl", "board", "counter", "delivery", "salad", "hand", "hands", "kitchen"}
    return {word for name in names for word in _words(name.lower())} | kitchen


def _strings(value: object) -> Iterable[str]:
    if isinstance(value, vocabulary.Noun):
        yield from (value.name, *value.homes)
    elif isinstance(value, dict):
        yield from (name for item in value.items() for part in item for name in _strings(part))
    elif isinstance(value, tuple | set | list):
        yield from (name for item in value for name in _strings(item))
    elif isinstance(value, str) and " " not in value[40:]:
        yield value


NOUNS = _nouns() - {"of", "the", "a", "and", "to", "in", "on"}


def _template(sentence: str) -> tuple[str, ...]:
    """The words of a sentence with each run of nouns as one mark."""
    marked = ["<noun>" if word in NOUNS else word for word in _words(sentence)]
    return tuple(word for i, word in enumerate(marked) if word != "<noun>" or marked[i - 1 : i] != ["<noun>"])


def main() -> None:
    """Measure kitchens and households against the corpus of the bundled model."""
    corpus = Corpus(generate_documents(0, 27000))
    print("| | whole prompts | goal sentences | 8-grams | masked sentences | action texts |")
    print("|---|---|---|---|---|---|")
    for name in KITCHEN_TASKS:
        for style in KITCHEN_STYLES:
            _report(f"{name}, {style}", measure(corpus, kitchen_texts(name, style), kitchen_goals(name, style)))
    for name in HOUSEHOLD_TASKS:
        for style in PROMPT_STYLES:
            _report(f"{name}, {style}", measure(corpus, household_texts(name, style), household_goals(name)))


def _report(name: str, overlap: Overlap) -> None:
    shares = (overlap.prompts, overlap.goals, overlap.grams, overlap.templates, overlap.actions)
    print(f"| {name} | " + " | ".join(f"{share:.1%}" for share in shares) + " |")
    print(f"found action texts: {', '.join(overlap.found_actions) or 'none'}")


if __name__ == "__main__":
    main()
