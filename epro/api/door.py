"""Locks. Each door states its lock once; a route without one keeps the application from starting."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address, ip_network
from itertools import islice
from typing import Any, NoReturn
from uuid import UUID

from flask import Flask, current_app, g, request
from flask_limiter import Limiter
from flask_smorest import Blueprint
from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from webargs.flaskparser import FlaskParser

from epro import canonical, clock, db
from epro.errors import BadAddress, BadJson, Invalid, NotAllowed, NotSignedIn, TooMany
from epro.signin import devices, factors, known, machine_keys, machines, sessions, sources, staff, tokens
from epro.signin.models import SignInSession
from epro.studies.models import Participant
from epro.tx import Actor, Tx, begin, glance, look, system

LARGEST_BODY = 16 * 1024  # of a form that a person fills in, or a program for her
LARGER_BODIES = {
    "phone.responses": 2 * 1024 * 1024,
    "fhir.take_response": 512 * 1024,
    "phone.Drafts": 256 * 1024,
    "edc.anchors": 512 * 1024,
    "aliyun.aliyun_status": 512 * 1024,  # many reports at once
    "console.check_study": 320 * 1024,
    "console.publish_study": 1024 * 1024,  # the same file as a form writes it
    "hooks.twilio_inbound": 64 * 1024,  # a long text in Chinese has nine bytes a character here
}
MOST_ERRORS, LONGEST_NAME = 50, 100  # what a refusal repeats of what was sent
KNOWN_DEVICE = "Epro-Known-Device"  # the header with which a program shows a known device's secret
WITHOUT_SECOND_FACTOR = frozenset(
    f"staff.{name}"
    for name in ("me", "logout", "begin_totp", "confirm_totp", "passkey_options", "add_passkey", "step_up")
)
UPLOAD_FOR = timedelta(days=30)  # what was completed before a withdrawal may still arrive
DOOR = system("door")


def source() -> str:
    """The address a request comes from; of IPv6 the network, for one subscriber has 2**64 addresses."""
    found = address()
    if isinstance(found, IPv6Address):
        return str(ip_network((int(found), 64), strict=False))
    return str(found) if found else request.remote_addr or ""


def address() -> IPv4Address | IPv6Address | None:
    """The address a request comes from, behind as many proxies as are trusted."""
    return sources.read(request.remote_addr or "")


limiter = Limiter(source, storage_uri="epro://", strategy="fixed-window", headers_enabled=False)
# Counted in the process's own memory, as it must cost an upload nothing: it holds back a phone gone wild, no thief.
UPLOADS, uploads = parse("120/minute"), FixedWindowRateLimiter(MemoryStorage())


class Parser(FlaskParser):
    """JSON comes in through our one decoder; unknown fields are named, never passed over."""

    def load_json(self, req: Any, schema: Any) -> Any:
        raw = req.get_data(cache=True)
        if not raw:
            return {}
        value = canonical.decode(raw)
        if not isinstance(value, dict):
            raise BadJson("The body is not a JSON object.")
        return value

    def handle_error(
        self, error: Any, req: Any, schema: Any, *, error_status_code: Any, error_headers: Any
    ) -> NoReturn:
        messages = error.normalized_messages()
        raise Invalid(errors=list(islice(_pointers("", next(iter(messages.values()))), MOST_ERRORS)))


class Door(Blueprint):
    """A blueprint with its lock: what every request must show before any of its routes runs."""

    ARGUMENTS_PARSER = Parser()

    def __init__(
        self,
        name: str,
        url_prefix: str,
        description: str,
        lock: Callable[[], Actor],
        open_doors: Iterable[str] = (),
    ):
        super().__init__(name, f"epro.api.{name}", url_prefix=url_prefix, description=description)
        self.lock, self.open_doors = lock, frozenset(f"{name}.{route}" for route in open_doors)
        self.before_request(self._check)

    def _check(self) -> None:
        if request.endpoint not in self.open_doors:
            g.actor = self.lock()


PLAIN = frozenset(
    {"api-docs.openapi_json", "docs.page", "docs.init", "docs.asset"}
)  # the API's own description


def open_routes(app: Flask) -> set[str]:
    """The endpoints that ask for no key, by name. Everything else has a lock."""
    return set(PLAIN).union(*(door.open_doors for door in _doors(app)))


def refuse_unlocked(app: Flask) -> None:
    """Deny by default: a route of no door, and of no name that is meant to be open, stops the start."""
    known = {door.name for door in _doors(app)}
    for rule in app.url_map.iter_rules():
        if rule.endpoint.partition(".")[0] not in known and rule.endpoint not in PLAIN:
            raise RuntimeError(f"the route {rule} states no lock")


def _doors(app: Flask) -> list[Door]:
    return [blueprint for blueprint in app.blueprints.values() if isinstance(blueprint, Door)]


def actor() -> Actor:
    """Who is at the door."""
    found: Actor = g.actor
    return found


def phone_lock() -> Actor:
    """A phone's access token, and its session still running."""
    return devices.actor_of(_session(sessions.PHONE))


