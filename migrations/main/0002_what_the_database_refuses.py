"""What the database itself refuses: rewriting records, and rows out of reach.

On both databases triggers refuse to change or remove a record. On PostgreSQL, besides, the application's role
owns nothing, may change only what is meant to change, and sees only the rows of the transaction's reach
(`epro.reach`, `epro.study`, `epro.subject`, `epro.sites`: set by the application at the start of each act).
"""

from alembic import context, op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

APPEND_ONLY = (
    "events",
    "anchors",
    "zone_stays",
    "published_instruments",
    "published_protocols",
    "responses",
    "scores",
)
KEYS = {  # by what a row of a record is the same as another
    "events": (("study_id", "chain", "seq"), ("id",)),
    "anchors": (("id",),),
    "zone_stays": (("id",),),
    "published_instruments": (("code", "version"),),
    "published_protocols": (("study_id", "version"),),
    "responses": (("study_id", "id"),),
    "scores": (("study_id", "response_id", "scale", "run"),),
}
REMOVABLE = ("drafts", "rate_counts", "heartbeats")
CHANGEABLE = (
    "chain_heads",
    "studies",
    "sites",
    "participants",
    "staff",
    "staff_grants",
    "devices",
    "sessions",
    "activation_codes",
    "machine_keys",
    "occurrences",
    "set_asides",
    "alerts",
    "messages",
    "feed_entries",
    *REMOVABLE,
)
OF_PARTICIPANT = (
    "anchors",
    "zone_stays",
    "devices",
    "activation_codes",
    "occurrences",
    "responses",
    "scores",
    "set_asides",
    "drafts",
    "alerts",
    "messages",
    "feed_entries",
)

