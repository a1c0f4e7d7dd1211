"""What an actor may see and do, decided here and nowhere else.

Two questions: may this role do this at all (`allow`), and which rows may it touch (`visible`). A row outside
is answered exactly like a row that does not exist. PostgreSQL's row policies say the second once more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from epro.errors import Conflict, NotAllowed, NotFound
from epro.studies.models import Participant, Site
from epro.trail import INSTALLATION
from epro.tx import Actor, Grant, Tx

ROLES = ("nurse", "investigator", "data_manager", "monitor", "study_builder", "administrator")

OF_THE_SITE = frozenset({"nurse", "investigator"})
OF_THE_SPONSOR = frozenset({"data_manager", "monitor"})
"""Whoever holds one of these in a study changes, settles and signs no answers there, whatever else she holds."""

# Who may do what. A permission that stands nowhere is nobody's.
PERMISSIONS: dict[str, frozenset[str]] = {
    "participant.read": frozenset({"nurse", "investigator", "data_manager", "monitor", "machine"}),
    "participant.enrol": frozenset({"nurse", "investigator"}),
    "participant.activate": frozenset({"nurse", "investigator"}),
    "participant.anchor": frozenset({"nurse", "investigator"}),
    "participant.withdraw": frozenset({"nurse", "investigator"}),
    "participant.erase": frozenset({"investigator"}),
    "participant.copy": frozenset({"investigator"}),  # all that is on file of one person, contact data too
    "rights.note": frozenset({"nurse", "investigator"}),
    "rights.answer": frozenset({"investigator"}),
    "participant.contact": frozenset({"nurse", "investigator"}),
    "participant.note": frozenset({"nurse", "investigator"}),
    "device.revoke": frozenset({"nurse", "investigator", "administrator"}),
    "alert.read": frozenset({"nurse", "investigator"}),
    "alert.act": frozenset({"nurse", "investigator"}),
    "response.read": frozenset({"nurse", "investigator", "data_manager", "monitor", "machine"}),
    "response.correct": frozenset({"nurse", "investigator"}),  # of nurses the study file decides
    "response.sign": frozenset({"investigator"}),  # never a role of the sponsor
    "query.read": frozenset({"nurse", "investigator", "data_manager", "monitor"}),
    "query.ask": frozenset({"data_manager", "monitor"}),
    "query.answer": frozenset({"nurse", "investigator"}),
    "study.read": frozenset({*ROLES, "machine"}),
    "instrument.read": frozenset({*ROLES, "machine"}),
    "export.bulk": frozenset({"data_manager", "machine"}),
    "trail.read": frozenset({"investigator", "data_manager", "monitor", "machine"}),
    "reading.read": frozenset({"investigator", "data_manager", "monitor", "administrator"}),
    "feed.read": frozenset({"data_manager", "machine"}),
    "sink.tend": frozenset({"data_manager"}),
    "export.make": frozenset({"investigator", "data_manager", "machine"}),
    "blinded.read": frozenset({"machine"}),  # as in the feed: no person, whatever her role
    "anchor.import": frozenset({"edc"}),
    "study.publish": frozenset({"study_builder", "administrator"}),
    "wording.handle": frozenset({"study_builder", "data_manager", "administrator"}),
    "staff.manage": frozenset({"administrator"}),
    "key.manage": frozenset({"administrator"}),
}

_SIDED = OF_THE_SITE | OF_THE_SPONSOR


def grants_for(actor: Actor, permission: str) -> tuple[Grant, ...]:
    """The actor's grants that carry this permission."""
    roles = PERMISSIONS[permission]
    return tuple(grant for grant in actor.grants if grant.role in roles)


def allow(actor: Actor, permission: str, study_id: str | None = None, site_id: str | None = None) -> None:
    """Raise NotAllowed if no grant carries this; NotFound if one does, but elsewhere."""
    if actor.kind == "system":
        return
    grants = grants_for(actor, permission)
    if not grants:
        raise NotAllowed()
    if study_id is not None and not any(_covers(grant, study_id, site_id) for grant in grants):
        raise NotFound()


def is_sponsors(actor: Actor, study_id: str) -> bool:
    """Whether the actor works for the sponsor in this study, at any of its sites."""
    return any(grant.study_id == study_id and grant.role in OF_THE_SPONSOR for grant in actor.grants)


def is_sites(actor: Actor, study_id: str) -> bool:
    """Whether the actor works at a site of this study, where the list of names is kept."""
    return any(grant.study_id == study_id and grant.role in OF_THE_SITE for grant in actor.grants)


def are_of_both_sides(grants: Iterable[Grant]) -> bool:
    """Whether these would make one person site and sponsor of the same study."""
    sides = {(grant.study_id, grant.role in OF_THE_SITE) for grant in grants if grant.role in _SIDED}
    return any((study_id, not site) in sides for study_id, site in sides)


