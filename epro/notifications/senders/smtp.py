"""E-mail through a submission server."""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Callable
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

from epro.notifications.senders import Outgoing, SendFailed, SendUnknown

TIMEOUT = 10.0  # seconds for each answer of the server
PORTS = {"starttls": 587, "ssl": 465, "none": 25}

# One plain address. More than one, a display name or a line break would write to somebody else.
_ADDRESS = re.compile(r"[!-~]+@[!-~]+")
_NOT_IN_ADDRESS = re.compile(r"[\s<>,;:\"()\[\]\\]|@.*@")


class _Refused(Exception):
    """The server said no to one command; holds numbers only."""

    def __init__(self, step: str, status: int, reply: bytes):
        self.step, self.status = step, status
        enhanced = re.match(rb"[245]\.\d{1,3}\.\d{1,3}", reply)
        self.enhanced = enhanced[0].decode() if enhanced else ""
        super().__init__(f"{step} {status}")


class SmtpSender:
    """Hands plain-text messages to one server, one connection each.

    tls: `starttls` (refused if the server does not offer it), `ssl` or `none`. `context` replaces the
    system's certificate store, for a hospital with its own authority. `now` stamps the Date header;
    without it the submission server does (RFC 6409, 8.2). `timeout` in seconds.
    """

    channel, name = "email", "smtp"

    def __init__(
        self,
        host: str,
        sender: str,
        *,
        port: int | None = None,
        user: str | None = None,
        password: str | None = None,
        tls: str = "starttls",
        context: ssl.SSLContext | None = None,
        now: Callable[[], datetime] | None = None,
        timeout: float = TIMEOUT,
    ):
        self._host, self._port, self._tls = host, port or PORTS[tls], tls
        self._user, self._password = user, password
        self._from, self._address = sender, parseaddr(sender)[1]
        self._domain = self._address.rpartition("@")[2]
        self._context, self._now, self._timeout = context, now, timeout

    def send(self, message: Outgoing) -> str:
        """Returns the Message-ID, which is made from our id: a second copy would carry the same one."""
        if not is_one_address(message.to):
            raise SendFailed("bad_address", permanent=True)
        content = self._content(message)
        server = self._addressed(message.to)
        refusal = _hand_over(server, content)
        _hang_up(server)
        if refusal:
            raise refusal
        return self._id_of(message)

    def letter(self, message: Outgoing) -> EmailMessage:
        """The message as it goes over the wire: plain text, nothing to load, nothing to click."""
        letter = EmailMessage(policy=SMTP)
        letter["Message-ID"] = self._id_of(message)
        letter["From"], letter["To"] = self._from, message.to
        letter["Subject"] = " ".join((message.subject or "").split())
        letter["Auto-Submitted"] = "auto-generated"  # RFC 3834: keeps out-of-office replies away
        if self._now:
            letter["Date"] = format_datetime(self._now())
        letter.set_content(message.text, charset="utf-8", cte="base64")
        letter["Content-Language"] = message.language  # after the content, which takes such headers away
        return letter

    def _id_of(self, message: Outgoing) -> str:
        return f"<{message.message_id}@{self._domain}>"

    def _content(self, message: Outgoing) -> bytes:
        try:
            return self.letter(message).as_bytes(policy=SMTP)
        except ValueError:  # half a character in the text; the error would quote it
            refusal = SendFailed("refused", permanent=True, detail="unwritable")
        raise refusal

    def _addressed(self, to: str) -> smtplib.SMTP:
        """A connection that waits for the content. Until here nothing can have been delivered."""
        server: smtplib.SMTP | None = None
        try:
            server = self._connected()
            self._signed_in(server)
            _expect("mail", *server.mail(self._address))
            _expect("rcpt", *server.rcpt(to))
            return server
        except Exception as trouble:
            refusal = _not_taken(trouble)
        if server:
            server.close()
        raise refusal

    def _connected(self) -> smtplib.SMTP:
        # The name given in EHLO is the sender's domain: the machine's own name is nobody's business.
        if self._tls == "ssl":
            return smtplib.SMTP_SSL(
                self._host, self._port, self._domain, timeout=self._timeout, context=self._certificates()
            )
        return smtplib.SMTP(self._host, self._port, self._domain, timeout=self._timeout)

    def _signed_in(self, server: smtplib.SMTP) -> None:
        server.ehlo_or_helo_if_needed()
        if self._tls == "starttls":
            server.starttls(context=self._certificates())
            server.ehlo_or_helo_if_needed()
        if self._user and self._password:
            server.login(self._user, self._password)

    def _certificates(self) -> ssl.SSLContext:
        return self._context or ssl.create_default_context()


