"""The clockwork's look at what is due. What to do is told elsewhere (test_scheduling_attention.py); here it is done.

The diary of 2 March opens at 18:00, reminds at 19:00 and 21:00, is at risk at 22:00, closes at midnight and is missed
at 6:00; Shanghai time. Reminders, misses and several workers are in test_clockwork.py.

AD-01  Whatever fails while one occurrence is attended to, all of it is undone, the others go on, and it comes back.
AD-02  Everything done is on record, and nothing else.
AD-03  Late is better than never for a miss, and worse than never for a reminder.
AD-04  What does not concern her any more is left alone.
"""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError, SQLAlchemyError

from epro import clock, worker
from epro.notifications import alerts, attending, messages
from epro.notifications.models import Alert, Message
from epro.scheduling import occurrences
from epro.scheduling.models import Occurrence
from epro.studies.models import Participant
from epro.trail import verifying
from epro.trail.models import Event
from epro.tx import begin, look, system
from tests.cast import at

TESTS = system("tests")
MORNING = at("2026-03-03T06:00")
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


@pytest.fixture
def ada(cast):
    with cast.on("2026-03-02T10:00"):
        return cast.phone()


def tonight() -> Occurrence:
    """Ada's diary of the second."""
    with look(TESTS) as tx:
        return tx.one(
            sa.select(Occurrence)
            .where(Occurrence.assessment_id == "evening", Occurrence.subject_id == "01-001")
            .order_by(Occurrence.opens_at)
        )


def rows(model) -> list:
    with look(TESTS) as tx:
        return tx.all(sa.select(model))


def told() -> list[str]:
    """What the clockwork wrote into Ada's chain, reasons with a slash."""
    with look(TESTS) as tx:
        query = (
            sa.select(Event.action, Event.body).where(Event.actor == "system:clockwork").order_by(Event.seq)
        )
        entries = [(action, json.loads(body)["reason"]) for action, body in tx.session.execute(query)]
    return [f"{action}/{reason}" if reason else action for action, reason in entries]


def attend(when) -> None:
    with clock.moved_to(when):
        worker.attend()


# AD-01.

