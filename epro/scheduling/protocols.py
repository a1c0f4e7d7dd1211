"""Publishing study files, and finding the version that a participant follows."""

from __future__ import annotations

import json

import sqlalchemy as sa

from epro import canonical, trail
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
    """The published protocol of this version. It is on record for every participant, so it is there."""
    key = (study_id, version)
    digest = tx.session.scalar(
        sa.select(PublishedProtocol.digest).filter_by(study_id=study_id, version=version)
    )
    if digest is None:
        raise LookupError(f"protocol {key} is not published")
    return _KNOWN.get(digest) or _load(tx, study_id, version)


def current(tx: Tx, study_id: str) -> Protocol | None:
    """What new participants of the study get, or None when there is no such study."""
    study = tx.get(Study, study_id)
    return find(tx, study_id, study.protocol_version) if study else None


_KNOWN: dict[str, Protocol] = {}  # by digest: a published version never changes


def _load(tx: Tx, study_id: str, version: str) -> Protocol:
    row = tx.get(PublishedProtocol, study_id, version)
    assert row is not None
    return _KNOWN.setdefault(row.digest, Protocol.from_canonical(json.loads(row.body)))


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
