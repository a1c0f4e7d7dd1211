"""From entries of the feed to the rows of the trial database. Pure.

A row is a tuple in the order of its table's columns: of hundreds of thousands a second nothing dearer is made.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter
from typing import Any

from epro.export.rows import EXCUSED, about, answer, category, listed, test_code, usubjid
from epro.questionnaires.conditions import NOT_ASKED
from epro.questionnaires.instrument import Instrument
from epro.questionnaires.kinds import settled
from epro.scheduling.protocol import Protocol
from epro.stream.feed import Entry
from epro.stream.sinks import trial_tables as tables

Json = dict[str, Any]
Row = tuple[Any, ...]
Rows = dict[str, list[Row]]
"""What entries come to, by table; and under SCORED_BY, what else is to be known of definitions."""

SCORED_BY = "scored by"
"""What scores were made by that no response in these rows need name: `instrument` or `definition`, code, version."""

OF_A_RESPONSE = itemgetter(*(str(column.name) for column in tables.responses.columns))
OF_AN_ANSWER = itemgetter("ITEMID", "QSTESTCD", "QSTEST", "QSORRES", "QSSTRESN", "QSSTAT", "QSREASND")
OF_A_WEEK = itemgetter(*(str(column.name) for column in tables.weeks.columns))


@dataclass(frozen=True)
class Definitions:
    """How the published instrument and protocol of a response are found."""

    instrument: Callable[[str, str], Instrument]
    protocol: Callable[[str, str], Protocol]


@dataclass(frozen=True)
class Fixed:
    """What of an instrument's rows is always the same, and what its answers have come to so far."""

    category: str
    items: tuple[str, ...]
    codes: dict[str, str]
    """Of each scale its QSTESTCD."""
    branches: bool
    known: dict[tuple[str, Any], Row] = field(default_factory=dict)


@lru_cache(maxsize=512)
def fixed(instrument: Instrument) -> Fixed:
    """What never changes about the rows of this instrument; looked up once."""
    items = tuple(item.id for item in instrument.items)
    codes = {scale.name: test_code(scale) for scale in instrument.scales}
    branches = any(item.asked_if is not None for item in instrument.items)
    return Fixed(category(instrument), items, codes, branches)


def rows_of(batch: Iterable[Entry], known: Definitions) -> Rows:
    """The rows of a batch of entries."""
    rows: Rows = {name: [] for name in (*tables.APPLIED, SCORED_BY)}
    for entry in batch:
        content = entry.content
        maker = MAKERS.get(entry.kind)
        if maker is not None:
            maker(rows, entry, content, known)
        rows["entries"].append(_entry(entry, content, keep_body=maker is None))
    return rows


def digest(body: str) -> str:
    """SHA-256 of an entry's bytes, hex."""
    return hashlib.sha256(body.encode()).hexdigest()


def assessment_of(content: Json) -> str | None:
    """The assessment that an entry is about, if it is about one."""
    for name in ("response", "occurrence", "week", "alert"):
        if isinstance(told := content.get(name), dict) and told.get("assessment"):
            return str(told["assessment"])
    return None


def _entry(entry: Entry, content: Json, *, keep_body: bool) -> Row:
    return (
        entry.study_id,
        entry.position,
        str(entry.event_id),
        entry.kind,
        usubjid(content),
        content["at"],
        digest(entry.body),
        entry.body if keep_body else None,
        content.get("site"),
        assessment_of(content),
    )


def _response(rows: Rows, entry: Entry, content: Json, known: Definitions) -> None:
    response = content["response"]
    instrument = known.instrument(response["instrument"]["code"], response["instrument"]["version"])
    subject, response_id = usubjid(content), response["id"]
    rows["responses"].append(_about(entry, content, response, instrument, known))
    rows["answers"] += _answers(entry, instrument, response["answers"], response_id, subject)
    rows["scores"] += _scores(entry, instrument, content, response["instrument"], response_id)
    if "amendment" in response:
        rows["amendments"].append(_amendment(entry, response, subject))


def _rescored(rows: Rows, entry: Entry, content: Json, known: Definitions) -> None:
    told = content["rescored"]
    instrument = known.instrument(told["instrument"]["code"], told["instrument"]["version"])
    rows["scores"] += _scores(entry, instrument, content, told["instrument"], told["response_id"])
    rows[SCORED_BY].append(("instrument", instrument.code, instrument.version))


def _about(entry: Entry, content: Json, response: Json, instrument: Instrument, known: Definitions) -> Row:
    visit = None
    if response["visit"]:
        visit = known.protocol(entry.study_id, response["protocol_version"]).visit(response["visit"])
    told = about(content["site"], content["subject_id"], response, visit) | {
        "STUDYID": entry.study_id,
        "RESPONSEID": response["id"],
        "USUBJID": usubjid(content),
        "QSCAT": category(instrument),
        "DIGEST": response["digest"],
        "EVENTID": str(entry.event_id),
        "POSITION": entry.position,
        "SETTLEDID": response.get("settled_from"),
        "OPENDTC": response.get("opens_at"),
        "CLOSEDTC": response.get("closes_at"),
    }
    return OF_A_RESPONSE(told)


