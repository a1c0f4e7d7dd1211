"""What the database itself and the senders must be like before a study may run on them.

Asked once at the start in production. Every reason is named; nothing is started while there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from epro import db, schema
from epro.config import SETTINGS, ConfigurationError, refusals
from epro.contacts import store
from epro.notifications import study_files
from epro.notifications.senders import build
from epro.questionnaires import catalogue, wording
from epro.questionnaires.instrument import Instrument
from epro.questionnaires.library import bundled_instrument
from epro.scheduling import protocols
from epro.scheduling.protocol import Protocol
from epro.studies.models import Study
from epro.tx import Tx, look, system

START = system("start")


def refuse_unsafe_start(app: Flask) -> None:
    """In production: raise ConfigurationError when database or senders are not fit for a study.

    For web and worker. Other commands must run all the same: they are what mends it.
    """
    if app.config["EPRO"]["ENV"] == "production":
        with app.app_context():
            _refuse_unsafe()


def state() -> tuple[list[tuple[str, str, bool, str | None]], list[str]]:
    """Every setting with what it is for, whether it is set, and what production has against it; and all else that
    production would refuse. Never a value.
    """
    settings = db.settings()
    reasons = [*refusals(settings), *_reasons()]
    of_setting: dict[str, str] = {}
    for reason in reasons:
        of_setting.setdefault(reason.split()[0].rstrip(":"), reason)
    names = {one.name for one in SETTINGS}
    told = [
        (one.name, one.help, bool(settings[one.name.removeprefix("EPRO_")]), of_setting.get(one.name))
        for one in SETTINGS
    ]
    return told, [reason for reason in reasons if reason.split()[0].rstrip(":") not in names]


def refuse_unready(tx: Tx, protocol: Protocol, *, published: bool = False) -> None:
    """In production: raise ConfigurationError when a study asks instruments whose wording is a placeholder, or what
    wants a person at once without an alert on it.

    For a version that is to be published, or `published` and to be approved.
    """
    if db.settings()["ENV"] != "production":
        return
    find = partial(catalogue.find, tx) if published else bundled_instrument
    reasons = [*_placeholders_of(tx, protocol, find), *_unwatched_of(protocol)]
    if reasons:
        what = "The approval is not entered" if published else "The study is not published"
        raise ConfigurationError(f"{what}:\n" + "\n".join(f"  - {reason}" for reason in reasons))


def _refuse_unsafe() -> None:
    try:
        reasons = list(_reasons())
    except SQLAlchemyError as fault:
        reasons = [f"the database does not answer ({type(fault).__name__})"]
    finally:  # a server that loads the application first and forks then must not share a connection
        for engine in db.db.engines.values():
            engine.dispose()
    if reasons:
        raise ConfigurationError("epro does not start:\n" + "\n".join(f"  - {reason}" for reason in reasons))


def _reasons() -> Iterator[str]:
    yield from (f"EPRO_{fault}" for fault in build.faults(db.settings()))
    if not schema.is_current(db.engine()):
        yield "the database is not at the newest schema: run `epro db upgrade`"
        return
    if db.engine().dialect.name == "postgresql":
        yield from _about_postgresql()
    yield from _about_keys()
    for name, engine in (
        ("DATABASE", db.engine()),
        ("CONTACTS_DATABASE", db.contacts_engine()),
        ("CONTACTS_KEYS_DATABASE", db.keys_engine()),
    ):
        if engine.dialect.name == "postgresql":
            yield from _about_login(f"EPRO_{name}_URL", engine)
    with look(START) as tx:
        yield from _unready(tx)


def _about_keys() -> Iterator[str]:
    if not sa.inspect(db.keys_engine()).has_table("data_keys"):
        yield "the store of data keys is not at the newest schema: run `epro db upgrade`"
        return
    for name, count in store.missing_keys().items():
        yield f"key {name} of the contact store is not set, and {count} data keys or fields need it: put it back"


def _about_postgresql() -> Iterator[str]:
    with db.engine().connect() as connection:
        for name, bad in (
            ("fsync", ("off",)),
            ("full_page_writes", ("off",)),
            ("synchronous_commit", ("off",)),
        ):
            if connection.scalar(sa.func.current_setting(name)) in bad:
                yield f"PostgreSQL runs with {name} off: answers that were acknowledged could be lost"


# A login takes on what any role has that it belongs to: SET ROLE is a statement like another. So both questions
# are of the login and of every role it can become, the one it acts under included.
PASSES = sa.text(
    "SELECT EXISTS (SELECT 1 FROM pg_roles r WHERE (r.rolsuper OR r.rolbypassrls)"
    " AND (pg_has_role(session_user, r.oid, 'MEMBER') OR pg_has_role(current_user, r.oid, 'MEMBER')))"
)
OWNS = sa.text(
    "SELECT EXISTS (SELECT 1 FROM pg_class c WHERE c.relkind IN ('r', 'p')"
    " AND c.relnamespace = current_schema()::regnamespace"
    " AND (pg_has_role(session_user, c.relowner, 'MEMBER') OR pg_has_role(current_user, c.relowner, 'MEMBER')))"
)


def _about_login(setting: str, engine: sa.Engine) -> Iterator[str]:
    """What the login of this setting could do besides what the application does."""
    mend = f"give {setting} a login of its own"
    with engine.connect() as connection:
        if connection.scalar(PASSES):
            yield f"the login of {setting} passes row-level security: {mend}"
        if connection.scalar(OWNS):
            yield f"the login of {setting} owns tables, or belongs to the role that owns them: {mend}"


def _unready(tx: Tx) -> Iterator[str]:
    """What keeps a version from running that is in force at a site, or approved for one: wording, alerts."""
    for study_id in tx.all(sa.select(Study.id).order_by(Study.id)):
        reasons = [
            reason
            for protocol in protocols.to_be_asked(tx, study_id)
            for reason in (
                *_placeholders_of(tx, protocol, partial(catalogue.find, tx)),
                *_unwatched_of(protocol),
            )
        ]
        yield from dict.fromkeys(reasons)  # versions ask the same instruments


def _unwatched_of(protocol: Protocol) -> list[str]:
    return [f"study {protocol.study_id}: {reason}" for reason in study_files.unwatched(protocol)]


def _placeholders_of(
    tx: Tx, protocol: Protocol, find: Callable[[str, str], Instrument | None]
) -> Iterator[str]:
    covered = {language: wording.digests(tx, language) for language in protocol.languages}
    for code, version in sorted({(a.instrument.code, a.instrument.version) for a in protocol.assessments}):
        instrument = find(code, version)
        bare = [
            tag
            for tag in protocol.languages
            if instrument
            and instrument.wording.get(tag, "placeholder") == "placeholder"
            and (code, version) not in covered[tag]
        ]
        if bare:
            yield (
                f"study {protocol.study_id} asks {code} {version}, whose wording is a placeholder in "
                f"{', '.join(bare)}: import the licensed wording first (`epro wording template {code} --lang "
                f"{bare[0]}`, fill it, `epro wording import FILE`, and two people: `epro wording approve`)"
            )
