"""The trail: every act on record in its own transaction, and nobody changes, removes, swaps or forges it unseen.

TR-01  A change of an audited row without an entry is refused, whichever way it is made.
TR-02  Entries of one participant stand in one chain, those of no participant in the study's.
TR-03  `epro trail verify` finds every way of tampering that the key does not cover up, and names the place.
TR-04  An end that was cut off together with its head row is found against a head kept elsewhere.
TR-05  A response that is not as the trail has it is found, and so is one that is gone.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier
from uuid import uuid4

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from sqlalchemy.exc import InvalidRequestError

from epro import keys, trail
from epro.canonical import decode
from epro.cli import epro
from epro.responses import integrity
from epro.responses.models import Response
from epro.scheduling.models import Occurrence
from epro.studies.models import Participant, Site, Study
from epro.trail import verifying
from epro.trail.entries import START, Entry, faults_of_chain, link
from epro.trail.guard import SilentChange
from epro.trail.models import ChainHead, Event
from epro.tx import Tx, attempt, begin, look, set_reach, system
from tests.support.owner import as_owner

TESTS = system("tests")
ADA = ("diary", "01-001")
AFTERWARDS = datetime(2026, 3, 3, tzinfo=UTC)
on_sqlite = pytest.mark.parametrize(
    "engine_name", ["sqlite"], indirect=True
)  # nothing here is PostgreSQL's own
on_postgresql = pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
PAGE = Path(__file__).parents[2] / "docs" / "trail.md"


@pytest.fixture
def ada(cast):
    """Ada took part for a day: her chain has a handful of entries and one of them is a response."""
    with cast.on("2026-03-02T20:00") as now:
        phone = cast.phone()
        diary = phone.open_at(now)[0]
        phone.answer(diary, {"worst_fatigue": 4}, now, now)
        assert phone.upload(now)[0]["outcome"] == "stored"
    return phone


def act(change):
    """One act that changes something; `change` gets the Tx."""
    with begin(TESTS) as tx:
        change(tx)


# TR-01: the guard of the commits.


SILENT = {
    "a row changed": lambda tx: setattr(tx.get(Participant, *ADA), "language", "zh-CN"),
    "a row added": lambda tx: tx.add(Study(id="new", protocol_version="1", opened_at=tx.now)),
    "a row deleted": lambda tx: tx.session.delete(tx.get(Site, "diary", "02")),
    "an update statement": lambda tx: tx.session.execute(sa.update(Participant).values(language="zh-CN")),
    "an update of the table": lambda tx: tx.session.execute(sa.update(Participant.__table__).values(language="en")),
    "an update with bookkeeping in it": lambda tx: tx.session.execute(
        sa.update(Participant).values(plan_at=None, language="en")),
    "an update by row": lambda tx: tx.session.execute(
        sa.update(Participant), [{"study_id": "diary", "subject_id": "01-001", "language": "zh-CN"}]),
    "a delete statement": lambda tx: tx.session.execute(sa.delete(Site).where(Site.id == "02")),
    "an insert statement": lambda tx: tx.session.execute(
        sa.insert(Study).values(id="new", protocol_version="1", opened_at=tx.now)),
    "rows inserted": lambda tx: tx.insert(Study, [{"id": "new", "protocol_version": "1", "opened_at": tx.now}]),
    "a row written past the ORM": lambda tx: tx.write(Participant, *ADA, language="zh-CN"),
}  # fmt: skip


def test_a_silent_change_is_refused_and_undone(ada, app):
    before = _everything()
    for name, change in SILENT.items():
        with pytest.raises((SilentChange, sa.exc.ProgrammingError) if "delete" in name else SilentChange):
            act(change)  # PostgreSQL refuses a removal before the guard can
        assert _everything() == before, name


@on_sqlite
def test_the_same_changes_are_taken_when_they_are_on_record(ada, app):
    for name in ("a row changed", "an update statement", "rows inserted", "a row written past the ORM"):
        act(lambda tx, name=name: (SILENT[name](tx), _record(tx)))
    with look(TESTS) as tx:
        assert tx.get(Study, "new") and tx.get(Participant, *ADA).language == "zh-CN"


@on_sqlite
def test_bookkeeping_needs_no_record(ada, app):
    act(lambda tx: setattr(tx.get(Participant, *ADA), "plan_at", None))
    act(lambda tx: tx.session.execute(sa.update(Occurrence).values(attention_at=None, reminders_done=1)))
    act(lambda tx: tx.write(Participant, *ADA, change_no=99))
    with look(TESTS) as tx:
        assert tx.get(Participant, *ADA).plan_at is None


@on_sqlite
def test_writing_the_same_value_again_is_no_change(ada, app):
    act(lambda tx: setattr(tx.get(Participant, *ADA), "language", "en"))


def test_a_record_pays_for_its_own_transaction_only(ada, app):
    with pytest.raises(SilentChange), begin(TESTS, AFTERWARDS) as tx:
        _record(tx)
        tx.commit()
        tx.connection.begin()
        set_reach(tx.connection, TESTS)
        SILENT["a row changed"](tx)
        tx.commit()


@on_sqlite
def test_what_was_rolled_back_neither_owes_nor_pays(ada, app):
    with begin(TESTS, AFTERWARDS) as tx:
        SILENT["an update statement"](tx)
        tx.session.rollback()
        tx.session.execute(sa.select(Study)).all()
        tx.commit()  # owes nothing
    with pytest.raises(SilentChange), begin(TESTS, AFTERWARDS) as tx:
        _record(tx)
        tx.session.execute(sa.select(Study)).all()
        tx.session.rollback()
        SILENT["an update statement"](tx)  # paid by nothing
        tx.commit()


def test_a_part_that_fails_takes_its_plain_rows_with_it_and_owes_nothing(ada, app):
    def part():
        tx.write(Participant, *ADA, language="de")
        raise RuntimeError("planted")

    with begin(TESTS) as tx:
        assert not attempt(tx, None, "planted", part)
        assert tx.plain(Participant, *ADA).language != "de"


def _doubled(tx):
    tx.add(Study(id="diary", protocol_version="1", opened_at=tx.now))
    tx.session.flush()


@pytest.mark.parametrize(
    "fault", [_doubled, lambda tx: tx.add(Study(id="diary", protocol_version="1", opened_at=tx.now)), None]
)
def test_a_part_that_opens_the_session_undoes_itself_alone(ada, app, fault):
    """Whether its flush is refused within, at its end, or something else is wrong with it."""

    def part():
        tx.get(Participant, *ADA).language = "de"
        tx.session.flush()
        if fault is None:
            raise RuntimeError("planted")
        fault(tx)

    with begin(TESTS) as tx:
        she = tx.plain(Participant, *ADA, lock=True)
        trail.record(tx, she, "test.done", "test", "1")
        tx.put_back(Participant, she)
        tx.write(Participant, *ADA, language="it")
        assert not attempt(tx, None, "planted", part)
        assert tx.get(Participant, *ADA).language == "it"
        assert attempt(tx, None, "well", lambda: setattr(tx.get(Participant, *ADA), "language", "fr"))
    with look(TESTS) as tx:
        assert tx.get(Participant, *ADA).language == "fr"


@on_sqlite
def test_a_record_undone_with_its_part_pays_for_nothing(ada, app):
    def part():
        she = tx.plain(Participant, *ADA, lock=True)
        trail.record(tx, she, "test.done", "test", "1")
        raise RuntimeError("planted")

    with pytest.raises(SilentChange), begin(TESTS) as tx:
        tx.write(Participant, *ADA, language="de")
        assert not attempt(tx, None, "planted", part)


@on_sqlite
def test_an_act_without_objects_owes_its_record_too(ada, app):
    with pytest.raises(SilentChange), begin(TESTS) as tx:
        tx.write(Participant, *ADA, language="de")
    act(lambda tx: (tx.write(Participant, *ADA, language="de"), _record(tx)))


def test_an_act_that_was_undone_within_writes_nothing_more(ada, app):
    """A driver whose transaction has ended would keep what is written after it, whatever the act comes to."""
    with pytest.raises(InvalidRequestError), begin(TESTS) as tx:
        with pytest.raises(LookupError):
            tx.write(Participant, *ADA, language="de")
            tx.session.connection()
            tx.session.rollback()
            raise LookupError
        tx.write(Participant, *ADA, language="it")
    with look(TESTS) as tx:
        assert tx.get(Participant, *ADA).language not in ("de", "it")


@on_sqlite
def test_the_end_of_a_savepoint_is_not_the_end_of_the_act(ada, app):
    def change(tx):
        with tx.session.begin_nested():
            SILENT["a row changed"](tx)  # nothing is refused yet: the record may still come
        _record(tx)

    act(change)
    with look(TESTS) as tx:
        assert tx.get(Participant, *ADA).language == "zh-CN"


@on_sqlite
def test_a_change_undone_with_its_savepoint_owes_nothing(ada, app):
    def change(tx):
        with pytest.raises(LookupError), tx.session.begin_nested():
            SILENT["a row changed"](tx)
            tx.session.flush()
            raise LookupError

    act(change)


def test_a_record_undone_with_its_savepoint_pays_for_nothing(ada, app):
    def change(tx):
        with pytest.raises(LookupError), tx.session.begin_nested():
            _record(tx)
            raise LookupError
        SILENT["an update statement"](tx)

    with pytest.raises(SilentChange):
        act(change)


@on_sqlite
def test_a_change_before_a_savepoint_that_fails_is_still_owed(ada, app):
    def change(tx):
        SILENT["an update statement"](tx)
        with pytest.raises(LookupError), tx.session.begin_nested():
            raise LookupError

    with pytest.raises(SilentChange):
        act(change)


# TR-02: entries and chains.


def test_a_participants_entries_stand_in_her_own_chain(ada, app):
    events = _events("participant/01-001")
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.action for event in events][:2] == ["participant.enrolled", "plan.changed"]
    assert events[-1].action == "response.stored"
    for before, event in zip([None, *events], events, strict=False):
        body = decode(event.body.encode())
        assert body["prev"] == (before.mac if before else START)
        assert (body["study"], body["chain"], body["seq"]) == ("diary", event.chain, event.seq)
        assert (body["id"], body["actor"], body["action"]) == (str(event.id), event.actor, event.action)
        assert body["at"] == trail.instant(event.at)
    with look(TESTS) as tx:
        ada_row = tx.get(Participant, *ADA)
        assert (ada_row.chain_seq, ada_row.chain_mac) == (events[-1].seq, events[-1].mac)


@on_sqlite
def test_what_belongs_to_no_participant_stands_in_the_studys_chain(ada, app):
    assert {event.action for event in _events("study", "diary")} >= {
        "protocol.published",
        "participant.enrolled",
    }
    assert {event.action for event in _events("study", trail.INSTALLATION)} >= {
        "staff.added",
        "staff.signed_in",
    }


@on_sqlite
def test_several_records_of_one_act_follow_each_other(app):
    """Also when the head is fetched anew for each of them."""
    act(lambda tx: [_record(tx) for _ in range(3)])
    assert [event.action for event in _events("study", "diary")][-3:] == ["test.done"] * 3
    assert faults() == []


@on_sqlite
def test_an_entry_says_which_phone_it_came_from(ada, app):
    stored = decode(_events("participant/01-001")[-1].body.encode())
    assert stored["device"] and stored["actor"] == "participant:diary/01-001"


@on_sqlite
def test_no_answer_and_no_contact_stands_in_the_trail(cast, ada, app):
    with look(TESTS) as tx:
        bodies = "\n".join(tx.session.scalars(sa.select(Event.body)))
    assert "worst_fatigue" not in bodies
    assert "+8613" not in bodies and "example.org" not in bodies.lower()


@on_postgresql
def test_many_hands_on_one_chain_leave_it_whole(app, ada):
    def write():
        with app.app_context():
            for _ in range(5):
                with begin(TESTS) as tx:
                    head = tx.get(Participant, *ADA, lock=True)
                    trail.record(tx, head, "test.done", "test", "1")

    _at_once(write, 4)
    assert faults() == []
    assert len([event for event in _events("participant/01-001") if event.action == "test.done"]) == 20


# TR-03: tampering.


def entry(number: int, **values: str) -> str:
    """A change of one of Ada's entries."""
    changes = ", ".join(f"{name} = {value}" for name, value in values.items())
    return f"UPDATE events SET {changes} WHERE chain = 'participant/01-001' AND seq = {number}"


