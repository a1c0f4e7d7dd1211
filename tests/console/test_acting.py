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
        ("participant.withdrawn", "stale", "Reason: stale", "原因: stale"),
        ("message.withheld", "stale", "Reason: too late to be of use (stale)", "原因: 已过时（stale）"),
        ("message.withheld", "something_new", "Reason: something_new", "原因: something_new"),
        ("snooze.dropped", "snoozed", "Reason: she put it off (snoozed)", "原因: 已推迟（snoozed）"),
        ("staff.session_ended", "she left us", "Reason: she left us", "原因: she left us"),
    ],
)
def test_notes_reasons_and_what_the_plan_follows_are_told_apart(action, reason, en, chinese):
    assert (acting.why(EN, action, reason), acting.why(CHINESE, action, reason)) == (en, chinese)


@pytest.mark.parametrize(
    ("action", "code", "chinese"),
    [
        ("reminder.skipped", "replaced", "由另一次提醒代替"),
        ("message.refused", "bad_number", "号码无效"),
        (
            "message.failed",
            "sms bad_number, email refused",
            "短信：号码无效；电子邮件：服务商未给出可识别的原因",
        ),
        ("alert.escalation_ended", "withdrawn", "已退出"),
        ("staff.session_ended", "too_many", "该账户已在别处登录"),
    ],
)
def test_a_code_of_the_software_is_told_in_the_words_of_the_other_pages_and_as_it_is(action, code, chinese):
    assert acting.why(CHINESE, action, code) == f"原因: {chinese}（{code}）"


def test_the_parts_of_the_system_have_words():
    assert {"part.clockwork", "part.anchor import", "part.command line"} <= saying.texts().keys()
