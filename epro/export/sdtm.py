"""SDTM (SDTMIG 3.4): the QS domain split by instrument, and its supplemental qualifiers. Pure.

A row's values come in pieces: of the participant, its number, of the response, of the answer, and of the response
again; what repeats is worked out once. QSSEQ is unique for a participant across all the splits. QSGRPID is one sitting:
the supplemental qualifiers are of sittings, so that they stand once and not once an item.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from epro.errors import Invalid
from epro.export import rows
from epro.export.extract import Extract, Options
from epro.export.records import Subject, Version, Week
from epro.export.sheets import number_text
from epro.questionnaires.instrument import Choice, Instrument, Item
from epro.questionnaires.kinds import settled

LETTERS = {
    "bfi": "BF",
    "chalder_cfq11": "CF",
    "eq5d5l": "EQ",
    "facit_fatigue": "FA",
    "fatigue_diary": "FD",
    "fatigue_diary_weekly": "FW",
    "fss": "FS",
    "gad7": "GA",
    "lupus_impact_tracker": "LI",
    "lupusqol": "LQ",
    "mfi20": "MF",
    "pgi_c": "PC",
    "pgi_s": "PS",
    "phq9": "PH",
    "pro_ctcae_sle": "PR",
    "promis29": "P2",
    "promis_fatigue_13a": "PX",
    "promis_fatigue_4a": "P4",
    "promis_fatigue_6a": "P6",
    "promis_fatigue_7a": "P7",
    "promis_fatigue_8a": "P8",
    "rand36": "RA",
    "wpai_lupus": "WP",
}
"""What follows QS in the name of an instrument's split. Never changed: files of years ago are named so."""

STRING, INTEGER, FLOAT, DATETIME, DATE = "string", "integer", "float", "datetime", "date"
COLLECTED, ASSIGNED, PROTOCOL, DERIVED = "Collected", "Assigned", "Protocol", "Derived"
LONGEST = 200  # bytes of a text that every format carries


class TestCodeFault(Invalid):
    """An item or score has no QSTESTCD that SDTM takes: give it one of at most 8 letters and digits."""

    code = "test_code_fault"


class Variable(NamedTuple):
    """One variable of a dataset. `role` is Define-XML's; `key` its place in the keys; `longest` of text, in bytes."""

    name: str
    label: str
    type: str
    role: str
    core: bool
    origin: str
    longest: int = 200
    key: int | None = None


