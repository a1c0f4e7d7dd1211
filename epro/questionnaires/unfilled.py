"""Signs that a text of a wording pack was never filled in: words for later, gaps, brackets, bare punctuation. Pure.

The words are data. Each list says where it counts, because honest wording must pass: Spanish has `todo`, an option
may be `10`, and a question may speak of what there is to do.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

WORDS = ("todo", "tbd", "tba", "tbc", "fixme", "xxx", "placeholder", "untranslated", "lorem ipsum")
"""Count as whole words in any text, in small or capital letters."""
ORDINARY = {
    "todo": ("ast", "es", "gl", "pt"),
    "tbc": ("ca", "cs", "da", "de", "es", "fr", "hu", "id", "it", "nl", "no", "pl", "pt", "ro", "sv", "vi"),
    "tba": ("fi", "hu"),
}
"""Where a word of these is an ordinary one, it counts for nothing. Names of people and firms may hold it, too: in
what a pack says of itself it counts in capitals, or alone."""
WORDS_WITHOUT_BLANKS = (
    "待翻译", "待译", "待补", "待定", "待填", "待翻譯", "待譯", "待補", "待填寫", "未翻译", "未翻譯", "占位符",
    "占位文", "此处填写", "此處填寫", "未翻訳", "翻訳待ち", "미번역",
)  # fmt: skip
"""Count wherever they stand, unless one of BEFORE goes before: 等待定期检查 is honest."""
BEFORE = "等期对看接招款善优虐亏担對優虧擔"
ALONE = (
    "to do", "to be added", "to be announced", "to be completed", "to be confirmed", "to be defined", "to be done",
    "to be determined", "to be filled in", "to be translated", "translate", "translate this", "translation",
    "translation missing", "translation pending", "translation here", "text", "text here", "insert text",
    "insert text here", "your text here", "fill in", "missing", "pending", "dummy", "item text", "option text",
    "翻译", "译文", "请翻译", "需翻译", "待确认", "待完善", "待更新", "暂缺", "文本", "题目", "填写",
)  # fmt: skip
"""Count where they are the whole text."""
BRACKETS = ("[]", "【】", "〔〕", "〖〗", "<>", "⟨⟩")
"""Around a whole text they say that something is to be put there; round ones do so around a question only."""
ROUND = "()"

_SAYING = r"[^\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"  # a letter or digit where blanks part words
_PRINTF = re.compile(rf"%(?:\d+\$|\(\w+\))?[-+#]?\d*(?:\.\d+)?[sdiufxXo@](?!{_SAYING})")
_LATER = {word: re.compile(rf"(?i)(?<!{_SAYING}){word}(?!{_SAYING})") for word in WORDS}
_LATER["xxx"] = re.compile(rf"(?i)(?<!{_SAYING})x{{3,}}(?!{_SAYING})")
_LATER |= {word: re.compile(f"(?<![{BEFORE}]){word}") for word in WORDS_WITHOUT_BLANKS}
_SPOTTED = re.compile(r"(?i)\bt\.\s?b\.\s?[acd]\b")  # T.B.D.


def signs(text: str, language: str | None = None, *, question: bool = False) -> list[str]:
    """What says that nobody has filled this text in, in words; empty where it is honest.

    `language`: the text's own; None for what a pack says of itself. `question`: whether it is an item's.
    """
    return list(_signs(unicodedata.normalize("NFKC", text).strip(), language, question))


def _signs(text: str, language: str | None, question: bool) -> Iterator[str]:
    if not text:
        return
    if all(_is_punctuation(one) for one in text):
        yield "nothing but punctuation"
        return
    yield from _words(text, language)
    if _is_bracketed(text, (*BRACKETS, ROUND) if question else BRACKETS):
        yield "brackets around the whole of it"
    if _PRINTF.search(text):
        yield "a mark such as %s that a program fills in"
    if "__" in text:
        yield "a gap of underscores"


def _words(text: str, language: str | None) -> Iterator[str]:
    alone = " ".join("".join(" " if _is_punctuation(one) else one for one in text.casefold()).split())
    if alone in ALONE or alone in WORDS and not _is_ordinary(alone, language):
        yield "a word that stands for a text to come"
        return
    for word, found in _LATER.items():
        seen = [] if _is_ordinary(word, language) else [one[0] for one in found.finditer(text)]
        if language is None and word in ORDINARY:
            seen = [one for one in seen if one.isupper()]
        if seen:
            yield f"the word {word.upper()}"
    if _SPOTTED.search(text):
        yield "the word TBD"


def _is_ordinary(word: str, language: str | None) -> bool:
    return (language or "").split("-")[0] in ORDINARY.get(word, ())


def _is_bracketed(text: str, kinds: tuple[str, ...]) -> bool:
    """Whether one pair of brackets holds all of it; a full stop may follow."""
    bare = text.rstrip(".。 ")
    for kind in kinds:
        first, last, inner = kind[0], kind[1], bare[1:-1]
        if (
            bare[0] == first
            and bare[-1] == last
            and len(bare) > 1
            and first not in inner
            and last not in inner
        ):
            return True
    return False


def _is_punctuation(one: str) -> bool:
    return unicodedata.category(one)[0] in "PZC" or one in "~^`|=<>"
