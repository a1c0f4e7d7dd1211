"""In the browser a nurse enrols somebody and prints her letter, moves a plan after she has seen what changes, writes
notes and replaces a phone. All through the rooms behind the interface for programs.
"""

from __future__ import annotations

import re

import pytest

from epro.contacts import store
from epro.studies.models import Participant
from epro.tx import look, system
from tests.cast import STUDY
from tests.doors.test_console_pages import EVIL, ROOT, browser

FORM = {
    "site": "01",
    "language": "zh-CN",
    "time_zone": "Asia/Shanghai",
    "anchor.enrolment": "2026-03-04",
    "phone": "+8613900000077",
    "email": "li@example.org",
    "channels": ["sms", "email"],
}


def number_on(page: str) -> str:
    found = re.search(r'name="subject_id" value="([^"]*)"', page)
    assert found
    return found[1]


def test_somebody_is_enrolled_and_her_letter_is_made_in_one_act(stage):
    noor, address = browser(stage, "noor"), f"{ROOT}/enrolment"
    with stage.today():
        subject = number_on(noor.get(address).text)
        letter = noor.do(address, on=address, subject_id=subject, **FORM)
        again = noor.do(address, on=address, subject_id=subject, **FORM)
        page = noor.get(f"{ROOT}/participants/{subject}")
        told = stage.ask("noor", "GET", f"/v1/site/participants/{subject}").get_json()
    assert letter.status_code == 200 and 'class="code"' in letter.text and subject in letter.text
    assert letter.text.index('lang="zh-CN"') < letter.text.index('<section lang="en"')
    for half in letter.text.split("<section lang=")[1:]:  # whichever half she keeps
        assert '<div class="qr"' in half and "Asia/Shanghai" in half
    assert again.status_code == 409 and page.status_code == 200
    assert (told["language"], told["anchors"], told["site"]) == ("zh-CN", {"enrolment": "2026-03-04"}, "01")
    kept = store.of(STUDY, f"participant/{subject}")
    assert kept == {"phone": "+8613900000077", "email": "li@example.org"}
    assert "+8613900000077" not in page.text + letter.text


def test_a_plain_mobile_number_of_the_country_and_todays_date_are_taken(stage):
    noor, address = browser(stage, "noor"), f"{ROOT}/enrolment"
    with stage.today():
        shown = noor.get(address).text
        subject = number_on(shown)
        letter = noor.do(address, on=address, **{**FORM, "subject_id": subject, "phone": "139 0000 0088"})
        her = f"{ROOT}/participants/{subject}"
        changed = noor.do(f"{her}/contact", on=her, phone="13900000089", reason="a new number")
    assert (
        re.search(r'name="anchor.enrolment" value="2026-\d\d-\d\d" required', shown)
        and "138 0013 8000" in shown
    )
    assert (letter.status_code, changed.status_code) == (200, 303)
    assert store.of(STUDY, f"participant/{subject}")["phone"] == "+8613900000089"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"reminders": "study"}, None),
        ({"reminders": "study", "channels": ["sms"]}, None),  # ticked, and then left to the study after all
        ({"reminders": "only", "channels": ["email"]}, ["email"]),
        ({"reminders": "only"}, 422),
    ],
)
def test_what_she_may_be_reminded_by_is_left_to_the_study_or_named(stage, said, kept):
    noor, address = browser(stage, "noor"), f"{ROOT}/enrolment"
    form = {name: value for name, value in FORM.items() if name != "channels"} | said
    with stage.today():
        shown = noor.get(address).text
        subject = number_on(shown)
        answer = noor.do(address, on=address, subject_id=subject, **form)
    assert 'value="study" checked' in shown
    assert "As the study orders: text message, e-mail, push message, in the app" in shown
    if kept == 422:
        assert answer.status_code == 422 and "Tick at least one way" in answer.text
    else:
        assert answer.status_code == 200
        with look(system("tests")) as tx:
            assert tx.get(Participant, STUDY, subject).preferences.get("channels") == kept


def test_doubtful_days_are_taken_and_said(stage):
    noor, address = browser(stage, "noor"), f"{ROOT}/enrolment"
    with stage.today():
        subject = number_on(noor.get(address).text)
        days = {"anchor.enrolment": "2026-06-04", "anchor.infusion": "2026-03-20"}
        letter = noor.do(
            address, on=address, **{**FORM, **days, "subject_id": subject, "phone": "", "email": ""}
        )
        page = noor.get(f"{ROOT}/participants/{subject}").text
    assert letter.status_code == 200 and 'class="code"' in letter.text
    assert "Enrolment (2026-06-04) is " in letter.text
    assert "Infusion (2026-03-20) lies before Enrolment (2026-06-04)." in letter.text
    assert "First due " in page and "Nothing is due before that day." in page


