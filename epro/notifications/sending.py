"""Sending what the ledger says is due. Never a transaction open while a provider is called.

Three steps: *begin* (under the participant's lock: is it still wanted? then say that it is begun, and commit), the
call, and *note* (what came of it), in one act with the begin of the next message. When a worker dies in between, the
message stays begun. A patient's reminder is then never sent again by itself: if the provider can be asked it is asked,
else its fate is unknown and shown. A message to staff about an alert is begun again: a doubled alert beats a lost
one. Where it is refused, the next channel is tried, and this goes on, less and less often, as long as the message is
of use.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from epro import clock, db, trail
from epro.contacts import push, store
from epro.contacts.sealing import CannotOpen
from epro.errors import places
from epro.notifications import circuit, circuits, messages, redacting, rules, texts_sent, ways
from epro.notifications.models import Alert, CircuitState, Message
from epro.notifications.saying import params_of
from epro.notifications.senders import Outgoing, Sender, SendFailed, SendUnknown, is_askable, provider_of
from epro.scheduling import protocols
from epro.scheduling.messaging import MessageRules
from epro.scheduling.models import Occurrence
from epro.signin.models import Device
from epro.studies.models import Participant, Site
from epro.tx import AWAY, Plain, Tx, begin, look, system, table_of

log = logging.getLogger(__name__)

WORKER = system("worker")
LEASE = timedelta(seconds=60)
FEW = 5  # messages, until we look again whether an alert has come that goes first
IN_DOUBT_FOR = timedelta(hours=6)  # how long a message to staff is sent again while nobody knows its fate
NOT_TOLD_APART = "not_told_apart"
Senders = Mapping[str, Sender]


@dataclass(frozen=True)
class Due:
    """A message whose moment has come, and whose row orders it."""

    study_id: str
    subject_id: str
    message_id: UUID


@dataclass(frozen=True)
class Job:
    """A message that this worker has begun: everything the call needs."""

    due: Due
    attempt: int
    begun_at: datetime
    channel: str
    outgoing: Outgoing
    provider: str
    is_reminder: bool
    again: bool  # whether it was begun before, by a worker that never noted an outcome
    others: bool = False  # whether another channel is left should this one refuse it
    counted: str | None = None  # digest of a number whose carriers count texts
    troubled: bool = False  # whether something was known against a provider when it was begun


@dataclass(frozen=True)
class Case:
    """What decides whether and how a message goes out, as plain rows: read once, with the participant locked."""

    participant: Any
    message: Any
    occurrence: Any
    alert: Any
    sent_today: int | None  # reminders that she has had on this local day
    last_text: str | None  # the wording of the last of her reminders
    last_told: datetime | None  # when the last other of her reminders went out
    troubled: bool  # whether anything is known against a provider
    has_phone: bool  # whether the app's inbox has somebody to wait for
    clinic_phone: str | None


Outcome = str | SendFailed | SendUnknown
Called = tuple[Job, Outcome]


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
    tried: set[Due] = set()
    while few := _next_few(now or clock.now(), limit, tried):
        called: Called | None = None
        for due in few:
            if stopped():
                break
            tried.add(due)
            called = _call_or_pass_over(_turn(called, due, senders, now), senders)
        _turn(called, None, senders, now)
        if stopped() or len(few) < FEW:
            break  # what has fallen due meanwhile comes with the next strike
    return len(tried)


def _next_few(now: datetime, limit: int, tried: set[Due]) -> list[Due]:
    """Messages that are due and were not tried in this round. One that was can still be due: somebody had her row."""
    few = min(FEW, limit - len(tried))
    return [one for one in _due(now, few + len(tried)) if one not in tried][:few] if few else []


def _turn(called: Called | None, due: Due | None, senders: Senders, now: datetime | None) -> Job | None:
    """Note what came of the last call and begin the next message, in one act; each alone when that fails.

    A fault in one message keeps no other from being sent; it comes back at the next round.
    """
    try:
        return _note_and_begin(called, due, senders, now)
    except AWAY:
        if called is not None and due is not None:
            _turn(called, None, senders, now)  # it may be the contact store alone that is away
        raise
    except Exception as fault:
        if called is None or due is None:
            _pass_over(called[0].due if called else due, fault)
            return None
    _turn(called, None, senders, now)
    return _turn(None, due, senders, now)


def _note_and_begin(
    called: Called | None, due: Due | None, senders: Senders, now: datetime | None
) -> Job | None:
    if called is None and due is None:
        return None
    with begin(WORKER, now) as tx:
        if called is not None:
            _note(tx, *called)
        return _begin(tx, due, senders) if due is not None else None


def _call_or_pass_over(job: Job | None, senders: Senders) -> Called | None:
    """A sender that breaks its word leaves the message begun: nobody knows what became of it."""
    if job is None:
        return None
    try:
        return job, _call(job, senders)
    except AWAY:
        raise
    except Exception as fault:
        _pass_over(job.due, fault)
        return None


def _pass_over(due: Due | None, fault: Exception) -> None:
    log.error(
        "message passed over: %s at %s",
        type(fault).__name__,
        places(fault),
        extra={"action": "message.passed_over", "message_id": str(due.message_id if due else None)},
    )


_TURN = sa.case((Message.purpose == "reminder", 1), else_=0)  # messages to staff come first
_NOW, _MOST = sa.bindparam("now", type_=Message.due_at.type), sa.bindparam("most", type_=sa.Integer)
_DUE = sa.select(Message.study_id, Message.subject_id, Message.id, _TURN.label("turn")).limit(_MOST)
_WAITING = _DUE.where(
    Message.begun_at.is_(None), Message.withheld_at.is_(None), Message.due_at <= _NOW
).order_by(_TURN, Message.due_at)
_LEFT = _DUE.where(Message.lease_until.is_not(None), Message.lease_until <= _NOW).order_by(
    _TURN, Message.lease_until
)


def _due(now: datetime, limit: int) -> list[Due]:
    """Up to `limit` messages that wait and as many that were begun and have no end; those to staff come first."""
    asked = {"now": now, "most": limit}
    with look(WORKER, now) as tx:
        found = [row for query in (_WAITING, _LEFT) for row in tx.rows(query, asked)]
    return [Due(row.study_id, row.subject_id, row.id) for row in sorted(found, key=lambda row: row.turn)]


def _begin(tx: Tx, due: Due, senders: Senders) -> Job | None:
    """Say that this message is begun, if it is still this worker's to send and still wanted."""
    participant = tx.plain(Participant, due.study_id, due.subject_id, lock=True, skip_locked=True)
    if participant is None:
        return None  # somebody holds her row: it comes back at the next tick
    case = _case(tx, participant, due)
    if case is None or not _claimable(case.message, tx.now):
        return None
    with tx.together():
        job = _claim(tx, case, senders)
        tx.put_back(Message, case.message)
        tx.put_back(Participant, participant)
    return job


