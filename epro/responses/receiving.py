"""Taking in what phones send: each entry once, however often it comes, and none of it ever lost.

One act for one entry, under the participant's lock: compare with what is on file, check, score, file, note it on
the occurrence, in the trail and in the feed. What cannot be filed is set aside whole, and its receipt says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from epro import trail
from epro.questionnaires import catalogue, checking, scoring
from epro.questionnaires.instrument import Instrument
from epro.responses import receipts
from epro.responses.models import Draft, Response, Score, SetAside
from epro.responses.receipts import Receipt
from epro.responses.submission import LONGEST_ID, Finding, Submission, clock_findings, correction, read
from epro.scheduling import occurrences, protocols
from epro.scheduling.models import Occurrence
from epro.studies import participants
from epro.studies.models import Participant
from epro.tx import Tx

ID_IN_USE = Finding("id_in_use", "This id is in use; a person will look.", "/id", holds=True)
ANSWERED_BEFORE = Finding(
    "answered_before", "Another answer to this is on file; both are kept.", "/occurrence_id"
)
OUTSIDE_WINDOW = Finding(
    "outside_window", "It was completed outside its window.", "/completed_at", holds=True
)
FINISHED_LATE = Finding(
    "finished_after_closing",
    "It was begun in its window and finished soon after the closing.",
    "/completed_at",
)
MOST_FINDINGS = 50
NOT_FILED = Finding("not_filed", "The database does not take this; a person will look.", holds=True)


COLUMNS = ("subject_id", "digest", "received_at", "signature", "findings")
# What is on file under an id, and what was set aside with a content: one question for both.
ON_FILE = sa.union_all(
    sa.select(
        sa.literal(receipts.ALREADY).label("outcome"), *(getattr(Response, name) for name in COLUMNS)
    ).where(
        Response.study_id == sa.bindparam("study_id"),
        Response.id == sa.bindparam("response_id", type_=sa.Uuid()),
    ),
    sa.select(SetAside.outcome, *(getattr(SetAside, name) for name in COLUMNS)).where(
        SetAside.study_id == sa.bindparam("study_id"),
        SetAside.subject_id == sa.bindparam("subject_id"),
        SetAside.digest == sa.bindparam("digest"),
    ),
)


@dataclass(frozen=True)
class Filed:
    """A response that has just been stored, or set aside: what alerts on answers and scores look at."""

    response_id: UUID
    occurrence: Any
    answers: Mapping[str, Any]
    values: Mapping[str, float | None]
    """Scale -> score."""
    completed_at: datetime
    """By our clock."""


@dataclass(frozen=True)
class Taken:
    """What became of an entry. `late_for` is an occurrence that had been missed and is answered after all."""

    receipt: Receipt
    late_for: Any = None
    filed: Filed | None = None


@dataclass(frozen=True)
class Case:
    """One entry with everything that is known about it while it is decided."""

    tx: Tx
    participant: Any
    submission: Submission
    digest: str
    offset: timedelta | None
    received_at: datetime
    device_id: UUID | None
    settled_from: UUID | None = None
    """The set-aside that a person files; None for what a phone hands in."""

    @property
    def named(self) -> str | None:
        return self.submission.named

    @property
    def corrected_at(self) -> datetime:
        """The completion by our clock."""
        assert self.submission.completed_at is not None
        return self.submission.completed_at + correction(self.offset)

    @property
    def offset_ms(self) -> int | None:
        return None if self.offset is None else round(self.offset / timedelta(milliseconds=1))


def receive(
    tx: Tx,
    participant: Any,
    entry: Any,
    sent_at: datetime | None,
    *,
    arrived_at: datetime | None = None,
    doubt: Finding | None = None,
) -> Taken:
    """Take in one entry of a batch. The participant is a plain row, locked by the caller.

    `sent_at` is the phone's clock when it sent the batch, `arrived_at` ours when the batch came in (default: now):
    their difference corrects the phone's account of time. `doubt` sets a new entry aside unexamined.
    """
    submission = read(entry)
    digest = hashlib.sha256(submission.body).hexdigest()
    offset = (arrived_at or tx.now) - sent_at if sent_at else None
    case = Case(tx, participant, submission, digest, offset, tx.now, tx.actor.device_id)
    known = _known(case)
    if known is not None:
        new = known.received_at == tx.now
        return Taken(known, filed=_readable(case, is_anothers(known.findings)) if new else None)
    if doubt is not None:
        receipt = _set_aside(case, receipts.HELD, [doubt])
        return Taken(receipt, filed=_readable(case, is_anothers(receipt.findings)))
    findings, occurrence, instrument = examine(case)
    findings = _first(findings)
    held = [finding for finding in findings if finding.holds]
    if held or occurrence is None or instrument is None:
        return Taken(_set_aside(case, receipts.HELD, findings), filed=_readable(case))
    return place(case, occurrence, instrument, findings)


def _known(case: Case) -> Receipt | None:
    """The receipt of an entry that is here already, or in conflict with one that is; None when it is new."""
    asked = {
        "study_id": case.participant.study_id,
        "subject_id": case.participant.subject_id,
        "response_id": case.submission.id,
        "digest": case.digest,
    }
    rows = case.tx.rows(ON_FILE, asked)
    same = next(
        (row for row in rows if row.digest == case.digest and row.subject_id == case.participant.subject_id),
        None,
    )
    if same is not None:
        return Receipt(case.named, same.outcome, case.digest, same.received_at, same.signature, same.findings)
    if not rows:
        return None
    if rows[0].subject_id != case.participant.subject_id:
        return _set_aside(case, receipts.HELD, [ID_IN_USE])
    other = Finding(
        "other_content", "Another content is on file under this id; both are kept.", "/id", holds=True
    )
    return _set_aside(case, receipts.CONFLICT, [other])


def examine(case: Case) -> tuple[list[Finding], Any, Instrument | None]:
    """Everything there is to say about a new entry, and what it belongs to as far as that can be told."""
    submission, findings = case.submission, list(case.submission.findings)
    occurrence, instrument = _occurrence(case, findings), _instrument(case, findings)
    if instrument is not None:
        findings += _answers(instrument, submission)
    if occurrence is not None:
        findings += _about_occurrence(case, occurrence)
    if occurrence is not None and submission.completed_at is not None:
        findings += _about_time(case, occurrence)
    if occurrence is not None and instrument is not None:
        findings += _about_instrument(occurrence, instrument)
    return findings, occurrence, instrument


def _occurrence(case: Case, findings: list[Finding]) -> Any:
    """The occurrence it answers, if it is hers."""
    asked = case.submission.occurrence_id
    if asked is None:
        return None
    found = case.tx.plain(Occurrence, case.participant.study_id, asked)
    if found is None or found.subject_id != case.participant.subject_id:
        findings.append(
            Finding("unknown_occurrence", "Nothing is expected under this id.", "/occurrence_id", holds=True)
        )
        return None
    return found


def _instrument(case: Case, findings: list[Finding]) -> Instrument | None:
    """The version she saw: that one, and no other, the answers are checked and scored with."""
    code, version = case.submission.instrument_code, case.submission.instrument_version
    if code is None or version is None:
        return None
    found = catalogue.find(case.tx, code, version)
    if found is None:
        findings.append(
            Finding(
                "unknown_instrument",
                "This version of the instrument is not published.",
                "/instrument",
                holds=True,
            )
        )
    return found


def _first(findings: list[Finding]) -> list[Finding]:
    """As many as a person can use, those that hold the entry before the others, and how many more there are: an
    entry can be all faults.
    """
    more = len(findings) - MOST_FINDINGS
    if more <= 0:
        return findings
    by_weight = sorted(findings, key=lambda finding: not finding.holds)
    return [*by_weight[:MOST_FINDINGS], Finding("more_findings", f"And {more} more.")]


def _answers(instrument: Instrument, submission: Submission) -> list[Finding]:
    """What does not fit holds the entry; what branching and edit checks say of answers that fit only flags it."""
    faults = checking.check(instrument, submission.answers)
    found = faults or checking.remarks(instrument, submission.answers)
    return [
        Finding(one.code, one.detail, f"/answers/{escaped(one.item)}", holds=bool(faults)) for one in found
    ]


def _about_occurrence(case: Case, occurrence: Any) -> list[Finding]:
    if occurrence.cancelled_at is None or _while_expected(case, occurrence):
        return []
    return [Finding("occurrence_cancelled", "This is not expected any more.", "/occurrence_id", holds=True)]


def _while_expected(case: Case, occurrence: Any) -> bool:
    """It had opened, and was completed before it was cancelled: by a withdrawal, while the phone was offline."""
    if case.submission.completed_at is None or occurrence.opens_at > occurrence.cancelled_at:
        return False
    return bool(case.corrected_at < occurrence.cancelled_at)


def _about_time(case: Case, occurrence: Any) -> list[Finding]:
    findings = clock_findings(case.submission, case.offset, case.received_at)
    withdrawn = case.participant.withdrawn_at
    if withdrawn is not None and case.corrected_at > withdrawn:
        findings.append(
            Finding("after_withdrawal", "It was completed after the withdrawal.", "/completed_at", holds=True)
        )
    elif not occurrence.opens_at <= case.corrected_at < occurrence.closes_at:
        findings.append(FINISHED_LATE if _was_answering(case, occurrence) else OUTSIDE_WINDOW)
    elif case.received_at > occurrence.grace_until:
        findings.append(Finding("late_sync", "It was completed in time and arrived late."))
    if case.submission.time_zone and case.submission.time_zone != occurrence.time_zone:
        findings.append(
            Finding("other_time_zone", "The phone was in another time zone than planned.", "/time_zone")
        )
    return findings


def _was_answering(case: Case, occurrence: Any) -> bool:
    """She began before the closing, by the start that the phone tells or by a draft, and finished soon after it."""
    protocol = protocols.find(case.tx, occurrence.study_id, occurrence.protocol_version)
    longer = protocol.assessment(occurrence.assessment_id).while_answering
    if not occurrence.closes_at <= case.corrected_at < occurrence.closes_at + longer:
        return False
    started_at = case.submission.started_at
    if started_at is not None:
        return bool(occurrence.opens_at <= started_at + correction(case.offset) < occurrence.closes_at)
    # A draft is first saved before the closing, or not at all.
    return case.tx.plain(Draft, occurrence.study_id, occurrence.id) is not None


def _about_instrument(occurrence: Any, instrument: Instrument) -> list[Finding]:
    if instrument.code != occurrence.instrument_code:
        return [
            Finding(
                "other_instrument", "Another instrument is expected here.", "/instrument/code", holds=True
            )
        ]
    if instrument.version != occurrence.instrument_version:
        return [
            Finding(
                "other_version", "Another version of the instrument is expected here.", "/instrument/version"
            )
        ]
    return []


def _readable(case: Case, anothers: bool = False) -> Filed | None:
    """What can be read of an entry that was set aside: an answer that asks for a call must not wait until a person
    settles the rest. Only answers that fit their items; no scores. None where it is not known what was asked.
    `anothers`: its id is another participant's.
    """
    occurrence, instrument = _occurrence(case, []), _instrument(case, [])
    if occurrence is None or instrument is None:
        return None
    unfit = {found.item for found in checking.check(instrument, case.submission.answers)}
    answers = {item: code for item, code in case.submission.answers.items() if item not in unfit}
    when = case.corrected_at if case.submission.completed_at else case.tx.now
    return Filed(heard_as(case.submission, case.digest, anothers), occurrence, answers, {}, when)


def heard_as(submission: Submission, digest: str, anothers: bool) -> UUID:
    """The id under which alerts look at an upload that was set aside: its own, where it has one to itself."""
    own = None if anothers else submission.id
    return own or UUID(digest[:32])


def is_anothers(findings: Iterable[Mapping[str, str]]) -> bool:
    """Whether an upload was set aside because its id is another participant's."""
    return any(one["code"] == ID_IN_USE.code for one in findings)


