"""Amendments of a protocol: checked against what is on file, shown first, published, and approved site by site.

Publishing moves nobody. A site goes over when its ethics approval has been entered and its day has come: the clockwork
then moves each of its participants by herself (see `occurrences.extend_due`), and who is enrolled there from then
on follows the new version. Other sites stay with theirs; versions run side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from epro import trail
from epro.errors import Conflict, NotFound
from epro.scheduling import protocols, replanning
from epro.scheduling.comparing import Differences
from epro.scheduling.models import SiteVersion
from epro.scheduling.protocol import Protocol
from epro.scheduling.replanning import Wish
from epro.studies.models import Participant
from epro.tx import Tx

AT_ONCE = 50  # how many are looked at in one go


class UnfitAmendment(Conflict):
    """This amendment would break what is on file; see errors."""

    code = "unfit_amendment"


class AlreadyApproved(Conflict):
    """This version is approved for the site with another date."""

    code = "site_version_approved"


class OlderVersion(Conflict):
    """A later version of the study is in force or approved at the site."""

    code = "older_version"


@dataclass(frozen=True)
class Changes:
    """Ids of the assessments that a version adds, takes away, or asks in another way (with the keys that differ); and
    of each other part of the file that differs, the ids or keys.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: dict[str, tuple[str, ...]]
    elsewhere: dict[str, tuple[str, ...]]


def changes(before: Protocol, after: Protocol) -> Changes:
    """What the later version says otherwise about assessments, in the order of the files."""
    old = {one.id: one.canonical() for one in before.assessments}
    new = {one.id: one.canonical() for one in after.assessments}
    both = {id: _keys_that_differ(old[id], new[id]) for id in new if id in old}
    return Changes(
        added=tuple(id for id in new if id not in old),
        removed=tuple(id for id in old if id not in new),
        changed={id: keys for id, keys in both.items() if keys},
        elsewhere=dict(_elsewhere(before.canonical(), after.canonical())),
    )


