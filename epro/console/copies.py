"""The site's own copy: everything of its participants, by one click, past any sponsor; a worker makes it."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from flask import Response as Reply
from flask import g

from epro.api import exports
from epro.api.door import actor
from epro.console.door import act, page
from epro.console.page import back_to, show
from epro.console.worklist import site_zone
from epro.export.extract import Options
from epro.exporting import jobs
from epro.exporting.models import ExportJob
from epro.exporting.reading import EXPORTER
from epro.tx import look

OWNERS = ("investigator",)
FORMAT = "copy"
SHOWN = 10


@page("/studies/<study_id>/copy", roles=OWNERS, menu="copy.menu", order=50)
def copy(study_id: str) -> Reply:
    """Her copies, and asking for one."""
    with look(actor()) as tx:
        g.zone = site_zone(tx, study_id)
    return show("copy.html", jobs=_mine(study_id))


@page("/studies/<study_id>/copy/live", roles=OWNERS, live=True)
def copy_live(study_id: str) -> Reply:
    """The same list, as the page asks for it again while a copy is being made."""
    with look(actor()) as tx:
        g.zone = site_zone(tx, study_id)
    return show("_copies.html", jobs=_mine(study_id))


@act("/studies/<study_id>/copy", roles=OWNERS)
def ask_copy(study_id: str) -> Reply:
    """One click: everything of her sites up to now; it asks for a passkey, for she knows whose they are."""
    exports.shown_again(actor(), study_id)
    jobs.ask(actor(), study_id, FORMAT, None, Options(), unblinded=False)
    return back_to("copy", study_id=study_id)


@page("/studies/<study_id>/copy/<uuid:job_id>/file", roles=OWNERS)
def copy_file(study_id: str, job_id: UUID) -> Reply:
    """The archive."""
    job = jobs.find(actor(), job_id)
    return exports.sent(jobs.file_of(actor(), job), job)


def _mine(study_id: str) -> list[dict[str, object]]:
    """The copies that she has asked for, the newest first."""
    query = sa.select(ExportJob).where(
        ExportJob.study_id == study_id, ExportJob.asked_by == str(actor()), ExportJob.failed_at.is_(None)
    )
    with look(EXPORTER) as tx:
        found = tx.all(query.order_by(ExportJob.asked_at.desc()).limit(5 * SHOWN))
    return [exports.told(job) for job in found if job.request["format"] == FORMAT][:SHOWN]
