"""Studies made by chance, with every kind of answer, correction, miss and settlement, through every format and back.

What each reader finds is compared with the answers themselves, not with what another format says: by item the code,
or the reason for which there is none, of what counts now.
"""

from __future__ import annotations

import random
from dataclasses import replace
from hashlib import sha256
from typing import Any

import orjson
import polars as pl
import pyreadstat
import pytest
import yaml

from epro.cli.study import known_instruments
from epro.export import registry
from epro.export.extract import Extract, Options
from epro.export.files import Folder
from epro.export.rows import EXCUSED
from epro.questionnaires.kinds import kind_of, settled
from epro.questionnaires.library import bundled_instrument
from epro.scheduling.reading import read
from tests.export import fhir_cases, test_odm
from tests.export.studies import ROOT, Feed, assessment_of, scores
from tests.export.test_dataset_json import datasets, faults_of, records
from tests.export.test_fhir import KINDS, judged
from tests.export.test_other_formats import sheet

ASKED = ("fatigue_diary", "lupusqol", "facit_fatigue", "fss", "wpai_lupus", "pro_ctcae_sle")
NOT_DONE = {
    "skipped": "SKIPPED",
    "not_applicable": "NOT APPLICABLE",
    "refused": "REFUSED",
    "not_asked": "NOT ASKED",
}
SEEDS = (1, 18, 27)
Told = dict[tuple[str, str, str], str]
"""Participant, id of what was filed first, item -> code, or why there is none."""


def instrument(code: str, version: str | None = None) -> Any:
    """As bundled; but of one questionnaire each item may be refused, which none that is bundled offers."""
    found = bundled_instrument(code)
    if code != "facit_fatigue":
        return found
    items = tuple(replace(item, refusable=True) for item in found.items)
    return replace(found, items=items, digest=sha256(found.canonical + b"refusable").hexdigest())


def study() -> Any:
    """The example study, asking also what has branching."""
    told = yaml.safe_load((ROOT / "studies" / "msc-sle.yaml").read_text(encoding="utf-8"))
    for code in ("wpai_lupus", "pro_ctcae_sle"):
        known = {"code": code, "version": bundled_instrument(code).version}
        title = {"en": code, "zh-CN": code}
        name = code.replace("_", "-")
        told["assessments"].append({"id": name, "label": title, "instrument": known, "at": ["week4"]})
    found, faults = read(yaml.safe_dump(told, allow_unicode=True), known_instruments())
    assert found is not None, faults
    return found


def made_by_chance(seed: int) -> tuple[Extract, Told]:
    """A study, and what stands in it by now."""
    chance, feed, told = random.Random(seed), Feed(study()), {}
    for subject in ("101-001", "101-002", "102-001"):
        feed.enrolled(subject)
        for code in chance.sample(ASKED, chance.randint(2, 5)):
            told.update(_filed(feed, chance, subject, code))
        for _ in range(chance.randint(0, 2)):
            feed.missed(subject, assessment_of(feed.protocol, chance.choice(ASKED)), local_day="2026-04-20")
            missed = feed.entries[-1]["occurrence"] | {"subject_id": subject}
            for turn in range(chance.randint(0, 3)):
                feed.excused(missed, chance.choice([*EXCUSED]), back=turn == 1)
        _set_aside(feed, chance, subject)
        _weeks(feed, chance, subject)
        if chance.random() < 0.3:
            feed.add(subject, "participant.withdrawn", withdrawal={"at": "2026-04-28T09:00:00.000000Z"})
    return feed.extract(instrument=instrument), told


def _filed(feed: Feed, chance: random.Random, subject: str, code: str) -> Told:
    """One answered questionnaire, corrected none to three times; what stands of it."""
    found = instrument(code)
    day = {"local_day": f"2026-04-{chance.randint(1, 28):02}", "study_day": chance.randint(1, 90)}
    given = fhir_cases.answers(found, chance)
    first = feed.response(subject, found.code, given, instrument=found, **day)
    asked = feed.entries[-1]["response"]["occurrence_id"]
    for number in range(1, chance.choice((0, 0, 1, 3)) + 1):
        given = fhir_cases.answers(found, chance)
        amendment = {
            "number": number,
            "reason": chance.choice(("=1+1", "she misread it, she says", "<b>ticked</b> & crossed")),
            "reported_by": "participant",
            "made_by": "staff:ines",
            "made_at": "2026-04-28T09:00:00.000000Z",
        }
        more = {"amends_id": first, "amendment": amendment, "occurrence_id": asked}
        feed.response(subject, found.code, given, instrument=found, kind="response.amended", **day, **more)
    usubjid = f"{feed.protocol.study_id}-{subject}"
    return {(usubjid, first, item): _word(value) for item, value in settled(found, given).items()}


