"""`epro`: everything an operator, a study builder or a data manager does from a shell.

Exit codes: 0 good, 1 the thing checked is wrong, 2 the call is wrong. Bad input never shows a stack trace.
"""

from __future__ import annotations

import sys

import click

from epro import __version__
from epro.cli import (
    amending,
    anchors,
    database,
    demo,
    exports,
    instrument,
    instrument_files,
    keys,
    manifests,
    people,
    privacy,
    rescoring,
    running,
    signatures,
    simulate,
    sinks,
    study,
    trail,
    trialdb,
    why,
    wording,
)
from epro.config import ConfigurationError
from epro.errors import EproError, NotFound


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def epro() -> None:
    """The electronic patient-reported outcome backend of a clinical trial."""


for command in (
    demo.demo,
    running.serve,
    running.worker,
    database.db,
    keys.keys,
    privacy.privacy,
    study.study,
    anchors.anchors,
    instrument.instrument,
    wording.wording,
    rescoring.rescore,
    why.why,
    people.staff,
    people.key,
    trail.trail,
    signatures.signatures,
    trialdb.trialdb,
    exports.export,
    exports.cut,
    sinks.sink,
    manifests.manifest,
):
    epro.add_command(command)
study.study.add_command(simulate.simulate)
study.study.add_command(amending.amend)
study.study.add_command(amending.approve)
for command in instrument_files.COMMANDS:
    instrument.instrument.add_command(command)


def main() -> None:
    """The console script: refusals of the field are told in a line."""
    try:
        epro.main(prog_name="epro", standalone_mode=False)
    except click.ClickException as fault:
        fault.show()
        sys.exit(fault.exit_code)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.Abort:
        sys.exit(130)
    except ConfigurationError as fault:
        click.echo(str(fault), err=True)
        sys.exit(2)
    except EproError as fault:
        click.echo(f"Error: {fault.detail}", err=True)
        for one in fault.errors:
            click.echo(f"  {one.get('pointer', '')}: {one.get('detail', '')}", err=True)
        sys.exit(2 if isinstance(fault, NotFound) else 1)  # what is not there was not checked
