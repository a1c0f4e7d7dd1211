"""Canaries: things that nobody else has are sent through the doors, and looked for everywhere they must not be.

In no log record of any logger, no error, no address, and nowhere in the main database; contact data lie in the
contact store alone, and there only encrypted. What a patient answered lies in its own record and nowhere else.
Nor in anything that leaves: exports in every format, the feed and what its sinks carry, FHIR, the console's pages.
"""

from __future__ import annotations

import base64
import logging
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from epro import clock, db, worker
from epro.export import registry
from epro.export.extract import Options
from epro.export.files import Folder
from epro.exporting import fhir_reading, reading
from epro.notifications.senders import Sender
from epro.responses import receiving
from epro.signin import machine_keys, staff
from epro.simulation.people import Phone
from epro.stream import delivering, outlets
from epro.stream.carrying import Carriers
from epro.studies.access import ROLES
from epro.tx import Grant, begin, system
from tests.cast import STUDY, at
from tests.doors.scene import Stage, entry, hire
from tests.doors.test_matrix import Person, asked_for

ANSWER = "canary-answer-7f3a: I could not get up"


@dataclass
class Canaries:
    """What is looked for, and every answer that came back."""

    secrets: dict[str, str] = field(
        default_factory=lambda: {
            "phone": "8613912340987",
            "e-mail": "canary.person@canary-mail.example",
            "name": "Canaria Vogelsang",
            "nurse's e-mail": "canary.nurse@canary-clinic.example",
            "nurse's phone": "8613912340988",
            "password": "a canary sang behind the mill",
            "wrong password": "a canary sang before the mill",
            "answer": ANSWER,
        }
    )
    refusals: list[Any] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)

    def found_in(self, text: str, *but: str) -> list[str]:
        """The names of the canaries that this text holds, plainly or in base 64."""
        low = text.lower()
        return [
            name
            for name, secret in self.secrets.items()
            if name not in but
            and (secret.lower() in low or base64.b64encode(secret.encode()).decode().rstrip("=") in text)
        ]


@pytest.fixture
def canaries(stage, caplog) -> Canaries:
    """After a whole story in which everything that is secret was used, rightly and wrongly."""
    caplog.set_level(logging.DEBUG)
    for name in ("epro", "werkzeug", "flask", "flask_limiter", "limits", "webargs", "twilio"):
        caplog.set_level(logging.DEBUG, logger=name)
    found = Canaries()
    nurse = _nurse(stage, found)
    phone = _participant(stage, found, nurse)
    _answers(stage, found, phone)
    _faults(stage, found, phone, nurse)
    _messages(stage, found)
    return found


@pytest.fixture(scope="module")
def stage_environ(stage_environ, tmp_path_factory):
    """With a trial database, a file on both databases."""
    folder = tmp_path_factory.mktemp("trial")
    return {**stage_environ, "EPRO_TRIAL_DATABASE_URL": f"sqlite:///{folder}/trial.sqlite"}


def test_no_canary_is_where_it_must_not_be(stage, canaries, caplog, tmp_path):
    """One story, looked at from all sides: telling it takes longer than looking."""
    assert len(canaries.refusals) >= 20 and len(canaries.secrets) >= 14
    _not_in_what_leaves(stage, canaries, tmp_path)
    _not_on_a_page(stage, canaries)
    _not_in_the_log(canaries, caplog)
    for answer in canaries.refusals:
        assert canaries.found_in(answer.text + str(answer.headers)) == [], answer.text
    for address in canaries.addresses:
        assert canaries.found_in(address) == []
    _not_in_the_main_database(canaries)
    _only_sealed_in_the_contact_store(canaries)
    _not_in_the_files(canaries)


def test_no_route_takes_a_secret_in_its_address(stage):
    described = stage.send("GET", "/openapi.json").get_json()
    named = {
        parameter["name"]
        for path in described["paths"].values()
        for operation in path.values()
        for parameter in (operation if isinstance(operation, list) else operation.get("parameters", []))
    }
    assert not named & {
        "token",
        "access_token",
        "refresh_token",
        "password",
        "email",
        "phone",
        "activation_code",
        "otp",
        "key",
        "api_key",
    }


