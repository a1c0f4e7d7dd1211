"""Finding what a search asks for, page by page, within what the actor may see.

Each kind of resource has a source: the rows it is told from (always through `studies/access.py`), the order they
are paged in, and how a page of them is told. Pages follow one another by key, so that the last costs what the
first does; what belongs to a page is fetched for all of it at once.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from epro.export import fhir_names as names
from epro.export.fhir_names import Json
from epro.export.fhir_record import OF_RECORDS, audit_event, provenance
from epro.export.fhir_responses import Version, questionnaire_response
from epro.export.fhir_scores import observation, week_observation, week_sources
from epro.export.fhir_search import BadSearch, Search, cursor, cursor_of, reference, span, token
from epro.export.fhir_studies import location, organization, patient, research_study, research_subject
from epro.export.fhir_tasks import FACTS, task
from epro.questionnaires import catalogue
from epro.questionnaires.instrument import Instrument
from epro.responses import runs
from epro.responses.models import Response, Score, Settlement, WeekScore
from epro.responses.receiving import answers_of
from epro.responses.sight import hiding_places
from epro.scheduling import protocols
from epro.scheduling.models import Occurrence
from epro.studies import access
from epro.studies.models import Participant, Site, Study
from epro.trail.models import Event
from epro.tx import Tx

Condition = sa.ColumnElement[bool]
Owner = aliased(Participant, name="owner")
Filing = (
    sa.select(
        Settlement.study_id, Settlement.response_id, sa.func.min(Settlement.settled_at).label("settled_at")
    )
    .where(Settlement.response_id.is_not(None))
    .group_by(Settlement.study_id, Settlement.response_id)
    .subquery("filing")
)
FILED_AT = sa.func.coalesce(Filing.c.settled_at, Response.received_at, type_=Response.received_at.type)
"""When a response came to be on file: what was held did when a person settled it, however long after its receipt."""


@dataclass(frozen=True)
class Page:
    """What was found, where to go on (None: that was all), and how many there are where that was asked."""

    resources: list[Json]
    following: str | None
    total: int | None = None


@dataclass(frozen=True)
class Source:
    """`keys` order the rows; `updated` is when a row last changed; `filters`: parameter -> condition of one value.

    `beside` is where more of the same kind comes from, with the same parameters: it follows, or is merged by date.
    """

    permission: str
    rows: Callable[[Tx, datetime | None], sa.Select[Any]]
    keys: tuple[Any, ...]
    updated: Any
    types: Mapping[str, str]
    filters: Mapping[str, Callable[[Tx, str], Condition]]
    tell: Callable[[Tx, Sequence[Any], str], list[Json]]
    beside: Source | None = None


def page(
    tx: Tx,
    kind: str,
    search: Search,
    base: str,
    *,
    study_id: str | None = None,
    as_of: datetime | None = None,
) -> Page:
    """One page of a search; of one study only, as things stood at an instant. Raises BadSearch."""
    queries = [
        (source, _wanted(tx, source, search, study_id, as_of)) for source in _and_beside(SOURCES[kind])
    ]
    total = sum(_count(tx, query) for _, query in queries) if search.total or search.only_count else None
    if search.only_count:
        return Page([], None, total)
    rows = _rows(tx, queries, search)
    found = rows[: search.count]
    following = _place(found[-1]) if len(rows) > len(found) else None
    return Page(_tell(tx, [source for source, _ in queries], found, base), following, total)


def _and_beside(source: Source) -> list[Source]:
    return [source, *(_and_beside(source.beside) if source.beside else ())]


def _count(tx: Tx, query: sa.Select[Any]) -> int:
    return tx.session.scalar(sa.select(sa.func.count()).select_from(query.order_by(None).subquery())) or 0


def _rows(tx: Tx, queries: Sequence[tuple[Source, sa.Select[Any]]], search: Search) -> list[Any]:
    """The rows of a page, and one more where more are there. Each says by `part` which source it is of."""
    rows: list[Any] = []
    for part, (source, query) in enumerate(queries):
        if search.sort or len(rows) <= search.count:
            rows += tx.session.execute(_ordered(source, query, part, search)).all()
    if search.sort and len(queries) > 1:  # of one instant the first source's come first, whichever the order
        rows.sort(key=lambda row: row.key_0, reverse=search.sort.startswith("-"))
    return rows[: search.count + 1]


def _ordered(source: Source, query: sa.Select[Any], part: int, search: Search) -> sa.Select[Any]:
    order, descending = _order(source, search)
    named = (key.label(f"key_{number}") for number, key in enumerate(order))
    query = query.add_columns(*named, sa.literal_column(str(part)).label("part"))
    if search.cursor is not None:
        query = query.where(_behind(order, part, search, descending))
    query = query.order_by(*(key.desc() if descending else key for key in order))
    return query.limit(search.count + 1)


def _place(row: Any) -> str:
    """Where a page ends, as its cursor."""
    keys = sorted((name for name in row._fields if name.startswith("key_")), key=lambda name: int(name[4:]))
    return cursor([row.part, *(getattr(row, name) for name in keys)])


def _tell(tx: Tx, sources: Sequence[Source], rows: Sequence[Any], base: str) -> list[Json]:
    """Those of each source at once; in the order of the rows."""
    by_part: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        by_part[row.part].append(row)
    told = {part: iter(sources[part].tell(tx, of, base)) for part, of in by_part.items()}
    return [next(told[row.part]) for row in rows]


def one(tx: Tx, kind: str, resource_id: str, base: str) -> Json | None:
    """The resource of this id that the actor may see, or None."""
    found = page(tx, kind, Search((("_id", (resource_id,)),), count=1), base).resources
    return found[0] if found else None


def onward(search: Search, found: Page) -> Search | None:
    """The search for the page after this one; None after the last."""
    return replace(search, cursor=cursor_of(found.following)) if found.following else None


def _wanted(
    tx: Tx, source: Source, search: Search, study_id: str | None, as_of: datetime | None
) -> sa.Select[Any]:
    query = source.rows(tx, as_of)
    if study_id is not None:
        query = query.where(source.keys[0] == study_id)
    if as_of is not None:
        query = query.where(source.updated <= _at(source.updated, as_of))
    for name, values in search.wanted:
        if name == "_lastUpdated":
            conditions = [_within(source.updated, value) for value in values]
        else:
            conditions = [source.filters[name](tx, value) for value in values]
        query = query.where(sa.or_(sa.false(), *conditions))
    return query


def _order(source: Source, search: Search) -> tuple[tuple[Any, ...], bool]:
    if search.sort is None:
        return source.keys, False
    return (source.updated, *source.keys), search.sort.startswith("-")


def _behind(order: tuple[Any, ...], part: int, search: Search, descending: bool) -> Condition:
    """What follows the place at which the page before ended, in this part of what is searched."""
    ended, *values = search.cursor or ("",)
    if ended not in ("0", "1") or not values:
        raise BadSearch(NO_PAGE)
    if int(ended) == part:
        here, there = sa.tuple_(*order), sa.tuple_(*_bound(order, values))
        return here < there if descending else here > there
    if search.sort is None:
        return sa.true() if part > int(ended) else sa.false()
    (instant,) = _bound(order[:1], values[:1])
    past = order[0] < instant if descending else order[0] > instant
    return sa.or_(past, order[0] == instant) if part > int(ended) else past


NO_PAGE = "This is no page of this search: search again without _cursor."


def _bound(order: Sequence[Any], values: Sequence[str]) -> list[Any]:
    if len(values) != len(order):
        raise BadSearch(NO_PAGE)
    try:
        return [_typed(key, value) for key, value in zip(order, values, strict=True)]
    except (ValueError, OverflowError):
        raise BadSearch(NO_PAGE) from None


def _typed(key: Any, value: str) -> Any:
    kind = key.type.python_type if not hasattr(key.type, "impl") else datetime
    made: Any = value
    if kind is UUID:
        made = UUID(value)
    elif kind is datetime:
        made = datetime.fromisoformat(value)
        if made.tzinfo is None:
            raise ValueError(value)
        made = made.astimezone(UTC)
    elif kind is int:
        made = int(value)
        made.to_bytes(8, signed=True)  # raises OverflowError for what no database counts to
    return sa.literal(made, key.type)


# Conditions


def _within(column: Any, text: str) -> Condition:
    asked = span(text)
    told: dict[str, Condition] = {
        "eq": sa.and_(column >= _at(column, asked.start), column < _at(column, asked.end)),
        "ge": column >= _at(column, asked.start),
        "gt": column >= _at(column, asked.end),
        "lt": column < _at(column, asked.start),
        "le": column < _at(column, asked.end),
    }
    return told[asked.prefix]


def _at(column: Any, moment: datetime) -> Any:
    return sa.literal(moment, column.type)


def _date(column: Any) -> Callable[[Tx, str], Condition]:
    return lambda tx, text: _within(column, text)


def _equal(column: Any) -> Callable[[Tx, str], Condition]:
    """A token; of which system it is said to be makes no difference here."""
    return lambda tx, text: column == token(text)[1]


def _uuid(column: Any, kind: str) -> Callable[[Tx, str], Condition]:
    def condition(tx: Tx, text: str) -> Condition:
        name = reference(token(text)[1].partition("/_history/")[0], kind)
        found = names.uuid_of(name) if name else None
        return column == found if found else sa.false()

    return condition


def _subject(table: Any, *kinds: str) -> Callable[[Tx, str], Condition]:
    """Rows of a participant, by the id that she has here."""

    def condition(tx: Tx, text: str) -> Condition:
        name = next((found for kind in kinds if (found := reference(text, kind))), None)
        known = _participant(tx, name) if name else None
        return sa.and_(table.study_id == known[0], table.subject_id == known[1]) if known else sa.false()

    return condition


def _participant(tx: Tx, name: str) -> tuple[str, str] | None:
    """Study and subject id; one that is told by a digest is looked for among those that the actor may see."""
    if not name.startswith("h-"):
        return names.study_of(name)
    visible = access.visible(tx.actor, "participant.read")
    rows = tx.session.execute(sa.select(Participant.study_id, Participant.subject_id).where(visible))
    return next(((row[0], row[1]) for row in rows if names.patient_id(row[0], row[1]) == name), None)


def _site(tx: Tx, text: str) -> Condition:
    known = names.study_of(reference(text, "Organization") or reference(text, "Location") or "")
    return sa.and_(Site.study_id == known[0], Site.id == known[1]) if known else sa.false()


def _in_study(column: Any) -> Callable[[Tx, str], Condition]:
    return lambda tx, text: column == reference(text, "ResearchStudy")


def _questionnaire(tx: Tx, text: str) -> Condition:
    """Responses to a questionnaire: by its canonical address, with or without version, in whatever language."""
    known = names.canonical_of(text)
    if known is None:
        return sa.false()
    code, version, language = known
    conditions = [Response.instrument_code == code, Response.language == language]
    return sa.and_(*conditions, *([Response.instrument_version == version] if version else []))


# Responses and their scores


def _root(table: Any) -> Any:
    """The first one of a response and its corrections."""
    return sa.func.coalesce(table.amends_id, table.id, type_=sa.Uuid())


def _is_newest(as_of: datetime | None) -> Condition:
    """Nothing corrects it later (up to an instant)."""
    later = aliased(Response)
    return ~sa.exists().where(
        later.study_id == Response.study_id,
        later.subject_id == Response.subject_id,
        later.occurrence_id == Response.occurrence_id,
        later.amends_id == _root(Response),
        sa.or_(Response.amends_id.is_(None), later.amendment_no > Response.amendment_no),
        *([later.received_at <= as_of] if as_of else []),
    )


def _owned(query: sa.Select[Any], table: Any) -> sa.Select[Any]:
    same = sa.and_(Owner.study_id == table.study_id, Owner.subject_id == table.subject_id)
    return query.join(Owner, same)


def _all_responses(tx: Tx) -> sa.Select[Any]:
    follows = Owner.protocol_version.label("follows")
    filed_at = FILED_AT.label("filed_at")
    query = _owned(sa.select(*Response.__table__.c, Owner.site_id, follows, filed_at), Response)
    same = sa.and_(Filing.c.study_id == Response.study_id, Filing.c.response_id == Response.id)
    query = query.outerjoin(Filing, same)
    return query.where(access.visible(tx.actor, "response.read", Response))


def _responses(tx: Tx, as_of: datetime | None = None) -> sa.Select[Any]:
    return _all_responses(tx).where(_is_newest(as_of))


def _tell_responses(tx: Tx, rows: Sequence[Any], base: str) -> list[Json]:
    versions, hidden = _versions(tx, rows), hiding_places(tx)
    told = []
    for row in rows:
        instrument = _instrument(tx, row)
        version = versions[row.study_id, row.id]
        withheld = None if _hides(hidden, row) else _blinded_items(tx, instrument)
        told.append(
            questionnaire_response(row, answers_of(row), instrument, version, base=base, withheld=withheld)
        )
    return told


def _hides(hidden: frozenset[tuple[str, str, str]], row: Any) -> bool:
    return any((row.study_id, row.follows, site) in hidden for site in (row.site_id, "*"))


def _blinded_items(tx: Tx, instrument: Instrument) -> frozenset[str]:
    """A machine gets everything, and a participant knows what she answered."""
    if tx.actor.kind != "staff":
        return frozenset()
    return frozenset(item.id for item in instrument.items if item.blinded)


def _instrument(tx: Tx, row: Any, version: str | None = None) -> Instrument:
    found = catalogue.find(tx, row.instrument_code, version or row.instrument_version)
    assert found is not None
    return found


def _versions(tx: Tx, rows: Iterable[Any]) -> dict[tuple[str, UUID], Version]:
    """Which version each of these responses is (rows with study_id, id, amends_id, corrected_at)."""
    rows = list(rows)
    roots = {row.amends_id for row in rows if row.amends_id is not None}
    found = {(row.study_id, row.id): Version(row.id, 1, row.corrected_at) for row in rows}
    if not roots:
        return found
    columns = (Response.study_id, Response.id, Response.amends_id, Response.corrected_at)
    query = sa.select(*columns).where(sa.or_(Response.id.in_(roots), Response.amends_id.in_(roots)))
    studies = {row.study_id for row in rows}
    lines: dict[tuple[str, UUID], list[Any]] = defaultdict(list)
    for row in tx.session.execute(
        query.where(Response.study_id.in_(studies)).order_by(
            Response.amends_id.is_not(None), Response.amendment_no
        )
    ):
        lines[row.study_id, row.amends_id or row.id].append(row)
    for line in lines.values():
        for number, row in enumerate(line, 1):
            found[row.study_id, row.id] = Version(line[0].id, number, line[0].corrected_at)
    return found


def versions_of(tx: Tx, response_id: str, base: str) -> list[Json]:
    """Every version of a response that the actor may see, the oldest first."""
    found = names.uuid_of(response_id)
    if found is None:
        return []
    query = _all_responses(tx).where(_root(Response) == found)
    rows = tx.session.execute(query.order_by(Response.study_id)).all()
    told = _tell_responses(tx, [row for row in rows if row.study_id == rows[0].study_id], base)
    return sorted(told, key=lambda one: int(one["meta"]["versionId"]))


def _scores(tx: Tx, as_of: datetime | None = None) -> sa.Select[Any]:
    """The latest scoring of each newest response, without what the actor may not see."""
    later = aliased(Score)
    query: sa.Select[Any] = sa.select(
        *Score.__table__.c,
        Response.instrument_code,
        Response.instrument_version,
        Response.corrected_at,
        Response.corrected_at.label("completed"),
        Response.amends_id,
        Response.id,
    ).join(Response, runs.SCORED)
    query = _owned(query, Response).where(
        access.visible(tx.actor, "response.read", Response),
        _is_newest(as_of),
        ~sa.exists().where(
            later.study_id == Score.study_id,
            later.response_id == Score.response_id,
            later.scale == Score.scale,
            later.run > Score.run,
            *([later.scored_at <= as_of] if as_of else []),
        ),
        runs.of_the_last_scoring(as_of),
        *(_not_hidden(place) for place in hiding_places(tx)),
    )
    return query.where(Score.blinded.is_(False)) if tx.actor.kind == "staff" else query


def _not_hidden(place: tuple[str, str, str]) -> Condition:
    study_id, version, site_id = place
    here = [Owner.study_id == study_id, Owner.protocol_version == version]
    return ~sa.and_(*here, *([Owner.site_id == site_id] if site_id != "*" else []))


def _tell_scores(tx: Tx, rows: Sequence[Any], base: str) -> list[Json]:
    versions = _versions(tx, rows)
    return [
        observation(
            row, _instrument(tx, row, row.definition_version), versions[row.study_id, row.response_id]
        )
        for row in rows
    ]


def _score_id(tx: Tx, text: str) -> Condition:
    """A score by its id: of those of the response that it names the one that has it."""
    response = names.response_of(text)
    if response is None:
        return sa.false()
    rows = tx.session.execute(
        sa.select(Score.scale, Score.response_id)
        .join(Response, runs.SCORED)
        .where(_root(Response) == response, access.visible(tx.actor, "response.read", Response))
    )
    fitting = {row.scale for row in rows if names.observation_id(response, row.scale) == text}
    return sa.and_(_root(Response) == response, Score.scale.in_(fitting))


# Scores of a diary's weeks


def _week_scores(tx: Tx, as_of: datetime | None = None) -> sa.Select[Any]:
    """The latest scoring of each week, without what the actor may not see."""
    later = aliased(WeekScore)
    query = _owned(sa.select(*WeekScore.__table__.c), WeekScore).where(
        access.visible(tx.actor, "response.read", WeekScore),
        ~sa.exists().where(
            later.study_id == WeekScore.study_id,
            later.subject_id == WeekScore.subject_id,
            later.assessment_id == WeekScore.assessment_id,
            later.week == WeekScore.week,
            later.run > WeekScore.run,
            *([later.scored_at <= as_of] if as_of else []),
        ),
        *(_not_hidden(place) for place in hiding_places(tx)),
    )
    return query.where(WeekScore.blinded.is_(False)) if tx.actor.kind == "staff" else query


def _tell_week_scores(tx: Tx, rows: Sequence[Any], base: str) -> list[Json]:
    ids = {UUID(id) for row in rows for id in row.sources.values()}
    columns = (Response.study_id, Response.id, Response.amends_id, Response.corrected_at)
    query = sa.select(*columns).where(
        Response.study_id.in_({row.study_id for row in rows}), Response.id.in_(ids)
    )
    versions = _versions(tx, tx.session.execute(query))
    told = []
    for row in rows:
        made_by = _instrument(tx, row, row.definition_version)
        sources = [versions[row.study_id, UUID(id)] for id in week_sources(made_by, row.sources)]
        told.append(week_observation(row, made_by, sources))
    return told


def _week_score_id(tx: Tx, text: str) -> Condition:
    """A score of a week by its id; the ids of weeks are made from their names, those of most responses by chance."""
    week = names.response_of(text)
    if week is None or week.version != 5:
        return sa.false()
    scales = tx.all(sa.select(WeekScore.scale).where(WeekScore.id == week).distinct())
    fitting = [scale for scale in scales if names.observation_id(week, scale) == text]
    return sa.and_(WeekScore.id == week, WeekScore.scale.in_(fitting))


def _in_days(tx: Tx, text: str) -> Condition:
    """Weeks by their days: `eq` has the whole week in what is asked for, the others a day of it."""
    asked, first, last = span(text), WeekScore.first_day, WeekScore.last_day
    start, end = asked.start.date(), _day_after(asked.end)
    told: dict[str, Condition] = {
        "eq": sa.and_(first >= start, last < end),
        "ge": last >= start,
        "gt": last >= end,
        "lt": first < start,
        "le": first < end,
    }
    return told[asked.prefix]


def _day_after(instant: datetime) -> date:
    """The first day that begins at this instant or later."""
    return (instant + timedelta(days=1) - timedelta(microseconds=1)).date()


def _made_of(tx: Tx, text: str) -> Condition:
    """Weeks that a response, or a correction of it, was part of."""
    name = reference(text.partition("/_history/")[0], "QuestionnaireResponse")
    found = names.uuid_of(name) if name else None
    if found is None:
        return sa.false()
    columns = (Response.study_id, Response.subject_id, Response.id)
    rows = tx.session.execute(sa.select(*columns).where(_root(Response) == found)).all()
    sources = sa.cast(WeekScore.sources, sa.Text)
    named = [
        sa.and_(
            WeekScore.study_id == row.study_id,
            WeekScore.subject_id == row.subject_id,
            sources.contains(str(row.id)),
        )
        for row in rows
    ]
    return sa.or_(sa.false(), *named)


# Occurrences


def _occurrences(tx: Tx, as_of: datetime | None = None) -> sa.Select[Any]:
    query = _owned(sa.select(*Occurrence.__table__.c, Owner.language), Occurrence)
    return query.where(access.visible(tx.actor, "participant.read", Occurrence))


def _changed_at() -> Any:
    """When an occurrence last changed: the latest of its facts."""
    first, *others = (getattr(Occurrence, fact) for fact in FACTS)
    latest: Any = first
    for fact in others:
        latest = sa.case((sa.and_(fact.is_not(None), fact > latest), fact), else_=latest)
    return latest


def _tell_occurrences(tx: Tx, rows: Sequence[Any], base: str) -> list[Json]:
    answered: dict[tuple[str, UUID], list[UUID]] = defaultdict(list)
    if tx.actor.kind in ("participant", "system") or access.grants_for(tx.actor, "response.read"):
        query = sa.select(Response.study_id, Response.occurrence_id, Response.id).where(
            Response.occurrence_id.in_([row.id for row in rows if row.fulfilled_at]),
            Response.amends_id.is_(None),
            access.visible(tx.actor, "response.read", Response),
        )
        for row in tx.session.execute(query.order_by(Response.corrected_at, Response.id)):
            answered[row.study_id, row.occurrence_id].append(row.id)
    return [
        task(row, answered[row.study_id, row.id], tx.now, base=base, language=_spoken(tx, row))
        for row in rows
    ]


def _spoken(tx: Tx, row: Any) -> str:
    """The language of an occurrence's questionnaire: hers, where the instrument has it."""
    instrument = _instrument(tx, row)
    return row.language if row.language in instrument.languages else instrument.languages[0]


