"""Whatever comes in that is no good: answered with its own code, never with a 500, and nothing is changed by it.

Requirement G45; threats S6 (fields that nobody may set), S35 (size), S37 and S38 (values that readers or a
database understand differently).
"""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest
import sqlalchemy as sa

from epro import db
from tests.cast import STUDY
from tests.doors.scene import NOBODY

NOT_JSON: dict[str, bytes] = {
    "malformed": b'{"a": 1',
    "a comma too many": b'{"a": 1,}',
    "single quotes": b"{'a': 1}",
    "a comment": b'{"a": 1} // hello',
    "two values": b"{} {}",
    "white space only": b"  \n ",
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": Infinity}',
    "minus Infinity": b'{"a": [-Infinity]}',
    "1e999": b'{"a": 1e999}',
    "a fraction of 5,000 digits": b'{"a": 0.' + b"1" * 5000 + b"}",
    "5,000 digits": b'{"a": ' + b"9" * 5000 + b"}",
    "beyond 2^53": b'{"a": 9007199254740993}',
    "duplicate keys": b'{"a": 1, "a": 1}',
    "duplicate keys, one escaped": b'{"a": 1, "\\u0061": 2}',
    "duplicate keys deep inside": b'{"a": [{"b": {"c": 1, "c": 2}}]}',
    "NUL": b'{"a": "\\u0000"}',
    "NUL in a key": b'{"a\\u0000": 1}',
    "NUL unescaped": b'{"a": "\x00"}',
    "a lone high surrogate": b'{"a": "\\ud800"}',
    "a lone low surrogate": b'{"a": "\\udc00x"}',
    "a pair the wrong way round": b'{"a": "\\udc00\\ud800"}',
    "a lone surrogate in a key": b'{"\\ud800": 1}',
    "a control character": b'{"a": "\x01"}',
    "33 levels": b'{"a": ' * 33 + b"1" + b"}" * 33,
    "100,000 levels": b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "100,000 levels that never close": b"[" * 100_000,
    "not UTF-8": b'{"a": "\xff"}',
    "an overlong NUL": b'{"a": "\xc0\x80"}',
    "a surrogate as bytes": b'{"a": "\xed\xa0\x80"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "UTF-32": '{"a": 1}'.encode("utf-32"),
    "a BOM": b'\xef\xbb\xbf{"a": 1}',
    "a list": b"[]",
    "a text": b'"a"',
    "a number": b"1",
    "null": b"null",
    "true": b"true",
    "a form": b"a=1&b=2",
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\xae\x05\x00\x43\xbf\xa6\xa3\x02\x00\x00\x00",
}

TAKES_JSON = [
    ("ada", "POST", "/v1/phone/responses"),
    ("ada", "PATCH", "/v1/phone/me"),
    ("ada", "PUT", f"/v1/phone/drafts/{NOBODY}"),
    ("ada", "PUT", "/v1/phone/push-subscription"),
    ("ada", "POST", "/v1/phone/confirmations"),
    ("ada", "POST", f"/v1/phone/occurrences/{NOBODY}/snooze"),
    ("noor", "POST", "/v1/site/participants/01-001/message-settings"),
    ("", "POST", "/v1/phone/activate"),
    ("", "POST", "/v1/phone/token"),
    ("", "POST", "/v1/staff/login"),
    ("", "POST", "/v1/staff/token"),
    ("noor", "POST", "/v1/site/participants"),
    ("noor", "POST", "/v1/site/participants/01-001/anchors"),
    ("noor", "POST", "/v1/site/participants/01-001/withdrawal"),
    ("noor", "POST", "/v1/site/participants/01-001/excuses"),
    ("noor", "POST", f"/v1/site/occurrences/{NOBODY}/excuse"),
    ("noor", "POST", f"/v1/site/occurrences/{NOBODY}/take-back"),
    ("noor", "POST", f"/v1/site/participants/01-001/devices/{NOBODY}/revocation"),
    ("noor", "POST", f"/v1/site/alerts/{NOBODY}/acknowledgement"),
    ("noor", "POST", f"/v1/site/alerts/{NOBODY}/resolution"),
    ("noor", "POST", f"/v1/site/alerts/{NOBODY}/contact-attempts"),
    ("noor", "POST", f"/v1/site/alerts/{NOBODY}/notes"),
    ("noor", "POST", f"/v1/site/alerts/{NOBODY}/hand-over"),
    ("noor", "POST", f"/v1/site/alerts/{NOBODY}/reopening"),
]


