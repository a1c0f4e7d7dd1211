"""Answers and scores that raise an alert in the act that stores them; change from baseline; who sees what."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from epro import db, production
from epro.cli import epro
from epro.cli.study import known_instruments
from epro.config import ConfigurationError
from epro.export import registry
from epro.export.extract import Options
from epro.exporting import making, reading
from epro.notifications import study_files
from epro.notifications.models import Alert, Message
from epro.questionnaires import catalogue
from epro.responses import endpoints
from epro.scheduling import protocols
from epro.scheduling.protocol import Baseline, Endpoint, Threshold
from epro.scheduling.reading import read
from epro.signin import staff
from epro.simulation.people import Phone
from epro.stream import feed
from epro.studies.models import Participant
from epro.tx import Actor, Grant, begin, look, system
from tests.cast import PASSWORD, at
from tests.console.browser import Browser

TESTS = system("tests")
FILE = Path(__file__).resolve().parents[1] / "studies" / "signals.yaml"
PHQ9, FACIT = [f"phq{n:02}" for n in range(1, 11)], [f"ff{n:02}" for n in range(1, 14)]


@pytest.fixture
def ada(cast):
    """Ada in the study of alerts, where Nia is a nurse and Ivo the investigator."""
    return enrolled(cast, FILE.read_text(encoding="utf-8"))


def enrolled(cast, text):
    digest = 'digest: {hour: "07:30", roles: [nurse]}\n'
    text = text.replace("assessments:\n", f"{digest}assessments:\n", 1)
    protocol, faults = read(text, known_instruments())
    assert protocol is not None, faults
    with cast.on("2026-03-01T09:00"), begin(TESTS) as tx:
        protocols.publish(tx, protocol, text)
        for name, role, phone in (
            ("nia", "nurse", "+8613800000011"),
            ("ivo", "investigator", "+8613800000012"),
        ):
            staff.add(
                tx,
                email=f"{name}@example.org",
                name=name.title(),
                password=PASSWORD,
                language="en",
                phone=phone,
                grants=[Grant("signals", "01", role)],
            )
    with cast.on("2026-03-02T10:00"):
        nia = cast.staff("nia")
        made = nia.enrol(
            study="signals",
            site="01",
            language="en",
            time_zone="Asia/Shanghai",
            anchors={"enrolment": "2026-03-02"},
        )
        phone = Phone(cast.line, subject_id=made["subject_id"]).activate(nia.code_for(made["subject_id"]))
        phone.sync()
    return phone


def answer(cast, phone, day: str, assessment: str, answers, uploaded: str | None = None):
    """She answers at noon (the diary at eight) and the phone uploads then, or later."""
    hour = "20:00" if assessment == "evening" else "12:00"
    with cast.on(f"{day}T{hour}") as now:
        phone.sync()
        (due,) = [o for o in phone.open_at(now) if o["assessment"] == assessment]
        phone.answer(due, answers, now, now)
        if uploaded is None:
            return phone.upload(now)
    with cast.on(uploaded) as then:
        return phone.upload(then)


def mood(code=0, **others):
    return {**dict.fromkeys(PHQ9, code), **others}


def tired(code):
    """All codes alike but the positive ones, so that the total falls by 13 with each step."""
    return {name: 4 - code if name in ("ff07", "ff08") else code for name in FACIT}


def alerts():
    with look(TESTS) as tx:
        return tx.all(sa.select(Alert).order_by(Alert.raised_at, Alert.id))


def seen(cast, who, day="2026-03-02T13:00"):
    with cast.on(day):
        return cast.staff(who).worklist()


def test_item_nine_of_one_raises_an_urgent_alert_whatever_the_total(cast, ada):
    answer(cast, ada, "2026-03-02", "mood", mood(0, phq09=1))
    (alert,) = alerts()
    assert (alert.kind, alert.urgency, alert.why["rule"]) == ("answer", "urgent", "item-nine")
    cast.tick(at("2026-03-02T12:01"))
    assert sorted(message.to for message in cast.sms.taken) == ["+8613800000011", "+8613800000012"]


def test_item_nine_of_nought_or_skipped_raises_none(cast, ada):
    answer(cast, ada, "2026-03-02", "mood", mood(1, phq09=0))
    assert alerts() == []
    answer(cast, ada, "2026-03-09", "mood", mood(1, phq09=None))
    assert alerts() == []


def test_an_answer_that_asks_for_a_call_is_heard_though_the_rest_is_held(cast, ada):
    """One odd code on another item sets the entry aside; nobody waits for that to be settled."""
    with cast.on("2026-03-02T12:00") as now:
        ada.sync()
        (due,) = [o for o in ada.open_at(now) if o["assessment"] == "mood"]
        entry = ada.answer(due, mood(0, phq09=1, phq02=9), now, now)
        assert [receipt["outcome"] for receipt in ada.upload(now)] == ["held"]
        ada.unsent = [entry]
        assert [receipt["outcome"] for receipt in ada.upload(now)] == ["held"]
    (alert,) = alerts()
    assert alert.why["rule"] == "item-nine"


def test_an_answer_under_an_id_of_somebody_else_is_heard_too(cast, ada):
    """As of two phones whose memory was copied: neither upload silences the other, whoever's alert was there first."""
    with cast.on("2026-03-02T10:30"):
        nia = cast.staff("nia")
        made = nia.enrol(
            study="signals",
            site="01",
            language="en",
            time_zone="Asia/Shanghai",
            anchors={"enrolment": "2026-03-02"},
        )
        bea = Phone(cast.line, subject_id=made["subject_id"]).activate(nia.code_for(made["subject_id"]))
    same, outcomes = uuid4(), []
    with cast.on("2026-03-02T12:00") as now:
        for phone in (ada, bea):
            phone.sync()
            (due,) = [o for o in phone.open_at(now) if o["assessment"] == "mood"]
            phone.answer(due, mood(0, phq09=1), now, now, response_id=same)
            outcomes += [receipt["outcome"] for receipt in phone.upload(now)]
    assert outcomes == ["stored", "held"]
    assert sorted(alert.subject_id for alert in alerts()) == [ada.subject_id, bea.subject_id]
    with cast.on("2026-03-02T14:00"):
        ivo = cast.staff("ivo")
        (aside,) = ivo.must("GET", "/v1/site/set-aside?standing=true")["set_asides"]
        settled = {"outcome": "filed", "reason": "as she says"}
        ivo.must("POST", f"/v1/site/set-aside/{aside['id']}/settlement", settled)
    assert len(alerts()) == 2, "heard before, and not again"


