"""Wording packs: what a filled file must be, who approves it, and what a phone is then asked with.

All words here are made up; none stands in any instrument.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from epro import production
from epro.cli import epro
from epro.config import ConfigurationError
from epro.errors import NotAllowed
from epro.notifications import study_files
from epro.questionnaires import catalogue, pack_files, wording
from epro.questionnaires.instrument import Instrument, UnknownLanguage, localised
from epro.questionnaires.library import bundled, bundled_instrument
from epro.questionnaires.models import WordingApproval, WordingPack
from epro.questionnaires.pack_checks import LONGEST, places_of
from epro.questionnaires.packs import Pack, from_document
from epro.questionnaires.previews import WORDS, in_words, preview
from epro.scheduling import protocols
from epro.scheduling.source import Fault
from epro.simulation.people import Refused
from epro.trail import INSTALLATION
from epro.trail.models import Event
from epro.tx import Actor, Grant, begin, look, system
from tests.cast import PASSWORD, STUDY, STUDY_FILE

FACTS = {
    "wording_version": "1.0",
    "licence_holder": "A Holder of Rights, Ltd.",
    "licence_reference": "LIC-2026-17 of 2026-01-09",
    "translation_certificate": "TC-88",
}
EVERY_INSTRUMENT = pytest.mark.parametrize(
    "instrument", bundled(), ids=lambda one: f"{one.code}-{one.version}"
)
FSS = bundled_instrument("fss")
GAD7 = bundled_instrument("gad7")


def versions(code: str) -> dict[str, Instrument]:
    return {one.version: one for one in bundled() if one.code == code}


def words(key: str, language: str) -> str:
    """Invented words, another for each key."""
    return f"词语 {key}" if language.startswith("zh") else f"words of {key}"


def filled(instrument: Instrument, language: str = "en", **changed: Any) -> bytes:
    """A filled template as CSV. `changed`: facts, by name."""
    rows = list(csv.reader(io.StringIO(pack_files.csv_template(instrument, language).removeprefix("\ufeff"))))
    facts = FACTS | changed
    return written(
        [key, label, facts.get(key[5:], text) if key.startswith("meta.") else words(key, language)]
        for key, label, text in rows[1:]
    )


def written(rows: Any, mark: str = ",") -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=mark).writerows([pack_files.HEADER, *rows])
    return out.getvalue().encode()


def in_xliff(instrument: Instrument, language: str = "en") -> str:
    def fill(found: re.Match[str]) -> str:
        key = found[1]
        text = FACTS.get(key[5:], "") if key.startswith("meta.") else words(key, language)
        return f'<unit id="{key}">{found[2]}<target>{text}</target>'

    empty = re.compile(r'<unit id="([^"]+)">((?:(?!</unit>).)*?)<target />', re.DOTALL)
    return empty.sub(fill, pack_files.xliff_template(instrument, language))


def pack_of(instrument: Instrument = FSS, language: str = "en", **changed: Any) -> Pack:
    pack, faults = pack_files.read(filled(instrument, language, **changed), versions)
    assert pack is not None, faults
    return pack


def line(key: str, text: str | None) -> Callable[[bytes], bytes]:
    """The file with another text under a key, or without the key."""

    def change(raw: bytes) -> bytes:
        rows = list(csv.reader(io.StringIO(raw.decode())))[1:]
        assert key in [row[0] for row in rows]
        return written(
            [name, label, text if name == key else old]
            for name, label, old in rows
            if text is not None or name != key
        )

    return change


def put(before: str, after: str) -> Callable[[bytes], bytes]:
    def change(raw: bytes) -> bytes:
        assert before.encode() in raw
        return raw.replace(before.encode(), after.encode(), 1)

    return change


# Files


@EVERY_INSTRUMENT
@pytest.mark.parametrize("language", ["en", "zh-CN", "fr"])
def test_csv_and_xliff_give_the_same_pack(instrument, language):
    from_csv, no_faults = pack_files.read(filled(instrument, language), versions)
    from_xliff, none_either = pack_files.read(in_xliff(instrument, language).encode(), versions)
    assert (no_faults, none_either) == ([], [])
    assert from_csv == from_xliff and from_csv.digest == from_xliff.digest
    assert from_csv.language == language and len(from_csv.digest) == 64
    assert from_document(json.loads(json.dumps(from_csv.document()))) == from_csv


@EVERY_INSTRUMENT
def test_a_pack_words_everything_that_a_participant_reads(instrument):
    pack = pack_of(instrument, "zh-CN")
    shown = localised(instrument, "zh-CN", pack)
    ours = {text for place in places_of(instrument) for text in place.labels.values()}
    for part in ("label", "range", "items", "checks", "recall", "title"):
        for said in texts_in(shown.get(part), skip=("label",) if part == "items" else ()):
            assert said not in ours, part
    assert shown["wording"] == {
        "status": "licensed", "version": "1.0", "digest": pack.digest, "licence_holder": FACTS["licence_holder"],
    }  # fmt: skip


def texts_in(value: Any, skip: tuple[str, ...]) -> list[str]:
    """The texts a person reads; an item's own `label` is our name for it, its options' labels are not."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        told = {"text", "message", "choices", "range", "label", "lowest", "highest"} - set(skip)
        return [text for key, part in value.items() if key in told for text in texts_in(part, ())]
    return [text for part in value or [] for text in texts_in(part, skip)]


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_spreadsheet_of_another_country_is_read(mark):
    rows = list(csv.reader(io.StringIO(filled(FSS).decode())))[1:]
    pack, faults = pack_files.read(b"\xef\xbb\xbf" + written(rows, mark), versions)
    assert faults == [] and pack == pack_of()


