"""Fills the cache once, where there is a network: ``python -m lightning_twosome.forgetting.download arc_easy piqa``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from lightning_twosome.errors import UserError
from lightning_twosome.forgetting.tasks import load_tasks


def main(arguments: Sequence[str] | None = None) -> int:
    """Load the tasks' documents, which puts them into the cache, and count them."""
    parser = argparse.ArgumentParser(prog="python -m lightning_twosome.forgetting.download", description=__doc__)
    parser.add_argument("tasks", nargs="+", help="names of lm-eval, such as arc_easy hellaswag mmlu")
    try:
        rows = load_tasks(parser.parse_args(arguments).tasks)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name, tasks in rows.items():
        print(f"{name}: {sum(len(task.eval_docs) for task in tasks)} documents are in the cache")
    return 0


if __name__ == "__main__":
    sys.exit(main())
