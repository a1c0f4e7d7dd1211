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
    for name, archive in ((SNAPSHOT, False), (ARCHIVE, True)):
        with folder.at(name).open("wb") as file:
            folder.note(name, odm.document(file, content, definitions, archive=archive))
    with folder.at(SNAPSHOT_2).open("wb") as file:
        folder.note(SNAPSHOT_2, odm2.document(file, content, definitions))
