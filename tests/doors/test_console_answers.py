"""The investigator's pages: answers in the words that were read, correcting, signing, deciding, the site's own copy.

Requirements R33-R37, R42-R47; threats S2 (a site with another's), S14, S31 and S32 (texts that attack the pages).
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote
from uuid import UUID

import pytest
import sqlalchemy as sa

from epro import clock
from epro.exporting import jobs
from epro.questionnaires import catalogue
from epro.responses import rescoring, sight
from epro.responses.models import Response, SetAside, Settlement
from epro.signing.models import Signature
from epro.tx import begin, look, system
from tests.cast import PASSWORD, STUDY, at
from tests.console.browser import BASE, HERE
from tests.doors.test_console_pages import EVIL, ROOT, browser

SIGNING = {"meaning": "approved", "accepts_policy": "true", "password": PASSWORD}
ATTACKS = ("<script>alert", "<img src=x", "<svg/onload", 'href="javascript', "</textarea><script")


@pytest.fixture
def page(stage):
    return f"{ROOT}/answers/{stage.ada.response}"


def test_answers_stand_in_the_words_that_were_read(stage, page):
    noor = browser(stage, "noor")
    with stage.today():
        listed = noor.get(f"{ROOT}/answers").text
        told = noor.get(page).text
    assert page in listed and f"{ROOT}/answers/{stage.cara.response}" not in listed
    assert "Level 7" in told or "(7)" in told or ">7" in told
    assert "ticked the wrong number" in told and "<del>" in told  # the first answer beside the corrected one
    assert "broken by a change" in told  # of the signature that stood under the first
    assert (
        "Sign this answer" not in told and "Correct answers" not in told
    )  # a nurse of this study decides neither


def test_a_scoring_that_counts_no_more_says_so(stage):
    """The one by a later definition counts; the first one stays, and is marked."""
    where = f"{ROOT}/answers/{stage.cara.response}"
    with stage.today(), begin(system("tests")) as tx:
        known = catalogue.find(tx, "fatigue_diary", "1.0")
        later = {"fatigue_diary": replace(known, version="1.1", digest="4" * 64)}
        changes, _ = rescoring.find_changes(tx, stage.cara.study, [stage.cara.subject_id], later)
        own = [one for one in changes if str(one.response_id) == stage.cara.response]
        assert rescoring.append(tx, stage.cara.study, stage.cara.subject_id, own, later) == 1
    otto = browser(stage, "otto")
    with stage.today(1):
        told = otto.get(where).text
    counts, former = told.split("Earlier scorings that count no more (1)")
    assert "(scoring 2)" in counts and "(scoring 2)" not in former
    assert ": 7 ·" in former and former.count("counts no more") == 1


def test_an_investigator_corrects_after_a_look_at_the_scores(stage, page):
    ines = browser(stage, "ines")
    form = {"answer.worst_fatigue": "3", "reason": EVIL[0], "reported_by": "participant"}
    with stage.today(1):
        number = len(story(stage)["versions"]) - 1
        looked = ines.do(f"{page}/correct", on=page, follows=str(number), step="preview", **form)
        assert looked.status_code == 200 and "→ 3" in looked.text and EVIL[0] not in looked.text
        assert len(story(stage)["versions"]) == number + 1
        wrong = ines.do(
            f"{page}/correct", on=page, follows=str(number), step="make", **{**form, "reason": ""}
        )
        assert wrong.status_code == 422
        made = ines.do(
            f"{page}/correct",
            on=page,
            follows=str(number),
            step="make",
            reported_local="2026-03-03T09:00",
            **form,
        )
        assert made.status_code == 303, made.text
        stale = ines.do(f"{page}/correct", on=page, follows=str(number), step="make", **form)
        assert stale.status_code == 409 and "Somebody has corrected this meanwhile" in stale.text
        told = ines.get(page).text
    newest = story(stage)["versions"][-1]
    assert newest["answers"] == {"worst_fatigue": 3}
    assert newest["amendment"]["reported_at"] == "2026-03-03T01:00:00+00:00"
    assert not any(attack in told for attack in ATTACKS)


def test_an_investigator_signs_one_answer_that_she_has_read(stage, page):
    ines, noor = browser(stage, "ines"), browser(stage, "noor")
    with stage.today(2):
        current = story(stage)["current"]
        mark = mark_on(ines, page)
        assert mark.startswith(current)
        wrong = {**SIGNING, "password": "not hers", "as_read": mark}
        refused = ines.do(f"{page}/sign", on=page, current=current, **wrong)
        assert refused.status_code == 401 and "Password or code is not right" in refused.text
        first = f"{stage.ada.response}:{mark.partition(':')[2]}"
        old = ines.do(f"{page}/sign", on=page, current=stage.ada.response, as_read=first, **SIGNING)
        assert old.status_code == 409
        assert noor.do(f"{page}/sign", on=page, current=current, **SIGNING).status_code == 403
        blind = ines.do(f"{page}/sign", on=page, current=current, **SIGNING)
        assert blind.status_code == 409, "what no page has shown is not signed"
        otherwise = ines.do(
            f"{page}/sign", on=page, current=current, as_read=f"{current}:{'0' * 64}", **SIGNING
        )
        assert otherwise.status_code == 409 and "scored again" in otherwise.text
        made = ines.do(f"{page}/sign", on=page, current=current, as_read=mark, **SIGNING)
        assert made.status_code == 303, made.text
        told, listed = ines.get(page).text, ines.get(f"{ROOT}/signing").text
    assert "I approve these data" in told and "2026-03-04 10:02:00 (Asia/Shanghai, UTC+0800)" in told
    assert "Ines" in listed and "holds" in listed


def test_who_has_no_password_shows_a_passkey_first_and_leaves_it_empty(stage, page):
    """The proof stands for itself here: with what it is shown does not matter to the form."""
    ines = browser(stage, "ines")
    with stage.today(3):
        told = story(stage)
        current, mark = told["current"], f"{told['current']}:{told['as_read']}"
    form = {**SIGNING, "meaning": "responsible", "password": "", "current": current, "as_read": mark}
    with stage.today(4):
        asked = ines.do(f"{page}/sign", on=page, **form)
        assert asked.status_code == 303 and "/console/account/proof" in asked.headers["Location"]
        ines.do("/console/account/proof", on="/console/account/proof", password=PASSWORD, next=page)
        made = ines.do(f"{page}/sign", on=page, **form)
        assert (made.status_code, made.headers["Location"]) == (303, page), made.text


def test_all_of_a_visit_is_read_and_signed_at_once(stage):
    ines, subject = browser(stage, "ines"), stage.ada.subject_id
    phone = stage.ada.phone
    with clock.moved_to(_evening(stage)):
        phone.refresh()
        diary = phone.open_at(clock.now())[0]
        phone.answer(diary, {"worst_fatigue": 5}, clock.now(), clock.now())
        phone.upload(clock.now())
        ines.sign_in("ines")
        listed = ines.get(f"{ROOT}/signing").text
        address = f"{ROOT}/participants/{subject}/signing"
        assert f"{address}?visit=-" in listed
        read = ines.get(f"{address}?visit=-").text
        ids = [one.split('"')[0] for one in read.split('name="response" value="')[1:]]
        assert len(ids) >= 1 and read.count('name="as_read"') == len(ids)
        asks = read.partition('name="password"')[2].partition(">")[0]
        assert asks and "required" not in asks and "/console/account/proof?next=" in read
        form = {**SIGNING, "response": ids, "form_token": ines.token(address)}
        assert ines.send(address, **form).status_code == 409, "without what was shown"
        marks = [one.split('"')[0] for one in read.split('name="as_read" value="')[1:]]
        made = ines.send(address, **form, as_read=marks)
        assert made.status_code == 303, made.text
        assert "Nothing waits" in ines.get(f"{address}?visit=-").text
    with look(system("tests")) as tx:
        newest = tx.one(sa.select(Signature).order_by(Signature.signed_at.desc()))
        assert sorted(one["id"] for one in json.loads(newest.body)["responses"]) == sorted(ids)


def test_what_was_set_aside_is_decided_once(stage):
    ines, dana = browser(stage, "ines"), browser(stage, "dana")
    phone = stage.ada.phone
    with stage.today(8):
        phone.refresh()
        (diary, *_) = phone.known.values()
        sent = phone.answer(diary, {EVIL[1]: 1}, clock.now(), clock.now())
        phone.upload(clock.now())
        with look(system("tests")) as tx:
            aside = tx.one(sa.select(SetAside).where(SetAside.response_id == sent["id"]))
        address = f"{ROOT}/set-aside/{aside.id}"
        told = ines.get(address).text
        assert "File it" in told and not any(attack in told for attack in ATTACKS)
        assert address in ines.get(f"{ROOT}/set-aside").text
        for_her = dana.get(address).text
        assert "investigator decides" in for_her
        assert "Nothing of it is on file" in for_her and "<form" not in for_her.partition("<main")[2]
        assert dana.do(f"{address}/settle", on=address, outcome="rejected", reason="no").status_code == 403
        again = ines.do(f"{address}/settle", on=address, outcome="filed", reason="as it says")
        assert again.status_code == 422
        made = ines.do(f"{address}/settle", on=address, outcome="rejected", reason=EVIL[2])
        assert made.status_code == 303
        assert "rejected" in ines.get(address).text
        other = ines.do(f"{address}/settle", on=f"{ROOT}/set-aside", outcome="rejected", reason="another")
        assert other.status_code == 409


def test_what_was_set_aside_is_read_in_its_own_words_and_filed_by_her_clock(stage):
    """Only what fits no question can be left out; the hour is of her wall clock, whatever the phone's clock said."""
    ines, phone = browser(stage, "ines"), stage.ada.phone
    with stage.today(9):
        phone.refresh()
        (diary, *_) = phone.known.values()
        sent = phone.answer(diary, {"worst_fatigue": 5, "odd": 1}, clock.now(), clock.now())
        phone.upload(clock.now() - timedelta(hours=2))  # its clock is two hours slow
        with look(system("tests")) as tx:
            aside = tx.one(sa.select(SetAside).where(SetAside.response_id == sent["id"]))
        address = f"{ROOT}/set-aside/{aside.id}"
        told = ines.get(address).text
        assert 'type="datetime-local"' in told and re.search(r'<td lang="(en|zh-CN)">5\b', told)
        assert 'name="leave_out" id="out-1" value="odd"' in told and 'value="worst_fatigue"' not in told
        form = {"outcome": "filed", "reason": "one question too many", "leave_out": "odd"}
        wrong = ines.do(f"{address}/settle", on=address, completed_local="yesterday", **form)
        assert wrong.status_code == 422
        made = ines.do(f"{address}/settle", on=address, completed_local="2026-03-02T21:15", **form)
        assert made.status_code == 303
    with look(system("tests")) as tx:
        filed = tx.get(Response, STUDY, tx.get(Settlement, STUDY, aside.id).response_id)
        assert filed.corrected_at == at("2026-03-02T21:15")


