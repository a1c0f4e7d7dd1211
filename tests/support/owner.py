"""What somebody with the owner's key to the database can do: everything, the triggers included.

Tests plant their faults this way. The application never connects like this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import sqlalchemy as sa

from epro import db


@contextmanager
def as_owner(
    environ: Mapping[str, str], *unguarded: str, where: str = "main", keep: bool = True
) -> Iterator[sa.Connection]:
    """A transaction of the owner, with the triggers of the `unguarded` tables out of the way.

    `where` is main, contacts, contact_keys or trial. At the end everything done is kept, or undone if `keep` is False.
    """
    engine = sa.create_engine(_url(environ, where))
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # or taking a trigger away would not be undone
            for table in unguarded:
                _unguard(connection, table)
            yield connection
            if keep:
                connection.commit()
    finally:
        engine.dispose()


def _url(environ: Mapping[str, str], where: str) -> str:
    main = db.driver_url(environ["EPRO_DATABASE_URL"])
    if where == "contacts":
        return db.driver_url(db.contacts_url(main, environ.get("EPRO_CONTACTS_DATABASE_URL")))
    if where == "contact_keys":
        return db.driver_url(db.keys_url(main, environ.get("EPRO_CONTACTS_KEYS_DATABASE_URL")))
    return db.driver_url(environ["EPRO_TRIAL_DATABASE_URL"]) if where == "trial" else main


def _unguard(connection: sa.Connection, table: str) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        return
    found = connection.execute(
        sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :table"),
        {"table": table},
    )
    for (name,) in found.all():
        connection.exec_driver_sql(f"DROP TRIGGER {name}")
