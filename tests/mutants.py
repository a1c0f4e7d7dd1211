"""Do the tests notice a change of the files that score? `make mutants`, or `make mutants ARGS="bulk --lines 230-260"`.

One node of a file's syntax tree is changed at a time: that is a mutant. Each lives in a process of its own, forked
when only other people's packages are loaded, and its tests run until the first fails. A mutant that no test
notices is compared with the file as it is, on many answers to every instrument, in all ways of scoring; what differs
there is *left* and wants a test. What is the same wants a look: for `weeks`, which needs a database, all of it.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.abc
import importlib.util
import json
import os
import random
import resource
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from hashlib import sha256
from io import BytesIO, StringIO
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
LOADED = ("click", "flask", "hypothesis.extra.numpy", "numpy", "orjson", "pytest", "sqlalchemy.orm", "yaml")
PURE = ["--noconftest", "-p", "tests.spec.conftest"]
ROOMS = [f"tests/rooms/test_questionnaires_{name}.py" for name in ("methods", "scoring", "bulk", "branching")]
ABOUT = [f"tests/rooms/test_questionnaires_{name}.py" for name in ("faults", "explaining")]
PROPERTIES = [f"tests/properties/test_scoring{name}.py" for name in ("_branching", "_published", "")]
FILES = {
    "methods": ("epro.questionnaires.methods", [*PURE, *ROOMS, "tests/spec", *ABOUT, *PROPERTIES[1:]]),
    "bulk": ("epro.questionnaires.bulk", [*PURE, ROOMS[2], PROPERTIES[0], *ROOMS, "tests/spec", *PROPERTIES]),
    "scoring": ("epro.questionnaires.scoring", [*PURE, *ROOMS[1:], "tests/spec", *PROPERTIES]),
    "conditions": ("epro.questionnaires.conditions", [*PURE, ROOMS[3], *PROPERTIES]),
    "kinds": ("epro.questionnaires.kinds", [*PURE, *ROOMS[1:], *PROPERTIES]),
    "weeks": ("epro.responses.weeks", ["-k", "sqlite", "tests/rooms/test_weeks.py"]),
}
OTHERS: dict[type, tuple[type, ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,), ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.Add, ast.FloorDiv),
    ast.Div: (ast.Mult, ast.FloorDiv), ast.FloorDiv: (ast.Mult, ast.Div), ast.BitOr: (ast.BitAnd,),
    ast.BitAnd: (ast.BitOr,), ast.LShift: (ast.RShift,), ast.And: (ast.Or,), ast.Or: (ast.And,),
}  # fmt: skip
PAIRS = {"min": "max", "max": "min", "all": "any", "any": "all"}


class Mutant(NamedTuple):
    line: int
    what: str
    source: str


def variants(node: Any) -> Iterator[tuple[str, ast.AST]]:
    """What may stand in the place of a node."""

    def but(**fields: Any) -> Any:
        new = deepcopy(node)
        for name, value in fields.items():
            setattr(new, name, value)
        return new

    for other in OTHERS.get(type(getattr(node, "op", None)), ()):
        yield other.__name__, but(op=other())
    match node:
        case ast.Compare():
            for at, op in enumerate(node.ops):
                for other in OTHERS.get(type(op), ()):
                    yield other.__name__, but(ops=[*node.ops[:at], other(), *node.ops[at + 1 :]])
        case ast.BinOp():
            yield from (("left only", node.left), ("right only", node.right))
        case ast.BoolOp():
            for at in range(len(node.values)):
                rest = node.values[:at] + node.values[at + 1 :]
                yield f"without part {at}", rest[0] if len(rest) == 1 else but(values=rest)
        case ast.UnaryOp():
            yield "without operator", node.operand
        case ast.Constant(value=bool()):
            yield "other truth", but(value=not node.value)
        case ast.Constant(value=int() | float()):
            yield from ((f"{value}", but(value=value)) for value in (node.value + 1, node.value - 1))
        case ast.Constant(value=str() | bytes()) if len(node.value) <= 24:
            yield "other word", but(value=node.value + ("XX" if isinstance(node.value, str) else b"XX"))
        case ast.Constant(value=None):
            yield "1", but(value=1)
        case ast.If() | ast.IfExp():
            yield from ((f"always {value}", but(test=ast.Constant(value))) for value in (True, False))
            yield "negated", but(test=ast.UnaryOp(ast.Not(), node.test))
        case ast.While():
            yield "never", but(test=ast.Constant(False))
        case ast.comprehension():
            yield from (
                ("without if", but(ifs=[*node.ifs[:at], *node.ifs[at + 1 :]])) for at in range(len(node.ifs))
            )
        case ast.Return(value=ast.expr()) | ast.Lambda():
            yield "None", but(**{"value" if isinstance(node, ast.Return) else "body": ast.Constant(None)})
        case (
            ast.Expr(value=ast.Call()) | ast.Raise() | ast.AugAssign() | ast.Assign(targets=[ast.Subscript()])
        ):
            yield "left out", ast.Pass()
        case ast.Subscript(slice=ast.Slice()):
            for end in ("lower", "upper"):
                if getattr(node.slice, end):
                    yield f"without {end}", but(slice=ast.Slice(**{**vars(node.slice), end: None}))
        case ast.Call(func=ast.Name(id="min" | "max" | "all" | "any" as name)):
            yield PAIRS[name], but(func=ast.Name(PAIRS[name], ast.Load()))


class Put(ast.NodeTransformer):
    """Puts one node in the place of another."""

    def __init__(self, old: ast.AST, new: ast.AST):
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> Any:
        return self.new if node is self.old else self.generic_visit(node)


def mutants(path: Path) -> Iterator[Mutant]:
    """Every mutant of a file, but of its annotations and of what only documents it."""
    whole = ast.parse(path.read_text(encoding="utf-8"))
    passed = set()
    for node in ast.walk(whole):
        silent = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            silent += [
                one for one in node.body if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)
            ]
        passed |= {id(part) for one in silent if one for part in ast.walk(one)}
    for node in [one for one in ast.walk(whole) if id(one) not in passed]:
        words = " ".join(ast.unparse(node).split())[:80]
        for what, new in variants(node):
            changed = ast.fix_missing_locations(Put(node, new).visit(whole))
            yield Mutant(getattr(node, "lineno", 0), f"`{words}`: {what}", ast.unparse(changed))
            whole = Put(new, node).visit(whole)


class Given(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives a module other code than its file has."""

    def __init__(self, module: str, source: str):
        self.module, self.source = module, source

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        place = ROOT.joinpath(*name.split(".")).with_suffix(".py")
        return (
            importlib.util.spec_from_file_location(name, place, loader=self) if name == self.module else None
        )

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: Any) -> None:
        exec(compile(self.source, module.__file__, "exec"), module.__dict__)


