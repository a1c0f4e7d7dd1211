"""Reading a study at a cut, participant by participant, as the reader may see it.

No snapshot of the database is held meanwhile: entries up to a position never change, so a few participants are read
at a time, each time anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import orjson
import sqlalchemy as sa

from epro.config import VERSION
from epro.errors import NotFound
from epro.export.extract import CutPoint, Extract
from epro.export.records import Subject, fold
from epro.exporting import cuts
from epro.questionnaires import catalogue
from epro.questionnaires.instrument import Instrument
from epro.responses import sight
from epro.scheduling import protocols
from epro.scheduling.models import PublishedProtocol
from epro.scheduling.protocol import Protocol
from epro.stream import feed
from epro.studies import access
from epro.trail.models import FeedEntry
from epro.tx import Actor, Tx, look, system

EXPORTER = system("export")
SCORED_BY = ("response.rescored", "week.scored")
AT_ONCE = 200  # entries that are read at a time, unless one participant has more
Progress = Callable[[int], None]


def may(actor: Actor, study_id: str, *, unblinded: bool = False) -> None:
    """Raise NotAllowed or NotFound unless this actor may export something of this study, blinded or not."""
    access.allow(actor, "export.make")
    held = access.grants_for(actor, "export.make")
    if actor.kind != "system" and study_id not in {grant.study_id for grant in held}:
        raise NotFound()
    if unblinded:
        access.allow(actor, "blinded.read", study_id)


def point(study_id: str, cut: str | None = None) -> CutPoint:
    """The place that an export is to read up to: a cut by its name, or where the feed is now."""
    with look(EXPORTER) as tx:
        return cuts.find(tx, study_id, cut)


def extract(
    actor: Actor, cut: CutPoint, *, unblinded: bool = False, progress: Progress = lambda done: None
) -> Extract:
    """The study at this cut, for this actor. Raises NotAllowed, NotFound."""
    may(actor, cut.study_id, unblinded=unblinded)
    with look(EXPORTER) as tx:
        versions = _versions(tx, cut)
    return Extract(
        cut=cut,
        protocols=versions,
        instrument=_instruments(),
        subjects=lambda: _subjects(actor, cut, not unblinded, progress),
        blinded=not unblinded,
        sites=_sites(actor, cut.study_id),
        software=VERSION,
        scored_by=cache(lambda: _scored_by(actor, cut)),
    )


def size(actor: Actor, cut: CutPoint) -> int:
    """How many entries are there for this actor."""
    with look(actor) as tx:
        return sum(count for _, count in _counts(tx, cut))


def hidden_sites(actor: Actor, study_id: str) -> list[str]:
    """The sites whose scores and answers the study keeps from this actor."""
    with look(actor) as tx:
        there = protocols.by_site(tx, study_id)
        return [site for site, protocol in there.items() if _hides(tx, protocol, study_id, site)]


def reader(actor: Actor, study_id: str, unblinded: bool) -> str:
    """A name for what this reader may see of this study: another, once his roles or the study's blinding change."""
    grants = sorted([grant.site_id, grant.role] for grant in actor.grants if grant.study_id == study_id)
    said = [str(actor), study_id, unblinded, grants, hidden_sites(actor, study_id)]
    return hashlib.sha256(orjson.dumps(said)).hexdigest()[:32]


def _versions(tx: Tx, cut: CutPoint) -> tuple[Protocol, ...]:
    """The versions that were published when the cut's last entry got its place, the newest first."""
    query = sa.select(PublishedProtocol.version).where(
        PublishedProtocol.study_id == cut.study_id, PublishedProtocol.published_at <= cut.at
    )
    newest = query.order_by(PublishedProtocol.published_at.desc(), PublishedProtocol.version.desc())
    return tuple(protocols.find(tx, cut.study_id, version) for version in tx.all(newest))


def _scored_by(actor: Actor, cut: CutPoint) -> frozenset[tuple[str, str]]:
    """The definitions of what was scored again, and of weeks, as far as the actor reads them."""
    query: Any = sa.select(FeedEntry.body).where(FeedEntry.kind.in_(SCORED_BY))
    with look(actor) as tx:
        rows = tx.session.execute(_of_cut(tx, cut, query).execution_options(yield_per=1000))
        return frozenset(_made_by(orjson.loads(row.body)) for row in rows)


def _made_by(content: dict[str, Any]) -> tuple[str, str]:
    definition = (content.get("rescored") or content["week"])["instrument"]
    return definition["code"], definition["version"]


