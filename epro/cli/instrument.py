"""`epro instrument`: what is bundled, what it says, bulk scoring. Needs no database, no configuration."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from io import BufferedIOBase
from pathlib import Path
from typing import Any, BinaryIO, cast

import click

from epro import canonical
from epro.errors import EproError
from epro.questionnaires.bulk import BadLine, score_file
from epro.questionnaires.instrument import (
    Instrument,
    InstrumentFault,
    Item,
    UnknownLanguage,
    localised,
)
from epro.questionnaires.library import (
    UnknownInstrument,
    bundled,
    bundled_instrument,
    definition,
    with_tables,
)

VERSION = click.option("--version", metavar="V", help="Version of the definition; the newest if not given.")


@click.group()
def instrument() -> None:
    """Bundled questionnaires: list them, read them, score answers with them."""


@instrument.command("list")
def list_() -> None:
    """List the bundled instruments: code, version, items, scales, wording."""
    for one in bundled():
        wording = ", ".join(f"{language} {status}" for language, status in one.wording.items())
        scales = ", ".join(scale.name for scale in one.scales)
        click.echo(f"{one.code} {one.version}  {next(iter(one.title.values()))}")
        items = f"{len(one.items)} item{'s' if len(one.items) > 1 else ''}"
        click.echo(f"    {items}; wording: {wording}; scales: {scales}")


@instrument.command()
@click.argument("code")
@VERSION
@click.option("--lang", metavar="L", help="Only this language, en or zh-CN for instance.")
@click.option("--json", "as_json", is_flag=True, help="Print the definition as JSON.")
def show(code: str, version: str | None, lang: str | None, as_json: bool) -> None:
    """Show the definition of instrument CODE: a bundled one, or a file of your own, as ./my_scale-1.0.json."""
    found = meant(code, version)
    know_language(found, lang)
    if as_json:
        shown = localised(found, lang) if lang else found.document() | {"digest": found.digest}
        click.echo(json.dumps(shown, ensure_ascii=False, indent=2))
    else:
        click.echo("\n".join(_described(found, lang or found.languages[0])))


@instrument.command()
@click.argument("code")
@click.argument("source", metavar="IN", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.argument("sink", metavar="OUT", type=click.Path(dir_okay=False, allow_dash=True))
@VERSION
def score(code: str, source: str, sink: str, version: str | None) -> None:
    """Score the answers in file IN with instrument CODE, into file OUT ("-": standard input, output).

    CODE is a bundled instrument, or a definition of your own: ./my_scale-1.0.json. IN holds one response a line:
    {"id": ..., "answers": {"<item id>": code or null, ...}}; where an item offers it, "NA" or "REFUSED" may stand for
    a code. OUT gets one line for each, in order. A response whose answers do not fit the instrument is not scored;
    its line says why and the command ends with 1. At a line that is no response at all it stops, and OUT is not
    written.
    """
    found = meant(code, version)
    _refuse_places(source, sink)
    try:
        with _opened(source) as reading, _replaced(sink) as writing, _progress(source) as told:
            tally = score_file(found, reading, writing, told)
    except BadLine as fault:
        raise click.ClickException(str(fault)) from None
    except BrokenPipeError:
        raise  # click ends quietly when the reader of a pipe has gone
    except OSError as fault:
        raise click.ClickException(f"{fault.filename or 'file'}: {fault.strerror}") from None
    if tally.invalid:
        raise click.ClickException(
            f"{tally.invalid} of {tally.responses} responses have answers that do not fit {found.code}; "
            "their lines in the output say which."
        )


def _refuse_places(source: str, sink: str) -> None:
    if sink != "-" and not Path(os.path.realpath(sink)).parent.is_dir():
        raise click.UsageError("OUT is to stand in a folder that does not exist.")
    if "-" not in (source, sink) and os.path.exists(sink) and os.path.samefile(source, sink):
        raise click.UsageError("IN and OUT are the same file.")


def bundled_or_refused(code: str, version: str | None) -> Instrument:
    """The bundled instrument that a command names, or a refusal that lists what there is."""
    try:
        return bundled_instrument(code, version)
    except UnknownInstrument:
        raise click.UsageError(_there_is(code)) from None


def meant(named: str, version: str | None) -> Instrument:
    """The bundled instrument of this code, or the definition in this file."""
    if not named.endswith(".json"):
        return bundled_or_refused(named, version)
    if not Path(named).is_file():
        raise click.UsageError(f"There is no file {named}.")
    found = defined(Path(named))
    if version not in (None, found.version):
        raise click.UsageError(f"{named} is version {found.version}.")
    return found


def defined(file: Path) -> Instrument:
    """The definition in a file. Ends the command with every fault of it, each with its place and the mend."""
    try:
        data = read_json(file)
        if not isinstance(data, dict):
            raise click.ClickException(f"{file.name} holds no definition: an object is needed.")
        whole = with_tables(data)
        if whole is None:
            raise click.ClickException(f"{file.name} names a table that is not among the bundled ones.")
        return definition(whole)
    except InstrumentFault as fault:
        for one in fault.errors:
            click.echo(f"{file.name}: {one['pointer'] or '/'}: {one['detail']} [{one['code']}]", err=True)
        count = len(fault.errors)
        click.echo(f"{file.name}: {count} fault{'s' if count != 1 else ''}", err=True)
        sys.exit(1)


def read_json(file: Path) -> Any:
    """What stands in a file, or (-) on standard input."""
    try:
        return canonical.decode(sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes())
    except EproError as fault:
        detail = str(fault.detail).replace("The body is", "it is")
        raise click.ClickException(f"{file.name} cannot be read as JSON: {detail}") from None


def _there_is(code: str) -> str:
    """What there is instead: other versions, codes that look alike, all."""
    if versions := [one.version for one in bundled() if one.code == code]:
        return f"{code} is bundled in no such version, but in: {', '.join(versions)}."
    near = get_close_matches(code.lower(), [one.code for one in bundled()], 3, 0.7)
    guess = f" Is {' or '.join(near)} meant?" if near else ""
    known = ", ".join(f"{one.code} {one.version}" for one in bundled())
    return f"No such instrument.{guess} Bundled are: {known}. A definition of your own is named by its file, *.json."


def know_language(found: Instrument, lang: str | None) -> None:
    """Refuse a language that the definition does not have."""
    try:
        localised(found, lang or found.languages[0])
    except UnknownLanguage as fault:
        raise click.UsageError(str(fault)) from None


def _described(found: Instrument, lang: str) -> Iterator[str]:
    said = partial(_said, lang)
    wording = said("wording in {}: {}").format(lang, said(found.wording[lang]))
    yield f"{found.code} {found.version}  {found.title[lang]}  ({wording})"
    yield f"{said('digest')} {found.digest}"
    for item in found.items:
        yield f"  {item.number!s:>3} {item.id}  {item.text[lang]}  {_marks(item, lang)}"
    for scale in found.scales:
        low, high = scale.range
        read = [f"{low}-{high}", said(scale.direction), *([said("blinded")] if scale.blinded else [])]
        yield f"  {scale.name}: {', '.join([scale.label[lang], *read])}"
        method, needed = f"{scale.method} {scale.method_version}", " ".join(scale.items)
        yield f"      {said('{}, needs {} of {}').format(method, said(str(scale.missing)), needed)}"


def _marks(item: Item, lang: str) -> str:
    words = [f"[{min(item.codes)}-{max(item.codes)}]"]
    marks = ("reversed", "not_applicable", "blinded")
    return " ".join(words + [_said(lang, mark) for mark in marks if getattr(item, mark)])


def _said(lang: str, words: str) -> str:
    """These words in this language, if we have them."""
    if lang != "zh-CN":
        return words
    least = words.removeprefix("at_least_")
    return f"至少{least}项" if least.isdigit() else IN_CHINESE.get(words, words)


IN_CHINESE = {
    "wording in {}: {}": "{} 文本：{}",
    "placeholder": "占位文本",
    "own": "自拟文本",
    "digest": "摘要值",
    "{}, needs {} of {}": "{}，所需回答：{}；条目：{}",
    "all": "全部",
    "at_least_half": "至少一半",
    "more_than_half": "超过一半",
    "by_method": "由计分方法决定",
    "higher_is_better": "分数越高越好",
    "higher_is_worse": "分数越高越差",
    "none": "无方向",
    "reversed": "反向计分",
    "not_applicable": "可答“不适用”",
    "blinded": "盲态",
}


@contextmanager
def _opened(source: str) -> Iterator[BufferedIOBase]:
    if source == "-":
        yield cast(BufferedIOBase, sys.stdin.buffer)
        return
    with open(source, "rb") as reading:
        yield reading


@contextmanager
def _replaced(sink: str) -> Iterator[BinaryIO]:
    """A file that takes its name only when all went well: half a result never looks like a whole one."""
    if sink == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if os.path.exists(sink) and not os.path.isfile(sink):  # a pipe or a device cannot be replaced
        with open(sink, "wb") as writing:
            yield writing
        return
    final = Path(os.path.realpath(sink))
    partial = final.with_name(f".{final.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as writing:
            yield writing
        os.replace(partial, final)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _progress(source: str) -> Iterator[Callable[[int], Any]]:
    """Bytes read of all, on a terminal; silent in a pipe."""
    if source == "-" or not sys.stderr.isatty():
        yield lambda size: None
        return
    with click.progressbar(length=os.path.getsize(source), label="scoring", file=sys.stderr) as bar:
        yield bar.update