def test_an_odd_code_on_the_item_itself_raises_none(cast, ada):
    answer(cast, ada, "2026-03-02", "mood", mood(0, phq09=7))
    assert alerts() == []


def test_two_rules_on_one_answer_raise_two(cast, ada):
    answer(cast, ada, "2026-03-02", "mood", mood(2))
    assert sorted(alert.why["rule"] for alert in alerts()) == ["item-nine", "low-mood"]


def test_the_same_upload_again_raises_no_second(cast, ada):
    with cast.on("2026-03-02T12:00") as now:
        ada.sync()
        (due,) = [o for o in ada.open_at(now) if o["assessment"] == "mood"]
        entry = ada.answer(due, mood(0, phq09=2), now, now)
        assert [receipt["outcome"] for receipt in ada.upload(now)] == ["stored"]
        ada.unsent = [entry]
        assert [receipt["outcome"] for receipt in ada.upload(now)] == ["already_stored"]
    assert len(alerts()) == 1


def test_the_text_says_that_a_look_is_needed_and_nothing_else(cast, ada):
    answer(cast, ada, "2026-03-02", "mood", mood(0, phq09=3))
    cast.tick(at("2026-03-02T12:01"))
    for message in cast.sms.taken:
        assert "look" in message.text or "seen" in message.text or "log in" in message.text
        for word in ("phq", "mood", "nine", "3", ada.subject_id):
            assert word not in message.text.lower().replace("site one", "")


