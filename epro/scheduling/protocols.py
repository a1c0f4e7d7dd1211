"""Publishing study files, and finding the version that a participant follows."""

from __future__ import annotations

import json

from epro import canonical, db, trail
from epro.errors import Conflict
from epro.questionnaires import catalogue
from epro.scheduling.models import PublishedProtocol
from epro.scheduling.protocol import Protocol
from epro.studies.models import Site, Study
from epro.tx import Tx


class ChangedProtocol(Conflict):
    """This version of the study is published with other content; a changed study file needs a new version."""

    code = "changed_protocol"


def publish(tx: Tx, protocol: Protocol, source: str) -> bool:
    """Publish a checked study file. True if it is new, False if exactly this is published already.

    New participants follow the version published last; those enrolled stay with theirs. Raises ChangedProtocol.
    """
    row = tx.get(PublishedProtocol, protocol.study_id, protocol.version)
    if row is not None:
        if row.digest != protocol.digest:
            raise ChangedProtocol()
        return False
    head = trail.study_chain(tx, protocol.study_id)
    _open_study(tx, protocol)
    for assessment in protocol.assessments:
        catalogue.publish(tx, assessment.instrument.code, assessment.instrument.version)
    tx.add(
        PublishedProtocol(
            study_id=protocol.study_id,
            version=protocol.version,
            digest=protocol.digest,
            published_at=tx.now,
            body=canonical.encode(protocol.canonical()).decode(),
            source=source,
        )
    )
    trail.record(
        tx,
        head,
        "protocol.published",
        "protocol",
        f"{protocol.study_id}/{protocol.version}",
        digest=protocol.digest,
    )
    return True


def find(tx: Tx, study_id: str, version: str) -> Protocol:
    """The published protocol of this version. Raises LookupError if there is none.

    A version never changes once it is published, so each is read once in a process.
    """
    known: Protocol | None = db.remembered().get(("protocol", study_id, version))
    if known is None:
        row = tx.get(PublishedProtocol, study_id, version)
        if row is None:
            raise LookupError(f"protocol {study_id} {version} is not published")
        known = db.remembered()[("protocol", study_id, version)] = Protocol.from_canonical(
            json.loads(row.body)
        )
    return known


def current(tx: Tx, study_id: str) -> Protocol | None:
    """What new participants of the study get, or None when there is no such study."""
    study = tx.get(Study, study_id)
    return find(tx, study_id, study.protocol_version) if study else None


def _open_study(tx: Tx, protocol: Protocol) -> None:
    study = tx.get(Study, protocol.study_id)
    if study is None:
        tx.add(Study(id=protocol.study_id, protocol_version=protocol.version, opened_at=tx.now))
    else:
        study.protocol_version = protocol.version
    tx.session.flush()
    for site in protocol.sites:
        row = tx.get(Site, protocol.study_id, site.id)
        if row is None:
            row = tx.add(Site(study_id=protocol.study_id, id=site.id, opened_at=tx.now))
        row.time_zone, row.names, row.phone = site.time_zone, dict(site.name), site.phone
    tx.session.flush()
