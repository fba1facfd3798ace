"""The sources hold none of the calls with which data becomes code; SECURITY.md promises it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("lightning_twosome", "callbacks", "configs", "benchmarks", "tests/supply", "docs/examples")
# Reading any of these runs what its author wrote into it; eval and exec are only meant as built-ins, not as methods.
FORBIDDEN = {
    "eval", "exec", "os.system", "os.popen", "pickle.load", "pickle.Unpickler", "marshal.load", "marshal.loads",
    "shelve.open", "joblib.load", "dill.load", "dill.loads", "cloudpickle.load", "cloudpickle.loads",
    "pandas.read_pickle", "pd.read_pickle", "yaml.unsafe_load", "yaml.full_load", "yaml.unsafe_load_all",
    "yaml.full_load_all", "tempfile.mktemp", "subprocess.getoutput", "subprocess.getstatusoutput",
}  # fmt: skip
# An exception that this process has just pickled itself, to see whether it survives.
ALLOWED = {("lightning_twosome/environment_failure.py", "pickle.loads")}


def dotted(node: ast.expr) -> str:
    """``yaml.load`` of the function in ``yaml.load(...)``; empty for what is no plain name."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def literal(call: ast.Call, name: str) -> object:
    """The value of a keyword that is written as a literal, else ``None``."""
    values = [word.value.value for word in call.keywords if word.arg == name and isinstance(word.value, ast.Constant)]
    return values[0] if values else None


def mistake(call: ast.Call) -> str:
    """What is wrong with a call; empty for nothing."""
    name = dotted(call.func)
    if name in FORBIDDEN | {"pickle.loads"}:
        return name
    if name == "yaml.load" and not any("SafeLoader" in dotted(word.value) for word in call.keywords):
        return name
    if name.endswith("torch.load") and literal(call, "weights_only") is not True:
        return f"{name} without weights_only=True"
    if name.endswith(("np.load", "numpy.load")) and literal(call, "allow_pickle"):
        return f"{name} with allow_pickle"
    for option in ("trust_remote_code", "shell"):
        if any(word.arg == option for word in call.keywords) and literal(call, option) is not False:
            return f"{option} that may be true"
    return "weights_only=False" if literal(call, "weights_only") is False else ""


def mistakes(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of every such call, and of every import that gives one a name of its own."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and (found := mistake(node)):
            yield node.lineno, found
        if isinstance(node, ast.ImportFrom):
            for name in (f"{node.module}.{alias.name}" for alias in node.names):
                if name in FORBIDDEN | {"yaml.load", "torch.load", "pickle.loads"}:
                    yield node.lineno, f"from {name}"


def files() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def test_no_source_turns_data_into_code():
    assert len(files()) > 100
    found = [
        (path.relative_to(ROOT).as_posix(), line, what)
        for path in files()
        for line, what in mistakes(path.read_text(encoding="utf-8"))
        if (path.relative_to(ROOT).as_posix(), what) not in ALLOWED
    ]
    assert found == []


def test_what_is_allowed_is_still_there():
    for name, call in ALLOWED:
        assert call in [what for _, what in mistakes((ROOT / name).read_text(encoding="utf-8"))]


def test_no_configuration_asks_for_remote_code():
    for path in (ROOT / "configs").rglob("*.yaml"):
        assert "trust_remote_code" not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize(
    "source",
    [
        "eval('1')",
        "import pickle\npickle.load(open('x', 'rb'))",
        "from pickle import loads",
        "yaml.load(text)",
        "yaml.load(text, Loader=yaml.Loader)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "trainer.fit(module, weights_only=False)",
        "numpy.load(path, allow_pickle=True)",
        "AutoModel.from_pretrained(path, trust_remote_code=flag)",
        "subprocess.run('ls', shell=True)",
        "os.system('ls')",
    ],
)
def test_check_finds(source):
    assert list(mistakes(source))


@pytest.mark.parametrize(
    "source",
    [
        "model.eval()",
        "torch.load(path, weights_only=True)",
        "yaml.safe_load(text)",
        "yaml.load(text, Loader=yaml.CSafeLoader)",
        "AutoModel.from_pretrained(path, trust_remote_code=False)",
        "subprocess.run(['ls'])",
    ],
)
def test_check_passes(source):
    assert list(mistakes(source)) == []