def test_nobody_acting_escalates_to_the_next(cast, ada):
    answer(cast, ada, "2026-03-02", "mood", mood(0, phq09=1))
    cast.tick(at("2026-03-02T12:01"))
    cast.tick(at("2026-03-02T13:01"))
    with look(TESTS) as tx:
        purposes = tx.all(sa.select(Message.purpose).order_by(Message.planned_at, Message.purpose))
    assert purposes == ["alert", "alert", "escalation"]


def test_a_worrying_answer_is_escalated_though_she_has_left(cast, ada):
    answer(cast, ada, "2026-03-02", "mood", mood(0, phq09=1))
    with cast.on("2026-03-02T12:00"):
        cast.staff("nia").withdraw(ada.subject_id)
    for hour in ("12:01", "13:01"):
        cast.tick(at(f"2026-03-02T{hour}"))
    with look(TESTS) as tx:
        told = tx.all(sa.select(Message.purpose).where(Message.accepted_at.is_not(None)))
    assert sorted(told) == ["alert", "alert", "escalation"] and alerts()[0].escalations == 1


def test_a_fall_from_baseline_is_told_only_where_there_is_a_baseline(cast, ada):
    answer(cast, ada, "2026-03-09", "tired", tired(3))
    assert alerts() == []  # no baseline was answered


def test_a_fall_from_baseline_reaches_the_investigator(cast, ada):
    answer(cast, ada, "2026-03-02", "tired", tired(1))
    answer(cast, ada, "2026-03-09", "tired", tired(1))
    assert alerts() == []
    answer(cast, ada, "2026-03-16", "tired", tired(2))
    (alert,) = alerts()
    assert (alert.why["rule"], alert.urgency) == ("much-worse", "routine")
    cast.tick(at("2026-03-16T12:01"))
    assert [message.to for message in cast.sms.taken] == ["+8613800000012"]


def test_a_baseline_that_arrives_late_raises_none_for_itself(cast, ada):
    answer(cast, ada, "2026-03-02", "tired", tired(4), uploaded="2026-03-04T09:00")
    assert alerts() == []


def test_a_role_from_which_scores_are_hidden_sees_that_a_call_is_needed(cast, ada):
    answer(cast, ada, "2026-03-02", "mood", mood(0, phq09=1))
    (nurse,) = seen(cast, "nia")
    assert nurse["why"] == {"call_needed": True} and nurse["urgency"] == "urgent"
    assert nurse["occurrence_id"] is None
    (investigator,) = seen(cast, "ivo")
    assert investigator["why"]["rule"] == "item-nine"


TELLING = ("item-nine", "low-mood", "much-worse", "phq", "PHQ", "Call at once", "立即致电", "Mood", "情绪")


def test_no_door_tells_a_role_from_which_scores_are_hidden_which_answer_it_was(cast, ada):
    """The worklist, the alert, the participant's page and the reasons, as JSON and as pages, in both languages."""
    answer(cast, ada, "2026-03-02", "mood", mood(2, phq09=1))  # item nine, and a total of 17
    occurrences = {alert.occurrence_id for alert in alerts()}
    ids = [str(alert.id) for alert in alerts()]
    her = f"/v1/site/participants/{ada.subject_id}"
    with cast.on("2026-03-02T13:00"):
        nia = cast.staff("nia")
        told = [
            nia.must("GET", "/v1/site/alerts?standing=true")["alerts"],
            nia.timeline(ada.subject_id)["alerts"],
        ]
        told += [nia.must("GET", f"/v1/site/alerts/{id}") for id in ids]
        told += [
            nia.must("GET", f"{her}/why?alert={id}&lang={lang}") for id in ids for lang in ("en", "zh-CN")
        ]
        page = nia.must("GET", f"{her}/why")["sentences"]
        told += [one for one in page if any(id in json.dumps(one) for id in ids)]
        why = nia.must("GET", f"{her}/why?occurrence={occurrences.pop()}")
    text = json.dumps(told, ensure_ascii=False)
    assert occurrences == set() and len(told) >= 10
    assert not [word for word in (*TELLING, str(alerts()[0].occurrence_id)) if word in text]
    assert "call" in text and not [id for id in ids if id in json.dumps(why)]
    assert not [
        one for one in why["sentences"] if "call" in one["text"].lower() or "alert" in one["text"].lower()
    ]
    assert not [word for word in TELLING if word in on_pages(cast, "nia", ids)]
    assert "Mood" in on_pages(cast, "ivo", ids)


