"""A phone number as people at a site write it. Pure."""

from __future__ import annotations

import re

MAINLAND = frozenset({"Asia/Shanghai", "Asia/Urumqi", "Asia/Chongqing", "Asia/Harbin", "Asia/Kashgar", "PRC"})
MOBILE = re.compile(r"1[3-9]\d{9}")
BETWEEN = re.compile(r"[\s-]+")


def is_mainland(zone: str) -> bool:
    """Whether clocks of this zone hang in mainland China."""
    return zone in MAINLAND


def spelled(number: str, zone: str) -> str:
    """At a site in mainland China a plain mobile number gets its country code; any other stays as it was typed."""
    plain = BETWEEN.sub("", number)
    return f"+86{plain}" if is_mainland(zone) and MOBILE.fullmatch(plain) else number
