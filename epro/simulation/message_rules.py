"""What a study file says of messages, rule by rule, and how often each was exercised in a rehearsal. Pure.

A limit counts when it kept something back: a reminder that was withheld, or a wish of a participant that was refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from epro.notifications import carriers
from epro.scheduling.messaging import MessageRules
from epro.simulation.facts import Facts, within

PLACE = "/messages"
SNOOZES = {"no_more": "times", "too_long": "longest", "too_late": "before_closing"}


def places(rules: MessageRules) -> Iterator[str]:
    """Where each rule stands. What the file does not say holds too, as `study-file.md` tells it."""
    yield f"{PLACE}/quiet_hours/usual"
    if rules.quiet_hours.always:
        yield f"{PLACE}/quiet_hours/always"
    yield f"{PLACE}/quiet_hours/longest"
    for name in ("usual", "least", "most"):
        yield f"{PLACE}/daily_cap/{name}"
    if rules.snooze.times:
        yield f"{PLACE}/snooze"
    for name in SNOOZES.values():
        yield f"{PLACE}/snooze/{name}"
    for template, texts in rules.texts.items():
        for number, _ in enumerate(texts):
            yield f"{PLACE}/texts/{template}/{number}"
    for country, templates in rules.registered.items():
        for template, languages in templates.items():
            for language, ids in languages.items():
                for number, _ in enumerate(ids):
                    yield f"{PLACE}/registered/{country}/{template}/{language}/{number}"


def counted(facts: Facts) -> Counter[str]:
    """How often each was exercised, by its place."""
    found = Counter(f"{PLACE}/{rule}" for rule in (*_withheld(facts), *_wished(facts), *_put_off(facts)))
    found.update(f"{PLACE}/{rule}" for rule in _worded(facts))
    return found


def _withheld(facts: Facts) -> Iterator[str]:
    """Reminders that the study's own hours or its usual cap kept back."""
    always = facts.protocol.messages.quiet_hours.always
    for message in facts.messages.values():
        if message.purpose != "reminder":
            continue
        own = facts.wished(message.subject_id, message.withheld_at) if message.withheld_at else {}
        if message.withheld_reason == "quiet_hours":
            local = facts.local(message.subject_id, message.withheld_at)
            if always and within(always, f"{local:%H:%M}"):
                yield "quiet_hours/always"
            elif "quiet_hours" not in own:
                yield "quiet_hours/usual"
        elif message.withheld_reason == "cap_reached" and "daily_cap" not in own:
            yield "daily_cap/usual"


def _wished(facts: Facts) -> Iterator[str]:
    """What participants asked for up to a limit, and beyond."""
    cap = facts.protocol.messages.daily_cap
    for said in facts.diary.wishes:
        if said.refused and "quiet_hours" in said.wish:
            yield "quiet_hours/longest"
        if (asked := said.wish.get("daily_cap")) is not None:
            yield from ["daily_cap/least"] * (asked <= cap.least)
            yield from ["daily_cap/most"] * (asked >= cap.most)


def _put_off(facts: Facts) -> Iterator[str]:
    yield from ["snooze"] * facts.diary.done["snoozed"]
    for reason, rule in SNOOZES.items():
        yield from [f"snooze/{rule}"] * facts.diary.done[f"snooze_refused:{reason}"]


def _worded(facts: Facts) -> Iterator[str]:
    """In which of the study's words, and under which registered id, messages reached somebody."""
    rules = facts.protocol.messages
    for taken in facts.taken:
        message = facts.messages.get(taken.message_id)
        if message is None:
            continue
        if message.template in rules.texts:
            yield f"texts/{message.template}/{message.rotation}"
        country = carriers.country_of(taken.to) if rules.registered and taken.channel == "sms" else None
        if country and rules.provider_template(country, message.template, message.language, message.rotation):
            yield f"registered/{country}/{message.template}/{message.language}/{message.rotation}"
