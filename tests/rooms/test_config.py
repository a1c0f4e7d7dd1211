"""Settings: read once. What is unsafe keeps production from starting, and is told by its name, never by its value."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from epro import config, create_app
from epro.config import ConfigurationError

PRODUCTION = {
    "EPRO_ENV": "production", "EPRO_SECRET_KEY": "s" * 20 + "-of-an-installation-of-its-own",
    "EPRO_DATABASE_URL": "postgresql://epro@db/epro", "EPRO_PUBLIC_URL": "https://epro.example.org",
    "EPRO_SMS_SENDER": "twilio", "EPRO_EMAIL_SENDER": "smtp",
}  # fmt: skip
UNSAFE = {
    "EPRO_SECRET_KEY": ["", "short", "a" * 31, config.DEMO_SECRET],
    "EPRO_PUBLIC_URL": ["", "http://epro.example.org", "epro.example.org", "httpss://x"],
    "EPRO_SECURE_COOKIES": ["off", "no"],
    "EPRO_SMS_SENDER": ["console", "recording", ""],
    "EPRO_EMAIL_SENDER": ["console", "recording", ""],
    "EPRO_RATE_LIMITS": ["off", "0"],
    "EPRO_PASSWORD_COST": ["cheap"],
    "EPRO_SECOND_FACTOR": ["optional", "off"],
    "EPRO_PHISHING_RESISTANT": ["optional", "off"],
    "EPRO_SESSIONS_AT_ONCE": ["11"],
    "EPRO_SESSION_IDLE_MINUTES": ["61"],
    "EPRO_CLOCK_OFFSET_FILE": ["/anywhere"],
    "EPRO_TRAIL_KEY": ["short", "k" * 31],
    "EPRO_RECEIPT_KEY": ["short", "k" * 31],
    "EPRO_CONTACTS_KEYS": ["no-colon", "1:", ":" + "k" * 40, "1:short", f"2:{'k' * 40},1:short", f"1:{'k' * 40},"],
}  # fmt: skip


def refusals(**changed: str) -> list[str]:
    return config.refusals(config.read({**PRODUCTION, **changed}))


def test_a_safe_installation_starts():
    assert refusals() == []
    assert refusals(EPRO_CONTACTS_KEYS=f"2:{'k' * 40},1:{'j' * 40}") == []
    assert refusals(EPRO_TRAIL_KEY="k" * 32, EPRO_RECEIPT_KEY="j" * 32) == []
    config.refuse_unsafe(config.read(PRODUCTION))


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in UNSAFE.items() for value in values]
)
def test_production_refuses_what_is_unsafe_and_names_it(name, value):
    reasons = refusals(**{name: value})
    assert reasons and all(reason.startswith(name) for reason in reasons)
    with pytest.raises(ConfigurationError, match=name):
        config.refuse_unsafe(config.read({**PRODUCTION, name: value}))


def test_every_reason_is_told_at_once():
    reasons = config.refusals(config.read({"EPRO_ENV": "production"}))
    named = {reason.split()[0] for reason in reasons}
    assert named == {"EPRO_SECRET_KEY", "EPRO_PUBLIC_URL", "EPRO_SMS_SENDER", "EPRO_EMAIL_SENDER"}
    with pytest.raises(ConfigurationError) as refused:
        config.refuse_unsafe(config.read({"EPRO_ENV": "production"}))
    assert all(reason in str(refused.value) for reason in reasons)


def test_no_value_is_ever_told():
    telling = {name: f"tell-tale-{number}" for number, name in enumerate(s.name for s in config.SETTINGS)}
    with pytest.raises(ConfigurationError) as refused:
        config.refuse_unsafe(config.read({**telling, "EPRO_ENV": "production"}))
    assert "tell-tale" not in str(refused.value)


@pytest.mark.parametrize("changed", [
    {"EPRO_TRUSTED_PROXIES": "1.5"}, {"EPRO_TRUSTED_PROXIES": "one"}, {"EPRO_SMTP_PORT": "25.0"},
    {"EPRO_ENV": "prodution"}, {"EPRO_DATABASE_URL": "mysql://x/y"}, {"EPRO_DATABASE_URL": "epro.sqlite"},
])  # fmt: skip
def test_what_makes_no_sense_starts_nowhere(changed):
    (name,) = changed
    with pytest.raises(ConfigurationError, match=name):
        config.refuse_unsafe(config.read(changed))


@pytest.mark.parametrize(
    "url", ["sqlite:///x.sqlite", "postgresql://x/y", "postgresql+psycopg://x/y", "postgres://x/y"]
)
def test_both_databases_are_known_by_their_usual_names(url):
    config.refuse_unsafe(config.read({"EPRO_DATABASE_URL": url}))


def test_a_setting_is_read_from_its_name_or_its_default():
    settings = config.read({"EPRO_APP_NAME": "Diary", "EPRO_TICK_SECONDS": "", "OTHER": "x"})
    assert (settings["APP_NAME"], settings["TICK_SECONDS"], settings["TRIAL_DATABASE_URL"]) == (
        "Diary",
        "10",
        None,
    )
    assert set(settings) == {setting.name.removeprefix("EPRO_") for setting in config.SETTINGS}


def test_every_setting_says_what_it_is_for():
    assert len({setting.name for setting in config.SETTINGS}) == len(config.SETTINGS)
    assert all(setting.name.startswith("EPRO_") and setting.help for setting in config.SETTINGS)


def test_the_application_does_not_come_up_unsafe():
    with pytest.raises(ConfigurationError):
        create_app({"EPRO_ENV": "production"})


def test_the_command_says_so_in_lines_and_ends_with_2(tmp_path):
    outside = {name: value for name, value in os.environ.items() if not name.startswith("EPRO_")}
    done = subprocess.run(
        [sys.executable, "-c", "from epro.cli import main; main()", "db", "upgrade"], cwd=tmp_path, text=True,
        capture_output=True, env={**outside, "EPRO_ENV": "production", "EPRO_DATABASE_URL": "sqlite:///x.sqlite"},
        check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "EPRO_SECRET_KEY is the demo secret" in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