@pytest.mark.parametrize("name", NOT_JSON)
def test_what_cannot_be_read_without_doubt_is_refused_everywhere(stage, name):
    stage.token("ada"), stage.token("noor")
    before = counts()
    for who, method, path in TAKES_JSON:
        answer = stage.send(
            method, path, stage.token(who) if who else None, NOT_JSON[name], content_type="application/json"
        )
        too_large = len(NOT_JSON[name]) > 16 * 1024 and not is_roomy(path)
        assert_problem(answer, *((413, "too_large") if too_large else (400, "bad_json")), (method, path))
        assert "errors" not in answer.get_json()
    assert counts() == before


def test_an_empty_body_is_an_empty_object_or_no_batch(stage):
    for who, method, path in TAKES_JSON:
        answer = stage.send(
            method, path, stage.token(who) if who else None, b"", content_type="application/json"
        )
        if path == "/v1/phone/responses":
            assert_problem(answer, 400, "bad_json", path)
        elif path not in ("/v1/phone/me", f"/v1/site/alerts/{NOBODY}/acknowledgement"):
            assert_problem(answer, 422, "invalid", path)


def test_the_type_of_the_content_does_not_matter_and_its_coding_is_not_undone(stage):
    """No key travels by itself, so a form of another site can do nothing; and nothing is unpacked unasked."""
    for kind in ("text/plain", "application/octet-stream", "application/x-www-form-urlencoded", ""):
        answer = stage.send(
            "PATCH", "/v1/phone/me", stage.token("ada"), b'{"language": "en"}', content_type=kind
        )
        assert answer.status_code == 200
    packed = gzip.compress(b'{"language": "en"}')
    answer = stage.send(
        "PATCH",
        "/v1/phone/me",
        stage.token("ada"),
        packed,
        content_type="application/json",
        headers={"Content-Encoding": "gzip"},
    )
    assert_problem(answer, 400, "bad_json", "gzip")


@pytest.mark.parametrize("size", [2 * 1024 * 1024 + 1, 20 * 1024 * 1024])
def test_what_is_larger_than_a_door_takes_is_turned_away(stage, size):
    stage.token("ada"), stage.token("noor")
    before = counts()
    for who, method, path in TAKES_JSON:
        body = b'{"x": "' + b"a" * (size - 9) + b'"}'
        answer = stage.send(
            method, path, stage.token(who) if who else None, body, content_type="application/json"
        )
        assert_problem(answer, 413, "too_large", path)
    assert counts() == before


def test_a_door_for_people_takes_what_a_person_writes(stage):
    """Sixteen KiB and no more, before anything is decoded; where answers come in there is room."""
    body = b'{"x": "' + b"a" * (16 * 1024) + b'"}'
    for who, method, path in TAKES_JSON:
        answer = stage.send(
            method, path, stage.token(who) if who else None, body, content_type="application/json"
        )
        assert (answer.status_code == 413) is not is_roomy(path), path


def is_roomy(path: str) -> bool:
    """Whether answers come in at this door."""
    return path.startswith(("/v1/phone/responses", "/v1/phone/drafts"))


