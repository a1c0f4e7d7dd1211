"""Every route of the application, written out by hand: its lock, and how to call it so that it works.

A route that stands in the application and not here fails `test_keys.py`. Whoever adds one says here who may use it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flask import Flask

from tests.cast import PASSWORD, STUDY
from tests.doors.scene import CORRECTION, SETTLEMENT, Stage

NOBODY = "00000000-0000-0000-0000-000000000000"
EVERYBODY = "nurse investigator data_manager monitor study_builder administrator"


@dataclass(frozen=True)
class Route:
    """`lock`: phone, staff, sponsor, fhir (all three), edc, hook, metrics, open; `roles` may; `body` makes it go.

    `also`: what who may come in is answered besides, where the body or the name means nothing.
    """

    lock: str
    roles: str = ""
    body: Any = None
    query: str = ""
    names: dict[str, Callable[[Stage], Any]] = field(default_factory=dict)
    also: tuple[int, ...] = ()


def _enrolment(site: str = "01") -> dict[str, Any]:
    return {
        "study": STUDY,
        "site": site,
        "language": "en",
        "time_zone": "Asia/Shanghai",
        "anchors": {"enrolment": "2026-03-04"},
    }


DEVICE = {"installation_id": "an installation", "platform": "test"}
ANCHOR = {"anchor": "infusion", "date": "2026-03-20", "reason": "as it happened"}
EDC_DAY = {"subject_id": "DIARY-0001", "anchor": "infusion", "date": "2026-03-20"}
SUBJECT = {"subject_id": lambda stage: stage.ada.subject_id}
OCCURRENCE = {"occurrence_id": lambda stage: stage.ada.occurrence}
EXCUSE = {"reason": "in_hospital", "note": "since Monday"}
DAYS = {"first_day": "2026-03-02", "last_day": "2026-03-05"}
EXCUSED_DAYS = {**EXCUSE, **DAYS}
ALERT = {"alert_id": lambda stage: stage.ada.alert}
SET_ASIDE = {"set_aside_id": lambda stage: stage.ada.set_aside}
REASON = {"reason": "as the protocol says"}
QUERY = {"query_id": lambda stage: stage.ada.query}
SIGNING = {"meaning": "reviewed", "accepts_policy": True, "password": PASSWORD}
EXPORTING = "investigator data_manager machine"
EXPORT = {"job_id": lambda stage: stage.exports["machine"]}
CDISC = {
    "study_oid": lambda _: f"STDY.{STUDY}",
    "label": lambda _: "first",
    "dataset_oid": lambda _: "IG.QSFD",
    "name": lambda _: "define",
}

SUBSCRIPTION = {
    "endpoint": "https://push.example.org/one",
    "keys": {
        "p256dh": "BGsX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKWT-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU",
        "auth": "AAAAAAAAAAAAAAAAAAAAAA",
    },
}
ROUTES: dict[tuple[str, str], Route] = {
    ("POST", "/v1/phone/activate"): Route(
        "open", body={"activation_code": "00000-00000-00000", "device": DEVICE}
    ),
    ("POST", "/v1/phone/token"): Route("open", body={"refresh_token": "none of ours"}),
    ("POST", "/v1/phone/logout"): Route("phone", body={}),
    ("GET", "/v1/phone/me"): Route("phone"),
    ("PATCH", "/v1/phone/me"): Route("phone", body={"language": "en"}),
    ("GET", "/v1/phone/changes"): Route("phone"),
    ("POST", "/v1/phone/occurrences"): Route("phone", body={"assessment": "flare"}),
    ("POST", "/v1/phone/occurrences/<uuid:occurrence_id>/snooze"): Route(
        "phone", body={"minutes": 5}, names={"occurrence_id": lambda stage: stage.ada.occurrence}
    ),
    ("GET", "/v1/phone/instruments/<code>/<version>"): Route(
        "phone", names={"code": lambda _: "fatigue_diary", "version": lambda _: "1.0"}
    ),
    ("POST", "/v1/phone/responses"): Route("phone", body={"responses": []}),
    ("GET", "/v1/phone/responses/<uuid:response_id>/proof"): Route(
        "phone", names={"response_id": lambda stage: stage.ada.stored["id"]}
    ),
    ("GET", "/v1/phone/drafts/<uuid:occurrence_id>"): Route(
        "phone", names={"occurrence_id": lambda stage: stage.ada.occurrence}
    ),
    ("PUT", "/v1/phone/drafts/<uuid:occurrence_id>"): Route(
        "phone", body={"answers": {}}, names={"occurrence_id": lambda stage: stage.ada.occurrence}
    ),
    ("GET", "/v1/phone/push-key"): Route("phone"),
    ("PUT", "/v1/phone/push-subscription"): Route("phone", body=SUBSCRIPTION),
    ("DELETE", "/v1/phone/push-subscription"): Route("phone"),
    ("GET", "/v1/phone/messages"): Route("phone"),
    ("POST", "/v1/phone/calendar"): Route("phone"),
    ("DELETE", "/v1/phone/calendar"): Route("phone"),
    ("GET", "/calendar/<link>.ics"): Route("open", names={"link": lambda _: "none-of-ours"}),
    ("POST", "/v1/site/participants/search"): Route(
        "staff", "nurse investigator", body={"phone": "+8613900000001"}
    ),
    ("POST", "/v1/site/participants/<subject_id>/calendar"): Route(
        "staff", "nurse investigator", names=SUBJECT
    ),
    ("POST", "/v1/site/participants/<subject_id>/calendar/revocation"): Route(
        "staff", "nurse investigator", body=REASON, names=SUBJECT
    ),
    ("GET", "/v1/site/responses/<uuid:response_id>/proof"): Route(
        "staff",
        "nurse investigator data_manager monitor",
        names={"response_id": lambda stage: stage.ada.stored["id"]},
    ),
    ("POST", "/v1/site/participants/<subject_id>/notes"): Route(
        "staff", "nurse investigator", body={"note": "prefers the evening"}, names=SUBJECT
    ),
    ("POST", "/v1/site/participants/<subject_id>/contact"): Route(
        "staff", "nurse investigator", body={"phone": "+8613900000001", **REASON}, names=SUBJECT
    ),
    ("POST", "/v1/site/participants/<subject_id>/rights-requests"): Route(
        "staff",
        "nurse investigator",
        body={"kind": "access", "asked_on": "2026-03-01", "text": "what is kept of me?"},
        names=SUBJECT,
    ),
    ("POST", "/v1/site/participants/<subject_id>/own-data"): Route(
        "staff", "investigator", body=REASON, names=SUBJECT
    ),
    ("GET", "/v1/site/rights-requests"): Route("staff", "nurse investigator"),
    ("POST", "/v1/site/rights-requests/<uuid:request_id>/answer"): Route(
        "staff",
        "investigator",
        body={"outcome": "refused", **REASON},
        names={"request_id": lambda stage: stage.ada.rights_request},
    ),
    ("POST", "/v1/site/participants/<subject_id>/restriction/end"): Route(
        "staff", "investigator", body=REASON, names=SUBJECT
    ),
    ("POST", "/v1/site/participants/<subject_id>/erasure"): Route(
        "staff", "investigator", body=REASON, names=SUBJECT
    ),
    ("POST", "/v1/phone/confirmations"): Route("phone", body={"notifications": []}),
    ("POST", "/v1/staff/login"): Route(
        "open", body={"email": "nobody@example.org", "password": "not a password"}
    ),
    ("POST", "/v1/staff/token"): Route("open", body={"refresh_token": "none of ours"}),
    ("POST", "/v1/staff/logout"): Route("staff", EVERYBODY, body={}),
    ("GET", "/v1/staff/me"): Route("staff", EVERYBODY),
    ("POST", "/v1/staff/passkey/challenge"): Route("open", body={}),
    ("POST", "/v1/staff/passkey/login"): Route("open", body={"ticket": "none of ours", "credential": {}}),
    ("POST", "/v1/staff/recovery"): Route("open", body={"email": "nobody@example.org"}),
    ("POST", "/v1/staff/recovery/completion"): Route(
        "open", body={"link": "none of ours", "password": "a password of nobody's"}
    ),
    ("POST", "/v1/staff/me/step-up"): Route("staff", EVERYBODY, body={"password": PASSWORD}),
    ("POST", "/v1/staff/me/password"): Route("staff", EVERYBODY, body={"password": PASSWORD}),
    ("POST", "/v1/staff/me/totp"): Route("staff", EVERYBODY, body={}),
    ("POST", "/v1/staff/me/totp/confirmation"): Route(
        "staff", EVERYBODY, body={"otp": "000000"}, also=(422,)
    ),
    ("POST", "/v1/staff/me/recovery-codes"): Route("staff", EVERYBODY, body={}),
    ("GET", "/v1/staff/me/passkeys"): Route("staff", EVERYBODY),
    ("POST", "/v1/staff/me/passkeys/challenge"): Route("staff", EVERYBODY, body={}),
    ("POST", "/v1/staff/me/passkeys"): Route(
        "staff", EVERYBODY, body={"ticket": "no", "credential": {}}, also=(401,)
    ),
    ("DELETE", "/v1/staff/me/passkeys/<uuid:passkey_id>"): Route(
        "staff", EVERYBODY, names={"passkey_id": lambda _: NOBODY}, also=(404,)
    ),
    ("GET", "/v1/staff/me/sessions"): Route("staff", EVERYBODY),
    ("DELETE", "/v1/staff/me/sessions/<uuid:session_id>"): Route(
        "staff", EVERYBODY, names={"session_id": lambda _: NOBODY}, also=(404,)
    ),
    ("GET", "/v1/staff/accounts"): Route("staff", "administrator"),
    ("POST", "/v1/staff/accounts"): Route(
        "staff",
        "administrator",
        body={"email": "newcomer@example.org", "name": "N", "roles": [{"study": STUDY, "role": "nurse"}]},
    ),
    **{
        ("POST", f"/v1/staff/accounts/<uuid:staff_id>/{rest}"): Route(
            "staff", "administrator", body=body, names={"staff_id": lambda _: NOBODY}, also=(404,)
        )
        for rest, body in {
            "invitation": {},
            "identity-invitation": {},
            "roles": {"study": STUDY, "role": "nurse"},
            "roles/revocation": {"study": STUDY, "role": "nurse", "reason": "moved"},
            **{
                act: {"reason": "asked for"}
                for act in ("sessions/end", "unlocking", "factors/reset", "closing", "identity-removal")
            },
        }.items()
    },
    ("GET", "/v1/site/participants"): Route("staff", "nurse investigator data_manager monitor"),
    ("POST", "/v1/site/participants"): Route("staff", "nurse investigator", body=_enrolment()),
    ("GET", "/v1/site/participants/<subject_id>"): Route(
        "staff", "nurse investigator data_manager monitor", names=SUBJECT
    ),
    ("POST", "/v1/site/participants/<subject_id>/activation-code"): Route(
        "staff", "nurse investigator", body={}, names=SUBJECT
    ),
    ("POST", "/v1/site/participants/<subject_id>/anchors"): Route(
        "staff", "nurse investigator", body=ANCHOR, query="?preview=true", names=SUBJECT
    ),
    ("POST", "/v1/site/participants/<subject_id>/arm"): Route(
        "staff", "nurse investigator", body={"arm": "active", **REASON}, query="?preview=true", names=SUBJECT
    ),
    ("POST", "/v1/site/participants/<subject_id>/language"): Route(
        "staff", "nurse investigator", body={"language": "en", **REASON}, query="?preview=true", names=SUBJECT
    ),
    ("POST", "/v1/site/participants/<subject_id>/time-zone"): Route(
        "staff",
        "nurse investigator",
        body={"time_zone": "Asia/Tokyo", **REASON},
        query="?preview=true",
        names=SUBJECT,
    ),  # fmt: skip
    ("POST", "/v1/site/participants/<subject_id>/message-settings"): Route(
        "staff", "nurse investigator", body={"daily_cap": 3, **REASON}, names=SUBJECT
    ),
    ("POST", "/v1/site/participants/<subject_id>/excuses"): Route(
        "staff", "nurse investigator", body=EXCUSED_DAYS, query="?preview=true", names=SUBJECT
    ),
    ("POST", "/v1/site/participants/<subject_id>/excuses/take-back"): Route(
        "staff", "nurse investigator", body={**DAYS, **REASON}, query="?preview=true", names=SUBJECT
    ),
    ("POST", "/v1/site/occurrences/<uuid:occurrence_id>/excuse"): Route(
        "staff", "nurse investigator", body=EXCUSE, names=OCCURRENCE, also=(409,)
    ),
    ("POST", "/v1/site/occurrences/<uuid:occurrence_id>/take-back"): Route(
        "staff", "nurse investigator", body=REASON, names=OCCURRENCE, also=(409,)
    ),
    ("POST", "/v1/site/participants/<subject_id>/withdrawal"): Route(
        "staff", "nurse investigator", body=REASON, names=SUBJECT
    ),
    ("POST", "/v1/site/participants/<subject_id>/devices/<uuid:device_id>/revocation"): Route(
        "staff",
        "nurse investigator administrator",
        body=REASON,
        names={**SUBJECT, "device_id": lambda stage: stage.ada.device},
    ),
    ("GET", "/v1/site/participants/<subject_id>/timeline"): Route(
        "staff", "nurse investigator data_manager monitor", names=SUBJECT
    ),
    ("GET", "/v1/site/participants/<subject_id>/why"): Route(
        "staff", "nurse investigator data_manager monitor", names=SUBJECT
    ),
    ("GET", "/v1/site/participants/<subject_id>/endpoints"): Route(
        "staff", "nurse investigator data_manager monitor", names=SUBJECT
    ),
    ("GET", "/v1/site/participants/<subject_id>/weeks/<assessment>/<int:number>"): Route(
        "staff",
        "nurse investigator data_manager monitor",
        names={**SUBJECT, "assessment": lambda stage: "evening", "number": lambda stage: 1},
    ),
    ("GET", "/v1/site/responses/<uuid:response_id>/scores"): Route(
        "staff",
        "nurse investigator data_manager monitor",
        names={"response_id": lambda stage: stage.ada.response},
    ),
    ("GET", "/v1/site/alerts"): Route("staff", "nurse investigator"),
    ("POST", "/v1/site/alerts/<uuid:alert_id>/acknowledgement"): Route(
        "staff", "nurse investigator", body={}, names=ALERT
    ),
    ("POST", "/v1/site/alerts/<uuid:alert_id>/resolution"): Route(
        "staff", "nurse investigator", body={"outcome": "reached"}, names=ALERT
    ),
    ("GET", "/v1/site/alerts/<uuid:alert_id>"): Route("staff", "nurse investigator", names=ALERT),
    ("POST", "/v1/site/alerts/<uuid:alert_id>/contact-attempts"): Route(
        "staff", "nurse investigator", body={"channel": "phone", "outcome": "no_answer"}, names=ALERT
    ),
    ("POST", "/v1/site/alerts/<uuid:alert_id>/notes"): Route(
        "staff", "nurse investigator", body={"note": "rings back"}, names=ALERT
    ),
    ("POST", "/v1/site/alerts/<uuid:alert_id>/hand-over"): Route(
        "staff", "nurse investigator", body={"to": NOBODY}, names=ALERT
    ),
    ("POST", "/v1/site/alerts/<uuid:alert_id>/reopening"): Route(
        "staff", "nurse investigator", body=REASON, names=ALERT
    ),
    ("GET", "/v1/site/at-risk"): Route("staff", "nurse investigator"),
    ("GET", "/v1/site/alert-metrics"): Route("staff", "nurse investigator"),
    ("GET", "/v1/site/responses/<uuid:response_id>"): Route(
        "staff",
        "nurse investigator data_manager monitor",
        names={"response_id": lambda stage: stage.ada.response},
    ),
    ("POST", "/v1/site/responses/<uuid:response_id>/amendments"): Route(
        "staff", "investigator", body=CORRECTION, names={"response_id": lambda stage: stage.ada.response}
    ),
    ("POST", "/v1/site/responses/<uuid:response_id>/signatures"): Route(
        "staff",
        "investigator",
        body=SIGNING,
        names={"response_id": lambda stage: stage.ada.response},
        also=(409,),
    ),
    ("POST", "/v1/site/signatures"): Route(
        "staff", "investigator", body={**SIGNING, "responses": [str(NOBODY)]}, also=(404,)
    ),
    ("GET", "/v1/site/signatures"): Route("staff", "nurse investigator data_manager monitor"),
    ("GET", "/v1/site/signatures/<uuid:signature_id>"): Route(
        "staff",
        "nurse investigator data_manager monitor",
        names={"signature_id": lambda stage: stage.ada.signature},
    ),
    ("GET", "/v1/site/unsigned"): Route("staff", "investigator"),
    ("POST", "/v1/site/responses/<uuid:response_id>/queries"): Route(
        "staff",
        "data_manager monitor",
        body={"text": "why?"},
        names={"response_id": lambda stage: stage.ada.response},
    ),
    ("GET", "/v1/site/queries"): Route("staff", "nurse investigator data_manager monitor"),
    ("GET", "/v1/site/queries/<uuid:query_id>"): Route(
        "staff", "nurse investigator data_manager monitor", names=QUERY
    ),
    ("POST", "/v1/site/queries/<uuid:query_id>/answer"): Route(
        "staff", "nurse investigator", body={"text": "so it was"}, names=QUERY
    ),
    ("POST", "/v1/site/queries/<uuid:query_id>/question"): Route(
        "staff", "data_manager monitor", body={"text": "when?"}, names=QUERY, also=(409,)
    ),
    ("POST", "/v1/site/queries/<uuid:query_id>/closure"): Route(
        "staff", "data_manager", body={}, names=QUERY, also=(409,)
    ),
    ("GET", "/v1/site/set-aside"): Route("staff", "nurse investigator data_manager monitor"),
    ("GET", "/v1/site/set-aside/<uuid:set_aside_id>"): Route(
        "staff", "nurse investigator data_manager monitor", names=SET_ASIDE
    ),
    ("POST", "/v1/site/set-aside/<uuid:set_aside_id>/settlement"): Route(
        "staff", "investigator", body=SETTLEMENT, names=SET_ASIDE
    ),
    ("GET", "/v1/site/compliance"): Route("staff", "nurse investigator data_manager monitor"),
    ("GET", "/v1/sponsor/feed"): Route("sponsor", "data_manager machine"),
    ("POST", "/v1/edc/anchors"): Route("edc", body={"anchors": [EDC_DAY]}, query="?preview=true"),
    ("GET", "/fhir/r4/metadata"): Route("open"),
    ("GET", "/fhir/r4/.well-known/smart-configuration"): Route("open"),
    ("POST", "/fhir/r4/auth/token"): Route("open", body={}),
    ("GET", "/fhir/r4/<kind>"): Route("fhir", names={"kind": lambda _: "ResearchStudy"}),
    ("GET", "/fhir/r4/<kind>/<name>"): Route(
        "fhir", names={"kind": lambda _: "ResearchStudy", "name": lambda _: STUDY}
    ),
    ("GET", "/fhir/r4/QuestionnaireResponse/<name>/_history"): Route(
        "fhir", names={"name": lambda stage: stage.ada.response}
    ),
    ("GET", "/fhir/r4/QuestionnaireResponse/<name>/_history/<number>"): Route(
        "fhir", names={"name": lambda stage: stage.ada.response, "number": lambda _: 1}
    ),
    ("POST", "/fhir/r4/QuestionnaireResponse"): Route("fhir", body={}),
    ("GET", "/fhir/r4/$export"): Route("fhir"),
    ("GET", "/fhir/r4/Group/<study>/$export"): Route("fhir", names={"study": lambda _: STUDY}),
    ("GET", "/fhir/r4/bulk/<uuid:export_id>"): Route("fhir", names={"export_id": lambda _: NOBODY}),
    ("GET", "/fhir/r4/bulk/<uuid:export_id>/<kind>.ndjson"): Route(
        "fhir", names={"export_id": lambda _: NOBODY, "kind": lambda _: "Patient"}
    ),
    ("DELETE", "/fhir/r4/bulk/<uuid:export_id>"): Route("fhir", names={"export_id": lambda _: NOBODY}),
    ("POST", "/v1/sponsor/exports"): Route("sponsor", EXPORTING, body={"format": "csv"}),
    ("GET", "/v1/sponsor/exports/<uuid:job_id>"): Route("sponsor", EXPORTING, names=EXPORT),
    ("GET", "/v1/sponsor/exports/<uuid:job_id>/file"): Route("sponsor", EXPORTING, names=EXPORT),
    ("GET", "/v1/sponsor/exports/<format>"): Route("sponsor", EXPORTING, names={"format": lambda _: "csv"}),
    ("GET", "/cdisc/dataset-json/about"): Route("sponsor", f"{EVERYBODY} machine"),
    ("GET", "/cdisc/dataset-json/studies"): Route("sponsor", EXPORTING),
    **{
        ("GET", f"/cdisc/dataset-json/studies/<study_oid>{rest}"): Route("sponsor", EXPORTING, names=CDISC)
        for rest in (
            *("", "/snapshots", "/snapshots/<label>", "/snapshots/<label>/datasets/<dataset_oid>"),
            *("/datasets", "/datasets/<dataset_oid>", "/defines", "/defines/<name>"),
        )
    },
    ("GET", "/v1/sponsor/manifests/<day>"): Route(
        "sponsor", "data_manager machine", names={"day": lambda _: "2026-03-01"}
    ),
    ("GET", "/v1/sponsor/checkpoints"): Route("sponsor", "investigator data_manager monitor machine"),
    ("POST", "/hooks/twilio/status"): Route("hook"),
    ("POST", "/hooks/twilio/inbound"): Route("hook"),
    ("POST", "/hooks/aliyun/status"): Route("hook"),
    ("GET", "/metrics"): Route("metrics"),
    ("GET", "/healthz"): Route("open"),
    ("GET", "/readyz"): Route("open"),
    ("GET", "/v1/keys"): Route("open"),
    ("GET", "/openapi.json"): Route("open"),
    ("GET", "/docs"): Route("open"),
    ("GET", "/docs/init.js"): Route("open"),
    ("GET", "/docs/assets/<name>"): Route("open", names={"name": lambda _: "swagger-ui.css"}),
}


def in_the_application(app: Flask) -> set[tuple[str, str]]:
    """Method and rule of every route, but for what Flask answers by itself."""
    return {
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def path_of(rule: str, stage: Stage, **names: Any) -> str:
    """The address of a route; `names` go before those of the table."""
    path = rule
    for method, known in ROUTES:
        if known == rule:
            for name, find in ROUTES[method, rule].names.items():
                value = str(names[name] if name in names else find(stage))
                for kind in ("", "uuid:", "int:"):
                    path = path.replace(f"<{kind}{name}>", value)
    assert "<" not in path, f"the table gives no value for a name in {rule}"
    return path
