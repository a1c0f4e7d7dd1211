"""`epro anchors import`: days that the EDC knows, from a CSV file; shown first, then done."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from typing import TextIO

import click

from epro.cli import progress
from epro.cli.opening import opened
from epro.errors import NotFound
from epro.scheduling import incoming
from epro.scheduling.incoming import Given, Taken
from epro.studies.models import Study
from epro.tx import begin, look, system

IMPORTER = system(incoming.IMPORT.removeprefix("system:"))
COLUMNS = ("subject_id", "anchor", "date")
UNSAID = "imported from the trial's EDC system"
FIRST, LAST = date(1900, 1, 1), date(2199, 12, 31)
Line = tuple[int, Given | str]  # the line's number, and what it gives or what is wrong with it


@click.group()
def anchors() -> None:
    """Days that plans hang on, such as the first dose."""


@anchors.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--study", required=True)
@click.option("--dry-run", is_flag=True, help="Show what would change; set nothing.")
@click.option("--accept-answered", is_flag=True, help="Move days later past answers that were given since.")
@click.option("--reason", default=UNSAID, show_default=True, help="For lines that give none.")
def import_(file: Path, study: str, dry_run: bool, accept_answered: bool, reason: str) -> None:
    """Set anchors from a CSV file (UTF-8) with the columns subject_id, anchor, date and, if wanted, reason.

    Each line stands for itself. What is on record already changes nothing, so a whole file may be sent every night; a
    day that a site has set by hand since is kept, and told. A day that would leave answers given since the old one
    before it is refused without --accept-answered. Exit 1 if a line could not be taken.
    """
    with file.open(encoding="utf-8-sig", newline="") as text:
        try:
            lines = list(_lines(text, reason))
        except (UnicodeDecodeError, csv.Error):
            raise click.ClickException(f"{file} is not a CSV file in UTF-8.") from None
    with opened():
        with look(IMPORTER) as tx:
            if tx.get(Study, study) is None:
                raise NotFound(f"There is no study {study}.")
        counted = _take_all(study, lines, dry_run, accept_answered)
    told = ", ".join(f"{counted[name]} {name}" for name in sorted(counted)) or "nothing in it"
    click.echo(f"{len(lines)} lines: {told}" + (" (dry run: nothing is set)" if dry_run else ""))
    if counted[incoming.REFUSED]:
        sys.exit(1)


def _lines(text: TextIO, reason: str) -> Iterator[Line]:
    rows = csv.DictReader(text, strict=True)
    missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise click.ClickException(f"The file's first line must name the columns {', '.join(COLUMNS)}.")
    for row in rows:
        yield (
            rows.line_num,
            _given({name: (row.get(name) or "").strip() for name in (*COLUMNS, "reason")}, reason),
        )


def _given(row: dict[str, str], reason: str) -> Given | str:
    if empty := [name for name in COLUMNS if not row[name]]:
        return f"{', '.join(empty)}: missing"
    try:
        day = date.fromisoformat(row["date"])
    except ValueError:
        return "date: not a day such as 2026-03-31"
    if len(row["date"]) != 10 or not FIRST <= day <= LAST:
        return "date: not a day such as 2026-03-31"
    return Given(row["subject_id"], row["anchor"], day, (row["reason"] or reason)[:500])


def _take_all(study: str, lines: list[Line], dry_run: bool, accept: bool) -> Counter[str]:
    counted: Counter[str] = Counter()
    quiet = progress.shown("anchors", len(lines)) if lines else nullcontext(lambda done: None)
    with quiet as step:
        for number, given in lines:
            counted[_take_one(study, number, given, dry_run, accept)] += 1
            step(1)
    return counted


def _take_one(study: str, number: int, given: Given | str, dry_run: bool, accept: bool) -> str:
    if isinstance(given, str):
        click.echo(f"line {number}: {given}", err=True)
        return incoming.REFUSED
    with begin(IMPORTER) as tx:
        taken = incoming.take(tx, study, given, preview=dry_run, accept_answered=accept)
    if taken.outcome == incoming.REFUSED:
        click.echo(f"line {number}: {given.subject_id}: {_why(taken, study)} [{taken.refusal}]", err=True)
    elif taken.warning and dry_run and not accept:
        click.echo(
            f"line {number}: {_sentence(taken)}; it needs --accept-answered: {taken.warning}", err=True
        )
    elif taken.outcome != incoming.UNCHANGED:
        click.echo(_sentence(taken))
    return taken.outcome


def _why(taken: Taken, study: str) -> str:
    if taken.refusal == NotFound.code:
        return f"There is no such participant in {study}."
    hint = " If that is meant: --accept-answered." if taken.refusal == incoming.ANSWERED else ""
    return f"{taken.detail}{hint}"


def _sentence(taken: Taken) -> str:
    """`KL-001 infusion: set to 2026-03-20 (12 new)`."""
    given = taken.given
    who = f"{given.subject_id} {given.anchor}"
    if taken.outcome == incoming.KEPT:
        return f"{who}: {taken.before} stays, set at the site since; the file says {given.day}"
    how = f"set to {given.day}" if taken.before is None else f"moved from {taken.before} to {given.day}"
    counts = taken.differences.counts() if taken.differences else {}
    changes = ", ".join(f"{number} {name}" for name, number in counts.items() if number and name != "kept")
    return f"{who}: {how}" + (f" ({changes})" if changes else "")
