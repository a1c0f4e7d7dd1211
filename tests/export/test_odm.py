"""ODM: CDISC's own schemas, a reader and an OID checker of other people's, and the archive played back."""

from __future__ import annotations

import copy
from collections import defaultdict
from dataclasses import replace
from importlib.resources import files as package_files

import pytest
from lxml import etree
from odmlib.loader import ODMLoader
from odmlib.odm_loader import XMLODMLoader
from odmlib.oid_generator import create_oid_checker

from epro.export import registry
from epro.export.extract import Options
from epro.export.files import Folder
from epro.export.odm_content import Content
from epro.questionnaires.library import bundled, bundled_instrument
from tests.export.studies import Feed, eventful

NS = {"o": "http://www.cdisc.org/ns/odm/v1.3"}
NS2 = {"o": "http://www.cdisc.org/ns/odm/v2.0"}
SCHEMAS = package_files("odmlib") / "schemas" / "odm"
SCHEMA_1 = etree.XMLSchema(etree.parse(str(SCHEMAS / "1.3.2" / "ODM1-3-2.xsd")))
SCHEMA_2 = etree.XMLSchema(etree.parse(str(SCHEMAS / "2.0" / "ODM.xsd")))
WEEK = {
    "id": "40000000-0000-4000-8000-000000000001",
    "assessment": "diary",
    "number": 1,
    "run": 1,
    "first_study_day": 0,
    "first_day": "2026-04-02",
    "last_day": "2026-04-08",
    "protocol_version": "1.0",
    "instrument": {"code": "fatigue_diary_weekly", "version": "1.0", "digest": "ab" * 32},
    "sources": {},
}


QUERY = "60000000-0000-4000-8000-000000000001"
SIGNATURE = "50000000-0000-4000-8000-000000000001"


def score(scale, value, reason=None):
    return {"scale": scale, "value": value, "reason": reason, "blinded": False}


def busy():
    """Everything that can happen, and what only a history shows: moved anchors, new runs, a week scored twice."""
    feed = eventful()
    feed.add("101-001", "anchor.set", anchor={"id": "infusion", "date": "2026-04-03"})
    feed.add("101-001", "participant.withdrawn", withdrawal={"at": "2026-04-20T09:00:00.000000Z"})
    week = [score("weekly_mean", 4.25), score("weekly_worst", 7.0), score("n_days", 4.0)]
    feed.add("101-001", "week.scored", week=WEEK, scores=week)
    again = [score("weekly_mean", None, "too few"), *week[1:]]
    feed.add("101-001", "week.scored", week={**WEEK, "run": 2}, scores=again)
    first = feed.entries[[one["kind"] for one in feed.entries].index("response.stored")]
    feed.add(first["subject_id"], "signature.made", signature=signature_of(first["response"]["id"]))
    broken = {"signature_id": SIGNATURE, "original_id": first["response"]["id"], "cause": "corrected"}
    broken |= {"response_id": None, "broken_by": "staff:ines", "broken_at": "2026-04-21T09:00:00.000000Z"}
    feed.add(first["subject_id"], "signature.broken", signature_break=broken)
    return feed


def said(number, kind, role, text, item, response_id):
    """One step of a query."""
    at = f"2026-04-2{number}T10:00:00.000000Z"
    told = {
        "id": QUERY,
        "original_id": response_id,
        "item": item,
        "number": number,
        "kind": kind,
        "text": text,
    }
    return told | {"said_by": f"staff:{role}", "role": role, "said_at": at}


def signature_of(response_id):
    """Ines approves a response of somebody."""
    return {
        "id": SIGNATURE,
        "visit": None,
        "meaning": "approved",
        "name": "Ines \u003cWang\u003e",
        "role": "investigator",
        "signed_by": "staff:imke",
        "signed_at": "2026-04-20T10:00:00.000000Z",
        "time_zone": "Asia/Shanghai",
        "digest": "ab" * 32,
        "responses": [{"id": response_id, "original_id": response_id, "digest": "cd" * 32}],
    }


def written(feed, folder, **changes):
    made = Folder(folder)
    registry.find("odm").write(feed.extract(**changes), made, Options())
    return made


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return written(busy(), tmp_path_factory.mktemp("odm"))


def parsed(made, name):
    return etree.parse(str(made.at(name))).getroot()


