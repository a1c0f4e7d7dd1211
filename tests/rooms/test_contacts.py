"""The contact store: the only place that knows who somebody is, and it tells nobody without its keys.

CO-01  No field stands in clear, and a sealed one opens at its own place only.
CO-02  Keys can be replaced; what was sealed under an older one still opens, until it is sealed again.
CO-03  Somebody is found by the exact value and by nothing else.
CO-04  An erased person is gone: the trail holds and says nothing.
CO-05  A study works without any contact at all.
CO-07  Each person has a data key of her own; without it no copy of her contact data opens.
CO-06  One person's field that does not open stops nobody else's messages.
"""

from __future__ import annotations

import json
from datetime import timedelta
from threading import Thread

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from epro import db, keys, production
from epro.canonical import decode
from epro.cli import epro
from epro.config import ConfigurationError
from epro.contacts import data_keys, store
from epro.contacts import ring as key_file
from epro.contacts.models import Contact, DataKey
from epro.contacts.sealing import CannotOpen, key_ring, seal, unseal
from epro.errors import Invalid
from epro.notifications.models import Message
from epro.studies.models import Participant
from epro.trail import verifying
from epro.trail.models import Event
from epro.tx import look, system
from tests.cast import MOVED_IN, at
from tests.support.owner import as_owner

TESTS = system("tests")
ADA = ("diary", "participant/01-001")
REACH = {"phone": "+8613900000001", "email": "ada@example.org", "name": "Ada Li"}
OLD, NEW = "2026:" + "o" * 40, "2027:" + "n" * 40
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


def rows(**which: str) -> list[Contact]:
    with sa.orm.Session(db.contacts_engine()) as session:
        query = sa.select(Contact).filter_by(**which).order_by(Contact.owner, Contact.field)
        return list(session.scalars(query))


@pytest.fixture
def ring(app):
    """Changes the key ring of the running application."""

    def set_to(text: str | None) -> None:
        app.config["EPRO"]["CONTACTS_KEYS"] = text

    return set_to


def test_no_field_stands_in_clear(app, environ):  # CO-01
    store.keep(*ADA, REACH, MOVED_IN)
    assert store.of(*ADA) == REACH
    with as_owner(environ, where="contacts") as connection:
        kept = str(connection.execute(sa.select(Contact).where(Contact.owner == ADA[1])).all())
    assert all(value not in kept and value.lower() not in kept for value in REACH.values())


@on_sqlite
def test_no_other_table_knows_a_number_or_a_name(cast, environ):  # CO-01
    with cast.on("2026-03-02T10:00"):
        cast.enrol(contact=REACH)
    cast.tick(at("2026-03-02T19:30"))
    assert [message.to for message in cast.sms.taken] == [REACH["phone"]]
    with as_owner(environ) as connection:
        for table in db.Base.metadata.sorted_tables:
            text = str(connection.execute(sa.select(table)).all())
            assert not any(value in text for value in (*REACH.values(), "13900000001")), table.name


@on_sqlite
def test_the_same_value_is_sealed_differently_each_time(app):
    for owner in ("participant/01-001", "participant/01-002"):
        store.keep("diary", owner, {"phone": REACH["phone"]}, MOVED_IN)
    one, other = rows(field="phone", study_id="diary")
    assert one.sealed != other.sealed and one.salt != other.salt and one.lookup == other.lookup


@on_sqlite
def test_a_field_does_not_open_elsewhere(app, environ):  # CO-01
    store.keep(*ADA, REACH, MOVED_IN)
    store.keep("diary", "participant/01-002", {"phone": "+8613900000002"}, MOVED_IN)
    sealed = {(row.owner, row.field): row.sealed for row in rows(study_id="diary")}
    ben = ("participant/01-002", "phone")
    for source, target in (
        ((ADA[1], "phone"), ben),  # into another's row
        ((ADA[1], "name"), (ADA[1], "email")),  # into another field of her own
    ):
        with as_owner(environ, where="contacts") as connection:
            place = sa.update(Contact).filter_by(owner=target[0], field=target[1])
            connection.execute(place.values(sealed=sealed[source]))
        with pytest.raises(CannotOpen):
            store.of("diary", target[0])


