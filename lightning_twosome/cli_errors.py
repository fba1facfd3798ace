"""Command-line mistakes in one sentence.

jsonargparse reports a nested mistake as a tree of everything that was tried. What a person needs is the key, the cause
and, for a misspelt name, the nearest right one.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Sequence
from importlib import import_module

_NOISE = re.compile(
    r"^(?:- )?(Does not validate|Subtypes:|Errors:|Given value|Expected a <class 'NoneType'>|Expected a path but|$)"
)


def one_sentence(error: Exception) -> str:
    """What went wrong, as one line: ``key: cause (way out)``."""
    text = str(error).strip()
    if "Subtypes:" not in text and "Parser key" not in text:
        return re.sub(r"\s+", " ", text)
    keys, causes, class_path = _walk(text.splitlines())
    causes = list(dict.fromkeys(causes)) or [text.splitlines()[0]]
    sentence = "; ".join(_readable(cause) for cause in causes[-2:])
    key = ".".join(keys)
    return f"{key}: {sentence}{_suggestion(sentence, class_path if len(keys) == 1 else '')}" if key else sentence


def _walk(lines: Sequence[str]) -> tuple[list[str], list[str], str]:
    """Keys on the way to the mistake, what is left of the causes, and the class whose arguments were read."""
    keys: list[str] = []
    causes: list[str] = []
    class_path = ""
    for line in map(str.strip, lines):
        if match := re.match(r"(?:- )?Parser key \"([^\"]+)\":\s*(.*)", line):
            keys.append(match[1])
            line = match[2]
        elif match := re.match(r"(?:- )?Problem with given class_path '([^']+)':", line):
            class_path, causes = match[1], []
            continue
        if not _NOISE.match(line):
            causes.append(line.removeprefix("- "))
    if len(causes) > 1:
        causes = [cause for cause in causes if not cause.startswith("Expected a <class 'str'>")] or causes
    return keys, causes, class_path


def _readable(cause: str) -> str:
    cause = re.sub(r"\. Got value: Namespace\(.*", "", cause)
    cause = re.sub(r"<class '([^']+)'>", r"\1", cause)
    cause = re.sub(r"typing\.Literal\[(.*?)\]", r"one of \1", cause)
    cause = re.sub(r"Expected a dot import path string: (\S+)", r"no class can be imported from '\1'", cause)
    cause = re.sub(r"Type \S*Callable\S* .*?expects a function or a callable class: ", "", cause)
    return re.sub(r"^Expected an? ", "expected ", cause).rstrip(".")


def _suggestion(sentence: str, class_path: str) -> str:
    """The nearest argument of the class, where one is unknown to it."""
    unknown = re.search(r"(?:Option|keyword argument) '([^']+)'", sentence)
    if not unknown or not class_path:
        return ""
    module, name = class_path.rsplit(".", 1)
    names = list(inspect.signature(getattr(import_module(module), name)).parameters)
    nearest = difflib.get_close_matches(unknown[1].split(".")[0], names, n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else f"; {class_path} takes {', '.join(names)}"