# Studies, sites, participants


def _studies(tx: Tx, as_of: datetime | None = None) -> sa.Select[Any]:
    return sa.select(*Study.__table__.c).where(_of_study(tx, Study.id))


def _of_study(tx: Tx, column: Any) -> Condition:
    actor = tx.actor
    if actor.kind == "system":
        return sa.true()
    if actor.kind == "participant":
        return column == actor.study_id
    return column.in_({grant.study_id for grant in access.grants_for(actor, "study.read")})


def _sites(tx: Tx, as_of: datetime | None = None) -> sa.Select[Any]:
    return sa.select(*Site.__table__.c).where(_at_site(tx))


def _at_site(tx: Tx) -> Condition:
    actor = tx.actor
    if actor.kind == "system":
        return sa.true()
    if actor.kind == "participant":
        own = sa.select(Participant.site_id).where(
            Participant.study_id == actor.study_id, Participant.subject_id == actor.subject_id
        )
        return sa.and_(Site.study_id == actor.study_id, Site.id == own.scalar_subquery())
    grants = access.grants_for(actor, "study.read")
    return sa.or_(
        sa.false(),
        *(
            sa.and_(
                Site.study_id == grant.study_id, *([Site.id == grant.site_id] if grant.site_id != "*" else [])
            )
            for grant in grants
        ),
    )


