"""One channel, several providers: the country of the number says which. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from epro.notifications.senders import (
    Outgoing,
    Redacting,
    Sender,
    SendFailed,
    is_askable,
    is_redacting,
    is_registering,
)


class RoutedSender:
    """Hands each message to the provider of the longest prefix that its number begins with.

    A number that no prefix fits goes to the one under "", and nowhere if there is none.
    """

    def __init__(self, channel: str, routes: Mapping[str, Sender]):
        self.channel, self._routes = channel, routes
        self.name = "+".join(sorted({sender.name for sender in routes.values()}))

    def of(self, to: str) -> Sender | None:
        fitting = [prefix for prefix in self._routes if to.startswith(prefix)]
        return self._routes[max(fitting, key=len)] if fitting else None

    def send(self, message: Outgoing) -> str:
        sender = self.of(message.to)
        if sender is None:
            raise SendFailed("region_closed", permanent=True)
        return sender.send(message)

    def keeps(self, provider_id: str) -> bool:
        return self._keeper(provider_id) is not None

    def redact(self, provider_id: str) -> None:
        keeper = self._keeper(provider_id)
        if keeper is None:
            raise SendFailed("not_supported", permanent=True)  # by no route; the text is still there
        keeper.redact(provider_id)

    def _keeper(self, provider_id: str) -> Redacting | None:
        """Which of the providers keeps the text of this id. The number may be erased: it is not asked for."""
        found: list[Any] = [one for one in self._routes.values() if is_redacting(one)]
        return next((one for one in found if one.keeps(provider_id)), None)

    def asks_for_ids(self, to: str) -> bool:
        sender: Any = self.of(to)
        return is_registering(sender) and sender.asks_for_ids(to)

    def registered(self, to: str, template: str, language: str, turn: int) -> str | None:
        sender: Any = self.of(to)
        return sender.registered(to, template, language, turn) if is_registering(sender) else None


class AskableRoutedSender(RoutedSender):
    """The same where every one of the providers can be asked."""

    def find(self, message: Outgoing, since: datetime) -> str | None:
        sender = self.of(message.to)
        return sender.find(message, since) if is_askable(sender) else None


def routed(channel: str, routes: Mapping[str, Sender]) -> Sender:
    """One sender for these routes; it can be asked only if all of them can."""
    askable = all(is_askable(sender) for sender in routes.values())
    return (AskableRoutedSender if askable else RoutedSender)(channel, routes)
