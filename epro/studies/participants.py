"""Participants: enrolling, anchors, zones, preferences, withdrawal. The plan that follows is scheduling's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, time
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from epro import trail
from epro.errors import Conflict
from epro.statements import of_people
from epro.studies.models import Anchor, Participant, Site, ZoneStay
from epro.tx import Tx, table_of


class SubjectIdTaken(Conflict):
    """This subject id is taken in this study."""

    code = "subject_id_taken"


class AlreadyWithdrawn(Conflict):
    """This participant has been withdrawn before."""

    code = "already_withdrawn"


def enrol(
    tx: Tx,
    site: Site,
    *,
    subject_id: str,
    language: str,
    time_zone: str,
    protocol_version: str,
    anchors: Mapping[str, date],
    contact: Mapping[str, str],
    arm: str | None = None,
    channels: Sequence[str] | None = None,
) -> Participant:
    """A new participant at a site; `contact` are the trail's commitments of what the contact store keeps."""
    head = hold_numbering(tx, site)
    refuse_taken(tx, site, subject_id)
    participant = tx.add(
        Participant(
            study_id=site.study_id,
            subject_id=subject_id,
            site_id=site.id,
            language=language,
            time_zone=time_zone,
            protocol_version=protocol_version,
            arm=arm,
            enrolled_at=tx.now,
            preferences={"channels": list(channels)} if channels else {},
            change_no=0,
            chain_seq=0,
            chain_mac=trail.START,
        )
    )
    tx.session.flush()
    tx.add(
        ZoneStay(
            id=uuid4(),
            study_id=site.study_id,
            subject_id=subject_id,
            time_zone=time_zone,
            since=tx.now,
            seq=0,
        )
    )
    for name, day in sorted(anchors.items()):
        _add_anchor(tx, participant, name, day, "enrolment")
    tx.session.flush()
    event = trail.record(
        tx,
        participant,
        "participant.enrolled",
        "participant",
        subject_id,
        site=site.id,
        language=language,
        time_zone=time_zone,
        protocol=protocol_version,
        arm=arm,
        contact=dict(contact),
        channels=list(channels) if channels else None,
        anchors={name: day.isoformat() for name, day in anchors.items()},
    )
    trail.record(tx, head, "participant.enrolled", "participant", subject_id, site=site.id)
    trail.stream(tx, event, participant, "participant.enrolled", _enrolled(tx, participant, anchors))
    return participant


def _enrolled(tx: Tx, participant: Participant, anchors: Mapping[str, date]) -> dict[str, Any]:
    """As the feed tells it: never the arm, never contact data."""
    told = {name: getattr(participant, name) for name in ("protocol_version", "language", "time_zone")}
    days = {name: day.isoformat() for name, day in anchors.items()}
    told |= {"enrolled_at": trail.instant(participant.enrolled_at), "anchors": days, "by": str(tx.actor)}
    return {"participant": told}


def hold_numbering(tx: Tx, site: Site) -> trail.ChainHead:
    """Enrolments of a study go one after the other: this lock is held until the act is over."""
    return trail.study_chain(tx, site.study_id)


def refuse_taken(tx: Tx, site: Site, subject_id: str) -> None:
    """Raise SubjectIdTaken if somebody has this id."""
    if tx.one(
        sa.select(Participant.subject_id).where(
            Participant.study_id == site.study_id, Participant.subject_id == subject_id
        )
    ):
        raise SubjectIdTaken()


def next_subject_id(tx: Tx, site: Site) -> str:
    """The next free number of the site, such as 01-007; the caller holds the study's chain."""
    query = (
        sa.select(sa.func.count())
        .select_from(Participant)
        .where(Participant.study_id == site.study_id, Participant.site_id == site.id)
    )
    number = (tx.session.scalar(query) or 0) + 1
    while tx.get(Participant, site.study_id, f"{site.id}-{number:03}"):
        number += 1
    return f"{site.id}-{number:03}"


def anchors(tx: Tx, participant: Participant) -> dict[str, date]:
    """The anchors on record; of each the day that was set last, unless it was taken back."""
    return anchors_of(tx, participant.study_id, [participant.subject_id])[participant.subject_id]