def _tell_studies(tx: Tx, rows: Sequence[Any], base: str) -> list[Json]:
    sites = defaultdict(list)
    query = sa.select(Site.study_id, Site.id).where(_at_site(tx), Site.study_id.in_([row.id for row in rows]))
    for site in tx.session.execute(query.order_by(Site.study_id, Site.id)):
        sites[site.study_id].append(site.id)
    return [research_study(row, _title(tx, row), sites[row.id]) for row in rows]


def _title(tx: Tx, row: Any) -> str:
    titles = protocols.find(tx, row.id, row.protocol_version).title
    return titles.get("en") or next(iter(titles.values()))


def _participants(tx: Tx, as_of: datetime | None = None) -> sa.Select[Any]:
    return sa.select(*Participant.__table__.c).where(access.visible(tx.actor, "participant.read"))


def _each(told: Callable[[Any], Json]) -> Callable[[Tx, Sequence[Any], str], list[Json]]:
    return lambda tx, rows, base: [told(row) for row in rows]


# The trail


def _records(tx: Tx, as_of: datetime | None = None) -> sa.Select[Any]:
    return sa.select(*Event.__table__.c).where(
        Event.action.in_(OF_RECORDS), access.visible(tx.actor, "trail.read", Event)
    )


def _events(tx: Tx, as_of: datetime | None = None) -> sa.Select[Any]:
    return sa.select(*Event.__table__.c).where(
        sa.or_(access.visible(tx.actor, "trail.read", Event), _of_whole_study(tx))
    )