def _elsewhere(before: dict[str, Any], after: dict[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for part in sorted(before.keys() | after.keys() - {"assessments"}):
        old, new = before.get(part), after.get(part)
        if part != "assessments" and old != new:
            keys = _keys_that_differ(_by_name(old), _by_name(new))
            if part != "study" or keys != ("version",):
                yield part, tuple(key for key in keys if (part, key) != ("study", "version"))


def _by_name(part: Any) -> dict[str, Any]:
    if isinstance(part, list):
        return {one["id"]: one for one in part}
    return part if isinstance(part, dict) else {}


def amended(tx: Tx, protocol: Protocol) -> Protocol:
    """The version that this one amends: the one published last before it. Raises NotFound, ChangedProtocol."""
    protocols.is_published(tx, protocol)
    before = protocols.versions(tx, protocol.study_id)
    names = [one.version for one in before]
    if protocol.version in names:
        before = before[names.index(protocol.version) + 1 :]
    if not before:
        raise NotFound("No other version of this study is published: there is nothing to amend.")
    return before[0]


def amend(tx: Tx, protocol: Protocol, source: str) -> bool:
    """Publish a version that waits for its approvals. True if it is new. Raises UnfitAmendment, NotFound."""
    amended(tx, protocol)
    return publish(tx, protocol, source)


def publish(tx: Tx, protocol: Protocol, source: str) -> bool:
    """Publish a study, or a later version of one, which then waits for its approvals. True if it is new.

    Raises UnfitAmendment, ChangedProtocol.
    """
    if not protocols.is_published(tx, protocol):
        refuse_unfit(tx, protocol)
    return protocols.publish(tx, protocol, source)


def dry_run(
    tx: Tx, protocol: Protocol, site_id: str | None = None
) -> Iterator[tuple[Participant, Differences]]:
    """What going over to this version would change now, for each participant whom it concerns, site by site."""
    people = concerned(tx, protocol, site_id)
    for first in range(0, len(people), AT_ONCE):
        some = people[first : first + AT_ONCE]
        yield from zip(some, replanning.previews(tx, some, Wish(protocol=protocol)), strict=True)


def concerned(tx: Tx, protocol: Protocol, site_id: str | None = None) -> list[Participant]:
    """Who takes part and follows another version, in the order of the sites."""
    query = sa.select(Participant).where(
        Participant.study_id == protocol.study_id,
        Participant.withdrawn_at.is_(None),
        Participant.protocol_version != protocol.version,
    )
    if site_id is not None:
        query = query.where(Participant.site_id == site_id)
    return tx.all(query.order_by(Participant.site_id, Participant.subject_id))


def approve(tx: Tx, study_id: str, version: str, site_id: str, on: date) -> SiteVersion:
    """Enter the ethics approval of a site: from that day on at its own midnight, and not before now, it is in force.

    The same approval again changes nothing. Raises NotFound, UnfitAmendment, AlreadyApproved, OlderVersion.
    """
    head = trail.study_chain(tx, study_id)
    row = approval(tx, study_id, version, site_id, on)
    if row in tx.session:
        return row  # it is on record
    protocols.open_site(tx, protocols.find(tx, study_id, version), site_id)
    tx.add(row)
    tx.session.flush()
    trail.record(
        tx,
        head,
        "protocol.approved",
        "protocol",
        f"{study_id}/{version}",
        reason=f"ethics approval of {on.isoformat()}",
        site=site_id,
        in_force_from=trail.instant(row.in_force_from),
    )
    _wake(tx, row)
    return row


def approval(tx: Tx, study_id: str, version: str, site_id: str, on: date) -> SiteVersion:
    """The approval as it stands, or as it would be entered now. Nothing is done. Raises as `approve`."""
    protocol = published(tx, study_id, version, site_id)
    known = tx.get(SiteVersion, study_id, site_id, version)
    if known is not None:
        if known.approved_on != on:
            raise AlreadyApproved()
        return known
    _refuse_older(tx, protocol, site_id)
    refuse_unfit(tx, protocol)
    return _site_version(tx, protocol, site_id, on)


def published(tx: Tx, study_id: str, version: str, site_id: str) -> Protocol:
    """The published version, which has this site. Raises NotFound."""
    try:
        protocol = protocols.find(tx, study_id, version)
    except LookupError:
        raise NotFound(f"Version {version} of study {study_id} is not published.") from None
    if all(site.id != site_id for site in protocol.sites):
        raise NotFound(f"Version {version} of study {study_id} has no site {site_id}.")
    return protocol


def refuse_unfit(tx: Tx, protocol: Protocol) -> None:
    """Raise UnfitAmendment naming everything in which this version would break what is on file."""
    errors = [*_against_versions(tx, protocol), *_against_participants(tx, protocol)]
    if errors:
        raise UnfitAmendment(errors=errors)


def _against_versions(tx: Tx, protocol: Protocol) -> Iterator[dict[str, Any]]:
    """Ids and numbers stand for the same thing in every version: data are filed under them."""
    asked: dict[str, tuple[str, str]] = {}
    numbers: dict[str, tuple[Any, str]] = {}
    for other in reversed(protocols.versions(tx, protocol.study_id)):
        asked |= {one.id: (one.instrument.code, other.version) for one in other.assessments}
        numbers |= {visit.id: (visit.number, other.version) for visit in other.visits}
    for one in protocol.assessments:
        code, version = asked.get(one.id, (one.instrument.code, ""))
        if code != one.instrument.code:
            words = f"{one.id} asks {code} in version {version}: give the new one its own id."
            yield {"pointer": f"/assessments/{one.id}", "code": "assessment_reused", "detail": words}
    for visit in protocol.visits:
        number, version = numbers.get(visit.id, (visit.number, ""))
        if number != visit.number:
            words = f"{visit.id} is visit {number} in version {version}: it keeps its number."
            yield {"pointer": f"/visits/{visit.id}", "code": "visit_renumbered", "detail": words}


def _against_participants(tx: Tx, protocol: Protocol) -> Iterator[dict[str, Any]]:
    """What somebody who takes part has, the study must still have."""
    arms, sites = {arm.id for arm in protocol.arms}, {site.id for site in protocol.sites}
    kinds: list[tuple[Any, set[str], dict[str, str]]] = [
        (Participant.language, set(protocol.languages), {"pointer": "/languages", "code": "language_in_use"}),
        (Participant.site_id, sites, {"pointer": "/sites", "code": "site_in_use"}),
        (Participant.arm, arms, {"pointer": "/arms", "code": "arm_in_use"}),
    ]
    for column, kept, fault in kinds:
        for value, count in tx.session.execute(_in_use(protocol, column)):
            if value not in kept:
                words = f"{value} is gone from this version, and {count} who take part have it: keep it."
                yield {**fault, "pointer": f"{fault['pointer']}/{value}", "detail": words}


def _in_use(protocol: Protocol, column: Any) -> sa.Select[Any]:
    query = sa.select(column, sa.func.count()).where(
        Participant.study_id == protocol.study_id, Participant.withdrawn_at.is_(None), column.is_not(None)
    )
    return query.group_by(column).order_by(column)


def _keys_that_differ(before: dict[str, Any], after: dict[str, Any]) -> tuple[str, ...]:
    return tuple(sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key)))


def _refuse_older(tx: Tx, protocol: Protocol, site_id: str) -> None:
    newest_first = [one.version for one in protocols.versions(tx, protocol.study_id)]
    query = sa.select(SiteVersion.version).where(
        SiteVersion.study_id == protocol.study_id, SiteVersion.site_id == site_id
    )
    later = newest_first[: newest_first.index(protocol.version)]
    if any(version in later for version in tx.all(query)):
        raise OlderVersion()


def _site_version(tx: Tx, protocol: Protocol, site_id: str, on: date) -> SiteVersion:
    midnight = datetime.combine(on, time(), ZoneInfo(protocol.site(site_id).time_zone)).astimezone(UTC)
    return SiteVersion(
        study_id=protocol.study_id,
        site_id=site_id,
        version=protocol.version,
        approved_on=on,
        in_force_from=max(midnight, tx.now),
        entered_at=tx.now,
        entered_by=str(tx.actor),
    )


def _wake(tx: Tx, row: SiteVersion) -> None:
    """The clockwork looks at each participant of the site when the version comes into force."""
    theirs = sa.and_(
        Participant.study_id == row.study_id,
        Participant.site_id == row.site_id,
        Participant.plan_at > row.in_force_from,
    )
    statement = sa.update(Participant).where(theirs).values(plan_at=row.in_force_from)
    tx.session.execute(statement.execution_options(synchronize_session=False))