def anchors_of(tx: Tx, study_id: str, subject_ids: Sequence[str]) -> dict[str, dict[str, date]]:
    """The anchors of several participants of one study."""
    found: dict[str, dict[str, date]] = {subject_id: {} for subject_id in subject_ids}
    for row in _theirs(tx, _ANCHORS, study_id, subject_ids):
        if row.taken_back:
            found[row.subject_id].pop(row.anchor, None)
        else:
            found[row.subject_id][row.anchor] = row.day
    return found


def anchor_rows(tx: Tx, participant: Participant) -> list[Anchor]:
    """Every setting of an anchor, oldest first."""
    query = sa.select(Anchor).where(
        Anchor.study_id == participant.study_id, Anchor.subject_id == participant.subject_id
    )
    return tx.all(query.order_by(Anchor.seq))


ANSWER, CORRECTION = "answer", "correction"  # through what an anchor was set, where nobody set it


def set_anchor(
    tx: Tx, participant: Participant, anchor: str, day: date, reason: str, through: str | None = None
) -> None:
    """Set or move an anchor of a participant (locked by the caller); `through` what, where nobody sets it by hand."""
    before = anchors(tx, participant).get(anchor)
    _add_anchor(tx, participant, anchor, day, reason, through)
    tx.session.flush()
    event = trail.record(
        tx,
        participant,
        "anchor.set",
        "participant",
        participant.subject_id,
        reason=reason,
        anchor=anchor,
        day=day.isoformat(),
        before=before.isoformat() if before else None,
    )
    told = {"id": anchor, "date": day.isoformat(), "by": str(tx.actor)}
    trail.stream(tx, event, participant, "anchor.set", {"anchor": told})


def unset_anchor(tx: Tx, participant: Participant, anchor: str, reason: str) -> None:
    """Take back the day of an anchor that an answer has set (participant locked by the caller)."""
    before = anchors(tx, participant)[anchor]
    _add_anchor(tx, participant, anchor, before, reason, CORRECTION, taken_back=True)
    tx.session.flush()
    event = trail.record(
        tx,
        participant,
        "anchor.unset",
        "participant",
        participant.subject_id,
        reason=reason,
        anchor=anchor,
        before=before.isoformat(),
    )
    told = {"id": anchor, "date": before.isoformat(), "by": str(tx.actor)}
    trail.stream(tx, event, participant, "anchor.unset", {"anchor": told})


def set_arm(tx: Tx, participant: Participant, arm: str, reason: str) -> None:
    """Allot a participant (locked by the caller) to an arm, or to another one."""
    before, participant.arm = participant.arm, arm
    trail.record(
        tx,
        participant,
        "arm.set",
        "participant",
        participant.subject_id,
        reason=reason,
        arm=arm,
        before=before,
    )


def follow(tx: Tx, participant: Participant, version: str, reason: str) -> None:
    """From now on a participant (locked by the caller) follows this version of the protocol."""
    before, participant.protocol_version = participant.protocol_version, version
    trail.record(
        tx,
        participant,
        "protocol.followed",
        "participant",
        participant.subject_id,
        reason=reason,
        version=version,
        before=before,
    )


def zone_stays(tx: Tx, participant: Participant) -> Sequence[Any]:
    """Where she lived from when (plain rows), oldest first."""
    return zone_stays_of(tx, participant.study_id, [participant.subject_id])[participant.subject_id]


def zone_stays_of(tx: Tx, study_id: str, subject_ids: Sequence[str]) -> dict[str, list[Any]]:
    """The same of several participants of one study."""
    found: dict[str, list[Any]] = {subject_id: [] for subject_id in subject_ids}
    for row in _theirs(tx, _STAYS, study_id, subject_ids):
        found[row.subject_id].append(row)
    return found


def _theirs(tx: Tx, asked: sa.Select[Any], study_id: str, subject_ids: Sequence[str]) -> Sequence[Any]:
    tx.flush()
    return tx.rows(asked, {"study_id": study_id, "subject_ids": subject_ids})


