"""What a tick costs: what is due, or what exists? 1,000 and 100,000 participants, of whom 100 have a diary due.

Participants and six days of occurrences each are written past the rooms (enrolling 100,000 by hand would take
the hour); the tick is the real one. Of five ticks the one that took least counts: on the wall, of our processor time,
and of that of the database's server. The ratio is that of both processor times together.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime, timedelta
from uuid import uuid4

import sqlalchemy as sa
from flask import Flask

from benchmarks.installation import BENCH, STUDY, application, databases, server_seconds
from epro import clock, db, trail, worker
from epro.notifications.senders.recording import RecordingSender
from epro.scheduling.models import Occurrence
from epro.studies.models import Participant
from epro.tx import Tx, begin
from tests.support.owner import as_owner

DUE, DAYS = 100, 6


def main() -> None:
    for kind in sys.argv[1:] or ("postgresql", "sqlite"):
        figures = [_measure(kind, count) for count in (1_000, 100_000)]
        print(f"{kind:<11} ratio {figures[1] / figures[0]:.2f}", flush=True)


def _measure(kind: str, count: int) -> float:
    with databases(kind) as environ:
        app = application(environ)
        with app.app_context():
            _fill(count)
            if kind == "postgresql":  # what its autovacuum does on its own a minute after such a load
                with as_owner(environ) as connection:
                    connection.execute(sa.text("ANALYZE"))
            ticks = [_tick(app, round_) for round_ in range(5)]
            wall, ours, server = (1000 * min(one[n] for one in ticks) for n in range(3))
            print(
                f"{kind:<11} {count:>7,} participants, {count * DAYS:>9,} occurrences, {DUE} due: {wall:,.0f} ms"
                f" a tick; ours {ours:,.0f} ms, the server's {server:,.0f} ms",
                flush=True,
            )
            return ours + server


def _tick(app: Flask, round_: int) -> tuple[float, float, float]:
    """One tick with 100 reminders due: the same hundred participants, another day's diary each round."""
    senders = {"sms": RecordingSender("sms"), "email": RecordingSender("email")}
    hour = _hour(round_)
    served, wall, ours = server_seconds(db.engine()), time.perf_counter(), time.process_time()
    worker.tick(senders, hour)
    wall, ours = time.perf_counter() - wall, time.process_time() - ours
    return wall, ours, server_seconds(db.engine()) - served


def _hour(day: int) -> datetime:
    return clock.now().replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=day + 1)


def _fill(count: int) -> None:
    for first in range(0, count, 2_000):
        with begin(BENCH) as tx:
            _fill_some(tx, range(first, min(first + 2_000, count)))


def _fill_some(tx: Tx, numbers: range) -> None:
    now, head = tx.now, trail.study_chain(tx, STUDY)
    trail.record(tx, head, "benchmark.filled", "participant", f"{numbers.start}-{numbers.stop}")
    tx.insert(
        Participant,
        [
            {
                "study_id": STUDY,
                "subject_id": f"B-{number:06}",
                "site_id": "101",
                "language": "zh-CN",
                "time_zone": "Asia/Shanghai",
                "protocol_version": "1.0",
                "preferences": {},
                "enrolled_at": now,
                "change_no": 0,
                "chain_seq": 0,
                "chain_mac": trail.START,
            }
            for number in numbers
        ],
    )
    rows = [_row(number, day, now) for number in numbers for day in range(DAYS)]
    for first in range(0, len(rows), 10_000):
        tx.insert(Occurrence, rows[first : first + 10_000])


def _row(number: int, day: int, now: datetime) -> dict[str, object]:
    """An evening diary. Only the first hundred participants' reminders come due in the hours that are measured."""
    opens = _hour(day) - timedelta(hours=1)
    looks = _hour(day) - timedelta(minutes=1) if number < DUE else _hour(day) + timedelta(days=200)
    return {
        "study_id": STUDY,
        "id": uuid4(),
        "subject_id": f"B-{number:06}",
        "assessment_id": "diary",
        "key": f"d{day}",
        "anchor": "infusion",
        "study_day": day,
        "protocol_version": "1.0",
        "instrument_code": "fatigue_diary",
        "instrument_version": "1.0",
        "local_day": opens.date(),
        "time_zone": "Asia/Shanghai",
        "tzdata": "measured",
        "opens_at": opens,
        "closes_at": opens + timedelta(hours=6),
        "grace_until": opens + timedelta(hours=18),
        "planned_at": now,
        "attention_at": looks,
        "reminders_done": 0,
        "change_no": day,
    }


if __name__ == "__main__":
    main()
