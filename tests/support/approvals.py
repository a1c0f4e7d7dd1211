"""Versions of a study: an approval on record, and a study that begins with another version."""

from __future__ import annotations

from datetime import date

from epro.scheduling import amending, protocols
from epro.scheduling.protocol import Protocol
from epro.studies.models import Study
from epro.tx import Tx, begin, system
from tests.cast import STUDY


def keep_an_approval() -> None:
    """Site 01 has had the first version approved, which everybody follows already."""
    with begin(system("tests")) as tx:
        amending.approve(tx, STUDY, "1.0", "01", date(2026, 3, 1))


def begin_with(tx: Tx, protocol: Protocol, text: str) -> None:
    """Let this be the version that a study begins with, whatever it began with: nobody has been enrolled yet."""
    protocols.publish(tx, protocol, text)
    study = tx.get(Study, protocol.study_id)
    assert study is not None
    study.protocol_version = protocol.version
    for site in protocol.sites:
        protocols.open_site(tx, protocol, site.id)