def on_pages(cast, name: str, ids: list[str]) -> str:
    """What the console's worklist and pages of these alerts say, without the names of its own menus."""
    with cast.on("2026-03-02T13:00"):
        browser = Browser(cast.app)
        assert browser.sign_in(name).status_code == 303
        paths = ["worklist", "worklist/live", *(f"alerts/{id}" for id in ids)]
        pages = [browser.get(f"/console/studies/signals/{path}") for path in paths]
    assert [page.status_code for page in pages] == [200] * len(pages)
    assert all(ids[0] in page.text or ids[1] in page.text for page in pages)
    return "".join(page.text for page in pages)


def test_what_a_correction_made_of_the_answer_is_not_told_either(cast, ada):
    answer(cast, ada, "2026-03-02", "mood", mood(0, phq09=1))
    (alert,) = alerts()
    with cast.on("2026-03-02T13:00"):
        ivo, nia = cast.staff("ivo"), cast.staff("nia")
        (response,) = ivo.timeline(ada.subject_id)["responses"]
        wish = {"answers": {"phq09": 0}, "reason": "a slip of the thumb", "reported_by": "participant"}
        ivo.must("POST", f"/v1/site/responses/{response['id']}/amendments", wish)
        seen_by = [one.must("GET", f"/v1/site/alerts/{alert.id}")["steps"] for one in (ivo, nia)]
    corrected = [next(step for step in steps if step["kind"] == "corrected") for steps in seen_by]
    assert [one["outcome"] for one in corrected] == ["no_longer_reached", None]
    assert [one["occurrence_id"] for one in corrected] == [str(alert.occurrence_id), None]
    cast.relay()
    with look(TESTS) as tx:
        (entry,) = [e for e in feed.after(tx, "signals", 0, 100) if e.kind == "alert.corrected"]
    hidden = json.dumps(feed.told(entry, blinded=True, hidden=True))
    assert str(alert.occurrence_id) not in hidden and entry.content["correction"] not in hidden


@pytest.mark.parametrize("channel", ["sms", "email"])
def test_messages_and_digests_tell_staff_nothing_of_the_answer(cast, ada, channel):
    """To those with a phone by text message, to those without by e-mail; then the digest of the next morning."""
    if channel == "email":
        with cast.on("2026-03-02T11:00"), begin(TESTS) as tx:
            grants = [Grant("signals", "01", "nurse")]
            staff.add(
                tx, email="eva@example.org", name="Eva", password=PASSWORD, language="zh-CN", grants=grants
            )
    answer(cast, ada, "2026-03-02", "mood", mood(2, phq09=1))
    for hour in ("2026-03-02T12:01", "2026-03-02T13:01", "2026-03-03T08:31"):
        cast.tick(at(hour))
    sent = [message.text for message in getattr(cast, channel).taken]
    assert sent
    with look(TESTS) as tx:
        purposes = set(tx.all(sa.select(Message.purpose).where(Message.recipient.like("staff/%"))))
    assert purposes >= {"alert", "escalation", "digest"}
    for text in sent:
        assert not [word for word in (*TELLING, ada.subject_id, "17") if word in text]


