"""Publishing study files, and finding the version that a participant follows."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from epro import canonical, db, trail
from epro.errors import Conflict
from epro.questionnaires import catalogue
from epro.scheduling import weeks
from epro.scheduling.models import PublishedProtocol, SiteVersion
from epro.scheduling.protocol import Protocol
from epro.studies.models import Site, Study
from epro.tx import Tx, table_of


class ChangedProtocol(Conflict):
    """This version of the study is published with other content; a changed study file needs a new version."""

    code = "changed_protocol"


def publish(tx: Tx, protocol: Protocol, source: str) -> bool:
    """Publish a checked study file. True if it is new, False if exactly this is published already.

    The first version of a study is its base: what is asked wherever no later one is in force. A later version
    waits for the approval of each site (see amending.py, which also checks it). Raises ChangedProtocol.
    """
    if is_published(tx, protocol):
        return False
    head = trail.study_chain(tx, protocol.study_id)
    _open_study(tx, protocol)
    for assessment in protocol.assessments:
        catalogue.publish(tx, assessment.instrument.code, assessment.instrument.version)
        weekly = weeks.definition(assessment)
        if weekly is not None:
            catalogue.publish(tx, weekly.code, weekly.version)
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


def is_published(tx: Tx, protocol: Protocol) -> bool:
    """Whether exactly this is published. Raises ChangedProtocol if its version is, with other content."""
    row = tx.get(PublishedProtocol, protocol.study_id, protocol.version)
    if row is not None and row.digest != protocol.digest:
        raise ChangedProtocol()
    return row is not None


def as_written(tx: Tx, source: str) -> Protocol | None:
    """The published protocol whose file was exactly this text, if there is one."""
    row = tx.one(sa.select(PublishedProtocol).where(PublishedProtocol.source == source))
    return None if row is None else find(tx, row.study_id, row.version)


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
    """What new participants get where no approved amendment is in force, or None when there is no such study."""
    study = tx.plain(Study, study_id)
    return find(tx, study_id, study.protocol_version) if study else None


def at_site(tx: Tx, study_id: str, site_id: str) -> Protocol | None:
    """What new participants of this site get now, or None when no version in force knows the site."""
    approved = in_force(tx, study_id, site_id)
    protocol = find(tx, study_id, approved.version) if approved else current(tx, study_id)
    return protocol if protocol and _has_site(protocol, site_id) else None


def by_site(tx: Tx, study_id: str) -> dict[str, Protocol]:
    """The version in force at each site of a study: what new participants get there now."""
    first = current(tx, study_id)
    if first is None:
        return {}
    tx.flush()
    oldest_first = tx.rows(_EACH_IN_FORCE, {"study_id": study_id, "now": tx.now})
    newest = {row.site_id: row.version for row in oldest_first}
    sites = [row.id for row in tx.rows(_SITES_OF, {"study_id": study_id})]
    found = {site: find(tx, study_id, newest[site]) if site in newest else first for site in sites}
    return {site: protocol for site, protocol in found.items() if _has_site(protocol, site)}


def to_be_asked(tx: Tx, study_id: str) -> list[Protocol]:
    """Each version that is in force at any site, or approved for one and on its way, in the order of their names."""
    ahead = sa.select(SiteVersion.version).where(
        SiteVersion.study_id == study_id, SiteVersion.in_force_from > tx.now
    )
    versions = {*(protocol.version for protocol in by_site(tx, study_id).values()), *tx.all(ahead)}
    return [find(tx, study_id, version) for version in sorted(versions)]


def asked_of(versions: list[Protocol]) -> list[tuple[str, str, str]]:
    """Code, version and language of everything that these versions of a study ask, by code; languages as they name
    them.
    """
    asked = {
        (one.instrument.code, one.instrument.version, language): None
        for protocol in versions
        for one in protocol.assessments
        for language in protocol.languages
    }
    return sorted(asked, key=lambda one: one[:2])


def in_force(tx: Tx, study_id: str, site_id: str) -> Any | None:
    """The newest amendment that is in force at this site (version, approved_on), or None when none is."""
    found = tx.rows(_IN_FORCE, {"study_id": study_id, "site_id": site_id, "now": tx.now})
    return found[0] if found else None


def next_in_force(tx: Tx, study_id: str, site_id: str) -> datetime | None:
    """When the next approved amendment comes into force at this site."""
    found = tx.rows(_NEXT, {"study_id": study_id, "site_id": site_id, "now": tx.now})
    return found[0].in_force_from if found else None


def published(tx: Tx, study_id: str) -> list[PublishedProtocol]:
    """The rows of every published version, the newest first: with the file as it was written."""
    return tx.all(
        sa.select(PublishedProtocol).where(PublishedProtocol.study_id == study_id).order_by(*_NEWEST)
    )


def approvals(tx: Tx, study_id: str) -> list[SiteVersion]:
    """Every approval that was entered, site by site, the last first."""
    query = sa.select(SiteVersion).where(SiteVersion.study_id == study_id)
    return tx.all(query.order_by(SiteVersion.site_id, SiteVersion.in_force_from.desc(), SiteVersion.version))


def versions(tx: Tx, study_id: str) -> list[Protocol]:
    """Every published version of a study, the newest first."""
    query = sa.select(PublishedProtocol.version).where(PublishedProtocol.study_id == study_id)
    return [find(tx, study_id, version) for version in tx.all(query.order_by(*_NEWEST))]


_NEWEST = (PublishedProtocol.published_at.desc(), PublishedProtocol.version.desc())


def _has_site(protocol: Protocol, site_id: str) -> bool:
    return any(site.id == site_id for site in protocol.sites)


_SAME_VERSION = sa.and_(
    PublishedProtocol.study_id == SiteVersion.study_id, PublishedProtocol.version == SiteVersion.version
)

_EACH_IN_FORCE = (
    sa.select(SiteVersion.site_id, SiteVersion.version)
    .join(PublishedProtocol, _SAME_VERSION)
    .where(
        SiteVersion.study_id == sa.bindparam("study_id"),
        SiteVersion.in_force_from <= sa.bindparam("now", type_=SiteVersion.in_force_from.type),
    )
    .order_by(PublishedProtocol.published_at, PublishedProtocol.version)
)
_SITES_OF = sa.select(Site.id).where(Site.study_id == sa.bindparam("study_id")).order_by(Site.id)
_VERSIONS = table_of(SiteVersion)
_APPROVED = (
    sa.select(_VERSIONS.c.version, _VERSIONS.c.approved_on, _VERSIONS.c.in_force_from)
    .join(table_of(PublishedProtocol), _SAME_VERSION)
    .where(_VERSIONS.c.study_id == sa.bindparam("study_id"), _VERSIONS.c.site_id == sa.bindparam("site_id"))
    .limit(1)
)
_AT = sa.bindparam("now", type_=SiteVersion.in_force_from.type)
_IN_FORCE = _APPROVED.where(_VERSIONS.c.in_force_from <= _AT).order_by(*_NEWEST)
_NEXT = _APPROVED.where(_VERSIONS.c.in_force_from > _AT).order_by(_VERSIONS.c.in_force_from)


def _open_study(tx: Tx, protocol: Protocol) -> None:
    if tx.get(Study, protocol.study_id) is None:
        tx.add(Study(id=protocol.study_id, protocol_version=protocol.version, opened_at=tx.now))
        tx.session.flush()
    for site in protocol.sites:
        if tx.get(Site, protocol.study_id, site.id) is None:
            open_site(tx, protocol, site.id)


def open_site(tx: Tx, protocol: Protocol, site_id: str) -> None:
    """Let a site be there with the names and the phone number of this version (the caller records why)."""
    site, row = protocol.site(site_id), tx.get(Site, protocol.study_id, site_id)
    if row is None:
        row = tx.add(Site(study_id=protocol.study_id, id=site_id, opened_at=tx.now))
    row.time_zone, row.names, row.phone = site.time_zone, dict(site.name), site.phone
    tx.session.flush()
