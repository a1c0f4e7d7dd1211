"""The log over the trail, its export, and the stand-alone verifier: twenty attacks, and the vectors of the standards.

TL-01  Roots and proofs are those of RFC 9162, for every size; what is stored of the tree is enough for all of them.
TL-02  Sealing goes on where it stopped, gives leaves without gaps, and keeps each chain's order; the file catches up.
TL-03  The verifier's own Ed25519 is that of RFC 8032.
TL-04  Each attack, on the database as its owner or on the export, is found given an earlier checkpoint.
TL-05  A proof for a receipt holds, and fits nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from epro import canonical, clock, keys, trail
from epro.cli import epro
from epro.cli.trail import VERIFIER
from epro.responses import integrity, proofs, receipts
from epro.trail import checkpoint_file, exporting, merkle, notes, proving, sealing
from epro.trail.entries import START, link
from epro.trail.models import Checkpoint, Event, Leaf, WaitingEvent
from epro.tx import Tx, begin, look, system
from tests.support.owner import as_owner

TESTS = system("tests")
PAGE = Path(__file__).parents[2] / "docs" / "trail.md"
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)

spec = importlib.util.spec_from_file_location("verify_trail", VERIFIER)
verifier = importlib.util.module_from_spec(spec)
spec.loader.exec_module(verifier)


# TL-01: the tree.

LEAVES = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")]  # fmt: skip
ROOTS = {  # of the first n of them, as published with Certificate Transparency
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}
PATHS = {  # (leaf, size) → audit path, as published with it
    (0, 8): ["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
             "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
             "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"],
    (5, 8): ["bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
             "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
             "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
}  # fmt: skip


def hashes_of(leaves: list[bytes]) -> merkle.Hashes:
    return lambda height, first: merkle.fold(leaves[first : first + (1 << height)])


def test_the_published_vectors():
    hashes = hashes_of([merkle.leaf_hash(data) for data in LEAVES])
    assert {size: merkle.root(hashes, size).hex() for size in ROOTS} == ROOTS
    assert merkle.root(hashes, 0).hex() == hashlib.sha256(b"").hexdigest()
    for (leaf, size), path in PATHS.items():
        assert [step.hex() for step in merkle.inclusion(hashes, leaf, size)] == path


def test_proofs_of_every_size_hold_and_a_changed_one_does_not():
    leaves = [merkle.leaf_hash(bytes([i])) for i in range(34)]
    hashes, tree, roots = hashes_of(leaves), verifier.Tree(), {0: merkle.EMPTY}
    for leaf in leaves:
        tree.add(leaf)
        roots[tree.size] = tree.root()
    for size in range(1, 34):
        assert merkle.root(hashes, size) == roots[size]
        for index in range(size):
            path = merkle.inclusion(hashes, index, size)
            assert verifier.root_by_path(leaves[index], index, size, path) == roots[size]
            assert verifier.root_by_path(leaves[index], index, size, [*path, bytes(32)]) is None
            assert verifier.root_by_path(leaves[33], index, size, path) != roots[size]
        for first in range(1, size + 1):
            path = merkle.consistency(hashes, first, size)
            assert verifier.grew(first, size, roots[first], roots[size], path)
            assert not verifier.grew(first, size, bytes(32), roots[size], path)
            assert not verifier.grew(first, size, roots[first], roots[size + 1], path)


# TL-03: signatures.

RFC_8032 = [  # public key, message, signature: 7.1, tests 1 to 3 and SHA(abc)
    ("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
    ("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
    ("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"),
    ("ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
     "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
     "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"),
]  # fmt: skip


def test_the_verifiers_signatures_are_those_of_the_standard():
    for public, message, signature in (tuple(map(bytes.fromhex, row)) for row in RFC_8032):
        assert verifier.ed25519_fits(public, message, signature)
        assert not verifier.ed25519_fits(public, message + b"x", signature)
        for place in (0, 31, 32, 63):
            wrong = bytearray(signature)
            wrong[place] ^= 1
            assert not verifier.ed25519_fits(public, message, bytes(wrong))
        beyond = (int.from_bytes(signature[32:], "little") + verifier.L).to_bytes(32, "little")
        assert not verifier.ed25519_fits(public, message, signature[:32] + beyond)
    assert not verifier.ed25519_fits(b"", b"", b"")


def test_a_checkpoint_has_the_form_of_a_signed_note():
    key = keys.signing_key(bytes(32))
    note = notes.checkpoint(key, "trial.example/trail", 5, bytes(32), "2026-03-02T02:00:00.000000Z")
    assert note.startswith(f"trial.example/trail\n5\n{base64.b64encode(bytes(32)).decode()}\nat 2026-03-02T")
    assert re.search(r"\n\n— trial\.example/trail \S+\n$", note)
    word = notes.verifier_key("trial.example/trail", key.public_key().public_bytes_raw())
    mailed = "Good day,\n> " + note.replace("\n", "\n> ") + "\nKind regards"
    (read,) = verifier.checkpoints_in(mailed)
    assert read.is_by([verifier.Key(word)]) and (read.size, read.root) == (5, bytes(32))
    assert not read.is_by([verifier.Key(notes.verifier_key("other", key.public_key().public_bytes_raw()))])


# TL-02: sealing.


@pytest.fixture
def history(cast):
    """Two participants answered on two evenings; the log was sealed after each. Returns the first checkpoint."""
    kept = []
    phones = None
    for evening in ("2026-03-02T20:00", "2026-03-03T20:00"):
        with cast.on(evening) as now:
            phones = phones or [cast.phone(), cast.phone()]
            for phone in phones:
                phone.refresh()
                phone.answer(phone.open_at(now)[0], {"worst_fatigue": 4}, now, now)
                assert phone.upload(now)[0]["outcome"] == "stored"
            sealing.seal()
        kept.append(newest())
    return kept


def test_every_event_has_one_leaf_and_nothing_waits(history, app):
    with look(TESTS) as tx:
        leaves = tx.all(sa.select(Leaf).order_by(Leaf.leaf))
        events = {event.id: event for event in tx.all(sa.select(Event))}
        assert [leaf.leaf for leaf in leaves] == list(range(len(events)))
        assert {leaf.event_id for leaf in leaves} == set(events)
        assert tx.all(sa.select(WaitingEvent)) == []
        seen: dict[tuple[str, str], int] = {}
        for event in (events[leaf.event_id] for leaf in leaves):
            assert event.seq == seen.get((event.study_id, event.chain), 0) + 1
            seen[(event.study_id, event.chain)] = event.seq
        assert sealing.hashes(tx)(0, 3) == merkle.leaf_hash(events[leaves[3].event_id].body.encode())
    assert sealing.seal() == 0 and newest() == history[1]


def test_sealing_in_small_portions_gives_the_same_tree_and_stored_nodes_are_enough(app, monkeypatch):
    monkeypatch.setattr(sealing, "BATCH", 37)
    tree = verifier.Tree()
    for portion in (1, 250, 36, 74, 300):
        with begin(TESTS) as tx:
            for number in range(portion):
                trail.record(tx, trail.study_chain(tx, "diary"), "test.done", "test", number)
        sealing.seal()
    with look(TESTS) as tx:
        for body in tx.all(sa.select(Event.body).join(Leaf, Leaf.event_id == Event.id).order_by(Leaf.leaf)):
            tree.add(merkle.leaf_hash(body.encode()))
        assert tree.size > 661 and verifier.Checkpoint(sealing.last(tx).note).root == tree.root()
        hashes = sealing.hashes(tx)
        path = merkle.inclusion(hashes, 400, tree.size)
        assert verifier.root_by_path(hashes(0, 400), 400, tree.size, path) == tree.root()


@on_sqlite
def test_what_was_given_leaves_and_not_signed_is_signed_the_next_time(history, app, monkeypatch):
    with begin(TESTS) as tx:
        trail.record(tx, trail.study_chain(tx, "diary"), "test.done", "test", 1)
    monkeypatch.setattr(sealing, "_sign", lambda tx: None)
    assert sealing.seal() == 1 and newest() == history[1]
    monkeypatch.undo()
    assert sealing.seal() == 0 and newest() != history[1]
    assert verify(lines(), history[0]).code == 0


@on_sqlite
def test_the_file_catches_up_and_is_never_written_twice(history, app, tmp_path, caplog):
    path = str(tmp_path / "checkpoints")
    assert checkpoint_file.write_out(path) == 2 and checkpoint_file.write_out(path) == 0
    assert checkpoint_file.write_out(None) == 0
    with begin(TESTS) as tx:
        trail.record(tx, trail.study_chain(tx, "diary"), "test.done", "test", 1)
    sealing.seal()
    assert checkpoint_file.write_out(path) == 1
    text = Path(path).read_text()
    assert [one.signed.decode() for one in verifier.checkpoints_in(text)][:2] == [
        note.partition("\n\n")[0] + "\n" for note in history
    ]
    monkey = text.replace("\n" + str(verifier.checkpoints_in(text)[-1].size) + "\n", "\n99999999\n")
    Path(path).write_text(monkey)
    assert checkpoint_file.write_out(path) == 0
    assert "shorter than the file" in caplog.text


# TL-04: attacks.


def lines(study: str | None = None) -> list[str]:
    with look(TESTS) as tx:
        return [line + "\n" for line in exporting.lines(tx, study, integrity.digests)]


def newest() -> str:
    with look(TESTS) as tx:
        return sealing.last(tx).note


def key_word() -> str:
    with look(TESTS) as tx:
        return sealing.public_key(tx)


def verify(export, *kept: str, key: str | None = None, **more):
    found, _ = verifier.check(
        export,
        [verifier.Key(key or key_word())],
        [one for note in kept for one in verifier.checkpoints_in(note)],
        **more,
    )
    return found


@on_sqlite
def test_an_honest_export_is_good(history, app):
    export = lines()
    assert verify(export, *history).faults == []
    assert verify(export, *history).code == 0
    assert verify(export, history[0], chain_key=trail.key(), all_signatures=True).code == 0
    root = verifier.Checkpoint(history[0])
    assert verify(export, roots=[(root.size, root.root)]).code == 0
    assert verify(export, chain_key=b"another").code == 2
    of_study = lines("diary")
    assert verify(of_study, *history).code == 0
    assert '"study":"-"' not in "".join(of_study)
    with begin(TESTS) as tx:
        trail.record(tx, trail.study_chain(tx, "diary"), "test.done", "test", 1)
    assert verify(lines(), *history, tolerance=verifier.timedelta(days=99999)).code == 0


PLACE = "study_id = 'diary' AND chain = '{chain}'"
ONE = "SELECT id FROM events WHERE action = 'response.stored' ORDER BY at, id LIMIT 1"
TABLES = (
    "events",
    "responses",
    "scores",
    "trail_leaves",
    "trail_nodes",
    "checkpoints",
    "published_protocols",
)


class Owner:
    """Somebody with the owner's key to the database, and the trail's own key too where it says so."""

    def __init__(self, connection, chains):
        self.connection, self.ada, self.ben = connection, *chains

    def do(self, statement: str) -> None:
        made = statement.format(ada=f"'{self.ada}'", ben=f"'{self.ben}'", one=ONE)
        assert self.connection.exec_driver_sql(made).rowcount > 0, made

    def rows(self, chain: str) -> list:
        query = sa.select(Event).where(Event.chain == chain, Event.study_id == "diary").order_by(Event.seq)
        return self.connection.execute(query).all()

    def rechain(self, chain: str, changed, *, reseal: bool = False) -> None:
        """Write a chain anew with macs that fit, `changed` applied to each entry's content; leaves with it if asked."""
        prev = START
        for row in self.rows(chain):
            content = {k: v for k, v in json.loads(row.body).items() if k not in ("v", "prev", "key")}
            body, prev = link(trail.key(), prev, changed(content))
            self.connection.execute(sa.update(Event).where(Event.id == row.id).values(body=body, mac=prev))
            if reseal:
                leaf = sa.update(Leaf).where(Leaf.event_id == row.id)
                self.connection.execute(leaf.values(hash=merkle.leaf_hash(body.encode())))

    def reseal(self, key=None) -> None:
        """All checkpoints anew over the leaves that are there now, with the true key or another."""
        leaves = list(self.connection.scalars(sa.select(Leaf.hash).order_by(Leaf.leaf)))
        for row in self.connection.execute(sa.select(Checkpoint)).all():
            if row.size > len(leaves):
                self.connection.execute(sa.delete(Checkpoint).where(Checkpoint.size == row.size))
                continue
            root = merkle.root(hashes_of(leaves), row.size)
            note = notes.checkpoint(
                key or sealing.signer(), row.origin, row.size, root, trail.instant(row.at)
            )
            self.connection.execute(
                sa.update(Checkpoint).where(Checkpoint.size == row.size).values(note=note)
            )


