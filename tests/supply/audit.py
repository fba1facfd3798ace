"""Hold the pinned set against the public lists of known vulnerabilities, with pip-audit.

::

    python -m tests.supply.audit

pip-audit asks PyPI or OSV about every version, so one of the two must be reachable; where neither is, one line says so
and the exit code is 0. A vulnerability that ``accepted_vulnerabilities.toml`` does not name with a reason gives 1.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.supply.pins import CONSTRAINTS, Environment, canonical, pinned

ACCEPTED = Path(__file__).with_name("accepted_vulnerabilities.toml")
# Where pip-audit finds its answers, by the name that its option --vulnerability-service has for it.
PYPI = "https://pypi.org/pypi/{name}/{version}/json"
OSV = "https://api.osv.dev/v1/query"


@dataclass(frozen=True)
class Finding:
    """A known vulnerability of a pinned version.

    Attributes:
        package: Canonical name.
        version: The pinned one.
        names: The vulnerability's identifiers in the different lists.
        fixed_in: Versions without it; none where there is no such release.
    """

    package: str
    version: str
    names: frozenset[str]
    fixed_in: tuple[str, ...]

    def __str__(self) -> str:
        way_out = f"fixed in {', '.join(self.fixed_in)}" if self.fixed_in else "no release without it"
        return f"{self.package} {self.version}: {', '.join(sorted(self.names))} ({way_out})"


def accepted() -> list[dict[str, str]]:
    """The vulnerabilities that are known and do not apply: package, id and reason of each."""
    return tomllib.loads(ACCEPTED.read_text(encoding="utf-8"))["accepted"]


def read_report(text: str) -> tuple[list[Finding], list[str]]:
    """Findings and the packages that could not be looked up, in pip-audit's JSON."""
    findings, skipped = [], []
    for package in json.loads(text)["dependencies"]:
        name = canonical(package["name"])
        if "skip_reason" in package:
            skipped.append(name)
        for found in package.get("vulns", []):
            names = frozenset([found["id"], *found.get("aliases", [])])
            findings.append(Finding(name, package["version"], names, tuple(found.get("fix_versions", []))))
    return list(dict.fromkeys(findings)), skipped  # the lists know one vulnerability by several names


def not_accepted(findings: Iterable[Finding], entries: Iterable[dict[str, str]]) -> list[Finding]:
    """The findings that no entry names."""
    known = {(canonical(entry["package"]), entry["id"]) for entry in entries}
    return [finding for finding in findings if not any((finding.package, name) in known for name in finding.names)]


def _answers(request: urllib.request.Request | str) -> str:
    """The empty string where the service answers, else why not."""
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            json.load(response)
    except (OSError, ValueError) as error:
        code = getattr(error, "code", None)
        return f"HTTP {code}" if code else str(getattr(error, "reason", error))
    return ""


def reachable_service() -> tuple[str | None, str]:
    """A service that answers about one pinned version, by pip-audit's name of it; or why none does."""
    name, version = "jinja2", pinned()["jinja2"]
    query = {"package": {"name": name, "ecosystem": "PyPI"}, "version": version}
    questions: dict[str, urllib.request.Request | str] = {
        "pypi": PYPI.format(name=name, version=version),
        "osv": urllib.request.Request(OSV, json.dumps(query).encode(), {"Content-Type": "application/json"}),
    }
    reasons = []
    for service, question in questions.items():
        reason = _answers(question)
        if not reason:
            return service, ""
        reasons.append(f"{service}: {reason}")
    return None, "; ".join(reasons)


def audit(service: str) -> str:
    """pip-audit's JSON about the pinned set; pip-audit has an environment of its own."""
    with tempfile.TemporaryDirectory() as folder:
        environment = Environment(Path(folder) / "venv")
        environment.install("pip-audit>=2.7")
        options = ["--no-deps", "--disable-pip", "--format=json", "--progress-spinner=off"]
        command = [str(environment.commands / "pip-audit"), f"--vulnerability-service={service}", *options]
        result = subprocess.run([*command, f"--requirement={CONSTRAINTS}"], capture_output=True, text=True)
    if not result.stdout.strip():
        sys.exit(f"error: pip-audit: {(result.stderr.strip().splitlines() or ['it printed nothing'])[-1]}")
    return result.stdout


def main() -> int:
    """Print the findings.

    Returns:
        1 where a vulnerability is not accepted, else 0.
    """
    service, reason = reachable_service()
    if service is None:
        print(f"Vulnerabilities were not looked up: no service answers ({reason}).")
        return 0
    findings, skipped = read_report(audit(service))
    left = not_accepted(findings, accepted())
    count = len(pinned()) - len(skipped)
    print(f"{count} of {len(pinned())} pinned versions looked up ({service}): {len(findings)} known vulnerabilities,")
    print(f"{len(findings) - len(left)} accepted in {ACCEPTED.name}, {len(left)} not.")
    if skipped:
        print(f"Not looked up: {', '.join(skipped)}.")
    for finding in left:
        print(f"  {finding}")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
