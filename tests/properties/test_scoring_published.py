"""Every bundled instrument against an independent reading of its rules: to the last bit, in all three ways."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epro.questionnaires.bulk import encode, outcomes, score_codes, score_file
from epro.questionnaires.checking import check
from epro.questionnaires.instrument import Instrument
from epro.questionnaires.library import bundled, bundled_instrument
from epro.questionnaires.scoring import score
from tests.properties.answering import Answers, answered, borders, open_to_all_kinds
from tests.properties.published import RULES, T_TABLES, Result, published

some = settings(max_examples=25, deadline=None)
every_instrument = pytest.mark.parametrize("instrument", bundled(), ids=lambda one: one.code)

Told = tuple[bytes | None, str | None]
"""The bits of a value, or None and the reason."""


def expected(instrument: Instrument, answers: Answers) -> dict[str, Told]:
    return {name: correctly_rounded(result) for name, result in published(instrument.code, answers).items()}


def correctly_rounded(result: Result) -> Told:
    return (bits(float(result)), None) if isinstance(result, Fraction) else (None, result)


def bits(value: float | None) -> bytes | None:
    return None if value is None or np.isnan(value) else np.float64(value).tobytes()


def by_one(instrument: Instrument, answers: Answers) -> dict[str, Told]:
    return {one.scale: (bits(one.value), one.reason) for one in score(instrument, answers)}


def in_columns(instrument: Instrument, many: list[Answers]) -> list[dict[str, Told]]:
    rows: list[dict[str, Told]] = [{} for _ in many]
    for column in score_codes(instrument, encode(instrument, many)):
        for row, value, (found, reason) in zip(rows, column.value, outcomes(instrument, column), strict=True):
            assert bits(value) == bits(found)
            row[column.scale] = bits(value), reason
    return rows


def in_a_file(instrument: Instrument, many: list[Answers]) -> list[dict[str, Told]]:
    lines = [orjson.dumps({"id": at, "answers": answers}) for at, answers in enumerate(many)]
    sink = BytesIO()
    score_file(instrument, BytesIO(b"\n".join(lines)), sink)
    read = [orjson.loads(line) for line in sink.getvalue().splitlines()]
    assert [line["id"] for line in read] == list(range(len(many)))
    return [{name: (bits(r["value"]), r["reason"]) for name, r in line["scores"].items()} for line in read]


def without_errors(told: dict[str, Any]) -> dict[str, Any]:
    """The oracle has no standard errors: they are judged by themselves below."""
    return {name: result for name, result in told.items() if not is_error(name)}


def is_error(name: str) -> bool:
    return name == "se" or name.endswith("_se")


def assert_agreement(instrument: Instrument, many: list[Answers]) -> None:
    assert not any(check(instrument, answers) for answers in many)
    columns, lines = in_columns(instrument, many), in_a_file(instrument, many)
    for answers, column, line in zip(many, columns, lines, strict=True):
        alone = by_one(instrument, answers)
        assert without_errors(alone) == expected(instrument, answers)
        assert alone == column == line


def test_the_oracle_knows_every_bundled_instrument():
    assert set(RULES) == {instrument.code for instrument in bundled()}


@every_instrument
def test_all_three_ways_agree_with_the_rules_at_the_borders(instrument):
    assert_agreement(instrument, list(borders(instrument)))


@every_instrument
@some
@given(st.data())
def test_all_three_ways_agree_with_the_rules_on_any_answers(instrument, data):
    assert_agreement(instrument, data.draw(st.lists(answered(instrument), min_size=1, max_size=3)))


@pytest.mark.parametrize(
    "instrument",
    [
        open_to_all_kinds(one)
        for one in bundled()
        if not any(item.not_asked_as is not None for item in one.items)
    ],
    ids=lambda one: one.code,
)
@settings(max_examples=10, deadline=None)
@given(st.data())
def test_not_applicable_and_refused_are_missing_to_the_rules(instrument, data):
    assert_agreement(instrument, data.draw(st.lists(answered(instrument), min_size=1, max_size=3)))


DECLINED = [  # frequency, severity, interference of pain, `x` declined; the grade
    (("x", 3, 3), "too_few_answers"),
    ((2, "x", 3), "too_few_answers"),
    ((2, 3, "x"), "too_few_answers"),
    ((2, "x", None), "too_few_answers"),
    ((0, "x", "x"), 0.0),
    ((4, 0, None), 1.0),
]


@pytest.mark.parametrize("word", ["NA", "REFUSED"])
@pytest.mark.parametrize(("codes", "grade"), DECLINED)
def test_a_declined_attribute_is_missing_and_not_zero(codes, grade, word):
    instrument = open_to_all_kinds(bundled_instrument("pro_ctcae_sle"))
    answers = {
        f"s48{letter}": word if code == "x" else code for letter, code in zip("abc", codes, strict=True)
    }
    (one,) = [one for one in score(instrument, answers) if one.scale == "48_composite"]
    assert (one.reason if one.value is None else one.value) == grade


# Standard errors of T


@cache
def errors_by_sum(code: str) -> dict[str, dict[int, float]]:
    """SE scale -> raw sum -> SE, read off by scoring from all lowest to all highest."""
    instrument = bundled_instrument(code)
    found: dict[str, dict[int, float]] = {}
    for answers in borders(instrument):
        scores = {one.scale: one.value for one in score(instrument, answers)}
        for name in filter(is_error, scores):
            raw = "raw_sum" if name == "se" else name.removesuffix("_se") + "_raw"
            assert (scores[raw] is None) == (scores[name] is None)
            if scores[name] is not None:
                assert found.setdefault(name, {}).setdefault(int(scores[raw]), scores[name]) == scores[name]
    return found


promis = pytest.mark.parametrize("code", sorted(code for code in RULES if code.startswith("promis")))


@promis
def test_standard_errors_are_least_in_the_middle_and_rise_to_both_ends(code):
    """But for bumps of 0.1 where the items of a domain lie apart. Each stands for a number of the T table."""
    sizes = {len(errors) for errors in errors_by_sum(code).values()}
    assert sizes == {17} if code == "promis29" else sizes == {len(T_TABLES[code.removeprefix("promis_")])}
    for errors in errors_by_sum(code).values():
        tenths = [round(10 * errors[raw]) for raw in sorted(errors)]
        assert tenths == [10 * errors[raw] for raw in sorted(errors)]
        least = tenths.index(min(tenths))
        assert all(15 <= one <= 70 for one in tenths)
        assert 0 < least < len(tenths) - 1
        assert all(before >= after - 1 for before, after in zip(tenths[:least], tenths[1:], strict=False))
        assert all(
            before <= after + 1 for before, after in zip(tenths[least:], tenths[least + 1 :], strict=False)
        )


@pytest.mark.parametrize(("code", "scale"), [("promis_fatigue_4a", "se"), ("promis29", "fatigue_se")])
def test_the_standard_errors_that_are_printed(code, scale):
    printed = "4.9 3.1 2.7 2.6 2.5 2.5 2.4 2.4 2.3 2.3 2.3 2.4 2.4 2.4 2.5 2.7 3.9"
    assert errors_by_sum(code)[scale] == {raw: float(se) for raw, se in enumerate(printed.split(), 4)}
