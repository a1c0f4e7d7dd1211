"""Sending what the ledger says is due. Never a transaction open while a provider is called.

Three acts: *begin* (under the participant's lock: is it still wanted? then say that it is begun), the call, and
*note* (what came of it). When a worker dies in between, the message stays begun. A patient's reminder is then
never sent again by itself: if the provider can be asked it is asked, else its fate is unknown and shown. A
message to staff about an alert is begun again: a doubled alert beats a lost one. Where it is refused, the next
channel is tried, and this goes on, less and less often, as long as the message is of use.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from epro import clock, db, trail
from epro.contacts import store
from epro.contacts.sealing import CannotOpen
from epro.errors import places
from epro.notifications import messages, rules, wording
from epro.notifications.models import Alert, Message
from epro.notifications.senders import Askable, Outgoing, Sender, SendFailed, SendUnknown
from epro.scheduling.models import Occurrence
from epro.studies.models import Participant, Site
from epro.tx import AWAY, Tx, begin, look, system

log = logging.getLogger(__name__)

WORKER = system("worker")
LEASE = timedelta(seconds=60)
FEW = 5  # messages, until we look again whether an alert has come that goes first
IN_DOUBT_FOR = timedelta(hours=6)  # how long a message to staff is sent again while nobody knows its fate
FALLBACK = "en"  # for who reads a language that has no texts yet: better than silence
NOT_TOLD_APART = "not_told_apart"
Senders = Mapping[str, Sender]


@dataclass(frozen=True)
class Job:
    """A message that this worker has begun: everything the call needs."""

    study_id: str
    message_id: UUID
    attempt: int
    begun_at: datetime
    channel: str
    outgoing: Outgoing
    again: bool  # whether it was begun before, by a worker that never noted an outcome


def send_due(
    senders: Senders,
    now: datetime | None = None,
    limit: int = 50,
    stopped: Callable[[], bool] = lambda: False,
) -> int:
    """Send up to `limit` messages that are due, each tried once, until told to stop; returns how many were tried.

    What is due is asked anew every few messages: providers are slow, and an alert need not wait for the reminders
    that were due before it.
    """
    tried: set[tuple[str, UUID]] = set()
    while due := _next_few(now or clock.now(), limit, tried):
        for study_id, message_id in due:
            if stopped():
                return len(tried)
            tried.add((study_id, message_id))
            _send_or_pass_over(study_id, message_id, senders, now)
    return len(tried)


def _next_few(now: datetime, limit: int, tried: set[tuple[str, UUID]]) -> list[tuple[str, UUID]]:
    """Messages that are due and were not tried in this round. One that was can still be due: somebody had her row."""
    few = min(FEW, limit - len(tried))
    return [one for one in _due(now, few + len(tried)) if one not in tried][:few] if few else []


def _send_or_pass_over(study_id: str, message_id: UUID, senders: Senders, now: datetime | None) -> None:
    """One message. A fault in it keeps no other from being sent; it comes back at the next round."""
    try:
        job = _begin(study_id, message_id, senders, now)
        if job is not None:
            _note(job, _call(job, senders), now)
    except AWAY:
        raise
    except Exception as fault:
        log.error(
            "message passed over: %s at %s",
            type(fault).__name__,
            places(fault),
            extra={"action": "message.passed_over", "message_id": str(message_id)},
        )


def _due(now: datetime, limit: int) -> list[tuple[str, UUID]]:
    """Up to `limit` messages that wait and as many that were begun and have no end; those to staff come first."""
    waiting = sa.and_(Message.begun_at.is_(None), Message.withheld_at.is_(None), Message.due_at <= now)
    left = sa.and_(Message.lease_until.is_not(None), Message.lease_until <= now)
    alerts_first = sa.case((Message.purpose == "reminder", 1), else_=0)
    wanted = sa.select(Message.study_id, Message.id, alerts_first.label("turn")).limit(limit)
    with look(WORKER, now) as tx:
        found = [
            *tx.session.execute(wanted.where(waiting).order_by(alerts_first, Message.due_at)),
            *tx.session.execute(wanted.where(left).order_by(alerts_first, Message.lease_until)),
        ]
    return [(row.study_id, row.id) for row in sorted(found, key=lambda row: row.turn)]


def _begin(study_id: str, message_id: UUID, senders: Senders, now: datetime | None) -> Job | None:
    """Say that this message is begun, if it is still this worker's to send and still wanted."""
    with begin(WORKER, now) as tx:
        message = tx.get(Message, study_id, message_id)
        if message is None:
            return None
        participant = tx.get(Participant, study_id, message.subject_id, lock=True, skip_locked=True)
        if participant is None:
            return None  # somebody holds her row: it comes back at the next tick
        message = tx.get(Message, study_id, message_id, lock=True)
        assert message is not None
        if not _claimable(message, tx.now):
            return None
        return _claim(tx, participant, message, senders)


def _claimable(message: Message, now: datetime) -> bool:
    if message.withheld_at is not None:
        return False
    if message.begun_at is None:
        return message.due_at <= now
    return message.lease_until is not None and message.lease_until <= now