def test_a_refusal_names_fifty_faults_and_is_no_larger_than_what_was_sent(stage):
    body = {f"{number} {'x' * 130}": 1 for number in range(100)}
    answer = stage.send("POST", "/v1/phone/activate", None, body)
    assert_problem(answer, 422, "invalid", "activate")
    errors = answer.get_json()["errors"]
    assert len(errors) == 50 and max(len(error["pointer"]) for error in errors) <= 101
    assert len(answer.data) < len(json.dumps(body))


PHONE, DEVICE = "/v1/phone/", {"installation_id": "i", "platform": "test"}
ENROL = "/v1/site/participants"
ANCHORS = "/v1/site/participants/01-001/anchors"
RESOLVE = f"/v1/site/alerts/{NOBODY}/resolution"
ACTIVATE = {"activation_code": "AAAAA-AAAAA-AAAAA", "device": DEVICE}
GOOD = {
    "study": STUDY,
    "site": "01",
    "language": "en",
    "time_zone": "Asia/Shanghai",
    "anchors": {"enrolment": "2026-03-04"},
}
ANCHOR = {"anchor": "enrolment", "date": "2026-03-05", "reason": "as it happened"}


def _without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


# (what, who, method, path, body, pointers of the faults)
INVALID: list[tuple[str, str, str, str, Any, set[str]]] = [
    ("no device", "", "POST", PHONE + "activate", _without(ACTIVATE, "device"), {"/device"}),
    ("nothing at all", "", "POST", PHONE + "activate", {}, {"/device", "/activation_code"}),
    (
        "a code that is a number",
        "",
        "POST",
        PHONE + "activate",
        {**ACTIVATE, "activation_code": 7},
        {"/activation_code"},
    ),
    (
        "an empty code",
        "",
        "POST",
        PHONE + "activate",
        {**ACTIVATE, "activation_code": ""},
        {"/activation_code"},
    ),
    (
        "a long code",
        "",
        "POST",
        PHONE + "activate",
        {**ACTIVATE, "activation_code": "A" * 61},
        {"/activation_code"},
    ),
    ("a device that is a list", "", "POST", PHONE + "activate", {**ACTIVATE, "device": []}, {"/device"}),
    (
        "a device without installation",
        "",
        "POST",
        PHONE + "activate",
        {**ACTIVATE, "device": {}},
        {"/device/installation_id"},
    ),
    (
        "an installation that is null",
        "",
        "POST",
        PHONE + "activate",
        {**ACTIVATE, "device": {"installation_id": None}},
        {"/device/installation_id"},
    ),
    (
        "unknown fields at two depths",
        "",
        "POST",
        PHONE + "activate",
        {**ACTIVATE, "subject_id": "01-001", "device": {**DEVICE, "a/b~c": 1}},
        {"/subject_id", "/device/a~1b~0c"},
    ),
    (
        "control characters",
        "",
        "POST",
        PHONE + "activate",
        {**ACTIVATE, "device": {"installation_id": "a\u0007b"}},
        {"/device/installation_id"},
    ),
    (
        "C1 control characters",
        "",
        "POST",
        PHONE + "activate",
        {**ACTIVATE, "device": {"installation_id": "a\u0085b"}},
        {"/device/installation_id"},
    ),
    ("a token that is null", "", "POST", PHONE + "token", {"refresh_token": None}, {"/refresh_token"}),
    ("a token that is a list", "", "POST", PHONE + "token", {"refresh_token": ["x"]}, {"/refresh_token"}),
    ("no password", "", "POST", "/v1/staff/login", {"email": "noor@example.org"}, {"/password"}),
    (
        "a password that is an object",
        "",
        "POST",
        "/v1/staff/login",
        {"email": "a@b.org", "password": {"$ne": 1}},
        {"/password"},
    ),
    (
        "a password of 201 characters",
        "",
        "POST",
        "/v1/staff/login",
        {"email": "a@b.org", "password": "x" * 201},
        {"/password"},
    ),
    (
        "an otp that is a number",
        "",
        "POST",
        "/v1/staff/login",
        {"email": "a@b.org", "password": "x", "otp": 123456},
        {"/otp"},
    ),
    (
        "a role of her own",
        "",
        "POST",
        "/v1/staff/login",
        {"email": "a@b.org", "password": "x", "role": "administrator"},
        {"/role"},
    ),
    ("another language", "ada", "PATCH", PHONE + "me", {"language": "fr"}, {"/language"}),
    ("a language that is null", "ada", "PATCH", PHONE + "me", {"language": None}, {"/language"}),
    ("an unknown zone", "ada", "PATCH", PHONE + "me", {"time_zone": "Mars/Phobos"}, {"/time_zone"}),
    (
        "a zone of another file",
        "ada",
        "PATCH",
        PHONE + "me",
        {"time_zone": "../../etc/passwd"},
        {"/time_zone"},
    ),
    ("a zone that is null", "ada", "PATCH", PHONE + "me", {"time_zone": None}, {"/time_zone"}),
    ("half past", "ada", "PATCH", PHONE + "me", {"reminder_hour": "half past"}, {"/reminder_hour"}),
    ("24:00", "ada", "PATCH", PHONE + "me", {"reminder_hour": "24:00"}, {"/reminder_hour"}),
    (
        "digits of another script",
        "ada",
        "PATCH",
        PHONE + "me",
        {"reminder_hour": "１９:３０"},
        {"/reminder_hour"},
    ),
    ("one quiet hour", "ada", "PATCH", PHONE + "me", {"quiet_hours": ["22:00"]}, {"/quiet_hours"}),
    (
        "quiet hours of null",
        "ada",
        "PATCH",
        PHONE + "me",
        {"quiet_hours": [None, "07:00"]},
        {"/quiet_hours/0"},
    ),
    ("another channel", "ada", "PATCH", PHONE + "me", {"channels": ["sms", "pigeon"]}, {"/channels/1"}),
    ("a channel that is an object", "ada", "PATCH", PHONE + "me", {"channels": [{}]}, {"/channels/0"}),
    ("messages as a text", "ada", "PATCH", PHONE + "me", {"messages": "no"}, {"/messages"}),
    ("messages as a list", "ada", "PATCH", PHONE + "me", {"messages": []}, {"/messages"}),
    (
        "a site of her own",
        "ada",
        "PATCH",
        PHONE + "me",
        {"site": "02", "subject_id": "02-001", "withdrawn_at": None},
        {"/site", "/subject_id", "/withdrawn_at"},
    ),
    ("a draft without answers", "ada", "PUT", f"{PHONE}drafts/{NOBODY}", {}, {"/answers"}),
    ("a draft with a list", "ada", "PUT", f"{PHONE}drafts/{NOBODY}", {"answers": []}, {"/answers"}),
    ("a page and a half", "ada", "PUT", f"{PHONE}drafts/{NOBODY}", {"answers": {}, "page": 1.5}, {"/page"}),
    (
        "a page that is true",
        "ada",
        "PUT",
        f"{PHONE}drafts/{NOBODY}",
        {"answers": {}, "page": True},
        {"/page"},
    ),
    (
        "ids that are none",
        "ada",
        "POST",
        PHONE + "confirmations",
        {"notifications": ["x", 7, None]},
        {"/notifications/0", "/notifications/1", "/notifications/2"},
    ),
    (
        "201 ids",
        "ada",
        "POST",
        PHONE + "confirmations",
        {"notifications": [str(NOBODY)] * 201},
        {"/notifications"},
    ),
    ("an object of ids", "ada", "POST", PHONE + "confirmations", {"notifications": {}}, {"/notifications"}),
    *[(f"no {name}", "noor", "POST", ENROL, _without(GOOD, name), {f"/{name}"}) for name in GOOD],
    ("another language of the study", "noor", "POST", ENROL, {**GOOD, "language": "de"}, {"/language"}),
    ("an unknown zone", "noor", "POST", ENROL, {**GOOD, "time_zone": "China"}, {"/time_zone"}),
    (
        "an unknown anchor",
        "noor",
        "POST",
        ENROL,
        {**GOOD, "anchors": {"enrolment": "2026-03-04", "moon": "2026-03-04"}},
        {"/anchors"},
    ),
    (
        "an anchor missing",
        "noor",
        "POST",
        ENROL,
        {**GOOD, "anchors": {"infusion": "2026-03-04"}},
        {"/anchors/enrolment"},
    ),
    ("no anchors", "noor", "POST", ENROL, {**GOOD, "anchors": {}}, {"/anchors/enrolment"}),
    ("anchors as a list", "noor", "POST", ENROL, {**GOOD, "anchors": []}, {"/anchors"}),
    *[
        (
            f"the day {day!r}",
            "noor",
            "POST",
            ENROL,
            {**GOOD, "anchors": {"enrolment": day}},
            {"/anchors/enrolment"},
        )
        for day in (
            "2026-02-30",
            "04.03.2026",
            "yesterday",
            "",
            7,
            None,
            True,
            "2026-3-4",
            "0000-01-01",
            "9999-12-31",
            "0001-01-01",
            "2026-03-04T00:00:00Z",
            "10000-01-01",
            "-2026-03-04",
        )
    ],
    *[
        (f"the subject id {text!r}", "noor", "POST", ENROL, {**GOOD, "subject_id": text}, {"/subject_id"})
        for text in ("", " ", "a b", "a/b", "../x", "x" * 33, "-1", "参与者", "01-1\n", "'; --", None, 7)
    ],
    *[
        (
            f"the phone {text!r}",
            "noor",
            "POST",
            ENROL,
            {**GOOD, "contact": {"phone": text}},
            {"/contact/phone"},
        )
        for text in ("13900000001", "+86", "call me", "+8613900000001000000000", "+999 1 2 3", "", 7, None)
    ],
    *[
        (
            f"the e-mail {text!r}",
            "noor",
            "POST",
            ENROL,
            {**GOOD, "contact": {"email": text}},
            {"/contact/email"},
        )
        for text in (
            "ada",
            "@example.org",
            "ada@",
            "ada@host",
            "a da@example.org",
            "ada@example.org\nBcc: x@y.org",
            "",
            [],
            None,
        )
    ],
    (
        "a contact field more",
        "noor",
        "POST",
        ENROL,
        {**GOOD, "contact": {"address": "x"}},
        {"/contact/address"},
    ),
    (
        "fields that are ours to set",
        "noor",
        "POST",
        ENROL,
        {
            **GOOD,
            "enrolled_at": "2020-01-01T00:00:00Z",
            "protocol_version": "0",
            "chain_seq": 9,
            "withdrawn_at": None,
        },
        {"/enrolled_at", "/protocol_version", "/chain_seq", "/withdrawn_at"},
    ),
    *[(f"no {name}", "noor", "POST", ANCHORS, _without(ANCHOR, name), {f"/{name}"}) for name in ANCHOR],
    ("an unknown anchor", "noor", "POST", ANCHORS, {**ANCHOR, "anchor": "moon"}, {"/anchor"}),
    ("an empty reason", "noor", "POST", ANCHORS, {**ANCHOR, "reason": ""}, {"/reason"}),
    ("a long reason", "noor", "POST", ANCHORS, {**ANCHOR, "reason": "x" * 501}, {"/reason"}),
    *[
        (f"the day {day!r}", "noor", "POST", ANCHORS, {**ANCHOR, "date": day}, {"/date"})
        for day in ("2026-02-30", "never", 0, None, "9999-12-31", "0001-01-01", "1026-03-05")
    ],
    *[
        (
            f"the day {day!r}, to look at",
            "noor",
            "POST",
            ANCHORS + "?preview=true",
            {**ANCHOR, "date": day},
            {"/date"},
        )
        for day in ("9999-12-31", "0001-01-01")
    ],
    ("no reason for a withdrawal", "noor", "POST", ENROL + "/01-001/withdrawal", {}, {"/reason"}),
    (
        "a hidden withdrawal",
        "noor",
        "POST",
        ENROL + "/01-001/withdrawal",
        {"reason": "x", "at": "2020-01-01"},
        {"/at"},
    ),
    (
        "no reason for a revocation",
        "noor",
        "POST",
        f"{ENROL}/01-001/devices/{NOBODY}/revocation",
        {"reason": None},
        {"/reason"},
    ),
    (
        "a note that is a number",
        "noor",
        "POST",
        f"/v1/site/alerts/{NOBODY}/acknowledgement",
        {"note": 7},
        {"/note"},
    ),
    (
        "somebody else's act",
        "noor",
        "POST",
        f"/v1/site/alerts/{NOBODY}/acknowledgement",
        {"note": "x", "acknowledged_by": "staff:ines"},
        {"/acknowledged_by"},
    ),
    ("an outcome of her own", "noor", "POST", RESOLVE, {"outcome": "forgotten"}, {"/outcome"}),
    ("an outcome that is a list", "noor", "POST", RESOLVE, {"outcome": ["reached"]}, {"/outcome"}),
    ("no outcome", "noor", "POST", RESOLVE, {"note": "x"}, {"/outcome"}),
    ("a long note", "noor", "POST", RESOLVE, {"outcome": "reached", "note": "x" * 2001}, {"/note"}),
]


