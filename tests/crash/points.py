"""The points at which a process can die: before and after all that it does to anything outside itself.

Every statement on every database, every commit, every call to a provider. The k-th point ends the process with
SIGKILL: nothing is tidied up, nothing is flushed, no reply goes out.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.default import DefaultDialect

from epro.notifications.senders.twilio_http import HttpClient

COMMIT, CALL = "commit", "call"


class Points:
    """Counts the points that are passed, by name, and dies at the one it was told.

    Between the end of one thing and the beginning of the next nothing happens that anybody could see, unless
    `something_seen` says so. Such a beginning is a twin of the end before it: a kill at either leaves the same.
    """

    def __init__(self, deadly: int | None = None):
        self.deadly = deadly
        self.passed: list[str] = []
        self.twins: list[int] = []
        self.alike = False

    def something_seen(self) -> None:
        """Something reached the outside that is no point of its own, as a reply that a phone has got."""
        self.alike = False

    def pass_by(self, name: str) -> None:
        self.passed.append(name)
        if self.alike and name.startswith("before"):
            self.twins.append(len(self.passed))
        self.alike = name.startswith("after")
        if len(self.passed) == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, name: str, act: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """Do it, with a point before and one after; what raises has no after."""
        self.pass_by(f"before {name}")
        done = act(*given, **named)
        self.pass_by(f"after {name}")
        return done

    def watch(self) -> Points:
        """From here on, in this process, for all engines and for the SMS provider."""
        sa.event.listen(sa.Engine, "before_cursor_execute", lambda *of: self.pass_by(f"before {_told(of)}"))
        sa.event.listen(sa.Engine, "after_cursor_execute", lambda *of: self.pass_by(f"after {_told(of)}"))
        commit, request = DefaultDialect.do_commit, HttpClient.request
        DefaultDialect.do_commit = lambda *given: self.around(COMMIT, commit, *given)
        HttpClient.request = lambda *given, **named: self.around(CALL, request, *given, **named)
        return self


def weighty(names: list[str]) -> list[int]:
    """The numbers of the points around commits and calls: there something becomes true for others."""
    return [no for no, name in enumerate(names, 1) if name.split()[1] in (COMMIT, CALL)]


def _told(of: tuple[Any, ...]) -> str:
    """A statement in few words, without values: "INSERT INTO responses"."""
    statement = of[2].split("(")[0] if of[2].startswith("INSERT") else of[2]
    return "sql " + " ".join(statement.split())[:60]
