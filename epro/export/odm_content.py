"""What ODM says of a study, whichever its version: what may be asked, and what was answered, by form. Pure.

A study event is a visit, or an assessment that stands outside visits; a form is an instrument in one version; a form
has a group for the answers, one for the scores and one that says how the answers came (paradata). An item that was not
answered has no value; why not is an item of its own beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from epro.export import rows
from epro.export.extract import Extract
from epro.export.records import Response, Subject, Version, Week
from epro.export.sheets import number_text
from epro.questionnaires.instrument import Instrument, Item, Scale
from epro.questionnaires.kinds import settled

Texts = Mapping[str, str]
Values = dict[str, dict[str, str]]
"""Item group OID -> item OID -> value as text."""
SUBJECT, STATUS, PARADATA, WEEK = "SUBJECT", "STATUS", "PARADATA", "WEEK"
WHY_NOT = (*rows.NOT_DONE.values(), rows.MISSED, *rows.EXCUSED.values())
REASONS = {reason: {"en": reason.capitalize()} for reason in WHY_NOT}
TELLING = {
    "id": ("text", {"en": "Id of the response or amendment"}),
    "completed_at": ("datetime", {"en": "Completed, as the phone told it"}),
    "started_at": ("datetime", {"en": "Started, as the phone told it"}),
    "corrected_at": ("datetime", {"en": "Completed, by the server's clock"}),
    "received_at": ("datetime", {"en": "Received"}),
    "time_zone": ("text", {"en": "Time zone of the phone"}),
    "clock_offset_ms": ("integer", {"en": "Server's clock minus the phone's, milliseconds"}),
    "local_day": ("date", {"en": "Day that was asked about, on the participant's calendar"}),
    "language": ("text", {"en": "Language"}),
    "protocol_version": ("text", {"en": "Version of the protocol"}),
    "occurrence_id": ("text", {"en": "Id of the occurrence that was answered"}),
    "digest": ("text", {"en": "SHA-256 of the content as it was sent"}),
    "findings": ("text", {"en": "What was flagged on intake"}),
    "reported_by": ("text", {"en": "Who reported the correction"}),
    "settled_at": ("datetime", {"en": "Filed by the site after it had been set aside"}),
    "settled_by": ("text", {"en": "Who filed it after it had been set aside"}),
}
OF_A_SUBJECT = {
    "enrolled_at": ("datetime", {"en": "Enrolled"}),
    "protocol_version": ("text", {"en": "Version of the protocol at enrolment"}),
    "language": ("text", {"en": "Language at enrolment"}),
    "time_zone": ("text", {"en": "Time zone at enrolment"}),
    "withdrawn_at": ("datetime", {"en": "Participation ended"}),
}
OF_A_WEEK = {
    "number": ("integer", {"en": "Week"}),
    "first_day": ("date", {"en": "First day"}),
    "last_day": ("date", {"en": "Last day"}),
}


@dataclass(frozen=True)
class ItemDef:
    """One item. `codes`: OID of its code list. `alias`: where it goes in SDTM. `method`: how it is computed."""

    oid: str
    name: str
    type: str
    label: Texts
    codes: str | None = None
    alias: str | None = None
    method: str | None = None
    longest: int = 200


@dataclass(frozen=True)
class GroupDef:
    oid: str
    name: str
    items: tuple[ItemDef, ...]


@dataclass(frozen=True)
class FormDef:
    oid: str
    name: str
    label: Texts
    groups: tuple[GroupDef, ...]


@dataclass(frozen=True)
class EventDef:
    oid: str
    name: str
    label: Texts
    scheduled: bool
    forms: tuple[FormDef, ...]


@dataclass(frozen=True)
class CodeListDef:
    oid: str
    name: str
    type: str
    codes: Mapping[str, Texts]


@dataclass(frozen=True)
class MethodDef:
    oid: str
    name: str
    words: str
    expression: str


@dataclass(frozen=True)
class Place:
    """Where a form's values stand."""

    event: str
    event_key: str
    form: str
    form_key: str


