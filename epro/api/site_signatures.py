"""The site: electronic signatures. Investigators sign; whoever may read responses reads them; no sponsor signs."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from epro.api import looking, telling, telling_signatures
from epro.api.door import actor, coming, guesses
from epro.api.schemas import ListIn
from epro.api.schemas_signatures import (
    ManySigningIn,
    OneSigningIn,
    SignatureOut,
    SignaturesIn,
    SignaturesOut,
    UnsignedOut,
)
from epro.api.site import site
from epro.errors import NotAllowed
from epro.responses import correcting
from epro.responses.models import Response
from epro.signin import staff
from epro.signing import signatures
from epro.signing.models import Signature, SignatureBreak
from epro.studies import access
from epro.tx import begin, look


@site.post("/responses/<uuid:response_id>/signatures")
@guesses
@site.arguments(OneSigningIn)
@site.response(200, SignatureOut)
def sign_one(wanted: dict[str, Any], response_id: UUID) -> dict[str, Any]:
    """Sign a response as it is now, with its scores. Who signs shows once more who she is: with this request
    (`password`, `otp`), or by a step-up just before it, which is good for one signature.
    """
    with look(actor()) as tx:
        found = correcting.find(tx, response_id, signatures.SIGN)
        now = correcting.versions(tx, found.study_id, found.id)[-1].id
    if wanted.pop("current", now) != now:
        raise correcting.NotCurrent()
    return sign((now,), wanted)


@site.post("/signatures")
@guesses
@site.arguments(ManySigningIn)
@site.response(200, SignatureOut)
def sign_many(wanted: dict[str, Any]) -> dict[str, Any]:
    """Sign all of a visit at once, or any responses of one participant: one signature under all of them."""
    return sign(tuple(wanted.pop("responses")), wanted)


@site.get("/signatures")
@site.arguments(SignaturesIn, location="query")
@site.response(200, SignaturesOut)
def all_signatures(asked: dict[str, Any]) -> dict[str, Any]:
    """Signatures at your sites, the newest first."""
    access.allow(actor(), "response.read")
    broken = sa.exists().where(
        SignatureBreak.study_id == Signature.study_id, SignatureBreak.signature_id == Signature.id
    )
    with look(actor()) as tx:
        query = sa.select(Signature).where(access.visible(actor(), "response.read", Signature))
        if "subject_id" in asked:
            query = query.where(Signature.subject_id == asked["subject_id"])
        if "broken" in asked:
            query = query.where(broken if asked["broken"] else ~broken)
        query = telling.asked_for(query, Signature, asked).order_by(Signature.signed_at.desc(), Signature.id)
        rows = tx.all(query.limit(asked["limit"] + 1).offset(asked["offset"]))
        found = signatures.standing(tx, rows[: asked["limit"]])
        told = [telling_signatures.signature(tx, one) for one in found]
        for one in found:
            looking.at_row(one.signature, "record")
        return {"signatures": told, "more": len(rows) > len(told)}


@site.get("/signatures/<uuid:signature_id>")
@site.response(200, SignatureOut)
def one_signature(signature_id: UUID) -> dict[str, Any]:
    """One signature with everything under it, and whether it holds."""
    with look(actor()) as tx:
        found = signatures.find(tx, signature_id)
        looking.at_row(found.signature, "answers")
        return telling_signatures.signature(tx, found)


@site.get("/unsigned")
@site.arguments(ListIn, location="query")
@site.response(200, UnsignedOut)
def unsigned(asked: dict[str, Any]) -> dict[str, Any]:
    """What waits for a signature at your sites: responses under which none holds, the oldest first."""
    access.allow(actor(), signatures.SIGN)
    with look(actor()) as tx:
        query = telling.asked_for(signatures.waiting(tx), Response, asked)
        query = query.order_by(Response.received_at, Response.id)
        rows = tx.all(query.limit(asked["limit"] + 1).offset(asked["offset"]))
        told = telling_signatures.unsigned(tx, rows[: asked["limit"]])
        return {"responses": told, "more": len(rows) > len(told)}


def sign(responses: tuple[UUID, ...], wanted: dict[str, Any]) -> dict[str, Any]:
    """Sign these revisions; she shows who she is with this request, or has just done so."""
    with look(actor()) as tx:
        for one in responses:
            correcting.find(tx, one, signatures.SIGN)  # nobody shows who she is for nothing
    password, otp = wanted.pop("password", None), wanted.pop("otp", None)
    if password is not None:
        prove(password, otp)
    wish = signatures.Wish(responses, **wanted)
    try:
        with begin(actor()) as tx:
            made = signatures.sign(tx, wish, proved_now=password is not None)
            return telling_signatures.signature(tx, made)
    except IntegrityError:  # an id that stands where nothing can be seen from here
        raise correcting.IdTaken() from None


def prove(password: str, otp: str | None) -> None:
    """She shows once more who she is, in an act of its own: a wrong one counts. Raises SignInRefused."""
    if actor().kind != "staff":
        raise NotAllowed()
    fits = staff.is_password(UUID(actor().id), password)
    with begin(actor()) as tx:
        shown = staff.prove(tx, fits, otp, coming())
    if not shown:
        raise staff.SignInRefused()
