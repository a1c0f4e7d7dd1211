"""FHIR R4: reading what one may see, handing in answers from a phone app built on FHIR, tokens for machines.

`CapabilityStatement` at /fhir/r4/metadata is this door's description; it stands in no OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlencode

import orjson
from flask import Response, request

from epro import canonical, clock, config, db
from epro.api import looking, wakeup
from epro.api.door import Door, actor, address, failed, fhir_lock, hold_back, limiter
from epro.api.phone import LARGEST_ENTRY, take_in
from epro.errors import BadJson, NotAllowed, NotFound, TooLarge
from epro.export import fhir_documents, fhir_search
from epro.export.fhir_documents import MEDIA
from epro.export.fhir_entries import doubt_of, entry_of
from epro.export.fhir_names import Json, patient_id, study_of
from epro.exporting import fhir_library, fhir_reading
from epro.responses.receipts import ALREADY, STORED
from epro.responses.submission import sent_at
from epro.signin import machines
from epro.studies import access
from epro.studies.models import Participant
from epro.tx import Tx, begin, look, system

door = Door("fhir", "/fhir/r4", "FHIR R4", fhir_lock, open_doors=("metadata", "smart_configuration", "token"))

OF_A_PHONE = frozenset(
    {
        "Questionnaire",
        "QuestionnaireResponse",
        "Task",
        "Patient",
        "ResearchStudy",
        "ResearchSubject",
        "Organization",
        "Location",
    }
)
"""What a participant's own phone may read; no scores, and no trail."""
KINDS: dict[str, Mapping[str, str]] = {
    "Questionnaire": fhir_library.TYPES,
    **{kind: source.types for kind, source in fhir_reading.SOURCES.items()},
}


def base() -> str:
    """The public address of this door."""
    return f"{db.settings()['PUBLIC_URL']}/fhir/r4"


@door.get("/metadata")
def metadata() -> Response:
    """What this server can."""
    known = {kind: {**fhir_search.COMMON, **types} for kind, types in KINDS.items()}
    told = fhir_documents.capability(base=base(), version=config.VERSION, kinds=known, now=clock.now())
    return _answer(told)


@door.get("/.well-known/smart-configuration")
def smart_configuration() -> Response:
    """Where machines get their tokens."""
    return Response(orjson.dumps(fhir_documents.smart(base())), content_type="application/json")


@door.post("/auth/token")
@limiter.limit("20/minute;200/hour", deduct_when=failed)
def token() -> Response:
    """A token of a few minutes for a machine that signs for it (SMART backend services)."""
    form = {name: value for name, value in request.form.items() if "\x00" not in value}
    try:
        with begin(system("door")) as tx:
            told = machines.token_for(tx, form, {f"{base()}/auth/token", base()}, address())
    except machines.FromElsewhere as refused:
        with begin(system("door")) as tx:
            machines.note_elsewhere(tx, refused.key_id)
        raise
    except (machines.AssertionRefused, machines.ScopeRefused, machines.GrantRefused) as refused:
        body = {"error": refused.code, "error_description": refused.detail}
        return Response(orjson.dumps(body), refused.status, content_type="application/json")
    return Response(
        orjson.dumps(told), content_type="application/json", headers={"Cache-Control": "no-store"}
    )


@door.get("/<kind>")
def search(kind: str) -> Response:
    """A page of the resources of one kind that fit the parameters."""
    _check_kind(kind)
    strict = "handling=strict" in request.headers.get("Prefer", "").replace(" ", "")
    known = {**fhir_search.COMMON, **KINDS[kind]}
    asked = fhir_search.read(request.args.items(multi=True), known, strict=strict)
    with look(actor()) as tx:
        _may_read(tx, kind)
        found = fhir_library.page(tx, asked, base()) if kind == "Questionnaire" else _page(tx, kind, asked)
    _look(found.resources)
    pairs = [pair for pair in request.args.items(multi=True) if pair[0] not in asked.ignored]
    this = f"{base()}/{kind}"
    here = f"{this}?{urlencode(pairs)}" if pairs else this
    onward = [pair for pair in pairs if pair[0] != "_cursor"] + [("_cursor", found.following or "")]
    following = f"{this}?{urlencode(onward)}" if found.following else None
    return _answer(
        fhir_documents.searchset(
            found.resources,
            base=base(),
            this=here,
            following=following,
            total=found.total,
            ignored=sorted(set(asked.ignored)),
        )
    )


@door.get("/<kind>/<name>")
def read(kind: str, name: str) -> Response:
    """One resource."""
    _check_kind(kind)
    with look(actor()) as tx:
        _may_read(tx, kind)
        found = (
            fhir_library.one(tx, name, base())
            if kind == "Questionnaire"
            else fhir_reading.one(tx, kind, name, base())
        )
    if found is None:
        raise NotFound()
    _look([found])
    return _resource(found)


