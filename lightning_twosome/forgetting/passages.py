"""Word order and cloze: documents of the corpus generator that the bundled model was not trained on, cut up.

::

    document    "Ravi is in the kitchen. He sees a pan on the stove. He takes the pan from the stove."
    word order  "Ravi is in the kitchen. He sees a pan on the stove."    "He takes the pan from the stove."
                                                                    or "He takes pan the from the stove."
                                                                    or "He takes the stove from the pan."
    cloze       "Ravi is in the kitchen. He sees a pan on the stove. He takes the pan from the"    "stove"
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from typing import Any

# A word of these before another one cannot follow it: swapping the two is never English.
_DETERMINERS = {"the", "a", "an", "some", "his", "her", "your", "my"}
_PLACED = re.compile(r"\bthe (\w+) (?:on|in|into|from|out of|off|inside|onto) the (\w+)\b")
_LONGEST_CONTEXT = 420  # characters, about 100 tokens
Item = dict[str, Any]


def sentences(document: str) -> list[str]:
    """The sentences of a document of the corpus, which ends each with one of ``.?!``."""
    return re.split(r"(?<=[.?!]) +", document)


def word_order(documents: Iterable[str], rng: random.Random) -> Iterator[Item]:
    """Sentences beside the same with two words swapped: a determiner and its noun, or two nouns.

    Args:
        documents: Fresh documents; each gives one item at most.
        rng: Chooses the sentence and the swap.
    """
    for document in documents:
        told = sentences(document)
        swapped = [(index, wrong) for index in range(2, len(told)) for wrong in _swapped(told[index], rng)]
        if swapped:
            index, wrong = rng.choice(swapped)
            yield {"context": context(told[:index]), "choices": [told[index], wrong]}


def _swapped(sentence: str, rng: random.Random) -> list[str]:
    """The sentence in wrong orders, at most one of each kind."""
    words = sentence.split()
    if not 6 <= len(words) <= 16:
        return []
    wrong = []
    places = [
        place for place in range(1, len(words) - 2) if words[place] in _DETERMINERS and words[place + 1].isalpha()
    ]
    if places:
        place = rng.choice(places)
        wrong.append(" ".join([*words[:place], words[place + 1], words[place], *words[place + 2 :]]))
    if (placed := _PLACED.search(sentence)) and placed[1] != placed[2]:
        first, between, second = placed.span(1), sentence[placed.end(1) : placed.start(2)], placed.span(2)
        wrong.append(sentence[: first[0]] + placed[2] + between + placed[1] + sentence[second[1] :])
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
