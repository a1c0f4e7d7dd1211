"""`epro staff` and `epro key`: accounts for people, keys for machines."""

from __future__ import annotations

import os
import sys
from typing import BinaryIO
from uuid import UUID

import click

from epro import canonical, db, trail
from epro.cli.opening import opened
from epro.errors import NotFound
from epro.signin import accounts as looked_after
from epro.signin import factors, links, machine_keys, machines, sso
from epro.signin import staff as accounts
from epro.studies.access import ROLES
from epro.studies.models import Site, Study
from epro.tx import Grant, Tx, begin, look, system

COMMAND = system("command line")


@click.group()
def staff() -> None:
    """Staff accounts."""


@staff.command()
@click.option("--email", required=True)
@click.option("--name", required=True)
@click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    metavar="ROLE@STUDY[/SITE]",
    help=f"May be given more than once. Roles: {', '.join(ROLES)}. Without a site: all sites.",
)
@click.option("--language", default="zh-CN", show_default=True)
@click.option("--phone", help="For alerts by text message, such as +8613800138000.")
@click.option(
    "--totp",
    is_flag=True,
    help="Ask for a one-time code too; prints the address for the phone's app. In production always.",
)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def add(
    email: str,
    name: str,
    roles: tuple[str, ...],
    language: str,
    phone: str | None,
    totp: bool,
    password_stdin: bool,
) -> None:
    """Add an account. The password is asked for, or read from standard input or EPRO_STAFF_PASSWORD."""
    grants = [_grant(role) for role in roles]
    with opened():
        with look(COMMAND) as tx:
            _check_places(tx, grants)
        password = _password(password_stdin)
        with begin(COMMAND) as tx:
            _check_places(tx, grants)
            row, address = accounts.add(
                tx,
                email=email,
                name=name,
                password=password,
                language=language,
                phone=phone,
                grants=grants,
                totp=totp or db.settings()["ENV"] == "production",
            )
            staff_id = row.id
    click.echo(f"Account {staff_id} added.")
    if address:
        click.echo(address)


@staff.command()
@click.option("--email", required=True)
@click.option("--name", required=True)
@click.option("--role", "roles", multiple=True, required=True, metavar="ROLE@STUDY[/SITE]")
@click.option("--language", default="zh-CN", show_default=True)
@click.option("--phone", help="For alerts by text message, such as +8613800138000.")
def invite(email: str, name: str, roles: tuple[str, ...], language: str, phone: str | None) -> None:
    """Add an account whose owner chooses her password by a link that the worker sends her."""
    grants = [_grant(role) for role in roles]
    with opened(), begin(COMMAND) as tx:
        _check_places(tx, grants)
        row = links.invite(tx, email=email, name=name, language=language, phone=phone, grants=grants)
        staff_id = row.id
    click.echo(f"Account {staff_id} added, and invited.")


@staff.command()
@click.argument("staff_id", type=click.UUID)
@click.option("--reason", required=True)
def unlock(staff_id: UUID, reason: str) -> None:
    """Open an account again that a hundred wrong passwords have shut."""
    with opened(), begin(COMMAND) as tx:
        accounts.unlock(tx, staff_id, reason)
    click.echo("Account open again.")


@staff.command("reset-factors")
@click.argument("staff_id", type=click.UUID)
@click.option("--reason", required=True)
def reset_factors(staff_id: UUID, reason: str) -> None:
    """Take away the second factors of somebody who has lost them; she sets up another after her password."""
    with opened(), begin(COMMAND) as tx:
        factors.reset(tx, staff_id, reason)
    click.echo("Second factors taken away.")


@staff.command("sso-invite")
@click.argument("staff_id", type=click.UUID)
def sso_invite(staff_id: UUID) -> None:
    """Send a link that joins an account with its owner's identity at the provider."""
    with opened(), begin(COMMAND) as tx:
        links.invite_to_link(tx, staff_id)
    click.echo("Invited.")


@staff.command("sso-unlink")
@click.argument("staff_id", type=click.UUID)
@click.option("--reason", required=True)
def sso_unlink(staff_id: UUID, reason: str) -> None:
    """Take an account's identity at the provider away; the sessions that came by it end."""
    with opened(), begin(COMMAND) as tx:
        count = sso.unlink(tx, staff_id, reason)
    click.echo(f"{count} taken away.")