def gone(condition: str) -> str:
    return f"DELETE FROM events WHERE chain = 'participant/01-001' AND {condition}"


LAST = "seq = (SELECT max(seq) FROM events WHERE chain = 'participant/01-001')"
HEAD_FITS_AGAIN = (
    "UPDATE participants SET (chain_seq, chain_mac) = (SELECT seq, mac FROM events WHERE chain = "
    "'participant/01-001' ORDER BY seq DESC LIMIT 1) WHERE subject_id = '01-001'"
)
TAMPERING = {  # what is done: by which statements, at which entry it shows (None: the end), in which words
    "a body is changed": ([entry(2, body="replace(body, 'enrolment', 'enrollment')")], 2, "was changed"),
    "a body becomes no entry": ([entry(2, body="'not an entry'")], 2, "was changed"),
    "a mac is changed": ([entry(2, mac=f"'{'0' * 64}'")], 2, "was changed"),
    "a mac becomes no mac": ([entry(2, mac="'é'")], 2, "was changed"),
    "the first entry is removed": ([gone("seq = 1")], 1, "missing: the next one is #2"),
    "one in the middle is removed": ([gone("seq = 3")], 3, "missing: the next one is #4"),
    "the last entry is removed": ([gone(LAST)], None, "cut off"),
    "the head is rolled back": (["UPDATE participants SET chain_seq = chain_seq - 1"], None, "cut off or added"),
    "the head gets another mac": ([f"UPDATE participants SET chain_mac = '{'0' * 64}'"], None, "cut off or added"),
    "the whole chain is removed": ([gone("seq > 0")], 1, "whole chain"),
    "two entries are swapped": ([entry(2, seq="-2"), entry(3, seq="2"), entry(-2, seq="3")], 2, "not its own"),
    "an entry is moved to another participant": (
        ["UPDATE events SET chain = 'participant/01-002' WHERE chain = 'participant/01-001' AND seq = 1"],
        1, "missing"),
    "a chain is moved to another participant": (
        ["UPDATE events SET chain = 'participant/01-002', subject_id = '01-002' WHERE subject_id = '01-001'",
         "INSERT INTO chain_heads SELECT study_id, 'participant/01-002', chain_seq, chain_mac FROM participants",
         f"UPDATE participants SET chain_seq = 0, chain_mac = '{START}'"], 1, "not its own"),
    "a chain is moved to another study": (
        ["UPDATE events SET study_id = 'other' WHERE study_id = 'diary' AND chain = 'study'",
         "UPDATE chain_heads SET study_id = 'other' WHERE study_id = 'diary'"], 1, "not its own"),
    "the copy of the actor is changed": ([entry(2, actor="'staff:somebody else'")], 2, "actor"),
    "the copy of the instant is changed": ([entry(2, at="'2020-01-01 00:00:00'")], 2, "copy"),
    "the copy of the action is changed": ([entry(2, action="'nothing.happened'")], 2, "action"),
    "the copy of the object is changed": ([entry(2, object_id="'01-002'")], 2, "object_id"),
    "the copy of the subject is changed": ([entry(2, subject_id="'01-002'")], 2, "subject_id"),
}  # fmt: skip


