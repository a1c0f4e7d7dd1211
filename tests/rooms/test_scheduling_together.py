"""Plans of many participants made in one go come out as they do participant by participant.

Two studies with all kinds of people: arms, languages, zones, a moved anchor, answers, misses, a withdrawal; one study
is amended, by a version that asks at other hours, more seldom, in order, and for what was missed.

TG-01  Rows, trail, feed and participants are the same, whether the clockwork takes them at once, by threes or singly.
TG-02  Whom the plan fails for stops no other, and she is put off, as when she comes alone.
TG-03  A stop between two goes loses nothing: the next one takes who is left.
TG-04  The dry run of a whole study is the preview of each.
TG-05  However large the study, an index leads to the rows of those who are re-planned.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import date
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from epro import ready, trail
from epro.scheduling import amending, course, leaving, occurrences, protocols, replanning
from epro.scheduling.models import Occurrence
from epro.scheduling.replanning import Wish
from epro.studies import participants
from epro.studies.models import Participant, Site
from epro.trail.models import Event, FeedEntry
from epro.tx import Tx, begin, system, table_of
from tests.cast import STUDY, at
from tests.rooms.test_scheduling_replanning import BOTH_EVENINGS, EARLIER, TEXT, protocol_of, written
from tests.support.approvals import begin_with

TESTS = system("tests")
BEGAN, NOW = at("2026-03-02T10:00"), at("2026-03-10T12:00")
SELDOM = (
    "every: {days: 3, from: 1, to: 30, anchor: enrolment}",
    "every: {days: 4, from: 0, to: 30, anchor: enrolment}",
)
MORE = """
  - id: catch-up
    label: {en: Yesterday, zh-CN: 昨日日记}
    instrument: {code: fatigue_diary, version: "1.0"}
    instead_of: {assessment: evening}
    window: {opens: "14:00", closes: "17:00"}
    sync_grace: 6h
  - id: then
    label: {en: After it, zh-CN: 之后}
    instrument: {code: fss, version: "1.0"}
    at: [week1, month1]
    after: quality
    window: {opens: "08:00", closes: "22:00"}
    sync_grace: 6h
