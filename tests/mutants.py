"""Do the tests notice a change of the files that score? `make mutants`, or `make mutants ARGS="bulk --lines 230-260"`.

One node of a file's syntax tree is changed at a time: that is a mutant. The tests are collected once; each mutant is a
process forked from there, in which its code takes the place of the file's. The tests *near* the file run until the
first fails. A mutant that none of them notices is compared with the file as it is, on many answers to every instrument
and to random ones, good and bad, in all ways of scoring. What is the *same* there changes no score and wants a look
only. What differs meets the tests that are *far*; if none fails it is *left* and wants one. `weeks`, which needs a
database, is not compared: what no test notices has *lived*, and wants a look too.
"""

from __future__ import annotations

import argparse
import ast
import functools
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
ROOM = {
    name: f"tests/rooms/test_questionnaires_{name}.py"
    for name in ("methods", "scoring", "bulk", "branching", "faults", "explaining")
}
PROPERTIES = [f"tests/properties/test_scoring{name}.py" for name in ("_branching", "_published", "")]
PURE = ["--noconftest", "-p", "tests.spec.conftest", *ROOM.values(), "tests/spec", *PROPERTIES]
SECONDS = {signal.ITIMER_PROF: 200, signal.ITIMER_REAL: 3000}  # of the processor, and on the wall


class File(NamedTuple):
    """A file that is mutated, the tests that are run for it, and which of them are near."""

    module: str
    near: tuple[str, ...]
    tests: list[str] = PURE

    @property
    def path(self) -> Path:
        return ROOT.joinpath(*self.module.split(".")).with_suffix(".py")


def rooms(*names: str) -> tuple[str, ...]:
    return tuple(ROOM[name] for name in names)