_MESSAGES, _OCCURRENCES, _ALERTS, _SITES = map(table_of, (Message, Occurrence, Alert, Site))
_DEVICES = table_of(Device)
_HERS = _MESSAGES.alias("hers")
_OF_OCCURRENCE = ("fulfilled_at", "cancelled_at", "excused_at", "closes_at", "snoozed_until")
_OF_ALERT = ("kind", "cleared_at", "standing_since", "owner")
_DAY_BEGAN = sa.bindparam("day_began", type_=Message.due_at.type)
# All that she had lately. `due_at` only narrows the index: reminders are of use for less.
_HER_REMINDERS = (
    _HERS.c.study_id == _MESSAGES.c.study_id,
    _HERS.c.subject_id == _MESSAGES.c.subject_id,
    _HERS.c.purpose == "reminder",
    _HERS.c.due_at >= sa.bindparam("since", type_=Message.due_at.type),
)
# Of which wording the last of her reminders was: no two in a row are alike.
_LAST_TEXT = (
    sa.select(_HERS.c.template + ":" + sa.cast(_HERS.c.rotation, sa.Text))
    .where(
        *_HER_REMINDERS,
        _HERS.c.begun_at.is_not(None),
        _HERS.c.id != _MESSAGES.c.id,
    )
    .order_by(_HERS.c.begun_at.desc(), _HERS.c.id)
    .limit(1)
)
_TROUBLED = sa.select(sa.func.count()).select_from(CircuitState).where(circuits.TROUBLED)
# Whether the app's inbox has somebody to wait for.
_HAS_PHONE = (
    sa.exists()
    .where(
        _DEVICES.c.study_id == _MESSAGES.c.study_id,
        _DEVICES.c.subject_id == _MESSAGES.c.subject_id,
        _DEVICES.c.revoked_at.is_(None),
    )
    .correlate(_MESSAGES)
)
# What may have gone out counts.
_SENT_TODAY = sa.select(sa.func.count()).where(
    *_HER_REMINDERS,
    _HERS.c.begun_at >= _DAY_BEGAN,
    _HERS.c.failed_at.is_(None),
)
# No reminder names what is due: one that goes out tells her of all that is due by then.
_LAST_TOLD = sa.select(sa.func.max(_HERS.c.begun_at)).where(
    *_HER_REMINDERS,
    _HERS.c.failed_at.is_(None),
    _HERS.c.id != _MESSAGES.c.id,
)
_CASE = (
    sa.select(
        *_MESSAGES.columns,
        *(_OCCURRENCES.c[name] for name in _OF_OCCURRENCE),
        *(_ALERTS.c[name] for name in _OF_ALERT),
        sa.case((_MESSAGES.c.purpose == "reminder", _SENT_TODAY.scalar_subquery())).label("sent_today"),
        sa.case((_MESSAGES.c.purpose == "reminder", _LAST_TEXT.scalar_subquery())).label("last_text"),
        sa.case((_MESSAGES.c.purpose == "reminder", _LAST_TOLD.scalar_subquery())).label("last_told"),
        _TROUBLED.scalar_subquery().label("troubled"),
        sa.case((_MESSAGES.c.purpose == "reminder", _HAS_PHONE)).label("has_phone"),
        _SITES.c.phone,
    )
    .select_from(_MESSAGES)
    .outerjoin(
        _OCCURRENCES,
        sa.and_(
            _OCCURRENCES.c.study_id == _MESSAGES.c.study_id, _OCCURRENCES.c.id == _MESSAGES.c.occurrence_id
        ),
    )
    .outerjoin(
        _ALERTS, sa.and_(_ALERTS.c.study_id == _MESSAGES.c.study_id, _ALERTS.c.id == _MESSAGES.c.alert_id)
    )
    .outerjoin(
        _SITES, sa.and_(_SITES.c.study_id == _MESSAGES.c.study_id, _SITES.c.id == sa.bindparam("site_id"))
    )
    .where(
        _MESSAGES.c.study_id == sa.bindparam("study_id"),
        _MESSAGES.c.id == sa.bindparam("message_id", type_=sa.Uuid()),
    )
    .with_for_update(of=_MESSAGES)
)