@dataclass
class Definitions:
    """Everything that the values refer to; the users too."""

    events: list[EventDef]
    lists: list[CodeListDef]
    methods: list[MethodDef]
    users: list[str]
    sites: list[str]
    signers: dict[str, str] = field(default_factory=dict)
    """User OID -> name under her signatures."""
    meanings: tuple[str, ...] = ()
    speakers: dict[str, str] = field(default_factory=dict)
    """User OID -> the role in which she last spoke in a query."""

    def forms(self) -> list[FormDef]:
        return list({form.oid: form for event in self.events for form in event.forms}.values())

    def groups(self) -> list[GroupDef]:
        return list({group.oid: group for form in self.forms() for group in form.groups}.values())

    def items(self) -> list[ItemDef]:
        return list({item.oid: item for group in self.groups() for item in group.items}.values())


@dataclass
class Content:
    """Names of one extract's parts, worked out once for each instrument."""

    extract: Extract
    _names: dict[tuple[str, str], _Names] = field(default_factory=dict)

    def definitions(self) -> Definitions:
        """What the protocols ask and the answers answer: two versions of an instrument are two forms."""
        used = _Used(set(), set(), set())
        for subject in self.extract.subjects():
            used.add(self, subject)
        events = [self._subject_event(), *self._events(used)]
        found = Definitions(events, [], [], sorted(used.users), sorted(used.sites | self._sites()))
        found.signers, found.meanings = used.signers, tuple(sorted(used.meanings))
        found.speakers = used.speakers
        found.lists = [_reasons(), *(one for name in self._named() for one in name.lists)]
        found.methods = [one for name in self._named() for one in name.methods]
        return found

    def of(self, told: Mapping[str, Any]) -> _Names:
        """The names of an instrument as an entry of the feed tells of it."""
        key = told["code"], told["version"]
        if key not in self._names:
            self._names[key] = _Names(self.extract, self.extract.instrument(*key))
        return self._names[key]

    def current(self, subject: Subject) -> Iterator[tuple[Place, Values]]:
        """What counts now, form by form, in the order of events."""
        yield SUBJECT_PLACE, subject_values(subject)
        for response in subject.responses:
            now = response.current
            yield self.place(response), self.response_values(now, now.scores, now.definition)
        for miss in subject.unanswered():
            yield self.missed(miss), not_done(rows.MISSED)
        for one in subject.excused():
            yield self.missed(one), not_done(why_excused(one))
        for week in _latest(subject.weeks):
            yield self.week_place(week), self.week_values(week)

    def place(self, response: Response) -> Place:
        """Where a response stands: the same for all its amendments."""
        told = response.versions[0].told
        form = f"F.{told['instrument']['code']}.{told['instrument']['version']}"
        return Place(*_event(told, told["occurrence_id"]), form, response.id)

    def missed(self, miss: Mapping[str, Any]) -> Place:
        """Where it stands that an occurrence was not answered."""
        return Place(*_event(miss, miss["id"]), f"F.{STATUS}", str(miss["id"]))

    def week_place(self, week: Week) -> Place:
        told = week.told
        form = f"F.{told['instrument']['code']}.{told['instrument']['version']}"
        return Place(f"SE.{told['assessment']}.{WEEK}", f"{told['number']}", form, str(told["id"]))

    def week_values(self, week: Week) -> Values:
        names = self.of(week.told["instrument"])
        days = {f"I.{WEEK}.{name}": str(week.told[name]) for name in OF_A_WEEK}
        return {f"IG.{WEEK}": days, names.scores: names.of_scores(week.scores)}

    def response_values(
        self, version: Version, scores: Iterable[Mapping[str, Any]], made_by: Mapping[str, Any] | None = None
    ) -> Values:
        """All values of one version of a response, with these scores of it, by this definition."""
        names = self.of(version.told["instrument"])
        found = {names.answers: names.of_answers(version.told), f"IG.{PARADATA}": paradata(version)}
        found[names.scores] = names.of_scores(scores, made_by)
        return {group: values for group, values in found.items() if values}

    def _named(self) -> list[_Names]:
        return [self._names[key] for key in sorted(self._names)]

    def _sites(self) -> set[str]:
        shown = self.extract.sites
        return {site.id for site in self.extract.protocol.sites if shown is None or site.id in shown}

    def _subject_event(self) -> EventDef:
        anchors = {
            one.id: one.label for protocol in reversed(self.extract.protocols) for one in protocol.anchors
        }
        items = [*_plain(SUBJECT, OF_A_SUBJECT), *(_anchor(name, label) for name, label in anchors.items())]
        group = GroupDef(f"IG.{SUBJECT}", "Participant", tuple(items))
        form = FormDef(f"F.{SUBJECT}", "Participant", {"en": "Participant"}, (group,))
        return EventDef(f"SE.{SUBJECT}", "Participant", {"en": "Participant"}, False, (form,))

    def _events(self, used: _Used) -> Iterator[EventDef]:
        planned: dict[str, set[str]] = {}
        labels: dict[str, tuple[Texts, bool]] = {}
        for protocol in reversed(self.extract.protocols):
            labels |= {f"SE.{one.id}": (one.label, True) for one in protocol.visits}
            for one in protocol.assessments:
                self.of({"code": one.instrument.code, "version": one.instrument.version})
                labels[f"SE.{one.id}"] = (one.label, not one.unscheduled)
                places = [f"SE.{visit}" for visit in one.at] if one.at else [f"SE.{one.id}"]
                for place in places:
                    form = f"F.{one.instrument.code}.{one.instrument.version}"
                    planned.setdefault(place, set()).update((form, f"F.{STATUS}"))
        for event, form in used.forms:
            planned.setdefault(event, set()).add(form)
        forms = {form.oid: form for form in [_status_form(), *(name.form for name in self._named())]}
        for event in sorted(planned):
            label, scheduled = labels.get(event, ({"en": event.removeprefix("SE.")}, True))
            listed = tuple(forms[form] for form in sorted(planned[event]))
            yield EventDef(event, event.removeprefix("SE."), label, scheduled, listed)


