"""`epro trail`: heads, checkpoints, exports, proofs; the checks that nothing was changed, removed or cut off."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import click
import sqlalchemy as sa

from epro import db
from epro.cli import progress
from epro.cli.opening import opened, participant_named
from epro.errors import NotFound
from epro.privacy import readings, reporting
from epro.responses import integrity, proofs
from epro.signin import staff
from epro.signin.models import Staff
from epro.studies.models import Participant, Study
from epro.trail import checkpoint_file, checks, exporting, log_checking, sealing, verifying
from epro.trail.checks import AUDITOR
from epro.trail.entries import Fault
from epro.tx import Tx, begin, look

MOST = 100_000
VERIFIER = Path(exporting.__file__).with_name("verifier") / "verify_trail.py"


@click.group()
def trail() -> None:
    """The trail of every act."""


@trail.command()
def head() -> None:
    """Print the signed heads of all chains. Keep it elsewhere: `verify --head` then sees if the end is cut off."""
    with opened(), look(AUDITOR) as tx:
        click.echo(json.dumps(verifying.signed_head(tx, Participant), indent=1))


@trail.command()
@click.option(
    "--head",
    "kept",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A head printed earlier and kept elsewhere.",
)
def verify(kept: Path | None) -> None:
    """Check every chain, every response against what the trail says of it, and the log with its checkpoints."""
    with opened():
        with look(AUDITOR) as tx:
            count, leaves = checks.counted(tx), log_checking.size(tx)
            with progress.shown("Checking", count) as done:
                found = list(_faults(tx, kept, done))
        with begin(AUDITOR) as tx:
            checks.keep(tx, count, leaves, found)
    for fault in found:
        click.echo(str(fault), err=True)
    if found:
        click.echo(f"{len(found)} fault{'s' if len(found) != 1 else ''} in {count} entries", err=True)
        sys.exit(1)
    click.echo(f"{count} entries, no fault")


@trail.command()
def seal() -> None:
    """Give every entry that waits its place in the log and sign a checkpoint; the worker does it every minute."""
    with opened():
        done = sealing.seal()
        checkpoint_file.write_out(db.settings()["CHECKPOINT_FILE"])
    click.echo(f"{done} entries sealed")


@trail.command()
def checkpoint() -> None:
    """Print the newest signed checkpoint. Keep it elsewhere: the verifier then sees what was changed since."""
    with opened(), look(AUDITOR) as tx:
        newest = sealing.last(tx)
    if newest is None:
        raise click.ClickException("Nothing is sealed yet.")
    click.echo(newest.note, nl=False)


@trail.command()
def key() -> None:
    """Print the public key that checkpoints are checked with."""
    with opened(), look(AUDITOR) as tx:
        click.echo(sealing.public_key(tx))


@trail.command()
@click.argument("file", type=click.File("w", encoding="utf-8", lazy=False))
@click.option("--study", help="Only this study's entries; of the others the hashes.")
def export(file: IO[str], study: str | None) -> None:
    """Write the whole trail with its checkpoints, for the stand-alone verifier; `-` writes to standard output."""
    with opened(), look(AUDITOR) as tx:
        newest = sealing.last(tx)
        with progress.shown("Writing", newest.size if newest else 0) as done:
            for line in exporting.lines(tx, study, integrity.digests):
                file.write(line + "\n")
                done(1)


@trail.command()
@click.argument("record_id", metavar="RECEIPT_ID|EVENT_ID")
def prove(record_id: str) -> None:
    """Print the proof that an entry, or what a receipt is for, is in the log; `verify_trail.py proof` checks it."""
    with opened(), look(AUDITOR) as tx:
        proof = proofs.by_text(tx, record_id)
    click.echo(json.dumps(proof, ensure_ascii=False, indent=1))


@trail.command("readers")
@click.argument("subject")
@click.option("--study", help="Where the subject id stands in more than one study.")
@click.option("--lang", type=click.Choice(sorted(reporting.WHO)), default="en", show_default=True)
@click.option("--json", "as_json", is_flag=True)
def readers(subject: str, study: str | None, lang: str, as_json: bool) -> None:
    """Every look at SUBJECT's data, the latest first: when, who, of what kind, through which door."""
    with opened(), look(AUDITOR) as tx:
        participant = participant_named(tx, subject, "participant.read", study)
        told = [readings.told(row) for row in readings.of(tx, participant)]
    click.echo(json.dumps(told, ensure_ascii=False, indent=1) if as_json else reporting.looks(told, lang))


@trail.command("read-by")
@click.argument("who")
@click.option("--study", help="Where there is more than one.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="From this day on (UTC).")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="Up to this day, which is in it.")
@click.option("--lang", type=click.Choice(sorted(reporting.WHO)), default="en", show_default=True)
@click.option("--json", "as_json", is_flag=True)
def read_by(
    who: str, study: str | None, since: datetime | None, until: datetime | None, lang: str, as_json: bool
) -> None:
    """Every look of WHO (an e-mail address or id of the staff, `key:ID` for a machine), the latest first."""
    with opened(), look(AUDITOR) as tx:
        studies = tx.all(sa.select(Study.id).where(Study.id == study if study else sa.true()))
        if not studies:
            raise NotFound(f"There is no study {study}.")
        before = until + timedelta(days=1) if until else None
        found = [
            row
            for one in sorted(studies)
            for row in readings.page(
                tx, readings.Wanted(one, _reader(tx, who), _utc(since), _utc(before)), MOST
            )
        ]
        told = [readings.told(row) for row in found]
    subjects = len({(row.study_id, row.subject_id) for row in found if row.subject_id})
    click.echo(
        json.dumps(told, ensure_ascii=False, indent=1) if as_json else reporting.looked(told, subjects, lang)
    )


def _reader(tx: Tx, who: str) -> str:
    """The reader meant. Raises NotFound, which says who is not there."""
    if who.startswith("key:"):
        return who
    kept = [one for one in tx.all(sa.select(Staff)) if who in (str(one.id), f"staff:{one.id}")]
    person = kept[0] if kept else staff.by_email(tx, who) if "@" in who else None
    if person is None:
        raise NotFound(f"There is no account {who}.")
    return f"staff:{person.id}"


def _utc(day: datetime | None) -> datetime | None:
    return day.replace(tzinfo=UTC) if day else None


@trail.command()
def verifier() -> None:
    """Print the stand-alone verifier: one file, for Python alone, that needs nothing of ours."""
    click.echo(VERIFIER.read_text(encoding="utf-8"), nl=False)


def _faults(tx: Tx, kept: Path | None, done: Callable[[int], None]) -> Iterator[Fault]:
    try:
        earlier = _read(kept) if kept else None
        yield from checks.faults(tx, Participant, readings.records, kept=earlier, progress=done)
    except ValueError as fault:
        raise click.ClickException(str(fault)) from None


def _read(kept: Path) -> Any:
    try:
        return json.loads(kept.read_text(encoding="utf-8"))
    except ValueError:
        raise click.ClickException(f"{kept.name} is not JSON.") from None