def _case(tx: Tx, participant: Any, due: Due) -> Case | None:
    """Everything that decides about a message of this participant (locked), in one question."""
    day_began = rules.day_began_at(participant.time_zone, tx.now)
    asked = {
        "study_id": due.study_id,
        "message_id": due.message_id,
        "site_id": participant.site_id,
        "day_began": day_began,
        "since": day_began - rules.ALERT_USEFUL_FOR,
    }
    for row in tx.rows(_CASE, asked):
        values, facts = row[: len(_MESSAGES.columns)], row[len(_MESSAGES.columns) :]
        *facts, sent_today, last_text, last_told, troubled, has_phone, phone = facts
        occurrence = SimpleNamespace(**dict(zip(_OF_OCCURRENCE, facts, strict=False)))
        alert = SimpleNamespace(**dict(zip(_OF_ALERT, facts[len(_OF_OCCURRENCE) :], strict=True)))
        told = (sent_today, last_text, last_told, bool(troubled), bool(has_phone), phone)
        return Case(participant, Plain(_MESSAGES, values), occurrence, alert, *told)
    return None


def _claimable(message: Any, now: datetime) -> bool:
    if message.withheld_at is not None:
        return False
    if message.begun_at is None:
        return bool(message.due_at <= now)
    return message.lease_until is not None and message.lease_until <= now


def _claim(tx: Tx, case: Case, senders: Senders) -> Job | None:
    message, participant = case.message, case.participant
    again = message.begun_at is not None
    if again and message.purpose == "reminder":
        return _ask_about(tx, case, senders)
    study = protocols.find(tx, participant.study_id, participant.protocol_version).messages
    reason = rules.unwanted(message, participant, case.occurrence, case.alert, study, tx.now)
    most = rules.cap_of(participant.preferences or {}, study.daily_cap)
    if rules.told_together(message.due_at, case.last_told):
        reason = reason or "told_together"
    if case.sent_today is not None and case.sent_today >= most:
        reason = reason or "cap_reached"
    if again and tx.now >= message.begun_at + IN_DOUBT_FOR:
        reason = reason or "in_doubt_too_long"
    left = [pair for pair in _reachable(case, senders) if not refused_by(message, pair[0])]
    if reason or not left:
        _drop(tx, participant, message, reason, again, **_whose(case, study, reason, tx.now))
        return None
    wanted = _wanted(case, study, left)
    found = ways.find(tx, wanted, senders, circuits.known(tx) if case.troubled else {})
    if isinstance(found, ways.Way):
        return _start(tx, case, wanted, found, senders, again)
    _hold(tx, case, found, again)
    return None


