"""What messages say. Pure: the texts are data beside this file, one file a language.

A text may say that something is there to be filled in, received or looked at, and where; nothing else.
Whoever reads over her shoulder learns no illness, no trial, no drug and no questionnaire. The rules are
checked where a text is written, where a study brings names of its own, and on the way out (`faults_in`).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

PLACEHOLDERS = ("app_name", "site", "count", "clinic_phone")
WORDINGS = 3  # mainland China: the third identical text to a number within 24 hours is rejected
GSM_MOST, UCS_MOST = 160, 70  # characters of one SMS, GSM 03.38 and UCS-2

Value = str | int
Texts = Mapping[str, Mapping[str, Any]]  # language -> what stands in its file

_FOLDER = Path(__file__).parent / "texts"
_PLACEHOLDER = re.compile(r"(?<!\{)\{(" + "|".join(PLACEHOLDERS) + r")\}(?!\})")
_LINK = re.compile(r"[a-z]+://|www\.|@|[a-z0-9-]+[.\u3002][a-z]{2,}")
_REPLY = re.compile(r"\b(?:reply|text stop|send stop)\b|回复|回覆|回t|退订")
_NUMBER = re.compile(r"\d(?:[\s-]?\d){3,}")  # a telephone number, a code, a year of birth
_GSM = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_TWICE = set("^{}\\[~]|€\f")  # take two places each


class UnknownLanguage(KeyError):
    """There are no texts in this language."""


class UnknownText(KeyError):
    """There is no text under this key."""


class MissingValue(KeyError):
    """A placeholder of the text has no value."""


@dataclass(frozen=True)
class Text:
    """A message ready to be sent; `subject` is for e-mail. `turn` is which wording it is, `values` what was put in.

    Nothing that was put in shows in a log by accident.
    """

    text: str = field(repr=False)
    subject: str = field(repr=False)
    turn: int = 0
    of: int = 1  # how many wordings there are
    values: Mapping[str, str] = field(default_factory=dict, repr=False)


@cache
def shipped() -> Texts:
    """The texts that come with the software, by language."""
    files = (json.loads(path.read_text(encoding="utf-8")) for path in sorted(_FOLDER.glob("*.json")))
    return {said["language"]: said for said in files}


def render(
    key: str,
    language: str,
    params: Mapping[str, Value],
    rotation: int,
    texts: Texts | None = None,
    own: Sequence[str] = (),
) -> Text:
    """The wording whose turn it is, with the values put in.

    rotation: any whole number that goes up by one with each message to the same recipient; counting her
    messages of this key is enough. `own` are wordings of the study, in the place of those of the file. Values are
    put in as they are, in one pass: braces in a value stay braces. Raises UnknownLanguage, UnknownText,
    MissingValue.
    """
    template = _template(shipped() if texts is None else texts, key, language)
    wordings = own or template["wordings"]
    turn = rotation % len(wordings)
    values = {name: _said(params, name) for name in _PLACEHOLDER.findall(wordings[turn])}
    text, subject = _filled(wordings[turn], params), _filled(template["subject"], params)
    return Text(text, subject, turn, len(wordings), values)


def _template(texts: Texts, key: str, language: str) -> Mapping[str, Any]:
    if language not in texts:
        raise UnknownLanguage(language)
    if key not in texts[language]["templates"]:
        raise UnknownText(key)
    template: Mapping[str, Any] = texts[language]["templates"][key]
    return template


def _filled(wording: str, params: Mapping[str, Value]) -> str:
    return _PLACEHOLDER.sub(lambda found: _said(params, found[1]), wording)


def _said(params: Mapping[str, Value], name: str) -> str:
    """The value on one line, without characters that cannot be seen."""
    if name not in params:
        raise MissingValue(name)
    text = str(params[name])
    seen = text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
    return " ".join(seen.split())


# ── how long a text is ──


def is_gsm(text: str) -> bool:
    """Whether GSM 03.38 can say it; if not, the phone network uses UCS-2."""
    return set(text) <= _GSM | _GSM_TWICE


def length(text: str) -> int:
    """Places taken in an SMS: of 160 in GSM 03.38, of 70 in UCS-2."""
    if is_gsm(text):
        return len(text) + sum(c in _GSM_TWICE for c in text)
    return len(text.encode("utf-16-be")) // 2


def fits_one_sms(text: str) -> bool:
    return length(text) <= (GSM_MOST if is_gsm(text) else UCS_MOST)


# ── the rules ──


def faults_in(text: str, banned: Iterable[str] = (), texts: Texts | None = None) -> list[str]:
    """What is wrong with a text that is ready to go: banned words, links, length.

    `banned` adds a study's own words (its title, its drug) to those of every language shipped.
    """
    words = banned_words(shipped() if texts is None else texts) | set(banned)
    return _words_in(text, words) + _links_in(text) + _too_long(text)


def faults(
    texts: Texts | None = None, values: Mapping[str, Value] | None = None, banned: Iterable[str] = ()
) -> list[str]:
    """Everything wrong with these texts, one sentence each; empty when they may be used.

    values: what a study would put in (its app name, its longest site name); the file's typical ones
    otherwise. banned: words of the study in addition.
    """
    texts = shipped() if texts is None else texts
    if misshapen := [fault for language, said in texts.items() for fault in _misshapen(language, said)]:
        return misshapen
    words = banned_words(texts) | set(banned)
    found = _unlike_each_other(texts)
    for language, said in texts.items():
        found += _repeated(language, said["templates"])
        for key, template in said["templates"].items():
            told = _template_faults(template, {**said["typical"], **(values or {})}, words)
            found += [f"{language} {key}: {fault}" for fault in told]
    return found


def faults_of_own(wording: str, language: str) -> list[str]:
    """What is wrong with a study's own wording in this language; the guard of study files."""
    texts = shipped()
    words, typical = banned_words(texts), texts.get(language, texts["en"])["typical"]
    written = _written(wording, words)
    return written + [fault for fault in _sent(wording, typical, words) if fault not in written]