@pytest.mark.parametrize(
    "case", INVALID, ids=lambda case: f"{case[0]} at {case[2]} {case[3].rpartition('/')[2]}"
)
def test_a_body_with_faults_is_refused_and_every_fault_is_named(stage, case):
    _, who, method, path, body, pointers = case
    key = stage.token(who) if who else None
    before = counts()
    answer = stage.send(method, path, key, body)
    assert_problem(answer, 422, "invalid", path)
    errors = answer.get_json()["errors"]
    assert {error["pointer"] for error in errors} == pointers
    assert all(set(error) == {"pointer", "code", "detail"} and all(error.values()) for error in errors)
    assert counts() == before


# (method, path, who, status, code)
ASKED_WRONGLY: list[tuple[str, str, str, int, str]] = [
    ("GET", "/v1/nowhere", "ada", 404, "not_found"),
    ("GET", "/", "", 404, "not_found"),
    ("GET", "/v1/phone", "ada", 404, "not_found"),
    ("GET", "/v1/phone/me/", "ada", 404, "not_found"),
    ("DELETE", "/v1/phone/me", "ada", 405, "method_not_allowed"),
    ("PUT", "/v1/site/participants", "noor", 405, "method_not_allowed"),
    ("PATCH", "/v1/site/participants/01-001", "noor", 405, "method_not_allowed"),
    ("DELETE", "/v1/site/participants/01-001", "noor", 405, "method_not_allowed"),
    ("TRACE", "/v1/phone/me", "ada", 405, "method_not_allowed"),
    ("BREW", "/v1/phone/me", "ada", 405, "method_not_allowed"),
    ("GET", "/v1/phone/responses", "ada", 405, "method_not_allowed"),
    ("GET", "/v1/phone/drafts/not-a-uuid", "ada", 404, "not_found"),
    ("GET", f"/v1/phone/drafts/{NOBODY}", "ada", 404, "not_found"),
    ("GET", "/v1/phone/changes?limit=0", "ada", 422, "invalid"),
    ("GET", "/v1/phone/changes?limit=501", "ada", 422, "invalid"),
    ("GET", "/v1/phone/changes?limit=ten", "ada", 422, "invalid"),
    ("GET", "/v1/phone/changes?since=x", "ada", 422, "invalid"),
    ("GET", "/v1/phone/changes?since=%F0%9F%8E%88", "ada", 422, "invalid"),
    ("GET", "/v1/phone/changes?since=YzE%3D%00", "ada", 400, "bad_address"),
    ("GET", "/v1/phone/changes?since=Yy0x", "ada", 422, "invalid"),  # c-1
    ("GET", "/v1/phone/changes?since=Y8Kyc", "ada", 422, "invalid"),
    ("GET", "/v1/phone/instruments/fatigue_diary/9.9", "ada", 404, "not_found"),
    ("GET", "/v1/phone/instruments/none/1.0", "ada", 404, "not_found"),
    ("GET", "/v1/phone/instruments/fatigue_diary/1.0?lang=fr", "ada", 404, "not_found"),
    ("GET", "/v1/phone/instruments/fatigue_diary/1.0?lang=", "ada", 200, ""),
    ("GET", "/v1/phone/instruments/..%2F..%2Fetc/passwd", "ada", 404, "not_found"),
    ("GET", "/v1/phone/instruments/a%00b/1.0", "ada", 400, "bad_address"),
    ("GET", "/v1/phone/instruments/fatigue_diary/1.0?lang=%00", "ada", 400, "bad_address"),
    ("GET", "/v1/site/participants/%00", "noor", 400, "bad_address"),
    ("GET", "/v1/site/participants/01-001%00", "noor", 400, "bad_address"),
    ("GET", "/v1/site/participants?study=%00", "noor", 400, "bad_address"),
    ("GET", "/v1/site/participants?study=a%00b&site=01", "noor", 400, "bad_address"),
    ("GET", "/v1/site/set-aside?site=%00", "noor", 400, "bad_address"),
    ("GET", "/v1/site/alerts?study=%00", "noor", 400, "bad_address"),
    ("GET", "/v1/sponsor/feed?study=%00", "dana", 400, "bad_address"),
    ("GET", "/docs/assets/%00", "", 400, "bad_address"),
    ("GET", "/v1/site/participants/" + "9" * 5000, "noor", 404, "not_found"),
    ("GET", "/v1/site/participants/%FF%FE", "noor", 404, "not_found"),
    ("GET", "/v1/site/participants/%ED%A0%80", "noor", 404, "not_found"),
    ("GET", "/v1/site/participants/01-001'%20OR%20'1'='1", "noor", 404, "not_found"),
    ("GET", "/v1/site/participants?study=%FF", "noor", 200, ""),
    ("GET", "/v1/site/participants?limit=501", "noor", 422, "invalid"),
    ("GET", "/v1/site/participants?offset=-1", "noor", 422, "invalid"),
    ("GET", "/v1/site/participants?offset=99999999999999999999", "noor", 422, "invalid"),
    ("GET", "/v1/site/alerts?standing=perhaps", "noor", 422, "invalid"),
    ("GET", "/v1/site/participants/01-001/timeline?study=none", "noor", 404, "not_found"),
    ("POST", "/v1/site/alerts/7/acknowledgement", "noor", 404, "not_found"),
    ("GET", "/v1/sponsor/feed?after=-1", "dana", 422, "invalid"),
    ("GET", "/v1/sponsor/feed?after=99999999999999999999", "dana", 422, "invalid"),
    ("GET", "/v1/sponsor/feed?after=4611686018427387904", "dana", 409, "not_a_place_of_this_feed"),
    ("GET", "/v1/sponsor/feed?limit=1001", "dana", 422, "invalid"),
    ("GET", "/v1/sponsor/feed?wait=31", "dana", 422, "invalid"),
    ("GET", "/v1/sponsor/feed?wait=nan", "dana", 422, "invalid"),
    ("GET", "/v1/sponsor/feed?wait=-1", "dana", 422, "invalid"),
]