def _word(answer: Any) -> str:
    kind = kind_of(answer)
    return NOT_DONE.get(kind, str(answer))


def _set_aside(feed: Feed, chance: random.Random, subject: str) -> None:
    for number in range(chance.randint(0, 2)):
        aside = {
            "id": f"60000000-0000-4000-8000-{len(feed.entries):012}",
            "response_id": None,
            "digest": "ef" * 32,
            "findings": [],
            "received_at": "2026-04-10T10:00:00Z",
        }
        feed.add(subject, chance.choice(("response.held", "response.conflict")), set_aside=aside)
        if number:
            said = {"set_aside_id": aside["id"], "outcome": "rejected", "reason": "sent twice"}
            feed.add(subject, "response.settled", settlement=said)


def _weeks(feed: Feed, chance: random.Random, subject: str) -> None:
    """Weeks of the diary, some scored twice; and of what is on file some was held, and filed by a person."""
    weekly = bundled_instrument("fatigue_diary_weekly")
    for number in range(1, chance.randint(1, 4)):
        week = test_odm.WEEK | {"id": f"40000000-0000-4000-8000-{len(feed.entries):012}", "number": number}
        for run in range(1, chance.randint(1, 2) + 1):
            days = {item.id: chance.choice((None, *item.codes)) for item in weekly.items}
            feed.add(subject, "week.scored", week=week | {"run": run}, scores=scores(weekly, days))
    filed = [one for one in feed.entries if one["subject_id"] == subject and "response" in one]
    for one in filed if chance.random() < 0.5 else ():
        said = {"set_aside_id": f"60000000-0000-4000-8000-9{len(feed.entries):011}", "outcome": "filed"}
        said |= {"response_id": one["response"]["id"], "settled_by": "staff:ines"}
        feed.add(subject, "response.settled", settlement=said | {"settled_at": "2026-04-29T09:00:00.000000Z"})


@pytest.fixture(scope="module", params=SEEDS)
def case(request, tmp_path_factory) -> tuple[Extract, Told, dict[str, Folder]]:
    """A study with what is expected, and every format of it."""
    extract, told = made_by_chance(request.param)
    folders = {}
    for name in registry.FORMATS:
        folders[name] = Folder(tmp_path_factory.mktemp(name))
        registry.find(name).write(extract, folders[name], Options())
    return extract, told, folders


def test_chance_makes_every_kind():
    words = {word for seed in SEEDS for word in made_by_chance(seed)[1].values()}
    assert words >= set(NOT_DONE.values()) and len(words) > 8
    kinds = {
        entry["kind"]
        for seed in SEEDS
        for subject in made_by_chance(seed)[0].subjects()
        for entry in subject.entries
    }
    excuses = {"occurrence.excused", "occurrence.unexcused"}
    assert kinds >= {"occurrence.missed", "participant.withdrawn"} | excuses | {
        f"response.{act}" for act in ("stored", "amended", "held", "conflict", "settled")
    }


@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_tables_say_what_was_answered(case, name):
    _, told, folders = case
    assert items_of(folders, name) == told


def items_of(folders: dict[str, Folder], name: str) -> Told:
    path = folders[name].at(f"long.{name}")
    table = pl.read_csv(path, infer_schema_length=0) if name == "csv" else pl.read_parquet(path)
    rows = table.filter(pl.col("KIND") == "item").to_dicts()
    return {
        (row["USUBJID"], row["ORIGINALID"], row["NAME"]): row["QSREASND"] or _code(row["QSSTRESN"])
        for row in rows
    }


def _code(value: Any) -> str:
    return str(int(float(value)))


