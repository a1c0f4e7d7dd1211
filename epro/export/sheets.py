"""Flat tables out of a study, as CSV, Parquet and Excel take them: every answer and score, every response, every
participant. Pure.

A table's rows come in blocks: of one response the values that all its rows share, and then what differs. Millions
of rows are so made from thousands of blocks, and what repeats is worked out once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from epro.export import rows
from epro.export.extract import Extract
from epro.export.records import Response, SetAside, Signature, Subject, Version
from epro.questionnaires.instrument import Instrument, Item, Scale
from epro.questionnaires.kinds import settled

TEXT, NUMBER, WHOLE = "text", "number", "whole"


class Column(NamedTuple):
    """One column of a table: its name, what it holds, and what it means."""

    name: str
    type: str
    label: str


class Block(NamedTuple):
    """Rows that begin alike: `head` and then each of `rows`."""

    table: str
    head: tuple[Any, ...]
    rows: list[tuple[Any, ...]]


@dataclass(frozen=True)
class Sheet:
    """One table: the columns of its heads, and those of its rows."""

    name: str
    label: str
    head: tuple[Column, ...]
    rest: tuple[Column, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.head + self.rest


OF_RESPONSE = (
    Column("STUDYID", TEXT, "Study"),
    Column("SITEID", TEXT, "Site"),
    Column("USUBJID", TEXT, "Participant, unique over all studies"),
    Column("SUBJID", TEXT, "Participant, in the study"),
    Column("QSCAT", TEXT, "Questionnaire, as SDTM names it"),
    Column("INSTRUMENT", TEXT, "Code of the instrument"),
    Column("INSTRVER", TEXT, "Version of the instrument"),
    Column("ASSESSMENT", TEXT, "Line of the protocol"),
    Column("VISIT", TEXT, "Visit, by its id"),
    Column("VISITNUM", NUMBER, "Number of the visit"),
    Column("VISITDY", WHOLE, "Planned day, counted from the anchor as the protocol does"),
    Column("LOCALDAY", TEXT, "Day on the participant's calendar"),
    Column("OCCURRENCEID", TEXT, "What was expected"),
    Column("RESPONSEID", TEXT, "Response, by the id of what counts now"),
    Column("ORIGINALID", TEXT, "Response, by the id of what was filed first"),
    Column("AMENDMENT", WHOLE, "How often it was amended; 0 is as filed"),
    Column("PROTVER", TEXT, "Version of the protocol"),
    Column("QSLANG", TEXT, "Language of the questions"),
    Column("QSSTDTC", TEXT, "Begun, by the phone"),
    Column("QSDTC", TEXT, "Completed, by the phone"),
    Column("CORRDTC", TEXT, "Completed, by the server's clock"),
    Column("RECVDTC", TEXT, "Received"),
    Column("TIMEZONE", TEXT, "Time zone of the phone"),
    Column("FINDINGS", TEXT, "Remarks on the upload, codes as a JSON list"),
    Column("COUNTS", TEXT, "Y, or N where another answer to the same occurrence came first"),
    Column("POSITION", WHOLE, "Place in the feed"),
)
OF_ANSWER = (
    Column("KIND", TEXT, "item, score, or questionnaire for one that was missed or excused"),
    Column("NAME", TEXT, "Id of the item, name of the scale"),
    Column("QSTESTCD", TEXT, "Item or score, short name"),
    Column("QSTEST", TEXT, "Item or score, name"),
    Column("QSORRES", TEXT, "The code as it was given, or the score, as text"),
    Column("QSSTRESN", NUMBER, "The same as a number, before any reversal"),
    Column("QSSTAT", TEXT, "NOT DONE where there is no answer or no score"),
    Column("QSREASND", TEXT, "Why there is none"),
    Column("ANSWERED", WHOLE, "Of a score: how many of its items were answered"),
    Column("EXPECTED", WHOLE, "Of a score: how many items it has"),
    Column("METHOD", TEXT, "Of a score: the scoring method"),
    Column("METHODVER", TEXT, "Of a score: the version of the method"),
    Column("DEFVER", TEXT, "Of a score: the version of the definition that it was made by"),
)
LONG = Sheet("long", "Every answer and every score, one a row", OF_RESPONSE, OF_ANSWER)
DEFVER = Column("DEFVER", TEXT, "Version of the definition that the scores were made by")
NOTDONE = Column("NOTDONE", TEXT, "Items without a code, each with its reason")
OF_WEEK = (
    *OF_RESPONSE[:7],
    Column("ASSESSMENT", TEXT, "Diary, by its line of the protocol"),
    Column("WEEK", WHOLE, "Number of the week"),
    Column("FIRSTDY", WHOLE, "Its first day, counted from the anchor"),
    Column("FIRSTDAY", TEXT, "Its first day on the participant's calendar"),
    Column("LASTDAY", TEXT, "Its last day"),
    Column("RUN", WHOLE, "How often it has been scored"),
    Column("POSITION", WHOLE, "Place in the feed"),
)
WEEKS = Sheet("weeks", "Scores of a diary by the week, one a row", OF_WEEK, OF_ANSWER)
OF_SIGNATURE = (
    *OF_RESPONSE[:4],
    Column("SIGNATUREID", TEXT, "Signature"),
    Column("RESPONSEID", TEXT, "Response under it, by the revision that was signed"),
    Column("ORIGINALID", TEXT, "Response, by the id of what was filed first"),
    Column("VISIT", TEXT, "Visit, where all that was signed belongs to one"),
    Column("MEANING", TEXT, "What the signature means"),
    Column("SIGNERNAME", TEXT, "Name of the signer, as it was then"),
    Column("SIGNERROLE", TEXT, "Role of the signer"),
    Column("SIGNEDBY", TEXT, "Account of the signer"),
    Column("SIGNDTC", TEXT, "Signed"),
    Column("TIMEZONE", TEXT, "Time zone of the site"),
    Column("HOLDS", TEXT, "Y, or N where what was signed was changed since"),
    Column("BROKENDTC", TEXT, "When it was changed"),
    Column("CAUSE", TEXT, "By what: corrected, rescored"),
    Column("POSITION", WHOLE, "Place in the feed"),
)
SIGNATURES = Sheet(
    "signatures", "Responses under a signature, one a row", OF_SIGNATURE[:-1], OF_SIGNATURE[-1:]
)
OF_QUERY = (
    *OF_RESPONSE[:4],
    Column("QUERYID", TEXT, "Query"),
    Column("STEPNO", WHOLE, "Number of the step"),
    Column("ORIGINALID", TEXT, "Response, by the id of what was filed first"),
    Column("ITEMID", TEXT, "Item, where it is about one answer"),
    Column("STEP", TEXT, "asked, answered, closed"),
    Column("TEXT", TEXT, "What was said"),
    Column("SAIDBY", TEXT, "Who said it"),
    Column("ROLE", TEXT, "As what"),
    Column("SAIDDTC", TEXT, "When"),
    Column("POSITION", WHOLE, "Place in the feed"),
)
QUERIES = Sheet("queries", "Queries about answers, one step a row", OF_QUERY[:-1], OF_QUERY[-1:])
OF_ASIDE = (
    *OF_RESPONSE[:4],
    Column("SETASIDEID", TEXT, "Upload that was set aside"),
    Column("OUTCOME", TEXT, "held, or conflict: other content under an id that was on file"),
    Column("NAMEDID", TEXT, "Response, by the id that the phone gave it"),
    Column("FINDINGS", TEXT, "Why it was set aside, codes as a JSON list"),
    Column("RECVDTC", TEXT, "Received"),
    Column("SETTLEMENT", TEXT, "filed or rejected; blank while it waits for a person"),
    Column("RESPONSEID", TEXT, "Response that it was filed as"),
    Column("REASON", TEXT, "Why so"),
    Column("SETTLEDBY", TEXT, "Who settled it"),
    Column("SETTLEDDTC", TEXT, "When"),
    Column("POSITION", WHOLE, "Place in the feed at which it was set aside"),
)
ASIDE = Sheet("set_aside", "Uploads that were set aside, one a row", OF_ASIDE[:-1], OF_ASIDE[-1:])
OF_SUBJECT = (
    *OF_RESPONSE[:4],
    Column("ENRLDTC", TEXT, "Enrolled"),
    Column("WDRWDTC", TEXT, "Withdrawn"),
    Column("PROTVER", TEXT, "Version of the protocol at enrolment"),
    Column("QSLANG", TEXT, "Language at enrolment"),
    Column("TIMEZONE", TEXT, "Time zone at enrolment"),
    Column("RESPONSES", WHOLE, "Responses on file"),
    Column("MISSED", WHOLE, "Missed and neither answered nor excused since"),
    Column("EXCUSED", WHOLE, "Excused by the site and not answered"),
    Column("WAITING", WHOLE, "Uploads set aside that nobody has settled yet"),
    Column("POSITION", WHOLE, "Place in the feed of the last response"),
)


def sheets(extract: Extract) -> list[Sheet]:
    """The tables of a study: `long`, one `wide_...` for each instrument, those of other things, `subjects`."""
    wide = [_wide_sheet(extract, code) for code in dict.fromkeys(one.code for one in extract.instruments())]
    return [LONG, *wide, WEEKS, SIGNATURES, QUERIES, ASIDE, _subjects_sheet(extract)]


def blocks(extract: Extract, wanted: Callable[[str], bool] = lambda table: True) -> Iterator[Block]:
    """The rows of the tables that are wanted, one participant after the other."""
    maker = _Maker(extract)
    known = {sheet.name for sheet in sheets(extract)}
    long, weeks, people = wanted("long"), wanted("weeks"), wanted("subjects")
    signed, asked, aside = wanted("signatures"), wanted("queries"), wanted("set_aside")
    for subject in extract.subjects():
        counting = subject.counting()
        for response in subject.responses:
            head, version = maker.head(subject, response, response.id in counting), response.current
            instrument = maker.instrument(version.told)
            if long and (lines := maker.lines(instrument, version)):
                yield Block("long", head, lines)
            name = wide_name(instrument.code)
            if name in known and wanted(name):
                yield Block(name, head, [maker.wide(instrument, version)])
        if long:
            yield from maker.missed(subject)
        if weeks:
            yield from maker.weeks(subject)
        if signed:
            yield from maker.signatures(subject)
        if asked:
            yield from maker.queries(subject)
        if aside:
            yield from maker.set_aside(subject)
        if people:
            yield maker.person(subject)


def wide_name(code: str) -> str:
    """The name of the table with one row a response of this instrument."""
    return f"wide_{code}"


class _Maker:
    """Rows for one extract; what repeats from response to response is kept."""

    def __init__(self, extract: Extract):
        self.extract = extract
        self.instrument = _found(extract)
        self._visit = cache(extract.visit)
        self._of_items = cache(self._items)
        self._of_wide = cache(self._wide_columns)
        self._shown = cache(lambda instrument: {scale.name for scale in extract.scales(instrument)})
        self._anchors = [anchor.id for anchor in extract.protocol.anchors]

    def head(self, subject: Subject, response: Response, counts: bool) -> tuple[Any, ...]:
        version, told = response.current, response.current.told
        visit = self._visit(told["protocol_version"], told["visit"])
        found = rows.about(subject.site, subject.subject_id, told, visit) | {
            "STUDYID": subject.study_id,
            "USUBJID": subject.usubjid,
            "QSCAT": rows.category(self.instrument(told)),
            "RESPONSEID": version.id,
            "ORIGINALID": response.id,
            "AMENDMENT": version.number,
            "COUNTS": "Y" if counts else "N",
            "POSITION": version.position,
        }
        return tuple([found[column.name] for column in OF_RESPONSE])

    def lines(self, instrument: Instrument, version: Version) -> list[tuple[Any, ...]]:
        """One line an item, in the order of the form, and one a score; none where answers are kept from the reader."""
        if "answers" not in version.told:
            return []
        given = settled(instrument, version.told["answers"])
        found = [of[given[item]] for item, of in self._of_items(instrument)]
        by = self.made_by(version)
        shown = self._shown(by)
        return found + [_score_line(by, score) for score in version.scores if score["scale"] in shown]

    def made_by(self, version: Version) -> Instrument:
        """The definition of the scores that count: a later one than was answered, where it was scored again."""
        return self.instrument({"instrument": version.definition})

    def _items(self, instrument: Instrument) -> list[tuple[str, _Lines]]:
        return [(item.id, _Lines(item)) for item in self.extract.items(instrument)]

    def wide(self, instrument: Instrument, version: Version) -> tuple[Any, ...]:
        names = self._of_wide(instrument.code)
        if "answers" not in version.told:
            return (*(None for _ in names), None, None)
        given = settled(instrument, version.told["answers"])
        cells: dict[str, Any] = {}
        missing = []
        for item in self.extract.items(instrument):
            code, name = given[item.id], rows.test_code(item)
            if code in rows.NOT_DONE:
                missing.append(f"{name}={rows.NOT_DONE[code]}")
            else:
                cells[name] = float(code)
        by = self.made_by(version)
        shown = self._shown(by)
        for score in version.scores:
            if score["scale"] not in shown or (name := rows.test_code(by.scale(score["scale"]))) not in names:
                continue
            cells[name] = score["value"]
            if score["value"] is None:
                missing.append(f"{name}={score['reason']}")
        return (*(cells.get(name) for name in names), by.version, "; ".join(missing) or None)

    def _wide_columns(self, code: str) -> list[str]:
        return [column.name for column in _wide_sheet(self.extract, code).rest[:-2]]

    def missed(self, subject: Subject) -> Iterator[Block]:
        """A questionnaire that was missed or excused: one line, for the whole of it."""
        line = ("questionnaire", None, "QSALL", "Questionnaire", None, None, "NOT DONE")
        for miss, why in subject.not_done(self.extract.cut.at):
            yield Block("long", self._missed_head(subject, miss), [(*line, why) + (None,) * 5])

    def _missed_head(self, subject: Subject, miss: dict[str, Any]) -> tuple[Any, ...]:
        instrument = self.extract.instrument_missed(miss)
        visit = self._visit(miss.get("protocol_version"), miss["visit"])
        found = {
            "STUDYID": subject.study_id,
            "SITEID": subject.site,
            "USUBJID": subject.usubjid,
            "SUBJID": subject.subject_id,
            "QSCAT": rows.category(instrument) if instrument else None,
            "INSTRUMENT": instrument.code if instrument else None,
            "INSTRVER": instrument.version if instrument else None,
            "ASSESSMENT": miss["assessment"],
            "VISIT": miss["visit"],
            "VISITNUM": visit.number if visit else None,
            "VISITDY": miss["study_day"],
            "LOCALDAY": miss["local_day"],
            "OCCURRENCEID": miss["id"],
            "PROTVER": miss.get("protocol_version"),
            "POSITION": miss["position"],
        }
        return tuple([found.get(column.name) for column in OF_RESPONSE])

    def signatures(self, subject: Subject) -> Iterator[Block]:
        for signature in subject.signatures:
            for one in signature.told["responses"]:
                cells = _signed(subject, signature, one)
                yield Block("signatures", cells[:-1], [cells[-1:]])

    def queries(self, subject: Subject) -> Iterator[Block]:
        for entry in subject.queries:
            cells = _said(subject, entry)
            yield Block("queries", cells[:-1], [cells[-1:]])

    def set_aside(self, subject: Subject) -> Iterator[Block]:
        for one in subject.set_aside:
            cells = _aside(subject, one)
            yield Block("set_aside", cells[:-1], [cells[-1:]])

    def weeks(self, subject: Subject) -> Iterator[Block]:
        """Every week that was scored, by its latest run."""
        for week in subject.scored_weeks():
            told, instrument = week.told, self.instrument(week.told)
            shown = self._shown(instrument)
            head = (
                *(subject.study_id, subject.site, subject.usubjid, subject.subject_id),
                *(rows.category(instrument), instrument.code, instrument.version, told["assessment"]),
                *(told["number"], told["first_study_day"], told["first_day"], told["last_day"], told["run"]),
                week.position,
            )
            yield Block(
                "weeks", head, [_score_line(instrument, one) for one in week.scores if one["scale"] in shown]
            )

    def person(self, subject: Subject) -> Block:
        enrolled, withdrawal = subject.enrolled or {}, subject.withdrawal or {}
        head = (subject.study_id, subject.site, subject.usubjid, subject.subject_id)
        row = (
            enrolled.get("enrolled_at"),
            withdrawal.get("at"),
            enrolled.get("protocol_version"),
            enrolled.get("language"),
            enrolled.get("time_zone"),
            len(subject.responses),
            len(subject.unanswered()),
            len(subject.excused()),
            sum(one.settlement is None for one in subject.set_aside),
            max((response.current.position for response in subject.responses), default=None),
            *(subject.anchors.get(name) for name in self._anchors),
        )
        return Block("subjects", head, [row])


class _Lines(dict[Any, tuple[Any, ...]]):
    """The line of one item for each answer there can be, made when it is first given."""

    def __init__(self, item: Item):
        self.item = item

    def __missing__(self, given: Any) -> tuple[Any, ...]:
        row = rows.answer(self.item, given)
        names = ("ITEMID", "QSTESTCD", "QSTEST", "QSORRES", "QSSTRESN", "QSSTAT", "QSREASND")
        self[given] = line = ("item", *(row[name] for name in names), *(None,) * 5)
        return line


@cache
def _score_names(instrument: Instrument, name: str) -> tuple[str, str, str, str]:
    scale = instrument.scale(name)
    return "score", scale.name, rows.test_code(scale), rows.test_name(scale)


def _signed(subject: Subject, signature: Signature, one: dict[str, Any]) -> tuple[Any, ...]:
    told, broken = signature.told, signature.breaks.get(one["original_id"])
    found = {
        "STUDYID": subject.study_id,
        "SITEID": subject.site,
        "USUBJID": subject.usubjid,
        "SUBJID": subject.subject_id,
        "SIGNATUREID": told["id"],
        "RESPONSEID": one["id"],
        "ORIGINALID": one["original_id"],
        "VISIT": told["visit"],
        "MEANING": told["meaning"],
        "SIGNERNAME": told["name"],
        "SIGNERROLE": told["role"],
        "SIGNEDBY": told["signed_by"],
        "SIGNDTC": told["signed_at"],
        "TIMEZONE": told["time_zone"],
        "HOLDS": "N" if broken else "Y",
        "BROKENDTC": broken and broken["broken_at"],
        "CAUSE": broken and broken["cause"],
        "POSITION": signature.position,
    }
    return tuple([found[column.name] for column in OF_SIGNATURE])


def _said(subject: Subject, entry: dict[str, Any]) -> tuple[Any, ...]:
    told = entry["query"]
    found = {
        "STUDYID": subject.study_id,
        "SITEID": subject.site,
        "USUBJID": subject.usubjid,
        "SUBJID": subject.subject_id,
        "QUERYID": told["id"],
        "STEPNO": told["number"],
        "ORIGINALID": told["original_id"],
        "ITEMID": told["item"],
        "STEP": told["kind"],
        "TEXT": told.get("text"),
        "SAIDBY": told["said_by"],
        "ROLE": told["role"],
        "SAIDDTC": told["said_at"],
        "POSITION": entry["position"],
    }
    return tuple([found[column.name] for column in OF_QUERY])


def _aside(subject: Subject, one: SetAside) -> tuple[Any, ...]:
    told, settled = one.told, one.settlement or {}
    return (
        *(subject.study_id, subject.site, subject.usubjid, subject.subject_id),
        *(told["id"], one.outcome, told.get("response_id")),
        *(rows.listed(finding["code"] for finding in told["findings"]), told["received_at"]),
        *(settled.get(name) for name in ("outcome", "response_id", "reason", "settled_by")),
        settled.get("settled_at") or settled.get("at"),
        one.position,
    )


def _score_line(instrument: Instrument, told: dict[str, Any]) -> tuple[Any, ...]:
    value = told["value"]
    return (
        *_score_names(instrument, told["scale"]),
        None if value is None else number_text(value),
        value,
        "NOT DONE" if value is None else None,
        told["reason"],
        told["answered"],
        told["expected"],
        told["method"],
        told["method_version"],
        instrument.version,
    )


def number_text(value: float) -> str:
    """A number as text, the shortest that reads back the same: 4, 66.66666666666667."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _found(extract: Extract) -> Callable[[dict[str, Any]], Instrument]:
    kept: dict[tuple[str, str], Instrument] = {}

    def instrument(told: dict[str, Any]) -> Instrument:
        key = (told["instrument"]["code"], told["instrument"]["version"])
        if key not in kept:
            kept[key] = extract.instrument(*key)
        return kept[key]

    return instrument


def _wide_sheet(extract: Extract, code: str) -> Sheet:
    """One row a response: every item's code and every score under its QSTESTCD, over all versions of the instrument,
    those too by which something was only scored again.
    """
    parts: dict[str, Column] = {}
    for instrument in extract.definitions():
        if instrument.code == code:
            shown: list[Item | Scale] = [*extract.items(instrument), *extract.scales(instrument)]
            for part in shown:
                name = rows.test_code(part)
                parts.setdefault(name, Column(name, NUMBER, rows.test_name(part)))
    rest = (*parts.values(), DEFVER, NOTDONE)
    return Sheet(wide_name(code), f"Responses to {code}, one a row", OF_RESPONSE, rest)


def _subjects_sheet(extract: Extract) -> Sheet:
    anchors = [
        Column(anchor.id.upper(), TEXT, f"Anchor: {anchor.label.get('en', anchor.id)}")
        for anchor in extract.protocol.anchors
    ]
    return Sheet("subjects", "Participants, one a row", OF_SUBJECT[:4], (*OF_SUBJECT[4:], *anchors))
