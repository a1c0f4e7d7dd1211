"""The tables of the trial database, named as SDTM names things where it has a word.

One row a response, one an answered item, one a scale. Every key is such that applying an entry twice changes
nothing. `feed_state` says how far the feed has been applied, in the same transaction.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()
NAME = sa.String(191)  # the longest text that every engine can index
LONG = sa.Text()

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
    sa.Column("VISITNUM", sa.Float),
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
    sa.Column("AMENDSID", NAME),
    sa.Column("EVENTID", NAME, nullable=False),
    sa.Column("POSITION", sa.BigInteger, nullable=False),
)

answers = sa.Table(
    "answers",
    metadata,
    sa.Column("STUDYID", NAME, primary_key=True),
    sa.Column("RESPONSEID", NAME, primary_key=True),
    sa.Column("ITEMID", NAME, primary_key=True),
    sa.Column("USUBJID", NAME, nullable=False),
    sa.Column("QSCAT", NAME, nullable=False),
    sa.Column("QSTESTCD", NAME, nullable=False),
    sa.Column("QSTEST", NAME, nullable=False),
    sa.Column("QSORRES", NAME),  # the code as it was given, before any reversal
    sa.Column("QSSTRESN", sa.Float(53)),
    sa.Column("QSSTAT", NAME),  # NOT DONE
    sa.Column("QSREASND", NAME),  # why not: skipped, not applicable
    sa.Column("POSITION", sa.BigInteger, nullable=False),
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
    sa.Column("QSSTRESN", sa.Float(53)),
    sa.Column("QSREASND", NAME),
    sa.Column("ANSWERED", sa.Integer, nullable=False),
    sa.Column("EXPECTED", sa.Integer, nullable=False),
    sa.Column("RULE", NAME, nullable=False),
    sa.Column("METHOD", NAME, nullable=False),
    sa.Column("METHODVER", NAME, nullable=False),
    sa.Column("ITEMSUSED", LONG, nullable=False),
    sa.Column("ITEMSMISS", LONG, nullable=False),
    sa.Column("POSITION", sa.BigInteger, nullable=False),
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
)

amendments = sa.Table(
    "amendments",
    metadata,
    sa.Column("STUDYID", NAME, primary_key=True),
    sa.Column("RESPONSEID", NAME, primary_key=True),
    sa.Column("AMENDSID", NAME, nullable=False),
    sa.Column("USUBJID", NAME, nullable=False),
    sa.Column("REASON", LONG),
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

VERSION = 1
