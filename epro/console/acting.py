"""Who acted and why, in words of the reader's language where the trail has a word of the software's own. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from epro.console.saying import Voice
from epro.why import refusals
from epro.why.words import WORDS

NOTED = {
    f"alert.{name}" for name in ("acknowledged", "contact_attempted", "noted", "handed_over", "resolved")
}
"""Acts whose entry keeps, in the place of a reason, what somebody wrote down."""
AT_ENROLMENT = "enrolment"
FAMILIES = {"message": ("withheld",), "reminder": ("withheld", "skipped"), "session": ("session_end",)}
"""Acts, by the beginning of their names, whose reason is a code of the software's: where its words stand."""
CODED = {
    "alert.escalation_ended": "message",
    "device.session_ended": "session",
    "push.removed": "session",
    "snooze.dropped": "reminder",
    "staff.session_ended": "session",
}


def who(t: Voice, people: Mapping[str, str], actor: str) -> str:
    """A person or machine by name; the software by what it did; none of them cut."""
    kind, _, name = actor.partition(":")
    if actor in people:
        return people[actor]
    if kind == "participant":
        return f"{t.of('actor', kind)} {name.partition('/')[2]}"
    said = t.of("part", name) if kind == "system" else name
    return f"{t.of('actor', kind)}{t('trail.part', name=said)}" if said else t.of("actor", kind)


def why(t: Voice, action: str, reason: str | None) -> str:
    """What stands under an entry: a note, a reason that somebody gave, or what made the plan change."""
    if not reason:
        return ""
    if action == "plan.changed" and (causes := _causes(t, reason)):
        return t("trail.plan_follows", causes=causes)
    if action in NOTED:
        return f"{t('alert.note')}: {reason}"
    kind = CODED.get(action) or action.partition(".")[0]
    said = _coded(t, kind, reason) if kind in FAMILIES else given(t, reason)
    return f"{t('trail.reason')}: {said}"


def _coded(t: Voice, kind: str, code: str) -> str:
    """A code of the software's own in the words that the other pages have for it, and the code itself."""
    known = (t.of(family, code) for family in FAMILIES[kind])
    said = next((words for words in known if words != code), None)
    said = said or refusals.in_words(code, WORDS["channel"], t.language)
    return f"{said}{t('trail.part', name=code)}" if said != code else code


def given(t: Voice, reason: str) -> str:
    """A reason as it was given; the one that stands for the enrolment in words."""
    return t("trail.at_enrolment") if reason == AT_ENROLMENT else reason


def _causes(t: Voice, reason: str) -> str:
    """The software's own words, several of them; none where one is not known."""
    words = [WORDS["cause"].get(one.split()[0]) for one in reason.split("; ") if one.strip()]
    return t("days.comma").join(one[t.language] for one in words if one) if all(words) else ""
