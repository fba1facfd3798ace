"""Write the table of the pinned packages and their licences into ``docs/dependencies.md``.

::

    python -m tests.supply.licences    in an environment with the pinned set: pip install -c constraints.txt -e '.[dev]'

A licence stands as its package states it: the licence expression, else the field of old, else the classifiers.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from importlib import metadata

from packaging.requirements import Requirement

from tests.supply.pins import ROOT, canonical, pinned, project

PAGE = ROOT / "docs" / "dependencies.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
# Metadata that name no licence: one has none in them, the other holds the licence's whole text.
READ_BY_HAND = {"overcooked-ai": "none stated", "word2number": "MIT"}


def stated_licence(package: metadata.PackageMetadata) -> str:
    """The licence in a package's metadata, in one line; empty where it states none.

    >>> from email.message import Message
    >>> package = Message()
    >>> package["Classifier"] = "License :: OSI Approved :: MIT License"
    >>> stated_licence(package)
    'MIT License'
    """
    for field in ("License-Expression", "License"):
        text = (package.get_all(field) or [""])[0].strip()
        if text and text != "UNKNOWN" and "\n" not in text and not text.startswith("Copyright"):
            return text
    classifiers = (line.split("::")[-1].strip() for line in package.get_all("Classifier") or [] if "License ::" in line)
    return " or ".join(line for line in classifiers if line != "DFSG approved")


def needed_by(lines: Iterable[str]) -> set[str]:
    """Canonical names of what the requirements bring with them on this machine, all of them installed."""
    found: set[tuple[str, str]] = set()
    waiting = [Requirement(line) for line in lines]
    while waiting:
        requirement = waiting.pop()
        for extra in ["", *requirement.extras]:
            key = (canonical(requirement.name), extra)
            if key in found:
                continue
            found.add(key)
            following = (Requirement(line) for line in metadata.requires(requirement.name) or [])
            waiting += [other for other in following if other.marker is None or other.marker.evaluate({"extra": extra})]
    return {name for name, _ in found}


def table() -> list[str]:
    """The lines of the table: package, version, licence, and which part of the project needs it."""
    extras = {name: needed_by(lines) for name, lines in tested_extras().items()}
    base = needed_by(project()["dependencies"])
    lines = ["| package | version | licence | needed by |", "|---|---|---|---|"]
    for name, version in pinned().items():
        parts = ["base"] if name in base else [extra for extra in extras if name in extras[extra]]
        licence = READ_BY_HAND.get(name) or stated_licence(metadata.metadata(name))
        lines.append(f"| {name} | {version} | {re.sub(' +', ' ', licence)} | {', '.join(parts)} |")
    return lines


def tested_extras() -> dict[str, list[str]]:
    """The extras that the pinned set holds: ``dev``, and those that it asks for by name."""
    extras = project()["optional-dependencies"]
    (own,) = (Requirement(line) for line in extras["dev"] if canonical(line).startswith(canonical(project()["name"])))
    rest = [line for line in extras["dev"] if Requirement(line).name != own.name]
    return {**{name: extras[name] for name in sorted(own.extras)}, "dev": rest}


def rows_of(page: str) -> list[list[str]]:
    """The cells of the table in the page."""
    lines = page.partition(BEGIN)[2].partition(END)[0].strip().splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def main() -> int:
    """Write the page anew.

    Returns:
        0.
    """
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n" + "\n".join(table()) + f"\n{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