def test_the_site_fetches_its_own_copy(stage):
    """R47, R48: past any sponsor, and its digests are those of the store."""
    ines, address = browser(stage, "ines"), f"{ROOT}/copy"
    with stage.today(minutes=4):
        assert ines.do(address, on=address).status_code == 303
        jobs.run_due()
        told = ines.get(address).text
        file = next(
            one.split('"')[0] for one in told.split('href="')[1:] if one.split('"')[0].endswith("/file")
        )
        answer = ines.get(file)
        assert answer.status_code == 200 and ines.get(f"{address}/live").status_code == 200
        assert browser(stage, "noor").get(file).status_code == 403
    archive = zipfile.ZipFile(io.BytesIO(answer.data))
    assert {"long.csv", "signatures.csv", "archive.xml", "records.ndjson"} <= set(archive.namelist())
    records = [json.loads(line) for line in archive.read("records.ndjson").splitlines()]
    assert {one["subject_id"] for one in records} >= {stage.ada.subject_id}
    assert stage.cara.subject_id not in {one["subject_id"] for one in records}
    with look(system("tests")) as tx:
        stored = dict(tx.session.execute(sa.select(Response.id, Response.digest)).all())
    kept = [one for one in records if one["kind"] == "response"]
    assert kept and all(one["digest"] == stored[UUID(one["id"])] for one in kept)


