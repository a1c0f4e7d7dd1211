"""What `epro demo` tells at the end: addresses, logins, figures, and lines to copy that work."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from shlex import quote

from epro.scheduling.protocol import Protocol


@dataclass(frozen=True)
class Login:
    """One of the staff; site "*" means all sites."""

    role: str
    site: str
    email: str
    password: str


@dataclass(frozen=True)
class Newcomer:
    """A participant whose phone is not activated yet; her diary of today closes at `closes`."""

    subject_id: str
    zone: str
    code: str
    closes: datetime


@dataclass(frozen=True)
class Figures:
    """What the history left behind; `entries` are the feed's, `events` the trail's."""

    participants: int
    days: int
    responses: int
    scores: int
    sent: int
    withheld: int
    alerts: int
    standing: int
    cleared: int
    entries: int
    events: int


@dataclass(frozen=True)
class Told:
    """Everything there is to tell. `position` is the newest of the feed."""

    study: str
    logins: list[Login]
    key: str
    newcomer: Newcomer
    figures: Figures
    position: int


ADDRESSES = (
    ("/console/", "the staff's pages: sign in with a login below; no one-time code is set up"),
    ("", "the API"),
    ("/docs", "its description, to read"),
    ("/openapi.json", "the same, for programs"),
    ("/healthz", "alive"),
    ("/readyz", "ready: database, migrations, worker"),
)
HELPERS = r"""
# pick NAME... follows names, numbers and name=value choices through the JSON on standard input.
pick() { python -c '
import json, sys
found = json.load(sys.stdin)
try:
    for step in sys.argv[1:]:
        name, chosen, value = step.partition("=")
        if chosen:
            found = [one for one in found if str(one[name]) == value]
        else:
            found = found[int(step)] if isinstance(found, list) else found[step]
except (KeyError, IndexError, TypeError):
    sys.exit("pick: the answer holds no such thing: " + json.dumps(found)[:300])
print(found)' "$@"; }
show() { python -m json.tool --no-ensure-ascii; }
new_id() { python -c 'import uuid; print(uuid.uuid4())'; }
"""

STEPS = (
    (
        "The nurse signs in and looks at her worklist: who missed what, since when.",
        (
            r'NURSE=$(curl -s "$API/v1/staff/login" -H "$JSON" -d "{\"email\": \"$NURSE_EMAIL\", '
            r'\"password\": \"$NURSE_PASSWORD\"}" | pick access_token)',
            'curl -s "$API/v1/site/alerts?standing=true" -H "Authorization: Bearer $NURSE" | show',
        ),
    ),
    (
        "She takes one in hand; nobody else is told of it any more.",
        (
            'ALERT=$(curl -s "$API/v1/site/alerts?standing=true" -H "Authorization: Bearer $NURSE" '
            "| pick alerts acknowledged_at=None 0 id)",
            'curl -s "$API/v1/site/alerts/$ALERT/acknowledgement" -H "$JSON" -H "Authorization: Bearer $NURSE" '
            """-d '{"note": "I am calling her"}' | show""",
        ),
    ),
    (
        "A new phone is activated with the code, and learns what is due.",
        (
            r'PHONE=$(curl -s "$API/v1/phone/activate" -H "$JSON" -d "{\"activation_code\": \"$CODE\", '
            r'\"device\": {\"installation_id\": \"a-phone-to-try\"}}" | pick access_token)',
            'DIARY=$(curl -s "$API/v1/phone/changes" -H "Authorization: Bearer $PHONE" '
            "| pick occurrences assessment=diary state=open 0 id)",
        ),
    ),
    (
        "Today's diary is sent, and once more as if the reply had been lost: `stored`, then `already_stored`.",
        (
            r'ANSWER="{\"responses\": [{\"id\": \"$(new_id)\", \"occurrence_id\": \"$DIARY\", '
            r"\"instrument\": {\"code\": \"fatigue_diary\", \"version\": \"1.0\"}, \"language\": \"en\", "
            r'\"answers\": {\"worst_fatigue\": 6}, \"completed_at\": \"$(date -u +%Y-%m-%dT%H:%M:%SZ)\"}]}"',
            'curl -s "$API/v1/phone/responses" -H "$JSON" -H "Authorization: Bearer $PHONE" -d "$ANSWER" | show',
            'curl -s "$API/v1/phone/responses" -H "$JSON" -H "Authorization: Bearer $PHONE" -d "$ANSWER" | show',
        ),
    ),
    (
        "The sponsor's machine reads what is new in the feed: the answer with its score, once.",
        (
            'curl -s "$API/v1/sponsor/feed?after=$POSITION&wait=10" -H "Authorization: Bearer $MACHINE_KEY" | show',
        ),
    ),
    (
        "The trial database has it too; the newest scores:",
        (
            """python -c "import os, sqlalchemy as sa; db = sa.create_engine(os.environ['EPRO_TRIAL_DATABASE_URL']); """
            "[print(*row) for row in db.connect().execute(sa.text('SELECT USUBJID, QSCAT, SCALE, QSSTRESN FROM scores "
            """ORDER BY POSITION DESC LIMIT 5'))]\"""",
        ),
    ),
    (
        "Is the trial database what the feed says, and is the trail whole?",
        (
            'epro trialdb reconcile --study "$STUDY"',
            "epro trail verify",
        ),
    ),
)


