"""The corpus: a fixed mixture of document kinds as a deterministic function of a seed and a number of documents."""

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator

from .advice import advice
from .facts import facts
from .household import household
from .procedures import procedure
from .recipes import recipe
from .scenes import scene

CORPUS_VERSION = 1
KINDS: tuple[tuple[str, Callable[[random.Random], str], float], ...] = (
    ("procedure", procedure, 0.38),
    ("recipe", recipe, 0.13),
    ("advice", advice, 0.13),
    ("household", household, 0.17),
    ("facts", facts, 0.13),
    ("scene", scene, 0.06),
)


def generate_documents(seed: int, count: int) -> Iterator[str]:
    """Yields ``count`` documents without line breaks; equal arguments give equal texts.

    Every document has its own random stream, so that the first n documents do not depend on ``count``.

    Args:
        seed: Seed of the corpus.
        count: Number of documents.

    Yields:
        One document at a time; no document occurs twice.
    """
    seen: set[str] = set()
    index = 0
    while len(seen) < count:
        rng = random.Random(f"corpus {CORPUS_VERSION} {seed} {index}")
        index += 1
        document = document_kind(rng)(rng)
        if document not in seen:
            seen.add(document)
            yield document


def document_kind(rng: random.Random) -> Callable[[random.Random], str]:
    """Draws the kind of the next document."""
    return rng.choices([kind[1] for kind in KINDS], [kind[2] for kind in KINDS])[0]


def corpus_digest(documents: Iterable[str]) -> str:
    """Returns the sha256 of the documents, each followed by a line break, in hexadecimal."""
    digest = hashlib.sha256()
    for document in documents:
        digest.update(document.encode("utf-8") + b"\n")
    return digest.hexdigest()
