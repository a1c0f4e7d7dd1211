"""Rows a second and peak memory of every export, on a feed of a million item rows (responses of 34 answers, 8 scores).

Each format runs in a process of its own, so that its memory is its own; processor time is told beside the wall's.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import orjson
import sqlalchemy as sa

from benchmarks.installation import BENCH, application, databases, members
from benchmarks.intake import submission
from epro.export import registry
from epro.export.extract import Options
from epro.exporting import making, reading
from epro.responses import receiving
from epro.stream import sequencer
from epro.studies.models import Participant
from epro.trail.models import FeedEntry
from epro.tx import begin, look

RESPONSES = 29_412  # of 34 items: a million item rows
STUDY = "msc-sle"
RUNS = (
    ("csv, long", "csv", Options(extra={"tables": ["long"]})),
    ("csv, all tables", "csv", Options()),
    ("parquet, long", "parquet", Options(extra={"tables": ["long"]})),
    ("ndjson", "dataset-json", Options(extra={"container": "ndjson"})),
    ("dataset-json", "dataset-json", Options()),
    ("dsjc", "dataset-json", Options(extra={"container": "dsjc"})),
    ("xpt", "xpt", Options()),
    ("xlsx", "xlsx", Options()),
)


def main() -> None:
    if sys.argv[1:2] == ["one"]:
        _one(int(sys.argv[2]))
        return
    for kind in sys.argv[1:] or ("sqlite",):
        with databases(kind) as environ:
            app = application(environ)
            with app.app_context():
                _fill()
            for number in range(len(RUNS)):
                subprocess.run(
                    [sys.executable, "-m", "benchmarks.exports", "one", str(number)],
                    env={**os.environ, **environ},
                    check=True,
                )


def _one(number: int) -> None:
    name, format, options = RUNS[number]
    app = application(dict(os.environ))
    with app.app_context(), tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        wall, processor = time.perf_counter(), time.process_time()
        point = reading.point(STUDY)
        extract = reading.extract(BENCH, point, unblinded=True)
        made = making.make(BENCH, extract, registry.find(format), options, Path(folder))
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        size = sum(one["bytes"] for one in made.told["files"])
        print(
            f"{name:<16} {made.rows:>9,} rows {size / 1e6:>7.0f} MB: {made.rows / processor:>9,.0f} rows/s of processor"
            f", {made.rows / wall:>9,.0f} rows/s on the wall; peak {peak:.0f} MiB ({before:.0f} before)",
            flush=True,
        )


def _fill() -> None:
    """One response is taken in by the real code; its entry is then written so often, for two hundred participants."""
    people = members(200)
    with begin(BENCH) as tx:
        row = tx.plain(Participant, STUDY, people[0].subject_id, lock=True)
        taken = receiving.receive(tx, row, submission(people[0])["responses"][0], tx.now)  # type: ignore[index]
        assert taken.receipt.outcome == "stored"
    while sequencer.sequence():
        pass
    with look(BENCH) as tx:
        told = orjson.loads(tx.one(sa.select(FeedEntry.body).where(FeedEntry.kind == "response.stored")))
        position = sequencer.last_position(tx, STUDY)
    for first in range(0, RESPONSES, 2_000):
        with begin(BENCH) as tx:
            rows = [
                _row(told, people[number % 200].subject_id, position + 1 + number, tx.now)
                for number in range(first, min(first + 2_000, RESPONSES))
            ]
            tx.insert(FeedEntry, rows)


def _row(told: dict, subject_id: str, position: int, now) -> dict:  # type: ignore[no-untyped-def,type-arg]
    response = told["response"] | {
        "id": str(UUID(int=position)),
        "occurrence_id": str(UUID(int=position + 10**9)),
        "answers": {
            item: (position * 7 + place) % 5 for place, item in enumerate(sorted(told["response"]["answers"]))
        },
        "received_at": (now + timedelta(seconds=position)).isoformat(),
    }
    event = UUID(int=position + 10**10)
    content = told | {"subject_id": subject_id, "event_id": str(event), "response": response}
    return {
        "study_id": STUDY,
        "event_id": event,
        "subject_id": subject_id,
        "site_id": told["site"],
        "kind": "response.stored",
        "at": now,
        "body": orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode(),
        "position": position,
        "positioned_at": now,
    }


if __name__ == "__main__":
    main()
