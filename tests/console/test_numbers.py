"""A plain mainland mobile number is taken at a site in mainland China, and nowhere else is a country made up."""

from __future__ import annotations

import pytest

from epro.console.numbers import spelled


@pytest.mark.parametrize(
    ("number", "zone", "found"),
    [
        ("13800138000", "Asia/Shanghai", "+8613800138000"),
        ("138 0013-8000", "Asia/Urumqi", "+8613800138000"),
        ("13800138000", "Europe/Berlin", "13800138000"),
        ("+4915112345678", "Asia/Shanghai", "+4915112345678"),
        ("12800138000", "Asia/Shanghai", "12800138000"),
        ("1380013800", "Asia/Shanghai", "1380013800"),
    ],
)
def test_a_number_is_spelled_as_the_site_means_it(number, zone, found):
    assert spelled(number, zone) == found
