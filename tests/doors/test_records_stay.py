"""What is on record cannot be rewritten, whoever holds the connection: both databases refuse by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from epro import db
from epro.tx import begin, system

FOR_EVER = (
    "events",
    "anchors",
    "zone_stays",
    "published_instruments",
    "published_protocols",
    "responses",
    "scores",
    "wording_packs",
    "wording_approvals",
    "alert_steps",
    "amendments",
    "settlements",
    "signatures",
    "signed_responses",
    "signature_breaks",
    "queries",
    "query_steps",
    "site_versions",
    "week_scores",
    "cuts",
    "snoozes",
    "manifests",
    "reconciliations",
    "trail_leaves",
    "trail_nodes",
    "checkpoints",
    "trail_checks",
    "participant_notes",
    "readings",
    "reading_seals",
    "reading_removals",
    "rehearsals",
)
REFUSED = "append-only|permission denied|only a position may be given"


@pytest.fixture(params=["the application", "the owner"])
def hand(request, stage) -> Iterator[sa.Connection]:
    """A connection that reaches all rows: the application's, and the owner's whom no grant stops."""
    if request.param == "the application":
        with begin(system("tests")) as act:
            yield act.session.connection()
            act.session.rollback()
        return
    engine = sa.create_engine(db.engine().url)
    with engine.connect() as connection:
        yield connection
        connection.rollback()
    engine.dispose()


def table(name: str) -> sa.Table:
    return db.Base.metadata.tables[name]


def test_the_models_name_the_same_tables():
    assert {t.name for t in db.Base.metadata.sorted_tables if t.info.get("append_only")} == set(FOR_EVER)


@pytest.mark.parametrize("name", [*FOR_EVER, "feed_entries"])
def test_no_record_is_removed(hand, name):
    before = _rows(hand, name)
    assert before
    _refused(hand, sa.delete(table(name)))
    assert _rows(hand, name) == before


@pytest.mark.parametrize("name", FOR_EVER)
def test_no_record_is_changed_in_any_column(hand, name):
    before = _rows(hand, name)
    for column in table(name).columns:
        _refused(hand, sa.update(table(name)).values({column.name: column}))
    assert _rows(hand, name) == before


def test_a_table_of_records_is_not_emptied_at_once(hand):
    if hand.dialect.name != "postgresql":
        pytest.skip("SQLite knows no TRUNCATE")
    for name in (*FOR_EVER, "feed_entries"):
        _refused(hand, sa.text(f"TRUNCATE {name} CASCADE"))


@pytest.mark.parametrize("name", FOR_EVER)
def test_a_record_is_not_replaced(hand, name):
    """SQLite's INSERT OR REPLACE removes the row that is in the way."""
    before = _rows(hand, name)
    first = dict(hand.execute(sa.select(table(name)).limit(1)).mappings().one())
    if hand.dialect.name == "sqlite":
        statement = sa.insert(table(name)).prefix_with("OR REPLACE").values(first)
    else:
        statement = (
            sa.dialects.postgresql.insert(table(name))
            .values(first)
            .on_conflict_do_update(index_elements=list(table(name).primary_key), set_=first)
        )
    _refused(hand, statement)
    assert _rows(hand, name) == before


def test_a_feed_entry_gets_its_position_once_and_changes_no_more(hand):
    entries = table("feed_entries")
    before = _rows(hand, "feed_entries")
    assert all(row.position for row in hand.execute(sa.select(entries)))
    for column in entries.columns:
        if column.name != "positioned_at":
            _refused(hand, sa.update(entries).values({column.name: column}))
    _refused(hand, sa.update(entries).values(position=entries.c.position + 1000))
    assert _rows(hand, "feed_entries") == before


def _rows(hand: sa.Connection, name: str) -> list[Any]:
    return sorted(map(repr, hand.execute(sa.select(table(name)))))


def _refused(hand: sa.Connection, statement: Any) -> None:
    with pytest.raises(DBAPIError, match=REFUSED), hand.begin_nested():
        hand.execute(statement)
