"""Judges from npm: `make conformance` installs them. Without node, or without them, nothing is judged here.

They take every resource of every instrument, of a study with corrections, refusals and everything else that can
happen to an answer, and of studies made by chance, and calculate every score from the published expressions.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from epro import create_app, db
from epro.cli import demo, founding
from epro.export import fhir_files
from epro.exporting import fhir_bulk
from epro.signin import machine_keys
from epro.tx import Actor, begin, system
from tests.export.fhir_cases import BASE, everything
from tests.export.studies import eventful
from tests.export.test_generated import SEEDS, made_by_chance

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not (HERE / "node_modules").is_dir(),
    reason="the judges are not installed: make conformance",
)


def judged(folder: Path, resources: list[dict[str, Any]], cases: list[dict[str, Any]]) -> dict[str, Any]:
    for name, lines in (("resources", resources), ("scores", cases)):
        (folder / f"{name}.ndjson").write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    done = subprocess.run(["node", HERE / "judge.mjs", folder], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_resource_is_fhir_and_every_expression_gives_our_score(tmp_path):
    resources, cases = everything(seed=1, times=25)
    for study in (eventful().extract(), *(made_by_chance(seed)[0] for seed in SEEDS)):
        resources += fhir_files.resources(study, BASE)
    found = judged(tmp_path, resources, cases)
    assert found["faults"] == []
    assert found["differences"] == []
    assert found["resources"] > 1000 and found["scores"] > 2000
    assert set(fhir_files.KINDS) <= set(found["kinds"])


@pytest.mark.skipif("EPRO_TEST_CONFORMANCE" not in os.environ, reason="takes a minute: make conformance")
def test_every_resource_of_the_demo_study_is_fhir(tmp_path):
    environ = demo._environ(tmp_path, 8000)
    founding.make(environ, *demo._study(), 12, 42)
    with create_app(environ).app_context():
        with begin(system("tests")) as tx:
            actor = machine_keys.actor_of(tx, machine_keys.add(tx, "msc-sle", "judges", 1)[1])
        resources = list(_everything(actor))
        for engine in db.db.engines.values():
            engine.dispose()
    found = judged(tmp_path, resources, [])
    assert found["faults"] == []
    assert set(found["kinds"]) == set(fhir_bulk.KINDS) and found["resources"] > 2000


def _everything(actor: Actor) -> Iterator[dict[str, Any]]:
    """What a machine that exports everything gets."""
    with begin(actor) as tx:
        row = fhir_bulk.ask(tx, "msc-sle", (), None, "x")
    for kind in fhir_bulk.KINDS:
        for line in fhir_bulk.lines(actor, row, kind, BASE):
            yield orjson.loads(line)


def test_the_judges_do_judge(tmp_path):
    """Planted faults: each is found."""
    resources, cases = everything(seed=2, times=1)
    made = {one["resourceType"]: one for one in resources}
    planted = [
        made["Observation"] | {"status": "live"},
        {name: value for name, value in made["Observation"].items() if name != "code"},
        made["QuestionnaireResponse"] | {"more": 1},
        made["QuestionnaireResponse"] | {"authored": "yesterday"},
        made["Questionnaire"] | {"item": [{"linkId": "x", "type": "radio"}]},
    ]
    for number, one in enumerate(planted):
        one["id"] = f"planted-{number}"
    wrong = [case | {"scores": dict.fromkeys(case["scores"], -1)} for case in cases[:3]]
    found = judged(tmp_path, [*resources, *planted], wrong)
    assert {number for number in range(5) if f"planted-{number}" in str(found["faults"])} == set(range(5))
    assert len(found["differences"]) == sum(len(case["scores"]) for case in wrong)
