"""What production asks of the database and of the accounts in it, besides the settings.

PR-01  The login of the application can do what the application does, and nothing else.
PR-02  Nobody of the staff comes in with a password alone; how one sets up more is in test_signin_factors.py.
PR-03  No site asks placeholder wording, by whatever version of the study it goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from epro import config, create_app, db, production, schema
from epro.cli import epro
from epro.cli.study import known_instruments
from epro.config import ConfigurationError
from epro.scheduling import amending, protocols
from epro.scheduling.protocol import Protocol
from epro.scheduling.reading import read
from epro.signin import staff
from epro.tx import begin, system
from tests.cast import PASSWORD, STUDY, STUDY_FILE

PRODUCTION = {
    "EPRO_ENV": "production", "EPRO_SECRET_KEY": "a secret of an installation of its own, made at random",
    "EPRO_PUBLIC_URL": "https://epro.example.org", "EPRO_SMS_SENDER": "none", "EPRO_EMAIL_SENDER": "none",
}  # fmt: skip


@dataclass
class House:
    """A PostgreSQL database set up as the README says; `admin` is the server's administrator."""

    admin: sa.Engine
    names: dict[str, str]
    urls: dict[str, str]

    def refusals(self, **changed: str) -> list[str]:
        """Why an application with these settings does not start, but that the tests' server flushes nothing."""
        environ = {
            **PRODUCTION, "EPRO_DATABASE_URL": self.urls["login"], "EPRO_OWNER_DATABASE_URL": self.urls["owner"],
            "EPRO_DATABASE_ROLE": self.names["role"], **changed,
        }  # fmt: skip
        app = create_app(environ)
        try:
            production.refuse_unsafe_start(app)
        except ConfigurationError as refused:
            return [
                line.removeprefix("  - ")
                for line in str(refused).splitlines()[1:]
                if " runs with " not in line
            ]
        finally:
            with app.app_context():
                for engine in db.db.engines.values():
                    engine.dispose()
        return []


