"""By which channel and in which words a message goes out now, or why it does not, or until when it waits.

Channels are tried in the recipient's order. One whose circuit is open is passed over, and so is one whose carrier
allows none of the wordings. A message to staff that no carrier's rule would let through goes out all the same: better
one that a carrier may hold back than none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from epro.notifications import carriers, circuits, texts_sent, wording
from epro.notifications.carriers import Candidate, Carrier
from epro.notifications.circuit import Circuit, again_at, way
from epro.notifications.senders import Sender, is_registering, provider_of
from epro.notifications.wording import Text
from epro.scheduling.messaging import MessageRules
from epro.tx import Tx

CIRCUIT_OPEN = "circuit_open"
FALLBACK = "en"  # for who reads a language that has no texts yet: better than silence


@dataclass(frozen=True)
class Wanted:
    """The message at hand: what it says, to whom it may go in which order, and what she was told last."""

    message: Any
    channels: Sequence[tuple[str, str]]  # (channel, address)
    params: Mapping[str, str | int]
    study: MessageRules
    last_text: str | None
    urgent: bool


@dataclass(frozen=True)
class Way:
    """How it goes out. `counted` is the digest of a number whose carriers count texts."""

    channel: str
    to: str
    text: Text
    registered_as: str | None = None
    counted: str | None = None


@dataclass(frozen=True)
class Wait:
    """Not now, and not before this moment."""

    until: datetime


def find(
    tx: Tx, wanted: Wanted, senders: Mapping[str, Sender], troubled: Mapping[circuits.Key, Circuit]
) -> Way | Wait | str:
    """How it goes out, until when it waits, or why it does not."""
    reasons, waits, held = list[str](), list[datetime](), list[Way]()
    for channel, to in wanted.channels:
        key = (channel, provider_of(senders[channel], to))
        circuit = troubled.get(key, Circuit())
        standing = way(circuit, tx.now)
        if standing == "open":
            waits.append(again_at(circuit) or tx.now)
            continue
        found = _words(tx, wanted, channel, to, senders[channel])
        if isinstance(found, str):
            reasons.append(found)
            held.append(Way(channel, to, next(_texts(wanted))))
        elif standing == "free" or circuits.claim_probe(tx, key):
            return found
        else:
            waits.append(again_at(circuit) or tx.now)
    if wanted.urgent and held and not waits:
        return held[0]
    return Wait(min(waits)) if waits else reasons[0] if reasons else "no_channel"


def text_of(wanted: Wanted, turn: int) -> Text:
    """The wording of this turn, as it was or would be sent."""
    return wording.render(
        wanted.message.template,
        _language(wanted.message),
        wanted.params,
        turn,
        own=wanted.study.own_texts(wanted.message.template, _language(wanted.message)),
    )


def registered_as(wanted: Wanted, country: str, turn: int) -> str | None:
    """The provider's id of this wording in this country, by the study file."""
    message = wanted.message
    return wanted.study.provider_template(country, message.template, _language(message), turn)


def name_of(message: Any) -> str:
    """What tells one wording from another among those that one participant gets."""
    return f"{message.template}:{message.rotation}"


def _language(message: Any) -> str:
    return message.language if message.language in wording.shipped() else FALLBACK


def _texts(wanted: Wanted) -> Iterator[Text]:
    """Every wording, the one whose turn it is first; what she was told last comes last. Mostly the first will do."""
    first, message = text_of(wanted, wanted.message.rotation), wanted.message
    turns = [(first.turn + n) % first.of for n in range(first.of)]
    again = [turn for turn in turns if f"{message.template}:{turn}" == wanted.last_text]
    for turn in [*(turn for turn in turns if turn not in again), *again]:
        yield first if turn == first.turn else text_of(wanted, turn)


def _words(tx: Tx, wanted: Wanted, channel: str, to: str, sender: Sender) -> Way | str:
    texts = _texts(wanted)
    country = carriers.country_of(to) if channel == "sms" else None
    carrier = carriers.shipped().get(country or "")
    if carrier is None:
        text = next(texts)
        return Way(channel, to, text, registered_as(wanted, country, text.turn) if country else None)
    return _allowed(tx, wanted, carrier, (channel, to), texts, sender)


def _allowed(
    tx: Tx, wanted: Wanted, carrier: Carrier, path: tuple[str, str], texts: Iterable[Text], sender: Sender
) -> Way | str:
    """The first wording that the carrier allows to this number, kept as sent; else the rule in the way."""
    channel, to = path
    message, number, by_turn = wanted.message, texts_sent.digest(to), dict[int, Text]()
    needs_id = bool(wanted.study.registered.get(carrier.country)) or _asks_for_ids(sender, to)

    def candidates() -> Iterator[Candidate]:
        for text in texts:
            by_turn[text.turn] = text
            known = _id(wanted, sender, carrier, to, text.turn)
            yield Candidate(text.turn, text.text, texts_sent.digest(text.text), known)

    texts_sent.hold(tx, number)
    history = texts_sent.history(tx, number, message.id)
    found = carriers.choose(carrier, candidates(), history, tx.now, urgent=wanted.urgent, needs_id=needs_id)
    if isinstance(found, str):
        return found
    texts_sent.keep(tx, number, message.id, found.text)
    own_id = registered_as(wanted, carrier.country, found.wording)
    return Way(channel, to, by_turn[found.wording], own_id, number)


def _asks_for_ids(sender: Sender, to: str) -> bool:
    return is_registering(sender) and sender.asks_for_ids(to)


def _id(wanted: Wanted, sender: Sender, carrier: Carrier, to: str, turn: int) -> str | None:
    """What shows that this wording is registered: the study file's id, or that the sender has one of its own."""
    message = wanted.message
    known = registered_as(wanted, carrier.country, turn)
    own = wanted.study.own_texts(message.template, _language(message))  # words of its own have ids of its own
    if known is None and not own and is_registering(sender):
        return sender.registered(to, message.template, _language(message), turn)
    return known
