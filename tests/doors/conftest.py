"""One stage for all tests of a file, on each database. The scene is set once in a run; files get copies of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from epro import create_app, db
from tests.cast import Cast
from tests.conftest import REHEARSAL, _settle
from tests.doors.scene import Stage, set_the_scene

SETTINGS = {**REHEARSAL, "EPRO_METRICS_TOKEN": "metrics token of the tests"}


@pytest.fixture(scope="session")
def sqlite_scene(sqlite_template, tmp_path_factory) -> tuple[Path, Stage]:
    """A folder with databases in which everything has happened, and who is there."""
    template, ids = sqlite_template
    folder = _copied(template, tmp_path_factory.mktemp("scene"))
    return folder, _set({"EPRO_DATABASE_URL": f"sqlite:///{folder}/epro.sqlite"}, ids)


@pytest.fixture(scope="session")
def postgresql_scene(postgresql_template, postgres_server) -> Iterator[tuple[str, Stage]]:
    """The same as the name of a database."""
    template, ids = postgresql_template
    name = f"scene_{uuid4().hex}"
    yield name, _set({"EPRO_DATABASE_URL": postgres_server.create_database(name, template=template)}, ids)
    postgres_server.drop_database(name)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def stage_databases(request, tmp_path_factory) -> Iterator[tuple[dict[str, str], Stage]]:
    """Settings that name a copy of the scene which the tests of one file share, and who is there."""
    if request.param == "sqlite":
        scene, told = request.getfixturevalue("sqlite_scene")
        folder = _copied(scene, tmp_path_factory.mktemp("stage"))
        yield {"EPRO_DATABASE_URL": f"sqlite:///{folder}/epro.sqlite"}, told
        return
    server = request.getfixturevalue("postgres_server")
    scene, told = request.getfixturevalue("postgresql_scene")
    name = f"stage_{uuid4().hex}"
    yield {"EPRO_DATABASE_URL": server.create_database(name, template=scene)}, told
    server.drop_database(name)


@pytest.fixture(scope="module")
def stage_environ(stage_databases) -> dict[str, str]:
    return {**SETTINGS, **stage_databases[0]}


@pytest.fixture(scope="module")
def stage(stage_environ, stage_databases) -> Iterator[Stage]:
    """The filled stage of this file; what a test changes here, the tests after it find."""
    app = create_app(stage_environ)
    app.config["OPENED_BY_TEST"] = []
    with app.app_context():
        yield stage_databases[1].on(Cast(app, stage_databases[1].ids))
        for engine in db.db.engines.values():
            engine.dispose()


def _set(settings: dict[str, str], ids: dict[str, str]) -> Stage:
    """Set the scene on these databases, and let go of them, so that they can be copied."""
    app = create_app({**SETTINGS, **settings})
    app.config["OPENED_BY_TEST"] = []
    with app.app_context():
        stage = set_the_scene(Cast(app, ids))
        for engine in db.db.engines.values():
            _settle(engine)
            engine.dispose()
    return stage


def _copied(source: Path, target: Path) -> Path:
    for file in source.glob("*.sqlite"):
        shutil.copy(file, target / file.name)
    return target
