"""How long a new plan takes: one participant (preview and act), and a whole study that goes over to another version.

Wanted: one participant in under 50 ms, 1,000 in under 20 s. Call: `python -m benchmarks.replan [PEOPLE] [KIND …]`. Each
figure is told on the wall and, in brackets, as this process's own processor time.
"""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from statistics import median, quantiles

from benchmarks.installation import BENCH, ROOT, application, databases
from epro import clock
from epro.cli.study import known_instruments
from epro.scheduling import amending, occurrences, protocols, replanning
from epro.scheduling.protocol import Protocol
from epro.scheduling.reading import read
from epro.scheduling.replanning import Wish
from epro.studies import participants
from epro.studies.models import Participant, Site
from epro.tx import Tx, begin

PEOPLE, SINGLE = 1000, 100
STUDY_FILE = ROOT / "tests" / "studies" / "two_arms.yaml"


def enrolled(people: int) -> list[str]:
    """Their subject ids; each has her plan."""
    text = STUDY_FILE.read_text(encoding="utf-8")
    protocol, faults = read(text, known_instruments())
    assert protocol is not None, faults
    with begin(BENCH) as tx:
        protocols.publish(tx, protocol, text)
    ids = [f"01-{number:06}" for number in range(people)]
    for subject_id in ids:
        with begin(BENCH) as tx:
            occurrences.replan(tx, _enrol(tx, protocol, subject_id), "enrolment")
    return ids


def _enrol(tx: Tx, protocol: Protocol, subject_id: str) -> Participant:
    site = tx.get(Site, protocol.study_id, "01")
    assert site is not None
    return participants.enrol(
        tx, site, subject_id=subject_id, language="en", time_zone="Asia/Shanghai", contact={}, arm="active",
        protocol_version=protocol.version, anchors={"enrolment": clock.now().date()},
    )  # fmt: skip


Took = tuple[float, float]  # on the wall, and of our processor time


def _clocks() -> Took:
    return time.perf_counter(), time.process_time()


def _since(began: Took) -> Took:
    wall, processor = _clocks()
    return wall - began[0], processor - began[1]


def one_by_one(ids: list[str]) -> list[Took]:
    """Seconds of moving an anchor, each with its preview and in an act of its own."""
    taken = []
    for number, subject_id in enumerate(ids):
        day = clock.now().date() + timedelta(days=1 + number % 5)
        began = _clocks()
        with begin(BENCH) as tx:
            she = tx.get(Participant, "arms", subject_id, lock=True)
            assert she is not None
            wish = Wish(anchor=("enrolment", day))
            replanning.preview(tx, she, wish)
            replanning.carry_out(tx, she, wish, "measured")
        taken.append(_since(began))
    return taken


def whole_study(protocol: Protocol) -> tuple[Took, Took]:
    """Seconds of the dry run, and of the clockwork moving everybody."""
    began = _clocks()
    with begin(BENCH) as tx:
        assert sum(1 for _ in amending.dry_run(tx, protocol))
        dry = _since(began)
        amending.amend(tx, protocol, "measured")
        amending.approve(tx, "arms", protocol.version, "01", clock.now().date() - timedelta(days=1))
    began, more = _clocks(), True
    while more:
        with begin(BENCH) as tx:
            more = occurrences.extend_due(tx, 50) == 50
    return dry, _since(began)


def amended() -> Protocol:
    """Every evening an hour earlier: whatever lies ahead moves."""
    text = STUDY_FILE.read_text(encoding="utf-8").replace('version: "1.0"\n', 'version: "2.0"\n', 1)
    text = text.replace('opens: "18:00", closes: "24:00"', 'opens: "17:00", closes: "23:00"')
    protocol, faults = read(text, known_instruments())
    assert protocol is not None, faults
    return protocol


def main() -> None:
    people = int(sys.argv[1]) if len(sys.argv) > 1 else PEOPLE
    for kind in sys.argv[2:] or ("postgresql", "sqlite"):
        with databases(kind) as environ, application(environ).app_context():
            ids = enrolled(people)
            single = one_by_one(ids[:SINGLE])
            dry, moving = whole_study(amended())
        wall, processor = ([1000 * one[n] for one in single] for n in (0, 1))
        print(
            f"{kind:<11} one participant: {median(wall):.1f} ms ({median(processor):.1f}), 95 % under"
            f" {quantiles(wall, n=20)[-1]:.1f} ms ({quantiles(processor, n=20)[-1]:.1f}) (preview and act)"
        )
        print(
            f"{kind:<11} {people} participants: dry run {dry[0]:.1f} s ({dry[1]:.1f}), moved {moving[0]:.1f} s"
            f" ({moving[1]:.1f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
