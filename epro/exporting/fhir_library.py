"""The questionnaires that an actor may fetch: every published instrument in each of its languages.

The licensed wording goes to participants and to people who care for them or for the wording; machines get the
structure with labels of our own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from epro.errors import NotFound
from epro.export import fhir_names as names
from epro.export.fhir_names import Json
from epro.export.fhir_questionnaires import questionnaire
from epro.export.fhir_search import BadSearch, Search, cursor, span, token
from epro.exporting.fhir_reading import Page
from epro.questionnaires import catalogue, wording
from epro.questionnaires.instrument import localised
from epro.questionnaires.models import PublishedInstrument
from epro.studies import access
from epro.tx import Tx

TYPES = {"url": "uri", "version": "token", "identifier": "token", "name": "string", "status": "token"}


@dataclass(frozen=True)
class _Known:
    """One instrument in one language, with the licensed wording that is in force and may be shown."""

    code: str
    version: str
    language: str
    published_at: datetime
    pack: wording.Approved | None

    @property
    def id(self) -> str:
        return names.questionnaire_id(self.code, self.version, self.language)


def page(tx: Tx, search: Search, base: str) -> Page:
    """One page of the questionnaires that a search finds, by id. Raises BadSearch."""
    found = [known for known in _known(tx) if _fits(known, search, base)]
    found.sort(key=lambda known: known.id)
    if search.only_count:
        return Page([], None, len(found))
    if search.cursor is not None:
        found = [known for known in found if known.id > search.cursor[0]]
    shown = found[: search.count]
    following = cursor([shown[-1].id]) if len(found) > len(shown) else None
    return Page(_tell(tx, shown, base), following, len(found) if search.total else None)


def one(tx: Tx, resource_id: str, base: str) -> Json | None:
    """The questionnaire of this id; without a version in it, the one published last."""
    wanted = names.instrument_of(resource_id)
    if wanted is None:
        return None
    code, version, language = wanted
    found = [
        known for known in _known(tx, code) if known.language == language and version in (None, known.version)
    ]
    return _tell(tx, found[-1:], base)[0] if found else None


def _known(tx: Tx, code: str | None = None) -> Iterator[_Known]:
    packs = {
        (one.code, one.version, one.language): one for one in (wording.approved(tx) if _may_read(tx) else [])
    }
    query = sa.select(PublishedInstrument.code, PublishedInstrument.version, PublishedInstrument.published_at)
    if code is not None:
        query = query.where(PublishedInstrument.code == code)
    for row in tx.session.execute(
        query.order_by(PublishedInstrument.published_at, PublishedInstrument.version)
    ):
        instrument = catalogue.find(tx, row.code, row.version)
        assert instrument is not None
        spoken = {language for (a, b, language) in packs if (a, b) == (row.code, row.version)}
        for language in sorted({*instrument.languages, *spoken}):
            pack = packs.get((row.code, row.version, language))
            yield _Known(row.code, row.version, language, row.published_at, pack)


def _may_read(tx: Tx) -> bool:
    """Whether the actor may read licensed wording."""
    if tx.actor.kind != "staff":
        return tx.actor.kind == "participant"
    return any(access.grants_for(tx.actor, name) for name in ("response.read", "wording.handle"))


def _tell(tx: Tx, shown: list[_Known], base: str) -> list[Json]:
    scoring = tx.actor.kind != "participant"  # her program would show them to her
    told = []
    for known in shown:
        instrument = catalogue.find(tx, known.code, known.version)
        if instrument is None:
            raise NotFound()
        pack = wording.find(tx, known.pack[:4]) if known.pack else None
        words = localised(instrument, known.language, pack)
        told.append(
            questionnaire(instrument, words, base=base, published_at=known.published_at, scoring=scoring)
        )
    return told


def _fits(known: _Known, search: Search, base: str) -> bool:
    return all(any(_fits_one(known, name, value, base) for value in values) for name, values in search.wanted)


def _fits_one(known: _Known, name: str, value: str, base: str) -> bool:
    if name == "_lastUpdated":
        asked = span(value)
        told: dict[str, Any] = {
            "eq": asked.start <= known.published_at < asked.end,
            "ge": known.published_at >= asked.start,
            "gt": known.published_at >= asked.end,
            "lt": known.published_at < asked.start,
            "le": known.published_at < asked.end,
        }
        return bool(told[asked.prefix])
    if name == "url":
        bare, _, version = value.partition("|")
        url = names.questionnaire_url(base, known.code, known.language)
        return bare == url and version in ("", known.version)
    code = token(value)[1]
    own = {
        "_id": known.id,
        "version": known.version,
        "identifier": known.code,
        "name": known.code.replace("_", ""),
        "status": "active",
    }
    if name not in own:
        raise BadSearch(f"The parameter {name} is not known here.")
    return code.lower().replace("_", "") in own[name] if name == "name" else code == own[name]
