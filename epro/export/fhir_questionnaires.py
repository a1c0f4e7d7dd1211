"""An instrument in one language as an FHIR Questionnaire with the SDC extensions. Pure.

What is asked is what a phone gets (`instrument.localised`); to it come weights and scoring, for readers who may
see scores. Nothing is ever answered beforehand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from epro.export.fhir_branching import choice_set, enabled, path_of
from epro.export.fhir_names import (
    ABSENT_REASONS,
    CORE,
    ITEM_WEIGHT,
    ORDINAL_VALUE,
    SDC,
    WORDING,
    Json,
    choices,
    concept,
    extension,
    questionnaire_id,
    questionnaire_url,
)
from epro.export.fhir_scoring import formula
from epro.questionnaires.instrument import Instrument, Item, Scale
from epro.questionnaires.packs import ours

PLACEHOLDER = "Placeholder labels of our own, which are not the instrument's wording: not for use in a study."
NOT_APPLICABLE, DECLINED = "not-applicable", "asked-declined"


def questionnaire(
    instrument: Instrument,
    shown: Mapping[str, Any],
    *,
    base: str,
    published_at: datetime,
    scoring: bool,
) -> Json:
    """The questionnaire. `shown`: the instrument as a phone gets it, in the language meant, with its wording.

    `scoring`: weights and calculated scores too; a participant's program gets none, for it would show them to her.
    """
    language = shown["language"]
    placeholder = shown["wording"]["status"] == "placeholder"
    return {
        "resourceType": "Questionnaire",
        "id": questionnaire_id(instrument.code, instrument.version, language),
        "meta": {"lastUpdated": published_at.isoformat(timespec="milliseconds")},
        "language": language,
        "extension": _extensions(instrument, shown, scoring),
        "url": questionnaire_url(base, instrument.code, language),
        "identifier": [{"system": "urn:epro:instruments", "value": instrument.code}],
        "version": instrument.version,
        "name": _machine_name(instrument.code),
        "title": shown["title"],
        "status": "active",
        "experimental": placeholder,
        "subjectType": ["Patient"],
        "date": published_at.isoformat(timespec="milliseconds"),
        **({"description": PLACEHOLDER} if placeholder else {}),
        **({"copyright": shown["rights"]} if shown.get("rights") else {}),
        "item": [
            *(_item(instrument, item, one, shown, scoring) for item, one in _both(instrument, shown)),
            *(_score(instrument, scale, language) for scale in instrument.scales if scoring),
        ],
    }


def _both(instrument: Instrument, shown: Mapping[str, Any]) -> Iterator[tuple[Item, Json]]:
    return zip(instrument.items, shown["items"], strict=True)


def _machine_name(code: str) -> str:
    return "".join(part.capitalize() for part in code.split("_"))


def _extensions(instrument: Instrument, shown: Mapping[str, Any], scoring: bool) -> list[Json]:
    wording = shown["wording"]
    told = [extension(f"{SDC}/sdc-questionnaire-entryMode", valueCode="prior-edit")]
    told.append(extension(WORDING, valueCode=wording["status"]))
    if "version" in wording:
        told.append(extension(f"{WORDING}-version", valueString=wording["version"]))
    return told + [_constraint(instrument, check) for check in shown["checks"]]


def _constraint(instrument: Instrument, check: Mapping[str, Any]) -> Json:
    """An edit check: soft ones ask again, hard ones insist."""
    fails = path_of(instrument, check["fails_if"])
    parts = [
        extension("key", valueId=check["id"].replace("_", "-")),
        extension("severity", valueCode="warning" if check["level"] == "soft" else "error"),
        extension("expression", valueString=f"iif({fails}, false, true)"),
        extension("human", valueString=check["message"]),
    ]
    return {"url": f"{CORE}/questionnaire-constraint", "extension": parts}


def _item(instrument: Instrument, item: Item, one: Json, shown: Mapping[str, Any], scoring: bool) -> Json:
    asked = enabled(instrument, item)
    extensions = [*_control(item), *_enabled_by(asked)]
    told: Json = {
        "linkId": item.id,
        **({"extension": extensions} if extensions else {}),
        "prefix": str(item.number),
        "text": one["text"],
        "type": "integer" if item.numeric else "choice",
        **{name: value for name, value in asked.items() if name != "expression"},
        "required": item.required == "hard",
    }
    if item.numeric:
        return told | {"item": [_end(item, one, side) for side in ("lowest", "highest")]}
    offered = [_option(instrument, item, choice, scoring) for choice in one["choices"]]
    return told | {"answerOption": [*offered, *_ways_out(item, shown)]}


def _control(item: Item) -> list[Json]:
    if item.numeric:
        lowest, highest = min(item.codes), max(item.codes)
        return [
            extension(f"{CORE}/minValue", valueInteger=lowest),
            extension(f"{CORE}/maxValue", valueInteger=highest),
        ]
    system = "http://hl7.org/fhir/questionnaire-item-control"
    return [
        extension(f"{CORE}/questionnaire-itemControl", valueCodeableConcept=concept(system, "radio-button"))
    ]


def _enabled_by(asked: Json) -> list[Json]:
    if "expression" not in asked:
        return []
    return [
        extension(f"{SDC}/sdc-questionnaire-enableWhenExpression", valueExpression=_path(asked["expression"]))
    ]


def _end(item: Item, one: Json, side: str) -> Json:
    """The words at one end of a range."""
    code = "lower" if side == "lowest" else "upper"
    control = concept("http://hl7.org/fhir/questionnaire-item-control", code)
    return {
        "linkId": f"{item.id}.{code}",
        "extension": [extension(f"{CORE}/questionnaire-itemControl", valueCodeableConcept=control)],
        "text": one["range"][side]["label"],
        "type": "display",
    }


def _option(instrument: Instrument, item: Item, choice: Json, scoring: bool) -> Json:
    coding: Json = {
        "system": choices(instrument.code, choice_set(instrument, item)),
        "code": str(choice["code"]),
        "display": choice["label"],
    }
    if not scoring:
        return {"valueCoding": coding}
    weight = item.scored_codes[choice["code"]]
    coding["extension"] = [extension(ORDINAL_VALUE, valueDecimal=weight)]  # for older programs
    return {"extension": [extension(ITEM_WEIGHT, valueDecimal=weight)], "valueCoding": coding}


def _ways_out(item: Item, shown: Mapping[str, Any]) -> Iterator[Json]:
    """What may be chosen in the place of an answer."""
    offered = (
        (item.not_applicable, NOT_APPLICABLE, "not_applicable_label"),
        (item.refusable, DECLINED, "refused_label"),
    )
    for is_offered, code, label in offered:
        if is_offered:
            coding = {"system": ABSENT_REASONS, "code": code, "display": shown.get(label, code)}
            yield {"valueCoding": coding}


def _score(instrument: Instrument, scale: Scale, language: str) -> Json:
    """A scale as a hidden, calculated number; without an expression where FHIRPath does not say its method."""
    said = formula(instrument, scale)
    extensions = [extension(f"{CORE}/questionnaire-hidden", valueBoolean=True)]
    if said is not None:
        extensions += [
            extension(f"{CORE}/variable", valueExpression=_path(path, name))
            for name, path in said.variables.items()
        ]
        extensions.append(
            extension(f"{SDC}/sdc-questionnaire-calculatedExpression", valueExpression=_path(said.expression))
        )
    return {
        "linkId": f"score.{scale.name}",
        "extension": extensions,
        "code": [{"system": f"urn:epro:scores:{instrument.code}", "code": scale.name}],
        "text": ours(scale.label, language),
        "type": "decimal",
        "required": False,
        "readOnly": True,
    }


def _path(expression: str, name: str | None = None) -> Json:
    return {**({"name": name} if name else {}), "language": "text/fhirpath", "expression": expression}