class First:
    """The first test that fails, or file that cannot be read."""

    name = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.name = self.name or (report.nodeid if report.failed else "")

    pytest_collectreport = pytest_runtest_logreport


def told() -> dict[str, str]:
    """Digests of what comes of many answers to every instrument: singly, in columns, in a file; by each method."""
    import orjson

    from epro.questionnaires import bulk, library, scoring
    from epro.questionnaires.methods import METHODS
    from tests.properties.answering import borders, gaps, open_to_all_kinds

    found = {
        "methods": [(name, one.by, one.takes, one.items, one.needs_all) for name, one in METHODS.items()]
    }
    for bundled in library.bundled():
        for instrument in (bundled, open_to_all_kinds(bundled)):
            by = random.Random(1)
            sets = list(borders(instrument))[::3] + [
                {
                    one.id: by.choice(one.codes if by.random() < share else gaps(one))
                    for one in instrument.items
                }
                for share in (2, 2, 2, 0.9, 0.9, 0.7, 0.7, 0.5, 0.5, 0.3)
            ]
            columns, sink = bulk.score_codes(instrument, bulk.encode(instrument, sets)), BytesIO()
            lines = [
                orjson.dumps({"id": at, "answers": one | {"?": 1} if at % 40 == 7 else one})
                for at, one in enumerate(sets)
            ]
            tally = bulk.score_file(instrument, BytesIO(b"\n".join(lines)), sink)
            found[f"{bundled.code} {instrument is bundled}"] = [
                [scoring.score(instrument, one) for one in sets],
                [
                    [one.scale, one.value.tolist(), one.answered.tolist(), bulk.outcomes(instrument, one)]
                    for one in columns
                ],
                [sink.getvalue(), tally],
            ]
    return {name: sha256(repr(one).encode()).hexdigest() for name, one in found.items()}


