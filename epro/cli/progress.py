"""Progress of long work: a bar on a terminal; elsewhere nothing, or a line after each tenth of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

LINES = 10


@contextmanager
def shown(label: str, length: int, lines: bool = False) -> Iterator[Callable[[int], None]]:
    """Call what it gives with the number of steps done since the last call; `lines`: off a terminal too."""
    if not sys.stderr.isatty():
        yield _in_lines(label, length) if lines else lambda done: None
        return
    with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield bar.update


def _in_lines(label: str, length: int) -> Callable[[int], None]:
    done = told = 0

    def note(more: int) -> None:
        nonlocal done, told
        done += more
        tenths = LINES * done // max(1, length)
        if tenths > told:
            told = tenths
            click.echo(f"{label}: {100 * tenths // LINES} %", err=True)

    return note
