"""`epro wording`: bring the licensed wording of an instrument in, have it approved, and look at it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import sqlalchemy as sa

from epro import db
from epro.cli.opening import opened
from epro.contacts import store
from epro.errors import NotAllowed, NotFound
from epro.questionnaires import catalogue, pack_files
from epro.questionnaires import wording as on_record
from epro.questionnaires.instrument import Instrument
from epro.questionnaires.library import UnknownInstrument, bundled, bundled_instrument
from epro.questionnaires.pack_checks import is_language
from epro.questionnaires.packs import Pack
from epro.questionnaires.previews import preview as page_of
from epro.questionnaires.previews import spoken
from epro.questionnaires.wording_told import OF_DEFINITION, OF_PACK, told_of
from epro.scheduling import protocols
from epro.signin import password_rules, passwords, staff
from epro.signin.models import Staff
from epro.studies import access
from epro.tx import Actor, Tx, begin, look, system

COMMAND = system("command line")
CODE = click.argument("code")
VERSION = click.option("--version", metavar="V", help="Version of the instrument; the newest if not given.")
LANGUAGE = click.option("--lang", required=True, metavar="L", help="Language, en or zh-CN for instance.")
OUT = click.option(
    "--out",
    default=".",
    metavar="DIR",
    help="Folder for the files; this one if not given.",
    type=click.Path(file_okay=False, path_type=Path),
)
PACK = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def wording() -> None:
    """The licensed wording of instruments: templates, import, approval, previews."""


@wording.command()
@CODE
@LANGUAGE
@VERSION
@OUT
def template(code: str, lang: str, version: str | None, out: Path) -> None:
    """Write a CSV and an XLIFF to fill with the wording of instrument CODE; fill either. Needs no database."""
    found = _bundled(code, version)
    _check_language(lang)
    stem = f"{found.code}-{found.version}-{lang}"
    _write(out / f"{stem}.csv", pack_files.csv_template(found, lang))
    _write(out / f"{stem}.xlf", pack_files.xliff_template(found, lang))


@wording.command("import")
@click.argument("file", type=PACK)
@click.option("--by", "email", metavar="EMAIL", help="Whose account imports it; needed in production.")
@click.option("--password-stdin", is_flag=True, help="Read her password from standard input.")
def import_(file: Path, email: str | None, password_stdin: bool) -> None:
    """Check a filled CSV or XLIFF and keep it as one version. The same version with other words is refused.

    With --by her password is asked for, or read from standard input or EPRO_STAFF_PASSWORD.
    """
    pack = _read(file)
    with opened():
        if email is None and db.settings()["ENV"] == "production":
            raise click.UsageError("In production an import names its person: --by EMAIL.")
        actor = COMMAND if email is None else _proven(email, _password(password_stdin))
        with begin(actor) as tx:
            new = on_record.import_pack(tx, pack)
    word = "imported" if new else "was imported before, exactly so"
    click.echo(f"{pack.name} {word}; digest {pack.digest}")
    if new:
        click.echo(f"In force once {on_record.APPROVALS} other people have approved it: epro wording approve")


@wording.command()
@CODE
@LANGUAGE
@VERSION
@click.option("--wording-version", required=True, metavar="W", help="Version of the wording.")
@click.option("--by", "email", required=True, metavar="EMAIL", help="Whose account approves it.")
@click.option("--password-stdin", is_flag=True, help="Read her password from standard input.")
def approve(
    code: str, lang: str, version: str | None, wording_version: str, email: str, password_stdin: bool
) -> None:
    """Approve an imported wording as the second or third person. Her password is asked for, or read from
    standard input or EPRO_STAFF_PASSWORD."""
    found = _bundled(code, version)
    with opened():
        actor = _proven(email, _password(password_stdin))
        with begin(actor) as tx:
            key = (found.code, found.version, lang, wording_version)
            count = on_record.approve(tx, key)
    rest = on_record.APPROVALS - count
    click.echo(f"{'/'.join(key)} approved; " + (f"{rest} more is needed." if rest else "it is in force."))


@wording.command()
@click.argument("named", metavar="STUDY", required=False)
@click.option("--study", help="The same, as other commands take it.")
def status(named: str | None, study: str | None) -> None:
    """For each instrument and language of STUDY: what is placeholder, imported, approved, and in force."""
    if bool(named) == bool(study):
        raise click.UsageError("Name one study: `epro wording status STUDY`.")
    study = study or named or ""
    with opened(), look(COMMAND) as tx:
        versions = protocols.to_be_asked(tx, study)
        if not versions:
            raise NotFound(f"There is no study {study}.")
        found = [
            (one, language, on_record.standing(tx, one, language))
            for code, version, language in protocols.asked_of(versions)
            if (one := catalogue.find(tx, code, version)) is not None
        ]
    for one, language, standing in found:
        click.echo("\n".join(_told(one, language, standing)))


@wording.command()
@CODE
@click.option("--lang", metavar="L", help="Only this language; all of the definition if not given.")
@VERSION
@click.option("--pack", "file", type=PACK, metavar="FILE", help="With the words of this file.")
@click.option("--wording-version", metavar="W", help="With the words of this imported version.")
@OUT
def preview(
    code: str,
    lang: str | None,
    version: str | None,
    file: Path | None,
    wording_version: str | None,
    out: Path,
) -> None:
    """Write one HTML page per language that shows every screen of instrument CODE as a phone shows it.

    Our own labels, unless --pack or --wording-version names a wording. Only the latter needs a database.
    """
    found = _bundled(code, version)
    if file and wording_version:
        raise click.UsageError("Give --pack or --wording-version, not both.")
    for language, pack, standing in _pages(found, lang, file, wording_version):
        stem = f"{found.code}-{found.version}-{language}"
        words = f"-wording-{pack.wording_version}" if pack else ""  # two versions stand side by side
        _write(out / f"{stem}{words}.html", page_of(found, language, pack, standing))


def _bundled(code: str, version: str | None) -> Instrument:
    try:
        return bundled_instrument(code, version)
    except UnknownInstrument:
        known = ", ".join(f"{one.code} {one.version}" for one in bundled())
        raise click.UsageError(f"No such instrument. Bundled are: {known}.") from None


def _check_language(lang: str) -> None:
    if not is_language(lang):
        raise click.UsageError(f"`{lang}` is no language tag: write en, zh-CN or zh-Hant-TW for instance.")


def _versions(code: str) -> Mapping[str, Instrument]:
    return {one.version: one for one in bundled() if one.code == code}


def _read(file: Path) -> Pack:
    with open(file, "rb") as reading:
        raw = reading.read(pack_files.LARGEST + 1)
    pack, faults = pack_files.read(raw, _versions)
    for fault in faults:
        click.echo(f"{file.name}: {fault.place}: {fault.detail} {fault.mend} [{fault.code}]", err=True)
    if pack is None:
        click.echo(f"{file.name}: {len(faults)} fault{'s' if len(faults) != 1 else ''}", err=True)
        sys.exit(1)
    return pack


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as fault:
        raise click.ClickException(f"{fault.filename or path}: {fault.strerror}") from None
    click.echo(path)


# Who acts


def _account(tx: Tx, email: str) -> Staff:
    lookup = store.lookup("email", store.normal("email", email))
    found: Staff | None = tx.one(
        sa.select(Staff).where(Staff.email_lookup == lookup, Staff.closed_at.is_(None))
    )
    if found is None:
        raise NotFound("There is no open staff account with this e-mail address.")
    return found


def _acting(tx: Tx, account: Staff) -> Actor:
    """The person as an actor on the installation, where wordings belong. Raises NotAllowed."""
    person = Actor("staff", str(account.id), grants=staff.grants_of(tx, account.id))
    try:
        return access.beyond_studies(person, "wording.handle")
    except NotAllowed:
        who = ", ".join(sorted(access.PERMISSIONS["wording.handle"]))
        raise NotAllowed(f"Wordings are for: {who}.") from None


def _proven(email: str, password: str) -> Actor:
    """Who says that she is this person and knows her password. The slow hash is outside any transaction."""
    with look(COMMAND) as tx:
        account = _account(tx, email)
    if not passwords.fits(account.password_hash, password_rules.normal(password)):
        raise staff.SignInRefused("The password is not right.")
    with look(COMMAND) as tx:
        return _acting(tx, account)


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    return os.environ.get("EPRO_STAFF_PASSWORD") or click.prompt("Password", hide_input=True)


# What is told


def _told(one: Instrument, language: str, standing: list[on_record.Standing]) -> Iterator[str]:
    own = one.wording.get(language, "no wording")
    covered = any(pack.in_force for pack in standing)
    yield f"{one.code} {one.version} {language}: {'licensed' if covered else own}"
    for pack in standing:
        yield f"    {pack.wording_version}  {told_of(pack)}; digest {pack.digest}"


# Previews


def _pages(
    found: Instrument, lang: str | None, file: Path | None, wording_version: str | None
) -> Iterator[tuple[str, Pack | None, str]]:
    """The language, the pack and what is told of it, page by page."""
    if file:
        pack = _read(file)
        if (pack.instrument, pack.instrument_version) != (found.code, found.version):
            raise click.UsageError(f"The pack is of {pack.instrument} {pack.instrument_version}.")
        if lang not in (None, pack.language):
            raise click.UsageError(f"The pack is in {pack.language}.")
        yield pack.language, pack, OF_PACK["file"][spoken(pack.language)]
    elif wording_version:
        yield _imported(found, lang, wording_version)
    else:
        for language in [lang] if lang else found.languages:
            if language not in found.wording:
                known = ", ".join(found.languages)
                raise click.UsageError(f"The definition has no labels in {language}; it has: {known}.")
            yield language, None, OF_DEFINITION[found.wording[language]][spoken(language)]


def _imported(found: Instrument, lang: str | None, wording_version: str) -> tuple[str, Pack, str]:
    if lang is None:
        raise click.UsageError("--wording-version needs --lang.")
    with opened(), look(COMMAND) as tx:
        pack = on_record.find(tx, (found.code, found.version, lang, wording_version))
        if pack is None:
            raise on_record.UnknownWording()
        standing = on_record.standing(tx, found, lang)
    return lang, pack, next(told_of(one, spoken(lang)) for one in standing if one.digest == pack.digest)