# Set per transaction; what was never set, or has been reset, reads as nothing and reaches nothing.
EVERYTHING = "current_setting('epro.reach', true) = 'all'"
OWN = (
    "(current_setting('epro.reach', true) = 'participant'"
    " AND {t}.study_id = NULLIF(current_setting('epro.study', true), '')"
    " AND {t}.subject_id = NULLIF(current_setting('epro.subject', true), ''))"
)
SITES = "string_to_array(NULLIF(current_setting('epro.sites', true), ''), ',')"
AT_SITE = (
    "(current_setting('epro.reach', true) = 'sites'"
    f" AND ((p.study_id || '/' || p.site_id) = ANY({SITES}) OR (p.study_id || '/*') = ANY({SITES})))"
)
AT_SITE_OF_PARTICIPANT = (
    "(current_setting('epro.reach', true) = 'sites' AND EXISTS (SELECT 1 FROM participants p"
    " WHERE p.study_id = {t}.study_id AND p.subject_id = {t}.subject_id AND " + AT_SITE + "))"
)
IN_STUDY = (
    "({t}.subject_id IS NULL AND current_setting('epro.reach', true) = 'sites' AND EXISTS"
    f" (SELECT 1 FROM unnest({SITES}) AS s WHERE split_part(s, '/', 1) = {{t}}.study_id))"
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _refuse_on_sqlite()
        return
    _refuse_on_postgresql()
    _grant(context.config.attributes["role"])
    _reach()


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")


def _refuse_on_sqlite() -> None:
    for table in APPEND_ONLY:
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_refuse_{act.lower()} BEFORE {act} ON {table}"
                f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
    for table, keys in KEYS.items():
        # INSERT OR REPLACE removes the row in its way without asking the triggers above.
        same = " OR ".join("(" + " AND ".join(f"t.{c} = NEW.{c}" for c in key) + ")" for key in keys)
        op.execute(
            f"CREATE TRIGGER {table}_refuse_replace BEFORE INSERT ON {table}"
            f" WHEN EXISTS (SELECT 1 FROM {table} t WHERE {same})"
            f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
    op.execute(
        "CREATE TRIGGER feed_entries_refuse_delete BEFORE DELETE ON feed_entries"
        " BEGIN SELECT RAISE(ABORT, 'feed_entries is append-only'); END"
    )
    op.execute(
        "CREATE TRIGGER feed_entries_refuse_update BEFORE UPDATE ON feed_entries"
        " WHEN OLD.position IS NOT NULL OR NEW.no IS NOT OLD.no OR NEW.study_id IS NOT OLD.study_id"
        " OR NEW.event_id IS NOT OLD.event_id OR NEW.subject_id IS NOT OLD.subject_id"
        " OR NEW.site_id IS NOT OLD.site_id OR NEW.kind IS NOT OLD.kind OR NEW.at IS NOT OLD.at"
        " OR NEW.body IS NOT OLD.body"
        " BEGIN SELECT RAISE(ABORT, 'feed_entries: only a position may be given, once'); END"
    )


def _refuse_on_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION epro_refuse() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    op.execute(
        "CREATE FUNCTION epro_position_once() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN IF OLD.position IS NOT NULL OR (NEW.no, NEW.study_id, NEW.event_id, NEW.subject_id, NEW.site_id,"
        " NEW.kind, NEW.at, NEW.body) IS DISTINCT FROM (OLD.no, OLD.study_id, OLD.event_id, OLD.subject_id,"
        " OLD.site_id, OLD.kind, OLD.at, OLD.body)"
        " THEN RAISE EXCEPTION 'feed_entries: only a position may be given, once'; END IF; RETURN NEW; END $$"
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_refuse BEFORE UPDATE OR DELETE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION epro_refuse()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_refuse_truncate BEFORE TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION epro_refuse()"
        )
    op.execute(
        "CREATE TRIGGER feed_entries_refuse BEFORE DELETE ON feed_entries"
        " FOR EACH ROW EXECUTE FUNCTION epro_refuse()"
    )
    op.execute(
        "CREATE TRIGGER feed_entries_refuse_truncate BEFORE TRUNCATE ON feed_entries"
        " FOR EACH STATEMENT EXECUTE FUNCTION epro_refuse()"
    )
    op.execute(
        "CREATE TRIGGER feed_entries_position_once BEFORE UPDATE ON feed_entries"
        " FOR EACH ROW EXECUTE FUNCTION epro_position_once()"
    )


def _grant(role: str) -> None:
    name = op.get_bind().dialect.identifier_preparer.quote_identifier(role)
    literal = role.replace("'", "''")
    op.execute(
        f"DO $$ BEGIN CREATE ROLE {name} NOLOGIN;"
        " EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    )
    op.execute(
        f"DO $$ BEGIN IF NOT pg_has_role(current_user, '{literal}', 'MEMBER')"
        f" THEN EXECUTE format('GRANT {name} TO %I', current_user); END IF; END $$"
    )
    op.execute(f"GRANT USAGE ON SCHEMA public TO {name}")
    op.execute(f"GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO {name}")
    op.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {name}")
    op.execute(f"REVOKE INSERT ON schema_main FROM {name}")
    for table in CHANGEABLE:
        op.execute(f"GRANT UPDATE ON {table} TO {name}")
    for table in REMOVABLE:
        op.execute(f"GRANT DELETE ON {table} TO {name}")


def _reach() -> None:
    _policy(
        "participants",
        f"{EVERYTHING} OR {OWN.format(t='participants')} OR {AT_SITE.replace('p.', 'participants.')}",
    )
    for table in OF_PARTICIPANT:
        own, site = OWN.format(t=table), AT_SITE_OF_PARTICIPANT.format(t=table)
        _policy(table, f"{EVERYTHING} OR {own} OR {site}")
    own, site = OWN.format(t="events"), AT_SITE_OF_PARTICIPANT.format(t="events")
    _policy("events", f"{EVERYTHING} OR {own} OR {site} OR {IN_STUDY.format(t='events')}")


def _policy(table: str, condition: str) -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY reach ON {table} USING ({condition}) WITH CHECK ({condition})")
