"""The study builder's day: a file is tried and published, released at a site, and the wording looked at, sealed off.

Requirement G30; threats S3 (across studies), S31 (texts of a study file that attack the pages).
"""

from __future__ import annotations

import hashlib
import html
import io
import re
from urllib.parse import parse_qs, urlsplit

import pytest

from epro.questionnaires import wording
from epro.scheduling import protocols, rehearsals
from epro.tx import Actor, begin, look, system
from tests.cast import STUDY, STUDY_FILE
from tests.console.browser import HERE
from tests.doors.scene import OTHER
from tests.doors.test_console_pages import EVIL, ROOT, browser
from tests.support.rehearsals import keep_a_rehearsal
from tests.support.wordings import made_up_words

TEXT = STUDY_FILE.read_text(encoding="utf-8")
LATER = TEXT.replace('version: "1.0"', 'version: "2.0"', 1)
BUILD = f"{ROOT}/build"


@pytest.fixture(scope="module")
def bo(stage):
    return browser(stage, "bo")


def tried(who, text: str | bytes):
    raw = text if isinstance(text, bytes) else text.encode()
    form = {"form_token": who.token(BUILD), "file": (io.BytesIO(raw), "study.yaml")}
    return who.client.post(
        f"{BUILD}/check",
        data=form,
        headers=HERE,
        base_url="https://epro.test",
        content_type="multipart/form-data",
    )


def versions() -> list[str]:
    with look(system("tests")) as tx:
        return [one.version for one in protocols.versions(tx, STUDY)]


def test_every_fault_of_a_file_is_named_with_its_line_and_its_mend(stage, bo):
    with stage.today():
        told = tried(bo, TEXT.replace("Asia/Shanghai", "Asia/Atlantis")).text
        assert "Asia/Atlantis" in told and re.search(r' scope="row" class="numbers">\d+</th>', told)
        for bad in (b"", b"\xff\xfe", b"x" * 300_000):
            assert tried(bo, bad).status_code == 422, bad[:5]
        for text in EVIL:
            told = tried(bo, f"{text}: {text}").text
            assert "<script>alert" not in told and "<img src=x" not in told
    assert versions() == ["1.0"]


def test_after_showing_who_she_is_the_builder_is_back_where_the_file_is_sent(stage):
    late = browser(stage, "bo")
    with stage.today(minutes=6):
        token = late.token(BUILD)
        for stood, back in (
            (f"{BUILD}/check", f"{BUILD}/check"),
            (f"{BUILD}/publish", BUILD),
            (f"{BUILD}/wording?all=1", f"{BUILD}/wording?all=1"),
            ("/console/none/of/ours", "/console/"),
        ):
            sent = {**HERE, "Referer": f"https://epro.test{stood}"}
            asked = late.send(f"{BUILD}/publish", sent, form_token=token, source=LATER)
            place = parse_qs(urlsplit(asked.headers["Location"]).query)["next"]
            assert asked.status_code == 303 and place == [back], stood
            assert late.get(back, follow_redirects=True).status_code == 200, back
    assert versions() == ["1.0"]


def test_a_later_version_is_tried_published_and_released_at_a_site(stage, bo):
    assert LATER != TEXT
    with stage.today():
        told = tried(bo, LATER).text
        assert "no faults" in told and "amends version 1.0" in told and versions() == ["1.0"]
        assert f"{stage.ada.subject_id}" not in told  # how many, never who
        source = re.search(r'<textarea name="source" hidden>\n(.*?)</textarea>', told, re.S)[1]
        form = {"source": html.unescape(source)}
        assert bo.do(f"{BUILD}/publish", on=BUILD, **form).status_code == 303
        assert versions() == ["2.0", "1.0"]
        file = bo.get(f"{BUILD}/versions/2.0/file")
        assert file.text.strip() == LATER.strip() and "attachment" in file.headers["Content-Disposition"]
        assert bo.get(f"{BUILD}/versions/9/file").status_code == 404
        wish = {"version": "2.0", "site": "02", "day": "2026-03-04"}
        assert bo.do(f"{BUILD}/approval", on=BUILD, **wish).status_code == 303
        assert bo.do(f"{BUILD}/approval", on=BUILD, **{**wish, "day": "2026-03-05"}).status_code == 409
        assert bo.do(f"{BUILD}/approval", on=BUILD, **{**wish, "site": "77"}).status_code == 404
        assert bo.do(f"{BUILD}/approval", on=BUILD, **{**wish, "day": "soon"}).status_code == 422
        shown = bo.get(BUILD).text
        with look(system("tests")) as tx:
            there = protocols.by_site(tx, STUDY)
    assert {site: one.version for site, one in there.items()} == {"01": "1.0", "02": "2.0"}
    assert "approved 2026-03-04" in shown and "by Bo" in shown


