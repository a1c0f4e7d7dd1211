"""A reader of the feed who lies about where he stands: refused clearly or told anew, and nobody else notices.

FP-01  What is no position is refused. So is one that the feed has not reached, at once, in each way of reading.
FP-02  A place where another entry stands than the reader says is refused: of another study, or of before a restore.
FP-03  Going backwards tells the same again, byte for byte.
FP-04  The server keeps nothing of a reader: whatever one says, another gets every entry once.
FP-05  Every entry is as the schema says that goes with it, and has no part that the schema does not name.
"""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import pytest
from jsonschema import Draft202012Validator

from epro.stream import sequencer

PATH = "/v1/sponsor/feed"
LINES = {"Accept": "application/x-ndjson"}


@pytest.fixture
def read(cast):
    """Reads the feed as the study's machine; six entries stand in it."""
    cast.three_answer()
    sequencer.sequence()
    client = cast.app.test_client()

    def read(asked, **headers):
        key = {"Authorization": f"Bearer {cast.ids['machine']}"}
        return client.get(f"{PATH}?{asked}", headers=key | headers, buffered=True)

    return read


# fmt: off
NO_POSITIONS = ["after=-1", "after=-9223372036854775809", "after=", "after=1.5", "after=1e3", "after=NaN", "after=0x1",
                "after=1_0", "after=%2B1", "after=%201", "after=%D9%A3", "after=true", "after=null", "after=abc",
                f"after={2**62 + 1}", f"after={2**64}", "after=" + "9" * 5000, "after=1;2", "event_id=1"]
# fmt: on


def test_what_is_no_position_is_refused_and_a_lie_is_found_out_at_once(read):
    for asked in NO_POSITIONS:
        answer = read(asked)
        assert (answer.status_code, answer.json["code"]) == (422, "invalid"), asked
        assert read(asked, **LINES).status_code == 422
    for ahead in (7, 8, 1000, 2**62):
        for how in ({}, LINES):
            answer = read(f"after={ahead}&wait=30", **how)  # nobody waits for what may never be
            assert (answer.status_code, answer.json["code"]) == (409, "not_a_place_of_this_feed")
    told = read("after=6").json
    assert (told["records"], told["next"], told["more"]) == ([], 6, False)
    assert read("after=06").json["next"] == 6


def test_a_place_with_another_entry_is_refused(read):
    ids = [one["event_id"] for one in read("limit=10").json["records"]]
    assert read(f"after=3&event_id={ids[2]}").json["records"][0]["position"] == 4
    assert read(f"after=6&event_id={ids[5]}").json["records"] == []
    for wrong in (
        f"after=3&event_id={ids[3]}",
        f"after=3&event_id={UUID(int=3)}",
        f"after=0&event_id={ids[0]}",
    ):
        answer = read(wrong)
        assert (answer.status_code, answer.json["code"]) == (409, "not_a_place_of_this_feed"), wrong


def test_a_cursor_of_another_study_opens_nothing(read):
    for how in ({}, LINES):
        assert read("after=1&study=other", **how).status_code in (403, 404)


def test_going_backwards_tells_the_same_and_nobody_else_loses_anything(read):
    whole, lines = read("limit=1000").data, read("", **LINES).data
    honest, place = [], 0
    for lie in (
        "after=5&limit=1",
        "after=99",
        "after=0&limit=2",
        "after=-1",
        "after=2",
        f"event_id={UUID(int=1)}&after=1",
    ):
        read(lie)
        page = read(f"after={place}&limit=1").json
        honest += [one["position"] for one in page["records"]]
        place = page["next"]
    assert (honest, place) == ([1, 2, 3, 4, 5, 6], 6)
    assert read("limit=1000").data == whole and read("after=0", **LINES).data == lines


def test_every_entry_is_as_its_schema_says(stage):  # FP-05
    schema = json.loads(Path(__file__).parents[2].joinpath("docs", "feed-entry.schema.json").read_bytes())
    sequencer.sequence()
    told = stage.send("GET", f"{PATH}?limit=500", stage.token("machine")).get_json()["records"]
    judge = Draft202012Validator(schema)
    faults = [(one["kind"], fault.message) for one in told for fault in judge.iter_errors(one)]
    assert faults == [] and len({one["kind"] for one in told}) > 8
    people = [one["participant"]["by"] for one in told if "participant" in one]
    assert people and all(by.startswith("staff:") for by in people)
    missed = [one["occurrence"] for one in told if one["kind"] == "occurrence.missed"]
    asked = {(one["protocol_version"], one["instrument"]["code"]) for one in missed}
    assert asked == {("1.0", "fatigue_diary")}
    assert {part for one in told for part in one} <= set(schema["properties"])
    assert list(judge.iter_errors(told[0] | {"position": 0}))
