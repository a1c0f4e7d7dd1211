"""Exports that are asked for and fetched later. A worker makes them; one that dies leaves its job to the next.

A job is made anew from its beginning: the cut and its bytes are the same, so it comes to the same. Files stand in a
folder that web and workers share, under the job's id, for as many days as the settings say.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from epro import db
from epro.errors import EproError, NotFound, TooMany, places
from epro.export import files, registry
from epro.export.extract import Options
from epro.exporting import cuts, making, reading
from epro.exporting.models import ExportJob
from epro.exporting.reading import EXPORTER
from epro.signin import staff
from epro.studies import access
from epro.tx import AWAY, Actor, Tx, begin, look

log = logging.getLogger(__name__)
LEASE = timedelta(minutes=10)  # renewed while work goes on
RENEW = 2_000  # entries between two signs of life
PAUSE = timedelta(seconds=30)  # before the next try
MOST_TRIES = 3
MOST_WAITING = 5  # exports that one asker may have open; workers make them one after the other
PARTS = ".parts"
OPEN = (ExportJob.finished_at.is_(None), ExportJob.failed_at.is_(None))


class Queued(TooMany):
    """Five of your exports wait or are being made; fetch one of them, or ask again when one is done."""

    code = "too_many_exports"


class NotReady(EproError):
    """The export is not made yet; ask for its status again."""

    status, code = 409, "export_not_ready"


class Gone(EproError):
    """The file was kept as long as it is kept; ask for the same cut again, it gives the same."""

    status, code = 410, "gone"


class Stopped(Exception):
    """The worker was told to stop; the job waits for the next one."""


class Lost(Exception):
    """The lease ended while we worked, and another worker has the job."""


@dataclass
class Hold:
    """A job in one worker's hands. Its lease ends at `until`, an instant that no other worker's lease has."""

    job: ExportJob
    until: datetime

    def row(self, tx: Tx) -> ExportJob:
        """The job, locked. Raises Lost when it is not ours any more."""
        found = tx.get(ExportJob, self.job.id, lock=True)
        if found is None or found.leased_until != self.until:
            raise Lost()
        return found

    def renew(self) -> None:
        """A sign of life: the lease holds for as long again."""
        with begin(EXPORTER) as tx:
            row = self.row(tx)
            self.until = row.leased_until = tx.now + LEASE


def ask(
    actor: Actor, study_id: str, format: str, cut: str | None, options: Options, *, unblinded: bool
) -> ExportJob:
    """Note that an export is wanted. Its place in the feed is fixed now. Raises NotAllowed, NotFound, Queued."""
    reading.may(actor, study_id, unblinded=unblinded)
    registry.find(format)
    point = reading.point(study_id, cut)
    request = {
        "format": format,
        "cut": point.name,
        "unblinded": unblinded,
        "options": {"flavour": options.flavour, "scores": options.scores, "extra": options.extra},
    }
    with begin(EXPORTER) as tx:
        _check_queue(tx, actor)
        return tx.add(
            ExportJob(
                id=uuid4(),
                study_id=study_id,
                asked_by=str(actor),
                asked_at=tx.now,
                request=request,
                position=point.position,
            )
        )


def _check_queue(tx: Tx, actor: Actor) -> None:
    """Whoever asks for many waits for some: others' exports are behind them in the same queue."""
    mine = sa.and_(ExportJob.asked_by == str(actor), *OPEN)
    if (tx.session.scalar(sa.select(sa.func.count()).where(mine)) or 0) >= MOST_WAITING:
        raise Queued()


def find(actor: Actor, job_id: UUID) -> ExportJob:
    """The job of this id, for who asked for it and may still have it. Raises NotAllowed, NotFound."""
    access.allow(actor, "export.make")
    with look(EXPORTER) as tx:
        job = tx.get(ExportJob, job_id)
    if job is None or job.asked_by != str(actor):
        raise NotFound()
    reading.may(actor, job.study_id, unblinded=job.request["unblinded"])
    return job


