"""How long a page of the console takes: `python -m benchmarks.console [kind] [participants]`, else 500 and 50,000.

One participant takes part for five weeks through the rooms; her rows are then copied for all the others, in the
database itself. Compliance is counted once, as a worker does. Each page is asked for seven times; the least and the
middle of the wall's time are told.
"""

from __future__ import annotations

import statistics
import sys
import time
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from flask import Flask

from benchmarks.installation import BENCH, STUDY, application, databases
from epro import clock, db, worker
from epro.notifications.models import Message
from epro.notifications.senders.recording import RecordingSender
from epro.scheduling import counted, occurrences
from epro.scheduling.models import Occurrence
from epro.signin import staff
from epro.studies import participants
from epro.studies.models import Participant, Site
from epro.trail.models import Event
from epro.tx import Grant, begin, table_of

SIZES = (500, 50_000)
PASSWORD = "correct horse battery staple"
FIRST = "101-00000"
WEEKS = 5
EVENTS_OF_ONE, MESSAGES_OF_ONE = 20, 10
HERE = {"Sec-Fetch-Site": "same-origin"}
ROLES = {
    "nurse": "101",
    "investigator": "*",
    "data_manager": "*",
    "monitor": "*",
    "study_builder": "*",
    "administrator": "*",
}
PAGES = (
    ("nurse", "/worklist"),
    ("nurse", "/participants"),
    ("nurse", "/participants?q=4242"),
    ("nurse", "/participants?sort=enrolled"),
    ("nurse", "/participants/{subject}"),
    ("nurse", "/compliance"),
    ("investigator", "/participants?page=40"),
    ("investigator", "/compliance"),
    ("monitor", "/trail"),
    ("monitor", "/trail?behind={place}"),
    ("monitor", "/trail?subject={subject}"),
    ("monitor", "/trail?action=participant.enrolled"),
    ("monitor", "/trail?action=anchor.set"),
    ("monitor", "/trail?actor={person}"),
    ("monitor", "/trail/checks"),
    ("monitor", "/compliance?weeks=52"),
    ("data_manager", "/data"),
    ("data_manager", "/exports"),
    ("data_manager", "/held"),
    ("study_builder", "/build"),
    ("administrator", "/staff"),
    ("administrator", "/system"),
)


def main() -> None:
    kinds, sizes = sys.argv[1:2] or ("sqlite", "postgresql"), [int(one) for one in sys.argv[2:3]] or SIZES
    for kind in kinds:
        for count in sizes:
            with databases(kind) as environ:
                app = application(environ)
                with app.app_context():
                    began = time.perf_counter()
                    people = _hire()
                    _one_takes_part()
                    _copied(count - 1)
                    print(f"{kind} {count:,} participants, filled in {time.perf_counter() - began:.0f} s")
                    began = time.process_time()
                    if counted.keep_due():
                        print(
                            f"  the worker counts compliance in {time.process_time() - began:.1f} s of its time"
                        )
                    _measure(app, people)
                    for engine in db.db.engines.values():
                        engine.dispose()


def _hire() -> dict[str, str]:
    made = {}
    for role, site in ROLES.items():
        with begin(BENCH) as tx:
            row, _ = staff.add(
                tx,
                email=f"{role}@example.org",
                name=role.title(),
                password=PASSWORD,
                language="en",
                grants=[Grant(STUDY, site, role)],
            )
            made[role] = str(row.id)
    return made


def _one_takes_part() -> None:
    """Five weeks of somebody who never answers: reminders, misses, alerts."""
    start = clock.now() - timedelta(weeks=WEEKS)
    with clock.moved_to(start), begin(BENCH) as tx:
        site = tx.get(Site, STUDY, "101")
        assert site is not None
        row = participants.enrol(
            tx,
            site,
            subject_id=FIRST,
            language="zh-CN",
            time_zone="Asia/Shanghai",
            protocol_version="1.0",
            anchors={"enrolment": start.date(), "infusion": start.date()},
            contact={"phone": "+8613900000001"},
        )
        occurrences.replan(tx, row, "enrolment")
    senders: Any = {"sms": RecordingSender("sms"), "email": RecordingSender("email")}
    for hours in range(0, WEEKS * 7 * 24, 6):
        worker.tick(senders, start + timedelta(hours=hours))


