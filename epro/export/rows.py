"""One response, one answer, one score in SDTM's words: as the trial database and every table of an export say it.
Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from epro.questionnaires.conditions import NOT_ASKED
from epro.questionnaires.instrument import Instrument, Item, Scale
from epro.questionnaires.kinds import NOT_APPLICABLE, REFUSED
from epro.scheduling.protocol import Visit

Row = dict[str, Any]
EXTENDED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-](0\d|1[0-3]):[0-5]\d|[+-]14:00)")
NOT_DONE = {None: "SKIPPED", NOT_APPLICABLE: "NOT APPLICABLE", REFUSED: "REFUSED", NOT_ASKED: "NOT ASKED"}
"""What stands in place of a code -> SDTM's QSREASND."""
MISSED = "MISSED"
EXCUSED = {
    code: f"EXCUSED, {words}"
    for code, words in (
        ("in_hospital", "IN HOSPITAL"),
        ("procedure", "PROCEDURE"),
        ("device_fault", "DEVICE FAULT"),
        ("site_error", "SITE ERROR"),
        ("other", "OTHER REASON"),
    )
}
"""Why the site has excused her from a questionnaire -> QSREASND of the whole of it."""


def listed(names: Iterable[str]) -> str:
    """Names as one text: a JSON array. The same few come again and again."""
    return _listed(tuple(names))


@lru_cache(maxsize=4096)
def _listed(names: tuple[str, ...]) -> str:
    return json.dumps(names)


def usubjid(content: Row) -> str:
    """SDTM's unique subject identifier: study and subject id."""
    return f"{content['study']}-{content['subject_id']}"


def category(instrument: Instrument) -> str:
    """SDTM's QSCAT for an instrument."""
    return instrument.qscat or instrument.code.upper()


def test_code(part: Item | Scale) -> str:
    """SDTM's QSTESTCD of an item or a scale."""
    if part.sdtm:
        return part.sdtm.qstestcd
    return (part.id if isinstance(part, Item) else part.name).upper()


def test_name(part: Item | Scale) -> str:
    """SDTM's QSTEST of an item or a scale."""
    if part.sdtm:
        return part.sdtm.qstest
    return part.id if isinstance(part, Item) else part.name


def about(site: str, subject_id: str, response: Row, visit: Visit | None) -> Row:
    """What a response's own columns say, whatever was answered."""
    return {
        "SITEID": site,
        "SUBJID": subject_id,
        "INSTRUMENT": response["instrument"]["code"],
        "INSTRVER": response["instrument"]["version"],
        "INSTRDIG": response["instrument"]["digest"],
        "ASSESSMENT": response["assessment"],
        "VISIT": response["visit"],
        "VISITNUM": visit.number if visit else None,
        "VISITDY": response["study_day"],
        "OCCURRENCEID": response["occurrence_id"],
        "PROTVER": response["protocol_version"],
        "QSLANG": response["language"],
        "LOCALDAY": response["local_day"],
        "QSDTC": response["completed_at"],
        "QSSTDTC": response["started_at"],
        "CORRDTC": response["corrected_at"],
        "RECVDTC": response["received_at"],
        "TIMEZONE": response["time_zone"],
        "CLOCKOFF": response["clock_offset_ms"],
        "FINDINGS": listed(finding["code"] for finding in response["findings"]),
        "DIGEST": response.get("digest"),
        "AMENDSID": response.get("amends_id"),
    }


def extended(instant: str) -> str:
    """An instant as the phone wrote it; where that is not ISO 8601's extended form (20260302T200000+0800), in UTC."""
    if EXTENDED.fullmatch(instant):
        return instant
    return datetime.fromisoformat(instant).astimezone(UTC).isoformat().replace("+00:00", "Z")


def answer(item: Item, given: Any) -> Row:
    """One answer as `kinds.settled` gives it: a code, or why there is none."""
    row = {
        "ITEMID": item.id,
        "QSTESTCD": test_code(item),
        "QSTEST": test_name(item),
        "QSORRES": None,
        "QSSTRESN": None,
        "QSSTAT": None,
        "QSREASND": None,
    }
    if given in NOT_DONE:
        counts = item.not_asked_as if given == NOT_ASKED else None
        number = None if counts is None else float(counts)
        return row | {"QSSTRESN": number, "QSSTAT": "NOT DONE", "QSREASND": NOT_DONE[given]}
    return row | {"QSORRES": str(int(given)), "QSSTRESN": float(given)}


def score(instrument: Instrument, told: Row) -> Row:
    """One score as the feed tells it."""
    return {
        "SCALE": told["scale"],
        "RUN": told.get("run", 1),
        "QSTESTCD": test_code(instrument.scale(told["scale"])),
        "QSSTRESN": told["value"],
        "QSREASND": told["reason"],
        "ANSWERED": told["answered"],
        "EXPECTED": told["expected"],
        "RULE": told["rule"],
        "METHOD": told["method"],
        "METHODVER": told["method_version"],
        "ITEMSUSED": listed(told["items_used"]),
        "ITEMSMISS": listed(told["items_missing"]),
    }