def test_an_enrolment_that_the_study_does_not_know_is_refused_and_leaves_nothing(stage):
    noor, address = browser(stage, "noor"), f"{ROOT}/enrolment"
    with stage.today():
        wrong = [
            {"anchor.enrolment": ""},
            {"anchor.nowhere": "2026-03-04"},
            {"language": "fr"},
            {"time_zone": EVIL[0]},
            {"phone": "12"},
            {"arm": "third"},
            {"subject_id": EVIL[1]},
            {"channels": ["pigeon"]},
        ]
        for change in wrong:
            answer = noor.do(address, on=address, **{**FORM, "subject_id": "01-099", **change})
            assert answer.status_code == 422, change
            assert EVIL[0] not in answer.text and EVIL[1] not in answer.text
        elsewhere = noor.do(address, on=address, **{**FORM, "site": "02"})
        assert elsewhere.status_code == 404
        assert stage.ask("noor", "GET", "/v1/site/participants/01-099").status_code == 404
        assert 'value="02-' not in noor.get(f"{address}?site=02").text
    assert store.of(STUDY, "participant/01-099") == {}


def test_a_plan_moves_only_as_it_was_shown(stage):
    noor, address = browser(stage, "noor"), f"{ROOT}/participants/{stage.ada.subject_id}/plan"
    wish = {"anchor": "infusion", "date": "2026-03-20"}

    def anchors() -> list[str]:
        told = stage.ask("noor", "GET", f"/v1/site/participants/{stage.ada.subject_id}/timeline").get_json()
        return [one["date"] for one in told["anchors"] if one["anchor"] == "infusion"]

    with stage.today():
        before = anchors()
        shown = noor.get(address, query_string=wish)
        mark = re.search(r'name="mark" value="([0-9a-f]{64})"', shown.text)
        assert shown.status_code == 200 and mark and "2026-03-20" in shown.text
        assert "Answers on file stay (" in shown.text
        later = noor.get(address, query_string={"anchor": "enrolment", "date": "2026-03-20"})
        assert "Answers given since" in later.text and "that would lie before" in later.text
        earlier = noor.get(address, query_string={"anchor": "enrolment", "date": "2026-01-01"})
        assert "Answers given since" not in earlier.text
        early = noor.get(address, query_string={"anchor": "infusion", "date": "2026-01-15"}).text
        assert "Infusion (2026-01-15) lies before Enrolment" in early
        far = noor.get(address, query_string={"anchor": "enrolment", "date": "2027-12-22"}).text
        assert "called off" not in far and " → 2027-12-2" in far.split("These move", 1)[1]  # with its year
        assert "Enrolment (2027-12-22) is " in far and " days ahead. Please look" in far
        assert "The plan is written out until" in far and "follow by themselves" in far
        assert anchors() == before  # looking changes nothing
        assert noor.do(address, on=address, **wish, reason="").status_code == 422
        assert noor.do(address, on=address, **wish, reason="late", mark="0" * 64).status_code == 409
        assert anchors() == before
        done = noor.do(address, on=address, **wish, reason="came a day late", mark=mark[1])
        assert done.status_code == 303 and anchors() == [*before, "2026-03-20"]
        assert "came a day late" in noor.get(address.removesuffix("/plan")).text
        for wrong in ({"anchor": "none", "date": "2026-03-20"}, {"arm": "third"}, {"date": "soon"}):
            assert noor.get(address, query_string=wrong).status_code == 422, wrong
        for other in ({"language": "zh-CN"}, {"time_zone": "Europe/Berlin"}, {"arm": "active"}):
            assert 'name="mark"' in noor.get(address, query_string=other).text, other


