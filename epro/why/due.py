"""Why an occurrence is due on that day in that window, and why it was moved or cancelled. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from epro.scheduling.protocol import STAY_HOME, Assessment, Every, Protocol, Text
from epro.scheduling.rules import WEEKDAYS
from epro.scheduling.state import State, state_of
from epro.why import clocks
from epro.why.happened import Happened
from epro.why.sentences import Said, Who, Word

FOLLOWED = "protocol.followed"
ANSWER, CORRECTION = "answer", "correction"  # what an anchor was set through, where nobody set it
NOT_ANSWERED = "not answered"  # the cancelling of what she had asked for herself
STILL = {State.UPCOMING: "upcoming", State.OPEN: "open", State.CLOSED_WAITING: "waiting"}


def planned(
    occurrence: Any,
    protocol: Protocol,
    anchors: Sequence[Any],
    stays: Sequence[Any],
    happened: Sequence[Happened],
) -> list[Said]:
    """Anchor, zone, plan and moves; then the rule, the window and the clock change that led to where it stands now."""
    moves = list(_moves(occurrence, happened))
    decided = max([occurrence.planned_at, *(said.at for said in moves)])
    return [
        *_anchors(occurrence, protocol, anchors),
        *_zones(occurrence, protocol, stays),
        Said("due.planned", occurrence.planned_at, _plan_of(occurrence, happened)),
        *moves,
        *_rule(occurrence, protocol, decided),
        *_limits(occurrence, protocol, decided),
        Said("due.window", decided, _window(occurrence)),
        *clocks.rules(occurrence, protocol, stays, happened, decided),
        *_renewed(occurrence, happened),
        *_cancelled(occurrence, happened),
    ]


def still(occurrence: Any, now: datetime) -> list[Said]:
    """What it waits for, where nothing has come of it yet."""
    state = STILL.get(state_of(occurrence, now))
    return [Said(f"still.{state}", now)] if state else []


def label_of(parts: Sequence[Any], id: str) -> Text | str:
    """The words of a named part of the protocol; the name itself where this version has none."""
    return next((part.label for part in parts if part.id == id), id)


def _anchors(occurrence: Any, protocol: Protocol, anchors: Sequence[Any]) -> Iterator[Said]:
    """Every setting of the anchor that it counts from, of that of its condition, and of those that these count from."""
    condition = protocol.assessment(occurrence.assessment_id).condition
    known = {anchor.id: anchor for anchor in protocol.anchors}
    waiting, names = [occurrence.anchor, condition.anchor if condition else None], set[str | None]()
    for name in waiting:
        found = known.get(name or "")
        if found is not None and found.base and name not in names:
            facts = {
                "anchor": found.label,
                "days": found.days,
                "base": label_of(protocol.anchors, found.base),
            }
            yield Said("anchor.counted", occurrence.planned_at, facts)
            waiting.append(found.base)
        names.add(name)
    before: dict[str, date] = {}
    for row, who in anchors:
        if row.anchor in names:
            yield _anchor(row, who, protocol, before.get(row.anchor))
            before[row.anchor] = row.day
            if row.taken_back:
                del before[row.anchor]


def _anchor(row: Any, who: Who, protocol: Protocol, before: date | None) -> Said:
    anchor = label_of(protocol.anchors, row.anchor)
    answered = next((one.first_answer_of for one in protocol.anchors if one.id == row.anchor), None)
    if answered and row.set_through == ANSWER:
        first = label_of(protocol.assessments, answered)
        return Said("anchor.answered", row.set_at, {"anchor": anchor, "day": row.day, "assessment": first})
    if row.set_through == CORRECTION:
        facts = {"anchor": anchor, "day": row.day, "before": before, "who": who}
        return Said("anchor.taken_back" if row.taken_back else "anchor.followed", row.set_at, facts)
    facts = {"anchor": anchor, "day": row.day, "who": who, "reason": _said_by_somebody(row.reason)}
    if before is None:
        return Said("anchor.set", row.set_at, facts)
    return Said("anchor.moved", row.set_at, facts | {"before": before})


def _said_by_somebody(reason: str | None) -> str | None:
    """The software's own word for what it did at the enrolment is no reason that anybody gave."""
    return None if reason == "enrolment" else reason


def _zones(occurrence: Any, protocol: Protocol, stays: Sequence[Any]) -> Iterator[Said]:
    lived = [stay for stay in stays if stay.since <= occurrence.closes_at]
    if lived:
        yield Said("zone.first", lived[0].since, {"zone": lived[0].time_zone})
    for stay in lived[1:]:
        yield Said("zone.changed", stay.since, {"zone": stay.time_zone, "since": stay.since})
    if protocol.zone_policy == STAY_HOME and len(lived) > 1:
        yield Said("zone.home", lived[-1].since)


def _plan_of(occurrence: Any, happened: Sequence[Happened]) -> dict[str, Any]:
    """In what act it was planned, and by which version of the study that she followed then."""
    acts = [one for one in happened if one.at == occurrence.planned_at]
    changed = [one.reason for one in acts if one.action == "plan.changed"]
    asked_for = any(one.object_id == str(occurrence.id) for one in acts)
    later = [one for one in happened if one.action == FOLLOWED and one.at > occurrence.planned_at]
    version = later[0].details["before"] if later else occurrence.protocol_version
    cause = Word("cause", "asked_for") if asked_for else _cause(changed[0] if changed else None)
    return {"cause": cause, "version": version}


