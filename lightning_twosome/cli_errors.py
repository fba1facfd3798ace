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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import import_module

import yaml

import lightning_twosome
from lightning_twosome.errors import UserError

# Lines of the tree that say nothing about the mistake.
_NOISE = re.compile(
    r"(Does not validate|Subtypes:|Errors:|Given value|Expected a path but|Expected a <class 'NoneType'>|"
    r"Not a valid subclass of|Subclass types expect|a class path \(str\)|a dict with|$)"
)
_FACTORY = re.compile(r"Type \S*Callable[^\n]*? expects a function or a callable class: ")
# Of all subcommands together; a hint is only as good as its nearness to what was written.
_OPTIONS = (
    "config", "run_dir", "seed_everything", "trainer", "model", "data", "ckpt_path", "output", "merge", "licence",
    "push_to_hub", "private", "print_config", "version", "episodes", "max_decisions", "agent", "env", "env_kwargs",
    "sample", "device", "format", "title", "only", "tasks", "seeds", "processes", "dry-run", "rerun", "report",
)  # fmt: skip
COMMANDS = {
    "fit": "train; goes on with --ckpt_path last",
    "validate": "play evaluation episodes and print return and success with intervals",
    "test": "play episodes of the tasks of data.test_tasks",
    "predict": "write transcripts of played episodes",
    "export": "write a checkpoint as a folder that an agent is loaded from",
    "check": "say whether an environment is ready for training: check --env ID",
    "play": "a person and the agent in the terminal: lightning-twosome play --agent FOLDER",
    "report": "one page about one or several runs: report RUN...",
    "study": "a grid of runs and seeds in one table with figures: study STUDY",
    "generalization": "one table over the tests of several runs: generalization RUN...",
}


def check_command(arguments: Sequence[str]) -> None:
    """Refuse a command line that does not begin with a subcommand or an option.

    Raises:
        UserError: The first argument is none of :data:`COMMANDS`.
    """
    known = ", ".join(COMMANDS)
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help", "--version")):
        raise UserError(f"The command line begins with a subcommand: one of {known}.")
    if not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        nearest = difflib.get_close_matches(arguments[0], COMMANDS, n=1)
        way_out = _question(nearest[0]) if nearest else f": use one of {known}"
        raise UserError(f"There is no subcommand {arguments[0]!r}{way_out}")


def out_of_memory(error: Exception) -> str:
    """What to do where the memory of the GPU, or of the machine, does not suffice; empty for any other exception."""
    text = str(error)
    on_gpu = type(error).__name__ == "OutOfMemoryError"  # torch's, whose import takes seconds
    if not (on_gpu or isinstance(error, MemoryError) or "can't allocate memory" in text):
        return ""
    asked = re.search(r"tried to allocate ([\d.]+) (\w+)", text, re.IGNORECASE)
    size = f"{int(asked[1]) / 2**30:.3g} GiB" if asked and asked[2] == "bytes" else asked and f"{asked[1]} {asked[2]}"
    return (
        f"there is not enough memory on {'the GPU' if on_gpu else 'this machine'}"
        f"{f' for {size} more' if size else ''}: halve model.token_budget until it fits, load the weights with "
        "model.language_model.dtype bfloat16, set model.language_model.gradient_checkpointing to true (docs/memory.md)"
    )


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
    if way_out := out_of_memory(error):
        return way_out
    if isinstance(error, OSError) and error.filename is not None:
        return f"{str(error.filename)!r} cannot be used: {error.strerror}"
    if unknown := re.search(r"does not accept option '([^']+)'|unrecognized arguments: --([^\s=]+)", text):
        name = unknown[1] or unknown[2]
        return f"{name} is not known{_nearest_option(name) or '; --help lists the options'}"
    if loose := re.search(r"unrecognized arguments: (\S+)", text):
        return f"{loose[1]!r} is not expected here: options begin with two hyphens, as in --seed_everything 1"
    missing = re.search(r"(?:(\w+): )?[Tt]he following arguments are required: (\S+)", text)
    if missing and ("Problem with" not in text or missing[2] == "env"):
        name = ".".join(part for part in (missing[1], missing[2].rstrip(",")) if part)
        return f"{_plain_key(name)} is missing: {_WAYS_TO_GIVE.get(_plain_key(name), 'give it, as --help says')}"
    if "Subtypes:" not in text and "Parser key" not in text:
        return re.sub(r"\s+", " ", text)
    tree = _read(_FACTORY.sub(lambda match: f"{_class_in(text[match.end() :])}\n", text))
    causes = list(dict.fromkeys(tree.causes)) or [text.splitlines()[0]]
    key = ".".join(tree.keys)
    if key in ("data.env", "data.test_tasks") and (entry := _wrong_task(key, tree.value)):
        return entry
    for cause in causes:
        if option := re.match(r"(?:Option|Key) '([^']+)' is not (?:accepted|expected)", cause):
            return f"{key}.{option[1]} is not known{_nearest_argument(tree.class_path, option[1])}"
    place = f"{key} of {tree.class_path.rpartition('.')[2]}" if tree.in_list and len(tree.keys) > 1 else key
    return f"{place}: {_joined(causes, tree.value)}" if key else _joined(causes, tree.value)


