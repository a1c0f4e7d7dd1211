"""The plan follows the answers: anchors set by them, order, alternates, what is unscheduled, and late finishing."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from epro.cli.study import known_instruments
from epro.notifications.models import Alert
from epro.scheduling import occurrences, protocols
from epro.scheduling.models import Occurrence
from epro.scheduling.reading import read
from epro.signin import staff
from epro.simulation.people import Phone
from epro.studies import participants
from epro.studies.models import Participant
from epro.tx import Grant, begin, look, system
from tests.cast import PASSWORD, at

TESTS = system("tests")
FILE = Path(__file__).resolve().parents[1] / "studies" / "course.yaml"
PHQ9, GAD7 = [f"phq{n:02}" for n in range(1, 11)], [f"gad{n:02}" for n in range(1, 8)]
DIARY = {"worst_fatigue": 4}


@pytest.fixture
def policy():
    return "follow_phone"


@pytest.fixture
def ada(cast, policy):
    """Ada, enrolled on Monday 2 March 2026; Nia is her nurse."""
    text = FILE.read_text(encoding="utf-8").replace("follow_phone", policy)
    protocol, faults = read(text, known_instruments())
    assert protocol is not None, faults
    with cast.on("2026-03-01T09:00"), begin(TESTS) as tx:
        protocols.publish(tx, protocol, text)
        grants = [Grant("course", "01", "nurse")]
        staff.add(
            tx,
            email="nia@example.org",
            name="Nia",
            password=PASSWORD,
            language="en",
            phone=None,
            grants=grants,
        )
    with cast.on("2026-03-02T07:00"):
        nia = cast.staff("nia")
        made = nia.enrol(
            study="course",
            site="01",
            language="en",
            time_zone="Asia/Shanghai",
            anchors={"enrolment": "2026-03-02"},
        )
        phone = Phone(cast.line, subject_id=made["subject_id"]).activate(nia.code_for(made["subject_id"]))
        phone.sync()
    return phone


def fill_in(cast, phone, when: str, assessment: str, answers=None, uploaded: str | None = None) -> str:
    """She answers what is open then, and the phone uploads at once or later; the outcome of the receipt."""
    with cast.on(when) as now:
        if uploaded is None:
            phone.sync()
        (due,) = [o for o in phone.open_at(now) if o["assessment"] == assessment]
        phone.answer(due, DIARY if answers is None else answers, now, now)
        if uploaded is None:
            return phone.upload(now)[0]["outcome"]
    with cast.on(uploaded) as then:
        return phone.upload(then)[0]["outcome"]


def asked(cast, phone, assessment: str, when: str) -> list[tuple[str, str]]:
    """Local day and state of what the phone knows of an assessment then."""
    with cast.on(when):
        return [(o["local_day"], o["state"]) for o in phone.sync() if o["assessment"] == assessment]


def anchors(phone) -> dict[str, str]:
    with look(TESTS) as tx:
        she = tx.get(Participant, "course", phone.subject_id)
        return {name: day.isoformat() for name, day in participants.anchors(tx, she).items()}


def mood(code: int) -> dict:
    return dict.fromkeys(PHQ9, code)


# Anchors


def test_the_first_answer_sets_its_anchor_and_what_counts_from_it_is_planned(cast, ada):
    assert asked(cast, ada, "severity", "2026-03-02T10:00") == []
    fill_in(cast, ada, "2026-03-03T20:00", "evening")
    assert anchors(ada)["first-diary"] == "2026-03-03"
    assert asked(cast, ada, "severity", "2026-03-03T21:00") == [("2026-03-10", "upcoming")]
    fill_in(cast, ada, "2026-03-04T20:00", "evening")
    assert anchors(ada)["first-diary"] == "2026-03-03"


def test_whatever_the_order_of_arrival_the_earliest_day_counts(cast, ada):
    with cast.on("2026-03-02T20:00") as monday:
        (early,) = [o for o in ada.open_at(monday) if o["assessment"] == "evening"]
        ada.answer(early, DIARY, monday, monday)
        waiting, ada.unsent = ada.unsent, []
    fill_in(cast, ada, "2026-03-03T20:00", "evening")
    assert anchors(ada)["first-diary"] == "2026-03-03"
    ada.unsent = waiting
    with cast.on("2026-03-03T21:00") as now:
        ada.upload(now)
    assert anchors(ada)["first-diary"] == "2026-03-02"
    assert asked(cast, ada, "severity", "2026-03-03T22:00") == [
        ("2026-03-09", "upcoming"),
    ]


def test_what_the_site_has_set_stays_whatever_is_answered(cast, ada):
    with cast.on("2026-03-02T12:00"):
        cast.staff("nia").set_anchor(ada.subject_id, "first-diary", "2026-03-05")
    fill_in(cast, ada, "2026-03-02T20:00", "evening")
    assert anchors(ada)["first-diary"] == "2026-03-05"


def test_nobody_sets_an_anchor_that_counts_from_another(cast, ada):
    with cast.on("2026-03-02T12:00"):
        answer = cast.staff("nia").call(
            "POST",
            f"/v1/site/participants/{ada.subject_id}/anchors",
            {"anchor": "week-on", "date": "2026-03-05", "reason": "x"},
        )
    assert answer.status == 422


@pytest.mark.parametrize(
    ("code", "days"), [(1, []), (2, ["2026-03-03", "2026-03-10", "2026-03-17", "2026-03-24"])]
)
def test_a_score_high_enough_opens_what_hangs_on_it(cast, ada, code, days):
    fill_in(cast, ada, "2026-03-02T12:00", "mood", mood(code))
    found = asked(cast, ada, "watch", "2026-03-02T13:00")
    assert [day for day, _ in found] == days


# Order


def test_the_second_opens_when_the_first_is_answered(cast, ada):
    assert asked(cast, ada, "worry", "2026-03-02T10:00") == []
    fill_in(cast, ada, "2026-03-02T12:00", "mood", mood(1))
    with cast.on("2026-03-02T12:05") as now:
        ada.sync()
        (due,) = [o for o in ada.open_at(now) if o["assessment"] == "worry"]
    assert (due["opens_at"], due["closes_at"]) == ("2026-03-02T04:00:00+00:00", "2026-03-03T14:00:00+00:00")
    assert fill_in(cast, ada, "2026-03-02T12:10", "worry", dict.fromkeys(GAD7, 1)) == "stored"


def test_where_the_first_is_missed_the_second_is_neither_asked_nor_missed(cast, ada):
    cast.tick(at("2026-03-05T10:00"))
    assert asked(cast, ada, "worry", "2026-03-05T11:00") == []
    assert ("2026-03-02", "missed") in asked(cast, ada, "mood", "2026-03-05T11:00")


def test_a_first_answer_that_comes_after_the_closing_opens_nothing(cast, ada):
    fill_in(cast, ada, "2026-03-02T12:00", "mood", mood(1), uploaded="2026-03-03T23:00")
    assert asked(cast, ada, "worry", "2026-03-03T23:30") == []


# Alternates


def test_a_miss_opens_the_alternate_and_nothing_else_does(cast, ada):
    cast.tick(at("2026-03-03T11:00"))
    assert asked(cast, ada, "catch-up", "2026-03-03T11:01") == []
    cast.tick(at("2026-03-03T12:00"))
    assert asked(cast, ada, "catch-up", "2026-03-03T12:01") == [("2026-03-03", "upcoming")]
    assert fill_in(cast, ada, "2026-03-03T15:00", "catch-up") == "stored"


@pytest.mark.parametrize("arrives", ["2026-03-03T13:00", "2026-03-03T15:00"])
def test_a_late_sync_calls_the_alternate_off(cast, ada, arrives):
    with cast.on("2026-03-02T20:00") as now:
        (due,) = [o for o in ada.open_at(now) if o["assessment"] == "evening"]
        ada.answer(due, DIARY, now, now)
    cast.tick(at("2026-03-03T12:00"))
    assert asked(cast, ada, "catch-up", "2026-03-03T12:01") == [("2026-03-03", "upcoming")]
    with cast.on(arrives) as then:
        assert ada.upload(then)[0]["outcome"] == "stored"
    assert [state for _, state in asked(cast, ada, "catch-up", arrives)] == ["cancelled"]


@pytest.mark.parametrize("at_hour", ["2026-03-03T13:00", "2026-03-03T15:00"])
def test_an_excuse_calls_the_alternate_off_and_taken_back_asks_for_it_while_it_may_be(cast, ada, at_hour):
    cast.tick(at("2026-03-03T12:00"))
    (missed,) = [
        o for o in ada.known.values() if o["assessment"] == "evening" and o["local_day"] == "2026-03-02"
    ]
    with cast.on(at_hour):
        nia = cast.staff("nia")
        nia.must("POST", f"/v1/site/occurrences/{missed['id']}/excuse", {"reason": "device_fault"})
    assert asked(cast, ada, "catch-up", at_hour) == [("2026-03-03", "cancelled")]
    with cast.on(at_hour):
        nia.must("POST", f"/v1/site/occurrences/{missed['id']}/take-back", {"reason": "it was hers"})
    assert [state for _, state in asked(cast, ada, "catch-up", at_hour)] in (["upcoming"], ["open"])


# Unscheduled


def ask_for(cast, phone, when: str, assessment: str = "flare"):
    with cast.on(when):
        return phone.call("POST", "/v1/phone/occurrences", {"assessment": assessment})


def test_she_opens_one_whenever_she_wants_as_often_as_she_wants(cast, ada):
    first = ask_for(cast, ada, "2026-03-02T03:00")
    again = ask_for(cast, ada, "2026-03-02T03:01")  # the reply was lost
    assert (first.status, first.body["id"], first.body["study_day"]) == (201, again.body["id"], 0)
    assert (first.body["opens_at"], first.body["closes_at"]) == (
        "2026-03-01T19:00:00+00:00",
        "2026-03-02T19:00:00+00:00",
    )
    assert fill_in(cast, ada, "2026-03-02T03:05", "flare") == "stored"
    second = ask_for(cast, ada, "2026-03-02T03:10")
    assert second.body["id"] != first.body["id"]
    assert fill_in(cast, ada, "2026-03-02T03:15", "flare") == "stored"


def test_what_is_not_unscheduled_cannot_be_opened_at_will(cast, ada):
    assert ask_for(cast, ada, "2026-03-02T03:00", "evening").status == 404
    assert ask_for(cast, ada, "2026-03-02T03:00", "nothing").status == 404


def test_one_whose_condition_does_not_hold_is_not_opened(cast, ada):
    with cast.on("2026-03-02T09:00"):
        ada.change(language="zh-CN")
    answer = ask_for(cast, ada, "2026-03-02T09:05")
    assert (answer.status, answer.body["code"]) == (409, "not_asked")


def test_one_that_she_lets_go_is_no_miss_and_raises_no_alert(cast, ada):
    made = ask_for(cast, ada, "2026-03-02T03:00").body["id"]
    with cast.on("2026-03-02T09:00"), begin(TESTS) as tx:
        she = tx.get(Participant, "course", ada.subject_id, lock=True)
        occurrences.replan(tx, she, "test")
    assert asked(cast, ada, "flare", "2026-03-02T10:00") == [("2026-03-02", "open")]
    cast.tick(at("2026-03-03T15:01"))
    with look(TESTS) as tx:
        (row,) = tx.all(sa.select(Occurrence).where(Occurrence.assessment_id == "flare"))
        assert (str(row.id), row.missed_at, row.cancelled_reason) == (made, None, "not answered")
        assert row.attention_at is None
        about = [alert.why.get("assessment") for alert in tx.all(sa.select(Alert))]
        assert "flare" not in about


# Conditions


def test_a_change_of_language_brings_what_is_asked_in_that_language_alone(cast, ada):
    assert asked(cast, ada, "chinese-only", "2026-03-02T10:00") == []
    with cast.on("2026-03-02T11:00"):
        ada.change(language="zh-CN")
    assert asked(cast, ada, "chinese-only", "2026-03-02T11:01") == [("2026-03-09", "upcoming")]
    with cast.on("2026-03-02T12:00"):
        ada.change(language="en")
    assert asked(cast, ada, "chinese-only", "2026-03-02T12:01") == [("2026-03-09", "cancelled")]


# Finishing what had begun


@pytest.mark.parametrize(
    ("started", "completed", "outcome"),
    [
        ("2026-03-02T23:59", "2026-03-03T00:29:59", "stored"),
        ("2026-03-02T23:59", "2026-03-03T00:30", "held"),
        ("2026-03-03T00:00", "2026-03-03T00:10", "held"),
        ("2026-03-02T17:59", "2026-03-03T00:10", "held"),
    ],
)
def test_what_was_begun_before_the_closing_may_be_finished_soon_after(cast, ada, started, completed, outcome):
    (due,) = [o for o in ada.open_at(at("2026-03-02T20:00")) if o["assessment"] == "evening"]
    assert due["finish_by"] == "2026-03-02T16:30:00+00:00"
    ada.answer(due, DIARY, at(started), at(completed))
    with cast.on("2026-03-03T00:31") as now:
        (receipt,) = ada.upload(now)
    assert receipt["outcome"] == outcome
    assert [one["code"] for one in receipt["findings"]] == [
        "finished_after_closing" if outcome == "stored" else "outside_window"
    ]


def test_a_draft_of_before_the_closing_shows_that_she_had_begun(cast, ada):
    (due,) = [o for o in ada.open_at(at("2026-03-02T20:00")) if o["assessment"] == "evening"]
    path = f"/v1/phone/drafts/{due['id']}"

    def save(when: str) -> int:
        with cast.on(when):
            ada.refresh()
            return ada.call("PUT", path, {"answers": {}}).status

    assert [save("2026-03-02T23:58"), save("2026-03-03T00:20"), save("2026-03-03T00:30")] == [200, 200, 409]
    made = ada.answer(due, DIARY, at("2026-03-02T20:00"), at("2026-03-03T00:25"))
    del made["started_at"]
    with cast.on("2026-03-03T00:31") as now:
        assert ada.upload(now)[0]["outcome"] == "stored"


def test_without_a_draft_of_before_the_closing_none_is_begun_after_it(cast, ada):
    (due,) = [o for o in ada.open_at(at("2026-03-02T20:00")) if o["assessment"] == "evening"]
    with cast.on("2026-03-03T00:05"):
        ada.refresh()
        answer = ada.call("PUT", f"/v1/phone/drafts/{due['id']}", {"answers": {}})
    assert (answer.status, answer.body["code"]) == (409, "not_open")


# Travel


def windows(phone) -> list[str]:
    return [
        o["opens_at"] for o in phone.sync() if o["assessment"] == "evening" and o["local_day"] == "2026-03-06"
    ]


@pytest.mark.parametrize("policy", ["ask"])
def test_under_ask_the_windows_wait_until_she_confirms_where_she_is(cast, ada):
    with cast.on("2026-03-02T12:00"):
        about = ada.change(time_zone="Europe/Berlin")
        assert (about["time_zone"], about["asked_time_zone"]) == ("Asia/Shanghai", "Europe/Berlin")
        assert windows(ada) == ["2026-03-06T10:00:00+00:00"]
        about = ada.change(time_zone="Europe/Berlin", time_zone_confirmed=True)
        assert (about["time_zone"], about["asked_time_zone"]) == ("Europe/Berlin", None)
        assert windows(ada) == ["2026-03-06T17:00:00+00:00"]


@pytest.mark.parametrize("policy", ["ask"])
def test_under_ask_a_phone_that_is_home_again_asks_nothing(cast, ada):
    with cast.on("2026-03-02T12:00"):
        ada.change(time_zone="Europe/Berlin")
        assert ada.change(time_zone="Asia/Shanghai")["asked_time_zone"] is None
        assert windows(ada) == ["2026-03-06T10:00:00+00:00"]


def test_under_follow_phone_the_windows_move_at_once(cast, ada):
    with cast.on("2026-03-02T12:00"):
        assert ada.change(time_zone="Europe/Berlin")["asked_time_zone"] is None
        assert windows(ada) == ["2026-03-06T17:00:00+00:00"]
