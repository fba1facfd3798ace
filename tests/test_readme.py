"""What README.md and docs/ promise: commands that exist, configs that are there, links that lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.cli_runs import ROOT, run

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
OF_ITS_OWN = ("generalization", "play", "report", "study")  # subcommands that are none of LightningCLI's
FENCE = re.compile(r"```(?:bash|sh|shell|console)\n(.*?)```", re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """Words of every shell command in the page's code blocks, continuation lines joined, comments dropped."""
    return [words for _, words in commands_and_folders(page)]


def commands_and_folders(page: Path) -> list[tuple[Path, list[str]]]:
    """The same with the folder that the block has gone to."""
    found = []
    for block in FENCE.findall(page.read_text(encoding="utf-8")):
        folder = ROOT
        for line in block.replace("\\\n", " ").splitlines():
            for command in line.removeprefix("$ ").split(" && "):
                words = shlex.split(command, comments=True)
                folder = folder / words[1] if words[:1] == ["cd"] else folder
                found += [(folder, words)] if words else []
    return found


def of_this_program(words: list[str]) -> list[str] | None:
    """Arguments of a command of ours, ``None`` for any other."""
    for start in (["lightning-twosome"], ["python", "cli.py"], ["python", "-m", "lightning_twosome.main"]):
        if words[: len(start)] == start:
            return words[len(start) :]
    return None


OWN = [
    (page, folder, arguments)
    for page in PAGES
    for folder, words in commands_and_folders(page)
    if (arguments := of_this_program(words))
]


def test_readme_trains_and_tests_with_one_command_each():
    ours = [of_this_program(words) for words in commands(README)]
    assert any(arguments and arguments[0] == "fit" for arguments in ours)
    assert any(words[0] == "pytest" for words in commands(README))


def test_the_test_command_is_the_one_that_ci_runs():
    ci = (ROOT / ".ci/run").read_text()
    tested = next(words for words in commands(README) if words[0] == "pytest")
    assert any(line.split()[:1] == ["pytest"] and set(tested) <= set(line.split()) for line in ci.splitlines())


@pytest.mark.parametrize(("page", "folder", "arguments"), OWN, ids=[f"{p.name}: {' '.join(a)[:70]}" for p, _, a in OWN])
def test_command_of_a_page_parses(page, folder, arguments, capsys, monkeypatch):
    """Up to the point where it would begin: every name and value in it is right."""
    if any(word.isupper() or "..." in word or "$" in word or "my_envs" in word for word in arguments):
        pytest.skip("a pattern, or about a module of the reader")
    if arguments[0] in OF_ITS_OWN:
        with pytest.raises(SystemExit) as stop:
            run(arguments[0], "--help")
        assert stop.value.code == 0
        known = capsys.readouterr().out
        assert all(word.split("=")[0] in known for word in arguments if word.startswith("--"))
        return
    monkeypatch.chdir(folder)
    arguments = without(arguments, "--ckpt_path")
    with pytest.raises(SystemExit) as stop:
        run(*arguments, *([] if "--print_config" in arguments else ["--print_config"]))
    assert stop.value.code == 0
    assert "class_path" in capsys.readouterr().out


def without(arguments: list[str], option: str) -> list[str]:
    if option not in arguments:
        return arguments
    place = arguments.index(option)
    return arguments[:place] + arguments[place + 2 :]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"<img[^>]*src=\"([^\"]+)\"", text)
    local = [target.split("#")[0] for target in targets if not re.match(r"(https?|mailto):|#", target)]
    broken = [target for target in local if not (page.parent / target).exists()]
    assert not broken


def test_files_named_in_the_text_exist():
    """Paths in backticks under the folders of the repository."""
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        named = re.findall(r"`((?:docs|configs|tests|benchmarks|callbacks|lightning_twosome)/[\w./-]+\.\w+)`", text)
        missing = [name for name in named if not (ROOT / name).exists() and name != "lightning_twosome/bundled"]
        assert not missing, f"{page.name} names {missing}"