HEAD = (
    Variable("STUDYID", "Study Identifier", STRING, "Identifier", True, PROTOCOL, key=1),
    Variable("DOMAIN", "Domain Abbreviation", STRING, "Identifier", True, ASSIGNED, 2),
    Variable("USUBJID", "Unique Subject Identifier", STRING, "Identifier", True, ASSIGNED, key=2),
)
SEQ = (Variable("QSSEQ", "Sequence Number", INTEGER, "Identifier", True, ASSIGNED, key=5),)
SITTING = (
    Variable("QSGRPID", "Group ID", STRING, "Identifier", False, ASSIGNED),
    Variable("QSSPID", "Sponsor-Defined Identifier", STRING, "Identifier", False, ASSIGNED),
)
ANSWER = (
    Variable("QSTESTCD", "Question Short Name", STRING, "Topic", True, ASSIGNED, 8, 3),
    Variable("QSTEST", "Question Name", STRING, "Synonym Qualifier", True, ASSIGNED, 40),
    Variable("QSCAT", "Category of Question", STRING, "Grouping Qualifier", True, ASSIGNED),
    Variable("QSORRES", "Finding in Original Units", STRING, "Result Qualifier", False, COLLECTED),
    Variable(
        "QSSTRESC", "Character Result/Finding in Std Format", STRING, "Result Qualifier", False, ASSIGNED
    ),
    Variable("QSSTRESN", "Numeric Finding in Standard Units", FLOAT, "Result Qualifier", False, ASSIGNED),
    Variable("QSSTAT", "Completion Status", STRING, "Record Qualifier", False, COLLECTED, 8),
    Variable("QSREASND", "Reason Not Performed", STRING, "Record Qualifier", False, COLLECTED),
    Variable(
        "QSLOBXFL", "Last Observation Before Exposure Flag", STRING, "Record Qualifier", False, ASSIGNED, 1
    ),
    Variable("QSDRVFL", "Derived Flag", STRING, "Record Qualifier", False, ASSIGNED, 1),
)
TIMING = (
    Variable("VISITNUM", "Visit Number", FLOAT, "Timing", False, PROTOCOL),
    Variable("VISIT", "Visit Name", STRING, "Timing", False, PROTOCOL),
    Variable("VISITDY", "Planned Study Day of Visit", INTEGER, "Timing", False, PROTOCOL),
    Variable("QSDTC", "Date/Time of Finding", DATETIME, "Timing", False, COLLECTED, 40, 4),
    Variable("QSEVLINT", "Evaluation Interval", STRING, "Timing", False, PROTOCOL),
)
QS = (*HEAD, *SEQ, *SITTING, *ANSWER, *TIMING)
OF_WEEKS = tuple([one._replace(type=DATE, origin=DERIVED) if one.name == "QSDTC" else one for one in QS])
"""What is of a week and of no sitting has its last day."""
SUPP = (
    Variable("STUDYID", "Study Identifier", STRING, "Identifier", True, PROTOCOL, key=1),
    Variable("RDOMAIN", "Related Domain Abbreviation", STRING, "Identifier", True, ASSIGNED, 2, 2),
    Variable("USUBJID", "Unique Subject Identifier", STRING, "Identifier", True, ASSIGNED, key=3),
    Variable("IDVAR", "Identifying Variable", STRING, "Identifier", False, ASSIGNED, 8, 4),
    Variable("IDVARVAL", "Identifying Variable Value", STRING, "Identifier", False, ASSIGNED, key=5),
    Variable("QNAM", "Qualifier Variable Name", STRING, "Topic", True, ASSIGNED, 8, 6),
    Variable("QLABEL", "Qualifier Variable Label", STRING, "Synonym Qualifier", True, ASSIGNED, 40),
    Variable("QVAL", "Data Value", STRING, "Result Qualifier", True, COLLECTED),
    Variable("QORIG", "Origin", STRING, "Record Qualifier", True, ASSIGNED),
    Variable("QEVAL", "Evaluator", STRING, "Record Qualifier", False, ASSIGNED),
)
QUALIFIERS = (
    ("QSLANG", "Language of the Questions"),
    ("QSINSTRV", "Instrument Version"),
    ("QSPROTV", "Protocol Version"),
    ("QSSTDTC", "Start by the Phone"),
    ("QSCORDTC", "Completion by the Server Clock"),
    ("QSRCVDTC", "Receipt by the Server"),
    ("QSTZ", "Time Zone of the Phone"),
    ("QSLOCDAY", "Day on the Participant's Calendar"),
    ("QSFINDGS", "Remarks on the Upload"),
    ("QSAMEND", "Number of Amendments"),
    ("QSEXTRA", "Another Answer Came First"),
    ("QSDEFVER", "Scored Again by This Definition"),
    ("QSSETTLD", "Filed by the Site After Being Set Aside"),
    ("QSFINDG1", "Remarks on the Upload, continued"),
    ("QSFINDG2", "Remarks on the Upload, continued"),
    ("QSWEEK", "Week of the Diary"),
    ("QSWKDAY1", "First Day of the Week"),
)
SIGNS = str.maketrans({
    **dict.fromkeys("‐‑‒–—−", "-"), **dict.fromkeys("‘’′", "'"), **dict.fromkeys("“”″", '"'), "…": "...", "×": "x",
    "≥": ">=", "≤": "<=", "\u00a0": " ", "\u2009": " ", "•": "*",
})  # fmt: skip


@dataclass(frozen=True)
class Dataset:
    """One dataset: its name, its variables, and the instrument whose split it is."""

    name: str
    label: str
    variables: tuple[Variable, ...]
    instrument: str

    @property
    def supplemental(self) -> bool:
        return self.variables is SUPP


class Block(NamedTuple):
    """Rows of one sitting. `first` is the number of the first row, or None where rows have no number."""

    dataset: str
    head: tuple[Any, ...]
    first: int | None
    sitting: tuple[Any, ...]
    rows: list[tuple[Any, ...]]
    timing: tuple[Any, ...]


def datasets(extract: Extract) -> list[Dataset]:
    """The datasets of a study: a split and its supplement for each instrument, by name; for a diary's weeks too."""
    found = []
    for code, newest in {one.code: one for one in extract.definitions()}.items():
        label = f"Questionnaires: {plain(rows.category(newest))}"[:40]
        found.append(Dataset(split(code), label, OF_WEEKS if newest.derived_from else QS, code))
        found.append(Dataset(f"SUPP{split(code)}", f"Supplemental Qualifiers for {split(code)}", SUPP, code))
    assert len({one.name for one in found}) == len(found), (
        "two instruments have one name: add them to LETTERS"
    )
    return sorted(found, key=lambda one: one.name)