_WAYS_TO_GIVE = {
    "data.env": "name an environment, as in --data.env twosome/TomatoSalad-v0, or with --config a file that does",
    "model": "leave the key out for TwosomePPO, or name a class with model.class_path",
    "agent": "name what is to play, as in --agent FOLDER",
    "runs": "name the folder of at least one run",
    "study": "name the study's YAML file",
}


def _plain_key(name: str) -> str:
    """A key without the subcommand that jsonargparse puts before some, and with the data that it leaves out."""
    first, _, rest = name.partition(".")
    name = rest if first in COMMANDS and rest else name
    return "data.env" if name == "env" else name


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


def _wrong_task(key: str, value: str) -> str:
    """What is wrong with an entry of a list of tasks, whose types jsonargparse would list one by one."""
    try:
        entries = yaml.safe_load(value)
    except yaml.YAMLError:
        return ""
    known = ("env", "env_kwargs", "weight", "name")
    for number, entry in enumerate(entries if isinstance(entries, list) else []):
        place = f"{key}[{number}]"
        if not isinstance(entry, dict) or "env" not in entry:
            return f"{place} is {entry!r}; each task is a mapping such as {{env: twosome/TomatoSalad-v0, weight: 1}}"
        for name in entry:
            if name not in known:
                nearest = difflib.get_close_matches(str(name), known, n=1)
                return (
                    f"{place}.{name} is not known{_question(nearest[0]) if nearest else '; it has ' + ', '.join(known)}"
                )
    if isinstance(entries, list):
        return f"{key} is a list of tasks here and a class in an earlier config: leave it out of that one"
    return ""


def _joined(causes: Iterable[str], value: str) -> str:
    """Causes as one clause; several types that would have been right as one list."""
    readable = [_readable(cause) for cause in causes]
    wanted = [cause.removeprefix("expected ") for cause in readable if cause.startswith("expected ")]
    if not wanted:
        sentence = "; ".join(readable[-2:])
        wrong_class = r"Import path does not correspond to a subclass of (\w+)"
        sentence = re.sub(wrong_class, lambda found: f"{value} is no {found[1]}", sentence)
        return sentence + _nearest_name(sentence)
    if ", not " not in wanted[-1]:
        nested = re.match(r"NestedArg\(key='[^']*', val='?(.*?)'?\)$", value)
        wanted[-1] += f", not {(nested[1] if nested else value)!r}"
    return f"expected {' or '.join(wanted)}"


def _readable(cause: str) -> str:
    cause = re.sub(r"\. Got value: Namespace\(.*", "", cause)
    cause = re.sub(r"\. Got value: (.*)$", r", not '\1'", cause)
    cause = re.sub(r"<class '([^']+)'>", r"\1", cause)
    cause = re.sub(r"collections\.abc\.(?:Sequence|Iterable)|typing\.List\b", "list", cause)
    cause = re.sub(r"^[Tt]he following arguments are required: (?:class\.)?(.*)$", r"\1 is missing: give it", cause)
    cause = re.sub(r"^No module named '([^']+)'$", r"no module \1 can be imported: check class_path", cause)
    cause = re.sub(r"^Expected '([^']+)' to be a subclass of (\w+)", r"\1 is no \2", cause)
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
        import lightning as L  # takes seconds, which only this mistake costs

        nearest = difflib.get_close_matches(rest, inspect.signature(L.Trainer).parameters, n=1)
        return _question(f"trainer.{nearest[0]}") if nearest else ""
    return ""


def _nearest_argument(class_path: str, name: str) -> str:
    """The right spelling of an argument of a class, or all of them."""
    module, _, class_name = class_path.rpartition(".")
    names = list(inspect.signature(getattr(import_module(module), class_name)).parameters) if module else []
    nearest = difflib.get_close_matches(name.split(".")[0], [*names, "init_args", "class_path"], n=1)
    if nearest:
        return _question(nearest[0])
    return f"; {class_name} takes {', '.join(names) or 'no arguments'}" if class_name else ""


def _nearest_name(sentence: str) -> str:
    """The right spelling of a class in a module, or of one of the package's without it."""
    if alone := re.search(r"no class can be imported from '(\w+)'", sentence):
        known = {name.lower(): name for name in lightning_twosome.__all__}
        nearest = difflib.get_close_matches(alone[1].lower(), known, n=1)
        return _question(f"lightning_twosome.{known[nearest[0]]}") if nearest else ""
    missing = re.search(r"module '([^']+)' has no attribute '([^']+)'", sentence)
    nearest = difflib.get_close_matches(missing[2], dir(import_module(missing[1])), n=1) if missing else []
    return _question(nearest[0]) if nearest else ""


def _question(name: str) -> str:
    return f"; did you mean {name!r}?"
