"""A comparison of a trial database of 1.3 million rows (a million answers) with the feed; then with one row of each
kind of fault planted. Seconds, rows a second, and whether the fault is named, it alone."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from benchmarks import bulk_feed
from benchmarks.installation import STUDY, application, databases, server_seconds
from epro import worker
from epro.stream import delivering
from epro.stream.reconciling import differences
from epro.stream.sinks import trial_tables as trial
from epro.stream.sinks.trial_db import TrialDatabase

PLACE = 17_771  # where the fault is planted: a position in the midst of it


def main() -> None:
    for kind in sys.argv[1:] or ("postgresql", "sqlite"):
        with databases(kind) as environ:
            app = application(environ)
            with app.app_context():
                bulk_feed.fill()
                (target,) = worker.sinks_of(app.config["EPRO"])
                assert isinstance(target, TrialDatabase)
                delivering.deliver(target)
                _all(kind, target)


def _all(kind: str, target: TrialDatabase) -> None:
    with target.engine.connect() as connection:
        count = sum(
            connection.scalar(sa.select(sa.func.count()).select_from(one)) or 0
            for one in trial.APPLIED.values()
        )
    print(f"{kind}: {count:,} rows", flush=True)
    for planted in (None, "deleted", "changed", "doubled"):
        with _planted(target, planted) as expected:
            began, used, servers = time.perf_counter(), time.process_time(), server_seconds(target.engine)
            found = [str(one) for one in differences(target, STUDY, delivering.definitions())]
            wall, ours = time.perf_counter() - began, time.process_time() - used
            servers = server_seconds(target.engine) - servers
        assert found == expected, (found[:5], expected)
        print(
            f"  {planted or 'nothing planted'}: {wall:.0f} s on the wall, {ours:.0f} s of our processor time, "
            f"{servers:.0f} s of the server's, {count / (ours + servers):,.0f} rows/s; named {found or 'nothing'}",
            flush=True,
        )


@contextmanager
def _planted(target: TrialDatabase, what: str | None) -> Iterator[list[str]]:
    """One fault, taken back afterwards; what is to be named."""
    table = trial.answers
    with target.engine.begin() as connection:
        row = connection.execute(sa.select(table).where(table.c.POSITION == PLACE).limit(1)).mappings().one()
        same = sa.and_(*(table.c[one.name] == row[one.name] for one in table.primary_key))
        key = "/".join(str(row[one.name]) for one in table.primary_key)
        double = dict(row) | {"ITEMID": "again"}
        if what == "deleted":
            connection.execute(table.delete().where(same))
        elif what == "changed":
            connection.execute(table.update().where(same).values(QSSTRESN=9.0))
        elif what == "doubled":
            connection.execute(table.insert().values(double))
    named = {
        None: [],
        "deleted": [f"missing: answers {key}"],
        "changed": [f"changed: answers {key} (QSSTRESN)"],
        "doubled": [f"extra: answers {STUDY}/{PLACE}/again"],
    }
    yield named[what]
    with target.engine.begin() as connection:
        connection.execute(table.delete().where(table.c.ITEMID == double["ITEMID"]))
        connection.execute(table.delete().where(same))
        connection.execute(table.insert().values(dict(row)))


if __name__ == "__main__":
    main()