def test_tampering_is_found_at_its_place(ada, environ, app):
    assert len(_events("participant/01-001")) > 4
    for name, (statements, seq, words) in TAMPERING.items():
        with planted(environ, *statements) as tx:
            found = list(verifying.faults(tx, Participant))
        assert found, name
        assert any(seq in (None, fault.seq) and words in fault.what for fault in found), (name, found)
    assert faults() == []


def test_an_entry_forged_without_the_key_is_found(ada, environ, app):
    last = _events("participant/01-001")[-1]
    content = {**decode(last.body.encode()), "seq": last.seq + 1, "action": "participant.withdrawn"}
    own = ("v", "prev", "key")
    body, mac = link(
        b"not the key of this installation", last.mac, {k: v for k, v in content.items() if k not in own}
    )
    row = {column.name: getattr(last, column.name) for column in Event.__table__.columns}
    row |= {"seq": last.seq + 1, "id": uuid4(), "action": content["action"], "body": body, "mac": mac}
    with as_owner(environ) as connection:
        connection.execute(sa.insert(Event), [row])
        connection.execute(sa.update(Participant).values(chain_seq=row["seq"], chain_mac=mac))
    (fault,) = faults()
    assert (fault.study_id, fault.chain, fault.seq) == ("diary", "participant/01-001", last.seq + 1)
    assert "mac does not fit" in fault.what


