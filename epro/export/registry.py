"""The formats, by name. Whoever adds one adds a line here. Pure.

A format is a function that writes files into a folder from an extract. It may go over the subjects more than once,
keeps no more than one of them, and puts nothing into its files that the same cut would not give again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from epro.errors import NotFound
from epro.export import csv_files, dataset_json, excel, fhir_files, odm_files, parquet, site_copy, xpt
from epro.export.extract import Extract, Options
from epro.export.files import Folder

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PARQUET = "application/vnd.apache.parquet"
Writer = Callable[[Extract, Folder, Options], None]


class UnknownFormat(NotFound):
    """There is no export format of this name."""

    code = "unknown_format"


@dataclass(frozen=True)
class Format:
    """One format. `main` is the file that is meant where a single one is asked for, of `media_type`; None where there
    is none such. All files together go out as a zip.
    """

    name: str
    write: Writer
    main: str | None
    media_type: str
    about: str


FORMATS = {
    one.name: one
    for one in (
        Format("csv", csv_files.write, "long.csv", "text/csv", "tables, long and wide, for any tool"),
        Format(
            "fhir",
            fhir_files.write,
            None,
            "application/fhir+ndjson",
            "FHIR R4, a file for each kind of resource",
        ),
        Format("parquet", parquet.write, "long.parquet", PARQUET, "the same tables, by column"),
        Format("xlsx", excel.write, excel.MAIN, XLSX, "the same tables as one workbook"),
        Format("dataset-json", dataset_json.write, None, "application/json", "SDTM QS, with Define-XML"),
        Format(
            "odm",
            odm_files.write,
            odm_files.SNAPSHOT,
            "application/xml",
            "ODM-XML 1.3.2 and 2.0, with an archive",
        ),
        Format(
            "copy",
            site_copy.write,
            None,
            "application/zip",
            "a site's own copy: the tables, ODM, every record with its digest",
        ),
        Format("xpt", xpt.write, None, "application/octet-stream", "SDTM QS for SAS, with Define-XML"),
    )
}


def find(name: str) -> Format:
    """The format of this name. Raises UnknownFormat."""
    if name not in FORMATS:
        raise UnknownFormat(f"There is no export format of this name; there are {', '.join(FORMATS)}.")
    return FORMATS[name]
