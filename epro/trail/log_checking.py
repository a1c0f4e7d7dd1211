"""Checking the log: every event has its leaf, every leaf its event, and every checkpoint is what the leaves come to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa

from epro.trail import INSTALLATION, merkle, notes, sealing
from epro.trail.entries import Fault, instant
from epro.trail.models import Checkpoint, Event, Leaf, TreeNode, WaitingEvent
from epro.tx import Tx

PAGE = 1000


class Tree:
    """The tree as it grows leaf by leaf: of its complete parts only the hashes are kept."""

    def __init__(self, completed: Callable[[int, int, bytes], None]) -> None:
        self.size, self._parts, self._completed = 0, list[tuple[int, bytes]](), completed

    def add(self, leaf: bytes) -> None:
        height, value = 0, leaf
        self.size += 1
        while self._parts and self._parts[-1][0] == height:
            value = merkle.node_hash(self._parts.pop()[1], value)
            height += 1
            self._completed(height, (self.size >> height) - 1, value)
        self._parts.append((height, value))

    def root(self) -> bytes:
        found: bytes | None = None
        for _, value in reversed(self._parts):
            found = value if found is None else merkle.node_hash(value, found)
        return merkle.EMPTY if found is None else found


def faults(tx: Tx) -> Iterator[Fault]:
    """Every way in which the log is not what its events, its nodes and its checkpoints say together."""
    yield from _without_a_leaf(tx)
    wrong, marks = list[Fault](), _checkpoints(tx)
    tree = Tree(lambda height, node, value: wrong.extend(_node_faults(nodes, height, node, value)))
    nodes = _nodes(tx)
    mark = next(marks, None)
    for row in _leaves(tx):
        if row.leaf != tree.size:
            yield _fault(tree.size, f"a leaf is missing: the next one is {row.leaf}")
            return  # nothing after it can be checked
        yield from _leaf_faults(row)
        tree.add(row.hash)
        yield from wrong
        wrong.clear()
        while mark is not None and mark.size == tree.size:
            yield from _mark_faults(tx, mark, tree.root())
            mark = next(marks, None)
    if mark is not None:
        yield _fault(tree.size, f"leaves were cut off: a checkpoint has {mark.size} of them")


def size(tx: Tx) -> int:
    """How many leaves there are."""
    found = tx.session.scalar(sa.select(sa.func.max(Leaf.leaf)))
    return 0 if found is None else int(found) + 1


def _without_a_leaf(tx: Tx) -> Iterator[Fault]:
    query = (
        sa.select(Event.study_id, Event.chain, Event.seq)
        .outerjoin(Leaf, Leaf.event_id == Event.id)
        .outerjoin(WaitingEvent, WaitingEvent.event_id == Event.id)
        .where(Leaf.leaf.is_(None), WaitingEvent.no.is_(None))
    )
    for row in tx.session.execute(query.execution_options(yield_per=PAGE)):
        yield Fault(row.study_id, row.chain, row.seq, "the entry has no leaf in the log and waits for none")


def _leaves(tx: Tx) -> Iterator[Any]:
    query = (
        sa.select(Leaf.leaf, Leaf.hash, Event.study_id, Event.chain, Event.seq, Event.body)
        .outerjoin(Event, Event.id == Leaf.event_id)
        .order_by(Leaf.leaf)
    )
    yield from tx.session.execute(query.execution_options(yield_per=PAGE))


def _checkpoints(tx: Tx) -> Iterator[Checkpoint]:
    query = sa.select(Checkpoint).where(Checkpoint.size > 0).order_by(Checkpoint.size)
    yield from tx.session.scalars(query.execution_options(yield_per=PAGE))


def _nodes(tx: Tx) -> dict[tuple[int, int], bytes]:
    rows = tx.session.execute(sa.select(TreeNode.stratum, TreeNode.node, TreeNode.hash))
    return {(row.stratum, row.node): row.hash for row in rows}


def _leaf_faults(row: Any) -> Iterator[Fault]:
    if row.body is None:
        yield _fault(row.leaf, "the entry of this leaf is gone")
    elif merkle.leaf_hash(row.body.encode()) != row.hash:
        yield Fault(row.study_id, row.chain, row.seq, f"the entry is not the one that leaf {row.leaf} sealed")


def _node_faults(nodes: Any, height: int, node: int, value: bytes) -> Iterator[Fault]:
    stratum, between = divmod(height, sealing.STEP)
    if not between and nodes.get((stratum, node)) != value:
        yield _fault(node << height, f"node {node} of stratum {stratum} is not what its leaves come to")


def _mark_faults(tx: Tx, mark: Checkpoint, root: bytes) -> Iterator[Fault]:
    """A signature of ours over these numbers comes out the same each time."""
    if mark.note != notes.checkpoint(sealing.signer(), mark.origin, mark.size, root, instant(mark.at)):
        yield _fault(mark.size, f"the leaves do not come to what the checkpoint of {mark.size} says")


def _fault(leaf: int, what: str) -> Fault:
    return Fault(INSTALLATION, "log", leaf, what)