PLACES = {
    "before anything": (attending, "attend"),
    "after the facts, before the record": (attending.trail, "record"),
    "after the record, before the feed": (attending.trail, "stream"),
    "after the miss, before the alert": (alerts, "alert_on_miss"),
    "within the alert": (alerts, "tell"),
    "when a message is planned": (messages, "plan"),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_failure_undoes_all_of_one_and_nothing_of_another(cast, ada, monkeypatch, place):
    with cast.on("2026-03-02T11:00"):
        cast.enrol(contact={})
    module, name = PLACES[place]
    sound = getattr(module, name)

    def fails_for_ada(*given, **named):
        if any(getattr(one, "subject_id", None) == "01-001" for one in given):
            raise RuntimeError("planted")
        return sound(*given, **named)

    monkeypatch.setattr(module, name, fails_for_ada)
    before = told()
    for _ in range(2):
        attend(MORNING)
    assert tonight().missed_at is None and tonight().at_risk_at is None and tonight().reminders_done == 0
    assert tonight().attention_at == MORNING + attending.PUT_OFF
    assert {alert.subject_id for alert in rows(Alert)} == {"01-002"}
    monkeypatch.undo()
    attend(MORNING + attending.PUT_OFF)
    assert {alert.subject_id for alert in rows(Alert)} == {"01-001", "01-002"}
    assert len([action for action in told() if action == "occurrence.missed"]) == 2 and before == []
    with look(TESTS) as tx:
        assert list(verifying.faults(tx, Participant)) == []


@on_sqlite
def test_a_failure_shows_in_the_log_without_her_data(cast, ada, monkeypatch, caplog):
    def fails(*_):
        raise RuntimeError("+8613900000001 said 7")

    monkeypatch.setattr(attending, "attend", fails)
    attend(MORNING)
    (record,) = [record for record in caplog.records if record.name == attending.__name__]
    assert record.action == "occurrence.put_off" and "RuntimeError" in record.getMessage()
    assert "said 7" not in caplog.text and "8613900000001" not in caplog.text


@on_sqlite
def test_a_database_that_fails_is_no_fault_of_the_occurrence(cast, ada, monkeypatch):
    """It is not put off: the next strike finds it as it was."""

    def fails(*_):
        raise OperationalError("statement", {}, Exception("gone"))

    due = tonight().attention_at
    monkeypatch.setattr(attending, "attend", fails)
    with pytest.raises(OperationalError):
        attend(MORNING)
    assert tonight().attention_at == due


REFUSED = sa.text("INSERT INTO heartbeats (worker, beat_at) VALUES ('tests', NULL)")


@pytest.mark.parametrize(
    ("module", "name", "when"),
    [
        (occurrences, "bring_to_plan", "2026-03-09T11:00"),
        (attending, "attend", "2026-03-03T06:00"),
        (alerts, "_escalate", "2026-03-03T10:00"),
    ],
    ids=["plan", "occurrence", "escalation"],
)
def test_a_row_that_the_database_refuses_stops_no_other(cast, ada, monkeypatch, module, name, when):
    with cast.on("2026-03-02T11:00"):
        cast.enrol(contact={})
    if module is alerts:
        attend(MORNING)
    sound = getattr(module, name)

    def refused_for_ada(tx, participant, *more):
        if participant.subject_id == "01-001":
            tx.session.execute(REFUSED)
        return sound(tx, participant, *more)

    monkeypatch.setattr(module, name, refused_for_ada)
    attend(at(when))
    with look(TESTS) as tx:
        planned = {row.subject_id: row.plan_at for row in tx.all(sa.select(Participant))}
    raised = {alert.subject_id: alert.escalations for alert in rows(Alert)}
    if module is occurrences:
        assert planned == {"01-001": at("2026-03-09T12:00"), "01-002": at("2026-03-16T11:00")}
    elif module is attending:
        assert raised == {"01-002": 0} and tonight().attention_at == MORNING + attending.PUT_OFF
    else:
        assert raised == {"01-001": 0, "01-002": 1}


def test_a_connection_that_breaks_is_no_fault_of_the_occurrence(cast, ada, monkeypatch):
    def breaks(tx, *_):
        tx.session.connection().invalidate()
        raise DBAPIError("statement", {}, Exception("gone"), connection_invalidated=True)

    due = tonight().attention_at
    monkeypatch.setattr(attending, "attend", breaks)
    with pytest.raises(SQLAlchemyError):
        attend(MORNING)
    assert tonight().attention_at == due


@on_sqlite
@pytest.mark.parametrize("step", ["extend_due", "attend_due"])
def test_a_step_that_fails_keeps_no_later_one_from_its_work(cast, ada, monkeypatch, step):
    attend(MORNING)
    with begin(TESTS) as tx:
        # Every step has something to do.
        tx.session.execute(sa.update(Participant).values(plan_at=MORNING))
        looked_at = Occurrence.attention_at.is_not(None)
        tx.session.execute(sa.update(Occurrence).where(looked_at).values(attention_at=MORNING))

    def fails(*_):
        raise ProgrammingError("statement", {}, Exception("no such column"))

    module = occurrences if step == "extend_due" else attending
    monkeypatch.setattr(module, step, fails)
    with pytest.raises(ProgrammingError):
        attend(at("2026-03-03T10:00"))
    assert [alert.escalations for alert in rows(Alert)] == [1]


@on_sqlite
def test_a_plan_that_cannot_be_made_stops_nothing_else(cast, ada, monkeypatch):
    with cast.on("2026-03-02T11:00"):
        cast.enrol(contact={})
    sound = occurrences.bring_to_plan

    def fails_for_ada(tx, participant, *more):
        if participant.subject_id == "01-001":
            participant.plan_at = None
            tx.put_back(Participant, participant)
            raise LookupError("planted")
        return sound(tx, participant, *more)

    monkeypatch.setattr(occurrences, "bring_to_plan", fails_for_ada)
    attend(at("2026-03-09T11:00"))
    with look(TESTS) as tx:
        due = {row.subject_id: row.plan_at for row in tx.all(sa.select(Participant))}
    assert due == {"01-001": at("2026-03-09T12:00"), "01-002": at("2026-03-16T11:00")}
    assert {alert.subject_id for alert in rows(Alert)} == {"01-001", "01-002"}  # the clockwork went on
    monkeypatch.undo()
    attend(at("2026-03-09T12:00"))
    with look(TESTS) as tx:
        assert tx.get(Participant, "diary", "01-001").plan_at == at("2026-03-16T12:00")


@on_sqlite
def test_an_escalation_that_fails_stops_no_other(cast, ada, monkeypatch):
    with cast.on("2026-03-02T11:00"):
        cast.enrol(contact={})
    attend(MORNING)
    sound = alerts.tell

    def fails_for_ada(tx, participant, *more, **named):
        if participant.subject_id == "01-001":
            raise LookupError("planted")
        return sound(tx, participant, *more, **named)

    monkeypatch.setattr(alerts, "tell", fails_for_ada)
    attend(at("2026-03-03T10:00"))
    assert {alert.subject_id: alert.escalations for alert in rows(Alert)} == {"01-001": 0, "01-002": 1}
    monkeypatch.undo()
    attend(at("2026-03-03T10:05"))
    assert {alert.escalations for alert in rows(Alert)} == {1}


def test_what_is_due_for_many_is_done_at_once(cast, ada, monkeypatch):
    """The way one by one is for when that fails, and for what ends unanswered."""
    with cast.on("2026-03-02T11:00"):
        cast.enrol(contact={})
    alone = []
    monkeypatch.setattr(attending, "_attend_or_put_off", lambda tx, due: alone.append(due.id))
    for hour in ("19:00", "21:00", "22:00"):
        attend(at(f"2026-03-02T{hour}"))
    assert alone == [] and tonight().at_risk_at == at("2026-03-02T22:00")
    assert len(rows(Message)) == 4


# AD-02 and AD-03.


def test_an_evening_in_which_nothing_comes(cast, ada):
    for hour in ("18:59", "19:00", "20:59", "21:00", "22:00", "23:59"):
        attend(at(f"2026-03-02T{hour}"))
    for hour in ("00:00", "05:59", "06:00", "09:00"):
        attend(at(f"2026-03-03T{hour}"))
    found = tonight()
    assert (found.reminders_done, found.at_risk_at, found.missed_at) == (2, at("2026-03-02T22:00"), MORNING)
    assert found.attention_at is None
    assert told() == [
        "message.planned",
        "message.planned",
        "occurrence.at_risk",
        "occurrence.missed",
        "alert.raised",
        "message.planned",
    ]


@on_sqlite
def test_a_clockwork_that_comes_late_in_the_evening_reminds_once(cast, ada):
    attend(at("2026-03-02T22:30"))
    assert told() == ["reminder.skipped/stale", "message.planned", "occurrence.at_risk"]
    (message,) = rows(Message)
    assert (message.why["number"], message.template) == (1, "reminder.again")
    assert message.expires_at == at("2026-03-02T23:00")


@on_sqlite
def test_a_clockwork_that_comes_in_the_morning_only_notes_the_miss(cast, ada):
    attend(at("2026-03-03T12:00"))
    assert told()[:3] == [
        "reminder.skipped/window_closed",
        "reminder.skipped/window_closed",
        "occurrence.missed",
    ]
    assert tonight().missed_at == at("2026-03-03T12:00") and tonight().at_risk_at is None
    assert {message.purpose for message in rows(Message)} == {"alert"}


@on_sqlite
def test_looking_again_and_again_adds_nothing(cast, ada):
    attend(MORNING)
    before = told()
    for minute in range(5):
        attend(MORNING + timedelta(minutes=minute))
    assert told() == before


@on_sqlite
def test_a_backlog_is_worked_off_in_one_strike(cast):
    with cast.on("2026-03-02T10:00"):
        noor = cast.staff("noor")
        wanted = {
            "study": "diary",
            "site": "01",
            "language": "en",
            "time_zone": "Asia/Shanghai",
            "contact": {},
        }
        for _ in range(worker.BATCH // 2 + 3):
            noor.enrol(**wanted, anchors={"enrolment": "2026-03-02"})
    attend(at("2026-03-04T06:00"))  # two evenings of everybody: more than a batch
    missed = [row for row in rows(Occurrence) if row.missed_at]
    assert len(missed) == 2 * (worker.BATCH // 2 + 3) > worker.BATCH


# AD-04.


@on_sqlite
def test_what_is_settled_is_not_looked_at_again(cast, ada):
    with cast.on("2026-03-02T18:30") as now:
        ada.answer(ada.open_at(now)[0], {"worst_fatigue": 2}, now, now)
        ada.upload(now)
    assert tonight().attention_at is None
    attend(MORNING)
    assert told() == []


@on_sqlite
def test_what_was_cancelled_is_not_looked_at_again(cast, ada):
    with cast.on("2026-03-02T18:30"):
        cast.staff("noor").withdraw("01-001")
    assert tonight().attention_at is None
    attend(at("2026-03-09T06:00"))
    assert told() == []


@on_sqlite
def test_an_hour_wished_for_while_it_is_open_is_kept(cast, ada):
    with cast.on("2026-03-02T18:30"):
        ada.speak("PATCH", "/v1/phone/me", {"reminder_hour": "18:45"})
    attend(at("2026-03-02T18:45"))
    assert [message.due_at for message in rows(Message)] == [at("2026-03-02T18:45")]
