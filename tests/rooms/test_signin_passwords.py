"""Which passwords are taken, and how they are kept.

PW-01  Long is what counts; composition is not asked for.
PW-02  Common passwords, what is made from them, and what is made from known names are refused.
PW-03  The same password is the same however the keyboard spells it; a weak hash is made again at sign-in.
"""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher, extract_parameters

from epro.signin import password_rules, passwords
from epro.signin.password_rules import (
    ALONE,
    BESIDE_A_FACTOR,
    COMMON,
    KNOWN,
    LONGEST,
    SIMPLE,
    TOO_LONG,
    TOO_SHORT,
)
from tests.cast import PASSWORD

NAMES = ["msc-sle", "nurse", "epro", "Noor Al-Haddad", "noor@example.org", "中山医院东区院区"]


@pytest.mark.parametrize(
    "password",
    [
        PASSWORD,
        "we had rain on both of the last days",
        "红红的苹果挂在秋天老树的枝头上啊",
        "    spaces   are   signs  ",
        "kq7w-bz4m-tn9f-xr2",
        "abc" + "qzjvkxwbfm" * 12,
        "noor likes long walks by the sea",
    ],
)
def test_a_long_password_is_taken(password):
    assert password_rules.fault(password, NAMES) is None


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("", TOO_SHORT),
        ("kq7w-bz4m-tn9f", TOO_SHORT),
        ("kq7w " * 26, TOO_LONG),
        ("passwordpassword", COMMON),
        ("Password12345678", COMMON),
        ("PASSWORD!!!!!!!!!!", COMMON),
        ("p a s s w o r d 1 2 3", COMMON),
        ("1q2w3e4r5t6y7u8i9o", COMMON),
        ("manchesterunited", COMMON),
        ("iloveyou2026!!!", COMMON),
        ("aaaaaaaaaaaaaaaaaaaa", SIMPLE),
        ("ababababababababab", SIMPLE),
        ("123456789012345", SIMPLE),
        ("abcdefghijklmnopq", SIMPLE),
        ("qwertyuiopasdfghjkl", SIMPLE),
        ("msc-sle-nurse-2026", KNOWN),
        ("Noor.Al-Haddad.1985", KNOWN),
        ("example.org-epro-01", KNOWN),
        ("中山医院东区院区中山医院东区院区", KNOWN),
    ],
)
def test_what_is_easily_guessed_is_refused_and_why(password, why):
    assert password_rules.fault(password, NAMES) == why


def test_beside_a_second_factor_it_may_be_shorter():
    assert password_rules.fault("kq7w-bz4m-tn", NAMES, BESIDE_A_FACTOR) is None
    assert password_rules.fault("kq7w-bz4m-tn", NAMES, ALONE) == TOO_SHORT


def test_it_is_counted_in_characters_as_they_are_kept():
    assert password_rules.fault("é" * 4 + "e\u0301" * 11 + "xyzw", NAMES) != TOO_LONG
    assert password_rules.normal("ｋｑ７ｗ") == "kq7w" and len("kq7w" * 32) == LONGEST
    assert password_rules.fault("kq7wbz4m" * 16, NAMES) is None


def test_the_list_holds_tens_of_thousands_and_finds_them_all():
    assert len(password_rules._common()) > 40_000
    assert password_rules._common() == sorted(password_rules._common())
    for text in ("123456", "password", "qwerty", "woaini", "5201314", "iloveyou", "zxcvbnm", "letmein"):
        assert password_rules.is_common(text), text
    assert not any(password_rules.is_common(f"not on the list {number}") for number in range(2000))


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_a_hash_made_with_less_work_counts_as_weak(app, monkeypatch):
    full = passwords._hasher("full").hash("x")
    told = extract_parameters(full)
    assert (told.memory_cost, told.time_cost, told.parallelism, told.salt_len) == (47_104, 1, 1, 16)
    monkeypatch.setitem(app.config["EPRO"], "PASSWORD_COST", "full")
    assert passwords.is_weaker(PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash("x"))
    assert not passwords.is_weaker(full)
    assert not passwords.is_weaker(PasswordHasher(time_cost=2, memory_cost=48_000, parallelism=1).hash("x"))
    assert passwords.AT_ONCE._initial_value == 4


def test_an_account_without_a_password_is_opened_by_none(app):
    assert not passwords.fits("", "") and not passwords.fits("", "nobody has this password")
