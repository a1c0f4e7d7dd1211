"""A start in production: refused by name for whatever is unsafe, and a real start when all is right."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator

import pytest

from epro import config, schema
from epro.config import ConfigurationError
from epro.simulation.people import over_http
from tests.cast import STUDY
from tests.support.processes import Processes, free_port, until

pytestmark = pytest.mark.slow

RIGHT = {
    "EPRO_ENV": "production", "EPRO_SECRET_KEY": "a secret of an installation of its own, made at random",
    "EPRO_PUBLIC_URL": "https://epro.example.org", "EPRO_SMS_SENDER": "twilio", "EPRO_EMAIL_SENDER": "smtp",
    "EPRO_TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "EPRO_TWILIO_AUTH_TOKEN": "a-token-that-nobody-may-see",
    "EPRO_TWILIO_FROM": "+12025550100", "EPRO_SMTP_HOST": "mail.example.org", "EPRO_SMTP_FROM": "epro@example.org",
}  # fmt: skip
WRONG = {
    "EPRO_SECRET_KEY is the demo secret": {"EPRO_SECRET_KEY": config.DEMO_SECRET},
    "EPRO_SECRET_KEY is shorter than 32 characters": {"EPRO_SECRET_KEY": "a-rather-short-one"},
    "EPRO_PUBLIC_URL is not https": {"EPRO_PUBLIC_URL": "http://epro.example.org"},
    "EPRO_SECURE_COOKIES is not on": {"EPRO_SECURE_COOKIES": "off"},
    "EPRO_SMS_SENDER is a rehearsal sender": {"EPRO_SMS_SENDER": "console"},
    "EPRO_EMAIL_SENDER is a rehearsal sender": {"EPRO_EMAIL_SENDER": "recording"},
    "EPRO_RATE_LIMITS is off": {"EPRO_RATE_LIMITS": "off"},
    "EPRO_PASSWORD_COST is not full": {"EPRO_PASSWORD_COST": "cheap"},
    "EPRO_CLOCK_OFFSET_FILE moves the clock": {"EPRO_CLOCK_OFFSET_FILE": "a-file-with-seconds"},
    "EPRO_TRAIL_KEY is shorter than 32 characters": {"EPRO_TRAIL_KEY": "too-short-a-trail-key"},
    "EPRO_RECEIPT_KEY is shorter than 32 characters": {"EPRO_RECEIPT_KEY": "too-short-a-receipt-key"},
    "EPRO_CONTACTS_KEYS": {"EPRO_CONTACTS_KEYS": "1:too-short-a-key"},
}  # fmt: skip
ALL_WRONG = {name: value for changed in WRONG.values() for name, value in changed.items()}


@pytest.fixture(scope="module")
def migrated(tmp_path_factory) -> dict[str, str]:
    """Settings in which all is right, on a migrated SQLite database without a study."""
    folder = tmp_path_factory.mktemp("production")
    environ = {**RIGHT, "EPRO_DATABASE_URL": f"sqlite:///{folder}/epro.sqlite"}
    schema.upgrade(config.read(environ))
    return environ


@pytest.fixture
def start(migrated, tmp_path) -> Iterator[Callable[..., Processes]]:
    """Processes with all right settings but those given."""
    running = Processes(migrated, tmp_path)
    with running:
        yield lambda **changed: Processes({**migrated, **changed}, tmp_path, running.children)


@pytest.fixture
def load_wsgi(migrated, monkeypatch) -> Callable[..., object]:
    """What `import wsgi` does in a process of its own, done here."""

    def load(**changed: str) -> object:
        for name, value in {**migrated, **changed}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delitem(sys.modules, "wsgi", raising=False)
        return importlib.import_module("wsgi")

    return load


def test_there_is_a_case_for_every_refusal():
    """Each rule of `config.refusals` is broken by one of the cases; and each case breaks one rule only."""
    everything = config.refusals(config.read({**RIGHT, **ALL_WRONG, "EPRO_SECRET_KEY": ""}))
    for named, changed in WRONG.items():
        (reason,) = config.refusals(config.read({**RIGHT, **changed}))
        assert reason.startswith(named)
    covered = [reason for reason in everything if any(reason.startswith(named) for named in WRONG)]
    assert covered == everything and len(WRONG) == refusal_rules()


def refusal_rules() -> int:
    """How many rules `config.refusals` has: every one breaks for the worst settings or for a short secret."""
    worst = config.refusals(config.read({**RIGHT, **ALL_WRONG}))
    demo = config.refusals(config.read({**RIGHT, **ALL_WRONG, "EPRO_SECRET_KEY": config.DEMO_SECRET}))
    return len(set(worst) | set(demo))


@pytest.mark.parametrize(("named", "changed"), WRONG.items(), ids=WRONG)
def test_a_refusal_is_named_and_nothing_starts(start, load_wsgi, named, changed):
    with pytest.raises(ConfigurationError, match=re.escape(named)):
        load_wsgi(**changed)
    port = free_port()
    served = start(**changed).epro("serve", "--port", str(port))
    assert served.wait() == 2
    assert [line for line in served.said.splitlines() if line.startswith("  - ")] == served.said.splitlines()[
        1:
    ]
    assert named in served.said and "Traceback" not in served.said
    assert [value for value in changed.values() if len(value) > 9 and value in served.said] == []


def test_every_reason_is_told_at_once_whatever_is_started(start):
    running = start(**ALL_WRONG)
    imported, worker = running.python("wsgi", "import wsgi"), running.epro("worker")
    upgraded, web = running.epro("db", "upgrade"), running.web(wait=False)
    for child, code in ((imported, 1), (worker, 2), (upgraded, 2), (web, 3)):
        assert (child.name, child.wait()) == (child.name, code)
        assert [named for named in WRONG if "demo secret" not in named and named not in child.said] == []
        assert config.DEMO_SECRET not in child.said and child.left_nobody()
    assert "Traceback" not in worker.said + upgraded.said


def test_a_sender_without_its_settings_is_refused(start):
    refused = start(EPRO_TWILIO_AUTH_TOKEN="", EPRO_TWILIO_FROM="", EPRO_SMTP_HOST="").epro("serve")
    assert refused.wait() == 2
    assert [name for name in ("AUTH_TOKEN", "TWILIO_FROM", "SMTP_HOST") if name not in refused.said] == []


def test_a_worker_names_what_its_sender_lacks_outside_production_too(start):
    worker = start(EPRO_ENV="development", EPRO_TWILIO_AUTH_TOKEN="").epro("worker")
    assert (worker.wait(), "TWILIO_AUTH_TOKEN is missing" in worker.said) == (2, True)
    assert "Traceback" not in worker.said


def test_an_unmigrated_database_is_refused(start, tmp_path):
    refused = start(EPRO_DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite").epro("serve")
    assert (refused.wait(), "run `epro db upgrade`" in refused.said) == (2, True)
    assert "Traceback" not in refused.said


@pytest.mark.parametrize("engine_name", ["sqlite"])
def test_an_open_study_with_placeholder_wording_is_refused(start, database):
    """The tests' study asks LupusQoL, whose bundled wording is a placeholder."""
    refused = start(**database[0]).python("wsgi", "import wsgi")
    assert refused.wait() == 1
    assert re.search(
        f"study {STUDY} asks lupusqol .* placeholder .*import the licensed wording", refused.said
    )


@pytest.mark.parametrize("engine_name", ["postgresql"])
def test_a_role_that_row_policies_do_not_bind_is_refused(start, database):
    refused = start(**database[0], EPRO_DATABASE_ROLE="epro").epro("serve")
    assert refused.wait() == 2
    assert "passes row-level security" in refused.said and "owns tables" in refused.said


def test_it_starts_when_all_is_right(start):
    port = free_port()
    running = start()
    imported, web, worker = (
        running.python("wsgi", "import wsgi"),
        running.web(wait=False),
        running.worker(wait=False),
    )
    served = running.epro("serve", "--port", str(port))
    served.address = f"http://127.0.0.1:{port}"
    assert (imported.wait(), imported.said) == (0, "")
    for child in (running.answering(web), running.answering(served)):
        status = until(
            lambda child=child: over_http(child.address)("GET", "/readyz", None, {}).status == 200,
            what="being ready",
        )
        assert status and "Traceback" not in child.said
    assert (web.stop(), running.at_work(worker).stop()) == (0, 0)
    assert RIGHT["EPRO_TWILIO_AUTH_TOKEN"] not in running.said and web.left_nobody()
