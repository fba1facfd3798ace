"""One command which generates the corpus, trains tokenizer and model, evaluates and writes the folder."""

import argparse
import json
import platform
import sys
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning as L
import torch
from safetensors.torch import save_file
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from lightning_twosome.errors import UserError
from lightning_twosome.language_model import load_tokenizer

from .corpus import CORPUS_VERSION, corpus_digest, generate_documents
from .evaluate import evaluate
from .options import VOCABULARY_SIZE, early_folder, parse_arguments, recipe_of
from .tokenization import train_tokenizer
from .train import CorpusDataModule, EarlyModels, Recipe, build_model, pretrain

HELD_OUT_DOCUMENTS = 300


def split_corpus(seed: int, documents: int) -> tuple[list[str], list[str]]:
    """Returns the training documents and the held-out documents, which come first in the generator's order."""
    texts = list(generate_documents(seed, documents + HELD_OUT_DOCUMENTS))
    return texts[HELD_OUT_DOCUMENTS:], texts[:HELD_OUT_DOCUMENTS]


def save_folder(
    folder: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, held_out: Sequence[str]
) -> None:
    """Writes a Hugging Face folder with float16 weights, and the held-out documents one a line."""
    folder.mkdir(parents=True, exist_ok=True)
    config = deepcopy(model.config)  # the model may be in training, in float32
    config.dtype = torch.float16
    config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _name_tokenizer_class(folder / "tokenizer_config.json")
    # The tied output matrix is left out: loading restores it from the embeddings.
    weights = {
        name: weight.half().contiguous() for name, weight in model.state_dict().items() if name != "lm_head.weight"
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "held_out.txt").write_text("".join(f"{document}\n" for document in held_out), encoding="utf-8")


def _name_tokenizer_class(path: Path) -> None:
    """Names the class which every release of transformers knows instead of the one which only recent ones know."""
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def load_folder(folder: Path) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Loads what :func:`save_folder` wrote, the weights as float32."""
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    return model, PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)


def find_tokenizer(name: str, recipe: Recipe) -> PreTrainedTokenizerFast:
    """The tokenizer of a model that is there, as the recipe needs it.

    Raises:
        UserError: It cannot be loaded, or puts nothing before a text.
    """
    tokenizer, _ = load_tokenizer(name)
    if tokenizer.bos_token_id is None or tokenizer("")["input_ids"] != [tokenizer.bos_token_id]:
        raise UserError(
            f"the tokenizer of {name!r} does not begin a text with one separator, which parts the documents here: "
            "choose 'bundled' or leave --tokenizer out"
        )
    tokenizer.model_max_length = min(tokenizer.model_max_length, recipe.max_positions)
    return tokenizer


def build(arguments: argparse.Namespace) -> dict[Path, dict[str, Any]]:
    """Runs the whole recipe and returns the contents of ``evaluation.json`` for each folder, that of the end last."""
    torch.set_num_threads(arguments.threads)
    L.seed_everything(arguments.seed)
    started = time.monotonic()
    recipe = recipe_of(arguments)
    tokenizer = None if arguments.tokenizer is None else find_tokenizer(arguments.tokenizer, recipe)
    training, held_out = split_corpus(arguments.seed, arguments.documents)
    if tokenizer is None:
        tokenizer = train_tokenizer(training, arguments.vocabulary_size or VOCABULARY_SIZE, recipe.max_positions)
    data = CorpusDataModule(training, tokenizer, recipe, arguments.seed)
    model = build_model(recipe, tokenizer)
    saved: dict[Path, dict[str, Any]] = {}
    training_started = time.monotonic()

    def keep(folder: Path, step: int, loss: float | None) -> None:
        save_folder(folder, model, tokenizer, held_out)
        saved[folder] = {
            "steps_done": step,
            "tokens_seen": step * recipe.batch_size * recipe.context,
            "final_loss": loss,
            "training_minutes": (time.monotonic() - training_started) / 60,
        }

    early = EarlyModels(arguments.save_at, lambda step, loss: keep(early_folder(arguments.output, step), step, loss))
    keep(arguments.output, recipe.steps, pretrain(model, data, recipe, callbacks=[early]))
    shared = {
        "corpus": {
            "version": CORPUS_VERSION,
            "seed": arguments.seed,
            "documents": len(training),
            "bytes": sum(len(text.encode("utf-8")) + 1 for text in training),
            "tokens": data.token_count,
            "sha256": corpus_digest(training),
            "held_out_sha256": corpus_digest(held_out),
        },
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("torch", "transformers", "tokenizers", "lightning", "safetensors")},
    }
    trained = {
        "recipe": asdict(recipe),
        "parameters": model.num_parameters(),
        "vocabulary_size": len(tokenizer),
        "threads": arguments.threads,
    }
    return {
        # The figures describe the float16 weights which are written, not the float32 ones which were trained.
        folder: {
            "figures": evaluate(*load_folder(folder), held_out),
            "training": trained | done | {"total_minutes": (time.monotonic() - started) / 60},
            **shared,
        }
        for folder, done in saved.items()
    }


def run(arguments: argparse.Namespace) -> None:
    """Writes the corpus alone, or the folders with their figures, which it prints."""
    if arguments.corpus_only:
        training, _ = split_corpus(arguments.seed, arguments.documents)
        arguments.output.write_text("".join(f"{document}\n" for document in training), encoding="utf-8")
        print(f"{len(training)} documents, sha256 {corpus_digest(training)}")
        return
    for folder, report in build(arguments).items():
        (folder / "evaluation.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        print(f"{folder}\n{json.dumps(report['figures'], indent=2)}")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m lightning_twosome.pretraining``; returns the exit code, 2 for a user's mistake."""
    try:
        run(parse_arguments(argv))
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