def test_nobody_of_the_sponsor_is_told_or_sees_an_alert(cast, ada):
    with cast.on("2026-03-02T11:00"), begin(TESTS) as tx:
        for name, role in (("dua", "data_manager"), ("bob", "study_builder"), ("ali", "administrator")):
            grants = [Grant("signals", "*", role)]
            staff.add(
                tx, email=f"{name}@example.org", name=name, password=PASSWORD, language="en",
                phone=f"+86139000000{len(name)}1", grants=grants,
            )  # fmt: skip
    answer(cast, ada, "2026-03-02", "mood", mood(0, phq09=1))
    (alert,) = alerts()
    for hour in ("2026-03-02T12:01", "2026-03-02T13:01"):
        cast.tick(at(hour))
    assert {message.to for message in cast.sms.taken} == {"+8613800000011", "+8613800000012"}
    with cast.on("2026-03-02T13:00"):
        for name in ("dua", "bob", "ali"):
            person = cast.staff(name)
            for path in ("?standing=true", f"/{alert.id}"):
                assert person.call("GET", f"/v1/site/alerts{path}").status == 403, (name, path)
            browser = Browser(cast.app)
            browser.sign_in(name)
            for path in ("worklist", f"alerts/{alert.id}"):
                assert browser.get(f"/console/studies/signals/{path}").status_code in (403, 404), (name, path)


def test_no_answer_and_no_score_stands_in_alert_trail_or_feed_of_it(cast, ada):
    answer(cast, ada, "2026-03-02", "mood", mood(0, phq09=3))
    cast.relay()
    with look(TESTS) as tx:
        (entry,) = [e for e in feed.after(tx, "signals", 0, 100) if e.kind == "alert.raised"]
    assert set(entry.content["alert"]["why"]) == {"rule", "assessment", "local_day", "response"}
    assert '"value"' not in json.dumps(entry.content)


def test_it_stands_until_somebody_resolves_it(cast, ada):
    answer(cast, ada, "2026-03-02", "mood", mood(0, phq09=1), uploaded="2026-03-04T09:00")  # late, in time
    (alert,) = alerts()
    assert alert.cleared_at is None
    with cast.on("2026-03-04T10:00"):
        ivo = cast.staff("ivo")
        ivo.resolve(str(alert.id), "reached", "spoke with her")
        assert ivo.worklist() == []


def test_endpoints_tell_change_and_response(cast, ada):
    answer(cast, ada, "2026-03-02", "tired", tired(2))
    answer(cast, ada, "2026-03-09", "tired", {**tired(2), "ff01": 0, "ff02": 0})
    answer(cast, ada, "2026-03-16", "tired", {**tired(2), "ff01": 1, "ff02": 1})
    with cast.on("2026-03-16T13:00"):
        told = cast.staff("ivo").must("GET", f"/v1/site/participants/{ada.subject_id}/endpoints?lang=zh-CN")
        hidden = cast.staff("nia").must("GET", f"/v1/site/participants/{ada.subject_id}/endpoints")
    change = next(one for one in told["endpoints"] if one["id"] == "facit-change")
    assert change["label"] == "FACIT变化"
    assert [(p["visit"], p["value"], p["change"], p["responder"]) for p in change["points"]] == [
        ("baseline", 26, None, None),
        ("week1", 30, 4, True),
        ("week2", 28, 2, False),
    ]
    assert change["baseline"]["value"] == 26 and change["responder_if"] == {"rises_by": 4}
    assert hidden == {"endpoints": [], "weeks": []}


def test_what_was_answered_before_the_baseline_has_no_change(cast, ada):
    """The baseline's visit is answered after an earlier one here: week 1 stands for it."""
    answer(cast, ada, "2026-03-02", "tired", tired(3))
    answer(cast, ada, "2026-03-09", "tired", tired(1))
    late = Endpoint("late", {}, "tired", "total", Baseline(visit="week1"), Threshold("rises_by", 4))
    with look(TESTS) as tx:
        participant = tx.get(Participant, "signals", ada.subject_id)
        found = endpoints.changes(tx, participant, late)
    assert [(one.point.visit, one.change, one.responder) for one in found] == [
        ("baseline", None, None),
        ("week1", None, None),
    ]


