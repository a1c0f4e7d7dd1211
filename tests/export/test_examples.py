"""The loaders in examples/, run on a real export: the table they print, and a plot that is one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from epro.export import registry
from epro.export.extract import Options
from epro.export.files import Folder
from tests.export.studies import Feed

EXAMPLES = Path(__file__).parents[2] / "examples"
COMMANDS = {"fatigue.py": [sys.executable], "fatigue.R": ["Rscript"]}


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """Three participants whose fatigue gets better from visit to visit, and one who answered too little. The first
    answered twice what was asked once: her second answer does not count.
    """
    feed = Feed()
    visits = [visit.id for visit in feed.protocol.visits][:3]
    for subject in range(1, 4):
        for number, visit in enumerate(visits):
            answers = {f"lq{item:02}": min(4, number + subject % 2) for item in range(1, 35)}
            feed.response(f"101-00{subject}", "lupusqol", answers, visit=visit)
    feed.response("101-004", "lupusqol", {"lq01": 1}, visit=visits[0])
    again = {"occurrence_id": feed.entries[0]["response"]["occurrence_id"], "visit": visits[0]}
    feed.response("101-001", "lupusqol", {f"lq{item:02}": 4 for item in range(1, 35)}, **again)
    folder = tmp_path_factory.mktemp("export")
    registry.find("csv").write(feed.extract(), Folder(folder), Options())
    return folder, visits


@pytest.mark.parametrize(
    ("file", "picture"), [("fatigue.py", "fatigue-python.png"), ("fatigue.R", "fatigue-r.png")]
)
def test_a_loader_prints_the_means_and_draws_them(export, file, picture):
    folder, visits = export
    if shutil.which(COMMANDS[file][0]) is None:
        pytest.skip(f"{COMMANDS[file][0]} is not on this machine")
    run = subprocess.run(
        [*COMMANDS[file], EXAMPLES / file, folder], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    lines = [line for line in run.stdout.splitlines() if any(visit in line for visit in visits)]
    assert len(lines) == 3
    for line, mean in zip(lines, ("16.6", "41.6", "66.6"), strict=True):
        assert mean in line, line
    drawn = (folder / picture).read_bytes()
    assert drawn.startswith(b"\x89PNG") and len(drawn) > 5_000