def changed_reason(content):
    return {**content, "reason": "as it suits us"}


def remove_event_and_leaf(owner) -> None:
    """The last entry of a participant, with its leaf; the leaves behind it move up, and all is signed again."""
    (number,) = owner.connection.execute(
        sa.select(Leaf.leaf).join(Event, Event.id == Leaf.event_id).where(Event.chain == owner.ada)
        .order_by(Leaf.leaf.desc()).limit(1)).one()  # fmt: skip
    owner.do(f"DELETE FROM events WHERE id = (SELECT event_id FROM trail_leaves WHERE leaf = {number})")
    owner.do(f"DELETE FROM trail_leaves WHERE leaf = {number}")
    last = owner.connection.scalar(sa.select(sa.func.max(Leaf.leaf)))
    for leaf in range(number + 1, last + 1):
        owner.do(f"UPDATE trail_leaves SET leaf = {leaf - 1} WHERE leaf = {leaf}")
    size = owner.connection.scalar(sa.select(sa.func.max(Checkpoint.size)))
    owner.do(f"UPDATE checkpoints SET size = {size - 1} WHERE size = {size}")
    owner.reseal()


def swap_subjects(owner) -> None:
    swapped = {owner.ada: owner.ben, owner.ben: owner.ada}
    rows = owner.rows(owner.ada) + owner.rows(owner.ben)
    for row in rows:
        owner.connection.execute(
            sa.update(Event).where(Event.id == row.id).values(chain=f"x{row.chain}", seq=-row.seq))  # fmt: skip
    for row in rows:
        there = swapped[row.chain]
        owner.connection.execute(sa.update(Event).where(Event.id == row.id).values(
            chain=there, seq=row.seq, subject_id=there.partition("/")[2]))  # fmt: skip


