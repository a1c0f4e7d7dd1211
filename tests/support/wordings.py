"""A wording on record, for tests that look at every table: made-up words, one approval of two, so not in force."""

from __future__ import annotations

from epro.questionnaires import pack_checks, wording
from epro.questionnaires.library import bundled_instrument
from epro.questionnaires.packs import FACTS, Pack, made_of
from epro.tx import Actor, Grant, begin, system

PACK = made_of(
    dict.fromkeys(FACTS, "none") | {"instrument": "fss", "instrument_version": "1.0", "language": "en"},
    {"title": "made-up words"},
)


def keep_a_wording(staff_id: str) -> None:
    """Imported by the tests, approved by this person."""
    with begin(system("tests")) as tx:
        wording.import_pack(tx, PACK)
    with begin(Actor("staff", staff_id, grants=(Grant("-", "*", "administrator"),))) as tx:
        wording.approve(tx, ("fss", "1.0", "en", "none"))


def made_up_words(code: str, language: str, version: str = "1.0") -> Pack:
    """A whole pack of one bundled instrument, every text of it made up."""
    found = bundled_instrument(code)
    facts = dict.fromkeys(FACTS, "none") | {
        "instrument": code,
        "instrument_version": found.version,
        "language": language,
        "wording_version": version,
    }
    return made_of(facts, {one.key: f"words of {one.key}" for one in pack_checks.places_of(found)})
