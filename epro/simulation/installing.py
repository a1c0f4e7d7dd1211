"""An installation that lives as long as a rehearsal: databases in a temporary folder, staff, the study published.

Nothing of it is to survive a power cut, so these databases do not wait for the disk. That is the only difference.
"""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from epro import clock, config, create_app, db, schema
from epro.scheduling import protocols
from epro.scheduling.protocol import Protocol
from epro.signin import staff
from epro.tx import Actor, Grant, begin, look, system

REHEARSAL = system("rehearsal")
SITE_ROLES = {"nurse", "investigator"}  # who works at each site; the other roles are held, but at no site
SETTINGS = {
    "EPRO_PASSWORD_COST": "cheap",
    "EPRO_SECOND_FACTOR": "optional",
    "EPRO_PHISHING_RESISTANT": "optional",
    "EPRO_SESSIONS_AT_ONCE": "100",
    "EPRO_RATE_LIMITS": "off",
    "EPRO_SMS_SENDER": "none",
    "EPRO_EMAIL_SENDER": "none",
    "EPRO_SECRET_KEY": "a rehearsal's own secret, it opens nothing else",
    "EPRO_PUBLIC_URL": "http://rehearsal.invalid",
}


def found(place: Path, protocol: Protocol, text: str, now: datetime) -> None:
    """Make the databases in `place`, publish the study, give the sites their staff."""
    schema.upgrade(config.read(_environ(place)))
    with opened(place):
        _move_in(protocol, text, now)
        for engine in db.db.engines.values():
            _settle(engine)


def _move_in(protocol: Protocol, text: str, now: datetime) -> None:
    with clock.moved_to(now), begin(REHEARSAL) as tx:
        protocols.publish(tx, protocol, text)
        for n, site in enumerate(protocol.sites):
            for m, role in enumerate(sorted(SITE_ROLES)):
                staff.add(
                    tx,
                    email=f"{role}-{n}@example.org",
                    name=role,
                    password="a password of a rehearsal",
                    language=protocol.default_language,
                    phone=f"+86138{n + 1:05}{m:03}",
                    grants=[Grant(protocol.study_id, site.id, role)],
                )


def nurses(protocol: Protocol) -> dict[str, Actor]:
    """The nurse of each site, as an actor."""
    found = {}
    with look(REHEARSAL) as tx:
        for site in protocol.sites:
            person = staff.holding(tx, protocol.study_id, site.id, "nurse")[0]
            grants = staff.grants_of(tx, person.id)
            found[site.id] = Actor("staff", str(person.id), grants=grants)
    return found


def copied(template: Path, place: Path) -> None:
    """The founded databases once more, for another company of participants."""
    for file in template.glob("*.sqlite"):
        shutil.copy(file, place / file.name)


@contextmanager
def opened(place: Path) -> Iterator[None]:
    """The application on the databases in `place`, its context entered."""
    app = create_app(_environ(place))
    with app.app_context():
        for engine in db.db.engines.values():
            sa.event.listen(engine, "connect", _hurry)
        try:
            yield
        finally:
            for engine in db.db.engines.values():
                engine.dispose()


@contextmanager
def seldom_collecting() -> Iterator[None]:
    """Collecting garbage as often as usual takes a third of the time; what there is now stays."""
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(500_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()


def _environ(place: Path) -> Mapping[str, str]:
    return {**SETTINGS, "EPRO_DATABASE_URL": f"sqlite:///{place}/epro.sqlite"}


def _hurry(connection: object, record: object) -> None:
    for pragma in ("synchronous=OFF", "temp_store=MEMORY", "cache_size=-65536", "mmap_size=1073741824"):
        connection.execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]


def _settle(engine: sa.Engine) -> None:
    """Bring the log into the file, so that the file alone can be copied."""
    with engine.connect() as connection:
        connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