def judge(task: tuple[str, Mutant]) -> tuple[Mutant, str, dict[str, str]]:
    """In a process of its own: the test that fails, or what differs from the file as it is."""
    name, mutant = task
    module, tests = FILES[name]
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError()))
    signal.alarm(300)
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    sys.stdout = sys.stderr = StringIO()
    sys.meta_path.insert(0, Given(module, mutant.source))
    try:
        import hypothesis
        import pytest

        hypothesis.settings.register_profile("same", derandomize=True, database=None)
        hypothesis.settings.load_profile("same")
        first = First()
        failed = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests], plugins=[first])
        if failed:
            return mutant, first.name or f"pytest ends with {failed}", {}
        return mutant, "", told() if name != "weeks" else {}
    except BaseException as fault:
        return mutant, "", {"all": type(fault).__name__}


def main() -> int:
    asked = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    asked.add_argument("files", nargs="*", choices=[[], *FILES], default=list(FILES))
    asked.add_argument("--lines", default="0-9999", help="of the file, as 230-260")
    asked.add_argument("--jobs", type=int, default=os.cpu_count())
    asked.add_argument(
        "--log", type=argparse.FileType("a"), default=os.devnull, help="a line for each mutant"
    )
    given = asked.parse_args()
    first, last = map(int, given.lines.split("-"))
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in LOADED:
        importlib.import_module(name)
    with TemporaryDirectory() as place, get_context("fork").Pool(given.jobs, maxtasksperchild=1) as pool:
        os.environ["TMPDIR"] = place
        return max([over(pool, name, first, last, given.log) for name in given.files])


def over(pool: Any, name: str, first: int, last: int, log: Any) -> int:
    """Every mutant of one file; 1 if one is left."""
    path = ROOT.joinpath(*FILES[name][0].split(".")).with_suffix(".py")
    _, failed, unchanged = pool.apply(
        judge, [(name, Mutant(0, "as it is", path.read_text(encoding="utf-8")))]
    )
    assert not failed, f"nothing is mutated, and {failed} fails"
    tally: Counter[str] = Counter()
    chosen = [(name, one) for one in mutants(path) if first <= one.line <= last]
    for mutant, failed, answers in pool.imap_unordered(judge, chosen):
        verdict = "killed" if failed else "same" if answers == unchanged else "LEFT"
        tally[verdict] += 1
        log.write(
            json.dumps(
                {"file": name, "line": mutant.line, "what": mutant.what, "verdict": verdict, "by": failed}
            )
            + "\n"
        )
        log.flush()
        if verdict != "killed":
            apart = [one for one in unchanged if answers.get(one) != unchanged[one]]
            print(f"{verdict:5} {path.name}:{mutant.line} {mutant.what} {apart or ''}", flush=True)
    print(f"{name}: {len(chosen)} mutants, {dict(tally)}", flush=True)
    return int(tally["LEFT"] > 0)


if __name__ == "__main__":
    sys.exit(main())