def _of_whole_study(tx: Tx) -> Condition:
    """What belongs to no participant is for who may see the whole study."""
    grants = access.grants_for(tx.actor, "trail.read")
    whole = {grant.study_id for grant in grants if grant.site_id == "*"}
    return sa.and_(Event.subject_id.is_(None), Event.study_id.in_(whole))


def _tell_records(tx: Tx, rows: Sequence[Any], base: str) -> list[Json]:
    ids = [found for row in rows if (found := names.uuid_of(row.object_id))]
    columns = (
        Response.study_id,
        Response.id,
        Response.amends_id,
        Response.corrected_at,
        Response.instrument_code,
        Response.instrument_version,
    )
    known = {
        (row.study_id, row.id): row
        for row in tx.session.execute(sa.select(*columns).where(Response.id.in_(ids)))
    }
    versions, (scales, blinded) = _versions(tx, known.values()), _scales(tx, ids)
    hidden = {study_id for study_id, _, _ in hiding_places(tx)}
    told = []
    for row in rows:
        body = json.loads(row.body)
        key = (row.study_id, UUID(row.object_id))
        version = versions[key]
        named = [] if row.study_id in hidden else body["details"].get("scales", scales[key])
        scored = [names.observation_id(version.id, scale) for scale in named if scale not in blinded[key]]
        reason = (
            body["reason"] if row.action == "response.amended" and _may_tell(tx, known[key], hidden) else None
        )
        told.append(provenance(row, str(version.id), version.number, scored, reason))
    return told


