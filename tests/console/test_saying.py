"""What the console says of hours, days and browsers: as people count and name them."""

from __future__ import annotations

from datetime import date

import pytest

from epro.console.saying import Voice
from tests.cast import at

CHROME = "Mozilla/5.0 ({}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/149.0.0.0 {}Safari/537.36"
WINDOWS, ANDROID = "Windows NT 10.0; Win64; x64", "Linux; Android 15; Pixel 9"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) {}"


@pytest.mark.parametrize(
    ("then", "now", "words"),
    [
        (
            "2026-03-02T23:50",
            "2026-03-05T00:10",
            "3 days ago",
        ),  # three midnights, though two days and a little
        ("2026-03-02T00:10", "2026-03-04T23:50", "2 days ago"),  # two midnights, though nearly three days
        ("2026-03-08T00:10", "2026-03-05T23:50", "in 3 days"),
        ("2026-03-02T20:00", "2026-03-04T19:59", "48 h ago"),
        ("2026-03-02T20:00", "2026-03-02T20:00", "now"),
    ],
)
def test_days_are_counted_by_their_midnights_on_her_clock(then, now, words):
    assert Voice("en", "Asia/Shanghai").ago(at(then), at(now)) == words


def test_midnight_is_that_of_the_reader():
    then, now = at("2026-03-02T23:50"), at("2026-03-05T00:10")
    assert Voice("en", "Europe/Berlin").ago(then, now) == "2 days ago"


def test_a_day_is_that_of_the_place_that_is_named_else_that_of_the_reader():
    evening = at("2026-03-02T17:30", "UTC")
    assert Voice("en", "Asia/Shanghai").local_day(evening).isoformat() == "2026-03-03"
    assert Voice("en", "Asia/Shanghai").local_day(evening, "Europe/Berlin").isoformat() == "2026-03-02"


@pytest.mark.parametrize(("language", "words"), [("zh-CN", "11/30"), ("en", "30 Nov")])
def test_a_day_in_a_calendar_is_short_enough_for_a_phone(language, words):
    assert Voice(language).short_day(date(2026, 11, 30)) == words


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (CHROME.format(WINDOWS, ""), "Chrome on Windows"),
        (CHROME.format(WINDOWS, "") + " Edg/149.0.0.0", "Edge on Windows"),
        (CHROME.format(ANDROID, "Mobile "), "Chrome on Android"),
        (CHROME.format(ANDROID, "SamsungBrowser/30.0 Mobile "), "Samsung Internet on Android"),
        (IPHONE.format("Version/18.5 Mobile/15E148 Safari/604.1"), "Safari on iPhone"),
        (IPHONE.format("CriOS/149.0 Mobile/15E148 Safari/604.1"), "Chrome on iPhone"),
        (IPHONE.format("Mobile/15E148 MicroMessenger/8.0.60"), "WeChat on iPhone"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0", "Firefox on Linux"),
        ("Mozilla/5.0 (something new) Firefox/150.0", "Firefox"),
        ("Mozilla/5.0 (Windows NT 10.0) Another/1.0", "Unknown browser"),
        ("Werkzeug/3.1.8", "Unknown browser"),
        ("Chrome on Windows", "Unknown browser"),
        ("", "Unknown browser"),
        (None, "Unknown browser"),
    ],
)
def test_a_browser_has_a_name_that_people_know_or_none(agent, words):
    assert Voice("en").browser(agent) == words


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("2026-03-02T12:00:00.000000Z", "2026-03-02 20:00:00"),
        ("2026-03-02T12:00:00+00:00", "2026-03-02 20:00:00"),
        ("2026-03-02", ""),
        ("2026-13-02T12:00:00Z", ""),
        ("2026-02-30T12:00:00Z", ""),
        (7, ""),
        (None, ""),
    ],
)
def test_an_instant_of_the_trail_is_told_on_her_clock_and_nothing_else_is(text, there):
    assert Voice("en", "Asia/Shanghai").local_of(text) == there


def test_a_browser_is_told_in_chinese_too():
    assert Voice("zh-CN").browser(CHROME.format(WINDOWS, "")) == "Windows 上的 Chrome"
    assert Voice("zh-CN").browser("curl/8.0") == "未知浏览器"
