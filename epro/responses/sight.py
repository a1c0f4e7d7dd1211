"""What a role may see of scores, of what was answered, and of alerts on answers; whoever tells them asks here first.

A digest of few possible answers tells the one, and so can a remark of an edit check: from whom scores are hidden,
both are. What an instrument flags as blinded is withheld from every person.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from epro.questionnaires import catalogue
from epro.scheduling import protocols
from epro.scheduling.models import Occurrence
from epro.scheduling.protocol import Protocol
from epro.studies import access
from epro.tx import Actor, Tx


def hides_scores(actor: Actor, protocol: Protocol, study_id: str, site_id: str) -> bool:
    """Whether the study hides scores from one of the roles by which somebody reads responses here: another role
    uncovers nothing.
    """
    here = {
        grant.role
        for grant in access.grants_for(actor, "response.read")
        if grant.study_id == study_id and grant.site_id in (site_id, "*")
    }
    return not here.isdisjoint(protocol.hide_scores_from)


TREATING = frozenset({"nurse", "investigator"})


def knows_arms(actor: Actor, protocol: Protocol, study_id: str, site_id: str) -> bool:
    """Whether the actor may know the arms of a site's participants: who treats there, and is hidden no scores."""
    if actor.kind == "system":
        return True
    treats = any(
        one.role in TREATING and one.study_id == study_id and one.site_id in (site_id, "*")
        for one in actor.grants
    )
    return treats and not hides_scores(actor, protocol, study_id, site_id)


def knows_arm(tx: Tx, participant: Any) -> bool:
    """The same of one participant."""
    protocol = protocols.find(tx, participant.study_id, participant.protocol_version)
    return knows_arms(tx.actor, protocol, participant.study_id, participant.site_id)


def hides_content(tx: Tx, participant: Any, instrument: tuple[str, str] | None = None) -> bool:
    """Whether the actor must not learn what this participant answered: to an instrument (code, version), or to any
    of her study where it is not known which.
    """
    protocol = protocols.find(tx, participant.study_id, participant.protocol_version)
    if hides_scores(tx.actor, protocol, participant.study_id, participant.site_id):
        return True
    return bool(blinded_items(tx, *instrument)) if instrument else asks_blinded(tx, protocol)


def keeps_answers(tx: Tx, study_id: str) -> bool:
    """Whether any answer of a study is kept from the actor: then digests over bytes of its feed are too, for whoever
    knows the rest of an entry finds the answer by trying.
    """
    if tx.actor.kind != "staff":
        return False
    hidden = any(place[0] == study_id for place in hiding_places(tx))
    return hidden or any(asks_blinded(tx, protocol) for protocol in protocols.versions(tx, study_id))


def asks_blinded(tx: Tx, protocol: Protocol) -> bool:
    """Whether any instrument of a study has items that no person may read the answers to."""
    return any(blinded_items(tx, one.instrument.code, one.instrument.version) for one in protocol.assessments)


def blinded_items(tx: Tx, code: str, version: str) -> frozenset[str]:
    """The items of an instrument whose answers no person may read."""
    found = catalogue.find(tx, code, version)
    return frozenset(item.id for item in found.items if item.blinded) if found else frozenset()


def findings(found: Iterable[Mapping[str, Any]], *, hidden: bool) -> list[Mapping[str, Any]]:
    """The findings as they may be told: those on answers, and how many there are, are part of what is hidden."""
    return [one for one in found if not hidden or not _on_answers(one)]


def reasons(found: Iterable[Mapping[str, Any]], *, hidden: bool) -> list[Mapping[str, Any]]:
    """Why an upload was set aside, as it may be told: that it was for its answers, and not for which."""
    told = findings(found, hidden=hidden)
    return told if len(told) == len(list(found)) else [*told, HIDDEN]


HIDDEN = {
    "code": "about_answers",
    "detail": "There is something about the answers that who reads scores can see.",
}


def _on_answers(finding: Mapping[str, Any]) -> bool:
    return finding.get("pointer", "").startswith("/answers") or finding["code"] == "more_findings"


def hides_answers(tx: Tx, alert: Any) -> bool:
    """Whether what an alert on an answer looked at is kept from the actor: by his role, or because it is blinded."""
    place = alert.study_id, alert.site_id, alert.occurrence_id
    return hides_answer_behind(tx, *place, alert.why["rule"])


def hides_answer_behind(tx: Tx, study_id: str, site_id: str, occurrence_id: UUID, rule_id: str) -> bool:
    """The same of an alert by this rule on this occurrence."""
    occurrence = tx.get(Occurrence, study_id, occurrence_id)
    assert occurrence is not None
    protocol = protocols.find(tx, study_id, occurrence.protocol_version)
    if hides_scores(tx.actor, protocol, study_id, site_id):
        return True
    instrument = catalogue.find(tx, occurrence.instrument_code, occurrence.instrument_version)
    rule = protocol.alert_rule(rule_id)
    assert instrument is not None
    part = instrument.item(rule.item) if rule.item else instrument.scale(rule.scale or "")
    return part.blinded


def hiding_places(tx: Tx) -> frozenset[tuple[str, str, str]]:
    """Where the study hides scores from the actor: (study, version of its protocol, site or "*")."""
    grants = access.grants_for(tx.actor, "response.read")
    return frozenset(
        (study_id, protocol.version, grant.site_id)
        for study_id in {grant.study_id for grant in grants}
        for protocol in protocols.versions(tx, study_id)
        for grant in grants
        if grant.study_id == study_id and grant.role in protocol.hide_scores_from
    )
