"""Install the package without any extra into an environment of its own, import every module, and train for a moment.

::

    python -m tests.supply.base_install

The versions are those of ``constraints.txt``; the wheel is built from the sources as they are.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.supply.pins import (
    CONSTRAINTS,
    ROOT,
    Environment,
    canonical,
    copy_of_sources,
    module_names,
    pinned,
    project,
    run,
)

IMPORT_ALL = """
import importlib, lightning_twosome
for name in {names!r}:
    importlib.import_module(name)
print(lightning_twosome.__file__)
"""
# A rollout, an update and an evaluation each; what is measured besides would take longer than all of it.
TINY_FIT = (
    "--trainer.max_epochs", "1", "--trainer.callbacks", "null", "--trainer.check_val_every_n_epoch", "1",
    "--data.num_envs", "2", "--data.num_steps", "4", "--data.update_epochs", "1", "--data.eval_episodes", "2",
    "--seed_everything", "1",
)  # fmt: skip


def beyond_base(installed: dict[str, str]) -> list[str]:
    """Direct dependencies of extras that came with the base all the same."""
    lines = (line for extra in project()["optional-dependencies"].values() for line in extra)
    base = {requirement_name(line) for line in project()["dependencies"]}
    names = {requirement_name(line) for line in lines} - base - {canonical(project()["name"])}
    return sorted(names & set(installed))


def requirement_name(line: str) -> str:
    """The canonical name in a requirement such as ``lm-eval[math]>=0.4``."""
    end = next((index for index, letter in enumerate(line) if letter in "[<>=!~; "), len(line))
    return canonical(line[:end])


def main() -> int:
    """Install, import, train; each step in a line.

    Returns:
        0; a step that fails ends the program with the words of the command that failed.
    """
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = Environment(folder / "venv")
        environment.install_torch()
        environment.install("--constraint", CONSTRAINTS, copy_of_sources(folder))
        installed = environment.installed()
        print(f"{len(installed)} packages installed in {time.perf_counter() - start:.0f} s,")
        print(f"of which extras also ask for: {', '.join(beyond_base(installed)) or 'none'}.")
        pins = pinned()
        wrong = [key for key in installed if key in pins and not same(installed[key], pins[key])]
        if wrong:
            sys.exit(f"error: not in the pinned version: {', '.join(wrong)}")
        names = list(module_names())
        home = run(environment.python, "-P", "-c", IMPORT_ALL.format(names=names), cwd=folder).splitlines()[-1]
        print(f"{len(names)} modules imported from {Path(home).parent.relative_to(folder)}.")
        command, config = environment.commands / "lightning-twosome", ROOT / "configs" / "quickstart.yaml"
        options = [*TINY_FIT, "--run_dir", str(folder / "run")]
        run(command, "fit", "--config", config, *options, cwd=folder, HF_HUB_OFFLINE="1")
        (metrics,) = (folder / "run").glob("*.csv")
        print(f"lightning-twosome fit: {len(metrics.read_text().splitlines()) - 1} rows in {metrics.name}.")
    return 0


def same(installed: str, pin: str) -> bool:
    """Whether a version is the pinned one, whatever build of it (2.13.0+cpu is 2.13.0)."""
    return installed.partition("+")[0] == pin


if __name__ == "__main__":
    sys.exit(main())
