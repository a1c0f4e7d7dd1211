"""CDISC's own description of the Dataset-JSON API against our part of it: what is read is served as it says.

A fuzzer takes the official file, unchanged but for where we are, and sends what fits it and what does not. Where we
answer otherwise, `EXPLAINED` says why; what is not explained there is a fault, and so is an explanation nobody needs.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from tests.cast import STUDY

pytestmark = pytest.mark.parametrize("stage_databases", ["sqlite"], indirect=True, scope="module")

FILE = Path(__file__).parents[1] / "conformance" / "cdisc" / "dataset-json-api-1-0.json"
ROOT = "/cdisc/dataset-json"
EXAMPLES = 8
THERE = {"studyOID": f"STDY.{STUDY}", "label": "first", "datasetOID": "IG.QSFD"}
EXPLAINED = {
    404: "a name that is not there: the file knows 200 and 422 only, and there is nothing to be mended in the request",
    422: "a problem document, as everywhere here, where the file has a list of errors under `detail`",
    304: "nothing has changed since the instant that the request names; HTTP has it so, the file is silent",
    "rows only": "`dataonly` asks for the rows alone; the file describes its answer as a dataset with its metadata",
}


@pytest.fixture(scope="module")
def official() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def schema(stage, official) -> Any:
    config = SchemathesisConfig(wait_for_schema=0)
    found = schemathesis.openapi.from_dict(official | {"servers": [{"url": ROOT}]}, config=config)
    found.app = stage.cast.app
    return found


def test_what_is_read_is_answered_as_cdisc_describes_it(stage, schema):
    met: Counter[Any] = Counter()
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.method.upper() == "GET":
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                _fuzz(stage, operation, mode, met)
    assert set(met) == {200, *EXPLAINED}, met
    assert met[200] > 30 and sum(met.values()) > 100


def _fuzz(stage: Any, operation: Any, mode: GenerationMode, met: Counter[Any]) -> None:
    if mode is GenerationMode.NEGATIVE and not operation.path_parameters and not operation.query:
        return
    names = THERE | ({"label": "define"} if "/defines/" in operation.path else {})

    @given(
        case=operation.as_strategy(generation_mode=mode),
        known=st.sampled_from([True, True, True, False]),
        part=st.sampled_from([None, "metadataonly", "dataonly"]),
        since=st.sampled_from([None, "Wed, 01 Jan 2020 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"]),
    )
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def one(case: Any, known: bool, part: str | None, since: str | None) -> None:
        if known:
            case.path_parameters.update({n: names[n] for n in case.path_parameters})
        if part and any(one.name == part for one in operation.query):
            case.query = {"offset": "1", "limit": "2", part: "true"}
        met[_judged(stage, case, {"If-Modified-Since": since} if since else {})] += 1

    one()


def _judged(stage: Any, case: Any, since: dict[str, str]) -> Any:
    """What the answer counts as; an unexplained one raises."""
    case.headers = None  # `api-key` has a test below; packed answers are unpacked elsewhere
    with stage.today():
        key = f"Bearer {stage.token('machine')}"
        response = case.call(headers={"Authorization": key, "Accept-Encoding": "identity", **since})
    case.validate_response(response, checks=[not_a_server_error])
    if response.status_code == 200:
        told = json.loads(response.content)
        if isinstance(told, dict) and set(told) == {"rows"}:
            return "rows only"
        case.validate_response(response, checks=[content_type_conformance, response_schema_conformance])
        return 200
    assert response.status_code in EXPLAINED, (response.status_code, response.content)
    if response.status_code != 304:
        assert json.loads(response.content)["status"] == response.status_code
    return response.status_code


def test_every_reading_operation_of_the_file_is_built_and_every_writing_one_says_that_it_is_not(
    stage, official
):
    for path, method in _operations(official):
        names = THERE | ({"label": "define"} if "/defines/" in path else {})
        address = ROOT + path.format(**names)
        body = None if method == "GET" else {}
        answer = stage.send(method, address, body=body, headers={"api-key": stage.token("machine")})
        assert answer.status_code == (200 if method == "GET" else 501), (method, path, answer.text)


def test_without_a_key_of_ours_nothing_is_told(stage, official):
    for path, method in _operations(official):
        if method == "GET":
            for key in ({}, {"api-key": "none of ours"}):
                answer = stage.send("GET", ROOT + path.format(**THERE), headers=key)
                assert answer.status_code == 401, path


def test_datasets_of_a_standard_are_those_of_that_standard(stage):
    def listed(query: str) -> list[str]:
        answer = stage.ask("machine", "GET", f"{ROOT}/studies/{THERE['studyOID']}/datasets{query}")
        return [one["itemGroupOID"] for one in answer.get_json()]

    assert listed("") == listed("?standard=sdtmig") == listed("?standard=")
    assert "IG.QSFD" in listed("") and listed("?standard=adamig") == []


def test_a_fault_would_be_found(stage, schema):
    """The judge is no rubber stamp: an answer that lacks what the file requires is refused."""
    operation = schema["/studies"]["GET"]
    case = operation.Case()
    with stage.today():
        response = case.call(headers={"api-key": stage.token("machine")})
    told = json.loads(response.content)
    del told[0]["href"]
    response.content = json.dumps(told).encode()
    with pytest.raises(FailureGroup) as found:
        case.validate_response(response, checks=[response_schema_conformance])
    assert "href" in str(found.value.exceptions)


def _operations(official: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for path, found in official["paths"].items():
        for method in found:
            yield path, method.upper()
