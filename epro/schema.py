"""Bringing the databases to the newest schema, and asking how far they are.

Three histories under `migrations/`: `main`, `contacts` and `contact_keys`. They run as the owner of the tables
(EPRO_OWNER_DATABASE_URL), never as the role the application acts under.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from epro import db

FOLDER = Path(__file__).resolve().parent.parent / "migrations"
HISTORIES = ("main", "contacts", "contact_keys")
MODELS = (
    "trail",
    "studies",
    "signin",
    "questionnaires",
    "scheduling",
    "responses",
    "signing",
    "queries",
    "notifications",
    "exporting",
    "stream",
    "privacy",
    "contacts",
)


def load_models() -> None:
    """Import every room's tables, so that the metadata is whole."""
    for room in MODELS:
        importlib.import_module(f"epro.{room}.models")


def upgrade(settings: Mapping[str, str | None]) -> None:
    """Run what is missing of every history."""
    load_models()
    for history, url in urls(settings).items():
        engine = sa.create_engine(url)
        try:
            upgrade_engine(engine, history, settings["DATABASE_ROLE"] or "epro_app")
        finally:
            engine.dispose()


def urls(settings: Mapping[str, str | None]) -> dict[str, str]:
    """Where each history runs, as the owner."""
    main = db.driver_url(settings["OWNER_DATABASE_URL"] or settings["DATABASE_URL"] or "")
    return {
        "main": main,
        "contacts": db.driver_url(db.contacts_url(main, settings["CONTACTS_DATABASE_URL"])),
        "contact_keys": db.driver_url(db.keys_url(main, settings["CONTACTS_KEYS_DATABASE_URL"])),
    }


def upgrade_engine(engine: sa.Engine, history: str, role: str) -> None:
    """Run what is missing of one history on this engine."""
    with engine.connect() as connection:
        _make_room(connection, history)
        config = _config(history)
        config.attributes.update(connection=connection, history=history, role=role)
        command.upgrade(config, "head")
        connection.commit()


def is_current(engine: sa.Engine, history: str = "main") -> bool:
    """Whether this database has every migration of its history."""
    newest = ScriptDirectory.from_config(_config(history)).get_current_head()
    with engine.connect() as connection:
        done = MigrationContext.configure(
            connection, opts={"version_table": _table(history)}
        ).get_current_revision()
    return done == newest


def _make_room(connection: sa.Connection, history: str) -> None:
    """The contact store's own schema, where the search path names one that is not there yet."""
    if (
        connection.dialect.name == "postgresql"
        and connection.scalar(sa.text("SELECT current_schema()")) is None
    ):
        connection.execute(sa.schema.CreateSchema(history, if_not_exists=True))


def _config(history: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("version_locations", str(FOLDER / history))
    config.set_main_option("path_separator", "os")
    return config


def _table(history: str) -> str:
    return f"schema_{history}"
