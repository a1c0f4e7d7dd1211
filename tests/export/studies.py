"""Studies made up for tests of exports: plain entries of a feed, no database. Every kind of answer is in them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from epro.cli.study import known_instruments
from epro.export.extract import CutPoint, Extract
from epro.export.records import fold
from epro.questionnaires.instrument import Instrument, parse
from epro.questionnaires.library import bundled_instrument
from epro.questionnaires.scoring import score
from epro.scheduling.protocol import Protocol
from epro.scheduling.reading import read

ROOT = Path(__file__).parents[2]
AT = datetime(2026, 5, 1, 8, 0, tzinfo=UTC)
LONG_REASON = "she read the question as being about last year, not last week"


def protocol() -> Protocol:
    """The example study."""
    text = (ROOT / "studies" / "msc-sle.yaml").read_text(encoding="utf-8")
    found, faults = read(text, known_instruments())
    assert found is not None, faults
    return found


class Feed:
    """Entries as the feed tells them, at positions from 1 on."""

    def __init__(self, study: Protocol | None = None):
        self.protocol = study or protocol()
        self.entries: list[dict[str, Any]] = []

    def add(self, subject: str, kind: str, **content: Any) -> dict[str, Any]:
        position = len(self.entries) + 1
        entry = {
            "position": position,
            "event_id": f"00000000-0000-4000-8000-{position:012}",
            "kind": kind,
            "at": f"2026-04-{1 + position % 28:02}T10:00:00.000000Z",
            "study": self.protocol.study_id,
            "site": subject.partition("-")[0],
            "subject_id": subject,
            **content,
        }
        self.entries.append(entry)
        return entry

    def enrolled(self, subject: str) -> None:
        told = {
            "enrolled_at": "2026-03-30T01:00:00.000000Z",
            "protocol_version": self.protocol.version,
            "language": "zh-CN",
            "time_zone": "Asia/Shanghai",
            "anchors": {"enrolment": "2026-03-30", "infusion": "2026-04-02"},
        }
        self.add(subject, "participant.enrolled", participant=told)

    def response(
        self, subject: str, code: str, answers: dict[str, Any], *, kind: str = "response.stored", **told: Any
    ) -> str:
        instrument = told.pop("instrument", None) or bundled_instrument(code)
        number = len(self.entries) + 1
        day = f"2026-04-{1 + (number - 1) % 28:02}"
        response = {
            "id": f"10000000-0000-4000-8000-{number:012}",
            "occurrence_id": f"20000000-0000-4000-8000-{number:012}",
            "assessment": assessment_of(self.protocol, code),
            "visit": None,
            "study_day": number,
            "local_day": day,
            "protocol_version": self.protocol.version,
            "instrument": {"code": code, "version": instrument.version, "digest": instrument.digest},
            "language": "zh-CN",
            "answers": answers,
            "time_zone": "Asia/Shanghai",
            "started_at": f"{day}T18:00:00+08:00",
            "completed_at": f"{day}T18:04:05+08:00",
            "corrected_at": f"{day}T10:04:05.000000Z",
            "received_at": f"{day}T10:04:09.000000Z",
            "clock_offset_ms": -20,
            "device_id": "30000000-0000-4000-8000-000000000001",
            "digest": "ab" * 32,
            "findings": [],
            **told,
        }
        self.add(subject, kind, response=response, scores=scores(instrument, answers))
        return str(response["id"])

    def missed(self, subject: str, assessment: str, visit: str | None = None, **told: Any) -> None:
        number = len(self.entries) + 1
        day = f"2026-04-{1 + (number - 1) % 28:02}"
        occurrence = {
            "id": f"20000000-0000-4000-8000-{number:012}",
            "assessment": assessment,
            "visit": visit,
            "study_day": number,
            "local_day": day,
            "opens_at": f"{day}T10:00:00.000000Z",
            "closes_at": f"{day}T16:00:00.000000Z",
            "missed_at": f"{day}T22:00:00.000000Z",
            **told,
        }
        self.add(subject, "occurrence.missed", occurrence=occurrence)

    def excused(self, occurrence: dict[str, Any], reason: str = "in_hospital", *, back: bool = False) -> None:
        """The site excuses from it, or takes that back: `occurrence` as an entry of a miss has it."""
        told = {name: value for name, value in occurrence.items() if name not in ("missed_at", "subject_id")}
        subject = occurrence.get("subject_id", "101-001")
        excuse = {"reason": reason, "by": "staff:noor", "at": "2026-04-29T08:00:00.000000Z"}
        kind = "occurrence.unexcused" if back else "occurrence.excused"
        self.add(subject, kind, occurrence=told, excuse=excuse)

    def extract(self, **changes: Any) -> Extract:
        """The study at its last position."""
        cut = CutPoint(self.protocol.study_id, len(self.entries), AT, "cd" * 32, changes.pop("name", "first"))
        by_subject = sorted(self.entries, key=lambda entry: (entry["subject_id"], entry["position"]))

        def subjects():
            for subject, entries in groupby(by_subject, lambda entry: entry["subject_id"]):
                yield fold(self.protocol.study_id, subject, json.loads(json.dumps(list(entries))))

        known = {
            "cut": cut,
            "protocols": (self.protocol,),
            "instrument": bundled_instrument,
            "blinded": False,
            "scored_by": lambda: {
                (made_by["code"], made_by["version"])
                for entry in self.entries
                for part in ("rescored", "week")
                if (made_by := entry.get(part, {}).get("instrument"))
            },
        }
        return Extract(subjects=subjects, **known | changes)


def scored_by_another(scale: str = "worst") -> tuple[Feed, dict[str, Any]]:
    """A diary scored again by version 1.1, which has another scale in the place of the first; and what `extract` takes
    to know it.
    """
    document = bundled_instrument("fatigue_diary").document()
    first = document["scales"][0]
    later = parse({**document, "version": "1.1", "scales": [{**first, "name": scale}]})
    feed = Feed()
    feed.enrolled("101-001")
    response = feed.response("101-001", "fatigue_diary", {"worst_fatigue": 7})
    made_by = {"code": "fatigue_diary", "version": "1.1", "digest": later.digest}
    told = [one | {"run": 1} for one in scores(later, {"worst_fatigue": 7})]
    feed.add(
        "101-001", "response.rescored", rescored={"response_id": response, "instrument": made_by}, scores=told
    )

    def instrument(code: str, version: str | None = None) -> Instrument:
        return later if (code, version) == ("fatigue_diary", "1.1") else bundled_instrument(code, version)

    return feed, {"instrument": instrument}


def assessment_of(study: Protocol, code: str) -> str:
    """The id of an assessment that asks this instrument."""
    return next((one.id for one in study.assessments if one.instrument.code == code), code)


def scores(instrument: Instrument, answers: dict[str, Any]) -> list[dict[str, Any]]:
    """The scores of these answers as the feed tells them."""
    return [
        {
            "scale": one.scale,
            "value": one.value,
            "reason": one.reason,
            "answered": one.answered,
            "expected": one.expected,
            "rule": one.rule,
            "method": one.method,
            "method_version": str(one.method_version),
            "items_used": list(one.items_used),
            "items_missing": list(one.items_missing),
            "blinded": one.blinded,
        }
        for one in score(instrument, answers)
    ]


def eventful() -> Feed:
    """Two participants and everything that can happen to an answer."""
    feed = Feed()
    feed.enrolled("101-001")
    first = feed.response("101-001", "fatigue_diary", {"worst_fatigue": 7})
    feed.response(
        "101-001", "lupusqol", {f"lq{number:02}": number % 5 for number in range(1, 35)}, visit="baseline"
    )
    feed.response("101-001", "lupusqol", {"lq01": 3, "lq02": None, "lq15": "NA"}, visit="baseline")
    feed.response("101-001", "facit_fatigue", {})
    amendment = {
        "number": 1,
        "reason": LONG_REASON,
        "reported_by": "participant",
        "made_by": "staff:ines",
        "made_at": "2026-04-06T09:00:00.000000Z",
    }
    feed.response(
        "101-001",
        "fatigue_diary",
        {"worst_fatigue": 6},
        kind="response.amended",
        amends_id=first,
        amendment=amendment,
        study_day=2,
        local_day="2026-04-02",
        occurrence_id="20000000-0000-4000-8000-000000000002",
    )
    feed.missed("101-001", assessment_of(feed.protocol, "fatigue_diary"))
    late = len(feed.entries)
    feed.response(
        "101-001",
        "fatigue_diary",
        {"worst_fatigue": 0},
        occurrence_id=feed.entries[late - 1]["occurrence"]["id"],
    )
    feed.missed("101-001", assessment_of(feed.protocol, "lupusqol"), "baseline")
    aside = {
        "id": "aside-1",
        "response_id": None,
        "digest": "ef" * 32,
        "findings": [],
        "received_at": "2026-04-10T10:00:00Z",
    }
    feed.add("101-001", "response.held", set_aside=aside)
    feed.add("101-001", "response.conflict", set_aside=aside | {"id": "aside-2"})
    settled = {"set_aside_id": "aside-1", "outcome": "filed", "reason": "the day was clear"}
    feed.add("101-001", "response.settled", settlement=settled)
    feed.add("101-001", "anchor.set", anchor={"id": "infusion", "date": "2026-04-03"})
    feed.add("101-001", "alert.raised", alert={"id": "alert-1", "kind": "missed"})
    feed.add("101-001", "a.kind.of.tomorrow", something={"new": True})
    feed.enrolled("102-001")
    feed.response("102-001", "fss", {f"fss{number}": 7 for number in range(1, 10)})
    feed.add("102-001", "participant.withdrawn", withdrawal={"at": "2026-04-20T09:00:00.000000Z"})
    return feed
