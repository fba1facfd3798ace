"""Seconds from prompt and actions to the chosen action, by size of the model, through ``TwosomeAgent.act``.

Models with random weights, fresh prompts every time, so that nothing is remembered; greedy; the tokenisation counts.
On one CPU thread the seconds are the process's own, so that a busy machine does not count.

    python -m benchmarks.latency --models 2M 30M 135M --actions 5 10 --batch 1 16
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import statistics
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.common import MODELS, quiet, save_random_model, text_tokenizer
from benchmarks.scoring import ACTIONS
from lightning_twosome import ActorCritic, TwosomeAgent, load_language_model
from lightning_twosome.agent_folder import AgentSettings

PROMPT = (
    "There are two fixed cutting boards in the room. You notice a tomato on the counter, a raw onion on the first "
    "board and an empty bowl beside the sink. Currently you are standing in front of the {place} with the {thing} in "
    "hand. To serve the dish of a bowl only containing chopped tomato and lettuce, you should first"
)
PLACES = ("counter", "sink", "table", "first board", "second board", "window", "door", "shelf")
THINGS = ("knife", "plate", "bowl", "lettuce", "tomato", "cloth", "spoon", "lid")


def agent_of_size(name: str, device: str, dtype: str) -> TwosomeAgent:
    """An agent on a random model with a LoRA adapter, as training makes it."""
    with tempfile.TemporaryDirectory() as folder:
        save_random_model(Path(folder), name, text_tokenizer())
        language_model = load_language_model(folder, dtype=dtype, lora={})
    return TwosomeAgent(ActorCritic(language_model).to(device), AgentSettings(policy={"critic": "frozen"}))


def decisions(count: int, actions: int, seed: int) -> tuple[list[str], list[list[str]]]:
    """Prompts that differ before their last words, so that no two share a prefix for long, with their actions."""
    generator = random.Random(seed)
    prompts = [
        f"Kitchen {generator.randrange(10**6)}. "
        + PROMPT.format(place=generator.choice(PLACES), thing=generator.choice(THINGS))
        for _ in range(count)
    ]
    return prompts, [generator.sample(ACTIONS, actions) for _ in range(count)]


def measure(agent: TwosomeAgent, actions: int, batch: int, repeats: int, device: str) -> dict[str, float]:
    """Median and 95th percentile of a call in milliseconds, after two calls that do not count."""
    own_time = device == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if own_time else time.perf_counter
    seconds = []
    for repeat in range(repeats + 2):
        prompts, offered = decisions(batch, actions, repeat)
        start = clock()
        agent.act(prompts, offered)  # ends with the choice on the host, so a GPU has finished
        seconds.append(clock() - start)
    taken = sorted(second * 1000 for second in seconds[2:])
    return {"median_ms": statistics.median(taken), "p95_ms": taken[min(len(taken) - 1, int(0.95 * len(taken)))]}


def main(arguments: list[str] | None = None) -> list[dict[str, object]]:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["2M", "30M", "135M"], choices=list(MODELS))
    parser.add_argument("--actions", nargs="+", type=int, default=[5, 10])
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 16])
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    quiet()
    torch.set_num_threads(options.threads)
    rows: list[dict[str, object]] = []
    for name in options.models:
        agent = agent_of_size(name, options.device, options.dtype)
        for actions, batch in itertools.product(options.actions, options.batch):
            times = measure(agent, actions, batch, options.repeats, options.device)
            row = {"model": name, "actions": actions, "batch": batch, **times}
            rows.append(row)
            per_decision = times["median_ms"] / batch
            print(
                f"{name:>5}  K={actions:<3} batch {batch:<3} median {times['median_ms']:8.1f} ms  "
                f"p95 {times['p95_ms']:8.1f} ms  {per_decision:8.2f} ms a decision",
                flush=True,
            )
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return rows


if __name__ == "__main__":
    main()
