"""docs/problems.md lists every code that a caller can meet, with its status, and no other."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.exceptions import default_exceptions

import epro
from epro.api import errors
from epro.errors import EproError
from epro.questionnaires import checking

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "problems.md").read_text(encoding="utf-8")
SOURCES = sorted((ROOT / "epro").rglob("*.py"))
WHERE_ERRORS_ARE_MADE = (
    "epro/api",
    "epro/contacts",
    "epro/signin",
    "epro/studies",
    "epro/notifications",
    "epro/scheduling",
    "epro/responses/correcting",
)


def table(heading: str) -> dict[str, list[str]]:
    """The rows of the table under a heading: code and the other cells."""
    part = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in part.splitlines() if line.startswith("| `")]
    found = {row[0].strip().strip("`"): [cell.strip() for cell in row[1:]] for row in rows}
    assert len(found) == len(rows), "a code stands twice"
    return found


def refusals() -> Iterator[tuple[str, int]]:
    """Code and status of every refusal: of our classes, of the web framework's, and of those made on the spot."""
    for module in pkgutil.walk_packages(epro.__path__, "epro."):
        importlib.import_module(module.name)
    yield from ((kind.code, kind.status) for kind in (EproError, *_below(EproError)))
    with Flask("a door").test_request_context():
        for kind in default_exceptions.values():
            told = errors._of_http(kind())
            yield told.get_json()["code"], told.status_code
    yield from _made_on_the_spot()


def test_every_problem_is_explained_and_no_other():
    assert set(table("Problems")) == {code for code, _ in refusals()}


def test_every_problem_stands_with_its_status():
    ours = {code: status for code, status in refusals() if code not in ("refused", "internal_error")}
    told = {code: int(cells[0]) for code, cells in table("Problems").items()}
    assert {code: told[code] for code in ours} == ours
    assert (told["refused"], told["internal_error"]) == (400, 500)


def test_every_problem_says_what_to_do():
    assert [code for code, cells in table("Problems").items() if len(cells) != 3 or not all(cells)] == []


def test_no_two_refusals_share_a_code_by_chance():
    """A class of its own has a word of its own."""
    for module in pkgutil.walk_packages(epro.__path__, "epro."):
        importlib.import_module(module.name)
    codes = [kind.code for kind in (EproError, *_below(EproError))]
    assert sorted(codes) == sorted(set(codes))


def test_every_code_within_errors_is_explained_and_no_other():
    found = {
        value
        for path, tree in _trees()
        if path.startswith(WHERE_ERRORS_ARE_MADE)
        for value in _values_under(tree, "code")
    }
    found |= {
        f"bad_{call.args[0].value}"
        for path, tree in _trees()
        if path == "epro/contacts/store.py"
        for call in _calls(tree, {"_fault"})
    }
    found |= {
        call.args[1].value
        for path, tree in _trees()
        if path == "epro/scheduling/enrolling.py"
        for call in _calls(tree, {"_fault"})
    }
    assert set(table("Codes within `errors`")) == found


def test_every_finding_is_explained_and_no_other():
    found = {
        call.args[0].value
        for path, tree in _trees()
        if path.startswith("epro/responses/")
        for call in _calls(tree, {"Finding", "_held"})
        if isinstance(call.args[0], ast.Constant)
    }
    known = found | set(checking.DETAILS) | set(checking.REMARKS) | {"edit_check"}
    assert set(table("Findings on a receipt")) == known


def test_what_is_held_is_said_to_be_held():
    told = {code: cells[0] for code, cells in table("Findings on a receipt").items()}
    holding = {
        call.args[0].value
        for path, tree in _trees()
        if path.startswith("epro/responses/")
        for call in _calls(tree, {"Finding", "_held"})
        if isinstance(call.args[0], ast.Constant)
        and (call.func.id == "_held" or any(k.arg == "holds" and k.value.value for k in call.keywords))
    }
    assert {code for code, held in told.items() if held in ("yes", "conflict")} == holding | set(
        checking.DETAILS
    )


@pytest.mark.parametrize("kind", [EproError, *EproError.__subclasses__()], ids=lambda kind: kind.code)
def test_a_refusal_has_a_sentence_for_people(kind):
    assert kind().detail.endswith((".", "!")) and len(kind().detail) > 10


def _below(kind: type[EproError]) -> Iterator[type[EproError]]:
    for child in kind.__subclasses__():
        if child.__module__.startswith("epro."):
            yield child
            yield from _below(child)


@cache
def _trees() -> list[tuple[str, ast.AST]]:
    return [
        (path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))) for path in SOURCES
    ]


def _calls(tree: ast.AST, names: set[str]) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in names
            and node.args
        ):
            yield node


def _made_on_the_spot() -> Iterator[tuple[str, int]]:
    """`problem(503, "not_ready", …)`."""
    for path, tree in _trees():
        if path.startswith("epro/api/"):
            for call in _calls(tree, {"problem"}):
                if all(isinstance(given, ast.Constant) for given in call.args[:2]):
                    yield call.args[1].value, call.args[0].value


def _values_under(tree: ast.AST, key: str) -> Iterator[str]:
    """The constant texts that stand under this key in dictionaries of faults, those that have a pointer."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            pairs = {
                k.value: v for k, v in zip(node.keys, node.values, strict=True) if isinstance(k, ast.Constant)
            }
            if "pointer" in pairs and isinstance(pairs.get(key), ast.Constant):
                yield pairs[key].value