def is_one_address(to: str) -> bool:
    """Whether this is exactly one plain ASCII address."""
    return bool(_ADDRESS.fullmatch(to)) and not _NOT_IN_ADDRESS.search(to)


def _expect(step: str, status: int, reply: bytes) -> None:
    if not 200 <= status < 300:
        raise _Refused(step, status, reply)


def _hand_over(server: smtplib.SMTP, content: bytes) -> SendFailed | SendUnknown | None:
    """Send the content. From here only the server's answer says what became of it."""
    try:
        _expect("data", *server.data(content))
    except smtplib.SMTPDataError as refused:  # the server would not even take the content
        return _not_taken(_Refused("data", refused.smtp_code, _bytes(refused.smtp_error)))
    except _Refused as refused:
        return _not_taken(refused)
    except Exception as trouble:  # whatever it is, the content may have arrived
        late = isinstance(trouble, TimeoutError) or isinstance(trouble.__context__, TimeoutError)
        return SendUnknown("timed_out" if late else "cut")
    return None


def _hang_up(server: smtplib.SMTP) -> None:
    try:
        server.quit()
    except (smtplib.SMTPException, OSError):
        server.close()  # the message is with the server; how it says goodbye is not


def _not_taken(trouble: Exception) -> SendFailed:
    if isinstance(trouble, _Refused):
        return _refusal(trouble)
    if isinstance(trouble, smtplib.SMTPAuthenticationError):
        return SendFailed("credentials", permanent=False, detail=str(trouble.smtp_code))
    if isinstance(trouble, smtplib.SMTPResponseException):
        code = "busy" if 400 <= trouble.smtp_code < 500 else "refused"
        return SendFailed(code, permanent=False, detail=str(trouble.smtp_code))
    if isinstance(trouble, smtplib.SMTPNotSupportedError):
        return SendFailed("not_supported", permanent=False)
    if isinstance(trouble, ssl.SSLError):
        return SendFailed("tls", permanent=False)
    return SendFailed("unreachable", permanent=False)


def _refusal(refused: _Refused) -> SendFailed:
    """RFC 5321, 4.2.1: 4xx passes, 5xx stays. What concerns our own account can be mended, so passes."""
    detail = f"{refused.status} {refused.enhanced}".strip()
    if refused.status in (530, 535):
        return SendFailed("credentials", permanent=False, detail=detail)
    if 400 <= refused.status < 500:
        return SendFailed("busy", permanent=False, detail=detail)
    if refused.step == "mail":
        return SendFailed("sender_refused", permanent=False, detail=detail)
    return SendFailed("bad_address" if _is_unknown_box(refused) else "refused", permanent=True, detail=detail)


def _is_unknown_box(refused: _Refused) -> bool:
    # RFC 3463: 5.1.x is about the address; 5.7.x is policy and says nothing about it.
    if refused.enhanced:
        return refused.enhanced.startswith("5.1.")
    return refused.step == "rcpt" and refused.status in (550, 551, 553)


def _bytes(reply: bytes | str) -> bytes:
    return reply if isinstance(reply, bytes) else reply.encode("ascii", "replace")
