"""What one page of a hundred costs at the FHIR door in processor time, on a study with many responses.

python -m benchmarks.fhir [sqlite] [postgresql]
"""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy import event

from benchmarks.installation import BENCH, Member, application, databases, machine_key, members
from epro import db
from epro.questionnaires import library, scoring
from epro.responses import receiving
from epro.responses.models import Response, Score
from epro.studies.models import Participant
from epro.tx import begin

PEOPLE, RESPONSES, PAGES = 100, 20_000, 20
PATHS = (
    "/QuestionnaireResponse?_count=100",
    "/QuestionnaireResponse?_count=100&patient=msc-sle.101-000007",
    "/QuestionnaireResponse?_count=100&_sort=-_lastUpdated",
    "/Observation?_count=100",
    "/Task?_count=100",
    "/Provenance?_count=100",
    "/Questionnaire?_count=100",
)


def main() -> None:
    for kind in sys.argv[1:] or ("sqlite", "postgresql"):
        with databases(kind) as environ:
            app = application(environ)
            with app.app_context():
                key = machine_key()
                _fill(members(PEOPLE))
                asked: list[str] = []
                event.listen(db.engine(), "before_cursor_execute", _into(asked))
                for path in PATHS:
                    _measure(kind, app.test_client(), key, path, asked)


def _into(asked: list[str]) -> Any:
    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        asked.append(statement)

    return note


def _measure(kind: str, client: Any, key: str, path: str, asked: list[str]) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    shown = client.get(f"/fhir/r4{path}", headers=headers).get_json()
    asked.clear()
    client.get(f"/fhir/r4{path}", headers=headers)
    questions = sum("set_config" not in text and not text.startswith("BEGIN") for text in asked)
    began = time.process_time()
    for _ in range(PAGES):
        size = len(client.get(f"/fhir/r4{path}", headers=headers).data)
    spent = (time.process_time() - began) / PAGES
    count = len(shown.get("entry", ()))
    print(
        f"{kind:<11} {path:<62} {count:4} resources {size // 1024:5} KiB {questions:3} questions"
        f" {spent * 1000:7.1f} ms of processor",
        flush=True,
    )


def _fill(people: list[Member]) -> None:
    """One LupusQoL of each person through the intake, and copies of it until there are enough."""
    answers = {item.id: item.codes[number % 5] for number, item in enumerate(_lupusqol().items)}
    for member in people:
        with begin(BENCH) as tx:
            participant = tx.plain(Participant, "msc-sle", member.subject_id, lock=True)
            entry = {
                "id": str(uuid4()),
                "occurrence_id": member.occurrence_id,
                "instrument": {"code": "lupusqol", "version": "1.0"},
                "language": "zh-CN",
                "answers": answers,
                "completed_at": (tx.now - timedelta(minutes=1)).isoformat(),
            }
            receiving.receive(tx, participant, json.loads(json.dumps(entry)), None)
    _copies()


def _copies() -> None:
    with begin(BENCH) as tx:
        rows = [dict(row._mapping) for row in tx.session.execute(sa.select(*Response.__table__.c))]
        scores = [dict(row._mapping) for row in tx.session.execute(sa.select(*Score.__table__.c))]
    for _ in range(RESPONSES // len(rows) - 1):
        new = {row["id"]: uuid4() for row in rows}
        with db.engine().begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text("SELECT set_config('epro.reach', 'all', true)"))
            connection.execute(sa.insert(Response), [row | {"id": new[row["id"]]} for row in rows])
            copied = [score | {"response_id": new[score["response_id"]]} for score in scores]
            connection.execute(sa.insert(Score), copied)


def _lupusqol() -> Any:
    found = library.bundled_instrument("lupusqol")
    assert scoring.plan_of(found)
    return found


if __name__ == "__main__":
    main()
