"""Two people correct the same response at the same moment; and what a correction sets off beyond its own scores.

CO-08  Of two who read the same state one corrects it, the other is told to read again; nothing is lost or doubled.
CO-09  A corrected day scores its week again; a corrected baseline raises the alerts on later answers.
"""

from __future__ import annotations

import os
from threading import Barrier, Thread
from uuid import UUID

from epro.notifications import corrections
from epro.responses import correcting
from epro.responses.correcting import NotCurrent
from epro.responses.models import Response
from epro.tx import Actor, Grant, begin
from tests.cast import STUDY, at
from tests.rooms import test_weeks as weekly
from tests.rooms.test_alerts_on_answers import ada as patient  # noqa: F401
from tests.rooms.test_alerts_on_answers import alerts, answer, tired
from tests.rooms.test_corrections import ada, amend, entry, on_sqlite, rows, upload  # noqa: F401
from tests.rooms.test_weeks import ada as diarist  # noqa: F401

ROUNDS = int(os.environ.get("EPRO_TEST_ROUNDS", "12"))  # 200 where the race itself is the question


# CO-08.


def test_of_two_who_read_the_same_one_corrects_it(cast, ada):  # noqa: F811
    sent = entry(ada)
    upload(ada, sent)
    people = [_investigator(cast.ids["ines"]), _investigator("another")]
    for number in range(ROUNDS):
        done = _at_once(cast, people, UUID(sent["id"]), number)
        assert sorted(done) == ["corrected", "not_current"], (number, done)
    found = sorted(rows(Response), key=lambda row: row.amendment_no or 0)
    assert [row.amendment_no for row in found] == [None, *range(1, ROUNDS + 1)]


def _at_once(cast, people: list[Actor], response_id: UUID, number: int) -> list[str]:
    start, done = Barrier(len(people)), []

    def correct(person: Actor, code: int) -> None:
        wish = correcting.Wish({"worst_fatigue": code}, "she said so", "participant", follows=number)
        with cast.app.app_context():
            start.wait()
            try:
                with begin(person) as tx:
                    corrections.correct(tx, response_id, wish)
                done.append("corrected")
            except NotCurrent as refused:
                done.append(refused.code)

    first = (6 + 2 * number) % 10
    threads = [Thread(target=correct, args=(one, (first + 1 + n) % 11)) for n, one in enumerate(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done


def _investigator(name: str) -> Actor:
    return Actor("staff", name, grants=(Grant(STUDY, "01", "investigator"),))


# CO-09.


@on_sqlite
def test_a_corrected_day_scores_its_week_again(cast, diarist):  # noqa: F811
    weekly.answer(cast, diarist, dict.fromkeys(range(2, 9), 4))
    cast.tick(at("2026-03-09T06:00"))
    before = weekly.rows()
    assert before == weekly.run(1, 1, 7, 4.0, 4.0)
    (first, *_) = sorted(rows(Response), key=lambda row: row.local_day)
    made = amend(cast, first.id, "ivo", when=at("2026-03-09T10:00"), answers={"worst_fatigue": 11 - 4})
    assert made.status == 200, made.body
    cast.tick(at("2026-03-09T10:01"))
    assert {row for row in weekly.rows() if row[1] == 2} == set(weekly.run(1, 2, 7, 31 / 7, 7.0))


@on_sqlite
def test_a_corrected_baseline_raises_the_alert_on_a_later_answer(cast, patient):  # noqa: F811
    (baseline,) = answer(cast, patient, "2026-03-02", "tired", tired(2))
    answer(cast, patient, "2026-03-09", "tired", tired(2))
    assert alerts() == []
    better = tired(0)
    made = amend(cast, baseline["id"], "ivo", when=at("2026-03-09T14:00"), answers=better)
    assert made.status == 200, made.body
    (alert,) = alerts()
    assert alert.why["rule"] == "much-worse" and alert.why["correction"] == made.body["id"]
    assert str(alert.occurrence_id) != baseline["id"] and alert.why["local_day"] == "2026-03-09"
