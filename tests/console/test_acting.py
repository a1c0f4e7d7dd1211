"""Who acted and why, as the trail's page says it: whole names, and the software's own words in both languages."""

from __future__ import annotations

import pytest

from epro.console import acting, saying
from epro.console.saying import Voice

EN, CHINESE = Voice("en"), Voice("zh-CN")


@pytest.mark.parametrize(
    ("actor", "en", "chinese"),
    [
        (
            "system:anchor import",
            "the system (days taken over from another system)",
            "系统（从其他系统导入的日期）",
        ),
        ("system:command line", "the system (command line)", "系统（命令行）"),
        ("system:something else new", "the system (something else new)", "系统（something else new）"),
        ("participant:MSC/01-001", "participant 01-001", "受试者 01-001"),
        ("staff:1", "Li Na", "Li Na"),
        ("staff:0123456789abcdef", "staff (0123456789abcdef)", "工作人员（0123456789abcdef）"),
    ],
)
def test_whoever_acted_is_named_whole(actor, en, chinese):
    people = {"staff:1": "Li Na"}
    assert (acting.who(EN, people, actor), acting.who(CHINESE, people, actor)) == (en, chinese)


@pytest.mark.parametrize(
    ("action", "reason", "en", "chinese"),
    [
        ("alert.contact_attempted", "rang twice", "Note: rang twice", "备注: rang twice"),
        ("alert.reopened", "rang back", "Reason: rang back", "原因: rang back"),
        ("anchor.set", "enrolment", "Reason: given at the enrolment", "原因: 入组时提供"),
        ("anchor.set", "a typing error", "Reason: a typing error", "原因: a typing error"),
        (
            "plan.changed",
            "anchor infusion",
            "The plan was made anew because the day of an anchor was set.",
            "重新生成计划：因锚定日期的设定。",
        ),
        (
            "plan.changed",
            "arm; language",
            "The plan was made anew because the arm changed, because the language changed.",
            "重新生成计划：因组别变更、因语言变更。",
        ),
        ("plan.changed", "by hand", "Reason: by hand", "原因: by hand"),
        ("participant.withdrawn", None, "", ""),
    ],
)
def test_notes_reasons_and_what_the_plan_follows_are_told_apart(action, reason, en, chinese):
    assert (acting.why(EN, action, reason), acting.why(CHINESE, action, reason)) == (en, chinese)


def test_the_parts_of_the_system_have_words():
    assert {"part.clockwork", "part.anchor import", "part.command line"} <= saying.texts().keys()
