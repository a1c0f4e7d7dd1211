#!/usr/bin/env python3
"""Check an exported trail without trusting those who run it. Needs Python 3.9 or later and nothing else.

    verify_trail.py check EXPORT --key KEY [--checkpoint FILE]... [--root SIZE:ROOT]...
    verify_trail.py proof FILE --key KEY [--checkpoint FILE]... --receipt-key KEY

KEY is the public key as one word (`origin+hash+base64`) or a file with it; have it from somewhere else than the export.
A checkpoint file holds one or many signed checkpoints that you kept earlier (a mail, the file of checkpoints, a copy).
SIZE:ROOT is one that you only wrote down.

Ends with 0: all is as it was signed. 2: it was tampered with. 3: it cannot be said, something is missing.
The forms of files, trees and signatures are written down in docs/trail.md, so that you can write your own check.
"""

import argparse
import base64
import hashlib
import hmac
import json
import re
import sys
from datetime import datetime, timedelta

GOOD, TAMPERED, INCOMPLETE = 0, 2, 3
ZEROS = "0" * 64
SHOWN = 50  # faults that are printed
NAMED = 1000  # participants that are named
SIGNATURES = 2000  # that are checked of those within an export, evenly spread, unless all are asked for
LONGEST = 1 << 24  # characters of a line
HELD = 4096  # hashes that are held for the tree while an entry before them has not come
TELLING = {"response.stored", "response.amended", "response.held", "response.conflict"}  # of a record stored


# Ed25519, checking only (RFC 8032, 5.1.7). Slow and plain: a few milliseconds a signature.

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


def ed25519_fits(public, message, signature):
    """Whether this is the signature of the message under the public key."""
    if len(public) != 32 or len(signature) != 64:
        return False
    a, r = _point(public), _point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    return _same(_times(s, BASE), _plus(r, _times(h, a)))


