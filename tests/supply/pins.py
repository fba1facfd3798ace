"""The pinned set, and virtual environments of their own to try things in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONSTRAINTS = ROOT / "constraints.txt"
# The folders and files that a wheel is built from.
SOURCES = ("lightning_twosome", "callbacks", "configs", "pyproject.toml", "README.md", "LICENSE")


def canonical(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(text: str | None = None) -> dict[str, str]:
    """Canonical name -> version of every line of ``constraints.txt``, or of another such text."""
    lines = (CONSTRAINTS.read_text(encoding="utf-8") if text is None else text).splitlines()
    pairs = (line.split("#")[0].strip().split("==") for line in lines)
    return {canonical(pair[0]): pair[1] for pair in pairs if len(pair) == 2}


def project() -> dict:
    """The table ``project`` of ``pyproject.toml``."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def run(*command: str | Path, cwd: Path | None = None, **environment: str) -> str:
    """What a command prints; it ends this program with the command's own words where it fails."""
    result = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=os.environ | environment, capture_output=True, text=True
    )
    if result.returncode != 0:
        tail = "\n".join((result.stderr.strip() or result.stdout.strip()).splitlines()[-15:])
        sys.exit(f"error: {' '.join(str(part) for part in command)}\n{tail}")
    return result.stdout


class Environment:
    """A virtual environment in a folder, made anew.

    Args:
        folder: Where; it must not exist.
    """

    def __init__(self, folder: Path) -> None:
        run(sys.executable, "-m", "venv", folder)
        self.commands = folder / ("Scripts" if os.name == "nt" else "bin")
        self.python = self.commands / "python"
        self._only_torch = folder / "torch.txt"
        self._only_torch.write_text(f"torch=={pinned()['torch']}\n", encoding="utf-8")

    def install(self, *arguments: str | Path) -> None:
        """``pip install`` with the machine's own pip settings; a set that asks for another torch is refused.

        Without the constraint pip would mend such a conflict with another release, and gigabytes of CUDA.
        """
        options = ["--quiet", "--no-compile", "--disable-pip-version-check", f"--constraint={self._only_torch}"]
        run(self.python, "-m", "pip", "install", *options, *arguments)

    def install_torch(self) -> None:
        """Torch first and by itself: where the machine offers a build for the CPU, pip takes it, and keeps it later."""
        self.install("torch")

    def installed(self) -> dict[str, str]:
        """Canonical name -> version of what is in it."""
        return pinned(run(self.python, "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"))


def copy_of_sources(folder: Path) -> Path:
    """The sources under ``folder``: setuptools writes build/ beside what it builds from."""
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source)
    return source


def module_names() -> Iterator[str]:
    """Every module of the package by its installed name, but for those that run when imported."""
    for folder in SOURCES[:3]:
        home = () if folder == "lightning_twosome" else ("lightning_twosome",)
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = [*home, *path.relative_to(ROOT).with_suffix("").parts]
            if parts[-1] != "__main__":
                yield ".".join(parts).removesuffix(".__init__")
