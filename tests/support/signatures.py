"""A signature on record, for tests that look at every table: as if she had just shown who she is."""

from __future__ import annotations

from uuid import UUID

from epro.responses import correcting
from epro.signing import signatures
from epro.studies.models import Participant
from epro.tx import Actor, Grant, begin


def keep_a_signature(
    signer: str, study_id: str, site_id: str, response_id: UUID, meaning: str = "approved"
) -> UUID:
    """This person signs this revision of a response."""
    actor = Actor("staff", signer, grants=(Grant(study_id, site_id, "investigator"),))
    with begin(actor) as tx:
        found = correcting.find(tx, response_id, signatures.SIGN)
        she = tx.plain(Participant, study_id, found.subject_id, lock=True)
        wish = signatures.Wish((found.id,), meaning, accepts_policy=True)
        return signatures._write(tx, she, [found], wish, "password").signature.id