def _point(data):
    """The point that 32 bytes stand for, in extended coordinates, or None."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


def _plus(one, other):
    x1, y1, z1, t1 = one
    x2, y2, z2, t2 = other
    a, b = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    c, d = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def _times(factor, point):
    result = (0, 1, 1, 0)
    while factor:
        if factor & 1:
            result = _plus(result, point)
        point = _plus(point, point)
        factor >>= 1
    return result


def _same(one, other):
    return (one[0] * other[2] - other[0] * one[2]) % P == 0 and (
        one[1] * other[2] - other[1] * one[2]
    ) % P == 0


BASE = _point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


# The tree (RFC 9162, 2.1).


def leaf_hash(data):
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """The tree as it grows: the hashes of its complete parts, the largest first."""

    def __init__(self):
        self.size, self.parts = 0, []

    def add(self, leaf):
        self.size += 1
        count = self.size
        while count % 2 == 0:
            leaf = node_hash(self.parts.pop(), leaf)
            count //= 2
        self.parts.append(leaf)

    def root(self):
        if not self.parts:
            return hashlib.sha256(b"").digest()
        found = self.parts[-1]
        for part in self.parts[-2::-1]:
            found = node_hash(part, found)
        return found


def root_by_path(leaf, index, size, path):
    """The root that a leaf and its path lead to (RFC 9162, 2.1.3.2), or None where the path does not fit the place."""
    if not 0 <= index < size:
        return None
    place, last, found = index, size - 1, leaf
    for step in path:
        if last == 0:
            return None
        if place % 2 or place == last:
            found = node_hash(step, found)
            while place % 2 == 0 and place:
                place, last = place // 2, last // 2
        else:
            found = node_hash(found, step)
        place, last = place // 2, last // 2
    return found if last == 0 else None


def grew(first, second, first_root, second_root, path):
    """Whether the tree of `first` leaves is the beginning of that of `second` (RFC 9162, 2.1.4.2)."""
    if not 0 < first <= second:
        return first == 0
    if first == second:
        return not path and first_root == second_root
    steps = ([first_root] if first & (first - 1) == 0 else []) + list(path)
    if not steps:
        return False
    place, last = first - 1, second - 1
    while place % 2:
        place, last = place // 2, last // 2
    one = other = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if place % 2 or place == last:
            one, other = node_hash(step, one), node_hash(step, other)
            while place % 2 == 0 and place:
                place, last = place // 2, last // 2
        else:
            other = node_hash(other, step)
        place, last = place // 2, last // 2
    return last == 0 and one == first_root and other == second_root


# Checkpoints and keys (C2SP: signed-note, tlog-checkpoint).


KEY = re.compile(r"(\S+?)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})")


class Unreadable(ValueError):
    """A file is not what it should be; the message says what, in one sentence."""


class Key:
    """A public key: its name, the four bytes that signatures name it by, and its 32 bytes."""

    def __init__(self, word):
        match = KEY.fullmatch(word.strip())
        data = base64.b64decode(match.group(3)) if match else b""
        if not match or len(data) != 33 or data[0] != 1:
            raise Unreadable("The key is not of the form origin+hash+base64.")
        self.name, self.public, self.hash = match.group(1), data[1:], bytes.fromhex(match.group(2))
        if hashlib.sha256(self.name.encode() + b"\n" + data).digest()[:4] != self.hash:
            raise Unreadable("The key and its hash do not belong together.")


class Checkpoint:
    """A signed note: how long the log was and what its root was. Signatures are checked when asked."""

    def __init__(self, text):
        head, _, tail = text.replace("\r\n", "\n").partition("\n\n")
        lines = head.split("\n")
        if len(lines) < 3 or not re.fullmatch("0|[1-9][0-9]{0,17}", lines[1]):
            raise Unreadable("A checkpoint is not of the form origin, size, root.")
        try:
            self.root = base64.b64decode(lines[2], validate=True)
        except ValueError:
            raise Unreadable("A checkpoint's root is not base64.") from None
        if len(self.root) != 32:
            raise Unreadable("A checkpoint's root has not 32 bytes.")
        self.origin, self.size, self.signed = lines[0], int(lines[1]), (head + "\n").encode()
        self.at = next((_moment(line[3:]) for line in lines[3:] if line.startswith("at ")), None)
        self.signatures = re.findall(r"^— (\S+) (\S+)$", tail, re.M)

    def is_by(self, keys):
        """Whether one of these keys signed it."""
        for name, text in self.signatures:
            try:
                data = base64.b64decode(text, validate=True)
            except ValueError:
                continue
            for key in keys:
                fits = key.name == name == self.origin and key.hash == data[:4]
                if fits and ed25519_fits(key.public, self.signed, data[4:]):
                    return True
        return False


def checkpoints_in(text):
    """All checkpoints of a text: of a file of checkpoints, of a mail."""
    lines = [line.strip(" >\r") for line in text.split("\n")]
    found, begin = [], 0
    for number, line in enumerate(lines):
        ends = line.startswith("— ") and (number + 1 == len(lines) or not lines[number + 1].startswith("— "))
        if ends:
            block = lines[begin : number + 1]
            start = next(
                (
                    i
                    for i in range(len(block) - 2)
                    if re.fullmatch("[0-9]{1,18}", block[i + 1])
                    and re.fullmatch("[A-Za-z0-9+/]{43}=", block[i + 2])
                ),
                None,
            )
            if start is None:
                raise Unreadable("A file of checkpoints holds something that is none.")
            found.append(Checkpoint("\n".join(block[start:]) + "\n"))
            begin = number + 1
    if not found:
        raise Unreadable("A file of checkpoints holds none.")
    return found


def _moment(text):
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ")
    except (TypeError, ValueError):
        return None


# What is found.


class Findings:
    """Faults in the order in which they were found, who is affected, and what could not be checked."""

    def __init__(self):
        self.faults, self.count, self.affected, self.open = [], 0, set(), []

    def fault(self, what, *chains):
        """One more; returns its place among those that are printed, or None."""
        self.count += 1
        self.affect(*chains)
        if len(self.faults) == SHOWN:
            return None
        self.faults.append(what)
        return len(self.faults) - 1

    def retell(self, place, what):
        """The same fault in other words: more is known of it now."""
        if place is not None:
            self.faults[place] = what

    def affect(self, *chains):
        if len(self.affected) < NAMED:
            self.affected.update(chains)

    def missing(self, what):
        if what not in self.open:
            self.open.append(what)

    @property
    def code(self):
        return TAMPERED if self.count else INCOMPLETE if self.open else GOOD


class Kept:
    """What the reader has kept: roots by size. Two of one size that differ are a split view."""

    def __init__(self, findings, keys):
        self.findings, self.keys, self.roots, self.origins = findings, keys, {}, set()
        self.times = {}  # size → when that was signed

    def add(self, checkpoint):
        if self.keys and not checkpoint.is_by(self.keys):
            self.findings.missing(
                f"A kept checkpoint (size {checkpoint.size}) is not signed by the given key: it proves nothing."
            )
            return
        self.origins.add(checkpoint.origin)
        self.times[checkpoint.size] = checkpoint.at
        self.add_root(checkpoint.size, checkpoint.root)

    def add_root(self, size, root):
        if self.roots.setdefault(size, root) != root:
            self.findings.fault(
                f"Split view: two kept checkpoints of size {size} have different roots. "
                "Two histories were shown."
            )


class Gap:
    """Entries that did not come when it was their turn: they are missing, or stand elsewhere."""

    def __init__(self, first, last, fault, next_chain):
        self.first, self.low, self.last, self.fault, self.next_chain = first, first, last, fault, next_chain
        self.behind, self.mixed = None, False  # the entry that the first of them stands behind

    def text(self):
        if self.mixed:
            return f"{_entries(self.first, self.last)} missing or not in place."
        told = []
        if self.low > self.first:
            told.append(f"{_entries(self.first, self.low - 1)} not in place, but behind entry {self.behind}")
        if self.low <= self.last:
            told.append(f"{_entries(self.low, self.last)} missing")
        return "; ".join(told) + "."


class Places:
    """Follows the numbers of entries, so that a line that is gone, put in or moved is one fault and not a thousand.

    `due` is the number that is to come next. The tree takes entries in the order of their numbers: what comes before
    its turn is held, up to a bound. Where one never comes the tree ends: no root can be told after it.
    """

    def __init__(self, findings, tree, grown):
        self.findings, self.tree, self.grown = findings, tree, grown
        self.due, self.sound = 0, True
        self.gaps, self.early, self.held = (
            [],
            {},
            {},
        )  # early: the first of those that came too early → the last

    def take(self, index, chains):
        """Whether an entry stands where its number says, be those before it missing or not."""
        if type(index) is not int or index < 0:
            raise ValueError("no number of an entry")
        if index == self.due and not self.early:
            self.due += 1
            return True
        if index < self.due:
            self.sound = False
            self._late(index, chains)
            return False
        if index > self.due:
            self._missing(index, chains)
        self._next(index + 1)
        return True

    def until(self, size):
        """The end: what the beginning of the export promises and what has not come."""
        if self.due < size:
            self._missing(size, ())
            self.due = size

    def _next(self, index):
        self.due = index
        while self.due in self.early:
            self.due = self.early.pop(self.due) + 1

    def _missing(self, index, chains):
        self.sound = False
        gap = Gap(self.due, index - 1, None, chains)
        gap.fault = self.findings.fault(gap.text())
        if gap.fault is not None:
            self.gaps.append(gap)

    def _late(self, index, chains):
        gap = next((gap for gap in self.gaps if gap.low <= index <= gap.last), None)
        if gap is None:
            known = index < self.tree.size or index in (self.held or ())
            how = "stands twice: again" if known else "is not in place, but"
            self.findings.fault(f"Entry {index} {how} behind entry {self.due - 1}.", *chains)
        elif gap.behind is None and index == gap.low and self.due - gap.last <= gap.last - gap.first + 2:
            self._was_early(gap)  # what came before its turn is less than what it came before
        else:
            self._was_late(gap, index, chains)

    def _was_early(self, gap):
        first, last = gap.last + 1, self.due - 1
        how = f"{_entries(first, last)} not in place, but before entry {gap.first}."
        self.findings.retell(gap.fault, how)
        self.findings.affect(*gap.next_chain)
        self.gaps.remove(gap)
        self.early[first] = last
        self._next(gap.first + 1)

    def _was_late(self, gap, index, chains):
        self.findings.affect(*chains)
        gap.behind = self.due - 1 if gap.behind is None else gap.behind
        gap.mixed = gap.mixed or index != gap.low
        gap.low += not gap.mixed
        self.findings.retell(gap.fault, gap.text())
        if gap.low > gap.last:
            self.gaps.remove(gap)

    def grow(self, index, leaf):
        """Give the tree what it can take now."""
        if self.held is None or index < self.tree.size:
            return
        if index > self.tree.size:
            self.held[index] = leaf
            if len(self.held) > HELD:
                self.held = None
            return
        while leaf is not None:
            self.tree.add(leaf)
            self.grown()
            leaf = self.held.pop(self.tree.size, None)


class Check:
    """One pass over an export, line by line, in memory that does not grow with it."""

    def __init__(self, findings, keys, kept, tolerance, chain_key=None, all_signatures=False):
        self.findings, self.keys, self.kept = findings, keys, kept
        self.tolerance, self.chain_key, self.all_signatures = tolerance, chain_key, all_signatures
        self.tree, self.header, self.end = Tree(), None, None
        self.places, self.runs = Places(findings, self.tree, self._compare_with_kept), {}
        self.chains, self.since = {}, set()  # chain → (seq, mac, at); chains since the last good checkpoint
        self.counts = {"leaves": 0, "checkpoints": 0, "unsealed": 0}
        self.others = self.foreign = 0
        self.last = self.newest_at = self.made_at = self.sealed_at = None
        self.sealed_from, self.sizes, self.waits = 0, set(), False

    def line(self, number, content):
        if self.end is not None:
            self.findings.fault(f"Line {number}: something follows the end of the export.")
        elif self.header is None:
            self._begin(content)
        elif "leaf" in content:
            self._leaf(content)
        elif "checkpoint" in content:
            self._checkpoint(Checkpoint(content["checkpoint"]))
        elif "unsealed" in content:
            self._unsealed(content)
        elif "end" in content:
            self.end = dict(content["end"])
        else:
            self.findings.fault(f"Line {number}: of a kind that this form does not have.")

    def finish(self):
        if self.header is None or self.end is None:
            self.findings.missing("The export has no end: it was cut off, or is still being written.")
            return
        reached = self.places.due
        if self.end.get("leaves") != reached:
            self.places.until(self.header["size"])
        size = self.places.due
        found = {**self.counts, "leaves": size}  # those that are missing or stand twice were told
        wrong = [name for name in found if self.end.get(name) != found[name]]
        if wrong:
            told = ", ".join(f"{self.end.get(name)} {name} at its end, {found[name]} found" for name in wrong)
            self.findings.fault(f"The export does not hold as many lines as its end says: {told}.")
        if self.header["size"] != size:
            told = f"{self.header['size']} at its beginning, {size} found"
            self.findings.fault(f"The export does not hold as many entries as its beginning says: {told}.")
        for kept in sorted(kept for kept in set(self.kept.times) - self.sizes if kept <= reached):
            self._run(
                "left out",
                kept,
                f"The kept checkpoint of size {kept} is not in the export: checkpoints were left out, "
                "and with them what they say about when an entry was there.",
            )
        if self.last is None:
            self.findings.missing("The export holds no checkpoint: nothing in it is sealed.")
        elif self.last.size != size and reached == size and "fit" not in self.runs:
            sizes = f"is of size {self.last.size}, the log holds {size} entries"
            self.findings.fault(f"The last checkpoint {sizes}.")
        elif not self.last.is_by(self.keys):
            self.findings.fault(
                f"The last checkpoint (size {self.last.size}) is not signed by the given key: "
                "the log was sealed by somebody else."
            )
        self._reach()
        for kept in sorted(self.kept.roots):
            if kept > reached:
                self._beyond(kept, self.kept.times.get(kept), reached)

    def _run(self, kind, size, what, *chains):
        """A fault of a checkpoint that those after it share: the first is told, the others are counted with it."""
        if kind not in self.runs:
            self.runs[kind] = [self.findings.fault(what, *chains), what, 0]
            return
        run = self.runs[kind]
        run[2] += 1
        others = f"{run[2]} more, up to size {size}" if run[2] > 1 else f"that of size {size}"
        self.findings.retell(run[0], f"{run[1]} The same holds for {others}.")

    def _reach(self):
        """An export that says to be older than what it holds would have later checkpoints not judged."""
        sealed = self.last.at if self.last is not None else None
        if self.made_at is not None and sealed is not None and sealed > self.made_at + self.tolerance:
            self.findings.fault(
                f"The export says that it was made at {self.made_at}, and holds a checkpoint of {sealed}: "
                "its hour is not the true one."
            )

    def _beyond(self, size, at, reached):
        """A kept checkpoint saw more than there is: what it saw was there when the export was made, or came after."""
        if at is not None and self.made_at is not None and at > self.made_at:
            self.findings.missing(
                f"The kept checkpoint of size {size} was sealed at {at}, after the export was made: the export "
                f"claims to reach until {self.made_at}, and nothing after that is judged. Export again, or give a "
                "checkpoint that was sealed earlier. If you know that the export was made later than it claims, "
                "its end was cut off."
            )
            return
        how = "the end was cut off, or the log was rolled back."
        if at is None:
            how += " A root that was written down after the export was made looks the same."
        what = f"Entries are gone: a kept checkpoint saw {size}, the log now holds {reached}: {how}"
        self._run("beyond", size, what)

    def _begin(self, content):
        if content.get("epro_trail_export") != 1:
            raise Unreadable("This is no export of a trail of format 1.")
        self.header, self.made_at = content, _moment(content.get("at"))
        if self.made_at is None or type(content["size"]) is not int:
            raise Unreadable("The export does not say when it was made, and how long the log was.")
        if not self.keys:
            self.keys.append(Key(content["key"]))
            self.findings.missing("No key was given: the one in the export says nothing about who signed.")
        for origin in self.kept.origins - {content["origin"]}:
            self.findings.fault(
                f"The export is of the log {content['origin']}, the kept checkpoints are of {origin}."
            )
        self._compare_with_kept()

    def _leaf(self, content):
        index, told = content["leaf"], bytes.fromhex(content["hash"])
        in_place = self.places.take(index, (_chain(content),) if {"study", "chain"} <= content.keys() else ())
        self.counts["leaves"] += 1
        try:
            self._leaf_at(index, told, in_place, content)
        finally:
            self.places.grow(index, told)

    def _leaf_at(self, index, told, in_place, content):
        if content.get("missing"):
            self.findings.fault(
                f"Entry {index} was removed from the trail: its place in the log is there, its bytes are not."
            )
        elif "body" in content:
            if leaf_hash(content["body"].encode()) != told:
                self.findings.fault(
                    f"Entry {index} was changed after it was sealed: {_named(content)}.", _chain(content)
                )
            self._entry(f"Entry {index}", content, in_place)
        elif self.header["study"] is None:
            self.findings.fault(f"Entry {index} comes without its bytes, in an export of all studies.")
        else:
            self.others += 1

    def _entry(self, name, content, in_place=True):
        chain, body = _chain(content), _json(content["body"])
        self.since.add(chain)
        if len(self.since) > NAMED:
            self.since.pop()
        seq, mac, before = self.chains.get(chain, (0, ZEROS, None))
        if body is None:
            self.findings.fault(f"{name} is not JSON.", chain)
            return
        if (body.get("study"), body.get("chain"), body.get("seq")) != (
            content["study"],
            content["chain"],
            content["seq"],
        ):
            self.findings.fault(f"{name} stands in a place that is not its own: {_named(content)}.", chain)
        follows = content["seq"] == seq + 1 and body.get("prev") == mac
        if not in_place and not follows:
            before = None  # that it stands elsewhere is told: of its chain it says nothing more
        elif content["seq"] != seq + 1:
            self.findings.fault(
                f"{name}: the chain {_spell(chain)} goes from #{seq} to #{content['seq']}: "
                "entries removed, inserted or re-ordered.",
                chain,
            )
        elif not follows:
            self.findings.fault(
                f"{name} does not follow the one before it in the chain {_spell(chain)}.", chain
            )
        if self.chain_key and not hmac.compare_digest(self._mac(content), content["mac"]):
            self.findings.fault(f"{name}: its mac is not one of the trail's key: {_named(content)}.", chain)
        if content.get("columns"):
            wrong = ", ".join(sorted(content["columns"]))
            self.findings.fault(f"{name}: copies beside it were changed ({wrong}): {_named(content)}.", chain)
        if "leaf" in content and body.get("action") in TELLING and "stored" not in content:
            self.findings.fault(
                f"{name}: what is stored now of that which it tells of was left out: {_named(content)}.",
                chain,
            )
        if "stored" in content and content["stored"] != (body.get("details") or {}).get("digest"):
            how = "is gone" if content["stored"] is None else "was changed"
            what = "{type} {id}".format(**body.get("object", {"type": "record", "id": "?"}))
            self.findings.fault(f"{name}: the {what} that it tells of {how}.", chain)
        self._time(name, chain, _moment(body.get("at")), before)
        if in_place or follows:
            self.chains[chain] = (content["seq"], content["mac"], _moment(body.get("at")))

    def _time(self, name, chain, at, before):
        """Entries of a chain, and what is sealed, go forward in time, but for the tolerance."""
        if at is None:
            self.findings.fault(f"{name} names no instant.", chain)
            return
        if before is not None and at < before - self.tolerance:
            self.findings.fault(
                f"{name}: time goes back in the chain {_spell(chain)}, from {before} to {at}.", chain
            )
        if self.sealed_at is not None and at < self.sealed_at - self.tolerance:
            self.findings.fault(
                f"{name} says {at}, but was not there when the log was sealed at {self.sealed_at}: "
                "dated back, or put in later.",
                chain,
            )
        if self.newest_at is None or at > self.newest_at[0]:
            self.newest_at = (at, name, chain)

    def _checkpoint(self, checkpoint):
        self.counts["checkpoints"] += 1
        size = checkpoint.size
        if checkpoint.origin != self.header["origin"]:
            what = f"The checkpoint of size {size} is of another log, {checkpoint.origin}."
            self._run("another log", size, what)
        self._fit(checkpoint)
        self._time_of(checkpoint)
        every = max(1, self.header["size"] // SIGNATURES)
        looked_at = self.all_signatures or self.last is None or size // every != self.last.size // every
        if looked_at and not checkpoint.is_by(self.keys):
            self._run("key", size, f"The checkpoint of size {size} is not signed by the given key.")
        self.last = checkpoint
        self.sizes.add(size)

    def _fit(self, checkpoint):
        """Whether it seals the entries before it. Those who are affected are named where nothing else says who."""
        size, due = checkpoint.size, self.places.due
        chains = self.since if self.places.sound and size <= due else ()
        if size != due:
            self._run("fit", size, f"A checkpoint says {size} entries where the log holds {due}.", *chains)
        elif size != self.tree.size:
            self._run(
                "fit",
                size,
                f"The checkpoint of size {size} does not fit, for what is missing before it: "
                f"from entry {self.tree.size} on nothing is held to a checkpoint.",
            )
        elif checkpoint.root != self.tree.root():
            self._run(
                "fit",
                size,
                f"The checkpoint of size {size} does not fit: of the entries {self.sealed_from} to "
                f"{size - 1} one was changed, removed, inserted or re-ordered after it was sealed.",
                *chains,
            )
        else:
            self.sealed_from, self.since, self.places.sound = size, set(), True
            self.runs.pop("fit", None)

    def _time_of(self, checkpoint):
        if checkpoint.at is None:
            self.findings.fault(f"The checkpoint of size {checkpoint.size} names no instant.")
            return
        if self.last is not None and self.last.at is not None and checkpoint.at < self.last.at:
            self.findings.fault(
                f"Time goes back: the checkpoint of size {checkpoint.size} is of {checkpoint.at}, "
                f"the one before it of {self.last.at}."
            )
        self._sealed(checkpoint.at)
        self.newest_at = None

    def _sealed(self, when):
        """What stands before this was there by then; what comes after it was not."""
        if self.newest_at is not None and self.newest_at[0] > when + self.tolerance:
            at, name, chain = self.newest_at
            self.findings.fault(f"{name} says {at}, but was sealed at {when}: dated forward.", chain)
            self.newest_at = None
        self.sealed_at = max(when, self.sealed_at or when)

    def _unsealed(self, content):
        self.counts["unsealed"] += 1
        name, chain = f"The unsealed entry {_named(content)}", _chain(content)
        self._entry(name, content)
        at = _moment((_json(content["body"]) or {}).get("at"))
        if at is not None and at > self.made_at + self.tolerance:
            self.findings.fault(f"{name} says {at}, after the export was made: dated forward.", chain)
        elif at is not None and at < self.made_at - self.tolerance and not self.waits:
            self.waits = True
            self.findings.missing(
                "Entries wait for a seal for longer than it takes: nothing proves them. "
                f"The first is {_named(content)} of {at}; the export was made at {self.made_at}."
            )

    def _mac(self, content):
        return hmac.new(self.chain_key, content["body"].encode(), hashlib.sha256).hexdigest()

    def _compare_with_kept(self):
        kept = self.kept.roots.get(self.tree.size)
        if kept is not None and kept != self.tree.root():
            what = f"A kept checkpoint of size {self.tree.size} has another root: the history before it was "
            what += "rewritten, or another one was shown."
            self._run("kept", self.tree.size, what, *(self.since if self.places.sound else ()))
        if self.kept.times.get(self.tree.size) is not None:
            self._sealed(self.kept.times[self.tree.size])


def _once(pairs):
    """An object in which every name stands once: two readers of one that stands twice would read two things."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _object(text):
    found = json.loads(text, object_pairs_hook=_once)
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found