def test_a_reader_from_whom_scores_are_hidden_learns_from_the_feed_that_a_call_is_needed(cast, ada):
    answer(cast, ada, "2026-03-02", "mood", mood(0, phq09=1))
    cast.relay()
    with look(TESTS) as tx:
        (entry,) = [e for e in feed.after(tx, "signals", 0, 100) if e.kind == "alert.raised"]
    hidden = feed.told(entry, blinded=True, hidden=True)["alert"]
    assert (hidden["why"], hidden["occurrence_id"]) == ({"call_needed": True}, None)
    assert feed.told(entry, blinded=False)["alert"]["why"]["rule"] == "item-nine"


def test_an_alert_on_a_blinded_answer_tells_no_person_at_the_feed_which_it_was(cast, ada, monkeypatch):
    """From a data manager no scores are hidden here, but the item is blinded: its rule would tell the answer."""
    answer(cast, ada, "2026-03-02", "mood", mood(0, phq09=1))
    cast.relay()
    with cast.on("2026-03-02T12:30"), begin(TESTS) as tx:
        staff.add(
            tx,
            email="dua@example.org",
            name="Dua",
            password=PASSWORD,
            language="en",
            grants=[Grant("signals", "*", "data_manager")],
        )
        (asked,) = [a.instrument for a in protocols.current(tx, "signals").assessments if a.id == "mood"]
        known = catalogue.find(tx, asked.code, asked.version)
    whys = []
    for blinded in (False, True):
        items = tuple(replace(item, blinded=blinded and item.id == "phq09") for item in known.items)
        monkeypatch.setitem(
            db.remembered(), ("instrument", asked.code, asked.version), replace(known, items=items)
        )
        with cast.on("2026-03-02T13:00"):
            records = cast.staff("dua").must("GET", "/v1/sponsor/feed?study=signals")["records"]
        whys += [one["alert"]["why"] for one in records if one["kind"] == "alert.raised"]
    assert whys[0]["rule"] == "item-nine" and whys[1:] == [{"call_needed": True}]


def test_a_baseline_up_to_an_anchor_is_the_last_answer_before_it(cast, ada):
    answer(cast, ada, "2026-03-02", "mood", mood(1, phq09=0))
    answer(cast, ada, "2026-03-09", "mood", mood(0))
    with cast.on("2026-03-09T13:00"):
        told = cast.staff("ivo").must("GET", f"/v1/site/participants/{ada.subject_id}/endpoints")
    change = next(one for one in told["endpoints"] if one["id"] == "mood-change")
    assert [(p["value"], p["change"], p["responder"]) for p in change["points"]] == [
        (8, None, None),
        (0, -8, None),
    ]


def test_the_diary_by_the_week_needs_four_days(cast, ada):
    for day, code in ((2, 4), (3, 6), (4, 8), (9, 1), (10, 2), (12, 3), (15, 10)):
        answer(cast, ada, f"2026-03-{day:02}", "evening", {"worst_fatigue": code})
    cast.tick(at("2026-03-16T12:30"))
    with cast.on("2026-03-16T13:00"):
        told = cast.staff("ivo").must("GET", f"/v1/site/participants/{ada.subject_id}/endpoints")
    (diary,) = told["weeks"]
    first, second = diary["weeks"]
    assert (first["from_study_day"], second["from_study_day"]) == (0, 7)
    assert first["scores"]["weekly_mean"] == {
        "value": None,
        "answered": 3,
        "expected": 7,
        "reason": "too_few_answers",
    }
    assert second["scores"]["weekly_mean"]["value"] == 4
    assert second["scores"]["weekly_worst"]["value"] == 10
    assert second["scores"]["n_days"]["value"] == 4


def test_a_score_explains_itself_at_the_door(cast, ada):
    answer(cast, ada, "2026-03-02", "mood", mood(1, phq03=None))
    with cast.on("2026-03-02T13:00"):
        ivo = cast.staff("ivo")
        (response,) = ivo.timeline(ada.subject_id)["responses"]
        told = ivo.must("GET", f"/v1/site/responses/{response['id']}/scores?lang=en")
        hidden = cast.staff("nia").must("GET", f"/v1/site/responses/{response['id']}/scores")
    total = next(one for one in told["scores"] if one["scale"] == "total")
    assert (total["value"], total["reason"], total["missing"]) == (None, "too_few_answers", ["phq03"])
    assert [item["kind"] for item in total["items"]][:4] == ["answered", "answered", "skipped", "answered"]
    assert hidden["scores"] == []


