"""The inbox of the app: a message waits there until the app asks for it. Nothing leaves this server."""

from __future__ import annotations

from datetime import datetime

from epro.notifications.senders import Outgoing


class InAppSender:
    """Sending is what the ledger notes already; `epro/notifications/inbox.py` tells the app what waits."""

    channel, name = "app", "in_app"

    def send(self, message: Outgoing) -> str:
        return f"app-{message.message_id}"

    def find(self, message: Outgoing, since: datetime) -> str | None:
        """It is there as soon as the ledger says so, whoever asks."""
        return f"app-{message.message_id}"
