"""Signing: by an investigator of the site, who has just shown once more who she is, under what she has read.

A proof of who she is signs once. What was read is named revision by revision: when one is not the current one any
more, nothing is signed.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from epro import canonical, db, keys, trail
from epro.contacts import store
from epro.errors import Conflict, Invalid, NotAllowed
from epro.responses import correcting, receipts, runs, sight
from epro.responses.models import Response
from epro.scheduling import protocols
from epro.scheduling.models import Occurrence
from epro.signin import stepup
from epro.signin.models import SignInSession
from epro.signing import content, meanings
from epro.signing.models import Signature, SignatureBreak, SignedResponse
from epro.studies import access, participants
from epro.studies.models import Participant, Site
from epro.tx import Tx

SIGN = "response.sign"
ROLE = "investigator"
MOST = 200  # under one signature


class NotEnabled(NotAllowed):
    """Signing is not enabled on this installation: its certification to the authority is not on file."""

    code = "signing_not_enabled"


class PolicyNotAccepted(Conflict):
    """Who signs for the first time accepts what an electronic signature means: send `accepts_policy`."""

    code = "policy_not_accepted"


class NoName(Conflict):
    """This account has no name, and a signature shows one."""

    code = "no_name"


class AlreadySigned(Conflict):
    """You have signed this already, with this meaning, and the signature holds."""

    code = "already_signed"


@dataclass(frozen=True)
class Wish:
    """What is to be signed: `responses` are ids of the revisions that were read. `id`, made by the caller, makes a
    repeat harmless.
    """

    responses: tuple[UUID, ...]
    meaning: str
    language: str = "en"
    accepts_policy: bool = False
    id: UUID | None = None
    as_read: Mapping[UUID, str] = field(default_factory=dict)
    """Revision -> the mark that it was shown with, scores and all; where one is given, it must still be so."""

    @property
    def digest(self) -> str:
        """What makes two requests the same."""
        return canonical.digest({"responses": sorted(map(str, self.responses)), "meaning": self.meaning})


@dataclass(frozen=True)
class Standing:
    """A signature with what it stands under, and the parts of it that do not hold any more."""

    signature: Signature
    signed: Sequence[SignedResponse]
    breaks: Mapping[UUID, SignatureBreak]
    """Original id -> why it does not hold for this response."""

    @property
    def holds(self) -> bool:
        return not self.breaks


def sign(tx: Tx, wish: Wish, *, proved_now: bool = False) -> Standing:
    """Sign. `proved_now`: she has shown who she is with this very request, not only when she signed in."""
    _refuse_disabled()
    found = [correcting.find(tx, one, SIGN) for one in dict.fromkeys(wish.responses)]
    if not found or len({(one.study_id, one.subject_id) for one in found}) != 1:
        detail = "What is signed together is of one participant."
        raise Invalid(errors=[{"pointer": "/responses", "code": "not_together", "detail": detail}])
    participant = tx.plain(Participant, found[0].study_id, found[0].subject_id, lock=True)
    assert participant is not None
    _refuse_others(tx, participant)
    known = _known(tx, participant, wish)
    if known is not None:
        return known
    shown_by = _spend_proof(tx, proved_now)
    _refuse_old(tx, found)
    _refuse_unread(tx, found, wish)
    _refuse_twice(tx, found, wish)
    return _write(tx, participant, found, wish, shown_by)


def record_digests(
    tx: Tx, study_id: str, rows: Iterable[Response], until: datetime | None = None
) -> dict[UUID, str]:
    """The digest of what a signature under each of these would stand for, worked out from what is on record now; or
    from the scores that there were by then.
    """
    rows = list(rows)
    ids = [row.id for row in rows]
    why = correcting.amendments_of(tx, study_id, ids)
    scores = defaultdict(list)
    for one in runs.every_scale_of(tx, study_id, ids, until):
        scores[one.response_id].append(one)
    return {row.id: content.digest(row, why.get(row.id), scores[row.id]) for row in rows}


def marks(tx: Tx, study_id: str, rows: Iterable[Response]) -> dict[UUID, str]:
    """Revision -> a mark of it as it is now, with its scores. Keyed: nobody finds an answer by trying marks."""
    key = keys.derive(db.settings()["SECRET_KEY"] or "", "revisions as they were read")
    return {one: keys.mac(key, told.encode()) for one, told in record_digests(tx, study_id, rows).items()}


def find(tx: Tx, signature_id: UUID) -> Standing:
    """The signature of this id at one of the actor's sites. Raises NotFound, Conflict."""
    access.allow(tx.actor, "response.read")
    visible = access.visible(tx.actor, "response.read", Signature)
    found = access.the_one(tx, sa.select(Signature).where(Signature.id == signature_id, visible))
    return standing(tx, [found])[0]


