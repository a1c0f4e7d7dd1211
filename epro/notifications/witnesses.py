"""Once a day the newest signed checkpoint of the trail goes to people outside its keepers' reach: by e-mail, to the
investigators of each site and to the sponsor's data managers and monitors.

Who keeps the letters can later show what was changed, cut off or shown differently to others, without trusting us.
"""

from __future__ import annotations

from datetime import UTC, datetime, time

import sqlalchemy as sa

from epro.signin import letters
from epro.signin.models import Staff, StaffGrant, StaffLetter
from epro.trail import sealing
from epro.tx import Tx

KIND = "checkpoint"
WITNESSES = ("investigator", "data_manager", "monitor")


def post_due(tx: Tx, limit: int = 500) -> int:
    """Write today's letters to who has none yet; how many. Nothing while nothing is sealed."""
    if sealing.last(tx) is None:
        return 0
    today = tx.now.astimezone(UTC).date()
    begun = datetime.combine(today, time(), UTC)
    has_one = sa.exists().where(
        StaffLetter.staff_id == Staff.id, StaffLetter.kind == KIND, StaffLetter.made_at >= begun
    )
    holds = sa.exists().where(
        StaffGrant.staff_id == Staff.id, StaffGrant.role.in_(WITNESSES), StaffGrant.revoked_at.is_(None)
    )
    query = (
        sa.select(Staff.id).where(Staff.closed_at.is_(None), holds, ~has_one).order_by(Staff.id).limit(limit)
    )
    return sum(letters.post_daily(tx, staff_id, KIND, today) for staff_id in tx.all(query))