def split(code: str) -> str:
    """The name of an instrument's split: QS and two characters."""
    return "QS" + (LETTERS.get(code) or "X" + hashlib.sha256(code.encode()).hexdigest()[0].upper())


def blocks(extract: Extract, options: Options) -> Iterator[Block]:
    """The rows of all datasets, one participant after the other."""
    maker = _Maker(extract, options)
    for subject in extract.subjects():
        yield from maker.of(subject)


def plain(text: str) -> str:
    """Typographic signs as ASCII has them. What has no such form stays, for XPORT to refuse."""
    return text.translate(SIGNS)


class _Maker:
    """Rows for one extract; what repeats is kept."""

    def __init__(self, extract: Extract, options: Options):
        self.extract, self.derived = extract, options.scores == "derived"
        self._visit = cache(extract.visit)
        self._instrument = cache(extract.instrument)
        self._items = cache(self._lines_of_items)
        self._shown = cache(lambda instrument: {scale.name for scale in extract.scales(instrument)})

    def of(self, subject: Subject) -> Iterator[Block]:
        number, counting = 1, subject.counting()
        for response in subject.responses:
            version = response.current
            if "answers" not in version.told:
                continue
            asked = version.told["instrument"]
            instrument = self._instrument(asked["code"], asked["version"])
            lines = self._lines(instrument, version)
            head = (subject.study_id, "QS", subject.usubjid)
            timing = self._timing(instrument, version.told)
            yield Block(split(instrument.code), head, number, (response.id, version.id), lines, timing)
            number += len(lines)
            extra = response.id not in counting
            qualifiers = self._qualifiers(version, extra)
            yield self._supplement(subject, response.id, instrument, qualifiers)
        for week in subject.scored_weeks():
            for block in self._week(subject, week, number):
                yield block
                number += 0 if block.first is None else len(block.rows)
        yield from self._missed(subject, number)

    def _lines(self, instrument: Instrument, version: Version) -> list[tuple[Any, ...]]:
        given = settled(instrument, version.told["answers"])
        found = [of[given[item]] for item, of in self._items(instrument)]
        return found + self._scores(version.definition, version.scores, self.derived)

    def _scores(
        self, made_by: dict[str, Any], told: list[dict[str, Any]], derived: bool
    ) -> list[tuple[Any, ...]]:
        """By the definition that they were made by: it may have scales that what was answered has not."""
        instrument = self._instrument(made_by["code"], made_by["version"])
        shown = self._shown(instrument)
        return [self._score(instrument, one, derived) for one in told if one["scale"] in shown]

    def _lines_of_items(self, instrument: Instrument) -> list[tuple[str, _Lines]]:
        return [(item.id, _Lines(instrument, item)) for item in self.extract.items(instrument)]

    def _score(self, instrument: Instrument, told: dict[str, Any], derived: bool) -> tuple[Any, ...]:
        scale, value = instrument.scale(told["scale"]), told["value"]
        names = (test_code(scale), plain(rows.test_name(scale)), plain(rows.category(instrument)))
        flag = "Y" if derived else None
        if value is None:
            return (*names, None, None, None, "NOT DONE", reason(told["reason"]), None, flag)
        text = number_text(value)
        return (*names, None if derived else text, text, float(value), None, None, None, flag)

    def _timing(self, instrument: Instrument | None, told: dict[str, Any]) -> tuple[Any, ...]:
        visit = self._visit(told.get("protocol_version"), told["visit"])
        return (
            float(visit.number) if visit else None,
            plain(visit.label.get("en") or visit.id) if visit else None,
            planned(told["study_day"]),
            seconds(rows.extended(told["completed_at"])) if told.get("completed_at") else None,
            _recall(instrument),
        )

    def _week(self, subject: Subject, week: Week, number: int) -> Iterator[Block]:
        """The scores of a week: derived, whatever is said of others, for they are of several sittings."""
        told = week.told
        instrument = self._instrument(told["instrument"]["code"], told["instrument"]["version"])
        if not (lines := self._scores(told["instrument"], week.scores, True)):
            return
        head = (subject.study_id, "QS", subject.usubjid)
        timing = (None, None, planned(told["first_study_day"]), told["last_day"], _recall(instrument))
        yield Block(split(instrument.code), head, number, (told["id"], None), lines, timing)
        qualifiers = {
            "QSINSTRV": instrument.version,
            "QSPROTV": told["protocol_version"],
            "QSWEEK": str(told["number"]),
            "QSWKDAY1": told["first_day"],
        }
        yield self._supplement(subject, told["id"], instrument, qualifiers)

    def _qualifiers(self, version: Version, extra: bool) -> dict[str, str | None]:
        told = version.told
        started = told["started_at"]
        return {
            "QSLANG": told["language"],
            "QSINSTRV": told["instrument"]["version"],
            "QSPROTV": told["protocol_version"],
            "QSSTDTC": started and rows.extended(started),
            "QSCORDTC": told["corrected_at"],
            "QSRCVDTC": told["received_at"],
            "QSTZ": told["time_zone"],
            "QSLOCDAY": told["local_day"],
            "QSAMEND": str(version.number) if version.number else None,
            "QSEXTRA": "Y" if extra else None,
            "QSDEFVER": _later(version),
            "QSSETTLD": (version.settlement or {}).get("settled_at"),
        } | _remarks(told["findings"])

    def _supplement(
        self, subject: Subject, sitting: str, instrument: Instrument, qualifiers: dict[str, str | None]
    ) -> Block:
        lines = [
            (name, label, qualifiers[name], "eDT", None)
            for name, label in QUALIFIERS
            if qualifiers.get(name) is not None
        ]
        head = (subject.study_id, "QS", subject.usubjid, "QSGRPID", sitting)
        return Block(f"SUPP{split(instrument.code)}", head, None, (), lines, ())

    def _missed(self, subject: Subject, number: int) -> Iterator[Block]:
        """A questionnaire that was missed or excused: one row for the whole of it."""
        head = (subject.study_id, "QS", subject.usubjid)
        for miss, why in subject.not_done(self.extract.cut.at):
            instrument = self.extract.instrument_missed(miss)
            if instrument is None:
                continue
            names = ("QSALL", "Questionnaires", plain(rows.category(instrument)))
            line = (*names, None, None, None, "NOT DONE", why, None, None)
            timing = self._timing(instrument, miss)
            yield Block(split(instrument.code), head, number, (miss["id"], None), [line], timing)
            number += 1