def standing(tx: Tx, rows: Sequence[Signature]) -> list[Standing]:
    """These signatures with what they stand under. Two studies may have one id: whoever signs has made it."""
    ids = [row.id for row in rows]
    signed: dict[tuple[str, UUID], list[SignedResponse]] = defaultdict(list)
    breaks: dict[tuple[str, UUID], dict[UUID, SignatureBreak]] = defaultdict(dict)
    for one in tx.all(sa.select(SignedResponse).where(SignedResponse.signature_id.in_(ids))):
        signed[one.study_id, one.signature_id].append(one)
    for broken in tx.all(sa.select(SignatureBreak).where(SignatureBreak.signature_id.in_(ids))):
        breaks[broken.study_id, broken.signature_id][broken.original_id] = broken
    keys = [(row.study_id, row.id) for row in rows]
    return [Standing(row, signed[key], breaks[key]) for row, key in zip(rows, keys, strict=True)]


def over(tx: Tx, study_id: str, originals: Iterable[UUID]) -> list[Standing]:
    """The signatures under these responses (by the ids of the first ones), those that do not hold too, in order."""
    named = sa.select(SignedResponse.signature_id).where(
        SignedResponse.study_id == study_id, SignedResponse.original_id.in_(list(originals))
    )
    query = sa.select(Signature).where(Signature.study_id == study_id, Signature.id.in_(named))
    return standing(tx, tx.all(query.order_by(Signature.signed_at, Signature.id)))


def waiting(tx: Tx) -> sa.Select[Any]:
    """What waits for a signature at the actor's sites: the first ones of responses under which none holds."""
    access.allow(tx.actor, SIGN)
    held = sa.and_(
        SignedResponse.study_id == Response.study_id,
        SignedResponse.original_id == Response.id,
        ~sa.exists().where(
            SignatureBreak.study_id == SignedResponse.study_id,
            SignatureBreak.signature_id == SignedResponse.signature_id,
            SignatureBreak.original_id == SignedResponse.original_id,
        ),
    )
    return sa.select(Response).where(
        access.visible(tx.actor, SIGN, Response),
        Response.amends_id.is_(None),
        ~sa.exists().where(held),
    )


def has_accepted(tx: Tx) -> bool:
    """Whether the person who acts has signed under the present policy before."""
    query = sa.select(Signature.id).where(
        Signature.signed_by == str(tx.actor), Signature.policy == meanings.POLICY_VERSION
    )
    return tx.one(query) is not None


def statement_of(row: Signature) -> str:
    """The words that she signed under."""
    said: str = json.loads(row.body)["statement"]
    return said


def is_enabled() -> bool:
    """In production only with the reference of the certification of 21 CFR 11.100(c)."""
    settings = db.settings()
    return settings["ENV"] != "production" or bool(settings["SIGNATURE_CERTIFICATION"])


def told(found: Standing) -> dict[str, Any]:
    """A signature as the feed tells it."""
    row = found.signature
    names = ("meaning", "signed_by", "time_zone", "shown_by", "policy", "digest", "seal")
    return {
        "id": str(row.id),
        "visit": row.visit_id,
        "name": row.signer_name,
        "role": row.signer_role,
        "signed_at": trail.instant(row.signed_at),
        **{name: getattr(row, name) for name in names},
        "responses": [
            {"id": str(one.response_id), "original_id": str(one.original_id), "digest": one.digest}
            for one in found.signed
        ],
    }


def _refuse_disabled() -> None:
    if not is_enabled():
        raise NotEnabled()


def _refuse_others(tx: Tx, participant: Any) -> None:
    """Raise NotAllowed unless the actor is an investigator here, nobody of the sponsor, who may read what she signs."""
    here = (participant.study_id, participant.site_id)
    access.allow(tx.actor, SIGN, *here)
    if access.is_sponsors(tx.actor, participant.study_id):
        raise NotAllowed("Who works for the sponsor in this study signs no answers.")
    protocol = protocols.find(tx, participant.study_id, participant.protocol_version)
    if tx.actor.kind != "staff" or sight.hides_scores(tx.actor, protocol, *here):
        raise NotAllowed("What you may not read you do not sign.")


def _spend_proof(tx: Tx, proved_now: bool) -> str:
    """With what she has shown who she is, fresh and for this signature alone. Raises StepUpNeeded."""
    session_id = tx.actor.session_id
    session = tx.get(SignInSession, session_id, lock=True) if session_id else None
    stepup.require(tx)
    assert session is not None and session.proved_at is not None
    shown = session.proved_with
    if shown is None or (not proved_now and session.proved_at <= session.started_at):
        raise stepup.StepUpNeeded()
    # The next signature asks again; what signing in was good for stays.
    session.proved_at, session.proved_with = session.started_at, None
    return shown


def _known(tx: Tx, participant: Any, wish: Wish) -> Standing | None:
    if wish.id is None:
        return None
    row = tx.get(Signature, participant.study_id, wish.id)
    if row is None:
        return None
    if row.asked_digest != wish.digest or row.signed_by != str(tx.actor):
        raise correcting.IdTaken()
    return standing(tx, [row])[0]


