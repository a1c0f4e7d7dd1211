"""What the tests cost in processor time, by file and by test; the wall tells nothing on a busy machine.

    .venv/bin/python -m pytest -n 0 -p tests.support.dear tests/export

Processes that a test started and waited for are counted; a database server or a browser is not.
"""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Generator
from typing import Any

import pytest

SHOWN = 30
spent: Counter[str] = Counter()


def used() -> float:
    """Seconds of processor time of this process and of those it has waited for."""
    both = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in both)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Set-up and tear-down count for the test that they came with."""
    before = used()
    try:
        return (yield)
    finally:
        file, _, test = item.nodeid.partition("::")
        for name in (file, f"{file}::{test.partition('[')[0]}"):
            spent[name] += used() - before


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The dearest first."""
    for whole, title in ((True, "file"), (False, "test")):
        terminalreporter.section(f"processor time by {title}")
        for name, seconds in [one for one in spent.most_common() if ("::" not in one[0]) is whole][:SHOWN]:
            terminalreporter.write_line(f"{seconds:8.1f} s  {name}")
