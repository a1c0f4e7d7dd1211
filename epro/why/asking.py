"""'Why?' answered from what is stored: fetches the facts that the sentences of one question need, and tells them.

The reader is the act's actor: what his role may not see of scores and answers stays out.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from epro import trail
from epro.contacts import store
from epro.errors import Invalid, NotFound
from epro.notifications import alerts
from epro.notifications.models import Alert, AlertStep, Message
from epro.questionnaires import catalogue
from epro.questionnaires.instrument import Instrument
from epro.responses import correcting, receiving, runs, sight
from epro.responses.models import Response, Score, SetAside
from epro.responses.sight import hides_answers, hides_scores
from epro.scheduling import occurrences, protocols
from epro.scheduling.models import Occurrence
from epro.signin.models import StaffGrant
from epro.studies import participants
from epro.studies.models import Participant
from epro.trail.models import Event
from epro.tx import Tx
from epro.why import due, page, raised, scored, sent
from epro.why.happened import Happened
from epro.why.sentences import LANGUAGES, OURS, Said, Who, staff_in, told

SUBJECTS = ("occurrence", "reminder", "alert", "response")
OF_THE_PLAN = (
    "plan.changed",
    "anchor.set",
    "anchor.unset",
    "participant.enrolled",
    "participant.settings_changed",
    "participant.withdrawn",
    "arm.set",
    "protocol.followed",
    "occurrence.called_off",
    "occurrence.asked_for",
)


@dataclass(frozen=True)
class Answer:
    """What was asked, what there is to say, and on whose clock."""

    question: Said
    said: Sequence[Said]
    zone: str


def why(tx: Tx, participant: Participant, asked: Mapping[str, Any], language: str | None) -> dict[str, Any]:
    """The question, on whose clock it is answered, and its sentences in time order. `asked` names one of SUBJECTS by
    its id, or none: the page.

    Raises NotFound when it is not hers, Invalid when more than one is named.
    """
    answer = _answer(tx, participant, asked)
    spoken = language if language in LANGUAGES else OURS
    in_order = sorted(answer.said, key=lambda one: one.at)
    names = _names({one for said in in_order for one in staff_in(said)})
    return {
        "question": told(answer.question, spoken, answer.zone)["text"],
        "time_zone": answer.zone,
        "sentences": [told(one, spoken, answer.zone, names) for one in in_order],
    }


def _names(actors: Collection[str]) -> dict[str, str]:
    """Who of the staff is called what; whose name is erased is not in it."""
    kept = {one: store.of(trail.INSTALLATION, one.replace(":", "/", 1)).get("name") for one in sorted(actors)}
    return {actor: name for actor, name in kept.items() if name}


def _answer(tx: Tx, participant: Participant, asked: Mapping[str, Any]) -> Answer:
    named = [(name, asked[name]) for name in SUBJECTS if asked.get(name) is not None]
    if len(named) > 1:
        raise Invalid("Ask for one thing at a time: " + ", ".join(SUBJECTS) + ".")
    match named:
        case [("occurrence", id)]:
            return _occurrence(tx, participant, id)
        case [("reminder", id)]:
            return _reminder(tx, participant, id)
        case [("alert", id)]:
            return _alert(tx, participant, id)
        case [("response", id)]:
            return _response(tx, participant, id)
    return _page(tx, participant)


def _occurrence(tx: Tx, participant: Participant, id: UUID) -> Answer:
    row = _hers(tx, Occurrence, participant, id)
    protocol = protocols.find(tx, row.study_id, row.protocol_version)
    assessment = protocol.assessment(row.assessment_id)
    responses = [one for one in receiving.of(tx, participant) if one.occurrence_id == row.id]
    plan = _happened(tx, participant, Event.action.in_(OF_THE_PLAN))
    own = _happened(tx, participant, Event.object_id == str(row.id))
    stays = participants.zone_stays(tx, participant)
    said = due.planned(row, protocol, _anchors(tx, participant), stays, plan)
    said += due.still(row, tx.now) + raised.outcome(row, responses, own)
    for aside in _asides_of(tx, participant, row.id):
        said += scored.set_aside(aside, _reasons(tx, participant, aside))
    for message in _of(tx, Message, participant, Message.occurrence_id == row.id):
        said += _message(tx, participant, message)
    found = _of(tx, Alert, participant, _about(row))
    for alert in found:
        if not _hidden(tx, alert):  # told here, it would say which answer it was
            said += _alert_said(tx, participant, alert)
    if row.missed_at and not any(alert.kind == alerts.MISSED for alert in found):
        said += raised.no_alert(row, assessment, participant.withdrawn_at)
    facts = {"assessment": assessment.label, "local_day": row.local_day, "id": row.id}
    return Answer(Said("question.occurrence", tx.now, facts), said, row.time_zone)


def _reminder(tx: Tx, participant: Participant, id: UUID) -> Answer:
    message = _hers(tx, Message, participant, id)
    said = _message(tx, participant, message)
    return Answer(Said("question.reminder", tx.now, {"id": message.id}), said, participant.time_zone)


def _message(tx: Tx, participant: Participant, message: Message) -> list[Said]:
    done = _happened(tx, participant, Event.object_id == str(message.id))
    occurrence = (
        tx.get(Occurrence, message.study_id, message.occurrence_id) if message.occurrence_id else None
    )
    if message.purpose != "reminder" or occurrence is None:
        return [*sent.to_staff(message), *sent.fate(message, done, tx.now)]
    protocol = protocols.find(tx, occurrence.study_id, occurrence.protocol_version)
    assessment = protocol.assessment(occurrence.assessment_id)
    return [
        *sent.reminder(message, occurrence, assessment, participant),
        *sent.fate(message, done, tx.now),
    ]


def _alert(tx: Tx, participant: Participant, id: UUID) -> Answer:
    alert = _hers(tx, Alert, participant, id)
    said = _alert_said(tx, participant, alert)
    for message in _of(tx, Message, participant, Message.alert_id == alert.id):
        said += _message(tx, participant, message)
    return Answer(Said("question.alert", tx.now, {"id": alert.id}), said, participant.time_zone)


def _alert_said(tx: Tx, participant: Participant, alert: Alert) -> list[Said]:
    occurrence = tx.get(Occurrence, alert.study_id, alert.occurrence_id)
    assert occurrence is not None
    rule = alerts.rule_of(tx, alert)
    said = raised.alert(
        alert,
        rule,
        protocols.find(tx, alert.study_id, occurrence.protocol_version),
        _happened(tx, participant, Event.object_id == str(alert.id)),
        hidden=_hidden(tx, alert),
        urgency=alerts.urgency(alert),
    )
    return [*said, raised.standing(alert, rule, tx.now)] if alerts.stands(alert) else said


def _about(occurrence: Occurrence) -> sa.ColumnElement[bool]:
    """The alerts that were raised for it, or that it joined as a further miss."""
    joined = sa.select(AlertStep.alert_id).where(
        AlertStep.study_id == occurrence.study_id, AlertStep.occurrence_id == occurrence.id
    )
    return sa.or_(Alert.occurrence_id == occurrence.id, Alert.id.in_(joined))


def _hidden(tx: Tx, alert: Alert) -> bool:
    return alert.kind == alerts.ANSWER and hides_answers(tx, alert)


def _response(tx: Tx, participant: Participant, id: UUID) -> Answer:
    """What is on file under this id, and what was set aside under it: by the phone's id, or by its own."""
    on_file = [one for one in receiving.of(tx, participant) if one.id == id]
    asides = [
        one for one in receiving.set_aside(tx, participant) if id == one.id or str(id) == one.response_id
    ]
    if not on_file and not asides:
        raise NotFound()
    said = [said for aside in asides for said in scored.set_aside(aside, _reasons(tx, participant, aside))]
    hidden = _hides(tx, participant)
    ids = {str(aside.id) for aside in asides}
    for one in _happened(tx, participant, Event.action == "response.settled") if asides else ():
        if one.object_id in ids:
            said.append(scored.settled(one, hidden=sight.hides_content(tx, participant)))
    for response in on_file:
        said += _filed(tx, participant, response, hidden)
    return Answer(Said("question.response", tx.now, {"id": id}), said, participant.time_zone)


