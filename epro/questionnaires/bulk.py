"""Scoring by the hundred thousand: columns of codes, and files of NDJSON.

The arithmetic is that of `methods.py`, on integer columns, so a value here equals that of `scoring.score`
bit for bit. In a file each scale's result can only be one of a few hundred fragments of JSON (one for each
sum and number answered); they are made once and looked up.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BufferedIOBase
from itertools import count
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from epro.questionnaires.checking import LONGEST_NAME, Finding, check
from epro.questionnaires.instrument import NOT_APPLICABLE, Instrument
from epro.questionnaires.scoring import INVALID_ANSWERS, TOO_FEW_ANSWERS, InvalidAnswers, ScalePlan, plan_of

UNANSWERED, NA = 255, 254  # beyond the highest code an instrument may have (250)
BLOCK = 1 << 18  # bytes read at once
LONGEST_LINE = 1 << 20  # bytes
SLICE = 1 << 14  # responses worked on at once, so that they stay in the processor's cache

Codes = NDArray[np.uint8]
_CODE: dict[Any, int] = {None: UNANSWERED, NOT_APPLICABLE: NA} | {code: code for code in range(251)}
_TYPES = frozenset((int, float, str, type(None)))


class ScaleColumn(NamedTuple):
    """One scale of many responses: `value` float64, NaN where there is no score; `answered` int64."""

    scale: str
    value: NDArray[np.float64]
    answered: NDArray[np.int64]
    expected: int
    rule: str


class BadLine(ValueError):
    """A line that cannot be read; `number` counts from 1, `pointer` is a JSON pointer into the line."""

    def __init__(self, number: int, pointer: str, detail: str):
        self.number, self.pointer, self.detail = number, pointer, detail
        super().__init__(f"line {number}{', at ' + pointer if pointer else ''}: {detail}")


class Tally(NamedTuple):
    """Responses read, and how many of them were not scored because their answers do not fit."""

    responses: int
    invalid: int


class _Fragments(dict[int, bytes]):
    """`"scale":{...}` by place, made when first asked for."""

    def __init__(self, plan: ScalePlan):
        super().__init__()
        self.plan, self.stride = plan, plan.span.expected * plan.span.highest + 1

    def __missing__(self, place: int) -> bytes:
        answered, total = divmod(place, self.stride)
        self[place] = _fragment(self.plan, self.plan.value(total, answered), answered, TOO_FEW_ANSWERS)
        return self[place]


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """An instrument as arrays, over n items and s scales.

    `names`: item ids, in the order of the columns. `scored` (n x 256): code -> scored code, 0 if unanswered.
    `allowed` (n x 256): may the code stand here. `member` (n x s): 1 where the item belongs to the scale.
    `fragments`: for each scale the JSON of its result, by its place: answered * `strides`[scale] + sum.
    """

    names: tuple[str, ...]
    known: frozenset[str]
    scored: NDArray[np.float64]
    allowed: NDArray[np.bool_]
    member: NDArray[np.float64]
    strides: NDArray[np.int64]
    fragments: tuple[_Fragments, ...]


def encode(instrument: Instrument, answer_sets: Sequence[Mapping[str, Any]]) -> Codes:
    """Answers (item id -> code, None or "NA") as codes: one row a response, one column an item.

    Raises InvalidAnswers if `checking.check` has findings on any; its errors name `response` and item.
    """
    codes, odd = _encoded(instrument, answer_sets)
    if odd:
        errors = [{"response": at, **finding._asdict()} for at, found in odd.items() for finding in found]
        raise InvalidAnswers(errors=errors)
    return codes


def score_codes(instrument: Instrument, codes: Codes) -> list[ScaleColumn]:
    """One column a scale, from codes as `encode` makes them (responses x items, uint8).

    Raises ValueError for another shape or type, and InvalidAnswers where a code is not a choice of its item.
    """
    grid = _grid(instrument)
    if codes.dtype != np.uint8 or codes.ndim != 2 or codes.shape[1] != len(grid.names):
        raise ValueError(f"codes must be uint8, responses x {len(grid.names)} items")
    slices = [codes[at : at + SLICE] for at in range(0, max(len(codes), 1), SLICE)]
    if any(_misfits(grid, part).any() for part in slices):
        raise InvalidAnswers()
    totals, answered = (
        np.concatenate(parts) for parts in zip(*(_sums(grid, part) for part in slices), strict=True)
    )
    plans = plan_of(instrument)
    return [_column(plan, totals[:, at], answered[:, at]) for at, plan in enumerate(plans)]


def score_file(
    instrument: Instrument,
    source: BufferedIOBase,
    sink: BinaryIO,
    progress: Callable[[int], object] = lambda size: None,
) -> Tally:
    """Score NDJSON from `source` to `sink`, one line a response, in order, in constant memory.

    A response whose answers do not fit gets no value, the reason "invalid_answers" and its findings.
    Blank lines are passed over. `progress` is told the bytes of each block. Raises BadLine at the first line
    that is not a response; what came before it in the same block is not written.
    """
    responses = invalid = 0
    for first, lines, size in _blocks(source):
        written, refused = _score_lines(instrument, first, lines)
        sink.write(b"".join(written))
        responses, invalid = responses + len(written), invalid + refused
        progress(size)
    return Tally(responses, invalid)


# Columns


def _column(plan: ScalePlan, totals: NDArray[np.int64], answered: NDArray[np.int64]) -> ScaleColumn:
    enough = answered >= plan.minimum
    safe = np.where(enough, answered, 1)
    value = np.where(enough, plan.method.value(totals, safe, plan.span), np.nan)
    return ScaleColumn(plan.scale.name, value, answered, plan.span.expected, str(plan.scale.missing))


def _sums(grid: _Grid, codes: Codes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sum of scored codes and number answered, responses x scales. Small integers, so floats are exact."""
    scored = np.take_along_axis(grid.scored, codes.T.astype(np.intp), axis=1)
    answered = (codes < NA).astype(np.float64)
    return (scored.T @ grid.member).astype(np.int64), (answered @ grid.member).astype(np.int64)


