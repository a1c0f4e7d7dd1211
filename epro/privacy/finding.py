"""Finding a participant by her phone number or e-mail address: exactly, and only among one's own."""

from __future__ import annotations

import sqlalchemy as sa

from epro.contacts import store
from epro.studies import access
from epro.studies.models import Participant
from epro.tx import Tx


def by_contact(tx: Tx, field: str, value: str) -> list[Participant]:
    """The participants of the actor's own sites who have exactly this value; a number as it is dialled abroad.

    Raises Invalid, which does not repeat it, for what is no number or address.
    """
    access.allow(tx.actor, "participant.contact")
    found = store.owners(field, store.normal(field, value))
    keys = [
        (study_id, owner.partition("/")[2]) for study_id, owner in found if owner.startswith("participant/")
    ]
    if not keys:
        return []
    free = Participant.restricted_at.is_(None)  # what is held still is not used
    hers = sa.tuple_(Participant.study_id, Participant.subject_id).in_(keys)
    query = sa.select(Participant).where(hers, access.visible(tx.actor, "participant.contact"), free)
    return tx.all(query.order_by(Participant.study_id, Participant.subject_id))
