"""Word order and cloze: documents of the corpus generator that the bundled model was not trained on, cut up.

::

    document    "Ravi is in the kitchen. He sees a pan on the stove. He takes the pan from the stove."
    word order  "Ravi is in the kitchen. He sees a pan on the stove."    "He takes the pan from the stove."
                                                                    or "He takes pan the from the stove."
                                                                    or "He takes the pan the from stove."
                                                                    or "He takes the stove from the pan."
    cloze       "Ravi is in the kitchen. He sees a pan on the stove. He takes the pan from the"    "stove"
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from typing import Any

# A word of these before a noun, or after a word of place, cannot change its place with it.
_DETERMINERS = {"the", "a", "an", "some", "his", "her", "your", "my"}
_PLACES = {"on", "in", "into", "from", "to", "at", "of", "with"}
_PLACED = re.compile(r"\bthe (\w+) (?:on|in|into|from|out of|off|inside|onto) the (\w+)\b")
_WRONG_ORDERS = 3
_LONGEST_CONTEXT = 420  # characters, about 100 tokens
Item = dict[str, Any]


def sentences(document: str) -> list[str]:
    """The sentences of a document of the corpus, which ends each with one of ``.?!``."""
    return re.split(r"(?<=[.?!]) +", document)


def word_order(documents: Iterable[str], rng: random.Random) -> Iterator[Item]:
    """Sentences beside the same with two words exchanged, in three ways.

    Args:
        documents: Fresh documents; each gives one item at most.
        rng: Chooses the sentence and the wrong orders.
    """
    for document in documents:
        told = sentences(document)
        orders = {index: wrong_orders(told[index]) for index in range(2, len(told))}
        asked = [index for index, wrong in orders.items() if len(wrong) >= _WRONG_ORDERS]
        if asked:
            index = rng.choice(asked)
            wrong = rng.sample(orders[index], _WRONG_ORDERS)
            yield {"context": context(told[:index]), "choices": [told[index], *wrong]}


def wrong_orders(sentence: str) -> list[str]:
    """The sentence with two words exchanged that cannot be: determiner and noun, place and determiner, two nouns."""
    words = sentence.split()
    wrong = []
    for place in range(1, len(words) - 2):
        first, second = words[place : place + 2]
        before_noun = first in _DETERMINERS and second.isalpha()
        if before_noun or (first in _PLACES and second in _DETERMINERS):
            wrong.append(" ".join([*words[:place], second, first, *words[place + 2 :]]))
    if (placed := _PLACED.search(sentence)) and placed[1] != placed[2]:
        between = sentence[placed.end(1) : placed.start(2)]
        wrong.append(sentence[: placed.start(1)] + placed[2] + between + placed[1] + sentence[placed.end(2) :])
    return wrong


def cloze(documents: Iterable[str], rng: random.Random) -> Iterator[Item]:
    """Passages without their last word, which has been named before in the passage.

    Args:
        documents: Fresh documents; each gives one item at most.
        rng: Chooses the sentence.
    """
    for document in documents:
        told = sentences(document)
        asked = [index for index in range(2, len(told)) if _completable(told, index)]
        if not asked:
            continue
        index = rng.choice(asked)
        start, _, last = told[index].rpartition(" ")
        yield {"context": context([*told[:index], start]), "target": last[:-1]}


def _completable(told: list[str], index: int) -> bool:
    words = told[index].split()
    last = words[-1][:-1]
    before = re.findall(r"[A-Za-z]+", " ".join(told[:index]))
    return len(words) >= 5 and words[-2] in _DETERMINERS and words[-1].endswith(".") and last in before


def context(told: list[str]) -> str:
    """The last sentences that fit the longest context, as one text."""
    kept: list[str] = []
    for sentence in reversed(told):
        if kept and sum(len(one) + 1 for one in kept) + len(sentence) > _LONGEST_CONTEXT:
            break
        kept.insert(0, sentence)
    return " ".join(kept)