@pytest.mark.parametrize("case", ASKED_WRONGLY, ids=lambda case: f"{case[0]} {case[1][:60]}")
def test_an_address_with_faults(stage, case):
    method, path, who, status, code = case
    answer = stage.send(method, path, stage.token(who) if who else None)
    if status == 200:
        assert answer.status_code == 200, answer.text
        return
    assert_problem(answer, status, code, path)
    if status == 405:
        assert answer.headers["Allow"]


@pytest.mark.parametrize("number", [2**63 - 1, 2**63, 10**19 - 1, 10**30])
def test_a_token_of_changes_beyond_what_a_database_counts(stage, number):
    since = base64.urlsafe_b64encode(f"c{number}".encode()).decode()
    answer = stage.ask("ada", "GET", f"/v1/phone/changes?since={since}")
    if answer.status_code == 200:
        assert answer.get_json()["occurrences"] == []
    else:
        assert_problem(answer, 422, "invalid", number)


def test_every_fault_is_named_at_once(stage):
    body = {**GOOD, "time_zone": "Mars", "anchors": {"enrolment": "x"}, "subject_id": "", "more": 1}
    answer = stage.ask("noor", "POST", ENROL, body)
    assert {error["pointer"] for error in answer.get_json()["errors"]} == {
        "/time_zone",
        "/anchors/enrolment",
        "/subject_id",
        "/more",
    }