@dataclass
class _Used:
    """What the answers refer to."""

    users: set[str]
    forms: set[tuple[str, str]]
    sites: set[str]
    signers: dict[str, str] = field(default_factory=dict)
    meanings: set[str] = field(default_factory=set)
    speakers: dict[str, str] = field(default_factory=dict)

    def add(self, content: Content, subject: Subject) -> None:
        self.users |= {patient(subject), SYSTEM, *(of_herself(entry) for entry in subject.history)}
        self.sites.add(subject.site)
        for response in subject.responses:
            for version in response.versions:
                content.of(version.told["instrument"])
                if version.amendment:
                    self.users.add(user(version.amendment["made_by"]))
                if version.settlement:
                    self.users.add(user(version.settlement["settled_by"]))
            place = content.place(response)
            self.forms.add((place.event, place.form))
        for signature in subject.signatures:
            oid = user(signature.told["signed_by"])
            self.users.add(oid)
            self.signers[oid] = signature.told["name"]
            self.meanings.add(signature.told["meaning"])
        for entry in subject.queries:
            self.speakers[user(entry["query"]["said_by"])] = entry["query"]["role"]
        self.users |= {user(one["excuse"]["by"]) for one in subject.excuses}
        for miss in (*subject.misses, *subject.excuses):
            self.forms.add((content.missed(miss).event, f"F.{STATUS}"))
        for week in subject.weeks:
            content.of(week.told["instrument"])
            place = content.week_place(week)
            self.forms.add((place.event, place.form))