def test_a_changed_seal_does_not_open():
    key = keys.derive("secret", "contacts")
    sealed = seal(key, "0", "a/place", "value")
    assert unseal(key, "0", "a/place", sealed) == "value"
    changed = ("A" if sealed[20] != "A" else "B").join((sealed[:20], sealed[21:]))
    for args in ((key, "0", "a/place", changed), (key, "0", "another/place", sealed), (key, "1", "a/place", sealed),
                 (keys.derive("other", "contacts"), "0", "a/place", sealed), (key, "0", "a/place", ""),
                 (key, "0", "a/place", "not base64"), (key, "0", "a/place", sealed[:12])):  # fmt: skip
        with pytest.raises(CannotOpen) as refused:
            unseal(*args)
        assert "value" not in str(refused.value)


# CO-02: keys.


def test_keys_are_replaced_without_losing_anybody(app, ring):
    ben = ("diary", "participant/01-002")
    store.keep(*ADA, REACH, MOVED_IN)
    assert wrapped_by(ADA) == "0"  # derived: no ring was set
    ring(OLD)
    store.keep(*ben, {"phone": "+8613900000002"}, MOVED_IN)
    assert (wrapped_by(ben), store.of(*ADA)) == ("2026", REACH)
    ring(f"{NEW},{OLD}")
    sealed = [row.sealed for row in rows()]
    assert store.of(*ADA) == REACH
    assert store.rotate() == {"done": len(data_key_rows())} and not store.rotate()
    assert store.needed_keys() == {"2027": len(data_key_rows())}
    assert [row.sealed for row in rows()] == sealed  # only the small keys are wrapped anew
    ring(NEW)  # the old key may go
    assert (store.of(*ADA), store.of(*ben), store.missing_keys()) == (REACH, {"phone": "+8613900000002"}, {})
    assert store.owners("phone", REACH["phone"]) == [ADA]


@on_sqlite
def test_a_key_that_went_too_early_is_told_and_not_guessed(app, ring):
    ring(OLD)
    store.keep(*ADA, REACH, MOVED_IN)
    ring(NEW)
    with pytest.raises(CannotOpen, match="not in the ring"):
        store.of(*ADA)
    assert store.rotate()["stuck"] == 1 and store.missing_keys() == {"2026": 1}
    ring(f"{NEW},{OLD}")
    assert store.of(*ADA) == REACH  # and nothing was harmed
    assert store.rotate() == {"done": 1}


@on_sqlite
def test_a_key_of_the_same_name_and_another_secret_opens_nothing(app, ring):
    ring(OLD)
    store.keep(*ADA, REACH, MOVED_IN)
    ring("2026:" + "x" * 40)
    with pytest.raises(CannotOpen, match="does not open"):
        store.of(*ADA)


def as_it_was_before_data_keys(
    owner: tuple[str, str], values: dict[str, str], key: bytes, key_id: str
) -> None:
    with sa.orm.Session(db.contacts_engine()) as session, session.begin():
        for field, value in values.items():
            place = f"contacts/{owner[0]}/{owner[1]}/{field}"
            session.add(Contact(study_id=owner[0], owner=owner[1], field=field, key_id=key_id, salt="5a" * 16,
                                sealed=seal(key, key_id, place, value), lookup=store.lookup(field, value),
                                kept_at=MOVED_IN))  # fmt: skip


