"""`epro rescore`: score again what is on file; report every difference, overwrite nothing."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby

import click

from epro.cli import progress
from epro.cli.opening import opened
from epro.errors import NotFound
from epro.notifications import signed
from epro.questionnaires import catalogue
from epro.responses import anchoring, rescoring
from epro.responses.rescoring import Change, Later
from epro.studies.models import Study
from epro.tx import begin, look, system

RESCORER = system("rescoring")
AT_ONCE = 200  # participants whose responses are scored in one go


@click.command()
@click.option("--study", required=True)
@click.option(
    "--with",
    "later",
    multiple=True,
    metavar="CODE=VERSION",
    help="Score CODE by this version of its definition; by that of its latest run if not given.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--json", "as_json", is_flag=True, help="Each change as one line of JSON.")
def rescore(study: str, later: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Score every response of a study again by the present methods.

    Each score that comes out otherwise, or by another method or definition, is reported with its reason and, unless
    --dry-run, appended as the next run: the old one stays. A scale that the definition does not have any more is
    reported too: its score stays and counts no more. Exit 1 if a response does not fit the version asked for.
    """
    with opened():
        definitions = _definitions(later, dry_run)
        count = Counter[str]()
        for change in _all(study, definitions, dry_run, count):
            click.echo(_line(change, as_json))
    verb = "would be appended" if dry_run else "appended"
    click.echo(
        f"{count['responses']} responses scored again: {count['appended']} scores {verb},"
        f" {count['differ']} of them with another value, {count['dropped']} not defined any more,"
        f" {count['refused']} could not be scored",
        err=as_json,
    )
    if count["refused"]:
        sys.exit(1)


def _all(study: str, later: Later, dry_run: bool, count: Counter[str]) -> Iterator[Change]:
    with look(RESCORER) as tx:
        if tx.get(Study, study) is None:
            raise NotFound(f"There is no study {study}.")
        subjects = rescoring.subjects(tx, study)
    with progress.shown("Scoring", len(subjects)) as done:
        for first in range(0, len(subjects), AT_ONCE):
            some = subjects[first : first + AT_ONCE]
            with look(RESCORER) as tx:
                changes, responses = rescoring.find_changes(tx, study, some, later)
            _write(study, changes, later, dry_run)
            count["responses"] += responses
            for change in changes:
                count["refused"] += change.refused
                count["dropped"] += change.dropped
                count["appended"] += change.appended
                count["differ"] += change.appended and change.differs
            yield from changes
            done(len(some))


def _write(study: str, changes: list[Change], later: Later, dry_run: bool) -> None:
    if dry_run:
        return
    ordered = sorted(changes, key=lambda change: change.subject_id)
    for subject_id, found in groupby(ordered, key=lambda change: change.subject_id):
        with begin(RESCORER) as tx:
            some = list(found)
            if rescoring.append(tx, study, subject_id, some, later):
                again = {change.response_id for change in some if change.appended}
                signed.rescored(tx, study, subject_id, again)
                anchoring.follow_scores(tx, study, subject_id, again)


def _definitions(asked: tuple[str, ...], dry_run: bool) -> Later:
    """The definitions to score by; those that are new here are published, unless nothing is to be written."""
    found = {}
    for one in asked:
        code, equals, version = one.partition("=")
        if not equals:
            raise click.UsageError(f"{one}: give it as CODE=VERSION.")
        if dry_run:
            found[code] = catalogue.bundled_instrument(code, version)
            continue
        with begin(RESCORER) as tx:
            found[code] = catalogue.publish(tx, code, version)
    return found


def _line(change: Change, as_json: bool) -> str:
    old, new = (
        reason if value is None else repr(value)
        for value, reason in ((change.old, change.old_reason), (change.new, change.new_reason))
    )
    if as_json:
        return json.dumps(asdict(change) | {"response_id": str(change.response_id)})
    why = "; ".join(change.why)
    return f"{change.subject_id} {change.response_id} {change.scale}: {old} -> {new} ({why})"
