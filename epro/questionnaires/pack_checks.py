"""Which texts a wording pack holds, and every fault of one at once. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from epro.questionnaires import packs
from epro.questionnaires.instrument import Instrument
from epro.questionnaires.packs import FACTS, Pack, PackFault
from epro.questionnaires.sense import plain
from epro.questionnaires.unfilled import signs

META = "meta."
LONGEST = {"title": 200, "recall": 600, "item": 600, "option": 120, "message": 300}
"""Characters that a text of each kind may have: what a phone can show."""
LONGEST_FACT = 300
TO_FILL = ("wording_version", "licence_holder", "licence_reference", "translation_certificate")
"""What a pack must say of itself and no other check knows."""
UNITS = (
    "mg", "g", "kg", "ml", "l", "dl", "mm", "cm", "m", "km", "s", "min", "h", "d", "kcal", "kj", "mmhg", "°c", "℃", "x",
)  # fmt: skip
"""May stand beside the digits of an option in any script."""
EVERYWHERE = ("n/a", "na", "ok")
"""Options that some holders leave in Latin letters in every language."""

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?")
_MARKUP = re.compile(r"</?[A-Za-z!][^>]*>|&#?[A-Za-z0-9]+;|\{[^}]*\}")
_TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")

FindInstrument = Callable[[str], Mapping[str, Instrument]]
"""Code -> its known versions, newest last; empty when there is no such instrument."""


class Row(NamedTuple):
    """One line or unit of a file, as it was read."""

    place: str
    key: str
    text: str


class Place(NamedTuple):
    """One text of an instrument. `kind` is title, recall, item, option or message; `labels` our own, by language."""

    key: str
    kind: str
    labels: Mapping[str, str]


def places_of(instrument: Instrument) -> list[Place]:
    """Every text that a participant reads, in the order of the questionnaire."""
    return list(_places(instrument))


def check(rows: list[Row], find: FindInstrument) -> tuple[Pack | None, list[PackFault]]:
    """The pack that these rows make, or None and all that is wrong with them."""
    found = [*_twice(rows)]
    facts = {row.key.removeprefix(META): row for row in rows if row.key.startswith(META)}
    texts = {row.key: row for row in rows if not row.key.startswith(META)}
    found += _facts(facts)
    instrument = _named(facts, find)
    if instrument is None:
        return None, [*found, *_unknown(facts, find)]
    found += _texts(texts, instrument, facts)
    if found:
        return None, found
    told = {name: row.text for name, row in facts.items()}
    return packs.made_of(told, {place.key: texts[place.key].text for place in places_of(instrument)}), []


def is_language(tag: str) -> bool:
    """Whether it is a language tag in its usual spelling, such as en, zh-CN or zh-Hant-TW."""
    return _LANGUAGE.fullmatch(tag) is not None


def _places(instrument: Instrument) -> Iterator[Place]:
    whole = instrument.document()
    yield Place(packs.TITLE, "title", instrument.title)
    if "recall" in whole:
        yield Place(packs.RECALL, "recall", whole["recall"]["label"])
    for item in instrument.items:
        yield Place(packs.item_key(item.id), "item", item.text)
    asked = {item["choices"]: None for item in whole["items"]}
    for name in asked:
        choices = whole["choice_sets"][name]
        ends = [choices["lowest"], choices["highest"]] if isinstance(choices, dict) else choices
        for choice in ends:
            yield Place(packs.choice_key(name, choice["code"]), "option", choice["label"])
    for key, label in ((packs.NOT_APPLICABLE, "not_applicable_label"), (packs.REFUSED, "refused_label")):
        if label in whole:
            yield Place(key, "option", whole[label])
    for one in whole.get("checks", []):
        yield Place(packs.check_key(one["id"]), "message", one["message"])


def _twice(rows: list[Row]) -> Iterator[PackFault]:
    seen = Counter(row.key for row in rows)
    for key in [key for key, times in seen.items() if times > 1]:
        where = [row.place for row in rows if row.key == key]
        yield PackFault(where[1], "duplicate_key", f"{key} stands more than once.", "Keep one of them.")


# What the pack says of itself


def _facts(facts: Mapping[str, Row]) -> Iterator[PackFault]:
    for name, meaning in FACTS.items():
        row = facts.get(name)
        if name != "same_as_label" and (row is None or not row.text):
            place = row.place if row else META + name
            yield PackFault(place, "missing_fact", f"{META}{name} is not given.", f"Write there: {meaning}.")
        if row is not None:
            yield from _fact(name, row)
    for name in sorted(set(facts) - set(FACTS)):
        mend = f"Known are: {', '.join(META + known for known in FACTS)}."
        yield PackFault(facts[name].place, "unknown_key", f"There is no key {META}{name}.", mend)


def _fact(name: str, row: Row) -> Iterator[PackFault]:
    yield from _characters(row)
    if len(row.text) > LONGEST_FACT and name != "same_as_label":
        mend = f"Say it in {LONGEST_FACT} characters."
        yield PackFault(row.place, "too_long", f"{row.key} has {len(row.text)} characters.", mend)
    if name in TO_FILL and (found := signs(row.text) or _is_meaning(name, row.text)):
        detail = f"{row.key} is not filled in: it holds {' and '.join(found)}."
        yield PackFault(row.place, "unfilled", detail, f"Write there: {FACTS[name]}.")
    if name == "wording_version" and row.text and not _VERSION.fullmatch(row.text):
        mend = "Use letters, digits, dots and dashes, at most 40, such as 1.0."
        yield PackFault(row.place, "bad_wording_version", "This cannot be a version.", mend)
    if name == "language" and row.text and not is_language(row.text):
        mend = "Use a language tag in its usual spelling, such as en, zh-CN or zh-Hant-TW."
        yield PackFault(row.place, "bad_language", f"{row.text[:40]} is no language tag.", mend)


def _is_meaning(name: str, text: str) -> list[str]:
    return ["what the template says of this line"] if plain(text) == plain(FACTS[name]) else []


def _named(facts: Mapping[str, Row], find: FindInstrument) -> Instrument | None:
    """The instrument it is for."""
    code, version = facts.get("instrument"), facts.get("instrument_version")
    return find(code.text).get(version.text) if code and version else None


def _unknown(facts: Mapping[str, Row], find: FindInstrument) -> Iterator[PackFault]:
    """Why there is no such instrument; what is not told at all was named before."""
    code, version = facts.get("instrument"), facts.get("instrument_version")
    if code and code.text and not find(code.text):
        mend = "`epro instrument list` shows those that are bundled."
        yield PackFault(code.place, "unknown_instrument", "There is no instrument of this code.", mend)
    elif code and code.text and version and version.text:
        mend = f"Versions are {', '.join(find(code.text))}; make a new template, for its keys may differ."
        detail = f"{code.text} has no such version."
        yield PackFault(version.place, "unknown_instrument_version", detail, mend)


# Its texts


def _texts(texts: Mapping[str, Row], instrument: Instrument, facts: Mapping[str, Row]) -> Iterator[PackFault]:
    places = {place.key: place for place in places_of(instrument)}
    for key, row in texts.items():
        if key not in places:
            mend = "Take the line out, or make a new template: keys belong to a version."
            detail = f"{instrument.code} {instrument.version} has no text under the key {key[:80]}."
            yield PackFault(row.place, "unknown_key", detail, mend)
    for key in places:
        if key not in texts:
            yield PackFault(key, "missing_key", f"The text {key} is missing.", "Add it.")
    confirmed = _confirmed(facts)
    for key in [key for key in confirmed if key not in places]:
        at, mend = facts["same_as_label"].place, "Name keys of this instrument, with spaces between."
        yield PackFault(at, "unknown_key", f"meta.same_as_label names {key[:80]}.", mend)
    language = facts["language"].text if "language" in facts else ""
    for key in [key for key in places if key in texts]:
        yield from _text(texts[key], places[key], language)
        if key not in confirmed:
            yield from _placeholder(texts[key], places[key], instrument)
    yield from _options(texts, instrument)


def _confirmed(facts: Mapping[str, Row]) -> list[str]:
    return facts["same_as_label"].text.split() if "same_as_label" in facts else []


def _text(row: Row, place: Place, language: str) -> Iterator[PackFault]:
    if not row.text:
        yield PackFault(row.place, "empty_text", f"{row.key} has no words.", "Fill it in.")
        return
    yield from _characters(row)
    if len(row.text) > LONGEST[place.kind]:
        mend = f"At most {LONGEST[place.kind]} fit; ask the licence holder for a text for small screens."
        yield PackFault(row.place, "too_long", f"{row.key} has {len(row.text)} characters.", mend)
    if "\n" in row.text and place.kind in ("option", "title"):
        yield PackFault(row.place, "line_break", f"{row.key} has a line break.", "Write it in one line.")
    if _MARKUP.search(row.text):
        mend = "Write plain words: nothing is formatted, and nothing filled in."
        yield PackFault(row.place, "markup", f"{row.key} holds markup or a gap to fill.", mend)
    if found := signs(row.text, language or "en", question=place.kind == "item"):
        detail = f"{row.key} is not filled in: it holds {' and '.join(found)}."
        yield PackFault(row.place, "unfilled", detail, "Put the words that participants are to read.")
    elif not _is_written_as(language, row.text) and not _needs_no_script(place, row.text):
        mend = "Put the texts of the language that meta.language names."
        yield PackFault(row.place, "other_script", f"{row.key} is not written as {language} is.", mend)


def _is_written_as(language: str, text: str) -> bool:
    """Chinese has Chinese characters, Japanese and Korean may, and no other language has."""
    stem = language.split("-")[0]
    return stem in ("ja", "ko") or bool(_HAN.search(text)) == (stem in ("zh", "yue"))


def _needs_no_script(place: Place, text: str) -> bool:
    """A title may be a name. An option may be a number, with its unit or without."""
    if place.kind == "option" and not _HAN.search(text):
        words = re.findall(r"°?[^\W\d_]+", said := plain(text))
        return said in EVERYWHERE or any(c.isdigit() for c in said) and all(w in UNITS for w in words)
    return place.kind == "title"


def _characters(row: Row) -> Iterator[PackFault]:
    if "\ufffd" in row.text:
        mend = "Export the file again as UTF-8; a character was lost on its way."
        yield PackFault(row.place, "damaged_text", f"{row.key} holds a replacement character.", mend)
    bad = [c for c in row.text if c in _TURNS or c != "\n" and unicodedata.category(c) in ("Cc", "Co", "Cn")]
    if bad:
        detail = f"{row.key} holds the character U+{ord(bad[0]):04X}, which nobody sees."
        yield PackFault(row.place, "control_character", detail, "Take it out.")


def _placeholder(row: Row, place: Place, instrument: Instrument) -> Iterator[PackFault]:
    """Only where our labels are placeholders, and are neutral words that an owner would hardly choose."""
    if "placeholder" not in instrument.wording.values() or place.kind not in ("item", "option", "recall"):
        return
    if place.key in (packs.NOT_APPLICABLE, packs.REFUSED):
        return
    if plain(row.text) in {plain(label) for label in place.labels.values()}:
        mend = "Put the licensed words. If they are really these, add the key to meta.same_as_label."
        yield PackFault(row.place, "still_placeholder", f"{row.key} holds our own label.", mend)


def _options(texts: Mapping[str, Row], instrument: Instrument) -> Iterator[PackFault]:
    """Two answers of one item that read alike cannot be told apart."""
    whole, told = instrument.document(), set()
    for item in whole["items"]:
        keys = [key for key in texts if key.startswith(f"choice.{item['choices']}.")]
        keys += [packs.NOT_APPLICABLE] * item["not_applicable"] + [packs.REFUSED] * item.get(
            "refusable", False
        )
        seen: dict[str, str] = {}
        for key in [key for key in keys if key in texts and texts[key].text]:
            first = seen.setdefault(plain(texts[key].text), key)
            if first != key and (first, key) not in told:
                told.add((first, key))
                detail = f"{key} and {first} have the same words."
                yield PackFault(texts[key].place, "same_options", detail, "Give each option its own words.")
