"""How many `GET /v1/phone/changes` a second: nothing new (the usual call), and everything (a new phone)."""

from __future__ import annotations

import base64
import json
import subprocess
import sys

from benchmarks import load
from benchmarks.installation import Member, application, databases, members, serving

PEOPLE, SECONDS, CONNECTIONS = 200, 8, 16
NOTHING_NEW = base64.urlsafe_b64encode(b"c999999").decode()
PATHS = {"nothing new": f"/v1/phone/changes?since={NOTHING_NEW}", "everything": "/v1/phone/changes"}


def measure(port: int, keys: list[str], path: str) -> load.Load:
    asked = [load.request("GET", path, key) for key in keys]
    return load.run(
        port,
        lambda number: asked[number % len(asked)],
        b'"server_time"',
        seconds=SECONDS,
        connections=CONNECTIONS,
    )


def main() -> None:
    for kind in sys.argv[1:] or ("postgresql", "sqlite"):
        with databases(kind) as environ:
            app = application(environ)
            with app.app_context():
                people = members(PEOPLE)
            with serving(environ) as port:
                for name, path in PATHS.items():
                    print(f"{kind:<11} {name}: {_apart(port, people, path)}", flush=True)


def _apart(port: int, people: list[Member], path: str) -> load.Load:
    told = json.dumps([port, [member.key for member in people], path])
    done = subprocess.run(
        [sys.executable, "-c", CHILD], input=told, capture_output=True, text=True, check=True
    )
    return load.Load(**json.loads(done.stdout))


CHILD = """
import json, sys
from benchmarks.changes import measure
print(json.dumps(measure(*json.load(sys.stdin)).__dict__))
"""

if __name__ == "__main__":
    main()
