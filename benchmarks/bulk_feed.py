"""A feed of many entries, quickly: one response is taken in by the real code; its entry is then written so often,
for two hundred participants, each with answers of its own and a true digest."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import sqlalchemy as sa

from benchmarks.installation import BENCH, STUDY, members
from benchmarks.intake import submission
from epro.responses import receiving
from epro.stream import sequencer
from epro.studies.models import Participant
from epro.trail.models import FeedEntry
from epro.tx import begin, look

RESPONSES = 29_412  # of 34 items: a million item rows


def fill(count: int = RESPONSES, *, positioned: bool = True) -> None:
    """Write the feed; without positions the sequencer is left to give them."""
    people = members(200)
    with begin(BENCH) as tx:
        row = tx.plain(Participant, STUDY, people[0].subject_id, lock=True)
        taken = receiving.receive(tx, row, submission(people[0])["responses"][0], tx.now)  # type: ignore[index]
        assert taken.receipt.outcome == "stored"
    while sequencer.sequence():
        pass
    with look(BENCH) as tx:
        told = orjson.loads(tx.one(sa.select(FeedEntry.body).where(FeedEntry.kind == "response.stored")))
        position = sequencer.last_position(tx, STUDY)
    for first in range(0, count, 2_000):
        with begin(BENCH) as tx:
            rows = [
                _row(told, people[number % 200].subject_id, position + 1 + number, tx.now, positioned)
                for number in range(first, min(first + 2_000, count))
            ]
            tx.insert(FeedEntry, rows)


def _row(
    told: dict[str, Any], subject_id: str, position: int, now: datetime, positioned: bool
) -> dict[str, Any]:
    response = told["response"] | {
        "id": str(
            UUID(int=position * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128)
        ),  # scattered, as phones make them
        "occurrence_id": str(UUID(int=position + 10**9)),
        "answers": {
            item: (position * 7 + place) % 5 for place, item in enumerate(sorted(told["response"]["answers"]))
        },
        "received_at": (now + timedelta(seconds=position)).isoformat(),
    }
    event = UUID(int=position + 10**10)
    content = told | {"subject_id": subject_id, "event_id": str(event), "response": response}
    return {
        "study_id": STUDY,
        "event_id": event,
        "subject_id": subject_id,
        "site_id": told["site"],
        "kind": "response.stored",
        "at": now,
        "body": orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode(),
        "position": position if positioned else None,
        "positioned_at": now if positioned else None,
    }
