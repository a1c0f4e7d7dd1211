"""What is around resources: bundles, outcomes, and the server's statement of what it can. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from epro.export.fhir_names import CORE, RECEIPT, Json, extension
from epro.trail.entries import instant

MEDIA = "application/fhir+json"
ISSUES = {
    400: "invalid",
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    409: "conflict",
    410: "deleted",
    413: "too-long",
    415: "not-supported",
    422: "invalid",
    429: "throttled",
    503: "transient",
}
"""HTTP status -> kind of issue."""


def outcome(severity: str, kind: str, code: str, text: str, *places: str) -> Json:
    """An OperationOutcome of one issue. `code` is ours, as in docs/problems.md."""
    issue: Json = {
        "severity": severity,
        "code": kind,
        "details": {"coding": [{"system": "urn:epro:problems", "code": code}], "text": text},
        "diagnostics": text,
    }
    if places:
        issue["expression"] = list(places)
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def refusal(status: int, code: str, text: str, errors: Iterable[Mapping[str, Any]] = ()) -> Json:
    """Why something is not done."""
    told = outcome("error", ISSUES.get(status, "exception"), code, text)
    told["issue"] += [
        outcome("error", "invalid", error["code"], error["detail"])["issue"][0]
        | {"expression": [str(error["pointer"])]}
        for error in errors
    ]
    return told


def receipt_of(told: Mapping[str, Any]) -> Json:
    """A receipt as an extension; its findings are issues."""
    parts = [
        extension("outcome", valueCode=told["outcome"].replace("_", "-")),
        extension("digest", valueString=told["digest"]),
        extension("receivedAt", valueInstant=told["received_at"]),
        extension("signature", valueString=told["signature"]),
    ]
    if told["id"] is not None:
        parts.insert(0, extension("id", valueString=told["id"]))
    return {"url": RECEIPT, "extension": parts}


WORDS = {
    "stored": ("information", "informational", "The response is stored."),
    "already_stored": (
        "information",
        "informational",
        "This response was stored before; the receipt is the same.",
    ),
    "held": (
        "warning",
        "processing",
        "The response is kept whole and waits for a person; do not send it again.",
    ),
    "conflict": ("warning", "duplicate", "Another content is on file under this id; both are kept."),
}


def taken(told: Mapping[str, Any]) -> Json:
    """What became of a response that was sent in."""
    severity, kind, text = WORDS[told["outcome"]]
    told_of = outcome(severity, kind, told["outcome"], text)
    told_of["extension"] = [receipt_of(told)]
    for finding in told["findings"]:
        issue = outcome("warning", "business-rule", finding["code"], finding["detail"])["issue"][0]
        if "pointer" in finding:
            issue["expression"] = [finding["pointer"]]
        told_of["issue"].append(issue)
    return told_of


def searchset(
    resources: Iterable[Json],
    *,
    base: str,
    this: str,
    following: str | None,
    total: int | None,
    ignored: Iterable[str] = (),
) -> Json:
    """A page of what was found. `ignored`: parameters that were passed over."""
    entries: list[Json] = [
        {
            "fullUrl": f"{base}/{resource['resourceType']}/{resource['id']}",
            "resource": resource,
            "search": {"mode": "match"},
        }
        for resource in resources
    ]
    names = ", ".join(ignored)
    if names:
        passed = outcome(
            "warning", "not-supported", "bad_search", f"These parameters were passed over: {names}."
        )
        entries.append({"resource": passed, "search": {"mode": "outcome"}})
    links = [{"relation": "self", "url": this}]
    if following:
        links.append({"relation": "next", "url": following})
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        **({"total": total} if total is not None else {}),
        "link": links,
        **({"entry": entries} if entries else {}),
    }


def history(resources: list[Json], base: str) -> Json:
    """The versions of one resource, the newest first."""
    entries = [
        {
            "fullUrl": f"{base}/{one['resourceType']}/{one['id']}",
            "resource": one,
            "request": {
                "method": "POST" if one["meta"]["versionId"] == "1" else "PUT",
                "url": f"{one['resourceType']}/{one['id']}",
            },
            "response": {"status": "200", "lastModified": one["meta"]["lastUpdated"]},
        }
        for one in resources
    ]
    return {"resourceType": "Bundle", "type": "history", "total": len(entries), "entry": entries}


def capability(*, base: str, version: str, kinds: Mapping[str, Mapping[str, str]], now: datetime) -> Json:
    """What this server can. `kinds`: resource type -> its search parameters with their types."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": instant(now),
        "publisher": "epro",
        "kind": "instance",
        "instantiates": ["http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data"],
        "software": {"name": "epro", "version": version},
        "implementation": {"description": "epro, electronic patient-reported outcomes", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [
            {
                "mode": "server",
                "security": _security(base),
                "resource": [_resource(kind, params) for kind, params in kinds.items()],
                "operation": [
                    {
                        "name": "export",
                        "definition": "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export",
                    }
                ],
            }
        ],
    }


def _security(base: str) -> Json:
    uris = {
        "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
        "extension": [extension("token", valueUri=f"{base}/auth/token")],
    }
    service = {
        "coding": [
            {
                "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                "code": "SMART-on-FHIR",
            }
        ]
    }
    return {"extension": [uris], "service": [service]}


def _resource(kind: str, params: Mapping[str, str]) -> Json:
    can = ["read", "search-type"]
    if kind == "QuestionnaireResponse":
        can += ["vread", "history-instance", "create"]
    told: Json = {
        "type": kind,
        "profile": f"{CORE}/{kind}",
        "interaction": [{"code": code} for code in can],
        "versioning": "versioned" if kind == "QuestionnaireResponse" else "no-version",
        "readHistory": kind == "QuestionnaireResponse",
        "searchParam": [{"name": name, "type": sort} for name, sort in params.items()],
    }
    return told


def smart(base: str) -> Json:
    """The configuration that SMART programs look for."""
    return {
        "token_endpoint": f"{base}/auth/token",
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
        "scopes_supported": ["system/*.rs"],
        "code_challenge_methods_supported": ["S256"],
        "capabilities": ["client-confidential-asymmetric", "permission-v2"],
    }
