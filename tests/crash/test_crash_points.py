"""A process may die at any point, and nothing is lost, nothing doubled, and nobody has to repair anything.

How it works, and how to run more of it: docs/crash-points.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.chaos
ROOT = Path(__file__).parents[2]
PATIENCE = 900
"""Seconds for one flow with all its points; a quiet machine needs less than a tenth."""

EVERY = bool(os.environ.get("EPRO_TEST_EVERY_CRASH_POINT"))
SEED = os.environ.get("EPRO_TEST_SEED", "1")
SAMPLE = "40"
FIGURES = os.environ.get("EPRO_TEST_CRASH_FIGURES")
"""A file that gets one line of JSON for each flow: points, kills, lost, doubled, seconds."""

SABOTEURS = [
    ("intake", "outbox_in_a_second_transaction", "lost: feed entry"),
    ("intake", "record_outside_the_act", "lost: act in the trail"),
    ("clockwork", "outbox_in_a_second_transaction", "lost: alert in the feed"),
    ("clockwork", "accepted_before_the_call", "lost: alert"),
    ("clockwork", "reminder_begun_again", "doubled: reminder"),
    ("sink", "no_key_at_the_target", "doubled: entry in the trial database"),
    ("sink", "position_before_the_rows", "lost: entry in the trial database"),
    ("joining", "refresh_that_cannot_be_repeated", "locked out"),
]


@pytest.mark.parametrize("flow", ["clockwork", "sink", "intake", "joining"])
def test_a_kill_loses_nothing_and_doubles_nothing(flow, environ, engine_name):
    some = ["--every"] if EVERY else [] if engine_name == "sqlite" else ["--sample", SAMPLE, "--seed", SEED]
    began = time.monotonic()
    unharmed, *kills = play(environ, flow, *some)
    tell_figures(flow, engine_name, unharmed, kills, time.monotonic() - began)
    assert len(kills) >= min(unharmed["points"] - unharmed["twins"], int(SAMPLE)) > 0
    assert faults_of([unharmed, *kills]) == []


@pytest.mark.parametrize(
    ("flow", "pairs"), [("clockwork", 20), ("sink", 10), ("intake", 10), ("joining", 10)]
)
@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_a_recovery_may_be_killed_too(flow, pairs, environ):
    assert faults_of(play(environ, flow, "--twice", str(pairs), "--seed", SEED)) == []


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_a_kill_never_passes_one_persons_reminder_off_as_anothers(environ):
    assert faults_of(play(environ, "household", "--sample", "0")) == []


@pytest.mark.parametrize(("flow", "saboteur", "seen"), SABOTEURS)
@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_a_saboteur_is_caught(flow, saboteur, seen, environ):
    unharmed, *kills = play(environ, flow, "--sample", "0", "--saboteur", saboteur, "--until-caught")
    assert unharmed["faults"] == [], "a saboteur shows only when somebody is killed"
    assert [fault for fault in kills[-1]["faults"] if fault.startswith(seen)]


def play(environ: dict[str, str], flow: str, *how: str) -> list[dict[str, Any]]:
    """The verdicts of a stage in a process of its own: the unharmed run first."""
    outside = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash.stage", flow, *how],
        env={**outside, **environ},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def faults_of(verdicts: list[dict[str, Any]]) -> list[str]:
    return [
        f"killed at {one['killed_at']}, {one['named']}: {fault}"
        for one in verdicts
        for fault in one["faults"]
    ]


def tell_figures(
    flow: str, engine: str, unharmed: dict[str, Any], kills: list[dict[str, Any]], seconds: float
) -> None:
    if not FIGURES:
        return
    faults = [fault for kill in kills for fault in kill["faults"]]
    said = {word: sum(fault.startswith(word) for fault in faults) for word in ("lost", "doubled")}
    line = {
        "flow": flow,
        "database": engine,
        "points": unharmed["points"],
        "killed": len(kills),
        **said,
        "other_faults": len(faults) - sum(said.values()),
        "seconds": round(seconds, 1),
    }
    with open(FIGURES, "a") as file:
        file.write(json.dumps(line) + "\n")