@pytest.fixture(scope="module")
def house(postgres_server) -> Iterator[House]:
    mark = uuid4().hex[:12]
    names = {name: f"{name}_{mark}" for name in ("owner", "login", "role", "house")}
    admin = sa.create_engine(postgres_server.url(), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {names['owner']} LOGIN CREATEROLE PASSWORD 'of the owner'")
        connection.exec_driver_sql(f"CREATE DATABASE {names['house']} OWNER {names['owner']}")
    url = sa.make_url(postgres_server.url(names["house"]))
    urls = {
        name: url.set(username=names[name], password=f"of the {name}").render_as_string(hide_password=False)
        for name in ("owner", "login")
    }
    made = House(admin, names, urls)
    schema.upgrade(config.read({"EPRO_DATABASE_URL": urls["owner"], "EPRO_DATABASE_ROLE": names["role"]}))
    owner = sa.create_engine(urls["owner"], isolation_level="AUTOCOMMIT")
    with owner.connect() as connection:
        connection.exec_driver_sql(
            f"CREATE ROLE {names['login']} LOGIN PASSWORD 'of the login' IN ROLE {names['role']}"
        )
    owner.dispose()
    yield made
    postgres_server.drop_database(names["house"])
    with admin.connect() as connection:
        for name in ("login", "role", "owner"):
            connection.exec_driver_sql(f"DROP ROLE {names[name]}")
    admin.dispose()


def test_a_login_of_its_own_starts(house):
    assert house.refusals() == []


def test_the_owner_as_login_is_refused_whatever_role_it_acts_under(house):
    reasons = house.refusals(EPRO_DATABASE_URL=house.urls["owner"])
    assert [reason.partition(" owns tables")[0] for reason in reasons] == [
        "the login of EPRO_DATABASE_URL",
        "the login of EPRO_CONTACTS_DATABASE_URL",
        "the login of EPRO_CONTACTS_KEYS_DATABASE_URL",
    ]
    assert reasons[0].endswith("give EPRO_DATABASE_URL a login of its own")


def test_the_contact_store_is_asked_like_the_main_database(house):
    contacts = house.urls["owner"] + "?options=-csearch_path%3Dcontacts"
    (reason,) = house.refusals(EPRO_CONTACTS_DATABASE_URL=contacts)
    assert reason.startswith("the login of EPRO_CONTACTS_DATABASE_URL owns tables")


@pytest.mark.parametrize(
    ("given", "taken", "said"),
    [
        ("ALTER ROLE {login} SUPERUSER", "ALTER ROLE {login} NOSUPERUSER", "passes row-level security"),
        ("ALTER ROLE {login} BYPASSRLS", "ALTER ROLE {login} NOBYPASSRLS", "passes row-level security"),
        ("GRANT {owner} TO {login}", "REVOKE {owner} FROM {login}", "owns tables"),
    ],
)
def test_a_login_that_can_do_more_is_refused(house, given, taken, said):
    with house.admin.connect() as connection:
        connection.exec_driver_sql(given.format(**house.names))
        reasons = house.refusals()
        connection.exec_driver_sql(taken.format(**house.names))
    assert any(said in reason and "EPRO_DATABASE_URL" in reason for reason in reasons)
    assert any(said in reason and "EPRO_CONTACTS_DATABASE_URL" in reason for reason in reasons)


# PR-02.


@pytest.fixture
def pilot(tmp_path) -> dict[str, str]:
    """The environment of a production on SQLite, migrated and empty."""
    environ = {**PRODUCTION, "EPRO_DATABASE_URL": f"sqlite:///{tmp_path}/epro.sqlite"}
    schema.upgrade(config.read(environ))
    return environ


@pytest.fixture
def command(pilot, monkeypatch) -> Callable[..., Result]:
    for name, value in {**pilot, "EPRO_STAFF_PASSWORD": PASSWORD}.items():
        monkeypatch.setenv(name, value)
    return lambda *words: CliRunner().invoke(epro, list(words))


ADD = ("staff", "add", "--email", "noor@example.org", "--name", "Noor", "--role", "administrator@-")


def test_in_production_an_account_has_a_one_time_code_whether_asked_for_or_not(command):
    added = command(*ADD)
    assert added.exit_code == 0 and "otpauth://totp/" in added.output


def test_an_account_without_one_opens_setting_one_up_and_nothing_else(pilot):
    app = create_app(pilot)
    with app.app_context(), begin(system("tests")) as tx:
        staff.add(tx, email="old@example.org", name="O", password=PASSWORD, language="en")
    production.refuse_unsafe_start(app)
    told = (
        app.test_client()
        .post("/v1/staff/login", json={"email": "old@example.org", "password": PASSWORD})
        .get_json()
    )
    key = {"Authorization": f"Bearer {told['access_token']}"}
    assert told["second_factor_missing"] and told["known_device"] is None
    for path in ("/v1/site/participants", "/v1/sponsor/exports/csv", "/v1/staff/accounts"):
        assert app.test_client().get(path, headers=key).get_json()["code"] == "second_factor_missing"
    assert app.test_client().post("/v1/staff/me/totp", headers=key).status_code == 200
    with app.app_context():
        for engine in db.db.engines.values():
            engine.dispose()


def test_nobody_gets_no_seed(command):
    assert command("staff", "totp", str(UUID(int=7))).exit_code != 0


# PR-03.

LICENSED, OWN = "{code: lupusqol,", "{code: pgi_s,"
FLARE = "  - id: flare\n"
ADDED = """  - id: severity
    label: {en: Severity, zh-CN: 严重度}
    instrument: {code: fss, version: "1.0"}
    at: [month1]
    window: {opens: "08:00", closes: "22:00"}
    sync_grace: 1d
"""


def version(number: str, *texts: tuple[str, str]) -> tuple[Protocol, str]:
    text = STUDY_FILE.read_text(encoding="utf-8").replace('version: "1.0"\n', f'version: "{number}"\n', 1)
    for before, after in texts:
        assert before in text
        text = text.replace(before, after)
    protocol, faults = read(text, known_instruments())
    assert protocol is not None, faults
    return protocol, text


@pytest.mark.parametrize("approved_for", ["2026-03-02", "2999-03-02"], ids=["in force", "on its way"])
def test_a_version_with_placeholders_keeps_production_from_starting_once_a_site_has_it(
    pilot, command, approved_for
):
    app, tests = create_app(pilot), system("tests")
    with app.app_context(), begin(tests) as tx:
        protocols.publish(tx, *version("1.0", (LICENSED, OWN)))
        protocols.publish(tx, *version("2.0", (LICENSED, OWN), (FLARE, ADDED + FLARE)))
    production.refuse_unsafe_start(app)
    refused = command("study", "approve", STUDY, "2.0", "--site", "02", "--date", approved_for)
    assert refused.exit_code == 1 and "asks fss 1.0, whose wording is a placeholder" in str(refused.exception)
    with app.app_context(), begin(tests) as tx:
        amending.approve(tx, STUDY, "2.0", "02", date.fromisoformat(approved_for))
    with pytest.raises(ConfigurationError) as caught:
        production.refuse_unsafe_start(app)
    (reason,) = str(caught.value).splitlines()[1:]
    assert "asks fss 1.0, whose wording is a placeholder" in reason
    with app.app_context():
        for engine in db.db.engines.values():
            engine.dispose()
