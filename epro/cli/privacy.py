"""`epro privacy`: what a person may ask of us about herself."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa

from epro import trail
from epro.api import own_data
from epro.cli.opening import Refused, opened, participant_named
from epro.console.saying import Voice
from epro.contacts import store
from epro.privacy import copies, erasing, readings, reporting
from epro.signin.models import MachineKey
from epro.tx import Tx, begin, look, system

COMMAND = system("command line")


@click.group()
def privacy() -> None:
    """Erasing a person's contact data, and telling who has done what with her record."""


@privacy.command()
@click.argument("subject")
@click.option("--study", help="Where the subject id stands in more than one study.")
@click.option("--reason", required=True, help="Kept in the trail; no personal data in it.")
@click.confirmation_option(prompt="Her contact data cannot be brought back. Erase them?")
def erase(subject: str, study: str | None, reason: str) -> None:
    """Destroy SUBJECT's data key: her contact data do not open any more, in backups neither. Her answers stay."""
    with opened(), begin(COMMAND) as tx:
        participant = participant_named(tx, subject, "participant.erase", study, lock=True)
        erasing.erase(tx, participant, reason)
    click.echo(f"The contact data of {subject} are erased; what she answered stays under her subject id.")


@privacy.command("own-data")
@click.argument("subject")
@click.option("--study", help="Where the subject id stands in more than one study.")
@click.option("--reason", required=True, help="Kept in the trail; no personal data in it.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="A file that is not there."
)
def own_data_file(subject: str, study: str | None, reason: str, out: Path) -> None:
    """Write all that is on file of SUBJECT, for her: contact data, answers, scores, plan, messages, consents (JSON)."""
    with opened(), begin(COMMAND) as tx:
        participant = participant_named(tx, subject, "participant.copy", study, lock=True)
        made = own_data.of(tx, participant, copies.FILE, reason)
        readings.note(tx, [readings.Look(participant.study_id, subject, "export", "own data")], "command")
        _write(out, made.content)
    click.echo(f"The data of {subject} are in {out.name}; SHA-256 {made.digest}.")


def _write(out: Path, content: bytes) -> None:
    """For its owner's eyes only; nothing is written over."""
    try:
        with open(out, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(content)
    except FileExistsError:
        raise Refused(f"{out.name} is there already.") from None


@privacy.command("access-report")
@click.argument("subject")
@click.option("--study", help="Where the subject id stands in more than one study.")
@click.option("--lang", type=click.Choice(sorted(reporting.WHO)), default="en", show_default=True)
@click.option("--json", "as_json", is_flag=True)
def access_report(subject: str, study: str | None, lang: str, as_json: bool) -> None:
    """Who has done what with SUBJECT's record, from the trail."""
    with opened(), look(COMMAND) as tx:
        participant = participant_named(tx, subject, "participant.read", study)
        told = reporting.report(tx, participant, lang)
        spoken = {} if as_json else _in_words(told, Voice(lang), _keys(tx, participant.study_id))
        table = None if as_json else reporting.lines({**told, **spoken}, lang)
    click.echo(json.dumps(told, ensure_ascii=False, indent=1) if table is None else table)


def _in_words(told: dict[str, Any], voice: Voice, keys: dict[str, str]) -> dict[str, Any]:
    """Acts and doors as the console calls them, and who that was in words."""
    kinds = {word: kind for kind, word in reporting.WHO[voice.language].items()}
    return {
        part: [
            one
            | ({"act": voice.of("action", one["act"])} if "act" in one else {})
            | ({"door": voice.of("door", one["door"])} if "door" in one else {})
            | {"account": _name(kinds.get(one["who"], ""), one["account"], voice, keys)}
            for one in told[part]
        ]
        for part in ("acts", "readings")
    }


def _name(kind: str, account: str, voice: Voice, keys: dict[str, str]) -> str:
    """People of the staff by name, or by the first figures of an account that has none any more; others in words."""
    match kind:
        case "staff":
            return store.of(trail.INSTALLATION, f"staff/{account}").get("name") or account[:8]
        case "key":
            return keys.get(account, account)
        case "system":
            part = account.replace(" ", "_")
            return account if (said := voice.of("part", part)) == part else said
        case "participant":
            return account.rpartition("/")[2]
    return account


def _keys(tx: Tx, study_id: str) -> dict[str, str]:
    """What the machines' keys of a study are called."""
    query = sa.select(MachineKey.id, MachineKey.name).where(MachineKey.study_id == study_id)
    return {str(id): name for id, name in tx.session.execute(query)}