@pytest.mark.parametrize(
    ("comparison", "limit", "value", "baseline", "wanted"),
    [
        ("at_least", 1, 1, None, True),
        ("at_least", 1, 0, None, False),
        ("at_most", 2, 2, None, True),
        ("at_most", 2, 3, None, False),
        ("rises_by", 4, 30, 26, True),
        ("rises_by", 4, 29.9, 26, False),
        ("rises_by", 4, 22, 26, False),
        ("falls_by", 4, 22, 26, True),
        ("falls_by", 4, 22.1, 26, False),
        ("falls_by", 4, 30, 26, False),
        ("falls_by", 1, 14 / 9, 23 / 9, True),
        ("falls_by", 1.000001, 14 / 9, 23 / 9, False),
        ("rises_by", 3, 65.6, 62.6, True),
        ("rises_by", 0.03, -0.343, -0.373, True),
        ("falls_by", 12.5, 7 / 24 * 100, 10 / 24 * 100, True),
        ("at_least", 58.333333, 7 / 12 * 100, None, True),
        ("at_most", 0.3, 0.1 + 0.2, None, True),
        ("at_least", 1, None, None, None),
        ("falls_by", 4, 22, None, None),
        ("falls_by", 4, None, 26, None),
    ],
)
def test_thresholds(comparison, limit, value, baseline, wanted):
    assert Threshold(comparison, limit).reached(value, baseline) is wanted


@pytest.mark.parametrize(
    ("when", "told"),
    [("item: phq09, at_least: 1", 0), ("item: phq09, at_least: 2", 1), ("item: phq01, at_least: 1", 1),
     ("scale: total, at_least: 1", 1)],
)  # fmt: skip
def test_production_refuses_what_asks_item_nine_without_an_alert_from_one_on(cast, app, tmp_path, when, told):
    file = tmp_path / "signals.yaml"
    file.write_text(
        FILE.read_text(encoding="utf-8").replace("item: phq09, at_least: 1", when), encoding="utf-8"
    )
    protocol, _ = read(file.read_text(encoding="utf-8"), known_instruments())
    assert len(study_files.unwatched(protocol)) == told
    checked = CliRunner().invoke(epro, ["study", "check", str(file)])
    assert (checked.exit_code, checked.stderr.count("item phq09 of phq9")) == (0, told)
    app.config["EPRO"] = {**app.config["EPRO"], "ENV": "production"}
    with pytest.raises(ConfigurationError) as refused, look(TESTS) as tx:
        production.refuse_unready(tx, protocol)
    assert str(refused.value).count("needs a person at once") == told


def test_no_export_tells_a_person_from_whom_scores_are_hidden_what_raised_the_alert(cast, tmp_path):
    """The alert itself is told: it has its lines in the files of acts, which name neither rule nor occurrence."""
    ada = enrolled(cast, FILE.read_text(encoding="utf-8").replace("[nurse]\n", "[data_manager]\n"))
    answer(cast, ada, "2026-03-02", "mood", mood(2, phq09=1))
    cast.relay()
    hidden = Actor("staff", str(uuid4()), grants=(Grant("signals", "*", "data_manager"),))
    lines = []
    for form in ("csv", "fhir", "dataset-json", "odm"):
        (tmp_path / form).mkdir()
        extract = reading.extract(hidden, reading.point("signals"))
        making.make(hidden, extract, registry.find(form), Options(), tmp_path / form)
    for file in tmp_path.glob("*/*.*"):
        lines += file.read_text(encoding="utf-8").splitlines()
    raised = alerts()
    rules = {alert.why["rule"] for alert in raised} | {"Call at once", "立即致电"}
    assert not [line for line in lines if any(rule in line for rule in rules)]
    told = [line for line in lines if any(str(alert.id) in line for alert in raised)]
    assert len(told) == len(raised) == 2 and str(raised[0].occurrence_id) not in "".join(told)
