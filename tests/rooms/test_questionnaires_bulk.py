"""Bulk scoring: columns that are refused, lines that cannot be read, memory that does not grow."""

from __future__ import annotations

import tracemalloc
from io import BufferedReader, BytesIO, RawIOBase

import numpy as np
import orjson
import pytest

from epro.questionnaires.bulk import (
    LEFT_OUT,
    LONGEST_LINE,
    NA,
    REFUSAL,
    UNANSWERED,
    BadLine,
    Tally,
    encode,
    score_codes,
    score_file,
)
from epro.questionnaires.instrument import parse
from epro.questionnaires.library import bundled_instrument
from epro.questionnaires.scoring import InvalidAnswers

LUPUSQOL, FSS = bundled_instrument("lupusqol"), bundled_instrument("fss")
PRO_CTCAE = bundled_instrument("pro_ctcae_sle")


def scored(text: bytes, instrument=FSS):
    sink = BytesIO()
    tally = score_file(instrument, BytesIO(text), sink)
    return tally, [orjson.loads(line) for line in sink.getvalue().splitlines()]


def test_codes_stand_in_the_order_of_the_items():
    codes = encode(LUPUSQOL, [{"lq34": 3, "lq15": "NA", "lq01": 0.0}, {}])
    assert codes.shape == (2, 34)
    assert [codes[0, 0], codes[0, 14], codes[0, 33]] == [0, NA, 3]
    assert (codes[1] == UNANSWERED).all()


def test_no_responses_give_empty_columns():
    columns = score_codes(LUPUSQOL, encode(LUPUSQOL, []))
    assert [(column.value.shape, column.answered.shape) for column in columns] == [((0,), (0,))] * 8


@pytest.mark.parametrize("responses", [1, 2])
def test_columns_are_read_and_never_written(responses):
    """Branching works on a copy, even where a single response could be turned without one."""
    codes = encode(PRO_CTCAE, [{"s48a": 0}] * responses)
    codes.flags.writeable = False
    assert score_codes(PRO_CTCAE, codes)[6].value.tolist() == [0.0] * responses
    assert (codes == UNANSWERED).sum() == 39 * responses


def test_the_response_with_bad_answers_is_named():
    with pytest.raises(InvalidAnswers) as caught:
        encode(FSS, [{"fss1": 1}, {"fss1": 0}])
    assert [(error["response"], error["item"], error["code"]) for error in caught.value.errors] == [
        (1, "fss1", "out_of_range")
    ]


def test_true_is_not_one():
    with pytest.raises(InvalidAnswers):
        encode(FSS, [{"fss1": True}])
    tally, (line,) = scored(b'{"id":1,"answers":{"fss1":true}}')
    assert tally == Tally(1, 1)
    assert line["findings"][0]["code"] == "wrong_type"


@pytest.mark.parametrize("code", [0, 8, 253, NA])
def test_a_column_with_a_code_that_is_no_choice_is_refused(code):
    codes = np.full((3, 9), 4, dtype=np.uint8)
    codes[1, 5] = code
    with pytest.raises(InvalidAnswers):
        score_codes(FSS, codes)


@pytest.mark.parametrize("shape", [(3, 8), (9,), (1, 3, 9)])
def test_columns_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="9 items"):
        score_codes(FSS, np.full(shape, 4, dtype=np.uint8))


@pytest.mark.parametrize("highest", [250, 250.0], ids=["a code", "a number"])
def test_the_highest_code_that_may_be_is_a_code_like_others(highest):
    data = bundled_instrument("fatigue_diary").document()
    ends = [{"code": code, "label": {"en": "-", "zh-CN": "-"}} for code in (0, 250)]
    data["choice_sets"] = {"rating": {"lowest": ends[0], "highest": ends[1]}}
    data["scales"][0]["range"] = [0, 250]
    wide = parse(data)
    (column,) = score_codes(wide, encode(wide, [{"worst_fatigue": highest}]))
    assert column.value.tolist() == [250]