def _copied(count: int) -> None:
    """Her rows once for each of so many others, who share two sites; some of what was missed is answered by them."""
    with db.engine().connect() as connection:
        sqlite = connection.dialect.name == "sqlite"
        if not sqlite:
            connection.exec_driver_sql("RESET ROLE")
            connection.exec_driver_sql("SET session_replication_role = replica")
        new_id = "lower(hex(randomblob(16)))" if sqlite else "gen_random_uuid()"
        pad = "printf('%05d', n.n)" if sqlite else "lpad(n.n::text, 5, '0')"
        numbers = (
            f"(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {count}) SELECT n FROM s)"
            if sqlite
            else f"(SELECT generate_series(1, {count}) AS n)"
        )
        site = "CASE WHEN n.n % 2 = 0 THEN '101' ELSE '102' END"
        subject = f"{site} || '-' || {pad}"
        own = {"subject_id": subject, "site_id": site}
        missed = "CASE WHEN (n.n + t.study_day) % 5 = 0 THEN"
        at = (  # nobody's acts stand at the same instant as everybody else's
            "substr(t.at, 1, 20) || printf('%06d', n.n * 17 % 1000000)"
            if sqlite
            else "t.at + n.n * interval '17 microseconds'"
        )
        chain = f"'participant/' || {subject}"
        for model, more, limit in (
            (Participant, {"calendar_hash": "NULL"}, 0),
            (
                Occurrence,
                {
                    "id": new_id,
                    "fulfilled_at": f"{missed} NULL ELSE t.missed_at END",
                    "missed_at": f"{missed} t.missed_at ELSE NULL END",
                },
                0,
            ),
            (Message, {"id": new_id, "callback_secret": "t.callback_secret || n.n"}, MESSAGES_OF_ONE),
            (Event, {"id": new_id, "chain": chain, "at": at}, EVENTS_OF_ONE),
        ):
            statement = _statement(model, own | more, numbers, limit)
            connection.exec_driver_sql(statement if sqlite else statement.replace("%", "%%"))
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("ANALYZE")
        if not sqlite:
            connection.exec_driver_sql("COMMIT")


def _statement(model: Any, exprs: dict[str, str], numbers: str, limit: int) -> str:
    table = table_of(model)
    names = [column.name for column in table.columns]
    found = ", ".join(exprs.get(name, f"t.{name}") for name in names)
    where = f"subject_id = '{FIRST}'" + (f" LIMIT {limit}" if limit else "")
    return (
        f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {found}"
        f" FROM {numbers} n CROSS JOIN (SELECT * FROM {table.name} WHERE {where}) t"
    )


def _measure(app: Flask, people: dict[str, str]) -> None:
    browsers = {role: _browser(app, role) for role in ROLES}
    with begin(BENCH) as tx:
        some = tx.one(sa.select(Event).where(Event.study_id == STUDY).order_by(Event.at).offset(30))
        names = {
            "subject": FIRST,
            "person": f"staff:{people['nurse']}",
            "place": f"{some.at.isoformat()}_{some.id}".replace("+", "%2B"),
        }
    for role, path in PAGES:
        took = [_timed(browsers[role], path.format(**names)) for _ in range(7)]
        told = f"{min(took) * 1000:6.0f} ms least, {statistics.median(took) * 1000:6.0f} ms in the middle"
        print(f"  {told}  {role:14} {path}", flush=True)


def _browser(app: Flask, role: str) -> Any:
    client = app.test_client()
    form = {"email": f"{role}@example.org", "password": PASSWORD}
    answer = client.post("/console/sign-in", data=form, headers=HERE, base_url="https://epro.test")
    assert answer.status_code == 303, answer.text
    return client


def _timed(client: Any, path: str) -> float:
    began = time.perf_counter()
    answer = client.get(f"/console/studies/{STUDY}{path}", base_url="https://epro.test")
    took = time.perf_counter() - began
    assert answer.status_code == 200, (path, answer.status_code, answer.text[:500])
    return took


if __name__ == "__main__":
    main()
