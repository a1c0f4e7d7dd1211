"""Who has looked at whose data: the readings, their seals, and the removals without which none of them goes."""

import sqlalchemy as sa
from alembic import context, op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

APPEND_ONLY = ("readings", "reading_seals", "reading_removals")
REMOVABLE = ("readings",)  # and even so only what a removal on record names
KEYS = {
    "readings": ("id",),
    "reading_seals": ("study_id", "until"),
    "reading_removals": ("study_id", "until"),
}
SITES = "string_to_array(NULLIF(current_setting('epro.sites', true), ''), ',')"
REACH = (
    "current_setting('epro.reach', true) = 'all'"
    " OR (current_setting('epro.reach', true) = 'sites' AND ((readings.subject_id IS NULL AND EXISTS"
    f" (SELECT 1 FROM unnest({SITES}) own WHERE split_part(own, '/', 1) = readings.study_id))"
    " OR EXISTS (SELECT 1 FROM participants p"
    " WHERE p.study_id = readings.study_id AND p.subject_id = readings.subject_id"
    f" AND ((p.study_id || '/' || p.site_id) = ANY({SITES}) OR (p.study_id || '/*') = ANY({SITES})))))"
)
ON_RECORD = "EXISTS (SELECT 1 FROM reading_removals r WHERE r.study_id = OLD.study_id AND r.until > OLD.at)"


def upgrade() -> None:
    op.add_column("sessions", sa.Column("shown_name", sa.Text(), nullable=True))
    _tables()
    if op.get_bind().dialect.name == "sqlite":
        _on_sqlite()
    else:
        _on_postgresql(context.config.attributes["role"])


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")


def _instant(name: str) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def _text(name: str, *, blank: bool = False) -> sa.Column:
    return sa.Column(name, sa.Text(), nullable=blank)


def _of_study(table: str, *key: str) -> list[sa.Constraint]:
    return [
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f(f"fk_{table}_study_id")),
        sa.PrimaryKeyConstraint(*key, name=op.f(f"pk_{table}")),
    ]


def _tables() -> None:
    op.create_table(
        "readings",
        sa.Column("id", sa.Uuid(), nullable=False),
        _text("study_id"),
        _text("subject_id", blank=True),
        _instant("at"),
        _text("reader"),
        _text("kind"),
        _text("door"),
        _text("what", blank=True),
        *_of_study("readings", "id"),
    )
    op.create_index("ix_readings_at", "readings", ["study_id", "at"])
    op.create_index("ix_readings_subject", "readings", ["study_id", "subject_id", "at"])
    op.create_table(
        "reading_seals",
        _text("study_id"),
        _instant("until"),
        _instant("since"),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        *_of_study("reading_seals", "study_id", "until"),
    )
    op.create_table(
        "reading_removals",
        _text("study_id"),
        _instant("until"),
        _instant("at"),
        *_of_study("reading_removals", "study_id", "until"),
    )


def _on_sqlite() -> None:
    for table, key in KEYS.items():
        refusal = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        unless = f" WHEN NOT {ON_RECORD}" if table == "readings" else ""
        op.execute(f"CREATE TRIGGER {table}_refuse_update BEFORE UPDATE ON {table} {refusal}")
        op.execute(f"CREATE TRIGGER {table}_refuse_delete BEFORE DELETE ON {table}{unless} {refusal}")
        # INSERT OR REPLACE removes the row in its way without asking the triggers above.
        same = " AND ".join(f"t.{column} = NEW.{column}" for column in key)
        op.execute(
            f"CREATE TRIGGER {table}_refuse_replace BEFORE INSERT ON {table}"
            f" WHEN EXISTS (SELECT 1 FROM {table} t WHERE {same}) {refusal}"
        )


def _on_postgresql(role: str) -> None:
    name = op.get_bind().dialect.identifier_preparer.quote_identifier(role)
    op.execute(
        "CREATE FUNCTION epro_removed_on_record() RETURNS trigger LANGUAGE plpgsql AS $$"
        f" BEGIN IF {ON_RECORD} THEN RETURN OLD; END IF;"
        " RAISE EXCEPTION 'readings is append-only'; END $$"
    )
    for table in APPEND_ONLY:
        kept = "UPDATE" if table == "readings" else "UPDATE OR DELETE"
        op.execute(
            f"CREATE TRIGGER {table}_refuse BEFORE {kept} ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION epro_refuse()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_refuse_truncate BEFORE TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION epro_refuse()"
        )
        op.execute(f"GRANT SELECT, INSERT ON {table} TO {name}")
    op.execute(
        "CREATE TRIGGER readings_refuse_delete BEFORE DELETE ON readings"
        " FOR EACH ROW EXECUTE FUNCTION epro_removed_on_record()"
    )
    op.execute(f"GRANT DELETE ON readings TO {name}")
    op.execute("ALTER TABLE readings ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE readings FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY reach ON readings USING ({REACH}) WITH CHECK ({REACH})")