@door.get("/QuestionnaireResponse/<name>/_history")
def history(name: str) -> Response:
    """Every version of a response: the first as it came, then each correction. The newest stands first."""
    found = _versions(name)
    return _answer(fhir_documents.history(found[::-1], base()))


@door.get("/QuestionnaireResponse/<name>/_history/<number>")
def version(name: str, number: str) -> Response:
    """One version of a response."""
    found = [one for one in _versions(name) if one["meta"]["versionId"] == number]
    if not found:
        raise NotFound()
    return _resource(found[0])


@door.post("/QuestionnaireResponse")
def take_response() -> Response:
    """Hand in answers, as POST /v1/phone/responses does: taken in once, with a receipt, and nothing is dropped."""
    if actor().kind != "participant":
        raise NotAllowed("Answers come from a participant's phone.")
    hold_back()
    arrived_at, resource = clock.now(), _sent()
    patient = patient_id(actor().study_id or "", actor().subject_id or "")
    receipt = take_in(
        entry_of(resource),
        sent_at(request.headers.get("Epro-Sent-At")),
        arrived_at,
        doubt_of(resource, patient),
    )
    wakeup.feed()
    told = receipt.told()
    status = {STORED: 201, ALREADY: 200}.get(receipt.outcome, 202)
    answer = _answer(_preferred(told), status)
    filed = receipt.outcome in (STORED, ALREADY)
    if filed:
        answer.headers["Location"] = f"{base()}/QuestionnaireResponse/{receipt.id}/_history/1"
    answer.headers["Epro-Outcome"], answer.headers["Epro-Digest"] = receipt.outcome, receipt.digest
    answer.headers["Epro-Received-At"] = told["received_at"]
    answer.headers["Epro-Signature"] = receipt.signature
    return answer


def _preferred(told: Json) -> Json:
    """The outcome with the receipt; the stored response, with the receipt in it, for who prefers that."""
    wanted = "return=representation" in request.headers.get("Prefer", "").replace(" ", "")
    if wanted and told["outcome"] in (STORED, ALREADY):
        with look(actor()) as tx:
            found = fhir_reading.one(tx, "QuestionnaireResponse", told["id"], base())
        if found is not None:
            return found | {"extension": [*found["extension"], fhir_documents.receipt_of(told)]}
    return fhir_documents.taken(told)


def _sent() -> Json:
    raw = request.get_data(cache=True)
    if len(raw) > LARGEST_ENTRY:
        raise TooLarge(f"A response holds at most {LARGEST_ENTRY // 1024} KiB.")
    resource = canonical.decode(raw)
    if not isinstance(resource, dict) or resource.get("resourceType") != "QuestionnaireResponse":
        raise BadJson("The body is not a QuestionnaireResponse.")
    return resource


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise NotFound("There are no resources of this kind here.")


def _may_read(tx: Tx, kind: str) -> None:
    """Raise NotAllowed for a kind that is not for the actor, and for whoever has left the study."""
    who = tx.actor
    if who.kind != "participant":
        wanted = "instrument.read" if kind == "Questionnaire" else fhir_reading.SOURCES[kind].permission
        access.allow(who, wanted)
        return
    here = tx.get(Participant, who.study_id, who.subject_id)
    if kind not in OF_A_PHONE or here is None:
        raise NotAllowed()
    if here.withdrawn_at is not None:
        raise NotAllowed("Participation has ended.")


def _page(tx: Tx, kind: str, asked: fhir_search.Search) -> fhir_reading.Page:
    return fhir_reading.page(tx, kind, asked, base())


def _versions(name: str) -> list[Json]:
    with look(actor()) as tx:
        _may_read(tx, "QuestionnaireResponse")
        found = fhir_reading.versions_of(tx, name, base())
    if not found:
        raise NotFound()
    _look(found)
    return found


def _look(resources: list[Json]) -> None:
    """Of whom these are: of one, of several, or of nobody."""
    patients = {
        one["id"] if one["resourceType"] == "Patient" else one.get("subject", {}).get("reference", "")
        for one in resources
    }
    found = {study_of(name.rpartition("/")[2]) for name in patients if name} - {None}
    for study_id in {place[0] for place in found if place}:
        hers = {place[1] for place in found if place and place[0] == study_id}
        looking.at(study_id, hers.pop() if len(hers) == 1 else None, "fhir", resources[0]["resourceType"])


def _answer(told: Json, status: int = 200) -> Response:
    return Response(orjson.dumps(told), status, content_type=MEDIA)


def _resource(told: Json) -> Response:
    """One resource with its version, so that it is not fetched again unchanged."""
    answer = _answer(told)
    answer.set_etag(told["meta"].get("versionId") or canonical.digest(told)[:32], weak=True)
    answer.last_modified = datetime.fromisoformat(told["meta"]["lastUpdated"])
    answer.make_conditional(request)
    return answer