def forge_in_the_middle(owner) -> None:
    """An entry with a mac that fits, dated into the past, and no leaf: the trigger was out of the way."""
    row = owner.rows(owner.ada)[-1]
    content = {k: v for k, v in json.loads(row.body).items() if k not in ("v", "prev", "key")}
    content |= {
        "seq": row.seq + 1,
        "id": "6f9d7c1e-3f0a-4c6e-9a51-0f6b1c2d3e4f",
        "at": "2026-03-02T12:00:00.000000Z",
    }
    body, mac = link(trail.key(), row.mac, content)
    values = {column.name: getattr(row, column.name) for column in Event.__table__.columns}
    values |= {"seq": row.seq + 1, "id": UUID(content["id"]), "body": body, "mac": mac}
    owner.connection.execute(sa.insert(Event), [values])


ATTACKS = {  # on the database, as its owner with the triggers off
    "an answer is changed": ["UPDATE responses SET body = replace(body, '4', '7')"],
    "an answer and its digest are changed": ["UPDATE responses SET body = 'x', digest = 'y'"],
    "a response is removed": ["DELETE FROM scores", "DELETE FROM responses"],
    "the bytes of an entry are changed": ["UPDATE events SET body = replace(body, '\"reason\":null', '\"reason\":\"\"') WHERE id = ({one})"],  # noqa: E501
    "only the copy of the actor is changed": ["UPDATE events SET actor = 'staff:somebody' WHERE id = ({one})"],
    "only the copy of the instant is changed": ["UPDATE events SET at = '2020-01-01 00:00:00' WHERE id = ({one})"],
    "an entry is removed": ["DELETE FROM events WHERE id = ({one})"],
    "the last entries of a participant are removed": ["DELETE FROM events WHERE chain = {ada} AND seq > 4"],
    "a whole participant is removed": ["DELETE FROM events WHERE chain = {ada}"],
    "an entry and its leaf are removed": ["DELETE FROM trail_leaves WHERE event_id = ({one})", "DELETE FROM events WHERE id = ({one})"],  # noqa: E501
    "two participants' histories are swapped": swap_subjects,
    "two leaves are swapped": [
        "UPDATE trail_leaves SET leaf = -1 WHERE leaf = 3", "UPDATE trail_leaves SET leaf = 3 WHERE leaf = 4",
        "UPDATE trail_leaves SET leaf = 4 WHERE leaf = -1"],
    "an entry is forged and dated back": forge_in_the_middle,
    "a chain is written anew with the trail's key": lambda owner: owner.rechain(owner.ada, changed_reason),
    "a chain and its leaves are written anew": lambda owner: owner.rechain(owner.ada, changed_reason, reseal=True),
    "and sealed anew with the true key": lambda owner: (
        owner.rechain(owner.ada, changed_reason, reseal=True), owner.reseal()),
    "and sealed anew with another key": lambda owner: (
        owner.rechain(owner.ada, changed_reason, reseal=True), owner.reseal(keys.signing_key(bytes(32)))),
    "the end of a participant is cut off and all is signed again": remove_event_and_leaf,
    "all is signed with another key": lambda owner: owner.reseal(keys.signing_key(bytes(32))),
    "the database is rolled back to yesterday": [
        "DELETE FROM checkpoints WHERE size = (SELECT max(size) FROM checkpoints)",
        "DELETE FROM events WHERE id IN (SELECT event_id FROM trail_leaves WHERE leaf >= (SELECT max(size) FROM checkpoints))",  # noqa: E501
        "DELETE FROM trail_leaves WHERE leaf >= (SELECT max(size) FROM checkpoints)"],
    "checkpoints are removed and the log begins anew": [
        "DELETE FROM checkpoints", "DELETE FROM trail_nodes WHERE node >= 0 OR node < 0", "DELETE FROM trail_leaves"],
    "two checkpoints change places in time": [
        "UPDATE checkpoints SET note = (SELECT note FROM checkpoints ORDER BY size LIMIT 1)"],
}  # fmt: skip


