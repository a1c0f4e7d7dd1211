"""A study run by the real rooms on a moved clock, from event to event, with nothing in between.

`Rehearsal.play` takes whatever comes first: an act of a participant or a nurse, or the clockwork's next moment as
the rows tell it. Nobody ticks through empty time. Acts go straight to the rooms, several answers of one sitting
in one act. What people saw and did is kept beside the database in a `Diary`, so that invariants can be checked
against something that the code under test has not written.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from heapq import heappop, heappush
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from epro import clock
from epro.contacts import store
from epro.errors import EproError
from epro.notifications import alerts, attending, corrections
from epro.notifications.models import Alert
from epro.notifications.senders import Sender
from epro.questionnaires.instrument import localised
from epro.questionnaires.library import bundled
from epro.responses import receiving
from epro.scheduling import leaving, occurrences, on_demand, replanning, snoozing
from epro.scheduling.messaging import settings_faults
from epro.scheduling.models import Occurrence
from epro.scheduling.protocol import Protocol
from epro.scheduling.replanning import Wish
from epro.signin import devices, passwords
from epro.simulation import answering, habits, wishes
from epro.simulation.habits import Person, Sitting
from epro.simulation.history import DUE
from epro.simulation.providers import FailingProvider, Taken, WorkerDied
from epro.simulation.wishes import PutOff, Said
from epro.stream.sequencer import sequence
from epro.studies import participants
from epro.studies.models import Participant, Site
from epro.tx import Actor, Tx, begin, look, system

CLOCKWORK = system("clockwork")
DOOR = system("rehearsal")
BEFORE_MESSAGES = 3  # of the moments that `DUE` asks for, those of occurrences, plans and escalations
BEAT = timedelta(seconds=10)  # the metronome's: the clockwork strikes on whole beats only
LEARN_EVERY = timedelta(days=7)
SOON = timedelta(hours=4)  # where answers and misses change what is asked
KILLED = 0.004  # of the clockwork's strikes, by a worker that dies before its commit
LOST_REPLY = 0.02  # of the uploads: the phone hears nothing and sends the same again
SLOW = 0.15  # of the alerts that a nurse meets on her round are left for the next one
ROUND = time(9, 5)
AFTERWARDS = timedelta(minutes=2)
KNOWN = sa.select(
    Occurrence.id,
    Occurrence.assessment_id,
    Occurrence.local_day,
    Occurrence.opens_at,
    Occurrence.closes_at,
    Occurrence.instrument_code,
    Occurrence.instrument_version,
).where(
    Occurrence.study_id == sa.bindparam("study_id"),
    Occurrence.subject_id == sa.bindparam("subject_id"),
    Occurrence.closes_at > sa.bindparam("now", type_=Occurrence.closes_at.type),
    Occurrence.opens_at < sa.bindparam("until", type_=Occurrence.opens_at.type),
    Occurrence.cancelled_at.is_(None),
    Occurrence.fulfilled_at.is_(None),
)
DERIVED = {"first_answer_of", "from"}  # keys of an anchor that nobody sets by hand
OUTCOMES = ("reached", "not_reached", "no_action_needed")
Attend = Callable[[], int]
Send = Callable[[dict[str, Sender]], int]


@dataclass(frozen=True)
class HandedIn:
    """One entry of an upload, as the phone has it; `outcome` is what the receipt says."""

    response_id: str
    subject_id: str
    occurrence_id: UUID
    completed_at: datetime
    uploaded_at: datetime
    outcome: str
    begun_at: datetime
    first: bool
    """False when the phone had not heard the reply to the one before."""


@dataclass
class Diary:
    """What people saw and did, kept apart from the database."""

    handed_in: list[HandedIn] = field(default_factory=list)
    withdrawn: dict[str, datetime] = field(default_factory=dict)
    zones: dict[str, list[tuple[datetime, str]]] = field(default_factory=lambda: defaultdict(list))
    wishes: list[Said] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    """How often each kind of act was done, the planned misfortunes too."""
    faults: list[str] = field(default_factory=list)
    """What the code under test put off or refused."""
    strikes: list[datetime] = field(default_factory=list)


@dataclass
class Phone:
    """What a participant's phone knows: its occurrences, and the answers that it could not upload yet."""

    device_id: UUID | None = None
    known: dict[UUID, Any] = field(default_factory=dict)
    answered: set[UUID] = field(default_factory=set)
    unsent: list[dict[str, Any]] = field(default_factory=list)
    synced: int = 0