def _instruments() -> Callable[[str, str], Instrument]:
    def instrument(code: str, version: str) -> Instrument:
        with look(EXPORTER) as tx:
            found = catalogue.find(tx, code, version)
        if found is None:
            raise LookupError(f"instrument {code} {version} is not published")
        return found

    kept: dict[tuple[str, str], Instrument] = {}

    def once(code: str, version: str) -> Instrument:
        if (code, version) not in kept:
            kept[code, version] = instrument(code, version)
        return kept[code, version]

    return once


def _sites(actor: Actor, study_id: str) -> tuple[str, ...] | None:
    """The sites at which the actor may export, or None for all."""
    if actor.kind == "system":
        return None
    held = access.grants_for(actor, "export.make")
    sites = {grant.site_id for grant in held if grant.study_id == study_id}
    return None if "*" in sites else tuple(sorted(sites))


def _subjects(actor: Actor, cut: CutPoint, blinded: bool, progress: Progress) -> Iterator[Subject]:
    with look(actor) as tx:
        counts = _counts(tx, cut)
    for some in _shares(counts):
        with look(actor) as tx:
            found = _read(tx, cut, some, blinded)
        for subject_id in some:
            yield fold(cut.study_id, subject_id, found[subject_id])
        progress(sum(len(entries) for entries in found.values()))


def _counts(tx: Tx, cut: CutPoint) -> list[tuple[str, int]]:
    """Every participant that the actor may export, with the number of her entries; sorted here, not by a database."""
    query: Any = sa.select(FeedEntry.subject_id, sa.func.count())
    query = _of_cut(tx, cut, query)
    return sorted((row[0], row[1]) for row in tx.session.execute(query.group_by(FeedEntry.subject_id)))


def _shares(counts: list[tuple[str, int]]) -> Iterator[list[str]]:
    share: list[str] = []
    size = 0
    for subject_id, count in counts:
        if share and size + count > AT_ONCE:
            yield share
            share, size = [], 0
        share.append(subject_id)
        size += count
    if share:
        yield share


def _read(tx: Tx, cut: CutPoint, subjects: list[str], blinded: bool) -> dict[str, list[dict[str, Any]]]:
    columns = (
        FeedEntry.study_id,
        FeedEntry.position,
        FeedEntry.event_id,
        FeedEntry.kind,
        FeedEntry.body,
        FeedEntry.subject_id,
    )
    query: Any = sa.select(*columns).where(FeedEntry.subject_id.in_(subjects))
    query = _of_cut(tx, cut, query)
    found: dict[str, list[dict[str, Any]]] = {subject_id: [] for subject_id in subjects}
    shown = _shown(tx, cut.study_id, blinded)
    for row in tx.session.execute(query.order_by(FeedEntry.subject_id, FeedEntry.position)):
        found[row.subject_id].append(shown(feed.Entry(*row[:5])))
    return found


def _of_cut(tx: Tx, cut: CutPoint, query: sa.Select[Any]) -> sa.Select[Any]:
    return query.where(
        FeedEntry.study_id == cut.study_id,
        FeedEntry.position <= cut.position,
        access.visible(tx.actor, "export.make", FeedEntry),
    )


def _shown(tx: Tx, study_id: str, blinded: bool) -> Callable[[feed.Entry], dict[str, Any]]:
    """How an entry is told to this reader: by the same rules as the feed's."""
    there, base = protocols.by_site(tx, study_id), protocols.current(tx, study_id)
    kept: dict[str, tuple[bool, bool]] = {}

    def kept_at(site: str) -> tuple[bool, bool]:
        """Whether scores and answers are hidden, and whether any question there is blinded."""
        if site not in kept:
            protocol = there.get(site, base)
            asks = protocol is not None and sight.asks_blinded(tx, protocol)
            kept[site] = _hides(tx, protocol, study_id, site), blinded and asks
        return kept[site]

    def shown(entry: feed.Entry) -> dict[str, Any]:
        content = entry.content
        hidden, unseen = kept_at(content["site"])
        if not blinded and not hidden:
            return {"position": entry.position, **content}
        items = _blinded_items(tx, content) if blinded else frozenset()
        how = {"blinded": blinded, "hidden": hidden, "unseen": unseen, "call_only": blinded}
        return feed.told(entry, blinded_items=items, **how)

    return shown


def _hides(tx: Tx, protocol: Protocol | None, study_id: str, site: str) -> bool:
    if protocol is None or tx.actor.kind not in ("staff",):
        return False
    return sight.hides_scores(tx.actor, protocol, study_id, site)


def _blinded_items(tx: Tx, content: dict[str, Any]) -> frozenset[str]:
    asked = content.get("response", {}).get("instrument")
    found = catalogue.find(tx, asked["code"], asked["version"]) if asked else None
    return frozenset(item.id for item in found.items if item.blinded) if found else frozenset()
