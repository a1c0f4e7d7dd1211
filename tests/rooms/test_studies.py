"""Participants from enrolment to withdrawal, and who may touch what.

ST-01  A row outside somebody's reach is answered like a row that does not exist.
ST-02  A permission that no role carries is nobody's.
ST-03  Anchors and time zones are set, never overwritten: the newest counts, the others stay.
"""

from __future__ import annotations

from datetime import date, time
from uuid import uuid4

import pytest
import sqlalchemy as sa

from epro.errors import Conflict, NotAllowed, NotFound
from epro.studies import access, participants
from epro.studies.models import Anchor, Participant, Site, ZoneStay
from epro.tx import Actor, Grant, begin, look, system

TESTS = system("tests")
ADA = ("diary", "01-001")
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


def somebody(*grants: Grant) -> Actor:
    return Actor("staff", str(uuid4()), grants=grants)


MACHINES = [
    "participant.read",
    "response.read",
    "study.read",
    "instrument.read",
    "export.bulk",
    "trail.read",
    "feed.read",
    "export.make",
    "blinded.read",
]
NOOR, OTTO = somebody(Grant("diary", "01", "nurse")), somebody(Grant("diary", "02", "nurse"))
DANA, ELSEWHERE = somebody(Grant("diary", "*", "data_manager")), somebody(Grant("other", "*", "nurse"))
ADA_HERSELF = Actor("participant", "diary/01-001", study_id="diary", subject_id="01-001")


@pytest.fixture
def people(cast):
    """Ada and Ben at site 01, Cleo at 02."""
    with cast.on("2026-03-02T10:00"):
        return [cast.enrol(nurse)["subject_id"] for nurse in ("noor", "noor", "otto")]


def enrol(tx, subject_id: str, **wanted) -> Participant:
    site = tx.get(Site, "diary", "01")
    return participants.enrol(tx, site, subject_id=subject_id, **{
        "language": "en", "time_zone": "Asia/Shanghai", "protocol_version": "1.0", "contact": {},
        "anchors": {"enrolment": date(2026, 3, 2)}, **wanted})  # fmt: skip


# Enrolment.


def test_subject_ids_count_up_within_a_site(people):
    assert people == ["01-001", "01-002", "02-001"]


@on_sqlite
def test_a_number_that_is_taken_is_passed_over(app):
    with begin(TESTS) as tx:
        enrol(tx, "01-002")
        enrol(tx, "01-001")
        assert participants.next_subject_id(tx, tx.get(Site, "diary", "01")) == "01-003"
    with begin(TESTS) as tx:
        enrol(tx, "01-004")
        assert participants.next_subject_id(tx, tx.get(Site, "diary", "01")) == "01-005"


def test_a_subject_id_is_given_once(people, app):
    with pytest.raises(participants.SubjectIdTaken), begin(TESTS) as tx:
        enrol(tx, "01-001")
    with look(TESTS) as tx:
        assert tx.session.scalar(sa.select(sa.func.count()).select_from(Participant)) == 3


@on_sqlite
def test_an_enrolment_that_fails_leaves_nothing(app):
    with pytest.raises(LookupError), begin(TESTS) as tx:
        enrol(tx, "01-001")
        raise LookupError
    with look(TESTS) as tx:
        for model in (Participant, Anchor, ZoneStay):
            assert tx.all(sa.select(model)) == []


# ST-03.


def test_the_anchor_set_last_counts_and_the_others_stay(people, app):
    for day in ("2026-03-05", "2026-03-09", "2026-03-05"):
        with begin(TESTS) as tx:
            ada = tx.get(Participant, *ADA, lock=True)
            participants.set_anchor(tx, ada, "infusion", date.fromisoformat(day), "as planned")
            assert participants.anchors(tx, ada) == {
                "enrolment": date(2026, 3, 2),
                "infusion": date.fromisoformat(day),
            }
    with look(TESTS) as tx:
        rows = participants.anchor_rows(tx, tx.get(Participant, *ADA))
        assert [row.day.day for row in rows if row.anchor == "infusion"] == [5, 9, 5]
        set_by = {(row.set_by, row.reason) for row in rows if row.anchor == "infusion"}
        assert set_by == {("system:tests", "as planned")}


@on_sqlite
def test_anchors_set_in_one_instant_keep_their_order(app, cast):
    """Their order is that of her chain; a clock could not tell."""
    with cast.on("2026-03-02T10:00"), begin(TESTS) as tx:
        ada = enrol(tx, "01-001")
        for day in (5, 9, 7):
            participants.set_anchor(tx, ada, "infusion", date(2026, 3, day), "as planned")
    with look(TESTS) as tx:
        assert participants.anchors(tx, tx.get(Participant, *ADA))["infusion"] == date(2026, 3, 7)


@on_sqlite
def test_where_she_lived_is_kept(people, app):
    for zone, moved in (("Europe/Berlin", True), ("Europe/Berlin", False), ("Asia/Shanghai", True)):
        with begin(TESTS) as tx:
            ada = tx.get(Participant, *ADA, lock=True)
            assert participants.change_settings(tx, ada, time_zone=zone) is moved
    with look(TESTS) as tx:
        stays = participants.zone_stays(tx, tx.get(Participant, *ADA))
    assert [stay.time_zone for stay in stays] == ["Asia/Shanghai", "Europe/Berlin", "Asia/Shanghai"]
    assert [stay.since for stay in stays] == sorted(stay.since for stay in stays)


