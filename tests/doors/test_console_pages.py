"""The nurse's pages: her worklist, one participant on one page; at her site only, and nothing runs that anybody typed.

Requirement G30; threats S2 (a site with another's), S14, S31 and S32 (texts that attack the pages).
"""

from __future__ import annotations

from epro.api import telling
from tests.cast import STUDY
from tests.console.browser import Browser
from tests.doors.scene import NOBODY, Stage

ROOT = f"/console/studies/{STUDY}"
EVIL = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'-alert(1)-'",
    "<svg/onload=alert(1)>",
    "{{ 7 * 7 }} ${7*7} <%= 7 %>",
    "</textarea><script>alert(1)</script>",
    "javascript:alert(1)",
    '<a href="javascript:alert(1)" hx-get=/console/>x</a>',
)


def browser(stage: Stage, name: str) -> Browser:
    with stage.today():
        found = Browser(stage.cast.app)
        assert found.sign_in(name).status_code == 303
    return found


def test_an_alert_is_taken_followed_and_settled(stage):
    noor, address = browser(stage, "noor"), f"{ROOT}/alerts/{stage.ada.alert}"
    with stage.today():
        assert stage.ada.subject_id in noor.get(f"{ROOT}/worklist").text
        assert stage.ada.subject_id in noor.get(f"{ROOT}/worklist/live").text
        assert stage.cara.subject_id not in noor.get(f"{ROOT}/worklist").text
        for act, form in (
            ("take", {}),
            ("contact", {"channel": "phone", "outcome": "will_answer", "note": "rang twice"}),
            ("note", {"note": "at work until six"}),
            ("resolve", {"outcome": "reached"}),
            ("reopen", {"reason": "she rang back"}),
        ):
            answer = noor.do(f"{address}/{act}", on=address, **form)
            assert (answer.status_code, answer.headers.get("Location")) == (303, address), (act, answer.text)
        told = noor.get(address).text
        kinds = [
            step["kind"]
            for step in stage.ask("noor", "GET", f"/v1/site/alerts/{stage.ada.alert}").get_json()["steps"]
        ]
    assert kinds[-5:] == ["taken", "contact_attempt", "note", "resolved", "reopened"]
    assert "rang twice" in told and "she rang back" in told


def test_what_is_wrong_is_said_where_the_form_stands(stage):
    noor, address = browser(stage, "noor"), f"{ROOT}/alerts/{stage.ada.alert}"
    with stage.today():
        plain = noor.do(f"{address}/note", on=address)
        token = noor.token(address)
        part = noor.send(
            f"{address}/note", {"Sec-Fetch-Site": "same-origin", "HX-Request": "true"}, form_token=token
        )
    assert plain.status_code == part.status_code == 422
    assert "<html" in plain.text and "<html" not in part.text and 'class="alert alert-danger"' in part.text


def test_what_is_elsewhere_is_answered_like_what_is_not(stage):
    otto = browser(stage, "otto")
    with stage.today():
        for there, nowhere in (
            (f"participants/{stage.ada.subject_id}", "participants/none"),
            (f"alerts/{stage.ada.alert}", f"alerts/{NOBODY}"),
        ):
            found, absent = otto.get(f"{ROOT}/{there}"), otto.get(f"{ROOT}/{nowhere}")
            assert found.status_code == absent.status_code == 404
            assert found.text.replace(there, "") == absent.text.replace(nowhere, "")
        for act in (
            f"participants/{stage.ada.subject_id}/withdraw",
            f"participants/{stage.ada.subject_id}/letter",
            f"participants/{stage.ada.subject_id}/devices/{stage.ada.device}/revoke",
            f"alerts/{stage.ada.alert}/take",
            f"alerts/{stage.ada.alert}/note",
            f"alerts/{stage.ada.alert}/reopen",
        ):
            form = (
                {}
                if act.endswith(("letter", "take"))
                else {"note" if act.endswith("note") else "reason": "none"}
            )
            answer = otto.do(f"{ROOT}/{act}", on=f"{ROOT}/worklist", **form)
            assert answer.status_code == 404, act
        listed = otto.get(f"{ROOT}/participants?q={stage.ada.subject_id}").text
        assert f"participants/{stage.ada.subject_id}" not in listed
        assert stage.cara.subject_id in otto.get(f"{ROOT}/participants").text


