"""An installation to measure: a durable database, the example study, participants with phones.

`installed(kind)` gives a running web server's port on SQLite or PostgreSQL; everything is removed afterwards.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from flask import Flask

from epro import config, create_app, schema
from epro.cli.study import known_instruments
from epro.scheduling import occurrences, protocols
from epro.scheduling.models import Occurrence
from epro.scheduling.reading import read
from epro.signin import machine_keys, sessions
from epro.signin.models import Device
from epro.studies import participants
from epro.studies.models import Site
from epro.tx import begin, system
from tests.support.postgres import running_postgres

ROOT = Path(__file__).resolve().parent.parent
BENCH = system("benchmark")
STUDY = "msc-sle"


@dataclass
class Member:
    """A participant with a phone: her key and the occurrence of her LupusQoL."""

    subject_id: str
    key: str
    occurrence_id: str


@contextmanager
def databases(kind: str) -> Iterator[dict[str, str]]:
    """Settings that name fresh, migrated databases; PostgreSQL with fsync and all."""
    folder = tempfile.mkdtemp(prefix="epro-bench-")
    base = {
        "EPRO_SECRET_KEY": "a secret for measuring, not for keeping",
        "EPRO_RATE_LIMITS": "off",
        "EPRO_PASSWORD_COST": "cheap",
        "EPRO_SECOND_FACTOR": "optional",
        "EPRO_PHISHING_RESISTANT": "optional",
        "EPRO_SESSIONS_AT_ONCE": "100",
        "EPRO_SMS_SENDER": "recording",
        "EPRO_EMAIL_SENDER": "recording",
    }
    try:
        if kind == "sqlite":
            yield _migrated(
                {
                    **base,
                    "EPRO_DATABASE_URL": f"sqlite:///{folder}/epro.sqlite",
                    "EPRO_TRIAL_DATABASE_URL": f"sqlite:///{folder}/trial.sqlite",
                }
            )
            return
        with running_postgres(durable=True) as server:
            yield _migrated(
                {
                    **base,
                    "EPRO_DATABASE_URL": server.create_database("epro"),
                    "EPRO_TRIAL_DATABASE_URL": server.create_database("trial"),
                }
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def application(environ: dict[str, str]) -> Flask:
    """The application on these databases, the example study published."""
    app = create_app(environ)
    with app.app_context(), begin(BENCH) as tx:
        text = (ROOT / "studies" / "msc-sle.yaml").read_text(encoding="utf-8")
        protocol, faults = read(text, known_instruments())
        assert protocol is not None, faults
        protocols.publish(tx, protocol, text)
    return app


def members(count: int) -> list[Member]:
    """Enrol and activate participants through the rooms; her LupusQoL is open now."""
    made = []
    for first in range(0, count, 100):
        with begin(BENCH) as tx:
            made += [_member(tx, number) for number in range(first, min(first + 100, count))]
    return made


def server_seconds(engine: sa.Engine) -> float:
    """Processor time that the processes of a PostgreSQL server have used so far; 0 for a file."""
    if engine.dialect.name != "postgresql":
        return 0.0
    with engine.connect() as connection:
        pids = connection.scalars(sa.text("SELECT pid FROM pg_stat_activity")).all()
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def machine_key() -> str:
    with begin(BENCH) as tx:
        return machine_keys.add(tx, STUDY, "benchmark", 30)[1]


@contextmanager
def serving(environ: dict[str, str], workers: int = 2, threads: int = 8) -> Iterator[int]:
    """`gunicorn wsgi:app` on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "wsgi:app",
        "-k",
        "gthread",
        "-w",
        str(workers),
        "--threads",
        str(threads),
        "-b",
        f"127.0.0.1:{port}",
        "--no-control-socket",
        "--log-level",
        "warning",
    ]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environ})
    try:
        _wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int) -> None:
    for _ in range(200):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1):
                return
        except (OSError, urllib.error.URLError):
            time.sleep(0.1)
    raise RuntimeError("the server did not start")


def _migrated(environ: dict[str, str]) -> dict[str, str]:
    schema.upgrade(config.read(environ))
    return environ


def _member(tx: Any, number: int) -> Member:
    site = tx.get(Site, STUDY, "101")
    subject_id = f"101-{number + 1:06}"
    today = tx.now.date()
    participant = participants.enrol(
        tx,
        site,
        subject_id=subject_id,
        language="zh-CN",
        time_zone="Asia/Shanghai",
        protocol_version="1.0",
        anchors={"enrolment": today},
        contact={},
    )
    occurrences.replan(tx, participant, "enrolment")
    device = tx.add(
        Device(
            study_id=STUDY,
            id=uuid4(),
            subject_id=subject_id,
            installation_id=uuid4().hex,
            activated_at=tx.now,
        )
    )
    tx.session.flush()
    pair = sessions.open_session(
        tx,
        sessions.PHONE,
        study_id=STUDY,
        subject_id=subject_id,
        device_id=device.id,
        installation_id=device.installation_id,
    )
    found = tx.one(
        sa.select(Occurrence.id).where(
            Occurrence.study_id == STUDY,
            Occurrence.subject_id == subject_id,
            Occurrence.assessment_id == "lupusqol",
        )
    )
    return Member(subject_id, pair.access_token, str(found))