def _json(text):
    try:
        return _object(text)
    except (ValueError, RecursionError):
        return None


def _chain(content):
    return (content["study"], content["chain"])


def _spell(chain):
    return f"{chain[0]} {chain[1]}"


def _entries(first, last):
    return f"Entry {first} is" if first == last else f"Entries {first} to {last} are"


def _named(content):
    return f"{content['study']} {content['chain']} #{content['seq']}"


# Commands.


def check(
    lines,
    keys,
    checkpoints=(),
    roots=(),
    tolerance=timedelta(minutes=15),
    chain_key=None,
    all_signatures=False,
):
    """Check an export, given as its lines; returns the findings and the finished check."""
    findings = Findings()
    kept = Kept(findings, keys)
    for checkpoint in checkpoints:
        kept.add(checkpoint)
    for size, root in roots:
        kept.add_root(size, root)
    run = Check(findings, list(keys), kept, tolerance, chain_key, all_signatures)
    for number, line in enumerate(lines, 1):
        try:
            if len(line) > LONGEST or not line.endswith("\n"):
                raise ValueError
            run.line(number, _object(line))
        except Unreadable as fault:
            findings.fault(f"Line {number}: {fault}")
            if run.header is None:
                break
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            if not line.endswith("\n"):
                findings.missing(f"Line {number} breaks off.")
            else:
                findings.fault(f"Line {number} is not of the form of an export.")
    run.finish()
    return findings, run


