"""One preview for every cause of a new plan, and amendments of the protocol, site by site.

The study is `tests/studies/two_arms.yaml`, under the name of the cast's own study and as its version 2.0: an evening
diary for everybody, an assessment for the active arm, one for who reads Chinese, visits that open late.

RP-01  The preview tells what the act does, whatever the cause; it does nothing itself; the act needs a reason.
RP-02  What was answered or has opened stays, with the version that asked for it.
RP-03  What would be born missed opens late or is skipped, as the study says.
RP-04  An amendment moves nobody; a site goes over on its day, and not the other sites.
RP-05  The dry run of an amendment is what happens.
RP-06  What would break what is on file is refused by name.
"""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from epro.cli import epro
from epro.cli.study import known_instruments
from epro.notifications import messages
from epro.notifications.models import Message
from epro.responses import trail_sight
from epro.scheduling import amending, occurrences, protocols
from epro.scheduling.models import Occurrence, PublishedProtocol
from epro.scheduling.reading import read
from epro.studies.models import Participant
from epro.trail.models import Event
from epro.tx import Actor, Grant, begin, look, system
from tests.cast import STAFF, STUDY, at
from tests.support.approvals import begin_with

TESTS = system("tests")
TEXT = (Path(__file__).parent.parent / "studies" / "two_arms.yaml").read_text(encoding="utf-8")
LISTS = (
    "kept",
    "renewed",
    "moved",
    "cancelled",
    "new",
    "opened_late",
    "skipped_as_over",
    "skipped_as_doubled",
)
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
BOTH_EVENINGS = (
    'every: {days: 1, from: 0, to: 40, anchor: enrolment}\n    window: {opens: "18:00", closes: "24:00"}'
)
EARLIER = BOTH_EVENINGS.replace('"18:00", closes: "24:00"', '"17:00", closes: "23:00"')


def written(version: str, *texts: tuple[str, str]) -> str:
    """The study file with these texts replaced."""
    text = TEXT.replace("id: arms\n", f"id: {STUDY}\n").replace(
        'version: "1.0"\n', f'version: "{version}"\n', 1
    )
    for before, after in texts:
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    return text


def protocol_of(text: str):
    protocol, faults = read(text, known_instruments())
    assert protocol is not None, faults
    return protocol


def publish(text: str, *, amends: bool = False) -> None:
    with begin(TESTS) as tx:
        (amending.amend if amends else begin_with)(tx, protocol_of(text), text)


@pytest.fixture
def two_arms(cast):
    """The study with two arms is what is asked of who is enrolled."""
    with cast.on("2026-03-01T12:00"):
        publish(written("2.0"))
    return cast


def rows(subject_id: str = "01-001") -> dict[str, Occurrence]:
    with look(TESTS) as tx:
        return {str(row.id): row for row in occurrences.of(tx, tx.get(Participant, STUDY, subject_id))}


def asked(subject_id: str, assessment: str) -> list[Occurrence]:
    return [
        row for row in rows(subject_id).values() if row.assessment_id == assessment and not row.cancelled_at
    ]


def she(subject_id: str = "01-001") -> Participant:
    with look(TESTS) as tx:
        return tx.get(Participant, STUDY, subject_id)


def reasons(action: str) -> list[str]:
    with look(TESTS) as tx:
        found = tx.all(sa.select(Event).where(Event.action == action).order_by(Event.at))
        return [json.loads(row.body)["reason"] for row in found]


def told(answer: dict) -> dict:
    return {name: sorted((one["id"], one["opens_at"]) for one in answer[name]) for name in LISTS}


def call(person, path: str, body: dict, *, preview: bool = False, subject_id: str = "01-001"):
    query = "?preview=true" if preview else ""
    return person.call("POST", f"/v1/site/participants/{subject_id}/{path}{query}", body)


CAUSES = [
    ("arm", {"arm": "active"}),
    ("language", {"language": "zh-CN"}),
    ("time-zone", {"time_zone": "Europe/Berlin"}),
    ("anchors", {"anchor": "infusion", "date": "2026-03-20"}),
    ("anchors", {"anchor": "enrolment", "date": "2026-02-27"}),
]


# RP-01: the preview.