def _misfits(grid: _Grid, codes: Codes) -> NDArray[np.bool_]:
    """True for each response with a code that is not a choice of its item."""
    allowed = np.take_along_axis(grid.allowed, codes.T.astype(np.intp), axis=1)
    fits: NDArray[np.bool_] = np.logical_and.reduce(allowed, axis=0)
    return ~fits


def _encoded(
    instrument: Instrument, answer_sets: Sequence[Mapping[str, Any]]
) -> tuple[Codes, dict[int, list[Finding]]]:
    """Codes, and the findings on those responses that do not fit; their rows are left unanswered."""
    grid = _grid(instrument)
    rows = [_row(grid, answers) for answers in answer_sets]
    blank = bytes([UNANSWERED]) * len(grid.names)
    codes = np.frombuffer(bytearray().join(row or blank for row in rows), dtype=np.uint8)
    codes = codes.reshape(len(rows), len(grid.names))
    unread = {at for at, row in enumerate(rows) if row is None}
    odd = sorted(unread.union(np.flatnonzero(_misfits(grid, codes)).tolist()))
    codes[odd] = UNANSWERED
    return codes, {at: check(instrument, answer_sets[at]) for at in odd}


def _row(grid: _Grid, answers: Mapping[str, Any]) -> bytes | None:
    """One response as bytes; None where an item is unknown or an answer is no code at all.

    Types are looked at first, because true would pass for 1 as a key.
    """
    if not (answers.keys() <= grid.known and _TYPES.issuperset(map(type, answers.values()))):
        return None
    try:
        return bytes(map(_CODE.__getitem__, map(answers.get, grid.names)))
    except KeyError:
        return None


@lru_cache(maxsize=32)
def _grid(instrument: Instrument) -> _Grid:
    plans = plan_of(instrument)
    names = tuple(item.id for item in instrument.items)
    scored = np.zeros((len(names), 256))
    allowed = np.zeros((len(names), 256), dtype=bool)
    for at, item in enumerate(instrument.items):
        for code, value in item.scored_codes.items():
            scored[at, code], allowed[at, code] = value, True
        allowed[at, UNANSWERED], allowed[at, NA] = True, item.not_applicable
    member = np.array([[name in plan.scored for plan in plans] for name in names], dtype=np.float64)
    fragments = tuple(_Fragments(plan) for plan in plans)
    strides = np.array([scale.stride for scale in fragments], dtype=np.int64)
    return _Grid(names, frozenset(names), scored, allowed, member, strides, fragments)