def planned(day: int | None) -> int | None:
    """VISITDY: SDTM has no day 0."""
    return None if day is None else day + (day >= 0)


def _recall(instrument: Instrument | None) -> str | None:
    return f"-{instrument.recall}" if instrument and instrument.recall else None


def _remarks(findings: list[dict[str, Any]]) -> dict[str, str | None]:
    """The codes of what was remarked, each once, in as many qualifiers as they need: none is cut in two."""
    parts = [""]
    for code in dict.fromkeys(finding["code"] for finding in findings):
        longer = f"{parts[-1]};{code}" if parts[-1] else code
        if len(longer) > LONGEST:
            parts.append(code)
        else:
            parts[-1] = longer
    return dict(zip(("QSFINDGS", "QSFINDG1", "QSFINDG2"), (part or None for part in parts), strict=False))


def _later(version: Version) -> str | None:
    """The definition that scores were made by, where it is a later one than was answered."""
    made_by: str = version.definition["version"]
    return made_by if made_by != version.told["instrument"]["version"] else None


class _Lines(dict[Any, tuple[Any, ...]]):
    """The row of one item for each answer there can be, made when it is first given."""

    def __init__(self, instrument: Instrument, item: Item):
        self.item, self.labels = item, {choice.code: label(item, choice) for choice in item.choices}
        self.names = (test_code(item), plain(rows.test_name(item)), plain(rows.category(instrument)))

    def __missing__(self, given: Any) -> tuple[Any, ...]:
        line: tuple[Any, ...]
        if given in rows.NOT_DONE:
            line = (*self.names, None, None, None, "NOT DONE", rows.NOT_DONE[given], None, None)
        else:
            text = self.labels.get(given, str(given))
            line = (*self.names, text, str(given), float(given), None, None, None, None)
        self[given] = line
        return line


def label(item: Item, choice: Choice) -> str:
    """QSORRES of a choice: its words in English; of a number that was entered, the number."""
    if item.numeric:
        return str(choice.code)
    return plain(choice.label.get("en") or next(iter(choice.label.values())))


def test_code(part: Any) -> str:
    """QSTESTCD as SDTM takes it. Raises TestCodeFault."""
    code = rows.test_code(part)
    if len(code) > 8 or not code.replace("_", "A").isalnum() or not code.isascii() or code[0].isdigit():
        raise TestCodeFault()
    return code


def reason(told: str | None) -> str:
    """Why there is no score, as QSREASND says it."""
    if told == "too_few_answers":
        return "TOO FEW ITEMS ANSWERED"
    return (told or "NOT KNOWN").replace("_", " ").upper()


def seconds(instant: str) -> str:
    """An instant without its fractions: 2026-03-02T18:04:05+08:00."""
    whole, dot, rest = instant.partition(".")
    return whole + rest.lstrip("0123456789") if dot else instant
