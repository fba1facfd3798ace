"""What is said of the dependencies holds: bounds, audit, licences, and the base install's own check."""

import json
from importlib import metadata

import pytest

from tests.supply import audit, base_install, licences, lowest_versions, pins

SQLITE = {"id": "GHSA-g4r7", "aliases": ["CVE-2024-35515", "PYSEC-1"], "fix_versions": [], "description": "..."}
JINJA = {"id": "PYSEC-2", "aliases": [], "fix_versions": ["3.1.7"], "description": "..."}


def report(**vulnerabilities: list[dict]) -> str:
    """What pip-audit prints with --format=json; a package without a list is one that it could not look up."""
    packages = [
        {"name": name, "version": "1.0", "vulns": found} if found is not None else {"name": name, "skip_reason": "..."}
        for name, found in vulnerabilities.items()
    ]
    return json.dumps({"dependencies": packages, "fixes": []})


def test_pins_are_read_whatever_the_spelling_and_the_comment():
    assert pins.pinned("# a set\nJinja2==3.1.6\nlm_eval==0.4.13  # why\n\n") == {"jinja2": "3.1.6", "lm-eval": "0.4.13"}


def test_modules_have_the_names_under_which_they_are_installed():
    names = set(pins.module_names())
    assert {"lightning_twosome", "lightning_twosome.main", "lightning_twosome.callbacks"} <= names
    assert "lightning_twosome.configs" in names and not any(name.endswith("__main__") for name in names)


def test_one_vulnerability_under_several_names_counts_once():
    other = {**SQLITE, "id": "PYSEC-1", "aliases": ["CVE-2024-35515", "GHSA-g4r7"]}
    findings, skipped = audit.read_report(report(sqlitedict=[SQLITE, other], torch=[], rich=None))
    assert [finding.package for finding in findings] == ["sqlitedict"] and skipped == ["rich"]


def test_only_the_named_vulnerability_of_the_named_package_is_accepted():
    findings, _ = audit.read_report(report(sqlitedict=[SQLITE], Jinja2=[JINJA]))
    entry = {"package": "sqlitedict", "id": "CVE-2024-35515", "reason": "..."}
    assert [str(finding) for finding in audit.not_accepted(findings, [entry])] == [
        "jinja2 1.0: PYSEC-2 (fixed in 3.1.7)"
    ]
    other = {**entry, "id": "CVE-2024-1"}
    assert len(audit.not_accepted(findings, [other])) == 2


def test_every_accepted_vulnerability_is_of_a_pinned_package_and_has_a_reason():
    for entry in audit.accepted():
        assert entry["package"] in pins.pinned() and entry["id"] and len(entry["reason"]) > 40


@pytest.mark.parametrize(("found", "code"), [([], 0), ([JINJA], 1)])
def test_audit_fails_on_what_is_not_accepted(monkeypatch, capsys, found, code):
    monkeypatch.setattr(audit, "reachable_service", lambda: ("pypi", ""))
    monkeypatch.setattr(audit, "audit", lambda service: report(jinja2=found, rich=None))
    assert audit.main() == code
    printed = capsys.readouterr().out
    assert "Not looked up: rich." in printed and ("PYSEC-2" in printed) == bool(found)


def test_audit_without_a_service_says_so_in_one_line(monkeypatch, capsys):
    def refuse(*args, **kwargs):
        raise OSError("Name or service not known")

    monkeypatch.setattr(audit.urllib.request, "urlopen", refuse)
    assert audit.main() == 0
    assert capsys.readouterr().out == (
        "Vulnerabilities were not looked up: no service answers (pypi: Name or service not known; "
        "osv: Name or service not known).\n"
    )


def test_page_has_every_pinned_package_once_in_its_version():
    rows = licences.rows_of(licences.PAGE.read_text(encoding="utf-8"))
    assert [(row[0], row[1]) for row in rows] == list(pins.pinned().items())


def test_page_has_a_licence_of_every_package_and_that_which_the_installed_one_states():
    for name, version, licence, needed in licences.rows_of(licences.PAGE.read_text(encoding="utf-8")):
        assert licence and needed, name
        found = list(metadata.distributions(name=name))
        if found and found[0].version == version and name not in licences.READ_BY_HAND:
            assert licence == " ".join(licences.stated_licence(found[0].metadata).split())


def test_page_is_the_generated_one_where_the_pinned_set_is_installed():
    installed = {name: [found.version for found in metadata.distributions(name=name)] for name in pins.pinned()}
    differing = [
        name
        for name, version in pins.pinned().items()
        if not any(base_install.same(v, version) for v in installed[name])
    ]
    if differing:
        pytest.skip(f"another set is installed: {', '.join(differing)}")
    page = licences.PAGE.read_text(encoding="utf-8")
    table = page.partition(licences.BEGIN)[2].partition(licences.END)[0].strip()
    assert table.splitlines() == licences.table(), "run python -m tests.supply.licences"


def test_base_has_what_it_promises_and_nothing_of_the_extras():
    names = {base_install.requirement_name(line) for line in pins.project()["dependencies"]}
    assert {
        "lightning", "torch", "transformers", "peft", "torchmetrics", "gymnasium", "overcooked-ai", "lm-eval",
        "jsonargparse", "rich", "safetensors",
    } <= names  # fmt: skip
    rows = licences.rows_of(licences.PAGE.read_text(encoding="utf-8"))
    assert base_install.beyond_base({name: "" for name, _, _, needed in rows if needed == "base"}) == ["setuptools"]


def test_every_extra_and_every_direct_dependency_is_on_the_page():
    page = licences.PAGE.read_text(encoding="utf-8")
    for name in [*pins.project()["optional-dependencies"], *(line.split()[0] for line in lowest_versions.direct({}))]:
        assert name in page


def test_every_installation_of_the_checks_refuses_another_torch(monkeypatch, tmp_path):
    commands = []
    monkeypatch.setattr(pins, "run", lambda *command, **kwargs: commands.append(command) or "")
    (tmp_path / "venv").mkdir()
    environment = pins.Environment(tmp_path / "venv")
    environment.install_torch()
    environment.install("--requirement", "lowest.txt")
    for command in commands[1:]:
        (constraint,) = [part for part in command if str(part).startswith("--constraint=")]
        assert pins.pinned(open(constraint.partition("=")[2]).read()) == {"torch": pins.pinned()["torch"]}
