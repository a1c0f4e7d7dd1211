"""The one place that reads the clock."""

from __future__ import annotations

import contextvars
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from epro import clock

EPRO = Path(clock.__file__).parent
NOON = datetime(2026, 3, 29, 12, 0, tzinfo=ZoneInfo("Asia/Shanghai"))


def test_now_is_this_instant_aware_and_in_utc():
    before, now, after = datetime.now(UTC), clock.now(), datetime.now(UTC)
    assert before <= now <= after and now.utcoffset() == timedelta()


def test_a_moved_clock_stands_still_and_is_put_back():
    with clock.moved_to(NOON):
        assert clock.now() == clock.now() == NOON and clock.now().utcoffset() == timedelta()
        with clock.moved_to(NOON + timedelta(hours=1)):
            assert clock.now() == NOON + timedelta(hours=1)
        assert clock.now() == NOON
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)


def test_it_is_put_back_after_a_failure():
    with pytest.raises(LookupError), clock.moved_to(NOON):
        raise LookupError
    assert clock.now() != NOON


def test_a_moved_clock_is_this_threads_own_unless_handed_over():
    with clock.moved_to(NOON), ThreadPoolExecutor(1) as pool:
        assert pool.submit(clock.now).result() != NOON
        assert pool.submit(contextvars.copy_context().run, clock.now).result() == NOON


@pytest.mark.parametrize(("text", "seconds"), [("86400", 86400), (" -3600.5\n", -3600.5), ("", 0), ("0", 0)])
def test_a_file_moves_the_clock_for_every_process(monkeypatch, tmp_path, text, seconds):
    file = tmp_path / "offset"
    monkeypatch.setenv("EPRO_CLOCK_OFFSET_FILE", str(file))
    file.write_text(text)
    assert abs(clock.now() - datetime.now(UTC) - timedelta(seconds=seconds)) < timedelta(seconds=5)
    file.write_text("7200")  # read at each look
    assert abs(clock.now() - datetime.now(UTC) - timedelta(hours=2)) < timedelta(seconds=5)


@pytest.mark.parametrize("text", ["tomorrow", "nan", "inf", "1e300", None])
def test_a_file_that_says_nothing_leaves_the_clock_alone(monkeypatch, tmp_path, text):
    file = tmp_path / "offset"
    monkeypatch.setenv("EPRO_CLOCK_OFFSET_FILE", str(file))
    if text is not None:
        file.write_text(text)
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)


def test_a_measuring_clock_never_goes_back():
    with clock.moved_to(NOON):
        readings = [clock.monotonic() for _ in range(100)]
    assert readings == sorted(readings) and readings[-1] < readings[0] + 5


def test_nobody_else_reads_the_clock():
    reading = re.compile(r"\b(datetime\.(now|utcnow|today)|date\.today|time\.time)\(")
    elsewhere = {
        str(path.relative_to(EPRO)): len(found) for path in sorted(EPRO.rglob("*.py"))
        if path.name != "clock.py" and (found := reading.findall(path.read_text(encoding="utf-8")))
    }  # fmt: skip
    assert elsewhere == {"signin/rates.py": 2}  # a library's own reckoning, answered in its own clock