def file_of(actor: Actor, job: ExportJob) -> Path:
    """The finished file, if all that is in it may still be seen. Raises NotReady, Gone."""
    if job.finished_at is None or job.made is None:
        raise NotReady()
    if job.made.get("reader") != reading.reader(actor, job.study_id, job.request["unblinded"]):
        raise Gone("What you may see has changed since this was made: ask for it again.")
    path = folder() / job.made["file"]
    if job.removed_at is not None or not path.is_file():
        raise Gone()
    return path


def of(tx: Tx, study_id: str, asked_by: str | None, count: int) -> list[ExportJob]:
    """The last jobs of a study, of everybody or of one who asked, the newest first."""
    query = sa.select(ExportJob).where(ExportJob.study_id == study_id)
    if asked_by is not None:
        query = query.where(ExportJob.asked_by == asked_by)
    return tx.all(query.order_by(ExportJob.asked_at.desc(), ExportJob.id).limit(count))


def state(job: ExportJob) -> str:
    """What a job is: waiting, running, done, failed, or removed when its file was kept long enough."""
    if job.failed_at is not None:
        return "failed"
    if job.finished_at is not None:
        return "removed" if job.removed_at is not None else "done"
    return "waiting" if job.total is None else "running"


def share(job: ExportJob) -> float:
    """How much of it is done, from 0 to 1."""
    if job.finished_at is not None:
        return 1.0
    return job.done / job.total if job.total else 0.0


def folder() -> Path:
    """Where exports are kept."""
    path = Path(db.settings()["EXPORT_DIR"] or "exports")
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def days_kept() -> float:
    """How long what was made is kept."""
    return float(db.settings()["EXPORT_DAYS"] or 7)


def run_due(stopped: Callable[[], bool] = lambda: False) -> int:
    """Make what is asked for, one after the other; take away what has been kept long enough. Returns how many."""
    made = 0
    while not stopped() and (job := _claim()):
        if job.leased_until is not None and job.failed_at is None:
            _make(Hold(job, job.leased_until), stopped)
        made += 1
    return made + remove_old()


def remove_old() -> int:
    """Take away files that were kept as long as they are kept."""
    with begin(EXPORTER) as tx:
        until = tx.now - timedelta(days=days_kept())
        query = sa.select(ExportJob).where(ExportJob.finished_at <= until, ExportJob.removed_at.is_(None))
        old = tx.all(query)
        for job in old:
            (folder() / str((job.made or {}).get("file"))).unlink(missing_ok=True)
            job.removed_at = tx.now
    return len(old)


def _claim() -> ExportJob | None:
    """Take the job that has waited longest, unless another worker holds it."""
    with begin(EXPORTER) as tx:
        free = sa.or_(ExportJob.leased_until.is_(None), ExportJob.leased_until < tx.now)
        query = sa.select(ExportJob).where(*OPEN, free).order_by(ExportJob.asked_at, ExportJob.id).limit(1)
        job: ExportJob | None = tx.one(query.with_for_update(skip_locked=True))
        if job is None:
            return None
        if job.tries >= MOST_TRIES:
            job.failed_at, job.fault = tx.now, "tries"
            return job
        job.tries, job.leased_until, job.done = job.tries + 1, tx.now + LEASE, 0
        return job


