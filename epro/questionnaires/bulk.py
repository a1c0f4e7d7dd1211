"""Scoring by the hundred thousand: columns of codes, and files of NDJSON.

On each scale the answers of a response come to one whole number, its *place*: the sum of one contribution from
each item. Sum and number answered, or the whole pattern, can be read back from it. There are far fewer places
than responses, so each is scored once, by the very functions of `scoring.py`, and looked up from then on; a value
here therefore equals that of `scoring.score` bit for bit.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BufferedIOBase
from itertools import count
from operator import itemgetter
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from epro.questionnaires.checking import LONGEST_NAME, Finding, check
from epro.questionnaires.conditions import COMPARISONS, NOT_ASKED, Condition
from epro.questionnaires.instrument import Instrument, Item
from epro.questionnaires.kinds import NOT_APPLICABLE, REFUSED
from epro.questionnaires.scoring import (
    INVALID_ANSWERS,
    InvalidAnswers,
    Outcome,
    ScalePlan,
    branches,
    plan_of,
)

# Beyond the highest code an instrument may have (250). The first is also what an item gets that is left out.
LEFT_OUT, REFUSAL, NA, UNANSWERED = 252, 253, 254, 255
BLOCK = 1 << 18  # bytes read at once
LONGEST_LINE = 1 << 20  # bytes
SLICE = 1 << 14  # responses worked on at once, so that they stay in the processor's cache

Codes = NDArray[np.uint8]
Places = NDArray[np.int64]
WORDS = {None: UNANSWERED, NOT_APPLICABLE: NA, REFUSED: REFUSAL, NOT_ASKED: LEFT_OUT}
HIGHEST = 250  # the highest code an instrument may have
_CODE: dict[Any, int] = WORDS | {code: code for code in range(HIGHEST + 1)}
_TYPES = frozenset((int, float, str, type(None)))
_CODES_ONLY = {int}


class ScaleColumn(NamedTuple):
    """One scale of many responses: `value` float64, NaN where there is no score; `answered` int64.

    `places` can be asked for more with `outcomes`.
    """

    scale: str
    value: NDArray[np.float64]
    answered: NDArray[np.int64]
    expected: int
    rule: str
    places: Places


class BadLine(ValueError):
    """A line that cannot be read; `number` counts from 1, `pointer` is a JSON pointer into the line."""

    def __init__(self, number: int, pointer: str, detail: str):
        self.number, self.pointer, self.detail = number, pointer, detail
        super().__init__(f"line {number}{', at ' + pointer if pointer else ''}: {detail}")


class Tally(NamedTuple):
    """Responses read, and how many of them were not scored because their answers do not fit."""

    responses: int
    invalid: int


class _Laid:
    """A scale laid out for places. `contribution` (items x 256): what each code adds to the place.

    By sum: each answered item adds `stride` and its scored code. By highest: they add `stride`, and the highest
    scored code once. By pattern: each item is a digit, 0 where there
    is no answer, in a number whose bases are the numbers of scored codes. What a place comes to is found once.
    """

    def __init__(self, plan: ScalePlan, columns: Mapping[str, int]):
        self.plan = plan
        self.columns = [columns[name] for name in plan.scored]
        self.stride = plan.scale.span.most + 1
        self.digits = [sorted(set(scored.values())) for scored in plan.scored.values()]
        self.contribution = np.zeros((len(self.columns), 256), dtype=np.int64)
        base = 1
        for row, (scored, digits) in enumerate(zip(plan.scored.values(), self.digits, strict=True)):
            for answer, code in scored.items():
                adds = base * (1 + digits.index(code)) if self.by_pattern else self.stride + code
                self.contribution[row, _CODE[answer]] = adds
            base *= len(digits) + 1
        size = base if self.by_pattern else (len(self.columns) + 1) * self.stride
        self.values = np.full(size, np.nan)
        self.seen = np.zeros(size, dtype=bool)
        self.fragments = _Fragments(self)

    @property
    def by_pattern(self) -> bool:
        return self.plan.method.by == "pattern"

    def places(self, columns: NDArray[np.uint8]) -> Places:
        """One place a response, from codes (items x responses)."""
        if self.plan.method.by == "highest":
            return self._of_highest(columns)
        found = self.contribution[0][columns[self.columns[0]]]
        for row, column in enumerate(self.columns[1:], start=1):
            found += self.contribution[row][columns[column]]
        return found

    def _of_highest(self, columns: NDArray[np.uint8]) -> Places:
        highest = answered = np.zeros(columns.shape[1], dtype=np.int64)
        for row, column in enumerate(self.columns):
            adds = self.contribution[row][columns[column]]
            highest = np.maximum(highest, adds - self.stride)
            answered = answered + (adds > 0)
        return answered * self.stride + highest

    def answered(self, places: Places) -> NDArray[np.int64]:
        """How many items were answered, or count as answered."""
        if not self.by_pattern:
            return places // self.stride
        answered = np.zeros_like(places)
        for digits in self.digits:
            places, digit = np.divmod(places, len(digits) + 1)
            answered += digit > 0
        return answered

    def value(self, places: Places) -> NDArray[np.float64]:
        """The value of each place, NaN where there is none."""
        new = places[~self.seen[places]]
        for place in np.unique(new).tolist():
            value = self.outcome(place)[0]
            self.values[place] = np.nan if value is None else value
            self.seen[place] = True
        return self.values[places]

    def outcome(self, place: int) -> Outcome:
        """Value and reason of one place."""
        if not self.by_pattern:
            answered, number = divmod(place, self.stride)
            return self.plan.of_number(number, answered)
        pattern: list[int | None] = []
        for digits in self.digits:
            place, digit = divmod(place, len(digits) + 1)
            pattern.append(digits[digit - 1] if digit else None)
        return self.plan.of_pattern(tuple(pattern))


class _Fragments(dict[int, bytes]):
    """Place -> `"scale":{...}` as a line of the output has it; made when first asked for, found at C's speed then."""

    def __init__(self, laid: _Laid):
        super().__init__()
        self.laid = laid

    def __missing__(self, place: int) -> bytes:
        answered = int(self.laid.answered(np.array([place]))[0])
        self[place] = _fragment(self.laid.plan, *self.laid.outcome(place), answered)
        return self[place]


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """An instrument as arrays, over n items.

    `names`: item ids, in the order of the columns. `allowed` (n x 256): may the code stand here.
    """

    names: tuple[str, ...]
    known: frozenset[str]
    items: tuple[Item, ...]
    in_order: Callable[[Mapping[str, Any]], tuple[int, ...]]
    branches: bool
    allowed: NDArray[np.bool_]
    scales: tuple[_Laid, ...]