def test_what_was_kept_before_data_keys_is_read_found_and_sealed_again(app, ring):
    ring(OLD)
    key = key_ring(OLD, "")["2026"]
    people = [("diary", f"participant/01-{number:03}") for number in range(1, store.BATCH + 3)]
    for person in people:
        as_it_was_before_data_keys(person, REACH, key, "2026")
    assert store.of(*people[0]) == REACH
    assert sorted(store.owners("email", REACH["email"])) == people
    assert store.needed_keys()["2026"] == 3 * len(people)
    store.keep(
        *people[0], {"phone": "+8613900000009"}, MOVED_IN
    )  # one field is new: the others open as before
    assert store.of(*people[0]) == {**REACH, "phone": "+8613900000009"}
    assert store.rotate()["done"] >= 3 * len(people) - 1 and not store.rotate()
    assert not any(row.key_id == "2026" for row in rows())
    assert sorted(store.owners("phone", REACH["phone"])) == people[1:] and store.of(*people[-1]) == REACH
    assert {len(row.lookup) for row in rows(study_id="diary")} == {0, store.BLIND}  # none for a name


@on_sqlite
def test_one_that_does_not_open_stops_no_rotation(app, environ, ring):
    key = key_ring(None, app.config["EPRO"]["SECRET_KEY"])["0"]
    ben = ("diary", "participant/01-002")
    for person in (ADA, ben):
        as_it_was_before_data_keys(person, {"phone": REACH["phone"]}, key, "0")
    with as_owner(environ, where="contacts") as connection:
        connection.execute(sa.update(Contact).filter_by(owner=ADA[1]).values(sealed="AAAA"))
    assert store.seal_again() == {"done": 1, "stuck": 1}
    assert store.of(*ben) == {"phone": REACH["phone"]}


def test_rotating_beside_a_running_server_loses_nobody(app, ring):
    """Others keep, read and erase while keys are wrapped anew; who was erased does not come back."""
    people = [("diary", f"participant/01-{number:03}") for number in range(1, 121)]
    for person in people[:100]:
        store.keep(*person, {"phone": REACH["phone"]}, MOVED_IN)
    ring(f"{NEW},{OLD}")

    def others() -> None:
        with app.app_context():
            for number in range(20):
                store.keep(*people[100 + number], {"phone": REACH["phone"]}, MOVED_IN)
                assert store.of(*people[number]) == {"phone": REACH["phone"]}
                store.erase(*people[40 + number])

    thread = Thread(target=others)
    thread.start()
    store.rotate()
    thread.join()
    store.rotate()
    left = [*people[:40], *people[60:]]
    assert all(store.of(*person) == {"phone": REACH["phone"]} for person in left)
    assert not any(data_keys.find(*person) for person in people[40:60])
    assert set(store.needed_keys()) == {"2027"}


@on_sqlite
def test_the_commands_rotate_a_file_of_keys(app, environ, monkeypatch, tmp_path):
    file = tmp_path / "contact.keys"
    for name, value in {**environ, "EPRO_CONTACTS_KEYS_FILE": str(file)}.items():
        monkeypatch.setenv(name, value)
    file.touch(mode=0o600)

    def told(*command: str) -> str:
        return CliRunner().invoke(epro, ["keys", *command]).output

    store.keep(*ADA, REACH, MOVED_IN)
    count = len(data_key_rows())
    assert told("rotate", "--new") == f"Key 1 is the newest now.\n{count} wrapped or sealed again.\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert told("status") == f"1: {count}, the newest\n0: 0\n"
    app.config["EPRO"]["CONTACTS_KEYS_FILE"] = str(file)  # a server that runs already
    assert store.of(*ADA) == REACH
    assert key_file.add() == "2" and next(iter(key_file.held())) == "2"  # and follows without a new start
    assert f"{count} data keys or fields need key 1" in told("remove", "1")
    assert "newest key" in told("remove", "2")
    told("rotate")
    assert (told("remove", "1"), store.of(*ADA)) == ("Key 1 is gone.\n", REACH)
    assert "There is no key 1" in str(CliRunner().invoke(epro, ["keys", "remove", "1"]).exception.detail)
    told("reindex")
    assert done() == ["added 1", "rotated 1", "rotated 2", "removed 1", "reindexed 2"]
    file.chmod(0o640)
    with pytest.raises(ConfigurationError, match="open to others"):
        store.of(*ADA)


