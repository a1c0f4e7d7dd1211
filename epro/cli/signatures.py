"""`epro signatures`: whether every signature still stands under exactly what was signed."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from epro.cli import progress
from epro.cli.opening import opened
from epro.signing import verifying
from epro.tx import look, system

AUDITOR = system("auditor")


@click.group()
def signatures() -> None:
    """Electronic signatures."""


@signatures.command()
@click.option("--json", "as_json", is_flag=True, help="Each fault as one line of JSON.")
def verify(as_json: bool) -> None:
    """Check whether every signature still stands under exactly what was signed; exit 1 on one changed byte.

    A signature that a correction broke is no fault, as long as the break is on record.
    """
    with opened(), look(AUDITOR) as tx:
        count = verifying.count(tx)
        with progress.shown("Checking", count) as done:
            found = list(verifying.faults(tx))
            done(count)
    for fault in found:
        click.echo(_line(fault, as_json), err=not as_json)
    plural = "" if count == 1 else "s"
    click.echo(
        f"{count} signature{plural}, {len(found) or 'no'} fault{'s' if len(found) > 1 else ''}", err=as_json
    )
    if found:
        sys.exit(1)


def _line(fault: Any, as_json: bool) -> str:
    if not as_json:
        return str(fault)
    return json.dumps({"study": fault.study_id, "chain": fault.chain, "seq": fault.seq, "what": fault.what})