@on_sqlite
def test_settings_that_stay_the_same_leave_no_entry(people, app):
    with begin(TESTS) as tx:
        ada = tx.get(Participant, *ADA, lock=True)
        before = ada.chain_seq
        participants.change_settings(tx, ada, language="en", time_zone="Asia/Shanghai", preferences={})
        assert ada.chain_seq == before
        participants.change_settings(tx, ada, preferences={"reminder_hour": "20:30"})
        participants.change_settings(tx, ada, preferences={"channels": ["sms"]})
        assert (ada.chain_seq, participants.reminder_hour(ada)) == (before + 2, time(20, 30))
        assert ada.preferences == {"reminder_hour": "20:30", "channels": ["sms"]}


# Opting out and leaving.


@on_sqlite
def test_opting_out_and_in_count_once_each(people, app):
    with begin(TESTS) as tx:
        ada = tx.get(Participant, *ADA, lock=True)
        done = [act(tx, ada, "phone") for act in (
            participants.opt_in, participants.opt_out, participants.opt_out, participants.opt_in)]  # fmt: skip
    assert done == [False, True, False, True]


def test_withdrawal_happens_once(people, app):
    with begin(TESTS) as tx:
        participants.withdraw(tx, tx.get(Participant, *ADA, lock=True), "own wish")
    with pytest.raises(participants.AlreadyWithdrawn), begin(TESTS) as tx:
        participants.withdraw(tx, tx.get(Participant, *ADA, lock=True), "again")


# ST-01 and ST-02.


@on_sqlite
@pytest.mark.parametrize(
    ("actor", "seen"),
    [
        (NOOR, ["01-001", "01-002"]),
        (OTTO, ["02-001"]),
        (DANA, ["01-001", "01-002", "02-001"]),
        (ELSEWHERE, []),
        (somebody(), []),
        (ADA_HERSELF, ["01-001"]),
        (TESTS, ["01-001", "01-002", "02-001"]),
        (
            somebody(Grant("diary", "01", "nurse"), Grant("diary", "02", "investigator")),
            ["01-001", "01-002", "02-001"],
        ),
        (somebody(Grant("diary", "01", "administrator"), Grant("diary", "02", "nurse")), ["02-001"]),
    ],
    ids=[
        "nurse",
        "other site",
        "data manager",
        "other study",
        "nobody",
        "herself",
        "system",
        "two sites",
        "two roles",
    ],
)
def test_everybody_sees_her_own_rows(people, app, actor, seen):
    for table in (Participant, Anchor):
        with look(TESTS) as tx:
            query = sa.select(table.subject_id).where(access.visible(actor, "participant.read", table))
            assert sorted(set(tx.all(query))) == seen


@on_sqlite
def test_not_allowed_and_not_found_answer_alike(people, app):
    for subject_id in ("02-001", "01-999", ""):
        with look(NOOR) as tx, pytest.raises(NotFound) as refused:
            access.participant(tx, subject_id, "participant.read")
        assert refused.value.detail == NotFound().detail
    with look(NOOR) as tx:
        assert access.participant(tx, "01-001", "participant.read", study_id="diary").subject_id == "01-001"
        with pytest.raises(NotFound):
            access.participant(tx, "01-001", "participant.read", study_id="other")


@on_sqlite
def test_a_role_without_the_permission_is_told_so(people, app):
    with look(DANA) as tx, pytest.raises(NotAllowed):
        access.participant(tx, "01-001", "participant.withdraw")


def test_a_grant_elsewhere_is_no_grant_here():
    access.allow(NOOR, "participant.enrol", "diary", "01")
    access.allow(somebody(Grant("diary", "*", "nurse")), "participant.enrol", "diary", "02")
    for study, site in (("diary", "02"), ("other", "01"), ("other", None)):
        with pytest.raises(NotFound):
            access.allow(NOOR, "participant.enrol", study, site)
    with pytest.raises(NotAllowed):
        access.allow(DANA, "participant.enrol", "diary", "01")


def test_every_permission_belongs_to_a_role_that_exists():
    roles = {*access.ROLES, "machine", "edc"}
    assert all(holders and holders <= roles for holders in access.PERMISSIONS.values())
    assert [name for name, holders in access.PERMISSIONS.items() if "machine" in holders] == MACHINES
    assert [name for name, holders in access.PERMISSIONS.items() if "edc" in holders] == ["anchor.import"]
    with pytest.raises(KeyError):
        access.allow(NOOR, "participant.delete")


def test_the_study_that_is_meant():
    one = somebody(Grant("diary", "*", "data_manager"))
    two = somebody(Grant("diary", "*", "data_manager"), Grant("other", "*", "data_manager"))
    assert access.one_study(one, "feed.read", None) == access.one_study(two, "feed.read", "diary") == "diary"
    with pytest.raises(Conflict):
        access.one_study(two, "feed.read", None)
    with pytest.raises(NotFound):
        access.one_study(one, "feed.read", "other")
    with pytest.raises(NotAllowed):
        access.one_study(NOOR, "feed.read", None)
    with pytest.raises(NotAllowed):  # one site is not the study
        access.one_study(somebody(Grant("diary", "01", "data_manager")), "feed.read", None)
