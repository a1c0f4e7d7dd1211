"""The description of the feed on Kafka, judged by AsyncAPI's own schema: `make conformance` installs it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema.validators import validator_for

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "asyncapi.yaml"
SCHEMAS = HERE / "node_modules" / "@asyncapi" / "specs" / "schemas"
TOLD: dict[str, Any] = yaml.safe_load(PAGE.read_text(encoding="utf-8"))


@pytest.mark.skipif(not SCHEMAS.is_dir(), reason="the judges are not installed: make conformance")
def test_the_description_of_the_feed_on_kafka_is_asyncapi():
    schema = json.loads((SCHEMAS / f"{TOLD['asyncapi']}.json").read_text(encoding="utf-8"))
    judge = validator_for(schema)(schema)
    assert [fault.message for fault in judge.iter_errors(TOLD)] == []
    wrong = copy.deepcopy(TOLD)
    wrong["operations"]["tell"]["action"] = "shout"
    assert list(judge.iter_errors(wrong)), "a judge that finds nothing proves nothing"


def test_whatever_it_refers_to_is_there():
    for name in _references(TOLD):
        file, _, place = name.partition("#")
        found: Any = json.loads((PAGE.parent / file).read_bytes()) if file else TOLD
        for part in place.split("/")[1:]:
            found = found[part]


def _references(told: Any) -> list[str]:
    parts = told.values() if isinstance(told, dict) else told if isinstance(told, list) else ()
    own = [told["$ref"]] if isinstance(told, dict) and "$ref" in told else []
    return own + [name for part in parts for name in _references(part)]