def test_what_the_owner_of_the_database_does_is_found(history, environ, app):
    chains = chains_of_two()
    for name, attack in ATTACKS.items():
        with as_owner(environ, *TABLES, keep=False) as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            if name.startswith("checkpoints are removed") and not has_nodes(connection):
                attack = [attack[0], attack[2]]
            owner = Owner(connection, chains)
            attack(owner) if callable(attack) else [owner.do(statement) for statement in attack]
            found = verify(export_by(connection), *history)
            connection.rollback()
        assert found.code == 2, name
        assert found.faults and all(fault.endswith(".") for fault in found.faults), name
    assert verify(lines(), *history).code == 0


def has_nodes(connection) -> bool:
    return bool(connection.scalar(sa.text("SELECT count(*) FROM trail_nodes")))


def export_by(connection) -> list[str]:
    """The export of what the owner's own transaction sees, as our code writes it."""
    tx = Tx(connection, clock.now(), TESTS)
    return [line + "\n" for line in exporting.lines(tx, None, integrity.digests)]


def chains_of_two() -> list[str]:
    with look(TESTS) as tx:
        query = sa.select(Event.chain).where(Event.action == "response.stored", Event.study_id == "diary")
        return sorted(set(tx.all(query)))


def of_kind(export: list[str], kind: str) -> list[int]:
    return [number for number, line in enumerate(export) if line.startswith(f'{{"{kind}"')]


