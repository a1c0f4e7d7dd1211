"""Who has done what with a participant's record, told from the trail. Reading alone leaves no entry there."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from epro.studies.models import Participant
from epro.trail import instant
from epro.trail.models import Event
from epro.tx import Tx

WHO = {
    "en": {"participant": "the participant", "staff": "staff", "key": "a machine", "system": "the system"},
    "zh-CN": {"participant": "受试者", "staff": "工作人员", "key": "外部系统", "system": "系统"},
}
HEAD = {"en": ("who", "account", "act", "times", "first", "last"),
        "zh-CN": ("谁", "账号", "操作", "次数", "首次", "最近")}  # fmt: skip
NOTE = {
    "en": "What was done with the record of {}, from the trail. Looking at it without doing anything is not in here.",
    "zh-CN": "{} 的记录上的操作，取自审计追踪。仅查看而未操作的不在其中。",
}


def report(tx: Tx, participant: Participant, language: str) -> dict[str, Any]:
    """Every kind of act by everybody who acted, how often, first and last; the most recent first."""
    last = sa.func.max(Event.at)
    query = (
        sa.select(Event.actor, Event.action, sa.func.count(), sa.func.min(Event.at), last)
        .where(Event.study_id == participant.study_id, Event.subject_id == participant.subject_id)
        .group_by(Event.actor, Event.action)
        .order_by(last.desc(), Event.actor, Event.action)
    )
    rows = [_row(*one, language) for one in tx.session.execute(query)]
    return {
        "note": NOTE[language].format(participant.subject_id),
        "subject_id": participant.subject_id,
        "acts": rows,
    }


def lines(told: dict[str, Any], language: str) -> str:
    """The same as a plain table, its fields parted by tabs."""
    table = [HEAD[language], *(tuple(str(value) for value in row.values()) for row in told["acts"])]
    return "\n".join([told["note"], *("\t".join(row) for row in table)])


def _row(actor: str, action: str, count: int, first: Any, last: Any, language: str) -> dict[str, Any]:
    kind, _, account = actor.partition(":")
    return {
        "who": WHO[language].get(kind, kind),
        "account": account,
        "act": action,
        "times": count,
        "first": instant(first),
        "last": instant(last),
    }