def _set_aside(case: Case, outcome: str, findings: list[Finding]) -> Receipt:
    """Keep it whole, say why, list it for a person."""
    tx, participant = case.tx, case.participant
    told = [finding.told() for finding in findings]
    signature = receipts.sign(case.named, case.digest, tx.now)
    aside_id = uuid4()
    tx.insert(
        SetAside,
        [
            {
                "study_id": participant.study_id,
                "id": aside_id,
                "subject_id": participant.subject_id,
                "response_id": case.named,
                "outcome": outcome,
                "body": case.submission.body.decode(),
                "digest": case.digest,
                "signature": signature,
                "findings": told,
                "received_at": tx.now,
                "clock_offset_ms": case.offset_ms,
                "device_id": tx.actor.device_id,
            }
        ],
    )
    event = trail.record(
        tx,
        participant,
        f"response.{outcome}",
        "set_aside",
        aside_id,
        response=case.named,
        digest=case.digest,
        findings=[finding.code for finding in findings],
    )
    trail.stream(
        tx,
        event,
        participant,
        f"response.{outcome}",
        {
            "set_aside": {
                "id": str(aside_id),
                "response_id": case.named,
                "digest": case.digest,
                "findings": told,
                "received_at": trail.instant(tx.now),
            }
        },
    )
    participants.put_back(tx, participant)
    return Receipt(case.named, outcome, case.digest, tx.now, signature, told)


