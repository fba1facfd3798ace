"""Run the tests with the lowest versions that ``pyproject.toml`` allows.

::

    python -m tests.supply.lowest_versions                          every test that CI runs
    python -m tests.supply.lowest_versions tests/test_ppo.py -x     pytest's arguments
    python -m tests.supply.lowest_versions --resolve-only           print the versions

uv resolves the lowest version of every direct dependency and the newest of all others; pip installs them into an
environment of its own. torch alone is fixed, at the version that ``constraints.txt`` names.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.supply.base_install import requirement_name
from tests.supply.pins import ROOT, Environment, canonical, pinned, project, run

# Torch is installed already; what it asks for binds the others all the same.
TORCH_NEEDS = """
from importlib.metadata import requires
for line in requires("torch"):
    if "extra ==" not in line:
        print(line)
"""


def resolve(environment: Environment, folder: Path) -> Path:
    """Write the versions to install, one ``name==version`` a line, all but torch.

    Args:
        environment: Has torch; uv is installed into it.
        folder: For the file.
    """
    environment.install("uv")
    excluded, needs, pins = folder / "excluded.txt", folder / "torch_needs.txt", folder / "lowest.txt"
    excluded.write_text("torch\n", encoding="utf-8")
    needs.write_text(run(environment.python, "-c", TORCH_NEEDS), encoding="utf-8")
    options = ["--resolution", "lowest-direct", "--extra", "dev", "--no-header", "--no-annotate", "--quiet"]
    options += ["--python", str(environment.python), f"--excludes={excluded}", f"--constraint={needs}"]
    run(environment.commands / "uv", "pip", "compile", ROOT / "pyproject.toml", *options, f"--output-file={pins}")
    return pins


def direct(versions: dict[str, str]) -> list[str]:
    """The base's direct dependencies with their versions."""
    names = (requirement_name(line) for line in project()["dependencies"])
    return [f"{name} {versions.get(canonical(name), pinned().get(canonical(name), ''))}" for name in names]


def main(argv: list[str]) -> int:
    """Resolve, install, test.

    Args:
        argv: Arguments for pytest; ``--resolve-only`` ends after printing the versions.

    Returns:
        pytest's exit code.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = Environment(folder / "venv")
        environment.install_torch()
        pins = resolve(environment, folder)
        print("Direct dependencies:", ", ".join(direct(pinned(pins.read_text(encoding="utf-8")))), flush=True)
        if argv == ["--resolve-only"]:
            return 0
        environment.install("--requirement", pins)
        environment.install("--no-deps", "--editable", ROOT)  # runs say which version of the package they are of
        variables = {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        quiet = {"MPLBACKEND": "Agg", "SDL_VIDEODRIVER": "dummy", "PYTHONDONTWRITEBYTECODE": "1"}
        command = [str(environment.python), "-m", "pytest", "-p", "no:cacheprovider", *argv]
        return subprocess.run(command, cwd=ROOT, env=os.environ | variables | quiet).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
