"""What carriers of a country ask, as data, and that no history of messages ever breaks it.

CA-01  Every file says where its figures come from and when they were read.
CA-02  The first wording that no rule forbids goes out; if there is none, the rule that stands in the way is told.
CA-03  Whatever messages come, at whatever hours: no third identical text, no fifth different one in 24 hours.
CA-04  Hours bind reminders and never a message to staff.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epro.notifications import carriers, wording
from epro.notifications.carriers import Candidate, Carrier, Earlier, choose

CHINA = carriers.shipped()["CN"]
NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)  # in Shanghai
HOUR = timedelta(hours=1)
FILES = sorted(Path(carriers.__file__).parent.glob("*.json"))


def candidates(*names: str) -> list[Candidate]:
    return [Candidate(n, f"Please open the app: {name}", name, f"SMS_{n}") for n, name in enumerate(names)]


def earlier(*names: str, hours: float = 1) -> list[Earlier]:
    return [Earlier(NOON - timedelta(hours=hours), name) for name in names]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_file_says_where_it_comes_from(file):  # CA-01
    told = json.loads(file.read_text("utf-8"))
    assert told["country"] == file.stem and datetime.fromisoformat(told["read_on"])
    assert told["sources"] and all(one["says"] and one["url"] for one in told["sources"])
    known = {"same_text_in_24h", "different_texts_in_24h", "registered_templates", "links", "two_way"}
    assert set(told["rules"]) <= known | {"hours", "segments"}


@pytest.mark.parametrize(
    ("number", "country"),
    [
        ("+8613900000001", "CN"),
        ("+85291234567", "HK"),
        ("+14165550123", "CA"),
        ("+447400123456", "GB"),
        ("not a number", None),
    ],
)
def test_the_country_of_a_number(number, country):
    assert carriers.country_of(number) == country


@pytest.mark.parametrize(
    ("text", "parts"),
    [("a" * 160, 1), ("a" * 161, 2), ("a" * 306, 2), ("a" * 307, 3), ("填" * 70, 1), ("填" * 71, 2), ("填" * 134, 2),
     ("填" * 135, 3), ("€" * 80, 1), ("€" * 81, 2)],
)  # fmt: skip
def test_how_many_parts_a_text_makes(text, parts):
    assert carriers.segments(text) == parts


def one(words: str, **more: object) -> list[Candidate]:
    return [Candidate(0, words, "x", more.get("id", "SMS_1"))]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "history", "found"),
    [
        (candidates("a", "b"), [], "a"),
        (candidates("a", "b"), earlier("a"), "a"),  # the second identical one
        (candidates("a", "b"), earlier("a", "a"), "b"),  # rotated
        (candidates("a"), earlier("a", "a"), carriers.SAME_TEXT),
        (candidates("a"), earlier("a", "a", hours=24), "a"),  # a day ago
        (candidates("e", "a"), earlier("a", "b", "c", "d"), "a"),  # no fifth different one
        (candidates("e"), earlier("a", "b", "c", "d"), carriers.TEXTS_A_DAY),
        (one("See www.example.org"), [], carriers.LINK),
        (one("填" * 71), [], carriers.LENGTH),
        (one("To stop, reply STOP"), [], carriers.REPLY),
        (one("退订回T"), [], carriers.REPLY),
        (one("Please open the app", id=None), [], carriers.TEMPLATE),
        ([], [], carriers.TEMPLATE),
    ],
)
def test_the_first_wording_that_is_allowed(wanted, history, found):  # CA-02
    chosen = choose(CHINA, wanted, history, NOON, needs_id=True)
    assert (chosen.text if isinstance(chosen, Candidate) else chosen) == found


def test_where_nobody_asks_for_ids_a_wording_goes_without():
    assert isinstance(choose(CHINA, one("Please open the app", id=None), [], NOON), Candidate)


def test_a_country_without_rules_forbids_nothing():
    wanted = one("See www.example.org " + "a" * 900, id=None)
    assert choose(Carrier("XX", "UTC"), wanted, earlier(*"x" * 50), NOON) == wanted[0]


@pytest.mark.parametrize("hour", range(24))
def test_hours_bind_reminders_only(hour):  # CA-04
    moment = datetime(2026, 3, 1, 16, 30, tzinfo=UTC) + hour * HOUR  # half past that hour in Shanghai
    by_day = replace(CHINA, hours=("08:00", "22:00"))
    allowed = isinstance(choose(by_day, candidates("a"), [], moment), Candidate)
    assert allowed == (8 <= hour < 22)
    assert isinstance(choose(by_day, candidates("a"), [], moment, urgent=True), Candidate)


@pytest.mark.parametrize("language", wording.shipped())
def test_what_is_shipped_can_be_sent_to_china(language):
    said = wording.shipped()[language]
    for key, template in said["templates"].items():
        for turn in range(len(template["wordings"])):
            words = wording.render(key, language, said["typical"], turn).text
            assert isinstance(choose(CHINA, one(words), [], NOON), Candidate), words


STRICT = [CHINA, Carrier("XX", "UTC", same_text=1, different_texts=2), Carrier("YY", "UTC", same_text=3)]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(STRICT),
    st.lists(
        st.tuples(st.integers(0, 300), st.integers(0, 6), st.integers(1, 7), st.booleans()), max_size=80
    ),
)
def test_no_history_of_messages_breaks_a_rule(carrier, asked):  # CA-03
    now, history = NOON, list[Earlier]()
    for minutes, turn, wordings, urgent in asked:
        now += timedelta(minutes=minutes)
        turns = [(turn + n) % wordings for n in range(wordings)]
        wanted = [Candidate(n, "Please open the app", f"text {n}") for n in turns]
        chosen = choose(carrier, wanted, history, now, urgent=urgent)
        if isinstance(chosen, Candidate):
            history.append(Earlier(now, chosen.text))
    for last in history:
        day = [one.text for one in history if last.at - timedelta(hours=24) < one.at <= last.at]
        if carrier.same_text is not None:
            assert all(day.count(text) <= carrier.same_text for text in set(day))
        if carrier.different_texts is not None:
            assert len(set(day)) <= carrier.different_texts
