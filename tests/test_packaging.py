"""The package as a wheel, an editable install and a checkout: the same modules, the same files, one class path."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PROJECT["tool"]["setuptools"]
# Where each top-level folder of the checkout is installed.
HOMES = {
    "lightning_twosome": "lightning_twosome",
    "callbacks": "lightning_twosome.callbacks",
    "configs": "lightning_twosome.configs",
}
EXTRA_MODULES = [
    "bitsandbytes", "hypothesis", "imageio_ffmpeg", "minigrid", "pytest", "sentencepiece", "tensorboard", "textworld",
    "wandb",
]  # fmt: skip
DATA_SUFFIXES = {".css", ".html", ".yaml", ".json", ".jsonl", ".txt", ".safetensors", ".typed"}


def installed_files() -> set[str]:
    """Every module and data file of the checkout under the path it has once installed."""
    files = set()
    for folder, home in HOMES.items():
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in DATA_SUFFIXES | {".py"} and "__pycache__" not in path.parts:
                files.add(f"{home.replace('.', '/')}/{path.relative_to(ROOT / folder).as_posix()}")
    return files


def module_names() -> list[str]:
    modules = (Path(file).with_suffix("") for file in installed_files() if file.endswith(".py"))
    names = {".".join(path.parts).removesuffix(".__init__") for path in modules}
    return sorted(name for name in names if not name.endswith("__main__"))


def run_python(code: str, folder: Path, *flags: str, **environment: str) -> str:
    """What ``code`` prints in a fresh interpreter that is started in ``folder``."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | environment
    command = [sys.executable, *flags, "-c", code]
    result = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_every_package_of_the_tree_is_listed():
    packages = {str(Path(file).parent).replace("/", ".") for file in installed_files() if file.endswith("__init__.py")}
    assert sorted(SETUPTOOLS["packages"]) == sorted(packages)


def test_every_folder_with_modules_is_a_package():
    folders = {Path(file).parent.as_posix() for file in installed_files() if file.endswith(".py")}
    missing = {folder for folder in folders if f"{folder}/__init__.py" not in installed_files()}
    assert not missing


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked; built from a copy of the sources because setuptools writes build/ into the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in HOMES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    result = subprocess.run([*command, "--wheel-dir", folder, source], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    (path,) = folder.glob("*.whl")
    zipfile.ZipFile(path).extractall(folder / "site")
    return folder / "site"


def test_wheel_holds_every_module_and_data_file(wheel):
    in_wheel = {path.relative_to(wheel).as_posix() for path in (wheel / "lightning_twosome").rglob("*.*")}
    assert sorted(installed_files() - in_wheel) == []


# Found as an import would find them, without the seconds of importing torch.
WHERE = """
from importlib.util import find_spec
for name in ("lightning_twosome", "lightning_twosome.callbacks", "lightning_twosome.configs"):
    print(find_spec(name).origin)
"""


@pytest.mark.parametrize("flags", [(), ("-P",)], ids=["any way", "as the installed command starts"])
def test_wheel_is_one_consistent_set_from_any_folder(wheel, tmp_path, flags):
    paths = run_python(WHERE, tmp_path, *flags, PYTHONPATH=str(wheel)).splitlines()
    assert [Path(path).relative_to(wheel).as_posix() for path in paths] == [
        "lightning_twosome/__init__.py",
        "lightning_twosome/callbacks/__init__.py",
        "lightning_twosome/configs/__init__.py",
    ]


def test_installed_command_started_in_the_checkout_uses_the_wheel_alone(wheel):
    paths = run_python(WHERE, ROOT, "-P", PYTHONPATH=str(wheel)).splitlines()
    assert all(Path(path).is_relative_to(wheel) for path in paths)


def test_checkout_that_hides_the_wheel_is_used_alone(wheel):
    # `python` puts the folder it is started in before every installed package.
    paths = run_python(WHERE, ROOT, PYTHONPATH=str(wheel)).splitlines()
    assert [Path(path).relative_to(ROOT).as_posix() for path in paths] == [
        "lightning_twosome/__init__.py",
        "callbacks/__init__.py",
        "configs/__init__.py",
    ]


def test_checkout_works_uninstalled_from_any_folder(tmp_path):
    paths = run_python(WHERE, tmp_path, PYTHONPATH=str(ROOT)).splitlines()
    assert all(Path(path).is_relative_to(ROOT) for path in paths)


def test_importing_the_package_is_cheap(tmp_path):
    code = "import sys, lightning_twosome; print({'torch', 'transformers', 'lightning'} & set(sys.modules))"
    assert run_python(code, tmp_path, PYTHONPATH=str(ROOT)) == "set()"


def test_every_module_imports_with_the_base_dependencies_alone(tmp_path):
    code = f"""
import importlib, sys
for extra in {EXTRA_MODULES}:
    sys.modules[extra] = None
for name in {module_names()}:
    importlib.import_module(name)
print("all imported")
"""
    assert run_python(code, tmp_path, PYTHONPATH=str(ROOT)).endswith("all imported")


def test_command_and_script_are_the_same_program(tmp_path):
    assert PROJECT["project"]["scripts"] == {"lightning-twosome": "lightning_twosome.main:main"}
    script = [sys.executable, str(ROOT / "cli.py"), "--help"]
    environment = os.environ | {"COLUMNS": "80"}
    result = subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "fit" in result.stdout and "export" in result.stdout


def requirements() -> list[Requirement]:
    project = PROJECT["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    return [Requirement(line) for line in lines if not line.startswith(project["name"])]


def test_constraints_pin_every_requirement_within_its_bounds():
    lines = (line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#"))
    pins = {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}
    wrong = [str(need) for need in requirements() if not need.specifier.contains(pins[canonicalize_name(need.name)])]
    assert not wrong


def test_the_checks_install_the_torch_that_the_constraints_name():
    pin = re.search(r"^torch==([\d.]+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pin is not None
    assert f"pip install --quiet torch=={pin[1]}\n" in (ROOT / ".ci" / "run").read_text()
