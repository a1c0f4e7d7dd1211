"""Every text in both languages; no template says what has no text, loads from elsewhere, or writes styles inline."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from string import Formatter

import pytest

from epro.console import saying

HERE = Path(saying.__file__).parent
TEMPLATES = sorted((HERE / "templates").rglob("*.html"))
SOURCES = [*TEMPLATES, *sorted(HERE.glob("*.py"))]
SAID = re.compile(r"""\b(?:t|say|speak\(\))\(\s*['"]([a-z_.0-9]+)['"]""")
MENUS = re.compile(r"""menu=['"]([a-z_.]+)['"]""")


def test_every_text_stands_in_both_languages_and_asks_for_the_same_values():
    wrong = []
    for key, words in saying.texts().items():
        if set(words) != set(saying.LANGUAGES) or not all(str(text).strip() for text in words.values()):
            wrong.append(key)
            continue
        asks = [{name for _, name, _, _ in Formatter().parse(text) if name} for text in words.values()]
        if asks[0] != asks[1]:
            wrong.append(key)
    assert wrong == []


def test_an_alert_has_one_word_in_chinese_and_a_reminder_another():
    """警报 and 提醒, in every room."""
    package = HERE.parent
    files = [file for kind in ("py", "yaml", "html", "json") for file in package.rglob(f"*.{kind}")]
    told = {file.relative_to(package): file.read_text(encoding="utf-8") for file in files}
    others = [
        (str(file), word) for file, text in told.items() for word in ("提醒事项", "告警") if word in text
    ]
    assert len(told) > 400 and others == []


def test_whatever_is_said_has_a_text():
    missing = [
        (file.name, key)
        for file in SOURCES
        for key in {*SAID.findall(file.read_text()), *MENUS.findall(file.read_text())}
        if not any(one == key or (key.endswith(".") and one.startswith(key)) for one in saying.texts())
    ]
    assert missing == []


def test_whatever_the_trail_calls_an_act_has_a_text():
    package = HERE.parent
    calls = [
        node
        for file in package.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("trail.record", "_record")
    ]
    acts = {
        part.value
        for call in calls
        for part in call.args
        if isinstance(part, ast.Constant) and re.fullmatch(r"[a-z_]+\.[a-z_]+", str(part.value))
    }
    assert len(acts) > 60
    assert sorted(act for act in acts if f"action.{act}" not in saying.texts()) == []


def test_whatever_an_entry_of_the_trail_tells_has_a_text():
    """Each detail that is named where it is recorded, and each kind of object."""
    calls = [
        node
        for file in HERE.parent.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("trail.record", "_record")
    ]
    details = {one.arg for call in calls for one in call.keywords} - {None, "reason"}
    plain = [part.value for call in calls for part in call.args if isinstance(part, ast.Constant)]
    objects = {one for one in plain if re.fullmatch(r"[a-z_]+", str(one))}
    assert len(details) > 70 and len(objects) > 20
    wanted = [*(f"detail.{one}" for one in details), *(f"object.{one}" for one in objects)]
    assert sorted(one for one in wanted if one not in saying.texts()) == []


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.name)
def test_a_template_brings_nothing_from_elsewhere_and_trusts_no_text(file):
    text = file.read_text()
    assert not re.search(
        r"""https?://|\|\s*safe\b|\sstyle=|\son[a-z]+=|<style|javascript:|autoescape""", text
    )
    assert all('src="{{ asset(' in one for one in re.findall(r"<script[^>]*>", text))


def test_a_form_that_posts_carries_its_token():
    for file in TEMPLATES:
        for form in re.findall(r"<form\b.*?</form>", file.read_text(), flags=re.DOTALL):
            free = "/console/language" in form or "link('enter')" in form
            assert "hidden_token" in form or "{{ token }}" in form or 'method="get"' in form or free, (
                file.name
            )
