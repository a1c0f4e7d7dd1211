"""A form filled again with what stood in it before, on the page that carries it. Knows markup, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote

from lxml import html

from epro.signin.kept import Form

SAID_AT = "done"  # the id of the line that says what was done
DOCTYPE = "<!doctype html>"
REFUSED = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML has no place for, and with it the maker of this markup."""


def filled(page: str, kept: Form, words: str) -> str | None:
    """The page with its form filled, its button ready to be pressed and these words said; None without such a form."""
    document = html.document_fromstring(page)
    form = next((one for one in document.iter("form") if _is_it(one, kept)), None)
    if form is None:
        return None
    for field in form.iter("input", "select", "textarea"):
        texts = [REFUSED.sub("", text) for text in kept.fields.get(field.get("name"), ())]
        if (texts or _may_be_silent(field)) and field.get("type") not in ("hidden", "password", "file"):
            _fill(field, texts)
    for around in form.iterancestors("details"):
        around.set("open", "")
    for button in list(form.iter("button"))[:1]:
        button.set("autofocus", "")
    line = html.Element("p", {"class": "done"})
    line.text = words
    document.get_element_by_id(SAID_AT).append(line)
    made: str = html.tostring(document, encoding="unicode", doctype=DOCTYPE)
    return made


def _is_it(form: html.HtmlElement, kept: Form) -> bool:
    """The same address, and in what a form carries unseen the same values."""
    if (form.get("method") or "").lower() != "post" or unquote(form.get("action") or "") != kept.address:
        return False
    unseen = [one for one in form.iter("input") if one.get("type") == "hidden"]
    return all(
        one.get("value", "") in kept.fields[one.get("name")]
        for one in unseen
        if one.get("name") in kept.fields
    )


def _may_be_silent(field: html.HtmlElement) -> bool:
    """Whether nothing of it in a form says that nothing was chosen: what comes ticked may have been unticked."""
    many = field.get("type") in ("checkbox", "radio") or "multiple" in field.attrib
    return many and field.get("name") is not None and "disabled" not in field.attrib


def _fill(field: html.HtmlElement, texts: Sequence[str]) -> None:
    if field.tag == "textarea":
        field.text = "\n" + texts[0]  # a browser passes over one line break at the beginning
    elif field.tag == "select":
        for option in field.iter("option"):
            _mark(option, "selected", option.get("value", option.text) in texts)
    elif field.get("type") in ("checkbox", "radio"):
        _mark(field, "checked", field.get("value", "on") in texts)
    else:
        field.set("value", texts[0])


def _mark(field: html.HtmlElement, name: str, wanted: bool) -> None:
    if wanted:
        field.set(name, "")
    else:
        field.attrib.pop(name, None)
