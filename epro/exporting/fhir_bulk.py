"""Bulk export in FHIR: a machine asks once, gets a list of files, and reads each as lines.

No file is made beforehand and none is kept: a file is told page by page while it is read, as of the instant at
which the export was asked for. What was corrected or scored again later stands in it as it was then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson

from epro import trail
from epro.errors import NotFound
from epro.export.fhir_search import BadSearch, Search, span
from epro.exporting import fhir_library, fhir_reading
from epro.exporting.models import BulkExport
from epro.studies import access
from epro.tx import Actor, Tx, begin, look

KINDS = ("Questionnaire", *fhir_reading.SOURCES)
GOOD_FOR = timedelta(days=1)
SIZE = 500  # resources of one look
# What is written once, and so can be told as of an instant; of the others the rows are told as they are.
AS_OF = frozenset({"QuestionnaireResponse", "Observation", "Provenance", "AuditEvent"})
# What says itself when it changed. A window moves, a state follows the clock, a site's names come with an amendment:
# of the other kinds everything is told whatever `_since` says.
DATED = AS_OF | {"Patient", "ResearchSubject"}
UNDER_WAY = timedelta(minutes=2)
"""An act that was under way when an export was asked for is not in it, though its instant is before: the time that a
reader goes on from is so much earlier. What he is told twice has the same id and version."""


def ask(tx: Tx, study: str | None, kinds: Sequence[str], since: str | None, url: str) -> BulkExport:
    """A new export of what the actor may read of one study. Raises NotAllowed, NotFound, Conflict, BadSearch."""
    study_id = access.one_study(tx.actor, "export.bulk", study)
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise BadSearch(f"There are no resources of these kinds here: {', '.join(unknown)[:200]}.")
    if since is not None:
        span(since)
    wanted = [kind for kind in KINDS if not kinds or kind in kinds]
    row = tx.add(
        BulkExport(
            id=uuid4(),
            study_id=study_id,
            asked_by=str(tx.actor),
            asked_at=tx.now,
            request={"kinds": wanted, "since": since, "url": url},
        )
    )
    trail.record(
        tx, trail.study_chain(tx, study_id), "export.asked", "bulk_export", row.id, kinds=wanted, since=since
    )
    return row


def find(tx: Tx, export_id: UUID) -> BulkExport:
    """An export of the actor's own that has not ended. Raises NotFound."""
    row = tx.get(BulkExport, export_id)
    if row is None or row.asked_by != str(tx.actor) or row.ended_at or tx.now > row.asked_at + GOOD_FOR:
        raise NotFound()
    access.one_study(tx.actor, "export.bulk", row.study_id)
    return row


def good_from(row: BulkExport) -> datetime:
    """The instant from which the next export must tell what is new: with it as `_since` nothing is passed over."""
    return row.asked_at - UNDER_WAY


def end(tx: Tx, export_id: UUID) -> None:
    """Let go of an export: none of its files can be read any more."""
    row = find(tx, export_id)
    row.ended_at = tx.now
    trail.record(tx, trail.study_chain(tx, row.study_id), "export.ended", "bulk_export", row.id)


def lines(actor: Actor, row: BulkExport, kind: str, base: str) -> Iterator[bytes]:
    """A file, resource by resource; at its end, or where the reader leaves it, the trail says who read how much."""
    digest, count, whole = hashlib.sha256(), 0, False
    try:
        for resources in _pages(actor, row, kind, base):
            for resource in resources:
                line = orjson.dumps(resource) + b"\n"
                digest.update(line)
                count += 1
                yield line
        whole = True
    finally:
        _record_reading(actor, row, kind=kind, rows=count, digest=digest.hexdigest(), whole=whole)


def _record_reading(actor: Actor, row: BulkExport, **details: Any) -> None:
    with begin(actor) as tx:
        head = trail.study_chain(tx, row.study_id)
        trail.record(tx, head, "export.read", "bulk_export", row.id, **details)


def _pages(actor: Actor, row: BulkExport, kind: str, base: str) -> Iterator[list[dict[str, Any]]]:
    """Page by page, each in a look of its own: a slow reader holds no transaction open."""
    since = row.request["since"]
    dated = since is not None and kind in DATED
    wanted = (("_lastUpdated", (f"ge{span(since).start.isoformat()}",)),) if dated else ()
    as_of: datetime | None = row.asked_at if kind in AS_OF else None
    search: Search | None = Search(wanted, count=SIZE)
    while search is not None:
        with look(actor) as tx:
            if kind == "Questionnaire":
                found = fhir_library.page(tx, search, base)
            else:
                found = fhir_reading.page(tx, kind, search, base, study_id=row.study_id, as_of=as_of)
        yield found.resources
        search = fhir_reading.onward(search, found)
