"""The words of why a message did not go out: ours for every provider, and what the ledger keeps of several. Pure."""

from __future__ import annotations

# Their numbers in call-backs that we have words for; any other one is told as it is.
THEIRS = {
    "30003": "not_reachable",
    "30004": "blocked",
    "30005": "bad_number",
    "30006": "bad_number",
    "30007": "filtered",
}

OF_ANOTHER_KIND: dict[str, dict[str, str]] = {
    "http": {"en": "the provider answered with status {}", "zh-CN": "服务商返回状态码 {}"},
    "number": {"en": "the provider's number {}", "zh-CN": "服务商代码 {}"},
    "by": {"en": "{}: {}", "zh-CN": "{}：{}"},
}

REFUSALS: dict[str, dict[str, str]] = {
    # Nobody has it, by what the provider or the network said.
    "bad_number": {"en": "the number is not one that can be reached", "zh-CN": "号码无效"},
    "bad_address": {"en": "the address is not one that can be reached", "zh-CN": "地址无效"},
    "opted_out": {"en": "the recipient wants no messages", "zh-CN": "收件人已退订"},
    "region_closed": {"en": "nothing may be sent to that country", "zh-CN": "不允许发往该国家或地区"},
    "not_reachable": {"en": "the phone cannot be reached now", "zh-CN": "手机暂时无法接通"},
    "blocked": {"en": "the recipient or the carrier blocks it", "zh-CN": "被收件人或运营商屏蔽"},
    "filtered": {"en": "the carrier filtered it out", "zh-CN": "被运营商过滤"},
    "too_long": {"en": "it is too long", "zh-CN": "内容过长"},
    "credentials": {"en": "our key to the provider is not accepted", "zh-CN": "服务商不接受我方密钥"},
    "busy": {"en": "the provider takes no more for now", "zh-CN": "服务商暂时不再接收"},
    "unreachable": {"en": "the provider cannot be reached", "zh-CN": "无法连接服务商"},
    "tls": {"en": "no safe line to the provider could be made", "zh-CN": "无法与服务商建立安全连接"},
    "not_supported": {"en": "the provider cannot do this", "zh-CN": "服务商不支持"},
    "sender_refused": {"en": "our own address is not accepted", "zh-CN": "发件地址不被接受"},
    "not_registered": {
        "en": "the wording or the signature is not registered with the provider",
        "zh-CN": "文本或签名未在服务商登记",
    },
    "account": {
        "en": "our account with the provider is empty or closed",
        "zh-CN": "我方在服务商的账户欠费或停用",
    },
    "gone": {"en": "the phone has given its subscription up", "zh-CN": "手机已取消推送订阅"},
    "refused": {"en": "the provider gave no reason that we know", "zh-CN": "服务商未给出可识别的原因"},
    "not_taken": {
        "en": "asked afterwards, the provider does not have it",
        "zh-CN": "事后查询，服务商并未收到",
    },
    "undelivered": {"en": "not delivered", "zh-CN": "未送达"},
    # Nobody can say.
    "timed_out": {"en": "no answer came in time", "zh-CN": "未按时收到答复"},
    "cut": {"en": "the line was cut before an answer came", "zh-CN": "收到答复前连接中断"},
    "unreadable": {"en": "the answer could not be read", "zh-CN": "答复无法识别"},
    "not_told_apart": {
        "en": "the same words went to the same phone for somebody else, so it cannot be told apart",
        "zh-CN": "同一号码为他人收到过相同内容，无法区分",
    },
    "worker_lost": {
        "en": "the process that was sending it ended before it could note what came of it",
        "zh-CN": "发送进程在记录结果前中止",
    },
    "in_doubt_too_long": {
        "en": "it has been in doubt for hours, and is not tried any more",
        "zh-CN": "结果长时间不明，不再尝试",
    },
    # It is not wanted any more, or there is no way for it.
    "stale": {"en": "it would come too late to be of use", "zh-CN": "时间已晚，发送已无意义"},
    "withdrawn": {"en": "the participant has left the study", "zh-CN": "受试者已退出研究"},
    "restricted": {"en": "data on the participant are to be held still", "zh-CN": "受试者数据限制处理"},
    "answered": {"en": "the answer has been received", "zh-CN": "已收到回答"},
    "cancelled": {"en": "it is not asked for any more", "zh-CN": "已不再要求填写"},
    "excused": {"en": "the site has excused the participant from it", "zh-CN": "研究中心已免除填写"},
    "window_closed": {"en": "the window has closed", "zh-CN": "填写时段已关闭"},
    "snoozed": {"en": "the participant has put reminders off", "zh-CN": "受试者已选择稍后提醒"},
    "quiet_hours": {"en": "it is within quiet hours", "zh-CN": "处于免打扰时段"},
    "told_together": {
        "en": "another reminder had just told of all that is due",
        "zh-CN": "另一条提醒刚刚已告知所有待填内容",
    },
    "cap_reached": {
        "en": "as many reminders as a day may hold have gone out",
        "zh-CN": "当日提醒次数已达上限",
    },
    "cleared": {"en": "the alert has cleared", "zh-CN": "警报已自动解除"},
    "resolved": {"en": "the alert has been resolved", "zh-CN": "警报已处理完毕"},
    "acknowledged": {"en": "somebody has taken the alert in hand", "zh-CN": "已有人处理该警报"},
    "no_channel": {"en": "there is no channel to the recipient", "zh-CN": "没有可以联系到收件人的渠道"},
    "circuit_open": {"en": "the provider is out", "zh-CN": "服务商暂时不可用"},
    "carrier_same_text": {
        "en": "the carriers of the country take no text so often",
        "zh-CN": "当地运营商限制相同内容的次数",
    },
    "carrier_texts_a_day": {
        "en": "the carriers of the country take no more texts a day",
        "zh-CN": "当地运营商限制每日短信条数",
    },
    "carrier_hours": {
        "en": "it is outside the hours of the carriers of the country",
        "zh-CN": "不在当地运营商允许的时段",
    },
    "carrier_link": {"en": "the carriers of the country block links", "zh-CN": "当地运营商拦截链接"},
    "carrier_reply": {"en": "messages go one way in this country", "zh-CN": "当地只支持单向短信"},
    "carrier_length": {
        "en": "it makes more parts than the carriers of the country allow",
        "zh-CN": "超过当地运营商允许的长度",
    },
    "carrier_template": {
        "en": "none of its wordings is registered with the provider",
        "zh-CN": "文本未在服务商登记",
    },
}


def in_words(told: str, channels: dict[str, dict[str, str]], language: str) -> str:
    """A refusal, or those of several channels as the ledger keeps them: "sms bad_number, email refused"."""
    comma = "; " if language == "en" else "；"
    return comma.join(_one(part.split(), channels, language) for part in told.split(", "))


def _one(words: list[str], channels: dict[str, dict[str, str]], language: str) -> str:
    if len(words) > 1 and words[0] in channels:
        by = OF_ANOTHER_KIND["by"][language]
        return by.format(channels[words[0]][language], _one(words[1:], channels, language))
    if len(words) == 2 and words[0] == "undelivered":
        by = OF_ANOTHER_KIND["by"][language]
        return by.format(REFUSALS["undelivered"][language], _code(words[1], language))
    return _code(" ".join(words), language)


def _code(code: str, language: str) -> str:
    kind, _, number = code.partition("_")
    if kind == "http" and number.isdigit():
        return OF_ANOTHER_KIND["http"][language].format(number)
    known = REFUSALS.get(THEIRS.get(code, code))
    if known is None and code.isdigit():
        return OF_ANOTHER_KIND["number"][language].format(code)
    return known[language] if known else code
