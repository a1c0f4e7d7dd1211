"""Somebody takes part from now on: what the study asks of an enrolment, and the act, whichever door it comes in by."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from zoneinfo import ZoneInfo

from epro.contacts import store
from epro.errors import Invalid, NotFound
from epro.scheduling import doubts, occurrences, protocols, replanning
from epro.scheduling.doubts import Doubt
from epro.scheduling.protocol import Protocol
from epro.scheduling.replanning import Wish
from epro.studies import access, participants
from epro.studies.models import Participant, Site
from epro.tx import Tx, look, system

DOOR = system("door")


@dataclass(frozen=True)
class Newcomer:
    """Who is to take part. Without a subject id the site's next number is hers; contact data are kept apart."""

    study_id: str
    site_id: str
    language: str
    time_zone: str
    anchors: Mapping[str, date]
    subject_id: str | None = None
    arm: str | None = None
    contact: Mapping[str, str] = field(default_factory=dict)
    channels: Sequence[str] | None = None


def enrol(tx: Tx, newcomer: Newcomer) -> Participant:
    """Enrol her and plan what she will be asked. Raises Invalid, NotAllowed, NotFound, SubjectIdTaken."""
    access.allow(tx.actor, "participant.enrol", newcomer.study_id, newcomer.site_id)
    site, protocol = at_site(tx, newcomer.study_id, newcomer.site_id)
    check(protocol, newcomer)
    participant = _put_on_record(tx, site, protocol, newcomer)
    occurrences.replan(tx, participant, "enrolment")
    return participant


def doubts_of(tx: Tx, row: Participant) -> list[Doubt]:
    """What is doubtful about the days with which she was enrolled just now; they are taken all the same."""
    protocol, days = protocols.find(tx, row.study_id, row.protocol_version), participants.anchors(tx, row)
    today = tx.now.astimezone(ZoneInfo(row.time_zone)).date()
    return list(doubts.about(protocol, days, days, today))


def at_site(tx: Tx, study_id: str, site_id: str) -> tuple[Site, Protocol]:
    """A site and the version of the study that newcomers there follow. Raises NotFound."""
    site, protocol = tx.get(Site, study_id, site_id), protocols.at_site(tx, study_id, site_id)
    if site is None or protocol is None:
        raise NotFound()
    return site, protocol


def check(protocol: Protocol, newcomer: Newcomer) -> None:
    """Raise Invalid for what the study does not know, and for what it asks and was not given."""
    if newcomer.language not in protocol.languages:
        listed = ", ".join(protocol.languages)
        raise Invalid(
            errors=[
                {
                    "pointer": "/language",
                    "code": "unknown_language",
                    "detail": f"The study's languages are {listed}.",
                }
            ]
        )
    _refuse(_unknown_anchors(protocol, newcomer.anchors))
    replanning.refuse_unknown(protocol, Wish(arm=newcomer.arm))
    _refuse(_missing_anchors(protocol, newcomer.anchors))
    if newcomer.subject_id and not fits(protocol, newcomer.subject_id):
        raise Invalid(
            errors=[
                {
                    "pointer": "/subject_id",
                    "code": "bad_subject_id",
                    "detail": "The study's subject ids look otherwise.",
                }
            ]
        )


def fits(protocol: Protocol, subject_id: str) -> bool:
    """Whether a subject id looks as the study's do; patterns come from reviewed study files only."""
    pattern = protocol.subject_id_pattern
    return pattern is None or re.fullmatch(pattern, subject_id) is not None


def _unknown_anchors(protocol: Protocol, names: Iterable[str]) -> Iterator[dict[str, str]]:
    known = {anchor.id for anchor in protocol.anchors if anchor.base is None}
    if any(name not in known for name in names):
        yield {
            "pointer": "/anchors",
            "code": "unknown_anchor",
            "detail": f"The study's anchors are {', '.join(sorted(known))}.",
        }


def _missing_anchors(protocol: Protocol, names: Iterable[str]) -> Iterator[dict[str, str]]:
    given = set(names)
    for name in protocol.required_anchors:
        if name not in given:
            yield {
                "pointer": f"/anchors/{name}",
                "code": "missing_anchor",
                "detail": "The study needs this day at enrolment.",
            }


def _refuse(errors: Iterable[dict[str, str]]) -> None:
    found = list(errors)
    if found:
        raise Invalid(errors=found)


def _put_on_record(tx: Tx, site: Site, protocol: Protocol, newcomer: Newcomer) -> Participant:
    contact = {field: store.normal(field, value) for field, value in newcomer.contact.items()}
    participants.hold_numbering(tx, site)
    subject_id = _free_subject_id(site, newcomer.subject_id)
    owner = f"participant/{subject_id}"
    store.erase(site.study_id, owner)  # what an enrolment left that came to nothing
    commitments = store.keep(site.study_id, owner, contact, tx.now) if contact else {}
    try:
        return participants.enrol(
            tx,
            site,
            subject_id=subject_id,
            language=newcomer.language,
            time_zone=newcomer.time_zone,
            protocol_version=protocol.version,
            anchors=newcomer.anchors,
            contact=commitments,
            arm=newcomer.arm,
            channels=newcomer.channels,
        )
    except Exception:
        store.erase(site.study_id, owner)  # nobody was enrolled under this name
        raise


def _free_subject_id(site: Site, asked: str | None) -> str:
    """An id that nobody in the whole study has, also where this nurse sees nobody (numbering held)."""
    with look(DOOR) as everybody:
        if asked is None:
            return participants.next_subject_id(everybody, site)
        participants.refuse_taken(everybody, site, asked)
        return asked