@pytest.mark.parametrize("code", [251, 252, 253, NA, UNANSWERED])
def test_a_number_that_stands_for_a_gap_in_columns_is_no_answer(code):
    whole = dict.fromkeys((f"fss{n}" for n in range(1, 10)), 4)
    with pytest.raises(InvalidAnswers):
        encode(FSS, [whole | {"fss3": code}])
    assert [LEFT_OUT, REFUSAL, NA, UNANSWERED] == [252, 253, 254, 255]


def test_an_item_that_is_not_there_is_refused_by_itself():
    with pytest.raises(InvalidAnswers):
        encode(FSS, [{"fss1": 1, "fss10": 1}])


def test_what_branching_cannot_leave_out_is_not_left_out():
    with pytest.raises(InvalidAnswers):
        encode(FSS, [{"fss1": "NOT_ASKED"}])


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.float64])
def test_columns_of_another_type_are_refused(kind):
    with pytest.raises(ValueError, match="uint8"):
        score_codes(FSS, np.full((3, 9), 4, dtype=kind))


def test_wide_columns_are_worked_on_in_slices_and_come_back_whole():
    codes = np.random.default_rng(1).integers(1, 8, size=(40_000, 9), dtype=np.uint8)
    nine, seven = score_codes(FSS, codes)
    assert (nine.value == codes.sum(axis=1) / 9).all()
    assert (seven.value == codes[:, 2:].sum(axis=1) / 7).all()


def test_one_code_that_is_no_choice_is_refused_in_whatever_slice_it_stands():
    codes = np.full((40_000, 9), 4, dtype=np.uint8)
    codes[20_000, 5] = 8
    with pytest.raises(InvalidAnswers):
        score_codes(FSS, codes)


def test_lines_come_back_in_order_and_blank_ones_are_passed_over():
    tally, lines = scored(b'{"id":"b","answers":{}}\r\n\n  \n{"answers":{},"id":7,"site":"x"}')
    assert tally == Tally(2, 0)
    assert [line["id"] for line in lines] == ["b", 7]


def test_nothing_in_nothing_out():
    assert scored(b"") == scored(b"\n\n") == (Tally(0, 0), [])


def test_a_byte_order_mark_is_passed_over():
    assert scored(b'\xef\xbb\xbf{"id":"a:b","answers":{}}')[0] == Tally(1, 0)


def test_an_id_is_given_back_as_it_came():
    ids = ["", 'a"b\\c', "患者:1", "a\u2028b", -3, 2**53]
    text = b"\n".join(orjson.dumps({"id": name, "answers": {"fss1": 1}}) for name in ids)
    assert [line["id"] for line in scored(text)[1]] == ids


def test_a_response_that_does_not_fit_does_not_stop_the_others():
    tally, lines = scored(b"\n".join([
        b'{"id":1,"answers":{"fss1":4,"fss2":4,"fss3":4,"fss4":4,"fss5":4,"fss6":4,"fss7":4,"fss8":4,"fss9":4}}',
        b'{"id":2,"answers":{"fss1":true,"fss2":9,"fss3":"4","fss4":99999999999999999999,"fss5":5,"x":1}}',
        b'{"id":3,"answers":{"fss1":"NA"}}',
        b'{"id":4,"answers":{}}',
    ]))  # fmt: skip
    assert tally == Tally(4, 2)
    assert [line["scores"]["fss9_mean"]["value"] for line in lines] == [4.0, None, None, None]
    assert [line["scores"]["fss9_mean"]["reason"] for line in lines] == [
        None, "invalid_answers", "invalid_answers", "too_few_answers",
    ]  # fmt: skip
    assert lines[1]["scores"]["fss7_mean"] == {
        "value": None, "answered": 1, "expected": 7, "reason": "invalid_answers",
    }  # fmt: skip
    assert [(finding["item"], finding["code"]) for finding in lines[1]["findings"]] == [
        ("fss1", "wrong_type"), ("fss2", "out_of_range"), ("fss3", "wrong_type"), ("fss4", "out_of_range"),
        ("x", "unknown_item"),
    ]  # fmt: skip
    assert "findings" not in lines[0]


