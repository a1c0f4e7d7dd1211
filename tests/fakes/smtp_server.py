"""A submission server on loopback that keeps what it takes and can be told to misbehave.

    with SmtpServer() as mail:
        mail.script("accept", "rcpt:550 5.1.1", "accept_then_cut")

Behaviours, one for each message: `accept`; `accept_then_cut` and `accept_then_hang` (taken, no answer);
`cut` and `hang` (nothing taken, no answer to the content); `cut_early` (hangs up at MAIL);
`mail:<reply>`, `rcpt:<reply>`, `data:<reply>` (refused at that step, `rcpt:550 5.1.1` for one).
"""

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections import deque
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

KNOWN = {"accept", "accept_then_cut", "accept_then_hang", "cut", "hang", "cut_early"}
STEPS = ("mail", "rcpt", "data")
HANG_SECONDS = 60.0


@dataclass(frozen=True)
class Letter:
    """One message that was taken."""

    mail_from: str
    rcpt_tos: tuple[str, ...]
    message: EmailMessage
    raw: bytes
    encrypted: bool
    signed_in: bool


class SmtpServer:
    """The server. `letters` is everything taken, `attempts` how often a message was begun.

    `certificate` makes it speak TLS: by STARTTLS, or from the first byte with `implicit_tls`. `users`
    maps names to passwords; with it, nobody sends without signing in.
    """

    def __init__(
        self,
        *,
        certificate: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        users: dict[str, str] | None = None,
    ):
        self.letters: list[Letter] = []
        self.attempts = 0
        self.users = users or {}
        self._script: deque[str] = deque()
        starttls = certificate if certificate and not implicit_tls else None
        self._controller = _Controller(
            _Handler(self),
            hostname="127.0.0.1",
            port=0,
            ready_timeout=10.0,
            ssl_context=certificate if implicit_tls else None,
            tls_context=starttls,
            require_starttls=bool(starttls),
            auth_required=bool(users),
            auth_require_tls=bool(starttls),
            authenticator=self._authenticated if users else None,
        )

    @property
    def port(self) -> int:
        return int(self._controller.port)

    def __enter__(self) -> SmtpServer:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    def script(self, *behaviours: str) -> None:
        """Add behaviours for the next messages."""
        for behaviour in behaviours:
            if behaviour not in KNOWN and behaviour.partition(":")[0] not in STEPS:
                raise ValueError(f"unknown behaviour {behaviour}")
        self._script.extend(behaviours)

    def next_behaviour(self) -> str:
        self.attempts += 1
        return self._script.popleft() if self._script else "accept"

    def take(self, server: SMTP, session: Session, envelope: Envelope) -> None:
        raw = envelope.original_content or b""
        message = message_from_bytes(raw, policy=default)
        assert isinstance(message, EmailMessage) and server.transport
        encrypted = server.transport.get_extra_info("ssl_object") is not None
        self.letters.append(
            Letter(
                str(envelope.mail_from),
                tuple(envelope.rcpt_tos),
                message,
                raw,
                encrypted,
                bool(session.authenticated),
            )
        )

    def _authenticated(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, said: Any
    ) -> AuthResult:
        known = (
            isinstance(said, LoginPassword) and self.users.get(said.login.decode()) == said.password.decode()
        )
        return AuthResult(success=known, handled=known)


class _Controller(Controller):
    def factory(self) -> SMTP:
        with warnings.catch_warnings():  # a password without TLS is what some tests are about
            warnings.simplefilter("ignore", UserWarning)
            return super().factory()

    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.base_events.Server)
        self.port = self.server.sockets[0].getsockname()[1]  # the one the system chose for port 0
        super()._trigger_server()


class _Handler:
    def __init__(self, provider: SmtpServer):
        self._provider = provider

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.behaviour = self._provider.next_behaviour()  # type: ignore[attr-defined]
        if envelope.behaviour == "cut_early":  # type: ignore[attr-defined]
            return _cut(server)
        envelope.mail_from = address
        return _refusal(envelope, "mail") or "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        refusal = _refusal(envelope, "rcpt")
        if not refusal:
            envelope.rcpt_tos.append(address)
        # A real server repeats the address in its reply: so does this.
        return f"{refusal} <{address}>" if refusal else "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        behaviour: str = envelope.behaviour  # type: ignore[attr-defined]
        if behaviour.startswith("accept"):
            self._provider.take(server, session, envelope)
        if behaviour.endswith("hang"):
            await asyncio.sleep(HANG_SECONDS)
        if behaviour.endswith("cut"):
            return _cut(server)
        return _refusal(envelope, "data") or "250 2.0.0 OK queued"


def _refusal(envelope: Envelope, step: str) -> str | None:
    at, _, reply = envelope.behaviour.partition(":")  # type: ignore[attr-defined]
    return reply if at == step else None


def _cut(server: SMTP) -> str:
    assert server.transport
    server.transport.abort()  # type: ignore[attr-defined]
    raise asyncio.CancelledError