def studies_of(actor: Actor, permission: str) -> list[str]:
    """The studies in which the actor holds this permission at all sites, in order."""
    allow(actor, permission)
    return sorted({grant.study_id for grant in grants_for(actor, permission) if grant.site_id == "*"})


def one_study(actor: Actor, permission: str, asked: str | None) -> str:
    """The study meant: the one asked for, or the only one there is. Raises Conflict when it is unclear.

    What is asked for is the study as a whole: a grant at one site of it does not open it.
    """
    held = studies_of(actor, permission)
    if not held:
        raise NotAllowed()
    if asked is not None:
        if asked not in held:
            raise NotFound()
        return asked
    if len(held) != 1:
        raise Conflict("More than one study is open to this key: name it with `study`.")
    return held[0]


def some_study(actor: Actor, permission: str, asked: str | None) -> str:
    """The study meant by somebody who holds this permission at any of its sites: the one asked for, or the only one."""
    allow(actor, permission)
    held = sorted({grant.study_id for grant in grants_for(actor, permission)})
    if asked is not None:
        if asked not in held:
            raise NotFound()
        return asked
    if len(held) != 1:
        raise Conflict("More than one study is open to you: name it with `study`.")
    return held[0]


def beyond_studies(actor: Actor, permission: str) -> Actor:
    """The actor before what belongs to no study, with those of her roles that carry this permission, wherever held."""
    roles = sorted({grant.role for grant in grants_for(actor, permission)})
    if not roles:
        raise NotAllowed()
    return replace(actor, grants=tuple(Grant(INSTALLATION, "*", role) for role in roles))


def visible(actor: Actor, permission: str, table: Any = Participant) -> sa.ColumnElement[bool]:
    """The condition under which rows of `table` (participants, or rows with their key) may be touched."""
    if actor.kind == "system":
        return sa.true()
    if actor.kind == "participant":
        return sa.and_(table.study_id == actor.study_id, table.subject_id == actor.subject_id)
    inside = [_inside(grant) for grant in grants_for(actor, permission)]
    if not inside:
        return sa.false()
    if table is Participant:
        return sa.or_(*inside)
    own = sa.and_(Participant.study_id == table.study_id, Participant.subject_id == table.subject_id)
    return sa.exists().where(own, sa.or_(*inside))


def at_sites(actor: Actor, permission: str, table: Any) -> sa.ColumnElement[bool]:
    """The condition under which rows of `table` that tell of a site, and of nobody by herself, may be read."""
    if actor.kind == "system":
        return sa.true()
    return sa.or_(sa.false(), *(_inside(grant, table) for grant in grants_for(actor, permission)))


def sites(tx: Tx, permission: str, study_id: str) -> list[Site]:
    """The sites of a study at which the actor holds this permission, in order."""
    held = {grant.site_id for grant in grants_for(tx.actor, permission) if grant.study_id == study_id}
    query = sa.select(Site).where(Site.study_id == study_id).order_by(Site.id)
    return [site for site in tx.all(query) if site.id in held or "*" in held]


def participant(
    tx: Tx, subject_id: str, permission: str, *, study_id: str | None = None, lock: bool = False
) -> Participant:
    """The participant of this id that the actor may see under this permission, else NotFound."""
    allow(tx.actor, permission)
    query = sa.select(Participant).where(Participant.subject_id == subject_id, visible(tx.actor, permission))
    if study_id is not None:
        query = query.where(Participant.study_id == study_id)
    found = tx.all(query.limit(2))
    if not found:
        raise NotFound()
    if len(found) > 1:
        raise Conflict("This subject id stands in more than one study: name it with `study`.")
    if not lock:
        return found[0]
    locked = tx.get(Participant, found[0].study_id, found[0].subject_id, lock=True)
    assert locked is not None
    return locked


IN_TWO = "This id stands in more than one study: open it in its study, in the console."


def the_one(tx: Tx, query: sa.Select[Any], in_two: str = IN_TWO) -> Any:
    """The row of an id that whoever made it has chosen, among those that the actor may see. Raises NotFound; Conflict
    where two studies have it: nobody acts on one of them by chance.
    """
    found = tx.all(query.limit(2))
    if not found:
        raise NotFound()
    if len(found) > 1:
        raise Conflict(in_two)
    return found[0]


def _covers(grant: Grant, study_id: str, site_id: str | None) -> bool:
    return grant.study_id == study_id and (site_id is None or grant.site_id in ("*", site_id))


def _inside(grant: Grant, table: Any = Participant) -> sa.ColumnElement[bool]:
    if grant.site_id == "*":
        return table.study_id == grant.study_id
    return sa.and_(table.study_id == grant.study_id, table.site_id == grant.site_id)
