"""The stand-alone verifier over 600 entries: what is done to one line is told as that, not as a thousand faults.

TL-06  One line gone, put in, moved or swapped, a tail cut: a few faults, whom they affect, exit codes as before.
TL-07  Whatever is done to some lines at once, it is found, and what is told of it stays short.
"""

from __future__ import annotations

import hashlib
import json
import random
from datetime import UTC, datetime, timedelta

import pytest

from epro import keys, trail
from epro.trail import merkle, notes
from epro.trail.entries import START, link
from tests.rooms.test_trail_log import verifier

ORIGIN, KEY, CHAIN_KEY = "trail.example/trail", keys.signing_key(bytes(32)), bytes(32)
BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
SIZE, EACH, CHAINS = 600, 50, 23
WORD = notes.verifier_key(ORIGIN, KEY.public_key().public_bytes_raw())


def at(number: int) -> str:
    return trail.instant(BEGIN + timedelta(minutes=number))


def note(leaves: list[bytes]) -> str:
    tree = verifier.Tree()
    for leaf in leaves:
        tree.add(leaf)
    return notes.checkpoint(KEY, ORIGIN, tree.size, tree.root(), at(tree.size))


def written() -> list[str]:
    """An export of 600 entries in 23 chains, sealed twelve times."""
    ends: dict[str, tuple[int, str]] = {}
    leaves: list[bytes] = []
    lines = [{"epro_trail_export": 1, "origin": ORIGIN, "key": WORD, "at": at(SIZE + 1), "study": None}]
    lines[0]["size"] = SIZE
    for number in range(SIZE):
        chain = f"participant/{number * number % CHAINS:02}"
        seq, prev = ends.get(chain, (0, START))
        body, mac = link(CHAIN_KEY, prev, content(chain, seq + 1, number))
        ends[chain] = seq + 1, mac
        leaves.append(merkle.leaf_hash(body.encode()))
        entry = {"study": "diary", "chain": chain, "seq": seq + 1, "mac": mac, "body": body}
        lines.append({"leaf": number, "hash": leaves[-1].hex(), **entry})
        if len(leaves) % EACH == 0:
            lines.append({"checkpoint": note(leaves)})
    lines.append({"end": {"leaves": SIZE, "checkpoints": SIZE // EACH, "unsealed": 0, "waiting": 0}})
    return [json.dumps(line) + "\n" for line in lines]


def content(chain: str, seq: int, number: int) -> dict[str, object]:
    return {"study": "diary", "chain": chain, "seq": seq, "at": at(number), "action": "test.done"} | {
        "id": hashlib.sha256(bytes([number % 256])).hexdigest()[:32],
        "details": {"number": number},
    }


GOOD = written()
KEPT = [json.loads(line)["checkpoint"] for line in GOOD if line.startswith('{"checkpoint"')][3]


def verify(export: list[str], *kept: str):
    checkpoints = [one for text in kept for one in verifier.checkpoints_in(text)]
    return verifier.check(export, [verifier.Key(WORD)], checkpoints)[0]


def line_of(index: int) -> int:
    return next(no for no, line in enumerate(GOOD) if line.startswith(f'{{"leaf": {index},'))


def chain_of(index: int) -> tuple[str, str]:
    told = json.loads(GOOD[line_of(index)])
    return told["study"], told["chain"]


def test_the_log_itself_is_good():
    assert verify(GOOD, KEPT).code == 0


def moved(export: list[str], index: int, behind: int) -> None:
    line = export.pop(line_of(index))
    export.insert(line_of(behind) + (index > behind), line)


def renumbered(export: list[str]) -> None:
    leaves = [no for no, line in enumerate(export) if line.startswith('{"leaf"')]
    for index, no in enumerate(leaves):
        export[no] = json.dumps({**json.loads(export[no]), "leaf": index}) + "\n"
    export[-1] = json.dumps({"end": {**json.loads(export[-1])["end"], "leaves": len(leaves)}}) + "\n"


def forged(export: list[str], index: int, **values: object) -> str:
    return json.dumps({**json.loads(export[line_of(index)]), **values}) + "\n"


def rewritten(export: list[str], index: int) -> str:
    """Other bytes with the hash that belongs to them."""
    body = json.loads(export[line_of(index)])["body"].replace("test.done", "test.gone")
    return forged(export, index, body=body, hash=merkle.leaf_hash(body.encode()).hex())


AT = line_of(233)
DONE = {  # what is done → how it begins, who is affected (by the number of an entry), and at most so many faults
    "one line is gone": (lambda e: e.pop(AT), "Entry 233 is missing.", [233], 3),
    "the line before a checkpoint is gone": (lambda e: e.pop(line_of(249)), "A checkpoint says 250", [249], 3),
    "three lines are gone": (
        lambda e: e.__delitem__(slice(AT, AT + 3)), "Entries 233 to 235 are missing.", [233, 234, 235], 5),
    "two lines that are far apart are gone": (
        lambda e: (e.pop(line_of(400)), e.pop(AT)), "Entry 233 is missing.", [233, 400], 5),
    "a line is gone and all are numbered again": (
        lambda e: (e.pop(AT), renumbered(e)), "A checkpoint says 250 entries where the log holds 249.", [233], 3),
    "two lines are swapped": (
        lambda e: moved(e, 234, 232), "Entry 234 is not in place, but before entry 233.", [234], 1),
    "two are swapped over a checkpoint": (
        lambda e: moved(e, 250, 248), "Entry 250 is not in place, but before entry 249.", [250], 2),
    "a line stands much later": (
        lambda e: moved(e, 233, 430), "Entry 233 is not in place, but behind entry 430.", [233], 4),
    "a line stands much earlier": (
        lambda e: moved(e, 430, 232), "Entry 430 is not in place, but before entry 233.", [430], 6),
    "ten lines change places with ten": (
        lambda e: e.__setitem__(slice(AT - 20, AT), e[AT - 10 : AT] + e[AT - 20 : AT - 10]),
        "Entries 223 to 232 are not in place, but before entry 213.", None, 25),
    "a line stands twice": (lambda e: e.insert(AT, e[AT]), "Entry 233 stands twice: again", [233], 1),
    "a line stands again later": (lambda e: e.insert(AT, e[line_of(130)]), "Entry 130 stands twice", [130], 2),
    "a forged line is put in": (
        lambda e: e.insert(AT + 1, rewritten(e, 233)), "Entry 233 stands twice: again", [233], 1),
    "a forged line is put in before the true one": (
        lambda e: e.insert(AT, rewritten(e, 233)), "Entry 233 stands twice: again", [233], 2),
    "a line of another number is put in": (
        lambda e: e.insert(AT, forged(e, 233, leaf=10**9)),
        "Entry 1000000000 is not in place, but before entry 233.", [233], 1),
    "a line is put in and all are numbered again": (
        lambda e: (e.insert(AT, e[AT]), renumbered(e)), "Entry 234: the chain", None, 3),
    "the tail is cut off, and the end is there": (
        lambda e: e.__delitem__(slice(line_of(520), len(e) - 1)), "Entries 520 to 599 are missing.", [], 2),
    "a line is garbled": (lambda e: e.__setitem__(AT, "{nonsense\n"), "Line 239 is not of the form", [233], 4),
    "bytes and hash are others": (
        lambda e: e.__setitem__(AT, rewritten(e, 233)), "The checkpoint of size 250 does not fit", None, 1),
}  # fmt: skip


@pytest.mark.parametrize("name", DONE)
def test_what_is_done_to_a_line_is_told_as_that(name):
    attack, first, affected, most = DONE[name]
    export = list(GOOD)
    attack(export)
    found = verify(export)
    assert found.code == 2 and found.faults[0].startswith(first), found.faults
    assert found.count <= most, found.faults
    if affected is not None:
        assert found.affected == {chain_of(index) for index in affected}, found.faults
    assert verify(export, KEPT).code == 2


def test_checkpoints_that_do_not_fit_are_one_fault():
    found = verify([line for no, line in enumerate(GOOD) if no != AT])
    (told,) = [fault for fault in found.faults if "checkpoint" in fault]
    assert told.startswith("The checkpoint of size 250 does not fit, for what is missing before it")
    assert told.endswith("The same holds for 7 more, up to size 600.")


def test_a_cut_tail_without_the_end_cannot_be_said():
    found = verify(GOOD[: line_of(520)], KEPT)
    assert (found.code, found.faults) == (3, [])


def test_many_kept_checkpoints_that_saw_more_are_one_fault():
    kept = [json.loads(line)["checkpoint"] for line in GOOD if line.startswith('{"checkpoint"')]
    found = verify([*GOOD[: line_of(320)], GOOD[-1]], *kept)
    told = [fault for fault in found.faults if "Entries are gone" in fault]
    assert len(told) == 1 and told[0].endswith("The same holds for 5 more, up to size 600."), found.faults


def test_another_key_under_every_checkpoint_is_one_fault():
    stranger = notes.verifier_key(ORIGIN, keys.signing_key(b"1" * 32).public_key().public_bytes_raw())
    found = verifier.check(GOOD, [verifier.Key(stranger)])[0]
    assert found.code == 2 and found.count == 2, found.faults  # every checkpoint's, and the last one's


@pytest.mark.parametrize("held", [verifier.HELD, 5])
def test_whatever_is_done_to_lines_is_found_and_stays_short(held, monkeypatch):
    monkeypatch.setattr(verifier, "HELD", held)
    monkeypatch.setattr(
        verifier.Checkpoint, "is_by", lambda self, keys: True
    )  # slow, and not what is asked here
    for seed in range(60):
        rng, export = random.Random(seed), list(GOOD)
        for _ in range(rng.randint(1, 3)):
            one, other = (line_of(rng.randrange(5, SIZE - 5)) for _ in range(2))
            what = rng.choice(["gone", "moved", "twice", "swapped"])
            if what == "swapped":
                export[one], export[other] = export[other], export[one]
            line = export.pop(one) if what in ("gone", "moved") else export[one]
            if what in ("moved", "twice"):
                export.insert(other, line)
        if export != GOOD:
            found = verify(export)
            assert found.code == 2 and found.count <= 30, (seed, found.count, found.faults)
            assert all(fault.endswith(".") for fault in found.faults)


def test_numbers_that_are_none_are_told():
    for wrong in (True, -1, "233", 233.0, None):
        export = list(GOOD)
        export[AT] = forged(export, 233, leaf=wrong)
        assert verify(export).faults[0] == "Line 239 is not of the form of an export."


def test_what_a_key_is_is_said(capsys, tmp_path):
    (tmp_path / "trail").write_text("".join(GOOD))
    assert verifier.main(["check", str(tmp_path / "trail"), "--key", "abc"]) == 3
    told = capsys.readouterr().out
    assert "origin+hash+base64" in told and "or a file that holds it; abc is neither." in told
    assert verifier.main(["check", str(tmp_path / "trail"), "--key", WORD]) == 0
