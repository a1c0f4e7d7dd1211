"""Published instruments: finding the version a response was given to, and publishing bundled ones."""

from __future__ import annotations

import json

from epro import canonical, db, trail
from epro.errors import Conflict
from epro.questionnaires.instrument import Instrument, parse
from epro.questionnaires.library import UnknownInstrument, bundled_instrument
from epro.questionnaires.models import PublishedInstrument
from epro.tx import Tx


class ChangedInstrument(Conflict):
    """This version of the instrument is published with other content; a changed one needs a new version."""

    code = "changed_instrument"


def find(tx: Tx, code: str, version: str) -> Instrument | None:
    """The published instrument of this code and version, or None. A published version never changes."""
    known: Instrument | None = db.remembered().get(("instrument", code, version))
    if known is None and (row := tx.get(PublishedInstrument, code, version)) is not None:
        known = db.remembered()[("instrument", code, version)] = parse(json.loads(row.body))
    return known


def publish(tx: Tx, code: str, version: str) -> Instrument:
    """Copy a bundled instrument into the immutable table; once. Raises UnknownInstrument, ChangedInstrument."""
    instrument = bundled_instrument(code, version)
    row = tx.get(PublishedInstrument, code, version)
    if row is not None and row.digest != instrument.digest:
        raise ChangedInstrument()
    if row is None:
        tx.add(
            PublishedInstrument(
                code=code,
                version=version,
                digest=instrument.digest,
                published_at=tx.now,
                body=canonical.encode(instrument.document()).decode(),
            )
        )
        trail.record(
            tx,
            trail.study_chain(tx),
            "instrument.published",
            "instrument",
            f"{code}/{version}",
            digest=instrument.digest,
        )
    return instrument


__all__ = ["ChangedInstrument", "UnknownInstrument", "bundled_instrument", "find", "publish"]
