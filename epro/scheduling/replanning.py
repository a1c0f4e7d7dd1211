"""Every cause of a new plan in one shape: what is to change, its preview, and the act with its reason.

The preview is made from what would be on record after the act, so the two cannot differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from zoneinfo import ZoneInfo

from epro.errors import Invalid
from epro.scheduling import doubts, occurrences, protocols
from epro.scheduling.comparing import Differences
from epro.scheduling.doubts import Doubt
from epro.scheduling.occurrences import Basis
from epro.scheduling.protocol import Protocol
from epro.scheduling.timeline import ZoneSpan
from epro.studies import participants
from epro.studies.models import Participant
from epro.tx import Tx


@dataclass(frozen=True)
class Wish:
    """What is to change about a participant; what is None stays. `anchor` is a name and its day."""

    anchor: tuple[str, date] | None = None
    arm: str | None = None
    language: str | None = None
    time_zone: str | None = None
    protocol: Protocol | None = None


@dataclass(frozen=True)
class Behind:
    """Answers given since the day that an anchor has, which would lie before the day that it is to have."""

    answers: int
    since: date
    day: date

    def __str__(self) -> str:
        given = "1 answer" if self.answers == 1 else f"{self.answers} answers"
        return f"{given} given since {self.since} would lie before {self.day}."


def behind(tx: Tx, participant: Participant, wish: Wish) -> Behind | None:
    """What every door warns of before an anchor moves later; None where no answer would lie before its new day."""
    name, day = wish.anchor or ("", date.min)
    since = participants.anchors(tx, participant).get(name, day)
    days = (
        (row.local_day for row in occurrences.of(tx, participant) if row.fulfilled_at) if since < day else ()
    )
    count = sum(since <= answered < day for answered in days)
    return Behind(count, since, day) if count else None


def doubts_of(tx: Tx, participant: Participant, wish: Wish) -> list[Doubt]:
    """What is doubtful about the day that an anchor is to have; it is taken all the same."""
    if wish.anchor is None:
        return []
    protocol = protocols.find(tx, participant.study_id, participant.protocol_version)
    days = {**participants.anchors(tx, participant), wish.anchor[0]: wish.anchor[1]}
    today = tx.now.astimezone(ZoneInfo(participant.time_zone)).date()
    return list(doubts.about(protocol, days, {wish.anchor[0]}, today))


def preview(tx: Tx, participant: Participant, wish: Wish) -> Differences:
    """What the wish would change in her plan. Nothing is done. Raises Invalid if the study does not know it."""
    return previews(tx, [participant], wish)[0]


def previews(tx: Tx, people: Sequence[Participant], wish: Wish) -> list[Differences]:
    """The same for several participants of one study."""
    bases = occurrences.bases(tx, people)
    for basis in bases:
        refuse_unknown(basis.protocol, wish)
    then = [_with(tx, basis, wish) for basis in bases]
    return occurrences.differences_of(tx, list(zip(people, then, strict=True)))


def carry_out(tx: Tx, participant: Participant, wish: Wish, reason: str) -> Differences:
    """Do what the wish says (participant locked by the caller), and bring her plan to it. Raises Invalid."""
    refuse_unknown(protocols.find(tx, participant.study_id, participant.protocol_version), wish)
    why = "; ".join(_put_on_record(tx, participant, wish, reason))
    tx.session.flush()
    found = occurrences.replan(tx, participant, why)
    if wish.time_zone:
        occurrences.look_again_at_all(
            tx, participant
        )  # her reminder hour is read on the clock of where she is
    return found


def refuse_unknown(protocol: Protocol, wish: Wish) -> None:
    """Raise Invalid for what the study does not know."""
    anchor = wish.anchor[0] if wish.anchor else None
    errors = [
        *_unless_known(
            anchor,
            [one.id for one in protocol.anchors if one.base is None],  # the others come by themselves
            "anchors",
            {"pointer": "/anchor", "code": "unknown_anchor"},
        ),
        *_unless_known(
            wish.arm, [one.id for one in protocol.arms], "arms", {"pointer": "/arm", "code": "unknown_arm"}
        ),
        *_unless_known(
            wish.language,
            protocol.languages,
            "languages",
            {"pointer": "/language", "code": "unknown_language"},
        ),
    ]
    if errors:
        raise Invalid(errors=errors)


def _with(tx: Tx, basis: Basis, wish: Wish) -> Basis:
    """The basis as it will be on record."""
    person = replace(
        basis.person, arm=wish.arm or basis.person.arm, language=wish.language or basis.person.language
    )
    zones = basis.zones
    if wish.time_zone and wish.time_zone != basis.zone:
        zones = (*zones, ZoneSpan(tx.now, wish.time_zone))
    anchors = {**basis.anchors, **dict([wish.anchor] if wish.anchor else [])}
    return Basis(wish.protocol or basis.protocol, anchors, zones, person)


def _put_on_record(tx: Tx, participant: Participant, wish: Wish, reason: str) -> Iterator[str]:
    """Write down what changes; yields why the plan follows."""
    if wish.anchor:
        participants.set_anchor(tx, participant, *wish.anchor, reason)
        yield f"anchor {wish.anchor[0]}"
    if wish.arm:
        participants.set_arm(tx, participant, wish.arm, reason)
        yield "arm"
    if wish.language or wish.time_zone:
        participants.change_settings(
            tx, participant, language=wish.language, time_zone=wish.time_zone, reason=reason
        )
        yield "time_zone" if wish.time_zone else "language"
    if wish.protocol:
        participants.follow(tx, participant, wish.protocol.version, reason)
        yield f"version {wish.protocol.version}"


def _unless_known(
    wanted: str | None, known: Sequence[str], plural: str, fault: dict[str, str]
) -> Iterator[dict[str, str]]:
    if wanted is not None and wanted not in known:
        listed = (
            f"The study's {plural} are {', '.join(sorted(known))}."
            if known
            else f"The study has no {plural}."
        )
        yield {**fault, "detail": listed}
