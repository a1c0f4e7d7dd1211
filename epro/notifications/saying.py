"""What the words of a message are filled with."""

from __future__ import annotations

from typing import Any

from epro import db


def params_of(participant: Any, message: Any, clinic_phone: str | None) -> dict[str, str | int]:
    return {
        "app_name": db.settings()["APP_NAME"] or "epro",
        "site": participant.site_id,
        "count": message.why.get("count", 1),
        "clinic_phone": clinic_phone or "",
    }