"""
AMENDED = written("3.0", (BOTH_EVENINGS, EARLIER), SELDOM) + MORE
PEOPLE = [
    ("01-001", "01", "active", "en", "Asia/Shanghai"),
    ("01-002", "01", "control", "zh-CN", "Asia/Shanghai"),
    ("01-003", "01", "active", "zh-CN", "Europe/Berlin"),
    ("01-004", "01", "control", "en", "America/Los_Angeles"),
    ("01-005", "01", "active", "en", "Asia/Shanghai"),
    ("02-001", "02", "active", "en", "Asia/Shanghai"),
]


@pytest.fixture
def amended(cast):
    """Eight days after they began; a version has just come into force at site 01."""
    with begin(TESTS, at("2026-03-01T12:00")) as tx:
        begin_with(tx, protocol_of(written("2.0")), written("2.0"))
        protocols.publish(tx, protocol_of(TEXT), TEXT)
    with begin(TESTS, BEGAN) as tx:
        for who in PEOPLE:
            _enrol(tx, STUDY, "2.0", *who)
        _enrol(tx, "arms", "1.0", *PEOPLE[0])
    with begin(TESTS, at("2026-03-06T09:00")) as tx:
        replanning.carry_out(tx, _she(tx, "01-005"), Wish(anchor=("infusion", date(2026, 3, 8))), "given")
        replanning.carry_out(tx, _she(tx, "01-003"), Wish(time_zone="Asia/Shanghai"), "back")
        leaving.withdraw(tx, _she(tx, "01-004"), "moved away")
    cast.tick(at("2026-03-10T08:00"))
    with begin(TESTS, NOW) as tx:
        she = _she(tx, "01-001")
        for row in occurrences.of(tx, she):
            if row.assessment_id == "quality" or row.local_day == date(2026, 3, 9):
                occurrences.fulfil(tx, she, row)
        trail.record(tx, she, "test.answered", "participant", "01-001")
        participants.put_back(tx, she)
        amending.amend(tx, protocol_of(AMENDED), AMENDED)
        amending.approve(tx, STUDY, "3.0", "01", date(2026, 3, 10))
        tx.session.execute(sa.update(Participant).where(Participant.plan_at.is_not(None)).values(plan_at=NOW))


def _enrol(tx: Tx, study: str, version: str, *who: str) -> None:
    subject_id, site, arm, language, zone = who
    her = participants.enrol(
        tx, tx.get(Site, study, site), subject_id=subject_id, language=language, time_zone=zone, arm=arm,
        protocol_version=version, anchors={"enrolment": BEGAN.date()}, contact={},
    )  # fmt: skip
    occurrences.replan(tx, her, "enrolment")


def _she(tx: Tx, subject_id: str) -> Participant:
    return tx.get(Participant, STUDY, subject_id, lock=True)


class Undone(Exception):
    pass


def outcome(size: int) -> dict[str, list[Any]]:
    """What would be on file after the clockwork has taken so many at a time. Nothing is kept."""
    found: dict[str, list[Any]] = {}
    with suppress(Undone), begin(TESTS, NOW) as tx:
        while occurrences.extend_due(tx, size):
            pass
        found |= {model.__tablename__: _rows(tx, model) for model in (Occurrence, Participant, FeedEntry)}
        found["events"] = [_without(json.loads(one.body), "id", "prev") for one in _rows(tx, Event, str)]
        raise Undone
    return found


def _rows(tx: Tx, model: Any, mark: Any = None) -> list[Any]:
    table = table_of(model)
    rows = tx.session.execute(sa.select(*table.columns).order_by(*table.primary_key)).all()
    return rows if mark else [_without(row._asdict(), "chain_mac") for row in rows]


def _without(known: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in known.items() if name not in names}


def test_many_in_one_go_come_out_as_singly(amended, monkeypatch):
    alone, anew = [], occurrences._extend_anew
    monkeypatch.setattr(occurrences, "_extend_anew", lambda *of: alone.append(of) or anew(*of))
    at_once = outcome(50)
    changed = [one for one in at_once["events"] if one["at"] == trail.instant(NOW)]
    went_over = [one["object"]["id"] for one in changed if one["action"] == "protocol.followed"]
    assert sorted(went_over) == ["01-001", "01-002", "01-003", "01-005"]
    kinds = {
        name
        for one in changed
        for name in ("new", "moved", "cancelled", "renewed")
        if one["details"].get(name)
    }
    assert kinds == {"new", "moved", "cancelled", "renewed"}
    assert {"catch-up", "then"} <= {one["assessment_id"] for one in at_once["occurrences"]}
    assert outcome(1) == at_once and outcome(3) == at_once  # TG-01
    assert alone == []


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_who_fails_among_many_fails_as_alone(amended, monkeypatch):
    sound = occurrences.bring_to_plan

    def fails_for_one(tx: Tx, participant: Any, *more: Any) -> None:
        sound(tx, participant, *more)
        if participant.subject_id == "01-002":
            raise LookupError("planted")

    monkeypatch.setattr(occurrences, "bring_to_plan", fails_for_one)
    at_once = outcome(50)
    planned = {
        one["subject_id"]: one["plan_at"] for one in at_once["participants"] if one["study_id"] == STUDY
    }
    assert planned["01-002"] == NOW + occurrences.PUT_OFF and planned["01-001"] > NOW + occurrences.PUT_OFF
    assert outcome(1) == at_once  # TG-02


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_a_stop_in_between_loses_nothing(amended):
    whole, due = outcome(50), []
    for act in range(4):
        with suppress(Undone), begin(TESTS, NOW) as tx:
            due.append(occurrences.extend_due(tx, 2))
            if act == 1:
                raise Undone
    assert due == [2, 2, 2, 2] and outcome(50) == whole  # TG-03


def test_the_dry_run_of_all_is_the_preview_of_each(amended):
    protocol = protocol_of(
        AMENDED.replace('version: "3.0"', 'version: "4.0"').replace('"17:00"', '"16:00"', 1)
    )
    with begin(TESTS, NOW) as tx:
        all_told = [(she.subject_id, told(found)) for she, found in amending.dry_run(tx, protocol)]
        each = partial(replanning.preview, tx, wish=Wish(protocol=protocol))
        assert all_told == [(id, told(each(_she(tx, id)))) for id, _ in all_told]  # TG-04
        assert len(all_told) == 5 and any(one["moved"] for _, one in all_told)


def test_an_index_leads_to_the_rows_of_those_who_are_replanned(app, engine_name):
    given = {
        "study_id": STUDY,
        "subject_ids": ["01-001"],
        "now": NOW,
        "ids": (),
        "visits": (),
        "assessments": (),
    }
    explain = "EXPLAIN QUERY PLAN " if engine_name == "sqlite" else "EXPLAIN "
    by_index = (
        r"SEARCH .*subject_id=\?" if engine_name == "sqlite" else r"(Index Cond|Filter): .*subject_id = ANY"
    )
    with begin(TESTS, NOW) as tx:
        cursor = tx.connection.connection.driver_connection.cursor()
        if engine_name == "postgresql":
            cursor.execute(
                "SET LOCAL enable_seqscan = off"
            )  # in a small table a filter will do; a join never
        for asked in (occurrences._CONCERNED, course._SETTLED, participants._ANCHORS, participants._STAYS):
            made = ready._made(asked, ready._kind(tx.connection.dialect), None)
            cursor.execute(explain + made.text, made.bound(given))
            assert any(re.search(by_index, str(line)) for line in cursor.fetchall())  # TG-05


def told(found: Any) -> dict[str, list[Any]]:
    pairs = {name: [(row.id, want) for row, want in getattr(found, name)] for name in ("moved", "renewed")}
    return (
        pairs
        | {name: [row.id for row in getattr(found, name)] for name in ("kept", "cancelled")}
        | {name: getattr(found, name) for name in ("new", "over", "doubled", "late")}
    )