@on_sqlite
def test_what_keeps_its_window_with_something_new_is_told_apart(cast):
    """Days that the calendar names stay when their anchor moves by a day; by the study they are others then."""
    mondays = BOTH_EVENINGS.replace("days: 1,", "weekdays: [mon, thu],")
    with cast.on("2026-03-01T12:00"):
        publish(written("2.0", (BOTH_EVENINGS, mondays)))
    with cast.on("2026-03-02T10:00"):
        cast.enrol(arm="control")
        body = {"anchor": "enrolment", "date": "2026-03-01", "reason": "as it happened"}
        noor = cast.staff("noor")
        shown = call(noor, "anchors", body, preview=True)
        days = {str(row.id): row.study_day for row in asked("01-001", "evening")}
        renewed = [one for one in shown.body["renewed"] if one["assessment"] == "evening"]
        assert len(renewed) > 5 and {one["id"] for one in renewed} <= {
            one["id"] for one in shown.body["kept"]
        }
        for one in renewed:
            day = days[one["id"]]
            assert one["changes"] == [{"what": "study_day", "before": day, "after": day + 1}]
        call(noor, "anchors", body)
        assert asked("01-001", "evening")[3].study_day == days[str(asked("01-001", "evening")[3].id)] + 1
        again = call(noor, "anchors", {**body, "date": "2026-03-01"}, preview=True).body
        assert again["renewed"] == [] and len(again["kept"]) >= len(renewed)


@pytest.mark.parametrize(("path", "body"), CAUSES)
def test_the_preview_tells_what_the_act_does(two_arms, path, body):
    with two_arms.on("2026-03-02T10:00"):
        two_arms.enrol(arm="control")
    with two_arms.on("2026-03-10T19:00"):
        noor, before = two_arms.staff("noor"), rows()
        body = {**body, "reason": "as it happened"}
        shown = call(noor, path, body, preview=True)
        assert shown.ok and shown.body["preview"] and {*rows()} == {*before}
        assert [facts(row) for row in rows().values()] == [facts(row) for row in before.values()]
        done = call(noor, path, body)
        assert done.ok and told(done.body) == told(shown.body)
    after = rows()
    assert any(done.body[name] for name in ("moved", "cancelled", "new"))
    assert {*after} == {*before} | {one["id"] for one in done.body["new"]}
    assert {key for key in before if after[key].cancelled_at} == {one["id"] for one in done.body["cancelled"]}
    for one in (*done.body["moved"], *done.body["new"]):
        assert at(one["opens_at"][:-6], "UTC") == after[one["id"]].opens_at
    moved = {key for key in before if facts(after[key])[:2] != facts(before[key])[:2]}
    assert moved == {one["id"] for one in done.body["moved"]}


def facts(row: Occurrence) -> tuple:
    return row.opens_at, row.closes_at, row.cancelled_at, row.protocol_version


@on_sqlite
@pytest.mark.parametrize(("hidden", "knowing"), [("", {"noor", "ines"}), ("investigator", {"noor"})])
def test_an_arm_is_told_to_who_treats_her_and_is_hidden_no_scores(cast, hidden, knowing):
    with cast.on("2026-03-01T12:00"):
        text = f"blinding: {{hide_scores_from: [{hidden}]}}\narms:\n"
        publish(written("2.0").replace("arms:\n", text, 1))
    with cast.on("2026-03-02T10:00"):
        assert cast.enrol(arm="active")["arm"] == "active"
        call(cast.staff("noor"), "arm", {"arm": "control", "reason": "allotted wrongly"})
        for name in ("noor", "ines", "dana", "mona"):
            who = cast.staff(name)
            one = who.must("GET", "/v1/site/participants/01-001")
            (listed,) = who.must("GET", "/v1/site/participants")["participants"]
            timeline = who.must("GET", "/v1/site/participants/01-001/timeline")["participant"]
            told = "control" if name in knowing else None
            assert (one["arm"], listed["arm"], timeline["arm"]) == (told, told, told), name
            reads = told and name != "noor"  # no nurse reads the trail
            assert arms_in_the_trail(cast, name) == ({"active", "control"} if reads else set()), name
        asked = call(cast.staff("ines"), "arm", {"arm": "control", "reason": "x"}, preview=True)
        assert asked.status == (200 if "ines" in knowing else 403)


