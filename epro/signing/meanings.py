"""What a signature can mean, in the words that stand under it; a closed list. Pure.

21 CFR 11.50: review, approval, responsibility, authorship.
"""

from __future__ import annotations

from collections.abc import Mapping

MEANINGS: Mapping[str, Mapping[str, str]] = {
    "reviewed": {
        "en": "I have reviewed these data.",
        "zh-CN": "我已审阅上述数据。",
    },
    "approved": {
        "en": "I approve these data as the record of what the participant reported.",
        "zh-CN": "我批准上述数据作为受试者所报告内容的记录。",
    },
    "responsible": {
        "en": "I take responsibility for these data at my site.",
        "zh-CN": "我对本中心的上述数据负责。",
    },
    "authored": {
        "en": "I am the author of the corrections in these data.",
        "zh-CN": "上述数据中的更正由我作出。",
    },
}
POLICY_VERSION = "1"
POLICY: Mapping[str, str] = {
    "en": "My electronic signature here is the legally binding equivalent of my handwritten signature. "
    "I sign in my own name only, and I let nobody else use what I sign in with.",
    "zh-CN": "我在此处的电子签名与我的手写签名具有同等法律效力。我仅以本人名义签名，且不让任何人使用我的登录凭据。",
}


def statement(meaning: str, language: str) -> str:
    """The words of a meaning, in this language or else in English."""
    words = MEANINGS[meaning]
    return words.get(language, words["en"])
