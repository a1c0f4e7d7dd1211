"""What somebody on watch must hear of: on record in the trail like every act, and counted for the metrics."""

from __future__ import annotations

from typing import Any

from prometheus_client import Counter

from epro import trail
from epro.tx import Tx

ACTIONS = (
    "activation_code.exhausted",
    "device.session_ended",
    "key.from_elsewhere",
    "staff.break_glass",
    "staff.locked_out",
    "staff.passkey_refused",
    "staff.recovery_code_used",
    "staff.shut",
    "staff.logged_out",
    "staff.session_ended",
    "staff.sso_refused",
    "readings.unusual",
)
COUNTED = Counter(
    "epro_security_acts_total", "Acts that somebody on watch must hear of", ["action"], registry=None
)
for _action in ACTIONS:
    COUNTED.labels(_action)  # from nought on: a first one must show as a rise


def record(
    tx: Tx, head: Any, action: str, object_type: str, object_id: Any, *, reason: str | None = None
) -> None:
    """Write the act down and count it; `head` is the locked row whose chain grows."""
    trail.record(tx, head, action, object_type, object_id, reason=reason)
    COUNTED.labels(action).inc()