@on_sqlite
def test_an_untouched_trail_has_no_fault(ada, app):
    assert faults() == []


@on_postgresql
def test_checking_while_work_goes_on_raises_no_false_alarm(ada, app, monkeypatch):
    read_heads = verifying.heads

    def heads(tx, participants):
        found = read_heads(tx, participants)
        act(_record)  # somebody works on while the check has read the heads and not yet the entries
        return found

    monkeypatch.setattr(verifying, "heads", heads)
    assert faults() == []


# TR-04: heads kept elsewhere.

CUT_OFF = (gone(LAST), HEAD_FITS_AGAIN, "DELETE FROM scores", "DELETE FROM responses")


def test_a_kept_head_shows_an_end_that_was_cut_off_cleanly(ada, environ, app, command, tmp_path):
    kept = tmp_path / "head.json"
    kept.write_text(command("trail", "head").stdout)
    assert command("trail", "verify", "--head", str(kept)).exit_code == 0
    plant(environ, *CUT_OFF)
    unaided = command("trail", "verify")
    assert (unaided.exit_code, "no fault" in unaided.stdout) == (0, True)  # nobody can tell from the inside
    found = command("trail", "verify", "--head", str(kept))
    assert found.exit_code == 1
    place = re.escape("diary participant/01-001 #") + r"\d+: the kept head saw another entry here"
    assert re.search(place, found.stderr)


