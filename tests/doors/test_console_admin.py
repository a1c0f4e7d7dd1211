"""The administrator's day: people are invited, given roles, looked after; keys are made and ended; no secret is told.

Requirement G30; threats S3 (across studies), S20 (an administrator who helps herself).
"""

from __future__ import annotations

import re
from uuid import UUID

import pytest

from epro import worker
from epro.signin import accounts, machine_keys, staff
from epro.tx import Actor, Grant, begin, look, system
from tests.cast import STUDY
from tests.doors.scene import OTHER, hire
from tests.doors.test_console_pages import ROOT, browser


@pytest.fixture(scope="module")
def alma(stage):
    return browser(stage, "alma")


def do(who, path, **form):
    return who.do(f"{ROOT}/{path}", on=f"{ROOT}/staff", **form)


def grants_of(staff_id: str) -> set[tuple[str, str]]:
    with look(system("tests")) as tx:
        return {(one.role, one.site_id) for one in staff.grants_of(tx, UUID(staff_id))}


def test_somebody_is_invited_given_a_role_and_looked_after(stage, alma):
    with stage.today():
        made = do(
            alma, "staff", name="Nell", email="nell@example.org", role="nurse", site="01", language="en"
        )
        assert made.status_code == 303, made.text
        path = made.headers["Location"].removeprefix(f"{ROOT}/")
        nell = path.removeprefix("staff/")
        assert "invited" in alma.get(f"{ROOT}/{path}").text and "Nell" in alma.get(f"{ROOT}/staff").text
        for act, form in (
            ("roles", {"role": "investigator", "site": "02"}),
            ("roles/back", {"role": "nurse", "site": "01", "reason": "moved"}),
            ("link", {}),
            ("sessions/end", {"reason": "lost her laptop"}),
        ):
            answer = do(alma, f"{path}/{act}", **form)
            assert (answer.status_code, answer.headers.get("Location")) == (303, f"{ROOT}/{path}"), (
                answer.text
            )
        assert grants_of(nell) == {("investigator", "02")}
        assert do(alma, f"{path}/close", reason="left").status_code == 303
        assert "closed" in alma.get(f"{ROOT}/{path}").text
        assert do(alma, "staff", name="X", email="no address", role="nurse").status_code == 422


def test_sessions_of_another_are_seen_and_ended(stage, alma):
    noor = browser(stage, "noor")
    path = f"staff/{stage.cast.ids['noor']}"
    with stage.today():
        told = alma.get(f"{ROOT}/{path}").text
        ends = re.findall(r'action="([^"]+/sessions/[0-9a-f-]{36}/end)"', told)
        assert ends and noor.get(f"{ROOT}/worklist").status_code == 200
        for end in ends:
            assert do(alma, end.removeprefix(f"{ROOT}/")).status_code == 303
        assert noor.get(f"{ROOT}/worklist").status_code == 303


def test_nobody_helps_herself_and_elsewhere_is_nobody(stage, alma):
    with stage.today():
        hire("ella", Grant(OTHER, "*", "administrator"))
        me = f"staff/{stage.cast.ids['alma']}"
        assert do(alma, f"{me}/roles", role="investigator").status_code == 403
        for name in ("dora", "nils"):
            path = f"staff/{stage.ids[name]}"
            assert alma.get(f"{ROOT}/{path}").status_code == 404
            assert do(alma, f"{path}/close", reason="none").status_code == 404
        assert "Dora" not in alma.get(f"{ROOT}/staff").text
    assert browser(stage, "dora")


def test_grave_acts_ask_who_she_is_when_that_is_long_ago(stage, alma):
    noor = f"staff/{stage.cast.ids['noor']}"
    with stage.today(minutes=6):
        for path, form in (
            ("staff", {"name": "N", "email": "n@example.org", "role": "nurse"}),
            (f"{noor}/roles", {"role": "investigator", "site": "01"}),
            ("keys", {"name": "lake", "role": "machine", "days": "10"}),
        ):
            assert do(alma, path, **form).headers["Location"].startswith("/console/account/proof?next="), path