@pytest.mark.parametrize("name", ["snapshot.xml", "archive.xml"])
def test_cdiscs_schema_finds_nothing(made, name):
    SCHEMA_1.assertValid(parsed(made, name))


def test_nor_does_that_of_odm_2(made):
    SCHEMA_2.assertValid(parsed(made, "snapshot-odm2.xml"))


def test_every_instrument_can_be_described_and_answered(tmp_path):
    feed = Feed()
    for instrument in bundled():
        if not instrument.derived_from:
            answers = {item.id: item.codes[0] for item in instrument.items}
            feed.response("102-007", instrument.code, answers, instrument=instrument)
    made = written(feed, tmp_path)
    for name in ("snapshot.xml", "archive.xml"):
        SCHEMA_1.assertValid(parsed(made, name))
    SCHEMA_2.assertValid(parsed(made, "snapshot-odm2.xml"))


@pytest.mark.parametrize("name", ["snapshot.xml", "archive.xml"])
def test_another_reader_follows_every_reference(made, name):
    loader = ODMLoader(XMLODMLoader(model_package="odm_1_3_2"))
    loader.open_odm_document(str(made.at(name)))
    root = loader.load_odm()
    checker = create_oid_checker("odm_1_3_2")
    root.verify_oids(checker)
    assert checker.check_oid_refs()


def test_a_reference_to_nothing_would_be_found(made, tmp_path):
    """The check above can fail."""
    text = made.at("snapshot.xml").read_text(encoding="utf-8")
    spoilt = tmp_path / "spoilt.xml"
    spoilt.write_text(
        text.replace('ItemData ItemOID="I.PARADATA.id"', 'ItemData ItemOID="I.none"'), encoding="utf-8"
    )
    loader = ODMLoader(XMLODMLoader(model_package="odm_1_3_2"))
    loader.open_odm_document(str(spoilt))
    checker = create_oid_checker("odm_1_3_2")
    with pytest.raises(ValueError, match=r"I\.none"):
        root = loader.load_odm()
        root.verify_oids(checker)
        checker.check_oid_refs()


def test_the_archive_holds_signatures_with_name_meaning_and_instant(made):
    root = parsed(made, "archive.xml")
    (signed,) = root.findall(".//o:FormData/o:Signature", NS)
    assert [(one.tag.rpartition("}")[2], *one.attrib.values(), one.text) for one in signed] == [
        ("UserRef", "U.staff.imke", None),
        ("LocationRef", "L.101", None),
        ("SignatureRef", "SD.approved", None),
        ("DateTimeStamp", "2026-04-20T10:00:00.000000Z"),
    ]
    assert root.findtext(".//o:User[@OID='U.staff.imke']/o:FullName", None, NS) == "Ines <Wang>"
    assert root.findtext(".//o:SignatureDef[@OID='SD.approved']/o:Meaning", None, NS) == "approved"
    assert not parsed(made, "snapshot.xml").findall(".//o:Signature", NS)


@pytest.mark.parametrize("about", ["item", "form"])
def test_odm_2_has_signatures_that_hold_and_queries_with_their_steps(tmp_path, about):
    feed = busy()
    stored = [one for one in feed.entries if one["kind"] == "response.stored"]
    whose, response = stored[-1]["subject_id"], stored[-1]["response"]
    signature = signature_of(response["id"]) | {"id": QUERY}
    feed.add(whose, "signature.made", signature=signature)
    item = next(iter(response["answers"])) if about == "item" else None
    steps = [("asked", "monitor", "is it <so>?"), ("answered", "nurse", "it is"), ("closed", "monitor", None)]
    for number, step in enumerate(steps, 1):
        feed.add(whose, f"query.{step[0]}", query=said(number, *step, item, response["id"]))
    root = parsed(written(feed, tmp_path), "snapshot-odm2.xml")
    SCHEMA_2.assertValid(root)
    (signed,) = root.findall(".//o:ItemGroupData/o:Signature", NS2)  # of the broken one nothing is left
    assert signed.getparent().get("ItemGroupRepeatKey") == response["id"]
    assert root.findtext(".//o:User[@OID='U.staff.imke']/o:FullName", None, NS2) == "Ines <Wang>"
    (query,) = root.findall(".//o:ItemData/o:Query" if item else ".//o:ItemGroupData/o:Query", NS2)
    assert (query.get("State"), query.get("Source")) == ("Closed", "Site Monitor")
    assert query.findtext("o:Value", None, NS2) == "is it <so>?"
    told = [one.findtext("o:ReasonForChange", None, NS2) for one in query.findall("o:AuditRecord", NS2)]
    assert told == ["asked: is it <so>?", "answered: it is", None]
    referred = {one.get("UserOID") for one in root.iter("{*}UserRef")}
    assert referred <= {one.get("OID") for one in root.iter("{*}User")}


