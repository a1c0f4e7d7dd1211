"""The outside edge of notifications: what a channel is asked, and the three answers it may give.

A sender hands one message to one provider. It returns the provider's id, or raises `SendFailed` (the
provider certainly has not taken it) or `SendUnknown` (it may have). Nothing else leaves a sender, and
neither exception ever holds a phone number, an e-mail address or a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Protocol, TypeGuard, runtime_checkable
from uuid import UUID


@dataclass(frozen=True)
class Outgoing:
    """One message on its way out.

    `to` is an E.164 number, an e-mail address or a push subscription; `valid_for` is how long it is still
    useful; the provider reports to `callback_url`, or says `callback_key` when it reports. `template`,
    `turn` and `values` are what the text was made from, for a provider that sends registered templates only;
    `registered_as` is its id of this wording, where the study names one.
    A later message with the same `collapse` replaces an earlier one that has not reached the phone.
    Whatever could tell who she is or what she is told stays out of the repr, so that a log line or a
    traceback that shows the message shows neither.
    """

    message_id: UUID
    to: str = field(repr=False)
    text: str = field(repr=False)
    subject: str | None = field(repr=False)
    language: str
    valid_for: timedelta
    callback_url: str | None = field(repr=False)
    registered_as: str | None = None  # the provider's id of this wording, where the study file names one
    callback_key: str = field(default="", repr=False)
    template: str = ""
    turn: int = 0  # which of the template's wordings
    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    collapse: UUID | None = None


class SendFailed(Exception):
    """The provider certainly has not taken the message.

    `permanent`: the same message to the same recipient will be refused again.
    `code`: our word, the same for every provider (`bad_number`, `bad_address`, `opted_out`,
    `region_closed`, `not_reachable`, `blocked`, `filtered`, `too_long`, `credentials`, `busy`,
    `unreachable`, `tls`, `not_supported`, `sender_refused`, `not_registered`, `account`, `gone`, `refused`).
    `detail`: the provider's own number, for the operator; never its words, which repeat the recipient.
    `retry_after`: how long the provider asks to be left alone.
    """

    def __init__(
        self,
        code: str,
        *,
        permanent: bool,
        detail: str | None = None,
        retry_after: timedelta | None = None,
    ):
        self.code, self.permanent, self.detail = code, permanent, detail
        self.retry_after = retry_after
        super().__init__(f"{code} ({detail})" if detail else code)


class SendUnknown(Exception):
    """The request may have left and nobody said what became of it.

    `code`: `timed_out`, `cut`, `unreadable` or `http_500` with its status; from `find` also a code of
    `SendFailed`, which then says why the provider could not be asked.
    """

    def __init__(self, code: str):
        self.code = code
        super().__init__(code)


class Sender(Protocol):
    """One provider on one channel (`sms`, `email`, `push` or `app`)."""

    channel: str
    name: str

    def send(self, message: Outgoing) -> str:
        """Hand the message over once, without retrying, and return the provider's id.

        Raises `SendFailed` or `SendUnknown`, nothing else.
        """
        ...


@runtime_checkable
class Registering(Protocol):
    """A sender that sends wordings which were registered beforehand, and no others; see `is_registering`."""

    def asks_for_ids(self, to: str) -> bool:
        """Whether a message to this number needs the id of a registered wording."""
        ...

    def registered(self, to: str, template: str, language: str, turn: int) -> str | None:
        """The id of this wording that the sender itself knows, if any."""
        ...


@runtime_checkable
class Routing(Protocol):
    """A sender that hands on to one of several providers."""

    def of(self, to: str) -> Sender | None:
        """Who sends to this address."""
        ...


def provider_of(sender: Sender, to: str) -> str:
    """The name of the provider that a message to this address goes to: when one is out, the others are not."""
    behind = sender.of(to) if _is_routing(sender) else None
    return (behind or sender).name


@runtime_checkable
class Askable(Protocol):
    """A sender whose provider can be asked afterwards; see `is_askable`."""

    def find(self, message: Outgoing, since: datetime) -> str | None:
        """The provider's id if it has taken this message at or after `since`, None if it has not.

        Raises `SendUnknown` when the provider cannot be asked just now: that is not a no.
        """
        ...


@runtime_checkable
class Redacting(Protocol):
    """A sender whose provider keeps the texts that it has taken, until it is asked to forget them."""

    def keeps(self, provider_id: str) -> bool:
        """Whether this is an id of such a provider."""
        ...

    def redact(self, provider_id: str) -> None:
        """Have the text of this message taken out of the provider's record; done before is done too.

        Raises `SendFailed` or `SendUnknown`, nothing else.
        """
        ...


def is_redacting(sender: Any) -> TypeGuard[Redacting]:
    return _does(sender, Redacting)


def is_registering(sender: Any) -> TypeGuard[Registering]:
    return _does(sender, Registering)


def is_askable(sender: Any) -> TypeGuard[Askable]:
    return _does(sender, Askable)


def _is_routing(sender: Any) -> TypeGuard[Routing]:
    return _does(sender, Routing)


def _does(sender: Any, protocol: Any) -> bool:
    kind: Any = type(sender)
    return _is_of(kind, protocol)


@cache
def _is_of(kind: Any, protocol: Any) -> bool:
    """Asked once for each kind of sender: the question costs more than many a message."""
    return issubclass(kind, protocol)