def _hides(tx: Tx, participant: Participant) -> bool:
    own = protocols.find(tx, participant.study_id, participant.protocol_version)
    return hides_scores(tx.actor, own, participant.study_id, participant.site_id)


def _filed(tx: Tx, participant: Participant, response: Response, hidden: bool) -> list[Said]:
    protocol = protocols.find(tx, response.study_id, response.protocol_version)
    rivals = [one for one in receiving.of(tx, participant) if one.occurrence_id == response.occurrence_id]
    primary = receiving.primary(rivals)
    counts = (primary.amends_id or primary.id) == (response.amends_id or response.id)
    asked = (response.instrument_code, response.instrument_version)
    findings = sight.findings(response.findings, hidden=sight.hides_content(tx, participant, asked))
    said = scored.filed(response, findings, protocol.assessment(response.assessment_id), counts=counts)
    said += _corrected(tx, participant, response)
    if hidden:
        return [*said, Said("score.hidden", response.received_at)]
    rows = runs.scores_of(tx, response.study_id, [response.id])
    return [*said, *scored.scores(rows, {row.scale: _definition(tx, response, row) for row in rows})]


def _corrected(tx: Tx, participant: Participant, response: Response) -> list[Said]:
    """The corrections of this response (or of the one that it corrects)."""
    versions = correcting.versions(tx, response.study_id, response.id)
    if len(versions) == 1:
        return []
    ids = [str(one.id) for one in versions]
    done = _happened(
        tx, participant, sa.and_(Event.action == "response.amended", Event.object_id.in_(ids[1:]))
    )
    rows = runs.scores_of(tx, response.study_id, [one.id for one in versions])
    scores = [{row.scale: row for row in rows if row.response_id == one.id} for one in versions]
    definition = catalogue.find(tx, response.instrument_code, response.instrument_version)
    assert definition is not None
    withheld = sight.hides_content(tx, participant, (definition.code, definition.version))
    return list(scored.corrected(done, scores, definition, hidden=withheld))


