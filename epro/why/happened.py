"""One event of the trail as the sentences read it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from epro.why.sentences import Said, Who


@dataclass(frozen=True)
class Happened:
    """What was done, when, by whom, to what; `details` as the acting room wrote them down."""

    at: datetime
    who: Who
    action: str
    object_id: str
    reason: str | None
    details: Mapping[str, Any]

    @property
    def other(self) -> Said:
        """It has no sentence of its own, and is told all the same: nothing that happened is left out."""
        return Said(
            "happened.other", self.at, {"action": self.action, "who": self.who, "reason": self.reason}
        )