def test_a_letter_shows_a_code_that_activates_a_phone(stage):
    noor, address = browser(stage, "noor"), f"{ROOT}/participants/{stage.ada.subject_id}"
    with stage.today():
        answer = noor.do(f"{address}/letter", on=address)
    assert answer.status_code == 200 and answer.headers["Cache-Control"] == "no-store"
    assert "<svg" in answer.text and 'lang="zh-CN"' in answer.text and 'lang="en"' in answer.text
    assert " style=" not in answer.text


def test_nothing_runs_that_somebody_has_typed(stage):
    noor, address = browser(stage, "noor"), f"{ROOT}/alerts/{stage.ada.alert}"
    with stage.today():
        for text in EVIL:
            assert noor.do(f"{address}/note", on=address, note=text).status_code == 303
        told = noor.get(address).text
        for text in EVIL:
            searched = noor.get(
                f"{ROOT}/participants", query_string={"q": text, "sort": text, "site": text}
            ).text
            elsewhere = noor.get("/console/sign-in", query_string={"next": text}).text
            for page in (told, searched, elsewhere):
                for attack in (
                    "<script>alert",
                    "<img src=x",
                    "<svg/onload",
                    'href="javascript',
                    "</textarea><script",
                ):
                    assert attack not in page
        assert "{{ 7 * 7 }}" in told and "49 " not in told


def test_today_stands_before_the_days_to_come_and_those_behind(stage):
    with stage.today():
        told = browser(stage, "noor").get(f"{ROOT}/participants/{stage.ada.subject_id}").text
    places = [told.index(text) for text in ("Today and open", "strip-today", "Coming (", "Past four weeks (")]
    assert places == sorted(places) and told.count("strip-today") == 1 and "tall" not in told


def test_the_day_of_an_enrolment_is_that_of_her_clock(stage):
    """At 03:49 in Shanghai it is still the day before at Greenwich."""
    subject, noor = stage.newcomer(active=False, since="2026-03-03T03:49").subject_id, browser(stage, "noor")
    with stage.today():
        listed = noor.get(f"{ROOT}/participants?q={subject}").text
        hers = noor.get(f"{ROOT}/participants/{subject}").text
    assert 'class="nowrap">2026-03-03</td>' in listed and "Enrolled 2026-03-03" in hers


def test_only_ones_own_sites_are_offered(stage):
    """To a nurse of one site there is nothing to choose from; who sees every site chooses among them."""
    for name, offered in (("noor", False), ("mona", True)):
        who = browser(stage, name)
        with stage.today():
            for path in ("participants", "compliance"):
                told = who.get(f"{ROOT}/{path}").text
                assert (name, path, '<option value="02"' in told) == (name, path, offered)


def test_who_signs_nothing_is_shown_no_empty_list_of_what_waits(stage):
    with stage.today():
        hers, ines = (browser(stage, name).get(f"{ROOT}/signing").text for name in ("noor", "ines"))
    assert hers.count("<h2>") == 1 and ines.count("<h2>") == 2


def test_scores_that_are_hidden_from_her_are_not_drawn(stage, monkeypatch):
    noor, address = browser(stage, "noor"), f"{ROOT}/participants/{stage.ada.subject_id}"
    monkeypatch.setattr(telling, "hides_scores", lambda *_: True)
    with stage.today():
        assert "spark" not in noor.get(address).text


def test_a_participant_leaves_and_is_shown_as_gone(stage):
    noor, address = browser(stage, "noor"), f"{ROOT}/participants/{stage.ada.subject_id}"
    with stage.today():
        assert noor.do(f"{address}/withdraw", on=address).status_code == 422
        revoked = noor.do(
            f"{address}/devices/{stage.ada.device}/revoke", on=address, reason="lost on a train"
        )
        assert revoked.status_code == 303
        assert noor.do(f"{address}/withdraw", on=address, reason=EVIL[0]).status_code == 303
        told = noor.get(address).text
        assert "withdrawn" in told and EVIL[0] not in told
        assert noor.do(f"{address}/letter", on=f"{ROOT}/worklist").status_code == 409
        assert stage.ask("noor", "GET", f"/v1/site{address.removeprefix(ROOT)}").get_json()["withdrawn_at"]
