"""Migrating from nothing gives exactly what the models say, and the database itself refuses what it must.

Every database of these tests was made by the migrations alone (see tests/conftest.py) and then filled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from epro import config, db, schema
from epro.exporting import cuts
from epro.trail.models import FeedEntry
from epro.tx import begin, system
from tests.cast import STUDY, at
from tests.doors.scene import CORRECTION, SETTLEMENT
from tests.support.approvals import keep_an_approval
from tests.support.history import migration
from tests.support.log import keep_a_log
from tests.support.manifests import keep_a_manifest
from tests.support.owner import as_owner
from tests.support.queries import keep_a_query
from tests.support.readings import keep_a_reading, keep_a_removal
from tests.support.rehearsals import keep_a_rehearsal
from tests.support.signatures import keep_a_signature
from tests.support.weeks import keep_a_week
from tests.support.wordings import keep_a_wording

schema.load_models()
METADATA = {
    "main": db.Base.metadata,
    "contacts": db.ContactsBase.metadata,
    "contact_keys": db.KeysBase.metadata,
}
MAIN = {table.name: table for table in METADATA["main"].sorted_tables}
APPEND_ONLY = {name for name, table in MAIN.items() if table.info.get("append_only")}
REMOVABLE = {
    "drafts",
    "rate_counts",
    "heartbeats",
    "sent_texts",
    "texts_at_providers",
    "spent_assertions",
    "parked_entries",
}
REMOVABLE |= {"trail_waiting", "known_devices", "tickets", "readings"}
ONLY_ADDED_TO = {
    "heard_texts",
    "spent_assertions",
    "trail_waiting",
    "tickets",
}  # no record, but nothing of it is ever changed
ROLE = "epro_app"


@pytest.fixture(params=["main", "contacts", "contact_keys"])
def history(request) -> str:
    return request.param


@pytest.fixture
def filled(cast, environ) -> Iterator[dict[str, str]]:
    """A database in which every append-only table has a row."""
    with cast.on("2026-03-02T20:00") as now:
        ada = cast.phone()
        diary = ada.open_at(now)[0]
        ada.speak("POST", f"/v1/phone/occurrences/{diary['id']}/snooze", {"minutes": 10})
        ada.answer(diary, {"worst_fatigue": 4}, now, now)
        (receipt,) = ada.upload(now)
        _correct_and_settle(cast, ada, diary, receipt["id"], now)
        path = f"/v1/site/participants/{ada.subject_id}/notes"
        cast.staff("noor").must("POST", path, {"note": "prefers the evening"})
        keep_a_wording(cast.ids["bo"])
        keep_an_approval()
        keep_a_rehearsal(STUDY)
        keep_a_manifest()
        keep_a_log()
        with begin(system("tests")) as tx:
            cuts.make(tx, STUDY, "first")
    keep_a_week(STUDY, ada.subject_id)
    keep_a_reading(STUDY, ada.subject_id)
    keep_a_removal(STUDY)
    cast.tick(at("2026-03-04T06:00"))  # the diary of the third is missed: an alert, with its first step
    cast.relay()
    yield environ


def _correct_and_settle(cast, ada, diary, response_id: str, now) -> None:
    ada.answer(diary, {"no such item": 1}, now, now)
    ada.upload(now)
    keep_a_query(cast.ids["dana"], STUDY, UUID(response_id))
    keep_a_signature(cast.ids["ines"], STUDY, "01", UUID(response_id))
    ines = cast.staff("ines")
    ines.must("POST", f"/v1/site/responses/{response_id}/amendments", CORRECTION)
    (aside,) = ines.must("GET", "/v1/site/set-aside?standing=true")["set_asides"]
    ines.must("POST", f"/v1/site/set-aside/{aside['id']}/settlement", SETTLEMENT)


def test_migrating_from_nothing_gives_the_models(environ, history):
    with as_owner(environ, where=history) as connection:
        options = {"compare_type": True, "version_table": f"schema_{history}"}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, METADATA[history]) == []


def test_primary_keys_are_those_of_the_models(environ, history):
    """The comparison above does not look at them."""
    with as_owner(environ, where=history) as connection:
        look = sa.inspect(connection)
        found = {
            name: look.get_pk_constraint(name)["constrained_columns"] for name in METADATA[history].tables
        }
    assert found == {
        name: [column.name for column in table.primary_key]
        for name, table in METADATA[history].tables.items()
    }


def test_partial_indexes_cover_what_the_models_say(environ):
    """Nor at conditions; and an index without its condition grows with the study instead of with what is due."""
    with as_owner(environ) as connection:
        wanted = {
            index.name: _plain(str(index.dialect_options[connection.dialect.name]["where"]))
            for table in MAIN.values() for index in table.indexes
            if index.dialect_options[connection.dialect.name].get("where") is not None
        }  # fmt: skip
        found = _conditions(connection)
    assert len(wanted) == 11
    assert {name: found.get(name) for name in wanted} == wanted
    assert set(found) == set(wanted)


def test_upgrading_again_changes_nothing(environ, history):
    before = _schema(environ, history), _counts(environ, history)
    schema.upgrade(config.read(environ))
    assert (_schema(environ, history), _counts(environ, history)) == before


def test_an_upgraded_database_is_current_and_an_empty_one_is_not(environ, tmp_path):
    with as_owner(environ) as connection:
        assert schema.is_current(connection.engine)
    empty = sa.create_engine(f"sqlite:///{tmp_path}/empty.sqlite")
    assert not schema.is_current(empty)
    empty.dispose()


def test_what_the_migrations_list_is_what_the_models_say():
    answers = set(migration(next(schema.FOLDER.glob("main/*_corrections.py")).stem).KEYS)
    assert _listed("APPEND_ONLY") | answers == APPEND_ONLY
    assert _listed("CHANGEABLE") == set(MAIN) - APPEND_ONLY - ONLY_ADDED_TO
    scopes = {name: table.info.get("scope") for name, table in MAIN.items()}
    assert _listed("OF_PARTICIPANT") | answers == {
        name for name, scope in scopes.items() if scope == "subject"
    }
    of_sites = {name for name, scope in scopes.items() if scope == "site"}
    assert of_sites == {"participants", "compliance_counts"}
    assert [name for name, scope in scopes.items() if scope == "subject_or_study"] == ["events", "readings"]


def test_no_record_can_be_removed_by_the_application():
    assert _listed("REMOVABLE") == REMOVABLE
    assert not any(MAIN[name].info.get("audited") for name in REMOVABLE)


def _listed(kind: str) -> set[str]:
    """The tables that any migration names under this word."""
    files = sorted((schema.FOLDER / "main").glob("[0-9]*.py"))
    return {name for file in files for name in getattr(migration(file.stem), kind, ())}


def test_every_append_only_table_refuses_to_be_rewritten(filled):
    """Even its owner cannot change or remove a row without first taking the triggers away."""
    for name in sorted(APPEND_ONLY):
        column = next(iter(MAIN[name].columns)).name
        for statement in (f"UPDATE {name} SET {column} = {column}", f"DELETE FROM {name}"):
            assert "append-only" in _refusal(filled, statement), statement


def test_the_feed_keeps_its_entries_and_gives_a_position_once(filled):
    with as_owner(filled) as connection:
        assert connection.scalar(sa.select(sa.func.count()).where(FeedEntry.position.is_not(None))) > 0
    for statement in (
        "DELETE FROM feed_entries", "UPDATE feed_entries SET body = '{}'", "UPDATE feed_entries SET position = 77",
        "UPDATE feed_entries SET position = NULL", "UPDATE feed_entries SET positioned_at = NULL",
    ):  # fmt: skip
        assert "feed_entries" in _refusal(filled, statement), statement


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
def test_nothing_can_be_emptied_at_once(filled):
    for name in sorted({*APPEND_ONLY, "feed_entries"}):
        assert "append-only" in _refusal(filled, f"TRUNCATE {name} CASCADE"), name


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_nothing_can_be_replaced_at_once(filled):
    for name in sorted({*APPEND_ONLY, "feed_entries"}):
        assert "append-only" in _refusal(filled, f"INSERT OR REPLACE INTO {name} SELECT * FROM {name}"), name


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_no_feed_entry_gives_way_to_another(filled):
    """By its number, by its event, by its position; nor to one that is to take its position later."""
    table, refused = MAIN["feed_entries"], pytest.raises(sa.exc.IntegrityError, match="append-only")
    with as_owner(filled, keep=False) as connection:
        row = dict(connection.execute(sa.select(table)).mappings().first())
        other = {**row, "no": row["no"] + 99, "event_id": uuid4(), "position": row["position"] + 99}
        for own in ("no", "event_id", "position"):
            with refused:
                connection.execute(table.insert().prefix_with("OR REPLACE"), {**other, own: row[own]})
        connection.execute(table.insert(), {**other, "position": None, "positioned_at": None})
        taking = table.update().prefix_with("OR REPLACE").where(table.c.no == other["no"])
        with refused:
            connection.execute(taking.values(position=row["position"]))


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
def test_the_applications_role_may_do_what_the_models_say_and_no_more(environ):
    with as_owner(environ) as connection:
        held = {(name, right) for name in MAIN for right in RIGHTS if _may(connection, name, right)}
        assert not any(_may(connection, "schema_main", right) for right in RIGHTS[1:])
    assert held == {
        *((name, right) for name in MAIN for right in ("SELECT", "INSERT")),
        *((name, "UPDATE") for name in set(MAIN) - APPEND_ONLY - ONLY_ADDED_TO),
        *((name, "DELETE") for name in REMOVABLE),
    }
    with as_owner(environ, where="contacts") as connection:
        held = {right for right in RIGHTS if _may(connection, "contacts", right)}
        assert held == {"SELECT", "INSERT", "UPDATE", "DELETE"}


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
def test_the_applications_role_owns_nothing_and_cannot_take_a_trigger_away(app, environ):
    with as_owner(environ) as connection:
        owned = connection.scalar(
            sa.text("SELECT count(*) FROM pg_tables WHERE tableowner = :role"), {"role": ROLE}
        )
        assert owned == 0
    for statement in (
        "ALTER TABLE events DISABLE TRIGGER ALL", "DROP TRIGGER events_refuse ON events", "DROP TABLE events",
        "ALTER TABLE events DISABLE ROW LEVEL SECURITY", "DROP POLICY reach ON responses",
        "CREATE TABLE mine (id int)", "UPDATE schema_main SET version_num = '0001'",
        "SET session_replication_role = replica", "DROP FUNCTION epro_refuse() CASCADE",
    ):  # fmt: skip
        with (
            db.engine().connect() as connection,
            pytest.raises(sa.exc.ProgrammingError, match="InsufficientPrivilege"),
        ):
            connection.exec_driver_sql(statement)


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
def test_row_policies_are_on_wherever_rows_belong_to_somebody(environ):
    scoped = {name for name, table in MAIN.items() if table.info.get("scope")}
    query = sa.text("SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity")
    with as_owner(environ) as connection:
        assert set(connection.scalars(query)) == scoped


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
def test_without_a_reach_nothing_can_be_seen(app, cast):
    with cast.on("2026-03-02T10:00"):
        cast.enrol()
    with db.engine().connect() as connection:
        for name in (name for name, table in MAIN.items() if table.info.get("scope")):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one() == 0, name


RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")


def _may(connection: sa.Connection, table: str, right: str) -> bool:
    query = sa.text("SELECT has_table_privilege(:role, :table, :right)")
    return bool(connection.scalar(query, {"role": ROLE, "table": table, "right": right}))


def _refusal(environ, statement: str) -> str:
    """What the database answers its owner; empty when it obeys."""
    try:
        with as_owner(environ) as connection:
            connection.exec_driver_sql(statement)
    except sa.exc.DBAPIError as refused:
        return str(refused.orig)
    return ""


def _plain(condition: str) -> str:
    return re.sub(r'[()"\s]+', " ", condition).strip().lower()


def _conditions(connection: sa.Connection) -> dict[str, str]:
    """Index name to condition, of the indexes that have one."""
    query = {
        "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
        "postgresql": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    }[connection.dialect.name]
    split = {name: text.partition(" WHERE ") for name, text in connection.exec_driver_sql(query)}
    return {name: _plain(condition) for name, (_, has_one, condition) in split.items() if has_one}


def _schema(environ, history: str):
    """Everything that makes the schema, as the database tells it."""
    with as_owner(environ, where=history) as connection:
        if connection.dialect.name == "sqlite":
            return connection.exec_driver_sql("SELECT type, name, sql FROM sqlite_master ORDER BY name").all()
        return [
            connection.exec_driver_sql(
                "SELECT table_schema, table_name, column_name, data_type, is_nullable"
                " FROM information_schema.columns ORDER BY 1, 2, 3"
            ).all(),
            connection.exec_driver_sql("SELECT tgname FROM pg_trigger ORDER BY 1").all(),
            connection.exec_driver_sql("SELECT relname, relacl::text FROM pg_class ORDER BY 1").all(),
        ]


def _counts(environ, history: str) -> dict[str, int]:
    with as_owner(environ, where=history) as connection:
        return {
            name: connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one()
            for name in [*METADATA[history].tables, f"schema_{history}"]
        }
