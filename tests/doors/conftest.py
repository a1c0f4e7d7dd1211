"""One stage for all tests of a file, on each database: setting the scene takes longer than trying a door."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from uuid import uuid4

import pytest

from epro import create_app, db
from tests.cast import Cast
from tests.conftest import REHEARSAL
from tests.doors.scene import Stage, set_the_scene


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def stage_databases(request, tmp_path_factory) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """Settings that name a filled copy which the tests of one file share, and the cast's ids."""
    folder = tmp_path_factory.mktemp("stage")
    if request.param == "sqlite":
        template, ids = request.getfixturevalue("sqlite_template")
        for file in template.glob("*.sqlite"):
            shutil.copy(file, folder / file.name)
        yield {"EPRO_DATABASE_URL": f"sqlite:///{folder}/epro.sqlite"}, ids
        return
    server = request.getfixturevalue("postgres_server")
    template, ids = request.getfixturevalue("postgresql_template")
    name = f"stage_{uuid4().hex}"
    yield {"EPRO_DATABASE_URL": server.create_database(name, template=template)}, ids
    server.drop_database(name)


@pytest.fixture(scope="module")
def stage_environ(stage_databases) -> dict[str, str]:
    return {**REHEARSAL, "EPRO_METRICS_TOKEN": "metrics token of the tests", **stage_databases[0]}


@pytest.fixture(scope="module")
def stage(stage_environ, stage_databases) -> Iterator[Stage]:
    """The filled stage of this file; what a test changes here, the tests after it find."""
    app = create_app(stage_environ)
    app.config["OPENED_BY_TEST"] = []
    with app.app_context():
        yield set_the_scene(Cast(app, stage_databases[1]))
        for engine in db.db.engines.values():
            engine.dispose()