def test_she_is_excused_only_from_what_was_shown_and_so_it_is_taken_back(stage):
    noor, her = browser(stage, "noor"), f"{ROOT}/participants/{stage.ada.subject_id}"
    address, days = f"{her}/excuses", {"first_day": "2026-03-03", "last_day": "2026-03-06"}

    def excused() -> list[str]:
        told = stage.ask("noor", "GET", f"/v1/site/participants/{stage.ada.subject_id}/timeline").get_json()
        return [one["local_day"] for one in told["occurrences"] if one["state"] == "excused"]

    def marks(page: str) -> list[str]:
        return re.findall(r'name="mark" value="([0-9a-f]{64})"', page)

    with stage.today():
        assert marks(noor.get(address).text) == []
        shown = noor.get(address, query_string=days).text
        (mark,) = marks(shown)
        assert 'value="in_hospital"' in shown and "selected" not in shown.split('id="excuse-reason"')[1][:300]
        assert excused() == []  # looking changes nothing
        form = {**days, "reason": "in_hospital", "note": f"since Tuesday {EVIL[0]}", "mark": mark}
        for wrong, status in (
            ({"reason": ""}, 422),
            ({"reason": "other", "note": ""}, 422),
            ({"mark": "0" * 64}, 409),
        ):
            assert noor.do(address, on=address, **{**form, **wrong}).status_code == status, wrong
        assert noor.do(address, on=address, **{**form, "last_day": "2026-03-07"}).status_code == 409
        assert excused() == []
        assert noor.do(address, on=address, **form).status_code == 303
        given = excused()
        assert given[0] <= "2026-03-04" and given[-1] == "2026-03-06"
        page = noor.get(her).text
        assert "in hospital" in page and "Take back" in page and EVIL[0] not in page
        assert noor.do(address, on=address, **form).status_code == 409
        (back,) = marks(noor.get(address, query_string=days).text)
        said = {**days, "reason": "another participant", "mark": back}
        assert noor.do(f"{address}/take-back", on=address, **said).status_code == 303
        assert excused() == []
        one = {"first_day": "2026-03-05", "last_day": "2026-03-05", "occurrence": str(stage.cara.occurrence)}
        assert noor.get(address, query_string=one).status_code == 404
        for bad in ({"first_day": "soon", "last_day": "2026-03-05"}, {**days, "last_day": "2027-03-05"}):
            assert noor.get(address, query_string=bad).status_code == 422, bad


def test_notes_stay_at_her_site(stage):
    noor, address = browser(stage, "noor"), f"{ROOT}/participants/{stage.ada.subject_id}"
    with stage.today():
        assert noor.do(f"{address}/notes", on=address, note=f"rings back at six {EVIL[0]}").status_code == 303
        told = noor.get(address).text
        assert "rings back at six" in told and EVIL[0] not in told
        assert "rings back at six" not in browser(stage, "dana").get(address).text
        path = f"/v1/site/participants/{stage.ada.subject_id}/timeline"
        assert stage.ask("dana", "GET", path).get_json()["notes"] == []
        assert stage.ask("noor", "GET", path).get_json()["notes"][-1]["note"].startswith("rings back")
        otto = browser(stage, "otto")
        assert otto.do(f"{address}/notes", on=f"{ROOT}/worklist", note="x").status_code == 404


def test_contact_data_are_put_right_and_shown_to_nobody(stage):
    noor, address = browser(stage, "noor"), f"{ROOT}/participants/{stage.ada.subject_id}"
    changes = {"phone": "+8613900000077", "gone": "name", "reason": "a new number"}
    with stage.today():
        assert noor.do(f"{address}/contact", on=address, **changes).status_code == 303
        assert "13900000077" not in noor.get(address).text
        assert noor.do(f"{address}/contact", on=address, phone="12", reason="x").status_code == 422
        assert noor.do(f"{address}/contact", on=address, reason="x").status_code == 422
        otto = browser(stage, "otto")
        assert otto.do(f"{address}/contact", on=f"{ROOT}/worklist", **changes).status_code == 404
    with stage.cast.app.app_context():
        kept = store.of(STUDY, f"participant/{stage.ada.subject_id}")
    assert kept["phone"] == "+8613900000077" and "name" not in kept


def test_a_phone_is_replaced_in_one_act(stage):
    noor, otto = browser(stage, "noor"), browser(stage, "otto")
    address = f"{ROOT}/participants/{stage.cara.subject_id}"
    act, path = (
        f"{address}/devices/{stage.cara.device}/replace",
        f"/v1/site{address.removeprefix(ROOT)}/timeline",
    )
    with stage.today():
        assert noor.do(act, on=f"{ROOT}/worklist", reason="x").status_code == 404
        letter = otto.do(act, on=address, reason="fell into a lake")
        phones = stage.ask("otto", "GET", path).get_json()["devices"]
    assert letter.status_code == 200 and 'class="code"' in letter.text
    assert all(one["revoked_at"] for one in phones)