def done() -> list[str]:
    """What the trail has of the keys, in order."""
    with look(TESTS) as tx:
        rows = tx.all(sa.select(Event).where(Event.object_type == "contact_key").order_by(Event.seq))
    assert {row.actor for row in rows} <= {"system:command line"}
    return [f"{row.action.removeprefix('contact_key.')} {row.object_id}" for row in rows]


@on_sqlite
def test_production_does_not_start_without_a_key_that_is_needed(app, ring):
    ring(OLD)
    store.keep(*ADA, REACH, MOVED_IN)
    ring(NEW)
    assert list(production._about_keys()) == [
        "key 2026 of the contact store is not set, and 1 data keys or fields need it: put it back"
    ]


# CO-07: data keys.


def data_key_rows() -> list[DataKey]:
    with sa.orm.Session(db.keys_engine()) as session:
        return list(session.scalars(sa.select(DataKey).order_by(DataKey.owner)))


def wrapped_by(person: tuple[str, str]) -> str:
    return next(row.kek_id for row in data_key_rows() if (row.study_id, row.owner) == person)


@on_sqlite
@pytest.mark.parametrize("column", ["id", "wrapped", "kek_id"])
def test_a_data_key_opens_at_its_own_place_only(app, environ, ring, column):
    ring(f"{OLD},{NEW}")
    ben = ("diary", "participant/01-002")
    store.keep(*ADA, REACH, MOVED_IN)
    ring(f"{NEW},{OLD}")
    store.keep(*ben, REACH, MOVED_IN)
    other = next(getattr(row, column) for row in data_key_rows() if row.owner == ben[1])
    with as_owner(environ, where="contact_keys") as connection:
        connection.execute(sa.update(DataKey).filter_by(owner=ADA[1]).values({column: other}))
    with pytest.raises(CannotOpen):
        store.of(*ADA)
    assert store.of(*ben) == REACH


def test_a_copy_of_erased_contact_data_does_not_open(app, environ):
    """What a backup holds: the rows as they were, without the store of data keys."""
    store.keep(*ADA, REACH, MOVED_IN)
    with as_owner(environ, where="contacts") as connection:
        copy = [row._asdict() for row in connection.execute(sa.select(Contact).filter_by(owner=ADA[1]))]
    store.erase(*ADA)
    with as_owner(environ, where="contacts") as connection:
        connection.execute(sa.insert(Contact), copy)
    with pytest.raises(CannotOpen, match="destroyed"):
        store.of(*ADA)
    store.keep(*ADA, {"phone": REACH["phone"]}, MOVED_IN)  # a key made later opens nothing of before
    with pytest.raises(CannotOpen):
        store.of(*ADA)


@on_sqlite
def test_a_destroyed_key_leaves_nothing_in_the_file(app, environ, tmp_path):
    store.keep(*ADA, REACH, MOVED_IN)
    wrapped = next(row.wrapped for row in data_key_rows() if row.owner == ADA[1]).encode()
    files = sorted(tmp_path.glob("*contact_keys*"))
    assert any(wrapped in file.read_bytes() for file in files)
    store.erase(*ADA)
    assert not any(wrapped in file.read_bytes() for file in files)


def test_no_nonce_comes_twice(app):
    key = keys.derive("secret", "nonces")
    assert len({seal(key, "0", "a/place", "")[:16] for _ in range(20_000)}) == 20_000


def test_a_ring_has_the_newest_first_and_the_derived_one_last():
    assert list(key_ring(f"{NEW}, {OLD}", "secret")) == ["2027", "2026", "0"]
    assert key_ring(None, "secret") == {"0": keys.derive("secret", "contacts")}
    assert len(set(key_ring(f"{NEW},{OLD}", "secret").values())) == 3


