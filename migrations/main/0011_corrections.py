"""Corrections of answers, and what was decided about uploads that were set aside: records which no one can rewrite."""

import sqlalchemy as sa
from alembic import context, op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

KEYS = {"amendments": "response_id", "settlements": "set_aside_id"}

REACH = (
    "current_setting('epro.reach', true) = 'all'"
    " OR (current_setting('epro.reach', true) = 'participant'"
    " AND {t}.study_id = NULLIF(current_setting('epro.study', true), '')"
    " AND {t}.subject_id = NULLIF(current_setting('epro.subject', true), ''))"
    " OR (current_setting('epro.reach', true) = 'sites' AND EXISTS (SELECT 1 FROM participants p"
    " WHERE p.study_id = {t}.study_id AND p.subject_id = {t}.subject_id"
    " AND ((p.study_id || '/' || p.site_id) = ANY({sites}) OR (p.study_id || '/*') = ANY({sites}))))"
)
SITES = "string_to_array(NULLIF(current_setting('epro.sites', true), ''), ',')"


def upgrade() -> None:
    _tables()
    for name, key in KEYS.items():
        if op.get_bind().dialect.name == "sqlite":
            _refuse_on_sqlite(name, key)
        else:
            _refuse_on_postgresql(name)
            _protect(name)


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")


def _tables() -> None:
    op.add_column("responses", sa.Column("amendment_no", sa.Integer(), nullable=True))
    amending = sa.text("amends_id IS NOT NULL")
    op.create_index(
        "ix_responses_amends",
        "responses",
        ["study_id", "amends_id", "amendment_no"],
        unique=True,
        postgresql_where=amending,
        sqlite_where=amending,
    )
    _table(
        "amendments",
        "responses",
        "id",
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("reported_by", sa.Text(), nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("before_digest", sa.String(64), nullable=False),
        sa.Column("asked_digest", sa.String(64), nullable=False),
    )
    _table(
        "settlements",
        "set_asides",
        "id",
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("settled_by", sa.Text(), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("response_id", sa.Uuid(), nullable=True),
        sa.Column("asked_digest", sa.String(64), nullable=False),
    )


def _table(name: str, about: str, about_id: str, *columns: sa.Column) -> None:
    op.create_table(
        name,
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column(KEYS[name], sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        *columns,
        sa.ForeignKeyConstraint(
            ["study_id", "subject_id"],
            ["participants.study_id", "participants.subject_id"],
            name=op.f(f"fk_{name}_study_id_subject_id"),
        ),
        sa.ForeignKeyConstraint(
            ["study_id", KEYS[name]],
            [f"{about}.study_id", f"{about}.{about_id}"],
            name=op.f(f"fk_{name}_study_id_{KEYS[name]}"),
        ),
        sa.PrimaryKeyConstraint("study_id", KEYS[name], name=op.f(f"pk_{name}")),
    )


def _refuse_on_sqlite(name: str, key: str) -> None:
    for act in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {name}_refuse_{act.lower()} BEFORE {act} ON {name}"
            f" BEGIN SELECT RAISE(ABORT, '{name} is append-only'); END"
        )
    # INSERT OR REPLACE removes the row in its way without asking the triggers above.
    op.execute(
        f"CREATE TRIGGER {name}_refuse_replace BEFORE INSERT ON {name}"
        f" WHEN EXISTS (SELECT 1 FROM {name} t WHERE t.study_id = NEW.study_id AND t.{key} = NEW.{key})"
        f" BEGIN SELECT RAISE(ABORT, '{name} is append-only'); END"
    )


def _refuse_on_postgresql(name: str) -> None:
    op.execute(
        f"CREATE TRIGGER {name}_refuse BEFORE UPDATE OR DELETE ON {name}"
        " FOR EACH ROW EXECUTE FUNCTION epro_refuse()"
    )
    op.execute(
        f"CREATE TRIGGER {name}_refuse_truncate BEFORE TRUNCATE ON {name}"
        " FOR EACH STATEMENT EXECUTE FUNCTION epro_refuse()"
    )


def _protect(name: str) -> None:
    role = op.get_bind().dialect.identifier_preparer.quote_identifier(context.config.attributes["role"])
    reach = REACH.format(t=name, sites=SITES)
    op.execute(f"GRANT SELECT, INSERT ON {name} TO {role}")
    op.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY reach ON {name} USING ({reach}) WITH CHECK ({reach})")
