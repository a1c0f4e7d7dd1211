"""The format `odm`: a snapshot, an archive of every change, and the snapshot in ODM 2.0. Pure."""

from __future__ import annotations

from epro.export import odm, odm2
from epro.export.extract import Extract, Options
from epro.export.files import Folder
from epro.export.odm_content import Content

SNAPSHOT, ARCHIVE, SNAPSHOT_2 = "snapshot.xml", "archive.xml", "snapshot-odm2.xml"


def write(extract: Extract, folder: Folder, options: Options) -> None:
    """All three, from definitions that are worked out once."""
    content = Content(extract)
    definitions = content.definitions()
    writers = ((SNAPSHOT, odm.snapshot), (ARCHIVE, odm.archive), (SNAPSHOT_2, odm2.snapshot))
    for name, writer in writers:
        with folder.at(name).open("wb") as file:
            folder.note(name, writer(file, content, definitions))
