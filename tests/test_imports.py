"""What the command line answers without Lightning and torch, and what importing costs."""

import subprocess
import sys

import pytest

from benchmarks import imports
from lightning_twosome.cli_errors import COMMANDS
from lightning_twosome.main import main

# In a fresh interpreter: what the command line says, its exit code, and which of the slow libraries it has loaded.
FRESH = """
import sys
from lightning_twosome.main import main
try:
    code = main({arguments!r})
except SystemExit as stop:
    code = stop.code
print(code, sorted({{"torch", "lightning", "transformers", "jsonargparse"}} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        ([], 2),
        (["fitt"], 2),
        (["fit", "--config", "none.yaml"], 2),
        (["--frobnicate"], 2),
    ],
    ids=["help", "version", "nothing", "subcommand", "config", "option"],
)
def test_what_needs_no_library_loads_none(tmp_path, arguments, code):
    command = [sys.executable, "-c", FRESH.format(arguments=arguments)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == f"{code} []"
    assert result.stderr.startswith("error: ") == bool(code) and result.stderr.count("\n") <= 1


@pytest.mark.parametrize(
    ("arguments", "mistake"),
    [
        ("report none", "There is no run 'none'"),
        ("play --agnt x", "agnt is not known; did you mean 'agent'?"),
        ("play --agent none", "agent='none' does not exist"),
        ("play --agent none/there --seed -1", "seed is -1"),
        ("generalization --outpt x none", "outpt is not known; did you mean 'output'?"),
        ("generalization none", "'none' has no test episodes"),
        ("study none.yaml --ony x", "ony is not known; did you mean 'only'?"),
        ("study none.yaml", "The study 'none.yaml' does not exist"),
        ("study none.yaml --report --tasks x", "--report is written of all cells that are done: leave --tasks out."),
    ],
)
def test_mistakes_of_other_commands_load_neither_lightning_nor_torch(tmp_path, arguments, mistake):
    code = FRESH.format(arguments=arguments.split())
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] in ("2 []", "2 ['jsonargparse']")
    assert result.stderr.startswith(f"error: {mistake}") and result.stderr.count("\n") == 1


def test_help_names_every_subcommand(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(any(line.split()[:1] == [name] for line in lines) for name in COMMANDS)


def test_debug_shows_the_traceback_of_a_mistake():
    with pytest.raises(ValueError, match="There is no subcommand 'fitt'; did you mean 'fit'"):
        main(["fitt", "--debug"])


def test_benchmark_measures_each_process_by_itself(monkeypatch, capsys):
    monkeypatch.setattr(imports, "CODE", {imports.ANYWAY: "sum(range(10**7))", "nothing": "pass"})
    monkeypatch.setattr(imports, "COMMANDS", {})
    taken = imports.main(["--repeats", "3"])
    assert len(taken["nothing"]) == 3 and max(taken["nothing"]) < 10
    assert sorted(taken[imports.ANYWAY])[1] > sorted(taken["nothing"])[1]
    assert " 1.00x" in capsys.readouterr().out.splitlines()[0]


def test_benchmark_ends_where_an_import_fails(monkeypatch):
    monkeypatch.setattr(imports, "CODE", {imports.ANYWAY: "import no_such_module"})
    with pytest.raises(RuntimeError, match="ended with 1"):
        imports.main(["--repeats", "1"])