def _claim(tx: Tx, participant: Participant, message: Message, senders: Senders) -> Job | None:
    again = message.begun_at is not None
    occurrence = (
        tx.get(Occurrence, message.study_id, message.occurrence_id) if message.occurrence_id else None
    )
    alert = tx.get(Alert, message.study_id, message.alert_id) if message.alert_id else None
    if again and message.purpose == "reminder":
        return _ask_about(tx, participant, message, senders)
    reason = rules.unwanted(message, participant, occurrence, alert, tx.now)
    reason = reason or _beyond_cap(tx, participant, message)
    if message.begun_at is not None and tx.now >= message.begun_at + IN_DOUBT_FOR:
        reason = reason or "in_doubt_too_long"
    left = [pair for pair in _reachable(participant, message, senders) if not refused_by(message, pair[0])]
    if reason or not left:
        _drop(tx, participant, message, reason, again)
        return None
    turn = 0 if message.purpose == "reminder" else message.attempts % len(left)
    return _start(tx, participant, message, *left[turn], again)


def _beyond_cap(tx: Tx, participant: Participant, message: Message) -> str | None:
    """Whether she has had her reminders for this local day (participant locked). What may have gone out counts."""
    if message.purpose != "reminder":
        return None
    day_began = rules.day_began_at(participant.time_zone, tx.now)
    today = sa.select(sa.func.count()).where(
        Message.study_id == participant.study_id,
        Message.subject_id == participant.subject_id,
        Message.purpose == "reminder",
        Message.due_at
        >= day_began - rules.ALERT_USEFUL_FOR,  # narrows the index; reminders are of use for less
        Message.begun_at >= day_began,
        Message.failed_at.is_(None),
    )
    return "cap_reached" if tx.session.execute(today).scalar_one() >= rules.DAILY_CAP else None


def _start(tx: Tx, participant: Participant, message: Message, channel: str, to: str, again: bool) -> Job:
    message.attempts += 1
    message.channel, message.lease_until = channel, tx.now + LEASE
    if not again:
        message.begun_at = tx.now
    trail.record(
        tx, participant, "message.begun", "message", message.id, channel=channel, attempt=message.attempts
    )
    return Job(
        message.study_id,
        message.id,
        message.attempts,
        message.begun_at or tx.now,
        channel,
        _outgoing(tx, participant, message, channel, to),
        again,
    )


def _ask_about(tx: Tx, participant: Participant, message: Message, senders: Senders) -> Job | None:
    """A reminder whose outcome nobody noted: ask the provider if it can be asked, else say 'unknown'."""
    channel = message.channel or ""
    sender: Any = senders.get(channel)
    to = dict(_reachable(participant, message, senders)).get(channel)
    too_late = tx.now >= message.expires_at + rules.USEFUL_FOR
    if not isinstance(sender, Askable) or to is None or too_late:
        message.unknown_at, message.lease_until = tx.now, None
        trail.record(tx, participant, "message.unknown", "message", message.id, reason="worker_lost")
        return None
    message.lease_until = tx.now + LEASE
    return Job(
        message.study_id,
        message.id,
        message.attempts,
        message.begun_at or tx.now,
        channel,
        _outgoing(tx, participant, message, channel, to),
        True,
    )


def _call(job: Job, senders: Senders) -> str | SendFailed | SendUnknown:
    sender = senders[job.channel]
    try:
        if job.again and isinstance(sender, Askable):
            found = sender.find(job.outgoing, job.begun_at - timedelta(minutes=10))
            if found is not None and not _is_anothers(job, found):
                return found
            if _is_reminder(job):
                # The same words may have gone to the same phone for somebody else: then nobody can tell.
                return SendUnknown(NOT_TOLD_APART) if found else SendFailed("not_taken", permanent=True)
        return sender.send(job.outgoing)
    except (SendFailed, SendUnknown) as outcome:
        return outcome


def _is_anothers(job: Job, provider_id: str) -> bool:
    with look(WORKER) as tx:
        query = sa.select(Message.id).where(Message.provider_id == provider_id, Message.id != job.message_id)
        return tx.one(query) is not None


def _is_reminder(job: Job) -> bool:
    with look(WORKER) as tx:
        message = tx.get(Message, job.study_id, job.message_id)
        return message is not None and message.purpose == "reminder"


def _note(job: Job, outcome: str | SendFailed | SendUnknown, now: datetime | None) -> None:
    with begin(WORKER, now) as tx:
        message = tx.get(Message, job.study_id, job.message_id)
        assert message is not None
        participant = tx.get(Participant, job.study_id, message.subject_id, lock=True)
        message = tx.get(Message, job.study_id, job.message_id, lock=True)
        assert participant is not None and message is not None
        if message.attempts != job.attempt or message.begun_at is None:
            return  # another worker took it over, or a call-back had it planned again: that counts
        if message.accepted_at is not None:
            return  # a call-back has told it before: no lost reply puts that into doubt again
        if isinstance(outcome, str):
            accepted(tx, participant, message, outcome)
        elif isinstance(outcome, SendFailed):
            _failed(tx, participant, message, outcome)
        else:
            _unknown(tx, participant, message, outcome)