def test_of_a_response_that_does_not_fit_each_scale_counts_its_own_sound_answers():
    given = {"id": 1, "answers": {"lq01": 99, "lq02": 3, "lq15": "NA", "lq16": 2}}
    (line,) = scored(orjson.dumps(given), LUPUSQOL)[1]
    answered = {name: one["answered"] for name, one in line["scores"].items() if one["answered"]}
    assert answered == {"physical_health": 1, "intimate_relationships": 1}


GOOD = b'{"id":1,"answers":{}}\n'
BAD_LINES = [
    (b"{", ""),
    (b"3", ""),
    (b'[{"id":1,"answers":{}}]', ""),
    (b'{"id":1,"answers":{"fss1":NaN}}', ""),
    (b'{"id":"\xff","answers":{}}', ""),
    (b'{"answers":{}}', "/id"),
    (b'{"id":null,"answers":{}}', "/id"),
    (b'{"id":true,"answers":{}}', "/id"),
    (b'{"id":1.5,"answers":{}}', "/id"),
    (b'{"id":1}', "/answers"),
    (b'{"id":1,"answers":null}', "/answers"),
    (b'{"id":1,"answers":[]}', "/answers"),
    (b'{"id":1,"id":2,"answers":{}}', "/id"),
    (b'{"id":1,"answers":{"fss1":1,"fss1":7}}', "/answers/fss1"),
    (b'{"id":"a:b","answers":{"fss1":1,"fss1":1}}', "/answers/fss1"),
    (b'{"id":1,"answers":{},"answers":{"fss1":7}}', "/answers"),
    (b'{"id":1,"answers":{"fss1":' + b"[" * 5000 + b"]" * 5000 + b"}}", ""),
    (
        b'{"id":1,"answers":{},"x:":' + b"[" * 1010 + b"]" * 1010 + b"}",
        "",
    ),  # what one parser reads, not the other
]


@pytest.mark.parametrize(("line", "pointer"), BAD_LINES, ids=[str(line[:40]) for line, _ in BAD_LINES])
def test_a_line_that_cannot_be_read_is_named(line, pointer):
    with pytest.raises(BadLine) as caught:
        scored(GOOD + b"\n" + line + b"\n" + GOOD)
    assert (caught.value.number, caught.value.pointer) == (3, pointer)
    assert str(caught.value).startswith(f"line 3, at {pointer}: " if pointer else "line 3: ")


def test_where_a_line_stops_being_json_is_told_by_its_column():
    with pytest.raises(BadLine) as caught:
        scored(b'{"id":1,,')
    assert str(caught.value) == "line 1: not JSON, column 9."


def test_a_file_of_one_endless_line_is_refused_before_it_fills_the_memory():
    with pytest.raises(BadLine, match="line 2: longer than"):
        scored(GOOD + b" " * (3 * LONGEST_LINE))


def test_line_numbers_go_on_over_the_borders_of_blocks():
    many = 60_000
    with pytest.raises(BadLine, match=f"line {many + 1}: not JSON"):
        scored(GOOD * many + b"x")


class Endless(RawIOBase):
    """So many lines, made when they are asked for."""

    def __init__(self, lines: int):
        self.left = lines

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        taken = min(self.left, len(buffer) // len(GOOD))
        self.left -= taken
        buffer[: taken * len(GOOD)] = GOOD * taken
        return taken * len(GOOD)


class Counted(BytesIO):
    lines = 0

    def write(self, text) -> int:
        self.lines += bytes(text).count(b"\n")
        return len(text)


def peak(lines: int) -> int:
    sink = Counted()
    tracemalloc.start()
    score_file(FSS, BufferedReader(Endless(lines), 1 << 16), sink)
    reached = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sink.lines == lines
    return reached


def test_memory_does_not_grow_with_the_file():
    peak(100)
    assert peak(80_000) < 1.3 * peak(20_000)