def arms_in_the_trail(cast, name: str) -> set[str]:
    role, site, _ = STAFF[name]
    with look(Actor("staff", str(cast.ids[name]), grants=(Grant(STUDY, site, role),))) as tx:
        events = tx.all(sa.select(Event).where(Event.action == "arm.set"))
        return {arm for one in trail_sight.told(tx, events) for _, *both in one.changes for arm in both}


@on_sqlite
def test_a_change_needs_a_reason_that_the_trail_keeps(two_arms):
    with two_arms.on("2026-03-02T10:00"):
        two_arms.enrol(arm="control")
        noor = two_arms.staff("noor")
        for path, body in CAUSES:
            assert call(noor, path, body).status == 422
            assert call(noor, path, {**body, "reason": "she said so"}).ok
    for action in ("arm.set", "participant.settings_changed", "anchor.set"):
        assert set(reasons(action)) == {"she said so"}, action


@on_sqlite
@pytest.mark.parametrize(
    ("path", "body"),
    [("arm", {"arm": "third"}), ("language", {"language": "de"}), ("time-zone", {"time_zone": "Moon"})],
)
def test_what_the_study_does_not_know_is_refused(two_arms, path, body):
    with two_arms.on("2026-03-02T10:00"):
        two_arms.enrol()
        for preview in (True, False):
            answer = call(two_arms.staff("noor"), path, {**body, "reason": "x"}, preview=preview)
            assert answer.status == 422
            assert answer.body["errors"][0]["pointer"] == "/" + path.replace("-", "_")
        wrong = {"study": STUDY, "site": "01", "language": "en", "time_zone": "Asia/Shanghai", "arm": "third"}
        wrong |= {"anchors": {"enrolment": "2026-03-02"}}
        refused = two_arms.staff("noor").call("POST", "/v1/site/participants", wrong)
        assert refused.body["errors"][0]["code"] == "unknown_arm"


@on_sqlite
def test_who_has_left_is_planned_for_no_more(two_arms):
    with two_arms.on("2026-03-02T10:00"):
        two_arms.enrol(arm="control")
        noor = two_arms.staff("noor")
        noor.withdraw("01-001")
        assert call(noor, "arm", {"arm": "active", "reason": "x"}).body["code"] == "already_withdrawn"


@on_sqlite
def test_the_preview_counts_the_reminders_that_wait(two_arms):
    with two_arms.on("2026-03-02T10:00"):
        two_arms.enrol(arm="active")
        noor, row = two_arms.staff("noor"), asked("01-001", "active-only")[0]
        with begin(TESTS) as tx:
            waiting(tx, tx.get(Participant, STUDY, "01-001", lock=True), row)
        assert (
            call(noor, "arm", {"arm": "control", "reason": "x"}, preview=True).body["reminders_recalled"] == 1
        )
        assert call(noor, "language", {"language": "zh-CN", "reason": "x"}).body["reminders_recalled"] == 0


def waiting(tx, participant: Participant, row: Occurrence) -> None:
    messages.plan(
        tx, participant, key=("reminder", row.id, 0), purpose="reminder", template="reminder.due", why={},
        recipient=f"participant/{participant.subject_id}", language="en", due_at=tx.now, occurrence_id=row.id,
        expires_at=tx.now + timedelta(hours=1),
    )  # fmt: skip
    assert tx.one(sa.select(Message.id)) is not None


# RP-02: what has happened stays.


def test_another_arm_takes_away_only_what_has_not_opened(two_arms):
    with two_arms.on("2026-03-02T10:00"):
        ada = two_arms.phone(arm="active")
    with two_arms.on("2026-03-03T10:00") as now:
        (open_one,) = [one for one in ada.open_at(now) if one["assessment"] == "active-only"]
        ada.answer(open_one, {}, now, now)
        assert ada.upload(now)[0]["outcome"] == "stored"
    with two_arms.on("2026-03-06T10:00"):
        call(two_arms.staff("noor"), "arm", {"arm": "control", "reason": "allotted wrongly"})
    left = asked("01-001", "active-only")
    assert [row.local_day.isoformat() for row in left] == ["2026-03-03", "2026-03-06"]  # answered, and open
    assert left[0].fulfilled_at and left[1].closes_at > at("2026-03-06T10:00")
    with two_arms.on("2026-03-06T11:00"):
        call(two_arms.staff("noor"), "arm", {"arm": "active", "reason": "it was right"})
    assert len(asked("01-001", "active-only")) == 10