def _may_tell(tx: Tx, row: Any, hidden: set[str]) -> bool:
    """Whether the actor may read why a response was corrected: it can tell what was answered."""
    return row.study_id not in hidden and not _blinded_items(tx, _instrument(tx, row))


Scales = dict[tuple[str, UUID], list[str]]


def _scales(tx: Tx, ids: list[UUID]) -> tuple[Scales, Scales]:
    """The scales that each response has from its first scoring, and those of any that the actor may not know of."""
    first, blinded = defaultdict(list), defaultdict(list)
    columns = (Score.study_id, Score.response_id, Score.scale, Score.run, Score.blinded)
    query = sa.select(*columns).where(Score.response_id.in_(ids)).order_by(Score.scale)
    for row in tx.session.execute(query):
        key = row.study_id, row.response_id
        if row.run == 1:
            first[key].append(row.scale)
        if row.blinded and tx.actor.kind == "staff":
            blinded[key].append(row.scale)
    return first, blinded


def _record_target(tx: Tx, text: str) -> Condition:
    name = reference(text.partition("/_history/")[0], "QuestionnaireResponse")
    found = names.uuid_of(name) if name else None
    if found is None:
        return sa.false()
    ids = tx.all(sa.select(Response.id).where(_root(Response) == found))
    return sa.and_(Event.object_type == "response", Event.object_id.in_([str(one) for one in ids]))