def _nurse(stage: Stage, found: Canaries) -> str:
    """An account with canaries for e-mail, telephone and password; her access token."""
    secrets = found.secrets
    with stage.today(), begin(system("tests")) as tx:
        staff.add(
            tx,
            email=secrets["nurse's e-mail"],
            name="Carla Canary",
            password=secrets["password"],
            language="en",
            phone="+" + secrets["nurse's phone"],
            grants=[Grant(STUDY, "01", "nurse")],
        )
        secrets["machine key"] = machine_keys.add(tx, STUDY, "canary", 30)[1]
    asked = {"email": secrets["nurse's e-mail"], "password": secrets["password"]}
    told = _ask(stage, found, "POST", "/v1/staff/login", asked).get_json()
    secrets["nurse's access token"], secrets["nurse's refresh token"] = (
        told["access_token"],
        told["refresh_token"],
    )
    for wrong in (
        {**asked, "password": secrets["wrong password"]},
        {**asked, "otp": 7},
        {**asked, "more": 1},
        {"email": secrets["nurse's e-mail"], "password": [secrets["password"]]},
    ):
        assert _ask(stage, found, "POST", "/v1/staff/login", wrong).status_code >= 400
    return str(told["access_token"])


def _participant(stage: Stage, found: Canaries, nurse: str) -> Phone:
    """Somebody with contact data, enrolled after some tries that went wrong; her phone, activated after some more."""
    secrets = found.secrets
    contact = {"phone": "+" + secrets["phone"], "email": secrets["e-mail"], "name": secrets["name"]}
    body = {
        "study": STUDY,
        "site": "01",
        "language": "en",
        "time_zone": "Asia/Shanghai",
        "anchors": {"enrolment": "2026-03-02"},
        "contact": contact,
    }
    enrol = "/v1/site/participants"
    for wrong in (
        {**body, "time_zone": secrets["e-mail"]},
        {**body, "language": secrets["name"]},
        {**body, "anchors": {"enrolment": secrets["phone"]}},
        {**body, "subject_id": stage.ada.subject_id},
        {**body, "contact": {**contact, "phone": secrets["phone"]}},
        {**body, "site": secrets["phone"]},
        {**body, "contact": {**contact, "email": secrets["phone"]}},
        {**body, "subject_id": secrets["e-mail"]},
        {**body, "contact": {**contact, "name": secrets["name"] + "\u0007"}},
    ):
        assert _ask(stage, found, "POST", enrol, wrong, nurse).status_code >= 400
    # Her story begins two days ago, so that there is a diary of yesterday.
    with stage.cast.on("2026-03-02T10:00"):
        then = stage.client.post(
            "/v1/staff/login", json={"email": secrets["nurse's e-mail"], "password": secrets["password"]}
        ).get_json()["access_token"]
        made = stage.client.post(enrol, json=body, headers={"Authorization": f"Bearer {then}"})
        assert made.status_code == 201
    phone = Phone(stage.cast.line, subject_id=made.get_json()["subject_id"])
    _activate(stage, found, phone, nurse)
    return phone


def _activate(stage: Stage, found: Canaries, phone: Phone, nurse: str) -> None:
    secrets = found.secrets
    made = _ask(
        stage, found, "POST", f"/v1/site/participants/{phone.subject_id}/activation-code", {}, nurse
    ).get_json()
    secrets["activation code"] = made["activation_code"]
    secrets["secret of the code"] = made["activation_code"].replace("-", "")[5:]
    device = {"installation_id": phone.installation_id, "platform": "test"}
    for wrong in (
        {"activation_code": secrets["activation code"][:-1], "device": device},
        {"activation_code": secrets["activation code"], "device": 7},
        {"activation_code": [secrets["activation code"]], "device": device},
    ):
        assert _ask(stage, found, "POST", "/v1/phone/activate", wrong).status_code >= 400
    asked = {"activation_code": secrets["activation code"], "device": device}
    told = _ask(stage, found, "POST", "/v1/phone/activate", asked).get_json()
    phone.key, phone.refresh_token = told["access_token"], told["refresh_token"]
    secrets["access token"], secrets["refresh token"] = phone.key, phone.refresh_token
    _searched_and_linked(stage, found, phone, nurse)
    refused = _ask(
        stage, found, "POST", "/v1/phone/activate", {**asked, "device": {"installation_id": "another"}}
    )
    assert refused.status_code == 401
    with stage.today():
        phone.sync()
    told = _ask(stage, found, "POST", "/v1/phone/token", {"refresh_token": phone.refresh_token}).get_json()
    secrets["next refresh token"] = told["refresh_token"]
    _ask(stage, found, "POST", "/v1/phone/token", {"refresh_token": told["refresh_token"] + "x"})
    _ask(stage, found, "POST", "/v1/staff/token", {"refresh_token": told["refresh_token"]})


