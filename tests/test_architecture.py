"""The walls of the house: imports look down, thinking is pure, one place reads the clock, no SQL is glued.

Each rule is also shown to bite: a fault planted in a copy, or in a line of source, must be found.
"""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "epro").rglob("*.py"))

CLOCKS = {
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
    "datetime.date.today",
    "time.localtime",
    "time.time",
    "time.time_ns",
    "sqlalchemy.func.current_timestamp",
    "sqlalchemy.func.now",
    "sqlalchemy.sql.func.now",
}
MAY_READ_THE_CLOCK = {  # with its reason; waiting by time.monotonic is no reading of the clock
    "epro/clock.py": "the one place",
    "epro/signin/rates.py": "the rate limiting library reckons the end of its windows by time.time",
}


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"]
    command += ["--config", "setup.cfg", "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_imports_look_down():
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("epro/trail/models.py", "import epro.api", "epro.trail.models -> epro.api"),
        ("epro/clock.py", "import sqlalchemy", "epro.clock -> sqlalchemy"),
        ("epro/api/planted.py", "import epro.cellar", "epro.cellar"),
    ],
    ids=["a room that looks up", "a thinking file that knows the database", "a place that no layer names"],
)
def test_a_planted_import_is_found(tmp_path, file, line, broken):
    shutil.copytree(ROOT / "epro", tmp_path / "epro", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    if "cellar" in line:
        (tmp_path / "epro/cellar.py").touch()
    with (tmp_path / file).open("a") as source:
        source.write(f"\n{line}\n")
    result = lint_imports(tmp_path)
    assert result.returncode == 1, result.stdout + result.stderr
    assert broken in result.stdout


def test_one_place_reads_the_clock():
    readings = [
        f"{_name(path)}:{line} {call}"
        for path in SOURCES
        if _name(path) not in MAY_READ_THE_CLOCK
        for line, call in clock_readings(path.read_text())
    ]
    assert readings == []


@pytest.mark.parametrize(
    "source",
    [
        "from datetime import datetime\nx = datetime.now(UTC)",
        "import datetime\nx = datetime.datetime.utcnow()",
        "import datetime as dt\nx = dt.date.today()",
        "from time import time\nx = time()",
        "from datetime import datetime as moment\ncolumn(default=moment.now)",
        "import sqlalchemy as sa\ncolumn(server_default=sa.func.now())",
    ],
)
def test_a_planted_clock_is_found(source):
    assert [line for line, _ in clock_readings(source)] == [2]


def test_no_sql_is_glued_together():
    glued = [f"{_name(path)}:{line}" for path in SOURCES for line in glued_sql(path.read_text())]
    assert glued == []


@pytest.mark.parametrize(
    "source",
    [
        "text(f'SELECT {name}')",
        "sa.text('SELECT %s' % name)",
        "sa.text('SELECT ' + name)",
        "sqlalchemy.text('SELECT {}'.format(name))",
        "connection.exec_driver_sql(f'SELECT {name}')",
    ],
)
def test_planted_glue_is_found(source):
    assert glued_sql(source) == [1]


def test_constant_sql_is_no_glue():
    assert glued_sql("sa.text('SELECT :name' ' FROM study'); text(STATEMENT)") == []


def clock_readings(source: str) -> list[tuple[int, str]]:
    """Lines that name a clock, called or handed on, whatever it was imported as."""
    tree = ast.parse(source)
    names = dict(_imported(tree))
    found = {
        (node.lineno, full)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute | ast.Name) and (full := _full_name(node, names)) in CLOCKS
    }
    return sorted(found)


def glued_sql(source: str) -> list[int]:
    """Lines where `text` or `exec_driver_sql` is given something put together from parts."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and node.args]
    return [call.lineno for call in calls if _takes_sql(call.func) and _glued(call.args[0])]


def _takes_sql(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in ("text", "exec_driver_sql")


def _glued(argument: ast.expr) -> bool:
    formatted = isinstance(argument, ast.Call) and getattr(argument.func, "attr", "") == "format"
    return formatted or isinstance(argument, ast.JoinedStr | ast.BinOp)


def _imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Local name and full name of everything imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname, alias.name) if alias.asname else (alias.name.split(".")[0],) * 2
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _full_name(node: ast.expr, names: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return names.get(node.id, "")
    if isinstance(node, ast.Attribute):
        return f"{_full_name(node.value, names)}.{node.attr}"
    return ""


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
