"""How far the wording of an instrument is, in the words of those who look after it. Pure but for what it is given."""

from __future__ import annotations

from epro.questionnaires.wording import APPROVALS, Standing

OF_DEFINITION = {
    "placeholder": {
        "en": "placeholder: neutral labels of our own, not for participants",
        "zh-CN": "占位文字：我方自拟的中性标签，不得用于参与者",
    },
    "own": {"en": "our own wording", "zh-CN": "我方自有文本"},
    "licensed": {"en": "licensed, with the definition", "zh-CN": "经授权，随定义提供"},
}
OF_PACK = {
    "file": {"en": "checked, not imported", "zh-CN": "已检查，未导入"},
    "imported": {"en": "imported {day}", "zh-CN": "{day}导入"},
    "approved": {"en": ", approved by {number} of {needed}", "zh-CN": "，{needed}人中已有{number}人批准"},
    "in_force": {"en": ", in force", "zh-CN": "，已生效"},
}


def told_of(pack: Standing, language: str = "en") -> str:
    facts = {"day": pack.imported_at.date(), "number": pack.approvals, "needed": APPROVALS}
    parts = ["imported", *["approved"][: pack.approvals], *["in_force"][: pack.in_force]]
    return "".join(OF_PACK[part][language].format(**facts) for part in parts)
