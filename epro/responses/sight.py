"""What a role may see of scores and of alerts on answers; whoever tells them asks here first."""

from __future__ import annotations

from typing import Any

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


def hides_answers(tx: Tx, alert: Any) -> bool:
    """Whether what an alert on an answer looked at is kept from the actor: by his role, or because it is blinded."""
    occurrence = tx.get(Occurrence, alert.study_id, alert.occurrence_id)
    assert occurrence is not None
    protocol = protocols.find(tx, alert.study_id, occurrence.protocol_version)
    if hides_scores(tx.actor, protocol, alert.study_id, alert.site_id):
        return True
    instrument = catalogue.find(tx, occurrence.instrument_code, occurrence.instrument_version)
    rule = protocol.alert_rule(alert.why["rule"])
    assert instrument is not None
    part = instrument.item(rule.item) if rule.item else instrument.scale(rule.scale or "")
    return part.blinded
