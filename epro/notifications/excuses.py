"""The act of excusing, whole: the occurrences, the alerts of misses among them, and what would still go out.

What waits to be sent for an excused occurrence is withheld when its turn comes (see rules), with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence

from epro.errors import Conflict
from epro.notifications import alerts
from epro.scheduling import anchors, excusing
from epro.scheduling.models import Occurrence
from epro.studies.models import Participant
from epro.tx import Tx


def excuse(
    tx: Tx, participant: Participant, rows: Sequence[Occurrence], reason: str, note: str | None
) -> None:
    """Excuse her from these (participant locked); a miss among them is taken out of its alert. Raises NotExcusable."""
    for row in _some(rows, excusing.NotExcusable):
        excusing.excuse(tx, participant, row, reason, note)
        if row.missed_at is not None:
            alerts.clear(tx, participant, row, alerts.EXCUSED)
    anchors.follow_excuse(tx, participant, rows)
    tx.session.flush()


def take_back(tx: Tx, participant: Participant, rows: Sequence[Occurrence], reason: str) -> None:
    """Take the excuses of these back (participant locked); a miss among them is one again, and so is its alert. Raises
    NotExcused.
    """
    for row in _some(rows, excusing.NotExcused):
        excusing.take_back(tx, participant, row, reason)
        if row.missed_at is not None and participant.withdrawn_at is None:
            alerts.restore(tx, participant, row, reason)
    anchors.follow_take_back(tx, participant, rows)
    tx.session.flush()


def _some(rows: Sequence[Occurrence], refusal: type[Conflict]) -> Sequence[Occurrence]:
    if not rows:
        raise refusal()
    return rows