def _searched_and_linked(stage: Stage, found: Canaries, phone: Phone, nurse: str) -> None:
    """She is looked for by number and address, rightly and wrongly; her calendar is made, fetched and guessed at."""
    search = "/v1/site/participants/search"
    for right in ({"phone": "+" + found.secrets["phone"]}, {"email": found.secrets["e-mail"]}):
        told = _ask(stage, found, "POST", search, right, nurse)
        assert [one["subject_id"] for one in told.get_json()["participants"]] == [phone.subject_id]
        assert found.found_in(told.text) == []
    for wrong in (
        {"phone": found.secrets["phone"]},
        {"name": found.secrets["name"]},
        {"email": found.secrets["phone"]},
    ):
        assert _ask(stage, found, "POST", search, wrong, nurse).status_code == 422
    link = (
        _ask(stage, found, "POST", "/v1/phone/calendar", {}, phone.key).get_json()["url"].rpartition("/")[2]
    )
    found.secrets["calendar link"] = link.removesuffix(".ics")
    assert found.found_in(stage.send("GET", f"/calendar/{link}").text) == []
    found.refusals.append(stage.send("GET", f"/calendar/x{link}"))


def _answers(stage: Stage, found: Canaries, phone: Phone) -> None:
    """Answers in her own words: filed where they may be, held where they may not, and some that cannot be read."""
    path = "/v1/phone/responses"
    odd = [
        entry(phone, note=ANSWER),
        entry(phone, answers={"worst_fatigue": ANSWER}),
        ANSWER,
        [ANSWER],
        entry(phone, occurrence_id=ANSWER),
        entry(phone, language=ANSWER),
        entry(phone, completed_at=ANSWER),
        entry(phone, instrument={"code": ANSWER[:64], "version": ANSWER[:64]}),
        entry(phone, time_zone=ANSWER),
    ]
    told = _ask(stage, found, "POST", path, {"responses": odd}, phone.key)
    assert found.found_in(told.text) == [], "a receipt repeats an answer"
    quoted = ANSWER.encode()
    for wrong in (
        b'{"responses": [{"answers": "' + quoted + b'", "answers": 1}]}',
        b'{"responses": ["' + quoted + b'\\u0000"]}',
        b'{"responses": "' + quoted,
        b'{"responses": ["' + quoted + b'", NaN]}',
        b'{"responses": ["' + quoted + b'\xff"]}',
        b'{"responses": {"' + quoted + b'": 1}}',
        b'{"responses": ["' + quoted * 60_000 + b'"]}',
    ):
        assert _ask(stage, found, "POST", path, wrong, phone.key).status_code in (400, 413)
    tonight = next(
        o["id"] for o in phone.known.values() if o["local_day"] == "2026-03-04" and o["state"] == "upcoming"
    )
    draft = f"/v1/phone/drafts/{tonight}"
    for body in ({"answers": ANSWER}, {"answers": {}, "page": ANSWER}, {"answers": {"x": ANSWER}}):
        _ask(stage, found, "PUT", draft, body, phone.key)
    _ask(stage, found, "PATCH", "/v1/phone/me", {"language": ANSWER[:20], "time_zone": ANSWER}, phone.key)


def _faults(stage: Stage, found: Canaries, phone: Phone, nurse: str) -> None:
    """Faults of ours, whose words hold what was sent, as those of a database do."""
    real = receiving.receive

    def broken(tx: Any, participant: Any, sent: Any, *_: Any, **__: Any) -> Any:
        tx.session.execute(
            sa.text("INSERT INTO responses (study_id, body) VALUES (:study, :body)"),
            {"study": STUDY, "body": str(sent)},
        )

    receiving.receive = broken
    try:
        answer = _ask(
            stage, found, "POST", "/v1/phone/responses", {"responses": [entry(phone, note=ANSWER)]}, phone.key
        )
    finally:
        receiving.receive = real
    assert answer.status_code == 500
    refused = _ask(stage, found, "GET", "/v1/sponsor/feed", None, found.secrets["machine key"] + "x")
    assert refused.status_code == 401
    for key in (nurse, found.secrets["machine key"]):
        assert _ask(stage, found, "GET", "/v1/phone/me", None, key).status_code == 401


def _messages(stage: Stage, found: Canaries) -> None:
    """Reminders that go out, and a sender that breaks with the number in its words."""

    class Broken(Sender):
        channel = "sms"

        def send(self, message: Any, *_: Any, **__: Any) -> Any:
            raise RuntimeError(f"cannot reach {message.to} nor +{found.secrets['phone']}")

    for hour, senders in (
        ("2026-03-04T19:30", {"sms": Broken(), "email": stage.cast.email}),
        ("2026-03-04T22:00", {"sms": stage.cast.sms, "email": stage.cast.email}),
    ):
        with clock.moved_to(at(hour)):
            worker._in(stage.cast.app, lambda senders=senders: worker.tick(senders))()


def _ask(
    stage: Stage, found: Canaries, method: str, path: str, body: Any = None, key: str | None = None
) -> Any:
    answer = stage.send(method, path, key, body)
    found.addresses += [path, answer.headers.get("Location", "")]
    if answer.status_code >= 400:
        found.refusals.append(answer)
    return answer