def _wanted(case: Case, study: MessageRules, left: list[tuple[str, str]]) -> ways.Wanted:
    """Reminders try her channels in her order, messages to staff each attempt from the next one on."""
    message = case.message
    is_reminder = message.purpose == "reminder"
    turn = 0 if is_reminder or not left else message.attempts % len(left)
    in_turn = [*left[turn:], *left[:turn]]
    params = params_of(case.participant, message, case.clinic_phone)
    return ways.Wanted(message, in_turn, params, study, case.last_text, urgent=not is_reminder)


def _hold(tx: Tx, case: Case, found: ways.Wait | str, again: bool) -> None:
    """No channel takes it now: it waits while that helps, else it is withheld. What may be out stays in doubt."""
    message, participant = case.message, case.participant
    if isinstance(found, str):
        _drop(tx, participant, message, found, again)
    elif again:
        message.lease_until = found.until
    elif found.until < message.expires_at:
        message.due_at = found.until
        trail.record(tx, participant, "message.put_off", "message", message.id, reason=ways.CIRCUIT_OPEN)
    else:
        _drop(tx, participant, message, ways.CIRCUIT_OPEN, again)


def _start(tx: Tx, case: Case, wanted: ways.Wanted, found: ways.Way, senders: Senders, again: bool) -> Job:
    message = case.message
    message.attempts += 1
    message.channel, message.rotation = found.channel, found.text.turn
    if not again:
        message.begun_at = tx.now
    trail.record(
        tx,
        case.participant,
        "message.begun",
        "message",
        message.id,
        channel=found.channel,
        attempt=message.attempts,
        wording=found.text.turn,
    )
    return _job(tx, case, found, senders, again, others=len(wanted.channels) > 1)


def _job(tx: Tx, case: Case, found: ways.Way, senders: Senders, again: bool, others: bool = False) -> Job:
    """It is this worker's for the length of a lease."""
    message = case.message
    message.lease_until = tx.now + LEASE
    return Job(
        Due(message.study_id, message.subject_id, message.id),
        message.attempts,
        message.begun_at or tx.now,
        found.channel,
        _outgoing(tx, message, found),
        provider_of(senders[found.channel], found.to),
        message.purpose == "reminder",
        again,
        others,
        found.counted,
        case.troubled,
    )


def _ask_about(tx: Tx, case: Case, senders: Senders) -> Job | None:
    """A reminder whose outcome nobody noted: ask the provider if it can be asked, else say 'unknown'."""
    message = case.message
    channel = message.channel or ""
    sender: Any = senders.get(channel)
    to = dict(_reachable(case, senders)).get(channel)
    too_late = tx.now >= message.expires_at + rules.USEFUL_FOR
    if not is_askable(sender) or to is None or too_late:
        message.unknown_at, message.lease_until = tx.now, None
        trail.record(tx, case.participant, "message.unknown", "message", message.id, reason="worker_lost")
        return None
    study = protocols.find(tx, message.study_id, case.participant.protocol_version).messages
    text = ways.text_of(_wanted(case, study, []), message.rotation)
    return _job(tx, case, ways.Way(channel, to, text), senders, again=True)


def _call(job: Job, senders: Senders) -> Outcome:
    sender = senders[job.channel]
    try:
        if job.again and is_askable(sender):
            found = sender.find(job.outgoing, job.begun_at - timedelta(minutes=10))
            if found is not None and not _may_be_anothers(job, found):
                return found
            if job.is_reminder:
                # The same words may have gone to the same phone for somebody else: then nobody can tell.
                return SendUnknown(NOT_TOLD_APART) if found else SendFailed("not_taken", permanent=True)
        return sender.send(job.outgoing)
    except (SendFailed, SendUnknown) as outcome:
        return outcome