def write_environment(file: Path, environ: Mapping[str, str], told: Told, programs: Path) -> None:
    """A file to source: the settings of this demo, and what the lines to copy need. For its owner's eyes only."""
    nurse = told.logins[0]
    names = {
        "API": environ["EPRO_PUBLIC_URL"],
        "JSON": "Content-Type: application/json",
        "STUDY": told.study,
        "NURSE_EMAIL": nurse.email,
        "NURSE_PASSWORD": nurse.password,
        "MACHINE_KEY": told.key,
        "CODE": told.newcomer.code,
        "POSITION": str(told.position),
    }
    lines = ["# Made by `epro demo`, for this demo only. Source it: it opens everything the demo has."]
    lines += [f"export {name}={quote(value)}" for name, value in environ.items()]
    lines += [f'export PATH={quote(str(programs))}:"$PATH"']
    lines += [f"{name}={quote(value)}" for name, value in names.items()]
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as writing:
        writing.write("\n".join(lines) + HELPERS)


def text(place: Path, environ: Mapping[str, str], told: Told, protocol: Protocol) -> str:
    """Everything, to be read on a terminal."""
    return "\n".join(
        [
            *_heading(told, protocol),
            *_addresses(environ["EPRO_PUBLIC_URL"]),
            *_keys(told),
            *_steps(place),
            "",
            "Messages that the worker sends appear below. Ctrl-C ends the demo.",
        ]
    )


def _heading(told: Told, protocol: Protocol) -> Iterator[str]:
    now = told.figures
    yield f"\n{protocol.title['en']}: {now.participants} virtual participants, {now.days} days of history"
    yield f"  {now.responses} responses, {now.scores} scores in the trial database"
    yield f"  {now.standing} alerts standing, of {now.alerts} raised; {now.cleared} cleared by a late sync"
    yield f"  {now.sent} messages went out in these weeks (kept, not shown), {now.withheld} were withheld"
    yield f"  reconcile: {now.entries} entries compared, 0 differences"
    yield f"  trail: {now.events} entries, no fault"


def _addresses(address: str) -> Iterator[str]:
    yield "\nAddresses"
    for path, what in ADDRESSES:
        yield f"  {address + path:<36} {what}"


def _keys(told: Told) -> Iterator[str]:
    yield "\nLogins (at /console/, and POST /v1/staff/login)"
    for login in told.logins:
        where = "all sites" if login.site == "*" else f"site {login.site}"
        yield f"  {login.role:<14} {where:<10} {login.email:<28} {login.password}"
    yield "  Their pages are in Chinese, as their accounts are; 'English' at the top changes that, for this browser."
    newcomer = told.newcomer
    yield "\nMachine key (GET /v1/sponsor/feed)"
    yield f"  {told.key}"
    yield "\nActivation code (POST /v1/phone/activate)"
    yield (
        f"  {newcomer.code}   participant {newcomer.subject_id}, who is in {newcomer.zone} at present: her diary of "
        f"today is open until {newcomer.closes:%H:%M} there ({newcomer.closes.astimezone():%d %b %H:%M} here)"
    )


def _steps(place: Path) -> Iterator[str]:
    yield "\nWhat to try first: copy the lines into another terminal, in this order"
    yield f"\n    . {quote(str(place / 'env.sh'))}"
    for number, (what, lines) in enumerate(STEPS, 1):
        yield f"\n  {number}. {what}"
        yield from (f"    {line}" for line in lines)
