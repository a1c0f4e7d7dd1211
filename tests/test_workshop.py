"""The workshop keeps its word: what the README, the Makefile and the locks promise is so."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from flask import Flask, jsonify

from epro.api import docs
from epro.config import SETTINGS

ROOT = Path(__file__).parents[1]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
DECISIONS = ROOT / "docs" / "decisions"

# Put together from parts, so that this file does not contain what it looks for.
PLACES_OF_ONE_MACHINE = re.compile(
    rb"|".join((rb"/" + rb"work/", rb"/\.lib" + rb"rary", rb"/" + rb"root/", rb"/home/[a-z]"))
)


def test_the_readme_lists_every_setting():
    readme = (ROOT / "README.md").read_text()
    assert [setting.name for setting in SETTINGS if f"`{setting.name}`" not in readme] == []


def test_the_readme_tells_every_default():
    lines = (ROOT / "README.md").read_text().splitlines()
    told = {
        s.name: [line for line in lines if f"`{s.name}`" in line] for s in SETTINGS if s.default is not None
    }
    defaults = {s.name: s.default for s in SETTINGS}
    assert [name for name in told if not any(defaults[name] in line for line in told[name])] == []


def test_make_help_lists_every_target():
    makefile = (ROOT / "Makefile").read_text()
    promised = re.findall(r"^([a-z][a-z-]*):.*## (.+)$", makefile, flags=re.MULTILINE)
    declared = re.search(r"^\.PHONY: (.+)$", makefile, flags=re.MULTILINE)
    assert declared and {name for name, _ in promised} == set(declared[1].split())
    listed = _run("make", "--no-print-directory", "help").splitlines()
    assert [line.split(maxsplit=2)[1:] for line in listed] == [list(pair) for pair in promised]


def test_the_build_runs_what_a_developer_runs():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111, ".ci/run cannot be executed"
    assert {"make check", "make test"} <= set(script.read_text().splitlines())
    _run("bash", "-n", str(script))


def test_no_file_names_a_place_on_one_machine():
    named = [path for path in _files() if PLACES_OF_ONE_MACHINE.search((ROOT / path).read_bytes())]
    assert named == []


def test_places_on_a_machine_would_be_found():
    assert PLACES_OF_ONE_MACHINE.search(b"see /" + b"work/main/epro")
    assert not PLACES_OF_ONE_MACHINE.search(b"from framework/ folders import one.library")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_locked_package_has_digests_and_no_address(lock):
    requirements = re.split(r"^(?=[A-Za-z0-9])", lock.read_text(), flags=re.MULTILINE)[1:]
    loose = [
        entry.splitlines()[0] for entry in requirements if "==" not in entry or "--hash=sha256:" not in entry
    ]
    assert requirements and loose == []
    assert re.findall(r"^.*(?:://|--index|--find-links|@ ).*$", lock.read_text(), flags=re.MULTILINE) == []


def test_there_is_a_lock_to_run_and_one_to_develop():
    assert [lock.name for lock in LOCKS] == ["dev.lock", "run.lock"]
    run, dev = ({name for name, _ in _pins(lock)} for lock in (LOCKS[1], LOCKS[0]))
    assert run < dev and "pytest" not in run
    assert set(_pins(LOCKS[1])) <= set(_pins(LOCKS[0])), "the two locks differ: run `make lock`"


def test_every_package_has_its_reason():
    """A new package needs a line on the decision page."""
    page = (DECISIONS / "0011-packages.md").read_text()
    explained = {_spelled(name) for name in re.findall(r"^\| `([^`\[]+)", page, flags=re.MULTILINE)}
    assert _asked_for() - explained == set(), "give these a reason"
    assert explained - _asked_for() == set(), "these are explained and not asked for"


def test_everything_imported_is_asked_for():
    """No package is used that only another package brings in."""
    imported = {name.split(".")[0] for path in (ROOT / "epro").rglob("*.py") for name in _imports(path)}
    outside = imported - sys.stdlib_module_names - {"epro"}
    brought = {name: {_spelled(package) for package in packages_distributions()[name]} for name in outside}
    assert {name for name, packages in brought.items() if not packages & _asked_for()} == set()


def test_decisions_are_numbered_without_gaps_and_tell_what_follows():
    pages = sorted(DECISIONS.glob("*.md"))
    assert [page.name[:4] for page in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]
    for page in pages:
        headings = re.findall(r"^## (.+)$", page.read_text(), flags=re.MULTILINE)
        assert headings[:3] == ["Context", "Decision", "Consequences"], page.name


@pytest.fixture
def client():
    app = Flask("a door with a description")
    docs.register(app)
    app.add_url_rule("/openapi.json", "description", lambda: jsonify(openapi="3.0.3"))
    return app.test_client()


def test_the_docs_page_asks_no_outside_host_and_runs_no_inline_script(client):
    page = client.get("/docs")
    assert page.status_code == 200
    assert re.findall(r"<script(?![^>]* src=)|<style| on[a-z]+=|style=", page.text) == []
    loaded = re.findall(r"(?:src|href|data-description)=\"([^\"]+)\"", page.text)
    assert len(loaded) == 6
    for address in loaded:
        with client.get(address if address[0] == "/" else f"/{address}") as found:
            assert found.status_code == 200, address


def test_the_docs_page_is_locked_down(client):
    rules = dict(
        rule.split(" ", 1) for rule in client.get("/docs").headers["Content-Security-Policy"].split("; ")
    )
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert "unsafe" not in " ".join(rules.values())


@pytest.mark.parametrize(
    "name", ["index.html", "swagger-ui.js.map", "..%2F__init__.py", "%2e%2e/__init__.py"]
)
def test_no_other_file_of_the_package_is_served(client, name):
    assert client.get(f"/docs/assets/{name}").status_code == 404


def _run(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def _files() -> list[str]:
    """Every file that is, or is about to be, in the repository."""
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = _run("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def _pins(lock: Path) -> list[tuple[str, str]]:
    return re.findall(r"^([A-Za-z0-9_.-]+)(?:\[[a-z,]+\])?==(\S+)", lock.read_text(), flags=re.MULTILINE)


def _asked_for() -> set[str]:
    """Names of the packages that setup.cfg asks for, to run, to test and to develop."""
    options = (ROOT / "setup.cfg").read_text().split("[options]")[1].split("[options.packages.find]")[0]
    lists = re.findall(r"^(?:install_requires|test|dev) =\n((?:    .+\n)+)", options, flags=re.MULTILINE)
    lines = [line for block in lists for line in block.split("\n") if line]
    return {_spelled(re.split(r"[^A-Za-z0-9._-]", line.strip())[0]) for line in lines}


def _spelled(package: str) -> str:
    """The one spelling of a package's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", package).lower()


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