def encode(instrument: Instrument, answer_sets: Sequence[Mapping[str, Any]]) -> Codes:
    """Answers (see kinds.py) as codes: one row a response, one column an item.

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
    parts = [_places(grid, part) for part in slices]
    joined = [np.concatenate(places) for places in zip(*parts, strict=True)]
    return [_column(scale, places) for scale, places in zip(grid.scales, joined, strict=True)]


def outcomes(instrument: Instrument, column: ScaleColumn) -> list[Outcome]:
    """Value and reason of each response on one scale."""
    laid = next(scale for scale in _grid(instrument).scales if scale.plan.scale.name == column.scale)
    known = {place: laid.outcome(place) for place in np.unique(column.places).tolist()}
    return [known[place] for place in column.places.tolist()]


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


def _column(laid: _Laid, places: Places) -> ScaleColumn:
    plan = laid.plan
    expected, rule = len(plan.scored), str(plan.scale.missing)
    return ScaleColumn(plan.scale.name, laid.value(places), laid.answered(places), expected, rule, places)


def _places(grid: _Grid, codes: Codes) -> list[Places]:
    columns = np.array(codes.T, order="C")  # always a copy, also of one response: settling writes on it
    _settle(grid, columns)
    return [scale.places(columns) for scale in grid.scales]


def _settle(grid: _Grid, columns: NDArray[np.uint8]) -> None:
    """Apply branching to codes (items x responses), in place, as `kinds.settled` does to one response."""
    counted: dict[str, NDArray[np.uint8]] = {}
    for column, item in zip(columns, grid.items, strict=True):
        if item.asked_if is not None:
            missing = (column == UNANSWERED) | (column == LEFT_OUT)
            left_out = missing & (_held(item.asked_if, counted, len(column)) == 0)
            column[missing] = UNANSWERED
            column[left_out] = LEFT_OUT
        as_code = LEFT_OUT if item.not_asked_as is None else item.not_asked_as
        counted[item.id] = (
            np.where(column == LEFT_OUT, np.uint8(as_code), column) if grid.branches else column
        )


def _held(condition: Condition, columns: Mapping[str, NDArray[np.uint8]], size: int) -> NDArray[np.int8]:
    """`conditions.holds` on whole columns: 1 true, 0 false, -1 unknown."""
    if "all" in condition:
        return _joined([_held(part, columns, size) for part in condition["all"]], decides=0)
    if "any" in condition:
        return _joined([_held(part, columns, size) for part in condition["any"]], decides=1)
    left = columns[condition["item"]]
    if condition["is"] == "answered":
        return (left < LEFT_OUT).astype(np.int8)
    code = condition.get("code")
    right = columns[condition["other_item"]] if "other_item" in condition else np.full(size, code, np.int16)
    wide = left.astype(np.int16), right.astype(np.int16)
    found = np.asarray(COMPARISONS[condition["is"]](*wide), dtype=np.int8)
    others = (left,) if code is not None else (left, right)
    found[np.logical_or.reduce([one > LEFT_OUT for one in others])] = -1
    found[np.logical_or.reduce([one == LEFT_OUT for one in others])] = 0
    return found


def _joined(parts: list[NDArray[np.int8]], decides: int) -> NDArray[np.int8]:
    """`all` is decided by one that is false (0), `any` by one that is true (1); else unknown wins."""
    found = np.full_like(parts[0], 1 - decides)
    found[np.logical_or.reduce([part == -1 for part in parts])] = -1
    found[np.logical_or.reduce([part == decides for part in parts])] = decides
    return found


def _misfits(grid: _Grid, codes: Codes) -> NDArray[np.bool_]:
    """True for each response with a code that is not a choice of its item."""
    bad = np.zeros(len(codes), dtype=bool)
    for allowed, column in zip(grid.allowed, np.ascontiguousarray(codes.T), strict=True):
        bad |= ~allowed[column]
    return bad


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

    Types are looked at first, because true would pass for 1 as a key. Most responses are whole and all codes.
    """
    if len(answers) == len(grid.names) and set(map(type, answers.values())) == _CODES_ONLY:
        try:
            row = bytes(grid.in_order(answers))
            return row if max(row) <= HIGHEST else None
        except (KeyError, ValueError, OverflowError):
            return None
    if not (answers.keys() <= grid.known and _TYPES.issuperset(map(type, answers.values()))):
        return None
    try:
        return bytes(map(_CODE.__getitem__, map(answers.get, grid.names)))
    except KeyError:
        return None