def test_a_workbook_has_the_same_rows(case):
    _, _, folders = case
    with folders["csv"].at("long.csv").open(encoding="utf-8") as file:
        assert len(sheet(folders["xlsx"], 1)) == sum(1 for _ in file)


def names_of(folders: dict[str, Folder]) -> dict[str, str]:
    """Test code -> item, of items only."""
    table = pl.read_csv(folders["csv"].at("long.csv"), infer_schema_length=0)
    return dict(table.filter(pl.col("KIND") == "item").select("QSTESTCD", "NAME").unique().iter_rows())


def test_sdtm_says_what_was_answered_and_breaks_no_rule(case):
    _, told, folders = case
    names, found = names_of(folders), {}
    for name, dataset in datasets(folders["dataset-json"]).items():
        assert faults_of(dataset) == [], name
        for row in records(dataset) if name.startswith("qs") else ():
            if row["QSTESTCD"] in names:
                key = (row["USUBJID"], row["QSGRPID"], names[row["QSTESTCD"]])
                found[key] = row["QSREASND"] or row["QSSTRESC"]
    assert found == told


def test_a_transport_file_says_what_was_answered(case):
    _, told, folders = case
    names, found = names_of(folders), {}
    for file in (name for name in folders["xpt"].files if name.startswith("qs") and name.endswith(".xpt")):
        frame, _ = pyreadstat.read_xport(str(folders["xpt"].at(file)))
        for row in frame.to_dict("records"):
            if row["QSTESTCD"] in names:
                key = (row["USUBJID"], row["QSGRPID"], names[row["QSTESTCD"]])
                found[key] = row["QSREASND"] or row["QSSTRESC"]
    assert found == told


def test_odm_is_valid_and_read_back_it_is_what_was_answered(case):
    extract, told, folders = case
    snapshot, archive = (test_odm.parsed(folders["odm"], name) for name in ("snapshot.xml", "archive.xml"))
    second = test_odm.parsed(folders["odm"], "snapshot-odm2.xml")
    test_odm.SCHEMA_1.assertValid(snapshot)
    test_odm.SCHEMA_1.assertValid(archive)
    test_odm.SCHEMA_2.assertValid(second)
    values = test_odm.values_of(snapshot, test_odm.NS)
    assert values == test_odm.values_of_2(second) == test_odm.played(archive)
    assert answers_in(values, extract) == told


def answers_in(values: dict[Any, str], extract: Extract) -> Told:
    """The answers among ODM's values, by participant, first response and item."""
    first = {
        version.id: response.id
        for subject in extract.subjects()
        for response in subject.responses
        for version in response.versions
    }
    forms = {key[:5]: first[value] for key, value in values.items() if key[6] == "I.PARADATA.id"}
    found = {}
    for key, value in values.items():
        if key[5].endswith(".ANSWERS"):
            item = key[6].removeprefix(key[3].replace("F.", "I.", 1) + ".").removesuffix(".ND")
            found[key[0], forms[key[:5]], item] = value
    return found


def test_fhir_is_valid_and_says_what_was_answered(case):
    extract, told, folders = case
    reasons = {why: NOT_DONE[kind] for kind, why in KINDS.items() if kind in NOT_DONE}
    found = {}
    for name in folders["fhir"].files:
        for line in folders["fhir"].at(name).read_bytes().splitlines():
            resource = judged(orjson.loads(line))
            if resource["resourceType"] == "QuestionnaireResponse":
                patient = resource["subject"]["reference"].removeprefix("Patient/").replace(".", "-", 1)
                for item in resource["item"]:
                    found[patient, resource["id"], item["linkId"]] = _told(item["answer"][0], reasons)
    assert found == told


def _told(answer: dict[str, Any], reasons: dict[str, str]) -> str:
    if "extension" in answer:
        return reasons[answer["extension"][0]["valueCode"]]
    return str(answer["valueInteger"] if "valueInteger" in answer else answer["valueCoding"]["code"])


def test_a_changed_answer_would_be_seen(case):
    """The comparison is no rubber stamp."""
    _, told, folders = case
    key = next(iter(told))
    assert items_of(folders, "csv") != told | {key: "another"}
