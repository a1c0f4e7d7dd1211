"""The words of codes that stand within a sentence, by kind and code, in every language that we speak. Pure."""

from __future__ import annotations

from epro.questionnaires.methods import REASONS

WORDS: dict[str, dict[str, dict[str, str]]] = {
    "given": {
        "reason": {"en": " Reason: {}.", "zh-CN": "原因：{}。"},
        "comma": {"en": ", ", "zh-CN": "、"},
        "or": {"en": " / ", "zh-CN": "/"},
        "named": {"en": "{} {}", "zh-CN": "{}（{}）"},
    },
    "unit": {
        "day": {"en": "d", "zh-CN": "天"},
        "hour": {"en": "h", "zh-CN": "小时"},
        "minute": {"en": "min", "zh-CN": "分钟"},
    },
    "actor": {
        "participant": {"en": "the participant", "zh-CN": "受试者"},
        "system": {"en": "the system", "zh-CN": "系统"},
        "key": {"en": "a machine", "zh-CN": "外部系统"},
    },
    "role": {
        "nurse": {"en": "nurse", "zh-CN": "研究护士"},
        "investigator": {"en": "investigator", "zh-CN": "研究者"},
        "data_manager": {"en": "data manager", "zh-CN": "数据管理员"},
        "monitor": {"en": "monitor", "zh-CN": "监查员"},
        "study_builder": {"en": "study builder", "zh-CN": "研究构建者"},
        "administrator": {"en": "administrator", "zh-CN": "管理员"},
        "staff": {"en": "staff", "zh-CN": "工作人员"},
    },
    "urgency": {
        "routine": {"en": "routine", "zh-CN": "常规"},
        "urgent": {"en": "urgent", "zh-CN": "紧急"},
    },
    "channel": {
        "sms": {"en": "text message", "zh-CN": "短信"},
        "email": {"en": "e-mail", "zh-CN": "电子邮件"},
        "push": {"en": "push message", "zh-CN": "推送消息"},
        "app": {"en": "the app", "zh-CN": "应用内消息"},
        "phone": {"en": "phone", "zh-CN": "电话"},
        "visit": {"en": "a visit", "zh-CN": "上门访视"},
        "other": {"en": "another way", "zh-CN": "其他方式"},
    },
    "hours": {
        "own": {"en": "the quiet hours set for this participant", "zh-CN": "该受试者自己的免打扰时段"},
        "usual": {
            "en": "the study's usual quiet hours, since the participant has named none",
            "zh-CN": "研究通常的免打扰时段（受试者未自行设定）",
        },
        "always": {"en": "the hours at which this study reminds nobody", "zh-CN": "本研究一律不发提醒的时段"},
        "quiet": {"en": "quiet hours", "zh-CN": "免打扰时段"},
    },
    "weekday": {
        "mon": {"en": "Monday", "zh-CN": "星期一"},
        "tue": {"en": "Tuesday", "zh-CN": "星期二"},
        "wed": {"en": "Wednesday", "zh-CN": "星期三"},
        "thu": {"en": "Thursday", "zh-CN": "星期四"},
        "fri": {"en": "Friday", "zh-CN": "星期五"},
        "sat": {"en": "Saturday", "zh-CN": "星期六"},
        "sun": {"en": "Sunday", "zh-CN": "星期日"},
    },
    "edge": {
        "opens": {"en": "opens", "zh-CN": "开放"},
        "closes": {"en": "closes", "zh-CN": "关闭"},
    },
    "cause": {
        "enrolment": {"en": "at the enrolment", "zh-CN": "入组时"},
        "horizon": {"en": "when the plan was extended", "zh-CN": "延长计划时"},
        "anchor": {"en": "because the day of an anchor was set", "zh-CN": "因锚定日期的设定"},
        "time_zone": {"en": "because the time zone changed", "zh-CN": "因时区变更"},
        "withdrawn": {"en": "because the participant left the study", "zh-CN": "因受试者退出研究"},
        "arm": {"en": "because the arm changed", "zh-CN": "因组别变更"},
        "language": {"en": "because the language changed", "zh-CN": "因语言变更"},
        "version": {
            "en": "because another version of the study came into force",
            "zh-CN": "因研究方案新版本生效",
        },
        "answer": {"en": "because of an answer", "zh-CN": "因一次回答"},
        "correction": {"en": "because an answer was corrected", "zh-CN": "因一次回答被更正"},
        "answered": {"en": "because the answer came after all", "zh-CN": "因最终收到回答"},
        "miss": {"en": "because another one was missed", "zh-CN": "因另一次未收到"},
        "excused": {"en": "because another one was excused", "zh-CN": "因另一次设为免填"},
        "excuse": {"en": "because an excuse was taken back", "zh-CN": "因收回免填"},
        "asked_for": {"en": "because the participant asked for it", "zh-CN": "因受试者自行要求"},
        "plan": {"en": "by the plan", "zh-CN": "按计划"},
    },
    "contact": {
        "reached": {"en": "reached", "zh-CN": "已联系到"},
        "will_answer": {"en": "reached, will answer", "zh-CN": "已联系到，将会填写"},
        "left_message": {"en": "left a message", "zh-CN": "已留言"},
        "no_answer": {"en": "no answer", "zh-CN": "无人接听"},
        "wrong_number": {"en": "wrong number", "zh-CN": "号码有误"},
        "other": {"en": "other", "zh-CN": "其他"},
    },
    "cleared": {
        "completed_offline_in_time": {
            "en": "the answer had been given in time and arrived late",
            "zh-CN": "回答已按时完成，但送达较晚",
        },
        "earlier_completed_offline_in_time": {
            "en": "an earlier answer had been given in time and arrived late, so fewer are missing in a row",
            "zh-CN": "更早的一次回答已按时完成但送达较晚，连续未收到的次数因此减少",
        },
        "filed_by_the_site": {
            "en": "the site filed an answer that had been set aside",
            "zh-CN": "研究中心已将一份搁置的回答归档",
        },
        "earlier_filed_by_the_site": {
            "en": "the site filed an earlier answer that had been set aside, so fewer are missing in a row",
            "zh-CN": "研究中心已将更早一份搁置的回答归档，连续未收到的次数因此减少",
        },
        "excused_by_the_site": {
            "en": "the site excused the participant from it",
            "zh-CN": "研究中心已免除受试者填写",
        },
        "earlier_excused_by_the_site": {
            "en": "the site excused the participant from an earlier one, so fewer are missing in a row",
            "zh-CN": "研究中心已免除受试者更早一次的填写，连续未收到的次数因此减少",
        },
    },
    "excuse": {
        "in_hospital": {"en": "in hospital", "zh-CN": "住院"},
        "procedure": {"en": "a procedure that day", "zh-CN": "当日接受操作或手术"},
        "device_fault": {"en": "a fault of the device", "zh-CN": "设备故障"},
        "site_error": {"en": "an error of the site", "zh-CN": "研究中心失误"},
        "other": {"en": "another reason", "zh-CN": "其他原因"},
    },
    "settled": {
        "filed": {"en": "it was filed", "zh-CN": "已归档"},
        "rejected": {"en": "it was rejected", "zh-CN": "不予归档"},
    },
    "outcome": {
        "reached": {"en": "reached", "zh-CN": "已联系到"},
        "not_reached": {"en": "not reached", "zh-CN": "未联系到"},
        "no_action_needed": {"en": "no action needed", "zh-CN": "无需处理"},
        "visit_arranged": {"en": "a visit was arranged", "zh-CN": "已安排访视"},
        "withdrew": {"en": "the participant withdrew", "zh-CN": "受试者退出"},
        "other": {"en": "other", "zh-CN": "其他"},
    },
    "short": {
        "missed": {"en": "an answer has not been received", "zh-CN": "未收到回答"},
        "answer": {"en": "an answer reached a rule of the study", "zh-CN": "回答触发了研究规则"},
        "call": {"en": "a call is needed", "zh-CN": "需要致电"},
    },
    "score": REASONS,
    "finding": {
        "not_an_object": {"en": "An entry is a JSON object.", "zh-CN": "条目应为 JSON 对象。"},
        "wrong_type": {"en": "A value has the wrong type.", "zh-CN": "某个值的类型不对。"},
        "clock_skew": {
            "en": "The phone's clock differs from ours by more than five minutes.",
            "zh-CN": "手机时钟与服务器相差超过五分钟。",
        },
        "completed_after_sending": {
            "en": "The completion lies after the sending: the clock was changed.",
            "zh-CN": "完成时间晚于发送时间：时钟被更改过。",
        },
        "started_after_completion": {
            "en": "The start lies after the completion: the clock was changed.",
            "zh-CN": "开始时间晚于完成时间：时钟被更改过。",
        },
        "unknown_time_zone": {"en": "The time zone is not known here.", "zh-CN": "时区无法识别。"},
        "id_in_use": {"en": "Its id is in use.", "zh-CN": "其编号已被使用。"},
        "answers_left_out": {
            "en": "Answers that fit no item were left out.",
            "zh-CN": "与条目不符的回答未予采用。",
        },
        "answered_before": {
            "en": "Another answer to this is on file; both are kept.",
            "zh-CN": "此前已有另一份回答；两份均保留。",
        },
        "other_content": {
            "en": "Another content is on file under its id; both are kept.",
            "zh-CN": "同一编号下已有不同内容；两份均保留。",
        },
        "unknown_occurrence": {
            "en": "Nothing is expected under the id that it answers.",
            "zh-CN": "它所回答的编号下没有待填写的内容。",
        },
        "unknown_instrument": {
            "en": "This version of the instrument is not published.",
            "zh-CN": "该版本的问卷尚未发布。",
        },
        "more_findings": {"en": "And more of them.", "zh-CN": "还有更多。"},
        "about_answers": {
            "en": "There is something about the answers that who reads scores can see.",
            "zh-CN": "答案方面有需要查看之处，有权查看得分者可见。",
        },
        "occurrence_cancelled": {
            "en": "It was not expected any more when it was completed.",
            "zh-CN": "完成时已不再要求填写。",
        },
        "after_withdrawal": {
            "en": "It was completed after the withdrawal.",
            "zh-CN": "在退出研究之后才完成。",
        },
        "other_subject": {"en": "It is about somebody else.", "zh-CN": "内容涉及的是另一个人。"},
        "not_completed": {
            "en": "It did not say that it was completed.",
            "zh-CN": "未标明已填写完毕。",
        },
        "outside_window": {"en": "It was completed outside its window.", "zh-CN": "在填写时段之外完成。"},
        "late_sync": {
            "en": "It was completed in time and arrived late.",
            "zh-CN": "按时完成，但送达较晚。",
        },
        "finished_after_closing": {
            "en": "It was begun in its window and finished soon after the closing.",
            "zh-CN": "在填写时段内开始，关闭后不久完成。",
        },
        "other_time_zone": {
            "en": "The phone was in another time zone than planned.",
            "zh-CN": "手机所在时区与计划不同。",
        },
        "other_instrument": {
            "en": "Another instrument is expected here.",
            "zh-CN": "此处应填写另一份问卷。",
        },
        "other_version": {
            "en": "Another version of the instrument is expected here.",
            "zh-CN": "此处应填写问卷的另一版本。",
        },
        "not_filed": {"en": "The database does not take it.", "zh-CN": "数据库无法存入。"},
        "unknown_item": {"en": "The instrument has no such item.", "zh-CN": "问卷中没有该条目。"},
        "out_of_range": {
            "en": "A code is not among the choices of its item.",
            "zh-CN": "某个编码不在该条目的选项之中。",
        },
        "not_applicable_not_offered": {
            "en": "An item does not offer 'not applicable'.",
            "zh-CN": "某个条目不提供“不适用”。",
        },
        "refusal_not_offered": {
            "en": "An item does not offer 'prefer not to answer'.",
            "zh-CN": "某个条目不提供“不愿回答”。",
        },
        "not_asked_not_offered": {
            "en": "An item is asked whatever the other answers.",
            "zh-CN": "某个条目无论如何都应询问。",
        },
        "answered_though_not_asked": {
            "en": "By the other answers an item was not to be asked.",
            "zh-CN": "根据其他回答，某个条目本不应询问。",
        },
        "not_asked_though_due": {
            "en": "By the other answers an item was to be asked.",
            "zh-CN": "根据其他回答，某个条目本应询问。",
        },
        "required_missing": {"en": "An item was to be answered.", "zh-CN": "某个条目必须回答。"},
        "edit_check": {"en": "An edit check fails.", "zh-CN": "未通过一项逻辑核查。"},
    },
}