class _Names:
    """The parts of one instrument in one version."""

    def __init__(self, extract: Extract, instrument: Instrument):
        self.instrument = instrument
        self.stem = f"{instrument.code}.{instrument.version}"
        self.answers, self.scores = f"IG.{self.stem}.ANSWERS", f"IG.{self.stem}.SCORES"
        self.lists: list[CodeListDef] = []
        self.items = extract.items(instrument)
        self.scales = (*extract.scales(instrument), *_later_scales(extract, instrument))
        self.methods = [self._method(scale) for scale in self.scales]
        self._by_item = [(item.id, f"I.{self.stem}.{item.id}") for item in self.items]
        self._by_scale = {scale.name: f"S.{self.stem}.{scale.name}" for scale in self.scales}
        self.form = self._form()

    def of_answers(self, told: Mapping[str, Any]) -> dict[str, str]:
        """Item OID -> code, or under `.ND` why there is none."""
        if "answers" not in told:  # a reader from whom they are hidden
            return {}
        given, found = settled(self.instrument, told["answers"]), {}
        for item, oid in self._by_item:
            answer = given[item]
            if answer in rows.NOT_DONE:
                found[f"{oid}.ND"] = rows.NOT_DONE[answer]
            else:
                found[oid] = str(answer)
        return found

    def of_scores(
        self, scores: Iterable[Mapping[str, Any]], made_by: Mapping[str, Any] | None = None
    ) -> dict[str, str]:
        """Item OID -> score, or under `.ND` why there is none; by which definition, where it is not the form's."""
        found = {}
        for told in scores:
            oid = self._by_scale.get(told["scale"])
            if oid is None:
                continue
            if told["value"] is None:
                found[f"{oid}.ND"] = str(told["reason"])
            else:
                found[oid] = number_text(float(told["value"]))
        if found and made_by and made_by["version"] != self.instrument.version:
            found[f"{self.scores}.{MADE_BY}"] = str(made_by["version"])
        return found

    def _form(self) -> FormDef:
        answers = tuple(one for item in self.items for one in self._item(item))
        scores = tuple(one for scale in self.scales for one in self._score(scale))
        if scores:
            label = {"en": "Definition that the scores were made by, where it is not that of the form"}
            scores = (*scores, ItemDef(f"{self.scores}.{MADE_BY}", MADE_BY, "text", label, None, MADE_BY))
        paradata_group = GroupDef(f"IG.{PARADATA}", "How the answers came", tuple(_plain(PARADATA, TELLING)))
        week = GroupDef(f"IG.{WEEK}", "Week", tuple(_plain(WEEK, OF_A_WEEK)))
        scored = GroupDef(self.scores, f"{self.stem} scores", scores)
        groups = [GroupDef(self.answers, f"{self.stem} answers", answers), scored, paradata_group]
        if self.instrument.derived_from:
            groups = [week, scored]
        shown = tuple(group for group in groups if group.items)
        return FormDef(
            f"F.{self.stem}", f"{self.instrument.code} {self.instrument.version}", self._title(), shown
        )

    def _title(self) -> Texts:
        return {"en": rows.category(self.instrument)}

    def _item(self, item: Item) -> Iterator[ItemDef]:
        oid = f"I.{self.stem}.{item.id}"
        alias = f"QSORRES where QSTESTCD={rows.test_code(item)}"
        listed = None if item.numeric else self._codes(item)
        yield ItemDef(oid, item.id, "integer", item.label, listed, alias, longest=3)
        label = {
            language: f"{text}: not done because" for language, text in item.label.items() if language == "en"
        }
        yield ItemDef(f"{oid}.ND", f"{item.id}.ND", "text", label or item.label, "CL.ND", "QSREASND")

    def _codes(self, item: Item) -> str:
        oid = f"CL.{self.stem}.{next(one.id for one in self.items if one.choices == item.choices)}"
        if all(one.oid != oid for one in self.lists):
            labels = {str(choice.code): choice.label for choice in item.choices}
            self.lists.append(CodeListDef(oid, oid.removeprefix("CL."), "integer", labels))
        return oid

    def _score(self, scale: Scale) -> Iterator[ItemDef]:
        oid = f"S.{self.stem}.{scale.name}"
        alias = f"QSORRES where QSTESTCD={rows.test_code(scale)}"
        yield ItemDef(oid, scale.name, "float", scale.label, None, alias, f"M.{self.stem}.{scale.name}", 24)
        yield ItemDef(
            f"{oid}.ND",
            f"{scale.name}.ND",
            "text",
            {"en": f"{scale.name}: no score because"},
            None,
            "QSREASND",
        )

    def _method(self, scale: Scale) -> MethodDef:
        inputs = ", ".join(scale.items)
        words = (
            f"{rows.test_name(scale)}: method {scale.method}, version {scale.method_version}, from items {inputs};"
            f" needs {scale.missing}; range {scale.range[0]:g} to {scale.range[1]:g}."
        )
        expression = f"{scale.method}/{scale.method_version}({inputs})"
        return MethodDef(f"M.{self.stem}.{scale.name}", f"{self.stem} {scale.name}", words, expression)


MADE_BY = "DEFVER"
SUBJECT_PLACE = Place(f"SE.{SUBJECT}", "1", f"F.{SUBJECT}", "1")
SYSTEM = "U.system"


