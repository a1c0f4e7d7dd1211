"""XPORT, Define-XML, Parquet and Excel, each read back by a reader that we did not write."""

from __future__ import annotations

import re
import zipfile
from dataclasses import replace
from pathlib import Path

import odmlib
import orjson
import pandas as pd
import polars as pl
import pyreadstat
import pytest
from lxml import etree
from odmlib import define_loader, loader

from epro.export import excel, parquet, registry, sdtm, xpt
from epro.export.extract import Options
from epro.export.files import Folder, told
from epro.export.spool import Spool
from tests.export.studies import Feed, eventful
from tests.export.test_dataset_json import datasets, records

DEFINE_SCHEMA = Path(odmlib.__file__).parent / "schemas" / "define" / "2.1" / "define2-1-0.xsd"
DEF = "http://www.cdisc.org/ns/def/v2.1"


def written(name, extract, folder, **options):
    folder.mkdir(exist_ok=True)
    made = Folder(folder)
    registry.find(name).write(extract, made, Options(**options))
    return made


@pytest.fixture(scope="module")
def transport(tmp_path_factory):
    return written("xpt", eventful().extract(), tmp_path_factory.mktemp("xpt"))


@pytest.fixture(scope="module")
def define(transport):
    return transport.at("define.xml")


@pytest.mark.parametrize("name", ["qslq", "qsfd", "qsfs", "qsfa", "suppqslq"])
def test_two_readers_find_in_a_transport_file_what_dataset_json_says(transport, name, tmp_path):
    wanted = records(datasets(written("dataset-json", eventful().extract(), tmp_path / "json"))[name])
    by_pandas = pd.read_sas(transport.at(f"{name}.xpt"), format="xport", encoding="ascii")
    by_readstat, meta = pyreadstat.read_xport(str(transport.at(f"{name}.xpt")))
    assert meta.table_name == name.upper() and meta.column_labels[0] == "Study Identifier"
    for frame in (by_pandas, by_readstat):
        found = [{key: _value(value) for key, value in row.items()} for row in frame.to_dict("records")]
        assert found == wanted


@pytest.mark.parametrize(
    "value", [0.1, -66.66666666666667, 1e-70, 1e70, 3.0, 1 / 3, 255.99609375, -0.0, 2**52 + 1]
)
def test_numbers_come_back_to_the_last_bit(value, tmp_path):
    variables = (sdtm.Variable("X", "A number", sdtm.FLOAT, "", False, ""),)
    spool = _spool(tmp_path, variables, [[value], [None]])
    xpt.dataset(tmp_path / "x.xpt", spool, eventful().extract().cut.at)
    frame, _ = pyreadstat.read_xport(str(tmp_path / "x.xpt"))
    assert frame["X"][0] == value and frame["X"].isna()[1]


def _spool(folder, variables, rows):
    path = folder / "rows"
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    widths = [
        max((len(str(row[n] or "").encode()) for row in rows), default=1) for n in range(len(variables))
    ]
    return Spool(sdtm.Dataset("QSXX", "Label", variables, "x"), path, len(rows), widths)


CANNOT_TRAVEL = {
    "a name too long": ("NINECHARS", "Label", "text", "/QSXX/NINECHARS"),
    "a label too long": ("X", "a label of more than forty characters, cut", "text", "/QSXX/X"),
    "a label in Chinese": ("X", "疲劳", "text", "/QSXX/X"),
    "a text too long": ("X", "Label", "x" * 201, "/QSXX/1/X"),
    "a text in Chinese": ("X", "Label", "疲劳", "/QSXX/1/X"),
    "an accent": ("X", "Label", "é", "/QSXX/1/X"),
}


@pytest.mark.parametrize("what", CANNOT_TRAVEL)
def test_what_xport_cannot_carry_is_refused_with_its_place_and_never_cut(what, tmp_path):
    name, label, value, place = CANNOT_TRAVEL[what]
    spool = _spool(tmp_path, (sdtm.Variable(name, label, sdtm.STRING, "", False, ""),), [[value]])
    with pytest.raises(xpt.NotTransportable) as refused:
        xpt.refuse([spool])
    (error,) = refused.value.errors
    assert error["pointer"] == place and value not in error["detail"]


def test_two_hundred_bytes_travel(tmp_path):
    spool = _spool(tmp_path, (sdtm.Variable("X", "L" * 40, sdtm.STRING, "", False, ""),), [["x" * 200]])
    xpt.refuse([spool])
    xpt.dataset(tmp_path / "x.xpt", spool, eventful().extract().cut.at)
    assert pyreadstat.read_xport(str(tmp_path / "x.xpt"))[0]["X"][0] == "x" * 200


def test_an_empty_study_travels(tmp_path):
    made = written("xpt", Feed().extract(), tmp_path / "out")
    frame, _ = pyreadstat.read_xport(str(made.at("qslq.xpt")))
    assert frame.empty and list(frame.columns) == [one.name for one in sdtm.QS]


def test_define_xml_fits_its_schema(define):
    etree.XMLSchema(etree.parse(str(DEFINE_SCHEMA))).assertValid(etree.parse(str(define)))


def test_a_loader_we_did_not_write_reads_the_define(define):
    reader = loader.ODMLoader(define_loader.XMLDefineLoader(model_package="define_2_1", ns_uri=DEF))
    reader.open_odm_document(str(define))
    version = reader.MetaDataVersion()
    assert {group.Name for group in version.ItemGroupDef} >= {"QSLQ", "SUPPQSLQ"}