def test_a_key_is_shown_once_opens_the_feed_and_is_ended(stage, alma):
    with stage.today():
        made = do(alma, "keys", name="lake", role="machine", days="10")
        key = re.search(r"epk_[0-9a-f]{32}_[\w-]+", made.text)[0]
        assert key not in alma.get(f"{ROOT}/keys").text
        assert stage.send("GET", "/v1/sponsor/feed", key).status_code == 200
        key_id = key.split("_")[1]
        path = f"keys/{key_id[:8]}-{key_id[8:12]}-{key_id[12:16]}-{key_id[16:20]}-{key_id[20:]}/revoke"
        assert do(alma, path, reason="the lake is dry").status_code == 303
        assert stage.send("GET", "/v1/sponsor/feed", key).status_code == 401
        assert do(alma, "keys", name="lake", role="nurse", days="10").status_code == 422
        with look(Actor("staff", "ella", grants=(Grant(OTHER, "*", "administrator"),))) as tx:
            (other,) = accounts.keys_of(tx, OTHER)
        assert do(alma, f"keys/{other.id}/revoke", reason="none").status_code == 404


def test_a_key_comes_from_its_networks_and_from_nowhere_else(stage, alma):
    def feed(address: str) -> int:
        told = stage.send("GET", "/v1/sponsor/feed", key, environ_base={"REMOTE_ADDR": address})
        assert told.status_code == 200 or told.get_json()["code"] == "key_from_elsewhere"
        return told.status_code

    with stage.today():
        made = do(
            alma, "keys", name="bay", role="machine", days="20", sources="203.0.113.0/24\n2001:db8:1::/48"
        )
        key = re.search(r"epk_[0-9a-f]{32}_[\w-]+", made.text)[0]
        assert [feed(one) for one in ("203.0.113.5", "2001:db8:1::5", "::ffff:203.0.113.5")] == [200] * 3
        assert [feed(one) for one in ("198.51.100.5", "2001:db8:2::5", "203.0.112.255")] == [403] * 3
        assert stage.send("GET", "/v1/sponsor/feed", key[:-1] + "~").status_code == 401
        told = alma.get(f"{ROOT}/keys").text
        assert "203.0.113.0/24" in told and "came from elsewhere" in told and "runs out 2026-03-24" in told
        assert "runs out 2026-03-24" in alma.get(f"{ROOT}/system").text
        path = f"keys/{UUID(key.split('_')[1])}/sources"
        assert do(alma, path, sources="198.51.100.0/24", reason="it moved").status_code == 303
        assert (feed("198.51.100.5"), feed("203.0.113.5")) == (200, 403)
        assert do(alma, path, reason="it moves about").status_code == 303
        assert feed("192.0.2.1") == 200
        for wrong in ("10.0.0.1/8", "::/0", "everywhere"):
            assert do(alma, path, sources=wrong, reason="none").status_code == 422
        assert "from anywhere" in alma.get(f"{ROOT}/keys").text


def test_every_door_of_machines_asks_where_they_come_from(stage):
    with stage.today(), begin(system("tests")) as tx:
        lake = machine_keys.add(tx, STUDY, "far lake", 30, sources=["203.0.113.0/24"])[1]
        edc = machine_keys.add(tx, STUDY, "far EDC", 30, "edc", ["203.0.113.0/24"])[1]
    for path, headers in (
        ("/v1/sponsor/feed", {"Authorization": f"Bearer {lake}"}),
        ("/fhir/r4/Patient", {"Authorization": f"Bearer {lake}"}),
        ("/cdisc/dataset-json/studies", {"api-key": lake}),
        ("/v1/edc/anchors", {"Authorization": f"Bearer {edc}"}),
    ):
        method = "POST" if "edc" in path else "GET"
        answer = stage.send(method, path, headers=headers)
        assert answer.status_code == 403 and "key_from_elsewhere" in answer.text, (path, answer.text)
        there = stage.send(method, path, headers=headers, environ_base={"REMOTE_ADDR": "203.0.113.1"})
        assert "key_from_elsewhere" not in there.text and there.status_code not in (401, 403), path


def test_sites_tell_who_works_there(stage, alma):
    with stage.today():
        told = alma.get(f"{ROOT}/sites").text
    assert "Noor" in told and "Otto" in told and "Asia/Shanghai" in told and "Nils" not in told


def test_the_installation_is_told_without_any_secret(stage, alma):
    settings = {name: value for name, value in stage.cast.app.config["EPRO"].items() if value}
    with stage.today():
        before = alma.get(f"{ROOT}/system").text
        worker.beat("here:1")
        told = alma.get(f"{ROOT}/system").text
    assert "No worker lives" in before and "No worker lives" not in told and "here:1" in told
    assert "EPRO_SECOND_FACTOR is not required" in told
    for name in ("SECRET_KEY", "TWILIO_AUTH_TOKEN", "DATABASE_URL", "METRICS_TOKEN"):
        assert settings[name] not in told and f"EPRO_{name}" in told