SUBJECT = {"subject": "reference", "patient": "reference"}


def _by_subject(table: Any) -> dict[str, Callable[[Tx, str], Condition]]:
    return {name: _subject(table, "Patient", "ResearchSubject") for name in SUBJECT}


SOURCES: dict[str, Source] = {
    "QuestionnaireResponse": Source(
        "response.read",
        _responses,
        (Response.study_id, Response.id),
        FILED_AT,
        {**SUBJECT, "questionnaire": "reference", "authored": "date", "date": "date", "identifier": "token"},
        {
            **_by_subject(Response),
            "_id": _uuid(_root(Response), "QuestionnaireResponse"),
            "identifier": _uuid(_root(Response), "QuestionnaireResponse"),
            "questionnaire": _questionnaire,
            "authored": _date(Response.corrected_at),
            "date": _date(Response.corrected_at),
        },
        _tell_responses,
    ),
    "Observation": Source(
        "response.read",
        _scores,
        (Score.study_id, Score.response_id, Score.scale),
        Score.scored_at,
        {**SUBJECT, "code": "token", "date": "date", "derived-from": "reference"},
        {
            **_by_subject(Response),
            "_id": _score_id,
            "code": _equal(Score.scale),
            "date": _date(Response.corrected_at),
            "derived-from": _uuid(_root(Response), "QuestionnaireResponse"),
        },
        _tell_scores,
        Source(
            "response.read",
            _week_scores,
            (
                WeekScore.study_id,
                WeekScore.subject_id,
                WeekScore.assessment_id,
                WeekScore.week,
                WeekScore.scale,
            ),
            WeekScore.scored_at,
            {},
            {
                **_by_subject(WeekScore),
                "_id": _week_score_id,
                "code": _equal(WeekScore.scale),
                "date": _in_days,
                "derived-from": _made_of,
            },
            _tell_week_scores,
        ),
    ),
    "Task": Source(
        "participant.read",
        _occurrences,
        (Occurrence.study_id, Occurrence.id),
        _changed_at(),
        {**SUBJECT, "authored-on": "date", "period": "date"},
        {
            **_by_subject(Occurrence),
            "_id": _uuid(Occurrence.id, "Task"),
            "authored-on": _date(Occurrence.planned_at),
            "period": _date(Occurrence.opens_at),
        },
        _tell_occurrences,
    ),
    "ResearchStudy": Source(
        "study.read",
        _studies,
        (Study.id,),
        Study.opened_at,
        {"identifier": "token"},
        {"_id": _equal(Study.id), "identifier": _equal(Study.id)},
        _tell_studies,
    ),
    "ResearchSubject": Source(
        "participant.read",
        _participants,
        (Participant.study_id, Participant.subject_id),
        sa.func.coalesce(
            Participant.withdrawn_at, Participant.enrolled_at, type_=Participant.enrolled_at.type
        ),
        {"patient": "reference", "individual": "reference", "study": "reference", "identifier": "token"},
        {
            "_id": _subject(Participant, "ResearchSubject"),
            "patient": _subject(Participant, "Patient"),
            "individual": _subject(Participant, "Patient"),
            "study": _in_study(Participant.study_id),
            "identifier": _equal(Participant.subject_id),
        },
        _each(research_subject),
    ),
    "Patient": Source(
        "participant.read",
        _participants,
        (Participant.study_id, Participant.subject_id),
        Participant.enrolled_at,
        {"identifier": "token"},
        {"_id": _subject(Participant, "Patient"), "identifier": _equal(Participant.subject_id)},
        _each(patient),
    ),
    "Organization": Source(
        "study.read",
        _sites,
        (Site.study_id, Site.id),
        Site.opened_at,
        {"identifier": "token"},
        {"_id": _site, "identifier": _equal(Site.id)},
        _each(organization),
    ),
    "Location": Source(
        "study.read",
        _sites,
        (Site.study_id, Site.id),
        Site.opened_at,
        {"identifier": "token", "organization": "reference"},
        {"_id": _site, "organization": _site, "identifier": _equal(Site.id)},
        _each(location),
    ),
    "Provenance": Source(
        "trail.read",
        _records,
        (Event.study_id, Event.at, Event.chain, Event.seq),
        Event.at,
        {"patient": "reference", "target": "reference", "recorded": "date"},
        {
            "_id": _uuid(Event.id, "Provenance"),
            "patient": _subject(Event, "Patient"),
            "target": _record_target,
            "recorded": _date(Event.at),
        },
        _tell_records,
    ),
    "AuditEvent": Source(
        "trail.read",
        _events,
        (Event.study_id, Event.at, Event.chain, Event.seq),
        Event.at,
        {"patient": "reference", "date": "date", "subtype": "token"},
        {
            "_id": _uuid(Event.id, "AuditEvent"),
            "patient": _subject(Event, "Patient"),
            "date": _date(Event.at),
            "subtype": _equal(Event.action),
        },
        _each(audit_event),
    ),
}
"""Kind of resource -> where it comes from."""
