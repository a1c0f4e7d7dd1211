"""Who has done what with a participant's record, told from the trail, and who has read it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from epro.privacy import readings
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
READ = {"en": ("reader", "account", "what", "whose", "door", "times", "first", "last"),
        "zh-CN": ("查看者", "账号", "内容", "范围", "入口", "次数", "首次", "最近")}  # fmt: skip
LOOKS = {"en": ("when", "reader", "account", "what", "whose", "door"),
         "zh-CN": ("时间", "查看者", "账号", "内容", "范围", "入口")}  # fmt: skip
KIND = {
    "en": {
        "record": "record",
        "answers": "answers and course",
        "alert": "alert",
        "contact": "found by contact data",
        "export": "export",
        "feed": "feed",
        "fhir": "FHIR",
        "dataset": "dataset",
    },
    "zh-CN": {
        "record": "记录",
        "answers": "作答与经过",
        "alert": "警报",
        "contact": "按联系方式查找",
        "export": "导出",
        "feed": "数据流",
        "fhir": "FHIR",
        "dataset": "数据集",
    },
}
WHOSE = {"en": ("hers", "the whole study"), "zh-CN": ("本人", "整个研究")}
OF_WHOM = {"en": ("when", "whose", "what", "door"), "zh-CN": ("时间", "受试者", "内容", "入口")}
LOOKED = {"en": "{} looks at data of {} participants.", "zh-CN": "共查看{}次，涉及受试者{}名。"}
NOTE = {
    "en": "What was done with the record of {}, from the trail; and below, who has read it.",
    "zh-CN": "{} 的记录上的操作，取自审计追踪；其下为查看记录。",
}


def report(tx: Tx, participant: Participant, language: str) -> dict[str, Any]:
    """Every kind of act by everybody who acted, how often, first and last, the latest first; of looks the same."""
    last = sa.func.max(Event.at)
    query = (
        sa.select(Event.actor, Event.action, sa.func.count(), sa.func.min(Event.at), last)
        .where(Event.study_id == participant.study_id, Event.subject_id == participant.subject_id)
        .group_by(Event.actor, Event.action)
        .order_by(last.desc(), Event.actor, Event.action)
    )
    return {
        "note": NOTE[language].format(participant.subject_id),
        "subject_id": participant.subject_id,
        "acts": [_row(*one, language) for one in tx.session.execute(query)],
        "readings": [_read(*(*one, language)) for one in readings.summary(tx, participant)],
    }


def lines(told: dict[str, Any], language: str) -> str:
    """The same as two plain tables, their fields parted by tabs."""
    tables = _table(HEAD[language], told["acts"]), _table(READ[language], told["readings"])
    return "\n".join([told["note"], *tables[0], "", *tables[1]])


def looks(told: list[dict[str, Any]], language: str) -> str:
    """Every look as a plain table."""
    rows = []
    for one in told:
        kind, _, account = one["reader"].partition(":")
        whose = WHOSE[language][one["subject_id"] is None]
        what = KIND[language].get(one["kind"], one["kind"])
        rows.append(
            {"at": one["at"], "who": WHO[language].get(kind, kind), "account": account}
            | {"what": what, "whose": whose, "door": one["door"]}
        )
    return "\n".join(_table(LOOKS[language], rows))


def looked(told: list[dict[str, Any]], subjects: int, language: str) -> str:
    """Every look of one reader as a plain table, and of how many participants they were."""
    rows = [
        {"at": one["at"], "subject": one["subject_id"] or WHOSE[language][1]}
        | {"what": KIND[language].get(one["kind"], one["kind"]), "door": one["door"]}
        for one in told
    ]
    return "\n".join([LOOKED[language].format(len(told), subjects), *_table(OF_WHOM[language], rows)])


def _table(head: tuple[str, ...], rows: list[dict[str, Any]]) -> list[str]:
    return ["\t".join(line) for line in (head, *(tuple(map(str, row.values())) for row in rows))]


def _read(
    reader: str, what: str, door: str, whole: bool, count: int, first: Any, last: Any, language: str
) -> dict[str, Any]:
    kind, _, account = reader.partition(":")
    return {
        "who": WHO[language].get(kind, kind),
        "account": account,
        "what": KIND[language].get(what, what),
        "whose": WHOSE[language][bool(whole)],
        "door": door,
        "times": count,
        "first": instant(first),
        "last": instant(last),
    }


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