def _make(hold: Hold, stopped: Callable[[], bool]) -> None:
    """One job to its end. What can be told to who asked is; what cannot is logged, and tried again."""
    job = hold.job
    beside = _emptied(job)
    try:
        actor = _actor(job.asked_by)
        reader = reading.reader(actor, job.study_id, job.request["unblinded"])
        made = _work(hold, actor, beside, stopped)
        _finish(hold, made, reader)
    except Lost:
        log.warning("export left to another worker", extra={"action": "export.lost", "job": str(job.id)})
    except Stopped:
        _end(hold, tries=job.tries - 1)  # for the next worker, as if it had not been tried
    except EproError as fault:
        _end(hold, failed=fault.code)
    except AWAY:
        raise
    except Exception as fault:
        log.error(
            "export failed: %s at %s",
            type(fault).__name__,
            places(fault),
            extra={"action": "export.failed", "job": str(job.id)},
        )
        _end(hold, pause=PAUSE)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _emptied(job: ExportJob) -> Path:
    """A folder for this try alone; those of earlier tries are taken away."""
    parts = folder() / PARTS
    for old in parts.glob(f"{job.id}.*"):
        shutil.rmtree(old, ignore_errors=True)
    beside = parts / f"{job.id}.{job.tries}.{uuid4().hex}"
    beside.mkdir(parents=True)
    return beside


def _work(hold: Hold, actor: Actor, beside: Path, stopped: Callable[[], bool]) -> making.Made:
    job = hold.job
    request = job.request
    with look(EXPORTER) as tx:
        point = cuts.at(tx, job.study_id, job.position, request["cut"])
    total = reading.size(actor, point)
    extract = reading.extract(
        actor, point, unblinded=request["unblinded"], progress=_progress(hold, total, stopped)
    )
    options = Options(**request["options"])
    return making.make(actor, extract, registry.find(request["format"]), options, beside, job.id)


def _progress(hold: Hold, total: int, stopped: Callable[[], bool]) -> reading.Progress:
    """Signs of life: how far it is, and the lease held for as long again."""
    count = {"done": 0, "told": 0}
    _sign(hold, 0, total)

    def progress(done: int) -> None:
        if stopped():
            raise Stopped()
        count["done"] += done
        if count["done"] - count["told"] >= RENEW:
            count["told"] = count["done"]
            _sign(hold, min(count["done"], total), total)

    return progress


def _sign(hold: Hold, done: int, total: int) -> None:
    with begin(EXPORTER) as tx:
        job = hold.row(tx)
        job.done, job.total = done, total
        hold.until = job.leased_until = tx.now + LEASE


def _finish(hold: Hold, made: making.Made, reader: Any) -> None:
    """One file of it, put in its place whole, and the word that it is there."""
    hold.renew()
    whole, told = _packed(hold, made)
    with begin(EXPORTER) as tx:
        job = hold.row(tx)
        files.moved(whole, folder() / told["file"])
        job.finished_at, job.leased_until, job.done = tx.now, None, job.total or 0
        job.made = told | {"reader": reader}


def _packed(hold: Hold, made: making.Made) -> tuple[Path, dict[str, Any]]:
    """Its files in one archive, and what is told of it; the lease is renewed before each of them."""
    job, cut = hold.job, made.told["cut"]
    format = registry.find(job.request["format"])
    whole = made.folder.at(".whole.zip")
    files.zipped(made.folder, made.names(), made.at, whole, before_each=hold.renew)
    told = {
        "file": f"{job.id}.zip",
        "name": f"{job.study_id}-{cut['name'] or cut['position']}-{format.name}.zip",
        "media_type": "application/zip",
        "bytes": whole.stat().st_size,
        "sha256": files.digest(whole),
        "rows": made.rows,
        "files": made.told["files"],
        "digest": made.digest,
    }
    return whole, told


def _end(
    hold: Hold, *, failed: str | None = None, tries: int | None = None, pause: timedelta | None = None
) -> None:
    """Let go of a job that is not done: failed for good, or for the next try, at once or after a pause."""
    with suppress(Lost), begin(EXPORTER) as tx:
        job = hold.row(tx)
        job.leased_until = tx.now + pause if pause else None
        job.tries = job.tries if tries is None else tries
        if failed is not None:
            job.failed_at, job.fault = tx.now, failed


def _actor(asked_by: str) -> Actor:
    """Who asked, with the roles of now: who has lost hers gets nothing. Raises NotFound."""
    with look(EXPORTER) as tx:
        found = staff.actor_again(tx, asked_by)
    if found is None:
        raise NotFound()
    return found
