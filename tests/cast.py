"""The cast. They act through the real doors; only the hour is ours.

Noor is a nurse at site 01 and Ines its investigator; **Otto is a nurse at site 02 and must see nothing of 01**.
Dana is the data manager, Mona the monitor, Bo builds studies, Ada and Ben take part.
The study is `tests/studies/diary.yaml`.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from flask import Flask

from epro import clock, worker
from epro.cli.study import known_instruments
from epro.notifications.senders.recording import RecordingSender
from epro.scheduling import protocols
from epro.scheduling.reading import read
from epro.signin import machine_keys, staff
from epro.simulation.people import Phone, StaffMember, in_process
from epro.stream import delivering
from epro.tx import Grant, begin, system

STUDY = "diary"
STUDY_FILE = Path(__file__).parent / "studies" / "diary.yaml"
PASSWORD = "correct horse battery staple"
MOVED_IN = datetime(2026, 3, 1, 9, 0, tzinfo=ZoneInfo("Asia/Shanghai"))
STAFF = {
    "noor": ("nurse", "01", "+8613800000001"),
    "ines": ("investigator", "01", "+8613800000002"),
    "otto": ("nurse", "02", "+8613800000003"),
    "dana": ("data_manager", "*", None),
    "mona": ("monitor", "*", None),
    "bo": ("study_builder", "*", None),
    "alma": ("administrator", "*", None),
}


def at(text: str, zone: str = "Asia/Shanghai") -> datetime:
    """An instant from local time: at("2026-03-29T18:00")."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def move_in() -> dict[str, str]:
    """Publish the study and give the staff their accounts; returns ids and the machine key by name."""
    with clock.moved_to(MOVED_IN), begin(system("tests")) as tx:
        text = STUDY_FILE.read_text(encoding="utf-8")
        protocol, faults = read(text, known_instruments())
        assert protocol is not None, faults
        protocols.publish(tx, protocol, text)
        ids = {name: str(_account(tx, name)) for name in STAFF}
        ids["machine"] = machine_keys.add(tx, STUDY, "tests", 366)[1]
    return ids


def _account(tx: Any, name: str) -> Any:
    role, site, phone = STAFF[name]
    row, _ = staff.add(
        tx,
        email=f"{name}@example.org",
        name=name.title(),
        password=PASSWORD,
        language="en",
        phone=phone,
        grants=[Grant(STUDY, site, role)],
    )
    return row.id


@dataclass
class Cast:
    """Everybody, on one application."""

    app: Flask
    ids: dict[str, str]
    sms: RecordingSender = field(default_factory=lambda: RecordingSender("sms"))
    email: RecordingSender = field(default_factory=lambda: RecordingSender("email"))

    def __post_init__(self) -> None:
        self.line = in_process(self.app)
        self.sinks = worker.sinks_of(self.app.config["EPRO"])
        self.app.config["OPENED_BY_TEST"].extend(sink.engine for sink in self.sinks)

    def staff(self, name: str) -> StaffMember:
        """A signed-in person; sign in again after an hour of moved clock."""
        return StaffMember(self.line, email=f"{name}@example.org", password=PASSWORD).sign_in()

    def enrol(self, nurse: str = "noor", **wanted: Any) -> Any:
        site = STAFF[nurse][1]
        defaults = {
            "study": STUDY,
            "site": site,
            "language": "en",
            "time_zone": "Asia/Shanghai",
            "anchors": {"enrolment": clock.now().astimezone(ZoneInfo("Asia/Shanghai")).date().isoformat()},
            "contact": {"phone": "+8613900000001"},
        }
        return self.staff(nurse).enrol(**{**defaults, **wanted})

    def phone(self, nurse: str = "noor", **wanted: Any) -> Phone:
        """A newly enrolled participant's phone, activated and in the picture."""
        subject_id = self.enrol(nurse, **wanted)["subject_id"]
        phone = Phone(self.line).activate(self.staff(nurse).code_for(subject_id))
        phone.sync()
        return phone

    def three_answer(self) -> list[Phone]:
        """Three people have come in and answered tonight's diary; nothing is carried yet. Six entries of the feed."""
        with self.on("2026-03-02T10:00"):
            phones = [self.phone(contact={}) for _ in range(3)]
        with self.on("2026-03-02T20:00") as now:
            for number, phone in enumerate(phones):
                phone.answer(phone.open_at(now)[0], {"worst_fatigue": number}, now, now)
                phone.upload(now)
        return phones

    def tick(self, when: datetime) -> int:
        """One strike of the clockwork at this hour."""
        with clock.moved_to(when):
            return worker.tick({"sms": self.sms, "email": self.email})

    def relay(self) -> int:
        return delivering.relay(self.sinks)

    @contextmanager
    def on(self, text: str, zone: str = "Asia/Shanghai") -> Any:
        """Within the block it is this local time."""
        with clock.moved_to(at(text, zone)):
            yield at(text, zone)