def test_blanks_around_a_text_and_kinds_of_line_breaks_are_no_content():
    first = line("item.fss1", "one\ntwo")(filled(FSS))
    other = line("item.fss1", "  one\r\ntwo ")(filled(FSS))
    assert pack_files.read(first, versions)[0] == pack_files.read(other, versions)[0] != pack_of()


BAD = {
    "not_utf8": lambda raw: raw.replace(b"words of title", "\u8bcd\u8bed".encode("gb18030")),
    "too_large": lambda raw: raw + b" " * pack_files.LARGEST,
    "empty_file": lambda raw: b"\xef\xbb\xbf \r\n",
    "bad_header": put("placeholder_label", "label"),
    "bad_csv": put("words of title", 'words "of" title"x\n"'),
    "bad_row": put("words of title", "words, of title"),
    "missing_fact": line("meta.licence_holder", ""),
    "bad_wording_version": line("meta.wording_version", "the first one"),
    "bad_language": line("meta.language", "EN"),
    "unknown_instrument": line("meta.instrument", "nope"),
    "unknown_instrument_version": line("meta.instrument_version", "0.9"),
    "missing_key": line("item.fss3", None),
    "unknown_key": put("item.fss3", "item.fss33"),
    "duplicate_key": put("item.fss3", "item.fss2"),
    "empty_text": line("choice.agreement.4", " "),
    "still_placeholder": line("item.fss2", "exercise  TRIGGER"),
    "too_long": line("item.fss2", "x" * 601),
    "line_break": line("choice.agreement.1", "two\nlines"),
    "same_options": line("choice.agreement.1", "Words of choice.agreement.7"),
    "control_character": line("item.fss2", "left \u202e right"),
    "damaged_text": line("item.fss2", "caf\ufffd"),
    "markup": line("item.fss2", "a <b>bold</b> word"),
    "other_script": line("item.fss2", "中文"),
    "unfilled": line("item.fss2", "the question to come, TBD"),
}
BAD_XML = {
    "bad_xml": put("</file>", "</fle>"),
    "dtd_refused": put("<xliff", '<!DOCTYPE x [<!ENTITY a "aaaa">]>\n<xliff'),
    "not_xliff": lambda raw: b"<html/>",
    "other_xliff_version": put('version="2.0"', 'version="1.2"'),
    "no_target_language": put('trgLang="en"', ""),
    "other_language": put('trgLang="en"', 'trgLang="de"'),
    "split_unit": put("</segment>", "</segment><segment><source>a</source><target>b</target></segment>"),
    "inline_markup": put("<target>words of title</target>", '<target>words <ph id="1"/> title</target>'),
    "missing_key": lambda raw: re.sub(rb'<unit id="item.fss1">.*?</unit>', b"", raw, flags=re.DOTALL),
    "bad_language": lambda raw: raw.replace(b'trgLang="en"', b'trgLang="x y"').replace(b">en<", b">x y<"),
}


@pytest.mark.parametrize(("code", "spoil"), BAD.items(), ids=BAD)
def test_a_bad_table_is_refused_by_name(code, spoil):
    pack, faults = pack_files.read(spoil(filled(FSS)), versions)
    assert pack is None
    assert code in [fault.code for fault in faults]
    assert all(fault.place and fault.detail.endswith(".") and fault.mend.endswith(".") for fault in faults)


