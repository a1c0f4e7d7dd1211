"""`epro why`: why something is due, was moved, sent, withheld, missed or alerted, in plain sentences."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import click

from epro.cli.opening import opened, participant_named
from epro.errors import NotFound
from epro.tx import look, system
from epro.why import asking
from epro.why.sentences import LANGUAGES, OURS

COMMAND = system("command line")


@click.command()
@click.argument("subject")
@click.option("--study", help="Where the subject id stands in more than one study.")
@click.option("--occurrence", type=click.UUID, help="One expected answering.")
@click.option("--reminder", type=click.UUID, help="One message, to the participant or about an alert.")
@click.option("--alert", type=click.UUID)
@click.option("--response", type=click.UUID, help="One upload, filed or held.")
@click.option("--lang", type=click.Choice(LANGUAGES), default=OURS, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="With the facts of each sentence.")
def why(subject: str, study: str | None, lang: str, as_json: bool, **asked: UUID | None) -> None:
    """Tell from stored facts why something is as it is. Without an option: all of SUBJECT on one page."""
    with opened(), look(COMMAND) as tx:
        participant = participant_named(tx, subject, "participant.read", study)
        try:
            answer = asking.why(tx, participant, asked, lang)
        except NotFound:
            named = ", ".join(f"{kind} {id}" for kind, id in asked.items() if id)
            raise NotFound(f"{subject} has no {named}.") from None
    click.echo(json.dumps(answer, ensure_ascii=False, indent=1) if as_json else _lines(answer))


def _lines(answer: dict[str, Any]) -> str:
    """All by one clock, that of the first line."""
    clock = ZoneInfo(answer["time_zone"])
    moments = [datetime.fromisoformat(one["at"]).astimezone(clock) for one in answer["sentences"]]
    told = [
        f"{at:%Y-%m-%d %H:%M}  {one['text']}" for at, one in zip(moments, answer["sentences"], strict=True)
    ]
    return "\n".join([f"{answer['question']} ({clock.key})", *told])
