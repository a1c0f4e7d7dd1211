"""`epro export` and `epro cut`: a study as files, up to now or up to a named place in its feed."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click

from epro.cli import progress
from epro.cli.opening import opened
from epro.export import files
from epro.export.extract import Extract, Options
from epro.export.registry import FORMATS, Format
from epro.exporting import cuts, making, reading
from epro.privacy import readings
from epro.tx import begin, look, system

COMMAND = system("command line")
DOOR = "command"


@click.command()
@click.argument("format", type=click.Choice(list(FORMATS)))
@click.option("--study", required=True)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A folder, a .zip, or a file.")
@click.option("--cut", default=None, help="A cut by its name; without one, all that is there now.")
@click.option(
    "--unblinded/--blinded", default=False, help="With the items and scales that are kept from people."
)
@click.option(
    "--flavour", type=click.Choice(["raw", "safe"]), default="raw", help="CSV: `safe` in spreadsheets."
)
@click.option(
    "--scores", type=click.Choice(["captured", "derived"]), default="captured", help="SDTM: how scores stand."
)
@click.option(
    "--container",
    type=click.Choice(["json", "ndjson", "dsjc", "all"]),
    default=None,
    help="Dataset-JSON: in which form.",
)
def export(
    format: str,
    study: str,
    out: Path,
    cut: str | None,
    unblinded: bool,
    flavour: str,
    scores: str,
    container: str | None,
) -> None:
    """Write a study as files. The same cut gives the same bytes; what was read is written in the trail."""
    kind, options = FORMATS[format], Options(flavour, scores, {"container": container} if container else {})
    with opened():
        point = reading.point(study, cut)
        with progress.shown(f"Exporting {format}", reading.size(COMMAND, point)) as done:
            source = reading.extract(COMMAND, point, unblinded=unblinded, progress=done)
            made = _into(kind, options, source, out)
        with begin(COMMAND) as tx:
            readings.note(tx, [readings.Look(study, None, "export", format)], DOOR)
    files = len(made.told["files"])
    click.echo(
        f"{study} up to position {point.position}: {files} file{'' if files == 1 else 's'}, {made.rows} rows,"
        f" digest {made.digest}"
    )


@click.group()
def cut() -> None:
    """Named places in a study's feed: exports at one are the same for ever."""


@cut.command("make")
@click.argument("name")
@click.option("--study", required=True)
@click.option("--position", type=click.IntRange(0), default=None, help="Without it: where the feed is now.")
def make_cut(name: str, study: str, position: int | None) -> None:
    """Name a place in the feed."""
    with opened(), begin(COMMAND) as tx:
        row = cuts.make(tx, study, name, position)
        click.echo(f"{row.name}: position {row.position}, digest {row.digest}")


@cut.command("list")
@click.option("--study", required=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_cuts(study: str, as_json: bool) -> None:
    """The cuts of a study."""
    with opened(), look(COMMAND) as tx:
        for row in cuts.of(tx, study):
            told = {
                "name": row.name,
                "position": row.position,
                "made_at": row.made_at.isoformat(),
                "made_by": row.made_by,
                "digest": row.digest,
            }
            click.echo(json.dumps(told) if as_json else "  ".join(str(value) for value in told.values()))


def _into(kind: Format, options: Options, source: Extract, out: Path) -> making.Made:
    """Into a folder as it is; else made beside and put in its place whole."""
    if not out.suffix or out.is_dir():
        out.mkdir(parents=True, exist_ok=True)
        _clear(out)
        return making.make(COMMAND, source, kind, options, out)
    if out.suffix != ".zip" and kind.main is None:
        raise click.UsageError(f"{kind.name} comes to several files: name a folder or a .zip.")
    if not out.parent.is_dir():
        raise click.UsageError(f"There is no folder {out.parent}.")
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".export-") as beside:
        made = making.make(COMMAND, source, kind, options, Path(beside))
        _put(made, kind, source, out)
    return made


def _clear(folder: Path) -> None:
    """Take away what an export before this one says that it made here, first of all its word that it is whole."""
    about = folder / making.ABOUT
    try:
        names = [str(one["name"]) for one in json.loads(about.read_bytes())["files"]]
    except (OSError, ValueError, KeyError, TypeError):
        return  # there is none, or it is none of ours
    about.unlink()
    for name in names:
        if Path(name).name == name:
            (folder / name).unlink(missing_ok=True)


def _put(made: making.Made, kind: Format, source: Extract, out: Path) -> None:
    if out.suffix == ".zip":
        whole = made.folder.at("whole.zip")
        files.zipped(made.folder, made.names(), source.cut.at, whole)
        files.moved(whole, out)
        return
    for name in made.names():
        target = out if name == kind.main else out.with_name(f"{out.stem}.{name}")
        files.moved(made.folder.at(name), target)
