"""Rows a second and peak memory of every export, on a feed of a million item rows (responses of 34 answers, 8 scores).

Each format runs in a process of its own, so that its memory is its own; processor time is told beside the wall's.
`python -m benchmarks.exports sqlite xpt xlsx` runs these two alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import bulk_feed
from benchmarks.installation import BENCH, STUDY, application, databases
from epro.export import registry
from epro.export.extract import Options
from epro.exporting import making, reading

RUNS = (
    ("csv, long", "csv", Options(extra={"tables": ["long"]})),
    ("csv, all tables", "csv", Options()),
    ("parquet, long", "parquet", Options(extra={"tables": ["long"]})),
    ("ndjson", "dataset-json", Options(extra={"container": "ndjson"})),
    ("dataset-json", "dataset-json", Options()),
    ("dsjc", "dataset-json", Options(extra={"container": "dsjc"})),
    ("odm", "odm", Options()),
    ("fhir", "fhir", Options()),
    ("xpt", "xpt", Options()),
    ("xlsx", "xlsx", Options()),
)


def main() -> None:
    if sys.argv[1:2] == ["one"]:
        _one(int(sys.argv[2]))
        return
    wanted = [word for word in sys.argv[1:] if word not in ("sqlite", "postgresql")]
    for kind in [word for word in sys.argv[1:] if word not in wanted] or ("sqlite",):
        with databases(kind) as environ:
            app = application(environ)
            with app.app_context():
                bulk_feed.fill()
            for number in [n for n, (name, *_) in enumerate(RUNS) if not wanted or name in wanted]:
                subprocess.run(
                    [sys.executable, "-m", "benchmarks.exports", "one", str(number)],
                    env={**os.environ, **environ},
                    check=True,
                )


def _one(number: int) -> None:
    name, format, options = RUNS[number]
    app = application(dict(os.environ))
    with app.app_context(), tempfile.TemporaryDirectory() as folder:
        before = _peak()
        wall, processor = time.perf_counter(), time.process_time()
        point = reading.point(STUDY)
        extract = reading.extract(BENCH, point, unblinded=True)
        made = making.make(BENCH, extract, registry.find(format), options, Path(folder))
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        size = sum(one["bytes"] for one in made.told["files"])
        print(
            f"{name:<16} {made.rows:>9,} rows {size / 1e6:>7.0f} MB: {made.rows / processor:>9,.0f} rows/s of processor"
            f", {made.rows / wall:>9,.0f} rows/s on the wall; peak {_peak():.0f} MiB ({before:.0f} before)",
            flush=True,
        )


def _peak() -> float:
    """MiB. Of this program alone: what `getrusage` says holds what the process that started it had used, too."""
    (line,) = [one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