def check_proof(proof, keys, checkpoints=(), receipt_keys=()):
    """Check that one entry is in the log; returns the findings."""
    findings = Findings()
    note, body = Checkpoint(proof["checkpoint"]), proof["body"]
    if not keys:
        keys = [Key(proof["key"])]
        findings.missing("No key was given: the one in the proof says nothing about who signed.")
    kept = Kept(findings, keys)
    for checkpoint in checkpoints:
        kept.add(checkpoint)
    content = _json(body) or {}
    chain = (content.get("study"), content.get("chain"))
    found = root_by_path(
        leaf_hash(body.encode()), proof["leaf"], note.size, [bytes.fromhex(p) for p in proof["path"]]
    )
    if found != note.root:
        findings.fault(
            f"The entry is not entry {proof['leaf']} of the log of {note.size}: it or the proof was changed.",
            chain,
        )
    if not note.is_by(keys):
        findings.fault("The checkpoint is not signed by the given key.")
    if kept.roots.get(note.size, note.root) != note.root:
        findings.fault(
            f"A kept checkpoint of size {note.size} has another root: two histories were shown.", chain
        )
    receipt = proof.get("receipt")
    if receipt:
        _check_receipt(findings, receipt, content, chain, receipt_keys)
    return findings


def _check_receipt(findings, receipt, content, chain, receipt_keys):
    if not receipt_keys:
        findings.missing(
            "No receipt key was given: the one in the proof says nothing about who signed the receipt."
        )
    elif receipt["key"] not in receipt_keys:
        findings.fault("The receipt is not signed by the given receipt key.", chain)
    told = {name: receipt[name] for name in ("digest", "id", "received_at")}
    signed = json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
    if not ed25519_fits(base64.b64decode(receipt["key"]), signed, base64.b64decode(receipt["signature"])):
        findings.fault("The receipt's signature does not fit.", chain)
    if (content.get("details") or {}).get("digest") != receipt["digest"]:
        findings.fault("The entry tells of other answers than the receipt.", chain)
    stored = content.get("action") == "response.stored"
    told_of = (
        (content.get("object") or {}).get("id") if stored else (content.get("details") or {}).get("response")
    )
    if told_of != receipt["id"]:
        findings.fault("The entry tells of another response than the receipt.", chain)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, help_ in (("check", "an exported trail"), ("proof", "that one entry is in the log")):
        command = commands.add_parser(name, help=help_)
        command.add_argument("file")
        command.add_argument("--key", action="append", default=[], help="public key, or a file with it")
        command.add_argument(
            "--checkpoint", action="append", default=[], help="file with checkpoints kept earlier"
        )
        if name == "proof":
            command.add_argument(
                "--receipt-key", action="append", default=[], help="public key of receipts (GET /v1/keys)"
            )
        if name == "check":
            command.add_argument(
                "--root", action="append", default=[], help="SIZE:ROOT, written down earlier"
            )
            command.add_argument(
                "--tolerance", type=float, default=900, help="seconds that clocks may differ"
            )
            command.add_argument("--chain-key", help="file with the trail's key, hex: checks every mac too")
            command.add_argument(
                "--all-signatures", action="store_true", help="of every checkpoint in the export"
            )
    asked = parser.parse_args(arguments)
    try:
        return _run(asked)
    except (Unreadable, KeyError, TypeError, ValueError, OSError) as fault:
        plain = isinstance(fault, (Unreadable, OSError))
        print(f"Cannot be checked: {fault if plain else 'a file is not of the right form.'}")
        return INCOMPLETE