@staff.command()
@click.argument("staff_id", type=click.UUID)
@click.option("--reason", required=True)
def close(staff_id: UUID, reason: str) -> None:
    """Close an account and end its sessions."""
    with opened(), begin(COMMAND) as tx:
        accounts.close(tx, staff_id, reason)
    click.echo("Account closed.")


@staff.command("totp")
@click.argument("staff_id", type=click.UUID)
def new_seed(staff_id: UUID) -> None:
    """Make a new one-time-code seed and print its address for the phone's app. The old one opens nothing any more."""
    with opened(), begin(COMMAND) as tx:
        address = accounts.new_seed(tx, staff_id)
    click.echo(address)


_from = click.option(
    "--from",
    "networks",
    multiple=True,
    metavar="CIDR",
    help="A network it may come from, such as 203.0.113.0/24 or 2001:db8::/48; may be given more than once."
    " Without any: from anywhere.",
)


@click.group()
def key() -> None:
    """Keys for machines: the sponsor's feed, the trial's EDC."""


@key.command("add")
@click.option("--study", required=True)
@click.option("--name", required=True, help="What the key is for.")
@click.option(
    "--role",
    default="machine",
    show_default=True,
    type=click.Choice(["machine", "edc"]),
    help="machine: reads the feed; edc: hands in dates, reads nothing.",
)
@click.option("--days", default=365, show_default=True, type=click.IntRange(1, 366))
@click.option(
    "--jwks",
    type=click.File("rb"),
    help="Public keys of a machine that signs for its tokens (SMART backend services), in place of a secret.",
)
@_from
def add_key(
    study: str, name: str, role: str, days: int, jwks: BinaryIO | None, networks: tuple[str, ...]
) -> None:
    """Make a key for a machine of one study. It is shown once; with --jwks there is no secret to show."""
    if jwks is not None and role != "machine":
        raise click.UsageError("Only a key that reads can sign for tokens.")
    with opened(), begin(COMMAND) as tx:
        if tx.get(Study, study) is None:
            raise NotFound(f"There is no study {study}.")
        if jwks is not None:
            row = machines.add_key(tx, study, name, days, canonical.decode(jwks.read()), networks)
            made = f"Client id {row.id}, good until {row.expires_at.date()}."
        else:
            row, text = machine_keys.add(tx, study, name, days, role, networks)
            made = f"Key {row.id}, good until {row.expires_at.date()}:\n{text}"
    click.echo(made)


@key.command("revoke")
@click.argument("key_id", type=click.UUID)
@click.option("--reason", required=True)
def revoke_key(key_id: UUID, reason: str) -> None:
    """End a key."""
    with opened(), begin(COMMAND) as tx:
        machine_keys.revoke(tx, key_id, reason)
    click.echo("Key revoked.")


@key.command("sources")
@click.argument("key_id", type=click.UUID)
@_from
@click.option("--reason", required=True)
def change_sources(key_id: UUID, networks: tuple[str, ...], reason: str) -> None:
    """Let a key come from these networks only, in place of those named before."""
    with opened(), begin(COMMAND) as tx:
        found = machine_keys.change_sources(tx, key_id, networks, reason).sources
        told = ", ".join(found or ()) or "anywhere"
    click.echo(f"It may come from {told}.")


def _grant(text: str) -> Grant:
    role, at, place = text.partition("@")
    study, _, site = place.partition("/")
    if not at or not study or role not in ROLES:
        raise click.BadParameter(f"`{text}` is not ROLE@STUDY or ROLE@STUDY/SITE.", param_hint="--role")
    return Grant(study, site or "*", role)


def _check_places(tx: Tx, grants: list[Grant]) -> None:
    for grant in grants:
        _check_place(tx, grant)
    looked_after.refuse_both_sides(tx, grants)


def _check_place(tx: Tx, grant: Grant) -> None:
    if grant.study_id == trail.INSTALLATION:
        return
    if tx.get(Study, grant.study_id) is None:
        raise NotFound(f"There is no study {grant.study_id}: publish it first.")
    if grant.site_id != "*" and tx.get(Site, grant.study_id, grant.site_id) is None:
        raise NotFound(f"There is no site {grant.site_id} in {grant.study_id}.")


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    return os.environ.get("EPRO_STAFF_PASSWORD") or click.prompt(
        "Password", hide_input=True, confirmation_prompt=True
    )