def test_what_is_written_is_what_counts(made):
    """Read back by a reader that shares nothing with the writer but the names."""
    told = values_of(parsed(made, "snapshot.xml"), NS)
    content = Content(busy().extract())
    wanted = {}
    for subject in content.extract.subjects():
        for place, values in content.current(subject):
            for group, items in values.items():
                for oid, value in items.items():
                    key = (
                        subject.usubjid,
                        place.event,
                        place.event_key,
                        place.form,
                        place.form_key,
                        group,
                        oid,
                    )
                    wanted[key] = value
    assert told == wanted and len(told) > 100


def test_both_versions_of_odm_say_the_same(made):
    assert values_of_2(parsed(made, "snapshot-odm2.xml")) == values_of(parsed(made, "snapshot.xml"), NS)


def test_the_archive_played_back_gives_the_snapshot(made):
    assert played(parsed(made, "archive.xml")) == values_of(parsed(made, "snapshot.xml"), NS)


def test_every_transaction_of_the_archive_is_audited_and_in_order(made):
    root = parsed(made, "archive.xml")
    assert (root.get("Archival"), root.get("FileType")) == ("Yes", "Transactional")
    assert not root.xpath("//*[@TransactionType='Upsert']")
    for element in root.xpath("//*[@TransactionType]"):
        assert element.xpath("ancestor-or-self::o:SubjectData/o:AuditRecord", namespaces=NS)
    users = set(root.xpath("//o:User/@OID", namespaces=NS))
    assert set(root.xpath("//o:UserRef/@UserOID", namespaces=NS)) <= users
    stamps = defaultdict(list)
    for subject in root.iterfind(".//o:SubjectData", NS):
        at = subject.findtext("o:AuditRecord/o:DateTimeStamp", namespaces=NS)
        for form in subject.iterfind(".//o:FormData", NS):
            stamps[subject.get("SubjectKey"), form.get("FormOID"), form.get("FormRepeatKey")].append(at)
    assert {key: found for key, found in stamps.items() if found != sorted(found)} == {}
    assert max(at for found in stamps.values() for at in found) < root.get("CreationDateTime")
    assert root.get("AsOfDateTime") < root.get("CreationDateTime")


def test_who_and_why_of_a_correction_stand_with_it(made):
    root = parsed(made, "archive.xml")
    (record,) = root.xpath("//o:AuditRecord[o:UserRef/@UserOID='U.staff.ines']", namespaces=NS)
    assert record.findtext("o:ReasonForChange", namespaces=NS).startswith("she read the question")
    assert record.findtext("o:DateTimeStamp", namespaces=NS) == "2026-04-06T09:00:00.000000Z"
    changed = {
        item.get("ItemOID"): (item.get("TransactionType"), item.get("Value"))
        for item in record.getparent().iterfind(".//o:ItemData", NS)
    }
    assert changed["I.fatigue_diary.1.0.worst_fatigue"] == ("Update", "6")
    assert changed["I.PARADATA.reported_by"] == ("Insert", "participant")


def test_values_are_of_the_type_that_their_item_says(made):
    """What CDISC's schema lets pass."""
    root = parsed(made, "snapshot.xml")
    kinds = {item.get("OID"): item.get("DataType") for item in root.iterfind(".//o:ItemDef", NS)}
    lists = {
        item.get("OID"): ref.get("CodeListOID")
        for item in root.iterfind(".//o:ItemDef", NS)
        for ref in item.iterfind("o:CodeListRef", NS)
    }
    codes = {
        one.get("OID"): {code.get("CodedValue") for code in one.iterfind("o:CodeListItem", NS)}
        for one in root.iterfind(".//o:CodeList", NS)
    }
    reads = {"integer": int, "float": float}
    for item in root.iterfind(".//o:ItemData", NS):
        oid, value = item.get("ItemOID"), item.get("Value")
        reads.get(kinds[oid], str)(value)
        if oid in lists and not oid.endswith("finding"):
            assert value in codes[lists[oid]], (oid, value)