def _may_be_anothers(job: Job, provider_id: str) -> bool:
    """Whether what the provider has is noted as another message, or could be one in the same words to the same
    recipient of which nobody knows yet what became of it: providers find a text by its words.
    """
    mine, ends = aliased(Message), (Message.accepted_at, Message.failed_at, Message.unknown_at)
    alike = (getattr(Message, name) == getattr(mine, name) for name in ("recipient", "template", "rotation"))
    in_doubt = sa.and_(*alike, Message.begun_at.is_not(None), *(end.is_(None) for end in ends))
    query = (
        sa.select(Message.id)
        .join(mine, sa.and_(mine.study_id == job.due.study_id, mine.id == job.due.message_id))
        .where(Message.id != mine.id, sa.or_(Message.provider_id == provider_id, in_doubt))
    )
    with look(WORKER) as tx:
        return tx.one(query.limit(1)) is not None


def _note(tx: Tx, job: Job, outcome: Outcome) -> None:
    due = job.due
    participant = tx.plain(Participant, due.study_id, due.subject_id, lock=True)
    message = tx.plain(Message, due.study_id, due.message_id, lock=True)
    assert participant is not None and message is not None
    _note_circuit(tx, job, outcome)
    if message.attempts != job.attempt or message.begun_at is None:
        return  # another worker took it over, or a call-back had it planned again: that counts
    if message.accepted_at is not None:
        return  # a call-back has told it before: no lost reply puts that into doubt again
    with tx.together():
        if isinstance(outcome, str):
            accepted(tx, participant, message, outcome)
        elif isinstance(outcome, SendFailed):
            _failed(tx, participant, message, outcome, others=job.others and not job.again)
            if outcome.code == "gone" and job.channel == "push":
                _forget_subscription(tx, participant, job.outgoing.to)
        else:
            _unknown(tx, participant, message, outcome)
        tx.put_back(Message, message)
        tx.put_back(Participant, participant)


def _note_circuit(tx: Tx, job: Job, outcome: Outcome) -> None:
    """What the outcome says about the provider; and a text that certainly did not go is not counted."""
    if isinstance(outcome, SendFailed) and job.counted:
        texts_sent.forget(tx, job.counted, job.due.message_id)
    passing = isinstance(outcome, SendUnknown) or (isinstance(outcome, SendFailed) and not outcome.permanent)
    if not passing and job.troubled:
        circuits.note(tx, (job.channel, job.provider), well=True)
    elif passing and not isinstance(outcome, str) and circuit.counts(outcome.code):
        circuits.note(tx, (job.channel, job.provider), well=False)


def accepted(tx: Tx, participant: Any, message: Any, provider_id: str) -> None:
    """The provider has it (participant locked). Known once: a call-back may have told it before the reply did."""
    message.lease_until = None
    redacting.note(tx, provider_id)
    if message.accepted_at is None:
        message.accepted_at, message.provider_id = tx.now, provider_id
        trail.record(tx, participant, "message.accepted", "message", message.id, provider_id=provider_id)


def _failed(tx: Tx, participant: Any, message: Any, outcome: SendFailed, others: bool) -> None:
    log.warning(
        "message refused",
        extra={"action": "message.refused", "message_id": str(message.id), "refusal": outcome.code},
    )
    is_reminder = message.purpose == "reminder"
    may_try_again = tx.now < message.expires_at and not (outcome.permanent and is_reminder and not others)
    if not may_try_again:
        message.failed_at, message.failure, message.lease_until = tx.now, outcome.code, None
    elif outcome.permanent:
        try_next_channel(tx, message, message.channel or "", outcome.code)
    else:
        wait = rules.wait_after(message.attempts, message.id)
        _plan_again(message, tx.now + max(wait, outcome.retry_after or wait))
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


def _forget_subscription(tx: Tx, participant: Any, subscription: str) -> None:
    """The push service knows it no more (participant locked)."""
    device_id = push.forget_this(participant.study_id, participant.subject_id, subscription, tx.now)
    if device_id is not None:
        trail.record(tx, participant, "push.removed", "device", device_id, reason="gone")


def try_next_channel(tx: Tx, message: Any, channel: str, refusal: str) -> None:
    """A message that this channel will certainly never carry (participant locked): the next one is tried at once.

    Until it has an end, `failure` keeps the channels that are out, with their refusals: "sms bad_number, email ...".
    """
    message.failure = ", ".join(filter(None, (message.failure, f"{channel} {refusal}")))
    if message.channel == channel:
        _plan_again(message, tx.now)


