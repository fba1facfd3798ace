"""A folder of tiny tasks in lm-eval's format, and requests as lm-eval makes them, for the tests of forgetting."""

from __future__ import annotations

import random
from pathlib import Path

from lm_eval.api.instance import Instance

from tests.tiny_models import WORDS

NAMES = ("toy_doors", "toy_text", "toy_word")

_DOCUMENTS = """\
from datasets import Dataset

COLOURS = ("red", "green", "blue", "white", "black")


def doors(**settings):
    rows = [
        {"text": f"You stand at door {i % 7}. The {COLOURS[i % 5]} lamp is on. You", "label": i % 3,
         "choices": ["walk left", "walk right", f"press {COLOURS[i % 4]}"]}
        for i in range(23)
    ]
    return {"test": Dataset.from_list(rows)}


def texts(**settings):
    return {"test": Dataset.from_list([{"text": f"Door {i} is {COLOURS[i % 5]}. " * (1 + i % 3)} for i in range(9)])}
"""
_TASK = """\
task: {name}
dataset_path: ""
custom_dataset: !function documents.{function}
output_type: {kind}
test_split: test
doc_to_text: "{text}"
doc_to_target: "{target}"
{more}
metric_list:
  - metric: {metric}
"""


def write_tasks(folder: Path) -> str:
    """A multiple choice, a rolling perplexity and a greedy word, with an odd number of documents."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "documents.py").write_text(_DOCUMENTS)
    tasks = {
        "toy_doors": ("doors", "multiple_choice", "{{text}}", "{{label}}", "doc_to_choice: choices", "acc"),
        "toy_text": ("texts", "loglikelihood_rolling", "", "{{text}}", "", "byte_perplexity"),
        "toy_word": ("doors", "loglikelihood", "{{text}}", "{{' ' + choices[label]}}", "", "acc"),
    }
    for name, (function, kind, text, target, more, metric) in tasks.items():
        written = _TASK.format(
            name=name, function=function, kind=kind, text=text, target=target, more=more, metric=metric
        )
        (folder / f"{name}.yaml").write_text(written)
    return str(folder)


def requests(kind: str, arguments: list[tuple[str, ...]]) -> list[Instance]:
    """Requests with these arguments."""
    return [
        Instance(request_type=kind, doc={}, arguments=pair, idx=index, metadata=("toy", index, 1))
        for index, pair in enumerate(arguments)
    ]


def pairs(seed: int = 0) -> list[tuple[str, str]]:
    """Contexts and continuations of every kind that tasks ask for, in random order."""
    source = random.Random(seed)

    def text(low: int, high: int) -> str:
        return " ".join(source.choices(WORDS, k=source.randint(low, high)))

    made = [("", f"{text(1, 3)} {text(2, 6)}") for _ in range(4)]  # whole sentences
    made += [("", "put the bowl"), ("", "put the bowl on the table"), ("", "put the table on the bowl")]
    for _ in range(5):  # several continuations of one context, one twice
        context = text(3, 20)
        made += [(context, f" {text(1, 4)}") for _ in range(source.randint(2, 5))]
        made.append(made[-1])
    for _ in range(2):  # several contexts of one continuation
        start, end = text(4, 8), f" {text(2, 3)}"
        made += [(f"{start} {word}", end) for word in source.sample(WORDS, 2)]
    shots = text(30, 40)
    made += [(f"{shots}\n\n{text(4, 6)}", f" {letter}") for letter in ("A", "B", "walk", "put")]  # one few-shot prompt
    made += [
        ("the tomato  ", "is"),
        ("the toma", "to and the bowl"),
        ("a kit", "chen and more"),
        ("Next", ", walk away"),
    ]
    return source.sample(made, len(made))
