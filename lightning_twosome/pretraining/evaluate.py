"""Evaluation of the model: perplexity of held-out documents, household facts and next-step probes."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from . import facts

PROBES_PATH = Path(__file__).parent / "probes.yaml"


@dataclass(frozen=True)
class Question:
    """A text with continuations of which the one at ``answer`` is right."""

    prompt: str
    options: tuple[str, ...]
    answer: int


@torch.no_grad()
def perplexity(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, documents: Sequence[str]) -> float:
    """Returns the exponential of the mean negative log-likelihood in nats per token, each document on its own.

    Args:
        model: Causal language model.
        tokenizer: Its tokenizer, which puts the separator first.
        documents: Texts; what exceeds the tokenizer's longest input is cut off.

    Returns:
        The perplexity per token, the separator itself not counted.
    """
    total, count = 0.0, 0
    for document in documents:
        ids = tokenizer(document, truncation=True, return_tensors="pt")["input_ids"]
        losses = torch.nn.functional.cross_entropy(model(input_ids=ids).logits[0, :-1], ids[0, 1:], reduction="sum")
        total += float(losses)
        count += ids.shape[1] - 1
    return math.exp(total / count)


@torch.no_grad()
def option_scores(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, question: Question
) -> tuple[list[float], list[float]]:
    """Scores the continuations of a prompt.

    Returns:
        The log-probability of each option in nats, and the same divided by its number of tokens.
    """
    prompt = tokenizer(question.prompt)["input_ids"]
    sums, means = [], []
    for option in question.options:
        ids = prompt + tokenizer(option, add_special_tokens=False)["input_ids"]
        log_probabilities = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        positions = range(len(prompt), len(ids))
        score = float(sum(log_probabilities[position - 1, ids[position]] for position in positions))
        sums.append(score)
        means.append(score / (len(ids) - len(prompt)))
    return sums, means


def accuracy(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, questions: Sequence[Question]
) -> dict[str, float]:
    """Returns how often the right option scores best, by ``sum`` and by ``per_token`` log-probability (fractions)."""
    right = {"sum": 0, "per_token": 0}
    for question in questions:
        for name, scores in zip(right, option_scores(model, tokenizer, question), strict=True):
            right[name] += int(scores.index(max(scores)) == question.answer)
    return {name: count / len(questions) for name, count in right.items()}


def fact_questions(seed: int = 0) -> list[Question]:
    """Returns multiple-choice questions on what things are for, where they are kept and in which room they stand."""
    rng = random.Random(seed)
    uses = _from_table(facts.USES, "What is {name} for? It is used to", " {value}", rng)
    kept = _from_table(facts.KEPT, "Put the {name} where it belongs:", " in the {value}", rng)
    rooms = _from_table(facts.ROOM_OF, "Where is the {name}? In the", " {value}", rng)
    return uses + kept + rooms


def _from_table(table: Mapping[str, str], prompt: str, option: str, rng: random.Random) -> list[Question]:
    questions = []
    for name, value in table.items():
        wrong = rng.sample(sorted(set(table.values()) - {value}), 3)
        values = [value, *wrong]
        rng.shuffle(values)
        article = "an" if name[0] in "aeiou" else "a"
        text = prompt.format(name=f"{article} {name}" if "What" in prompt else name)
        questions.append(Question(text, tuple(option.format(value=text) for text in values), values.index(value)))
    return questions


def next_step_probes() -> list[Question]:
    """Returns the hand-written situations of ``probes.yaml``; the good step comes first."""
    entries = yaml.safe_load(PROBES_PATH.read_text(encoding="utf-8"))
    return [Question(entry["situation"], (entry["good"], *entry["bad"]), 0) for entry in entries]


def evaluate(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, held_out: Sequence[str]
) -> dict[str, float | int]:
    """Returns all figures of a trained model, perplexity per token and accuracies as fractions."""
    model.eval()
    questions, probes = fact_questions(), next_step_probes()
    known = accuracy(model, tokenizer, questions)
    steps = accuracy(model, tokenizer, probes)
    return {
        "held_out_documents": len(held_out),
        "held_out_perplexity": perplexity(model, tokenizer, held_out),
        "fact_questions": len(questions),
        "fact_accuracy_sum": known["sum"],
        "fact_accuracy_per_token": known["per_token"],
        "next_step_probes": len(probes),
        "next_step_accuracy_sum": steps["sum"],
        "next_step_accuracy_per_token": steps["per_token"],
    }