# Files


def _blocks(source: BufferedIOBase) -> Iterator[tuple[int, list[bytes], int]]:
    """First line's number, lines, bytes read; a block at a time. No line is held beyond its limit."""
    rest, number = b"", 1
    while block := source.read1(BLOCK):
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        if len(rest) > LONGEST_LINE:
            raise BadLine(number + len(lines), "", f"longer than {LONGEST_LINE} bytes; is this NDJSON?")
        yield number, lines, len(block)
        number += len(lines)
    yield number, [rest], 0


def _score_lines(instrument: Instrument, first: int, lines: list[bytes]) -> tuple[list[bytes], int]:
    """The lines to write, and how many of them are refusals."""
    read = [_response(line, number) for number, line in zip(count(first), lines) if line.strip()]
    grid = _grid(instrument)
    codes, odd = _encoded(instrument, [answers for _, answers in read])
    written = _written(grid, [name for name, _ in read], codes)
    for at, findings in odd.items():
        name, answers = read[at]
        written[at] = _opening(name) + _refusal(instrument, answers, findings)
    return written, len(odd)


def _response(line: bytes, number: int) -> tuple[str | int, dict[str, Any]]:
    """Id and answers of a line. Raises BadLine."""
    try:
        record = orjson.loads(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)
    except orjson.JSONDecodeError as fault:
        raise BadLine(number, "", f"not JSON, column {fault.colno}.") from None
    if type(record) is not dict:
        raise BadLine(number, "", "an object with id and answers is needed.")
    name, answers = record.get("id"), record.get("answers")
    if type(name) is not str and type(name) is not int:
        raise BadLine(number, "/id", "a string or a whole number is needed.")
    if type(answers) is not dict:
        raise BadLine(number, "/answers", "an object from item ids to codes is needed.")
    if line.count(b":") != len(record) + len(answers):  # each key has a colon: was one swallowed?
        _refuse_doubles(line, number)
    return name, answers


def _refuse_doubles(line: bytes, number: int) -> None:
    """A key that stands twice leaves open which answer is meant. Raises BadLine."""
    try:
        pairs = json.loads(line.decode("utf-8-sig"), object_pairs_hook=tuple)
    except (ValueError, RecursionError):  # what orjson reads and json does not: a number of 5,000 digits, say
        raise BadLine(number, "", "not JSON that can be read without doubt.") from None
    answers = [("/answers", value) for key, value in pairs if key == "answers"]
    for pointer, inside in [("", pairs), *answers]:
        for key, times in Counter(key for key, _ in inside).items():
            if times > 1:
                raise BadLine(number, f"{pointer}/{key[:LONGEST_NAME]}", "this key stands more than once.")


def _written(grid: _Grid, names: list[str | int], codes: Codes) -> list[bytes]:
    totals, answered = _sums(grid, codes)
    places = (answered * grid.strides + totals).T.tolist()
    columns = [map(fragments.__getitem__, at) for fragments, at in zip(grid.fragments, places, strict=True)]
    return [_opening(name) + b",".join(parts) + b"}}\n" for name, *parts in zip(names, *columns, strict=True)]


def _opening(name: Any) -> bytes:
    return b'{"id":' + orjson.dumps(name) + b',"scores":{'


def _fragment(plan: ScalePlan, value: float | None, answered: int, reason: str) -> bytes:
    result = {
        "value": value,
        "answered": answered,
        "expected": plan.span.expected,
        "reason": reason if value is None else None,
    }
    return orjson.dumps(plan.scale.name) + b":" + orjson.dumps(result)


def _refusal(instrument: Instrument, answers: dict[str, Any], findings: list[Finding]) -> bytes:
    """The rest of a line whose answers do not fit: no value, the reason, the findings."""
    bad = {finding.item for finding in findings}
    unanswered = (None, NOT_APPLICABLE)
    good = {name for name, answer in answers.items() if name not in bad and answer not in unanswered}
    scales = [
        _fragment(plan, None, len(good & plan.scored.keys()), INVALID_ANSWERS) for plan in plan_of(instrument)
    ]
    listed = orjson.dumps([finding._asdict() for finding in findings])
    return b",".join(scales) + b'},"findings":' + listed + b"}\n"