@on_sqlite
def test_a_kept_head_shows_a_chain_that_is_gone_with_its_head(ada, environ, app):
    kept = head_now()
    with planted(
        environ, gone("seq > 0"), f"UPDATE participants SET chain_seq = 0, chain_mac = '{START}'"
    ) as tx:
        assert list(verifying.faults(tx, Participant)) == []
        (fault,) = verifying.faults(tx, Participant, kept=kept)
    assert (fault.chain, "kept head" in fault.what) == ("participant/01-001", True)


@on_sqlite
def test_an_older_head_is_good_as_long_as_history_stands(ada, cast, app):
    kept = head_now()
    with cast.on("2026-03-02T20:30"):
        cast.enrol()
    assert faults(kept) == []


@on_sqlite
def test_a_head_names_every_chain_and_its_end(ada, app):
    chains = {(c["study"], c["chain"]): (c["seq"], c["mac"]) for c in head_now()["chains"]}
    assert set(chains) == {("-", "study"), ("diary", "study"), ("diary", "participant/01-001")}
    for (study, chain), end in chains.items():
        last = _events(chain, study)[-1]
        assert end == (last.seq, last.mac)


FORGERIES = {
    "another end": lambda head: head["chains"][0].update(mac="0" * 64),
    "a chain less": lambda head: head["chains"].pop(),
    "another hour": lambda head: head.update(at="2020-01-01T00:00:00.000000Z"),
    "no signature": lambda head: head.pop("signature"),
    "a signature that is none": lambda head: head.update(signature="!!"),
    "another's signature": lambda head: head.update(signature="A" * 86 + "=="),
    "no chains": lambda head: head.update(chains=None),
    "a number that is none": lambda head: head.update(format=float("nan")),
}