def change(export, number, **values):
    export[number] = json.dumps({**json.loads(export[number]), **values}) + "\n"


def drop(export, *numbers):
    for number in sorted(numbers, reverse=True):
        del export[number]


def renumbered(export):
    for index, number in enumerate(of_kind(export, "leaf")):
        change(export, number, leaf=index)
    end = json.loads(export[-1])["end"]
    counts = {"leaves": len(of_kind(export, "leaf")), "checkpoints": len(of_kind(export, "checkpoint"))}
    change(export, len(export) - 1, end={**end, **counts})


def hide(export):
    """An entry is passed off as one of another study."""
    number = of_kind(export, "leaf")[-3]
    told = json.loads(export[number])
    export[number] = json.dumps({"leaf": told["leaf"], "hash": told["hash"]}) + "\n"


def without_what_is_stored(export):
    """So that nobody sees that the answers were changed."""
    for number in of_kind(export, "leaf"):
        told = json.loads(export[number])
        told.pop("stored", None)
        export[number] = json.dumps(told) + "\n"


ON_THE_EXPORT = {  # what is done to the file, and the exit that it must have
    "a body": (lambda e: change(e, 5, body=json.loads(e[6])["body"]), 2),
    "a body and its hash": (
        lambda e: change(e, 5, body="{}", hash=merkle.leaf_hash(b"{}").hex()), 2),
    "a line is removed": (lambda e: drop(e, 5), 2),
    "a line is removed and all are numbered again": (lambda e: (drop(e, 5), renumbered(e)), 2),
    "a line stands twice": (lambda e: (e.insert(5, e[5]), renumbered(e)), 2),
    "two lines are swapped": (lambda e: (e.insert(5, e.pop(6)), renumbered(e)), 2),
    "an entry is hidden": (hide, 2),
    "the mac of an entry is changed": (lambda e: change(e, 5, mac="0" * 64), 2),
    "the file is cut off": (lambda e: drop(e, *range(len(e) - 4, len(e))), 3),
    "the newest entries are left out": (lambda e: (drop(e, *range(of_kind(e, "checkpoint")[0] + 1, len(e) - 1)),
                                                   renumbered(e)), 2),
    "only the last line is cut off": (lambda e: e.pop(), 3),
    "a line breaks off": (lambda e: (e.pop(), e.append(e.pop()[:20])), 3),
    "what is stored now is left out": (without_what_is_stored, 2),
    "the checkpoints between are left out": (lambda e: (drop(e, of_kind(e, "checkpoint")[0]), renumbered(e)), 2),
    "a name stands twice in a line": (
        lambda e: e.insert(5, '{"body":"{}",' + e.pop(5)[1:]), 2),
    "its beginning says another length": (lambda e: change(e, 0, size=10**9), 2),
    "its beginning says no hour": (lambda e: change(e, 0, at=None), 2),
    "its end is no object": (lambda e: change(e, len(e) - 1, end="all is well"), 2),
    "a line is nested without end": (lambda e: e.insert(5, '{"leaf":' + "[" * 100_000 + "\n"), 2),
    "something follows the end": (lambda e: e.append('{"leaf":0}\n'), 2),
    "the file is something else": (lambda e: (e.clear(), e.append("{}\n")), 2),
}  # fmt: skip


