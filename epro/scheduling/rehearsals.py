"""Reports of rehearsals that were kept: evidence which version of a study file was rehearsed, and what came of it."""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import Any

import sqlalchemy as sa

from epro import trail
from epro.errors import Conflict, NotFound
from epro.scheduling import protocols
from epro.scheduling.models import Rehearsal
from epro.tx import Tx

LARGEST = 4 * 1024 * 1024  # of either file, before it is compressed: a year takes a fiftieth of that
SUMMARY = (
    *(Rehearsal.digest, Rehearsal.version, Rehearsal.protocol_digest, Rehearsal.participants, Rehearsal.days),
    *(Rehearsal.seed, Rehearsal.broken, Rehearsal.findings, Rehearsal.kept_at, Rehearsal.kept_by),
)


class TooLargeReport(Conflict):
    """The report is larger than what is kept: 4 MiB."""

    code = "too_large_report"


def refuse_unknown(tx: Tx, study_id: str) -> None:
    """Raise NotFound unless a version of the study is published: what is kept is kept beside it."""
    if protocols.current(tx, study_id) is None:
        raise NotFound(f"There is no study {study_id}: publish it first, or rehearse without keeping.")


def keep(tx: Tx, figures: str, page: str) -> bool:
    """Keep a report: the texts of report.json and report.html. False if it is kept already.

    Raises NotFound, TooLargeReport.
    """
    told = json.loads(figures)
    study, asked = told["study"], told["asked"]
    refuse_unknown(tx, study["id"])
    if max(len(figures.encode()), len(page.encode())) > LARGEST:
        raise TooLargeReport()
    head = trail.study_chain(tx, study["id"])  # locked: of two at once the second sees the first
    digest = hashlib.sha256(figures.encode()).hexdigest()
    if tx.get(Rehearsal, study["id"], digest) is not None:
        return False
    facts = {
        "version": study["version"],
        "protocol_digest": study["digest"],
        "participants": asked["participants"],
        "days": asked["days"],
        "seed": asked["seed"],
        "broken": sum(bool(result["broken"]) for result in told["evidence"]),
        "findings": len(told["findings"]),
    }
    tx.add(
        Rehearsal(
            study_id=study["id"],
            digest=digest,
            figures=zlib.compress(figures.encode()),
            page=zlib.compress(page.encode()),
            kept_at=tx.now,
            kept_by=str(tx.actor),
            **facts,
        )
    )
    trail.record(tx, head, "rehearsal.kept", "rehearsal", digest, **facts)
    return True


def listed(tx: Tx, study_id: str, limit: int) -> list[Any]:
    """What is told of the reports of a study, the newest first."""
    query = sa.select(*SUMMARY).where(Rehearsal.study_id == study_id)
    newest = query.order_by(Rehearsal.kept_at.desc(), Rehearsal.digest)
    return list(tx.session.execute(newest.limit(limit)))


def page_of(tx: Tx, study_id: str, digest: str) -> str:
    """A report for people: HTML, as it was made. Raises NotFound."""
    return _text(_find(tx, study_id, digest).page)


def figures_of(tx: Tx, study_id: str, digest: str) -> str:
    """The same for machines: JSON, the bytes that the digest is of. Raises NotFound."""
    return _text(_find(tx, study_id, digest).figures)


def _find(tx: Tx, study_id: str, digest: str) -> Rehearsal:
    row = tx.get(Rehearsal, study_id, digest)
    if row is None:
        raise NotFound()
    return row


def _text(packed: bytes) -> str:
    """What was packed, and no more than could be."""
    return zlib.decompressobj().decompress(packed, LARGEST).decode()