def _not_in_what_leaves(stage: Stage, canaries: Canaries, folder: Path) -> None:
    """Every export, the feed, what its sinks wrote, FHIR as a machine gets it.

    Answers are what these are for: what her phone named as its time zone stands there as it named it.
    """
    with stage.today():
        with begin(system("tests")) as tx:
            outlets.add(tx, STUDY, "lake", "files", {"folder": str(folder / "lake")})
        assert delivering.relay(stage.cast.sinks) > 10
        carriers = Carriers("tests")
        assert carriers.carry_all() > 10
        carriers.close()
        extract = reading.extract(system("tests"), reading.point(STUDY), unblinded=True)
        for name, format in registry.FORMATS.items():
            into = folder / name
            into.mkdir()
            format.write(extract, Folder(into), Options())
    trial = Path(str(make_url(stage.cast.app.config["EPRO"]["TRIAL_DATABASE_URL"]).database))
    files = [*(path for path in folder.rglob("*") if path.is_file()), *trial.parent.iterdir()]
    assert len(files) > 30 and any(path.suffix == ".xlsx" for path in files)
    for path in files:
        assert canaries.found_in(_told_by(path), "answer") == [], path.name
    told = [
        stage.ask("machine", "GET", path).text for path in ("/v1/sponsor/feed", "/v1/sponsor/feed?after=9")
    ]
    told += [stage.ask("machine", "GET", f"/fhir/r4/{kind}?_count=500").text for kind in fhir_reading.SOURCES]
    assert "response.held" in told[0] and all(canaries.found_in(text, "answer") == [] for text in told)


def _told_by(path: Path) -> str:
    data = path.read_bytes()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as packed:
            data = b"".join(packed.read(name) for name in packed.namelist())
    return data.decode("utf-8", "replace")


def _not_on_a_page(stage: Stage, canaries: Canaries) -> None:
    """Everything that the console shows to who may see everything at this site: no secret, no contact data.

    Of contact data it shows those of the staff to the administrator, who keeps them, and nobody else's.
    """
    with stage.today():
        hire("everything", *(Grant(STUDY, site, role) for role in ROLES for site in ("01", "*")))
    person, shown = Person("everything", stage), 0
    for one in asked_for(stage):
        if one.page and one.method == "GET":
            answer = person.ask(one)
            shown += answer.status_code == 200
            own = ["nurse's e-mail", "nurse's phone"] if "staff" in one.rule or "accounts" in one.rule else []
            assert canaries.found_in(answer.text, *own) == [], one.rule
    assert shown >= 8


def _not_in_the_log(canaries: Canaries, caplog: Any) -> None:
    records = [*caplog.get_records("setup"), *caplog.get_records("call")]
    assert any(record.levelno >= logging.ERROR for record in records), "the faults were noted"
    formatter = logging.Formatter("%(name)s %(message)s")
    for record in records:
        assert canaries.found_in(formatter.format(record) + str(vars(record))) == [], record.getMessage()


def _dumped(engine: sa.Engine, metadata: sa.MetaData) -> dict[str, str]:
    """Every table as text."""
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT set_config('epro.reach', 'all', true)"))
        return {
            table.name: "\n".join(map(str, connection.execute(sa.select(table))))
            for table in metadata.sorted_tables
        }


def _not_in_the_main_database(canaries: Canaries) -> None:
    dumped = _dumped(db.engine(), db.Base.metadata)
    holds_answers = {"responses", "set_asides", "drafts"}
    for name, text in dumped.items():
        assert canaries.found_in(text, *(["answer"] if name in holds_answers else [])) == [], name
    assert ANSWER in dumped["responses"] and ANSWER in dumped["set_asides"] and ANSWER in dumped["drafts"]


def _only_sealed_in_the_contact_store(canaries: Canaries) -> None:
    assert canaries.found_in(_dumped(db.keys_engine(), db.KeysBase.metadata)["data_keys"]) == []
    text = _dumped(db.contacts_engine(), db.ContactsBase.metadata)["contacts"]
    assert len(text.splitlines()) >= 6
    assert canaries.found_in(text) == []


def _not_in_the_files(canaries: Canaries) -> None:
    """SQLite: the very bytes, with what is in the log beside the file and in pages that are free."""
    url = make_url(db.engine().url)
    if url.get_backend_name() != "sqlite":
        return
    files = sorted(Path(str(url.database)).parent.iterdir())
    assert len(files) >= 2
    for file in files:
        text = file.read_bytes().decode("latin-1")
        assert canaries.found_in(text, *([] if "contacts" in file.name else ["answer"])) == [], file.name