@on_sqlite
def test_what_is_done_to_an_export_is_found(history, app):
    good = lines()
    for name, (attack, code) in ON_THE_EXPORT.items():
        export = list(good)
        attack(export)
        assert verify(export, *history).code == code, (name, verify(export, *history).faults)


@on_sqlite
def test_what_was_kept_says_when_an_entry_was_not_there_yet(history, cast, app):
    """With the true keys: an entry that is put in a month later says that it is of the first evening."""
    with cast.on("2026-03-02T20:30"), begin(TESTS) as tx:
        trail.record(tx, trail.study_chain(tx, "diary"), "test.done", "test", "dated back")
    with cast.on("2026-04-03T20:00"):
        sealing.seal()
    export = lines()
    drop(export, *of_kind(export, "checkpoint")[:-1])
    renumbered(export)
    assert verify(export).code == 0, "without what was kept nobody can know"
    found = verify(export, *history)
    assert found.code == 2 and any("dated back" in fault for fault in found.faults)


@on_sqlite
def test_what_was_kept_says_when_an_entry_was_there_already(history, cast, app):
    with cast.on("2026-03-05T20:00"), begin(TESTS) as tx:
        trail.record(tx, trail.study_chain(tx, "diary"), "test.done", "test", "dated forward")
    with cast.on("2026-03-04T20:00"):
        sealing.seal()
    kept = newest()
    with cast.on("2026-03-06T20:00"):
        with begin(TESTS) as tx:
            trail.record(tx, trail.study_chain(tx, "diary"), "test.done", "test", "one more")
        sealing.seal()
    export = lines()
    drop(export, of_kind(export, "checkpoint")[-2])
    renumbered(export)
    assert any("dated forward" in fault for fault in verify(export, kept).faults)