def _cause(why: str | None) -> Word:
    """`anchor infusion` names its anchor, which has a sentence of its own."""
    return Word("cause", (why or "plan").partition(" ")[0])


def _rule(occurrence: Any, protocol: Protocol, decided: datetime) -> Iterator[Said]:
    assessment = protocol.assessment(occurrence.assessment_id)
    facts = {
        "assessment": assessment.label,
        "anchor": label_of(protocol.anchors, occurrence.anchor),
        "study_day": occurrence.study_day,
        "local_day": occurrence.local_day,
    }
    code, more = _asked_by(occurrence, protocol, assessment)
    yield Said(f"due.{code}", decided, facts | more)
    if "@" in occurrence.key:
        yield Said("due.again", decided)


def _asked_by(occurrence: Any, protocol: Protocol, assessment: Assessment) -> tuple[str, dict[str, Any]]:
    """Which of the study's rules asks for it, and the figures of that rule."""
    day, every, burst = occurrence.local_day, assessment.every, assessment.burst
    if every is not None:
        zero = day - timedelta(days=occurrence.study_day)
        figures = {"first": every.first, "last": every.last, "anchor_day": zero}
        if every.calendar is not None:
            return "calendar", figures | {"days": _named_days(every)}
        if every.days == 1:
            return "daily", figures
        return "every", figures | {"days": every.days}
    if burst is not None:
        return "burst", {"days": burst.days}
    if assessment.instead_of is not None:
        return "instead", {"missed": label_of(protocol.assessments, assessment.instead_of.assessment)}
    if assessment.unscheduled or occurrence.visit_id is None:
        return "unscheduled", {}
    visit = protocol.visit(occurrence.visit_id)
    zero = day + timedelta(days=visit.before - visit.day)
    span = {"before": visit.before, "after": visit.after, "anchor_day": zero}
    return "visit", {"visit": visit.label} | span


def _named_days(every: Every) -> tuple[Any, ...]:
    assert every.calendar is not None
    if every.calendar.month_days:
        return tuple(str(number) for number in every.calendar.month_days)
    return tuple(Word("weekday", WEEKDAYS[number]) for number in every.calendar.weekdays)


def _limits(occurrence: Any, protocol: Protocol, decided: datetime) -> Iterator[Said]:
    """Of whom it is asked, and after what."""
    assessment = protocol.assessment(occurrence.assessment_id)
    if assessment.condition is not None:
        told = assessment.condition
        named = [label_of(protocol.arms, arm) for arm in told.arms] + [*told.sites, *told.languages]
        if told.anchor:
            named.append(label_of(protocol.anchors, told.anchor))
        yield Said("due.condition", decided, {"those": tuple(named)})
    if assessment.after is not None:
        yield Said("due.after", decided, {"first": label_of(protocol.assessments, assessment.after)})


def _window(occurrence: Any) -> dict[str, Any]:
    names = ("opens_at", "closes_at", "grace_until")
    return {name: getattr(occurrence, name) for name in names} | {"zone": occurrence.time_zone}


# Moves.


def _renewed(occurrence: Any, happened: Sequence[Happened]) -> Iterator[Said]:
    """It stayed where it was when she came to follow another version of the study, which asks for it since."""
    version = occurrence.protocol_version
    for one in happened:
        later = one.action == FOLLOWED and one.at > occurrence.planned_at
        if later and one.details["version"] == version:
            yield Said("plan.renewed", one.at, {"version": version, "reason": one.reason})


def _moves(occurrence: Any, happened: Sequence[Happened]) -> Iterator[Said]:
    for one in happened:
        for move in one.details.get("moves", ()) if one.action == "plan.changed" else ():
            if move["id"] == str(occurrence.id):
                yield _moved(one, move, happened)


def _moved(one: Happened, move: Mapping[str, Any], happened: Sequence[Happened]) -> Said:
    opens_at, closes_at = map(datetime.fromisoformat, move["to"])
    facts = {"opens_at": opens_at, "closes_at": closes_at, "cause": _cause(one.reason)}
    facts |= {"who": one.who, "reason": _reason_given(one, happened)}
    if move["from"] is None:
        return Said("plan.asked_again", one.at, facts)
    from_opens, from_closes = map(datetime.fromisoformat, move["from"])
    return Said("plan.moved", one.at, facts | {"from_opens": from_opens, "from_closes": from_closes})


def _cancelled(occurrence: Any, happened: Sequence[Happened]) -> Iterator[Said]:
    if occurrence.cancelled_at is None:
        return
    if occurrence.cancelled_reason == NOT_ANSWERED:
        yield Said("occurrence.lapsed", occurrence.cancelled_at)
        return
    acts = [one for one in happened if one.at == occurrence.cancelled_at]
    who = acts[0].who if acts else Who("system")
    reason = next((one.reason for one in acts if one.action != "plan.changed" and one.reason), None)
    facts = {"cause": _cause(occurrence.cancelled_reason), "who": who, "reason": reason}
    yield Said("plan.cancelled", occurrence.cancelled_at, facts)


def _reason_given(change: Happened, happened: Sequence[Happened]) -> str | None:
    """What the person who acted gave as the reason, in the act that changed the plan."""
    same = (one for one in happened if one.at == change.at and one.action != "plan.changed")
    return next((one.reason for one in same if one.reason), None)