def test_every_reference_of_the_define_leads_somewhere(define):
    tree = etree.parse(str(define))
    known = {one.get("OID") or one.get("ID") for one in tree.iter() if one.get("OID") or one.get("ID")}
    pointing = (
        "ItemOID",
        "CodeListOID",
        "MethodOID",
        "WhereClauseOID",
        "ValueListOID",
        "StandardOID",
        "ArchiveLocationID",
    )
    named = {
        value
        for one in tree.iter()
        for name, value in one.attrib.items()
        if re.sub(r"\{.*\}", "", str(name)) in pointing
    }
    assert named and named <= known
    oids = [one.get("OID") for one in tree.iter() if one.get("OID")]
    assert len(oids) == len(set(oids))


def test_the_define_tells_what_may_stand_under_each_question(define):
    tree = etree.parse(str(define))
    listed = tree.find(f".//{{{DEF}}}ValueListDef[@OID='VL.QSLQ.QSORRES']")
    assert len(listed) == 34 + 8
    space = {"o": "http://www.cdisc.org/ns/odm/v1.3", "d": DEF}
    (origin,) = tree.xpath("//o:ItemDef[@OID='IT.QSLQ.QSORRES.LUPQ01']/d:Origin", namespaces=space)
    assert (origin.get("Type"), origin.get("Source")) == ("Collected", "Subject")
    assert tree.xpath("//o:MethodDef[contains(@OID, 'lupusqol')]", namespaces=space)


def test_every_value_is_one_that_the_define_allows(define, tmp_path):
    """The define's lists are what the data keep to."""
    space = {"o": "http://www.cdisc.org/ns/odm/v1.3", "d": DEF}
    tree = etree.parse(str(define))
    found = records(datasets(written("dataset-json", eventful().extract(), tmp_path / "json"))["qslq"])
    for row in found:
        item = f"//o:ItemDef[@OID='IT.QSLQ.QSORRES.{row['QSTESTCD']}']/o:CodeListRef/@CodeListOID"
        for oid in tree.xpath(item, namespaces=space):
            allowed = tree.xpath(f"//o:CodeList[@OID='{oid}']/*/@CodedValue", namespaces=space)
            assert row["QSORRES"] is None or row["QSORRES"] in allowed


def test_a_blinded_define_names_nothing_that_is_blinded(tmp_path):
    extract = eventful().extract()

    def instrument(code, version):
        found = extract.instrument(code, version)
        return replace(found, scales=tuple(replace(scale, blinded=True) for scale in found.scales))

    hidden = replace(extract, instrument=instrument, blinded=True)
    made = written("dataset-json", hidden, tmp_path / "out")
    for name in made.files:
        assert b"LUPQPH" not in made.at(name).read_bytes(), name


@pytest.mark.parametrize("part", [1, 3, 50_000])
def test_parquet_holds_what_csv_holds(tmp_path, monkeypatch, part):
    """In one part, or in many."""
    monkeypatch.setattr(parquet, "PART", part)
    made = written("parquet", eventful().extract(), tmp_path / "out")
    plain = written("csv", eventful().extract(), tmp_path / "csv")
    for name in ("long", "wide_lupusqol", "subjects"):
        frame = pl.read_parquet(made.at(f"{name}.parquet"))
        as_csv = pl.read_csv(plain.at(f"{name}.csv"), schema=frame.schema)
        assert frame.equals(as_csv) and frame.height == made.files[f"{name}.parquet"]
    assert not [path for path in (tmp_path / "out").iterdir() if path.suffix == ".part"]


def sheet(folder, number):
    """Cells of a sheet as text, by row; read from the XML itself."""
    with zipfile.ZipFile(folder.at(excel.MAIN)) as book:
        tree = etree.fromstring(book.read(f"xl/worksheets/sheet{number}.xml"))
    assert not tree.findall(".//{*}f"), "there is a formula"
    return [["".join(cell.itertext()) for cell in row] for row in tree.iter("{*}row")]


def test_a_workbook_holds_the_tables_and_no_formula(tmp_path):
    feed = eventful()
    feed.entries[1]["response"]["time_zone"] = "=HYPERLINK(1)"
    made = written("xlsx", feed.extract(), tmp_path / "out")
    plain = written("csv", feed.extract(), tmp_path / "csv")
    assert len(sheet(made, 1)) == plain.files["long.csv"] + 1
    with zipfile.ZipFile(made.at(excel.MAIN)) as book:
        names = re.findall(r'<sheet name="([^"]+)"', book.read("xl/workbook.xml").decode())
    assert names == [
        *(name.removesuffix(".csv") for name in plain.files if "dict" not in name),
        "dictionary",
        "about",
    ]


def test_a_sheet_that_is_full_goes_on_in_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(excel, "MOST_ROWS", 40)
    made = written("xlsx", eventful().extract(), tmp_path / "out")
    with zipfile.ZipFile(made.at(excel.MAIN)) as book:
        names = re.findall(r'<sheet name="([^"]+)"', book.read("xl/workbook.xml").decode())
    assert {"long", "long_2", "long_3"} <= set(names)


@pytest.mark.parametrize("name", ["parquet", "xlsx", "xpt"])
def test_the_same_cut_gives_the_same_bytes(name, tmp_path):
    once, again = (told(written(name, eventful().extract(), tmp_path / one)) for one in "ab")
    assert once == again


def _value(value):
    """As Dataset-JSON has it. Pandas takes XPORT's zero for the smallest number that there is."""
    if value in ("", None) or value != value:
        return None
    return 0 if isinstance(value, float) and 0 < value < 1e-78 else value
