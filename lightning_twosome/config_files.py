"""Config files of a command line, looked at before anything is parsed: what is wrong with the file itself.

::

    --config FILE    is there? a file? text? YAML? a mapping? each key once?    --> what the keys mean is jsonargparse's
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from lightning_twosome.errors import UserError

_FLAGS = ("--config", "-c")


def check_config_files(arguments: Sequence[str]) -> None:
    """Read every file that a command line names with ``--config``.

    Raises:
        UserError: A file is missing, is no text, no YAML or no mapping, is empty or has a key twice.
    """
    for name in _named(arguments):
        check_config_file(name)


def check_config_file(name: str, kind: str = "config", keys: str = "model, data and trainer") -> None:
    """Read one config.

    Args:
        name: Its path.
        kind: What it is, for messages.
        keys: What stands in it, for messages.

    Raises:
        UserError: As for :func:`check_config_files`.
    """
    path = Path(name)
    if path.is_dir():
        raise UserError(f"The {kind} {name!r} is a folder: name the YAML file in it.")
    if not path.exists():
        raise UserError(f"The {kind} {name!r} does not exist{_nearest_file(path)}")
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise UserError(f"The {kind} {name!r} is no UTF-8 text: name a YAML file, or save it as UTF-8.") from error
    except OSError as error:
        raise UserError(f"The {kind} {name!r} cannot be read ({error.strerror}).") from error
    except yaml.reader.ReaderError as error:
        raise UserError(f"The {kind} {name!r} is no text: name a YAML file.") from error
    except yaml.MarkedYAMLError as error:
        raise UserError(f"The {kind} {name!r} is no YAML{_place(error)}: {_what(error)}.") from error
    if node is None or node.tag.endswith(":null"):
        raise UserError(f"The {kind} {name!r} is empty; it must hold keys such as {keys}.")
    if not isinstance(node, yaml.MappingNode):
        raise UserError(f"The {kind} {name!r} is {_kind(node)}; it must hold keys such as {keys}, as `key: value`.")
    for mistake in _mistakes(node):
        raise UserError(f"The {kind} {name!r} has {mistake}.")


def _named(arguments: Sequence[str]) -> Iterator[str]:
    for flag, value in zip(arguments, [*arguments[1:], ""], strict=True):
        name, equals, given = flag.partition("=")
        if name in _FLAGS and (given or value):
            chosen = given if equals else value
            if not chosen.lstrip().startswith(("{", "-")) and "\n" not in chosen:  # else a config in place
                yield chosen


def _nearest_file(path: Path) -> str:
    files = [other.name for other in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
    nearest = difflib.get_close_matches(path.name, files, n=1, cutoff=0.75)
    return f"; did you mean {str(path.parent / nearest[0])!r}?" if nearest else ": give the path of a YAML file."


def _place(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark
    return "" if mark is None else f" in line {mark.line + 1}, column {mark.column + 1}"


def _what(error: yaml.MarkedYAMLError) -> str:
    problem = str(error.problem).rstrip(".")
    return "indent with spaces, not with a tab" if r"'\t'" in problem else problem


def _kind(node: yaml.Node) -> str:
    return "a list" if isinstance(node, yaml.SequenceNode) else f"the single value {node.value!r}"


def _mistakes(node: yaml.Node) -> Iterator[str]:
    """Tags that would run code, and keys that a mapping has a second time, at any depth."""
    line = node.start_mark.line + 1
    if node.tag.startswith("tag:yaml.org,2002:python"):
        yield f"the tag !!{node.tag.partition(',2002:')[2]} in line {line}, which could run code: leave it out"
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _mistakes(item)
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                yield f"the key {key.value!r} twice, again in line {key.start_mark.line + 1}: keep one of them"
            seen.add(str(key.value))
            yield from _mistakes(value)
