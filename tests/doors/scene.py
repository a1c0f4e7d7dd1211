"""A filled stage for the doors: two sites, two studies, and something of every kind at each of them.

In the study `diary`: Ada at site 01 (Noor, Ines) and Cara at site 02 (Otto). In the study `other`, which has the
same sites and even the same subject ids: Eve, with Nils as nurse and Dora as data manager. Each participant has
a phone, an answer on file, one set aside, a draft, a missed diary with its alert, and messages.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from epro import clock
from epro.cli.study import known_instruments
from epro.exporting import cuts, jobs
from epro.notifications import corrections
from epro.notifications.models import Alert, Message
from epro.privacy import rights
from epro.responses import correcting, settling
from epro.responses.models import SetAside
from epro.scheduling import protocols
from epro.scheduling.reading import read
from epro.signin import machine_keys, staff
from epro.signin.models import Device
from epro.simulation.people import Phone, StaffMember
from epro.stream import sequencer
from epro.studies import notes
from epro.studies.models import Participant
from epro.tx import Actor, Grant, begin, look, system
from tests.cast import PASSWORD, STUDY, STUDY_FILE, Cast, at
from tests.support.approvals import keep_an_approval
from tests.support.log import keep_a_log
from tests.support.manifests import keep_a_manifest
from tests.support.queries import keep_a_query
from tests.support.readings import keep_a_reading, keep_a_removal
from tests.support.rehearsals import keep_a_rehearsal
from tests.support.signatures import keep_a_signature
from tests.support.weeks import keep_a_week
from tests.support.wordings import keep_a_wording

OTHER = "other"
TODAY = "2026-03-04T10:00"  # the hour at which the doors are tried
NOBODY = UUID("00000000-0000-4000-8000-000000000000")  # an id that nothing has

NEWCOMERS = {
    "nils": (OTHER, "01", "nurse"),
    "dora": (OTHER, "*", "data_manager"),
    "dita": (STUDY, "02", "data_manager"),
}


@dataclass(repr=False)
class Side:
    """One participant with an id of everything that is hers."""

    study: str
    site: str
    phone: Phone
    occurrence: UUID
    alert: UUID
    message: UUID
    device: UUID
    set_aside: UUID
    signature: UUID = NOBODY
    query: UUID = NOBODY
    rights_request: UUID = NOBODY
    stored: dict[str, Any] = field(default_factory=dict)

    @property
    def response(self) -> str:
        return str(self.stored["id"])

    @property
    def subject_id(self) -> str:
        return self.phone.subject_id


@dataclass(repr=False)
class Stage:
    """The cast with its scene set."""

    cast: Cast
    ids: dict[str, str]
    ada: Side = field(init=False)
    cara: Side = field(init=False)
    eve: Side = field(init=False)
    exports: dict[str, str] = field(default_factory=dict)
    """Who asked for an export -> its id."""
    _tokens: dict[str, str] = field(default_factory=dict)

    def on(self, cast: Cast) -> Stage:
        """The same people on another application, whose databases are copies; nothing is shared with this one."""
        other = Stage(cast, dict(self.ids), exports=dict(self.exports))
        for name in ("ada", "cara", "eve"):
            side: Side = getattr(self, name)
            own = {
                field: deepcopy(getattr(side.phone, field)) for field in ("known", "receipts", "definitions")
            }
            setattr(other, name, replace(side, phone=replace(side.phone, line=cast.line, **own)))
        return other

    def own(self, name: str) -> dict[str, str]:
        """The names in addresses that each has her own of."""
        return {"job_id": self.exports[name]} if name in self.exports else {}

    @property
    def client(self) -> FlaskClient:
        return self.cast.app.test_client()

    @contextmanager
    def today(self, minutes: int = 0) -> Iterator[None]:
        """The hour at which everything has happened and everybody is signed in; or some minutes later."""
        with clock.moved_to(at(TODAY) + timedelta(minutes=minutes)):
            yield

    def sign_in(self, name: str) -> StaffMember:
        return StaffMember(self.cast.line, email=f"{name}@example.org", password=PASSWORD).sign_in()

    def token(self, name: str) -> str:
        """An access token of today: of a person by name, or of the phones `ada`, `cara`, `eve`."""
        if name == "machine":
            return self.ids["machine"]
        if name not in self._tokens:
            with self.today():
                self._tokens[name] = self._fresh(name)
        return self._tokens[name]

    def _fresh(self, name: str) -> str:
        side = getattr(self, name, None)
        if isinstance(side, Side):
            side.phone.refresh()
            return str(side.phone.key)
        return str(self.sign_in(name).key)

    def newcomer(self, **wanted: Any) -> Phone:
        """One more phone at site 01, in the study since March 2nd, or since the hour `since`; `active=False` leaves it
        without an activation.
        """
        active = wanted.pop("active", True)
        with self.cast.on(wanted.pop("since", "2026-03-02T10:00")):
            noor = self.sign_in("noor")
            made = noor.enrol(
                **{
                    "study": STUDY,
                    "site": "01",
                    "language": "en",
                    "time_zone": "Asia/Shanghai",
                    "anchors": {"enrolment": "2026-03-02"},
                    **wanted,
                }
            )
            phone = Phone(self.cast.line, subject_id=made["subject_id"])
            if active:
                phone.activate(noor.code_for(phone.subject_id))
                phone.sync()
        if active:
            with self.today():
                phone.refresh()
        return phone

    def code_for(self, phone: Phone) -> str:
        """A new activation code, made today."""
        path = f"/v1/site/participants/{phone.subject_id}/activation-code"
        return str(self.ask("noor", "POST", path, {}).get_json()["activation_code"])

    def send(
        self, method: str, path: str, key: str | None = None, body: Any = None, **more: Any
    ) -> TestResponse:
        """One request at today's hour; the raw answer."""
        headers = {**({"Authorization": f"Bearer {key}"} if key else {}), **more.pop("headers", {})}
        sent = {"data": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
        with self.today():
            return self.client.open(path, method=method, headers=headers, buffered=True, **sent, **more)

    def ask(self, name: str, method: str, path: str, body: Any = None) -> TestResponse:
        """The same, as somebody of the cast."""
        return self.send(method, path, self.token(name), body)


def set_the_scene(cast: Cast) -> Stage:
    """Everything up to this morning, done through the doors and the clockwork."""
    stage = Stage(cast, dict(cast.ids))
    stage.ids.update(_second_study(cast))
    with cast.on("2026-03-02T10:00"):
        phones = {
            "ada": cast.phone("noor", contact={"phone": "+8613900000011"}),
            "cara": cast.phone("otto", contact={"phone": "+8613900000012"}),
            "eve": _phone_of_the_other_study(stage),
        }
    evening = at("2026-03-02T20:00")
    for phone in phones.values():
        (diary,) = phone.open_at(evening)
        phone.answer(diary, {"worst_fatigue": 7}, evening, evening + timedelta(minutes=1))
        phone.answer(diary, {"no such item": 1}, evening, evening + timedelta(minutes=2))
    with cast.on("2026-03-03T00:30"):
        for phone in phones.values():
            assert [r["outcome"] for r in phone.upload(at("2026-03-03T00:30"))] == ["stored", "held"]
    cast.tick(at("2026-03-03T19:30"))  # a reminder each
    with cast.on("2026-03-03T19:40"):
        for phone in phones.values():
            phone.refresh()
            (diary,) = phone.open_at(at("2026-03-03T19:40"))
            phone.speak("POST", f"/v1/phone/occurrences/{diary['id']}/snooze", {"minutes": 10})
    cast.tick(at("2026-03-04T06:30"))  # a missed diary each
    sequencer.sequence()
    with cast.on("2026-03-04T09:00"):
        keep_a_wording(cast.ids["bo"])
        keep_an_approval()
        keep_a_rehearsal(STUDY)
        keep_a_manifest()
        keep_a_log()
        for name, where in {"ada": (STUDY, "01"), "cara": (STUDY, "02"), "eve": (OTHER, "01")}.items():
            setattr(stage, name, _side(*where, phones[name]))
            keep_a_week(where[0], phones[name].subject_id)
            with begin(system("tests")) as tx:
                row = tx.get(Participant, where[0], phones[name].subject_id, lock=True)
                notes.add(tx, row, "prefers to be rung in the evening")
                wish = rights.Wish("access", date(2026, 3, 3), "what is kept of me?")
                getattr(stage, name).rights_request = rights.note(tx, row, wish).id
            keep_a_reading(where[0], phones[name].subject_id)
        keep_a_removal(STUDY)
        _correct_and_settle(stage)
    sequencer.sequence()
    with cast.on("2026-03-04T09:00"), begin(system("tests")) as tx:
        cuts.make(tx, STUDY, "first")
    for name in ("machine", "ines", "dana"):
        asked = stage.ask(name, "POST", "/v1/sponsor/exports", {"format": "csv"})
        stage.exports[name] = asked.get_json()["id"]
    with cast.on("2026-03-04T09:00"):
        jobs.run_due()
    stage._tokens.clear()
    return stage


CORRECTION = {
    "id": "0b5b1d5e-0000-4000-8000-000000000001",
    "answers": {"worst_fatigue": 6},
    "reason": "ticked the wrong number",
    "reported_by": "participant",
}
SETTLEMENT = {"outcome": "rejected", "reason": "sent by mistake"}


def _correct_and_settle(stage: Stage) -> None:
    """Of each an answer was signed and then corrected, and what was set aside is settled."""
    for side in (stage.ada, stage.cara, stage.eve):
        side.signature = keep_a_signature(stage.ids["ines"], side.study, side.site, UUID(side.response))
        side.query = keep_a_query(stage.ids["dana"], side.study, UUID(side.response))
        said = {name: value for name, value in CORRECTION.items() if name != "id"}
        own = UUID(CORRECTION["id"]) if side is stage.ada else None
        with begin(Actor("staff", "scene", grants=(Grant(side.study, side.site, "investigator"),))) as tx:
            corrections.correct(tx, UUID(side.response), correcting.Wish(**said, id=own))
            corrections.settle(tx, side.set_aside, settling.Wish(**SETTLEMENT))


def publish(study: str, **changes: Any) -> None:
    """Publish the tests' study once more, under another name; `changes` are texts replaced in its file."""
    text = Path(STUDY_FILE).read_text(encoding="utf-8").replace("id: diary\n", f"id: {study}\n")
    for before, after in changes.pop("texts", ()):
        assert before in text
        text = text.replace(before, after)
    protocol, faults = read(text, known_instruments())
    assert protocol is not None, faults
    with begin(system("tests")) as tx:
        protocols.publish(tx, protocol, text)


def hire(name: str, *grants: Grant) -> str:
    """One more account; its e-mail is made from its name."""
    with begin(system("tests")) as tx:
        row, _ = staff.add(
            tx,
            email=f"{name}@example.org",
            name=name.title(),
            password=PASSWORD,
            language="en",
            grants=grants,
        )
        return str(row.id)


def _second_study(cast: Cast) -> dict[str, str]:
    with cast.on("2026-03-01T12:00"):
        publish(OTHER)
        made = {name: hire(name, Grant(*where)) for name, where in NEWCOMERS.items()}
        with begin(system("tests")) as tx:
            made["other machine"] = machine_keys.add(tx, OTHER, "tests", 366)[1]
    return made


def _phone_of_the_other_study(stage: Stage) -> Phone:
    nils = stage.sign_in("nils")
    enrolled = nils.enrol(
        study=OTHER,
        site="01",
        language="en",
        time_zone="Asia/Shanghai",
        anchors={"enrolment": "2026-03-02"},
        contact={"phone": "+8613900000013"},
    )
    phone = Phone(stage.cast.line).activate(nils.code_for(enrolled["subject_id"]))
    phone.sync()
    return phone


def _side(study: str, site: str, phone: Phone) -> Side:
    phone.sync()
    coming = phone.open_at(at("2026-03-04T20:00"))[0]
    draft = {"answers": {"worst_fatigue": 2}}
    phone.speak("PUT", f"/v1/phone/drafts/{coming['id']}", draft)
    with look(system("tests")) as tx:

        def one(model: Any) -> UUID:
            found: UUID = tx.all(
                sa.select(model.id).where(model.study_id == study, model.subject_id == phone.subject_id)
            )[0]
            return found

        return Side(
            study,
            site,
            phone,
            UUID(coming["id"]),
            one(Alert),
            one(Message),
            one(Device),
            one(SetAside),
            stored=next(r for r in phone.receipts.values() if r["outcome"] == "stored"),
        )


def entry(phone: Phone, **changes: Any) -> dict[str, Any]:
    """A good entry for the diary of the evening of March 3rd, with changes; `...` leaves a field out."""
    diary = next(
        o for o in phone.known.values() if o["local_day"] == "2026-03-03" and o["assessment"] == "evening"
    )
    made = {
        "id": str(uuid4()),
        "occurrence_id": diary["id"],
        "instrument": {"code": "fatigue_diary", "version": "1.0"},
        "language": "en",
        "answers": {"worst_fatigue": 4},
        "started_at": "2026-03-03T20:00:00+08:00",
        "completed_at": "2026-03-03T20:01:00+08:00",
        "time_zone": "Asia/Shanghai",
        **changes,
    }
    return {name: value for name, value in made.items() if value is not ...}