def test_the_same_cut_gives_the_same_bytes(made, tmp_path):
    again = written(busy(), tmp_path)
    for name in again.files:
        assert again.at(name).read_bytes() == made.at(name).read_bytes()


@pytest.mark.parametrize("blinded", [True, False])
def test_a_blinded_reader_finds_nothing_of_what_is_kept_from_him(tmp_path, blinded):
    whole = bundled_instrument("facit_fatigue")
    first, *others = whole.items
    veiled = replace(
        whole,
        items=(replace(first, blinded=True), *others),
        scales=tuple(replace(scale, blinded=True) for scale in whole.scales),
    )
    feed = Feed()
    feed.response("102-007", "facit_fatigue", {item.id: 1 for item in whole.items})

    def found(code, version=None):
        return veiled if code == "facit_fatigue" else bundled_instrument(code)

    made = written(feed, tmp_path, blinded=blinded, instrument=found)
    for name in made.files:
        text = made.at(name).read_text(encoding="utf-8")
        assert (f"I.facit_fatigue.1.0.{first.id}" in text) is not blinded
        assert (f"S.facit_fatigue.1.0.{whole.scales[0].name}" in text) is not blinded
        assert f"I.facit_fatigue.1.0.{others[0].id}" in text


def test_what_xml_cannot_hold_is_replaced(tmp_path):
    feed = busy()
    feed.add("101-001", "anchor.set", anchor={"id": "infusion", "date": "2026-04-03\x0b"})
    made = written(feed, tmp_path)
    assert "2026-04-03\ufffd" in made.at("snapshot.xml").read_text(encoding="utf-8")


def test_an_empty_study_is_a_valid_file(tmp_path):
    made = written(Feed(), tmp_path)
    SCHEMA_1.assertValid(parsed(made, "snapshot.xml"))
    SCHEMA_1.assertValid(parsed(made, "archive.xml"))
    SCHEMA_2.assertValid(parsed(made, "snapshot-odm2.xml"))
    assert set(made.files.values()) == {0}


def values_of(root, ns):
    found = {}
    for item in root.iterfind(".//o:ItemData", ns):
        key = key_of(item)
        assert key not in found, key
        found[key] = item.get("Value")
    return found


def key_of(item):
    group = item.getparent()
    form, event = group.getparent(), group.getparent().getparent()
    return (
        event.getparent().get("SubjectKey"),
        event.get("StudyEventOID"),
        event.get("StudyEventRepeatKey"),
        form.get("FormOID"),
        form.get("FormRepeatKey"),
        group.get("ItemGroupOID"),
        item.get("ItemOID"),
    )


def values_of_2(root):
    found = {}
    for item in root.iterfind(".//o:ItemData", NS2):
        group = item.getparent()
        form, event = group.getparent(), group.getparent().getparent()
        key = (
            event.getparent().get("SubjectKey"),
            event.get("StudyEventOID"),
            event.get("StudyEventRepeatKey"),
            form.get("ItemGroupOID"),
            form.get("ItemGroupRepeatKey"),
            group.get("ItemGroupOID"),
            item.get("ItemOID"),
        )
        found[key] = item.findtext("o:Value", namespaces=NS2)
    return found


def played(root):
    """What stands after every transaction of an archive."""
    stand = {}
    for step in transactions(root):
        how, key, value = step["how"], step["key"], step["value"]
        if how == "Insert":
            assert key not in stand, key
            stand[key] = value
        elif how == "Update":
            assert stand[key] != value, key
            stand[key] = value
        else:
            del stand[key]
    return stand


def transactions(root):
    """Every change of a value, those that a removed form takes with it too."""
    there = defaultdict(set)
    for form in root.iterfind(".//o:FormData", NS):
        event = form.getparent()
        place = (
            event.getparent().get("SubjectKey"),
            event.get("StudyEventOID"),
            event.get("StudyEventRepeatKey"),
            form.get("FormOID"),
            form.get("FormRepeatKey"),
        )
        if form.get("TransactionType") == "Remove":
            for key in copy.copy(there[place]):
                yield {"how": "Remove", "key": key, "value": None}
            there[place].clear()
        for item in form.iterfind(".//o:ItemData", NS):
            key = key_of(item)
            how = item.get("TransactionType")
            (there[place].discard if how == "Remove" else there[place].add)(key)
            yield {"how": how, "key": key, "value": item.get("Value")}
