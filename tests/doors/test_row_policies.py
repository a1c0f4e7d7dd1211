"""PostgreSQL says once more what access.py says: with our own check taken away, nothing foreign comes out.

Requirement G30 (second layer), threat S4 (row policies silently off).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from epro import db, trail
from epro.notifications import alerts
from epro.signin import devices
from epro.studies.models import Participant
from epro.trail.models import Event
from epro.tx import Actor, Grant, begin, look, system
from tests.cast import STUDY
from tests.doors import layers
from tests.doors.routes import ROUTES, path_of
from tests.doors.scene import OTHER, Side

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.parametrize("stage_databases", ["postgresql"], indirect=True, scope="module"),
]

READ_BEFORE_ANYBODY_IS_KNOWN = {"sessions"}  # the lock looks a session up to learn whose it is
ROLE = "epro_app"
OTTO = Actor("staff", "otto", grants=(Grant(STUDY, "02", "nurse"),))
DANA = Actor("staff", "dana", grants=(Grant(STUDY, "*", "data_manager"),))
NUMBERS_OF_A_SITE = {"compliance_counts"}  # of nobody alone, and for the site's own eyes all the same


def tables_of_participants() -> list[sa.Table]:
    """Every table that says in its columns whose its rows are."""
    return [
        table
        for table in db.Base.metadata.sorted_tables
        if {"study_id", "subject_id"} <= set(table.columns.keys())
        and table.name not in READ_BEFORE_ANYBODY_IS_KNOWN
    ]


@pytest.fixture
def owner(stage) -> Iterator[sa.Connection]:
    """The database as its owner, whom no policy stops."""
    engine = sa.create_engine(db.engine().url)
    with engine.connect() as connection:
        yield connection
        connection.rollback()
    engine.dispose()


@pytest.fixture
def unguarded(stage, monkeypatch) -> None:
    """Our own answer to who may see what: everybody may do everything."""
    layers.without_lock(monkeypatch)
    layers.without_scope(monkeypatch)


def everything_of(side: Side) -> set[str]:
    return {
        str(found)
        for found in (
            side.occurrence,
            side.alert,
            side.message,
            side.device,
            side.set_aside,
            side.stored["id"],
        )
    }


READING = [
    (method, rule)
    for (method, rule), route in ROUTES.items()
    if method == "GET" and route.lock in ("staff", "sponsor") and rule != "/v1/staff/me"
]


@pytest.mark.usefixtures("unguarded")
def test_a_nurse_still_sees_nothing_of_another_site(stage):
    text = "".join(stage.ask("otto", method, path_of(rule, stage)).text for method, rule in READING)
    for side in (stage.ada, stage.eve):
        assert not any(found in text for found in everything_of(side))
    assert "01-001" not in text
    assert {str(stage.cara.alert), str(stage.cara.set_aside), stage.cara.stored["id"]} <= {
        found for found in everything_of(stage.cara) if found in text
    }


@pytest.mark.usefixtures("unguarded")
def test_without_the_policies_she_would_see_it(stage, monkeypatch):
    """So the test above cannot pass for another reason."""
    layers.without_policies(monkeypatch)
    text = "".join(stage.ask("otto", method, path_of(rule, stage)).text for method, rule in READING)
    assert everything_of(stage.ada) <= {found for found in everything_of(stage.ada) if found in text}


@pytest.mark.usefixtures("unguarded")
def test_a_nurse_still_changes_nothing_at_another_site(stage, owner):
    stage.token("otto")  # signing in stands in the trail
    before = _everything(owner)
    for (method, rule), route in ROUTES.items():
        if method != "GET" and rule.startswith("/v1/site/") and not rule.endswith("/search"):  # that reads
            answer = stage.ask("otto", method, path_of(rule, stage) + route.query, route.body)
            assert answer.status_code >= 400, (method, rule)
            assert answer.get_json()["code"] in ("not_found", "internal_error")
    assert _everything(owner) == before


def test_a_phone_reaches_its_participant_and_nobody_else(stage):
    phone = _phone(stage.ada)
    seen = {table.name: _whose(phone, table) for table in tables_of_participants()}
    assert set().union(*seen.values()) == {(STUDY, stage.ada.subject_id)}
    assert {name for name, found in seen.items() if found} >= {
        "participants",
        "occurrences",
        "responses",
        "scores",
        "set_asides",
        "drafts",
        "messages",
        "alerts",
        "alert_steps",
        "week_scores",
        "devices",
        "events",
        "feed_entries",
        "anchors",
        "snoozes",
        "zone_stays",
        "activation_codes",
    }


def test_a_nurse_reaches_her_site_and_a_data_manager_the_study(stage):
    for table in tables_of_participants():
        assert {who for who in _whose(OTTO, table) if who[1]} == {(STUDY, stage.cara.subject_id)}, table.name
        assert {who for who in _whose(DANA, table) if who[1]} == {
            (STUDY, stage.cara.subject_id),
            (STUDY, stage.ada.subject_id),
        }, table.name
    # What belongs to no participant: only of studies in which she has a role.
    assert {who[0] for who in _whose(OTTO, db.Base.metadata.tables["events"])} == {STUDY}


@pytest.mark.parametrize(
    "actor",
    [
        Actor("staff", "nobody"),
        Actor("participant", "half", study_id=STUDY),
        Actor("participant", "blank"),
        Actor("staff", "elsewhere", grants=(Grant("no-such-study", "*", "nurse"),)),
        Actor("staff", "part", grants=(Grant("diar", "*", "nurse"), Grant("iary", "01", "nurse"))),
    ],
    ids=lambda actor: actor.id,
)
def test_whoever_has_no_reach_sees_no_row(stage, actor):
    assert {
        table.name: _whose(actor, table) for table in tables_of_participants() if _whose(actor, table)
    } == {}


def test_a_site_whose_name_is_the_start_of_anothers_reaches_no_participant(stage):
    actor = Actor("staff", "part", grants=(Grant(STUDY, "0", "nurse"), Grant(STUDY, "1", "nurse")))
    assert not any(who[1] for table in tables_of_participants() for who in _whose(actor, table))


def test_a_patched_query_finds_no_draft_of_another_participant(stage):
    with begin(_phone(stage.ada)) as act:
        for side in (stage.cara, stage.eve):
            for table, found in (
                ("drafts", side.occurrence),
                ("occurrences", side.occurrence),
                ("responses", UUID(side.stored["id"])),
                ("messages", side.message),
            ):
                columns = db.Base.metadata.tables[table].columns
                key = columns.occurrence_id if table == "drafts" else columns.id
                assert act.session.execute(sa.select(columns.study_id).where(key == found)).all() == []


def test_a_phone_writes_no_row_for_another_participant(stage, owner):
    before = _everything(owner)
    drafts, alert = (db.Base.metadata.tables[name] for name in ("drafts", "alerts"))
    phone = _phone(stage.ada)
    with pytest.raises(DBAPIError, match="row-level security"), begin(phone) as act:
        act.session.execute(
            sa.insert(drafts).values(
                study_id=STUDY,
                occurrence_id=uuid4(),
                subject_id=stage.cara.subject_id,
                body="{}",
                saved_at=act.now,
            )
        )
    with begin(phone) as act:
        changed = act.session.execute(
            sa.update(drafts).where(drafts.c.occurrence_id == stage.cara.occurrence).values(body="{}")
        )
        gone = act.session.execute(sa.delete(drafts).where(drafts.c.occurrence_id == stage.cara.occurrence))
        assert changed.rowcount == gone.rowcount == 0
    with pytest.raises(DBAPIError, match="row-level security"), begin(OTTO) as act:
        act.session.connection().execute(
            sa.update(alert)
            .where(alert.c.id == stage.cara.alert)
            .values(study_id=OTHER, subject_id=stage.eve.subject_id)
        )
    assert _everything(owner) == before


def test_a_plain_connection_sees_no_row(stage, owner):
    """Nobody has said whose act this is: every table with a policy is empty."""
    with db.engine().connect() as connection:
        assert connection.scalar(sa.text("SELECT current_user")) == ROLE
        seen = {table.name: connection.scalar(_count(table)) for table in tables_of_participants()}
    assert set(seen.values()) == {0}
    assert all(owner.scalar(_count(table)) > 0 for table in tables_of_participants())


@pytest.mark.parametrize("how", ["commits", "looks", "raises", "breaks off"])
def test_reach_ends_with_the_act(stage, how):
    """The pooled connection of an act that reached everything, taken up again by somebody who said nothing."""
    connection = _used_by_an_act(how)
    with connection:
        for name in ("epro.reach", "epro.study", "epro.subject", "epro.sites"):
            assert not connection.scalar(sa.select(sa.func.current_setting(name, True)))
        assert connection.scalar(_count(Participant.__table__)) == 0


def test_every_table_of_participants_has_a_policy_that_holds_for_its_owner_too(owner):
    found = owner.execute(
        sa.text(
            "SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity, count(p.polname) FROM pg_class c"
            " LEFT JOIN pg_policy p ON p.polrelid = c.oid AND p.polname = 'reach' WHERE c.relkind = 'r' GROUP BY 1, 2"
        )
    ).all()
    secured = {name for name, secure, policies in found if secure and policies == 1}
    assert secured == {table.name for table in tables_of_participants()} | NUMBERS_OF_A_SITE
    assert len(secured) >= 14


def test_policies_cover_reading_and_writing_for_everybody(owner):
    found = owner.execute(
        sa.text(
            "SELECT tablename, permissive, roles::text, cmd, with_check IS NOT NULL FROM pg_policies"
            " WHERE schemaname = 'public' AND policyname = 'reach'"
        )
    ).all()
    assert {row[1:] for row in found} == {("PERMISSIVE", "{public}", "ALL", True)}
    others = owner.execute(
        sa.text("SELECT tablename, policyname, cmd FROM pg_policies WHERE policyname <> 'reach'")
    )
    assert others.all() == [("events", "own_acts", "INSERT")]


def test_what_somebody_did_herself_she_may_sign_and_read_nothing_of_it(stage):
    with begin(OTTO) as act:
        trail.record(act, trail.study_chain(act), "test.done", "staff", "otto")
        assert act.all(sa.select(Event.id).where(Event.study_id == trail.INSTALLATION)) == []
    with pytest.raises(DBAPIError, match="row-level security"), begin(OTTO) as act:
        trail.record(act, trail.study_chain(act, OTHER), "test.done", "staff", "otto")


def test_the_role_is_nobody_special(owner):
    told = owner.execute(
        sa.text(
            "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication, rolcanlogin FROM pg_roles"
            " WHERE rolname = :role"
        ),
        {"role": ROLE},
    ).one()
    assert not any(told)
    assert (
        owner.scalar(
            sa.text(
                "SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member"
                " WHERE r.rolname = :role"
            ),
            {"role": ROLE},
        )
        == 0
    )


def test_the_role_owns_nothing(owner):
    owned = owner.execute(
        sa.text(
            "SELECT c.relname FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE r.rolname = :role"
            " UNION ALL SELECT p.proname FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner WHERE r.rolname = :role"
            " UNION ALL SELECT n.nspname FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner"
            " WHERE r.rolname = :role"
        ),
        {"role": ROLE},
    ).all()
    assert owned == []


def test_the_role_may_change_only_what_is_meant_to_change(owner):
    may = {
        act: {
            name
            for name in _all_tables(owner)
            if owner.scalar(
                sa.text("SELECT has_table_privilege(:role, :name, :act)"),
                {"role": ROLE, "name": name, "act": act},
            )
        }
        for act in ("UPDATE", "DELETE", "TRUNCATE", "TRIGGER")
    }
    assert may["TRUNCATE"] == may["TRIGGER"] == set()
    removable = {
        "drafts",
        "rate_counts",
        "heartbeats",
        "sent_texts",
        "texts_at_providers",
        "parked_entries",
        "spent_assertions",
    }
    removable |= {"trail_waiting", "tickets", "known_devices", "readings"}
    assert may["DELETE"] == removable
    for_ever = {table.name for table in db.Base.metadata.sorted_tables if table.info.get("append_only")}
    assert len(for_ever) >= 7 and not may["UPDATE"] & (for_ever | {"schema_main"})
    assert not owner.scalar(sa.text("SELECT has_schema_privilege(:role, 'public', 'CREATE')"), {"role": ROLE})


def test_alerts_are_listed_by_policy_too(stage, unguarded):
    """One list straight from its room."""
    with look(OTTO) as act:
        assert {alert.id for alert in alerts.listed(act, standing=False, limit=100, offset=0)} == {
            stage.cara.alert
        }


def _phone(side: Side) -> Actor:
    with look(system("tests")) as act:
        device = act.get(devices.Device, side.study, side.device)
    return Actor(
        "participant",
        f"{side.study}/{side.subject_id}",
        study_id=side.study,
        subject_id=side.subject_id,
        device_id=device.id,
    )


def _whose(actor: Actor, table: sa.Table) -> set[tuple[str, str | None]]:
    """The participants whose rows this actor sees, asking for all rows."""
    with look(actor) as act:
        rows = act.session.execute(sa.select(table.c.study_id, table.c.subject_id).distinct())
        return {(row.study_id, row.subject_id) for row in rows}


def _count(table: sa.Table) -> sa.Select[Any]:
    return sa.select(sa.func.count()).select_from(table)


def _everything(connection: sa.Connection) -> dict[str, list[Any]]:
    """All rows of all tables of participants, to compare before and after."""
    found = {
        table.name: sorted(map(repr, connection.execute(sa.select(table))))
        for table in tables_of_participants()
    }
    connection.rollback()
    return found


def _all_tables(connection: sa.Connection) -> list[str]:
    return list(connection.scalars(sa.text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")))


def _used_by_an_act(how: str) -> sa.Connection:
    """The very connection of an act over everything, after the act has ended in this way."""
    db.engine().dispose()

    class Broken(Exception):
        pass

    act = look if how == "looks" else begin
    try:
        with act(system("tests")) as done:
            pid = done.session.scalar(sa.select(sa.func.pg_backend_pid()))
            assert done.session.scalar(_count(Participant.__table__)) > 0
            if how == "raises":
                raise Broken
            if how == "breaks off":
                done.session.execute(sa.text("SELECT 1 / 0"))
    except (Broken, DBAPIError):
        pass
    connection = db.engine().connect()
    assert connection.scalar(sa.select(sa.func.pg_backend_pid())) == pid
    return connection