# RP-03: born late.


def test_a_visit_whose_window_is_over_opens_late(two_arms):
    with two_arms.on("2026-03-02T10:00"):
        two_arms.enrol()
    with two_arms.on("2026-03-22T10:00"):
        infusion = {"anchor": "infusion", "date": "2026-03-10", "reason": "entered late"}
        done = call(two_arms.staff("noor"), "anchors", infusion)
        (late,) = done.body["opened_late"]
    assert late in done.body["new"]
    (month,) = [row for row in asked("01-001", "quality") if row.visit_id == "month1"]
    assert (month.opens_at, month.closes_at) == (at("2026-03-22T10:00"), at("2026-03-23T10:00"))
    assert month.local_day == date(2026, 3, 19)
    two_arms.tick(at("2026-03-22T10:01"))
    with two_arms.on("2026-03-22T11:00"):
        again = call(two_arms.staff("noor"), "time-zone", {"time_zone": "Asia/Tokyo", "reason": "moved"})
    assert again.body["opened_late"] == [] and late["id"] in {one["id"] for one in again.body["kept"]}


@on_sqlite
def test_an_evening_that_is_over_is_skipped_and_told(two_arms):
    with two_arms.on("2026-03-02T10:00"):
        two_arms.enrol()
    with two_arms.on("2026-03-04T10:00"):
        earlier = {"anchor": "enrolment", "date": "2026-02-28", "reason": "a slip"}
        done = call(two_arms.staff("noor"), "anchors", earlier, preview=True).body
    assert {one["assessment"] for one in done["skipped_as_over"]} == {"evening"}
    assert done["opened_late"] == []


@on_sqlite
def test_by_default_a_visit_that_is_over_is_skipped(cast):
    with cast.on("2026-03-01T12:00"):
        publish(written("2.0", ("  born_late: open_late\n", "")))
    with cast.on("2026-03-02T10:00"):
        cast.enrol()
    with cast.on("2026-03-22T10:00"):
        infusion = {"anchor": "infusion", "date": "2026-03-10", "reason": "entered late"}
        done = call(cast.staff("noor"), "anchors", infusion).body
    assert done["opened_late"] == [] and "quality" in {one["assessment"] for one in done["skipped_as_over"]}


# RP-04, RP-05: amendments.


def test_a_site_goes_over_on_its_day_and_the_other_stays(two_arms):
    with two_arms.on("2026-03-02T10:00"):
        ada = two_arms.phone()
        two_arms.enrol("otto")
    with two_arms.on("2026-03-03T20:00") as now:
        ada.answer(ada.open_at(now)[0], {"worst_fatigue": 3}, now, now)
        ada.upload(now)
        publish(written("3.0", (BOTH_EVENINGS, EARLIER)), amends=True)
        with begin(TESTS) as tx:
            amending.approve(tx, STUDY, "3.0", "01", date(2026, 3, 6))
    two_arms.tick(at("2026-03-05T23:59"))
    assert (she().protocol_version, she("02-001").protocol_version) == ("2.0", "2.0")
    with two_arms.on("2026-03-05T23:59"):
        assert two_arms.enrol()["protocol_version"] == "2.0"
    two_arms.tick(at("2026-03-06T00:00"))
    assert (she().protocol_version, she("02-001").protocol_version) == ("3.0", "2.0")
    assert (she("01-002").protocol_version, reasons("protocol.followed")) == (
        "3.0",
        ["version 3.0, approved for the site on 2026-03-06"] * 2,
    )
    hours = {row.local_day: (row.opens_at, row.protocol_version) for row in asked("01-001", "evening")}
    assert hours[date(2026, 3, 3)] == (at("2026-03-03T18:00"), "2.0")  # answered
    assert hours[date(2026, 3, 5)] == (at("2026-03-05T18:00"), "2.0")  # has opened
    assert hours[date(2026, 3, 6)] == (at("2026-03-06T17:00"), "3.0")
    assert {row.protocol_version for row in asked("02-001", "evening")} == {"2.0"}
    assert {row.protocol_version for row in asked("01-001", "quality") if not row.missed_at} == {"3.0"}
    with two_arms.on("2026-03-06T10:00"):
        assert two_arms.enrol()["protocol_version"] == "3.0"
        assert two_arms.enrol("otto")["protocol_version"] == "2.0"


