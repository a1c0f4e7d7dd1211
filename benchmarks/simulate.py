"""How long a rehearsal of the example study takes, and how much memory: `python -m benchmarks.simulate [N DAYS]`."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from epro import clock, worker
from epro.cli.study import known_instruments
from epro.scheduling.reading import read
from epro.simulation import invariants, parts

STUDY = Path("studies/msc-sle.yaml")
PARTICIPANTS, DAYS, SEED = 200, 365, 1


def main() -> None:
    participants, days = map(int, sys.argv[1:3] or (PARTICIPANTS, DAYS))
    text = STUDY.read_text(encoding="utf-8")
    protocol, faults = read(text, known_instruments())
    assert protocol is not None, faults
    asked = parts.Asked(participants, days, SEED)
    began = clock.monotonic()
    outcome = parts.rehearse(protocol, text, asked, worker.attend, worker.send, lambda more: None)
    took = clock.monotonic() - began
    answers, calls = sum(outcome.tally.answers.values()), sum(outcome.tally.calls.values())
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = used.ru_utime + used.ru_stime
    print(f"{participants} participants, {days} days: {took:.0f} s, {processor:.0f} s of processors")
    print(
        f"{answers} answers, {calls} messages, {1000 * processor / (answers + calls):.1f} ms for each of them"
    )
    print(f"largest process {used.ru_maxrss / 1024:.0f} MiB; broken: {_broken(outcome.results)}")


def _broken(results: list[invariants.Result]) -> str:
    return ", ".join(result.id for result in results if result.broken) or "nothing"


if __name__ == "__main__":
    main()
