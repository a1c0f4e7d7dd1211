"""The tables of the trial database, named as SDTM names things where it has a word.

One row a response, one an answered item, one a scale. Every key is such that applying an entry twice changes
nothing. `feed_state` says how far the feed has been applied, in the same transaction.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

metadata = sa.MetaData()
_EXACT = {"charset": "utf8mb4", "collation": "utf8mb4_bin"}  # else MySQL takes `a` and `A` for the same key
NAME = sa.String(191).with_variant(
    mysql.VARCHAR(191, **_EXACT), "mysql", "mariadb"
)  # every engine can index it
LONG = sa.Text().with_variant(mysql.LONGTEXT(**_EXACT), "mysql", "mariadb")
NUMBER = sa.Float(53)


def _by_position(table: str) -> sa.Index:
    """For reading by position: rows come in its order, so PostgreSQL needs only what each stretch of blocks spans."""
    told = {"pages_per_range": 16, "autosummarize": "on"}
    how = {"postgresql_using": "brin", "postgresql_with": told}
    return sa.Index(f"ix_{table}_POSITION", "STUDYID", "POSITION", **how)  # type: ignore[arg-type]


def _of_few(table: str) -> sa.Index:
    """The same, for a table that grows slowly: rows may come in any order."""
    return sa.Index(f"ix_{table}_POSITION", "STUDYID", "POSITION")


def _keys(*more: str) -> list[sa.Column[str]]:
    return [sa.Column(name, NAME, primary_key=True) for name in ("STUDYID", *more)]


feed_state = sa.Table(
    "feed_state",
    metadata,
    sa.Column("STUDYID", NAME, primary_key=True),
    sa.Column("POSITION", sa.BigInteger, nullable=False),
    sa.Column("APPLIEDDTC", NAME, nullable=False),
)

schema_state = sa.Table(
    "schema_state",
    metadata,
    sa.Column("ONE", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("VERSION", sa.Integer, nullable=False),
)

responses = sa.Table(
    "responses",
    metadata,
    sa.Column("STUDYID", NAME, primary_key=True),
    sa.Column("RESPONSEID", NAME, primary_key=True),
    sa.Column("SITEID", NAME, nullable=False),
    sa.Column("USUBJID", NAME, nullable=False, index=True),
    sa.Column("SUBJID", NAME, nullable=False),
    sa.Column("QSCAT", NAME, nullable=False),
    sa.Column("INSTRUMENT", NAME, nullable=False),
    sa.Column("INSTRVER", NAME, nullable=False),
    sa.Column("INSTRDIG", NAME, nullable=False),
    sa.Column("ASSESSMENT", NAME, nullable=False),
    sa.Column("VISIT", NAME),
    sa.Column("VISITNUM", NUMBER),
    sa.Column("VISITDY", sa.Integer),
    sa.Column("OCCURRENCEID", NAME, nullable=False),
    sa.Column("PROTVER", NAME, nullable=False),
    sa.Column("QSLANG", NAME),
    sa.Column("LOCALDAY", NAME, nullable=False),
    sa.Column("QSDTC", NAME, nullable=False),  # completion, as the phone told it
    sa.Column("QSSTDTC", NAME),
    sa.Column("CORRDTC", NAME, nullable=False),  # completion by the server's clock
    sa.Column("RECVDTC", NAME, nullable=False),
    sa.Column("TIMEZONE", NAME),
    sa.Column("CLOCKOFF", sa.BigInteger),  # milliseconds, server minus phone
    sa.Column("FINDINGS", LONG, nullable=False),
    sa.Column("DIGEST", NAME, nullable=False),
    sa.Column("AMENDSID", NAME),  # the response that this one corrects; always the first of its chain
    sa.Column("EVENTID", NAME, nullable=False),
    sa.Column("POSITION", sa.BigInteger, nullable=False),
    sa.Column("SETTLEDID", NAME),  # what was set aside and then taken, if it came that way
    sa.Column("OPENDTC", NAME),  # the window in which it was due, as planned when the response was filed
    sa.Column("CLOSEDTC", NAME),  # both are blank where the feed did not tell it yet
    sa.Index("ix_responses_AMENDSID", "STUDYID", "AMENDSID"),
    sa.Index("ix_responses_OCCURRENCEID", "STUDYID", "OCCURRENCEID"),
    _by_position("responses"),
    info={"filled": ("OPENDTC", "CLOSEDTC")},
)

answers = sa.Table(
    "answers",
    metadata,
    sa.Column("STUDYID", NAME),
    sa.Column("RESPONSEID", NAME, nullable=False),
    sa.Column("ITEMID", NAME),
    sa.Column("USUBJID", NAME, nullable=False),
    sa.Column("QSCAT", NAME, nullable=False),
    sa.Column("QSTESTCD", NAME, nullable=False),
    sa.Column("QSTEST", NAME, nullable=False),
    sa.Column("QSORRES", NAME),  # the code as it was given, before any reversal
    sa.Column("QSSTRESN", NUMBER),
    sa.Column("QSSTAT", NAME),  # NOT DONE
    sa.Column("QSREASND", NAME),  # why not: skipped, not applicable, refused, not asked
    sa.Column("POSITION", sa.BigInteger, autoincrement=False),
    # By position, new rows are the last of the key, and every engine adds them quicker than by the responses' ids,
    # which come in no order. It is also what they are read by: an answer has its response's position.
    sa.PrimaryKeyConstraint("STUDYID", "POSITION", "ITEMID"),
)

scores = sa.Table(
    "scores",
    metadata,
    sa.Column("STUDYID", NAME, primary_key=True),
    sa.Column("RESPONSEID", NAME, primary_key=True),
    sa.Column("SCALE", NAME, primary_key=True),
    sa.Column("RUN", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("USUBJID", NAME, nullable=False),
    sa.Column("QSCAT", NAME, nullable=False),
    sa.Column("QSTESTCD", NAME, nullable=False),
    sa.Column("QSSTRESN", NUMBER),
    sa.Column("QSREASND", NAME),
    sa.Column("ANSWERED", sa.Integer, nullable=False),
    sa.Column("EXPECTED", sa.Integer, nullable=False),
    sa.Column("RULE", NAME, nullable=False),
    sa.Column("METHOD", NAME, nullable=False),
    sa.Column("METHODVER", NAME, nullable=False),
    sa.Column("ITEMSUSED", LONG, nullable=False),
    sa.Column("ITEMSMISS", LONG, nullable=False),
    sa.Column("POSITION", sa.BigInteger, nullable=False),
    sa.Column("DEFVER", NAME),  # the definition that it was made by; a re-scoring may be by a later one
    sa.Column("DEFDIG", NAME),  # both are blank only in rows of before, until the feed has filled them
    _by_position("scores"),
    info={"filled": ("DEFVER", "DEFDIG")},
)

weeks = sa.Table(
    "weeks",
    metadata,  # what the scores of a week of a diary belong to, as those of a response to `responses`
    sa.Column("STUDYID", NAME, primary_key=True),
    sa.Column("RESPONSEID", NAME, primary_key=True),  # the id of the week, which its scores have too
    sa.Column("RUN", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("SITEID", NAME, nullable=False),
    sa.Column("USUBJID", NAME, nullable=False, index=True),
    sa.Column("SUBJID", NAME, nullable=False),
    sa.Column("QSCAT", NAME, nullable=False),
    sa.Column("INSTRUMENT", NAME, nullable=False),
    sa.Column("INSTRVER", NAME, nullable=False),
    sa.Column("INSTRDIG", NAME, nullable=False),
    sa.Column("ASSESSMENT", NAME, nullable=False),
    sa.Column("WEEK", sa.Integer, nullable=False),  # from 1
    sa.Column("VISITDY", sa.Integer, nullable=False),  # the study day of its first day
    sa.Column("FIRSTDAY", NAME, nullable=False),
    sa.Column("LASTDAY", NAME, nullable=False),
    sa.Column("PROTVER", NAME, nullable=False),
    sa.Column("SOURCES", LONG, nullable=False),  # item -> RESPONSEID of the diary
    sa.Column("EVENTID", NAME, nullable=False),
    sa.Column("POSITION", sa.BigInteger, nullable=False),
    _of_few("weeks"),
)

amendments = sa.Table(
    "amendments",
    metadata,  # why a response was corrected; its answers and scores stand with the others
    *_keys("RESPONSEID"),
    sa.Column("AMENDSID", NAME, nullable=False),
    sa.Column("USUBJID", NAME, nullable=False),
    sa.Column("REASON", LONG),
    sa.Column("POSITION", sa.BigInteger, nullable=False),
    sa.Column("AMENDNO", sa.Integer),  # the how manieth of its chain
    sa.Column("REPORTEDBY", NAME),
    sa.Column("MADEBY", NAME),
    sa.Column("MADEDTC", NAME),
    _of_few("amendments"),
)

enrolments = sa.Table(
    "enrolments",
    metadata,
    *_keys("USUBJID"),
    sa.Column("SITEID", NAME, nullable=False),
    sa.Column("SUBJID", NAME, nullable=False),
    sa.Column("PROTVER", NAME),
    sa.Column("LANGUAGE", NAME),
    sa.Column("TIMEZONE", NAME),
    sa.Column("ENROLDTC", NAME, nullable=False),
    sa.Column("EVENTID", NAME, nullable=False),
    sa.Column("POSITION", sa.BigInteger, nullable=False),
    _of_few("enrolments"),
)

withdrawals = sa.Table(
    "withdrawals",
    metadata,
    *_keys("USUBJID"),
    sa.Column("SITEID", NAME, nullable=False),
    sa.Column("SUBJID", NAME, nullable=False),
    sa.Column("WITHDDTC", NAME, nullable=False),
    sa.Column("EVENTID", NAME, nullable=False),
    sa.Column("POSITION", sa.BigInteger, nullable=False),
    _of_few("withdrawals"),
)

anchors = sa.Table(
    "anchors",
    metadata,  # every day an anchor was ever given; the last by POSITION counts
    *_keys("USUBJID", "ANCHOR"),
    sa.Column("POSITION", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("ANCHORDT", NAME, nullable=False),
    sa.Column("SITEID", NAME, nullable=False),
    sa.Column("EVENTID", NAME, nullable=False),
    _of_few("anchors"),
)


def of_window() -> list[sa.Column[Any]]:
    """Whose an occurrence is, and when it was due."""
    return [
        sa.Column("USUBJID", NAME, nullable=False),
        sa.Column("SITEID", NAME, nullable=False),
        sa.Column("SUBJID", NAME, nullable=False),
        sa.Column("ASSESSMENT", NAME, nullable=False),
        sa.Column("VISIT", NAME),
        sa.Column("VISITDY", sa.Integer),
        sa.Column("LOCALDAY", NAME, nullable=False),
        sa.Column("OPENDTC", NAME),
        sa.Column("CLOSEDTC", NAME),
    ]


def asked_by() -> list[sa.Column[Any]]:
    """By which version of the protocol and of the instrument it was due."""
    return [sa.Column(name, NAME) for name in ("PROTVER", "INSTRUMENT", "INSTRVER")]


misses = sa.Table(
    "misses",
    metadata,  # what was due and not answered in time; an answer that came after all is in `responses`
    *_keys("OCCURRENCEID"),
    *of_window(),
    sa.Column("MISSEDDTC", NAME, nullable=False),
    sa.Column("EVENTID", NAME, nullable=False),
    sa.Column("POSITION", sa.BigInteger, nullable=False),
    *asked_by(),  # blank where the feed did not tell
    _of_few("misses"),
    info={"filled": ("PROTVER", "INSTRUMENT", "INSTRVER")},
)

excuses = sa.Table(
    "excuses",
    metadata,  # every excuse given (EXCUSED) or taken back (TAKEN BACK); the last of an occurrence counts
    *_keys("OCCURRENCEID"),
    sa.Column("POSITION", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("KIND", NAME, nullable=False),
    *of_window(),
    *asked_by(),
    sa.Column("REASON", NAME, nullable=False),  # its code
    sa.Column("QSREASND", NAME, nullable=False),
    sa.Column("SAIDBY", NAME),
    sa.Column("SAIDDTC", NAME, nullable=False),
    sa.Column("EVENTID", NAME, nullable=False),
    _of_few("excuses"),
)

set_aside = sa.Table(
    "set_aside",
    metadata,  # uploads that wait for a person: HELD or CONFLICT. Their answers are not data until they are settled
    *_keys("SETASIDEID"),
    sa.Column("USUBJID", NAME, nullable=False),
    sa.Column("SITEID", NAME, nullable=False),
    sa.Column("OUTCOME", NAME, nullable=False),
    sa.Column("RESPONSEID", NAME),  # as the phone named it
    sa.Column("FINDINGS", LONG, nullable=False),
    sa.Column("DIGEST", NAME, nullable=False),
    sa.Column("RECVDTC", NAME, nullable=False),
    sa.Column("EVENTID", NAME, nullable=False),
    sa.Column("POSITION", sa.BigInteger, nullable=False),
    _of_few("set_aside"),
)

settlements = sa.Table(
    "settlements",
    metadata,  # what a person made of something set aside
    *_keys("SETASIDEID"),
    sa.Column("USUBJID", NAME, nullable=False),
    sa.Column("OUTCOME", NAME, nullable=False),
    sa.Column("RESPONSEID", NAME),
    sa.Column("REASON", LONG),
    sa.Column("SETTLEDBY", NAME),
    sa.Column("SETTLEDTC", NAME, nullable=False),
    sa.Column("EVENTID", NAME, nullable=False),
    sa.Column("POSITION", sa.BigInteger, nullable=False),
    _of_few("settlements"),
)

signatures = sa.Table(
    "signatures",
    metadata,  # an investigator's signature, a row for each response under it
    *_keys("SIGNATUREID", "RESPONSEID"),
    sa.Column("USUBJID", NAME, nullable=False),
    sa.Column("SITEID", NAME, nullable=False),
    sa.Column("ORIGINALID", NAME, nullable=False),
    sa.Column("VISIT", NAME),
    sa.Column("MEANING", NAME, nullable=False),
    sa.Column("SIGNERNAME", LONG, nullable=False),
    sa.Column("SIGNERROLE", NAME, nullable=False),
    sa.Column("SIGNEDBY", NAME, nullable=False),
    sa.Column("SIGNDTC", NAME, nullable=False),
    sa.Column("TIMEZONE", NAME, nullable=False),
    sa.Column("DIGEST", NAME),
    sa.Column("EVENTID", NAME, nullable=False),
    sa.Column("POSITION", sa.BigInteger, nullable=False),
)

signature_breaks = sa.Table(
    "signature_breaks",
    metadata,  # that one does not hold any more for a response
    *_keys("SIGNATUREID", "ORIGINALID"),
    sa.Column("USUBJID", NAME, nullable=False),
    sa.Column("CAUSE", NAME, nullable=False),
    sa.Column("RESPONSEID", NAME),
    sa.Column("BROKENBY", NAME, nullable=False),
    sa.Column("BROKENDTC", NAME, nullable=False),
    sa.Column("EVENTID", NAME, nullable=False),
    sa.Column("POSITION", sa.BigInteger, nullable=False),
)

queries = sa.Table(
    "queries",
    metadata,  # what was asked about an answer, what the site said, that it is closed: a row for each step
    *_keys("QUERYID"),
    sa.Column("STEPNO", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("USUBJID", NAME, nullable=False),
    sa.Column("SITEID", NAME, nullable=False),
    sa.Column("ORIGINALID", NAME, nullable=False),
    sa.Column("ITEMID", NAME),
    sa.Column("STEP", NAME, nullable=False),
    sa.Column("TEXT", LONG),
    sa.Column("SAIDBY", NAME, nullable=False),
    sa.Column("ROLE", NAME, nullable=False),
    sa.Column("SAIDDTC", NAME, nullable=False),
    sa.Column("EVENTID", NAME, nullable=False),
    sa.Column("POSITION", sa.BigInteger, nullable=False),
)

entries = sa.Table(
    "entries",
    metadata,  # every entry of the feed, those without a table of their own included
    sa.Column("STUDYID", NAME, primary_key=True),
    sa.Column("POSITION", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("EVENTID", NAME, nullable=False),
    sa.Column("KIND", NAME, nullable=False),
    sa.Column("USUBJID", NAME, nullable=False),
    sa.Column("AT", NAME, nullable=False),
    sa.Column("DIGEST", NAME, nullable=False),  # SHA-256 of the entry's bytes
    sa.Column("BODY", LONG),  # kept for the kinds that have no table of their own
    sa.Column("SITEID", NAME),
    sa.Column("ASSESSMENT", NAME),
)

parked = sa.Table(
    "parked",
    metadata,  # entries that the tables above refused, whole, for a person; the position has gone on
    sa.Column("STUDYID", NAME, primary_key=True),
    sa.Column("POSITION", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("EVENTID", NAME, nullable=False),
    sa.Column("DIGEST", NAME, nullable=False),
    sa.Column("REASON", NAME, nullable=False),  # the name of the database's refusal, none of its words
    sa.Column("BODY", LONG, nullable=False),
    sa.Column("PARKEDDTC", NAME, nullable=False),
)

dictionary = sa.Table(
    "dictionary",
    metadata,  # the items and scales of every instrument version that a response was given to
    sa.Column("INSTRUMENT", NAME, primary_key=True),
    sa.Column("INSTRVER", NAME, primary_key=True),
    sa.Column("KIND", NAME, primary_key=True),  # ITEM or SCALE
    sa.Column("NAME", NAME, primary_key=True),
    sa.Column("ORDERNO", sa.Integer, nullable=False),
    sa.Column("QSCAT", NAME, nullable=False),
    sa.Column("QSTESTCD", NAME, nullable=False),
    sa.Column("QSTEST", NAME, nullable=False),
)

baselines = sa.Table(
    "baselines",
    metadata,  # what changes of a scale count from, as the study file says: a visit, or the last up to an anchor
    *_keys("PROTVER", "ASSESSMENT", "SCALE"),
    sa.Column("BASEVISIT", NAME),
    sa.Column("BASEANCHOR", NAME),
)

APPLIED = {
    table.name: table
    for table in (
        responses,
        answers,
        scores,
        weeks,
        amendments,
        enrolments,
        withdrawals,
        anchors,
        misses,
        excuses,
        set_aside,
        settlements,
        signatures,
        signature_breaks,
        queries,
        entries,
    )
}
"""What the entries of the feed come to. Each row says the position of its entry."""

VERSION = 9
FILLED_FROM = 8
"""A database of before this version is told its feed again, which fills what is blank."""