def test_asking_for_the_copy_asks_who_she_is_when_that_is_long_ago(stage):
    ines, address = browser(stage, "ines"), f"{ROOT}/copy"
    with stage.today(minutes=6):
        before = ines.get(address).text.count("<li>")
        answer = ines.send(address, {**HERE, "Referer": f"{BASE}{address}"}, form_token=ines.token(address))
        assert ines.get(address).text.count("<li>") == before
    assert answer.headers["Location"].startswith("/console/account/proof?next=")
    assert answer.headers["Location"].endswith(quote(address))


def test_what_is_elsewhere_is_answered_like_what_is_not(stage):
    ines = browser(stage, "ines")
    with stage.today(12):
        for there in (
            f"answers/{stage.cara.response}",
            f"set-aside/{stage.cara.set_aside}",
            f"participants/{stage.cara.subject_id}/signing",
        ):
            assert ines.get(f"{ROOT}/{there}").status_code == 404, there
        for act in (
            f"answers/{stage.cara.response}/sign",
            f"answers/{stage.cara.response}/correct",
            f"set-aside/{stage.cara.set_aside}/settle",
            f"participants/{stage.cara.subject_id}/signing",
        ):
            settling = {"reason": "r", "outcome": "rejected"}
            form = settling if act.endswith("settle") else {**SIGNING, "reason": "r", "reported_by": "site"}
            assert ines.do(f"{ROOT}/{act}", on=f"{ROOT}/answers", **form).status_code == 404, act