@on_sqlite
def test_entries_that_nobody_seals_prove_nothing(history, cast, app):
    """The sealer was stopped: what waits for longer than sealing takes may be anything."""
    with cast.on("2026-03-04T20:00"):
        with begin(TESTS) as tx:
            trail.record(tx, trail.study_chain(tx, "diary"), "test.done", "test", 1)
        assert verify(lines(), *history).code == 0
    with cast.on("2026-03-05T20:00"):
        found = verify(lines(), *history)
        assert found.code == 3 and "longer than it takes" in found.open[0] and len(found.open) == 1
    with cast.on("2026-03-03T20:10"):
        found = verify(lines(), *history)
        assert found.code == 2 and "after the export was made" in found.faults[0]


def one_more_sealed(cast, hour) -> str:
    with cast.on(hour):
        with begin(TESTS) as tx:
            trail.record(tx, trail.study_chain(tx, "diary"), "test.done", "test", hour)
        sealing.seal()
    return newest()


@on_sqlite
def test_a_checkpoint_from_after_the_export_is_no_proof_of_a_cut(history, cast, app):
    with cast.on("2026-03-05T20:00"):
        export = lines()
    later = one_more_sealed(cast, "2026-03-05T20:01")
    found = verify(export, *history, later)
    assert (found.code, found.faults) == (3, []) and len(found.open) == 1
    for words in ("sealed at 2026-03-05 12:01", "until 2026-03-05 12:00", "nothing after that is judged"):
        assert words in found.open[0]
    assert verify(export, *history).code == 0
    with cast.on("2026-03-05T20:02"):
        assert verify(lines(), *history, later).code == 0


@on_sqlite
def test_a_cut_end_is_found_whatever_hour_the_export_claims(history, cast, app):
    with cast.on("2026-03-05T19:00"):
        export = lines()
    kept = one_more_sealed(cast, "2026-03-05T20:00")

    def claiming(hour):
        forged = list(export)
        change(forged, 0, at=f"2026-03-{hour}:00.000000Z")
        return verify(forged, kept)

    for hour in ("05T12:00", "05T12:01"):  # made when or after the kept one was sealed
        assert claiming(hour).code == 2 and "Entries are gone" in claiming(hour).faults[0]
    found = claiming("05T11:59")
    assert found.code == 3 and "claims to reach until 2026-03-05 11:59" in found.open[0]
    found = claiming("02T11:59")  # before what it holds itself
    assert found.code == 2 and "its hour is not the true one" in found.faults[0]
    note = verifier.Checkpoint(kept)
    found = verify(export, roots=[(note.size, note.root)])
    assert found.code == 2 and "written down after" in found.faults[0]


@on_sqlite
def test_two_histories_to_two_readers(history, app):
    size = verifier.Checkpoint(history[1]).size
    origin = verifier.Checkpoint(history[1]).origin
    other = notes.checkpoint(sealing.signer(), origin, size, bytes(32), "2026-03-03T13:00:00.000000Z")
    found = verify(lines(), history[1], other)
    assert found.code == 2 and "Split view" in found.faults[0]


@on_sqlite
def test_keys_and_what_cannot_be_said(history, app):
    export = lines()
    stranger = keys.signing_key(bytes(32))
    origin = verifier.Checkpoint(history[0]).origin
    other = notes.verifier_key(origin, stranger.public_key().public_bytes_raw())
    assert verify(export, key=other).code == 2
    found, _ = verifier.check(export, [])
    assert found.code == 3 and "No key was given" in found.open[0]
    forged = notes.checkpoint(stranger, origin, 3, bytes(32), "2026-03-03T13:00:00.000000Z")
    assert verify(export, forged).code == 3


