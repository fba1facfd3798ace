"""How much of the environments' texts stands in the corpus that the bundled model was trained on.

    python benchmarks/overlap.py

The whole corpus is generated again and compared, lower-cased, with every prompt and action text that the kitchen can
show. A whole prompt or goal sentence in the corpus would be a leak; single phrases of ordinary English are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lightning_twosome.envs.kitchen.simulator import DELIVERED, Kitchen
from lightning_twosome.envs.kitchen.task import load_task
from lightning_twosome.envs.kitchen.text import Narrator
from lightning_twosome.envs.kitchen.view import look
from lightning_twosome.pretraining import vocabulary
from lightning_twosome.pretraining.corpus import generate_documents

KITCHEN_TASKS = ("TomatoSalad", "TomatoLettuceSalad")
GRAM = 8


@dataclass(frozen=True)
class Overlap:
    """Shares are of the environment's different texts, between 0 and 1.

    Attributes:
        prompts: Whole prompts that stand in the corpus.
        goals: Goal sentences (the last, open one of a prompt) that stand in the corpus.
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


def kitchen_texts(task_name: str) -> set[tuple[str, tuple[str, ...]]]:
    """Every different (prompt, actions) that a kitchen task can show."""
    task = load_task(task_name)
    kitchen, narrator = Kitchen(task), Narrator(task)
    states, queue = {kitchen.initial}, [kitchen.initial]
    for state in queue:  # grows while it is walked through
        for action in task.actions:
            outcome = kitchen.act(state, action)
            if outcome.event != DELIVERED and outcome.state not in states:
                states.add(outcome.state)
                queue.append(outcome.state)
    views = {look(kitchen, state) for state in states}
    return {(narrator.prompt(view), narrator.actions(view)) for view in views}


def measure(documents: Iterable[str], texts: Iterable[tuple[str, Sequence[str]]]) -> Overlap:
    """Compare a corpus with an environment's prompts and actions."""
    decisions = [(prompt.lower(), [action.lower() for action in actions]) for prompt, actions in texts]
    prompts = {prompt for prompt, _ in decisions}
    goals = {_sentences(prompt)[-1] for prompt in prompts}
    actions = {action for _, offered in decisions for action in offered}
    grams = {gram for prompt, offered in decisions for action in offered for gram in _grams(f"{prompt} {action}")}
    templates = {_template(sentence) for prompt in prompts for sentence in _sentences(prompt)[:-1]}
    lowered = [document.lower() for document in documents]
    corpus = "\n".join(_words_only(document) for document in lowered)
    corpus_grams = {gram for document in lowered for gram in _grams(document)}
    corpus_templates = {_template(sentence) for document in lowered for sentence in _sentences(document)}
    found = tuple(sorted(action for action in actions if _words_only(action) in corpus))
    return Overlap(
        prompts=_share(_words_only(prompt) in corpus for prompt in prompts),
        goals=_share(_words_only(goal) in corpus for goal in goals),
        grams=len(grams & corpus_grams) / len(grams),
        templates=len(templates & corpus_templates) / len(templates),
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
    """Measure both kitchens against the corpus of the bundled model."""
    documents = list(generate_documents(0, 27000))
    print("| | whole prompts | goal sentences | 8-grams | masked sentences | action texts |")
    print("|---|---|---|---|---|---|")
    for name in KITCHEN_TASKS:
        overlap = measure(documents, kitchen_texts(name))
        shares = (overlap.prompts, overlap.goals, overlap.grams, overlap.templates, overlap.actions)
        print(f"| {name} | " + " | ".join(f"{share:.1%}" for share in shares) + " |")
        print(f"found action texts: {', '.join(overlap.found_actions) or 'none'}")


if __name__ == "__main__":
    main()
