"""Whatever anybody typed stays text: study files, names, notes, reasons, answers, wording, wherever they are shown.

One text that tries everything at once stands everywhere that people can write. Every page of the console's map is
then taken apart, and opened in Chromium with its policy switched off, so that escaping is shown by itself; and once
with the policy, which no page asks to be relaxed. Threats S31, S32.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import lxml.html
import pytest
import yaml
from click.testing import CliRunner

from epro import clock
from epro.cli import epro
from epro.cli.study import known_instruments
from epro.console import door
from epro.questionnaires import previews, reference
from epro.questionnaires.library import bundled, bundled_instrument
from epro.questionnaires.pack_checks import places_of
from epro.questionnaires.packs import FACTS, made_of
from epro.scheduling import protocols
from epro.scheduling.reading import read
from epro.signin import staff
from epro.simulation.people import Phone
from epro.stream import sequencer
from epro.studies.access import ROLES
from epro.tx import Grant, begin, system
from tests.cast import PASSWORD, STUDY_FILE, at
from tests.doors import chromium
from tests.doors.scene import CORRECTION, SETTLEMENT, TODAY, Side, _side
from tests.doors.test_matrix import Ask, Person, _pages, hers, text_of

SQLITE = pytest.mark.parametrize("stage_databases", ["sqlite"], indirect=True, scope="module")

EVIL = (
    "zq9\"'><xss-probe xss-attr=1></title></textarea></script><script>window.xss=1</script>"
    "<img src=x onerror=\"window.xss=1\">' xss-attr='1{{7*7}}"
)
NAME, WRITER = "evil", "evil-too"
RAN = "() => window.xss !== undefined || document.querySelector('xss-probe, [xss-attr]') !== null"
ADDRESSES = {"href", "src", "action", "formaction", "hx-get", "hx-post", "xlink:href"}


def evil(value: Any, within: str = "") -> Any:
    """A study file in which every title, label, name and note is the text."""
    if isinstance(value, dict):
        return {
            key: dict.fromkeys(told, EVIL) if key in ("title", "label", "name", "note") else evil(told, key)
            for key, told in value.items()
        }
    return [evil(one, within) for one in value] if isinstance(value, list) else value


def study_text() -> str:
    told = evil(yaml.safe_load(STUDY_FILE.read_text(encoding="utf-8")))
    told["study"]["id"] = NAME
    return yaml.safe_dump(told, allow_unicode=True)


@pytest.fixture(scope="module")
def typed(stage) -> Any:
    """The stage, with a study in which everybody wrote the text wherever she could; Ada is now who takes part in it."""
    with stage.cast.on("2026-03-02T09:00"), begin(system("tests")) as tx:
        text = study_text()
        protocol, faults = read(text, known_instruments())
        assert protocol is not None, faults
        protocols.publish(tx, protocol, text)
        # Who works for the sponsor too writes nothing on answers: a second person of the site does.
        for name, roles in {NAME: ROLES, WRITER: ("nurse", "investigator")}.items():
            staff.add(
                tx,
                email=f"{name}@example.org",
                name=EVIL,
                password=PASSWORD,
                language="en",
                grants=[Grant(NAME, site, role) for role in roles for site in ("01", "*")],
            )
    side = _who_takes_part(stage)
    stage.ada = side
    with stage.today():
        token = str(stage.sign_in(WRITER).key)
        for method, path, body in _everything_that_is_written(side):
            answer = stage.send(method, path, token, body)
            assert answer.status_code < 300, (path, answer.text)
    return stage


def _who_takes_part(stage: Any) -> Side:
    evening = at("2026-03-02T20:00")
    with stage.cast.on("2026-03-02T10:00"):
        person = stage.sign_in(NAME)
        made = person.enrol(
            study=NAME,
            site="01",
            language="en",
            time_zone="Asia/Shanghai",
            anchors={"enrolment": "2026-03-02"},
            contact={"name": EVIL[:80], "phone": "+8613900000077"},
        )
        device = {
            "installation_id": "an installation of hers",
            "platform": EVIL[:40],
            "app_version": EVIL[:20],
        }
        phone = Phone(stage.cast.line, installation_id=device["installation_id"])
        code = person.must(
            "POST", f"/v1/site/participants/{made['subject_id']}/activation-code?study={NAME}", {}
        )
        told = stage.client.post(
            "/v1/phone/activate", json={"activation_code": code["activation_code"], "device": device}
        )
        assert told.status_code == 201, told.text
        phone.key, phone.refresh_token = told.get_json()["access_token"], told.get_json()["refresh_token"]
        phone.subject_id, phone.language, phone.time_zone = made["subject_id"], "en", "Asia/Shanghai"
        phone.sync()
    (diary,) = phone.open_at(evening)
    phone.answer(diary, {"worst_fatigue": 7}, evening, evening + timedelta(minutes=1))
    phone.answer(diary, {"worst_fatigue": EVIL, EVIL[:60]: 1}, evening, evening + timedelta(minutes=2))
    with clock.moved_to(evening + timedelta(hours=4)):
        phone.refresh()
        assert {one["outcome"] for one in phone.upload(clock.now())} == {"stored", "held"}
    stage.cast.tick(at("2026-03-04T06:30"))
    with stage.cast.on("2026-03-04T09:00"):
        phone.refresh()
        sequencer.sequence()
        return _side(NAME, "01", phone)


def _everything_that_is_written(side: Side) -> list[tuple[str, str, dict[str, Any]]]:
    alert = f"/v1/site/alerts/{side.alert}"
    return [
        ("POST", f"{alert}/acknowledgement", {"note": EVIL}),
        ("POST", f"{alert}/notes", {"note": EVIL}),
        ("POST", f"{alert}/contact-attempts", {"channel": "phone", "outcome": "no_answer", "note": EVIL}),
        ("POST", f"{alert}/resolution", {"outcome": "reached", "note": EVIL}),
        ("POST", f"{alert}/reopening", {"reason": EVIL}),
        ("POST", f"/v1/site/responses/{side.response}/amendments", CORRECTION | {"reason": EVIL}),
        ("POST", f"/v1/site/set-aside/{side.set_aside}/settlement", SETTLEMENT | {"reason": EVIL}),
    ]


def faults_of(html: str) -> list[str]:
    """What became markup that was a text, and whatever else could run."""
    found = []
    for one in lxml.html.document_fromstring(html).iter():
        if not isinstance(one.tag, str):
            continue
        if one.tag == "xss-probe" or (one.tag == "img" and one.get("src") == "x"):
            found.append(one.tag)
        for name, value in one.attrib.items():
            if str(name) == "xss-attr" or str(name).startswith("on"):
                found.append(f"{one.tag} {name}")
            if name in ADDRESSES and str(value).strip().lower().startswith(("javascript:", "data:text")):
                found.append(f"{one.tag} {name}={value}")
        if one.tag == "script" and not str(one.get("src", "")).startswith("/console/static/"):
            found.append("script")
    return found


def asks(stage: Any) -> list[Ask]:
    found = [
        one
        for one in _pages(stage, NAME)
        if not one.rule.startswith(("/console/sign-out", "/console/account"))
    ]
    return [
        replace(one, path=one.path.replace(hers(stage)["subject_id"], stage.ada.subject_id)) for one in found
    ]


@pytest.fixture(scope="module")
def person(typed) -> Person:
    return Person(NAME, typed)


@SQLITE
@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_no_page_of_the_console_takes_a_text_for_markup(typed, person, language):
    with typed.today():
        person.browser.send("/console/language", language=language, next="/console/")
        wrong, shown = {}, 0
        for one in asks(typed):
            if one.method != "GET":
                continue
            for query in (
                {},
                dict.fromkeys(("q", "sort", "site", "person", "action", "next", "page", "week"), EVIL),
            ):
                answer = person.browser.get(one.path, query_string=query)
                assert answer.headers["Content-Security-Policy"] == door.POLICY, one.rule
                if answer.mimetype == "text/html" and answer.data:
                    shown += "zq9" in answer.text
                    if found := faults_of(answer.text):
                        wrong[one.rule, bool(query)] = found
    assert wrong == {}
    assert shown >= 8


@SQLITE
def test_no_form_gives_back_a_text_as_markup(typed, person):
    """Everything that can be sent, sent with the text in every field: refusals are shown on pages, too."""
    with typed.today():
        for one in asks(typed):
            if one.method == "POST" and not one.path.endswith(("/withdraw", "/revoke")):
                fields = (
                    "note",
                    "reason",
                    "outcome",
                    "channel",
                    "to",
                    "password",
                    "name",
                    "email",
                    "date",
                    "format",
                )
                answer = person.browser.send(
                    one.path, form_token=person.form_token, **dict.fromkeys(fields, EVIL)
                )
                assert answer.headers["Content-Security-Policy"] == door.POLICY
                if answer.mimetype == "text/html" and answer.data:
                    assert faults_of(answer.text) == [], one.rule


@SQLITE
def test_what_programs_are_told_is_no_page(typed, person):
    """JSON goes out as JSON, and no browser may guess otherwise; FHIR resources have no narrative."""
    for kind in (
        "Organization",
        "ResearchStudy",
        "QuestionnaireResponse",
        "Task",
        "AuditEvent",
        "Provenance",
    ):
        answer = typed.ask(NAME, "GET", f"/fhir/r4/{kind}")
        assert (
            answer.mimetype == "application/fhir+json"
            and answer.headers["X-Content-Type-Options"] == "nosniff"
        )
        assert '"div"' not in answer.text
    for path in (
        f"participants/{typed.ada.subject_id}/timeline",
        "alerts",
        "set-aside",
        f"alerts/{typed.ada.alert}",
    ):
        answer = typed.ask(NAME, "GET", f"/v1/site/{path}")
        assert answer.mimetype == "application/json" and answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "zq9" in text_of(answer)


@SQLITE
@pytest.mark.browser
def test_in_chromium_nothing_runs_even_without_the_policy(typed, person, stage_environ, tmp_path):
    report = _rehearsed(tmp_path)
    with chromium.serving(stage_environ, at(TODAY)) as address, chromium.opened() as browser:
        for bypass in (True, False):
            window = chromium.Window(browser, address, bypass=bypass)
            window.sign_in(NAME)
            for one in asks(typed):
                if one.method == "GET" and not one.path.endswith("/file"):
                    window.go(one.path)
                    assert window.page.evaluate(RAN) is False, one.path
            window.go(f"/console/studies/{NAME}/participants/{typed.ada.subject_id}")
            window.page.click("form[action$='/letter'] button")
            window.page.wait_for_selector("svg")
            assert window.page.evaluate(RAN) is False
            if bypass:
                window.page.goto(report.as_uri())
                assert window.page.evaluate(RAN) is False
                window.page.goto(_previewed(tmp_path).as_uri())
                assert window.page.evaluate(RAN) is False
            assert [said for said in window.said if "404" not in said and "403" not in said] == []
            window.page.context.close()


def _rehearsed(folder: Path) -> Path:
    """The report of a rehearsal of the same study file."""
    (folder / "evil.yaml").write_text(study_text(), encoding="utf-8")
    said = [
        "study",
        "simulate",
        str(folder / "evil.yaml"),
        "--seed",
        "5",
        "--participants",
        "2",
        "--days",
        "3",
    ]
    done = CliRunner().invoke(epro, [*said, "--report", str(folder)])
    assert done.exit_code in (0, 1), done.output
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert "zq9" in html and not [one for one in faults_of(html) if one != "script"]
    return folder / "report.html"


def _previewed(folder: Path) -> Path:
    """The preview of an instrument whose every text is this one, in a pack that says it of every fact."""
    pack = made_of(
        dict.fromkeys(FACTS, EVIL) | {"instrument": "fss", "instrument_version": "1.0", "language": "en"},
        {place.key: EVIL for place in places_of(bundled_instrument("fss"))},
    )
    page = previews.preview(spoilt(bundled_instrument("fss")), "en", pack, "imported")
    assert "zq9" in page and faults_of(page) == []
    (folder / "preview.html").write_text(page, encoding="utf-8")
    return folder / "preview.html"


def spoilt(instrument: Any) -> Any:
    texts = dict.fromkeys(instrument.title, EVIL)
    items = tuple(
        replace(
            item,
            label=texts,
            text=texts,
            choices=tuple(replace(choice, label=texts) for choice in item.choices),
        )
        for item in instrument.items
    )
    return replace(instrument, title=texts, items=items)


def test_every_preview_shows_texts_as_texts():
    for instrument in bundled():
        for language in instrument.languages:
            page = previews.preview(spoilt(instrument), language, None, "placeholder")
            assert faults_of(page) == [] and page.count("zq9") > len(instrument.items)


def test_reference_pages_show_texts_as_texts():
    told = "\n".join(reference.page(spoilt(bundled_instrument("fss"))))
    assert "zq9" in told and "<xss-probe" not in told and "<script" not in told and "<img" not in told


def test_a_page_that_trusted_a_text_would_be_found():
    for spoilt_page in (
        f"<html><body><p>{EVIL}</p></body></html>",
        f'<html><body><p title="{EVIL}"></p></body></html>',
        '<html><body><a href="javascript:1">x</a></body></html>',
    ):
        assert faults_of(spoilt_page)