def staff_lock() -> Actor:
    """A person's access token, her session still running, her account open; her roles as they are now."""
    session = _session(sessions.STAFF)
    if sessions.is_to_be_noted(session, clock.now()):
        with begin(DOOR) as tx:
            sessions.note_seen(tx, session.id)
    with look(DOOR) as tx:
        found = staff.actor_of(tx, session)
    if found is None:
        raise NotSignedIn()
    if factors.is_missing(session) and request.endpoint not in WITHOUT_SECOND_FACTOR:
        raise factors.SecondFactorMissing()
    return found


def coming() -> staff.Coming:
    """How a person comes to the door."""
    return staff.Coming(source(), _known_device(), (request.user_agent.string or "")[:200])


def sign_in_place() -> str:
    """What wrong sign-ins of all accounts are counted by: the address, or a device that is known to be somebody's."""
    device = _known_device()
    if not device:
        return source()
    with look(DOOR) as tx:
        return known.anybodys(tx, device) or source()


def sponsor_lock() -> Actor:
    """A machine key, or a person of the staff."""
    text = _bearer()
    if not text.startswith("epk_"):
        return staff_lock()
    return _machine(machine_keys.actor_of, text)


def edc_lock() -> Actor:
    """A machine key of the trial's EDC system, and nobody else."""
    text = _bearer()
    if not text.startswith("epk_"):
        raise NotSignedIn()
    found = _machine(machine_keys.actor_of, text)
    if all(grant.role != "edc" for grant in found.grants):
        raise NotSignedIn()
    return found


def fhir_lock() -> Actor:
    """Whoever may come in by another door: a machine by its key or the token it was given for it, a person, a phone."""
    text = _bearer()
    if text.startswith("epk_"):
        return sponsor_lock()
    audience = tokens.audience_of(text)
    if audience == machines.AUDIENCE:
        return _machine(machines.actor_of, text)
    return phone_lock() if audience == sessions.PHONE else staff_lock()


def cdisc_lock() -> Actor:
    """The same; a machine key may come as `api-key`, as that interface has it."""
    text = request.headers.get("api-key", "").strip()
    if not text:
        return sponsor_lock()
    return _machine(machine_keys.actor_of, text)


def hold_back() -> None:
    """Raise TooMany for a phone that sends without end; it keeps what it has, and sends it later."""
    if current_app.config["RATELIMIT_ENABLED"] and not uploads.hit(UPLOADS, str(actor().session_id)):
        raise TooMany("Too much at once; wait and send again.")


def refuse_large() -> None:
    """Nothing is read beyond what this door takes: whoever reads further is refused with 413."""
    request.max_content_length = LARGER_BODIES.get(request.endpoint or "", LARGEST_BODY)