def _answers(entry: Entry, instrument: Instrument, given: Json, response_id: str, subject: str) -> list[Row]:
    """A row for each item. What an answer to an item comes to is worked out once, and known from then on."""
    same, study_id, position = fixed(instrument), entry.study_id, entry.position
    if same.branches:
        given = settled(instrument, given)
    qscat, known, rows = same.category, same.known, []
    for item in same.items:
        answered = given.get(item)
        told = known.get((item, answered)) or _worked_out(instrument, same, item, answered)
        item_id, code, test, given_as, number, status, why = told
        # fmt: off
        rows.append((study_id, response_id, item_id, subject, qscat, code, test, given_as, number, status, why,
                     position))
        # fmt: on
    return rows


def _worked_out(instrument: Instrument, same: Fixed, item: str, answered: Any) -> Row:
    as_settled = None if answered == NOT_ASKED and not same.branches else answered
    told = answer(instrument.item(item), as_settled)
    same.known[item, answered] = found = OF_AN_ANSWER(told)
    return found


def _scores(entry: Entry, instrument: Instrument, content: Json, by: Json, response_id: str) -> list[Row]:
    """The rows of scores, in the order of the columns; `export.rows.score` says the same by name. `by` is how the feed
    names the definition that they were made by.
    """
    same, study_id, position = fixed(instrument), entry.study_id, entry.position
    subject, version, digest_of_it = usubjid(content), by["version"], by["digest"]
    return [
        (
            study_id,
            response_id,
            one["scale"],
            one.get("run", 1),
            subject,
            same.category,
            same.codes[one["scale"]],
            one["value"],
            one["reason"],
            one["answered"],
            one["expected"],
            one["rule"],
            one["method"],
            one["method_version"],
            listed(one["items_used"]),
            listed(one["items_missing"]),
            position,
            version,
            digest_of_it,
        )
        for one in content["scores"]
    ]


