"""The format `copy`: all that a site needs of its own, independent of anybody else's systems. Pure.

The tables, ODM with its archive of every change, and a list of every record with the digest that the store has of it,
so that a sponsor's data can be checked against a copy that the sponsor never held.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from epro.export import csv_files, odm_files
from epro.export.extract import Extract, Options
from epro.export.files import Folder

RECORDS = "records.ndjson"


def write(extract: Extract, folder: Folder, options: Options) -> None:
    """The tables, ODM, and the list of digests."""
    csv_files.write(extract, folder, options)
    odm_files.write(extract, folder, options)
    count = 0
    with folder.at(RECORDS).open("wb") as file:
        for record in records(extract):
            file.write(orjson.dumps(record, option=orjson.OPT_SORT_KEYS) + b"\n")
            count += 1
    folder.note(RECORDS, count)


def records(extract: Extract) -> Iterator[dict[str, Any]]:
    """Every revision of every response, every upload set aside, every signature: with its digest, and its answers
    where there are any to be read.
    """
    for subject in extract.subjects():
        about = {"study": subject.study_id, "site": subject.site, "subject_id": subject.subject_id}
        for response in subject.responses:
            for version in response.versions:
                yield about | {"kind": "response", "position": version.position, **version.told}
        for aside in subject.set_aside:
            settled = {"settlement": aside.settlement} if aside.settlement else {}
            yield about | {"kind": aside.outcome, "position": aside.position, **aside.told, **settled}
        for one in subject.signatures:
            breaks = {"breaks": list(one.breaks.values())} if one.breaks else {}
            yield about | {"kind": "signature", "position": one.position, **one.told, **breaks}
