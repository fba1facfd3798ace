"""The command line of the pretraining, checked before the first document is written."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lightning_twosome.command_parser import CommandParser
from lightning_twosome.errors import UserError

from .train import Recipe

# Parameters with a vocabulary of 1280 tokens: 566 112, 2 016 960 and 5 000 000. Depth and width of a head are the same.
SIZES = {
    "0.5M": Recipe(hidden_size=96, layers=4, heads=3, intermediate_size=256),
    "2M": Recipe(hidden_size=192, layers=4, heads=6, intermediate_size=512),
    "5M": Recipe(hidden_size=320, layers=4, heads=10, intermediate_size=768),
}
SHAPE = ("hidden_size", "layers", "heads", "intermediate_size")
VOCABULARY_SIZE = 1280
SMALLEST_VOCABULARY = 258  # 256 bytes and two special tokens


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line.

    Raises:
        UserError: An argument is unknown or wrong, or two contradict each other.
    """
    options = _parser().parse_args(arguments)
    for name in ("documents", "steps", "threads", *SHAPE):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UserError(f"--{name.replace('_', '-')} is {value}; it must be at least 1")
    if not 0 < options.learning_rate < math.inf:
        raise UserError(f"--learning-rate is {options.learning_rate}; it must be a positive number such as 0.003")
    if options.corpus_only:
        return options
    _check_vocabulary(options)
    _check_shape(recipe_of(options))
    _check_saving(options)
    return options


def recipe_of(options: argparse.Namespace) -> Recipe:
    """The recipe of the named size, with what else is said on the command line."""
    given = {name: getattr(options, name) for name in SHAPE if getattr(options, name) is not None}
    training = {"steps": options.steps, "precision": options.precision, "learning_rate": options.learning_rate}
    return replace(SIZES[options.size], **training, **given)


def early_folder(output: Path, step: int) -> Path:
    """Folder of the model after ``step`` steps, beside that of the last one."""
    return output.with_name(f"{output.name}-step{step}")


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m lightning_twosome.pretraining",
        description="Generate the corpus, train tokenizer and model, evaluate and write the folder.",
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="folder of the model, or the text file with --corpus-only"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of corpus, weights and batches")
    parser.add_argument("--documents", type=int, default=27000, help="training documents; 300 more are held out")
    parser.add_argument("--steps", type=int, default=Recipe.steps, help="optimiser steps")
    parser.add_argument("--learning-rate", type=float, default=Recipe.learning_rate, help="peak learning rate")
    parser.add_argument(
        "--save-at",
        "--save_at",
        type=_steps,
        default=(),
        metavar="STEP,STEP",
        help="steps whose model is kept too, in OUTPUT-stepN; 0 is the model with random weights",
    )
    parser.add_argument("--size", choices=SIZES, default="2M", help="shape by name; each of the next four changes it")
    parser.add_argument("--hidden-size", type=int, help="width of the model")
    parser.add_argument("--layers", type=int, help="decoder layers")
    parser.add_argument("--heads", type=int, help="attention heads")
    parser.add_argument("--intermediate-size", type=int, help="width of the feed-forward layers")
    parser.add_argument(
        "--precision",
        choices=("32-true", "bf16-mixed"),
        default=Recipe.precision,
        help="of the products in training; bf16-mixed halves the time on a processor that has it",
    )
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument(
        "--vocabulary-size", type=int, help=f"tokens of the byte-level BPE, {VOCABULARY_SIZE} by default"
    )
    parser.add_argument("--tokenizer", help="'bundled' or a model's folder: its tokenizer, in place of a new one")
    parser.add_argument("--corpus-only", action="store_true", help="only write the training documents, one a line")
    return parser


def _steps(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of steps such as 0,100,400") from error


def _check_vocabulary(options: argparse.Namespace) -> None:
    if options.tokenizer is not None and options.vocabulary_size is not None:
        raise UserError("--vocabulary-size is of a tokenizer that is trained, --tokenizer takes one as it is: drop one")
    if options.vocabulary_size is not None and options.vocabulary_size < SMALLEST_VOCABULARY:
        raise UserError(
            f"--vocabulary-size is {options.vocabulary_size}; bytes and special tokens alone are {SMALLEST_VOCABULARY}"
        )


def _check_shape(recipe: Recipe) -> None:
    width, rest = divmod(recipe.hidden_size, recipe.heads)
    if rest or width % 2:
        raise UserError(
            f"--hidden-size {recipe.hidden_size} gives {recipe.heads} heads (--heads) no even width: choose a multiple "
            f"of {2 * recipe.heads}"
        )


def _check_saving(options: argparse.Namespace) -> None:
    for step in options.save_at:
        if not 0 <= step < options.steps:
            raise UserError(
                f"--save-at has step {step} of {options.steps}: give steps from 0 to {options.steps - 1}; the last "
                "model is in --output"
            )
    for folder in (options.output, *(early_folder(options.output, step) for step in options.save_at)):
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{str(folder)!r} is a file; name another folder with --output")
