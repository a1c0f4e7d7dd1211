"""How many entries of the feed a second reach the trial database: catching up with responses of 34 answers.

Processor time is told apart: ours (read, work out, write), and the trial database's server's. On two idle cores both
work at once, so the slower of the two decides.
"""

from __future__ import annotations

import cProfile
import sys
import time
from contextlib import nullcontext
from typing import Any

from benchmarks import bulk_feed
from benchmarks.installation import application, databases, server_seconds
from epro import worker
from epro.stream import delivering, sequencer

ENTRIES = 20_000


def main() -> None:
    words = [word for word in sys.argv[1:] if word != "profile"]
    for kind in words or ("postgresql", "sqlite"):
        with databases(kind) as environ:
            app = application(environ)
            with app.app_context():
                _catch_up(kind, app.config["EPRO"], profiled="profile" in sys.argv)


def _catch_up(kind: str, settings: dict[str, Any], *, profiled: bool) -> None:
    bulk_feed.fill(ENTRIES, positioned=False)
    (sink,) = worker.sinks_of(settings)
    sink.position("any")  # its tables are there
    before = _spent(sink)
    while sequencer.sequence():
        pass
    between = _spent(sink)
    with cProfile.Profile() if profiled else nullcontext() as profile:
        carried = delivering.deliver(sink)
    after = _spent(sink)
    if profile is not None:
        profile.dump_stats(f"sink-{kind}.prof")
    print(f"{kind}: {carried:,} entries of 34 answers and 8 scores")
    for what, begun, ended in (("positions given", before, between), ("applied", between, after)):
        wall, ours, servers = (late - early for early, late in zip(begun, ended, strict=True))
        rate = f", {carried / servers:,.0f}/s of the server's" if servers else ""
        print(
            f"  {what}: {carried / wall:,.0f}/s on the wall, {carried / ours:,.0f}/s of our processor time{rate}",
            flush=True,
        )


def _spent(sink: Any) -> tuple[float, float, float]:
    return time.perf_counter(), time.process_time(), server_seconds(sink.engine)


if __name__ == "__main__":
    main()
