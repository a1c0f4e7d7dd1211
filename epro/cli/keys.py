"""`epro keys`: the key-encryption keys of the contact store, and what each of them still holds.

Nobody is asked for a passkey: whoever has a shell with these settings is the administrator. What was done stands in the
installation's chain of the trail, keys by their ids.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import click

from epro import trail
from epro.cli.opening import opened
from epro.contacts import ring, store
from epro.tx import Tx, begin, system

COMMAND = system("command line")


@click.group()
def keys() -> None:
    """The keys of the contact store."""


@keys.command()
def status() -> None:
    """How many data keys and fields each key holds; exit 1 if one is needed and not set."""
    with opened():
        needed, held = store.needed_keys(), list(ring.held())
        for name in dict.fromkeys([*held, *sorted(needed)]):
            click.echo(f"{name}: {needed[name]}{_about(name, held)}")
        if store.missing_keys():
            sys.exit(1)


@keys.command()
@click.option("--new", is_flag=True, help="Put a new key into EPRO_CONTACTS_KEYS_FILE first.")
def rotate(new: bool) -> None:
    """Wrap every data key under the newest key. Safe beside web and worker; after an interruption call it again."""
    with opened():
        if new:
            with begin(COMMAND) as tx:
                name = ring.add()
                _record(tx, "contact_key.added", name)
            click.echo(f"Key {name} is the newest now.")
        _told("contact_key.rotated", store.rotate(), "wrapped or sealed again")


@keys.command()
@click.argument("name")
def remove(name: str) -> None:
    """Take key NAME out of EPRO_CONTACTS_KEYS_FILE. Refused while anything needs it."""
    with opened():
        _refuse_needed(name)
        with begin(COMMAND) as tx:
            ring.remove(name)
            _record(tx, "contact_key.removed", name)
        click.echo(f"Key {name} is gone.")


@keys.command()
def reindex() -> None:
    """Make the blind index again, after a change of EPRO_CONTACTS_INDEX_KEY."""
    with opened():
        _told("contact_key.reindexed", store.seal_again(everything=True), "indexed again")


def _about(name: str, held: list[str]) -> str:
    if name not in held:
        return ", and it is not set: put it back"
    return ", the newest" if name == held[0] else ""


def _refuse_needed(name: str) -> None:
    if name == next(iter(ring.held())):
        raise click.ClickException(f"{name} is the newest key: what is sealed now needs it.")
    if count := store.needed_keys()[name]:
        raise click.ClickException(
            f"{count} data keys or fields need key {name}: run `epro keys rotate` first."
        )


def _told(action: str, result: Counter[str], what: str) -> None:
    with begin(COMMAND) as tx:
        _record(tx, action, next(iter(ring.held())), count=result["done"], stuck=result["stuck"])
    click.echo(f"{result['done']} {what}.")
    if result["stuck"]:
        raise click.ClickException(f"{result['stuck']} could not be opened: see `epro keys status`.")


def _record(tx: Tx, action: str, name: str, **details: Any) -> None:
    trail.record(tx, trail.study_chain(tx), action, "contact_key", name, **details)