def accepted(tx: Tx, participant: Participant, message: Message, provider_id: str) -> None:
    """The provider has it (participant locked). Known once: a call-back may have told it before the reply did."""
    message.lease_until = None
    if message.accepted_at is None:
        message.accepted_at, message.provider_id = tx.now, provider_id
        trail.record(tx, participant, "message.accepted", "message", message.id, provider_id=provider_id)


def _failed(tx: Tx, participant: Participant, message: Message, outcome: SendFailed) -> None:
    log.warning(
        "message refused",
        extra={"action": "message.refused", "message_id": str(message.id), "refusal": outcome.code},
    )
    is_reminder = message.purpose == "reminder"
    may_try_again = tx.now < message.expires_at and not (outcome.permanent and is_reminder)
    if not may_try_again:
        message.failed_at, message.failure, message.lease_until = tx.now, outcome.code, None
    elif outcome.permanent:
        try_next_channel(tx, message, message.channel or "", outcome.code)
    else:
        _plan_again(message, tx.now + rules.wait_after(message.attempts))
    trail.record(
        tx,
        participant,
        "message.refused",
        "message",
        message.id,
        reason=outcome.code,
        again=may_try_again,
        attempt=message.attempts,
    )


def try_next_channel(tx: Tx, message: Message, channel: str, refusal: str) -> None:
    """A message to staff that this channel will never carry (participant locked): the next one is tried at once.

    Until it has an end, `failure` keeps the channels that are out, with their refusals: "sms bad_number, email ...".
    """
    message.failure = ", ".join(filter(None, (message.failure, f"{channel} {refusal}")))
    if message.channel == channel:
        _plan_again(message, tx.now)


def refused_by(message: Message, channel: str) -> bool:
    """Whether this channel is known never to carry this message."""
    return any(told.startswith(f"{channel} ") for told in (message.failure or "").split(", "))


def _plan_again(message: Message, due_at: datetime) -> None:
    """No provider has it, that is certain: so it simply waits again."""
    message.begun_at = message.accepted_at = message.provider_id = message.lease_until = None
    message.due_at = due_at


def _unknown(tx: Tx, participant: Participant, message: Message, outcome: SendUnknown) -> None:
    """Reminder: asked about or left unknown when the lease is over. Alert: begun again then."""
    message.lease_until = tx.now + LEASE
    if message.purpose != "reminder":
        message.lease_until = tx.now + max(LEASE, rules.wait_after(message.attempts))
    if outcome.code == NOT_TOLD_APART:
        message.unknown_at, message.lease_until = tx.now, None  # asking again would tell no more
    trail.record(
        tx,
        participant,
        "message.doubtful",
        "message",
        message.id,
        reason=outcome.code,
        attempt=message.attempts,
    )


def _drop(tx: Tx, participant: Participant, message: Message, reason: str | None, again: bool) -> None:
    """It is not sent (any more): for this reason, or because no channel is left."""
    if again:
        message.unknown_at, message.lease_until = tx.now, None
        trail.record(tx, participant, "message.unknown", "message", message.id, reason=reason or "no_channel")
    elif message.failure and reason is None:
        message.begun_at = message.failed_at = tx.now  # begun, or it would go on waiting
        trail.record(tx, participant, "message.failed", "message", message.id, reason=message.failure)
    else:
        messages.withhold(tx, participant, message, reason or "no_channel")


def _reachable(participant: Participant, message: Message, senders: Senders) -> list[tuple[str, str]]:
    """(channel, address) pairs that can reach the recipient, the preferred first."""
    study_id = trail.INSTALLATION if message.recipient.startswith("staff/") else participant.study_id
    preferences: Mapping[str, Any] = (
        {} if message.recipient.startswith("staff/") else participant.preferences or {}
    )
    try:
        contact = store.of(study_id, message.recipient)
    except CannotOpen:
        log.error("contact unreadable", extra={"action": "contact.unreadable", "message_id": str(message.id)})
        contact = {}  # one that does not open keeps nobody else from being told
    addresses = {"sms": contact.get("phone"), "email": contact.get("email")}
    chosen = rules.channels(preferences, contact)
    return [(channel, addresses[channel] or "") for channel in chosen if channel in senders]


def _outgoing(tx: Tx, participant: Participant, message: Message, channel: str, to: str) -> Outgoing:
    site = tx.get(Site, participant.study_id, participant.site_id)
    settings = db.settings()
    params: dict[str, str | int] = {
        "app_name": settings["APP_NAME"] or "epro",
        "site": participant.site_id,
        "count": message.why.get("count", 1),
        "clinic_phone": (site.phone if site else None) or "",
    }
    language = message.language if message.language in wording.shipped() else FALLBACK
    text = wording.render(message.template, language, params, message.rotation)
    callback = (
        f"{settings['PUBLIC_URL']}/hooks/twilio/status?message={message.id}&key={message.callback_secret}"
    )
    return Outgoing(
        message_id=message.id,
        to=to,
        text=text.text,
        subject=text.subject,
        language=message.language,
        valid_for=message.expires_at - tx.now,
        callback_url=callback if channel == "sms" else None,
    )
