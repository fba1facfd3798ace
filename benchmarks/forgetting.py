"""How fast lm-eval's requests are answered: the tree scorer beside lm-eval's own Hugging Face model, in one process.

    python -m benchmarks.forgetting
    python -m benchmarks.forgetting --model HuggingFaceTB/SmolLM2-135M --limit 50 --batch-sizes 16

Both answer the same requests of the offline suite, tokenisation included, and the answers are compared. lm-eval's model
is tried with several batch sizes, and the fastest one of each task counts. Times are the process's own CPU seconds on
one thread, which other programs on the machine disturb least; on a GPU the wall clock.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lm_eval.models.huggingface import HFLM

from benchmarks.common import quiet
from lightning_twosome import ActionScorer, load_language_model
from lightning_twosome.forgetting.policy_lm import PolicyLM
from lightning_twosome.forgetting.tasks import Suite, load_tasks
from lightning_twosome.forgetting.tasks import quiet as quiet_lm_eval


def requests(task: str, limit: int | None) -> list[Any]:
    """The requests of one task."""
    suite = Suite(load_tasks([task]), limit)
    return [instance for instance in suite.rows[task][0].instances if instance.request_type == "loglikelihood"]


@torch.no_grad()
def timed(answer: Callable[[list[Any]], list[tuple[float, bool]]], asked: list[Any], repeats: int) -> tuple[float, Any]:
    """The fastest of some runs, in seconds, and the answers; a few requests before warm the libraries up."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    best, answers = float("inf"), None
    with quiet_lm_eval():
        answer(asked[:8])
    for _ in range(repeats):
        start = clock()
        with quiet_lm_eval():
            answers = answer(asked)
        best = min(best, clock() - start)
    return best, answers


def measure(language_model: Any, asked: list[Any], batch_sizes: Sequence[int], repeats: int) -> dict[str, Any]:
    """Seconds of both ways on one task's requests, and the largest difference of their answers."""
    scorer = ActionScorer(language_model.model, language_model.tokenizer)
    # A fresh view each time: tokenisation is part of the work.
    tree, answers = timed(lambda asked: PolicyLM(scorer).loglikelihood(asked), asked, repeats)
    theirs: dict[int, float] = {}
    differences = []
    for batch_size in batch_sizes:
        with quiet_lm_eval():
            model = HFLM(
                pretrained=language_model.model,
                tokenizer=copy.deepcopy(language_model.tokenizer),
                batch_size=batch_size,
                device=str(language_model.model.device),
            )
        theirs[batch_size], expected = timed(partial(model.loglikelihood, disable_tqdm=True), asked, repeats)
        differences += [abs(a[0] - b[0]) for a, b in zip(answers, expected, strict=True)]
        assert [a[1] for a in answers] == [b[1] for b in expected], "which continuations are greedy"
    return {"requests": len(asked), "tree": tree, "lm_eval": theirs, "largest_difference": max(differences)}


def total(results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Several tasks together, lm-eval's with the fastest batch size of each."""
    return {
        "requests": sum(result["requests"] for result in results.values()),
        "tree": sum(result["tree"] for result in results.values()),
        "lm_eval": {0: sum(min(result["lm_eval"].values()) for result in results.values())},
        "largest_difference": max(result["largest_difference"] for result in results.values()),
    }


def row(name: str, result: dict[str, Any]) -> str:
    """A line of the table."""
    batch_size, best = min(result["lm_eval"].items(), key=lambda item: item[1])
    label = f"{best:.2f} (batches of {batch_size})" if batch_size else f"{best:.2f}"
    figures = [f"{result['tree']:.2f}", label, f"{best / result['tree']:.1f}x", f"{result['largest_difference']:.0e}"]
    return f"| {' | '.join([name, str(result['requests']), *figures])} |"


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.forgetting", description=__doc__)
    parser.add_argument("--model", default="bundled", help="any name that load_language_model takes")
    parser.add_argument("--choice", nargs="+", default=["home_choice", "home_word_order", "home_agreement"])
    parser.add_argument("--other", nargs="*", default=["home_cloze", "home_perplexity"])
    parser.add_argument("--limit", type=int, help="first documents of each task; all by default")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8, 32, 128], help="of lm-eval's own model")
    parser.add_argument("--repeats", type=int, default=2, help="the fastest counts")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args(arguments)
    quiet()
    torch.set_num_threads(1)
    language_model = load_language_model(options.model)
    if torch.cuda.is_available():
        language_model.model.to("cuda")
    print("| task | requests | tree, s | lm-eval, s | ratio | largest difference, nats |\n|---|---|---|---|---|---|")
    results: dict[str, dict[str, Any]] = {}
    for task in (*options.choice, *options.other):
        results[task] = measure(language_model, requests(task, options.limit), options.batch_sizes, options.repeats)
        print(row(task, results[task]), flush=True)
        if task == options.choice[-1]:
            results["multiple choice together"] = total({name: results[name] for name in options.choice})
            print(row("**multiple choice together**", results["multiple choice together"]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return results


if __name__ == "__main__":
    main()