def _of_them(model: Any, *names: str) -> sa.Select[Any]:
    table = table_of(model)
    columns = [table.c[name] for name in ("subject_id", *names)]
    return sa.select(*columns).where(of_people(table)).order_by(table.c.seq)


_ANCHORS = _of_them(Anchor, "anchor", "day", "taken_back")
_STAYS = _of_them(ZoneStay, "time_zone", "since")


def change_settings(
    tx: Tx,
    participant: Participant,
    *,
    language: str | None = None,
    time_zone: str | None = None,
    preferences: Mapping[str, Any] | None = None,
    reason: str | None = None,
) -> bool:
    """Change what she may set herself (locked by the caller). True if her zone changed: the plan must follow.

    The site gives a reason.
    """
    changed: dict[str, Any] = {}
    was = {name: getattr(participant, name) for name in ("language", "time_zone", "preferences")}
    if language and language != participant.language:
        participant.language = changed["language"] = language
    moved = bool(time_zone) and time_zone != participant.time_zone
    if time_zone and moved:
        participant.time_zone = changed["time_zone"] = time_zone
        tx.add(
            ZoneStay(
                id=uuid4(),
                study_id=participant.study_id,
                subject_id=participant.subject_id,
                time_zone=time_zone,
                since=tx.now,
                seq=participant.chain_seq,
            )
        )
    if preferences and {**participant.preferences, **preferences} != participant.preferences:
        participant.preferences = {**participant.preferences, **preferences}
        changed["preferences"] = dict(preferences)
    if changed:
        tx.session.flush()
        trail.record(
            tx,
            participant,
            "participant.settings_changed",
            "participant",
            participant.subject_id,
            reason=reason,
            before={name: was[name] for name in changed},
            **changed,
        )
    return moved


def opt_out(tx: Tx, participant: Participant, by: str) -> bool:
    """She wants no messages any more (locked by the caller). True the first time."""
    if participant.opted_out_at is not None:
        return False
    participant.opted_out_at = tx.now
    trail.record(tx, participant, "participant.opted_out", "participant", participant.subject_id, by=by)
    return True


def opt_in(tx: Tx, participant: Participant, by: str) -> bool:
    """She wants messages again. True if that is a change."""
    if participant.opted_out_at is None:
        return False
    participant.opted_out_at = None
    trail.record(tx, participant, "participant.opted_in", "participant", participant.subject_id, by=by)
    return True


def withdraw(tx: Tx, participant: Participant, reason: str) -> None:
    """End her participation (locked by the caller). What she completed before may still arrive."""
    if participant.withdrawn_at is not None:
        raise AlreadyWithdrawn()
    participant.withdrawn_at = tx.now
    event = trail.record(
        tx, participant, "participant.withdrawn", "participant", participant.subject_id, reason=reason
    )
    told = {"at": trail.instant(tx.now), "by": str(tx.actor)}
    trail.stream(tx, event, participant, "participant.withdrawn", {"withdrawal": told})


def put_back(tx: Tx, participant: Any) -> None:
    """Write what an act has moved on of a plain row: the head of her chain and the number of her changes."""
    tx.write(
        Participant,
        participant.study_id,
        participant.subject_id,
        chain_seq=participant.chain_seq,
        chain_mac=participant.chain_mac,
        change_no=participant.change_no,
    )


def reminder_hour(participant: Participant) -> time | None:
    """The hour at which she likes to be reminded, on her own clock."""
    hour = (participant.preferences or {}).get("reminder_hour")
    return time.fromisoformat(hour) if hour else None


def _add_anchor(
    tx: Tx,
    participant: Participant,
    name: str,
    day: date,
    reason: str,
    through: str | None = None,
    *,
    taken_back: bool = False,
) -> None:
    tx.add(
        Anchor(
            id=uuid4(),
            study_id=participant.study_id,
            subject_id=participant.subject_id,
            anchor=name,
            day=day,
            set_at=tx.now,
            set_by=str(tx.actor),
            reason=reason,
            seq=participant.chain_seq,
            taken_back=taken_back,
            set_through=through,
        )
    )