@dataclass
class Rehearsal:
    """One company of virtual participants with its installation (the application at hand), from first to last.

    `attend` and `send` are the worker's own steps. `nurses`: site -> the staff who go on rounds there.
    """

    protocol: Protocol
    people: list[Person]
    nurses: Mapping[str, Actor]
    attend: Attend
    send: Send
    first: datetime
    until: datetime
    seed: int
    diary: Diary = field(default_factory=Diary)
    _heap: list[tuple[datetime, int, Callable[[], None]]] = field(default_factory=list)
    _count: int = 0
    _due: datetime | None = None
    _struck: datetime | None = None
    _moments: list[datetime | None] = field(default_factory=list)
    _all_steps: bool = False
    _definitions: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.by_phone = {who.phone: who for who in self.people}
        self.by_subject = {who.subject_id: who for who in self.people}
        self.phones = {who.number: Phone() for who in self.people}
        self.providers = [FailingProvider(channel, self.seed, self._heard) for channel in ("sms", "email")]
        self.senders: dict[str, Sender] = {one.channel: one for one in self.providers}
        self.instruments = {(one.code, one.version): one for one in bundled()}
        self.learn_every = SOON if self.protocol.follows_what_happens else LEARN_EVERY

    # The order of things.

    def play(self, progress: Callable[[int], None] = lambda days: None) -> None:
        """Everything up to the end. `progress` hears of each day that is over."""
        self._open()
        shown = self.first
        while (moment := self._next()) is not None:
            while shown + timedelta(days=1) <= moment:
                shown += timedelta(days=1)
                progress(1)
        with clock.moved_to(self.until):
            while sequence(5000):
                pass

    def at(self, moment: datetime, act: Callable[[], None]) -> None:
        """Put an act on the agenda."""
        self._count += 1
        heappush(self._heap, (moment, self._count, act))

    def _next(self) -> datetime | None:
        """Do what comes first; returns its moment, or None when the end has come."""
        strike = None if self._due is None else self._beat(self._due)
        act_at = self._heap[0][0] if self._heap else None
        if strike is not None and strike <= self.until and (act_at is None or strike <= act_at):
            self._strike(strike)
            return strike
        if act_at is None or act_at > self.until:
            return None
        _, _, act = heappop(self._heap)
        with clock.moved_to(act_at):
            act()
        return act_at

    def _beat(self, due: datetime) -> datetime:
        """The metronome's first beat at which what is due can be done."""
        late = (due - self.first) % BEAT
        beat = due + BEAT - late if late else due
        return beat if self._struck is None else max(beat, self._struck + BEAT)

    def _strike(self, moment: datetime) -> None:
        self._struck = moment
        self.diary.strikes.append(moment)
        with clock.moved_to(moment):
            if Random(f"{self.seed}/killed/{moment}").random() < KILLED:
                self._killed()
            else:
                if not self._only_messages(moment):
                    self.attend()
                    self._all_steps = False
                self.send(self.senders)
            self._changed()

    def _only_messages(self, moment: datetime) -> bool:
        """Whether nothing is due but messages: then the other steps would find nothing."""
        others = self._moments[:BEFORE_MESSAGES]
        return not self._all_steps and all(due is None or due > moment for due in others)

    def _killed(self) -> None:
        """A worker does its work and dies before the commit."""
        self.diary.done["worker_killed"] += 1
        try:
            with begin(CLOCKWORK) as tx:
                attending.attend_due(tx, 50)
                raise WorkerDied()
        except WorkerDied:
            pass

    def _changed(self) -> None:
        """Something may be due earlier than was known."""
        with look(DOOR) as tx:
            self._moments = list(tx.rows(DUE, {})[0])
        self._due = min((due for due in self._moments if due is not None), default=None)

    def _whatever_is_due(self) -> None:
        """An hour of the study file that stands in no row: the clockwork looks at everything."""
        self._all_steps, self._due = True, clock.now()

    # The study's beginning.

    def _open(self) -> None:
        days = sorted({who.enrolled for who in self.people})
        for day in days:
            arrived = [who for who in self.people if who.enrolled == day]
            for zone in sorted({who.home for who in arrived}):
                group = [who for who in arrived if who.home == zone]
                self.at(_local(day, time(9, 30), zone), partial(self._enrol_all, group))
        for n in range((self.until.date() - self.first.date()).days + 1):
            for site in self.protocol.sites:
                self._day_at(site, self.first.date() + timedelta(days=n))

    def _day_at(self, site: Any, day: date) -> None:
        """What happens at a site on every day: the nurse's round on workdays, the hour of a digest."""
        if day.weekday() < 5:
            self.at(_local(day, ROUND, site.time_zone), partial(self._round, self.nurses[site.id], site.id))
        if digest := getattr(self.protocol, "staff_digest", None):
            hour = time(digest.hour // 60, digest.hour % 60)
            self.at(_local(day, hour, site.time_zone), self._whatever_is_due)

    def _enrol_all(self, group: list[Person]) -> None:
        for who in group:
            self._enrol(who)
        self._changed()

    def _enrol(self, who: Person) -> None:
        anchors = {one.id: who.enrolled for one in self.protocol.anchors if one.required_at_enrolment}
        with begin(self.nurses[who.site]) as tx:
            site = tx.get(Site, self.protocol.study_id, who.site)
            assert site is not None
            participant = participants.enrol(
                tx,
                site,
                subject_id=who.subject_id,
                language=who.language,
                time_zone=who.home,
                protocol_version=self.protocol.version,
                anchors=anchors,
                contact=_keep_contact(self.protocol.study_id, who),
                arm=habits.in_turn([arm.id for arm in self.protocol.arms], who.number, self.seed),
            )
            occurrences.replan(tx, participant, "enrolment")
            code, _ = devices.make_code(tx, participant)
        self.diary.done["enrolled"] += 1
        self.diary.zones[who.subject_id].append((clock.now(), who.home))
        self._activate(who, code)
        self._plan_life(who)
        self._learn(who)

    def _activate(self, who: Person, code: str) -> None:
        with begin(DOOR) as tx:
            candidate = devices.count_try(tx, code)
        assert passwords.fits(*candidate.against)
        with begin(DOOR) as tx:
            about = {"installation_id": f"{who.dice('phone', clock.now()).getrandbits(128):032x}"}
            opened = devices.activate(tx, candidate, about)
            assert opened is not None
            self.phones[who.number].device_id = devices.of(tx, opened[0])[-1].id
        self.diary.done["activated"] += 1

    def _plan_life(self, who: Person) -> None:
        """What sets her apart, and the anchors that are set later."""
        later = [one.id for one in self.protocol.anchors if _set_by_hand(one)]
        for n, anchor in enumerate(later):
            day = who.enrolled + timedelta(days=1 + n)
            self._on(who, day, time(13, 40), partial(self._set_anchor, who, anchor, 0))
        for one in self.protocol.assessments:
            if one.unscheduled:
                for day, hour in habits.asks(who, one.id):
                    self._on(who, day, hour, partial(self._ask_for, who, one.id))
        for day, hour, wish in wishes.wishes(who, self.protocol.messages):
            self._on(who, day, hour, partial(self._wish, who, wish))
        match who.kind:
            case "traveller":
                for zone, there, back in habits.travels(who):
                    self._on(who, there, time(10), partial(self._travel, who, zone))
                    self._on(who, back, time(10), partial(self._travel, who, who.home))
            case "new_phone":
                back = who.day(0.5) + timedelta(days=2)
                self._on(who, back, time(11, 15), partial(self._replace_phone, who))
            case "withdrawn":
                self._on(who, who.day(0.6), time(15, 20), partial(self._withdraw, who))
            case "moved_visit":
                anchor = (later or [one.id for one in self.protocol.anchors])[0]
                for share, days in ((0.15, 3), (0.35, -2)):
                    self._on(
                        who,
                        who.day(share),
                        time(13, 40),
                        partial(self._set_anchor, who, anchor, days),
                    )

    def _on(self, who: Person, day: date, hour: time, act: Callable[[], None]) -> None:
        self.at(_local(day, hour, who.home), act)

    # Acts of the site.

    def _set_anchor(self, who: Person, anchor: str, moved_by: int) -> None:
        """Set it to today, or move it by so many days."""
        with self._of_the_nurse(who, "anchor_moved" if moved_by else "anchor_set") as (tx, participant):
            today = clock.now().astimezone(ZoneInfo(who.home)).date()
            before = participants.anchors(tx, participant).get(anchor, today)
            day = before + timedelta(days=moved_by)
            replanning.carry_out(tx, participant, Wish(anchor=(anchor, day)), "rehearsed")
        self._learn(who)

    def _withdraw(self, who: Person) -> None:
        with self._of_the_nurse(who, "withdrawn") as (tx, participant):
            leaving.withdraw(tx, participant, "rehearsed")
            self.diary.withdrawn[who.subject_id] = clock.now()

    def _replace_phone(self, who: Person) -> None:
        phone = self.phones[who.number]
        with self._of_the_nurse(who, "phone_replaced") as (tx, participant):
            assert phone.device_id is not None
            devices.revoke(tx, participant, phone.device_id, "lost")
            code, _ = devices.make_code(tx, participant)
        phone.unsent.clear()
        self._activate(who, code)
        self._learn(who)

    @contextmanager
    def _of_the_nurse(self, who: Person, what: str) -> Iterator[tuple[Tx, Participant]]:
        with begin(self.nurses[who.site]) as tx:
            participant = tx.get(Participant, self.protocol.study_id, who.subject_id, lock=True)
            assert participant is not None
            yield tx, participant
        self.diary.done[what] += 1
        self._changed()

    def _round(self, nurse: Actor, site: str) -> None:
        """What is new is taken in hand, what was in hand before is resolved; slow ones are left for next time."""
        standing = sa.select(Alert.id, Alert.acknowledged_at).where(
            Alert.site_id == site, Alert.resolved_at.is_(None), Alert.cleared_at.is_(None)
        )
        with look(DOOR) as tx:
            waiting = tx.session.execute(standing.order_by(Alert.raised_at, Alert.id)).all()
        for alert_id, taken_at in waiting:
            dice = Random(f"{self.seed}/round/{alert_id}/{clock.now().date()}")
            if dice.random() >= SLOW:
                self._take(nurse, alert_id, taken_at is not None, dice)

    def _take(self, nurse: Actor, alert_id: UUID, in_hand: bool, dice: Random) -> None:
        try:
            with begin(nurse) as tx:
                if in_hand:
                    alerts.resolve(tx, alert_id, dice.choice(OUTCOMES), "rehearsed")
                else:
                    alerts.acknowledge(tx, alert_id, "rehearsed")
            self.diary.done["alert_resolved" if in_hand else "alert_acknowledged"] += 1
        except EproError as refused:
            self.diary.done[f"alert_act_refused:{refused.code}"] += 1

    # Acts of the participant.

    def _travel(self, who: Person, zone: str) -> None:
        with self._of_her(who) as (tx, participant):
            replanning.carry_out(tx, participant, Wish(time_zone=zone), "rehearsed")
        self.diary.done["zone_changed"] += 1
        self.diary.zones[who.subject_id].append((clock.now(), zone))
        self._changed()
        self._learn(who)

    def _ask_for(self, who: Person, assessment_id: str) -> None:
        """She has something to tell of herself, where the study leaves that to her."""
        today = clock.now().astimezone(ZoneInfo(who.home)).date()
        if who.subject_id in self.diary.withdrawn or habits.away(who, today):
            return
        try:
            with self._of_her(who) as (tx, participant):
                on_demand.open_one(tx, participant, assessment_id)
        except on_demand.NotAsked:
            self.diary.done["asked_for_refused"] += 1
            return
        self.diary.done["asked_for"] += 1
        self._changed()
        self._learn(who)

    def _wish(self, who: Person, wish: Mapping[str, Any]) -> None:
        """She asks something of messages, and gets it within what the study allows."""
        if who.subject_id in self.diary.withdrawn:
            return
        refused = bool(settings_faults(self.protocol.messages, wish))
        if not refused:
            with self._of_her(who) as (tx, participant):
                participants.change_settings(tx, participant, preferences=wish)
        self.diary.wishes.append(Said(who.subject_id, clock.now(), wish, refused))
        self.diary.done["wish_refused" if refused else "wish_granted"] += 1

    def _put_off(self, who: Person, occurrence_id: UUID, wanted: PutOff) -> None:
        """She is reminded and puts it off, unless she has answered or left since, or has no network."""
        today = clock.now().astimezone(ZoneInfo(who.home)).date()
        answered = occurrence_id in self.phones[who.number].answered
        if answered or who.subject_id in self.diary.withdrawn or habits.offline_until(who, today):
            return
        try:
            with self._of_her(who) as (tx, participant):
                snoozing.snooze(tx, participant, occurrence_id, wanted.length, wanted.request)
            self.diary.done["snoozed"] += 1
        except snoozing.CannotSnooze as refused:
            self.diary.done[f"snooze_refused:{refused.extra['reason']}"] += 1
        self._changed()

    @contextmanager
    def _of_her(self, who: Person) -> Iterator[tuple[Tx, Participant]]:
        with begin(self._actor(who)) as tx:
            participant = tx.get(Participant, self.protocol.study_id, who.subject_id, lock=True)
            assert participant is not None
            yield tx, participant

    def _actor(self, who: Person) -> Actor:
        study, device = self.protocol.study_id, self.phones[who.number].device_id
        return Actor("participant", who.subject_id, study, who.subject_id, device_id=device)

    def _learn(self, who: Person) -> None:
        """The phone syncs: it knows what is planned, and she takes it in hand when that suits her."""
        phone, now = self.phones[who.number], clock.now()
        asked = {
            "study_id": self.protocol.study_id,
            "subject_id": who.subject_id,
            "now": now,
            "until": now + self.learn_every,
        }
        with look(DOOR) as tx:
            phone.known = {row.id: row for row in tx.rows(KNOWN, asked)}
        phone.synced += 1
        self._plan_sittings(who, phone.synced)

    def _learn_if(self, who: Person, synced: int) -> None:
        """The phone's next sync, unless it has synced since."""
        if self.phones[who.number].synced == synced:
            self._learn(who)

    def _plan_sittings(self, who: Person, synced: int) -> None:
        now, phone = clock.now(), self.phones[who.number]
        windows = [(row.opens_at, row.closes_at) for row in phone.known.values()]
        for sitting in habits.sittings(who, windows, now, now + self.learn_every):
            self.at(sitting.at, partial(self._sit, who, sitting, synced))
        if who.subject_id not in self.diary.withdrawn:
            self.at(now + self.learn_every, partial(self._learn_if, who, synced))

    def _sit(self, who: Person, sitting: Sitting, synced: int | None = None) -> None:
        """She takes the phone in hand and answers what is open, as far as she does."""
        phone = self.phones[who.number]
        if synced is not None and phone.synced != synced or who.subject_id in self.diary.withdrawn:
            return  # since then the phone has learnt better
        done = [row for row in phone.known.values() if self._is_answered(who, phone, sitting, row)]
        moment, now = sitting.at, []
        for row in sorted(done, key=lambda row: (row.closes_at, row.assessment_id)):
            longer = self.protocol.assessment(row.assessment_id).while_answering
            ends = wishes.overtaken(who, row.id, moment, row.closes_at, longer)
            if ends is None:
                now.append(self._filled(who, row, moment))
            else:
                self.at(ends, partial(self._finish, who, row, moment, phone.device_id))
            phone.answered.add(row.id)
        if now:
            phone.unsent += now
            self._upload_or_wait(who, phone, sitting.at)

    def _finish(self, who: Person, row: Any, begun: datetime, device_id: UUID | None) -> None:
        """She ends what she was answering when its window closed; not if she has left, or lost the phone with it."""
        phone, now = self.phones[who.number], clock.now()
        if who.subject_id not in self.diary.withdrawn and phone.device_id == device_id:
            phone.unsent.append(self._filled(who, row, now, begun))
            self.diary.done["finished_after_closing"] += 1
            self._upload_or_wait(who, phone, now)

    def _is_answered(self, who: Person, phone: Phone, sitting: Sitting, row: Any) -> bool:
        if row.id in phone.answered or not row.opens_at <= sitting.at < row.closes_at:
            return False
        return habits.answers_now(
            who, f"{row.assessment_id}/{row.opens_at}", sitting, row.opens_at, row.closes_at
        )

    def _filled(
        self, who: Person, row: Any, ended: datetime, begun: datetime | None = None
    ) -> dict[str, Any]:
        """An entry of an upload, as a phone makes it; how long it took is drawn where it is not told."""
        instrument = self.instruments[(row.instrument_code, row.instrument_version)]
        dice = who.dice("entry", row.id, ended)
        items = self._items(row.instrument_code, row.instrument_version)
        heavy = answering.burden(who.dice("person"), dice, (row.local_day - who.enrolled).days)
        attitude = who.dice("attitude", instrument.code)
        took = timedelta(minutes=habits.minutes(len(items)) * dice.uniform(0.6, 0.95))
        return {
            "id": str(UUID(int=dice.getrandbits(128), version=4)),
            "occurrence_id": str(row.id),
            "instrument": {"code": instrument.code, "version": instrument.version},
            "language": who.language,
            "answers": answering.answers(instrument.code, items, heavy, attitude, dice),
            "started_at": (begun or ended - took).isoformat(timespec="seconds"),
            "completed_at": ended.isoformat(),
            "time_zone": habits.zone_of(who, ended.astimezone(ZoneInfo(who.home)).date()),
        }

    def _items(self, code: str, version: str) -> list[dict[str, Any]]:
        """The items of an instrument as phones get them; the wording is of no matter to dice."""
        if (code, version) not in self._definitions:
            instrument = self.instruments[(code, version)]
            told = localised(instrument, sorted(instrument.languages)[0])
            self._definitions[(code, version)] = told["items"]
        return self._definitions[(code, version)]

    def _upload_or_wait(self, who: Person, phone: Phone, now: datetime) -> None:
        until = habits.offline_until(who, now.astimezone(ZoneInfo(who.home)).date())
        if until is None:
            self._upload(who)
        else:
            self.diary.done["answered_offline"] += 1
            self._on(who, until, time(9), partial(self._upload, who))

    def _upload(self, who: Person) -> None:
        """Everything that the phone still has goes up; a lost reply makes it go up again."""
        phone = self.phones[who.number]
        entries, phone.unsent = phone.unsent, []
        if not entries:
            return
        self._hand_in(who, entries, first=True)
        if who.dice("reply", entries[0]["id"]).random() < LOST_REPLY:
            self.at(clock.now() + AFTERWARDS, partial(self._hand_in, who, entries, first=False))

    def _hand_in(self, who: Person, entries: list[dict[str, Any]], first: bool) -> None:
        """In one act, unless answers change the plan: then each in its own, as the phone's door does it."""
        follows = self.protocol.follows_what_happens
        acts = [[entry] for entry in entries] if follows else [entries]
        alerted = sum([self._take_in(who, part, first) for part in acts])
        self.diary.done["uploads" if first else "uploads_repeated"] += 1
        if alerted or follows:
            self._changed()
        if follows and who.subject_id not in self.diary.withdrawn:
            self._learn(who)

    def _take_in(self, who: Person, entries: list[dict[str, Any]], first: bool) -> int:
        now, alerted = clock.now(), 0
        with begin(self._actor(who)) as tx:
            participant = tx.plain(Participant, self.protocol.study_id, who.subject_id, lock=True)
            for entry in entries:
                taken = receiving.receive(tx, participant, entry, now)
                alerted += corrections.heed(tx, participant, taken)
                self._note(who, entry, taken.receipt.outcome, first)
        return alerted

    def _note(self, who: Person, entry: Mapping[str, Any], outcome: str, first: bool) -> None:
        self.diary.handed_in.append(
            HandedIn(
                entry["id"],
                who.subject_id,
                UUID(entry["occurrence_id"]),
                datetime.fromisoformat(entry["completed_at"]),
                clock.now(),
                outcome,
                datetime.fromisoformat(entry["started_at"]),
                first,
            )
        )

    def _heard(self, taken: Taken) -> None:
        """A message has reached somebody."""
        who = self.by_phone.get(taken.to)
        if who is None or habits.away(who, taken.at.astimezone(ZoneInfo(who.home)).date()):
            return
        sitting = habits.after_reminder(who, taken.at, f"{taken.at}")
        if sitting is not None:
            self.at(sitting.at, partial(self._sit, who, sitting))
        elif taken.about and (
            wanted := wishes.puts_off(who, taken.about, taken.at, self.protocol.messages.snooze)
        ):
            self.at(wanted.at, partial(self._put_off, who, taken.about, wanted))


def _keep_contact(study_id: str, who: Person) -> dict[str, str]:
    values = {"phone": who.phone, "email": f"p{who.number + 1}@example.org"}
    return store.keep(study_id, f"participant/{who.subject_id}", values, clock.now())


def _set_by_hand(anchor: Any) -> bool:
    """Whether a person sets it after the enrolment; others follow from an answer or from another anchor."""
    told = anchor.canonical()
    return not told.get("required_at_enrolment") and not DERIVED & {
        key for key, value in told.items() if value
    }


def _local(day: date, hour: time, zone: str) -> datetime:
    return datetime.combine(day, hour, ZoneInfo(zone)).astimezone(UTC)


@contextmanager
def overheard(diary: Diary) -> Iterator[None]:
    """While within, what the software logs as a fault goes into the diary instead of the screen."""
    logger, handler = logging.getLogger("epro"), _Listener(diary)
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before


class _Listener(logging.Handler):
    def __init__(self, diary: Diary):
        super().__init__(logging.WARNING)
        self.diary = diary

    def emit(self, record: logging.LogRecord) -> None:
        action = getattr(record, "action", record.name)
        self.diary.done[f"logged:{action}"] += 1
        if record.levelno >= logging.ERROR and WorkerDied.__name__ not in record.getMessage():
            self.diary.faults.append(record.getMessage())
