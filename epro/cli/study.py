"""`epro study`: check a study file and publish it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import click

from epro import production
from epro.cli.opening import opened
from epro.notifications import study_files
from epro.notifications.study_files import known_instruments
from epro.questionnaires import wording
from epro.scheduling import amending, protocols
from epro.scheduling.checks import Known
from epro.scheduling.protocol import Protocol
from epro.tx import Tx, begin, system

BUILDER = system("study builder")
FILE = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.group()
def study() -> None:
    """Study files."""


@study.command()
@FILE
def check(file: Path) -> None:
    """Name every fault of a study file at once, with its place and the mend. Needs no database."""
    protocol = read_or_exit(file, text_of(file), known_instruments())
    click.echo(f"{file.name}: {protocol.study_id} {protocol.version} has no faults; digest {protocol.digest}")
    for remark in study_files.queueing(protocol):
        click.echo(f"{file.name}: {remark}.")
    for reason in study_files.unwatched(protocol):
        click.echo(f"{file.name}: production refuses it: {reason}.", err=True)


@study.command()
@FILE
def publish(file: Path) -> None:
    """Check a study file and publish it. The same version with other content is refused.

    A later version of a study that is published changes nothing at a site before it is approved there: see
    `epro study amend` and `epro study approve`. A file that is published as it stands is not checked again: a
    check that has become stricter since does not stop whoever publishes it at each start.
    """
    text = text_of(file)
    with opened(), begin(BUILDER) as tx:
        before = protocols.as_written(tx, text)
        if before is not None:
            click.echo(_published(before, "was published before, exactly so"))
            return
        protocol = read_or_exit(file, text, known_instruments(wording.languages(tx)))
        production.refuse_unready(tx, protocol)
        later = protocols.current(tx, protocol.study_id) is not None
        new = publish_or_exit(tx, protocol, text)
    click.echo(_published(protocol, "published" if new else "was published before, exactly so"))
    if new and later:
        click.echo("each site stays with its version until this one is approved there: epro study approve")


def _published(protocol: Protocol, word: str) -> str:
    return f"{protocol.study_id} {protocol.version} {word}; digest {protocol.digest}"


def publish_or_exit(tx: Tx, protocol: Protocol, text: str) -> bool:
    """Publish; True if it is new. What would break what is on file is named on stderr, and the command exits with 1."""
    try:
        return amending.publish(tx, protocol, text)
    except amending.UnfitAmendment as unfit:
        name_and_exit(unfit)


def name_and_exit(unfit: amending.UnfitAmendment) -> NoReturn:
    """Every fault of a version that does not fit on stderr; exit with 1."""
    for fault in unfit.errors:
        click.echo(f"{fault['pointer']}: {fault['detail']} [{fault['code']}]", err=True)
    sys.exit(1)


def read_or_exit(file: Path, text: str, known: Mapping[tuple[str, str], Known]) -> Protocol:
    """The protocol of a study file with this text. Names every fault on stderr and exits with 1 if there is any."""
    protocol, faults = study_files.read(text, known)
    for fault in faults:
        click.echo(
            f"{file.name}:{fault.line}: {fault.place or '/'}: {_stopped(fault.message)} {fault.mend} [{fault.code}]",
            err=True,
        )
    if protocol is None:
        click.echo(f"{file.name}: {len(faults)} fault{'s' if len(faults) != 1 else ''}", err=True)
        sys.exit(1)
    return protocol


def _stopped(text: str) -> str:
    """A sentence of its own, before the one that says how to mend it."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def text_of(file: Path) -> str:
    """A study file as it is written: read once by each command, for it may be a pipe, or written to meanwhile.

    Raises ClickException if it is no text in UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise click.ClickException(f"{file.name} is not a text in UTF-8.") from None