# CO-03: finding somebody.


@on_sqlite
def test_somebody_is_found_by_the_exact_value_only(app):
    store.keep(*ADA, REACH, MOVED_IN)
    assert store.owners("email", "ada@example.org") == [ADA]
    for field, value in (("email", "ada@example"), ("email", "ADA@example.org"), ("email", "%"), ("email", ""),
                         ("phone", "ada@example.org"), ("phone", "13900000001"), ("name", "Ada Li")):  # fmt: skip
        assert store.owners(field, value) == [], (field, value)


@on_sqlite
def test_a_blind_index_says_nothing_without_its_key(app):
    before = store.blind_index("phone", REACH["phone"])
    app.config["EPRO"]["SECRET_KEY"] = "another secret, just as long as it has to be"
    derived = store.blind_index("phone", REACH["phone"])
    app.config["EPRO"]["CONTACTS_INDEX_KEY"] = "a key of its own, just as long as it has to be"
    assert len({before, derived, store.blind_index("phone", REACH["phone"])}) == 3 and len(before) == 32


@on_sqlite
def test_a_new_index_key_finds_everybody_once_the_index_is_made_again(app):
    store.keep(*ADA, REACH, MOVED_IN)
    app.config["EPRO"]["CONTACTS_INDEX_KEY"] = "a key of its own, just as long as it has to be"
    assert store.owners("phone", REACH["phone"]) == []
    store.seal_again(everything=True)
    assert store.owners("phone", REACH["phone"]) == [ADA] and store.of(*ADA) == REACH


@pytest.mark.parametrize(("field", "written", "kept"), [
    ("phone", "+86 139-0000-0001", "+8613900000001"), ("phone", " +44 20 7946 0018 ", "+442079460018"),
    ("email", " Ada@Example.ORG ", "ada@example.org"),
    ("email", "\uff41da@example.org", "ada@example.org"), ("name", " Ada Li ", "Ada Li"),
])  # fmt: skip
def test_every_value_has_one_spelling(field, written, kept):
    assert store.normal(field, written) == store.normal(field, kept) == kept


@pytest.mark.parametrize(("field", "value"), [
    ("phone", "13900000001"), ("phone", "+86"), ("phone", "call me"), ("phone", ""), ("email", "ada"),
    ("email", "@x.y"), ("email", "ada@home"), ("email", "a b@x.y"), ("email", "a@x.y\nBcc: b@x.y"),
])  # fmt: skip
def test_what_is_no_value_is_refused_without_repeating_it(field, value):
    with pytest.raises(Invalid) as refused:
        store.normal(field, value)
    assert refused.value.errors[0]["pointer"] == f"/contact/{field}"
    assert not value or value not in json.dumps([refused.value.detail, refused.value.errors])


# CO-04: erasing, and what the trail holds.


def commitments(subject_id: str) -> dict[str, str]:
    with look(TESTS) as tx:
        found = tx.one(
            sa.select(Event).where(Event.action == "participant.enrolled", Event.subject_id == subject_id)
        )
    return decode(found.body.encode())["details"]["contact"]


def test_the_trail_holds_commitments_that_only_the_store_can_open(cast, app):
    with cast.on("2026-03-02T10:00"):
        cast.enrol(contact=REACH)
        cast.enrol(contact=REACH)
    first, second = commitments("01-001"), commitments("01-002")
    assert set(first) == set(REACH) and all(first[field] != second[field] for field in REACH)  # salted apart
    key = data_keys.find(*ADA)
    for row in rows(owner="participant/01-001"):
        value = REACH[row.field]
        assert store.commitment(key, row.salt, row.field, value) == first[row.field]
        assert keys.mac(row.salt.encode(), f"{row.field}\x00{value}".encode()) != first[row.field]