def test_answers_that_are_hidden_from_her_stand_on_no_page(stage, page, monkeypatch):
    ines = browser(stage, "ines")
    monkeypatch.setattr(sight, "hides_scores", lambda *_: True)
    monkeypatch.setattr(sight, "hides_content", lambda *_: True)
    with stage.today(14):
        told = ines.get(page).text
        aside = ines.get(f"{ROOT}/set-aside/{stage.ada.set_aside}").text
        visit = ines.get(f"{ROOT}/participants/{stage.ada.subject_id}/signing?visit=-").text
    for text in (told, aside, visit):
        assert "keeps answers from your role" in text
        assert "worst_fatigue" not in text and "Sign" not in text.split("<main")[1].replace("Signatures", "")


def mark_on(ines, page):
    """How the page tells what it has shown, for the form that signs it."""
    form = ines.get(page).text.partition(f'action="{page}/sign"')[2]
    return form.partition('name="as_read" value="')[2].partition('"')[0]


def story(stage):
    return stage.ask("ines", "GET", f"/v1/site/responses/{stage.ada.response}").get_json()


def _evening(stage):
    with stage.today():
        return clock.now() + timedelta(hours=10, minutes=30)


def test_a_query_is_asked_answered_and_closed_in_the_browser(stage, page):
    dana, noor, otto = browser(stage, "dana"), browser(stage, "noor"), browser(stage, "otto")
    with stage.today(5):
        assert "Ask the site" in dana.get(page).text and "Ask the site" not in noor.get(page).text
        asked = dana.do(f"{page}/ask", on=page, text=EVIL[0], item="worst_fatigue")
        assert asked.status_code == 303, asked.text
        address = asked.headers["Location"]
        listed, told = noor.get(f"{ROOT}/queries").text, noor.get(address).text
        assert address in listed and "Reply" in told and address in noor.get(page).text
        assert otto.get(address).status_code == 404
        assert otto.do(f"{address}/answer", on=f"{ROOT}/queries", text="mine").status_code == 404
        early = dana.do(f"{address}/ask", on=address, text="well?")
        assert early.status_code == 409 and "has not answered yet" in early.text
        assert noor.do(f"{address}/answer", on=address, text=EVIL[1]).status_code == 303
        assert dana.do(f"{address}/ask", on=address, text="when?").status_code == 303
        assert noor.do(f"{address}/answer", on=address, text="then").status_code == 303
        assert noor.do(f"{address}/close", on=f"{ROOT}/queries").status_code == 403
        assert dana.do(f"{address}/close", on=address).status_code == 303
        done = dana.get(address).text
        assert "closed" in done and address in dana.get(f"{ROOT}/queries?state=closed").text
    for text in (listed, told, done):
        assert not any(attack in text for attack in ATTACKS)