SLOW = "test_memory_does_not_grow_with_the_file"  # never near: more memory is not another score
FILES = {
    "methods": File("epro.questionnaires.methods", (*rooms("methods", "scoring"), "tests/spec/")),
    "bulk": File("epro.questionnaires.bulk", rooms("bulk", "branching")),
    "scoring": File("epro.questionnaires.scoring", rooms("scoring", "branching", "bulk")),
    "conditions": File("epro.questionnaires.conditions", rooms("branching")),
    "kinds": File("epro.questionnaires.kinds", rooms("branching", "scoring")),
    "weeks": File("epro.responses.weeks", ("tests/",), ["-k", "not postgresql", "tests/rooms/test_weeks.py"]),
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


def put(module: Any, source: str) -> None:
    """Give a module, and all that has taken names from it, other code than its file has."""
    before = dict(vars(module))
    exec(compile(source, module.__file__, "exec"), vars(module))
    ours = [one for name, one in sys.modules.items() if name.split(".")[0] in ("epro", "tests")]
    for one in ours:
        for name, value in list(vars(one).items()):
            if one is not module and name in before and value is before[name]:
                setattr(one, name, vars(module).get(name))
            if isinstance(value, functools._lru_cache_wrapper):
                value.cache_clear()


class Runner:
    """In the one run of pytest: forks a process for each mutant once the tests are collected."""

    def __init__(self, name: str, given: argparse.Namespace):
        self.file, self.name, self.given = FILES[name], name, given
        self.failed, self.left = "", False
        self.near: list[Any] = []
        self.far: list[Any] = []

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.failed = self.failed or (report.nodeid if report.failed else "")

    pytest_collectreport = pytest_runtest_logreport

    def pytest_runtestloop(self, session: Any) -> bool:
        for item in session.items:
            is_near = item.nodeid.startswith(self.file.near) and SLOW not in item.nodeid
            (self.near if is_near else self.far).append(item)
        self.spare = session.items[-1]  # as if this one came next: what tests share stays
        self.failed = self.failed or self.tested(self.near[:1])
        assert not self.failed, f"nothing is mutated, and {self.failed} fails"
        with get_context("fork").Pool(self.given.jobs, maxtasksperchild=1) as pool:
            self.left = over(pool, self.name, self.given)
        return True

    def tested(self, items: list[Any]) -> str:
        """The first of these tests that fails; what they share is kept for those after them."""
        for item, following in zip(items, [*items[1:], self.spare], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.failed:
                break
        return self.failed


def told() -> dict[str, str]:
    """Digests of what comes of many answers to every instrument, and to random ones that branch."""
    from epro.questionnaires import library
    from epro.questionnaires.methods import METHODS
    from tests.properties.answering import borders, gaps, open_to_all_kinds

    found: dict[str, Any] = {
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
            found[f"{bundled.code} {instrument is bundled}"] = [scored(instrument, sets), refused(instrument)]
    found["branching"] = branched()
    return {name: sha256(repr(one).encode()).hexdigest() for name, one in found.items()}


def scored(instrument: Any, sets: list[dict[str, Any]]) -> list[Any]:
    """Singly, in columns, and in a file with some lines that do not fit."""
    import orjson

    from epro.questionnaires import bulk, scoring

    columns, sink = bulk.score_codes(instrument, bulk.encode(instrument, sets)), BytesIO()
    lines = [
        orjson.dumps({"id": at, "answers": one | {"?": 1} if at % 40 == 7 else one})
        for at, one in enumerate(sets)
    ]
    tally = bulk.score_file(instrument, BytesIO(b"\n".join(lines)), sink)
    return [
        [scoring.score(instrument, one) for one in sets],
        [
            [one[:5], one.value.tolist(), one.answered.tolist(), bulk.outcomes(instrument, one)]
            for one in columns
        ],
        [sink.getvalue(), tally],
    ]


def refused(instrument: Any) -> list[Any]:
    """What is said of answers that do not fit, of columns with every code there is, and of lines that are none."""
    import numpy as np
    import orjson

    from epro.questionnaires import bulk, scoring
    from tests.rooms.test_questionnaires_bulk import BAD_LINES

    first, last = instrument.items[0], instrument.items[-1]
    whole = {item.id: item.codes[0] for item in instrument.items}
    odd = [
        whole | {item.id: answer}
        for item in (first, last)
        for answer in (251, 252, 253, 254, 255, 256, 10**30, -1, 0.5, True, "NA", "REFUSED", "NOT_ASKED", "?")
    ] + [whole | {last.id: [1]}, {last.id: {}}, whole | {"?": 1}, {"?": None}, {}]
    every = [*range(12), *range(248, 256)]
    codes = np.array([list(whole.values())] * len(every), dtype=np.uint8)
    codes[:, 0] = every
    lines = [orjson.dumps({"id": "x", "answers": one}) for one in odd if 10**30 not in one.values()]
    lines += [line for line, _ in BAD_LINES]
    return [
        [outcome(scoring.score, instrument, one) for one in odd],
        [outcome(lambda one: bulk.encode(instrument, [one, whole]).tolist(), one) for one in odd],
        [
            outcome(
                lambda one: repr([scale[:5] for scale in bulk.score_codes(instrument, one)]),
                codes[at : at + 1],
            )
            for at in range(256)
        ],
        [outcome(in_file, instrument, line) for line in lines],
    ]


def in_file(instrument: Any, line: bytes) -> list[Any]:
    from epro.questionnaires import bulk

    sink = BytesIO()
    return [bulk.score_file(instrument, BytesIO(b"\n" + line), sink), sink.getvalue()]


def outcome(what: Any, *given: Any) -> Any:
    """What comes back, or how it is refused."""
    try:
        return what(*given)
    except Exception as fault:
        return type(fault).__name__, str(fault), getattr(fault, "errors", None)


def branched() -> list[Any]:
    """The same of random instruments with conditions, and what each condition says of each response."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st

    from epro.questionnaires import checking, conditions, kinds
    from tests.properties import test_scoring_branching as those

    found = []
    rows = st.lists(st.fixed_dictionaries(dict.fromkeys(those.NAMES, those.ANSWERS)), min_size=6, max_size=6)

    @settings(max_examples=30, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(those.branching_instruments(), rows)
    def take(instrument: Any, sets: list[dict[str, Any]]) -> None:
        asked = [item.asked_if for item in instrument.items if item.asked_if]
        found.append([
            outcome(scored, instrument, sets),
            [kinds.settled_and_counted(instrument, one) for one in sets],
            [outcome(checking.remarks, instrument, one) for one in sets],
            [[list(conditions.items_of(one)), *(conditions.holds(one, row) for row in sets)] for one in asked],
        ])  # fmt: skip

    take()
    return found


RUNNER: Runner  # the one of this run, in the processes that are forked too


def judge(task: tuple[Mutant, dict[str, str]]) -> tuple[Mutant, str, dict[str, str]]:
    """In a process of its own: the test that fails, or what is told. The file as it is meets all its tests."""
    mutant, unchanged = task
    for timer, sign in ((signal.ITIMER_PROF, signal.SIGPROF), (signal.ITIMER_REAL, signal.SIGALRM)):
        signal.signal(sign, lambda *_: (_ for _ in ()).throw(TimeoutError()))
        signal.setitimer(timer, SECONDS[timer])
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    sys.stdout = sys.stderr = StringIO()
    answers: dict[str, str] = {}
    try:
        put(sys.modules[RUNNER.file.module], mutant.source)
        failed = RUNNER.tested(RUNNER.near)
        if not failed and RUNNER.far:
            found = outcome(told)
            answers = found if isinstance(found, dict) else {"all": repr(found)}
            failed = RUNNER.tested(RUNNER.far) if answers != unchanged else ""
        return mutant, failed, answers
    except BaseException as fault:
        return mutant, type(fault).__name__, answers


def main() -> int:
    asked = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    asked.add_argument("files", nargs="*", choices=[[], *FILES])
    asked.add_argument("--lines", default="0-9999", help="of the file, as 230-260")
    asked.add_argument("--jobs", type=int, default=os.cpu_count())
    asked.add_argument(
        "--log",
        type=argparse.FileType("a+"),
        default=os.devnull,
        help="a line for each mutant; those that stand there already are passed over",
    )
    given = asked.parse_args()
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    with TemporaryDirectory() as place:
        os.environ["TMPDIR"] = place
        return max([alone(mutated, name, given) for name in given.files or FILES])


def alone(what: Any, *given: Any) -> int:
    """Run it in a process of its own: pytest knows one run."""
    process = get_context("fork").Process(target=lambda: sys.exit(what(*given)))
    process.start()
    process.join()
    return process.exitcode or 0


def mutated(name: str, given: argparse.Namespace) -> int:
    """All mutants of one file; 1 if one is left. Nothing depends on how fast the machine is today."""
    global RUNNER
    import hypothesis
    import pytest

    hypothesis.settings.register_profile(
        "same", derandomize=True, database=None, deadline=None, suppress_health_check=list(hypothesis.HealthCheck)
    )  # fmt: skip
    hypothesis.settings.load_profile("same")
    RUNNER = Runner(name, given)
    ended = pytest.main(
        [
            "-s",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:terminal",
            "-o",
            "tmp_path_retention_policy=none",
            *RUNNER.file.tests,
        ],
        plugins=[RUNNER],
    )
    return int(ended or RUNNER.left)


def over(pool: Any, name: str, given: argparse.Namespace) -> bool:
    """Every mutant of one file that is asked for; whether one is left."""
    first, last = map(int, given.lines.split("-"))
    given.log.seek(0)
    known = [json.loads(line) for line in given.log]
    tally = Counter(one["verdict"] for one in known if one["file"] == name)
    passed = Counter((one["line"], one["what"]) for one in known if one["file"] == name)
    chosen = []
    for one in mutants(FILES[name].path):
        if (
            first <= one.line <= last and passed[one.line, one.what] <= 0
        ):  # on one line the same words may stand twice
            chosen.append(one)
        passed[one.line, one.what] -= 1
    as_it_is = Mutant(0, "as it is", FILES[name].path.read_text(encoding="utf-8"))
    _, failed, unchanged = pool.apply(judge, [(as_it_is, {})])
    assert not failed, f"nothing is mutated, and {failed} fails"
    for mutant, failed, answers in pool.imap_unordered(judge, [(one, unchanged) for one in chosen]):
        verdict = (
            "killed" if failed else "lived" if not unchanged else "same" if answers == unchanged else "LEFT"
        )
        tally[verdict] += 1
        line = {"file": name, "line": mutant.line, "what": mutant.what, "verdict": verdict, "by": failed}
        given.log.write(json.dumps(line) + "\n")
        given.log.flush()
        if verdict != "killed":
            apart = [one for one in unchanged if answers.get(one) != unchanged[one]]
            print(
                f"{verdict:5} {FILES[name].path.name}:{mutant.line} {mutant.what} {apart or ''}", flush=True
            )
    print(f"{name}: {sum(tally.values())} mutants, {dict(tally)}", flush=True)
    return tally["LEFT"] > 0


if __name__ == "__main__":
    sys.exit(main())