def test_an_erased_person_is_gone_and_the_trail_still_holds(cast, app):
    with cast.on("2026-03-02T10:00"):
        cast.enrol(contact=REACH)
    assert store.erase(*ADA) == 3
    assert (store.of(*ADA), store.owners("phone", REACH["phone"]), rows(owner=ADA[1])) == ({}, [], [])
    with look(TESTS) as tx:
        assert list(verifying.faults(tx, Participant)) == []
    assert store.erase(*ADA) == 0


def test_one_field_of_many_is_read_at_once_and_of_an_erased_person_never(app):
    people = {f"participant/01-00{n}": f"Name {n}" for n in range(1, 5)}
    for owner, name in people.items():
        store.keep("diary", owner, {"name": name, "phone": REACH["phone"]}, MOVED_IN)
    assert store.of_many("diary", people, "name") == people
    data_keys.destroy("diary", "participant/01-002")  # her fields are still there, and open no more
    store.erase("diary", "participant/01-003")
    left = {owner: name for owner, name in people.items() if owner[-1] in "14"}
    assert store.of_many("diary", people, "name") == left
    assert store.of_many("diary", [], "name") == store.of_many("other", people, "name") == {}


@on_sqlite
def test_one_field_can_be_replaced_or_erased(app):
    store.keep(*ADA, REACH, MOVED_IN)
    told = store.keep(*ADA, {"phone": "+8613900000009", "email": None}, MOVED_IN + timedelta(days=1))
    assert told["email"] == "erased" and len(told["phone"]) == 64
    assert store.of(*ADA) == {"phone": "+8613900000009", "name": "Ada Li"}
    assert store.owners("phone", REACH["phone"]) == []


@on_sqlite
def test_a_refused_enrolment_leaves_no_contact_behind(cast, app):
    with cast.on("2026-03-02T10:00"):
        cast.enrol(subject_id="01-007", contact={"phone": "+8613900000007"})
        before = len(rows())
        answer = cast.staff("noor").call("POST", "/v1/site/participants", {
            "study": "diary", "site": "01", "language": "en", "time_zone": "Asia/Shanghai", "subject_id": "01-007",
            "anchors": {"enrolment": "2026-03-02"}, "contact": {"phone": "+8613900000008"}})  # fmt: skip
    assert (answer.status, answer.body["code"]) == (409, "subject_id_taken")
    assert len(rows()) == before and store.of("diary", "participant/01-007") == {"phone": "+8613900000007"}


# CO-05 and CO-06.


def test_a_study_works_without_any_contact(cast, app):
    with cast.on("2026-03-02T10:00"):
        ada = cast.phone(contact={})
    assert store.of(*ADA) == {}
    cast.tick(at("2026-03-02T19:30"))
    with look(TESTS) as tx:
        (message,) = tx.all(sa.select(Message))
    assert (message.withheld_reason, message.begun_at, cast.sms.asked) == ("no_channel", None, [])
    with cast.on("2026-03-02T20:00") as now:
        ada.answer(ada.open_at(now)[0], {"worst_fatigue": 2}, now, now)
        assert ada.upload(now)[0]["outcome"] == "stored"
    cast.tick(at("2026-03-04T06:30"))
    with cast.on("2026-03-04T06:40"):
        assert len(cast.staff("noor").worklist()) == 1


@on_sqlite
def test_a_contact_that_does_not_open_stops_nobody_else(cast, environ):
    with cast.on("2026-03-02T10:00"):
        cast.enrol(contact={"phone": "+8613900000001"})
        cast.enrol(contact={"phone": "+8613900000002"})
    with as_owner(environ, where="contacts") as connection:
        broken = sa.update(Contact).where(Contact.owner == "participant/01-001")
        connection.execute(broken.values(sealed="AAAA"))
    cast.tick(at("2026-03-02T19:30"))
    assert [message.to for message in cast.sms.taken] == ["+8613900000002"]