def place(case: Case, occurrence: Any, instrument: Instrument, findings: list[Finding]) -> Taken:
    """Store, score, note: all in the act that will be committed before the receipt goes out."""
    tx, participant, submission = case.tx, case.participant, case.submission
    if occurrence.fulfilled_at is not None:
        findings.append(ANSWERED_BEFORE)
    remarks = [finding.told() for finding in findings]
    row = _row(case, occurrence, instrument, remarks)
    scores = score_rows(tx, participant, submission.id, instrument, submission.answers)
    was_missed = occurrence.missed_at is not None
    with tx.together():
        tx.insert(Response, [row])
        tx.insert(Score, scores)
        first = occurrences.fulfil(tx, participant, occurrence)
        event = trail.record(
            tx,
            participant,
            "response.stored",
            "response",
            submission.id,
            digest=case.digest,
            occurrence=str(occurrence.id),
            findings=[finding.code for finding in findings],
        )
        told_of = told(row, occurrence, submission, scores)
        if case.settled_from is not None:
            told_of["response"]["settled_from"] = str(case.settled_from)
        trail.stream(tx, event, participant, "response.stored", told_of)
        participants.put_back(tx, participant)
    receipt = Receipt(case.named, receipts.STORED, case.digest, case.received_at, row["signature"], remarks)
    values = values_of(scores)
    filed = Filed(row["id"], occurrence, submission.answers, values, case.corrected_at)
    return Taken(receipt, late_for=occurrence if first and was_missed else None, filed=filed)


