"""From sending an answer until the trial database shows it: gunicorn, `epro worker` and PostgreSQL with real processes.

Answers are sent one after the other, with pauses like phones', and looked for in the trial database every few
milliseconds. `python -m benchmarks.visible 500` sends so many; 300 without a number. Databases may be named by kind.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median, quantiles
from typing import Any

import sqlalchemy as sa

from benchmarks import load
from benchmarks.installation import ROOT, STUDY, application, databases, members, serving
from benchmarks.intake import submission
from epro import worker
from epro.stream.sinks import trial_tables as trial

ANSWERS, PEOPLE, PATIENCE = 300, 50, 60.0


def main() -> None:
    count = next((int(word) for word in sys.argv[1:] if word.isdigit()), ANSWERS)
    for kind in [word for word in sys.argv[1:] if not word.isdigit()] or ("postgresql",):
        with databases(kind) as environ:
            app = application(environ)
            with app.app_context():
                people = members(PEOPLE)
                (sink,) = worker.sinks_of(app.config["EPRO"])
                sink.position("any")  # its tables are there
            with serving(environ) as port, _working(environ):
                taken = [_one(sink.engine, port, people[number % PEOPLE]) for number in range(-5, count)][5:]
        told = quantiles(taken, n=20)
        print(
            f"{kind}: {count} answers of 34 items; sent until visible, on the wall: median {median(taken):.3f} s, "
            f"p95 {told[-1]:.3f} s, most {max(taken):.3f} s; load {os.getloadavg()[0]:.1f}",
            flush=True,
        )


def _one(engine: sa.Engine, port: int, member: Any) -> float:
    """Send one answer; the seconds until its row, and its last score, can be read."""
    time.sleep(random.uniform(0, 0.3))
    body: Any = submission(member)
    wanted = body["responses"][0]["id"]
    request = load.request("POST", "/v1/phone/responses", member.key, body)
    began = time.perf_counter()
    assert b'"stored"' in load.ask(port, request)
    query = sa.select(sa.func.count()).where(
        trial.scores.c.STUDYID == STUDY, trial.scores.c.RESPONSEID == wanted
    )
    while time.perf_counter() - began < PATIENCE:
        with engine.connect() as connection:
            if connection.scalar(query):
                return time.perf_counter() - began
        time.sleep(0.005)
    raise RuntimeError("an answer did not reach the trial database")


@contextmanager
def _working(environ: dict[str, str]) -> Iterator[None]:
    """`epro worker` beside."""
    command = [sys.executable, "-c", "from epro.cli import main; main()", "worker"]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environ}, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
