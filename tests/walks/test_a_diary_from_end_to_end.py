"""A day in the life: enrolled, activated, answered offline, uploaded twice, scored, in the trial database;
then a diary missed, told to the nurse, taken in hand; and a late sync that clears the next one."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from epro.stream.sinks import trial_tables as trial
from tests.cast import at


def test_a_diary_from_end_to_end(cast):
    with cast.on("2026-03-02T10:00"):
        ada = cast.phone()
        assert [o["assessment"] for o in ada.sync()][:2] == ["evening", "evening"]

    evening = at("2026-03-02T20:00")
    with cast.on("2026-03-03T00:30"):  # she answered at eight, without network
        diary = ada.open_at(evening)[0]
        ada.answer(diary, {"worst_fatigue": 7}, evening, evening + timedelta(minutes=1))
        sent = list(ada.unsent)
        first = ada.upload(at("2026-03-03T00:30"))
        ada.unsent = sent
        again = ada.upload(at("2026-03-03T00:30"))
    assert [first[0]["outcome"], again[0]["outcome"]] == ["stored", "already_stored"]
    same = ("digest", "received_at", "signature", "id")
    assert [first[0][name] for name in same] == [again[0][name] for name in same]

    assert cast.relay() > 0
    with cast.sinks[0].engine.connect() as connection:
        rows = connection.execute(sa.select(trial.scores.c.SCALE, trial.scores.c.QSSTRESN)).all()
    assert rows == [("worst_fatigue", 7.0)]

    cast.tick(at("2026-03-03T19:30"))
    assert len(cast.sms.taken) == 1
    cast.tick(at("2026-03-04T06:30"))  # closed at midnight, six hours of grace
    with cast.on("2026-03-04T06:40"):
        noor = cast.staff("noor")
        (alert,) = noor.worklist()
        assert (alert["subject_id"], alert["kind"], alert["standing"]) == (ada.subject_id, "missed", True)
        noor.acknowledge(alert["id"])
        noor.resolve(alert["id"], "reached", "she was travelling")
        assert noor.worklist() == []
        assert (
            cast.staff("otto").call("POST", f"/v1/site/alerts/{alert['id']}/acknowledgement", {}).status
            == 404
        )
    to_nurse = [message for message in cast.sms.taken if message.to == "+8613800000001"]
    assert len(to_nurse) == 1

    cast.tick(at("2026-03-05T07:00"))  # the diary of the fourth is missed as well
    with cast.on("2026-03-05T08:00"):
        ada.sync()
        assert len(cast.staff("noor").worklist()) == 1
        of_fourth = next(
            o for o in ada.known.values() if o["local_day"] == "2026-03-04" and o["assessment"] == "evening"
        )
        ada.answer(of_fourth, {"worst_fatigue": 3}, at("2026-03-04T21:00"), at("2026-03-04T21:01"))
        (receipt,) = ada.upload(at("2026-03-05T08:00"))
        assert (receipt["outcome"], [f["code"] for f in receipt["findings"]]) == ("stored", ["late_sync"])
        assert cast.staff("noor").worklist() == []
        story = cast.staff("noor").timeline(ada.subject_id)
    assert [a["cleared_why"] for a in story["alerts"]] == [None, "completed_offline_in_time"]
