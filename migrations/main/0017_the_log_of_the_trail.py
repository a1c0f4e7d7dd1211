"""The log over the trail's entries: which wait for a leaf, the leaves, the nodes of the tree, signed checkpoints.

A trigger puts each new event among those that wait, so that no version of the software can forget it. What is on
record already waits in the order of its chains.
"""

import sqlalchemy as sa
from alembic import context, op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

APPEND_ONLY = {"trail_leaves": ("leaf",), "trail_nodes": ("stratum", "node"), "checkpoints": ("size",)}
REMOVABLE = ("trail_waiting",)


def upgrade() -> None:
    _tables()
    if op.get_bind().dialect.name == "sqlite":
        _on_sqlite()
    else:
        _on_postgresql(context.config.attributes["role"])
    op.execute("INSERT INTO trail_waiting (event_id) SELECT id FROM events ORDER BY study_id, chain, seq")


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")


def _tables() -> None:
    op.create_table(
        "trail_waiting",
        sa.Column(
            "no", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("no", name=op.f("pk_trail_waiting")),
    )
    op.create_table(
        "trail_leaves",
        sa.Column("leaf", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("leaf", name=op.f("pk_trail_leaves")),
        sa.UniqueConstraint("event_id", name=op.f("uq_trail_leaves_event_id")),
    )
    op.create_table(
        "trail_nodes",
        sa.Column("stratum", sa.Integer(), nullable=False),
        sa.Column("node", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("stratum", "node", name=op.f("pk_trail_nodes")),
    )
    op.create_table(
        "checkpoints",
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_checkpoints")),
    )


def _on_sqlite() -> None:
    op.execute(
        "CREATE TRIGGER events_wait AFTER INSERT ON events"
        " BEGIN INSERT INTO trail_waiting (event_id) VALUES (NEW.id); END"
    )
    for table, key in APPEND_ONLY.items():
        refusal = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        for act in ("UPDATE", "DELETE"):
            op.execute(f"CREATE TRIGGER {table}_refuse_{act.lower()} BEFORE {act} ON {table} {refusal}")
        # INSERT OR REPLACE removes the row in its way without asking the triggers above.
        same = " AND ".join(f"t.{column} = NEW.{column}" for column in key)
        other = " OR t.event_id = NEW.event_id" if table == "trail_leaves" else ""
        op.execute(
            f"CREATE TRIGGER {table}_refuse_replace BEFORE INSERT ON {table}"
            f" WHEN EXISTS (SELECT 1 FROM {table} t WHERE {same}{other}) {refusal}"
        )


def _on_postgresql(role: str) -> None:
    name = op.get_bind().dialect.identifier_preparer.quote_identifier(role)
    op.execute(
        "CREATE FUNCTION epro_wait() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN INSERT INTO trail_waiting (event_id) VALUES (NEW.id); RETURN NULL; END $$"
    )
    op.execute("CREATE TRIGGER events_wait AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION epro_wait()")
    op.execute(f"GRANT USAGE ON SEQUENCE trail_waiting_no_seq TO {name}")
    op.execute(f"GRANT SELECT, INSERT, DELETE ON trail_waiting TO {name}")
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_refuse BEFORE UPDATE OR DELETE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION epro_refuse()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_refuse_truncate BEFORE TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION epro_refuse()"
        )
        op.execute(f"GRANT SELECT, INSERT ON {table} TO {name}")
