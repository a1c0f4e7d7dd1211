"""When a channel of a provider is taken to be out, and when it is tried again. Pure.

It opens after so many failures in a row within a minute. While it is open nothing is handed over; after a pause one
message is, as a probe. If that comes through it closes, else it stays open and the next pause is twice as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

STRIKES, WINDOW = 5, timedelta(seconds=60)  # so many failures in a row in so long open it
PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(minutes=5)
PROBE_FOR = timedelta(seconds=90)  # how long a probe may take before another one goes

# Refusals and doubts that are about one message, and say nothing about the provider.
OF_ONE_MESSAGE = frozenset({"not_reachable", "filtered", "not_taken", "not_told_apart", "not_supported"})

Way = Literal["open", "probe", "free"]


@dataclass(frozen=True)
class Circuit:
    """What is known of one channel of one provider; `retry_at` only while it is open."""

    strikes: tuple[datetime, ...] = ()
    opened_at: datetime | None = None
    retry_at: datetime | None = None
    pauses: int = 0
    probing_until: datetime | None = None


def way(circuit: Circuit, now: datetime) -> Way:
    """Whether a message may be handed over: freely, as the probe, or not at all now."""
    if circuit.opened_at is None:
        return "free"
    busy = circuit.probing_until is not None and now < circuit.probing_until
    waits = circuit.retry_at is not None and now < circuit.retry_at
    return "open" if busy or waits else "probe"


def again_at(circuit: Circuit) -> datetime | None:
    """When an open one can be tried next; None when it is not open."""
    known = [one for one in (circuit.retry_at, circuit.probing_until) if one is not None]
    return max(known) if circuit.opened_at is not None and known else None


def probing(circuit: Circuit, now: datetime) -> Circuit:
    """It has handed its probe over."""
    return replace(circuit, probing_until=now + PROBE_FOR)


def failed(circuit: Circuit, now: datetime) -> Circuit:
    """A message came to nothing for a reason that is the provider's."""
    if circuit.opened_at is not None:
        return _paused(circuit, now, circuit.pauses + 1)
    recent = (*_recent(circuit.strikes, now), now)
    if len(recent) < STRIKES:
        return Circuit(recent)
    return _paused(Circuit((), now), now, 0)


def succeeded(circuit: Circuit) -> Circuit:
    """The provider has answered: it is there."""
    return Circuit()


def counts(code: str) -> bool:
    """Whether a passing refusal or a doubt with this code says something about the provider."""
    return code not in OF_ONE_MESSAGE


def _recent(strikes: Sequence[datetime], now: datetime) -> list[datetime]:
    return [one for one in strikes if now - WINDOW < one <= now][-STRIKES:]


def _paused(circuit: Circuit, now: datetime, pauses: int) -> Circuit:
    pause = min(PAUSE * 2 ** min(pauses, 10), LONGEST_PAUSE)
    return Circuit((), circuit.opened_at or now, now + pause, pauses)