def not_done(why: str) -> Values:
    """That a questionnaire as a whole was not answered."""
    return {f"IG.{STATUS}": {f"I.{STATUS}.status": "NOT DONE", f"I.{STATUS}.reason": why}}


def why_excused(told: Mapping[str, Any]) -> str:
    """The reason of an excuse, in words of the code list."""
    return rows.EXCUSED.get(told["excuse"]["reason"], rows.EXCUSED["other"])


def subject_values(subject: Subject) -> Values:
    """What is known of the participant herself."""
    told = dict(subject.enrolled or {})
    if subject.withdrawal:
        told["withdrawn_at"] = subject.withdrawal["at"]
    found = {f"I.{SUBJECT}.{name}": str(told[name]) for name in OF_A_SUBJECT if told.get(name)}
    found |= {f"I.{SUBJECT}.anchor.{name}": day for name, day in sorted(subject.anchors.items())}
    return {f"IG.{SUBJECT}": found} if found else {}


def paradata(version: Version) -> dict[str, str]:
    """How a response came: times as told and as corrected, phone, version, digest."""
    told = dict(version.told, findings=" ".join(finding["code"] for finding in version.told["findings"]))
    told["reported_by"] = (version.amendment or {}).get("reported_by")
    told |= {name: rows.extended(told[name]) for name in ("started_at", "completed_at") if told.get(name)}
    told |= {name: (version.settlement or {}).get(name) for name in ("settled_at", "settled_by")}
    return {f"I.{PARADATA}.{name}": str(told[name]) for name in TELLING if told.get(name) not in (None, "")}


def patient(subject: Subject) -> str:
    """Her OID as somebody who enters data."""
    return f"U.participant.{subject.subject_id}"


def staff_of(site: str) -> str:
    """The staff of a site, where the feed does not tell which of them."""
    return f"U.site.{site}"


def of_herself(entry: Mapping[str, Any]) -> str:
    """Who enrolled or withdrew her, or set a day; the staff of the site in an entry of before it was told."""
    told = next(entry[part] for part in ("participant", "anchor", "withdrawal") if part in entry)
    return user(told["by"]) if told.get("by") else staff_of(entry["site"])


def user(actor: str) -> str:
    """The OID of an actor as the trail names it: `staff:...`."""
    kind, _, name = actor.partition(":")
    if kind == "participant":
        name = name.rpartition("/")[2]  # as `patient` has her: the study is the file's
    return SYSTEM if kind == "system" else f"U.{kind}.{name}"


def _later_scales(extract: Extract, instrument: Instrument) -> list[Scale]:
    """The scales that only another definition has, by which answers to this one were scored again."""
    own = {scale.name for scale in instrument.scales}
    others = [one for one in extract.definitions() if one.code == instrument.code]
    found = {scale.name: scale for one in others for scale in extract.scales(one) if scale.name not in own}
    return list(found.values())


def _event(told: Mapping[str, Any], key: str) -> tuple[str, str]:
    """A visit is there once for each participant, everything else once for each occurrence."""
    return (f"SE.{told['visit']}", "1") if told.get("visit") else (f"SE.{told['assessment']}", str(key))


def _latest(weeks: list[Week]) -> list[Week]:
    return list({week.told["id"]: week for week in weeks}.values())


def _plain(stem: str, known: Mapping[str, tuple[str, Texts]]) -> Iterator[ItemDef]:
    for name, (type, label) in known.items():
        yield ItemDef(f"I.{stem}.{name}", f"{stem}.{name}", type, label)


def _anchor(name: str, label: Texts) -> ItemDef:
    return ItemDef(f"I.{SUBJECT}.anchor.{name}", f"{SUBJECT}.anchor.{name}", "date", label)


def _status_form() -> FormDef:
    items = (
        ItemDef(f"I.{STATUS}.status", "status", "text", {"en": "Status"}, longest=8),
        ItemDef(f"I.{STATUS}.reason", "reason", "text", {"en": "Reason not done"}, "CL.ND"),
    )
    group = GroupDef(f"IG.{STATUS}", "Whether it was done", items)
    return FormDef(f"F.{STATUS}", "Not done", {"en": "Not done"}, (group,))


def _reasons() -> CodeListDef:
    return CodeListDef("CL.ND", "Reason not done", "text", REASONS)