def _run(asked):
    keys = [Key(word) for text in asked.key for word in _words(text)]
    kept = [one for path in asked.checkpoint for one in checkpoints_in(_read(path))]
    if asked.command == "proof":
        findings = check_proof(_object(_read(asked.file)), keys, kept, asked.receipt_key)
        return _tell(findings, "The entry is in the log, as it was signed.")
    roots = []
    for text in asked.root:
        size, _, root = text.partition(":")
        roots.append((int(size), base64.b64decode(root)))
    chain_key = bytes.fromhex(_read(asked.chain_key).strip()) if asked.chain_key else None
    with open(asked.file, encoding="utf-8", newline="\n") as lines:
        findings, run = check(
            lines, keys, kept, roots, timedelta(seconds=asked.tolerance), chain_key, asked.all_signatures
        )
    what = (
        f"{run.tree.size} entries in {len(run.chains)} chains, {run.counts['checkpoints']} checkpoints, "
        f"{run.counts['unsealed']} entries not sealed yet: all is as it was signed."
    )
    if run.others:
        what += (
            f"\nThe bytes of {run.others} entries of other studies were not shown; their places were checked."
        )
    if not kept and not roots:
        what += (
            "\nNo earlier checkpoint was given: what somebody rewrote who has the signing key, "
            "or cut off, cannot be seen."
        )
    return _tell(findings, what)


def _tell(findings, good):
    for fault in findings.faults:
        print(fault)
    if findings.count > len(findings.faults):
        print(f"... and {findings.count - len(findings.faults)} more.")
    for what in findings.open:
        print(what)
    if findings.count:
        people = sorted(_spell(chain) for chain in findings.affected if None not in chain)
        print(f"TAMPERED: {findings.count} faults. Affected: {', '.join(people) or 'not to be said'}.")
    print(
        good
        if findings.code == GOOD
        else "INCOMPLETE."
        if findings.code == INCOMPLETE
        else "First: " + findings.faults[0]
    )
    return findings.code


def _words(text):
    """The keys that an argument means: itself, or those in the file of this name."""
    if KEY.fullmatch(text):
        return [text]
    try:
        return _read(text).split()
    except OSError:
        raise Unreadable(
            f"--key wants a public key as one word, origin+hash+base64, as `epro trail key` prints it, "
            f"or a file that holds it; {text} is neither."
        ) from None


def _read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


if __name__ == "__main__":
    sys.exit(main())
