"""A reminder that she puts off, shows and opens: through the phone's door, the clockwork and the site's timeline."""

from __future__ import annotations

from uuid import uuid4

import pytest
import sqlalchemy as sa

from epro.notifications.models import Message
from epro.scheduling.models import Snooze
from epro.simulation.people import Refused
from epro.tx import look, system
from tests.cast import at

TESTS = system("tests")


def refusal(act) -> tuple[int, dict]:
    with pytest.raises(Refused) as told:
        act()
    return told.value.answer.status, told.value.answer.body


def snooze(cast, phone, when: str, minutes: int, **more):
    with cast.on(when):
        phone.sync()
        (diary,) = [one for one in phone.open_at(at(when)) if one["assessment"] == "evening"]
        path = f"/v1/phone/occurrences/{diary['id']}/snooze"
        return phone.speak("POST", path, {"minutes": minutes, **more})


def known(cast, phone, when: str) -> dict:
    with cast.on(when):
        phone.sync()
    return next(
        o for o in phone.known.values() if (o["assessment"], o["local_day"]) == ("evening", "2026-03-02")
    )


def rows(model):
    with look(TESTS) as tx:
        return tx.all(sa.select(model))


def test_a_reminder_put_off_shown_and_opened(cast):
    with cast.on("2026-03-02T10:00"):
        ada = cast.phone()
    cast.tick(at("2026-03-02T19:01"))
    assert len(cast.sms.taken) == 1

    request_id = str(uuid4())
    first = snooze(cast, ada, "2026-03-02T19:05", 30, request_id=request_id)
    assert (first["until"], first["left"]) == ("2026-03-02T11:35:00+00:00", 1)
    # The reply was lost and the phone asks again, a minute later: nothing more is put off.
    assert snooze(cast, ada, "2026-03-02T19:06", 30, request_id=request_id) == first
    assert len(rows(Snooze)) == 1
    told = known(cast, ada, "2026-03-02T19:07")
    assert told["snoozed_until"] == "2026-03-02T11:35:00+00:00"
    assert [one["at"] for one in told["reminders"]][0] == "2026-03-02T11:35:00+00:00"

    cast.tick(at("2026-03-02T19:34"))
    assert len(cast.sms.taken) == 1
    cast.tick(at("2026-03-02T19:35"))
    cast.tick(at("2026-03-02T19:36"))
    assert len(cast.sms.taken) == 2
    assert cast.sms.taken[0].text != cast.sms.taken[1].text

    second = snooze(cast, ada, "2026-03-02T20:10", 60)  # over the reminder of 21:00
    assert second["left"] == 0
    status, body = refusal(lambda: snooze(cast, ada, "2026-03-02T20:11", 5))
    assert (status, body["code"], body["reason"]) == (409, "cannot_snooze", "no_more")
    cast.tick(at("2026-03-02T21:00"))
    cast.tick(at("2026-03-02T21:10"))
    assert len(cast.sms.taken) == 3  # the planned one made way for the one that she asked for

    last = max(rows(Message), key=lambda row: row.planned_at)
    with cast.on("2026-03-02T21:12"):
        ids = [str(last.id), str(uuid4())]
        confirm = {"notifications": ids, "opened": ids}
        assert ada.speak("POST", "/v1/phone/confirmations", confirm) == {"confirmed": 1, "opened": 1}
        assert ada.speak("POST", "/v1/phone/confirmations", confirm) == {"confirmed": 0, "opened": 0}
        path = f"/v1/site/participants/{ada.subject_id}/timeline"
        line = cast.staff("noor").must("GET", path)
    told = next(one for one in line["messages"] if one["id"] == str(last.id))
    assert told["shown_at"] == told["opened_at"] == "2026-03-02T13:12:00.000000Z"
    assert [one["until"] for one in line["snoozes"]] == [
        "2026-03-02T11:35:00.000000Z",
        "2026-03-02T13:10:00.000000Z",
    ]


def test_what_cannot_be_put_off(cast):
    with cast.on("2026-03-02T10:00"):
        ada, ben = cast.phone(), cast.phone("otto", contact={})
    for when, minutes, reason in (
        ("2026-03-02T19:00", 61, "too_long"),
        ("2026-03-02T23:30", 16, "too_late"),
    ):
        status, body = refusal(lambda when=when, minutes=minutes: snooze(cast, ada, when, minutes))
        assert (status, body["reason"]) == (409, reason)
    diary = known(cast, ada, "2026-03-02T17:00")
    path = f"/v1/phone/occurrences/{diary['id']}/snooze"
    with cast.on("2026-03-02T17:00"):
        assert refusal(lambda: ada.speak("POST", path, {"minutes": 5}))[1]["reason"] == "not_open"
        assert refusal(lambda: ada.speak("POST", path, {"minutes": 0}))[0] == 422
        assert refusal(lambda: ben.speak("POST", path, {"minutes": 5}))[0] == 404
    assert rows(Snooze) == []


def test_her_site_sets_quiet_hours_and_cap_within_what_the_study_allows(cast):
    with cast.on("2026-03-02T10:00"):
        ada, noor = cast.phone(), cast.staff("noor")
        path = f"/v1/site/participants/{ada.subject_id}/message-settings"
        told = noor.must("POST", path, {"daily_cap": 1, "reason": "asked for it on the phone"})
        assert (told["daily_cap"], told["limits"]["most_daily_cap"]) == (1, 8)
        status, body = refusal(
            lambda: noor.must(
                "POST", path, {"quiet_hours": ["10:00", "09:00"], "daily_cap": 9, "reason": "x"}
            )
        )
        assert status == 422
        assert {(one["pointer"], one["code"]) for one in body["errors"]} == {
            ("/quiet_hours", "too_long"),
            ("/daily_cap", "out_of_bounds"),
        }
        assert (
            refusal(lambda: cast.staff("otto").must("POST", path, {"daily_cap": 2, "reason": "x"}))[0] == 404
        )
    cast.tick(at("2026-03-02T19:01"))
    cast.tick(at("2026-03-02T21:01"))
    assert len(cast.sms.taken) == 1
    assert [row.withheld_reason for row in rows(Message) if row.withheld_at] == ["cap_reached"]
    with cast.on("2026-03-02T21:30"):
        assert ada.speak("GET", "/v1/phone/me")["daily_cap"] == 1
        assert ada.change(daily_cap=None)["limits"]["daily_cap"] == 4
