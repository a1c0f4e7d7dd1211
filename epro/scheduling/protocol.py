"""What a study asks, of whom, and when: one version of it, frozen.

A `Protocol` comes from a study file (see `reading.py`) or from the canonical form that was stored when the
version was published. The canonical form is itself a study file with every default written out, so that
what is stored can be read, compared and checked like what was written. Its digest says which one it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

from epro.canonical import digest
from epro.scheduling.durations import format_clock, format_duration, parse_clock, parse_duration
from epro.scheduling.messaging import MessageRules
from epro.scheduling.rules import FAR, Burst, Calendar, Condition, InsteadOf, Until

FORMAT = 1
ROLES = ("nurse", "investigator", "data_manager", "monitor", "study_builder", "administrator")
FOLLOW_PHONE, STAY_HOME, ASK = "follow_phone", "stay_home", "ask"
OPEN_LATE, SKIP = "open_late", "skip"

Text = Mapping[str, str]  # language tag -> words
Json = dict[str, Any]

DAY = 24 * 60  # minutes
WHILE_ANSWERING = timedelta(minutes=30)


@dataclass(frozen=True)
class Anchor:
    """A day that counting starts from, such as the infusion.

    The site sets it, unless it is the day of the `first_answer_of` an assessment (with `when`: the first that reaches
    so much), or so many `days` from the anchor `base`.
    """

    id: str
    label: Text
    required_at_enrolment: bool
    first_answer_of: str | None = None
    when: Reaching | None = None
    base: str | None = None
    days: int = 0

    @classmethod
    def from_canonical(cls, data: Json) -> Anchor:
        counted = data.get("from", {})
        return cls(
            data["id"],
            data["label"],
            data.get("required_at_enrolment", False),
            data.get("first_answer_of"),
            Reaching.from_canonical(data["when"]) if "when" in data else None,
            counted.get("anchor"),
            int(counted.get("days", 0)),
        )

    def canonical(self) -> Json:
        answer = {"first_answer_of": self.first_answer_of} if self.first_answer_of else {}
        when = {"when": self.when.canonical()} if self.when else {}
        counted = {"from": {"anchor": self.base, "days": self.days}} if self.base else {}
        return {
            "id": self.id,
            "label": dict(self.label),
            "required_at_enrolment": self.required_at_enrolment,
            **answer,
            **when,
            **counted,
        }


@dataclass(frozen=True)
class Arm:
    """One of the groups that participants are allotted to."""

    id: str
    label: Text

    @classmethod
    def from_canonical(cls, data: Json) -> Arm:
        return cls(data["id"], data["label"])

    def canonical(self) -> Json:
        return {"id": self.id, "label": dict(self.label)}


@dataclass(frozen=True)
class Site:
    """Where care is given. `phone` is the number of a human being, shown to the participant."""

    id: str
    name: Text
    time_zone: str
    phone: str | None

    @classmethod
    def from_canonical(cls, data: Json) -> Site:
        return cls(data["id"], data["name"], data["time_zone"], data.get("phone"))

    def canonical(self) -> Json:
        site = {"id": self.id, "name": dict(self.name), "time_zone": self.time_zone}
        return site | ({"phone": self.phone} if self.phone else {})


@dataclass(frozen=True)
class Visit:
    """A named point of the protocol: `day` counted from the anchor, answered `before` to `after` days around it."""

    id: str
    label: Text
    number: int | float
    anchor: str
    day: int
    before: int
    after: int

    @classmethod
    def from_canonical(cls, data: Json) -> Visit:
        return cls(
            data["id"],
            data["label"],
            data["number"],
            data["anchor"],
            int(data["day"]),
            int(data.get("before", 0)),
            int(data.get("after", 0)),
        )

    def canonical(self) -> Json:
        return {
            "id": self.id,
            "label": dict(self.label),
            "number": self.number,
            "anchor": self.anchor,
            "day": self.day,
            "before": self.before,
            "after": self.after,
        }


@dataclass(frozen=True)
class InstrumentRef:
    """Which instrument, in which version."""

    code: str
    version: str


@dataclass(frozen=True)
class Every:
    """Every so many `days`, from day `first` to day `last` after the anchor, each window lasting `open_for` days.

    With a `calendar` it is the days named there, of that same stretch, and `days` says nothing.
    """

    days: int
    first: int
    last: int
    anchor: str
    open_for: int
    calendar: Calendar | None = None

    @classmethod
    def from_canonical(cls, data: Json) -> Every:
        calendar = Calendar.from_canonical(data)
        return cls(
            1 if calendar else int(data["days"] if "days" in data else data["weeks"] * 7),
            int(data["from"]),
            int(data.get("to", FAR)),
            data["anchor"],
            int(data.get("open_for", 1)),
            calendar,
        )

    def canonical(self) -> Json:
        return {
            **(self.calendar.canonical() if self.calendar else {"days": self.days}),
            "from": self.first,
            "to": self.last,
            "anchor": self.anchor,
            "open_for": self.open_for,
        }


@dataclass(frozen=True)
class Window:
    """The hours an answer counts, in minutes after local midnight; `closes` 1440 is the end of the day.

    One of several windows a day has an `id`.
    """

    opens: int
    closes: int
    id: str | None = None

    @classmethod
    def from_canonical(cls, data: Json) -> Window:
        return cls(parse_clock(data["opens"]), parse_clock(data["closes"]), data.get("id"))

    def canonical(self) -> Json:
        name = {"id": self.id} if self.id else {}
        return name | {"opens": format_clock(self.opens), "closes": format_clock(self.closes)}

    @property
    def closing(self) -> int:
        """Minutes from the midnight before the last day to the closing; over 1440 if that is past midnight."""
        return self.closes if self.closes > self.opens else self.closes + DAY

    def lasts(self, days: int) -> timedelta:
        """How long it is open by the clock on the wall when it stands open for so many days."""
        return timedelta(days=days - 1, minutes=self.closing - self.opens)


@dataclass(frozen=True)
class Reminder:
    """A nudge, so long after the opening or so long before the closing. Exactly one of the two is set."""

    after_opening: timedelta | None = None
    before_closing: timedelta | None = None

    @classmethod
    def from_canonical(cls, data: Json) -> Reminder:
        return cls(**{key: parse_duration(value) for key, value in data.items()})

    def canonical(self) -> Json:
        lengths = {"after_opening": self.after_opening, "before_closing": self.before_closing}
        return {key: format_duration(length) for key, length in lengths.items() if length is not None}


@dataclass(frozen=True)
class EscalationStep:
    """Who is told next, so long after the alert was raised, when nobody has acted."""

    after: timedelta
    role: str

    @classmethod
    def from_canonical(cls, data: Json) -> EscalationStep:
        return cls(parse_duration(data["after"]), data["role"])

    def canonical(self) -> Json:
        return {"after": format_duration(self.after), "role": self.role}


@dataclass(frozen=True)
class OnMiss:
    """What a miss sets off: an alert to `roles` after so many misses in a row, and who hears of it next.

    Further misses join the alert that stands: `roles` are told again at every `again_every` of them, and from
    `urgent_from` misses on it is urgent. It is to be settled within `due`.
    """

    alert: bool = False
    after: int = 1
    roles: tuple[str, ...] = ()
    urgency: str = "routine"
    escalation: tuple[EscalationStep, ...] = ()
    due: timedelta | None = None
    again_every: int | None = None
    urgent_from: int | None = None

    @classmethod
    def from_canonical(cls, data: Json) -> OnMiss:
        return cls(
            data["alert"],
            int(data.get("after", 1)),
            tuple(data.get("roles", ())),
            data.get("urgency", "routine"),
            tuple(EscalationStep.from_canonical(step) for step in data.get("escalation", ())),
            parse_duration(data["due"]) if "due" in data else None,
            int(data["again_every"]) if "again_every" in data else None,
            int(data["urgent_from"]) if "urgent_from" in data else None,
        )

    def canonical(self) -> Json:
        return {
            "alert": self.alert,
            "after": self.after,
            "roles": list(self.roles),
            "urgency": self.urgency,
            "escalation": [step.canonical() for step in self.escalation],
            **_due(self.due),
            **({"again_every": self.again_every} if self.again_every else {}),
            **({"urgent_from": self.urgent_from} if self.urgent_from else {}),
        }


def _due(length: timedelta | None) -> Json:
    return {"due": format_duration(length)} if length else {}


@dataclass(frozen=True)
class Assessment:
    """One instrument and the rule by which it is asked: once `at` each named visit, or `every` so many days, or in
    a `burst`, or `instead_of` one that was missed, or `unscheduled`, whenever she asks for it.

    `windows` are the windows of one day in their order, where there are several; `window` is then the first of them.
    `after` names the assessment that must be answered first. `while_answering` is for how long after the closing an
    answering that had begun may still be finished.
    """

    id: str
    label: Text
    instrument: InstrumentRef
    at: tuple[str, ...]
    every: Every | None
    window: Window
    sync_grace: timedelta
    reminders: tuple[Reminder, ...]
    at_risk: timedelta | None
    on_miss: OnMiss
    burst: Burst | None = None
    instead_of: InsteadOf | None = None
    unscheduled: bool = False
    windows: tuple[Window, ...] = ()
    until: Until | None = None
    condition: Condition | None = None
    after: str | None = None
    answering: timedelta | None = None

    @classmethod
    def from_canonical(cls, data: Json) -> Assessment:
        risk = data.get("at_risk")
        windows = sorted(map(Window.from_canonical, data.get("windows", ())), key=lambda one: one.opens)
        return cls(
            id=data["id"],
            label=data["label"],
            instrument=InstrumentRef(**data["instrument"]),
            at=tuple(data.get("at", ())),
            every=Every.from_canonical(data["every"]) if "every" in data else None,
            window=windows[0] if windows else Window.from_canonical(data["window"]),
            sync_grace=parse_duration(data["sync_grace"]),
            reminders=tuple(Reminder.from_canonical(reminder) for reminder in data.get("reminders", ())),
            at_risk=parse_duration(risk["before_closing"]) if risk else None,
            on_miss=OnMiss.from_canonical(data["on_miss"]) if "on_miss" in data else OnMiss(),
            burst=Burst.from_canonical(data["burst"]) if "burst" in data else None,
            instead_of=InsteadOf.from_canonical(data["instead_of"]) if "instead_of" in data else None,
            unscheduled=data.get("unscheduled", False),
            windows=tuple(windows),
            until=Until.from_canonical(data["until"]) if "until" in data else None,
            condition=Condition.from_canonical(data["if"]) if "if" in data else None,
            after=data.get("after"),
            answering=parse_duration(data["while_answering"]) if "while_answering" in data else None,
        )

    @property
    def while_answering(self) -> timedelta:
        """Never longer than the sync grace, after which it is missed."""
        return min(WHILE_ANSWERING if self.answering is None else self.answering, self.sync_grace)

    def canonical(self) -> Json:
        """With every default written out. A key that says more than the first format did is there only when set,
        so that what was published before it keeps its digest."""
        risk = {"at_risk": {"before_closing": format_duration(self.at_risk)}} if self.at_risk else {}
        hours: Json = {"window": self.window.canonical()}
        if self.windows:
            hours = {"windows": [window.canonical() for window in self.windows]}
        return {
            "id": self.id,
            "label": dict(self.label),
            "instrument": {"code": self.instrument.code, "version": self.instrument.version},
            **hours,
            "sync_grace": format_duration(self.sync_grace),
            "reminders": [reminder.canonical() for reminder in self.reminders],
            "on_miss": self.on_miss.canonical(),
            **self._rule(),
            **self._limits(),
            **risk,
        }

    def _rule(self) -> Json:
        if self.unscheduled:
            return {"unscheduled": True}
        for name in ("every", "burst", "instead_of"):
            if rule := getattr(self, name):
                return {name: rule.canonical()}
        return {"at": list(self.at)}

    def _limits(self) -> Json:
        parts = {"until": self.until, "if": self.condition}
        limits: Json = {name: part.canonical() for name, part in parts.items() if part}
        if self.after:
            limits["after"] = self.after
        if self.answering is not None:
            limits["while_answering"] = format_duration(self.answering)
        return limits


@dataclass(frozen=True)
class Baseline:
    """What a change counts from: the answer at a visit, or the last one up to the day of an anchor."""

    visit: str | None = None
    last_before: str | None = None

    def canonical(self) -> Json:
        return {"visit": self.visit} if self.visit else {"last_before": self.last_before}


def settled(number: float) -> float:
    """To nine decimals: scores are fractions of small whole numbers, and from 23/9 to 14/9 they fall by 1, not by
    0.9999999999999998. Study files give limits of six decimals at most.
    """
    return round(number, 9)


@dataclass(frozen=True)
class Threshold:
    """When a number counts: by itself (at_least, at_most) or by its change from baseline (rises_by, falls_by)."""

    comparison: str
    limit: float

    @classmethod
    def of(cls, data: Json) -> Threshold:
        """From whichever of the four words stands in `data`."""
        word = next(word for word in COMPARISONS if word in data)
        return cls(word, data[word])

    @property
    def of_change(self) -> bool:
        return self.comparison in ("rises_by", "falls_by")

    def reached(self, value: float | None, baseline: float | None = None) -> bool | None:
        """Whether it is; None when that cannot be told, because a number is missing."""
        if value is None or (self.of_change and baseline is None):
            return None
        found = settled(value - baseline) if self.of_change and baseline is not None else settled(value)
        if self.comparison == "at_most":
            return found <= self.limit
        return (-found if self.comparison == "falls_by" else found) >= self.limit

    def canonical(self) -> Json:
        return {self.comparison: self.limit}


COMPARISONS = ("at_least", "at_most", "rises_by", "falls_by")


@dataclass(frozen=True)
class Reaching:
    """An answer (`item`) or a score (`scale`) of so much."""

    item: str | None
    scale: str | None
    threshold: Threshold

    @classmethod
    def from_canonical(cls, data: Json) -> Reaching:
        return cls(data.get("item"), data.get("scale"), Threshold.of(data))

    def canonical(self) -> Json:
        asked = {"item": self.item} if self.item else {"scale": self.scale}
        return asked | self.threshold.canonical()

    def reached(self, answers: Mapping[str, Any], values: Mapping[str, float | None]) -> bool:
        """Whether these answers and scores come to it; a number that is missing does not."""
        value = answers.get(self.item) if self.item else values.get(self.scale or "")
        sound = isinstance(value, (int, float)) and not isinstance(value, bool)
        return bool(sound and self.threshold.reached(value))


@dataclass(frozen=True)
class AlertRule:
    """An alert on an answer (`item`) or a score (`scale`), looked at when an answer to the assessment is stored."""

    id: str
    label: Text
    assessment: str
    item: str | None
    scale: str | None
    threshold: Threshold
    baseline: Baseline | None
    urgency: str
    roles: tuple[str, ...]
    escalation: tuple[EscalationStep, ...]
    due: timedelta | None = None

    @classmethod
    def from_canonical(cls, data: Json) -> AlertRule:
        when = data["when"]
        return cls(
            id=data["id"],
            label=data["label"],
            assessment=data["assessment"],
            item=when.get("item"),
            scale=when.get("scale"),
            threshold=Threshold.of(when),
            baseline=Baseline(**when["baseline"]) if "baseline" in when else None,
            urgency=data.get("urgency", "urgent"),
            roles=tuple(data["roles"]),
            escalation=tuple(EscalationStep.from_canonical(step) for step in data.get("escalation", ())),
            due=parse_duration(data["due"]) if "due" in data else None,
        )

    def canonical(self) -> Json:
        asked = {"item": self.item} if self.item else {"scale": self.scale}
        baseline = {"baseline": self.baseline.canonical()} if self.baseline else {}
        return {
            "id": self.id,
            "label": dict(self.label),
            "assessment": self.assessment,
            "when": asked | self.threshold.canonical() | baseline,
            "urgency": self.urgency,
            "roles": list(self.roles),
            "escalation": [step.canonical() for step in self.escalation],
            **_due(self.due),
        }


@dataclass(frozen=True)
class StaffDigest:
    """At which hour of the site's clock, in minutes after midnight, `roles` are told how many alerts stand there."""

    hour: int
    roles: tuple[str, ...]

    @classmethod
    def from_canonical(cls, data: Json) -> StaffDigest:
        return cls(parse_clock(data["hour"]), tuple(data["roles"]))

    def canonical(self) -> Json:
        return {"hour": format_clock(self.hour), "roles": list(self.roles)}


