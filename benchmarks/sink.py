"""How many entries of the feed a second reach the trial database: catching up with responses of 34 answers."""

from __future__ import annotations

import cProfile
import sys
import time
from contextlib import nullcontext

from benchmarks import bulk_feed
from benchmarks.installation import application, databases
from epro import worker
from epro.stream import delivering, sequencer

ENTRIES = 20_000


def main() -> None:
    words = [word for word in sys.argv[1:] if word != "profile"]
    for kind in words or ("postgresql", "sqlite"):
        with databases(kind) as environ:
            app = application(environ)
            with app.app_context():
                bulk_feed.fill(ENTRIES, positioned=False)
                (sink,) = worker.sinks_of(app.config["EPRO"])
                began, used = time.perf_counter(), time.process_time()
                while sequencer.sequence():
                    pass
                positioned, between = time.perf_counter(), time.process_time()
                with cProfile.Profile() if "profile" in sys.argv else nullcontext() as profile:
                    carried = delivering.deliver(sink)
                done, whole = time.perf_counter(), time.process_time()
                print(
                    f"{kind:<11} {carried:,} entries of 34 answers and 8 scores: positions "
                    f"{carried / (positioned - began):,.0f}/s ({carried / (between - used):,.0f} of ours), applied "
                    f"{carried / (done - positioned):,.0f}/s ({carried / (whole - between):,.0f} of ours)",
                    flush=True,
                )
                if profile:
                    profile.dump_stats(f"sink-{kind}.prof")


if __name__ == "__main__":
    main()
