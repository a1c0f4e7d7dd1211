"""Electronic signatures, what each stands under, and which do not hold any more: records which no one can rewrite."""

import sqlalchemy as sa
from alembic import context, op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

KEYS = {
    "signatures": ("id",),
    "signed_responses": ("signature_id", "response_id"),
    "signature_breaks": ("signature_id", "original_id"),
}
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
    _signatures()
    _signed_responses()
    _signature_breaks()
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


def _id(name: str, *, blank: bool = False) -> sa.Column:
    return sa.Column(name, sa.Uuid(), nullable=blank)


def _instant(name: str) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def _digest(name: str) -> sa.Column:
    return sa.Column(name, sa.String(64), nullable=False)


def _of(name: str, other: str, columns: list[str], keys: list[str]) -> sa.Constraint:
    label = op.f(f"fk_{name}_{'_'.join(columns)}")
    return sa.ForeignKeyConstraint(columns, [f"{other}.{key}" for key in keys], name=label)


def _signatures() -> None:
    op.create_table(
        "signatures",
        _text("study_id"),
        _id("id"),
        _text("subject_id"),
        _text("visit_id", blank=True),
        *(_text(name) for name in ("meaning", "signed_by", "signer_name", "signer_role")),
        _instant("signed_at"),
        *(_text(name) for name in ("time_zone", "shown_by", "policy", "body")),
        _digest("digest"),
        _text("seal"),
        _digest("asked_digest"),
        _of("signatures", "participants", ["study_id", "subject_id"], ["study_id", "subject_id"]),
        sa.PrimaryKeyConstraint("study_id", "id", name=op.f("pk_signatures")),
    )
    op.create_index("ix_signatures_subject", "signatures", ["study_id", "subject_id", "signed_at"])


def _signed_responses() -> None:
    name = "signed_responses"
    op.create_table(
        name,
        _text("study_id"),
        _id("signature_id"),
        _id("response_id"),
        _text("subject_id"),
        _id("original_id"),
        _digest("digest"),
        _of(name, "participants", ["study_id", "subject_id"], ["study_id", "subject_id"]),
        _of(name, "signatures", ["study_id", "signature_id"], ["study_id", "id"]),
        _of(name, "responses", ["study_id", "response_id"], ["study_id", "id"]),
        sa.PrimaryKeyConstraint("study_id", "signature_id", "response_id", name=op.f(f"pk_{name}")),
    )
    op.create_index("ix_signed_responses_original", name, ["study_id", "original_id"])


def _signature_breaks() -> None:
    name = "signature_breaks"
    op.create_table(
        name,
        _text("study_id"),
        _id("signature_id"),
        _id("original_id"),
        _text("subject_id"),
        _text("cause"),
        _text("broken_by"),
        _instant("broken_at"),
        _id("response_id", blank=True),
        _of(name, "participants", ["study_id", "subject_id"], ["study_id", "subject_id"]),
        _of(name, "signatures", ["study_id", "signature_id"], ["study_id", "id"]),
        sa.PrimaryKeyConstraint("study_id", "signature_id", "original_id", name=op.f(f"pk_{name}")),
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