def banned_words(texts: Texts) -> set[str]:
    """The banned words of all languages together: an English word may stand in a Chinese text."""
    return {word for said in texts.values() for word in said["banned"]}


def _misshapen(language: str, said: Mapping[str, Any]) -> list[str]:
    """Whether the file has the parts that the other rules look at."""
    parts = {"language": str, "typical": dict, "banned": list, "templates": dict}
    found = [
        f"{language}: {name} is missing or no {kind.__name__}"
        for name, kind in parts.items()
        if not isinstance(said.get(name), kind)
    ]
    found += [
        f"{language} {key}: needs a subject and a list of wordings"
        for key, template in (said.get("templates") or {}).items()
        if not _is_template(template)
    ]
    return found


def _is_template(template: Any) -> bool:
    if not isinstance(template, dict) or set(template) != {"subject", "wordings"}:
        return False
    wordings = template["wordings"]
    return isinstance(wordings, list) and all(
        isinstance(said, str) for said in [template["subject"], *wordings]
    )


def _unlike_each_other(texts: Texts) -> list[str]:
    """Languages in which a key is missing or tells something else."""
    told = {
        language: {key: _names(template) for key, template in said["templates"].items()}
        for language, said in texts.items()
    }
    every = sorted({key for keys in told.values() for key in keys})
    absent = [
        f"{language} {key}: is missing" for language, keys in told.items() for key in every if key not in keys
    ]
    unlike = [
        f"{key}: the placeholders differ between languages"
        for key in every
        if len({keys[key] for keys in told.values() if key in keys}) > 1
    ]
    return absent + unlike


def _names(template: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(name for wording in template["wordings"] for name in _PLACEHOLDER.findall(wording))


def _repeated(language: str, templates: Mapping[str, Any]) -> list[str]:
    """Wordings that stand twice; under two keys as well, since a carrier sees only the text."""
    said = [(_plain(wording), key) for key, template in templates.items() for wording in template["wordings"]]
    often = Counter(wording for wording, _ in said)
    return sorted(
        {f"{language} {key}: a wording stands twice" for wording, key in said if often[wording] > 1}
    )


def _template_faults(template: Mapping[str, Any], values: Mapping[str, Value], words: set[str]) -> list[str]:
    found = [] if len(template["wordings"]) >= WORDINGS else [f"has fewer than {WORDINGS} wordings"]
    if len({frozenset(_PLACEHOLDER.findall(wording)) for wording in template["wordings"]}) > 1:
        found.append("the placeholders differ between wordings")
    for part, wording in _parts(template):
        written = _written(wording, words)
        brought = [fault for fault in _sent(wording, values, words) if fault not in written]
        found += [f"{part} {fault}" for fault in written + brought]
    return found


def _parts(template: Mapping[str, Any]) -> list[tuple[str, str]]:
    numbered = [(f"wording {n}", wording) for n, wording in enumerate(template["wordings"], 1)]
    return [("subject", template["subject"]), *numbered]


def _written(wording: str, words: set[str]) -> list[str]:
    """Faults of a wording as it stands in the file."""
    bare = _PLACEHOLDER.sub(" ", wording)
    checks: list[tuple[Callable[[], bool], str]] = [
        (lambda: not bare.strip(), "says nothing"),
        (lambda: wording != wording.strip() or not wording.isprintable(), "has stray or hidden characters"),
        (lambda: bool(re.search(r"[{}%<>$]", bare)), "has a placeholder that is not allowed"),
        (lambda: bool(_NUMBER.search(bare)), "has a number"),
    ]
    return [fault for wrong, fault in checks if wrong()] + _words_in(bare, words) + _links_in(bare)


def _sent(wording: str, values: Mapping[str, Value], words: set[str]) -> list[str]:
    """Faults of a wording with the values put in."""
    absent = [name for name in _PLACEHOLDER.findall(wording) if name not in values]
    if absent:
        return [f"has no typical value for {', '.join(absent)}"]
    text = _filled(wording, values)
    return _words_in(text, words) + _links_in(text) + _too_long(text)


def _too_long(text: str) -> list[str]:
    return [] if fits_one_sms(text) else [f"is longer than one SMS ({length(text)} places)"]


def _words_in(text: str, words: Iterable[str]) -> list[str]:
    plain = _plain(text)
    return [f"has the banned word {word}" for word in sorted(words) if _pattern(word).search(plain)]


def _links_in(text: str) -> list[str]:
    return ["has a link or an address"] if has_link(text) else []


def has_link(text: str) -> bool:
    """Whether it names an address that a phone would make a link of."""
    return bool(_LINK.search(_plain(text)))


def asks_for_reply(text: str) -> bool:
    """Whether it asks to be answered, which nobody hears where messages go one way."""
    return bool(_REPLY.search(_plain(text)))


@cache
def _pattern(word: str) -> re.Pattern[str]:
    """A word: as a whole, or as a beginning when it ends in *. Chinese has no spaces: anywhere."""
    plain = _plain(word.removesuffix("*"))
    said = re.escape(plain).replace(r"\ ", r"\s+")
    if not plain.isascii():
        return re.compile(said)
    return re.compile(rf"(?<![a-z0-9]){said}" + ("" if word.endswith("*") else r"(?![a-z0-9])"))


@lru_cache(maxsize=1024)
def _plain(text: str) -> str:
    """As the eye reads it: full width as half width, capitals as small letters, nothing invisible."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in folded if unicodedata.category(c) != "Cf")