def _definition(tx: Tx, response: Response, score: Score) -> Instrument:
    version = score.definition_version or response.instrument_version
    found = catalogue.find(tx, response.instrument_code, version)
    assert found is not None
    return found


def _page(tx: Tx, participant: Participant) -> Answer:
    rows = occurrences.of(tx, participant)
    versions = {row.protocol_version for row in rows}
    found = {version: protocols.find(tx, participant.study_id, version) for version in versions}
    said = list(page.occurrences(rows, found, tx.now))
    if participant.withdrawn_at is None and not any(one.code in DUE for one in said):
        said += _further(tx, participant)
    for alert in _of(tx, Alert, participant, sa.true()):
        if alerts.stands(alert):
            said.append(page.alert(alert, hidden=_hidden(tx, alert), urgency=alerts.urgency(alert)))
    waiting = [one for one in receiving.set_aside(tx, participant) if one.settled_at is None]
    said += [page.held(one, _reasons(tx, participant, one)) for one in waiting]
    if participant.opted_out_at is not None:
        said.append(Said("page.opted_out", participant.opted_out_at))
    for one in _happened(tx, participant, Event.action == "participant.withdrawn"):
        said.append(Said("page.withdrawn", one.at, {"who": one.who, "reason": one.reason}))
    question = Said("question.participant", tx.now, {"subject_id": participant.subject_id})
    return Answer(question, said, participant.time_zone)


DUE = ("page.open", "page.next")


def _further(tx: Tx, participant: Participant) -> list[Said]:
    """The first that comes after the horizon, where nothing is due before."""
    want = occurrences.first_beyond(tx, participant)
    protocol = protocols.find(tx, participant.study_id, participant.protocol_version)
    return [page.further(want, protocol)] if want else []


# The facts.


def _hers(tx: Tx, model: Any, participant: Participant, id: UUID) -> Any:
    row = tx.get(model, participant.study_id, id)
    if row is None or row.subject_id != participant.subject_id:
        raise NotFound()
    return row


def _of(tx: Tx, model: Any, participant: Participant, which: sa.ColumnElement[bool]) -> list[Any]:
    own = sa.and_(model.study_id == participant.study_id, model.subject_id == participant.subject_id)
    return tx.all(sa.select(model).where(own, which).order_by(model.id))


def _asides_of(tx: Tx, participant: Participant, occurrence_id: UUID) -> list[SetAside]:
    """Uploads that were set aside and say that they answer this occurrence."""
    named = str(occurrence_id)
    return [one for one in receiving.set_aside(tx, participant) if _answers(one) == named]


def _reasons(tx: Tx, participant: Participant, aside: SetAside) -> list[Mapping[str, Any]]:
    return sight.reasons(aside.findings, hidden=sight.hides_content(tx, participant))


def _answers(aside: SetAside) -> Any:
    content = json.loads(aside.body)
    return content.get("occurrence_id") if isinstance(content, dict) else None


def _happened(tx: Tx, participant: Participant, which: sa.ColumnElement[bool]) -> list[Happened]:
    """Events of her chain, oldest first."""
    query = sa.select(Event).where(
        Event.study_id == participant.study_id, Event.subject_id == participant.subject_id, which
    )
    rows = tx.all(query.order_by(Event.seq))
    grants = _grants(tx, participant, {row.actor for row in rows})
    return [_told(row, grants) for row in rows]


def _told(row: Event, grants: Sequence[StaffGrant]) -> Happened:
    entry = json.loads(row.body)
    who = _who(row.actor, row.at, grants)
    return Happened(row.at, who, row.action, row.object_id, entry["reason"], entry["details"])


def _anchors(tx: Tx, participant: Participant) -> list[tuple[Any, Who]]:
    rows = participants.anchor_rows(tx, participant)
    grants = _grants(tx, participant, {row.set_by for row in rows})
    return [(row, _who(row.set_by, row.set_at, grants)) for row in rows]


def _grants(tx: Tx, participant: Participant, actors: set[str]) -> list[StaffGrant]:
    """The roles that these people have held at her site."""
    ids = [UUID(actor.partition(":")[2]) for actor in actors if actor.startswith("staff:")]
    if not ids:
        return []
    here = (StaffGrant.study_id == participant.study_id, StaffGrant.site_id.in_((participant.site_id, "*")))
    query = sa.select(StaffGrant).where(StaffGrant.staff_id.in_(ids), *here)
    return tx.all(query.order_by(StaffGrant.role))


def _who(actor: str, at: datetime, grants: Sequence[StaffGrant]) -> Who:
    roles = [
        grant.role
        for grant in grants
        if actor == f"staff:{grant.staff_id}"
        and grant.granted_at <= at
        and (grant.revoked_at is None or at < grant.revoked_at)
    ]
    return Who(actor, tuple(dict.fromkeys(roles)))