def test_a_file_that_is_published_so_is_told_as_that(stage, bo):
    with stage.today():
        for version, text in (("1.0", TEXT), ("2.0", LATER)):
            told = tried(bo, text).text
            assert f"This is exactly version {version} as published." in told, version
            assert "does not fit" not in told and "Publish this version" not in told
        assert "amends version 1.0" in told  # of a later one it is told as before what it changes
        assert "as published" not in tried(bo, TEXT.replace('version: "1.0"', 'version: "3.0"', 1)).text


def test_what_does_not_fit_is_refused_with_reasons(stage, bo):
    with stage.today():
        other = tried(bo, TEXT.replace("id: diary\n", "id: other\n")).text
        changed = tried(bo, TEXT.replace("title:", "title: ", 1).replace("[en, zh-CN]", "[en]")).text
    assert "another study" in other and "Publish this version" not in other
    assert "Publish this version" not in changed


def test_grave_acts_ask_who_she_is_when_that_is_long_ago(stage, bo):
    with stage.today(minutes=6):
        for path, form in (
            ("publish", {"source": LATER}),
            ("approval", {"version": "1.0", "site": "01", "day": "2026-03-04"}),
        ):
            assert (
                bo.do(f"{BUILD}/{path}", on=BUILD, **form)
                .headers["Location"]
                .startswith("/console/account/proof?next=")
            )


def test_wording_is_told_and_shown_where_nothing_can_run(stage, bo):
    with stage.today():
        told = bo.get(f"{BUILD}/wording").text
        address = f"{BUILD}/wording/fatigue_diary/1.0/en"
        page = bo.get(address)
        assert address in told and page.status_code == 200
        assert page.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
        assert bo.get(f"{BUILD}/wording/fatigue_diary/1.0/de").status_code == 404
        assert bo.get(f"{address}?pack=none").status_code == 404
        assert "sandbox" not in bo.get(BUILD).headers["Content-Security-Policy"]


def test_two_people_who_did_not_import_it_approve_a_wording(stage, bo):
    key = ("fatigue_diary", "1.0", "en", "7.0")
    pack, address = made_up_words(*key[:1], "en", "7.0"), f"{BUILD}/wording/fatigue_diary/1.0/en/packs/7.0"
    said = {"digest": pack.digest, "read": "yes"}
    with stage.today():
        with begin(Actor("staff", stage.ids["bo"])) as tx:
            wording.import_pack(tx, pack)
        dana, alma = browser(stage, "dana"), browser(stage, "alma")
        told = bo.get(address).text
        assert "You imported it" in told and f"{address}/approve" not in told and pack.digest in told
        assert "words of title" in bo.get(f"{BUILD}/wording/fatigue_diary/1.0/en?pack=7.0").text
        approve = f"{address}/approve"
        assert bo.do(approve, on=BUILD, **said).status_code == 409
        assert dana.do(approve, on=address, **{**said, "digest": "0" * 64}).status_code == 404
        assert (
            dana.do(approve, on=address, digest=pack.digest).status_code == 422
        )  # not without having read it
        for who, status in ((dana, 303), (dana, 409), (alma, 303), (alma, 409)):
            assert who.do(approve, on=address, **said).status_code == status
        told = alma.get(address).text
        assert "in force" in told and "Dana" in told and "Alma" in told
        for path in (address.replace("7.0", "8.0"), address.replace("/en/", "/de/")):
            assert bo.get(path).status_code == 404
        with look(system("tests")) as tx:
            by = {one.approved_by for one in wording.story(tx, key)[1]}
    assert by == {f"staff:{stage.ids[name]}" for name in ("dana", "alma")}
    with stage.today(minutes=6):
        late = dana.do(approve, on=BUILD + "/wording", **said)
    assert late.headers["Location"].startswith("/console/account/proof?next=")


def test_a_kept_report_is_shown_where_nothing_can_run_and_fetched_to_the_byte(stage, bo):
    with stage.today():
        assert keep_a_rehearsal(STUDY, 7) and not keep_a_rehearsal(STUDY, 7)
        keep_a_rehearsal(OTHER, 8)
        told = bo.get(BUILD).text
        assert (
            "20 participants, 90 days, seed 7" in told
            and "1 invariants broke" in told
            and "seed 8" not in told
        )
        address = re.search(r'href="([^"]+/rehearsals/([0-9a-f]{64}))"[^>]*>[^<]*seed 7', told)
        page, figures = bo.get(address[1]), bo.get(f"{address[1]}/figures")
        assert page.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
        assert page.text.startswith('<html lang="en" data-lang="en">')
        assert hashlib.sha256(figures.data).hexdigest() == address[2]
        for one in (figures, bo.get(f"{address[1]}?as=file")):
            assert one.headers["Content-Disposition"].startswith("attachment")
            assert one.headers["Cache-Control"] == "no-store"
        assert 'lang="zh-CN"' in bo.get(f"{address[1]}?as=file").text  # as it was made
        with look(system("tests")) as tx:
            foreign = rehearsals.listed(tx, OTHER, 1)[0].digest
        for path in (foreign, "0" * 64, f"{foreign}/figures"):
            assert bo.get(f"{BUILD}/rehearsals/{path}").status_code == 404
        assert browser(stage, "dana").get(address[1]).status_code == 403
