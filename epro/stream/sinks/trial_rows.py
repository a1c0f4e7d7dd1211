"""From one entry of the feed to the rows of the trial database. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from epro.questionnaires.conditions import NOT_ASKED
from epro.questionnaires.instrument import Instrument
from epro.questionnaires.kinds import NOT_APPLICABLE, REFUSED, settled
from epro.scheduling.protocol import Protocol
from epro.stream.feed import Entry

Row = dict[str, Any]
NOT_DONE = {NOT_APPLICABLE: "NOT APPLICABLE", REFUSED: "REFUSED", NOT_ASKED: "NOT ASKED"}


@dataclass
class Rows:
    """What entries come to, by table."""

    responses: list[Row] = field(default_factory=list)
    answers: list[Row] = field(default_factory=list)
    scores: list[Row] = field(default_factory=list)
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
        has_table = "response" in content or "rescored" in content
        rows.entries.append(_entry(entry, content, keep_body=not has_table))
        if "response" in content:
            _response(rows, entry, content, known)
        if "rescored" in content:
            _rescored(rows, entry, content, known)
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


def usubjid(content: Row) -> str:
    """SDTM's unique subject identifier: study and subject id."""
    return f"{content['study']}-{content['subject_id']}"


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
    rows.responses.append(key | _about(entry, content, response, known))
    given = settled(instrument, response["answers"])
    rows.answers += [key | _answer(item, given) for item in instrument.items]
    rows.scores += [key | _score(instrument, score) for score in content["scores"]]


def _rescored(rows: Rows, entry: Entry, content: Row, known: Definitions) -> None:
    told = content["rescored"]
    instrument = known.instrument(told["instrument"]["code"], told["instrument"]["version"])
    key = {
        "STUDYID": entry.study_id,
        "RESPONSEID": told["response_id"],
        "USUBJID": usubjid(content),
        "QSCAT": category(instrument),
        "POSITION": entry.position,
    }
    rows.scores += [key | _score(instrument, score) for score in content["scores"]]


def _about(entry: Entry, content: Row, response: Row, known: Definitions) -> Row:
    visit = None
    if response["visit"]:
        visit = known.protocol(entry.study_id, response["protocol_version"]).visit(response["visit"])
    return {
        "SITEID": content["site"],
        "SUBJID": content["subject_id"],
        "INSTRUMENT": response["instrument"]["code"],
        "INSTRVER": response["instrument"]["version"],
        "INSTRDIG": response["instrument"]["digest"],
        "ASSESSMENT": response["assessment"],
        "VISIT": response["visit"],
        "VISITNUM": visit.number if visit else None,
        "VISITDY": response["study_day"],
        "OCCURRENCEID": response["occurrence_id"],
        "PROTVER": response["protocol_version"],
        "QSLANG": response["language"],
        "LOCALDAY": response["local_day"],
        "QSDTC": response["completed_at"],
        "QSSTDTC": response["started_at"],
        "CORRDTC": response["corrected_at"],
        "RECVDTC": response["received_at"],
        "TIMEZONE": response["time_zone"],
        "CLOCKOFF": response["clock_offset_ms"],
        "FINDINGS": json.dumps([finding["code"] for finding in response["findings"]]),
        "DIGEST": response["digest"],
        "AMENDSID": response.get("amends_id"),
        "EVENTID": str(entry.event_id),
    }


def _answer(item: Any, given: Row) -> Row:
    answer = given.get(item.id)
    row = {
        "ITEMID": item.id,
        "QSTESTCD": item.sdtm.qstestcd if item.sdtm else item.id.upper(),
        "QSTEST": item.sdtm.qstest if item.sdtm else item.id,
        "QSORRES": None,
        "QSSTRESN": None,
        "QSSTAT": None,
        "QSREASND": None,
    }
    if answer is None:
        return row | {"QSSTAT": "NOT DONE", "QSREASND": "SKIPPED"}
    if answer in NOT_DONE:
        counts = item.not_asked_as if answer == NOT_ASKED else None
        number = None if counts is None else float(counts)
        return row | {"QSSTRESN": number, "QSSTAT": "NOT DONE", "QSREASND": NOT_DONE[answer]}
    return row | {"QSORRES": str(int(answer)), "QSSTRESN": float(answer)}


def _score(instrument: Instrument, score: Row) -> Row:
    sdtm = instrument.scale(score["scale"]).sdtm
    return {
        "SCALE": score["scale"],
        "RUN": score.get("run", 1),
        "QSTESTCD": sdtm.qstestcd if sdtm else score["scale"].upper(),
        "QSSTRESN": score["value"],
        "QSREASND": score["reason"],
        "ANSWERED": score["answered"],
        "EXPECTED": score["expected"],
        "RULE": score["rule"],
        "METHOD": score["method"],
        "METHODVER": score["method_version"],
        "ITEMSUSED": json.dumps(score["items_used"]),
        "ITEMSMISS": json.dumps(score["items_missing"]),
    }


def category(instrument: Instrument) -> str:
    """SDTM's QSCAT for an instrument."""
    return instrument.qscat or instrument.code.upper()
