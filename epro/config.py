"""Settings, read once from the environment; each is listed in the README with its default.

`read(environ)` gives a plain dictionary without the `EPRO_` prefix. `refusals(settings)` names everything
that forbids a start in production.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

VERSION = "0.1.0"
DEMO_SECRET = "epro-demo-secret-not-for-production"


@dataclass(frozen=True)
class Setting:
    """One setting: `name` with its prefix, `default` as text (None: unset), and what it is for."""

    name: str
    default: str | None
    help: str


SETTINGS: tuple[Setting, ...] = (
    Setting("EPRO_ENV", "development", "`production` refuses unsafe settings and says which"),
    Setting(
        "EPRO_DATABASE_URL",
        "sqlite:///epro.sqlite",
        "the main database: SQLite, or PostgreSQL with a login of its own",
    ),
    Setting("EPRO_OWNER_DATABASE_URL", None, "who migrates; default: the main database's URL"),
    Setting("EPRO_DATABASE_ROLE", "epro_app", "PostgreSQL role the application acts under; owns no table"),
    Setting(
        "EPRO_CONTACTS_DATABASE_URL", None, "contact data; default: a second SQLite file or schema `contacts`"
    ),
    Setting(
        "EPRO_CONTACTS_KEYS_DATABASE_URL",
        None,
        "data keys of contact data; default: a third SQLite file or schema `contact_keys`",
    ),
    Setting(
        "EPRO_TRIAL_DATABASE_URL", None, "the trial database the feed is streamed into; unset: no streaming"
    ),
    Setting(
        "EPRO_SINKS_TO_LOOPBACK",
        "off",
        "`on` lets webhooks go to this machine, without TLS too; rehearsals only",
    ),
    Setting("EPRO_SECRET_KEY", DEMO_SECRET, "at least 32 random characters; other keys are derived from it"),
    Setting("EPRO_TRAIL_KEY", None, "key of the trail's chains, as long; default: derived"),
    Setting("EPRO_RECEIPT_KEY", None, "seed of the key that signs receipts, as long; default: derived"),
    Setting(
        "EPRO_CONTACTS_KEYS",
        None,
        "key-encryption keys of the contact store: `id:secret,id:secret`, newest first; default: derived",
    ),
    Setting(
        "EPRO_CONTACTS_KEYS_FILE",
        None,
        "the same in a file that only its owner may read, one to a line, newest first",
    ),
    Setting(
        "EPRO_CONTACTS_INDEX_KEY",
        None,
        "key of the blind index that finds somebody by phone or e-mail, as long; default: derived",
    ),
    Setting("EPRO_CONTACT_DAYS", "30", "how long contact data are kept after a participation has ended"),
    Setting("EPRO_READING_DAYS", None, "how long is kept who has read whose data, in days; unset: for ever"),
    Setting(
        "EPRO_READING_ALARM",
        "100",
        "of how many participants an account may open data on one day before administrators are told; `0`: never",
    ),
    Setting("EPRO_PUBLIC_URL", "http://127.0.0.1:8000", "where providers and phones reach this server"),
    Setting("EPRO_TRUSTED_PROXIES", "0", "how many reverse proxies stand before the server"),
    Setting("EPRO_APP_NAME", "epro", "the neutral name that messages may show"),
    Setting("EPRO_SMS_SENDER", "console", "`twilio`, `console`, `recording` or `none`"),
    Setting("EPRO_EMAIL_SENDER", "console", "`smtp`, `console`, `recording` or `none`"),
    Setting(
        "EPRO_SMS_CN_SENDER",
        None,
        "who sends to numbers of mainland China: `aliyun`, `console` or `recording`; unset: as other numbers",
    ),
    Setting("EPRO_TWILIO_ACCOUNT_SID", None, "Twilio account"),
    Setting("EPRO_TWILIO_AUTH_TOKEN", None, "Twilio token; also checks the signature of its call-backs"),
    Setting("EPRO_TWILIO_FROM", None, "the number messages come from"),
    Setting("EPRO_TWILIO_MESSAGING_SERVICE_SID", None, "a messaging service instead of a number"),
    Setting("EPRO_TWILIO_BASE_URL", None, "another address that speaks Twilio's REST API"),
    Setting(
        "EPRO_ALIYUN_ACCESS_KEY_ID", None, "Aliyun access key, of a user that may only send and query SMS"
    ),
    Setting("EPRO_ALIYUN_ACCESS_KEY_SECRET", None, "and its secret"),
    Setting("EPRO_ALIYUN_SIGN_NAME", None, "the registered signature"),
    Setting("EPRO_ALIYUN_TEMPLATES", None, "a JSON file: text, language, the registered id of each wording"),
    Setting("EPRO_ALIYUN_ENDPOINT", None, "another address that speaks Aliyun's SMS interface"),
    Setting(
        "EPRO_ALIYUN_CALLBACK_KEY",
        None,
        "what Aliyun's reports must show, at least 32 characters; unset: shut",
    ),
    Setting("EPRO_SMTP_HOST", None, "mail server"),
    Setting("EPRO_SMTP_PORT", None, "its port; by default 587, with `ssl` 465, with `none` 25"),
    Setting("EPRO_SMTP_USER", None, "its user, if it asks for one"),
    Setting("EPRO_SMTP_PASSWORD", None, "and the password"),
    Setting("EPRO_SMTP_FROM", None, "the address mail comes from"),
    Setting("EPRO_SMTP_TLS", "starttls", "`starttls`, `ssl` or `none`"),
    Setting("EPRO_PUSH_SENDER", None, "`webpush`, `console`, `recording` or `none`; unset: no push messages"),
    Setting(
        "EPRO_PUSH_HOSTS",
        "fcm.googleapis.com,updates.push.services.mozilla.com,push.apple.com,notify.windows.com",
        "the push services that messages may go to, each with what is below it",
    ),
    Setting(
        "EPRO_VAPID_KEY",
        None,
        "private key that push services know us by, P-256 in base64url; default: derived",
    ),
    Setting("EPRO_ACTIVATION_CODE_HOURS", "24", "how long an activation code lives"),
    Setting("EPRO_RATE_LIMITS", "on", "`off` only for rehearsals"),
    Setting("EPRO_SECURE_COOKIES", "on", "cookies over TLS only; production needs it on"),
    Setting(
        "EPRO_SESSION_IDLE_MINUTES",
        "30",
        "after how many minutes without a request a session of the staff ends",
    ),
    Setting("EPRO_SESSION_HOURS", "12", "after how many hours it ends in any case"),
    Setting(
        "EPRO_SESSIONS_AT_ONCE", "3", "how many sessions one person may have; the one left alone longest ends"
    ),
    Setting(
        "EPRO_SECOND_FACTOR", "required", "`required` of all staff, or `optional` for rehearsals and tests"
    ),
    Setting(
        "EPRO_PHISHING_RESISTANT",
        "required",
        "`required`: what administrators do, erasing, unblinding and a site's exports ask for a passkey; or `optional`",
    ),
    Setting(
        "EPRO_SIGNATURE_CERTIFICATION",
        None,
        "the reference of the certification of 21 CFR 11.100(c); in production nobody signs without it",
    ),
    Setting(
        "EPRO_SSO_ISSUER", None, "identity provider (OpenID Connect) that staff may sign in at; unset: none"
    ),
    Setting("EPRO_SSO_CLIENT_ID", None, "under which id this server is known there"),
    Setting("EPRO_SSO_CLIENT_SECRET", None, "and its secret, if it has one"),
    Setting("EPRO_SSO_NAME", None, "what the button says; unset: the issuer's host"),
    Setting(
        "EPRO_LOCAL_SIGNIN",
        "on",
        "`on`, or the e-mail of the one account that may still sign in here while all others come by the provider",
    ),
    Setting("EPRO_SSO_ACR", None, "`acr` values of the provider that count as a second factor, `a,b`"),
    Setting("EPRO_SSO_AMR", "mfa", "`amr` values that say by themselves that two factors were shown"),
    Setting("EPRO_METRICS_TOKEN", None, "bearer token that opens GET /metrics; unset: closed"),
    Setting(
        "EPRO_CHECKPOINT_FILE",
        None,
        "a file that workers append the trail's signed checkpoints to, best where the database's keepers cannot write",
    ),
    Setting(
        "EPRO_EXPORT_DIR", "exports", "where exports are kept that were asked for; web and workers share it"
    ),
    Setting("EPRO_EXPORT_DAYS", "7", "how long such an export is kept"),
    Setting("EPRO_TICK_SECONDS", "10", "how often `epro worker` looks for what is due"),
    Setting("EPRO_PASSWORD_COST", "full", "`full`, or `cheap` for rehearsals and tests"),
    Setting(
        "EPRO_CLOCK_OFFSET_FILE",
        None,
        "a moved clock for rehearsals: a file with seconds; refused in production",
    ),
)

NUMBERS = (
    "CONTACT_DAYS",
    "READING_DAYS",
    "ACTIVATION_CODE_HOURS",
    "TICK_SECONDS",
    "EXPORT_DAYS",
    "SESSION_IDLE_MINUTES",
    "SESSION_HOURS",
)
WHOLE_NUMBERS = ("TRUSTED_PROXIES", "SMTP_PORT", "SESSIONS_AT_ONCE", "READING_ALARM")
SHORTEST_KEY = 32  # characters
ENGINE_SCHEMES = ("sqlite", "postgresql")


def read(environ: Mapping[str, str]) -> dict[str, str | None]:
    """Every setting without its prefix, from `environ` or its default. An empty text counts as unset."""
    return {s.name.removeprefix("EPRO_"): environ.get(s.name) or s.default for s in SETTINGS}


def refusals(settings: Mapping[str, str | None]) -> list[str]:
    """Why this installation may not start in production; empty when it may. Never shows a value."""
    secret = settings["SECRET_KEY"] or ""
    rules = [
        (secret == DEMO_SECRET, "EPRO_SECRET_KEY is the demo secret: make one of your own"),
        (len(secret) < SHORTEST_KEY, "EPRO_SECRET_KEY is shorter than 32 characters"),
        (_is_weak(settings["TRAIL_KEY"]), "EPRO_TRAIL_KEY is shorter than 32 characters"),
        (_is_weak(settings["RECEIPT_KEY"]), "EPRO_RECEIPT_KEY is shorter than 32 characters"),
        (_is_weak(settings["CONTACTS_INDEX_KEY"]), "EPRO_CONTACTS_INDEX_KEY is shorter than 32 characters"),
        (not (settings["PUBLIC_URL"] or "").startswith("https://"), "EPRO_PUBLIC_URL is not https"),
        (
            settings["SECURE_COOKIES"] != "on",
            "EPRO_SECURE_COOKIES is not on: cookies would travel without TLS",
        ),
        (settings["SMS_SENDER"] in ("console", "recording"), "EPRO_SMS_SENDER is a rehearsal sender"),
        (settings["SMS_CN_SENDER"] in ("console", "recording"), "EPRO_SMS_CN_SENDER is a rehearsal sender"),
        (settings["EMAIL_SENDER"] in ("console", "recording"), "EPRO_EMAIL_SENDER is a rehearsal sender"),
        (settings["PUSH_SENDER"] in ("console", "recording"), "EPRO_PUSH_SENDER is a rehearsal sender"),
        (settings["RATE_LIMITS"] != "on", "EPRO_RATE_LIMITS is off"),
        (settings["SINKS_TO_LOOPBACK"] != "off", "EPRO_SINKS_TO_LOOPBACK is not off"),
        (settings["PASSWORD_COST"] != "full", "EPRO_PASSWORD_COST is not full"),
        (settings["SECOND_FACTOR"] != "required", "EPRO_SECOND_FACTOR is not required"),
        (settings["PHISHING_RESISTANT"] != "required", "EPRO_PHISHING_RESISTANT is not required"),
        (_is_more(settings["SESSIONS_AT_ONCE"], 10), "EPRO_SESSIONS_AT_ONCE is more than 10"),
        (_is_more(settings["SESSION_IDLE_MINUTES"], 60), "EPRO_SESSION_IDLE_MINUTES is more than 60"),
        (
            bool(settings["SSO_ISSUER"]) and not (settings["SSO_ISSUER"] or "").startswith("https://"),
            "EPRO_SSO_ISSUER is not https",
        ),
        (bool(settings["SSO_ISSUER"]) and not settings["SSO_CLIENT_ID"], "EPRO_SSO_CLIENT_ID is missing"),
        (_is_odd_seal(settings), "EPRO_LOCAL_SIGNIN is neither on nor an e-mail beside EPRO_SSO_ISSUER"),
        (bool(settings["CLOCK_OFFSET_FILE"]), "EPRO_CLOCK_OFFSET_FILE moves the clock"),
        (
            _is_weak_ring(settings["CONTACTS_KEYS"]),
            "EPRO_CONTACTS_KEYS is not `id:secret,id:secret` with secrets of at least 32 characters",
        ),
    ]
    return [reason for broken, reason in rules if broken]


def _is_weak(key: str | None) -> bool:
    return key is not None and len(key) < SHORTEST_KEY


def _is_weak_ring(ring: str | None) -> bool:
    pairs = (pair.partition(":") for pair in ring.split(",")) if ring else ()
    return any(not name.strip() or _is_weak(secret.strip()) for name, _, secret in pairs)


def _is_odd_seal(settings: Mapping[str, str | None]) -> bool:
    """Whether nobody could sign in: sealed without a provider, or for no account."""
    wanted = settings["LOCAL_SIGNIN"] or ""
    return wanted != "on" and not (settings["SSO_ISSUER"] and "@" in wanted)


def _is_more(text: str | None, most: int) -> bool:
    return _is_number(text or "0") and float(text or 0) > most


def _is_number(text: str) -> bool:
    whole, _, rest = text.partition(".")
    return text.isascii() and whole.isdigit() and (not rest or rest.isdigit())


class ConfigurationError(RuntimeError):
    """The settings forbid a start; the message names every reason."""


def refuse_unsafe(settings: Mapping[str, str | None]) -> None:
    """Raise ConfigurationError if this is production and something is unsafe, or if a setting makes no sense."""
    reasons = refusals(settings) if settings["ENV"] == "production" else []
    if settings["ENV"] not in ("development", "production"):
        reasons.append("EPRO_ENV is neither development nor production")
    scheme = (settings["DATABASE_URL"] or "").partition(":")[0].partition("+")[0]
    if scheme not in (*ENGINE_SCHEMES, "postgres"):
        reasons.append("EPRO_DATABASE_URL is neither SQLite nor PostgreSQL")
    for name in NUMBERS:
        if not _is_number(settings[name] or "0"):
            reasons.append(f"EPRO_{name} is not a number")
    for name in WHOLE_NUMBERS:
        text = settings[name] or "0"
        if not (text.isascii() and text.isdigit()):
            reasons.append(f"EPRO_{name} is not a whole number")
    if reasons:
        raise ConfigurationError("epro does not start:\n" + "\n".join(f"  - {reason}" for reason in reasons))