@pytest.mark.parametrize(("code", "spoil"), BAD_XML.items(), ids=BAD_XML)
def test_a_bad_xliff_is_refused_by_name(code, spoil):
    pack, faults = pack_files.read(spoil(in_xliff(FSS).encode()), versions)
    assert pack is None
    assert code in [fault.code for fault in faults]


@pytest.mark.parametrize("name", ["facts", "xxe"])
def test_no_entity_is_ever_followed(name, tmp_path):
    (tmp_path / "secret").write_text("the secret")
    bomb = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    inner = {"facts": f'<!ENTITY a0 "aaaaaaaaaa">{bomb}', "xxe": f'<!ENTITY x SYSTEM "{tmp_path}/secret">'}[
        name
    ]
    raw = f"<?xml version='1.0'?><!DOCTYPE x [{inner}]>{in_xliff(FSS).partition('?>')[2]}"
    pack, faults = pack_files.read(raw.replace("words of title", "&x;").encode(), versions)
    assert pack is None and [fault.code for fault in faults] == ["dtd_refused"]


UNFILLED = {
    "item.gad01": [
        "TODO 中", "TODO中", "待翻译", "感到紧张（待补充）", "结果待定。", "[第6题在此]", "【第6题】",
        "（第6题）", "%s 您好", "%s您好", "您好 %1$s", "第%d题", "您好 ____", "您好＿＿", "……",
        "ＴＯＤＯ：问题", "fixme 问题", "问题 xxxx", "中 T.B.D.", "Lorem ipsum 中",
    ],
    "choice.frequency.0": [
        "…", "-", "tbd", "？？？", "[0]", "请翻译",
    ],
    "title": [
        "TBC", "GAD-7 (TBD)",
    ],
    "recall": [
        "待填", "to be translated",
    ],
    "meta.translation_certificate": [
        "TBD", "tba",
    ],
    "meta.licence_reference": [
        "LIC-____ of ____", "LIC-XXX-2026", "[number and date]", "待定", "number and date of the licence",
    ],
    "meta.licence_holder": [
        "-", "TODO: ask", "Who holds the rights in the wording",
    ],
    "meta.wording_version": [
        "TBD",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("key", "text"), [(key, text) for key, texts in UNFILLED.items() for text in texts])
def test_what_was_not_filled_in_is_refused_by_name_and_place(key, text):
    raw = line(key, text)(filled(GAD7, "zh-CN"))
    number = raw.decode()[: raw.decode().index(f"\n{key},") + 1].count("\n") + 1
    faults = [fault for fault in pack_files.read(raw, versions)[1] if fault.code == "unfilled"]
    assert [(fault.place, fault.detail.startswith(key)) for fault in faults] == [(f"line {number}", True)]


def test_a_text_that_is_not_filled_in_is_told_with_all_its_signs():
    faults = pack_files.read(line("item.gad01", "%s 您好 ____")(filled(GAD7, "zh-CN")), versions)[1]
    assert [fault.detail for fault in faults] == [
        "item.gad01 is not filled in: it holds a mark such as %s that a program fills in and a gap of underscores."
    ]


HONEST = {
    ("zh-CN", "item.gad01"): [
        "等待定期检查时，您有多少事情要做？", "（在工作时）您有多疲劳（平均）？",
        "您有 50% 的时间感到紧张吗？", "期待翻译的时候",
    ],
    ("zh-CN", "choice.frequency.0"): [
        "0", "10", "0-3", "≥ 5 mg", "37.5℃", "50%", "N/A", "30min", "没有",
    ],
    ("zh-CN", "title"): [
        "GAD-7", "《焦虑量表》",
    ],
    ("zh-CN", "recall"): [
        "过去十四天",
    ],
    ("en", "item.gad01"): [
        "How much was there to do today?", "Were you waiting for a plan to be confirmed?",
        "I felt tired 100% of the day (even at rest)", "I wish ...",
    ],
    ("en", "choice.frequency.0"): [
        "++", "🙂", "N/A", "10", "10 (most)",
    ],
    ("en", "recall"): [
        "(past two weeks)",
    ],
    ("es", "item.gad01"): [
        "Todo el tiempo, con cualquier método",
    ],
    ("es", "choice.frequency.0"): [
        "Todo",
    ],
    ("it", "item.gad01"): [
        "Ha avuto la TBC?",
    ],
    ("fr", "item.gad01"): [
        "Mon método préféré",
    ],
    ("ja", "item.gad01"): [
        "つかれ",
    ],
    ("en", "meta.licence_holder"): [
        "Todo Salud S.A.",
    ],
    ("en", "meta.licence_reference"): [
        "none: in the public domain", "MAPI_LIC_2026",
    ],
    ("en", "meta.translation_certificate"): [
        "original",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("language", "key", "text"), [(*place, text) for place, texts in HONEST.items() for text in texts]
)
def test_honest_words_pass(language, key, text):
    assert pack_files.read(line(key, text)(filled(GAD7, language)), versions)[1] == []


NOT_CHINESE = ["Not at all", "A", "level 0", "0 points", "OK then", "5 x a day"]


@pytest.mark.parametrize("text", NOT_CHINESE)
def test_an_option_in_another_script_is_refused(text):
    faults = pack_files.read(line("choice.frequency.0", text)(filled(GAD7, "zh-CN")), versions)[1]
    assert [fault.code for fault in faults] == ["other_script"]


def test_a_chinese_option_in_an_english_pack_is_refused():
    faults = pack_files.read(line("choice.frequency.0", "没有 0")(filled(GAD7)), versions)[1]
    assert [fault.code for fault in faults] == ["other_script"]


def test_our_own_label_of_the_recall_is_refused_until_it_is_confirmed():
    raw = line("recall", "past 2 weeks")(filled(GAD7))
    assert [fault.code for fault in pack_files.read(raw, versions)[1]] == ["still_placeholder"]
    raw = line("recall", "past 2 weeks")(filled(GAD7, same_as_label="recall"))
    assert pack_files.read(raw, versions)[1] == []


def test_every_fault_is_told_at_once_with_its_place():
    raw = line("item.fss9", "")(line("item.fss1", None)(line("meta.licence_reference", "")(filled(FSS))))
    faults = pack_files.read(raw, versions)[1]
    assert {(fault.code, fault.place) for fault in faults} == {
        ("missing_fact", "line 7"), ("missing_key", "item.fss1"), ("empty_text", "line 19"),
    }  # fmt: skip


def test_words_that_happen_to_be_our_label_are_confirmed_key_by_key():
    raw = line("item.fss2", "Exercise trigger")(filled(FSS, same_as_label="item.fss2"))
    pack, faults = pack_files.read(raw, versions)
    assert faults == [] and pack.same_as_label == ("item.fss2",)
    raw = filled(FSS, same_as_label="item.fss2 item.none")
    assert [fault.code for fault in pack_files.read(raw, versions)[1]] == ["unknown_key"]


def test_an_option_and_not_applicable_may_not_read_alike():
    lupusqol = bundled_instrument("lupusqol")
    raw = line("not_applicable", words("choice.frequency.0", "en"))(filled(lupusqol))
    assert [fault.code for fault in pack_files.read(raw, versions)[1]] == ["same_options"]


def test_every_kind_of_text_has_its_longest():
    kinds = {place.kind for one in bundled() for place in places_of(one)}
    assert kinds <= set(LONGEST)
    assert (LONGEST["item"], LONGEST["option"]) == (600, 120)


def test_a_pack_brings_a_language_that_the_definition_lacks():
    with pytest.raises(UnknownLanguage):
        localised(FSS, "fr")
    shown = localised(FSS, "fr", pack_of(FSS, "fr"))
    assert (shown["items"][0]["text"], shown["items"][0]["label"]) == ("words of item.fss1", "Motivation")
    assert shown["scales"][0]["label"] == FSS.scales[0].label["en"]


# On record


def person(cast: Any, name: str, role: str = "study_builder") -> Actor:
    return Actor("staff", cast.ids[name], grants=(Grant(INSTALLATION, "*", role),))


def bring_in(cast: Any, pack: Pack, *people: str) -> None:
    """Imported by Dana, approved by the named."""
    with begin(person(cast, "dana")) as tx:
        wording.import_pack(tx, pack)
    for name in people:
        with begin(person(cast, name)) as tx:
            wording.approve(tx, key_of(pack))


def key_of(pack: Pack) -> wording.Key:
    return pack.instrument, pack.instrument_version, pack.language, pack.wording_version


def in_force(instrument: Instrument = FSS, language: str = "en") -> Pack | None:
    with look(system("tests")) as tx:
        return wording.effective(tx, instrument, language)


def test_a_pack_is_in_force_when_two_others_have_approved_it(cast):
    pack = pack_of()
    bring_in(cast, pack)
    assert in_force() is None
    with begin(person(cast, "bo")) as tx:
        assert wording.approve(tx, key_of(pack)) == 1
    assert in_force() is None
    with begin(person(cast, "alma")) as tx:
        assert wording.approve(tx, key_of(pack)) == 2
    assert in_force() == pack
    assert in_force(language="zh-CN") is None


def test_nobody_approves_twice_nor_what_she_imported(cast):
    pack = pack_of()
    bring_in(cast, pack, "bo")
    for name in ("bo", "dana"):
        with pytest.raises(wording.SamePerson), begin(person(cast, name)) as tx:
            wording.approve(tx, key_of(pack))
    with pytest.raises(NotAllowed), begin(system("a command")) as tx:
        wording.approve(tx, key_of(pack))
    assert in_force() is None


def test_a_third_approval_and_one_of_nothing_are_refused(cast):
    pack = pack_of()
    bring_in(cast, pack, "bo", "alma")
    with pytest.raises(wording.AlreadyApproved), begin(person(cast, "ines")) as tx:
        wording.approve(tx, key_of(pack))
    with pytest.raises(wording.UnknownWording), begin(person(cast, "ines")) as tx:
        wording.approve(tx, ("fss", "1.0", "en", "9"))


def test_a_version_never_changes_and_versions_stand_side_by_side(cast):
    first, second = pack_of(), pack_of(wording_version="1.1", licence_reference="LIC-2026-18")
    bring_in(cast, first, "bo", "alma")
    with begin(person(cast, "dana")) as tx:
        assert not wording.import_pack(tx, first)
    with pytest.raises(wording.ChangedWording), begin(person(cast, "dana")) as tx:
        wording.import_pack(tx, replace(first, licence_reference="another"))
    bring_in(cast, second)
    assert in_force() == first
    bring_in(cast, second, "alma", "bo")
    assert in_force() == second
    with look(system("tests")) as tx:
        assert wording.effective(tx, FSS, "en", first.digest) == first
        told = [(one.wording_version, one.approvals, one.in_force) for one in wording.standing(tx, FSS, "en")]
    assert told == [("1.0", 2, False), ("1.1", 2, True)]


def test_import_and_approval_stand_in_the_trail_with_the_licence_and_the_person(cast):
    pack = pack_of()
    bring_in(cast, pack, "bo")
    with look(system("tests")) as tx:
        events = tx.all(sa.select(Event).where(Event.object_type == "wording").order_by(Event.seq))
    assert [(e.action, e.actor) for e in events] == [
        ("wording.imported", f"staff:{cast.ids['dana']}"), ("wording.approved", f"staff:{cast.ids['bo']}"),
    ]  # fmt: skip
    details = json.loads(events[0].body)["details"]
    assert details["digest"] == pack.digest and details["licence_reference"] == FACTS["licence_reference"]


def test_what_is_on_record_is_what_was_in_the_file(cast):
    pack = pack_of(bundled_instrument("lupusqol"), "zh-CN")
    bring_in(cast, pack, "bo")
    with look(system("tests")) as tx:
        row = tx.get(WordingPack, *key_of(pack))
        assert from_document(json.loads(row.body)) == pack
        assert (row.digest, row.licence_holder) == (pack.digest, FACTS["licence_holder"])
        assert tx.one(sa.select(WordingApproval.approved_by)) == f"staff:{cast.ids['bo']}"


# The phone


def test_a_phone_learns_of_the_licensed_words_and_fetches_them(cast):
    lupusqol = bundled_instrument("lupusqol")
    pack = pack_of(lupusqol, "en")
    with cast.on("2026-03-02T10:00"):
        ada = cast.phone()
        before = ada.definitions["lupusqol", "1.0"]
        assert before["wording"] == {"status": "placeholder"}
        bring_in(cast, pack, "bo", "alma")
        ada.sync()
        after = ada.definitions["lupusqol", "1.0"]
    assert after["wording"] == {
        "status": "licensed", "version": "1.0", "digest": pack.digest, "licence_holder": FACTS["licence_holder"],
    }  # fmt: skip
    assert after["items"][0]["text"] == words("item.lq01", "en") != before["items"][0]["text"]
    assert after["digest"] == before["digest"]


def test_another_wording_has_another_etag_and_one_named_is_kept(cast):
    lupusqol = bundled_instrument("lupusqol")
    first, second = pack_of(lupusqol), pack_of(lupusqol, wording_version="2")
    path = "/v1/phone/instruments/lupusqol/1.0?lang=en"
    with cast.on("2026-03-02T10:00"):
        ada = cast.phone()
        placeholder = ada.call("GET", path)
        bring_in(cast, first, "bo", "alma")
        one = ada.call("GET", path)
        bring_in(cast, second, "bo", "alma")
        two, named = ada.call("GET", path), ada.call("GET", f"{path}&wording={first.digest}")
        with pytest.raises(Refused, match="404"):
            ada.must("GET", f"{path}&wording=none")
    assert len({answer.headers["ETag"] for answer in (placeholder, one, two)}) == 3
    assert {answer.headers["Cache-Control"] for answer in (placeholder, one, two)} == {"private, no-cache"}
    assert (named.headers["ETag"], named.body) == (one.headers["ETag"], one.body)
    assert named.headers["Cache-Control"] == "private, max-age=31536000, immutable"


def test_changes_name_the_wording_in_her_language(cast):
    pack = pack_of(bundled_instrument("lupusqol"), "zh-CN")
    with cast.on("2026-03-02T10:00"):
        ada, ben = cast.phone(), cast.phone(language="zh-CN")
        bring_in(cast, pack, "bo", "alma")
        told = [phone.must("GET", f"/v1/phone/changes?since={phone.since}") for phone in (ada, ben)]
    listed = [{one["code"]: one["wording"] for one in page["instruments"]} for page in told]
    assert (listed[0]["lupusqol"], listed[1]["lupusqol"]) == (None, pack.digest)
    assert listed[1]["fatigue_diary"] is None


# Production


def test_production_refuses_placeholders_until_every_language_is_approved(cast, app):
    app.config["EPRO"] = {**app.config["EPRO"], "ENV": "production"}
    with look(system("tests")) as tx:
        protocol = protocols.current(tx, STUDY)
    asked = sorted({(a.instrument.code, a.instrument.version) for a in protocol.assessments})
    instruments = [bundled_instrument(*one) for one in asked]
    bare = [
        (one, tag) for one in instruments for tag in protocol.languages if one.wording[tag] == "placeholder"
    ]
    assert bare
    for instrument, language in bare:
        with pytest.raises(ConfigurationError, match=f"{instrument.code} .*placeholder.*epro wording import"):
            with look(system("tests")) as tx:
                production.refuse_unready(tx, protocol)
        pack = pack_of(instrument, language)
        bring_in(cast, pack, "bo")
        with pytest.raises(ConfigurationError), look(system("tests")) as tx:
            production.refuse_unready(tx, protocol)
        with begin(person(cast, "alma")) as tx:
            wording.approve(tx, key_of(pack))
    with look(system("tests")) as tx:
        production.refuse_unready(tx, protocol)
        assert list(production._unready(tx)) == []


# Previews


@EVERY_INSTRUMENT
def test_a_preview_shows_every_text_selects_nothing_and_asks_no_host(instrument):
    pack = pack_of(instrument, "zh-CN")
    page = preview(instrument, "zh-CN", pack, "imported")
    assert [p.key for p in places_of(instrument) if f"词语 {p.key}<" not in page] == []
    assert '<html lang="zh-CN">' in page and pack.digest in page and "LIC-2026-17" in page
    assert not re.search(r"checked[ =>]|https?://|src=|<script|url\(", page)


def test_a_preview_shows_markup_of_a_text_as_text():
    pack = replace(pack_of(), licence_holder="<script>alert(1)</script>")
    assert "<script" not in preview(FSS, "en", pack, "x")


@EVERY_INSTRUMENT
def test_a_page_of_placeholders_says_so_in_both_languages_and_else_speaks_one(instrument):
    for language, status in instrument.wording.items():
        page = preview(instrument, language, None, "-")
        marks = [WORDS[one]["placeholder"] in page for one in WORDS]
        assert marks == [status == "placeholder"] * 2
        other = "en" if language == "zh-CN" else "zh-CN"
        said = re.findall(f'<[^>]*lang="{other}"[^>]*>([^<]*)', page)
        facts = instrument.document()
        data = {facts["rights"], f"({facts['edition']})"} if other == "en" else set()  # told as they are
        assert set(map(unescape, said)) - data <= {WORDS[other]["placeholder"]}
    filled = pack_of(instrument, "zh-CN")
    assert WORDS["zh-CN"]["short"] not in preview(instrument, "zh-CN", filled, "-")
    assert set(WORDS["en"]) == set(WORDS["zh-CN"])


@EVERY_INSTRUMENT
def test_an_item_that_a_condition_may_name_shows_its_number(instrument):
    page = preview(instrument, "en", None, "-")
    numbers = [WORDS["en"]["item"].format(number=item.number) for item in instrument.items]
    asked = any(item.asked_if for item in instrument.items) or instrument.checks
    assert re.findall('class="where" lang="en">([^<]*)', page) == (numbers if asked else [])


def test_conditions_are_told_in_words():
    items = {
        "a": {"number": 1, "choices": [{"code": 0, "label": "No"}]}, "b": {"number": "2b", "choices": []},
    }  # fmt: skip
    told = in_words(
        {"any": [
            {"item": "a", "is": "not_equal", "code": 0},
            {"all": [{"item": "b", "is": "answered"}, {"item": "b", "is": "above", "other_item": "a"}]},
        ]}, items,
    )  # fmt: skip
    assert told == "(item 1 is not 0 (No) or (item 2b is answered and item 2b is above item 1))"
    assert in_words({"item": "a", "is": "at_least", "code": 3}, items, "zh-CN") == "条目1不低于3"


# The command line


@pytest.fixture
def run(cast, environ, monkeypatch) -> Callable[..., Any]:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    def call(*said: Any, stdin: str = "") -> Any:
        result = CliRunner().invoke(epro, ["wording", *map(str, said)], input=stdin)
        assert "Traceback" not in result.output
        return result

    return call


def approved_by(run: Any, name: str, version: str = "1.0", password: str = PASSWORD) -> Any:
    said = ("approve", "lupusqol", "--lang", "en", "--wording-version", version)
    return run(*said, "--by", f"{name}@example.org", "--password-stdin", stdin=f"{password}\n")


def test_a_wording_comes_in_by_the_command_line(run, cast, tmp_path):
    made = run("template", "lupusqol", "--lang", "en", "--out", tmp_path)
    assert made.exit_code == 0 and len(made.output.splitlines()) == 2
    file = tmp_path / "lupusqol-1.0-en.csv"
    empty = run("import", file)
    assert empty.exit_code == 1 and "[missing_fact]" in empty.output and "[empty_text]" in empty.output
    file.write_bytes(filled(bundled_instrument("lupusqol")))
    assert run("preview", "lupusqol", "--pack", file, "--out", tmp_path).exit_code == 0
    named = ("import", file, "--by", "dana@example.org", "--password-stdin")
    assert "imported" not in run(*named, stdin="not hers\n").output
    imported = run(*named, stdin=f"{PASSWORD}\n")
    assert imported.exit_code == 0 and "lupusqol/1.0/en/1.0 imported" in imported.output
    assert "exactly so" in run(*named, stdin=f"{PASSWORD}\n").output
    assert "lupusqol 1.0 en: placeholder\n    1.0  imported " in run("status", STUDY).output
    assert "1 more is needed" in approved_by(run, "bo").output
    assert "it is in force" in approved_by(run, "alma").output
    told = run("status", STUDY)
    assert told.exit_code == 0
    assert "lupusqol 1.0 en: licensed" in told.output and "approved by 2 of 2, in force" in told.output
    assert "lupusqol 1.0 zh-CN: placeholder" in told.output and "fatigue_diary 1.0 en: own" in told.output
    seen = run("preview", "lupusqol", "--lang", "en", "--wording-version", "1.0", "--out", tmp_path)
    assert seen.exit_code == 0
    assert "approved by 2 of 2, in force" in (tmp_path / "lupusqol-1.0-en-wording-1.0.html").read_text()


def test_the_previews_of_two_versions_stand_side_by_side(run, tmp_path):
    for version in ("1.0", "1.1"):
        file = tmp_path / f"{version}.csv"
        file.write_bytes(filled(bundled_instrument("fss"), wording_version=version))
        assert run("preview", "fss", "--pack", file, "--out", tmp_path / "seen").exit_code == 0
    assert run("preview", "fss", "--lang", "en", "--out", tmp_path / "seen").exit_code == 0
    assert sorted(page.name for page in (tmp_path / "seen").iterdir()) == [
        "fss-1.0-en-wording-1.0.html",
        "fss-1.0-en-wording-1.1.html",
        "fss-1.0-en.html",
    ]


def test_who_may_not_approve_is_told_so(run, cast):
    bring_in(cast, pack_of(bundled_instrument("lupusqol")))
    refused = {
        "the importer": approved_by(run, "dana"),
        "a nurse": approved_by(run, "noor"),
        "a stranger": approved_by(run, "nobody"),
        "a wrong password": approved_by(run, "bo", password="something else"),
        "another version": approved_by(run, "bo", version="7"),
    }
    assert {why: result.exit_code for why, result in refused.items()} == dict.fromkeys(refused, 1)
    with look(system("tests")) as tx:
        assert tx.all(sa.select(WordingApproval)) == []


def test_changed_words_under_the_same_version_are_refused(run, tmp_path):
    file = tmp_path / "fss.csv"
    file.write_bytes(filled(FSS))
    assert run("import", file).exit_code == 0
    file.write_bytes(filled(FSS, licence_holder="Another"))
    assert run("import", file).exit_code == 1


def test_in_production_an_import_names_its_person(run, tmp_path, monkeypatch):
    right = {"ENV": "production", "SMS_SENDER": "twilio", "EMAIL_SENDER": "smtp", "RATE_LIMITS": "on",
             "PASSWORD_COST": "full", "PUSH_SENDER": "none", "SECOND_FACTOR": "required",
             "PHISHING_RESISTANT": "required", "SESSIONS_AT_ONCE": "3"}  # fmt: skip
    for name, value in right.items():
        monkeypatch.setenv(f"EPRO_{name}", value)
    file = tmp_path / "fss.csv"
    file.write_bytes(filled(FSS))
    refused = run("import", file)
    assert refused.exit_code == 2 and "--by EMAIL" in refused.output


@pytest.mark.parametrize("said", [
    ("template", "nope", "--lang", "en"), ("template", "fss"), ("template", "fss", "--lang", "english"),
    ("import", "nowhere.csv"), ("preview", "fss", "--lang", "fr"), ("preview", "fss", "--wording-version", "1"),
    ("approve", "fss", "--lang", "en", "--by", "bo@example.org"),
])  # fmt: skip
def test_a_wrong_call_ends_with_two(said):
    result = CliRunner().invoke(epro, ["wording", *said])
    assert result.exit_code == 2 and "Error:" in result.output


def test_a_study_may_use_a_language_that_a_pack_brings(run, cast, tmp_path):
    """The diary's own words are in two languages; the third comes from packs."""
    study = tmp_path / "study.yaml"
    study.write_text(in_french(STUDY_FILE))
    publish = ["study", "publish", str(study)]
    refused = CliRunner().invoke(epro, publish)
    assert refused.exit_code == 1 and "instrument_language_missing" in refused.output
    with look(system("tests")) as tx:
        protocol = protocols.current(tx, STUDY)
        asked = {catalogue.find(tx, a.instrument.code, a.instrument.version) for a in protocol.assessments}
    for instrument in asked:
        bring_in(cast, pack_of(instrument, "fr"), "bo", "alma")
    published = CliRunner().invoke(epro, publish)
    assert published.exit_code == 0, published.output


def test_what_is_published_stays_so_when_a_check_has_become_stricter(run, cast, tmp_path, monkeypatch):
    """Whoever publishes at each start is not stopped; a file that says anything else is checked."""
    fault = Fault("/assessments/0", 1, "stricter", "A check of tomorrow.", "Mend it.")
    monkeypatch.setattr(study_files, "read", lambda text, known: (None, [fault]))
    again = CliRunner().invoke(epro, ["study", "publish", str(STUDY_FILE)])
    assert again.exit_code == 0 and "was published before, exactly so" in again.output
    other = tmp_path / "study.yaml"
    other.write_text(STUDY_FILE.read_text(encoding="utf-8") + "\n")
    refused = CliRunner().invoke(epro, ["study", "publish", str(other)])
    assert refused.exit_code == 1 and "A check of tomorrow." in refused.output


def in_french(file: Path) -> str:
    text = file.read_text(encoding="utf-8").replace('version: "1.0"', 'version: "9.0"', 1)
    text = re.sub(r"languages: \[(.*?)\]", r"languages: [\1, fr]", text, count=1)
    return re.sub(r"\{en: ([^,}]+)", r"{fr: \1, en: \1", text)
