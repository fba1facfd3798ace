"""One command which generates the corpus, trains tokenizer and model, evaluates and writes the folder."""

import argparse
import json
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning as L
import torch
from safetensors.torch import save_file
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from .corpus import CORPUS_VERSION, corpus_digest, generate_documents
from .evaluate import evaluate
from .tokenization import train_tokenizer
from .train import CorpusDataModule, Recipe, build_model, pretrain

HELD_OUT_DOCUMENTS = 300


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(prog="python -m lightning_twosome.pretraining", description=__doc__)
    parser.add_argument(
        "--output", type=Path, required=True, help="folder of the model, or the text file with --corpus-only"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of corpus, weights and batches")
    parser.add_argument("--documents", type=int, default=27000, help="training documents; 300 more are held out")
    parser.add_argument("--steps", type=int, default=Recipe.steps, help="optimiser steps")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--vocabulary-size", type=int, default=1280, help="tokens of the byte-level BPE")
    parser.add_argument("--corpus-only", action="store_true", help="only write the training documents, one a line")
    return parser.parse_args(arguments)


def split_corpus(seed: int, documents: int) -> tuple[list[str], list[str]]:
    """Returns the training documents and the held-out documents, which come first in the generator's order."""
    texts = list(generate_documents(seed, documents + HELD_OUT_DOCUMENTS))
    return texts[HELD_OUT_DOCUMENTS:], texts[:HELD_OUT_DOCUMENTS]


def save_folder(
    folder: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, held_out: Sequence[str]
) -> None:
    """Writes a Hugging Face folder with float16 weights, and the held-out documents one a line."""
    folder.mkdir(parents=True, exist_ok=True)
    model.config.dtype = torch.float16
    model.config.save_pretrained(folder)
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


def build(arguments: argparse.Namespace) -> dict[str, Any]:
    """Runs the whole recipe and returns the contents of ``evaluation.json``."""
    torch.set_num_threads(arguments.threads)
    L.seed_everything(arguments.seed)
    started = time.monotonic()
    training, held_out = split_corpus(arguments.seed, arguments.documents)
    recipe = replace(Recipe(), steps=arguments.steps)
    tokenizer = train_tokenizer(training, arguments.vocabulary_size, recipe.max_positions)
    data = CorpusDataModule(training, tokenizer, recipe, arguments.seed)
    model = build_model(recipe, tokenizer)
    training_started = time.monotonic()
    final_loss = pretrain(model, data, recipe)
    training_seconds = time.monotonic() - training_started
    save_folder(arguments.output, model, tokenizer, held_out)
    # The figures describe the float16 weights which are shipped, not the float32 ones which were trained.
    figures = evaluate(*load_folder(arguments.output), held_out)
    return {
        "figures": figures,
        "corpus": {
            "version": CORPUS_VERSION,
            "seed": arguments.seed,
            "documents": len(training),
            "bytes": sum(len(text.encode("utf-8")) + 1 for text in training),
            "tokens": data.token_count,
            "sha256": corpus_digest(training),
            "held_out_sha256": corpus_digest(held_out),
        },
        "training": {
            "recipe": asdict(recipe),
            "parameters": model.num_parameters(),
            "vocabulary_size": len(tokenizer),
            "tokens_seen": recipe.steps * recipe.batch_size * recipe.context,
            "threads": arguments.threads,
            "final_loss": final_loss,
            "training_minutes": training_seconds / 60,
            "total_minutes": (time.monotonic() - started) / 60,
        },
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("torch", "transformers", "tokenizers", "lightning", "safetensors")},
    }


def main() -> None:
    """Entry point of ``python -m lightning_twosome.pretraining``."""
    arguments = parse_arguments()
    if arguments.corpus_only:
        training, _ = split_corpus(arguments.seed, arguments.documents)
        arguments.output.write_text("".join(f"{document}\n" for document in training), encoding="utf-8")
        print(f"{len(training)} documents, sha256 {corpus_digest(training)}")
        return
    report = build(arguments)
    (arguments.output / "evaluation.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report["figures"], indent=2))


if __name__ == "__main__":
    main()
