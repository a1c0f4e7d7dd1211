"""The trail's tables: events, written once; the heads of the chains of no participant; the outbox of the feed."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from epro.db import Base, Json
from epro.trail.entries import START


class Chained:
    """A row that carries the head of a chain. Whoever writes to the chain holds this row's lock."""

    chain_seq: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    chain_mac: Mapped[str] = mapped_column(sa.String(64), default=START)


class Event(Base):
    """One act, as it happened. `body` is the entry itself; the other columns are copies to search by."""

    __tablename__ = "events"
    __table_args__ = (
        sa.Index("ix_events_subject", "study_id", "subject_id", "at"),
        sa.Index("ix_events_at", "study_id", "at"),
        sa.Index("ix_events_actor", "study_id", "actor", "at"),  # the trail is browsed by person and by act
        sa.Index("ix_events_action", "study_id", "action", "at"),
        {"info": {"append_only": True, "scope": "subject_or_study"}},
    )

    study_id: Mapped[str] = mapped_column(primary_key=True)
    chain: Mapped[str] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    id: Mapped[UUID] = mapped_column(unique=True)
    at: Mapped[datetime]
    actor: Mapped[str]
    action: Mapped[str]
    subject_id: Mapped[str | None]
    object_type: Mapped[str]
    object_id: Mapped[str]
    body: Mapped[str]
    mac: Mapped[str] = mapped_column(sa.String(64))


class ChainHead(Chained, Base):
    """The head of a chain that belongs to no participant: a study's own, or the installation's (study "-")."""

    __tablename__ = "chain_heads"

    study_id: Mapped[str] = mapped_column(primary_key=True)
    chain: Mapped[str] = mapped_column(primary_key=True)


class WaitingEvent(Base):
    """An event that has no leaf yet. The database itself adds it with the event; the sealer takes it away.

    `no` is no order of commits, but within one chain it grows with `seq`: the chain's head is locked while it is drawn.
    """

    __tablename__ = "trail_waiting"

    no: Mapped[int] = mapped_column(
        sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    event_id: Mapped[UUID]


class Leaf(Base):
    """One event's place in the log, given after its commit, without gaps, and the hash of its bytes as of then."""

    __tablename__ = "trail_leaves"
    __table_args__ = {"info": {"append_only": True}}

    leaf: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    event_id: Mapped[UUID] = mapped_column(unique=True)
    hash: Mapped[bytes] = mapped_column(sa.LargeBinary(32))


class TreeNode(Base):
    """The hash over 256**stratum leaves: all that is stored of the tree, written once when they are complete."""

    __tablename__ = "trail_nodes"
    __table_args__ = {"info": {"append_only": True}}

    stratum: Mapped[int] = mapped_column(primary_key=True)
    node: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[bytes] = mapped_column(sa.LargeBinary(32))


class Checkpoint(Base):
    """What the log came to when so many leaves were in it, signed (`note`). Never changed."""

    __tablename__ = "checkpoints"
    __table_args__ = {"info": {"append_only": True}}

    size: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    origin: Mapped[str]
    note: Mapped[str]


class TrailCheck(Base):
    """One check of the whole trail, and what it found. Never changed."""

    __tablename__ = "trail_checks"
    __table_args__ = {"info": {"audited": True, "append_only": True}}

    id: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    by: Mapped[str]
    entries: Mapped[int] = mapped_column(sa.BigInteger)
    leaves: Mapped[int] = mapped_column(sa.BigInteger)  # how many of them were sealed
    faults: Mapped[int]
    named: Mapped[list] = mapped_column(Json)  # the first of them: [study, chain, seq, what]; never a value


class FeedEntry(Base):
    """One entry of a study's feed, written in the act it tells of. Its position is given after the commit.

    `no` orders entries that wait for a position: within one participant it grows in the order of her acts,
    because her row's lock is held while it is drawn. It is never shown: positions are gapless, `no` is not.
    """

    __tablename__ = "feed_entries"
    __table_args__ = (
        sa.UniqueConstraint("study_id", "position"),
        sa.Index("ix_feed_entries_of_subject", "study_id", "subject_id", "position"),  # exports read so
        sa.Index(
            "ix_feed_entries_waiting",
            "no",
            postgresql_where=sa.text("position IS NULL"),
            sqlite_where=sa.text("position IS NULL"),
        ),
        {"info": {"scope": "subject", "only_once": "position"}},
    )

    no: Mapped[int] = mapped_column(
        sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    study_id: Mapped[str]
    event_id: Mapped[UUID] = mapped_column(unique=True)
    subject_id: Mapped[str]
    site_id: Mapped[str]
    kind: Mapped[str]
    at: Mapped[datetime]
    body: Mapped[str]  # canonical JSON of the entry, without its position
    position: Mapped[int | None] = mapped_column(sa.BigInteger)
    positioned_at: Mapped[datetime | None]
