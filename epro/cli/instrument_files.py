"""`epro instrument explain | check | new | reference`: for those who read scores and write definitions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click

from epro.cli.instrument import VERSION, defined, know_language, meant, read_json
from epro.questionnaires import reference
from epro.questionnaires.explaining import explain, fact_name, kind_words, words_of
from epro.questionnaires.instrument import Instrument, parse
from epro.questionnaires.library import bundled
from epro.questionnaires.scoring import InvalidAnswers

CODE = re.compile(r"[a-z][a-z0-9_]{0,39}")
FILE = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.command("explain")
@click.argument("code")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@VERSION
@click.option("--lang", metavar="L", help="Language of the explanation, en or zh-CN for instance.")
@click.option("--scale", metavar="S", help="Only this scale.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def explain_(
    code: str, file: Path, version: str | None, lang: str | None, scale: str | None, as_json: bool
) -> None:
    """Say how each score of CODE comes about from the answers in FILE.

    CODE is a bundled instrument, or a definition of your own: ./my_scale-1.0.json. FILE (-: standard input) holds
    one response as JSON: {"answers": {"<item id>": code, ...}}, or the answers alone.
    """
    found = meant(code, version)
    know_language(found, lang)
    if scale and scale not in [one.name for one in found.scales]:
        raise click.UsageError(f"No such scale. {found.code} has: {', '.join(s.name for s in found.scales)}.")
    told = _explained(found, _answers(file), lang, scale)
    if as_json:
        return click.echo(json.dumps(told, ensure_ascii=False, indent=2))
    language = lang or found.languages[0]
    click.echo("\n\n".join((*(_text(one, language) for one in told), *_marks(told, language))))


@click.command()
@FILE
def check(file: Path) -> None:
    """Name every fault of an instrument definition at once, with its place and the mend."""
    found = defined(file)
    _warn_of_bundled(found)
    click.echo(f"{file.name}: {found.code} {found.version} has no faults; digest {found.digest}")


@click.command()
@click.argument("code")
@click.option("--items", default=5, show_default=True, type=click.IntRange(1, 200), help="How many items.")
@click.option("--codes", default=5, show_default=True, type=click.IntRange(2, 21), help="How many choices.")
@click.option("--out", type=click.Path(path_type=Path), help="The file to write; CODE-1.0.json if not given.")
def new(code: str, items: int, codes: int, out: Path | None) -> None:
    """Write a definition to start from: one scale, the mean of all items. It has no faults as it stands."""
    if not CODE.fullmatch(code):
        raise click.UsageError(
            "CODE is a small letter and then small letters, digits or _; 40 characters at most."
        )
    target = out or Path(f"{code}-1.0.json")
    if target.exists():
        raise click.UsageError(f"{target} is there already and is not overwritten.")
    if not target.parent.is_dir():
        raise click.UsageError(f"{target} is to stand in a folder that does not exist.")
    draft = reference.draft(code, items, codes)
    _warn_of_bundled(parse(draft))
    target.write_text(json.dumps(draft, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    click.echo(f"{target} written. Change it, then: epro instrument check {target}")


def _warn_of_bundled(found: Instrument) -> None:
    """What is published under a code and version stays; a definition of one's own needs names of its own."""
    for one in bundled():
        if (one.code, one.version) == (found.code, found.version) and one.digest != found.digest:
            click.echo(
                f"Note: {one.code} {one.version} is bundled with other content; take another code.", err=True
            )


@click.command("reference")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="The folder.")
def reference_(out: Path) -> None:
    """Write a page for each bundled instrument, and one that lists them, into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    pages = reference.pages(bundled())
    ours = {old: old.read_text(encoding="utf-8").startswith(reference.MADE) for old in out.glob("*.md")}
    if foreign := [old.name for old in ours if not ours[old]]:
        raise click.UsageError(f"{out} holds pages that are not ours: {', '.join(sorted(foreign)[:5])}.")
    for old in ours:
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        (out / name).write_text(text, encoding="utf-8")
    click.echo(f"{len(pages)} pages in {out}")


def _explained(
    found: Any, answers: dict[str, Any], lang: str | None, scale: str | None
) -> list[dict[str, Any]]:
    try:
        told = explain(found, answers, lang)
    except InvalidAnswers as fault:
        for one in fault.errors:
            click.echo(f"{one['item']}: {one['detail']} [{one['code']}]", err=True)
        if any(one["item"] not in {item.id for item in found.items} for one in fault.errors):
            click.echo(f"Items of {found.code}: {', '.join(item.id for item in found.items)}", err=True)
        raise click.ClickException(f"These answers do not fit {found.code}; nothing is scored.") from None
    return [one for one in told if scale in (None, one["scale"])]


def _answers(file: Path) -> dict[str, Any]:
    data = read_json(file)
    answers = data.get("answers", data) if isinstance(data, dict) else None
    if not isinstance(answers, dict):
        raise click.ClickException(f"{file.name} holds no object of answers.")
    return answers


def _text(told: dict[str, Any], language: str) -> str:
    """One explanation as lines for a terminal."""
    words = words_of(language)
    low, high = told["range"]
    value = told["shown"] if told["value"] is not None else words["none"].format(why=told["reason_words"])
    lines = [
        f"{told['label']} ({told['scale']}){words['colon']}{value}",
        f"  {told['formula']['words']}  {told['formula']['symbols']}",
        f"  {told['rule']['words']} {words['answered'].format(number=told['answered'])}",
        f"  {told['direction']['words']} {words['range'].format(low=low, high=high)}",
    ]
    lines += [f"    {_item(item, language)}" for item in told["items"]]
    lines += [f"  {_number(number, words)}" for number in told["numbers"]]
    lines += [f"  {_fact(fact, language)} ({_where(fact, words)})" for fact in told["interpretation"]]
    made_with = told["instrument"]
    lines.append(
        f"  {told['formula']['method']} {told['formula']['method_version']}, {made_with['code']}"
        f" {made_with['version']}, {words['digest']} {made_with['digest']}"
    )
    return "\n".join(lines)


def _marks(told: list[dict[str, Any]], language: str) -> list[str]:
    """What the marks behind the sources mean, of those that stand there."""
    words, stand = words_of(language), {fact["certainty"] for one in told for fact in one["interpretation"]}
    meant = [f"[{mark}]{words['colon']}{words[mark]}" for mark in ("V", "M", "?") if mark in stand]
    return [words["semicolon"].join(meant)] if meant else []


def _number(number: dict[str, Any], words: dict[str, str]) -> str:
    value = number["value"]
    said = (
        words["comma"].join(map(str, value)) if isinstance(value, list) else "-" if value is None else value
    )
    return f"{number['symbol']} = {said}{words['comma']}{number['words']}"


def _where(fact: dict[str, Any], words: dict[str, str]) -> str:
    """Where the score lies by this fact, and who says so."""
    source = f"{fact['source_words']} [{fact['certainty']}]"
    return f"{fact['position_words']}{words['semicolon']}{source}" if fact["position"] else source


def _fact(fact: dict[str, Any], language: str) -> str:
    if fact["kind"] != "band":
        return str(fact["text"])
    return f"{fact_name(fact, language)}{words_of(language)['colon']}{fact['text']}"


def _item(item: dict[str, Any], language: str) -> str:
    words = words_of(language)
    raw = item["raw"] if item["kind"] == "answered" else kind_words(item["kind"], language)
    used = words["unused"] if item["used"] is None else words["counts"].format(used=item["used"])
    return f"{item['number']!s:>4}  {item['label']}{words['colon']}{raw}{words['comma']}{used}"


COMMANDS = (explain_, check, new, reference_)
