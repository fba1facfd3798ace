"""What importing the package costs, beside what its users import anyway, and how soon the command line answers.

Every figure is the median processor seconds (user and system) of fresh interpreters. They take turns, so that what else
runs on the machine meets all alike.

    python -m benchmarks.imports --repeats 7
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ANYWAY = "import lightning, transformers"
CODE = {
    ANYWAY: ANYWAY,
    "import lightning_twosome": "import lightning_twosome",
    "every public name of lightning_twosome": (
        "import lightning_twosome as package\nfor name in package.__all__: getattr(package, name)"
    ),
    "the command line's LightningCLI": "import lightning_twosome.command_line",
}
COMMANDS = {
    "lightning-twosome --help": ["--help"],
    "a misspelt subcommand": ["fitt"],
    "a config that is not there": ["fit", "--config", "none.yaml"],
    "a run that is not there": ["report", "none"],
    "a misspelt option of fit": ["fit", "--trainer.max_epoch", "1"],
    "a misspelt option of play": ["play", "--agnt", "none"],
    "an agent that is not there": ["play", "--agent", "none"],
    "a study that is not there": ["study", "none.yaml"],
    "runs without a test, for generalization": ["generalization", "none"],
}


def seconds(command: list[str], folder: Path) -> float:
    """Processor seconds of a process, user and system together; its exit code may be that of a mistake."""
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 2):
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}.")
    return usage.ru_utime + usage.ru_stime


def measure(repeats: int) -> dict[str, list[float]]:
    """Seconds of every import and command, ``repeats`` times in turn."""
    commands = {name: [sys.executable, "-c", code] for name, code in CODE.items()}
    for name, arguments in COMMANDS.items():
        commands[name] = [sys.executable, "-m", "lightning_twosome.main", *arguments]
    taken: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats):
            for name, command in commands.items():
                taken[name].append(seconds(command, Path(folder)))
    return taken


def main(arguments: list[str] | None = None) -> dict[str, list[float]]:
    """Print a line for each import and command.

    Returns:
        The seconds behind the medians.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7, help="fresh processes of each")
    parser.add_argument("--json", type=Path, help="also write the seconds to this file")
    options = parser.parse_args(arguments)
    taken = measure(options.repeats)
    anyway = statistics.median(taken[ANYWAY])
    for name, each in taken.items():
        median = statistics.median(each)
        print(f"{name:40} {median:6.2f} s  {min(each):6.2f} to {max(each):6.2f}  {median / anyway:5.2f}x")
    if options.json:
        options.json.write_text(json.dumps(taken, indent=1), encoding="utf-8")
    return taken


if __name__ == "__main__":
    main()