@on_sqlite
def test_the_command_as_an_inspector_runs_it(history, app, environ, monkeypatch, tmp_path):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    run = CliRunner().invoke
    file, kept, alone = tmp_path / "trail.ndjson", tmp_path / "kept", tmp_path / "alone.py"
    kept.write_text(history[0])
    alone.write_text(run(epro, ["trail", "verifier"]).output)
    assert run(epro, ["trail", "export", str(file)]).exit_code == 0
    key = run(epro, ["trail", "key"]).output.strip()
    assert run(epro, ["trail", "checkpoint"]).output == history[1]
    assert run(epro, ["trail", "seal"]).output.endswith("entries sealed\n")

    def by_itself(*words):
        command = [sys.executable, "-I", str(alone), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    good = by_itself("check", str(file), "--key", key, "--checkpoint", str(kept))
    assert good.returncode == 0 and "all is as it was signed" in good.stdout, good.stdout + good.stderr
    text = file.read_text()
    file.write_text(text.replace("participant.enrolled", "participant.enrolled!", 1))
    bad = by_itself("check", str(file), "--key", key, "--checkpoint", str(kept))
    assert (
        bad.returncode == 2 and "changed after it was sealed" in bad.stdout and "First: Entry" in bad.stdout
    )
    assert by_itself("check", "no-such-file", "--key", key).returncode == 3


# TL-05: proofs.


def test_a_proof_for_a_receipt_holds_and_fits_nothing_else(history, cast, app):
    with cast.on("2026-03-04T20:00") as now:
        phone = cast.phone()
        phone.answer(phone.open_at(now)[0], {"worst_fatigue": 4}, now, now)
        (receipt,) = phone.upload(now)
        path = f"/v1/phone/responses/{receipt['id']}/proof"
        early = phone.call("GET", path)
        assert early.status == 404 and early.body["code"] == "not_sealed_yet"
        sealing.seal()
        proof = phone.speak("GET", path)
        assert (
            phone.call("GET", "/v1/phone/responses/6f9d7c1e-3f0a-4c6e-9a51-0f6b1c2d3e4f/proof").status == 404
        )
    key = [verifier.Key(key_word())]
    assert proof["receipt"]["signature"] == receipt["signature"]
    ours = [receipts.public_key()["public_key"]]
    assert verifier.check_proof(proof, key, verifier.checkpoints_in(newest()), ours).code == 0
    assert verifier.check_proof(proof, key).code == 3, "the key that comes with a receipt proves nothing"
    for wrong in (
        {"leaf": proof["leaf"] - 1},
        {"body": proof["body"].replace("stored", "stolen")},
        {"path": proof["path"][1:]},
        {"checkpoint": history[0]},
        {"receipt": {**proof["receipt"], "digest": "0" * 64}},
        {"receipt": signed_by_a_stranger(proof["receipt"])},
        {"receipt": signed_by_a_stranger({**proof["receipt"], "received_at": "2026-03-01T20:00:00.000000Z"})},
    ):
        assert verifier.check_proof({**proof, **wrong}, key, (), ours).code == 2, wrong
    other = signed_by_a_stranger({**proof["receipt"], "id": "6f9d7c1e-3f0a-4c6e-9a51-0f6b1c2d3e4f"})
    told = verifier.check_proof({**proof, "receipt": other}, key, (), [other["key"]])
    assert told.faults == ["The entry tells of another response than the receipt."]
    with look(TESTS) as tx:
        event = proving.by_text(tx, receipt["id"])
        assert proofs.by_text(tx, str(event.id))["body"] == proof["body"]


def signed_by_a_stranger(receipt):
    stranger = keys.signing_key(bytes(32))
    told = {name: receipt[name] for name in ("digest", "id", "received_at")}
    signature = base64.b64encode(stranger.sign(canonical.encode(told))).decode()
    public = base64.b64encode(stranger.public_key().public_bytes_raw()).decode()
    return {**told, "signature": signature, "key": public}


def test_the_page_tells_of_the_same_tree():
    """The example in the documentation is worked out again."""
    page = PAGE.read_text(encoding="utf-8")
    leaves = [merkle.leaf_hash(re.search(rf"body_{n}    = (.+)", page)[1].encode()) for n in (1, 2)]
    assert f"leaf_1    = {leaves[0].hex()}" in page and f"leaf_2    = {leaves[1].hex()}" in page
    assert f"root_2    = {merkle.node_hash(*leaves).hex()}" in page
    key = keys.signing_key(hashlib.sha256(b"an example, and nobody's seed").digest())
    note = notes.checkpoint(
        key, "trial.example/trail", 2, merkle.node_hash(*leaves), "2026-03-02T02:06:00.000000Z"
    )
    assert "".join(f"    {line}\n" if line else "\n" for line in note.split("\n")[:-1]) in page
    assert notes.verifier_key("trial.example/trail", key.public_key().public_bytes_raw()) in page