@on_sqlite
def test_a_forged_head_is_refused_in_a_sentence(ada, app, command, tmp_path):
    head = json.loads(command("trail", "head").stdout)
    kept = tmp_path / "head.json"
    for name, forge in FORGERIES.items():
        forged = json.loads(json.dumps(head))
        forge(forged)
        kept.write_text(json.dumps(forged))
        refused(command("trail", "verify", "--head", str(kept)), name)
    for raw in (b"", b"[]", b"7", b"not json", b"\xff\xfe", b"{}"):
        kept.write_bytes(raw)
        refused(command("trail", "verify", "--head", str(kept)), str(raw))


@on_sqlite
def test_the_command_says_how_much_it_checked(ada, environ, app, command):
    with look(TESTS) as tx:
        count = tx.session.scalar(sa.select(sa.func.count()).select_from(Event))
    good = command("trail", "verify")
    assert (good.exit_code, good.stdout) == (0, f"{count} entries, no fault\n")
    plant(environ, *TAMPERING["one in the middle is removed"][0])
    bad = command("trail", "verify")
    assert bad.exit_code == 1
    assert "diary participant/01-001 #3: entry missing: the next one is #4" in bad.stderr


# TR-05: responses against the trail.

CHANGED_BODY = "UPDATE responses SET body = replace(body, '\"worst_fatigue\":4', '\"worst_fatigue\":1')"


def test_a_changed_response_is_found(ada, environ, app):
    for statement in (CHANGED_BODY, f"UPDATE responses SET digest = '{'0' * 64}'"):
        with planted(environ, statement) as tx:
            (fault,) = integrity.faults(tx)
            assert "was changed" in fault.what and fault.chain == "participant/01-001"


@on_sqlite
def test_a_changed_body_with_its_digest_made_to_fit_is_found(ada, environ, app):
    with planted(environ, CHANGED_BODY) as tx:
        body = tx.one(sa.select(Response.body))
        assert '"worst_fatigue":1' in body
        tx.session.execute(
            sa.update(Response.__table__).values(digest=hashlib.sha256(body.encode()).hexdigest())
        )
        (fault,) = integrity.faults(tx)
    assert "was changed" in fault.what


def test_a_removed_response_is_found(ada, environ, app, command):
    plant(environ, "DELETE FROM scores", "DELETE FROM responses")
    found = command("trail", "verify")
    assert found.exit_code == 1 and re.search(r"response [0-9a-f-]{36} is gone", found.stderr)


def test_a_response_that_the_trail_does_not_know_is_found(ada, environ, app):
    with planted(environ, "DELETE FROM scores", f"UPDATE responses SET id = '{'a' * 32}'") as tx:
        found = [fault.what for fault in integrity.faults(tx)]
    assert any("not in the trail" in what for what in found) and any("is gone" in what for what in found)


def test_what_was_set_aside_is_watched_as_well(cast, ada, environ, app):
    with cast.on("2026-03-02T21:00") as now:
        ada.unsent = [{"id": "not an id", "answers": {"worst_fatigue": 5}}]
        assert ada.upload(now)[0]["outcome"] == "held"
    with look(TESTS) as tx:
        assert list(integrity.faults(tx)) == []
    for statement, word in (
        ("UPDATE set_asides SET body = '{}'", "changed"),
        ("DELETE FROM set_asides", "gone"),
    ):
        with planted(environ, statement) as tx:
            (fault,) = integrity.faults(tx)
            assert word in fault.what


# The page that tells others how to check.


