"""Exports that are asked for and fetched later. A worker makes them; one that dies leaves its job to the next.

A job is made anew from its beginning: the cut and its bytes are the same, so it comes to the same. Files stand in a
folder that web and workers share, under the job's id, for as many days as the settings say.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from epro import db
from epro.errors import EproError, NotFound, places
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
MOST_TRIES = 3
PARTS = ".parts"


class NotReady(EproError):
    """The export is not made yet; ask for its status again."""

    status, code = 409, "export_not_ready"


class Gone(EproError):
    """The file was kept as long as it is kept; ask for the same cut again, it gives the same."""

    status, code = 410, "gone"


class Stopped(Exception):
    """The worker was told to stop; the job waits for the next one."""


def ask(
    actor: Actor, study_id: str, format: str, cut: str | None, options: Options, *, unblinded: bool
) -> ExportJob:
    """Note that an export is wanted. Its place in the feed is fixed now. Raises NotAllowed, NotFound."""
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
        _make(job, stopped)
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
        open_ = sa.and_(ExportJob.finished_at.is_(None), ExportJob.failed_at.is_(None))
        query = sa.select(ExportJob).where(open_, free).order_by(ExportJob.asked_at, ExportJob.id).limit(1)
        job: ExportJob | None = tx.one(query.with_for_update(skip_locked=True))
        if job is None:
            return None
        if job.tries >= MOST_TRIES:
            job.failed_at, job.fault = tx.now, "tries"
            return job
        job.tries, job.leased_until, job.done = job.tries + 1, tx.now + LEASE, 0
        return job


def _make(job: ExportJob, stopped: Callable[[], bool]) -> None:
    """One job to its end. What can be told to who asked is; what cannot is logged, and tried again."""
    if job.failed_at is not None:
        return
    beside = folder() / PARTS / str(job.id)
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        actor = _actor(job.asked_by)
        reader = reading.reader(actor, job.study_id, job.request["unblinded"])
        _note(job.id, finished=_put(job, _work(job, actor, beside, stopped)) | {"reader": reader})
    except Stopped:
        _give_back(job.id)
    except EproError as fault:
        _note(job.id, fault=fault.code)
    except AWAY:
        raise
    except Exception as fault:
        log.error(
            "export failed: %s at %s",
            type(fault).__name__,
            places(fault),
            extra={"action": "export.failed", "job": str(job.id)},
        )
        _note(job.id, lease=False)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _work(job: ExportJob, actor: Actor, beside: Path, stopped: Callable[[], bool]) -> making.Made:
    request = job.request
    with look(EXPORTER) as tx:
        point = cuts.at(tx, job.study_id, job.position, request["cut"])
    total = reading.size(actor, point)
    extract = reading.extract(
        actor, point, unblinded=request["unblinded"], progress=_progress(job.id, total, stopped)
    )
    options = Options(**request["options"])
    return making.make(actor, extract, registry.find(request["format"]), options, beside, job.id)


def _progress(job_id: UUID, total: int, stopped: Callable[[], bool]) -> reading.Progress:
    """Signs of life: how far it is, and the lease held for as long again."""
    count = {"done": 0, "told": 0}
    _sign(job_id, 0, total)

    def progress(done: int) -> None:
        if stopped():
            raise Stopped()
        count["done"] += done
        if count["done"] - count["told"] >= RENEW:
            count["told"] = count["done"]
            _sign(job_id, min(count["done"], total), total)

    return progress


def _sign(job_id: UUID, done: int, total: int) -> None:
    with begin(EXPORTER) as tx:
        job = _held(tx, job_id)
        job.done, job.total, job.leased_until = done, total, tx.now + LEASE


def _put(job: ExportJob, made: making.Made) -> dict[str, Any]:
    """One file of it: the only one there is, or an archive; put in its place whole."""
    format = registry.find(job.request["format"])
    cut = made.told["cut"]
    stem = f"{job.study_id}-{cut['name'] or cut['position']}-{format.name}"
    whole = made.folder.at(".whole.zip")
    files.zipped(made.folder, made.names(), made.at, whole)
    name = f"{job.id}.zip"
    told = {
        "file": name,
        "name": f"{stem}.zip",
        "media_type": "application/zip",
        "bytes": whole.stat().st_size,
        "sha256": files.digest(whole),
        "rows": made.rows,
        "files": made.told["files"],
        "digest": made.digest,
    }
    files.moved(whole, folder() / name)
    return told


def _note(
    job_id: UUID, *, finished: dict[str, Any] | None = None, fault: str | None = None, lease: bool = True
) -> None:
    with begin(EXPORTER) as tx:
        job = _held(tx, job_id)
        job.leased_until = None
        if finished is not None:
            job.finished_at, job.made, job.done = tx.now, finished, job.total or 0
        elif fault is not None:
            job.failed_at, job.fault = tx.now, fault
        elif not lease and job.tries > 0:
            job.leased_until = tx.now + timedelta(seconds=30)  # a pause before the next try


def _give_back(job_id: UUID) -> None:
    """For the next worker, as if it had not been tried: nothing was wrong with it."""
    with begin(EXPORTER) as tx:
        job = _held(tx, job_id)
        job.leased_until, job.tries = None, job.tries - 1


def _held(tx: Tx, job_id: UUID) -> ExportJob:
    job = tx.get(ExportJob, job_id, lock=True)
    assert job is not None
    return job


def _actor(asked_by: str) -> Actor:
    """Who asked, with the roles of now: who has lost hers gets nothing. Raises NotFound."""
    with look(EXPORTER) as tx:
        found = staff.actor_again(tx, asked_by)
    if found is None:
        raise NotFound()
    return found