@lru_cache(maxsize=32)
def _grid(instrument: Instrument) -> _Grid:
    items = instrument.items
    names = tuple(item.id for item in items)
    allowed = np.zeros((len(names), 256), dtype=bool)
    for at, item in enumerate(items):
        allowed[at, list(item.codes)] = True
        allowed[at, [UNANSWERED, NA, REFUSAL, LEFT_OUT]] = (
            True,
            item.not_applicable,
            item.refusable,
            item.asked_if is not None,
        )
    columns = {name: at for at, name in enumerate(names)}
    scales = tuple(_Laid(plan, columns) for plan in plan_of(instrument))
    return _Grid(names, frozenset(names), items, _in_order(names), branches(instrument), allowed, scales)


def _in_order(names: tuple[str, ...]) -> Callable[[Mapping[str, Any]], tuple[int, ...]]:
    """Answers in the order of the columns. Raises KeyError."""
    if len(names) == 1:
        return lambda answers: (answers[names[0]],)
    return itemgetter(*names)


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
    columns = [
        map(scale.fragments.__getitem__, places.tolist())
        for scale, places in zip(grid.scales, _places(grid, codes), strict=True)
    ]
    return [_opening(name) + b",".join(parts) + b"}}\n" for name, *parts in zip(names, *columns, strict=True)]


def _opening(name: Any) -> bytes:
    return b'{"id":' + orjson.dumps(name) + b',"scores":{'


def _fragment(plan: ScalePlan, value: float | None, reason: str | None, answered: int) -> bytes:
    result = {"value": value, "answered": answered, "expected": len(plan.scored), "reason": reason}
    return orjson.dumps(plan.scale.name) + b":" + orjson.dumps(result)


def _refusal(instrument: Instrument, answers: dict[str, Any], findings: list[Finding]) -> bytes:
    """The rest of a line whose answers do not fit: no value, the reason, the findings."""
    bad = {finding.item for finding in findings}
    words = tuple(WORDS)
    good = {name for name, answer in answers.items() if name not in bad and answer not in words}
    scales = [
        _fragment(plan, None, INVALID_ANSWERS, len(good & plan.scored.keys())) for plan in plan_of(instrument)
    ]
    listed = orjson.dumps([finding._asdict() for finding in findings])
    return b",".join(scales) + b'},"findings":' + listed + b"}\n"