def _row(
    case: Case, occurrence: Any, instrument: Instrument, findings: list[dict[str, str]]
) -> dict[str, Any]:
    submission = case.submission
    return {
        "study_id": case.participant.study_id,
        "id": submission.id,
        "subject_id": case.participant.subject_id,
        "occurrence_id": occurrence.id,
        "assessment_id": occurrence.assessment_id,
        "protocol_version": occurrence.protocol_version,
        "instrument_code": instrument.code,
        "instrument_version": instrument.version,
        "instrument_digest": instrument.digest,
        "language": submission.language,
        "local_day": occurrence.local_day,
        "time_zone": submission.time_zone,
        "started_at": submission.started_at,
        "completed_at": submission.completed_at,
        "clock_offset_ms": case.offset_ms,
        "corrected_at": case.corrected_at,
        "received_at": case.received_at,
        "device_id": case.device_id,
        "body": submission.body.decode(),
        "digest": case.digest,
        "signature": receipts.sign(case.named, case.digest, case.received_at),
        "findings": findings,
    }


def score_rows(
    tx: Tx, participant: Any, response_id: UUID | None, instrument: Instrument, answers: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The first run of scores of a response, as rows."""
    return [
        {
            "study_id": participant.study_id,
            "response_id": response_id,
            "run": 1,
            "subject_id": participant.subject_id,
            "scale": score.scale,
            "value": score.value,
            "reason": score.reason,
            "answered": score.answered,
            "expected": score.expected,
            "rule": score.rule,
            "method": score.method,
            "method_version": str(score.method_version),
            "items_used": list(score.items_used),
            "items_missing": list(score.items_missing),
            "blinded": score.blinded,
            "scored_at": tx.now,
        }
        for score in scoring.score(instrument, answers)
    ]


def values_of(scores: list[dict[str, Any]]) -> dict[str, float | None]:
    """Scale -> score."""
    return {score["scale"]: score["value"] for score in scores}


def told(
    row: Mapping[str, Any], occurrence: Any, submission: Submission, scores: list[dict[str, Any]]
) -> dict[str, Any]:
    """The response and its scores, as the feed tells them."""
    response = {
        "id": row["id"],
        "occurrence_id": occurrence.id,
        "assessment": row["assessment_id"],
        "visit": occurrence.visit_id,
        "study_day": occurrence.study_day,
        "local_day": row["local_day"],
        "opens_at": trail.instant(occurrence.opens_at),
        "closes_at": trail.instant(occurrence.closes_at),
        "protocol_version": row["protocol_version"],
        "instrument": {
            "code": row["instrument_code"],
            "version": row["instrument_version"],
            "digest": row["instrument_digest"],
        },
        "language": row["language"],
        "answers": dict(submission.answers),
        "time_zone": row["time_zone"],
        "started_at": submission.content.get("started_at"),
        "completed_at": submission.content["completed_at"],
        "corrected_at": trail.instant(row["corrected_at"]),
        "received_at": trail.instant(row["received_at"]),
        "clock_offset_ms": row["clock_offset_ms"],
        "device_id": row["device_id"],
        "digest": row["digest"],
        "findings": row["findings"],
    }
    left_out = {"study_id", "subject_id", "response_id", "scored_at", "run"}
    of_scores = [{name: value for name, value in score.items() if name not in left_out} for score in scores]
    return {"response": response, "scores": of_scores}


def escaped(item: str) -> str:
    """A key within a JSON pointer (RFC 6901), as far as it is told at all."""
    return item[:LONGEST_ID].replace("~", "~0").replace("/", "~1")


def answers_of(response: Any) -> dict[str, Any]:
    """The answers of a filed response (any row with its `body`), as they were sent."""
    answers: dict[str, Any] = json.loads(response.body)["answers"]
    return answers


def primary(rows: list[Response]) -> Response:
    """Of several answers to one occurrence, the one that counts, whatever order they came in: the earliest
    completed, then the smallest id; of that one the latest correction. The others stay on file beside it."""
    first = min(
        (row for row in rows if row.amends_id is None), key=lambda row: (row.corrected_at, str(row.id))
    )
    later = [row for row in rows if row.amends_id == first.id]
    return max(later, key=lambda row: row.amendment_no or 0, default=first)


def of(tx: Tx, participant: Participant) -> list[Response]:
    """What is on file of a participant, in the order it was received."""
    query = sa.select(Response).where(
        Response.study_id == participant.study_id, Response.subject_id == participant.subject_id
    )
    return tx.all(query.order_by(Response.received_at, Response.id))


def set_aside(tx: Tx, participant: Participant) -> list[SetAside]:
    """What waits for a person to settle, oldest first."""
    query = sa.select(SetAside).where(
        SetAside.study_id == participant.study_id, SetAside.subject_id == participant.subject_id
    )
    return tx.all(query.order_by(SetAside.received_at, SetAside.id))