def refuse_nul() -> None:
    """PostgreSQL keeps no NUL in a text: an address with one is refused before anything looks it up."""
    if "\x00" in request.path or b"%00" in request.query_string or b"\x00" in request.query_string:
        raise BadAddress()


def metrics_lock() -> Actor:
    """The operator's token for the metrics; without one set, the door stays shut."""
    expected = db.settings()["METRICS_TOKEN"]
    if not expected or not hmac.compare_digest(expected.encode(), _bearer().encode()):
        raise NotSignedIn()
    return system("metrics")


def failed(response: Any) -> bool:
    """Only refusals count against a limit: who has the right key is never turned away."""
    return bool(response.status_code in (400, 401, 403, 422))


# Wrong sign-ins of all accounts from one place, by whichever door.
guesses = limiter.shared_limit("20/hour", scope="sign-in", key_func=sign_in_place, deduct_when=failed)


def must_be_here(tx: Tx, actor: Actor) -> Participant:
    """The participant at the phone door, her row locked. Raises NotAllowed when she was withdrawn."""
    participant = tx.get(Participant, actor.study_id, actor.subject_id, lock=True)
    if participant is None:
        raise NotSignedIn()
    if participant.withdrawn_at is not None:
        raise NotAllowed("Participation has ended.")
    return participant


def may_upload(tx: Tx, actor: Actor) -> Any:
    """The same for handing in answers: a plain row, and a withdrawn participant may for thirty days more."""
    participant = tx.plain(Participant, actor.study_id, actor.subject_id, lock=True)
    if participant is None:
        raise NotSignedIn()
    if participant.withdrawn_at is not None and tx.now > participant.withdrawn_at + UPLOAD_FOR:
        raise NotAllowed("Participation has ended.")
    return participant


def _known_device() -> str | None:
    """The secret of a known device: a program shows it in a header, a browser in a cookie."""
    cookies = (request.cookies.get(f"{name}-device") for name in ("__Host-epro", "epro-plain"))
    return request.headers.get(KNOWN_DEVICE) or next(filter(None, cookies), None)


def _machine(actor_of: Callable[[Tx, str], Actor | None], text: str) -> Actor:
    """The machine behind a key or a token, where it comes from a network that it may come from."""
    try:
        with look(DOOR) as tx:
            found = actor_of(tx, text)
            if found is not None:
                machines.must_come_from(tx, UUID(found.id), address())
    except machines.FromElsewhere as refused:
        with begin(DOOR) as tx:
            machines.note_elsewhere(tx, refused.key_id)
        raise
    if found is None:
        raise NotSignedIn()
    return found


def _session(audience: str) -> SignInSession:
    try:
        claims = tokens.read(_bearer(), sessions.jwt_key(), audience, clock.now())
        session_id = UUID(claims["sub"])
    except (tokens.BadToken, ValueError):
        raise NotSignedIn() from None
    row = glance(SignInSession, session_id)
    if row is None or not sessions.is_running(row, clock.now()):
        raise NotSignedIn()
    if (row.staff_id is not None) != (audience == sessions.STAFF):
        raise NotSignedIn()
    if sessions.is_first_use(row, claims.get("generation")):
        with begin(DOOR) as tx:
            sessions.note_use(tx, row.id, row.generation)
    return row


def _bearer() -> str:
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise NotSignedIn()
    return text.strip()


def _pointers(at: str, messages: Any) -> Iterator[dict[str, str]]:
    if isinstance(messages, dict):
        for key, inner in messages.items():
            if key == "_schema":  # marshmallow's word for the object itself
                yield from _pointers(at, inner)
                continue
            name = str(key)[:LONGEST_NAME].replace("~", "~0").replace("/", "~1")
            yield from _pointers(f"{at}/{name}", inner)
    else:
        for message in messages:
            yield {"pointer": at, "code": "invalid", "detail": str(message)}