def _week(rows: Rows, entry: Entry, content: Json, known: Definitions) -> None:
    week = content["week"]
    instrument = known.instrument(week["instrument"]["code"], week["instrument"]["version"])
    told = {
        "STUDYID": entry.study_id,
        "RESPONSEID": week["id"],
        "USUBJID": usubjid(content),
        "QSCAT": category(instrument),
        "POSITION": entry.position,
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
    rows["weeks"].append(OF_A_WEEK(told))
    rows["scores"] += _scores(entry, instrument, content, week["instrument"], week["id"])
    rows[SCORED_BY].append(("definition", instrument.code, instrument.version))


def _amendment(entry: Entry, response: Json, subject: str) -> Row:
    told = response["amendment"]
    return (
        entry.study_id,
        response["id"],
        response["amends_id"],
        subject,
        told.get("reason"),
        entry.position,
        told.get("number"),
        told.get("reported_by"),
        told.get("made_by"),
        told.get("made_at"),
    )


def _enrolment(rows: Rows, entry: Entry, content: Json, known: Definitions) -> None:
    told = content["participant"]
    rows["enrolments"].append(
        (
            entry.study_id,
            usubjid(content),
            content["site"],
            content["subject_id"],
            told.get("protocol_version"),
            told.get("language"),
            told.get("time_zone"),
            told.get("enrolled_at") or content["at"],
            str(entry.event_id),
            entry.position,
        )
    )
    rows["anchors"] += [
        _anchor_row(entry, content, name, day) for name, day in sorted(told.get("anchors", {}).items())
    ]


def _withdrawal(rows: Rows, entry: Entry, content: Json, known: Definitions) -> None:
    at = content["withdrawal"].get("at") or content["at"]
    rows["withdrawals"].append(
        (
            entry.study_id,
            usubjid(content),
            content["site"],
            content["subject_id"],
            at,
            str(entry.event_id),
            entry.position,
        )
    )


def _anchor(rows: Rows, entry: Entry, content: Json, known: Definitions) -> None:
    told = content["anchor"]
    day = "" if content["kind"] == "anchor.unset" else told["date"]  # blank: it was taken back
    rows["anchors"].append(_anchor_row(entry, content, told["id"], day))


def _anchor_row(entry: Entry, content: Json, name: str, day: str) -> Row:
    return (
        entry.study_id,
        usubjid(content),
        name,
        entry.position,
        day,
        content["site"],
        str(entry.event_id),
    )


def _window(content: Json) -> tuple[Any, ...]:
    """Whose an occurrence is, and when it was due: the columns of `trial_tables.of_window`."""
    told = content["occurrence"]
    return (
        usubjid(content),
        content["site"],
        content["subject_id"],
        told["assessment"],
        told.get("visit"),
        told.get("study_day"),
        told["local_day"],
        told.get("opens_at"),
        told.get("closes_at"),
    )


def _asked_by(told: Json) -> tuple[Any, ...]:
    """By which version of the protocol and of the instrument it was due: the columns of `trial_tables.asked_by`."""
    asked = told.get("instrument") or {}
    return told.get("protocol_version"), asked.get("code"), asked.get("version")


def _miss(rows: Rows, entry: Entry, content: Json, known: Definitions) -> None:
    told = content["occurrence"]
    rows["misses"].append(
        (
            entry.study_id,
            told["id"],
            *_window(content),
            told.get("missed_at") or content["at"],
            str(entry.event_id),
            entry.position,
            *_asked_by(told),
        )
    )


def _excuse(rows: Rows, entry: Entry, content: Json, known: Definitions) -> None:
    told, said = content["occurrence"], content["excuse"]
    rows["excuses"].append(
        (
            entry.study_id,
            told["id"],
            entry.position,
            "EXCUSED" if entry.kind == "occurrence.excused" else "TAKEN BACK",
            *_window(content),
            *_asked_by(told),
            said["reason"],
            EXCUSED.get(said["reason"], EXCUSED["other"]),
            said.get("by"),
            said.get("at") or content["at"],
            str(entry.event_id),
        )
    )


def _set_aside(rows: Rows, entry: Entry, content: Json, known: Definitions) -> None:
    told = content["set_aside"]
    rows["set_aside"].append(
        (
            entry.study_id,
            told["id"],
            usubjid(content),
            content["site"],
            entry.kind.rpartition(".")[2].upper(),
            told.get("response_id"),
            listed(finding["code"] for finding in told["findings"]),
            told["digest"],
            told["received_at"],
            str(entry.event_id),
            entry.position,
        )
    )


def _settlement(rows: Rows, entry: Entry, content: Json, known: Definitions) -> None:
    told = content["settlement"]
    rows["settlements"].append(
        (
            entry.study_id,
            told["set_aside_id"],
            usubjid(content),
            str(told["outcome"]).upper(),
            told.get("response_id"),
            told.get("reason"),
            told.get("settled_by"),
            told.get("settled_at") or content["at"],
            str(entry.event_id),
            entry.position,
        )
    )


def _signature(rows: Rows, entry: Entry, content: Json, known: Definitions) -> None:
    told = content["signature"]
    rows["signatures"] += [
        (
            entry.study_id,
            told["id"],
            one["id"],
            usubjid(content),
            content["site"],
            one["original_id"],
            told.get("visit"),
            str(told["meaning"]).upper(),
            told["name"],
            told["role"],
            told["signed_by"],
            told["signed_at"],
            told["time_zone"],
            one.get("digest"),
            str(entry.event_id),
            entry.position,
        )
        for one in told["responses"]
    ]


def _signature_break(rows: Rows, entry: Entry, content: Json, known: Definitions) -> None:
    told = content["signature_break"]
    rows["signature_breaks"].append(
        (
            entry.study_id,
            told["signature_id"],
            told["original_id"],
            usubjid(content),
            str(told["cause"]).upper(),
            told.get("response_id"),
            told["broken_by"],
            told["broken_at"],
            str(entry.event_id),
            entry.position,
        )
    )


def _query(rows: Rows, entry: Entry, content: Json, known: Definitions) -> None:
    told = content["query"]
    rows["queries"].append(
        (
            entry.study_id,
            told["id"],
            told["number"],
            usubjid(content),
            content["site"],
            told["original_id"],
            told.get("item"),
            str(told["kind"]).upper(),
            told.get("text"),
            told["said_by"],
            told["role"],
            told["said_at"],
            str(entry.event_id),
            entry.position,
        )
    )


MAKERS: dict[str, Callable[[Rows, Entry, Json, Definitions], None]] = {
    "response.stored": _response,
    "response.amended": _response,
    "response.rescored": _rescored,
    "week.scored": _week,
    "response.held": _set_aside,
    "response.conflict": _set_aside,
    "response.settled": _settlement,
    "signature.made": _signature,
    "signature.broken": _signature_break,
    "query.asked": _query,
    "query.answered": _query,
    "query.closed": _query,
    "participant.enrolled": _enrolment,
    "participant.withdrawn": _withdrawal,
    "anchor.set": _anchor,
    "anchor.unset": _anchor,
    "occurrence.missed": _miss,
    "occurrence.excused": _excuse,
    "occurrence.unexcused": _excuse,
}
"""The kinds that have tables of their own. An entry of any other keeps its bytes in `entries`."""
