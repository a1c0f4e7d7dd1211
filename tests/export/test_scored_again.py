"""A response scored again by a later definition: every format tells by which, and none a scale that has gone."""

from __future__ import annotations

import json

import polars as pl
import pytest

from epro.export import registry
from epro.export.extract import Options
from epro.export.files import Folder
from tests.export.studies import scored_by_another


@pytest.fixture(params=["worst", "worst_fatigue"])
def scale(request):
    """The scale of the later definition: another than the first one's, or the same."""
    return request.param


@pytest.fixture
def write(tmp_path, scale):
    feed, known = scored_by_another(scale)

    def made(format, **options):
        folder = Folder(tmp_path / "out")
        (tmp_path / "out").mkdir()
        registry.find(format).write(feed.extract(**known), folder, Options(**options))
        return folder

    return made


def test_a_record_keeps_every_run_and_counts_what_the_last_definition_has(scale):
    feed, known = scored_by_another(scale)
    version = next(feed.extract(**known).subjects()).responses[0].current
    assert len(version.runs) == 2 and version.definition["version"] == "1.1"
    assert [one["scale"] for one in version.scores] == [scale]
    assert [one["scale"] for one in version.scores_after(1)] == ["worst_fatigue"]


def test_tables(write, scale):
    out = write("csv")
    long = pl.read_csv(out.at("long.csv"), infer_schema_length=0)
    found = long.filter(pl.col("KIND") == "score").to_dicts()
    assert [(one["NAME"], one["INSTRVER"], one["DEFVER"]) for one in found] == [(scale, "1.0", "1.1")]
    assert long.filter(pl.col("KIND") == "item")["DEFVER"].to_list() == [None]
    (wide,) = pl.read_csv(out.at("wide_fatigue_diary.csv"), infer_schema_length=0).to_dicts()
    assert (wide["INSTRVER"], wide["DEFVER"]) == ("1.0", "1.1")


def test_sdtm(write):
    (told,) = write("dataset-json").path.rglob("suppqsfd.json")
    assert '"QSDEFVER"' in told.read_text() and '"1.1"' in told.read_text()


@pytest.mark.parametrize("scale", ["worst_fatigue"], indirect=True)
def test_odm(write):
    text = "".join(path.read_text() for path in write("odm").path.rglob("*.xml"))
    assert "IG.fatigue_diary.1.0.SCORES.DEFVER" in text and '"1.1"' in text


def test_fhir(write, scale):
    lines = [
        json.loads(line)
        for path in write("fhir").path.rglob("*.ndjson")
        for line in path.read_text().splitlines()
    ]
    (told,) = [one for one in lines if one["resourceType"] == "Observation"]
    assert told["method"]["text"].endswith("by definition 1.1")
    assert told["code"]["coding"][0]["code"] == scale
