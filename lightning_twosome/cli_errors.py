"""Command-line mistakes in one sentence.

jsonargparse reports a nested mistake as a tree of everything that was tried::

    Parser key "data":                                            <- keys on the way
      Errors:
        - Problem with given class_path 'lightning_twosome.RolloutDataModule':
            Parser key "num_envs":
              Expected a <class 'int'>. Got value: many           <- the cause
        - Expected a <class 'NoneType'>                           <- what else would have been allowed

What a person needs is ``data.num_envs: expected int, not 'many'`` and, for a misspelt name, the nearest right one.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import import_module

import lightning as L

# Lines of the tree that say nothing about the mistake.
_NOISE = re.compile(
    r"(Does not validate|Subtypes:|Errors:|Given value|Expected a path but|Expected a <class 'NoneType'>|"
    r"Not a valid subclass of|Subclass types expect|a class path \(str\)|a dict with|$)"
)
_FACTORY = re.compile(r"Type \S*Callable[^\n]*? expects a function or a callable class: ")
_OPTIONS = (
    "config", "run_dir", "seed_everything", "trainer", "model", "data", "ckpt_path", "output", "merge", "licence",
    "push_to_hub", "private", "print_config",
)  # fmt: skip


@dataclass
class _Tree:
    """What is left of jsonargparse's tree."""

    keys: list[str] = field(default_factory=list)
    causes: list[str] = field(default_factory=list)
    class_path: str = ""
    in_list: bool = False
    value: str = ""


def one_sentence(error: Exception) -> str:
    """What went wrong, as one line: ``key: cause (way out)``."""
    text = str(error).strip()
    if unknown := re.search(r"does not accept option '([^']+)'|unrecognized arguments: --([^\s=]+)", text):
        name = unknown[1] or unknown[2]
        return f"{name} is not known{_nearest_option(name)}"
    if "Subtypes:" not in text and "Parser key" not in text:
        return re.sub(r"\s+", " ", text)
    tree = _read(_FACTORY.sub(lambda match: f"{_class_in(text[match.end() :])}\n", text))
    causes = list(dict.fromkeys(tree.causes)) or [text.splitlines()[0]]
    key = ".".join(tree.keys)
    for cause in causes:
        if option := re.match(r"(?:Option|Key) '([^']+)' is not (?:accepted|expected)", cause):
            return f"{key}.{option[1]} is not known{_nearest_argument(tree.class_path, option[1])}"
    place = f"{key} of {tree.class_path.rpartition('.')[2]}" if tree.in_list and len(tree.keys) > 1 else key
    return f"{place}: {_joined(causes, tree.value)}" if key else _joined(causes, tree.value)


def _class_in(text: str) -> str:
    """A factory's mistake, which stands in a line of its own, as the tree has it for other classes."""
    found = re.search(r"class_path='([^']+)'", text)
    return f"Problem with given class_path '{found[1] if found else ''}':"


def _read(text: str) -> _Tree:
    """Keys on the way to the mistake and its causes; what else was tried at a class's place is left out."""
    tree = _Tree()
    depth = -1  # of the class whose arguments are being read
    for line in _without_list_of_tasks(text.splitlines()):
        indent, line = len(line) - len(line.lstrip()), line.strip().removeprefix("- ")
        tree.in_list = tree.in_list or line.startswith("Subtypes: [list[")
        if line.startswith("Given value:") and not tree.value:
            tree.value = line.removeprefix("Given value:").strip()
        if problem := re.match(r"Problem with given class_path '([^']*)':", line):
            if depth < 0 or indent > depth:
                depth, tree.class_path, tree.causes = indent, problem[1], []
            else:
                break  # a second class was tried in the place of the first
            continue
        if match := re.match(r"Parser key \"([^\"]+)\":\s*(.*)", line):
            tree.keys.append(match[1])
            line = match[2]
        # A factory's mistake stands at the left margin: its own line break was put in.
        if not _NOISE.match(line) and (depth < 0 or indent > depth or indent == 0):
            tree.causes.append(line)
    return tree


def _without_list_of_tasks(lines: list[str]) -> list[str]:
    """The tree without what was tried as a list of tasks where one factory was given, whose class has the mistake."""
    for number, line in enumerate(lines):
        indent = " " * (len(line) - len(line.lstrip()))
        if not re.match(r" *Subtypes: \[list\[.*Callable\[", line):
            continue
        following = lines[number + 1 :]
        given = next((other for other in following if other.startswith(f"{indent}Given value: ")), "")
        if given.startswith(f"{indent}Given value: ["):
            continue
        items = [number + 1 + i for i, other in enumerate(following) if other.startswith(f"{indent}  - ")]
        if len(items) > 1:
            return [*lines[:number], *_without_list_of_tasks(lines[items[1] :])]
    return lines


def _joined(causes: Iterable[str], value: str) -> str:
    """Causes as one clause; several types that would have been right as one list."""
    readable = [_readable(cause) for cause in causes]
    wanted = [cause.removeprefix("expected ") for cause in readable if cause.startswith("expected ")]
    if not wanted:
        sentence = "; ".join(readable[-2:])
        sentence = re.sub(r"Import path does not correspond to a subclass of (\w+)", rf"{value} is no \1", sentence)
        return sentence + _nearest_name(sentence)
    if ", not " not in wanted[-1]:
        nested = re.match(r"NestedArg\(key='[^']*', val='?(.*?)'?\)$", value)
        wanted[-1] += f", not {(nested[1] if nested else value)!r}"
    return f"expected {' or '.join(wanted)}"


def _readable(cause: str) -> str:
    cause = re.sub(r"\. Got value: Namespace\(.*", "", cause)
    cause = re.sub(r"\. Got value: (.*)$", r", not '\1'", cause)
    cause = re.sub(r"<class '([^']+)'>", r"\1", cause)
    cause = re.sub(r"typing\.Literal\[(.*?)\]", r"one of \1", cause)
    cause = re.sub(r"Expected a dot import path string: (\S+)", r"no class can be imported from '\1'", cause)
    return re.sub(r"^Expected an? ", "expected ", cause).rstrip(".")


def _nearest_option(name: str) -> str:
    """The right spelling of an option of the command line."""
    first, _, rest = name.partition(".")
    if first not in _OPTIONS:
        nearest = difflib.get_close_matches(first, _OPTIONS, n=1)
        return _question(f"{nearest[0]}.{rest}" if rest else nearest[0]) if nearest else ""
    if first == "trainer":
        nearest = difflib.get_close_matches(rest, inspect.signature(L.Trainer).parameters, n=1)
        return _question(f"trainer.{nearest[0]}") if nearest else ""
    return ""


def _nearest_argument(class_path: str, name: str) -> str:
    """The right spelling of an argument of a class, or all of them."""
    module, _, class_name = class_path.rpartition(".")
    names = list(inspect.signature(getattr(import_module(module), class_name)).parameters) if module else []
    nearest = difflib.get_close_matches(name.split(".")[0], names, n=1)
    if nearest:
        return _question(nearest[0])
    return f"; {class_name} takes {', '.join(names) or 'no arguments'}" if class_name else ""


def _nearest_name(sentence: str) -> str:
    """The right spelling of a class in a module."""
    missing = re.search(r"module '([^']+)' has no attribute '([^']+)'", sentence)
    nearest = difflib.get_close_matches(missing[2], dir(import_module(missing[1])), n=1) if missing else []
    return _question(nearest[0]) if nearest else ""


def _question(name: str) -> str:
    return f"; did you mean {name!r}?"
