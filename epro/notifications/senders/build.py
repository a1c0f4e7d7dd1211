"""From settings to senders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import getaddresses
from urllib.parse import urlsplit

from epro.notifications.senders import Sender, vapid
from epro.notifications.senders.aliyun import ENDPOINT, PREFIX, AliyunSender, read_templates, template_faults
from epro.notifications.senders.console import ConsoleSender
from epro.notifications.senders.recording import RecordingSender
from epro.notifications.senders.routing import routed
from epro.notifications.senders.smtp import PORTS, SmtpSender, is_one_address
from epro.notifications.senders.twilio import TwilioSender
from epro.notifications.senders.web_push import WebPushSender

Settings = Mapping[str, str | None]
Clock = Callable[[], datetime]

CHINA = "sms in mainland China"
CHOICES = {
    "SMS_SENDER": ("sms", ("console", "recording", "twilio", "none")),
    "SMS_CN_SENDER": (CHINA, ("aliyun", "console", "recording")),
    "EMAIL_SENDER": ("email", ("console", "recording", "smtp", "none")),
    "PUSH_SENDER": ("push", ("console", "recording", "webpush", "none")),
}
SHORTEST_CALLBACK_KEY = 32
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def build(settings: Settings, now: Clock | None = None) -> dict[str, Sender]:
    """The chosen sender of each channel; a channel for which none is chosen is absent.

    `now` stamps e-mails. Raises ValueError naming everything that is missing or wrong, by the names of
    the settings and never by their values.
    """
    wrong = faults(settings)
    if wrong:
        raise ValueError("; ".join(wrong))
    chosen = {channel: settings.get(name) for name, (channel, _) in CHOICES.items()}
    senders = {
        channel: _sender(name, channel, settings, now)
        for channel, name in chosen.items()
        if name and name != "none"
    }
    return _with_china(senders)


def _with_china(senders: dict[str, Sender]) -> dict[str, Sender]:
    """Numbers of mainland China by the sender of their own, if one is chosen."""
    theirs = senders.pop(CHINA, None)
    if theirs is None:
        return senders
    others = {"": senders["sms"]} if "sms" in senders else {}
    return {**senders, "sms": routed("sms", {**others, PREFIX: theirs})}


def faults(settings: Settings) -> list[str]:
    """What keeps these settings from being used, in words for the operator."""
    found = [
        f"{name} must be one of {', '.join(known)}"
        for name, (_, known) in CHOICES.items()
        if settings.get(name) and settings[name] not in known
    ]
    if settings.get("SMS_SENDER") == "twilio":
        found += _twilio_faults(settings)
    if settings.get("SMS_CN_SENDER") == "aliyun":
        found += _aliyun_faults(settings)
    if settings.get("EMAIL_SENDER") == "smtp":
        found += _smtp_faults(settings)
    if settings.get("PUSH_SENDER") == "webpush":
        found += _push_faults(settings)
    return found


def _twilio_faults(settings: Settings) -> list[str]:
    found = _missing(settings, "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN")
    if not settings.get("TWILIO_FROM") and not settings.get("TWILIO_MESSAGING_SERVICE_SID"):
        found.append("TWILIO_FROM or TWILIO_MESSAGING_SERVICE_SID is missing")
    if settings.get("TWILIO_BASE_URL") and not _is_safe_base(settings["TWILIO_BASE_URL"] or ""):
        found.append("TWILIO_BASE_URL must be https://host without a path (http only on this machine)")
    return found


def _aliyun_faults(settings: Settings) -> list[str]:
    names = ("ALIYUN_ACCESS_KEY_ID", "ALIYUN_ACCESS_KEY_SECRET", "ALIYUN_SIGN_NAME", "ALIYUN_TEMPLATES")
    found = _missing(settings, *names)
    if settings.get("ALIYUN_ENDPOINT") and not _is_safe_base(settings["ALIYUN_ENDPOINT"] or ""):
        found.append("ALIYUN_ENDPOINT must be https://host without a path (http only on this machine)")
    if settings.get("ALIYUN_TEMPLATES"):
        found += [
            f"ALIYUN_TEMPLATES {fault}" for fault in template_faults(settings["ALIYUN_TEMPLATES"] or "")
        ]
    if 0 < len(settings.get("ALIYUN_CALLBACK_KEY") or "") < SHORTEST_CALLBACK_KEY:
        found.append(f"ALIYUN_CALLBACK_KEY is shorter than {SHORTEST_CALLBACK_KEY} characters")
    return found


def _smtp_faults(settings: Settings) -> list[str]:
    found = _missing(settings, "SMTP_HOST", "SMTP_FROM")
    tls = settings.get("SMTP_TLS") or "starttls"
    if tls not in PORTS:
        found.append(f"SMTP_TLS must be one of {', '.join(PORTS)}")
    if not _is_port(settings.get("SMTP_PORT")):
        found.append("SMTP_PORT must be a number from 1 to 65535")
    if settings.get("SMTP_FROM") and not _is_one_sender(settings["SMTP_FROM"] or ""):
        found.append("SMTP_FROM must be one address")
    if bool(settings.get("SMTP_USER")) != bool(settings.get("SMTP_PASSWORD")):
        found.append("SMTP_USER and SMTP_PASSWORD belong together")
    if tls == "none" and settings.get("SMTP_USER") and settings.get("SMTP_HOST") not in LOOPBACK:
        found.append("SMTP_TLS may not be none when a password is sent to another machine")
    return found


def _push_faults(settings: Settings) -> list[str]:
    found = [] if vapid.hosts_of(settings) else ["PUSH_HOSTS is missing"]
    try:
        vapid.key_of(settings)
    except ValueError:
        found.append("VAPID_KEY is not a private key of P-256 in base64url, 43 characters")
    return found


def _missing(settings: Settings, *names: str) -> list[str]:
    return [f"{name} is missing" for name in names if not settings.get(name)]


def _is_safe_base(url: str) -> bool:
    parts = urlsplit(url)
    bare = bool(parts.hostname) and parts.path in ("", "/") and not parts.query and not parts.username
    return bare and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK))


def _is_port(port: str | None) -> bool:
    return not port or (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535)


def _is_one_sender(sender: str) -> bool:
    found = getaddresses([sender])
    return len(found) == 1 and is_one_address(found[0][1]) and sender.isprintable()


def _sender(name: str, channel: str, settings: Settings, now: Clock | None) -> Sender:
    if name == "console":
        return ConsoleSender("sms" if channel == CHINA else channel)
    if name == "recording":
        return RecordingSender("sms" if channel == CHINA else channel)
    if name == "aliyun":
        return _aliyun(settings)
    if name == "webpush":
        contact = settings["PUBLIC_URL"] or ""
        return WebPushSender(vapid.key_of(settings), contact, vapid.hosts_of(settings))
    return _twilio(settings) if name == "twilio" else _smtp(settings, now)


def _twilio(settings: Settings) -> TwilioSender:
    return TwilioSender(
        settings["TWILIO_ACCOUNT_SID"] or "",
        settings["TWILIO_AUTH_TOKEN"] or "",
        from_number=settings.get("TWILIO_FROM"),
        messaging_service_sid=settings.get("TWILIO_MESSAGING_SERVICE_SID"),
        base_url=settings.get("TWILIO_BASE_URL"),
    )


def _aliyun(settings: Settings) -> AliyunSender:
    return AliyunSender(
        settings["ALIYUN_ACCESS_KEY_ID"] or "",
        settings["ALIYUN_ACCESS_KEY_SECRET"] or "",
        sign_name=settings["ALIYUN_SIGN_NAME"] or "",
        templates=read_templates(settings["ALIYUN_TEMPLATES"] or ""),
        endpoint=settings.get("ALIYUN_ENDPOINT") or ENDPOINT,
    )


def _smtp(settings: Settings, now: Clock | None) -> SmtpSender:
    return SmtpSender(
        settings["SMTP_HOST"] or "",
        settings["SMTP_FROM"] or "",
        port=int(settings.get("SMTP_PORT") or 0) or None,
        user=settings.get("SMTP_USER"),
        password=settings.get("SMTP_PASSWORD"),
        tls=settings.get("SMTP_TLS") or "starttls",
        now=now,
    )
