"""A QuestionnaireResponse from a phone app, read as an entry of a batch, without trusting it. Pure.

Reading never refuses: what cannot be made out goes on as it came, so that intake finds it odd and keeps it. The
resource itself stays in the entry, whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from epro.export.fhir_names import ABSENT_REASONS, DATA_ABSENT, OCCURRENCE, STARTED, ZONE, Json, canonical_of
from epro.questionnaires.conditions import NOT_ASKED
from epro.questionnaires.kinds import NOT_APPLICABLE, REFUSED
from epro.responses.submission import NOT_COMPLETED, OTHER_SUBJECT, Finding

WORDS = {
    "not-applicable": NOT_APPLICABLE,
    "asked-declined": REFUSED,
    "not-asked": NOT_ASKED,
    "asked-unknown": None,
    "unknown": None,
}
"""Why there is no value -> what we write for it."""
DEEPEST = 8  # of items within items


def entry_of(resource: Json) -> Json:
    """The entry that a response says, as `POST /v1/phone/responses` takes it."""
    named = canonical_of(_text(resource.get("questionnaire")) or "")
    code, version, language = named or (None, None, None)
    entry = {
        "id": _identifier(resource.get("identifier")),
        "occurrence_id": _occurrence(resource),
        "instrument": {"code": code, "version": version},
        "language": resource.get("language") or language,
        "answers": dict(_answers(resource.get("item"), DEEPEST)),
        "completed_at": resource.get("authored"),
        "fhir": resource,
    }
    for name, url, kinds in (
        ("started_at", STARTED, ("valueDateTime", "valueInstant")),
        ("time_zone", ZONE, ("valueCode", "valueString")),
    ):
        found = _extended(resource, url)
        if found is not None:
            entry[name] = next((found[kind] for kind in kinds if kind in found), None)
    return entry


def doubt_of(resource: Json, patient: str) -> Finding | None:
    """What keeps a response from being looked at as an answer of this patient."""
    if resource.get("status") != "completed":
        return NOT_COMPLETED
    for part in ("subject", "author", "source"):
        if part in resource and not _names(resource[part], patient):
            return OTHER_SUBJECT
    return None


def _names(reference: Any, patient: str) -> bool:
    said = _text(reference.get("reference")) if isinstance(reference, dict) else None
    return said is not None and said.rpartition("Patient/")[1:] == ("Patient/", patient)


def _answers(items: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """linkId -> answer, of items and of items within them; calculated scores are ours to make."""
    for item in items if isinstance(items, list) and depth else ():
        if not isinstance(item, dict):
            yield "", item
            continue
        name = item.get("linkId")
        if isinstance(name, str) and name.startswith("score."):
            continue
        if "item" not in item or "answer" in item:
            yield str(name), _answer(item.get("answer"))
        yield from _answers(item.get("item"), depth - 1)


def _answer(answers: Any) -> Any:
    """One answer as we write it; what is no answer of ours stays as it is, and will not fit."""
    if answers is None or answers == []:
        return None
    if not isinstance(answers, list) or len(answers) != 1 or not isinstance(answers[0], dict):
        return {"unread": answers}
    answer = answers[0]
    for kind in ("valueInteger", "valueDecimal"):
        if kind in answer:
            return answer[kind]
    if "valueCoding" in answer:
        return _coded(answer["valueCoding"])
    reason = _extended(answer, DATA_ABSENT)
    if reason is not None and reason.get("valueCode") in WORDS and not any(k != "extension" for k in answer):
        return WORDS[reason["valueCode"]]
    return {"unread": answers}


def _coded(coding: Any) -> Any:
    if not isinstance(coding, dict) or not isinstance(coding.get("code"), str):
        return {"unread": coding}
    code, system = coding["code"], coding.get("system")
    if system == ABSENT_REASONS:
        return WORDS.get(code, {"unread": coding})
    plain = code.isascii() and code.isdigit() and len(code) <= 3 and str(int(code)) == code
    ours = system is None or (isinstance(system, str) and system.startswith("urn:epro:choices:"))
    return int(code) if plain and ours else {"unread": coding}


def _identifier(value: Any) -> Any:
    """The id that the phone made, in upper or lower case, with or without `urn:uuid:`."""
    said = value.get("value") if isinstance(value, dict) else None
    return said.removeprefix("urn:uuid:").lower() if isinstance(said, str) else said


def _occurrence(resource: Json) -> str | None:
    """The Task it answers: by our extension, or as what it is based on."""
    found = _extended(resource, OCCURRENCE)
    based = resource.get("basedOn")
    references = [
        found.get("valueReference") if found else None,
        *(based if isinstance(based, list) else []),
    ]
    for reference in references:
        said = _text(reference.get("reference")) if isinstance(reference, dict) else None
        if said and "Task/" in said:
            return said.rpartition("Task/")[2]
    return None


def _extended(element: Json, url: str) -> Json | None:
    extensions = element.get("extension")
    for one in extensions if isinstance(extensions, list) else ():
        if isinstance(one, dict) and one.get("url") == url:
            return one
    return None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