def _refuse_old(tx: Tx, found: Sequence[Response]) -> None:
    for row in found:
        if correcting.versions(tx, row.study_id, row.id)[-1].id != row.id:
            raise correcting.NotCurrent()


def _refuse_unread(tx: Tx, found: Sequence[Response], wish: Wish) -> None:
    """Raise NotCurrent where scores are not those that were read: other ones by now, or ones of after this
    request. A signature would seem to be older than they are.
    """
    scores = runs.every_scale_of(tx, found[0].study_id, [row.id for row in found])
    if any(one.scored_at > tx.now for one in scores):
        raise correcting.NotCurrent()
    if wish.as_read:
        now = marks(tx, found[0].study_id, found)
        if any(now[one] != wish.as_read.get(one, now[one]) for one in now):
            raise correcting.NotCurrent()


def _refuse_twice(tx: Tx, found: Sequence[Response], wish: Wish) -> None:
    originals = {row.amends_id or row.id for row in found}
    for one in over(tx, found[0].study_id, originals):
        mine = one.signature.signed_by == str(tx.actor) and one.signature.meaning == wish.meaning
        still = {each.original_id for each in one.signed} - set(one.breaks)
        if mine and originals <= still:
            raise AlreadySigned()


def _write(tx: Tx, participant: Any, found: list[Response], wish: Wish, shown_by: str) -> Standing:
    accepted = has_accepted(tx)
    if not (accepted or wish.accepts_policy):
        raise PolicyNotAccepted()
    site = tx.get(Site, participant.study_id, participant.site_id)
    assert site is not None
    digests = record_digests(tx, participant.study_id, found)
    row = Signature(
        study_id=participant.study_id,
        id=wish.id or uuid4(),
        subject_id=participant.subject_id,
        visit_id=_visit(tx, found),
        meaning=wish.meaning,
        signed_by=str(tx.actor),
        signer_name=_name(tx),
        signer_role=ROLE,
        signed_at=tx.now,
        time_zone=site.time_zone,
        shown_by=shown_by,
        policy=meanings.POLICY_VERSION,
        asked_digest=wish.digest,
    )
    signed = [
        SignedResponse(
            study_id=row.study_id,
            signature_id=row.id,
            response_id=one.id,
            subject_id=row.subject_id,
            original_id=one.amends_id or one.id,
            digest=digests[one.id],
        )
        for one in found
    ]
    said = {"site": site.id, "statement": meanings.statement(wish.meaning, wish.language)}
    stated = stated_by(row, signed) | said | {"policy_accepted": not accepted}
    row.body, row.digest = canonical.encode(stated).decode(), canonical.digest(stated)
    row.seal = receipts.sign(str(row.id), row.digest, tx.now)
    tx.add(row)
    tx.session.flush()
    tx.session.add_all(signed)
    tx.session.flush()
    made = Standing(row, signed, {})
    _note(tx, participant, made)
    return made


def stated_by(row: Signature, signed: Iterable[SignedResponse]) -> dict[str, Any]:
    """What the columns of a signature say; its body says the same and more."""
    names = (
        "subject_id",
        "meaning",
        "signed_by",
        "signer_name",
        "signer_role",
        "time_zone",
        "shown_by",
        "policy",
    )
    parts = [
        {"id": str(one.response_id), "original_id": str(one.original_id), "digest": one.digest}
        for one in sorted(signed, key=lambda one: str(one.response_id))
    ]
    own = {name: getattr(row, name) for name in names}
    return own | {
        "form": content.FORM,
        "id": str(row.id),
        "study": row.study_id,
        "visit": row.visit_id,
        "signed_at": trail.instant(row.signed_at),
        "responses": parts,
    }


def _note(tx: Tx, participant: Any, made: Standing) -> None:
    """In the trail and in the feed. The name stands in the signature; the trail has the digest over it."""
    row = made.signature
    event = trail.record(
        tx,
        participant,
        "signature.made",
        "signature",
        row.id,
        digest=row.digest,
        meaning=row.meaning,
        visit=row.visit_id,
        shown_by=row.shown_by,
        responses={str(one.response_id): one.digest for one in made.signed},
    )
    trail.stream(tx, event, participant, "signature.made", {"signature": told(made)})
    participants.put_back(tx, participant)


def _visit(tx: Tx, found: Sequence[Response]) -> str | None:
    """The visit of all of them; None where there is none, or more than one."""
    query = sa.select(Occurrence.visit_id).where(
        Occurrence.study_id == found[0].study_id,
        Occurrence.id.in_({row.occurrence_id for row in found}),
    )
    visits = set(tx.session.scalars(query))
    return visits.pop() if len(visits) == 1 else None


def _name(tx: Tx) -> str:
    name = store.of(trail.INSTALLATION, f"staff/{tx.actor.id}").get("name", "")
    if not name:
        raise NoName()
    return name
