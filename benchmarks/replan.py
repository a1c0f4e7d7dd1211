"""How long a new plan takes: one participant (preview and act), days that come in for everybody, and a whole study that
goes over to another version.

Wanted: one participant in under 50 ms, 1,000 in under 20 s. Call: `python -m benchmarks.replan [PEOPLE] [KIND …]`. Each
figure is told on the wall, and as processor time of this process and of the database's server (in brackets, in this
order). A file has no server.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from statistics import median, quantiles

from benchmarks.installation import BENCH, ROOT, application, databases, server_seconds
from epro import clock, db
from epro.cli.study import known_instruments
from epro.scheduling import amending, incoming, occurrences, protocols, replanning
from epro.scheduling.incoming import Given
from epro.scheduling.protocol import Protocol
from epro.scheduling.reading import read
from epro.scheduling.replanning import Wish
from epro.studies import participants
from epro.studies.models import Participant, Site
from epro.tx import Tx, begin, system

PEOPLE, SINGLE, WARM = 1000, 100, 10
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


@dataclass
class Took:
    """Seconds on the wall, of our processor time, and of the database server's."""

    wall: float
    ours: float
    server: float = 0.0

    def each(self, count: int) -> str:
        per = 1000 / count
        return f"{self.wall * per:.1f} ms ({self.ours * per:.1f}, {self.server * per:.1f})"


def _now(server: bool = True) -> Took:
    return Took(time.perf_counter(), time.process_time(), server_seconds(db.engine()) if server else 0.0)


def _since(began: Took, server: bool = True) -> Took:
    now = _now(server)
    return Took(now.wall - began.wall, now.ours - began.ours, now.server - began.server)


def one_by_one(ids: list[str]) -> list[Took]:
    """Seconds of moving an anchor, each with its preview and in an act of its own."""
    taken = []
    for number, subject_id in enumerate(ids):
        day = clock.now().date() + timedelta(days=1 + number % 5)
        began = _now(server=False)
        with begin(BENCH) as tx:
            she = tx.get(Participant, "arms", subject_id, lock=True)
            assert she is not None
            wish = Wish(anchor=("enrolment", day))
            replanning.preview(tx, she, wish)
            replanning.carry_out(tx, she, wish, "measured")
        taken.append(_since(began, server=False))
    return taken


def taken_in(ids: list[str]) -> Took:
    """Seconds of taking in a first dose for everybody, each in an act of its own, as `epro anchors import` does."""
    day, importer = clock.now().date() + timedelta(days=2), system(incoming.IMPORT.removeprefix("system:"))
    began = _now()
    for subject_id in ids:
        with begin(importer) as tx:
            taken = incoming.take(tx, "arms", Given(subject_id, "infusion", day, "measured"))
            assert taken.outcome == incoming.SET, taken
    return _since(began)


def whole_study(protocol: Protocol) -> tuple[Took, Took]:
    """Seconds of the dry run, and of the clockwork moving everybody."""
    began = _now()
    with begin(BENCH) as tx:
        assert sum(1 for _ in amending.dry_run(tx, protocol))
        dry = _since(began)
        amending.amend(tx, protocol, "measured")
        amending.approve(tx, "arms", protocol.version, "01", clock.now().date() - timedelta(days=1))
    began, more = _now(), True
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
            one_by_one(ids[:WARM])
            began = _now()
            single = one_by_one(ids[:SINGLE])
            all_single = _since(began)
            imported = taken_in(ids)
            dry, moving = whole_study(amended())
        wall, ours = [1000 * one.wall for one in single], [1000 * one.ours for one in single]
        print(
            f"{kind:<11} one participant: {median(wall):.1f} ms, 95 % under {quantiles(wall, n=20)[-1]:.1f} ms; ours"
            f" {median(ours):.1f} ms, 95 % under {quantiles(ours, n=20)[-1]:.1f} ms; the server's"
            f" {1000 * all_single.server / len(single):.1f} ms (preview and act)"
        )
        for what, took in (("days taken in", imported), ("dry run", dry), ("moved", moving)):
            print(f"{kind:<11} {people} {what}: {took.wall:.1f} s, each {took.each(people)}", flush=True)


if __name__ == "__main__":
    main()