def has_other_channel(tx: Tx, participant: Any, message: Any) -> bool:
    """Whether a reminder that its channel did not deliver is of use still, and can go by another one."""
    if tx.now >= message.expires_at or message.channel is None:
        return False
    addresses = _addresses(_contact(participant, message))
    if has_phone(tx, participant):
        addresses["app"] = participant.subject_id
    known = rules.channels(participant.preferences or {}, addresses)
    return any(one != message.channel and not refused_by(message, one) for one in known)


def has_phone(tx: Tx, participant: Any) -> bool:
    """Whether the app's inbox has somebody to wait for."""
    hers = (Device.study_id == participant.study_id, Device.subject_id == participant.subject_id)
    return tx.one(sa.select(Device.id).where(*hers, Device.revoked_at.is_(None))) is not None


def refused_by(message: Any, channel: str) -> bool:
    """Whether this channel is known never to carry this message."""
    return any(told.startswith(f"{channel} ") for told in (message.failure or "").split(", "))


def _plan_again(message: Any, due_at: datetime) -> None:
    """No provider has it, that is certain: so it simply waits again."""
    message.begun_at = message.accepted_at = message.provider_id = message.lease_until = None
    message.due_at = due_at


def _unknown(tx: Tx, participant: Any, message: Any, outcome: SendUnknown) -> None:
    """Reminder: asked about or left unknown when the lease is over. Alert: begun again then."""
    message.lease_until = tx.now + LEASE
    if message.purpose != "reminder":
        message.lease_until = tx.now + max(LEASE, rules.wait_after(message.attempts, message.id))
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


def _whose(case: Case, study: MessageRules, reason: str | None, now: datetime) -> dict[str, str]:
    """Whose quiet hours keep it back, for the trail."""
    participant = case.participant
    hours = (participant.preferences or {}, participant.time_zone, study.quiet_hours, now)
    whose = rules.whose_quiet(*hours) if reason == "quiet_hours" else None
    return {"whose": whose} if whose else {}


def _drop(tx: Tx, participant: Any, message: Any, reason: str | None, again: bool, **details: str) -> None:
    """It is not sent (any more): for this reason, or because no channel is left."""
    if again:
        message.unknown_at, message.lease_until = tx.now, None
        trail.record(tx, participant, "message.unknown", "message", message.id, reason=reason or "no_channel")
    elif message.failure and reason is None:
        message.begun_at = message.failed_at = tx.now  # begun, or it would go on waiting
        trail.record(tx, participant, "message.failed", "message", message.id, reason=message.failure)
    else:
        messages.withhold(tx, participant, message, reason or "no_channel", **details)


def _reachable(case: Case, senders: Senders) -> list[tuple[str, str]]:
    """(channel, address) pairs that can reach the recipient, the preferred first."""
    message, participant = case.message, case.participant
    preferences: Mapping[str, Any] = (
        {} if message.recipient.startswith("staff/") else participant.preferences or {}
    )
    addresses = _addresses(_contact(participant, message))
    if case.has_phone:
        addresses["app"] = participant.subject_id
    chosen = rules.channels(preferences, addresses)
    return [(channel, addresses[channel] or "") for channel in chosen if channel in senders]


def _addresses(contact: Mapping[str, str]) -> dict[str, str | None]:
    return {"sms": contact.get("phone"), "email": contact.get("email"), "push": push.newest(contact)}


def _contact(participant: Any, message: Any) -> dict[str, str]:
    study_id = trail.INSTALLATION if message.recipient.startswith("staff/") else participant.study_id
    try:
        return store.of(study_id, message.recipient)
    except CannotOpen:
        log.error("contact unreadable", extra={"action": "contact.unreadable", "message_id": str(message.id)})
        return {}  # one that does not open keeps nobody else from being told


def _outgoing(tx: Tx, message: Any, found: ways.Way) -> Outgoing:
    public_url = db.settings()["PUBLIC_URL"]
    callback = f"{public_url}/hooks/twilio/status?message={message.id}&key={message.callback_secret}"
    return Outgoing(
        message_id=message.id,
        to=found.to,
        text=found.text.text,
        subject=found.text.subject,
        language=message.language,
        valid_for=message.expires_at - tx.now,
        callback_url=callback if found.channel == "sms" else None,
        registered_as=found.registered_as,
        callback_key=message.callback_secret,
        template=message.template,
        turn=found.text.turn,
        values=found.text.values,
        collapse=message.occurrence_id or message.alert_id or message.id,
    )
