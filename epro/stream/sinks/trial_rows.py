"""From one entry of the feed to the rows of the trial database. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from epro.export.rows import Row, about, answer, category, score, usubjid
from epro.questionnaires.instrument import Instrument
from epro.questionnaires.kinds import settled
from epro.scheduling.protocol import Protocol
from epro.stream.feed import Entry

HAVE_TABLES = ("response", "rescored", "week")


@dataclass
class Rows:
    """What entries come to, by table."""

    responses: list[Row] = field(default_factory=list)
    answers: list[Row] = field(default_factory=list)
    scores: list[Row] = field(default_factory=list)
    weeks: list[Row] = field(default_factory=list)
    amendments: list[Row] = field(default_factory=list)
    entries: list[Row] = field(default_factory=list)


@dataclass(frozen=True)
class Definitions:
    """How the published instrument and protocol of a response are found."""

    instrument: Callable[[str, str], Instrument]
    protocol: Callable[[str, str], Protocol]


def rows_of(batch: list[Entry], known: Definitions) -> Rows:
    """The rows of a batch of entries."""
    rows = Rows()
    for entry in batch:
        content = entry.content
        has_table = not content.keys().isdisjoint(HAVE_TABLES)
        rows.entries.append(_entry(entry, content, keep_body=not has_table))
        if "response" in content:
            _response(rows, entry, content, known)
        if "rescored" in content:
            _rescored(rows, entry, content, known)
        if "week" in content:
            _week(rows, entry, content, known)
    return rows


def _entry(entry: Entry, content: Row, *, keep_body: bool) -> Row:
    return {
        "STUDYID": entry.study_id,
        "POSITION": entry.position,
        "EVENTID": str(entry.event_id),
        "KIND": entry.kind,
        "USUBJID": usubjid(content),
        "AT": content["at"],
        "DIGEST": digest(entry.body),
        "BODY": entry.body if keep_body else None,
    }


def digest(body: str) -> str:
    """SHA-256 of an entry's bytes, hex."""
    return hashlib.sha256(body.encode()).hexdigest()


def _response(rows: Rows, entry: Entry, content: Row, known: Definitions) -> None:
    response = content["response"]
    instrument = known.instrument(response["instrument"]["code"], response["instrument"]["version"])
    key = {
        "STUDYID": entry.study_id,
        "RESPONSEID": response["id"],
        "USUBJID": usubjid(content),
        "QSCAT": category(instrument),
        "POSITION": entry.position,
    }
    visit = None
    if response["visit"]:
        visit = known.protocol(entry.study_id, response["protocol_version"]).visit(response["visit"])
    told = about(content["site"], content["subject_id"], response, visit)
    rows.responses.append(key | told | {"EVENTID": str(entry.event_id)})
    given = settled(instrument, response["answers"])
    rows.answers += [key | answer(item, given[item.id]) for item in instrument.items]
    rows.scores += [key | score(instrument, told) for told in content["scores"]]


def _rescored(rows: Rows, entry: Entry, content: Row, known: Definitions) -> None:
    rescored = content["rescored"]
    asked = rescored["instrument"]
    instrument = known.instrument(asked["code"], asked["version"])
    key = {
        "STUDYID": entry.study_id,
        "RESPONSEID": rescored["response_id"],
        "USUBJID": usubjid(content),
        "QSCAT": category(instrument),
        "POSITION": entry.position,
    }
    rows.scores += [key | score(instrument, told) for told in content["scores"]]


def _week(rows: Rows, entry: Entry, content: Row, known: Definitions) -> None:
    week = content["week"]
    instrument = known.instrument(week["instrument"]["code"], week["instrument"]["version"])
    key = {
        "STUDYID": entry.study_id,
        "RESPONSEID": week["id"],
        "USUBJID": usubjid(content),
        "QSCAT": category(instrument),
        "POSITION": entry.position,
    }
    about = {
        "RUN": week["run"],
        "SITEID": content["site"],
        "SUBJID": content["subject_id"],
        "INSTRUMENT": week["instrument"]["code"],
        "INSTRVER": week["instrument"]["version"],
        "INSTRDIG": week["instrument"]["digest"],
        "ASSESSMENT": week["assessment"],
        "WEEK": week["number"],
        "VISITDY": week["first_study_day"],
        "FIRSTDAY": week["first_day"],
        "LASTDAY": week["last_day"],
        "PROTVER": week["protocol_version"],
        "SOURCES": json.dumps(week["sources"]),
        "EVENTID": str(entry.event_id),
    }
    rows.weeks.append(key | about)
    rows.scores += [key | score(instrument, told) for told in content["scores"]]
