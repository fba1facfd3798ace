"""Writes the documents of the offline suite: ``python -m lightning_twosome.forgetting.generate``.

Everything follows from one seed. The training documents of the bundled model are generated too, in order to leave out
every item whose asked sentence occurs in them; passages come from a seed of the corpus that the model never saw.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lightning_twosome.forgetting.passages import cloze, sentences, word_order
from lightning_twosome.forgetting.questions import agreements, choices
from lightning_twosome.pretraining.__main__ import split_corpus
from lightning_twosome.pretraining.corpus import generate_documents

SUITE = Path(__file__).parent / "suite"
DOCUMENTS = 300
TRAINING_SEED, TRAINING_DOCUMENTS = 0, 27000  # those of docs/bundled_model.md
Item = dict[str, Any]


def generate(seed: int, count: int = DOCUMENTS) -> dict[str, list[Item]]:
    """The documents of each task that has some of its own, by the task's name.

    Args:
        seed: Seed of everything, and of the corpus that the passages are taken from.
        count: Documents of each task.
    """
    if seed == TRAINING_SEED:
        raise ValueError(f"seed={seed} is that of the training documents: choose another.")
    known = known_sentences()
    fresh = [document for document in generate_documents(seed, 6 * count) if known.isdisjoint([document])]
    tasks = {
        "home_choice": choices(random.Random(f"choice {seed}")),
        "home_word_order": word_order(fresh[::2], random.Random(f"word order {seed}")),
        "home_agreement": agreements(random.Random(f"agreement {seed}")),
        "home_cloze": cloze(fresh[1::2], random.Random(f"cloze {seed}")),
    }
    shuffler = random.Random(f"order {seed}")
    return {name: _take(items, count, known, shuffler) for name, items in tasks.items()}


def known_sentences() -> set[str]:
    """Every sentence of the documents that the bundled model was trained on."""
    training, _ = split_corpus(TRAINING_SEED, TRAINING_DOCUMENTS)
    return {sentence for document in training for sentence in sentences(document)}


def asked_sentence(item: Item) -> str:
    """The sentence that the right answer completes; the right choice is the one at ``label``."""
    answer = item["choices"][item["label"]] if "choices" in item else f"{item['target']}."
    return sentences(f"{item['context']} {answer}")[-1]


def _take(items: Iterable[Item], count: int, known: set[str], rng: random.Random) -> list[Item]:
    """The first different items whose asked sentence is new, their choices in random order."""
    taken: dict[str, Item] = {}
    for item in _labelled(items, rng):
        sentence = asked_sentence(item)
        if sentence not in known:
            taken.setdefault(f"{item['context']} {sentence}", item)
        if len(taken) == count:
            return list(taken.values())
    raise ValueError(f"There are only {len(taken)} items, not {count}: generate more documents.")


def _labelled(items: Iterable[Item], rng: random.Random) -> Iterator[Item]:
    for item in items:
        if "choices" not in item:
            yield item
            continue
        order = rng.sample(range(len(item["choices"])), len(item["choices"]))
        yield item | {"choices": [item["choices"][index] for index in order], "label": order.index(0)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``python -m lightning_twosome.forgetting.generate``."""
    parser = argparse.ArgumentParser(prog="python -m lightning_twosome.forgetting.generate", description=__doc__)
    parser.add_argument("--output", type=Path, default=SUITE, help="folder of the JSON lines")
    parser.add_argument("--seed", type=int, default=1, help="seed of every document, not 0")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    for name, items in generate(options.seed).items():
        lines = "".join(f"{json.dumps(item)}\n" for item in items)
        (options.output / f"{name}.jsonl").write_text(lines, encoding="utf-8")
        print(f"{name}: {len(items)} documents")


if __name__ == "__main__":
    main()
