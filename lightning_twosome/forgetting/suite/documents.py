"""What the YAML files name with ``!function``: lm-eval loads this file by its path, wherever it is run from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from datasets import Dataset

FOLDER = Path(__file__).resolve().parent
HELD_OUT = FOLDER.parent.parent / "bundled" / "held_out.txt"


def read(file: str, **settings: Any) -> dict[str, Dataset]:
    """The documents of a JSON lines file that lies beside this one, as a test split."""
    lines = (FOLDER / file).read_text(encoding="utf-8").splitlines()
    return {"test": Dataset.from_list([json.loads(line) for line in lines])}


def held_out(longest: int, **settings: Any) -> dict[str, Dataset]:
    """The held-out documents of the bundled corpus that have at most ``longest`` characters."""
    texts = HELD_OUT.read_text(encoding="utf-8").splitlines()
    return {"test": Dataset.from_list([{"text": text} for text in texts if len(text) <= longest])}


def text_likelihood(doc: dict[str, Any], results: list[tuple[float, bool]]) -> dict[str, tuple[float, int]]:
    """A text's log-likelihood with its bytes and words, as lm-eval's perplexities take them."""
    ((log_likelihood, _),) = results
    text = doc["text"]
    return {
        "byte_perplexity": (log_likelihood, len(text.encode("utf-8"))),
        "word_perplexity": (log_likelihood, len(text.split())),
    }