def test_a_version_that_is_only_published_is_followed_nowhere(two_arms, command, tmp_path):
    """Whatever publishes it: each site enrols under what is approved there, or under the version it began with."""
    file = tmp_path / "study.yaml"
    file.write_text(written("3.0", (BOTH_EVENINGS, EARLIER)), encoding="utf-8")
    with two_arms.on("2026-03-02T10:00"):
        said = command("study", "publish", str(file))
        assert said.exit_code == 0 and "until this one is approved there" in said.output
        enrolled = [two_arms.enrol(nurse)["protocol_version"] for nurse in ("noor", "otto")]
        assert (
            command("study", "approve", STUDY, "3.0", "--site", "02", "--date", "2026-03-02").exit_code == 0
        )
        enrolled += [two_arms.enrol(nurse)["protocol_version"] for nurse in ("noor", "otto")]
    assert enrolled == ["2.0", "2.0", "2.0", "3.0"]
    with two_arms.on("2026-03-02T10:00"), look(TESTS) as tx:
        assert {site: one.version for site, one in protocols.by_site(tx, STUDY).items()} == {
            "01": "2.0",
            "02": "3.0",
        }


@on_sqlite
def test_a_later_version_that_breaks_what_is_on_file_is_not_published(two_arms, command, tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text(written("3.0", ("number: 1", "number: 7")), encoding="utf-8")
    refused = command("study", "publish", str(file))
    assert refused.exit_code == 1 and "[visit_renumbered]" in refused.output


def test_the_dry_run_is_what_happens(two_arms):
    with two_arms.on("2026-03-02T10:00"):
        for arm in ("active", "control", "active"):
            two_arms.enrol(arm=arm)
    fewer = (
        "every: {days: 3, from: 1, to: 30, anchor: enrolment}",
        "every: {days: 4, from: 0, to: 30, anchor: enrolment}",
    )
    text = written("3.0", (BOTH_EVENINGS, EARLIER), fewer)
    with two_arms.on("2026-03-09T18:30"):
        with begin(TESTS) as tx:
            numbers = {
                she.subject_id: counts(found) for she, found in amending.dry_run(tx, protocol_of(text))
            }
            amending.amend(tx, protocol_of(text), text)
            amending.approve(tx, STUDY, "3.0", "01", date(2026, 3, 9))
        before = {name: rows(name) for name in numbers}
    two_arms.tick(at("2026-03-09T18:30"))
    assert numbers["01-001"] != numbers["01-002"] and len(numbers) == 3
    for name, was in before.items():
        now = rows(name)
        new = len(now) - len(was)
        cancelled = sum(1 for key in was if now[key].cancelled_at and not was[key].cancelled_at)
        moved = sum(1 for key in was if now[key].opens_at != was[key].opens_at)
        assert numbers[name] == {"new": new, "cancelled": cancelled, "moved": moved}


def counts(found: occurrences.Differences) -> dict[str, int]:
    return {"new": len(found.new), "cancelled": len(found.cancelled), "moved": len(found.moved)}


@on_sqlite
def test_an_approval_is_entered_once_and_never_works_backwards(two_arms):
    with two_arms.on("2026-03-02T10:00"):
        publish(written("3.0"), amends=True)
        publish(written("4.0"), amends=True)
    with two_arms.on("2026-03-10T10:00") as now:
        for version, site, fault in (("9.0", "01", "not_found"), ("3.0", "77", "not_found")):
            assert refusal(version, site, date(2026, 3, 1)) == fault
        with begin(TESTS) as tx:
            row = amending.approve(tx, STUDY, "4.0", "01", date(2026, 3, 1))
            assert (row.approved_on, row.in_force_from) == (date(2026, 3, 1), now)
            assert amending.approve(tx, STUDY, "4.0", "01", date(2026, 3, 1)) is row
        assert refusal("4.0", "01", date(2026, 3, 2)) == "site_version_approved"
        assert refusal("3.0", "01", date(2026, 4, 1)) == "older_version"
    assert len(reasons("protocol.approved")) == 1


def refusal(version: str, site: str, on: date) -> str:
    with pytest.raises(Exception) as caught, begin(TESTS) as tx:
        amending.approve(tx, STUDY, version, site, on)
    return caught.value.code


@on_sqlite
def test_a_moved_anchor_in_between_does_not_delay_the_day(two_arms):
    with two_arms.on("2026-03-02T10:00"):
        two_arms.enrol()
        publish(written("3.0", (BOTH_EVENINGS, EARLIER)), amends=True)
        with begin(TESTS) as tx:
            amending.approve(tx, STUDY, "3.0", "01", date(2026, 3, 6))
    with two_arms.on("2026-03-05T10:00"):
        two_arms.staff("noor").set_anchor("01-001", "infusion", "2026-03-20")
    two_arms.tick(at("2026-03-06T00:00"))
    assert she().protocol_version == "3.0"


@on_sqlite
@pytest.mark.parametrize(("grace", "until"), [("18h", "18:00"), ("3h", "03:00")])
def test_another_sync_grace_holds_for_what_has_not_opened(two_arms, grace, until):
    with two_arms.on("2026-03-02T10:00"):
        two_arms.enrol(arm="control")
    with two_arms.on("2026-03-05T19:00"):
        evening = 'window: {opens: "18:00", closes: "24:00"}\n    sync_grace: '
        publish(written("3.0", (evening + "6h", evening + grace)), amends=True)
        with begin(TESTS) as tx:
            amending.approve(tx, STUDY, "3.0", "01", date(2026, 3, 5))
    two_arms.tick(at("2026-03-05T19:01"))
    ends = {row.local_day: row.grace_until for row in asked("01-001", "evening")}
    assert ends[date(2026, 3, 5)] == at("2026-03-06T06:00")  # it was open
    assert ends[date(2026, 3, 6)] == at(f"2026-03-07T{until}")
    two_arms.tick(at(f"2026-03-07T{until}"))
    (missed,) = [row for row in asked("01-001", "evening") if row.local_day == date(2026, 3, 6)]
    assert missed.missed_at == missed.grace_until


# RP-06: what is refused.


@on_sqlite
def test_what_would_break_what_is_on_file_is_refused_by_name(two_arms):
    with two_arms.on("2026-03-02T10:00"):
        two_arms.enrol(arm="active", language="zh-CN")
        two_arms.enrol("otto")
        data = protocol_of(written("3.0")).canonical()
        data["study"]["languages"], data["arms"] = ["en"], data["arms"][1:]
        data["sites"] = data["sites"][:1]
        data["visits"][0]["number"] = 7
        data["assessments"][0]["instrument"]["code"] = "fss"
        unfit = type(protocol_of(written("3.0"))).from_canonical(data)
        with pytest.raises(amending.UnfitAmendment) as caught, begin(TESTS) as tx:
            amending.amend(tx, unfit, "")
    assert {(fault["pointer"], fault["code"]) for fault in caught.value.errors} == {
        ("/assessments/evening", "assessment_reused"),
        ("/visits/week1", "visit_renumbered"),
        ("/languages/zh-CN", "language_in_use"),
        ("/arms/active", "arm_in_use"),
        ("/sites/02", "site_in_use"),
    }
    with look(TESTS) as tx:
        assert tx.get(PublishedProtocol, STUDY, "3.0") is None


# The command.


@pytest.fixture
def command(environ, monkeypatch):
    """`epro` as a study builder calls it."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return lambda *words: CliRunner().invoke(epro, words)


def test_the_command_shows_then_amends_then_approves(two_arms, command, tmp_path):
    with two_arms.on("2026-03-02T10:00"):
        two_arms.enrol(arm="active")
        two_arms.enrol("otto")
        file = tmp_path / "study.yaml"
        file.write_text(written("3.0", (BOTH_EVENINGS, EARLIER)), encoding="utf-8")
        shown = command("study", "amend", str(file), "--dry-run")
        assert shown.exit_code == 0, shown.output
        assert shown.output.splitlines()[:2] == [f"{STUDY} 3.0 amends 2.0", "  changed: evening (window)"]
        assert "site 01: 1 participants, " in shown.output and "36 moved" in shown.output
        with look(TESTS) as tx:
            assert tx.get(PublishedProtocol, STUDY, "3.0") is None
        in_numbers = json.loads(command("study", "amend", str(file), "--dry-run", "--json").output)
        assert [site["moved"] for site in in_numbers["sites"]] == [36, 36]
        assert command("study", "amend", str(file)).exit_code == 0
        first = command("study", "approve", STUDY, "3.0", "--site", "01", "--date", "2026-03-02", "--dry-run")
        assert "would be in force at site 01" in first.output and "site 02" not in first.output
        assert (
            command("study", "approve", STUDY, "3.0", "--site", "01", "--date", "2026-03-02").exit_code == 0
        )
    two_arms.tick(at("2026-03-02T10:00"))
    assert (she().protocol_version, she("02-001").protocol_version) == ("3.0", "2.0")


@on_sqlite
def test_the_command_names_whatever_else_differs(two_arms, command, tmp_path):
    """Visits, the zone policy and messages change what is asked and when as assessments do."""
    file = tmp_path / "study.yaml"
    other = written(
        "3.0",
        ("zone_policy: follow_phone", "zone_policy: stay_home"),
        ("day: 7, before: 1, after: 1}", "day: 8, before: 1, after: 1}"),
        (
            "assessments:\n",
            "show_scores_to_participant: true\nmessages: {daily_cap: {usual: 2}}\nassessments:\n",
        ),
    )
    file.write_text(other, encoding="utf-8")
    shown = command("study", "amend", str(file), "--dry-run")
    assert shown.output.splitlines()[1:5] == [
        "  changed: messages (daily_cap, quiet_hours, snooze)",
        "  changed: show_scores_to_participant",
        "  changed: study (zone_policy)",
        "  changed: visits (week1)",
    ], shown.output


@on_sqlite
def test_the_command_names_every_fault(two_arms, command, tmp_path):
    with two_arms.on("2026-03-02T10:00"):
        two_arms.enrol()
        file = tmp_path / "study.yaml"
        file.write_text(written("3.0", ("number: 1,", "number: 7,")), encoding="utf-8")
        for words in (("--dry-run",), ()):
            done = command("study", "amend", str(file), *words)
            assert done.exit_code == 1 and "[visit_renumbered]" in done.stderr


# Doubtful days.


def test_doubtful_days_are_taken_and_told(cast):
    body = {"study": STUDY, "site": "01", "language": "en", "time_zone": "Asia/Shanghai"}
    with cast.on("2026-03-02T10:00"):
        noor = cast.staff("noor")
        days = {"enrolment": "2026-03-17", "infusion": "2026-03-16"}
        enrolled = noor.must("POST", "/v1/site/participants", {**body, "anchors": days})
        usual = noor.must("POST", "/v1/site/participants", {**body, "anchors": {"enrolment": "2026-03-16"}})
        path = f"/v1/site/participants/{usual['subject_id']}/anchors"
        early = {"anchor": "infusion", "date": "2026-03-15", "reason": "as told"}
        shown = noor.must("POST", f"{path}?preview=true", early)
        done = noor.must("POST", path, early)
        arm = noor.must(
            "POST", path.replace("anchors", "time-zone"), {"time_zone": "Asia/Tokyo", "reason": "moved"}
        )
    assert [(one["pointer"], one["code"]) for one in enrolled["warnings"]] == [
        ("/anchors/enrolment", "far_ahead"),
        ("/anchors/infusion", "before_enrolment"),
    ]
    assert enrolled["anchors"] == days and usual["warnings"] == arm["warnings"] == []
    assert shown["warnings"] == done["warnings"]
    assert done["warnings"][0]["detail"] == "infusion on 2026-03-15 lies before enrolment on 2026-03-16."
