"""Names in a study's file and in its flags, and the patterns that stand for several of them."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable

CALLBACKS = "trainer.callbacks."  # NAME.argument; the beginning of a key that no config file can say


def matching(patterns: Iterable[str], names: Iterable[str]) -> list[str]:
    """The names that one of the patterns is, or stands for: a name itself may have the brackets of a pattern.

    Args:
        patterns: As for the files of a shell.
        names: To choose from.
    """
    known = list(names)
    chosen: set[str] = set()
    for pattern in patterns:
        chosen |= {pattern} if pattern in known else set(fnmatch.filter(known, pattern))
    return [name for name in known if name in chosen]
