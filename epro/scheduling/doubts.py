"""Days of anchors that are taken as they come and that somebody had better look at once more. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from epro.scheduling.protocol import Protocol

SOON = timedelta(days=14)  # a day of enrolment further ahead than this is told


@dataclass(frozen=True)
class Doubt:
    """What is doubtful about the day of an anchor: it is before that of `other`, or that far ahead of today."""

    code: str  # before_enrolment | far_ahead
    anchor: str
    day: date
    since: date
    other: str | None = None

    @property
    def days(self) -> int:
        """How many days lie between."""
        return abs((self.day - self.since).days)

    def __str__(self) -> str:
        if self.other:
            return f"{self.anchor} on {self.day} lies before {self.other} on {self.since}."
        return f"{self.anchor} on {self.day} is {self.days} days ahead."


def about(
    protocol: Protocol, anchors: Mapping[str, date], new: Collection[str], today: date
) -> Iterator[Doubt]:
    """What is doubtful about the days that are `new` among these."""
    first = [name for name in protocol.required_anchors if name in anchors]
    for name in first:
        if name in new and anchors[name] > today + SOON:
            yield Doubt("far_ahead", name, anchors[name], today)
    for anchor in protocol.anchors:
        day = anchors.get(anchor.id)
        if day is None or anchor.id in first or anchor.base or anchor.first_answer_of:
            continue
        for name in first:
            if day < anchors[name] and {anchor.id, name} & set(new):
                yield Doubt("before_enrolment", anchor.id, day, anchors[name], name)