@dataclass(frozen=True)
class Endpoint:
    """A score's change from baseline, and, where a `responder` threshold is given, whether it counts as a response."""

    id: str
    label: Text
    assessment: str
    scale: str
    baseline: Baseline
    responder: Threshold | None

    @classmethod
    def from_canonical(cls, data: Json) -> Endpoint:
        return cls(
            id=data["id"],
            label=data["label"],
            assessment=data["assessment"],
            scale=data["scale"],
            baseline=Baseline(**data["baseline"]),
            responder=Threshold.of(data["responder"]) if "responder" in data else None,
        )

    def canonical(self) -> Json:
        responder = {"responder": self.responder.canonical()} if self.responder else {}
        return {
            "id": self.id,
            "label": dict(self.label),
            "assessment": self.assessment,
            "scale": self.scale,
            "baseline": self.baseline.canonical(),
            **responder,
        }


@dataclass(frozen=True)
class Protocol:
    """One version of one study. Lists stand in the order of the file; ids are unique within each."""

    study_id: str
    version: str
    title: Text
    note: Text
    languages: tuple[str, ...]
    default_language: str
    time_zone: str
    zone_policy: str
    subject_id_pattern: str | None
    anchors: tuple[Anchor, ...]
    sites: tuple[Site, ...]
    visits: tuple[Visit, ...]
    assessments: tuple[Assessment, ...]
    alerts: tuple[AlertRule, ...]
    endpoints: tuple[Endpoint, ...]
    staff_digest: StaffDigest | None
    hide_scores_from: tuple[str, ...]
    show_scores_to_participant: bool
    arms: tuple[Arm, ...] = ()
    born_late: str = SKIP
    nurses_may_correct: bool = False
    messages: MessageRules = MessageRules()

    @classmethod
    def from_canonical(cls, data: Json) -> Protocol:
        """Build from the stored form, or from any study file without faults whose defaults are written out."""
        study = data["study"]
        return cls(
            study_id=study["id"],
            version=study["version"],
            title=study["title"],
            note=study.get("note", {}),
            languages=tuple(study["languages"]),
            default_language=study.get("default_language", study["languages"][0]),
            time_zone=study["time_zone"],
            zone_policy=study["zone_policy"],
            subject_id_pattern=study.get("subject_id_pattern"),
            anchors=tuple(Anchor.from_canonical(anchor) for anchor in data["anchors"]),
            sites=tuple(Site.from_canonical(site) for site in data["sites"]),
            visits=tuple(Visit.from_canonical(visit) for visit in data.get("visits", ())),
            assessments=tuple(Assessment.from_canonical(assessment) for assessment in data["assessments"]),
            alerts=tuple(AlertRule.from_canonical(rule) for rule in data.get("alerts", ())),
            endpoints=tuple(Endpoint.from_canonical(endpoint) for endpoint in data.get("endpoints", ())),
            staff_digest=StaffDigest.from_canonical(data["digest"]) if "digest" in data else None,
            hide_scores_from=tuple(data.get("blinding", {}).get("hide_scores_from", ())),
            show_scores_to_participant=data.get("show_scores_to_participant", False),
            arms=tuple(Arm.from_canonical(arm) for arm in data.get("arms", ())),
            born_late=study.get("born_late", SKIP),
            nurses_may_correct=data.get("nurses_may_correct", False),
            messages=MessageRules.from_canonical(data.get("messages", {})),
        )

    def canonical(self) -> Json:
        """Plain JSON with every default written out; the same protocol always gives the same bytes."""
        return {
            "format": FORMAT,
            "study": self._study(),
            "anchors": [anchor.canonical() for anchor in self.anchors],
            "sites": [site.canonical() for site in self.sites],
            "visits": [visit.canonical() for visit in self.visits],
            "assessments": [assessment.canonical() for assessment in self.assessments],
            "alerts": [rule.canonical() for rule in self.alerts],
            "endpoints": [endpoint.canonical() for endpoint in self.endpoints],
            **({"digest": self.staff_digest.canonical()} if self.staff_digest else {}),
            "blinding": {"hide_scores_from": list(self.hide_scores_from)},
            "show_scores_to_participant": self.show_scores_to_participant,
            **({"nurses_may_correct": True} if self.nurses_may_correct else {}),
            **({"arms": [arm.canonical() for arm in self.arms]} if self.arms else {}),
            **({"messages": self.messages.canonical()} if self.messages != MessageRules() else {}),
        }

    def _study(self) -> Json:
        pattern = {"subject_id_pattern": self.subject_id_pattern} if self.subject_id_pattern else {}
        note = {"note": dict(self.note)} if self.note else {}
        return {
            "id": self.study_id,
            "version": self.version,
            "title": dict(self.title),
            "languages": list(self.languages),
            "default_language": self.default_language,
            "time_zone": self.time_zone,
            "zone_policy": self.zone_policy,
            **({"born_late": self.born_late} if self.born_late != SKIP else {}),
            **pattern,
            **note,
        }

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hex, of the canonical form written as RFC 8785 JSON."""
        return digest(self.canonical())

    def assessment(self, id: str) -> Assessment:
        """The assessment of that id. Raises KeyError."""
        return self._assessments[id]

    def visit(self, id: str) -> Visit:
        """The visit of that id. Raises KeyError."""
        return self._visits[id]

    def site(self, id: str) -> Site:
        """The site of that id. Raises KeyError."""
        return self._sites[id]

    def alert_rule(self, id: str) -> AlertRule:
        """The alert rule of that id. Raises KeyError."""
        return {rule.id: rule for rule in self.alerts}[id]

    def alerts_on(self, assessment: str) -> tuple[AlertRule, ...]:
        """The alert rules that look at answers to this assessment."""
        return self._alerts_on.get(assessment, ())

    @property
    def required_anchors(self) -> tuple[str, ...]:
        """Ids of the anchors whose date must be known to enrol."""
        return tuple(anchor.id for anchor in self.anchors if anchor.required_at_enrolment)

    @cached_property
    def longest_open(self) -> int:
        """On how many days the longest window of the study stands open."""
        rules = [rule for a in self.assessments for rule in (a.every, a.instead_of) if rule]
        visits = [visit.before + visit.after + 1 for visit in self.visits]
        return max([1, *visits, *(rule.open_for for rule in rules)])

    @cached_property
    def ordered(self) -> frozenset[str]:
        """Ids of the assessments on whose answers others wait, by `after`."""
        return frozenset(one.after for one in self.assessments if one.after)

    @cached_property
    def with_alternates(self) -> frozenset[str]:
        """Ids of the assessments in whose place others are asked when they are missed."""
        return frozenset(one.instead_of.assessment for one in self.assessments if one.instead_of)

    @cached_property
    def follows_what_happens(self) -> bool:
        """Whether answers and misses change what is asked."""
        return bool(self.ordered or self.with_alternates) or any(one.first_answer_of for one in self.anchors)

    def alternates_of(self, assessment: str) -> tuple[str, ...]:
        """Ids of what is asked when this one is missed."""
        return tuple(
            one.id for one in self.assessments if one.instead_of and one.instead_of.assessment == assessment
        )

    @cached_property
    def by_language(self) -> bool:
        """Whether the language decides what is asked, so that the plan must follow it."""
        return any(one.condition and one.condition.languages for one in self.assessments)

    @cached_property
    def _assessments(self) -> dict[str, Assessment]:
        return {assessment.id: assessment for assessment in self.assessments}

    @cached_property
    def _alerts_on(self) -> dict[str, tuple[AlertRule, ...]]:
        ids = {rule.assessment for rule in self.alerts}
        return {id: tuple(rule for rule in self.alerts if rule.assessment == id) for id in ids}

    @cached_property
    def _visits(self) -> dict[str, Visit]:
        return {visit.id: visit for visit in self.visits}

    @cached_property
    def _sites(self) -> dict[str, Site]:
        return {site.id: site for site in self.sites}


def with_defaults(data: Json) -> Json:
    """The study file with its `defaults` written into every assessment that does not say otherwise.

    A key is taken whole or not at all: nothing is merged inside it, so a reader needs to look in one place.
    """
    defaults = data.get("defaults") or {}
    assessments: Sequence[Json] = data["assessments"]
    rest = {key: value for key, value in data.items() if key != "defaults"}
    return rest | {"assessments": [_filled(defaults, assessment) for assessment in assessments]}


def _filled(defaults: Json, assessment: Json) -> Json:
    """Several windows a day take the place of the one among the defaults."""
    taken = {key: value for key, value in defaults.items() if key != "window" or "windows" not in assessment}
    return taken | assessment
