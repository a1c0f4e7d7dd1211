"""Signing in of the staff: second factors, known devices, passkeys, links by e-mail, identities elsewhere."""

import sqlalchemy as sa
from alembic import context, op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

CHANGEABLE = ("recovery_codes", "known_devices", "passkeys", "outside_identities", "staff_letters")
REMOVABLE = ("known_devices", "tickets")


def upgrade() -> None:
    op.add_column("staff", sa.Column("totp_pending", sa.Text(), nullable=True))
    op.add_column("sessions", _instant("proved_at"))
    for name in ("second_factor", "opened_from", "agent"):
        op.add_column("sessions", sa.Column(name, sa.Text(), nullable=True))
    _tables()
    if op.get_bind().dialect.name != "postgresql":
        return
    name = op.get_bind().dialect.identifier_preparer.quote_identifier(context.config.attributes["role"])
    for table in (*CHANGEABLE, "tickets"):
        op.execute(f"GRANT SELECT, INSERT ON {table} TO {name}")
    for table in CHANGEABLE:
        op.execute(f"GRANT UPDATE ON {table} TO {name}")
    for table in REMOVABLE:
        op.execute(f"GRANT DELETE ON {table} TO {name}")


def downgrade() -> None:
    raise NotImplementedError("records are not unlearnt; restore a backup instead")


def _instant(name: str, *, blank: bool = True) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=blank)


def _text(name: str, *, blank: bool = False) -> sa.Column:
    return sa.Column(name, sa.Text(), nullable=blank)


def _digest() -> sa.Column:
    return sa.Column("digest", sa.String(length=64), nullable=False)


def _of_staff(table: str, *key: str) -> list[sa.Constraint]:
    return [
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f(f"fk_{table}_staff_id")),
        sa.PrimaryKeyConstraint(*key, name=op.f(f"pk_{table}")),
    ]


def _tables() -> None:
    who = lambda blank=False: sa.Column("staff_id", sa.Uuid(), nullable=blank)  # noqa: E731
    op.create_table(
        "recovery_codes",
        who(),
        _digest(),
        _instant("made_at", blank=False),
        _instant("ended_at"),
        _text("ended_reason", blank=True),
        *_of_staff("recovery_codes", "staff_id", "digest"),
    )
    op.create_table(
        "known_devices",
        _digest(),
        who(),
        _instant("made_at", blank=False),
        _instant("expires_at", blank=False),
        *_of_staff("known_devices", "digest"),
    )
    op.create_table(
        "passkeys",
        sa.Column("id", sa.Uuid(), nullable=False),
        who(),
        _text("credential_id"),
        _text("public_key"),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        _text("name"),
        _instant("added_at", blank=False),
        _instant("used_at"),
        _instant("removed_at"),
        sa.UniqueConstraint("credential_id", name=op.f("uq_passkeys_credential_id")),
        *_of_staff("passkeys", "id"),
    )
    op.create_table(
        "outside_identities",
        sa.Column("id", sa.Uuid(), nullable=False),
        who(),
        _text("issuer"),
        _text("subject"),
        _instant("added_at", blank=False),
        _instant("removed_at"),
        *_of_staff("outside_identities", "id"),
    )
    op.create_table(
        "tickets",
        _digest(),
        _text("purpose"),
        who(blank=True),
        _text("content", blank=True),
        _instant("made_at", blank=False),
        _instant("expires_at", blank=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_tickets")),
    )
    op.create_table(
        "staff_letters",
        sa.Column("id", sa.Uuid(), nullable=False),
        who(),
        _text("kind"),
        _text("sealed", blank=True),
        _instant("made_at", blank=False),
        _instant("expires_at", blank=False),
        _instant("next_try_at"),
        sa.Column("tries", sa.Integer(), nullable=False),
        _instant("sent_at"),
        _text("fault", blank=True),
        *_of_staff("staff_letters", "id"),
    )
    for table in ("known_devices", "passkeys", "outside_identities", "tickets", "staff_letters"):
        op.create_index(op.f(f"ix_{table}_staff_id"), table, ["staff_id"])
    op.create_index("ix_outside_identities_who", "outside_identities", ["issuer", "subject"])
    op.create_index("ix_staff_letters_due", "staff_letters", ["next_try_at"])