def test_a_taken_subject_id_is_a_conflict(stage):
    answer = stage.ask("noor", "POST", ENROL, {**GOOD, "subject_id": stage.ada.subject_id})
    assert_problem(answer, 409, "subject_id_taken", ENROL)


@pytest.mark.parametrize(
    ("change", "status"), [({"study": "none"}, 404), ({"site": "none"}, 404), ({"site": "02"}, 404)]
)
def test_enrolment_where_she_has_no_right_is_not_found(stage, change, status):
    assert_problem(stage.ask("noor", "POST", ENROL, {**GOOD, **change}), status, "not_found", ENROL)


def test_enrolment_at_the_far_ends_of_time_that_are_allowed(stage):
    """A day long past plans nothing; one far ahead waits."""
    for number, day in enumerate(("1970-01-01", "2199-12-31")):
        body = {**GOOD, "subject_id": f"edge-{number}", "anchors": {"enrolment": day}}
        answer = stage.ask("noor", "POST", ENROL, body)
        assert answer.status_code == 201, answer.text


def test_hostile_texts_are_kept_as_they_are(stage):
    """Formula, markup, right-to-left, zero width: text is text."""
    phone = stage.newcomer()
    path = f"/v1/site/participants/{phone.subject_id}/anchors"
    for reason in (
        '=HYPERLINK("http://x")',
        "<script>alert(1)</script>",
        "\u202eabc",
        "a\u200bb",
        "'; DROP TABLE x; --",
        "__proto__",
        "𝕏" * 100,
        "%s %(a)s {0}",
        "line\nline",
    ):
        answer = stage.ask(
            "noor", "POST", path, {"anchor": "infusion", "date": "2026-03-20", "reason": reason}
        )
        assert answer.status_code == 200
        told = stage.ask("noor", "GET", f"/v1/site/participants/{phone.subject_id}/timeline").get_json()
        assert told["anchors"][-1]["reason"] == reason


def counts() -> dict[str, int]:
    """How many rows every table has, but for counters of tries."""
    tables = [t for t in db.Base.metadata.sorted_tables if t.name not in ("rate_counts", "sessions")]
    counted = [sa.select(sa.func.count()).select_from(t).scalar_subquery().label(t.name) for t in tables]
    with db.engine().connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT set_config('epro.reach', 'all', true)"))
        return dict(connection.execute(sa.select(*counted)).mappings().one())


def assert_problem(answer: Any, status: int, code: str, where: Any) -> None:
    """A problem document as RFC 9457 has it, with our fields."""
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json"), (
        where,
        answer.text,
    )
    told = json.loads(answer.data)
    assert (told["status"], told["code"], told["type"]) == (status, code, f"urn:epro:problem:{code}"), (
        where,
        told,
    )
    assert told["title"] and told["detail"]
    assert set(told) <= {"type", "title", "status", "detail", "code", "errors", "request_id", "checks"}
