"""How many submissions a second: the full intake path with 34 answers, over HTTP, on both databases.

Full path: token and session checked, JSON checked, participant locked, compared, checked, scored (8 scales),
response, scores, occurrence, trail entry and feed entry written in one durable transaction, receipt signed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from uuid import uuid4

from benchmarks import load
from benchmarks.installation import Member, application, databases, members, serving
from epro import clock

ANSWERS = {f"lq{number:02}": number % 5 for number in range(1, 35)}
PEOPLE, SECONDS, CONNECTIONS = 400, 12, 16


def submission(member: Member) -> dict[str, object]:
    now = clock.now()
    return {
        "sent_at": now.isoformat(),
        "responses": [
            {
                "id": str(uuid4()),
                "occurrence_id": member.occurrence_id,
                "language": "zh-CN",
                "instrument": {"code": "lupusqol", "version": "1.0"},
                "answers": ANSWERS,
                "started_at": (now - timedelta(minutes=5)).isoformat(),
                "completed_at": now.isoformat(),
                "time_zone": "Asia/Shanghai",
            }
        ],
    }


def measure(port: int, people: list[Member], rate: float | None = None) -> load.Load:
    def make(number: int) -> bytes:
        member = people[number % len(people)]
        return load.request("POST", "/v1/phone/responses", member.key, submission(member))

    return load.run(port, make, b'"stored"', seconds=SECONDS, connections=CONNECTIONS, per_second=rate)


def main() -> None:
    for kind in sys.argv[1:] or ("postgresql", "sqlite"):
        with databases(kind) as environ:
            app = application(environ)
            with app.app_context():
                people = members(PEOPLE)
            with serving(environ) as port:
                full = _apart(port, people, None)
                half = _apart(port, people, full.per_second / 2)
            print(f"{kind:<11} full load: {full}")
            print(f"{kind:<11} half load: {half}", flush=True)


def _apart(port: int, people: list[Member], rate: float | None) -> load.Load:
    """The load comes from a process of its own, so that it shares no interpreter with anything measured."""
    told = json.dumps([port, [[m.subject_id, m.key, m.occurrence_id] for m in people], rate])
    done = subprocess.run(
        [sys.executable, "-c", CHILD], input=told, capture_output=True, text=True, check=True
    )
    return load.Load(**json.loads(done.stdout))


CHILD = """
import json, sys
from benchmarks.intake import measure
from benchmarks.installation import Member
port, people, rate = json.load(sys.stdin)
print(json.dumps(measure(port, [Member(*one) for one in people], rate).__dict__))
"""

if __name__ == "__main__":
    main()
