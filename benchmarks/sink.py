"""How many entries of the feed a second reach the trial database: catching up with 34-answer responses."""

from __future__ import annotations

import sys
import time

from benchmarks.installation import BENCH, application, databases, members
from benchmarks.intake import submission
from epro import worker
from epro.responses import receiving
from epro.stream import delivering, sequencer
from epro.studies.models import Participant
from epro.tx import begin

ENTRIES = 5_000


def main() -> None:
    for kind in sys.argv[1:] or ("postgresql", "sqlite"):
        with databases(kind) as environ:
            app = application(environ)
            with app.app_context():
                _take_in(ENTRIES)
                (sink,) = worker.sinks_of(app.config["EPRO"])
                began = time.perf_counter()
                while sequencer.sequence():
                    pass
                positioned = time.perf_counter()
                carried = delivering.deliver(sink)
                done = time.perf_counter()
                print(
                    f"{kind:<11} {carried:,} entries of 34 answers and 8 scores: positions "
                    f"{carried / (positioned - began):,.0f}/s, applied {carried / (done - positioned):,.0f}/s",
                    flush=True,
                )


def _take_in(count: int) -> None:
    people = members(50)
    for number in range(0, count, 100):
        with begin(BENCH) as tx:
            for extra in range(100):
                member = people[(number + extra) % len(people)]
                row = tx.plain(Participant, "msc-sle", member.subject_id, lock=True)
                taken = receiving.receive(tx, row, submission(member)["responses"][0], tx.now)  # type: ignore[index]
                assert taken.receipt.outcome == "stored"


if __name__ == "__main__":
    main()
