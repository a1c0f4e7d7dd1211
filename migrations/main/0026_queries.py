"""Queries about answers, and what was said in each: records which no one can rewrite."""

import sqlalchemy as sa
from alembic import context, op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

KEYS = {"queries": ("id",), "query_steps": ("query_id", "number")}
APPEND_ONLY = OF_PARTICIPANT = tuple(KEYS)
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
    _queries()
    _query_steps()
    for name, keys in KEYS.items():
        if op.get_bind().dialect.name == "sqlite":
            _refuse_on_sqlite(name, keys)
        else:
            _refuse_on_postgresql(name)
            _protect(name)


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")


def _text(name: str, *, blank: bool = False) -> sa.Column:
    return sa.Column(name, sa.Text(), nullable=blank)


def _id(name: str) -> sa.Column:
    return sa.Column(name, sa.Uuid(), nullable=False)


def _instant(name: str) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def _of(name: str, other: str, columns: list[str], keys: list[str]) -> sa.Constraint:
    label = op.f(f"fk_{name}_{'_'.join(columns)}")
    return sa.ForeignKeyConstraint(columns, [f"{other}.{key}" for key in keys], name=label)


def _queries() -> None:
    op.create_table(
        "queries",
        _text("study_id"),
        _id("id"),
        _text("subject_id"),
        _id("original_id"),
        _text("item", blank=True),
        _text("asked_by"),
        _instant("asked_at"),
        sa.Column("asked_digest", sa.String(64), nullable=False),
        _of("queries", "participants", ["study_id", "subject_id"], ["study_id", "subject_id"]),
        _of("queries", "responses", ["study_id", "original_id"], ["study_id", "id"]),
        sa.PrimaryKeyConstraint("study_id", "id", name=op.f("pk_queries")),
    )
    op.create_index("ix_queries_original", "queries", ["study_id", "original_id"])
    op.create_index("ix_queries_asked", "queries", ["study_id", "asked_at"])


def _query_steps() -> None:
    name = "query_steps"
    op.create_table(
        name,
        _text("study_id"),
        _id("query_id"),
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        _text("subject_id"),
        _text("kind"),
        _text("text", blank=True),
        _text("said_by"),
        _text("role"),
        _instant("said_at"),
        _of(name, "participants", ["study_id", "subject_id"], ["study_id", "subject_id"]),
        _of(name, "queries", ["study_id", "query_id"], ["study_id", "id"]),
        sa.PrimaryKeyConstraint("study_id", "query_id", "number", name=op.f(f"pk_{name}")),
    )


def _refuse_on_sqlite(name: str, keys: tuple[str, ...]) -> None:
    for act in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {name}_refuse_{act.lower()} BEFORE {act} ON {name}"
            f" BEGIN SELECT RAISE(ABORT, '{name} is append-only'); END"
        )
    # INSERT OR REPLACE removes the row in its way without asking the triggers above.
    same = " AND ".join(f"t.{key} = NEW.{key}" for key in ("study_id", *keys))
    op.execute(
        f"CREATE TRIGGER {name}_refuse_replace BEFORE INSERT ON {name}"
        f" WHEN EXISTS (SELECT 1 FROM {name} t WHERE {same})"
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