@pytest.fixture
def example() -> dict[str, str]:
    """The worked example of the page, name to value."""
    lines = re.findall(r"^    (\w+)\s+= (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert [name for name, _ in lines][:3] == ["secret", "key", "key_id"] and len(lines) == 13
    return dict(lines)


def test_the_worked_example_of_the_page_is_right(example):
    key, prev, chain = keys.derive(example["secret"], "trail"), START, []
    assert (key.hex(), keys.key_id(key)) == (example["key"], example["key_id"])
    for number in (1, 2):
        body, mac = link(key, prev, json.loads(example[f"content_{number}"]))
        assert (body, mac) == (example[f"body_{number}"], example[f"mac_{number}"])
        chain.append(Entry(number, body, mac))
        prev = mac
    assert faults_of_chain(key, "diary", "participant/01-001", chain, (2, prev)) == []


def test_the_recipe_of_the_page_needs_nothing_of_ours(example):
    extracted = hmac.digest(b"epro/1", example["secret"].encode(), "sha256")
    key = hmac.digest(extracted, b"trail\x01", "sha256")
    assert key.hex() == example["key"]
    assert hashlib.sha256(b"epro key id\x00" + key).hexdigest()[:8] == example["key_id"]
    prev = "0" * 64
    for number in (1, 2):
        body = example[f"body_{number}"].encode()
        assert hmac.digest(key, body, "sha256").hex() == example[f"mac_{number}"]
        content = json.loads(body)
        assert (content["prev"], content["seq"], content["key"]) == (prev, number, example["key_id"])
        prev = example[f"mac_{number}"]


@pytest.fixture
def command(environ, monkeypatch):
    """`epro` as an auditor calls it."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    def call(*words: str):
        return CliRunner().invoke(epro, words)

    return call


@contextmanager
def planted(environ, *statements: str):
    """A look at the database as it would be after these statements of its owner; then they are undone."""
    with as_owner(environ, *TABLES, keep=False) as connection:
        for statement in statements:
            assert connection.exec_driver_sql(statement).rowcount > 0, statement
        yield Tx(connection, AFTERWARDS, TESTS)


def plant(environ, *statements: str) -> None:
    """The statements, by the owner, for good."""
    with as_owner(environ, *TABLES) as connection:
        for statement in statements:
            assert connection.exec_driver_sql(statement).rowcount > 0, statement


TABLES = ("events", "responses", "scores")


def faults(kept=None) -> list:
    with look(TESTS) as tx:
        return list(verifying.faults(tx, Participant, kept=kept))


def head_now() -> dict:
    with look(TESTS) as tx:
        return verifying.signed_head(tx, Participant)


def refused(answer, name: str) -> None:
    """Exit 1 and one sentence; neither a stack trace nor a word that all is well."""
    assert answer.exit_code == 1, name
    assert answer.exception is None or isinstance(answer.exception, SystemExit), name
    assert re.fullmatch(r"(?s).*Error: (The kept head is not|head\.json is not)[^\n]+\.\n", answer.stderr), (
        name
    )
    assert "no fault" not in answer.stdout, name


def _everything() -> list:
    tables = [model.__table__ for model in (Participant, Study, Site, ChainHead)]
    with look(TESTS) as tx:
        return [tx.session.execute(sa.select(table).order_by(*table.primary_key)).all() for table in tables]


def _record(tx) -> None:
    trail.record(tx, trail.study_chain(tx, "diary"), "test.done", "test", "1")


def _events(chain: str, study: str = "diary") -> list[Event]:
    with look(TESTS) as tx:
        return tx.all(
            sa.select(Event).where(Event.study_id == study, Event.chain == chain).order_by(Event.seq)
        )


def _at_once(work, hands: int) -> None:
    """The same work by several threads, all starting at one moment. What one of them raises is raised here."""
    start = Barrier(hands)

    def one() -> None:
        start.wait(timeout=30)
        work()

    with ThreadPoolExecutor(hands) as pool:
        for done in [pool.submit(one) for _ in range(hands)]:
            done.result(timeout=60)
